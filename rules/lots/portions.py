"""What is kept of one product: units of each lot sold by local day, and its serious cases (ADR 0090); bounded, packed for a snapshot.

It is a function of the set of facts within the bounds. Days older than `KEPT_DAYS` behind the newest receipt are one sum for each lot, and
cases that were known before them are forgotten; what is judged lies within `JUDGED_DAYS`, so that nothing that is judged changes by it.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import accumulate
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

import msgspec

from rules.changes import Verdict
from rules.layout import NEVER, NONE
from rules.lots.facts import CaseOf, SoldOf
from rules.lots.rows import At, Exact, Many, Some, plain
from rules.lots.serious import Serious, Told

if TYPE_CHECKING:
    from rules.lots.cases import Item
    from rules.lots.facts import LotFact

DAY_MS: Final = 86_400_000
ZONE_MS: Final = 8 * 3_600_000
"""Days are those of Asia/Shanghai (settled.md)."""
JUDGED_DAYS: Final = 395
"""Alarms that start so many days behind the newest receipt, or later, are judged; older ones stay as they were told ..."""
KEPT_DAYS: Final = 1_160
"""... and so many days are kept: what is judged needs twelve months and a month more, and a cluster may begin before it."""
MAX_APART: Final = 2_000
"""Facts of a product that are known again by what they say; then of each facility only higher numbers are new."""
MAX_LOTS: Final = 5_000
"""Lots of a product: what is sold of further ones counts for the product alone ..."""
MAX_ROWS: Final = 50_000
"""... and their days with sales together: behind it a lot with a further one is judged no more."""

PackedReport: TypeAlias = tuple[str, str, Some, bool, str, At, list[str], At]
PackedLot: TypeAlias = tuple[str, str, bool, list[Annotated[int, msgspec.Meta(ge=0)]], list[str]]
PackedSale: TypeAlias = tuple[str, Some, int, str, str]
PackedPortions: TypeAlias = tuple[
    int, int, Many, list[PackedLot], list[tuple[int, str]], list[PackedSale], list[PackedReport]
]  # fmt: skip
"""Newest day of receipt, day of the newest lot that was turned away, facts left out, lots, sums of the product, sales apart, reports."""


def day_of(at: int) -> int:
    """Return the local day of an instant (ms), counted since 1970."""
    return (at + ZONE_MS) // DAY_MS


def begin_of(day: int) -> int:
    """Return when a local day begins, ms."""
    return day * DAY_MS - ZONE_MS


@dataclass(slots=True)
class Sums:
    """Units by local day, exact."""

    days: dict[int, Exact] = field(default_factory=dict)
    before: Exact = 0
    """Of the days that are not kept apart any more."""
    blind: bool = False
    """There was no room for a day: how much was sold is unknown."""
    _run: tuple[list[int], list[Exact]] | None = None

    def add(self, day: int, units: Exact) -> None:
        """Add units that were sold on a day."""
        total = plain(Fraction(self.days.get(day, 0) + units))
        if total:
            self.days[day] = total
        else:
            self.days.pop(day, None)
        if self._run is None:
            return
        days, totals = self._run
        if total and days and day == days[-1]:
            totals[-1] += units
        elif total and (not days or day > days[-1]):
            days.append(day)
            totals.append(totals[-1] + units)
        else:
            self._run = None

    def age(self, horizon: int) -> int:
        """Fold the days before a day together; returns how many there were."""
        old = [day for day in self.days if day < horizon]
        for day in old:
            self.before = plain(Fraction(self.before + self.days.pop(day)))
        self._run = None if old else self._run
        return len(old)

    def until(self, day: int) -> Exact:
        """Return the units sold up to a day, this one inside; what is not kept apart counts too."""
        if self._run is None:
            days = sorted(self.days)
            self._run = days, list(accumulate((self.days[one] for one in days), initial=self.before))
        days, totals = self._run
        return totals[bisect_right(days, day)]


@dataclass(frozen=True, slots=True)
class Rated:
    """The serious cases of a lot at an instant (ms), and those of its product that let so many be expected."""

    at: int
    lot: str
    cases: int
    """Of the lot, within the rule's time."""
    sold: Exact
    """Units of the lot by the end of that day; 0: none is known."""
    all_cases: int
    """Of the product, in the time of the rate."""
    all_sold: Exact
    """Units of the product in that time; 0: none is known."""

    def verdict(self, factor: Exact) -> Verdict:
        """Say whether there are more than so many times the expected ones; unknown where sales or the rate are."""
        if self.sold <= 0 or self.all_sold <= 0:
            return Verdict.UNKNOWN
        over = self.cases * self.all_sold > factor * self.all_cases * self.sold
        return Verdict.TRUE if over else Verdict.FALSE

    def expected(self) -> Fraction | None:
        """Return the cases that are expected of the lot; None: unknown."""
        unknown = self.sold <= 0 or self.all_sold <= 0
        return None if unknown else Fraction(self.all_cases) * self.sold / self.all_sold


@dataclass(slots=True)
class Portions:
    """All that is known of one product."""

    today: int = 0
    """The newest local day of a receipt."""
    closed: int = 0
    """Day of the newest sale of a lot for which there was no room: no further lot is taken until it is not kept any more."""
    left_out: int = 0
    lots: dict[str, Sums] = field(default_factory=dict)
    total: Sums = field(default_factory=Sums)
    apart: dict[str, tuple[int, int, str, Exact]] = field(default_factory=dict)
    """Facility and digest of a sale -> number, day, lot, units."""
    serious: Serious = field(default_factory=Serious)
    """Its serious cases."""
    rows: int = 0
    """Days of all lots; follows from `lots`."""

    def __bool__(self) -> bool:
        """Say whether anything was told."""
        return self.today > 0

    @property
    def horizon(self) -> int:
        """Return the first local day that is kept apart."""
        return self.today - KEPT_DAYS

    @property
    def judged_from(self) -> int:
        """Return from when on alarms are judged, ms."""
        return begin_of(self.today - JUDGED_DAYS) if self.today > JUDGED_DAYS else NONE

    def take(self, fact: LotFact) -> bool:
        """Take a fact whose number did not come before; says whether anything is known now that was not."""
        self._age(day_of(fact.received))
        if isinstance(fact.told, SoldOf):
            return self._sold(fact, fact.told)
        assert isinstance(fact.told, CaseOf)  # noqa: S101 - facts of a product are these two
        return self._case(fact, fact.told)

    def matters(self, fact: LotFact) -> bool:
        """Say whether a sale may change what is judged: a case was known on its day or behind it."""
        newest = self.serious.newest()
        return isinstance(fact.told, CaseOf) or (newest is not None and newest >= begin_of(day_of(fact.at)))

    def _sold(self, fact: LotFact, told: SoldOf) -> bool:
        name, day, units = (
            f"{fact.facility} {fact.event or fact.n}",
            day_of(fact.at),
            plain(Fraction(repr(told.quantity))),
        )
        again = self.apart.get(name)
        if again is not None:  # of copies of one event the earliest time counts, whatever order they come in
            self.apart[name] = (min(again[0], fact.n), min(again[1], day), again[2], again[3])
            if day >= again[1]:
                return False
            self._add(again[2], again[1], -again[3])
            self._add(again[2], day, again[3])
        else:
            self.apart[name] = (fact.n, day, told.of, units)
            self._add(told.of, day, units)
        self._leave(told.of)
        return True

    def _add(self, lot: str, day: int, units: Exact) -> None:
        self.serious.changed(begin_of(day))
        self.total.add(day, units)
        sums = self.lots.get(lot)
        if sums is None:
            if len(self.lots) >= MAX_LOTS or self.closed >= max(1, self.horizon):
                self.closed, self.left_out = max(self.closed, day), self.left_out + 1
                self._old(self.total, day)
                return
            sums = self.lots[lot] = Sums()
        if day not in sums.days and self.rows >= MAX_ROWS and day >= self.horizon:
            sums.blind, self.left_out = True, self.left_out + 1
        else:
            before = len(sums.days)
            sums.add(day, units)
            self.rows += len(sums.days) - before - self._old(sums, day)
        self._old(self.total, day)

    def _old(self, sums: Sums, day: int) -> int:
        """Fold a day together with those before it where it is not kept apart; returns how many there were."""
        return sums.age(self.horizon) if day < self.horizon else 0

    def _leave(self, *lots: str) -> None:
        """Forget those of some lots of which no day is kept."""
        for lot in lots:
            if lot in self.lots and not self.lots[lot].days:
                del self.lots[lot]

    def _case(self, fact: LotFact, told: CaseOf) -> bool:
        key = (fact.facility, told.report)
        before = self.serious.reports.get(key)
        heard = min(fact.received if told.named else NEVER, NEVER if before is None else before.heard)
        if before is not None and before.revision >= told.revision:
            made = replace(before, heard=heard)
        else:
            lots = tuple(sorted(set(told.lots))) if told.named else ()
            made = Told(told.revision, told.named, told.case_id, told.known_at, lots, heard)
        if made == before or made.at < begin_of(self.horizon):
            return False
        took = self.serious.put(key, made)
        self.left_out += not took
        return took

    def _age(self, today: int) -> None:
        if today <= self.today:
            return
        self.today = today
        self.rows -= sum(sums.age(self.horizon) for sums in self.lots.values())
        self._leave(*self.lots)
        self.total.age(self.horizon)
        self.serious.forget(begin_of(self.horizon))
        self.serious.changed(NONE)

    def fold_together(self) -> None:
        """Forget what tells sales apart: of each facility only higher numbers are new from now on."""
        self.apart = {}

    def items(self) -> list[Item]:
        """Return the serious cases, by the instant at which they were known."""
        return self.serious.items()

    def of_lots(self) -> dict[str, list[Item]]:
        """Return the serious cases of each lot, by the instant at which they were known."""
        return self.serious.of_lots()

    def rated(self, lot: str, at: int, cases: int, over: int) -> Rated:
        """Return what so many cases of a lot are held against at an instant.

        Args:
            lot: its number.
            at: the instant, ms.
            cases: of the lot.
            over: time of the product's rate, ms, whole days: that of the instant is the last one.
        """
        day, sums = day_of(at), self.lots.get(lot)
        units: Exact = 0 if sums is None or sums.blind else sums.until(day)
        return Rated(at, lot, cases, units, self.known(at, over), self.sold(day, over))

    def known(self, at: int, over: int) -> int:
        """Return how many cases of the product were known by an instant (ms), in the days that end with its own."""
        return self.serious.count(begin_of(day_of(at) - over // DAY_MS + 1), at)

    def sold(self, day: int, over: int) -> Exact:
        """Return the units of the product that were sold in the days that end with a local day (`over`, ms)."""
        return self.total.until(day) - self.total.until(day - over // DAY_MS)

    def pack(self) -> PackedPortions:
        """Return the members for a snapshot; equal books give equal bytes, whatever order their facts came in."""
        lots: list[PackedLot] = []
        for lot, sums in sorted(self.lots.items()):
            days = sorted(sums.days)
            steps = [day - before for day, before in zip(days, [0, *days], strict=False)]
            lots.append((lot, str(sums.before), sums.blind, steps, [str(sums.days[day]) for day in days]))
        total = [(day, str(units)) for day, units in sorted(self.total.days.items())]
        apart = [(name, n, day, lot, str(units)) for name, (n, day, lot, units) in sorted(self.apart.items())]
        reports: list[PackedReport] = [
            (*key, one.revision, one.named, one.case, one.at, list(one.lots), one.heard) for key, one in sorted(self.serious.reports.items())
        ]  # fmt: skip
        return (self.today, self.closed, self.left_out, lots, total, apart, reports)

    @classmethod
    def unpack(cls, packed: PackedPortions) -> Portions:
        """Return what packed members say.

        Raises:
            ValueError: a quantity that is no number.
        """
        today, closed, left_out, lots, total, apart, reports = packed
        made = cls(today, closed, left_out)
        for lot, before, blind, steps, units in lots:
            days = accumulate(steps)
            made.lots[lot] = Sums(dict(zip(days, map(_exact, units), strict=True)), _exact(before), blind)
        made.rows = sum(len(sums.days) for sums in made.lots.values())
        made.total = Sums({day: _exact(units) for day, units in total})
        made.apart = {name: (n, day, lot, _exact(units)) for name, n, day, lot, units in apart}
        for facility, report, revision, named, case, at, of, heard in reports:
            made.serious.put((facility, report), Told(revision, named, case, at, tuple(of), heard))
        return made


def _exact(text: str) -> Exact:
    return plain(Fraction(text))
