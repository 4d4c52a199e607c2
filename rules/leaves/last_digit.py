"""The leaves of a `last_digit` rule of check `uniform`, row by row; plainly, with the readings of a block as a list."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

from rules.changes import Verdict
from rules.kinds.last_digit import DECADE, DECADES, FARTHEST, LARGEST, SPARSEST
from rules.leaves.limit import NEVER_COUNTED
from rules.leaves.model import TWO, Leaf, Moment, Seen, Standing, both, verdict
from rules.params import CHI_SQUARE_9
from rules.records import QUALITY_NAMES
from rules.wording import sign

if TYPE_CHECKING:
    from rules.leaves.model import Row, See
    from rules.register import Sensor
    from rules.rule import LastDigitRule


def leaves_of(rule: LastDigitRule) -> list[Leaf]:
    """Return the leaves that the rule has, in the order of its condition."""
    related, spread = f"{rule.related:.3g}", rule.spread
    return [
        Leaf("reading", both("the reading counts: a value of a quality that counts", "读数有效：有数值且质量合格"), TWO),
        Leaf("taken", both("it is one of those that are taken", "该读数被抽取"), TWO),
        Leaf("apart", both(f"neighbours correlate less than {related}", f"相邻读数相关系数小于 {related}")),
        Leaf("spread", both(f"5th and 95th percentile are {spread} steps apart", f"5 % 与 95 % 分位数相差至少 {spread} 个分辨率"), TWO),
        Leaf("uneven", both(f"evenly spread digits are as uneven with p < {rule.uneven}", f"末位数字均匀时出现此偏差的概率 < {rule.uneven}")),
        Leaf("even", both(f"... with p > {rule.even}", f"该概率 > {rule.even}")),
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class UniformNumbers:
    """What the rule compares with on one series; equal keys decide equal rows alike."""

    rule: LastDigitRule
    quantity: str
    resolution: float
    unit: str

    @property
    def key(self) -> tuple[object, ...]:
        """Return what decides."""
        r = self.rule
        return (self.resolution, r.number, r.related, r.spread, r.uneven, r.even, r.severity)


def numbers_of(rule: LastDigitRule, sensor: Sensor) -> UniformNumbers | None:
    """Return the numbers for a sensor, None where no resolution is registered."""
    if sensor.resolution is None:
        return None
    return UniformNumbers(rule, sensor.quantity, sensor.resolution, sign(sensor.unit))


@dataclass(slots=True)
class UniformRun:
    """The condition as its rows make it; `see` is told the leaves of each row."""

    numbers: UniformNumbers
    see: See
    stands: Standing = field(default_factory=Standing)
    block: list[tuple[int, int]] = field(default_factory=list)
    """Event time and steps of the readings that were taken."""
    skip: int = 0
    sparse: int = 0
    newest: Row | None = None
    last: tuple[Seen, ...] = ()

    def adopt(self, numbers: UniformNumbers) -> None:
        """Take other numbers; of another resolution, quantity or number nothing is counted yet."""
        before, self.numbers = self.numbers, numbers
        if (before.quantity, before.key[:2]) != (numbers.quantity, numbers.key[:2]):
            self.block, self.skip, self.sparse = [], 0, 0

    def row(self, row: Row) -> None:
        """Fold a row in event-time order."""
        rule, self.newest = self.numbers.rule, row
        counted = row.quality not in NEVER_COUNTED and not math.isnan(row.value)
        said = "null" if math.isnan(row.value) else QUALITY_NAMES[row.quality]
        leaves = [Seen("reading", verdict(counted), said, "counts for", rule.id)]
        steps = row.value / self.numbers.resolution
        if counted and abs(steps) < LARGEST:
            leaves += self._known(row.t, math.floor(steps + 0.5))
        self.last = tuple(leaves)
        self.see(Moment("row", row.t, self.last, row))

    def _known(self, t: int, steps: int) -> list[Seen]:
        rule = self.numbers.rule
        if self.skip > 0:
            self.skip -= 1
            return [Seen("taken", Verdict.FALSE, 2**self.sparse, "of which one", 1)]
        self.block.append((t, steps))
        self.skip = 2**self.sparse - 1
        leaves = [Seen("taken", Verdict.TRUE, len(self.block), "of", rule.number)]
        whole = len(self.block) == rule.number
        if not whole and len(self.block) != rule.number // 4:
            return leaves
        found = self.correlation()
        most = Fraction(rule.related or 0)
        apart = None if found is None else found[0] <= 0 or found[0] ** 2 < most**2 * found[1]
        shown = None if found is None else round(found[0] / math.sqrt(found[1]), 4)
        said = Verdict.UNKNOWN if apart is None else verdict(apart)
        leaves.append(Seen("apart", said, shown, "<", rule.related))
        if apart is False:
            self._begin(min(self.sparse + 1, SPARSEST))
        elif whole:
            if found is not None:
                leaves += self._judge()
            closer = found is None or found[0] <= 0 or 4 * found[0] ** 2 <= most**2 * found[1]
            self._begin(max(self.sparse - 1, 0) if closer else self.sparse)
        return leaves

    def _begin(self, sparse: int) -> None:
        self.block, self.sparse, self.skip = [], sparse, min(self.skip, 2**sparse - 1)

    def _inside(self) -> list[int]:
        return [min(FARTHEST, max(-FARTHEST, steps - self.block[0][1])) for _, steps in self.block]

    def correlation(self) -> tuple[int, int] | None:
        """Return numerator and squared denominator of the correlation of neighbours, None where one side does not vary."""
        inside = self._inside()
        one, other, n = inside[:-1], inside[1:], len(inside) - 1
        over = n * sum(a * b for a, b in zip(one, other, strict=True)) - sum(one) * sum(other)
        under = (n * sum(a * a for a in one) - sum(one) ** 2) * (n * sum(b * b for b in other) - sum(other) ** 2)
        return (over, under) if under > 0 else None

    def _judge(self) -> list[Seen]:
        rule, s, n = self.numbers.rule, self.stands, len(self.block)
        decades = sorted(min(DECADES - 1, max(0, x // DECADE + DECADES // 2)) for x in self._inside())
        low, high = decades[-(-n // 20) - 1], decades[-(-19 * n // 20) - 1]
        wide = (high - low - 1) * DECADE >= (rule.spread or 0)
        leaves = [Seen("spread", verdict(wide), float(max(0, high - low - 1) * DECADE), ">=", float(rule.spread or 0))]
        digits = [steps % 10 for _, steps in self.block]
        found = 10 * sum(digits.count(d) ** 2 for d in range(10)) - n * n
        uneven, even = (CHI_SQUARE_9[p or 0] for p in (rule.uneven, rule.even))
        odd, fair = 1000 * found > uneven * n, 1000 * found < even * n
        for name, holds, op, bound in (("uneven", odd, ">", uneven), ("even", fair, "<", even)):
            leaves.append(
                Seen(name, verdict(holds) if wide else Verdict.UNKNOWN, round(found / n, 3), op, bound / 1000)
            )
        if wide and odd and not s.active:
            s.phase, s.start, s.colour = "active", self.block[0][0], rule.severity.base.rank
        elif wide and fair and s.active:
            s.phase, s.start = "normal", None
        return leaves

    def clock(self, to: int) -> None:
        """Take what the clock decides: nothing."""

    def finish(self, now: int) -> None:
        """Say how the leaves stand at the end: as they were told last."""
        self.see(Moment("end", now, self.last, self.newest))
