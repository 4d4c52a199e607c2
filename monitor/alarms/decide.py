"""Let an officer's decision end a latched alarm: a record for the log, in the transaction that notes who decided what (contracts.md §3).

The alarm ends when the worker has folded the record, not here. What a code of the desk may be: `DECIDED`; of two officers
`monitor.alarms.second` takes care.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from monitor.alarms.acknowledge import MAX_ACTS, NoSuchAlarmError, RevisionError, TooManyActsError, acts_of, done, had
from monitor.alarms.acknowledge import acknowledge as see
from monitor.alarms.acts import DECIDE, under_way, waiting
from monitor.store.counters import numbers
from monitor.store.desk_tables import ActionRow, AlarmRow, LiveRow
from monitor.store.outbox import add, log_entry
from rules.canonical import sha256_hex
from rules.lots.facts import PRODUCT
from rules.records import Decision

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

Code = Literal["false-alarm", "equipment-fault", "marked-state", "breach", "duplicate", "close-latched"]
DECIDED: Final[tuple[Code, ...]] = get_args(Code)
"""Codes that end an alarm by one officer; `data-fraud` takes two (`monitor.alarms.second`)."""
MAX_REASON: Final = 1000
LOT: Final = "lot:"
OF_PRODUCT: Final = "product:"


class AsksAnewError(ValueError):
    """What was seen of an alarm is not what it says now."""


class NotLatchedError(ValueError):
    """The alarm ends by itself, or has ended: there is nothing to close."""


class UnderWayError(ValueError):
    """A decision on the alarm is under way to the worker: another one would be the second."""


class ProposalWaitsError(ValueError):
    """What another officer proposed waits for an answer."""


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
        UnderWayError: another decision on it is under way.
        ProposalWaitsError: a proposal on it waits for a second officer.
        TooManyActsError: there are more acts on it than anybody reads.
        BadInputError, NotRebuiltError: as `outbox.add`.
    """
    row = row_of(session, alarm)
    if not had(session, row, revision):
        raise RevisionError(f"revision {revision}; the alarm is at {row.revision}")
    act: dict[str, Any] = {
        "alarm": alarm, "action": f"{DECIDE}{code}", "revision": revision, "actor": actor, "note": reason
    }  # fmt: skip
    name = f"D-{sha256_hex([alarm, code, revision, actor, reason])[:32]}"
    if done(session, act):
        return name
    if row.end_ms is not None or row.status == "retracted" or not latched(row):
        raise NotLatchedError(alarm)
    if revision < row.attention_revision:  # it asks anew since: what was not seen is not closed
        raise AsksAnewError(f"revision {revision}; the alarm is at {row.revision}")
    check_free(session, row, now_ms)
    check_room(session, alarm)
    if revision > row.acknowledged_revision:
        see(session, alarm, revision=revision, actor=actor, now_ms=now_ms)
    noted(session, row, act, "decided", now_ms)
    decision = Decision(
        id=name, version=1, subject={"alarm": alarm}, lot=lot_of(row.stream), code=code, officer=actor,
        revision_seen=revision, reason_sha256=hashlib.sha256(reason.encode()).hexdigest(),
    )  # fmt: skip
    add(session, [log_entry(row.facility, decision)], now_ms)
    return name


def row_of(session: Session, alarm: str) -> AlarmRow:
    """Return an alarm, locked until the transaction ends: of two officers one is second.

    Raises:
        NoSuchAlarmError: there is none.
    """
    row = session.get(AlarmRow, alarm, with_for_update=True)
    if row is None:
        raise NoSuchAlarmError(alarm)
    return row


def check_free(session: Session, row: AlarmRow, now_ms: int) -> None:
    """Refuse to decide what is decided, or what waits for a second officer.

    Raises:
        UnderWayError, ProposalWaitsError: so it is.
    """
    if under_way(session, row, now_ms) is not None:
        raise UnderWayError(row.id)
    if waiting(session, row) is not None:
        raise ProposalWaitsError(row.id)


def check_room(session: Session, alarm: str) -> None:
    """Refuse acts beyond what anybody reads.

    Raises:
        TooManyActsError: so many there are.
    """
    if acts_of(session, alarm) >= MAX_ACTS:
        raise TooManyActsError(alarm)


def noted(session: Session, row: AlarmRow, act: dict[str, Any], kind: str, now_ms: int) -> int:
    """Note an act on an alarm and a step of the live stream; returns the act's number."""
    made = ActionRow(**act, at_ms=now_ms)
    session.add(made)
    (number,) = numbers(session, "live", 1)
    session.add(
        LiveRow(id=number, at_ms=now_ms, kind=kind, alarm=row.id, facility=row.facility, revision=act["revision"])
    )
    session.flush()
    return made.id


def lot_of(stream: str) -> str | None:
    """Return the lot of a stream of the second fold, or the name of its product; None of a facility's."""
    if stream.startswith(OF_PRODUCT):
        return f"{PRODUCT}{stream.removeprefix(OF_PRODUCT)}"
    return stream.removeprefix(LOT) if stream.startswith(LOT) else None
