"""Kind `lateness`: what a firm declares later than it may (ADR 0063). A mark by sensor, since its time was over; latched.

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
from rules.layout import NEVER
from rules.marks import Declaration
from rules.predicate import holds
from rules.rare.count import bound
from rules.rare.speak import Now, settle
from rules.rare.store import MAX_CHECKED, MAX_ROWS, Case, Fact, text_of
from rules.records import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rules.emission import Emitter
    from rules.marks import Marks
    from rules.plan import Plan
    from rules.records import Mark
    from rules.rule import LatenessRule
    from rules.state import FacilityState


def declare(
    state: FacilityState, before: Declaration | None, payload: Mark, received: int, emitter: Emitter
) -> None:  # fmt: skip
    """Judge a mark that came, also one that begins too long ago to be folded.

    Args:
        state: of a facility with a plan.
        before: the revision that was in force, None: its id was not known.
        payload: as posted; it repeats nothing that is known.
        received: its receive time, ms.
        emitter: of its record.
    """
    one = declared(payload, received)
    for rule in state.planned.lateness:
        now = Now(received, received, [RecordRead(kind=Kind.MARK, id=one.name)])
        attempt(emitter, rule.id, received, partial(_declare, rule, before, one, now, emitter))


def declared(payload: Mark, received: int) -> Declaration:
    """Return what a mark declares."""
    end = NEVER if payload.to is None else payload.to
    tags = tuple(sorted(set(payload.tags or ())))
    return Declaration(
        payload.id, payload.revision, "", tags, payload.area or "", payload.flag, payload.from_, end, received
    )


def _declare(rule: LatenessRule, before: Declaration | None, one: Declaration, now: Now, emitter: Emitter) -> None:
    state, rare = emitter.state, emitter.state.rare
    plan, due = state.planned, due_of(rule, one.begin, state.clocks.closed)
    had = slots_of(rule, before, plan, state.marks)
    has = slots_of(rule, one, plan, state.marks)
    for slot in sorted(had | has):
        sensor = plan.sensors[slot]
        subject = text_of({"tag": sensor.tag})
        if slot not in has:
            _forget(rare.of(rule.id).get(subject, Case()), one)
            continue
        case = rare.case(rule.id, subject, MAX_CHECKED)
        if case is None:
            continue
        since = _known_since(case, one) if before is None else before.begin if slot in had else None
        _forget(case, one)
        case.remember(f"{one.id} {one.begin}")  # the books of marks forget it 62 days behind its end
        fits = not rule.applies_to or holds(rule.applies_to, facts_of(plan.facility, sensor, plan.at))
        if fits and now.received > due and (since is None or one.begin < since):
            fact = Fact(due, now.received, one.name, one.name, counts=True)
            rare.cases[rule.id].keep(case, sorted([*case.facts, fact], key=lambda fact: (fact.t, fact.digest)))
            bound(rule.id, case, emitter, MAX_ROWS)
            settle(rule, subject, case, _leaves(rule, one, due, now), now, emitter, timely=True)


def slots_of(rule: LatenessRule, one: Declaration | None, plan: Plan, marks: Marks) -> set[int]:
    """Return the series that a mark is about, at some time of it; none where it is of another state, or there is none."""
    if one is None or one.flag not in rule.flags:
        return set()
    if one.tags:
        return {plan.slots[tag] for tag in one.tags if tag in plan.slots}
    return {slot for slot, sensor in enumerate(plan.sensors) if marks.about(one, sensor.tag, sensor.area)}


def due_of(rule: LatenessRule, begin: int, closed: Sequence[tuple[int, int]]) -> int:
    """Return up to when what began at an instant may be declared, ms: at the opening of the front door, if that was closed then."""
    due = due_at(begin, rule.within, None)
    assert due is not None  # noqa: S101 - lint allows no working days
    return opened(min(due, LATEST_MS), closed)


def _known_since(case: Case, one: Declaration) -> int | None:
    """Return since when a mark that is in the books of marks no more was known to declare, None: it is new as far as is known."""
    found = [entry for entry in case.seen if entry.startswith(f"{one.id} ")]  # no id has a space
    return int(found[-1].rpartition(" ")[2]) if found else None


def _forget(case: Case, one: Declaration) -> None:
    """Let go of what an earlier revision of a mark declared."""
    case.seen = [entry for entry in case.seen if not entry.startswith(f"{one.id} ")]


def _leaves(rule: LatenessRule, one: Declaration, due: int, now: Now) -> list[Leaf]:
    taken = round(hours(now.received - one.begin), 6)
    return [
        Leaf(expr=f"time until mark {one.name}", left=taken, op="within", right=str(rule.within), unit="h", verdict=Verdict.TRUE),
        Leaf(expr="received", left=format_instant(now.received), op=">", right=format_instant(due), verdict=Verdict.TRUE),
    ]  # fmt: skip


def reopen_door(state: FacilityState, begin: int, now: int, emitter: Emitter) -> None:
    """Take back what was said of a time that was over while the front door was closed: it was over at the opening."""
    for rule in () if state.plan is None else state.plan.lateness:
        for subject, case in sorted(state.rare.of(rule.id).items()):
            if any(begin < fact.t < now for fact in case.facts):
                attempt(emitter, rule.id, now, partial(_take_back, rule, subject, case, begin, now, emitter))


def _take_back(rule: LatenessRule, subject: str, case: Case, begin: int, now: int, emitter: Emitter) -> None:
    found = [replace(fact, t=now) if begin < fact.t < now else fact for fact in case.facts]
    late = [fact for fact in found if fact.received > fact.t]
    emitter.state.rare.cases[rule.id].keep(case, sorted(late, key=lambda fact: (fact.t, fact.digest)))
    leaf = Leaf(expr="front door", left="closed", op="until", right=format_instant(now), verdict=Verdict.FALSE)
    settle(rule, subject, case, [leaf], Now(now, now), emitter)
