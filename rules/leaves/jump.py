"""The leaves of a `jump` rule: those of a limit over the changes from one record to the next, which are made here of the rows."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from rules.changes import Verdict
from rules.kinds.jump import rounded
from rules.leaves import limit
from rules.leaves.limit import LimitNumbers, LimitRun, counts
from rules.leaves.model import TWO, Leaf, Moment, Row, Seen, both, verdict
from rules.params import UNREGISTERED_INTERVAL_MS, deadband_width
from rules.records import QUALITY_NAMES
from rules.watching import changes_of
from rules.wording import sign

if TYPE_CHECKING:
    from rules.pack import Bundle
    from rules.register import Sensor
    from rules.rule import JumpRule

_WORDS = {
    "above": ("the value rises by more than the upper limit", "数值上升超过上限"),
    "below": ("the value falls by more than the lower limit", "数值下降超过下限"),
}


def leaves_of(rule: JumpRule, bundle: Bundle) -> list[Leaf]:
    """Return the leaves that the rule has, in the order of its condition."""
    before = both("the record before that counts is at most 2 intervals old", "上一条有效记录不早于 2 个间隔")
    found = []
    for leaf in limit.leaves_of(rule, bundle):
        words = both(*_WORDS[leaf.name]) if leaf.name in _WORDS else leaf.words
        found.append(Leaf(leaf.name, words, leaf.verdicts))
        if leaf.name == ("range" if limit.excluding(rule, bundle) else "reading"):
            found.append(Leaf("before", before, TWO))
    return found


@dataclass(frozen=True, slots=True)
class JumpNumbers:
    """What a jump rule compares the changes of a series with."""

    limits: LimitNumbers
    quantity: str
    range: tuple[float, float, bool]
    """Low, high of what the excluding rules let through, and whether one of them watches the sensor."""

    @property
    def key(self) -> tuple[object, ...]:
        """Return what decides: equal keys decide equal rows alike."""
        return self.limits.key


def numbers_of(rule: JumpRule, sensor: Sensor, delivery: int, span: tuple[float, float, bool]) -> JumpNumbers:
    """Return the numbers for a sensor; `span` as of `measuring_range`."""
    low, high, used = changes_of(rule, sensor.unit)
    interval = sensor.interval or UNREGISTERED_INTERVAL_MS
    width = deadband_width(rule.clear.deadband, low, high)
    everything = (-math.inf, math.inf, False)
    numbers = LimitNumbers(rule, low, high, used, width, interval, delivery, sign(sensor.unit), everything)
    return JumpNumbers(numbers, sensor.quantity, span)


@dataclass(slots=True)
class JumpRun(LimitRun):
    """The condition as its rows make it: each known row is compared with the one before it."""

    range: tuple[float, float, bool] = (-math.inf, math.inf, False)
    quantity: str = ""
    held: tuple[int, float] | None = None
    raw: Row | None = None
    asked: list[Seen] = field(default_factory=list)
    """The leaves of the newest row itself."""

    def adopt(self, numbers: JumpNumbers, begin: int) -> None:
        """Take numbers from `begin` (log time, ms) on; nothing is held of what was another quantity."""
        self.numbers, self.range = numbers.limits, numbers.range
        self.floor = begin if self.newest is not None else self.floor
        if numbers.quantity != self.quantity:
            self.held, self.quantity = None, numbers.quantity

    def row(self, row: Row) -> None:
        """Fold a row in event-time order."""
        low, high, watched = self.range
        counted = counts(self.numbers.rule, row.quality) and not math.isnan(row.value)
        said = "null" if math.isnan(row.value) else QUALITY_NAMES[row.quality]
        self.asked = [Seen("reading", verdict(counted), said, "counts for", self.numbers.rule.id)]
        change = math.nan
        if counted:
            inside = low <= row.value <= high
            between = f"{low:g} to {high:g}" if watched else None
            truth = verdict(inside) if watched else Verdict.UNKNOWN
            self.asked.append(Seen("range", truth, row.value, "in", between, self.numbers.unit))
            if inside:
                change = self._change(row)
        self.raw = row
        LimitRun.row(self, replace(row, value=change, quality=0))

    def _change(self, row: Row) -> float:
        age = math.inf if self.held is None else row.t - self.held[0]
        fresh = age <= 2 * self.numbers.interval
        left = None if self.held is None else age
        self.asked.append(Seen("before", verdict(fresh), left, "<=", 2.0 * self.numbers.interval, "ms"))
        change = rounded(row.value - self.held[1]) if self.held is not None and fresh else math.nan
        self.held = (row.t, row.value)
        return float(change)

    def _tell(self, by: str, at: int, leaves: list[Seen], row: Row | None) -> None:
        if by == "row":
            leaves = [*self.asked, *(leaf for leaf in leaves if leaf.name not in {"reading", "range"})]
        self.last = tuple(leaves)
        self.see(Moment(by, at, self.last, self.raw if by == "row" else row))
