"""Leaves of rules over rows that were not folded as others are (`rules.rare.rows`): row by row, from the log and the register."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rules.changes import Verdict
from rules.leaves.limit import NEVER_COUNTED
from rules.leaves.model import TWO, Leaf, Moment, Seen, both, verdict
from rules.leaves.trace import Line, Tracer
from rules.rare.rows import differs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rules.leaves.model import Row
    from rules.pack import Bundle
    from rules.records import LogRecord
    from rules.rule import RowRule

NAN = float("nan")


def leaves_of(rule: RowRule) -> list[Leaf]:
    """Return the leaves of a rule, in the order of its condition."""
    del rule
    return [
        Leaf("again", both("a row of that event time had come", "该时刻的记录此前已收到"), TWO),
        Leaf("other", both("the value is another one, as the sensor shows it", "按登记分辨率，数值不同")),
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
        again = standing in {"duplicate", "conflict"} and stood is not None
        leaves = [Seen("again", verdict(again), standing)]
        said = Verdict.FALSE
        if again and stood is not None:
            sensor = line.watch.sensor
            values = [NAN if one.quality in NEVER_COUNTED else one.value for one in (row, stood)]
            said = differs(values[0], values[1], sensor.resolution)
            leaves.append(Seen("other", said, row.value, "!=", stood.value, sensor.unit))
        return Odd(line.tag, row, stood, tuple(leaves), said is Verdict.TRUE)


def rows_of(rule: RowRule, log: Iterable[LogRecord], bundle: Bundle) -> list[Odd]:
    """Return what a rule made of the rows of one facility's log, oldest first."""
    log = list(log)
    names = {record.facility for record in log if record.facility}
    tracer = RowTracer(rule, bundle, next(iter(names), ""))
    for record in log:
        tracer.fold(record)
    return tracer.found
