"""The leaves of a `mean_kinetic` rule: row by row, and at each month's end."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rules.changes import Verdict
from rules.instants import NEVER_MS
from rules.kinds.mean_kinetic import DIGITS, MONTHS, begin_of, mean_of, month_of, rate_of
from rules.kinds.mean_kinetic import counts as storable
from rules.leaves.limit import counts, excluding
from rules.leaves.model import TWO, Leaf, Moment, Seen, Standing, both, verdict
from rules.params import UNREGISTERED_INTERVAL_MS, zone_ms
from rules.records import QUALITY_NAMES
from rules.wording import sign

if TYPE_CHECKING:
    from rules.leaves.model import Row, See
    from rules.pack import Bundle
    from rules.register import Sensor
    from rules.rule import MeanKineticRule

AT_MONTH_END = ("averages", "year_covered", "mean", "clear_mean")
"""Leaves that are asked at a month's end only; their last answer stands until the next."""


def leaves_of(rule: MeanKineticRule, bundle: Bundle) -> list[Leaf]:
    """Return the leaves that the rule has, in the order of its condition."""
    candidates = [
        (True, "reading", "the reading counts: a value of a quality that counts", "读数有效：有数值且质量合格", True),
        (excluding(rule, bundle), "range", "the value lies inside the measuring range", "数值在量程之内", False),
        (True, "averages", "each of the twelve months has an average", "十二个月均有平均值", True),
        (True, "year_covered", "three quarters of the twelve months are covered by readings", "十二个月的读数覆盖率达到 75%", True),
        (True, "mean", f"the mean kinetic temperature lies above {rule.above:g}", f"平均动力学温度高于 {rule.above:g}", False),
        (True, "clear_mean", f"the mean kinetic temperature is at most {rule.clear_at:g}", f"平均动力学温度不高于 {rule.clear_at:g}", False),
    ]  # fmt: skip
    return [
        Leaf(name, both(en, zh), TWO) if two else Leaf(name, both(en, zh))
        for has, name, en, zh, two in candidates
        if has
    ]


@dataclass(frozen=True, slots=True)
class MeanNumbers:
    """What a mean kinetic rule compares with on one series; equal keys decide equal rows alike."""

    rule: MeanKineticRule
    interval: int
    delivery: int
    unit: str
    range: tuple[float, float, bool]

    @property
    def key(self) -> tuple[object, ...]:
        """Return what decides."""
        r = self.rule
        return (self.interval, self.delivery, r.above, r.clear_at, r.severity, r.marked)

    @property
    def summed(self) -> tuple[object, ...]:
        """Return by what a month is summed, whatever the year is held against."""
        return (self.interval, self.rule.marked)


def numbers_of(rule: MeanKineticRule, sensor: Sensor, delivery: int, span: tuple[float, float, bool]) -> MeanNumbers:
    """Return the numbers for a sensor."""
    return MeanNumbers(rule, sensor.interval or UNREGISTERED_INTERVAL_MS, delivery, sign(sensor.unit), span)


@dataclass(slots=True)
class MeanRun:
    """The condition as its rows make it; `see` is told the leaves of each moment."""

    numbers: MeanNumbers
    see: See
    floor: int = -1
    stands: Standing = field(default_factory=Standing)
    months: dict[int, tuple[int, float]] = field(default_factory=dict)
    """Month -> covered ms, sum of covered ms times rate."""
    month: int | None = None
    judged: int = 0
    known: Row | None = None
    newest: Row | None = None
    last: tuple[Seen, ...] = ()

    def row(self, row: Row) -> None:
        """Fold a row in event-time order."""
        n = self.numbers
        self.newest = row
        counted = counts(n.rule, row.quality) and not math.isnan(row.value)
        said = "null" if math.isnan(row.value) else QUALITY_NAMES[row.quality]
        leaves = [Seen("reading", verdict(counted), said, "counts for", n.rule.id)]
        low, high, watched = n.range
        if counted:
            inside = verdict(low <= row.value <= high) if watched else Verdict.UNKNOWN
            between = f"{low:g} to {high:g}" if watched else None
            leaves.append(Seen("range", inside, row.value, "in", between, n.unit))
        if counted and low <= row.value <= high and storable(row.value):
            self._known(row, leaves)
        self._tell("row", row.t, leaves)

    def _known(self, row: Row, leaves: list[Seen]) -> None:
        zone = zone_ms()
        month = month_of(row.t, zone)
        if self.month is None:
            self.month = month
        since = None
        if self.known is not None and row.t - self.known.t <= 2 * self.numbers.interval:
            since = self.known.t
        while self.month < month:
            end = begin_of(self.month + 1, zone)
            if since is not None:
                self._weigh(end - since)
                since = end
            leaves += self._judge()
            self.month, self.judged = self.month + 1, 0
            self.months = {m: sums for m, sums in self.months.items() if m > self.month - MONTHS}
        if since is not None:
            self._weigh(row.t - since)
        self.known = row

    def _weigh(self, span: int) -> None:
        if self.known is not None and self.month is not None and span > 0:
            weight, total = self.months.get(self.month, (0, 0.0))
            self.months[self.month] = (weight + span, total + span * rate_of(self.known.value))

    def _judge(self) -> list[Seen]:
        """Judge the twelve months that end with the present one; returns the leaves."""
        n, s, zone, month = self.numbers, self.stands, zone_ms(), self.month or 0
        end, begin = begin_of(month + 1, zone), begin_of(month - MONTHS + 1, zone)
        year = [self.months.get(each, (0, 0.0)) for each in range(month - MONTHS + 1, month + 1)]
        some = sum(weight > 0 for weight, _ in year)
        covered, total = sum(weight for weight, _ in year), sum(each for _, each in year)
        enough = 4 * covered >= 3 * (end - begin)
        leaves = [
            Seen("averages", verdict(some == MONTHS), some, ">=", MONTHS),
            Seen("year_covered", verdict(enough), covered, ">=", 0.75 * (end - begin), "ms"),
        ]
        name = "clear_mean" if s.active else "mean"
        if some < MONTHS or not enough:
            s.unknown = s.active
            return [*leaves, Seen(name, Verdict.UNKNOWN)]
        mean, s.unknown = mean_of(float(covered), total) / DIGITS, False
        rule = n.rule
        leaves.append(Seen("mean", verdict(mean > rule.above), mean, ">", rule.above, n.unit))
        if s.active:
            leaves.append(Seen("clear_mean", verdict(mean <= rule.clear_at), mean, "<=", rule.clear_at, n.unit))
            if mean <= rule.clear_at:
                s.phase, s.start = "normal", None
        elif mean > rule.above:
            s.phase, s.start, s.colour = "active", end, rule.severity.base.rank
        return leaves

    def clock(self, to: int) -> None:
        """Take what the clock alone decides up to `to`: the month of the newest row, and the one behind it."""
        while True:
            due = self._due()
            if due > to:
                return
            if self.judged == 0:
                leaves = self._judge()
            else:
                self.stands.unknown = True
                leaves = [Seen("averages", Verdict.FALSE, MONTHS - 1, ">=", MONTHS)]
            self.judged += 1
            self._tell("clock", due, leaves)

    def _due(self) -> int:
        s, n = self.stands, self.numbers
        if self.month is None or self.newest is None or self.judged > 1:
            return NEVER_MS
        standing = s.active and not s.unknown
        some = self.judged == 0 and self.months.get(self.month, (0, 0.0))[0] > 0
        if self.judged == 0 and not standing and not some:
            return NEVER_MS
        if self.judged == 1 and not standing:
            return NEVER_MS
        end = begin_of(self.month + 1 + self.judged, zone_ms())
        return max(end + 2 * n.interval + n.delivery, self.newest.m, self.floor)

    def finish(self, now: int) -> None:
        """Say how the leaves stand at the end: as they were told last."""
        self.see(Moment("end", now, self.last, self.newest))

    def _tell(self, by: str, at: int, leaves: list[Seen]) -> None:
        self.last = tuple(leaves)
        self.see(Moment(by, at, self.last, self.newest))
