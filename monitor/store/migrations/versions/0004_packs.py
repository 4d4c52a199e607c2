"""Published rule packs: every bundle by its hash, who published it, where its records stand in the log."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go up."""
    op.create_table(
        "packs_bundle",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("noted_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_packs_bundle")),
    )
    op.create_table(
        "packs_publication",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("actor", sa.String(length=128), nullable=False),
        sa.Column("begun_ms", sa.BigInteger(), nullable=False),
        sa.Column("done_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_packs_publication")),
    )
    op.create_table(
        "packs_place",
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("received_ms", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("publication", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("partition", "offset", name=op.f("pk_packs_place")),
    )


def downgrade() -> None:
    """Go down; the log and the archive keep the records, who published them is lost."""
    op.drop_table("packs_place")
    op.drop_table("packs_publication")
    op.drop_table("packs_bundle")
