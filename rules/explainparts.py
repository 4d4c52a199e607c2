"""What explanations of all kinds of rules have in common, as JSON."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rules.instants import format_instant
from rules.records import QUALITY_NAMES

if TYPE_CHECKING:
    from rules.exceptions import SiteException
    from rules.leaves.model import Row, Seen
    from rules.leaves.rare import Come
    from rules.rule import Rule

ROWS = 12
"""The newest rows, or events, that an explanation names."""
FATES = {
    "occasion": ("counts: the condition holds since it", "计入：条件自此成立"),
    "counted": ("counted, not enough of them", "已计数，次数不足"),
    "awaited": ("what should follow is still awaited", "尚在等待后续事件"),
    "answered": ("followed in time", "已按时出现后续事件"),
    "unheard": ("unknown: nothing else of the area was heard", "未知：该区域无其他信号"),
    "unmeasured": (
        "unknown: no excursion was told of its asset, unit and time, one is open, or not all of its time was measured",
        "未知：相应对象、单位和时间内无超限，超限尚未结束，或测量不完整",
    ),
    "unknown": (
        "unknown: no calendar holds its days, or it began before the rule listened",
        "未知：日历未涵盖，或其开始早于规则启用",
    ),
    "within": ("compared: not above its limit", "已比对：未超过限值"),
    "unregistered": (
        "unknown: its area, or a fact of it, is not registered; judged again when it is",
        "未知：其区域或所需登记信息尚未登记，补齐后再判定",
    ),
    "unreadable": (
        "unknown: it names no area, test or method that is known, no number, or a unit that its limit does not know; send it anew",
        "未知：未写明可识别的区域、检验项目、方法或数值，或其单位与限值不可换算，须重新上报",
    ),
    "heard": ("kept: what it tells counts", "已保留：其内容计入判定"),
    "done": ("done with: closed by a decision, or too old", "已了结：已由决定关闭或过旧"),
    "again": ("it had come before", "重复事件"),
    "not kept": ("not kept: the rule did not watch it, or there was no room", "未保留：当时规则不适用或超出容量"),
    "traced": ("counted: the values show it", "已计数：数值可见变化"),
    "untraced": ("counted: the values do not show it", "已计数：数值未见变化"),
    "uncounted": (
        "not counted: closed too soon or open already, its rows missing, bad or too far apart, or not one of the newest",
        "不计：关门过快或此前已开，相应读数缺失、无效或间隔过大，或已不属最近几次",
    ),
    "unmatched": (
        "unknown: it is not complete, no record lies within an interval of it, or an error or the unit is not known",
        "未知：内容不全，一个采样间隔内无记录，或误差、单位未知",
    ),
    "void": ("no effect: none of the readings that it names can have come", "无效：所指数据均不可能存在"),
    "folded": ("it has its effect, or came again", "已采用，或系重复提交"),
    "timely": ("declared in time", "按时申报"),
    "revised": ("declares no time that the revision before it did not", "未增加前一修订之外的时段"),
    "replaced": ("counts no more: a higher number of it came", "不再计入：已有编号更高的修订"),
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


def exception_json(one: SiteException | None) -> dict[str, Any]:
    """Return the site exception from the rule that is in force for the series, whole, as a member; nothing where there is none."""
    if one is None:
        return {}
    return {"exception": one.model_dump(mode="json", by_alias=True, exclude_none=True)}


def row_json(row: Row) -> dict[str, Any]:
    """Return a row with its event and receive times; `late` where something newer had already come."""
    return {
        "event": format_instant(row.t), "received": format_instant(row.received), "batch": row.batch,
        "value": None if math.isnan(row.value) else row.value, "quality": QUALITY_NAMES[row.quality],
        "late": row.m != row.received, **({"mark": row.mark} if row.mark else {}),
    }  # fmt: skip


def said_json(seen: Seen | None, name: str = "") -> dict[str, Any]:
    """Return a leaf as it was, None where it was not asked."""
    if seen is None:
        return {"leaf": name, "verdict": None}
    value = {"leaf": seen.name, "verdict": seen.verdict.value, "left": seen.left, "op": seen.op, "right": seen.right}
    return {**value, "unit": seen.unit} if seen.unit else value


@dataclass(slots=True)
class Told:
    """One event that a rule asked about, and what became of it."""

    t: int
    received: int
    batch: str
    fate: str
    event: dict[str, Any] = field(default_factory=dict)
    """Stream, type, source and the fields that the rule asks for; nothing where it came before the log, with a saved state."""
    until: int | None = None
    """What should follow is awaited up to this event time ..."""
    decided: int | None = None
    """... and decided at this log time."""
    answer: Come | None = None
    """The event that followed."""

    def to_json(self) -> dict[str, Any]:
        """Return the value for `--json`."""
        times = {"until": self.until, "decided": self.decided}
        found: dict[str, Any] = {
            "event": format_instant(self.t), "received": format_instant(self.received), "batch": self.batch,
            "fate": self.fate, **self.event,
            **{name: format_instant(at) for name, at in times.items() if at is not None},
        }  # fmt: skip
        if self.answer is not None:
            by = self.answer
            found["answer"] = {
                "event": format_instant(by.t), "received": format_instant(by.received), "batch": by.batch
            }  # fmt: skip
        return found
