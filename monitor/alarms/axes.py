"""The three axes of an alarm and the ISA-18.2 name derived from them; never one enum in the store."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from rules.changes import ChangeKind
from rules.models import Severity

if TYPE_CHECKING:
    from monitor.store.desk_tables import AlarmRow
    from rules.changes import Change


class Attention(StrEnum):
    """Whether a person has seen the alarm as it is now."""

    NONE = "none"
    UNACKNOWLEDGED = "unacknowledged"
    ACKNOWLEDGED = "acknowledged"


class State(StrEnum):
    """ANSI/ISA-18.2-2016 states, and two of ours: blind (unknown too long) and retracted."""

    NORMAL = "normal"
    UNACKNOWLEDGED = "unacknowledged"
    ACKNOWLEDGED = "acknowledged"
    RETURNED = "returned-unacknowledged"
    SUPPRESSED = "suppressed"
    BLIND = "blind"
    RETRACTED = "retracted"


OPEN = ("active", "unknown")
"""Conditions that have not ended."""


def announces(change: Change, before: Severity | None) -> bool:
    """Say whether a change asks for a person's attention again.

    `before` is the colour before the change, None for an alarm that was not there. A raise, a step up, a release from
    suppression and blindness do; a step down, a clear and good data coming back never do.
    """
    if change.change in {ChangeKind.RAISED, ChangeKind.RELEASED, ChangeKind.UNKNOWN}:
        return True
    return before is not None and change.severity.rank > before.rank


def asks_anew(change: Change, before: Severity | None, *, acknowledged: bool) -> bool:
    """Say whether the time to respond starts again at a change that announces.

    It does not where an alarm that nobody has acknowledged yet becomes blind: that is no news to wait for, and data that
    come and go must not push the end of the time away.
    """
    return announces(change, before) and (change.change is not ChangeKind.UNKNOWN or before is None or acknowledged)


def attention(row: AlarmRow) -> Attention:
    """Return the attention axis. Alarms of draft and shadow rules and retracted ones ask for nobody."""
    if row.stage != "live" or row.status == "retracted":
        return Attention.NONE
    if row.acknowledged_revision >= row.attention_revision:
        return Attention.ACKNOWLEDGED
    return Attention.UNACKNOWLEDGED


def state(row: AlarmRow) -> State:
    """Return the state that ISA-18.2 would name."""
    if row.status == "retracted":
        return State.RETRACTED
    seen = attention(row) is not Attention.UNACKNOWLEDGED
    if row.status == "cleared":
        return State.NORMAL if seen else State.RETURNED
    if row.suppressed_by is not None:
        return State.SUPPRESSED
    if row.status == "unknown":
        return State.BLIND
    return State.ACKNOWLEDGED if seen else State.UNACKNOWLEDGED


def severity_of(text: str) -> Severity:
    """Return the colour of a stored text."""
    return Severity(text)
