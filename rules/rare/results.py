"""Kind `follow_up` of an alarm with `result`: what must follow is a laboratory result, and a second one where the first fails (ADR 0039).

An alarm asks for a result within a time. Each one of that time whose value is too high asks for another test within a time of its own.
What is missing when its time is over is an occasion; a result that comes then ends it, and one that had been measured in time takes it back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rules.changes import ChangeKind, Leaf, Verdict
from rules.facts import area_in_force
from rules.instants import format_duration, format_instant
from rules.layout import NEVER
from rules.rare import followed
from rules.rare.match import area_of, is_meant, text_of_field
from rules.rare.speak import Now, close, settle
from rules.rare.store import Heard, subject_of, text_of
from rules.records import Kind

if TYPE_CHECKING:
    from rules.changes import Change
    from rules.emission import Emitter
    from rules.rare.store import Case, Fact, Rare
    from rules.rareparts import Result
    from rules.records import Event
    from rules.register import Facility
    from rules.rule import FollowUpRule

PASSED, FAILED, UNREAD, OTHER = "+passed", "+failed", "+unread", "+other"
"""What is kept of an area (see `followed.note`): results by what their values say, and those of the other test."""
MICRO = {"uS/cm": {"uS/cm", "µS/cm", "μS/cm"}}
"""Spellings of a unit that mean the same."""


class Asked(NamedTuple):
    """One result that is asked for: by when (event time, ms), and whether one was measured until then, or ever."""

    by: int
    in_time: bool
    come: bool


def of_area(event: Event, facility: Facility) -> str | None:
    """Return the area of a result: the loop or room that it names, else that of the event."""
    return text_of_field(event, "loop") or text_of_field(event, "room") or area_of(event, facility)


def sign_of(rule: FollowUpRule, result: Result, event: Event) -> str | None:
    """Return what a result is to a rule, None of events that it does not mean; a value that is no number of the unit is unread."""
    if is_meant(event, result.otherwise) is Verdict.TRUE:
        return OTHER
    if is_meant(event, rule.awaits) is not Verdict.TRUE:
        return None
    value, unit = event.fields.get("value"), event.fields.get("unit", result.unit)
    if isinstance(value, bool) or not isinstance(value, int | float) or not isinstance(unit, str):
        return UNREAD
    if unit != result.unit and unit not in MICRO.get(result.unit, set()):
        return UNREAD
    return PASSED if value <= result.at_most else FAILED


def asked_for(time: int, result: Result, start: int, tests: list[tuple[int, str]], others: list[int]) -> list[Asked]:
    """Return the results that an alarm asks for.

    Args:
        time: within which the first must be measured, ms.
        result: of the rule.
        start: of the alarm, event time, ms.
        tests: first results, event time (ms) and sign, any order.
        others: event times of results of the other test, ms.
    """
    behind = sorted(test for test in tests if test[0] >= start)
    inside = [test for test in behind if test[0] <= start + time]
    counted = inside or [test for test in behind if test[0] == behind[0][0]]
    found = [Asked(start + time, bool(inside), bool(behind))]
    for t in sorted({t for t, sign in counted if sign == FAILED}):
        second = [other for other in others if other >= t]
        by = t + result.within
        found.append(Asked(by, any(other <= by for other in second), bool(second)))
    return found


def hear(rule: FollowUpRule, result: Result, change: Change, emitter: Emitter) -> None:
    """Take what the other rule told of one of its alarms."""
    rare, subject = emitter.state.rare, text_of(change.subject)
    if change.change is ChangeKind.RAISED:
        followed.begin(rule, change, subject, emitter)
        return
    case = rare.of(rule.id).get(subject)
    fact = None if case is None else next((one for one in case.facts if one.digest == change.alarm), None)
    if case is None or fact is None:
        return
    read = [record for record in change.evidence.records if record.kind != Kind.REGISTER]
    now, late = Now(change.at, change.received, read), False
    if change.change is ChangeKind.RETRACTED:
        rare.cases[rule.id].keep(case, [one for one in case.facts if one is not fact])
    elif change.change is ChangeKind.AMENDED and fact.t != change.start:
        fact.t = change.start
        late = _judge(rule, result, fact, now.received, emitter)
        rare.cases[rule.id].keep(case, sorted(case.facts, key=lambda one: (one.t, one.digest)))
    else:
        return
    _again(rule, subject, case, now, emitter, late=late)


def meet(rule: FollowUpRule, result: Result, event: Event, now: Now, facility: Facility, emitter: Emitter) -> None:
    """Fold one event: a result of either test, of an area that is registered."""
    sign, area = sign_of(rule, result, event), of_area(event, facility)
    if sign is None or area is None or area_in_force(facility, area, now.at) is None:
        return
    rare = emitter.state.rare
    followed.note(rule, area, sign, now.at, rare)
    for subject, case in rare.of(rule.id).with_text(area):
        here = [fact for fact in case.facts if fact.text == area]
        late = [_judge(rule, result, fact, now.received, emitter) for fact in here]
        if here:
            _again(rule, subject, case, now, emitter, late=any(late))


def fire(rule: FollowUpRule, result: Result, subject: str, case: Case, now: Now, emitter: Emitter) -> None:
    """Decide what is due."""
    for fact in case.facts:
        if fact.due <= now.received:
            _judge(rule, result, fact, now.received, emitter)
    _again(rule, subject, case, now, emitter, late=False)


def _judge(rule: FollowUpRule, result: Result, fact: Fact, received: int, emitter: Emitter) -> bool:
    """Judge an alarm by all that is kept; returns whether it was missing something that came, but not in time."""
    was, delivery = fact.counts, emitter.state.planned.facility.delivery
    asked = _asked_by(rule, result, fact, emitter.state.rare)
    missing = [one.by + delivery for one in asked if not one.come]
    over = [at for at in missing if at <= received]
    fact.counts = bool(over)
    fact.due = min((at for at in missing if at not in over), default=NEVER)
    timely = all(one.in_time or not one.come for one in asked) and received <= asked[-1].by + rule.allowed
    return was and not fact.counts and not timely


def _asked_by(rule: FollowUpRule, result: Result, fact: Fact, rare: Rare) -> list[Asked]:
    def times(sign: str) -> list[int]:
        return rare.areas.get((rule.id, f"{fact.text} {sign}"), Heard()).partners

    tests = [(t, sign) for sign in (PASSED, FAILED, UNREAD) for t in times(sign)]
    return asked_for(rule.time, result, fact.t, tests, times(OTHER))


def _again(rule: FollowUpRule, subject: str, case: Case, now: Now, emitter: Emitter, *, late: bool) -> None:
    emitter.state.rare.of(rule.id).busy = False
    case.due = min((fact.due for fact in case.facts), default=NEVER)
    missed = next((fact for fact in case.facts if fact.counts), None)
    name = " ".join(subject_of(subject).values())
    leaf = Leaf(
        expr=f"{rule.awaits.stream} {rule.awaits.type} at {rule.alarm} of {name}", left=0.0 if missed else None, op="within",
        right=format_duration(rule.time), verdict=Verdict.FALSE if missed else Verdict.TRUE,
    )  # fmt: skip
    leaves = [leaf]
    if missed is not None:
        since = format_instant(missed.t)
        leaves.append(
            Leaf(expr=f"{rule.alarm} of {name}", left=missed.digest, op="since", right=since, verdict=Verdict.TRUE)
        )
    if case.standing is not None and missed is None and late:
        close(rule, subject, case, leaves, now, emitter)
    else:
        settle(rule, subject, case, leaves, now, emitter)
