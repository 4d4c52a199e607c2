"""Leaves of a rule of kind `repeat_day`; `rules.leaves.days` follows it through a log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rules.instants import format_duration
from rules.leaves.model import TWO, Leaf, both

if TYPE_CHECKING:
    from rules.rule import RepeatDayRule


def leaves_of(rule: RepeatDayRule) -> list[Leaf]:
    """Return the leaves of a rule, in the order of its condition; each is asked of every lag."""
    lags = [format_duration(lag) for lag in rule.lags]
    en, zh = " or ".join(lags), " 或 ".join(lags)
    share, chance = f"{100 * rule.share:g} %", f"{100 * rule.chance:g} %"
    return [
        Leaf("pairs", both(f"at least {rule.pairs} records have one {en} before", f"至少 {rule.pairs} 条记录在 {zh} 前有对应记录"), TWO),
        Leaf("different", both(f"at least {rule.distinct} different values among them", f"其中至少 {rule.distinct} 个不同数值"), TWO),
        Leaf("chance", both(f"at most {chance} would agree by chance", f"偶然相同的比例不超过 {chance}"), TWO),
        Leaf("equal", both(f"at least {share} of them are equal", f"相同比例达到 {share}")),
    ]  # fmt: skip
