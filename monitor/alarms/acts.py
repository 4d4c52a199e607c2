"""What the acts on an alarm say of its decision: whether one waits for a second officer, whether one is under way (ADR 0087).

There is no other place for it: whoever reads it to act on it has locked the alarm's row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVarTuple

from sqlalchemy import Select, func, literal_column, select
from sqlalchemy.orm import aliased

from monitor.store.desk_tables import ActionRow, AlarmRow
from monitor.store.tables import OutboxRow
from streams.topics import LOG

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

Columns = TypeVarTuple("Columns")
DECIDE: Final = "decide-"
FRAUD: Final = "data-fraud"
PROPOSED, CONFIRMED = f"propose-{FRAUD}", f"{DECIDE}{FRAUD}"
REFUSED, WITHDRAWN = f"refuse-{FRAUD}", f"withdraw-{FRAUD}"
ANSWERS: Final = (CONFIRMED, REFUSED, WITHDRAWN)
UNDER_WAY_MS: Final = 24 * 3_600_000
"""So long a decision that was sent counts as under way: a worker that folds needs seconds, one that must be mended a day."""
LISTED: Final = 500


@dataclass(frozen=True, slots=True)
class Waiting:
    """A proposal that waits for a second officer, and its alarm."""

    act: ActionRow
    alarm: AlarmRow


def is_open(row: AlarmRow) -> bool:
    """Say whether an alarm stands."""
    return row.end_ms is None and row.status != "retracted"


def waiting(session: Session, row: AlarmRow) -> ActionRow | None:
    """Return the proposal that waits on an alarm. One made before the alarm asked anew, or of one that ended, waits no more."""
    newest = session.scalars(
        select(ActionRow)
        .where(ActionRow.alarm == row.id, ActionRow.action.in_((PROPOSED, *ANSWERS)))
        .order_by(ActionRow.id.desc())
        .limit(1)
    ).first()
    if newest is None or newest.action != PROPOSED or not is_open(row) or newest.revision < row.attention_revision:
        return None
    return newest


def under_way(session: Session, row: AlarmRow, now_ms: int) -> ActionRow | None:
    """Return the decision that has not ended the alarm yet: one that was not sent to the log, or within the last 24 h."""
    newest = session.scalars(
        select(ActionRow)
        .where(ActionRow.alarm == row.id, ActionRow.action.startswith(DECIDE))
        .order_by(ActionRow.id.desc())
        .limit(1)
    ).first()
    if newest is None or not is_open(row):
        return None
    if now_ms - newest.at_ms < UNDER_WAY_MS:
        return newest
    unsent = select(OutboxRow.id).where(
        OutboxRow.lane == f"{LOG}|{row.facility}", OutboxRow.sent_ms.is_(None), OutboxRow.created_ms <= newest.at_ms
    )
    return newest if session.scalars(unsent.limit(1)).first() is not None else None


def every_waiting(session: Session) -> list[Waiting]:
    """Return the proposals that wait on any alarm, oldest first; at most 500."""
    rows = session.execute(_waits(select(ActionRow, AlarmRow)).order_by(ActionRow.at_ms, ActionRow.id).limit(LISTED))
    return [Waiting(act, alarm) for act, alarm in rows]


def count_waiting(session: Session) -> int:
    """Return how many proposals wait."""
    return session.scalar(_waits(select(func.count()).select_from(ActionRow))) or 0


def waiting_on(session: Session, alarms: Sequence[str]) -> set[str]:
    """Return on which of some alarms a proposal waits."""
    return set(session.scalars(_waits(select(ActionRow.alarm)).where(ActionRow.alarm.in_(alarms)))) if alarms else set()


def _waits(selected: Select[*Columns]) -> Select[*Columns]:
    later = aliased(ActionRow)
    return (
        selected.join(AlarmRow, AlarmRow.id == ActionRow.alarm)
        # As it stands in the index of these rows: a parameter would not find it.
        .where(ActionRow.action == literal_column(f"'{PROPOSED}'"))
        .where(AlarmRow.end_ms.is_(None), AlarmRow.status != "retracted")
        .where(ActionRow.revision >= AlarmRow.attention_revision)
        .where(
            ~select(later.id)
            .where(later.alarm == ActionRow.alarm, later.id > ActionRow.id, later.action.in_((PROPOSED, *ANSWERS)))
            .exists()
        )
    )
