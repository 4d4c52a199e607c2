"""Acknowledge an alarm as it was seen: the revision named counts, anything newer stays unacknowledged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor.alarms.axes import Attention, attention
from monitor.store.counters import numbers
from monitor.store.desk_tables import ActionRow, AlarmRow, LiveRow

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

MAX_NOTE = 1000


class NoSuchAlarmError(LookupError):
    """There is no alarm with this id."""


class RevisionError(ValueError):
    """The revision named is newer than any there is: nobody can have seen it."""


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The result: `newer` says that the alarm has changed since in a way that asks for attention again."""

    revision: int
    newer: bool


def acknowledge(
    session: Session, alarm: str, *, revision: int, actor: str, now_ms: int, note: str | None = None
) -> Acknowledged:
    """Record that `actor` has seen the alarm at `revision`; a repeat, or an older revision, changes nothing.

    Raises:
        NoSuchAlarmError: no such alarm.
        RevisionError: the alarm has not reached this revision.
    """
    row = session.get(AlarmRow, alarm, with_for_update=True)
    if row is None:
        raise NoSuchAlarmError(alarm)
    if revision < 1 or revision > row.revision:
        raise RevisionError(f"revision {revision}; the alarm is at {row.revision}")
    if revision > row.acknowledged_revision:
        row.acknowledged_revision, row.acknowledged_by, row.acknowledged_ms = revision, actor, now_ms
        session.add(
            ActionRow(
                alarm=alarm, action="acknowledge", revision=revision, actor=actor, at_ms=now_ms, note=note or None
            )
        )
        (number,) = numbers(session, "live", 1)
        session.add(
            LiveRow(id=number, at_ms=now_ms, kind="acknowledged", alarm=alarm, facility=row.facility, revision=revision)
        )
    return Acknowledged(revision, attention(row) is Attention.UNACKNOWLEDGED)
