"""The serious cases of one product in the order in which they were known, of all and of each lot, gone on with report by report (ADR 0090).

All of it follows from the reports alone; what changed since someone looked is noted, so that not all is looked at again.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass, field
from typing import Final

from rules.changes import Verdict
from rules.layout import NEVER
from rules.lots.cases import Item

MAX_REPORTS: Final = 5_000
"""Reports of serious cases of a product: behind it new ones are left out and counted ..."""
MAX_NAMED: Final = 10_000
"""... and so is what names more lots than this, all reports together: one may name a thousand."""

Key = tuple[str, str]
"""Facility and id of a report."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a report says of the product, as its highest revision has it; instants in ms."""

    revision: int
    named: bool
    case: str
    at: int
    """When the case was known."""
    lots: tuple[str, ...]
    """None where the report does not name the product any more."""
    heard: int
    """The earliest receipt of a revision that names it; NEVER: none does."""


@dataclass(slots=True)
class Altered:
    """What is another since it was looked at last."""

    lots: set[str] = field(default_factory=set)
    """Their cases are others."""
    since: int = NEVER
    """What the product or a lot had from this instant on (ms) may be another."""


@dataclass(slots=True)
class Serious:
    """Reports of serious cases, and the cases that they make."""

    reports: dict[Key, Told] = field(default_factory=dict)
    named: int = 0
    """Lots that they name together; follows from them, as does all that comes here."""
    altered: list[Altered] = field(default_factory=list)
    """Of each who looks."""
    _by_case: dict[str, set[Key]] = field(default_factory=dict)
    _items: dict[str, tuple[Item, tuple[str, ...]]] = field(default_factory=dict)
    _of_lots: dict[str, list[Item]] = field(default_factory=dict)
    _ats: list[int] = field(default_factory=list)
    _pending: set[str] = field(default_factory=set)

    def put(self, key: Key, told: Told) -> bool:
        """Take what a report says now; False: there is no room for it."""
        before = self.reports.get(key)
        named = self.named + len(told.lots) - (0 if before is None else len(before.lots))
        if named > max(MAX_NAMED, self.named) or (before is None and len(self.reports) >= MAX_REPORTS):
            return False
        if before is not None:
            self._unfile(key, before)
        self.reports[key], self.named = told, named
        self._by_case.setdefault(told.case, set()).add(key)
        self._pending.add(told.case)
        return True

    def forget(self, before: int) -> None:
        """Forget the reports of cases that were known before an instant, ms."""
        for key in [key for key, one in self.reports.items() if one.at < before]:
            told = self.reports.pop(key)
            self.named -= len(told.lots)
            self._unfile(key, told)

    def _unfile(self, key: Key, told: Told) -> None:
        of = self._by_case[told.case]
        of.discard(key)
        if not of:
            del self._by_case[told.case]
        self._pending.add(told.case)

    def changed(self, at: int) -> None:
        """Take note that from an instant on (ms) what was sold is another."""
        for one in self.altered:
            one.since = min(one.since, at)

    def settle(self) -> None:
        """Work out the cases of which a report said something else."""
        for case in self._pending:
            old, new = self._items.pop(case, None), self._made(case)
            if old is not None:
                self._take_out(*old)
            if new is not None:
                self._items[case] = new
                self._put_in(*new)
            for item, lots in (one for one in (old, new) if one is not None):
                self.changed(item.at)
                for altered in self.altered:
                    altered.lots.update(lots)
        self._pending.clear()

    def _take_out(self, item: Item, lots: tuple[str, ...]) -> None:
        del self._ats[bisect_left(self._ats, item.at)]
        for lot in lots:
            of = self._of_lots[lot]
            del of[bisect_left(of, item.order, key=_order_of)]
            if not of:
                del self._of_lots[lot]

    def _put_in(self, item: Item, lots: tuple[str, ...]) -> None:
        insort(self._ats, item.at)
        for lot in lots:
            insort(self._of_lots.setdefault(lot, []), item, key=_order_of)

    def _made(self, case: str) -> tuple[Item, tuple[str, ...]] | None:
        """Return a case by the reports of it that name the product, with its lots; None: none does."""
        every = [(facility, report, self.reports[facility, report]) for facility, report in self._by_case.get(case, ())]
        told = sorted(one for one in every if one[2].named)
        if not told:
            return None
        at = min(one.at for _, _, one in told)
        who = max(facility for facility, _, one in told if one.at == at)
        records = sorted((("report", f"{report}/{one.revision}"), facility) for facility, report, one in told)
        item = Item(
            at, who, case, Verdict.TRUE, NEVER, tuple(record for record, _ in records), tuple(teller for _, teller in records),
            tuple(sorted({facility for facility, _, _ in told})), min(one.heard for _, _, one in told),
        )  # fmt: skip
        return item, tuple(sorted({lot for _, _, one in told for lot in one.lots}))

    def items(self) -> list[Item]:
        """Return all cases, in order."""
        self.settle()
        return sorted((item for item, _ in self._items.values()), key=_order_of)

    def of_lots(self) -> dict[str, list[Item]]:
        """Return the cases of each lot, in order."""
        self.settle()
        return self._of_lots

    def newest(self) -> int | None:
        """Return when the newest case was known, ms; None: there is none."""
        self.settle()
        return self._ats[-1] if self._ats else None

    def count(self, first: int, last: int) -> int:
        """Return how many cases were known between two instants, both inside, ms."""
        self.settle()
        return bisect_right(self._ats, last) - bisect_left(self._ats, first)


def _order_of(item: Item) -> tuple[int, str, str, tuple[tuple[str, str], ...]]:
    return item.order
