"""Words and evidence of series that move far less than they did (kind `steadiness`)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rules.changes import ChangeKind, Leaf, Verdict
from rules.models import Bilingual
from rules.rule import SteadinessRule

if TYPE_CHECKING:
    from rules.plan import Instance


def raised(instance: Instance, value: float, unit: str) -> Bilingual | None:  # noqa: ARG001 - as of all kinds
    """Return the sentence of a raise, None for rules of other kinds; `value` is the ratio."""
    rule, tag = instance.rule, instance.tag
    if not isinstance(rule, SteadinessRule):
        return None
    share = f"{100 * value:.3g} %"
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
    """Return what decided, None for rules of other kinds: the ratio."""
    rule, tag = instance.rule, instance.tag
    if not isinstance(rule, SteadinessRule):
        return None
    cleared = kind is ChangeKind.CLEARED
    of = "differences" if rule.check == "differences" else "values"
    return Leaf(
        expr=f"standard deviation of {of} of {tag} in seven days over the median of the weeks before",
        left=None if math.isnan(value) else value,  # what late data take back has none
        op=">" if cleared else "<",
        right=rule.clear_above if cleared else rule.below,
        verdict=Verdict.FALSE if kind is ChangeKind.RETRACTED else Verdict.TRUE,
    )
