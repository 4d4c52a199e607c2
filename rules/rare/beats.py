"""Kind `clock`, check `heartbeat`: a system's audit heartbeats stay away while other records of its facility arrive.

A system counts from its first heartbeat that is not itself overdue. Its next is overdue `silent` and the delivery time behind the
newest; where the whole facility was silent meanwhile (a hole between its records longer than `silent`), `back` behind the first
record that ended the first such hole. The first record of the facility that comes when it is overdue says that it could have come:
the clock decides a delivery time later. While an alarm stands and no record comes at all, it is unknown.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from rules.changes import ChangeKind, Leaf, Verdict
from rules.failing import attempt
from rules.instants import format_duration
from rules.layout import NEVER
from rules.rare import store
from rules.rare.match import applies, area_of, digest_of, name_of
from rules.rare.speak import Now, close, open_case, tell
from rules.rare.store import Fact, Heard, text_of

if TYPE_CHECKING:
    from rules.emission import Emitter
    from rules.rare.store import Case
    from rules.records import Event
    from rules.register import Facility
    from rules.rule import ClockRule
    from rules.state import FacilityState

WHOLE = ""
"""In the place of an area: the facility. Of it one span is kept: since when and until when its records came without a hole."""


def is_heartbeat(event: Event) -> bool:
    """Say whether an event is a heartbeat of an audit trail."""
    return (event.stream, event.type) == ("audit", "heartbeat")


def meet(rule: ClockRule, event: Event, batch: str, now: Now, facility: Facility, emitter: Emitter) -> None:
    """Fold one event; `now.at` is the event time that counts."""
    name = name_of(event, "system") if is_heartbeat(event) else None
    if name is None or not applies(rule, facility, area_of(event, facility), now.at):
        return
    rare, subject = emitter.state.rare, text_of({"system": name})
    overdue = now.at + rule.silent + facility.delivery <= now.received
    new = Fact(now.at, now.received, digest_of(event), batch)
    case = rare.of(rule.id).get(subject)
    if case is None or not case.facts:
        if overdue:
            return
        if (
            case is None and len(rare.of(rule.id)) >= store.MAX_CASES
        ):  # none goes out: a flood of names must hide no system
            rare.counts["event_left_out"] += 1
            return
        case = rare.case(rule.id, subject)
        assert case is not None  # noqa: S101 - there is room
        if (rule.id, WHOLE) not in rare.areas:
            rare.areas[rule.id, WHOLE] = Heard(runs=[(now.received, now.received)])
        rare.cases[rule.id].keep(case, [new])
        return
    newest = case.facts[0]
    if now.at <= newest.t:
        rare.counts["event_duplicate"] += newest.digest == new.digest
        return
    if overdue:
        new.due, new.counts = newest.due, newest.counts
    rare.cases[rule.id].keep(case, [new])
    if overdue and case.standing is None and case.due == NEVER and now.received >= deadline(rule, new, facility):
        case.due = now.received + facility.delivery
    elif not overdue:
        case.due = NEVER
        if case.standing is not None:
            close(rule, subject, case, [_leaf(rule, new, Verdict.FALSE, now.received)], now, emitter)


def deadline(rule: ClockRule, newest: Fact, facility: Facility) -> int:
    """Return the log time from which on the next heartbeat is overdue (ms).

    A newest heartbeat has a `due` of its own where the facility was silent behind it (`counts`), or our door was closed.
    """
    return newest.t + rule.silent + facility.delivery if newest.due == NEVER else newest.due


def decided_late(rule: ClockRule, case: Case, facility: Facility, at: int) -> bool | None:
    """Say whether a heartbeat was found missing, by what is kept at a log time (ms); None: that is not decided."""
    if not case.facts:
        return None
    if case.standing is None:
        return None if case.due != NEVER or at >= deadline(rule, case.facts[0], facility) else False
    return at >= case.facts[0].t + rule.silent + facility.delivery


def alive(state: FacilityState, received: int, emitter: Emitter) -> None:
    """Note that a record of the facility came, before it is folded."""
    if state.plan is None or not state.plan.beats:
        return
    for rule in state.plan.beats:
        if (rule.id, WHOLE) in state.rare.areas:
            attempt(emitter, rule.id, received, partial(_alive, rule, state, Now(received, received), emitter))


def _alive(rule: ClockRule, state: FacilityState, now: Now, emitter: Emitter) -> None:
    facility, heard = state.planned.facility, state.rare.areas[rule.id, WHOLE]
    begin, last = heard.runs[0]
    hole = now.received - last > rule.silent
    heard.runs = [(now.received if hole else begin, now.received)]
    cases = sorted(state.rare.of(rule.id).items())
    before = [case.due for _, case in cases]
    for subject, case in cases:
        if not case.facts:
            continue
        newest, standing = case.facts[0], case.standing
        if hole and not newest.counts:
            newest.due, newest.counts = now.received + (rule.back or 0), True
        if standing is not None:
            if standing.unknown:
                standing.unknown = False
                tell(
                    rule,
                    subject,
                    case,
                    standing,
                    ChangeKind.KNOWN,
                    [_leaf(rule, newest, Verdict.TRUE, now.received)],
                    now,
                    emitter,
                )
                case.due = now.received + rule.silent + 1
            continue
        if hole:
            case.due = NEVER
        if case.due == NEVER and now.received >= deadline(rule, newest, facility):
            case.due = now.received + facility.delivery
    if before != [case.due for _, case in cases]:  # of every record: what is due is looked for only where it moved
        state.rare.refresh()


def close_door(state: FacilityState, until: int) -> None:
    """Our front door was closed up to a log time (ms), and nothing could come: each next heartbeat has its whole time again."""
    for rule in () if state.plan is None else state.plan.beats:
        for case in state.rare.of(rule.id).values():
            if case.facts:
                _wait(rule, case, until, state.planned.facility)
    state.rare.refresh()


def reopen_door(state: FacilityState, begin: int, until: int, emitter: Emitter) -> None:
    """Take back what was raised while our front door was closed (log times, ms)."""
    for rule in () if state.plan is None else state.plan.beats:
        for subject, case in sorted(state.rare.of(rule.id).items()):
            if case.standing is not None and begin < case.standing.opened <= until:
                now = Now(until, until)
                attempt(emitter, rule.id, until, partial(_take_back, rule, subject, case, now, emitter))
    state.rare.refresh()


def _take_back(rule: ClockRule, subject: str, case: Case, now: Now, emitter: Emitter) -> None:
    standing = case.standing
    assert standing is not None  # noqa: S101 - asked before
    standing.retracted, standing.unknown = True, False
    tell(
        rule,
        subject,
        case,
        standing,
        ChangeKind.RETRACTED,
        [_leaf(rule, case.facts[0], Verdict.UNKNOWN, now.received)],
        now,
        emitter,
    )
    _wait(rule, case, now.received, emitter.state.planned.facility)


def _wait(rule: ClockRule, case: Case, until: int, facility: Facility) -> None:
    if case.standing is None:
        case.due, newest = NEVER, case.facts[0]
        if not newest.counts:
            newest.due = until + rule.silent + facility.delivery


def fire(rule: ClockRule, subject: str, case: Case, now: Now, emitter: Emitter) -> None:
    """Decide what is due: the heartbeat is missed; or, of an alarm that stands, whether anything is heard at all."""
    newest, standing = case.facts[0], case.standing
    last = emitter.state.rare.areas[rule.id, WHOLE].runs[0][1]
    if standing is None:
        start = newest.t + rule.silent
        open_case(
            rule,
            subject,
            case,
            start,
            rule.severity.base.rank,
            [_leaf(rule, newest, Verdict.TRUE, now.received)],
            now,
            emitter,
        )
        case.due = last + rule.silent + 1
    elif last + rule.silent >= now.received:
        case.due = last + rule.silent + 1
    else:
        standing.unknown = True
        leaf = Leaf(expr="any record of the facility", left=None, op="heard", verdict=Verdict.UNKNOWN)
        tell(rule, subject, case, standing, ChangeKind.UNKNOWN, [leaf], now, emitter)


def _leaf(rule: ClockRule, newest: Fact, verdict: Verdict, at: int) -> Leaf:
    return Leaf(
        expr="time since the newest audit heartbeat", left=format_duration(at - newest.t), op=">",
        right=format_duration(rule.silent), verdict=verdict,
    )  # fmt: skip
