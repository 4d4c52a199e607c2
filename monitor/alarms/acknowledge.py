"""Acknowledge an alarm as it was seen: the revision named counts, anything newer stays unacknowledged.

What a person did is kept, also when another was quicker; only the same act sent again is one act.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from monitor.alarms.axes import Attention, attention
from monitor.store.counters import numbers
from monitor.store.desk_tables import ActionRow, AlarmRow, ChangeRow, LiveRow
from monitor.words import says_something

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

MAX_NOTE = 1000
MAX_ACTS = 500
"""Of one alarm. Beyond it an acknowledgement counts only if it moves the revision."""


class NoSuchAlarmError(LookupError):
    """There is no alarm with this id."""


class RevisionError(ValueError):
    """The alarm never had the revision named: nobody can have seen it."""


class TooManyActsError(ValueError):
    """The alarm is acknowledged already, and has more acts than anybody reads."""


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The result: `newer` says that the alarm has changed since in a way that asks for attention again."""

    revision: int
    newer: bool


def acknowledge(
    session: Session, alarm: str, *, revision: int, actor: str, now_ms: int, note: str | None = None
) -> Acknowledged:
    """Record that `actor` has seen the alarm at `revision`.

    Who was first to acknowledge the newest revision stays its acknowledger; everybody else's act is kept beside it. A blank
    note is none.

    Raises:
        NoSuchAlarmError: no such alarm.
        RevisionError: the alarm has no such revision.
        TooManyActsError: the act would change nothing, and there are too many like it.
    """
    row = session.get(AlarmRow, alarm, with_for_update=True)
    if row is None:
        raise NoSuchAlarmError(alarm)
    if not had(session, row, revision):
        raise RevisionError(f"revision {revision}; the alarm is at {row.revision}")
    moves = revision > row.acknowledged_revision
    note = note if note and says_something(note) else None
    act = {"alarm": alarm, "action": "acknowledge", "revision": revision, "actor": actor, "note": note}
    if moves or not done(session, act):
        if moves:
            row.acknowledged_revision, row.acknowledged_by, row.acknowledged_ms = revision, actor, now_ms
        elif acts_of(session, alarm) >= MAX_ACTS:
            raise TooManyActsError(alarm)
        session.add(ActionRow(**act, at_ms=now_ms))
        (number,) = numbers(session, "live", 1)
        session.add(
            LiveRow(id=number, at_ms=now_ms, kind="acknowledged", alarm=alarm, facility=row.facility, revision=revision)
        )
    return Acknowledged(revision, attention(row) is Attention.UNACKNOWLEDGED)


def had(session: Session, row: AlarmRow, revision: int) -> bool:
    """Say whether a revision is a change of this alarm that has been applied; its stream's seqs belong to others too."""
    if not 1 <= revision <= row.revision:
        return False
    change = session.get(ChangeRow, (row.stream, revision))
    return change is not None and change.alarm == row.id


def done(session: Session, act: dict[str, Any]) -> bool:
    """Say whether somebody did the same before."""
    return session.scalars(select(ActionRow.id).filter_by(**act).limit(1)).first() is not None


def acts_of(session: Session, alarm: str) -> int:
    """Return how much people did with an alarm."""
    return session.scalar(select(func.count()).select_from(ActionRow).where(ActionRow.alarm == alarm)) or 0
