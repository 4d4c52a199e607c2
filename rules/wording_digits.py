"""Words and evidence of values that have more decimals than their sensor (kind `last_digit`)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rules.changes import ChangeKind, Leaf, Verdict
from rules.models import Bilingual
from rules.params import CHI_SQUARE_9
from rules.rule import LastDigitRule
from rules.wording_sums import time_text

if TYPE_CHECKING:
    from rules.plan import Instance


def raised(instance: Instance, value: float, unit: str) -> Bilingual | None:
    """Return the sentence of a raise, None for rules of other kinds; `unit` is the sign of the sensor's unit."""
    rule, tag = instance.rule, instance.tag
    if not isinstance(rule, LastDigitRule):
        return None
    if rule.check == "uniform":
        return Bilingual(
            en=f"{tag}: the last digits of {rule.number} values are not evenly spread, chi square {value:.1f} of nine degrees of freedom",
            zh=f"{tag}：{rule.number} 个数值的末位数字分布不均匀，χ² = {value:.1f}（自由度 9）",
        )
    step, within = instance.limits[0].value, time_text(rule.within)
    return Bilingual(
        en=f"{tag}: {rule.number} values within {within} have more decimals than the sensor's resolution of {step:.10g} {unit}, the last {value:.10g}",
        zh=f"{tag}：{within} 内 {rule.number} 个数值的小数位多于登记分辨率 {step:.10g} {unit}，最近一个为 {value:.10g}",
    )


def leaf(instance: Instance, kind: ChangeKind, value: float) -> Leaf | None:
    """Return what decided, None for rules of other kinds: the value, or how long there was none (ms)."""
    rule, tag = instance.rule, instance.tag
    if not isinstance(rule, LastDigitRule):
        return None
    number = None if math.isnan(value) else value  # what late data take back has none
    if rule.check == "uniform":
        cleared = kind is ChangeKind.CLEARED
        bound = CHI_SQUARE_9[(rule.even if cleared else rule.uneven) or 0.0] / 1000
        said = Verdict.FALSE if kind is ChangeKind.RETRACTED else Verdict.TRUE
        expr = f"chi square of the last digits of {tag}"
        return Leaf(expr=expr, left=number, op="<" if cleared else ">", right=bound, verdict=said)
    if kind is ChangeKind.CLEARED:
        expr = f"records without more decimals of {tag}"
        return Leaf(expr=expr, left=number, op=">=", right=float(rule.clean), unit="ms", verdict=Verdict.TRUE)
    step = instance.limits[0].value
    said = Verdict.FALSE if kind is ChangeKind.RETRACTED else Verdict.TRUE
    return Leaf(expr=f"decimals of {tag}", left=number, op=">", right=step, unit=instance.unit, verdict=said)
