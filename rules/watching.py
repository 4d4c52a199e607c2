"""Which rules watch a sensor, and with what numbers: decided when the register or the packs change, never per reading.

Above 400 lines on purpose: what a rule of each kind takes from the register is read side by side.

Sensors that agree in all facts, limits and spans are watched alike, in whatever facility they stand: what was found for one is
kept for the others. A region of 100,000 series has some hundred sorts of sensors, and a start asks for all of them.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, field
from operator import itemgetter
from typing import TYPE_CHECKING

import numpy as np

from rules import lacks, layout, ring
from rules.changes import LimitUsed
from rules.errors import Fault
from rules.exceptions import NONE_IN_FORCE, ORIGIN, Allowed, delay_used, delayed, is_muted, widened
from rules.facts import registered_facts
from rules.kinds import summary
from rules.kinds.table import KINDS
from rules.layout import (
    ABSENCE,
    CUMULATIVE,
    DURING,
    EXPOSURE,
    FROZEN,
    GAP,
    JUMP,
    LAST_DIGIT,
    LIMIT,
    MEAN_KINETIC,
    REPEAT_DAY,
    SMOOTH,
    STEADINESS,
    TOO_PRECISE,
)
from rules.params import (
    UNREGISTERED_INTERVAL_MS,
    absence_param,
    cumulative_param,
    during_param,
    exposure_param,
    frozen_param,
    gap_param,
    jump_param,
    last_digit_param,
    limit_param,
    mean_kinetic_param,
    repeat_day_param,
    steadiness_param,
    too_precise_param,
    zone_ms,
)
from rules.predicate import matches
from rules.register import Sensor, Span
from rules.rule import (
    CompareRule,
    CumulativeRule,
    FrozenRule,
    GapRule,
    JumpRule,
    LastDigitRule,
    LimitRule,
    LotRule,
    MeanKineticRule,
    RepeatDayRule,
    SteadinessRule,
    looks_at_rows,
)
from rules.smoothing import mean_of
from rules.tablerow import as_on, one_side, taken_over

if TYPE_CHECKING:
    from rules.exceptions import SiteException
    from rules.facts import FactValue
    from rules.lacks import Lack
    from rules.layout import Words
    from rules.pack import Bundle
    from rules.predicate import Scoped
    from rules.register import Facility, Scope
    from rules.rule import RowRule, Rule

ORDER = {
    GAP: 0,
    LIMIT: 1,
    FROZEN: 2,
    CUMULATIVE: 3,
    MEAN_KINETIC: 4,
    JUMP: 5,
    REPEAT_DAY: 6,
    TOO_PRECISE: 7,
    SMOOTH: 8,
    LAST_DIGIT: 9,
    DURING: 10,
    EXPOSURE: 11,
    STEADINESS: 12,
    ABSENCE: 13,
}
"""Blocks of a series stand in this order: what every row touches comes first."""
SORTS = 4_096
"""Sorts of sensors that are remembered at most, some 10 KiB each; behind that all are forgotten and found anew."""
_OWN = {
    "tag": "", "area": "", "against": None, "serial": None, "calibration": None, "config_hash": None, "from_": None,
}  # fmt: skip
"""What tells a sensor from others of its sort; no rule looks at it."""
_SPANS = ("limits", "range")
"""Looked at by their numbers: a model is compared in Python."""
_alike = itemgetter(*(name for name in Sensor.model_fields if name not in {*_OWN, *_SPANS}))


@dataclass(frozen=True)
class Use:
    """One rule on sensors of one sort."""

    kind: int
    rule: Rule
    rank: int
    """The rule's place in the bundle's order by id."""
    params: Words
    low: float = -math.inf
    high: float = math.inf
    limits: tuple[LimitUsed, ...] = ()

    @functools.cached_property
    def key(self) -> bytes:
        """Return the bytes of the parameters."""
        return self.params.tobytes()


@dataclass(frozen=True)
class Watched:
    """All that a bundle says of sensors of one sort."""

    uses: tuple[Use, ...]
    program: Words
    """PROGRAM, without the calls behind it."""
    ring_room: int
    blank_state: Words
    blank_tails: Words
    odd: tuple[tuple[int, RowRule], ...]
    """Rules of plain Python that look at rows, with their places in the bundle's order."""
    no_room: tuple[str, ...]
    """Of each rule that the limits leave no room: what stands against what."""
    sum_words: int = 0
    """Room for summaries behind the ring (rules/kinds/summary.py)."""
    lacks: tuple[Lack, ...] = ()
    """What rules that look at such sensors lack in the register to judge them, by the order of rules."""


@dataclass(frozen=True, slots=True)
class _Sort:
    """What decides which rules watch a sensor."""

    bundle: Bundle
    scopes: tuple[Scope, ...]
    delivery: int
    facts: dict[str, FactValue]
    sensor: Sensor
    """Without what is its own."""
    exceptions: Allowed
    """Exceptions in force for it."""


@dataclass(slots=True)
class _Known:
    """What was found, by what decides it: first bundle, facility and area, then what is the sensor's."""

    around: dict[tuple[object, ...], dict[tuple[object, ...], Watched]] = field(default_factory=dict)
    sorts: int = 0

    def within(self, around: tuple[object, ...]) -> dict[tuple[object, ...], Watched]:
        """Return what was found of sensors in such an area."""
        return self.around.setdefault(around, {})

    def note(self) -> None:
        """Count one more that is to be remembered; all are forgotten first where they are too many."""
        if self.sorts >= SORTS:
            self.forget()
        self.sorts += 1

    def forget(self) -> None:
        """Forget everything."""
        for within in self.around.values():
            within.clear()  # a facility that is being compiled holds some of them
        self.around.clear()
        self.sorts = 0


_known = _Known()


class Registered:
    """The sensors of one facility as rules see them."""

    def __init__(self, facility: Facility, bundle: Bundle) -> None:
        self.facility = facility
        self._bundle = bundle
        self._facts = registered_facts(facility)
        self._scopes = tuple(facility.scopes)
        self._common = (bundle.sha256, self._scopes, facility.delivery)
        self._around: dict[int, dict[tuple[object, ...], Watched]] = {}
        self._asked: dict[tuple[object, ...], Watched] = {}

    def watched(self, sensor: Sensor, at_ms: int, exceptions: Allowed | None = None) -> Watched:
        """Return what watches one of the facility's sensors with the facts in force at an instant.

        Args:
            sensor: of the facility.
            at_ms: the instant.
            exceptions: those that count; the ones of the bundle that are in force then if none are given.
        """
        area = self._facts.area(sensor, at_ms)
        if exceptions is None:
            exceptions = self._bundle.excepted(self.facility.id, sensor.tag, at_ms)
        excepted = tuple(sorted(one.id for one in exceptions.values())) if exceptions else ()
        asked = (id(sensor), id(area), excepted)
        found = self._asked.get(asked)
        if found is not None:
            return found
        within = self._around.get(id(area))
        if within is None:
            facts = self._facts.around(area)
            around = tuple(tuple(value) if isinstance(value, list) else value for value in facts.values())
            within = self._around[id(area)] = _known.within((*self._common, around))
        own = sensor.__dict__
        limits, span = own["limits"], own["range"]
        key = (
            _alike(own), limits and (limits.low, limits.high), span and (span.low, span.high), excepted,
        )  # fmt: skip
        found = within.get(key)
        if found is None:
            alike = sensor.model_copy(update=_OWN)
            facts = self._facts.of(sensor, at_ms)
            sort = _Sort(self._bundle, self._scopes, self.facility.delivery, facts, alike, exceptions)
            _known.note()
            found = within[key] = _watched(sort)
        self._asked[asked] = found
        return found


def _watched(sort: _Sort) -> Watched:
    """Return the rules on a sort of sensors with their parameters, silences first, and the numbers of their program."""
    sensor, facts, bundle = sort.sensor, sort.facts, sort.bundle
    interval = sensor.interval or UNREGISTERED_INTERVAL_MS
    low_range, high_range = -math.inf, math.inf
    found: list[Use] = []
    without: list[str] = []
    lacking: list[Lack] = []
    for rank, rule in enumerate(bundle.rules):
        if rule.stage not in {"live", "shadow"} or isinstance(rule, LotRule) or is_muted(sort.exceptions, rule.id):
            continue
        if not matches(rule, sort, facts):
            lacking += lacks.of_predicates(rule, sort, facts) if lacks.looks_at_sensors(rule) else []
            continue
        if isinstance(rule, LimitRule | CumulativeRule):
            one = sort.exceptions.get(rule.id)
            narrowed = _narrowed(rule, sensor, facts, bundle, one)
            if narrowed is None:
                lacking += lacks.of_limits(rule, sensor, facts, bundle)
                continue
            low, high, _ = narrowed
            if low >= high:
                without.append(f"together with {rule.id} nothing is left between low {low:g} and high {high:g}")
                lacking.append(lacks.of_room(rule, low, high))
                continue
            if isinstance(rule, CumulativeRule) and rule.during is not None:
                found.append(Use(EXPOSURE, rule, rank, exposure_param(rule, low, high, interval), *narrowed))
                continue
            if isinstance(rule, CumulativeRule):
                single = _single(rule, sort)
                found.append(
                    Use(
                        CUMULATIVE,
                        rule,
                        rank,
                        cumulative_param(rule, low, high, interval, sort.delivery, single),
                        *narrowed,
                    )
                )
                continue
            if rule.smooth is not None:
                mean = mean_of(rule, sensor, high, interval, sort.delivery)
                found += [] if mean is None else [Use(SMOOTH, rule, rank, mean[0], low, high, narrowed[2] + mean[1])]
                lacking += [lacks.of_mean(rule, sensor)] if mean is None else []
                continue
            own, used = delayed(as_on(rule, facts, bundle), one), narrowed[2] + delay_used(rule, one)
            if rule.during is not None:
                found.append(Use(DURING, rule, rank, during_param(own, low, high, interval), low, high, used))
                continue
            numbers = limit_param(own, low, high, interval, sort.delivery)
            found.append(Use(LIMIT, rule, rank, numbers, low, high, used))
            if rule.excludes:
                low_range, high_range = max(low, low_range), min(high, high_range)
        else:
            found += _use_of(rule, rank, sort)
            lacking += lacks.of_sensor(rule, sensor, facts, bundle)
    uses = tuple(sorted(found, key=lambda one: ORDER[one.kind]))
    specs = [KINDS[use.kind] for use in uses]
    room = ring.capacity(interval) + layout.SLACK_ROWS
    program = {
        "interval": interval, "delivery": sort.delivery, "range_low": low_range, "range_high": high_range,
        "ring_cap": room - layout.SLACK_ROWS, "ring_room": room, "instances": len(uses), **(sums := _sums(sort)),
    }  # fmt: skip
    return Watched(
        uses, layout.PROGRAM.block(program), room,
        np.concatenate([layout.SERIES.blank(), *(spec.state.blank() for spec in specs)]),
        np.concatenate([np.zeros(0, np.int64), *(spec.state.blank() for spec in specs if spec.again)]),
        _odd(sort), tuple(without), summary.words(sums), tuple(lacking),
    )  # fmt: skip


def _use_of(rule: Rule, rank: int, sort: _Sort) -> list[Use]:
    """Return the use of a rule whose limits, if it has some, are its own; none of a rule that no series has."""
    sensor, delivery = sort.sensor, sort.delivery
    interval = sensor.interval or UNREGISTERED_INTERVAL_MS
    if isinstance(rule, FrozenRule):
        return [Use(FROZEN, rule, rank, frozen_param(rule, sensor, interval, delivery))]
    if isinstance(rule, MeanKineticRule):
        above = LimitUsed(
            name="high", value=rule.above, unit=sensor.unit, origin="rule", edition=f"{rule.id} {rule.version}"
        )
        numbers = mean_kinetic_param(rule, interval, delivery)
        return [Use(MEAN_KINETIC, rule, rank, numbers, high=rule.above, limits=(above,))]
    if isinstance(rule, JumpRule):
        low, high, used = changes_of(rule, sensor.unit)
        return [Use(JUMP, rule, rank, jump_param(rule, interval, delivery), low, high, used)]
    if isinstance(rule, RepeatDayRule | LastDigitRule | SteadinessRule):
        return _of_values(rule, rank, sensor, interval)
    if isinstance(rule, GapRule) and (sensor.interval is not None or rule.threshold is not None):
        kind, made = (GAP, gap_param) if rule.during is None else (ABSENCE, absence_param)
        return [Use(kind, rule, rank, made(rule, interval, delivery))]
    return []


def _of_values(
    rule: RepeatDayRule | LastDigitRule | SteadinessRule, rank: int, sensor: Sensor, interval: int
) -> list[Use]:
    """Return the use of a rule that asks whether values are a sensor's own."""
    if isinstance(rule, SteadinessRule):
        used = used_at_limit(rule, sensor)
        return (
            [] if used is None else [Use(STEADINESS, rule, rank, steadiness_param(rule, sensor, interval), limits=used)]
        )
    if isinstance(rule, RepeatDayRule):
        return [Use(REPEAT_DAY, rule, rank, repeat_day_param(rule, sensor, interval))]
    if sensor.resolution is None:
        return []
    if rule.check == "uniform":
        return [Use(LAST_DIGIT, rule, rank, last_digit_param(rule, sensor.resolution), limits=(step_of(sensor),))]
    numbers = too_precise_param(rule, sensor.resolution, interval)
    return [Use(TOO_PRECISE, rule, rank, numbers, limits=(step_of(sensor),))]


def _odd(sort: _Sort) -> tuple[tuple[int, RowRule], ...]:
    """Return the rules of plain Python that look at rows of such sensors."""
    return tuple(
        (rank, rule)
        for rank, rule in enumerate(sort.bundle.rules)
        if looks_at_rows(rule) and rule.stage in {"live", "shadow"} and matches(rule, sort, sort.facts)
    )


def _sums(sort: _Sort) -> dict[str, float]:
    """Return what the program says of summaries: nothing where no rule compares reports with such sensors (kind compare)."""
    reading = [
        rule
        for rule in sort.bundle.rules
        if isinstance(rule, CompareRule) and rule.figures and rule.stage in {"live", "shadow"}
        and not is_muted(sort.exceptions, rule.id) and matches(rule, sort, sort.facts)
    ]  # fmt: skip
    if not reading:
        return {}
    limits = sort.sensor.limits
    low, high = (None, None) if limits is None else (limits.low, limits.high)
    return {
        "sum_hours": summary.HOURS if any(rule.of_hours for rule in reading) else 0, "sum_days": summary.DAYS,
        "sum_zone": zone_ms(), "sum_low": -math.inf if low is None else low, "sum_high": math.inf if high is None else high,
    }  # fmt: skip


def changes_of(rule: JumpRule, unit: str) -> tuple[float, float, tuple[LimitUsed, ...]]:
    """Return between what the change from one record to the next must lie, and what evidence says of it."""
    span = rule.limits.from_
    bounds = (("change low", span.low), ("change high", span.high))
    used = tuple(
        LimitUsed(name=name, value=value, unit=unit, origin="rule", edition=f"{rule.id} {rule.version}")
        for name, value in bounds
        if value is not None
    )
    return -math.inf if span.low is None else span.low, math.inf if span.high is None else span.high, used


def used_at_limit(rule: SteadinessRule, sensor: Sensor) -> tuple[LimitUsed, ...] | None:
    """Return what of the register a rule compares values with, None where it is missing."""
    if rule.check != "at-limit":
        return ()
    if sensor.detection_limit is None or sensor.resolution is None:
        return None
    limit = LimitUsed(name="detection_limit", value=sensor.detection_limit, unit=sensor.unit, origin="register")
    return (limit, step_of(sensor))


def step_of(sensor: Sensor) -> LimitUsed:
    """Return the registered resolution as evidence names it."""
    return LimitUsed(name="resolution", value=sensor.resolution or 0.0, unit=sensor.unit, origin="register")


def single_of(
    rule: CumulativeRule, facility: Facility | Scoped, facts: dict[str, FactValue], bundle: Bundle,
    exceptions: Allowed = NONE_IN_FORCE,
) -> LimitRule | None:  # fmt: skip
    """Return the rule whose occurrences a cumulative rule leaves out, if it watches the sensor that `facts` describe."""
    other = None if rule.idle_while is None else bundle.rule(rule.idle_while)
    watching = isinstance(other, LimitRule) and other.stage in {"live", "shadow"} and matches(other, facility, facts)
    if other is not None and is_muted(exceptions, other.id):
        return None
    return other if watching and isinstance(other, LimitRule) else None


def _single(rule: CumulativeRule, sort: _Sort) -> tuple[LimitRule, Words] | None:
    other = single_of(rule, sort, sort.facts, sort.bundle, sort.exceptions)
    one = None if other is None else sort.exceptions.get(other.id)
    bounds = None if other is None else bounds_of(other, sort.sensor, sort.facts, sort.bundle, one)
    if other is None or bounds is None:
        return None
    interval = sort.sensor.interval or UNREGISTERED_INTERVAL_MS
    own = delayed(as_on(other, sort.facts, sort.bundle), one)
    return other, limit_param(own, bounds[0], bounds[1], interval, sort.delivery)


def bounds_of(
    rule: LimitRule | CumulativeRule, sensor: Sensor, facts: dict[str, FactValue], bundle: Bundle,
    one: SiteException | None = None,
) -> tuple[float, float, tuple[LimitUsed, ...]] | None:  # fmt: skip
    """Resolve a limit rule's bounds for a sensor, with the exception in force for it; None where they are unknown.

    No limit is registered (U3), or the registered ones leave the rule no room: bounds are never turned inside out.
    """
    found = _narrowed(rule, sensor, facts, bundle, one)
    return None if found is None or found[0] >= found[1] else found


def contradictions(registered: Registered) -> list[Fault]:
    """Return where registered limits leave a rule no room: whatever is measured there, nothing could be judged."""
    return [
        Fault(f"/sensors/{i}/limits", "no_room", text)
        for i, sensor in enumerate(registered.facility.sensors)
        for text in registered.watched(sensor, sensor.from_ or 0, NONE_IN_FORCE).no_room
    ]


def _narrowed(
    rule: LimitRule | CumulativeRule,
    sensor: Sensor,
    facts: dict[str, FactValue],
    bundle: Bundle,
    one: SiteException | None,
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
    where: dict[str, tuple[str, str | None]] = {"low": (origin, edition), "high": (origin, edition)}
    where |= dict.fromkeys(taken, ("register", None))
    if rule.limits.narrower and sensor.limits:
        if sensor.limits.low is not None and sensor.limits.low > low:
            low, where["low"] = sensor.limits.low, ("register", None)
        if sensor.limits.high is not None and sensor.limits.high < high:
            high, where["high"] = sensor.limits.high, ("register", None)
    low, high, moved = widened(low, high, one)
    if one is not None:
        where |= dict.fromkeys(moved, (ORIGIN, one.label))
    used = tuple(
        LimitUsed(name=name, value=value, unit=sensor.unit, origin=where[name][0], edition=where[name][1])
        for name, value in (("low", low), ("high", high))
        if math.isfinite(value)
    )
    return low, high, used
