"""Rules over rows that were not folded as others are (`rules.rare.rows`), followed row by row through a log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rules.changes import Verdict
from rules.clocks.book import Book, Met
from rules.leaves.limit import NEVER_COUNTED
from rules.leaves.model import Moment, Seen, verdict
from rules.leaves.sent import Sent
from rules.leaves.trace import Line, Tracer
from rules.rare.amendments import REPORT
from rules.rare.named import Named, differs
from rules.records import Report
from rules.reports.quality import Amendment
from rules.reports.reading import fields_of
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
        self._sent, self._book, self._named = Sent(), Book(), Named()

    def fold(self, record: LogRecord) -> None:
        """Fold a record, and take notice of the readings that it names if it is an amendment."""
        super().fold(record)
        payload = record.payload
        if record.facility != self.name:
            return
        self._sent.take(payload, record.received)
        if not isinstance(payload, Report) or payload.type != REPORT or not self._sent.registered:
            return
        model = fields_of(payload)
        if not isinstance(model, Amendment) or self._book.meet(payload) is not Met.TAKEN:
            return
        if self._sent.named(model, record.received):
            self._named.note(model)

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
            if self.rule.check == "late-evidence" or not holds[1]:
                occasion = all(holds) if self.rule.check == "late-evidence" else any(holds)
                return Odd(line.tag, row, None, leaves, occasion)
            sensor = line.watch.sensor
            unnamed = not self._named.names(line.tag, row.t, row.value, sensor.resolution)
            return Odd(line.tag, row, None, (*leaves, Seen("unnamed", verdict(unnamed), row.value)), unnamed)
        again = standing in {"duplicate", "conflict"} and stood is not None
        first = Seen("again", verdict(again), standing)
        if not again or stood is None:
            return Odd(line.tag, row, stood, (first,), occasion=False)
        sensor = line.watch.sensor
        values = [NAN if one.quality in NEVER_COUNTED else one.value for one in (row, stood)]
        said = differs(values[0], values[1], sensor.resolution)
        second = Seen("other", said, row.value, "!=", stood.value, sensor.unit)
        if said is not Verdict.TRUE:
            return Odd(line.tag, row, stood, (first, second), occasion=False)
        unnamed = not self._named.names(line.tag, row.t, row.value, sensor.resolution, stood.value)
        third = Seen("unnamed", verdict(unnamed), row.value, "!=", stood.value, sensor.unit)
        return Odd(line.tag, row, stood, (first, second, third), unnamed)


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
