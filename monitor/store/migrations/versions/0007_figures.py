"""What figures over all facilities need of each, as the newest snapshots have it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go up; the desk fills it out of the snapshots."""
    op.create_table(
        "figure_facility",
        sa.Column("facility", sa.String(length=32), nullable=False),
        sa.Column("digest", sa.String(length=128), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("facility", name=op.f("pk_figure_facility")),
    )


def downgrade() -> None:
    """Go down; all of it stands in the snapshots."""
    op.drop_table("figure_facility")
