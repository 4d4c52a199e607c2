"""Whether a rule watches a sensor, with what numbers, and if it does not: which fact differs."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from rules.changes import Verdict
from rules.exceptions import NONE_IN_FORCE, is_muted
from rules.facts import facts_of, in_force
from rules.kinds.smooth import MOST
from rules.leaves import (
    absence,
    cumulative,
    difference,
    during,
    exposure,
    frozen,
    gap,
    jump,
    last_digit,
    limit,
    lots,
    mean_kinetic,
    rare,
    smooth,
    steadiness,
    too_precise,
)
from rules.leaves.absence import AbsenceNumbers
from rules.leaves.cumulative import CumulativeNumbers
from rules.leaves.difference import PairNumbers
from rules.leaves.during import DuringNumbers
from rules.leaves.exposure import ExposureNumbers
from rules.leaves.frozen import FrozenNumbers
from rules.leaves.gap import GapNumbers
from rules.leaves.jump import JumpNumbers
from rules.leaves.last_digit import UniformNumbers
from rules.leaves.limit import LimitNumbers
from rules.leaves.mean_kinetic import MeanNumbers
from rules.leaves.model import Leaf, Seen, verdict
from rules.leaves.smooth import SmoothNumbers
from rules.leaves.steadiness import SteadinessNumbers
from rules.leaves.too_precise import DigitNumbers
from rules.pairs import pairs_of
from rules.predicate import holds, in_scope, matches
from rules.rule import (
    CumulativeRule,
    DifferenceRule,
    FrozenRule,
    GapRule,
    JumpRule,
    LastDigitRule,
    LimitRule,
    LotRule,
    MeanKineticRule,
    SteadinessRule,
)
from rules.smoothing import sampled_of
from rules.watching import bounds_of, single_of

if TYPE_CHECKING:
    from rules.exceptions import Allowed, SiteException
    from rules.facts import FactValue
    from rules.pack import Bundle
    from rules.register import Facility, Sensor
    from rules.rule import Rule, Smooth

Numbers: TypeAlias = (
    LimitNumbers
    | FrozenNumbers
    | GapNumbers
    | CumulativeNumbers
    | MeanNumbers
    | PairNumbers
    | JumpNumbers
    | DigitNumbers
    | SmoothNumbers
    | UniformNumbers
    | DuringNumbers
    | ExposureNumbers
    | SteadinessNumbers
    | AbsenceNumbers
)
WATCHING = frozenset({"live", "shadow"})


def leaves_of(rule: Rule, bundle: Bundle) -> list[Leaf]:
    """Return the leaves of a rule of any kind, in the order of its condition."""
    if isinstance(rule, LimitRule):
        return _limit_leaves(rule, bundle)
    if isinstance(rule, FrozenRule | GapRule | LastDigitRule | SteadinessRule):
        return _plain_leaves(rule)
    if isinstance(rule, CumulativeRule):
        return cumulative.leaves_of(rule, bundle) if rule.during is None else exposure.leaves_of(rule, bundle)
    if isinstance(rule, MeanKineticRule):
        return mean_kinetic.leaves_of(rule, bundle)
    if isinstance(rule, DifferenceRule | JumpRule):
        return jump.leaves_of(rule, bundle) if isinstance(rule, JumpRule) else difference.leaves_of(rule, bundle)
    return lots.leaves_of(rule) if isinstance(rule, LotRule) else rare.leaves_of(rule)


def _limit_leaves(rule: LimitRule, bundle: Bundle) -> list[Leaf]:
    if rule.during is not None:
        return during.leaves_of(rule, bundle)
    return limit.leaves_of(rule, bundle) if rule.smooth is None else smooth.leaves_of(rule, rule.smooth, bundle)


def _plain_leaves(rule: FrozenRule | GapRule | LastDigitRule | SteadinessRule) -> list[Leaf]:
    if isinstance(rule, SteadinessRule):
        return steadiness.leaves_of(rule)
    if isinstance(rule, FrozenRule):
        return frozen.leaves_of(rule)
    if isinstance(rule, GapRule):
        return gap.leaves_of(rule) if rule.during is None else absence.leaves_of(rule)
    return last_digit.leaves_of(rule) if rule.check == "uniform" else too_precise.leaves_of(rule)


@dataclass(frozen=True, slots=True)
class Watch:
    """One rule and one sensor at an instant: what it compares with, or the leaves that keep it from watching."""

    rule: Rule
    sensor: Sensor
    facts: dict[str, FactValue]
    conditions: list[Seen] = field(default_factory=list)
    numbers: Numbers | None = None
    about: dict[str, str] = field(default_factory=dict)
    """The subject of a pair's alarms; empty where it is the sensor's tag."""
    exception: SiteException | None = None
    """The one from the rule that is in force for the sensor."""


def watch(rule: Rule, facility: Facility, sensor: Sensor, at: int, bundle: Bundle) -> Watch:
    """Say whether and how a rule watches a sensor with the facts in force at `at` (ms)."""
    facts = facts_of(facility, sensor, at)
    conditions = conditions_of(rule, facility, facts)
    exceptions = bundle.excepted(facility.id, sensor.tag, at)
    one = exceptions.get(rule.id)
    if one is not None and is_muted(exceptions, rule.id):
        conditions.append(Seen("exception", Verdict.FALSE, one.label, "mutes", rule.id))
    numbers: Numbers | None = None
    if all(c.verdict is Verdict.TRUE for c in conditions):
        numbers = numbers_of(rule, facility, sensor, facts, bundle, exceptions)
        if isinstance(rule, GapRule):
            conditions.append(
                Seen("interval", _given(numbers), sensor.interval and float(sensor.interval), "registered", None, "ms")
            )
        elif isinstance(rule, LastDigitRule):
            conditions.append(Seen("resolution", _given(numbers), sensor.resolution, "registered", None, sensor.unit))
        elif isinstance(rule, SteadinessRule) and rule.check == "at-limit":
            conditions += [
                Seen(name, Verdict.UNKNOWN if fact is None else Verdict.TRUE, fact, "registered", None, sensor.unit)
                for name, fact in (("detection_limit", sensor.detection_limit), ("resolution", sensor.resolution))
            ]
        elif isinstance(rule, LimitRule) and rule.smooth is not None:
            conditions += _of_mean(rule, rule.smooth, sensor, facts, bundle)
        elif isinstance(rule, LimitRule | CumulativeRule):
            conditions.append(Seen("limits", _given(numbers), _limits_text(rule, sensor), "give", "low < high"))
    return Watch(rule, sensor, facts, conditions, numbers, exception=one)


def _of_mean(
    rule: LimitRule, smoothed: Smooth, sensor: Sensor, facts: dict[str, FactValue], bundle: Bundle
) -> list[Seen]:
    """Return whether the limit of a smoothed rule is known, and what a record samples: too little of it fills no window."""
    given = Verdict.UNKNOWN if bounds_of(rule, sensor, facts, bundle) is None else Verdict.TRUE
    sampled = verdict(bool(sampled_of(rule, sensor)[0]))
    least = float(smoothed.cubic_metres) / MOST
    return [
        Seen("limits", given, _limits_text(rule, sensor), "give", "low < high"),
        Seen("sample", Verdict.UNKNOWN if sensor.sample_m3 is None else sampled, sensor.sample_m3, ">=", least, "m3"),
    ]


def conditions_of(rule: Rule, facility: Facility, facts: dict[str, FactValue]) -> list[Seen]:
    """Return stage, scope and predicates of a rule as the facts of a sensor, an area or a facility meet them."""
    wanted = ", ".join(f"{s.field}/{s.line}" for s in rule.scopes)
    own = ", ".join(f"{s.field}/{s.line}" for s in facility.scopes) or "none"
    conditions = [
        Seen("stage", verdict(rule.stage in WATCHING), rule.stage, "in", "live, shadow"),
        Seen("scope", verdict(in_scope(rule, facility)), own, "in", wanted),
    ]
    for name, value in rule.applies_to.items():
        said = verdict(holds({name: value}, facts))
        conditions.append(Seen(name, said, text_of(facts.get(name)), "in", text_of(value)))
    return conditions


def watch_pairs(rule: DifferenceRule, facility: Facility, at: int, bundle: Bundle) -> dict[str, Watch]:
    """Return the pairs of a rule with the facts in force at `at` (ms), by name."""
    found: dict[str, Watch] = {}
    if rule.stage not in WATCHING or not in_scope(rule, facility):
        return found
    for pair in pairs_of(rule, facility, in_force(facility, at), at):
        ranges = [measuring_range(facility, s, facts_of(facility, s, at), bundle) for s in pair.inputs]
        numbers = difference.numbers_of(rule, pair, bundle, facility.delivery, ranges)
        conditions = [Seen(name, Verdict.TRUE, text_of(pair.facts.get(name)), "in", text_of(value))
                      for name, value in rule.applies_to.items()]  # fmt: skip
        conditions.append(Seen("limits", _given(numbers), " - ".join(s.tag for s in pair.inputs), "give", "low < high"))
        found[pair.name] = Watch(rule, pair.inputs[0], pair.facts, conditions, numbers, dict(pair.subject))
    return found


def numbers_of(
    rule: Rule, facility: Facility, sensor: Sensor, facts: dict[str, FactValue], bundle: Bundle,
    exceptions: Allowed = NONE_IN_FORCE,
) -> Numbers | None:  # fmt: skip
    """Return what a rule that fits compares with, with the exceptions in force for the sensor.

    None where the register leaves it unknown, and of rules that watch no series.
    """
    if isinstance(rule, LimitRule):
        return _limit_numbers(rule, facility, sensor, facts, bundle, exceptions)
    if isinstance(rule, FrozenRule | GapRule | LastDigitRule | SteadinessRule):
        span = measuring_range(facility, sensor, facts, bundle)
        return _plain_numbers(rule, sensor, facility.delivery, span)
    if isinstance(rule, CumulativeRule):
        return _sum_numbers(rule, facility, sensor, facts, bundle, exceptions)
    if not isinstance(rule, MeanKineticRule | JumpRule):
        return None
    span = measuring_range(facility, sensor, facts, bundle)
    if isinstance(rule, JumpRule):
        return jump.numbers_of(rule, sensor, facility.delivery, span)
    return mean_kinetic.numbers_of(rule, sensor, facility.delivery, span)


def _limit_numbers(
    rule: LimitRule, facility: Facility, sensor: Sensor, facts: dict[str, FactValue], bundle: Bundle, exceptions: Allowed
) -> Numbers | None:  # fmt: skip
    span = measuring_range(facility, sensor, facts, bundle)
    one, delivery = exceptions.get(rule.id), facility.delivery
    if rule.smooth is not None:
        return smooth.numbers_of(rule, rule.smooth, sensor, facts, bundle, delivery, span, one)
    plain = limit.numbers_of(rule, sensor, facts, bundle, delivery, span, one)
    return plain if rule.during is None else during.numbers_of(sensor, plain)


def _sum_numbers(
    rule: CumulativeRule, facility: Facility, sensor: Sensor, facts: dict[str, FactValue], bundle: Bundle, exceptions: Allowed
) -> Numbers | None:  # fmt: skip
    span, delivery = measuring_range(facility, sensor, facts, bundle), facility.delivery
    own = exceptions.get(rule.id)
    if rule.during is not None:
        return exposure.numbers_of(rule, sensor, facts, bundle, delivery, span, own)
    other = single_of(rule, facility, facts, bundle, exceptions)
    single = None
    if other is not None:
        single = limit.numbers_of(other, sensor, facts, bundle, delivery, span, exceptions.get(other.id))
    return cumulative.numbers_of(rule, sensor, facts, bundle, delivery, span, single, own)


def _plain_numbers(
    rule: FrozenRule | GapRule | LastDigitRule | SteadinessRule,
    sensor: Sensor,
    delivery: int,
    span: tuple[float, float, bool],
) -> Numbers | None:
    if isinstance(rule, SteadinessRule):
        return steadiness.numbers_of(rule, sensor)
    if isinstance(rule, FrozenRule):
        return frozen.numbers_of(rule, sensor, delivery)
    if isinstance(rule, GapRule):
        if rule.during is not None:
            return absence.numbers_of(rule, sensor, delivery, span)
        return gap.numbers_of(rule, sensor, delivery)
    return last_digit.numbers_of(rule, sensor) if rule.check == "uniform" else too_precise.numbers_of(rule, sensor)


def measuring_range(
    facility: Facility, sensor: Sensor, facts: dict[str, FactValue], bundle: Bundle
) -> tuple[float, float, bool]:
    """Return the low and high between which values are not excluded, and whether a rule that excludes watches the sensor."""
    low, high, watched = -math.inf, math.inf, False
    for rule in bundle.rules:
        if isinstance(rule, LimitRule) and rule.excludes and rule.stage in WATCHING and matches(rule, facility, facts):
            found = bounds_of(rule, sensor, facts, bundle)
            if found is not None:
                low, high, watched = max(low, found[0]), min(high, found[1]), True
    return low, high, watched


def horizon_key(facility: Facility, sensor: Sensor, bundle: Bundle, at: int) -> tuple[object, ...]:
    """Return what watches the rows of a series and with what numbers; another key ends its horizon."""
    facts = facts_of(facility, sensor, at)
    exceptions = bundle.excepted(facility.id, sensor.tag, at)
    keys: list[object] = [sensor.quantity, measuring_range(facility, sensor, facts, bundle)]
    for rule in bundle.rules:
        plain = isinstance(rule, GapRule) and rule.during is None
        if plain or isinstance(rule, DifferenceRule) or is_muted(exceptions, rule.id):
            continue
        if rule.stage in WATCHING and matches(rule, facility, facts):
            numbers = numbers_of(rule, facility, sensor, facts, bundle, exceptions)
            keys += [] if numbers is None else [(rule.id, numbers.key)]
    return tuple(keys)


def _given(numbers: Numbers | None) -> Verdict:
    return Verdict.UNKNOWN if numbers is None else Verdict.TRUE


def _limits_text(rule: LimitRule | CumulativeRule, sensor: Sensor) -> str:
    source = rule.limits.from_
    origin = source if isinstance(source, str) else "rule"
    low, high = (sensor.limits.low, sensor.limits.high) if sensor.limits else (None, None)
    return f"{origin}; registered low {low}, high {high}"


def text_of(value: object) -> str | None:
    """Return a fact or what a rule wants of it as text."""
    if value is None:
        return None
    if isinstance(value, bool):
        return str(value).lower()
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
