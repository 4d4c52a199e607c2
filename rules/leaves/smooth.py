"""The leaves of a `limit` rule that is smoothed, row by row: its window is a list of rows here, summed anew for each."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rules.changes import Verdict
from rules.instants import NEVER_MS, format_duration
from rules.kinds.smooth import OF, PARTS, bound_of, concentration_of, parts_of
from rules.leaves.limit import counts, excluding
from rules.leaves.model import TWO, Leaf, Moment, Seen, Standing, both, verdict
from rules.params import UNREGISTERED_INTERVAL_MS
from rules.records import QUALITY_NAMES
from rules.smoothing import sampled_of, volumes_of
from rules.watching import bounds_of
from rules.wording import sign

if TYPE_CHECKING:
    from rules.changes import LimitUsed
    from rules.exceptions import SiteException
    from rules.facts import FactValue
    from rules.leaves.model import Row, See
    from rules.pack import Bundle
    from rules.register import Sensor
    from rules.rule import LimitRule, Smooth


def leaves_of(rule: LimitRule, smooth: Smooth, bundle: Bundle) -> list[Leaf]:
    """Return the leaves that the rule has, in the order of its condition."""
    early, wait = smooth.early, format_duration(rule.unknown.max)
    volume, clears = f"{float(smooth.cubic_metres):g} m3", rule.clear.consecutive
    found = [
        Leaf("reading", both("the reading counts: a value of a quality that counts", "读数有效：有数值且质量合格"), TWO)
    ]
    if excluding(rule, bundle):
        found.append(Leaf("range", both("the value lies inside the measuring range", "数值在量程之内")))
    found += [
        Leaf(
            "full",
            both(f"{volume} sampled since sampling began or was interrupted", f"自开始采样或中断以来已采样 {volume}"),
        ),
        Leaf(
            "above",
            both(f"the mean over the newest {volume} lies above the upper limit", f"最近采样 {volume} 的均值高于上限"),
        ),
    ]
    if early is not None:
        en = f"{early.to}: {early.records} of the newest {early.of} records count {early.count} or more"
        zh = f"{early.to}：最近 {early.of} 条记录中至少 {early.records} 条检出不少于 {early.count} 个粒子"
        found.append(Leaf("early", both(en, zh)))
    if clears > 1:
        words = both(f"{clears} decisions in a row are inside", f"连续 {clears} 次判定恢复正常")
        found.append(Leaf("clear_consecutive", words))
    words = both(
        f"no decision for longer than {wait} or 3 intervals: no reading that counts, or less than {volume} sampled",
        f"超过 {wait} 或 3 个间隔无法判定：没有有效读数，或采样不足 {volume}",
    )
    return [*found, Leaf("unknown", words, TWO)]


@dataclass(frozen=True, slots=True)
class SmoothNumbers:
    """What the rule compares with on one series; equal keys decide equal rows alike."""

    rule: LimitRule
    smooth: Smooth
    quantity: str
    high: float
    used: tuple[LimitUsed, ...]
    records: int
    """How many together sample the volume ..."""
    sample: float
    """... and how much each of them, m3."""
    one: int
    """From which concentration on, in parts, a record counts for the milder colour."""
    interval: int
    delivery: int
    unit: str
    range: tuple[float, float, bool]
    """Low, high of what the excluding rules let through, and whether one of them watches the sensor."""

    @property
    def key(self) -> tuple[object, ...]:
        """Return what decides."""
        r, early = self.rule, self.smooth.early
        own = (r.clear.consecutive, r.severity.base, r.limits.inclusive, self.unknown_ms, r.marked)
        more = None if early is None else (early.records, early.of, early.to, self.one)
        return (bound_of(self.high, self.records), self.records, self.interval, self.delivery, more, *own)

    @property
    def unknown_ms(self) -> int:
        """Return how long after an interval without a decision an alarm becomes unknown."""
        return max(self.rule.unknown.max, 3 * self.interval)


def numbers_of(
    rule: LimitRule, smooth: Smooth, sensor: Sensor, facts: dict[str, FactValue], bundle: Bundle, delivery: int,
    span: tuple[float, float, bool], one: SiteException | None = None,
) -> SmoothNumbers | None:  # fmt: skip
    """Return the numbers for a sensor, None where its limit, or what a record samples, is unknown."""
    found = bounds_of(rule, sensor, facts, bundle, one)
    records, sample = sampled_of(rule, sensor)
    if found is None or not records:
        return None
    interval = sensor.interval or UNREGISTERED_INTERVAL_MS
    used = found[2] + volumes_of(rule, sample)
    counted = 0 if smooth.early is None else concentration_of(smooth.early.count, sample)
    return SmoothNumbers(
        rule, smooth, sensor.quantity, found[1], used, records, sample, counted, interval, delivery, sign(sensor.unit), span,
    )  # fmt: skip


@dataclass(slots=True)
class SmoothRun:
    """The condition as its rows make it; `see` is told the leaves of each moment."""

    numbers: SmoothNumbers
    see: See
    floor: int = -1
    stands: Standing = field(default_factory=Standing)
    window: list[tuple[int, int]] = field(default_factory=list)
    """Event time and concentration, in parts, of the rows since sampling began: as many as the volume and the milder colour ask for."""
    since: int = -1
    """Rows up to here make no other alarm: one ended with them."""
    inside: int = 0
    clears: int = 0
    end: int | None = None
    decided: int | None = None
    newest: Row | None = None
    last: tuple[Seen, ...] = ()

    def adopt(self, numbers: SmoothNumbers, begin: int) -> None:
        """Take other numbers at `begin` (log time, ms); of another quantity or volume nothing is sampled yet."""
        before, self.numbers, self.floor = self.numbers, numbers, begin
        if (before.quantity, before.records, before.one) != (numbers.quantity, numbers.records, numbers.one):
            self._empty()

    def row(self, row: Row) -> None:
        """Fold a row in event-time order."""
        n, s = self.numbers, self.stands
        self.newest = row
        counted = counts(n.rule, row.quality) and not math.isnan(row.value) and row.value >= 0
        said = "null" if math.isnan(row.value) else QUALITY_NAMES[row.quality] if row.value >= 0 else "below zero"
        leaves = [Seen("reading", verdict(counted), said, "counts for", n.rule.id)]
        low, high, watched = n.range
        inside = low <= row.value <= high
        if counted:
            between = f"{low:g} to {high:g}" if watched else None
            truth = verdict(inside) if watched else Verdict.UNKNOWN
            leaves.append(Seen("range", truth, row.value, "in", between, n.unit))
        if counted and inside:
            self._known(row, leaves)
        else:
            self._empty()
            leaves += self._blind()
            self._undecided(row.t)
        if s.active:
            leaves.append(self._unknown(row.t))
        s.notes = {"records": len(self.window[-n.records :]), "clear_consecutive": self.clears}
        self._tell("row", row.t, leaves)

    def _known(self, row: Row, leaves: list[Seen]) -> None:
        n, s = self.numbers, self.stands
        if self.window and row.t - self.window[-1][0] > 2 * n.interval:
            self._empty()
        self.window = [*self.window, (row.t, parts_of(row.value))][-max(n.records, OF) :]
        newest = self.window[-n.records :]
        full = len(newest) == n.records
        sampled = round(len(newest) * n.sample, 9)
        leaves.append(Seen("full", verdict(full), sampled, ">=", float(n.smooth.cubic_metres), "m3"))
        total, bound = sum(parts for _, parts in newest), bound_of(n.high, n.records)
        exceeded = full and (total >= bound if n.rule.limits.inclusive else total > bound)
        above, op = total / (n.records * PARTS), ">=" if n.rule.limits.inclusive else ">"
        leaves.append(
            Seen("above", verdict(exceeded), above, op, n.high, n.unit) if full else Seen("above", Verdict.UNKNOWN)
        )
        hits = self._hits()
        early = n.smooth.early
        hint = early is not None and len(hits) >= early.records
        if early is not None:
            leaves.append(Seen("early", verdict(hint), len(hits), ">=", early.records))
        if not full and not hint:
            self._undecided(row.t)
            return
        self.decided = row.t
        if s.active:
            self._go_on(row, leaves, full=full, exceeded=exceeded, hint=hint)
        elif exceeded or hint:
            s.phase, s.start = "active", hits[0] if hint else row.t
            s.colour = n.rule.severity.base.rank if exceeded or early is None else early.to.rank

    def _go_on(self, row: Row, leaves: list[Seen], *, full: bool, exceeded: bool, hint: bool) -> None:
        n, s, early = self.numbers, self.stands, self.numbers.smooth.early
        s.unknown = False
        self.inside = self.inside + 1 if full and not exceeded else 0
        if exceeded:
            s.colour = n.rule.severity.base.rank
        elif hint and early is not None and self.inside >= n.rule.clear.consecutive:
            s.colour = early.to.rank
        if exceeded or hint:
            s.phase, self.clears = "active", 0
        else:
            self.end = row.t if s.phase == "active" else self.end
            s.phase, self.clears = "clearing", self.clears + 1
        wanted = n.rule.clear.consecutive
        leaves.append(Seen("clear_consecutive", verdict(self.clears >= wanted), self.clears, ">=", wanted))
        if self.clears >= wanted:
            s.phase, s.start = "normal", None
            self.since = -1 if self.end is None else self.end
            self.inside = self.clears = 0

    def _hits(self) -> list[int]:
        """Return the event times of the newest rows that count for the milder colour, oldest first."""
        n, early = self.numbers, self.numbers.smooth.early
        if early is None:
            return []
        return [t for t, parts in self.window[-early.of :] if parts >= n.one and t > self.since]

    def _undecided(self, t: int) -> None:
        n, s = self.numbers, self.stands
        if s.active and self.decided is not None and t >= self.decided + n.interval + n.unknown_ms:
            s.unknown = True

    def _empty(self) -> None:
        self.window, self.inside, self.clears = [], 0, 0
        if self.stands.phase == "clearing":
            self.stands.phase = "active"

    def clock(self, to: int) -> None:
        """Take what the clock alone decides up to `to`: that nothing was decided for long."""
        n, s = self.numbers, self.stands
        if not s.active or s.unknown or self.newest is None or self.decided is None:
            return
        due = max(self.decided + n.interval + n.unknown_ms + n.delivery, self.newest.m, self.floor)
        if due <= min(to, NEVER_MS):
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
        """Return the leaves that no record decides now."""
        names = ["full", "above"] + ["early"] * (self.numbers.smooth.early is not None)
        names += ["clear_consecutive"] if self.stands.active else []
        return [Seen(name, Verdict.UNKNOWN) for name in names]

    def _unknown(self, now: int) -> Seen:
        n = self.numbers
        since = now - (now if self.decided is None else self.decided)
        return Seen("unknown", verdict(self.stands.unknown), since, ">=", n.interval + n.unknown_ms, "ms")

    def _tell(self, by: str, at: int, leaves: list[Seen]) -> None:
        self.last = tuple(leaves)
        self.see(Moment(by, at, self.last, self.newest))
