"""Leaves of rules over rows that were not folded as others are (`rules.rare.rows`); `rules.leaves.rowtrace` follows them through a log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rules.instants import format_duration
from rules.leaves.model import TWO, Leaf, both
from rules.rule import ConflictRule

if TYPE_CHECKING:
    from rules.rule import RowRule

NAN = float("nan")
UNNAMED = both("no amendment that came before names it", "此前未收到指明该数据的更正报告")


def leaves_of(rule: RowRule) -> list[Leaf]:
    """Return the leaves of a rule, in the order of its condition."""
    if isinstance(rule, ConflictRule):
        return [
            Leaf("again", both("a row of that event time had come", "该时刻的记录此前已收到"), TWO),
            Leaf("other", both("the value is another one, as the sensor shows it", "按登记分辨率，数值不同")),
            Leaf("unnamed", UNNAMED, TWO),
        ]
    far = format_duration(rule.behind)
    if rule.check == "late-evidence":
        stale = both("it is older than the horizon of its series", "早于该测点的在线窗口")
        return [
            Leaf("stale", stale, TWO),
            Leaf("recent", both(f"it came at most {far} behind its event time", f"晚到不超过 {far}"), TWO),
        ]
    near = format_duration(rule.ahead or 0)
    return [
        Leaf(
            "ahead",
            both(f"its event time lies more than {near} ahead of its receipt", f"事件时间超前接收时间 {near} 以上"),
            TWO,
        ),
        Leaf("behind", both(f"it came more than {far} behind its event time", f"晚到超过 {far}"), TWO),
        Leaf("unnamed", UNNAMED, TWO),
    ]
