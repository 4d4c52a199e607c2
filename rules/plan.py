"""Compile a facility and a bundle into a plan: which rule watches which series, with what numbers.

Done when the register or the packs change, never per reading.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from rules import layout, ring
from rules.changes import LimitUsed
from rules.errors import Fault
from rules.facts import facts_of, in_force, next_change
from rules.predicate import matches
from rules.register import Span
from rules.rule import FrozenRule, GapRule, LimitRule

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

    from rules.facts import FactValue
    from rules.layout import Array
    from rules.pack import Bundle
    from rules.register import Facility, Sensor
    from rules.rule import Rule

Key = TypeVar("Key")
UNREGISTERED_INTERVAL_MS = 30 * 60_000
"""Assumed where a sensor has no registered interval: the longest that GSP allows in storage (limits.md §2.1), so that
no two records in a row are taken for a break."""
DAY_MS = 86_400_000
REMEMBERED_ROWS = 1_024
"""Of a batch with more rows the index is not remembered: 8 KiB a facility at most."""


@dataclass(frozen=True, slots=True)
class Instance:
    """One rule on one series."""

    rule: Rule
    rank: int
    """The rule's place in the bundle's order by id."""
    slot: int
    tag: str
    area: str
    unit: str
    quantity: str
    low: float = -math.inf
    high: float = math.inf
    limits: tuple[LimitUsed, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        """Identity across recompilations."""
        return (self.rule.id, self.tag)


@dataclass(slots=True)
class Plan:
    """All instances of a facility, grouped by kind and ordered by series, with their parameter arrays."""

    facility: Facility
    at: int = 0
    """The instant whose registered facts it was made of."""
    until: int = layout.NEVER
    """When the next registered fact comes into force: the plan is made anew then."""
    slots: dict[str, int] = field(default_factory=dict)
    sensors: list[Sensor] = field(default_factory=list)
    limits: list[Instance] = field(default_factory=list)
    frozen: list[Instance] = field(default_factory=list)
    gaps: list[Instance] = field(default_factory=list)
    series: Array = field(default_factory=lambda: np.zeros(0, layout.SERIES))
    limit_params: Array = field(default_factory=lambda: np.zeros(0, layout.LIMIT_PARAM))
    frozen_params: Array = field(default_factory=lambda: np.zeros(0, layout.FROZEN_PARAM))
    gap_params: Array = field(default_factory=lambda: np.zeros(0, layout.GAP_PARAM))
    ring_rows: int = 0
    no_room: int = 0
    """Limit rules that the registered limits of a sensor leave no room: unknown (`contradictions` names them)."""
    silent: dict[tuple[str, str], npt.NDArray[np.int64]] = field(default_factory=dict)
    """(rule, area, or empty for the facility) -> its gap instances, by tag."""
    gap_slots: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    """The series of each gap instance."""
    places: dict[str, npt.NDArray[np.int64]] = field(default_factory=dict)
    """Area, or empty for the facility -> the slots of all its series."""
    _posted: tuple[tuple[str, ...], bytes, npt.NDArray[np.int64]] | None = None
    """Tags, counts and index of the newest batch: a feed posts the same series again and again."""

    def instances(self, kind: int) -> list[Instance]:
        """Return the instances of LIMIT, FROZEN or GAP."""
        return (self.limits, self.frozen, self.gaps)[kind]

    def index_of(self, tags: tuple[str, ...], counts: npt.NDArray[np.int32]) -> tuple[npt.NDArray[np.int64], int]:
        """Return the slot of each row's series, -1 where its tag is not registered, and how many rows have none.

        Args:
            tags: of the series, as posted.
            counts: rows of each.
        """
        rows = counts.tobytes()
        if self._posted is not None and self._posted[0] == tags and self._posted[1] == rows:
            return self._posted[2], 0
        slots = np.array([self.slots.get(tag, layout.NONE) for tag in tags], np.int64)
        index = np.repeat(slots, counts)
        unknown = int((index < 0).sum())
        if unknown == 0 and index.size <= REMEMBERED_ROWS:
            # The sensors' own strings, which are held anyway.
            self._posted = (tuple(self.sensors[slot].tag for slot in slots.tolist()), rows, index)
        return index, unknown

    def params(self, kind: int) -> Array:
        """Return the parameter rows of the instances of LIMIT, FROZEN or GAP."""
        return (self.limit_params, self.frozen_params, self.gap_params)[kind]

    def watch(self, tag: str) -> list[tuple[str, bytes]]:
        """Return what watches a tag and with what numbers; equal lists decide equal rows alike."""
        row = self.series[self.slots[tag]]
        sets = (
            (self.limits, self.limit_params, "limit_lo", "limit_hi"),
            (self.frozen, self.frozen_params, "frozen_lo", "frozen_hi"),
        )
        found = [
            (instances[i].rule.id, params[i].tobytes())
            for instances, params, low, high in sets
            for i in range(int(row[low]), int(row[high]))
        ]
        quantity = self.sensors[self.slots[tag]].quantity
        # Field by field: a view of several fields would carry the places of the others along.
        return [(quantity, row["range_low"].tobytes() + row["range_high"].tobytes()), *found]


def compile_plan(facility: Facility, bundle: Bundle, received_ms: int) -> Plan:
    """Return the plan of `facility` with the registered facts in force at `received_ms`."""
    plan = Plan(facility, received_ms, next_change(facility, received_ms), sensors=in_force(facility, received_ms))
    plan.slots = {sensor.tag: slot for slot, sensor in enumerate(plan.sensors)}
    plan.series = np.zeros(len(plan.sensors), layout.SERIES)
    limit_params, frozen_params, gap_params = [], [], []
    offset = 0
    active = [(rank, rule) for rank, rule in enumerate(bundle.rules) if rule.stage in {"live", "shadow"}]
    for slot, sensor in enumerate(plan.sensors):
        row = plan.series[slot]
        interval = sensor.interval or UNREGISTERED_INTERVAL_MS
        row["interval"], row["delivery"] = interval, facility.delivery
        row["range_low"], row["range_high"] = -math.inf, math.inf
        row["ring_off"], row["ring_cap"] = offset, ring.capacity(interval)
        offset += int(row["ring_cap"])
        row["limit_lo"], row["frozen_lo"], row["gap_lo"] = len(plan.limits), len(plan.frozen), len(plan.gaps)
        facts = facts_of(facility, sensor, received_ms)
        for rank, rule in active:
            if not matches(rule, facility, facts):
                continue
            base = Instance(rule, rank, slot, sensor.tag, sensor.area, sensor.unit, sensor.quantity)
            if isinstance(rule, LimitRule):
                found = bounds_of(rule, sensor, facts, bundle)
                if found is None:
                    continue
                low, high, used = found
                plan.limits.append(
                    Instance(rule, rank, slot, sensor.tag, sensor.area, sensor.unit, sensor.quantity, low, high, used)
                )
                limit_params.append(limit_param(rule, low, high, interval, facility.delivery))
                if rule.excludes:
                    row["range_low"], row["range_high"] = max(low, row["range_low"]), min(high, row["range_high"])
            elif isinstance(rule, FrozenRule):
                plan.frozen.append(base)
                frozen_params.append(frozen_param(rule, sensor, interval, facility.delivery))
            elif sensor.interval is not None or rule.threshold is not None:
                plan.gaps.append(base)
                gap_params.append(gap_param(rule, interval, facility.delivery))
        row["limit_hi"], row["frozen_hi"], row["gap_hi"] = len(plan.limits), len(plan.frozen), len(plan.gaps)
    plan.ring_rows = offset
    plan.no_room = len(contradictions(facility, bundle))
    plan.gap_slots = np.array([gap.slot for gap in plan.gaps], np.int64)
    plan.places = _gathered((place, slot) for slot, s in enumerate(plan.sensors) for place in ("", s.area))
    plan.silent = _gathered(((gap.rule.id, place), i) for i, gap in enumerate(plan.gaps) for place in ("", gap.area))
    plan.limit_params = _stack(limit_params, layout.LIMIT_PARAM)
    plan.frozen_params = _stack(frozen_params, layout.FROZEN_PARAM)
    plan.gap_params = _stack(gap_params, layout.GAP_PARAM)
    return plan


def _gathered(pairs: Iterable[tuple[Key, int]]) -> dict[Key, npt.NDArray[np.int64]]:
    found: dict[Key, list[int]] = {}
    for key, i in pairs:
        found.setdefault(key, []).append(i)
    return {key: np.array(members, np.int64) for key, members in found.items()}


def _stack(rows: list[Array], dtype: np.dtype[np.void]) -> Array:
    return np.concatenate(rows) if rows else np.zeros(0, dtype)


def bounds_of(
    rule: LimitRule, sensor: Sensor, facts: dict[str, FactValue], bundle: Bundle
) -> tuple[float, float, tuple[LimitUsed, ...]] | None:
    """Resolve a limit rule's bounds for a sensor; None where they are unknown.

    No limit is registered (U3), or the registered ones leave the rule no room: bounds are never turned inside out.
    """
    found = _narrowed(rule, sensor, facts, bundle)
    return None if found is None or found[0] >= found[1] else found


def contradictions(facility: Facility, bundle: Bundle) -> list[Fault]:
    """Return where registered limits leave a rule no room: whatever is measured there, nothing could be judged."""
    faults = []
    for i, sensor in enumerate(facility.sensors):
        facts = facts_of(facility, sensor, sensor.from_ or 0)
        for rule in bundle.rules:
            watching = rule.stage in {"live", "shadow"} and matches(rule, facility, facts)
            if watching and isinstance(rule, LimitRule):
                found = _narrowed(rule, sensor, facts, bundle)
                if found is not None and found[0] >= found[1]:
                    text = f"together with {rule.id} nothing is left between low {found[0]:g} and high {found[1]:g}"
                    faults.append(Fault(f"/sensors/{i}/limits", "no_room", text))
    return faults


def _narrowed(
    rule: LimitRule, sensor: Sensor, facts: dict[str, FactValue], bundle: Bundle
) -> tuple[float, float, tuple[LimitUsed, ...]] | None:
    origin, edition = "rule", None
    span: Span | None
    if isinstance(rule.limits.from_, Span):
        span, edition = rule.limits.from_, f"{rule.id} {rule.version}"
    elif rule.limits.from_ == "sensor":
        span, origin = sensor.limits, "register"
    elif rule.limits.from_ == "range":
        span, origin = sensor.range, "register range"
    else:
        row = bundle.tables[rule.limits.from_].lookup(facts)
        if row is None:
            return None
        span, origin, edition = row.limit, rule.limits.from_, row.edition
    if span is None or (span.low is None and span.high is None):
        return None
    low = -math.inf if span.low is None else span.low
    high = math.inf if span.high is None else span.high
    where = {"low": (origin, edition), "high": (origin, edition)}
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


def deadband_width(text: float | str, low: float, high: float) -> float:
    """Return how far inside its limits a value must come to clear, in the unit of the limits.

    >>> deadband_width("10%", -math.inf, 8.0), deadband_width(0.5, 2.0, 8.0), deadband_width(5.0, 2.0, 8.0)
    (0.8, 0.5, 1.5)
    """
    if isinstance(text, str):
        base = high if math.isfinite(high) else low
        width = abs(base) * float(text.rstrip("%")) / 100
    else:
        width = text
    return min(width, (high - low) / 4) if math.isfinite(high - low) else width


def limit_param(rule: LimitRule, low: float, high: float, interval: int, delivery: int) -> Array:
    """Return the parameter row of a limit instance."""
    p = np.zeros(1, layout.LIMIT_PARAM)
    p["low"], p["high"], p["db"] = low, high, deadband_width(rule.clear.deadband, low, high)
    p["on_delay"], p["off_delay"] = rule.when.on_delay, rule.clear.off_delay
    p["unknown_ms"] = max(rule.unknown.max, 3 * interval)
    p["interval"], p["delivery"] = interval, delivery
    p["opens"], p["clears"] = rule.when.consecutive, rule.clear.consecutive
    p["steps"], p["sev"] = len(rule.severity.steps), rule.severity.base.rank
    p["inclusive"], p["excludes"] = rule.limits.inclusive, rule.excludes
    p["marked"] = rule.marked == "count"
    p["step_after"] = layout.NONE
    for k, step in enumerate(rule.severity.steps):
        p["step_sev"][0, k] = step.to.rank
        p["step_for"][0, k] = step.for_
        if step.after is not None:
            p["step_after"][0, k] = step.after
        elif step.after_intervals is not None:
            p["step_after"][0, k] = int(step.after_intervals * interval)
        if step.beyond is not None:
            p["step_low"][0, k] = -math.inf if step.beyond.low is None else step.beyond.low
            p["step_high"][0, k] = math.inf if step.beyond.high is None else step.beyond.high
    return p


def frozen_param(rule: FrozenRule, sensor: Sensor, interval: int, delivery: int) -> Array:
    """Return the parameter row of a frozen instance."""
    p = np.zeros(1, layout.FROZEN_PARAM)
    p["span"], p["interval"], p["delivery"] = rule.span, interval, delivery
    p["unknown_ms"] = max(rule.unknown.max, 3 * interval)
    p["identical"] = rule.identical_coarse if interval > rule.coarse_interval else rule.identical
    p["distinct"], p["sev"] = rule.clear_distinct, rule.severity.base.rank
    p["expected"] = -(-3 * DAY_MS // (4 * interval))
    two_sided = sensor.limits is not None and sensor.limits.low is not None and sensor.limits.high is not None
    p["width"] = -1.0
    if two_sided and sensor.limits is not None:
        p["width"] = rule.window_share * ((sensor.limits.high or 0.0) - (sensor.limits.low or 0.0))
    return p


def gap_param(rule: GapRule, interval: int, delivery: int) -> Array:
    """Return the parameter row of a gap instance."""
    p = np.zeros(1, layout.GAP_PARAM)
    p["silent"] = int(rule.factor * interval) if rule.factor is not None else (rule.threshold or 0) + rule.grace
    p["interval"], p["delivery"] = interval, delivery
    # A rule that asks for rows more often than the register promises them sets the instant at which the next was due.
    p["pace"] = interval if rule.threshold is None else min(interval, rule.threshold)
    p["sev"], p["steps"] = rule.severity.base.rank, len(rule.severity.steps)
    p["area"], p["facility"] = "area" in rule.groups, "facility" in rule.groups
    for k, step in enumerate(rule.severity.steps):
        p["step_sev"][0, k] = step.to.rank
        after = step.after if step.after is not None else int((step.after_intervals or 0) * interval)
        p["step_after"][0, k] = after
    return p
