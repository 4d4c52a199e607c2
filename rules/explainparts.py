"""What explanations of all kinds of rules have in common, as JSON."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from rules.instants import format_instant
from rules.records import QUALITY_NAMES

if TYPE_CHECKING:
    from rules.leaves.model import Row, Seen
    from rules.rule import Rule

ROWS = 12
"""The newest rows, or events, that an explanation names."""
FATES = {
    "occasion": ("counts: the condition holds since it", "计入：条件自此成立"),
    "counted": ("counted, not enough of them", "已计数，次数不足"),
    "awaited": ("what should follow is still awaited", "尚在等待后续事件"),
    "answered": ("followed in time", "已按时出现后续事件"),
    "unheard": ("unknown: nothing else of the area was heard", "未知：该区域无其他信号"),
    "heard": ("kept: what it tells of the clock counts", "已保留：其时钟偏差计入判定"),
    "done": ("done with: closed by a decision, or too old", "已了结：已由决定关闭或过旧"),
    "again": ("it had come before", "重复事件"),
    "not kept": ("not kept: the rule did not watch it, or there was no room", "未保留：当时规则不适用或超出容量"),
    "not meant": ("not meant by the rule", "不属规则所指"),
}
"""What became of an event that a rule over rare records asked about."""


def rule_json(rule: Rule) -> dict[str, Any]:
    """Return what an explanation says of the rule itself."""
    return rule.model_dump(
        mode="json",
        by_alias=True,
        exclude_none=True,
        include={"id", "version", "title", "kind", "stage", "cites"},
    )


def row_json(row: Row) -> dict[str, Any]:
    """Return a row with its event and receive times; `late` where something newer had already come."""
    return {
        "event": format_instant(row.t), "received": format_instant(row.received), "batch": row.batch,
        "value": None if math.isnan(row.value) else row.value, "quality": QUALITY_NAMES[row.quality],
        "late": row.m != row.received,
    }  # fmt: skip


def said_json(seen: Seen | None, name: str = "") -> dict[str, Any]:
    """Return a leaf as it was, None where it was not asked."""
    if seen is None:
        return {"leaf": name, "verdict": None}
    value = {"leaf": seen.name, "verdict": seen.verdict.value, "left": seen.left, "op": seen.op, "right": seen.right}
    return {**value, "unit": seen.unit} if seen.unit else value
