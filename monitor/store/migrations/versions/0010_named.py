"""Which other facilities an alarm names: alarms of lots stand on the pages of all of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go up; changes that are there name no facilities, newer ones do."""
    op.create_table(
        "alarm_named",
        sa.Column("facility", sa.String(length=32), nullable=False),
        sa.Column("alarm", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("facility", "alarm", name=op.f("pk_alarm_named")),
    )
    op.create_index("ix_alarm_named_alarm", "alarm_named", ["alarm"])


def downgrade() -> None:
    """Go down; all of it stands in the evidence of the alarms."""
    op.drop_index("ix_alarm_named_alarm", table_name="alarm_named")
    op.drop_table("alarm_named")
