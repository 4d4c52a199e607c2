"""Kind `parallel`: what a regulator or a laboratory measured beside a sensor, against the record nearest to it (ADR 0068); by sensor, latched.

It is compared once, when the records round it have had their delivery, with those that the series' horizon still holds then. Marked records count.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

from rules.changes import Leaf, RecordRead, Verdict
from rules.facts import facts_of
from rules.instants import format_instant
from rules.layout import NEVER
from rules.predicate import holds
from rules.rare import store
from rules.rare.count import bound
from rules.rare.match import FUTURE_MS, digest_of, text_of_field
from rules.rare.openings import rows_of
from rules.rare.speak import Now, settle
from rules.rare.store import Fact, subject_of, text_of
from rules.rare.units import number_of, spelled
from rules.records import Kind
from rules.reports.checks import instant_of

if TYPE_CHECKING:
    from rules.emission import Emitter
    from rules.rare.store import Case
    from rules.records import Event
    from rules.register import Sensor
    from rules.rule import ParallelRule
    from rules.state import FacilityState

MEASURED = ("lab", "parallel")
"""Stream and type of the events."""
KNOWN = 64
"""Comparisons of a sensor that explanations show."""


class Said(NamedTuple):
    """What a parallel measurement says: when (event time, ms), the value, the error of the reference, the unit."""

    t: int
    value: float
    error: float
    unit: str


@dataclass(frozen=True, slots=True)
class Compared:
    """What a measurement is against the record nearest to it; unknown without one, or where an error or the unit is not known."""

    t: int
    verdict: Verdict
    record: float | None = None
    off: float | None = None
    """By how much they differ ..."""
    allowed: float | None = None
    """... and what both errors allow, in the sensor's unit."""


def said_of(event: Event, received: int) -> Said | None:
    """Return what a measurement says, None where it lacks a number, an instant that does not lie ahead, an error or a unit."""
    fields = event.fields
    t, error, unit = (
        instant_of(fields.get("measured_at")),
        number_of(fields.get("reference_error")),
        text_of_field(event, "unit"),
    )
    value = fields.get("value")
    if isinstance(value, bool) or not isinstance(value, int | float) or number_of(abs(value)) is None:
        return None
    if t is None or t > received + FUTURE_MS or error is None or unit is None:
        return None
    return Said(t, value, float(error), unit)


def meet(rule: ParallelRule, event: Event, batch: str, now: Now, emitter: Emitter) -> None:
    """Fold one event: a measurement of a sensor that is registered waits for the records round it."""
    tag = text_of_field(event, "series") if (event.stream, event.type) == MEASURED else None
    plan, rare = emitter.state.planned, emitter.state.rare
    slot = None if tag is None else plan.slots.get(tag)
    if slot is None:
        return
    sensor, said = plan.sensors[slot], said_of(event, now.received)
    if rule.applies_to and not holds(rule.applies_to, facts_of(plan.facility, sensor, plan.at)):
        return
    if said is None:
        rare.counts["parallel_unknown"] += 1
        return
    subject, digest = text_of({"tag": sensor.tag}), digest_of(event)
    case = rare.case(rule.id, subject, store.MAX_CHECKED)
    if case is None:
        return
    if case.knows(digest):
        rare.counts["event_duplicate"] += 1
        return
    due = max(said.t + (sensor.interval or 0), now.received) + plan.facility.delivery
    fact = Fact(said.t, now.received, digest, batch, json.dumps(said[1:]), due=due)
    rare.cases[rule.id].keep(case, sorted([*case.facts, fact], key=lambda fact: (fact.t, fact.digest)))
    bound(rule.id, case, emitter, store.MAX_ROWS)
    _due(case)


def fire(rule: ParallelRule, subject: str, case: Case, now: Now, emitter: Emitter) -> None:
    """Compare what is due, and tell of what does not fit."""
    rare = emitter.state.rare
    kept, wrong = [], list[tuple[Fact, Leaf]]()
    known = rare.compared.setdefault(rule.id, {}).setdefault(subject, {})
    for fact in case.facts:
        if fact.due > now.received:
            kept.append(fact)
            continue
        one = judge(rule, subject_of(subject)["tag"], fact, emitter.state)
        known[fact.digest] = one
        rare.counts["parallel_unknown"] += one.verdict is Verdict.UNKNOWN
        if one.verdict is Verdict.TRUE:
            fact.due, fact.counts = NEVER, True
            kept.append(fact)
            wrong.append((fact, _leaf(one)))
        else:
            case.remember(fact.digest)
    while len(known) > KNOWN:
        del known[next(iter(known))]
    rare.cases[rule.id].keep(case, kept)
    _due(case)
    if wrong:
        records = [RecordRead(kind=Kind.EVENTS, id=fact.batch) for fact, _ in wrong]
        settle(rule, subject, case, [leaf for _, leaf in wrong], Now(now.at, now.received, records), emitter)


def judge(rule: ParallelRule, tag: str, fact: Fact, state: FacilityState) -> Compared:
    """Return what a measurement is against the records that are known now."""
    plan = state.planned
    slot = plan.slots.get(tag)
    sensor = None if slot is None else plan.sensors[slot]
    value, error, unit = json.loads(fact.text)
    if sensor is None or sensor.error is None or not sensor.interval or spelled(unit) != spelled(sensor.unit):
        return Compared(fact.t, Verdict.UNKNOWN)
    near = nearest(rows_of(rule, sensor, state), fact.t, sensor)
    if near is None:
        return Compared(fact.t, Verdict.UNKNOWN)
    off = abs(Fraction(repr(value)) - Fraction(repr(near)))
    allowed = Fraction(repr(sensor.error)) + Fraction(repr(error))
    verdict = Verdict.TRUE if off > allowed else Verdict.FALSE
    return Compared(fact.t, verdict, near, float(off), float(allowed))


def nearest(rows: list[tuple[int, float]], t: int, sensor: Sensor) -> float | None:
    """Return the value of the record nearest to an instant (ms), the earlier of two, None: none lies within an interval of it."""
    within = [
        (abs(at - t), at, value) for at, value in rows if abs(at - t) <= (sensor.interval or 0) and math.isfinite(value)
    ]
    return min(within)[2] if within else None


def _leaf(one: Compared) -> Leaf:
    expr = f"parallel value at {format_instant(one.t)}"
    return Leaf(expr=expr, left=one.off, op=">", right=one.allowed, verdict=Verdict.TRUE)


def _due(case: Case) -> None:
    case.due = min((fact.due for fact in case.facts), default=NEVER)
