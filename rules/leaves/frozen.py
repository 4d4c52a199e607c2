"""The leaves of a `frozen` rule, row by row."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rules.changes import Verdict
from rules.instants import format_duration
from rules.leaves.limit import counts
from rules.leaves.model import TWO, Leaf, Moment, Seen, Standing, both, verdict
from rules.params import UNREGISTERED_INTERVAL_MS
from rules.records import QUALITY_NAMES
from rules.wording import sign

if TYPE_CHECKING:
    from rules.leaves.model import Row, See
    from rules.register import Sensor
    from rules.rule import FrozenRule

HOUR_MS = 3_600_000
HOURS = 24


def leaves_of(rule: FrozenRule) -> list[Leaf]:
    """Return the leaves that the rule has, in the order of its condition."""
    span, share, wait = format_duration(rule.span), f"{rule.window_share:.3g}", format_duration(rule.unknown.max)
    return [
        Leaf("reading", both("the reading counts: a value of a quality that counts", "读数有效：有数值且质量合格"), TWO),
        Leaf("identical", both(
            f"{rule.identical} equal values in a row ({rule.identical_coarse} above an interval of {format_duration(rule.coarse_interval)})",
            f"连续 {rule.identical} 个相同数值（间隔大于 {format_duration(rule.coarse_interval)} 时为 {rule.identical_coarse} 个）",
        )),
        Leaf("span", both(f"the equal values span {span}", f"相同数值跨越 {span}")),
        Leaf("flat", both(
            f"24 hours move by less than {share} of the registered limits' width",
            f"24 小时内波动小于登记限值宽度的 {share}",
        )),
        Leaf("moves", both(f"{rule.clear_distinct} different values in a row", f"连续 {rule.clear_distinct} 个不同数值")),
        Leaf("unknown", both(f"no reading that counts for longer than {wait} or 3 intervals", f"超过 {wait} 或 3 个间隔没有有效读数"), TWO),
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class FrozenNumbers:
    """What a frozen rule compares with on one series."""

    rule: FrozenRule
    identical: int
    width: float | None
    """Of the day's span, in the sensor's unit; None where the limits are not registered on both sides."""
    interval: int
    delivery: int
    unit: str

    @property
    def key(self) -> tuple[object, ...]:
        """Return what decides: equal keys decide equal rows alike."""
        r = self.rule
        return (
            self.identical,
            self.width,
            self.interval,
            self.delivery,
            r.span,
            r.clear_distinct,
            r.severity,
            r.marked,
        )

    @property
    def expected(self) -> int:
        """Return how many rows three quarters of a day have."""
        return math.ceil(0.75 * HOURS * HOUR_MS / self.interval)

    @property
    def unknown_ms(self) -> int:
        """Return how long after an interval without a counting row an alarm becomes unknown."""
        return max(self.rule.unknown.max, 3 * self.interval)


def numbers_of(rule: FrozenRule, sensor: Sensor, delivery: int) -> FrozenNumbers:
    """Return the numbers for a sensor."""
    interval = sensor.interval or UNREGISTERED_INTERVAL_MS
    identical = rule.identical_coarse if interval > rule.coarse_interval else rule.identical
    limits = sensor.limits
    width = None
    if limits is not None and limits.low is not None and limits.high is not None:
        width = rule.window_share * (limits.high - limits.low)
    return FrozenNumbers(rule, identical, width, interval, delivery, sign(sensor.unit))


@dataclass(slots=True)
class _Hour:
    hour: int
    low: float
    high: float
    rows: int = 0


@dataclass(slots=True)
class FrozenRun:
    """The condition as its rows make it; `see` is told the leaves of each moment."""

    numbers: FrozenNumbers
    see: See
    floor: int = -1
    stands: Standing = field(default_factory=Standing)
    known: int | None = None
    value: float = math.nan
    before: float = math.nan
    run: int = 0
    run_t: int = 0
    moves: int = 0
    by_span: bool = False
    hours: list[_Hour] = field(default_factory=list)
    newest: Row | None = None
    last: tuple[Seen, ...] = ()

    def row(self, row: Row) -> None:
        """Fold a row in event-time order."""
        n, s = self.numbers, self.stands
        self.newest = row
        counted = counts(n.rule, row.quality) and not math.isnan(row.value)
        said = QUALITY_NAMES[row.quality] if not math.isnan(row.value) else "null"
        leaves = [Seen("reading", verdict(counted), said, "counts for", n.rule.id)]
        if counted:
            s.unknown = False
            self._day(row, leaves)
            self._run(row, leaves)
        else:
            leaves += self._blind()
            silent = self.known is not None and row.t >= self.known + n.interval + n.unknown_ms
            s.unknown = s.unknown or (s.active and silent)
        if s.active:
            leaves.append(self._unknown(row.t, holds=s.unknown))
        s.notes = {"identical": self.run, "moves": self.moves, "spans": row.t - self.run_t}
        self._tell("row", row.t, leaves)

    def _day(self, row: Row, leaves: list[Seen]) -> None:
        """Judge the 24 full hours before the first row of an hour."""
        n, s = self.numbers, self.stands
        hour = row.t // HOUR_MS
        if self.hours and self.hours[-1].hour != hour:
            day = [h for h in self.hours if h.hour >= hour - HOURS]
            known = sum(h.rows for h in day)
            enough = n.width is not None and known >= n.expected
            span = max((h.high for h in day), default=0.0) - min((h.low for h in day), default=0.0)
            flat = enough and n.width is not None and span < n.width
            said = verdict(flat) if enough else Verdict.UNKNOWN
            leaves.append(Seen("flat", said, span if enough else f"{known} of {n.expected} rows", "<", n.width, n.unit))
            self.by_span = flat
            self.hours = day
            if flat and s.phase == "normal":
                s.phase, s.start, s.colour = "active", day[0].hour * HOUR_MS, n.rule.severity.base.rank
        if not self.hours or self.hours[-1].hour != hour:
            self.hours.append(_Hour(hour, row.value, row.value))
        last = self.hours[-1]
        last.low, last.high, last.rows = min(last.low, row.value), max(last.high, row.value), last.rows + 1

    def _run(self, row: Row, leaves: list[Seen]) -> None:
        n, s, v = self.numbers, self.stands, row.value
        if self.known is None or row.t - self.known > 2 * n.interval:
            self.run, self.run_t, self.moves, self.before = 1, row.t, 0, math.nan
        elif v == self.value:
            self.run, self.moves, self.before = self.run + 1, 0, self.value
        else:
            self.run, self.run_t = 1, row.t
            self.moves = self.moves + 1 if self.moves and v != self.before else 1
            self.before = self.value
        self.known, self.value = row.t, v
        many, long = self.run >= n.identical, row.t - self.run_t >= n.rule.span
        leaves.append(Seen("identical", verdict(many), self.run, ">=", n.identical))
        leaves.append(Seen("span", verdict(long), row.t - self.run_t, ">=", n.rule.span, "ms"))
        if s.phase == "normal":
            if many and long:
                s.phase, s.start, s.colour = "active", self.run_t, n.rule.severity.base.rank
            return
        moved = self.moves >= n.rule.clear_distinct
        leaves.append(Seen("moves", verdict(moved), self.moves, ">=", n.rule.clear_distinct))
        if moved and not self.by_span:
            s.phase, s.start = "normal", None

    def clock(self, to: int) -> None:
        """Take what the clock alone decides up to `to`: an alarm becomes unknown."""
        n, s = self.numbers, self.stands
        if not s.active or s.unknown or self.known is None or self.newest is None:
            return
        due = max(self.known + n.interval + n.unknown_ms + n.delivery, self.newest.m, self.floor)
        if due <= to:
            s.unknown = True
            self._tell("clock", due, [self._unknown(due, holds=True)])

    def finish(self, now: int) -> None:
        """Say how the leaves stand at the end: as the newest row left them, or unknown where the series is overdue."""
        n = self.numbers
        if self.newest is not None and now <= self.newest.t + 2 * n.interval + n.delivery:
            self.see(Moment("end", now, self.last, self.newest))
            return
        leaves = self._blind()
        if self.stands.active:
            leaves.append(self._unknown(now, holds=self.stands.unknown))
        self.see(Moment("end", now, tuple(leaves), self.newest))

    def _blind(self) -> list[Seen]:
        names = ["identical", "span", *(["moves"] if self.stands.active else [])]
        return [Seen(name, Verdict.UNKNOWN) for name in names]

    def _unknown(self, now: int, *, holds: bool) -> Seen:
        n = self.numbers
        return Seen("unknown", verdict(holds), now - (self.known or now), ">=", n.interval + n.unknown_ms, "ms")

    def _tell(self, by: str, at: int, leaves: list[Seen]) -> None:
        self.last = tuple(leaves)
        self.see(Moment(by, at, self.last, self.newest))
