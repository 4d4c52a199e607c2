"""Rules of kind `repeat_day`, followed day by day through a log."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from rules import layout
from rules.changes import Verdict
from rules.kinds import repeat_day as kind
from rules.leaves.limit import NEVER_COUNTED
from rules.leaves.model import Moment, Row, Seen, verdict
from rules.leaves.trace import Line, Tracer
from rules.params import UNREGISTERED_INTERVAL_MS, repeat_day_param

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rules.layout import Words
    from rules.pack import Bundle
    from rules.records import LogRecord
    from rules.rule import RepeatDayRule


@dataclass(frozen=True, slots=True)
class Judged:
    """A day of a series that was compared with another: its beginning (ms), the row that left it behind, and the leaves."""

    tag: str
    start: int
    row: Row
    leaves: tuple[Seen, ...]
    occasion: bool

    @property
    def moment(self) -> Moment:
        """Return what the leaves were."""
        return Moment("row", self.row.t, self.leaves, self.row)


@dataclass(slots=True)
class _Book:
    """The days of one series, as the rule's numbers keep them."""

    numbers: Words
    quantity: str
    words: Words = field(default_factory=kind.STATE.blank)


class DayTracer(Tracer):
    """What a rule makes of each day of the series that it watches."""

    def __init__(
        self, rule: RepeatDayRule, bundle: Bundle, facility: str, *, ignore_pack_records: bool = False
    ) -> None:
        super().__init__(rule.id, bundle, facility, ignore_pack_records=ignore_pack_records)
        self.rule = rule
        self.found: list[Judged] = []
        self._books: dict[str, _Book] = {}

    def _adopt(self, now: int, old_until: int, *, packs: bool = False) -> None:
        super()._adopt(now, old_until, packs=packs)
        for tag in self._books.keys() - self.lines.keys():
            del self._books[tag]
        for tag, line in self.lines.items():
            if not all(seen.verdict is Verdict.TRUE for seen in line.watch.conditions):
                self._books.pop(tag, None)
                continue
            sensor = line.watch.sensor
            numbers = repeat_day_param(self.rule, sensor, sensor.interval or UNREGISTERED_INTERVAL_MS)
            book = self._books.get(tag)
            same = book is not None and np.array_equal(book.numbers[: kind.LAG], numbers[: kind.LAG])
            if book is None or not same or book.quantity != sensor.quantity:
                self._books[tag] = _Book(numbers, sensor.quantity)
            else:
                book.numbers = numbers

    def _row(self, line: Line | None, row: Row) -> None:
        if line is None:
            return
        newest, refused = line.segments[-1].rows.newest, sum(line.refused.values())
        super()._row(line, row)
        book = self._books.get(line.tag)
        if book is None or sum(line.refused.values()) != refused:
            return
        known = row.quality not in NEVER_COUNTED and not math.isnan(row.value)
        a, w = book.numbers, book.words
        if newest is not None and row.t <= newest:
            if known:
                kind.put(a, a.view(np.float64), 0, w, w.view(np.float64), 0, row.t, row.value)
            return
        self._judge(line.tag, book, row)
        out = np.zeros(kind.DAYS, layout.OUT)
        kind.step(a, a.view(np.float64), 0, w, w.view(np.float64), 0, 0, row.t, row.m, row.value, known, out, 0)

    def _judge(self, tag: str, book: _Book, row: Row) -> None:
        a, w = book.numbers, book.words
        day = int(w[kind.NEXT])
        zone = int(a[kind.ZONE])
        while (
            w[kind.DAY] != layout.NONE
            and day <= w[kind.DAY]
            and row.t >= (day + 1) * kind.DAY_MS - zone + layout.HORIZON_MS
        ):
            start = day * kind.DAY_MS - zone
            seen = [
                self._compared(*(int(n) for n in kind.compare(a, 0, w, 0, day, lag // kind.DAY_MS)))
                for lag in self.rule.lags
            ]
            for leaves in seen:
                copied = leaves[-1].verdict is Verdict.TRUE
                self.found.append(Judged(tag, start, row, leaves, copied))
                if copied:
                    break
            day += 1

    def _compared(self, pairs: int, equal: int, different: int, squares: int) -> tuple[Seen, ...]:
        rule = self.rule
        chance = squares / (pairs * pairs) if pairs else 0.0
        within = 1_000 * squares <= round(1_000 * rule.chance) * pairs * pairs
        guards = (
            Seen("pairs", verdict(pairs >= rule.pairs), pairs, ">=", rule.pairs),
            Seen("different", verdict(different >= rule.distinct), different, ">=", rule.distinct),
            Seen("chance", verdict(within), chance, "<=", rule.chance),
        )
        said = Verdict.UNKNOWN
        if all(seen.verdict is Verdict.TRUE for seen in guards):
            said = verdict(1_000 * equal >= round(1_000 * rule.share) * pairs)
        return (*guards, Seen("equal", said, equal / pairs if pairs else None, ">=", rule.share))


def days_of(rule: RepeatDayRule, log: Iterable[LogRecord], bundle: Bundle) -> list[Judged]:
    """Return what a rule made of the days of one facility's log, oldest first; of a day that is a copy the last says so."""
    log = list(log)
    names = {record.facility for record in log if record.facility}
    tracer = DayTracer(rule, bundle, next(iter(names), ""))
    for record in log:
        tracer.fold(record)
    return tracer.found
