"""Words and evidence of what is summed over time: time beyond a limit, and the mean kinetic temperature."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rules.changes import ChangeKind, Leaf, Verdict
from rules.models import Bilingual
from rules.rule import CumulativeRule, MeanKineticRule
from rules.wording_during import STATES

if TYPE_CHECKING:
    from rules.plan import Instance


def raised(instance: Instance, value: float, unit: str) -> Bilingual | None:
    """Return the sentence of a raise, None for rules of other kinds; `unit` is the sign of the sensor's unit."""
    rule, tag = instance.rule, instance.tag
    if isinstance(rule, CumulativeRule):
        en, zh = bounds(instance, unit)
        lasts = time_text(value)
        if rule.during is not None:
            state, limit = STATES[rule.during], time_text(rule.total)
            return Bilingual(
                en=f"{tag}: {lasts} {en} in total {state[0]}, {limit} is the limit",
                zh=f"{tag}：{state[1]}累计 {zh} {lasts}，限值为 {limit}",
            )
        window = time_text(rule.window)
        return Bilingual(
            en=f"{tag}: {lasts} {en} in total within {window}, {time_text(rule.total)} is the limit",
            zh=f"{tag}：{window} 内累计 {zh} {lasts}，限值为 {time_text(rule.total)}",
        )
    if isinstance(rule, MeanKineticRule):
        return Bilingual(
            en=f"{tag}: mean kinetic temperature of twelve months {value:.4f} {unit}, above {rule.above:g} {unit}",
            zh=f"{tag}：十二个月平均动力学温度 {value:.4f} {unit}，高于 {rule.above:g} {unit}",
        )
    return None


def bounds(instance: Instance, unit: str) -> tuple[str, str]:
    """Return which side counts, in English and Chinese."""
    inclusive = isinstance(instance.rule, CumulativeRule) and instance.rule.limits.inclusive
    above, below, high, low = ("at or above", "at or below", "≥", "≤") if inclusive else ("above", "below", ">", "<")
    en, zh = [], []
    if math.isfinite(instance.high):
        en.append(f"{above} {instance.high:.10g} {unit}")
        zh.append(f"{high} {instance.high:.10g} {unit}")
    if math.isfinite(instance.low):
        en.append(f"{below} {instance.low:.10g} {unit}")
        zh.append(f"{low} {instance.low:.10g} {unit}")
    return " or ".join(en), " 或 ".join(zh)


def time_text(ms: float) -> str:
    """Return a sum of time as people read it, to the whole second below.

    >>> time_text(36_000_000.0), time_text(12_661_500.0), time_text(0.0)
    ('10h', '3h 31m 1s', '0s')
    """
    seconds = int(ms) // 1_000
    parts = [(seconds // 3_600, "h"), (seconds // 60 % 60, "m"), (seconds % 60, "s")]
    return " ".join(f"{count}{unit}" for count, unit in parts if count) or "0s"


def leaf(instance: Instance, kind: ChangeKind, value: float, unit: str) -> Leaf | None:
    """Return what decided, None for rules of other kinds; sums of time are exact, in ms."""
    rule, tag = instance.rule, instance.tag
    over = kind is not ChangeKind.CLEARED
    verdict = Verdict.TRUE if over else Verdict.FALSE
    if kind is ChangeKind.UNKNOWN:
        verdict = Verdict.UNKNOWN
    if isinstance(rule, CumulativeRule):
        over_what = f"within {time_text(rule.window)}" if rule.during is None else STATES[rule.during][0]
        expr = f"time of {tag} {bounds(instance, unit)[0]} {over_what}"
        ms = rule.total if kind is ChangeKind.RAISED or rule.during is not None else rule.clear_below
        return Leaf(expr=expr, left=_number(value), op=">=", right=float(ms), unit="ms", verdict=verdict)
    if isinstance(rule, MeanKineticRule):
        limit = rule.above if kind is ChangeKind.RAISED else rule.clear_at
        expr = f"mean kinetic temperature of {tag} over twelve months"
        return Leaf(expr=expr, left=_number(value), op=">", right=limit, unit=instance.unit, verdict=verdict)
    return None


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
