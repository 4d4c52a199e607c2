"""An index of what was proposed to a second officer: what waits is counted on every page."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

PROPOSED = sa.text("action = 'propose-data-fraud'")


def upgrade() -> None:
    """Go up."""
    op.create_index(
        "ix_alarm_action_proposed", "alarm_action", ["alarm"], sqlite_where=PROPOSED, postgresql_where=PROPOSED
    )


def downgrade() -> None:
    """Go down."""
    op.drop_index("ix_alarm_action_proposed", "alarm_action")
