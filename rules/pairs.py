"""Which pairs of a facility a difference rule watches, and between what limits; decided when the register or the packs change."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rules import lacks
from rules.changes import LimitUsed
from rules.facts import area_in_force, facts_of, facts_of_area
from rules.predicate import holds, matches
from rules.register import Quantity, Span
from rules.scale import BY_TEMPERATURE, scale_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rules.facts import FactValue
    from rules.pack import Bundle
    from rules.register import Area, Facility, Sensor
    from rules.rule import DifferenceRule

UNGRADED = "none"
"""The fact `place.grade` of a room without a grade."""
Bounds = tuple[float, float, tuple[LimitUsed, ...]]


@dataclass(frozen=True, slots=True)
class Pair:
    """One input or two, whose difference is judged."""

    subject: tuple[tuple[str, str], ...]
    """Members of the alarm's subject, in order."""
    name: str
    """What tells it from the other pairs of a rule: its subject, whatever its inputs are."""
    inputs: tuple[Sensor, ...]
    sign: float
    """-1 where the one input is measured from the dirtier room's side."""
    facts: dict[str, FactValue]
    cascade_low: float | None = None
    """By how much (Pa) the register says the cleaner room must lead."""


def pairs_of(rule: DifferenceRule, facility: Facility, sensors: list[Sensor], at: int) -> list[Pair]:
    """Return the pairs of a rule with the facts in force at `at` (ms), ordered by name.

    Args:
        rule: of kind difference.
        facility: as registered.
        sensors: those in force, by tag.
        at: the instant.
    """
    if rule.pairs == BY_TEMPERATURE:
        found = _by_temperature(rule, facility, sensors, at)
    else:
        found = (
            _redundant(rule, facility, sensors, at) if rule.pairs == "redundant" else _cascades(facility, sensors, at)
        )
    return sorted((pair for pair in found if matches(rule, facility, pair.facts)), key=lambda pair: pair.name)


def unjudged(
    rule: DifferenceRule, facility: Facility, sensors: list[Sensor], at: int
) -> Iterator[tuple[tuple[tuple[str, str], ...], str]]:
    """Yield the rooms of which a rule over cascades cannot say whether it looks at them, or which nothing measures, each with the fact that is missing.

    Args:
        rule: of `pairs: cascades`.
        facility: as registered.
        sensors: those in force, by tag.
        at: the instant, ms.
    """
    for pair in _cascades(facility, sensors, at):
        if not holds(rule.applies_to, pair.facts):
            yield from ((pair.subject, fact) for fact in lacks.undecided(rule.applies_to, pair.facts))
    rooms = {name: value for name, value in rule.applies_to.items() if not name.startswith("sensor.")}
    for one in facility.cascades:
        cleaner, dirtier = (area_in_force(facility, name, at) for name in (one.cleaner, one.dirtier))
        if dirtier is not None and not _inputs(one.cleaner, one.dirtier, sensors)[0]:
            facts = facts_of_area(facility, cleaner) | _of_place(dirtier)
            if holds(rooms, facts):
                yield (("area", one.cleaner), ("place", one.dirtier)), lacks.PRESSURES


def _of_place(area: Area) -> dict[str, FactValue]:
    return {"place.kind": area.kind.value, "place.grade": area.grade or UNGRADED}


def _redundant(rule: DifferenceRule, facility: Facility, sensors: list[Sensor], at: int) -> Iterator[Pair]:
    before: dict[tuple[str, Quantity, str | None], Sensor] = {}
    for sensor in sensors:
        facts = facts_of(facility, sensor, at)
        if matches(rule, facility, facts):
            alike = (sensor.area, sensor.quantity, sensor.against)
            other = before.get(alike)
            before[alike] = sensor
            if other is not None:
                yield Pair((("tag", sensor.tag),), sensor.tag, (sensor, other), 1.0, facts)


def _by_temperature(rule: DifferenceRule, facility: Facility, sensors: list[Sensor], at: int) -> Iterator[Pair]:
    warm = {sensor.area: sensor for sensor in reversed(sensors) if sensor.quantity is Quantity.TEMPERATURE}
    for sensor in sensors:
        facts = facts_of(facility, sensor, at)
        other = warm.get(sensor.area)
        if other is not None and other is not sensor and matches(rule, facility, facts):
            yield Pair((("tag", sensor.tag),), sensor.tag, (sensor, other), 1.0, facts)


def _cascades(facility: Facility, sensors: list[Sensor], at: int) -> Iterator[Pair]:
    rooms: dict[tuple[str, str], float | None] = {}
    for one in facility.cascades:
        rooms[one.cleaner, one.dirtier] = max(one.low, rooms.get((one.cleaner, one.dirtier)) or 0.0)
    for sensor in sensors:
        if sensor.against is None:
            continue
        between = _by_grade(facility, sensor.area, sensor.against, at)
        if between[::-1] not in rooms:
            rooms.setdefault(between, None)
    for (cleaner, dirtier), low in rooms.items():
        inputs, sign = _inputs(cleaner, dirtier, sensors)
        there = area_in_force(facility, dirtier, at)
        if not inputs or there is None:
            continue
        facts = facts_of(facility, inputs[0].model_copy(update={"area": cleaner}), at)
        facts |= _of_place(there)
        yield Pair((("area", cleaner), ("place", dirtier)), f"{cleaner} {dirtier}", inputs, sign, facts, low)


def _by_grade(facility: Facility, area: str, against: str, at: int) -> tuple[str, str]:
    """Return two rooms, the cleaner first: as their grades say, whichever of them carries the sensor; where these say nothing, as it is registered.

    A room without a grade is less clean than one with any.
    """
    here, there = (area_in_force(facility, name, at) for name in (area, against))
    if (
        here is None or there is None or (there.grade or UNGRADED) >= (here.grade or UNGRADED)
    ):  # "A" < ... < "D" < "none"
        return area, against
    return against, area


def _inputs(cleaner: str, dirtier: str, sensors: list[Sensor]) -> tuple[tuple[Sensor, ...], float]:
    """Return the inputs of two rooms and the sign of the first: one pressure difference, or else two pressures."""
    between = {(cleaner, dirtier): 1.0, (dirtier, cleaner): -1.0}
    for sensor in sensors:
        sign = between.get((sensor.area, sensor.against or ""))
        if sign is not None:
            return (sensor,), sign
    found = [
        next((s for s in sensors if s.quantity is Quantity.PRESSURE and s.area == room), None)
        for room in (cleaner, dirtier)
    ]
    return tuple(s for s in found if s is not None) if all(found) else (), 1.0


def bounds_of_pair(rule: DifferenceRule, pair: Pair, bundle: Bundle) -> Bounds | None:
    """Resolve the limits of a pair; None where they are unknown or leave no room."""
    source, edition = rule.limits.from_, f"{rule.id} {rule.version}"
    origin = "rule"
    if rule.pairs == BY_TEMPERATURE:
        return _above_its_row(rule, pair, bundle)
    if isinstance(source, Span):
        span = source
    else:
        row = bundle.tables[source].lookup(pair.facts)
        if row is None:
            return None
        span, origin, edition = row.limit, source, row.edition
    low = -math.inf if span.low is None else span.low
    high = math.inf if span.high is None else span.high
    used = {
        name: LimitUsed(name=name, value=value, unit=pair.inputs[0].unit, origin=origin, edition=edition)
        for name, value in (("low", low), ("high", high))
        if math.isfinite(value)
    }
    if rule.limits.narrower:
        own = pair.inputs[0].limits if len(pair.inputs) == 1 and pair.sign > 0 else None
        for value in (pair.cascade_low, None if own is None else own.low):
            if value is not None and value > low:
                low = value
                used["low"] = LimitUsed(name="low", value=value, unit=pair.inputs[0].unit, origin="register")
    return (low, high, tuple(used.values())) if low < high and used else None


def _above_its_row(rule: DifferenceRule, pair: Pair, bundle: Bundle) -> Bounds | None:
    """Return the limit of what a value is above its row: nothing."""
    if not scale_of(rule, pair.facts, bundle):
        return None
    source = str(rule.limits.from_)
    edition = bundle.tables[source].edition
    return (
        -math.inf,
        0.0,
        (LimitUsed(name="high", value=0.0, unit=pair.inputs[0].unit, origin=source, edition=edition),),
    )
