"""The leaves of a `difference` rule: those of a limit over the instants of a pair, which are made here of its inputs' rows."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from rules.layout import REACH
from rules.leaves import limit
from rules.leaves.limit import LimitNumbers
from rules.leaves.model import TWO, Leaf, Row, both
from rules.pairs import bounds_of_pair
from rules.params import UNREGISTERED_INTERVAL_MS, deadband_width
from rules.register import Span
from rules.ring import behind, capacity
from rules.scale import Step, limit_at, scale_of
from rules.tablerow import as_on
from rules.wording import sign

if TYPE_CHECKING:
    from rules.pack import Bundle
    from rules.pairs import Pair
    from rules.rule import DifferenceRule


def leaves_of(rule: DifferenceRule, bundle: Bundle) -> list[Leaf]:
    """Return the leaves that the rule has, in the order of its condition."""
    source = rule.limits.from_
    spans = [source] if isinstance(source, Span) else [row.limit for row in bundle.tables[source].rows]
    without = {"range"} if any(span.high is not None for span in spans) else {"range", "above"}
    if rule.limits.narrower is None and all(span.low is None for span in spans):
        without.add("below")
    share = f"{rule.max_age_intervals:g}"
    reading = both(
        f"the inputs have values that count, none older than {share} intervals",
        f"各输入均有有效数值，且不早于 {share} 个间隔",
    )
    found = [leaf for leaf in limit.leaves_of(rule, bundle) if leaf.name not in without]
    return [Leaf("reading", reading, TWO) if leaf.name == "reading" else leaf for leaf in found]


@dataclass(frozen=True, slots=True)
class PairNumbers:
    """What a rule compares a pair with."""

    limits: LimitNumbers
    tags: tuple[str, ...]
    sign: float
    ranges: tuple[tuple[float, float], ...]
    max_age: int
    kept: tuple[int, ...]
    scale: tuple[Step, ...] = ()

    @property
    def key(self) -> tuple[object, ...]:
        """Return what decides: equal keys decide equal rows alike."""
        return (self.limits.key, self.tags, self.sign, self.ranges, self.max_age, self.kept, self.scale)


def numbers_of(
    rule: DifferenceRule, pair: Pair, bundle: Bundle, delivery: int, ranges: list[tuple[float, float, bool]]
) -> PairNumbers | None:
    """Return the numbers for a pair, None where its limits are unknown; `ranges` as of `measuring_range`, by input."""
    found = bounds_of_pair(rule, pair, bundle)
    if found is None:
        return None
    low, high, used = found
    rule = as_on(rule, pair.facts, bundle)
    intervals = [sensor.interval or UNREGISTERED_INTERVAL_MS for sensor in pair.inputs]
    slower = max(intervals)
    width = deadband_width(rule.clear.deadband, low, high)
    everything = (-math.inf, math.inf, False)
    numbers = LimitNumbers(rule, low, high, used, width, slower, delivery, sign(pair.inputs[0].unit), everything)
    return PairNumbers(
        numbers, tuple(sensor.tag for sensor in pair.inputs), pair.sign, tuple(r[:2] for r in ranges),
        int(rule.max_age_intervals * slower), tuple(capacity(interval) for interval in intervals),
        scale_of(rule, pair.facts, bundle),
    )  # fmt: skip


@dataclass(slots=True)
class PairRows:
    """The rows of its inputs that a pair has read, by input."""

    inputs: tuple[list[Row], ...] = field(default_factory=lambda: ([], []))
    floor: int = -1
    trimmed: int = -1
    """Receive time up to which rows have been let go of."""
    before: dict[int, Row] = field(default_factory=dict)
    """What was held of each input before these rows."""
    early: set[tuple[int, int]] = field(default_factory=set)
    """Rows (which input, event time) that a mark decided, which came at their own receive time."""

    @property
    def seen(self) -> int:
        """Return the newest event time that was read, -1 for none."""
        return max([self.floor, *(row.t for rows in self.inputs for row in rows)])

    def put(self, which: int, row: Row, numbers: PairNumbers) -> None:
        """Take a row that was folded; rows behind the horizon are not read."""
        self.settle(row.received, numbers)
        if row.t > self.floor:
            self.inputs[which].append(row)

    def settle(self, now: int, numbers: PairNumbers) -> None:
        """Let the horizon follow what was decided before `now` (log time, ms)."""
        for moment in sorted(
            {row.received for rows in self.inputs for row in rows if self.trimmed < row.received < now}
        ):
            self.trimmed = moment
            seen = [sorted((r for r in rows if r.received <= moment), key=lambda r: r.t) for rows in self.inputs]
            times = np.array(sorted({row.t for rows in seen for row in rows if row.t > self.floor}), np.int64)
            left = behind(times, REACH * numbers.limits.interval)
            edge = int(times[left - 1]) if left else self.floor
            for rows, most in zip(seen, numbers.kept, strict=False):
                inside = [row for row in rows if row.t > edge][-most:]
                gone = [row.t for row in rows if not inside or row.t < inside[0].t]
                self.floor = max([self.floor, *gone])

    def decide(self, received: int, numbers: PairNumbers) -> None:
        """Take what came at a receive time (ms) for decided, although it is not over: something came that has to know it."""
        self.settle(received + 1, numbers)
        self.early = {
            (which, row.t) for which, rows in enumerate(self.inputs) for row in rows if row.received == received
        }

    def instants(self, numbers: PairNumbers, before: int) -> list[Row]:
        """Return the instants of the rows received before `before` (log time, ms): event time, difference or NaN."""
        return self._walk(numbers, before)[0]

    def behind(self, numbers: PairNumbers, before: int) -> PairRows:
        """Return room for the rows behind these, decided with other numbers; `before` as in `instants`."""
        return PairRows(floor=self.seen, before=self._walk(numbers, before)[1])

    @staticmethod
    def are_judged_again(old: object, new: object) -> bool:
        """Say whether new numbers judge the horizon again: of the same inputs, and others than measuring ranges alone."""
        if not isinstance(old, PairNumbers) or not isinstance(new, PairNumbers) or old.tags != new.tags:
            return False
        return replace(old, ranges=new.ranges).key != new.key

    def parted(self, numbers: PairNumbers, before: int) -> PairRows:
        """Take the rows of the horizon away from those that have left it, and return them; behind them the horizon has ended.

        Args:
            numbers: by which these were decided.
            before: log time up to which all rows were received, ms.
        """
        self.settle(before, numbers)
        seen, floor = self.seen, self.floor
        found = PairRows(
            tuple([row for row in rows if row.t > floor] for rows in self.inputs), seen, before - 1,
            early={(which, t) for which, t in self.early if t > floor},
        )  # fmt: skip
        self.inputs = tuple([row for row in rows if row.t <= floor] for rows in self.inputs)
        self.early = {
            (which, row.t) for which, rows in enumerate(self.inputs) for row in rows
        }  # all of them stand as decided
        found.before = self._walk(numbers, before)[1]
        return found

    def _walk(self, numbers: PairNumbers, before: int) -> tuple[list[Row], dict[int, Row]]:
        chosen = [
            [row for row in rows if row.received < before or (which, row.t) in self.early]
            for which, rows in enumerate(self.inputs)
        ]
        every = sorted((row for rows in chosen for row in rows), key=lambda row: row.t)
        found: list[Row] = []
        held = dict(self.before)
        for t in sorted({row.t for row in every}):
            now = [row for row in every if row.t == t]
            fresh = False
            for which in range(len(numbers.tags)):
                for row in (row for row in chosen[which] if row.t == t):
                    low, high = numbers.ranges[which]
                    if limit.counts(numbers.limits.rule, row.quality) and low <= row.value <= high:
                        held[which], fresh = row, True
            value = self._value(numbers, held, t) if fresh else math.nan
            m = min(row.received for row in every if row.t >= t)
            found.append(replace(now[-1], value=value, quality=0, m=m))
        return found, held

    @staticmethod
    def _value(numbers: PairNumbers, held: dict[int, Row], t: int) -> float:
        if len(numbers.tags) == 1:
            return numbers.sign * held[0].value
        if len(held) < len(numbers.tags) or any(t - row.t > numbers.max_age for row in held.values()):
            return math.nan
        if numbers.scale:
            over = (held[0].value - limit_at(numbers.scale, held[1].value)) * 1e6
            return round(over) / 1e6 if math.isfinite(over) else math.nan
        value = held[0].value - held[1].value
        return value if math.isfinite(value) else math.nan
