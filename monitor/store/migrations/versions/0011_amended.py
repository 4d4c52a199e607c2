"""What amendments correct of readings: the page of an alarm shows it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

UNNOTED = "amendments-unnoted"


def upgrade() -> None:
    """Go up. What an older release has archived is noted by `offsite store rebuild`; until then the page of an alarm says so."""
    op.create_table(
        "amended_span",
        sa.Column("facility", sa.String(length=32), nullable=False),
        sa.Column("report", sa.String(length=128), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("tag", sa.String(length=128), nullable=False),
        sa.Column("first_ms", sa.BigInteger(), nullable=False),
        sa.Column("last_ms", sa.BigInteger(), nullable=False),
        sa.Column("readings", sa.Integer(), nullable=False),
        sa.Column("old_low", sa.Double(), nullable=True),
        sa.Column("old_high", sa.Double(), nullable=True),
        sa.Column("new_low", sa.Double(), nullable=True),
        sa.Column("new_high", sa.Double(), nullable=True),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("received_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("facility", "report", "revision", "tag", name=op.f("pk_amended_span")),
    )
    op.create_index("ix_amended_span_tag", "amended_span", ["facility", "tag", "last_ms"])
    read = "SELECT :name, 1 WHERE EXISTS (SELECT 1 FROM consumer_offset WHERE consumer = 'archiver')"
    op.get_bind().execute(sa.text(f"INSERT INTO counter (name, value) {read}"), {"name": UNNOTED})


def downgrade() -> None:
    """Go down; what amendments say stands in the log and in the archive."""
    op.get_bind().execute(sa.text("DELETE FROM counter WHERE name = :name"), {"name": UNNOTED})
    op.drop_index("ix_amended_span_tag", table_name="amended_span")
    op.drop_table("amended_span")
