"""Two officers for data fraud: one proposes, another confirms, and only then a decision goes to the log (ADR 0087).

The reference asks for two (settled.md, workflow.md §1.5). Who proposed may take it back; nobody confirms what is his own.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

from monitor.alarms.acknowledge import RevisionError, done, had
from monitor.alarms.acknowledge import acknowledge as see
from monitor.alarms.acts import CONFIRMED, FRAUD, PROPOSED, REFUSED, WITHDRAWN, waiting
from monitor.alarms.decide import AsksAnewError, NotLatchedError, check_free, check_room, lot_of, noted, row_of
from monitor.store.desk_tables import ActionRow
from monitor.store.outbox import add, log_entry
from rules.canonical import sha256_hex
from rules.records import Decision

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

    from monitor.store.desk_tables import AlarmRow

FINDING: Final = FRAUD
"""The one code that takes two."""


class NoSuchProposalError(LookupError):
    """It does not wait on this alarm: it was answered, the alarm asks anew or has ended, or there never was one."""


class SameOfficerError(PermissionError):
    """Who proposed is not the second."""


class RefusedBeforeError(ValueError):
    """The same was proposed before in the same words, and refused or taken back."""


def propose(
    session: Session, alarm: str, *, revision: int, actor: str, reason: str, latched: Callable[[AlarmRow], bool], now_ms: int
) -> int:  # fmt: skip
    """Propose that data were falsified, as the alarm was at `revision`, which thereby is acknowledged; returns the proposal's number.

    Nothing goes to the log. The same proposal sent again is one.

    Args:
        session: a transaction of the store.
        alarm: its id.
        revision: what was seen.
        actor: account of the officer.
        reason: in words.
        latched: says whether only a decision ends an alarm.
        now_ms: the desk's clock.

    Raises:
        NoSuchAlarmError, RevisionError, AsksAnewError, NotLatchedError, TooManyActsError: as `decide`.
        UnderWayError: a decision is under way.
        ProposalWaitsError: another proposal waits.
        RefusedBeforeError: the same was refused or taken back.
    """
    row = row_of(session, alarm)
    if not had(session, row, revision):
        raise RevisionError(f"revision {revision}; the alarm is at {row.revision}")
    act: dict[str, Any] = {"alarm": alarm, "action": PROPOSED, "revision": revision, "actor": actor, "note": reason}
    own = waiting(session, row)
    if own is not None and (own.revision, own.actor, own.note) == (revision, actor, reason):
        return own.id
    if not latched(row):
        raise NotLatchedError(alarm)
    if revision < row.attention_revision:
        raise AsksAnewError(f"revision {revision}; the alarm is at {row.revision}")
    check_free(session, row, now_ms)
    if done(session, act):
        raise RefusedBeforeError(alarm)
    check_room(session, alarm)
    if revision > row.acknowledged_revision:
        see(session, alarm, revision=revision, actor=actor, now_ms=now_ms)
    return noted(session, row, act, "proposed", now_ms)


def answer(
    session: Session, alarm: str, proposal: int, *, confirms: bool, revision: int, actor: str, reason: str,
    latched: Callable[[AlarmRow], bool], now_ms: int,
) -> str | None:  # fmt: skip
    """Answer a proposal: confirm it, and the decision of both goes to the log; refuse it; or, as who made it, take it back.

    The same answer sent again is one.

    Args:
        session: a transaction of the store.
        alarm: its id.
        proposal: its number.
        confirms: or refuses.
        revision: what the second officer saw.
        actor: account of the second officer, or of the first who takes it back.
        reason: of the answer, in words; the log holds the SHA-256 of the proposal's reason.
        latched: says whether only a decision ends an alarm.
        now_ms: the desk's clock.

    Returns:
        The decision's id; None where there is none.

    Raises:
        NoSuchAlarmError, RevisionError, TooManyActsError: as `decide`.
        NoSuchProposalError: it does not wait.
        SameOfficerError: its own officer confirms it.
        AsksAnewError: the alarm asks anew since what the second officer saw.
        NotLatchedError: no decision ends the alarm.
        BadInputError, NotRebuiltError: as `outbox.add`.
    """
    row = row_of(session, alarm)
    if not had(session, row, revision):
        raise RevisionError(f"revision {revision}; the alarm is at {row.revision}")
    made = session.get(ActionRow, proposal)
    if made is None or made.alarm != alarm or made.action != PROPOSED:
        raise NoSuchProposalError(proposal)
    own = made.actor == actor
    if own and confirms:
        raise SameOfficerError(actor)
    action = CONFIRMED if confirms else WITHDRAWN if own else REFUSED
    act: dict[str, Any] = {"alarm": alarm, "action": action, "revision": revision, "actor": actor, "note": reason}
    name = f"D-{sha256_hex([alarm, FINDING, made.revision, made.actor, actor, made.note])[:32]}" if confirms else None
    waits = waiting(session, row)
    if waits is None or waits.id != proposal:
        if done(session, act):
            return name
        raise NoSuchProposalError(proposal)
    check_room(session, alarm)
    if confirms:
        if not latched(row):
            raise NotLatchedError(alarm)
        if revision < row.attention_revision:
            raise AsksAnewError(f"revision {revision}; the alarm is at {row.revision}")
    if revision > row.acknowledged_revision:
        see(session, alarm, revision=revision, actor=actor, now_ms=now_ms)
    noted(session, row, act, "decided" if confirms else "answered", now_ms)
    if name is not None:
        decision = Decision(
            id=name, version=1, subject={"alarm": alarm}, lot=lot_of(row.stream), code=FINDING, officer=made.actor, second=actor,
            revision_seen=made.revision, reason_sha256=hashlib.sha256((made.note or "").encode()).hexdigest(),
        )  # fmt: skip
        add(session, [log_entry(row.facility, decision)], now_ms)
    return name
