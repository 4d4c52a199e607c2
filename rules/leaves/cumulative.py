"""The leaves of a `cumulative` rule, row by row."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rules.changes import Verdict
from rules.instants import format_duration
from rules.kinds.cumulative import PARTS
from rules.leaves.limit import LimitRun, counts, sides
from rules.leaves.limit import excluding as excludes
from rules.leaves.model import TWO, Leaf, Moment, Seen, Standing, both, verdict
from rules.params import UNREGISTERED_INTERVAL_MS
from rules.records import QUALITY_NAMES
from rules.watching import bounds_of
from rules.wording import sign

if TYPE_CHECKING:
    from collections.abc import Callable

    from rules.changes import LimitUsed
    from rules.exceptions import SiteException
    from rules.facts import FactValue
    from rules.leaves.limit import LimitNumbers
    from rules.leaves.model import Row, See
    from rules.pack import Bundle
    from rules.register import Sensor
    from rules.rule import CumulativeRule


def leaves_of(rule: CumulativeRule, bundle: Bundle) -> list[Leaf]:
    """Return the leaves that the rule has, in the order of its condition."""
    total, below, window = (format_duration(ms) for ms in (rule.total, rule.clear_below, rule.window))
    wait = format_duration(rule.unknown.max)
    low, high = sides(rule, bundle)
    candidates = [
        (True, "reading", "the reading counts: a value of a quality that counts", "读数有效：有数值且质量合格"),
        (excludes(rule, bundle), "range", "the value lies inside the measuring range", "数值在量程之内"),
        (high, "above", "the value lies above the upper limit", "数值高于上限"),
        (low, "below", "the value lies below the lower limit", "数值低于下限"),
        (rule.idle_while, "single", f"inside an occurrence of {rule.idle_while}", f"处于 {rule.idle_while} 的报警期间"),
        (True, "covered", f"three quarters of the last {window} are covered by readings", f"最近 {window} 的读数覆盖率达到 75%"),
        (True, "total", f"beyond the limit for {total} in total", f"累计超限达到 {total}"),
        (True, "clear", f"beyond the limit for less than {below} in total", f"累计超限少于 {below}"),
        (
            True, "unknown", f"no reading that counts for longer than {wait} or 3 intervals, or too little of the window covered",
            f"超过 {wait} 或 3 个间隔没有有效读数，或窗口覆盖不足",
        ),
    ]  # fmt: skip
    two = {"reading", "single", "covered", "unknown"}
    return [
        Leaf(name, both(en, zh), TWO) if name in two else Leaf(name, both(en, zh))
        for has, name, en, zh in candidates
        if has
    ]


@dataclass(frozen=True, slots=True)
class CumulativeNumbers:
    """What a cumulative rule compares with on one series; equal keys decide equal rows alike."""

    rule: CumulativeRule
    low: float
    high: float
    used: tuple[LimitUsed, ...]
    interval: int
    delivery: int
    unit: str
    range: tuple[float, float, bool]
    single: LimitNumbers | None

    @property
    def key(self) -> tuple[object, ...]:
        """Return what decides."""
        r = self.rule
        own = (r.total, r.clear_below, r.window, r.severity, r.limits.inclusive, r.unknown, r.marked)
        single = None if self.single is None else (self.single.rule.id, self.single.key)
        return (self.low, self.high, self.interval, self.delivery, single, *own)

    @property
    def summed(self) -> tuple[object, ...]:
        """Return by what time is summed, whatever the sum is held against."""
        single = None if self.single is None else (self.single.rule.id, self.single.key)
        return (self.low, self.high, self.rule.window, self.rule.limits.inclusive, self.rule.marked, single)

    @property
    def unknown_ms(self) -> int:
        """Return how long after an interval without a counting row an alarm becomes unknown."""
        return max(self.rule.unknown.max, 3 * self.interval)


def numbers_of(
    rule: CumulativeRule, sensor: Sensor, facts: dict[str, FactValue], bundle: Bundle, delivery: int,
    span: tuple[float, float, bool], single: LimitNumbers | None, one: SiteException | None = None,
) -> CumulativeNumbers | None:  # fmt: skip
    """Return the numbers for a sensor, None where its limits are unknown."""
    found = bounds_of(rule, sensor, facts, bundle, one)
    if found is None:
        return None
    interval = sensor.interval or UNREGISTERED_INTERVAL_MS
    return CumulativeNumbers(rule, *found, interval, delivery, sign(sensor.unit), span, single)


@dataclass(slots=True)
class _Span:
    begin: int
    end: int
    beyond: bool


def _ignore(moment: Moment) -> None:
    """Take no note: what the single event says, its own rule says."""


@dataclass(slots=True)
class CumulativeRun:
    """The condition as its rows make it; `see` is told the leaves of each moment."""

    numbers: CumulativeNumbers
    see: See
    floor: int = -1
    stands: Standing = field(default_factory=Standing)
    single: LimitRun | None = None
    spans: list[_Span] = field(default_factory=list)
    known: Row | None = None
    beyond: bool = False
    newest: Row | None = None
    last: tuple[Seen, ...] = ()

    def __post_init__(self) -> None:
        """Begin the single event, if one is named."""
        if self.numbers.single is not None:
            self.single = LimitRun(self.numbers.single, _ignore)

    def adopt(self, numbers: CumulativeNumbers, begin: int) -> None:
        """Take other numbers at `begin` (log time, ms)."""
        if numbers.rule.window != self.numbers.rule.window:
            self.spans, self.beyond = [], False
        if numbers.single is None:
            self.single = None
        elif self.single is None or numbers.single.rule.id != self.single.numbers.rule.id:
            self.single = LimitRun(numbers.single, _ignore)
        else:
            self.single.numbers = numbers.single
        self.numbers, self.floor = numbers, begin

    def row(self, row: Row) -> None:
        """Fold a row in event-time order."""
        n = self.numbers
        self.newest = row
        counted = counts(n.rule, row.quality) and not math.isnan(row.value)
        said = "null" if math.isnan(row.value) else QUALITY_NAMES[row.quality]
        leaves = [Seen("reading", verdict(counted), said, "counts for", n.rule.id)]
        low, high, watched = n.range
        inside = low <= row.value <= high
        if counted:
            between = f"{low:g} to {high:g}" if watched else None
            leaves.append(
                Seen("range", verdict(inside) if watched else Verdict.UNKNOWN, row.value, "in", between, n.unit)
            )
        known = counted and inside
        if known and self.known is not None and row.t - self.known.t <= 2 * n.interval:
            self.spans.append(_Span(self.known.t, row.t, self.beyond))
        self._single(lambda run: run.row(row))
        if known:
            self._known(row, leaves)
        else:
            leaves += self._blind()
            late = self.known is not None and row.t >= self.known.t + n.interval + n.unknown_ms
            self.stands.unknown = self.stands.unknown or (self.stands.active and late)
        if self.stands.active:
            leaves.append(self._unknown(row.t))
        self._tell("row", row.t, leaves)

    def _single(self, act: Callable[[LimitRun], None]) -> None:
        """Let the single event go on; what lies inside it counts no longer."""
        if self.single is None:
            return
        was = self.single.stands.active
        act(self.single)
        stands = self.single.stands
        if stands.active and not was and stands.start is not None:
            for span in self.spans:
                span.beyond = span.beyond and span.begin < stands.start
            self.beyond = False

    def _known(self, row: Row, leaves: list[Seen]) -> None:
        n, s, v = self.numbers, self.stands, row.value
        above, below = (">=", "<=") if n.rule.limits.inclusive else (">", "<")
        over = v >= n.high if n.rule.limits.inclusive else v > n.high
        under = v <= n.low if n.rule.limits.inclusive else v < n.low
        if math.isfinite(n.high):
            leaves.append(Seen("above", verdict(over), v, above, n.high, n.unit))
        if math.isfinite(n.low):
            leaves.append(Seen("below", verdict(under), v, below, n.low, n.unit))
        inside = self.single is not None and self.single.stands.active
        if self.single is not None:
            leaves.append(Seen("single", verdict(inside), self.single.stands.phase, "is", "active"))
        self.known, self.beyond = row, (over or under) and not inside
        part = n.rule.window // PARTS
        begin = ((row.t - 1) // part - PARTS + 1) * part
        self.spans = [span for span in self.spans if span.end > begin]
        covered = sum(span.end - max(span.begin, begin) for span in self.spans)
        total = sum(span.end - max(span.begin, begin) for span in self.spans if span.beyond)
        enough = 4 * covered >= 3 * (row.t - begin)
        leaves.append(Seen("covered", verdict(enough), covered, ">=", 0.75 * (row.t - begin), "ms"))
        s.notes = {"beyond": total, "covered": covered}
        reached, less = verdict(total >= n.rule.total), verdict(total < n.rule.clear_below)
        leaves.append(Seen("total", reached if enough else Verdict.UNKNOWN, total, ">=", n.rule.total, "ms"))
        if s.active:
            leaves.append(Seen("clear", less if enough else Verdict.UNKNOWN, total, "<", n.rule.clear_below, "ms"))
        s.unknown = s.active and not enough
        if enough and not s.active and reached is Verdict.TRUE:
            s.phase, s.start, s.colour = "active", row.t, n.rule.severity.base.rank
        elif enough and s.active and less is Verdict.TRUE:
            s.phase, s.start = "normal", None

    def clock(self, to: int) -> None:
        """Take what the clock alone decides up to `to`: an alarm becomes unknown."""
        n, s = self.numbers, self.stands
        self._single(lambda run: run.clock(to))
        if not s.active or s.unknown or self.known is None or self.newest is None:
            return
        due = max(self.known.t + n.interval + n.unknown_ms + n.delivery, self.newest.m, self.floor)
        if due <= to:
            s.unknown = True
            self._tell("clock", due, [self._unknown(due)])

    def finish(self, now: int) -> None:
        """Say how the leaves stand at the end: as the newest row left them, or unknown where the series is overdue."""
        n = self.numbers
        if self.newest is not None and now <= self.newest.t + 2 * n.interval + n.delivery:
            self.see(Moment("end", now, self.last, self.newest))
            return
        leaves = self._blind()
        if self.stands.active:
            leaves.append(self._unknown(now))
        self.see(Moment("end", now, tuple(leaves), self.newest))

    def _blind(self) -> list[Seen]:
        n = self.numbers
        names = ["above"] if math.isfinite(n.high) else []
        names += ["below"] if math.isfinite(n.low) else []
        return [Seen(name, Verdict.UNKNOWN) for name in [*names, "clear" if self.stands.active else "total"]]

    def _unknown(self, now: int) -> Seen:
        n = self.numbers
        since = now - (now if self.known is None else self.known.t)
        return Seen("unknown", verdict(self.stands.unknown), since, ">=", n.interval + n.unknown_ms, "ms")

    def _tell(self, by: str, at: int, leaves: list[Seen]) -> None:
        self.last = tuple(leaves)
        self.see(Moment(by, at, self.last, self.newest))
