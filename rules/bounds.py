"""Between what limits a rule watches a sensor: from the rule, the register or a table, made when one of them changes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rules.changes import LimitUsed
from rules.errors import Fault
from rules.facts import facts_of
from rules.predicate import matches
from rules.register import Span
from rules.rule import CumulativeRule, LimitRule
from rules.tablerow import one_side, taken_over

if TYPE_CHECKING:
    from rules.facts import FactValue
    from rules.pack import Bundle
    from rules.register import Facility, Sensor


def bounds_of(
    rule: LimitRule | CumulativeRule, sensor: Sensor, facts: dict[str, FactValue], bundle: Bundle
) -> tuple[float, float, tuple[LimitUsed, ...]] | None:
    """Resolve a limit rule's bounds for a sensor; None where they are unknown.

    No limit is registered (U3), or the registered ones leave the rule no room: bounds are never turned inside out.
    """
    found = _narrowed(rule, sensor, facts, bundle)
    return None if found is None or found[0] >= found[1] else found


def single_of(
    rule: CumulativeRule, facility: Facility, facts: dict[str, FactValue], bundle: Bundle
) -> LimitRule | None:
    """Return the rule whose occurrences a cumulative rule leaves out, if it watches the sensor that `facts` describe."""
    other = None if rule.idle_while is None else bundle.rule(rule.idle_while)
    watching = isinstance(other, LimitRule) and other.stage in {"live", "shadow"} and matches(other, facility, facts)
    return other if watching and isinstance(other, LimitRule) else None


def contradictions(facility: Facility, bundle: Bundle) -> list[Fault]:
    """Return where registered limits leave a rule no room: whatever is measured there, nothing could be judged."""
    faults = []
    for i, sensor in enumerate(facility.sensors):
        facts = facts_of(facility, sensor, sensor.from_ or 0)
        for rule in bundle.rules:
            watching = rule.stage in {"live", "shadow"} and matches(rule, facility, facts)
            if watching and isinstance(rule, LimitRule | CumulativeRule):
                found = _narrowed(rule, sensor, facts, bundle)
                if found is not None and found[0] >= found[1]:
                    text = f"together with {rule.id} nothing is left between low {found[0]:g} and high {found[1]:g}"
                    faults.append(Fault(f"/sensors/{i}/limits", "no_room", text))
    return faults


def _narrowed(
    rule: LimitRule | CumulativeRule, sensor: Sensor, facts: dict[str, FactValue], bundle: Bundle
) -> tuple[float, float, tuple[LimitUsed, ...]] | None:
    origin, edition = "rule", None
    span: Span | None
    taken: dict[str, float] = {}
    if isinstance(rule.limits.from_, Span):
        span, edition = rule.limits.from_, f"{rule.id} {rule.version}"
    elif rule.limits.from_ == "sensor":
        span, origin = one_side(sensor.limits, rule.limits.side), "register"
    elif rule.limits.from_ == "range":
        span, origin = sensor.range, "register range"
    else:
        row = bundle.tables[rule.limits.from_].lookup(facts)
        if row is None:
            return None
        span, origin, edition = row.limit, rule.limits.from_, row.edition
        taken = taken_over(row, sensor)
    if span is None or (span.low is None and span.high is None):
        return None
    low = taken.get("low", -math.inf if span.low is None else span.low)
    high = taken.get("high", math.inf if span.high is None else span.high)
    where = {"low": (origin, edition), "high": (origin, edition)} | dict.fromkeys(taken, ("register", None))
    if rule.limits.narrower and sensor.limits:
        if sensor.limits.low is not None and sensor.limits.low > low:
            low, where["low"] = sensor.limits.low, ("register", None)
        if sensor.limits.high is not None and sensor.limits.high < high:
            high, where["high"] = sensor.limits.high, ("register", None)
    used = tuple(
        LimitUsed(name=name, value=value, unit=sensor.unit, origin=where[name][0], edition=where[name][1])
        for name, value in (("low", low), ("high", high))
        if math.isfinite(value)
    )
    return low, high, used
