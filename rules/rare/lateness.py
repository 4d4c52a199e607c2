"""Kind `lateness`: what a firm declares later than it may (ADR 0063). A mark by sensor, since its time was over; latched. Amendments: amendments.py.

The first receipt of what is declared counts: a revision is judged by the time that the revision before it did not declare.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from rules.calendar import due_at
from rules.changes import Leaf, RecordRead, Verdict
from rules.clocks.due import hours, opened
from rules.facts import facts_of
from rules.failing import attempt
from rules.instants import LATEST_MS, format_instant
from rules.marks import declaration_of
from rules.predicate import holds
from rules.rare.count import bound
from rules.rare.speak import Now, settle
from rules.rare.store import MAX_CHECKED, MAX_ROWS, Fact, text_of
from rules.records import Kind
from rules.remarking import slots_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rules.emission import Emitter
    from rules.marks import Declaration, Marks
    from rules.rare.store import Case
    from rules.records import Mark
    from rules.register import Sensor
    from rules.rule import LatenessRule
    from rules.state import FacilityState


def declare(
    state: FacilityState, before: Declaration | None, payload: Mark, received: int, emitter: Emitter
) -> None:  # fmt: skip
    """Judge a mark that came, also one that begins too long ago to hold.

    Args:
        state: of a facility with a plan.
        before: the newest revision that was known of it, whether it held or not, None: its id was not known.
        payload: as posted, a higher revision.
        received: its receive time, ms.
        emitter: of its record.
    """
    rules = [rule for rule in state.planned.lateness if rule.of == "mark"]
    if not rules:
        return
    one = declaration_of(payload, received)
    slots = slots_of(state, one)
    for rule in rules:
        now = Now(received, received, [RecordRead(kind=Kind.MARK, id=one.name)])
        attempt(emitter, rule.id, received, partial(_declare, rule, before, one, slots, now, emitter))


def _declare(
    rule: LatenessRule, before: Declaration | None, one: Declaration, slots: list[int], now: Now, emitter: Emitter
) -> None:  # fmt: skip
    """Judge a mark, sensor by sensor."""
    state, rare = emitter.state, emitter.state.rare
    plan = state.planned
    if one.flag not in rule.flags or now.received <= due_of(rule, one.begin, state.clocks.closed):
        return  # what is new of it begins no earlier
    for slot in slots:
        sensor = plan.sensors[slot]
        begin = newly(rule, before, one, sensor, state.marks)
        due = None if begin is None else due_of(rule, begin, state.clocks.closed)
        if begin is None or due is None or now.received <= due:
            continue
        if rule.applies_to and not holds(rule.applies_to, facts_of(plan.facility, sensor, plan.at)):
            continue
        subject = text_of({"tag": sensor.tag})
        case = rare.case(rule.id, subject, MAX_CHECKED)
        if case is not None:
            fact = Fact(due, now.received, one.name, one.name, counts=True)
            rare.cases[rule.id].keep(case, sorted([*case.facts, fact], key=lambda fact: (fact.t, fact.digest)))
            bound(rule.id, case, emitter, MAX_ROWS)
            settle(rule, subject, case, _leaves(rule, one, begin, due, now), now, emitter, timely=True)


def newly(rule: LatenessRule, before: Declaration | None, one: Declaration, sensor: Sensor, marks: Marks) -> int | None:
    """Return where the time begins that a mark declares of a sensor and its revision before did not, ms; None: there is none.

    That is its beginning, where the one before said nothing of the sensor or began later, and else the end of the one before: a mark that was
    closed and is stretched, or closed too early and given back, declares what lies behind that end.
    """
    if before is None or before.flag not in rule.flags or before.begin > one.begin:
        return one.begin
    if not marks.about(before, sensor.tag, sensor.area):
        return one.begin
    parts = marks.about(one, sensor.tag, sensor.area)
    return min((max(low, before.end) for low, high in parts if high > before.end), default=None)


def due_of(rule: LatenessRule, begin: int, closed: Sequence[tuple[int, int]]) -> int:
    """Return up to when what began at an instant may be declared, ms: at the opening of the front door, if that was closed then."""
    due = due_at(begin, rule.within, None)
    assert due is not None  # noqa: S101 - lint allows no working days
    return opened(min(due, LATEST_MS), closed)


def _leaves(rule: LatenessRule, one: Declaration, begin: int, due: int, now: Now) -> list[Leaf]:
    taken = round(hours(now.received - begin), 6)
    return [
        Leaf(expr=f"time until mark {one.name}", left=taken, op="beyond", right=str(rule.within), unit="h", verdict=Verdict.TRUE),
        Leaf(expr="received", left=format_instant(now.received), op=">", right=format_instant(due), verdict=Verdict.TRUE),
    ]  # fmt: skip


def reopen_door(state: FacilityState, begin: int, now: int, emitter: Emitter) -> None:
    """Take back what was said of a time that was over while the front door was closed: it was over at the opening."""
    for rule in () if state.plan is None else state.plan.lateness:
        for subject, case in sorted(state.rare.of(rule.id).items()):
            if any(fact.counts and begin < fact.t < now for fact in case.facts):
                attempt(emitter, rule.id, now, partial(_take_back, rule, subject, case, begin, now, emitter))


def _take_back(rule: LatenessRule, subject: str, case: Case, begin: int, now: int, emitter: Emitter) -> None:
    found = [replace(fact, t=now) if fact.counts and begin < fact.t < now else fact for fact in case.facts]
    late = [fact for fact in found if not fact.counts or fact.received > fact.t]
    emitter.state.rare.cases[rule.id].keep(case, sorted(late, key=lambda fact: (fact.t, fact.digest)))
    leaf = Leaf(expr="front door", left="closed", op="until", right=format_instant(now), verdict=Verdict.FALSE)
    settle(rule, subject, case, [leaf], Now(now, now), emitter)
