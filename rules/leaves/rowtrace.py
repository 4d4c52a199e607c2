"""Rules over rows that were not folded as others are (`rules.rare.rows`), followed row by row through a log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rules.changes import Verdict
from rules.leaves.limit import NEVER_COUNTED
from rules.leaves.model import Moment, Seen, verdict
from rules.leaves.trace import Line, Tracer
from rules.rare.rows import differs
from rules.rule import ClockRule

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rules.leaves.model import Row
    from rules.pack import Bundle
    from rules.records import LogRecord
    from rules.rule import RowRule

NAN = float("nan")


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
        stood = line.segments[-1].rows.at(row.t)
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
