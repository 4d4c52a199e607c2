"""The leaves of a `steadiness` rule, row by row; plainly, with the values of each day as a list."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rules.changes import Verdict
from rules.kinds.steadiness import A_STEP, DAY_MS, ENTERED, LARGEST, LEAST, MONDAY, PARTS, WEEK, WEEKS
from rules.leaves.limit import NEVER_COUNTED
from rules.leaves.model import TWO, Leaf, Moment, Seen, Standing, both, verdict
from rules.params import UNREGISTERED_INTERVAL_MS, zone_ms
from rules.records import QUALITY_NAMES
from rules.watching import used_at_limit

if TYPE_CHECKING:
    from rules.leaves.model import Row, See
    from rules.register import Sensor
    from rules.rule import SteadinessRule

OF = {"spread": ("values", "数值"), "differences": ("differences of neighbours", "相邻读数之差")}
"""What a check takes the standard deviation of."""


def leaves_of(rule: SteadinessRule) -> list[Leaf]:
    """Return the leaves that the rule has, in the order of its condition."""
    reading = Leaf(
        "reading", both("the reading counts: a value of a quality that counts", "读数有效：有数值且质量合格"), TWO
    )
    if rule.check == "at-limit":
        return [
            reading,
            Leaf("covered", both("the day before has three quarters of its records", "前一日的记录不少于应有数的四分之三"), TWO),
            Leaf("at_limit", both(f"of its values {rule.share:.3g} lie within a step of the detection limit", f"其数值中至少 {rule.share:.3g} 位于检出限一个分辨率之内")),
            Leaf("seldom", both(
                f"of the 13 weeks before (at least {rule.weeks} known) less than {rule.before:.3g} do", f"此前 13 周（至少 {rule.weeks} 周已知）中不足 {rule.before:.3g}",
            )),
            Leaf("away", both(f"of the day's values less than {rule.clear_below:.3g} lie there", f"该日数值中位于该处者不足 {rule.clear_below:.3g}")),
        ]  # fmt: skip
    en, zh = OF[rule.check]
    below, above = f"{rule.below:.3g}", f"{rule.clear_above:.3g}"
    return [
        reading,
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
        own = (s.detection_limit, s.resolution) if self.rule.check == "at-limit" else ()
        return (
            self.rule.check, s.quantity, s.area, s.serial, self.interval, limits and (limits.low, limits.high), own
        )  # fmt: skip

    @property
    def days(self) -> int:
        """Return how many days are judged together."""
        return 1 if self.rule.check == "at-limit" else WEEK

    @property
    def key(self) -> tuple[object, ...]:
        """Return what decides."""
        r = self.rule
        return (*self.same, r.below, r.clear_above, r.share, r.before, r.clear_below, r.weeks, r.severity)


def numbers_of(rule: SteadinessRule, sensor: Sensor) -> SteadinessNumbers | None:
    """Return the numbers for a sensor, None where the register lacks what its values are compared with."""
    if used_at_limit(rule, sensor) is None:
        return None
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
    """Standard deviations, or shares, of the weeks that were entered, newest first."""
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
        taken, check, sensor = self.days.setdefault(day, []), self.numbers.rule.check, self.numbers.sensor
        if check == "spread":
            taken.append(row.value)
        elif check == "at-limit":
            reach = (sensor.resolution or 0.0) * A_STEP
            taken.append(float(abs(row.value - (sensor.detection_limit or 0.0)) <= reach))
        else:
            if self.seen is not None and row.t - self.seen[0] <= 2 * self.numbers.interval:
                taken.append(row.value - self.seen[1])
            self.seen = (row.t, row.value)

    def _turn(self, last: int, day: int) -> list[Seen]:
        shares = self.numbers.rule.check == "at-limit"
        taken = self._of(last, self.numbers.days)
        leaves = self._judge_share(taken, last) if shares else self._judge(taken, last)
        weeks = (day + MONDAY) // WEEK - (last + MONDAY) // WEEK
        if weeks and not self.stands.active:
            week = self._of(last, (last + MONDAY) % WEEK + 1)
            found = None
            if self._covers(week, WEEK):
                found = statistics.fmean(week) if shares else _deviation(week)
            self.weeks = [*[None] * min(weeks - 1, ENTERED), found, *self.weeks][:ENTERED]
        self.days = {each: values for each, values in self.days.items() if each > day - WEEK}
        self.judged = tuple(leaves)
        return leaves

    def _of(self, last: int, days: int) -> list[float]:
        return [value for each in range(last - days + 1, last + 1) for value in self.days.get(each, [])]

    def _covers(self, taken: list[float], days: int) -> bool:
        return 4 * len(taken) * self.numbers.interval >= 3 * days * DAY_MS

    def _covered(self, taken: list[float]) -> Seen:
        days = self.numbers.days
        expected = -(-3 * days * DAY_MS // (4 * self.numbers.interval))
        return Seen("covered", verdict(self._covers(taken, days)), len(taken), ">=", expected)

    def _stand(self, last: int, against: float, *, begins: bool, ends: bool) -> None:
        s = self.stands
        if begins and not s.active:
            self.against = against
            s.phase, s.colour = "active", self.numbers.rule.severity.base.rank
            s.start = (last - self.numbers.days + 1) * DAY_MS - zone_ms()
        elif ends and s.active:
            s.phase, s.start = "normal", None

    def _judge(self, taken: list[float], last: int) -> list[Seen]:
        rule, against = self.numbers.rule, self.against
        covered = self._covered(taken)
        if not self.stands.active:
            first = 0 if (last + MONDAY) % WEEK == WEEK - 1 else 1
            known = [week for week in self.weeks[first : first + WEEKS] if week is not None]
            against = statistics.median(known) if len(known) >= rule.weeks else math.nan
        based = against > LEAST
        found = _deviation(taken) / against if covered.verdict is Verdict.TRUE and based else None
        narrow = _compared("narrow", found, "<", rule.below)
        wide = _compared("wide", found, ">", rule.clear_above)
        self._stand(last, against, begins=narrow.verdict is Verdict.TRUE, ends=wide.verdict is Verdict.TRUE)
        shown = None if math.isnan(against) else against
        return [covered, Seen("baseline", verdict(based), shown, ">", LEAST, self.numbers.sensor.unit), narrow, wide]

    def _judge_share(self, taken: list[float], last: int) -> list[Seen]:
        rule, against = self.numbers.rule, self.against
        covered = self._covered(taken)
        if not self.stands.active:
            known = [week for week in self.weeks[:WEEKS] if week is not None]
            against = statistics.fmean(known) if len(known) >= rule.weeks else math.nan
        share = statistics.fmean(taken) if covered.verdict is Verdict.TRUE else None
        there = _compared("at_limit", share, ">=", rule.share)
        seldom = _compared("seldom", None if math.isnan(against) else against, "<", rule.before)
        away = _compared("away", share, "<", rule.clear_below)
        begins = there.verdict is seldom.verdict is Verdict.TRUE
        self._stand(last, against, begins=begins, ends=away.verdict is Verdict.TRUE)
        return [covered, there, seldom, away]

    def clock(self, to: int) -> None:
        """Take what the clock decides: nothing."""

    def finish(self, now: int) -> None:
        """Say how the leaves stand at the end: those of the newest row, with the newest judgement."""
        told = {seen.name for seen in self.last}
        self.see(
            Moment("end", now, (*self.last, *(seen for seen in self.judged if seen.name not in told)), self.newest)
        )


def _compared(name: str, found: float | None, op: str, bound: float | None) -> Seen:
    """Return the comparison of a ratio or share, as it is rounded, with its bound."""
    if found is None or bound is None:
        return Seen(name, Verdict.UNKNOWN, None, op, bound)
    shown = math.floor(found * PARTS + 0.5) / PARTS
    holds = {"<": shown < bound, ">": shown > bound, ">=": shown >= bound}[op]
    return Seen(name, verdict(holds), shown, op, bound)


def _deviation(values: list[float]) -> float:
    """Return the standard deviation of all of some values."""
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))
