"""The leaves of a `last_digit` rule of check `precision`, row by row."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rules.instants import format_duration
from rules.kinds.too_precise import beyond, decimals_of
from rules.leaves.limit import NEVER_COUNTED
from rules.leaves.model import TWO, Leaf, Moment, Seen, Standing, both, verdict
from rules.params import UNREGISTERED_INTERVAL_MS
from rules.records import QUALITY_NAMES
from rules.wording import sign

if TYPE_CHECKING:
    from rules.leaves.model import Row, See
    from rules.register import Sensor
    from rules.rule import LastDigitRule


def leaves_of(rule: LastDigitRule) -> list[Leaf]:
    """Return the leaves that the rule has, in the order of its condition."""
    within, clean = format_duration(rule.within), format_duration(rule.clean)
    return [
        Leaf("reading", both("the reading counts: a value of a quality that counts", "读数有效：有数值且质量合格"), TWO),
        Leaf("decimals", both("it has more decimals than the registered resolution", "小数位多于登记分辨率"), TWO),
        Leaf("many", both(f"at least {rule.number} such values within {within}", f"{within} 内至少 {rule.number} 个此类数值"), TWO),
        Leaf("clean", both(f"records of {clean} without one", f"{clean} 的记录中没有此类数值"), TWO),
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class DigitNumbers:
    """What the rule compares with on one series; equal keys decide equal rows alike."""

    rule: LastDigitRule
    quantity: str
    resolution: float
    interval: int
    unit: str

    @property
    def key(self) -> tuple[object, ...]:
        """Return what decides."""
        r = self.rule
        return (decimals_of(self.resolution), self.interval, r.number, r.within, r.clean, r.severity)


def numbers_of(rule: LastDigitRule, sensor: Sensor) -> DigitNumbers | None:
    """Return the numbers for a sensor, None where no resolution is registered."""
    if sensor.resolution is None:
        return None
    interval = sensor.interval or UNREGISTERED_INTERVAL_MS
    return DigitNumbers(rule, sensor.quantity, sensor.resolution, interval, sign(sensor.unit))


@dataclass(slots=True)
class DigitRun:
    """The condition as its rows make it; `see` is told the leaves of each row."""

    numbers: DigitNumbers
    see: See
    stands: Standing = field(default_factory=Standing)
    times: list[int] = field(default_factory=list)
    known: Row | None = None
    calm: int | None = None
    """Covered time since the first record behind the newest such value; None before there is one."""
    newest: Row | None = None
    last: tuple[Seen, ...] = ()

    def adopt(self, numbers: DigitNumbers) -> None:
        """Take other numbers; of another resolution, quantity or number nothing is counted yet."""
        before, self.numbers = self.numbers, numbers
        if (before.quantity, before.key[0], before.key[2]) != (numbers.quantity, numbers.key[0], numbers.key[2]):
            self.times, self.known, self.calm = [], None, None

    def row(self, row: Row) -> None:
        """Fold a row in event-time order."""
        rule, self.newest = self.numbers.rule, row
        counted = row.quality not in NEVER_COUNTED and not math.isnan(row.value)
        said = "null" if math.isnan(row.value) else QUALITY_NAMES[row.quality]
        leaves = [Seen("reading", verdict(counted), said, "counts for", rule.id)]
        if counted:
            leaves += self._known(row)
        self.last = tuple(leaves)
        self.see(Moment("row", row.t, self.last, row))

    def _known(self, row: Row) -> list[Seen]:
        n, s = self.numbers, self.stands
        rule = n.rule
        if self.calm is not None and self.known is not None and row.t - self.known.t <= 2 * n.interval:
            self.calm += row.t - self.known.t
        self.known = row
        more = beyond(row.value, 10.0 ** decimals_of(n.resolution))
        leaves = [Seen("decimals", verdict(more), row.value, ">", n.resolution, n.unit)]
        if more:
            self.calm = None
            self.times = [*self.times, row.t][-rule.number :]
            near = [t for t in self.times if row.t - t <= rule.within]
            leaves.append(Seen("many", verdict(len(near) == rule.number), len(near), ">=", rule.number))
            if not s.active and len(near) == rule.number:
                s.phase, s.start, s.colour = "active", near[0], rule.severity.base.rank
            return leaves
        self.calm = self.calm or 0
        clean = self.calm >= rule.clean
        leaves.append(Seen("clean", verdict(clean), self.calm, ">=", rule.clean, "ms"))
        if s.active and clean:
            s.phase, s.start, self.times = "normal", None, []
        return leaves

    def clock(self, to: int) -> None:
        """Take what the clock decides: nothing."""

    def finish(self, now: int) -> None:
        """Say how the leaves stand at the end: as they were told last."""
        self.see(Moment("end", now, self.last, self.newest))
