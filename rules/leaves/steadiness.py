"""The leaves of a `steadiness` rule, row by row; plainly, with the values of each day as a list."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rules.changes import Verdict
from rules.kinds.steadiness import DAY_MS, ENTERED, LARGEST, LEAST, MONDAY, PARTS, WEEK, WEEKS
from rules.leaves.limit import NEVER_COUNTED
from rules.leaves.model import TWO, Leaf, Moment, Seen, Standing, both, verdict
from rules.params import UNREGISTERED_INTERVAL_MS, zone_ms
from rules.records import QUALITY_NAMES

if TYPE_CHECKING:
    from rules.leaves.model import Row, See
    from rules.register import Sensor
    from rules.rule import SteadinessRule

OF = {"spread": ("values", "数值"), "differences": ("differences of neighbours", "相邻读数之差")}
"""What a check takes the standard deviation of."""


def leaves_of(rule: SteadinessRule) -> list[Leaf]:
    """Return the leaves that the rule has, in the order of its condition."""
    en, zh = OF[rule.check]
    below, above = f"{rule.below:.3g}", f"{rule.clear_above:.3g}"
    return [
        Leaf("reading", both("the reading counts: a value of a quality that counts", "读数有效：有数值且质量合格"), TWO),
        Leaf("covered", both("the seven days before have three quarters of their records", "此前 7 日的记录不少于应有数的四分之三"), TWO),
        Leaf("baseline", both(f"{rule.weeks} of the 13 weeks before them are known, and not all alike", f"更早 13 周中至少 {rule.weeks} 周已知且有波动"), TWO),
        Leaf("narrow", both(f"standard deviation of the {en}, over the median of those weeks, < {below}", f"{zh}的标准差与各周中位数之比 < {below}")),
        Leaf("wide", both(f"... > {above}", f"该比值 > {above}")),
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class SteadinessNumbers:
    """What the rule compares with on one series; equal keys decide equal rows alike."""

    rule: SteadinessRule
    sensor: Sensor
    interval: int

    @property
    def same(self) -> tuple[object, ...]:
        """Return what, when it changes, lets the counting begin anew."""
        s, limits = self.sensor, self.sensor.limits
        return (
            self.rule.check, s.quantity, s.area, s.serial, self.interval, limits and (limits.low, limits.high)
        )  # fmt: skip

    @property
    def key(self) -> tuple[object, ...]:
        """Return what decides."""
        r = self.rule
        return (*self.same, r.below, r.clear_above, r.weeks, r.severity)


def numbers_of(rule: SteadinessRule, sensor: Sensor) -> SteadinessNumbers:
    """Return the numbers for a sensor."""
    return SteadinessNumbers(rule, sensor, sensor.interval or UNREGISTERED_INTERVAL_MS)


@dataclass(slots=True)
class SteadinessRun:
    """The condition as its rows make it; `see` is told the leaves of each row."""

    numbers: SteadinessNumbers
    see: See
    stands: Standing = field(default_factory=Standing)
    days: dict[int, list[float]] = field(default_factory=dict)
    """Local day -> what was taken of it; of the newest eight."""
    weeks: list[float | None] = field(default_factory=list)
    """Standard deviations of the weeks that were entered, newest first."""
    against: float = math.nan
    day: int | None = None
    seen: tuple[int, float] | None = None
    newest: Row | None = None
    judged: tuple[Seen, ...] = ()
    last: tuple[Seen, ...] = ()

    def adopt(self, numbers: SteadinessNumbers) -> None:
        """Take other numbers; of another sensor, place, interval or other limits nothing is counted yet."""
        before, self.numbers = self.numbers, numbers
        if before.same != numbers.same:
            self.days, self.weeks, self.day, self.seen, self.judged = {}, [], None, None, ()

    def row(self, row: Row) -> None:
        """Fold a row in event-time order."""
        rule, self.newest = self.numbers.rule, row
        counted = row.quality not in NEVER_COUNTED and not math.isnan(row.value)
        said = "null" if math.isnan(row.value) else QUALITY_NAMES[row.quality]
        leaves = [Seen("reading", verdict(counted), said, "counts for", rule.id)]
        if counted and abs(row.value) < LARGEST:
            day = (row.t + zone_ms()) // DAY_MS
            if self.day is not None and day > self.day:
                leaves += self._turn(self.day, day)
            self.day = day
            self._take(row, day)
        self.last = tuple(leaves)
        self.see(Moment("row", row.t, self.last, row))

    def _take(self, row: Row, day: int) -> None:
        taken = self.days.setdefault(day, [])
        if self.numbers.rule.check == "spread":
            taken.append(row.value)
            return
        if self.seen is not None and row.t - self.seen[0] <= 2 * self.numbers.interval:
            taken.append(row.value - self.seen[1])
        self.seen = (row.t, row.value)

    def _turn(self, last: int, day: int) -> list[Seen]:
        taken = [value for each in range(last - 6, last + 1) for value in self.days.get(each, [])]
        leaves = self._judge(taken, last)
        weeks = (day + MONDAY) // WEEK - (last + MONDAY) // WEEK
        if weeks and not self.stands.active:
            monday = last - (last + MONDAY) % WEEK
            week = [value for each in range(monday, last + 1) for value in self.days.get(each, [])]
            found = _deviation(week) if self._covers(week) else None
            self.weeks = [*[None] * min(weeks - 1, ENTERED), found, *self.weeks][:ENTERED]
        self.days = {each: values for each, values in self.days.items() if each > day - WEEK}
        self.judged = tuple(leaves)
        return leaves

    def _covers(self, taken: list[float]) -> bool:
        return 4 * len(taken) * self.numbers.interval >= 3 * WEEK * DAY_MS

    def _judge(self, taken: list[float], last: int) -> list[Seen]:
        rule, s = self.numbers.rule, self.stands
        covered = self._covers(taken)
        against = self.against
        if not s.active:
            first = 0 if (last + MONDAY) % WEEK == WEEK - 1 else 1
            known = [week for week in self.weeks[first : first + WEEKS] if week is not None]
            against = statistics.median(known) if len(known) >= rule.weeks else math.nan
        based = against > LEAST
        ratio = None
        if covered and based:
            ratio = math.floor(_deviation(taken) / against * PARTS + 0.5) / PARTS
        narrow, wide = ratio is not None and ratio < rule.below, ratio is not None and ratio > rule.clear_above
        unknown = ratio is None
        expected = -(-3 * WEEK * DAY_MS // (4 * self.numbers.interval))
        leaves = [
            Seen("covered", verdict(covered), len(taken), ">=", expected),
            Seen("baseline", verdict(based), None if math.isnan(against) else against, ">", LEAST, self.numbers.sensor.unit),
            Seen("narrow", Verdict.UNKNOWN if unknown else verdict(narrow), ratio, "<", rule.below),
            Seen("wide", Verdict.UNKNOWN if unknown else verdict(wide), ratio, ">", rule.clear_above),
        ]  # fmt: skip
        if narrow and not s.active:
            self.against = against
            s.phase, s.colour = "active", rule.severity.base.rank
            s.start = (last - WEEK + 1) * DAY_MS - zone_ms()
        elif wide and s.active:
            s.phase, s.start = "normal", None
        return leaves

    def clock(self, to: int) -> None:
        """Take what the clock decides: nothing."""

    def finish(self, now: int) -> None:
        """Say how the leaves stand at the end: those of the newest row, with the newest judgement."""
        told = {seen.name for seen in self.last}
        self.see(
            Moment("end", now, (*self.last, *(seen for seen in self.judged if seen.name not in told)), self.newest)
        )


def _deviation(values: list[float]) -> float:
    """Return the standard deviation of all of some values."""
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))
