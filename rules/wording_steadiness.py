"""Words and evidence of series that move far less than they did, or stay at their detection limit (kind `steadiness`)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rules.changes import ChangeKind, Leaf, Verdict
from rules.models import Bilingual
from rules.rule import SteadinessRule

if TYPE_CHECKING:
    from rules.plan import Instance


def raised(instance: Instance, value: float, unit: str) -> Bilingual | None:
    """Return the sentence of a raise, None for rules of other kinds; `value` is the ratio or share, `unit` the sign of the sensor's unit."""
    rule, tag = instance.rule, instance.tag
    if not isinstance(rule, SteadinessRule):
        return None
    share = f"{100 * value:.3g} %"
    if rule.check == "at-limit":
        limit = f"{instance.limits[0].value:.10g} {unit}"
        return Bilingual(
            en=f"{tag}: {share} of a day's values lie within a step of the detection limit of {limit}, which few did in the weeks before",
            zh=f"{tag}：一日内 {share} 的数值位于检出限 {limit} 的一个分辨率之内，而此前数周并非如此",
        )
    if rule.check == "differences":
        return Bilingual(
            en=f"{tag}: from record to record seven days change by {share} of what the weeks before did (standard deviations)",
            zh=f"{tag}：7 日内相邻记录变化的标准差仅为此前各周中位数的 {share}",
        )
    return Bilingual(
        en=f"{tag}: seven days spread by {share} of what the weeks before did (standard deviations)",
        zh=f"{tag}：7 日数值的标准差仅为此前各周中位数的 {share}",
    )


def leaf(instance: Instance, kind: ChangeKind, value: float) -> Leaf | None:
    """Return what decided, None for rules of other kinds: the ratio, or the share."""
    rule, tag = instance.rule, instance.tag
    if not isinstance(rule, SteadinessRule):
        return None
    cleared = kind is ChangeKind.CLEARED
    said = Verdict.FALSE if kind is ChangeKind.RETRACTED else Verdict.TRUE
    number = None if math.isnan(value) else value  # what late data take back has none
    if rule.check == "at-limit":
        expr = f"share of a day's values of {tag} within a step of the detection limit"
        op, bound = ("<", rule.clear_below) if cleared else (">=", rule.share)
        return Leaf(expr=expr, left=number, op=op, right=bound, verdict=said)
    of = "differences" if rule.check == "differences" else "values"
    return Leaf(
        expr=f"standard deviation of {of} of {tag} in seven days over the median of the weeks before",
        left=number,
        op=">" if cleared else "<",
        right=rule.clear_above if cleared else rule.below,
        verdict=said,
    )
