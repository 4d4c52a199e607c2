"""Words and evidence of a limit that is judged by a mean over the newest records (kind `limit` with `smooth`)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rules.changes import ChangeKind, Leaf, Verdict
from rules.kinds.smooth import records_of
from rules.models import Bilingual
from rules.rule import LimitRule

if TYPE_CHECKING:
    from rules.plan import Instance

_OPENS = frozenset({ChangeKind.RAISED, ChangeKind.STEPPED, ChangeKind.AMENDED})


def raised(instance: Instance, value: float, unit: str) -> Bilingual | None:
    """Return the sentence of a raise or step, None for other rules.

    Args:
        instance: of the rule.
        value: the mean that decided, NaN while less than the volume was sampled.
        unit: the sign of the sensor's unit.
    """
    rule, tag, high = instance.rule, instance.tag, instance.high
    if not isinstance(rule, LimitRule) or rule.smooth is None:
        return None
    volume = f"{float(rule.smooth.cubic_metres):g} m³"
    if _exceeds(rule, value, high) or rule.smooth.early is None:
        above = ("at or above", "达到或高于") if rule.limits.inclusive else ("above", "高于")
        return Bilingual(
            en=f"{tag}: {value:.10g} {unit}, mean over the newest {volume} sampled, {above[0]} {high:.10g} {unit}",
            zh=f"{tag}：最近采样 {volume} 的均值为 {value:.10g} {unit}，{above[1]}上限 {high:.10g} {unit}",
        )
    early = rule.smooth.early
    particles = (
        ("a particle", "检出粒子")
        if early.count == 1
        else (f"{early.count} particles", f"检出 {early.count} 个以上粒子")
    )
    mean = (
        (f"less than {volume} sampled yet", f"采样尚不足 {volume}")
        if math.isnan(value)
        else (f"the mean over {volume} is {value:.10g} {unit}, limit {high:.10g} {unit}", f"最近 {volume} 的均值为 {value:.10g} {unit}，上限 {high:.10g} {unit}")
    )  # fmt: skip
    return Bilingual(
        en=f"{tag}: {early.records} of {early.of} records with {particles[0]}; {mean[0]}",
        zh=f"{tag}：最近 {early.of} 条记录中有 {early.records} 条{particles[1]}；{mean[1]}",
    )


def leaves(instance: Instance, kind: ChangeKind, value: float) -> list[Leaf] | None:
    """Return what decided, None for other rules: the mean against the limit, and the newest records where these raised it before."""
    rule, tag = instance.rule, instance.tag
    if not isinstance(rule, LimitRule) or rule.smooth is None:
        return None
    if kind is ChangeKind.RETRACTED:
        return []  # what late data take back was decided by nothing that stands
    sample = next(used.value for used in instance.limits if used.name == "sample")
    records = records_of(rule.smooth.cubic_metres, sample)
    unknown = kind is ChangeKind.UNKNOWN or math.isnan(value)
    exceeds = not unknown and _exceeds(rule, value, instance.high)
    found = [
        Leaf(
            expr=f"rolling mean of {tag} ({records} x {sample:.10g} m3)",
            left=None if unknown else value, op=">=" if rule.limits.inclusive else ">", right=instance.high, unit=instance.unit,
            verdict=Verdict.UNKNOWN if unknown else Verdict.TRUE if exceeds else Verdict.FALSE,
        )
    ]  # fmt: skip
    early = rule.smooth.early
    if early is not None and not exceeds and (kind in _OPENS or (kind is ChangeKind.KNOWN and unknown)):
        expr = f"records with particles of {tag} ({early.count}+ / {early.of})"
        found.append(Leaf(expr=expr, left=None, op=">=", right=float(early.records), verdict=Verdict.TRUE))
    return found


def _exceeds(rule: LimitRule, value: float, high: float) -> bool:
    return value > high or (rule.limits.inclusive and value == high)
