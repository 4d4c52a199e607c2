"""Legal clocks that run, as the newest snapshots have them, and who is responsible for which facility."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go up."""
    op.create_table(
        "deadline",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("facility", sa.String(length=32), nullable=False),
        sa.Column("due_ms", sa.BigInteger(), nullable=False),
        sa.Column("soon_ms", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deadline")),
    )
    op.create_index("ix_deadline_due", "deadline", ["due_ms", "id"])
    op.create_index("ix_deadline_facility", "deadline", ["facility", "due_ms"])
    op.create_table(
        "deadline_facility",
        sa.Column("facility", sa.String(length=32), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(length=128), nullable=False),
        sa.Column("left_out", sa.Integer(), nullable=False),
        sa.Column("aside", sa.Text(), nullable=False),
        sa.Column("held", sa.Boolean(), nullable=False),
        sa.Column("fault", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("facility", name=op.f("pk_deadline_facility")),
    )
    op.create_index(op.f("ix_deadline_facility_partition"), "deadline_facility", ["partition"])
    op.create_table(
        "deadline_partition",
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("as_of_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("partition", name=op.f("pk_deadline_partition")),
    )
    op.create_table(
        "assignment",
        sa.Column("facility", sa.String(length=32), nullable=False),
        sa.Column("user", sa.String(length=128), nullable=False),
        sa.Column("actor", sa.String(length=128), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("facility", "user", name=op.f("pk_assignment")),
    )
    op.create_index(op.f("ix_assignment_user"), "assignment", ["user"])


def downgrade() -> None:
    """Go down; the clocks stand in the snapshots, who is responsible for whom is lost."""
    op.drop_table("assignment")
    op.drop_table("deadline_partition")
    op.drop_table("deadline_facility")
    op.drop_table("deadline")
