"""The parameters of an instance as compiled code reads them: a rule's numbers, resolved for one sensor."""

from __future__ import annotations

import math
import zlib
from datetime import date
from typing import TYPE_CHECKING, Any

from rules import layout, ring
from rules.instants import start_of_day
from rules.kinds import (
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
    mean_kinetic,
    repeat_day,
    smooth,
    steadiness,
    too_precise,
)
from rules.layout import NONE
from rules.register import ZONE, Span

if TYPE_CHECKING:
    from rules.layout import Words
    from rules.pairs import Pair
    from rules.register import Sensor
    from rules.rule import (
        CumulativeRule,
        DifferenceRule,
        FrozenRule,
        GapRule,
        JumpRule,
        LastDigitRule,
        LimitRule,
        MeanKineticRule,
        RepeatDayRule,
        SteadinessRule,
    )
    from rules.scale import Step

DAY_MS = 86_400_000
CHI_SQUARE_9 = {0.1: 14_684, 0.05: 16_919, 0.025: 19_023, 0.01: 21_666, 0.001: 27_877}
"""Probability -> chi square of nine degrees of freedom that is exceeded with it, thousandths (NIST/SEMATECH e-Handbook of Statistical
Methods, 1.3.6.7.4, upper critical values)."""
UNREGISTERED_INTERVAL_MS = 30 * 60_000
"""Assumed where a sensor has no registered interval: the longest that GSP allows in storage (limits.md §2.1), so that
no two records in a row are taken for a break."""


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


def limit_param(rule: LimitRule, low: float, high: float, interval: int, delivery: int) -> Words:
    """Return the parameters of a limit instance."""
    return limit.PARAMS.block(_limit_values(rule, low, high, interval, delivery))


def difference_param(
    rule: DifferenceRule, pair: Pair, low: float, high: float, delivery: int, scale: tuple[Step, ...] = ()
) -> Words:
    """Return the parameters of a pair."""
    intervals = [sensor.interval or UNREGISTERED_INTERVAL_MS for sensor in pair.inputs]
    slower = max(intervals)
    kept = [ring.capacity(interval) for interval in intervals]
    columns = {
        "from": [step.begin for step in scale], "below": [step.below for step in scale], "high": [step.high for step in scale],
    }  # fmt: skip
    return difference.PARAMS.block(
        _limit_values(rule, low, high, slower, delivery)
        | {
            "max_age": int(rule.max_age_intervals * slower), "sign": pair.sign, "inputs": len(kept),
            "kept": [*kept, *[0] * (2 - len(kept))], "scale": len(scale),
            **{f"scale_{name}": [*column, *[0.0] * (difference.ROWS - len(scale))] for name, column in columns.items()},
        }
    )  # fmt: skip


def jump_param(rule: JumpRule, interval: int, delivery: int) -> Words:
    """Return the parameters of a jump instance."""
    span = rule.limits.from_
    low, high = -math.inf if span.low is None else span.low, math.inf if span.high is None else span.high
    return jump.PARAMS.block(_limit_values(rule, low, high, interval, delivery))


def smooth_param(rule: LimitRule, high: float, records: int, sample: float, interval: int, delivery: int) -> Words:
    """Return the parameters of a limit instance that is smoothed; `records` together sample its volume, each of them `sample` m3."""
    early = None if rule.smooth is None else rule.smooth.early
    more: dict[str, Any] = {}
    if early is not None:
        more = {
            "one": smooth.concentration_of(early.count, sample), "early_records": early.records, "early_of": early.of,
            "early_sev": early.to.rank,
        }  # fmt: skip
    return smooth.PARAMS.block(
        {
            "rows": layout.IN_RANGE | (layout.MARKED if rule.marked == "count" else 0),
            "records": records, "bound": smooth.bound_of(high, records), "inclusive": rule.limits.inclusive,
            "clears": rule.clear.consecutive, "interval": interval, "delivery": delivery,
            "unknown_ms": max(rule.unknown.max, 3 * interval), "sev": rule.severity.base.rank, **more,
        }
    )  # fmt: skip


def during_param(rule: LimitRule, low: float, high: float, interval: int) -> Words:
    """Return the parameters of a limit instance that holds only during a declared state."""
    return during.PARAMS.block(
        {
            "low": low, "high": high, "inclusive": rule.limits.inclusive,
            "rows": layout.IN_RANGE | (layout.MARKED if rule.marked == "count" else 0),
            "opens": rule.when.consecutive, "on_delay": rule.when.on_delay, "interval": interval,
            "sev": rule.severity.base.rank,
        }
    )  # fmt: skip


def _limit_values(
    rule: LimitRule | DifferenceRule | JumpRule, low: float, high: float, interval: int, delivery: int
) -> dict[str, Any]:
    steps = rule.severity.steps
    afters = [
        step.after if step.after is not None
        else int(step.after_intervals * interval) if step.after_intervals is not None
        else NONE
        for step in steps
    ]  # fmt: skip
    beyond = [step.beyond or Span() for step in steps]
    return {
            "low": low, "high": high, "db": deadband_width(rule.clear.deadband, low, high),
            "on_delay": rule.when.on_delay, "off_delay": rule.clear.off_delay,
            "unknown_ms": max(rule.unknown.max, 3 * interval), "interval": interval, "delivery": delivery,
            "opens": rule.when.consecutive, "clears": rule.clear.consecutive,
            "sev": rule.severity.base.rank, "steps": len(steps), "inclusive": rule.limits.inclusive,
            "rows": (0 if rule.excludes else layout.IN_RANGE) | (layout.MARKED if rule.marked == "count" else 0),
            "step_after": _padded(afters, NONE), "step_for": _padded([step.for_ for step in steps], 0),
            "step_sev": _padded([step.to.rank for step in steps], 0),
            "step_rows": _padded([step.consecutive or 1 for step in steps], 1),
            "step_low": _padded([-math.inf if span.low is None else span.low for span in beyond], -math.inf),
            "step_high": _padded([math.inf if span.high is None else span.high for span in beyond], math.inf),
    }  # fmt: skip


def _padded(values: list[Any], rest: float) -> list[Any]:
    return [*values, *[rest] * (layout.STEPS - len(values))]


def frozen_param(rule: FrozenRule, sensor: Sensor, interval: int, delivery: int) -> Words:
    """Return the parameters of a frozen instance."""
    width = -1.0
    if sensor.limits is not None and sensor.limits.low is not None and sensor.limits.high is not None:
        width = rule.window_share * (sensor.limits.high - sensor.limits.low)
    return frozen.PARAMS.block(
        {
            "span": rule.span, "interval": interval, "delivery": delivery, "width": width,
            "unknown_ms": max(rule.unknown.max, 3 * interval),
            "identical": rule.identical_coarse if interval > rule.coarse_interval else rule.identical,
            "distinct": rule.clear_distinct, "sev": rule.severity.base.rank, "expected": -(-3 * DAY_MS // (4 * interval)),
        }
    )  # fmt: skip


def gap_param(rule: GapRule, interval: int, delivery: int) -> Words:
    """Return the parameters of a gap instance."""
    return gap.PARAMS.block(_gap_values(rule, interval, delivery))


def absence_param(rule: GapRule, interval: int, delivery: int) -> Words:
    """Return the parameters of a gap instance that holds only during a declared state.

    Of `records: good` those count that are known, as they came: a mark that comes behind a row takes nothing from it (ADR 0050).
    """
    good = layout.IN_RANGE | layout.AS_FOLDED | (layout.MARKED if rule.marked == "count" else 0)
    return absence.PARAMS.block(
        _gap_values(rule, interval, delivery)
        | {"rows": good if rule.records == "good" else layout.NONE, "off": rule.off is not None}
    )  # fmt: skip


def silent_ms(rule: GapRule, interval: int) -> int:
    """Return behind how much time without a record (ms) a series is silent."""
    if rule.factor is None:
        return (rule.threshold or 0) + rule.grace
    return max(int(rule.factor * interval), rule.at_least or 0)


def _gap_values(rule: GapRule, interval: int, delivery: int) -> dict[str, Any]:
    steps = rule.severity.steps
    afters = [s.after if s.after is not None else int((s.after_intervals or 0) * interval) for s in steps]
    return {
        "silent": silent_ms(rule, interval), "interval": interval, "delivery": delivery,
        # A rule that asks for rows more often than the register promises them sets the instant at which the next was due.
        "pace": interval if rule.threshold is None else min(interval, rule.threshold),
        "sev": rule.severity.base.rank, "steps": len(steps),
        "area": "area" in rule.groups, "facility": "facility" in rule.groups,
        "step_after": _padded(afters, 0), "step_sev": _padded([s.to.rank for s in steps], 0),
    }  # fmt: skip


def cumulative_param(
    rule: CumulativeRule, low: float, high: float, interval: int, delivery: int, single: tuple[LimitRule, Words] | None
) -> Words:
    """Return the parameters of a cumulative instance; `single` is the rule of `idle_while` with its own, if it watches the sensor."""
    more: dict[str, Any] = {}
    if single is not None:
        more = {"single": 1 + zlib.crc32(single[0].id.encode()), "single_rule": single[1]}
    return cumulative.PARAMS.block(
        {
            "low": low, "high": high, "inclusive": rule.limits.inclusive,
            "rows": layout.IN_RANGE | (layout.MARKED if rule.marked == "count" else 0),
            "total": rule.total, "below": rule.clear_below, "part": rule.window // cumulative.PARTS,
            "interval": interval, "delivery": delivery, "unknown_ms": max(rule.unknown.max, 3 * interval),
            "sev": rule.severity.base.rank, **more,
        }
    )  # fmt: skip


def exposure_param(rule: CumulativeRule, low: float, high: float, interval: int) -> Words:
    """Return the parameters of a cumulative instance whose sum is that of a declared state."""
    return exposure.PARAMS.block(
        {
            "low": low, "high": high, "inclusive": rule.limits.inclusive,
            "rows": layout.IN_RANGE | (layout.MARKED if rule.marked == "count" else 0),
            "total": rule.total, "interval": interval, "sev": rule.severity.base.rank,
        }
    )  # fmt: skip


def mean_kinetic_param(rule: MeanKineticRule, interval: int, delivery: int) -> Words:
    """Return the parameters of a mean kinetic instance."""
    return mean_kinetic.PARAMS.block(
        {
            "rows": layout.IN_RANGE | (layout.MARKED if rule.marked == "count" else 0),
            "above": round(rule.above * mean_kinetic.DIGITS), "clear_at": round(rule.clear_at * mean_kinetic.DIGITS),
            "interval": interval, "delivery": delivery, "zone": zone_ms(),
            "sev": rule.severity.base.rank,
        }
    )  # fmt: skip


def repeat_day_param(rule: RepeatDayRule, sensor: Sensor, interval: int) -> Words:
    """Return the parameters of a repeat_day instance."""
    lags = [lag // DAY_MS for lag in rule.lags]
    return repeat_day.PARAMS.block(
        {
            "interval": interval, "zone": zone_ms(), "stride": repeat_day.stride_of(interval),
            "slots": repeat_day.slots_of(interval), "resolution": sensor.resolution or 0.0,
            "lags": [*lags, *[0] * (repeat_day.LAGS - len(lags))], "share": round(1_000 * rule.share),
            "pairs": rule.pairs, "distinct": rule.distinct, "chance": round(1_000 * rule.chance),
        }
    )  # fmt: skip


def too_precise_param(rule: LastDigitRule, resolution: float, interval: int) -> Words:
    """Return the parameters of a last_digit instance of check precision."""
    return too_precise.PARAMS.block(
        {
            "interval": interval, "scale": 10.0 ** too_precise.decimals_of(resolution), "number": rule.number,
            "within": rule.within, "clean": rule.clean, "sev": rule.severity.base.rank,
        }
    )  # fmt: skip


def last_digit_param(rule: LastDigitRule, resolution: float) -> Words:
    """Return the parameters of a last_digit instance of check uniform."""
    return last_digit.PARAMS.block(
        {
            "resolution": resolution, "number": rule.number, "look": rule.number // 4,
            "related": (rule.related or 0.0) ** 2, "uneven": CHI_SQUARE_9[rule.uneven or 0.0],
            "even": CHI_SQUARE_9[rule.even or 0.0], "decades": (rule.spread or 0) // last_digit.DECADE + 1,
            "sev": rule.severity.base.rank,
        }
    )  # fmt: skip


def steadiness_param(rule: SteadinessRule, sensor: Sensor, interval: int) -> Words:
    """Return the parameters of a steadiness instance."""
    checks = {"spread": steadiness.SPREAD, "differences": steadiness.DIFFERENCES, "at-limit": steadiness.NEAR}
    facts: tuple[Any, ...] = () if sensor.limits is None else (sensor.limits.low, sensor.limits.high)
    below, above, days, more = rule.below, rule.clear_above, steadiness.WEEK, {}
    if rule.check == "at-limit":
        below, above, days = rule.clear_below, rule.share, 1
        limit, step = sensor.detection_limit or 0.0, sensor.resolution or 0.0
        facts += (limit, step)
        more = {"limit": limit, "reach": step * steadiness.A_STEP}
    parts = {"below": below, "above": above, "before": rule.before}
    return steadiness.PARAMS.block(
        {
            "check": checks[rule.check], "interval": interval, "zone": zone_ms(), "weeks": rule.weeks, "days": days,
            "facts": zlib.crc32(repr(facts).encode()), "sev": rule.severity.base.rank, **more,
            **{name: round((value or 0.0) * steadiness.PARTS) for name, value in parts.items()},
        }
    )  # fmt: skip


def zone_ms() -> int:
    """Return what the jurisdiction's clock is ahead of UTC; it has no summer time (since 1991)."""
    return -start_of_day(date(1970, 1, 1), ZONE)
