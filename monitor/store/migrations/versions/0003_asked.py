"""Since when an alarm asks for a person: what the time to respond is counted from."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

ASKED = """
UPDATE alarm SET asked_ms = COALESCE(
    (SELECT received_ms FROM "change" WHERE "change".stream = alarm.stream AND "change".seq = alarm.attention_revision), raised_ms
)
"""


def upgrade() -> None:
    """Go up; alarms that are there were last announced by the change that they ask attention for."""
    op.add_column("alarm", sa.Column("asked_ms", sa.BigInteger(), nullable=False, server_default=sa.text("0")))
    op.execute(ASKED)


def downgrade() -> None:
    """Go down."""
    op.drop_column("alarm", "asked_ms")
