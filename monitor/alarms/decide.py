"""Let an officer's decision end a latched alarm: a record for the log, in the transaction that notes who decided what (contracts.md §3).

The alarm ends when the worker has folded the record, not here. What a code of the desk may be: `DECIDED`.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from monitor.alarms.acknowledge import MAX_ACTS, NoSuchAlarmError, RevisionError, TooManyActsError, acts_of, done, had
from monitor.alarms.acknowledge import acknowledge as see
from monitor.store.counters import numbers
from monitor.store.desk_tables import ActionRow, AlarmRow, LiveRow
from monitor.store.outbox import add, log_entry
from rules.canonical import sha256_hex
from rules.records import Decision

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

Code = Literal["false-alarm", "equipment-fault", "marked-state", "breach", "duplicate", "close-latched"]
DECIDED: Final[tuple[Code, ...]] = get_args(Code)
"""Codes that end an alarm by one officer; `data-fraud` needs a second one, who would have to sign in for it: it is not offered."""
MAX_REASON: Final = 1000
LOT: Final = "lot:"


class AsksAnewError(ValueError):
    """What was seen of an alarm is not what it says now."""


class NotLatchedError(ValueError):
    """The alarm ends by itself, or has ended: there is nothing to close."""


def decide(
    session: Session, alarm: str, *, code: Code, revision: int, actor: str, reason: str, latched: Callable[[AlarmRow], bool], now_ms: int
) -> str:  # fmt: skip
    """Record that `actor` closes a latched alarm as it was at `revision`, which thereby is acknowledged; returns the decision's id.

    The same decision sent again is one: its id is of what it says.

    Args:
        session: a transaction of the store.
        alarm: its id.
        code: why it is closed.
        revision: what was seen.
        actor: account of the officer.
        reason: in words; the log holds its SHA-256 alone.
        latched: says whether only a decision ends an alarm.
        now_ms: the desk's clock.

    Raises:
        NoSuchAlarmError: no such alarm.
        RevisionError: the alarm has no such revision.
        AsksAnewError: a revision behind that one asks for a person again.
        NotLatchedError: no decision ends it, or it has ended.
        TooManyActsError: there are more acts on it than anybody reads.
        BadInputError, NotRebuiltError: as `outbox.add`.
    """
    row = session.get(AlarmRow, alarm, with_for_update=True)
    if row is None:
        raise NoSuchAlarmError(alarm)
    if not had(session, row, revision):
        raise RevisionError(f"revision {revision}; the alarm is at {row.revision}")
    act: dict[str, Any] = {
        "alarm": alarm, "action": f"decide-{code}", "revision": revision, "actor": actor, "note": reason
    }  # fmt: skip
    name = f"D-{sha256_hex([alarm, code, revision, actor, reason])[:32]}"
    if done(session, act):
        return name
    if row.end_ms is not None or row.status == "retracted" or not latched(row):
        raise NotLatchedError(alarm)
    if revision < row.attention_revision:  # it asks anew since: what was not seen is not closed
        raise AsksAnewError(f"revision {revision}; the alarm is at {row.revision}")
    if acts_of(session, alarm) >= MAX_ACTS:
        raise TooManyActsError(alarm)
    if revision > row.acknowledged_revision:
        see(session, alarm, revision=revision, actor=actor, now_ms=now_ms)
    session.add(ActionRow(**act, at_ms=now_ms))
    (number,) = numbers(session, "live", 1)
    session.add(LiveRow(id=number, at_ms=now_ms, kind="decided", alarm=alarm, facility=row.facility, revision=revision))
    decision = Decision(
        id=name, version=1, subject={"alarm": alarm}, lot=lot_of(row.stream), code=code, officer=actor,
        revision_seen=revision, reason_sha256=hashlib.sha256(reason.encode()).hexdigest(),
    )  # fmt: skip
    add(session, [log_entry(row.facility, decision)], now_ms)
    return name


def lot_of(stream: str) -> str | None:
    """Return the lot of a stream of the second fold, None of a facility's."""
    return stream.removeprefix(LOT) if stream.startswith(LOT) else None
