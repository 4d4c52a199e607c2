"""When the newest record that a reader took was appended: by it a topic that lost its end and grew again is known."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go up; of what was read before, nobody knows it."""
    op.add_column("consumer_offset", sa.Column("tail_ms", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    """Go down."""
    op.drop_column("consumer_offset", "tail_ms")
