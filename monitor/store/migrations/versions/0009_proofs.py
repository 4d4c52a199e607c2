"""Which uploads records of the log name, and which were deleted when their time was over."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

UNNOTED = "proofs-unnoted"


def upgrade() -> None:
    """Go up. What an older release has archived is noted by `offsite store rebuild`; until then it says so."""
    op.create_table(
        "proof_named",
        sa.Column("facility", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=128), nullable=False),
        sa.Column("record", sa.String(length=128), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("received_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("facility", "kind", "record", "revision", name=op.f("pk_proof_named")),
    )
    op.create_index("ix_proof_named_sha256", "proof_named", ["facility", "sha256"])
    op.create_table(
        "proof_deleted",
        sa.Column("facility", sa.String(length=32), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("received_ms", sa.BigInteger(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("deleted_ms", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(length=128), nullable=False),
        sa.Column("keep_days", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("facility", "sha256", "received_ms", name=op.f("pk_proof_deleted")),
    )
    read = "SELECT :name, 1 WHERE EXISTS (SELECT 1 FROM consumer_offset WHERE consumer = 'archiver')"
    op.get_bind().execute(sa.text(f"INSERT INTO counter (name, value) {read}"), {"name": UNNOTED})


def downgrade() -> None:
    """Go down; what records name stands in the log, what was deleted is not known any more."""
    op.get_bind().execute(sa.text("DELETE FROM counter WHERE name = :name"), {"name": UNNOTED})
    op.drop_table("proof_deleted")
    op.drop_index("ix_proof_named_sha256", "proof_named")
    op.drop_table("proof_named")
