"""Indexes of the alarms that nobody has acknowledged, and of those under another: counted on every page."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

UNSEEN = sa.text("acknowledged_revision < attention_revision")
COVERED = sa.text("suppressed_by IS NOT NULL")


def upgrade() -> None:
    """Go up."""
    op.create_index("ix_alarm_unseen", "alarm", ["status", "stage"], sqlite_where=UNSEEN, postgresql_where=UNSEEN)
    op.create_index("ix_alarm_covered", "alarm", ["suppressed_by"], sqlite_where=COVERED, postgresql_where=COVERED)


def downgrade() -> None:
    """Go down."""
    op.drop_index("ix_alarm_covered", "alarm")
    op.drop_index("ix_alarm_unseen", "alarm")
