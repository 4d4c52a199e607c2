"""Leaves of rules over rows that were not folded as others are (`rules.rare.rows`): row by row, from the log and the register."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rules.changes import Verdict
from rules.instants import format_duration
from rules.leaves.limit import NEVER_COUNTED
from rules.leaves.model import TWO, Leaf, Moment, Seen, both, verdict
from rules.leaves.trace import Line, Tracer
from rules.rare.rows import differs
from rules.rule import ClockRule, ConflictRule

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rules.leaves.model import Row
    from rules.pack import Bundle
    from rules.records import LogRecord
    from rules.rule import RowRule

NAN = float("nan")


def leaves_of(rule: RowRule) -> list[Leaf]:
    """Return the leaves of a rule, in the order of its condition."""
    if isinstance(rule, ConflictRule):
        return [
            Leaf("again", both("a row of that event time had come", "该时刻的记录此前已收到"), TWO),
            Leaf("other", both("the value is another one, as the sensor shows it", "按登记分辨率，数值不同")),
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
    ]


@dataclass(frozen=True, slots=True)
class Odd:
    """A row that a rule looked at: its series, itself, the row that stood, the leaves, and whether it is an occasion."""

    tag: str
    row: Row
    stood: Row | None
    leaves: tuple[Seen, ...]
    occasion: bool

    @property
    def moment(self) -> Moment:
        """Return what the leaves were."""
        return Moment("row", self.row.t, self.leaves, self.row)


class RowTracer(Tracer):
    """What a rule makes of each row of the series that it watches."""

    def __init__(self, rule: RowRule, bundle: Bundle, facility: str, *, ignore_pack_records: bool = False) -> None:
        super().__init__(rule.id, bundle, facility, ignore_pack_records=ignore_pack_records)
        self.rule = rule
        self.found: list[Odd] = []

    def _row(self, line: Line | None, row: Row) -> None:
        if line is None:
            return
        stood = next((one for one in line.segments[-1].rows.rows if one.t == row.t), None)
        before = dict(line.refused)
        super()._row(line, row)
        standing = next((name for name, many in line.refused.items() if before.get(name, 0) != many), "folded")
        if all(seen.verdict is Verdict.TRUE for seen in line.watch.conditions):
            self.found.append(self._judged(line, row, stood, standing))

    def _judged(self, line: Line, row: Row, stood: Row | None, standing: str) -> Odd:
        if isinstance(self.rule, ClockRule):
            leaves = _timed(self.rule, row, standing)
            holds = [seen.verdict is Verdict.TRUE for seen in leaves]
            return Odd(line.tag, row, None, leaves, all(holds) if self.rule.check == "late-evidence" else any(holds))
        again = standing in {"duplicate", "conflict"} and stood is not None
        first = Seen("again", verdict(again), standing)
        if not again or stood is None:
            return Odd(line.tag, row, stood, (first,), occasion=False)
        sensor = line.watch.sensor
        values = [NAN if one.quality in NEVER_COUNTED else one.value for one in (row, stood)]
        said = differs(values[0], values[1], sensor.resolution)
        second = Seen("other", said, row.value, "!=", stood.value, sensor.unit)
        return Odd(line.tag, row, stood, (first, second), said is Verdict.TRUE)


def _timed(rule: ClockRule, row: Row, standing: str) -> tuple[Seen, ...]:
    age = row.received - row.t
    if rule.check == "late-evidence":
        recent = Seen("recent", verdict(age <= rule.behind), age, "<=", rule.behind, "ms")
        return Seen("stale", verdict(standing == "stale"), standing), recent
    ahead = rule.ahead or 0
    return (
        Seen("ahead", verdict(-age > ahead), -age, ">", ahead, "ms"),
        Seen("behind", verdict(age > rule.behind), age, ">", rule.behind, "ms"),
    )


def rows_of(rule: RowRule, log: Iterable[LogRecord], bundle: Bundle) -> list[Odd]:
    """Return what a rule made of the rows of one facility's log, oldest first."""
    log = list(log)
    names = {record.facility for record in log if record.facility}
    tracer = RowTracer(rule, bundle, next(iter(names), ""))
    for record in log:
        tracer.fold(record)
    return tracer.found
