"""The cases of a lot in the order in which they were known, gone on with report by report; it follows from the reports alone."""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from rules.changes import Verdict
from rules.layout import NEVER, NONE
from rules.lots.rows import WORDS

if TYPE_CHECKING:
    from rules.lots.book import Book
    from rules.lots.rows import Evidence
    from rules.lots.scopes import Names

KEPT: Final = 4
"""Ways to count of which cases are kept in order."""


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that counts: a move, or a case; with what it was held against. Instants in ms."""

    at: int
    facility: str
    name: str
    """The type of a move, the id of a case."""
    verdict: Verdict
    against: int
    """The instant at or behind which it counts; NEVER: none is known."""
    records: tuple[Evidence, ...]
    tellers: tuple[str, ...]
    """Of each record the facility that sent it."""
    facilities: tuple[str, ...] = ()
    """Of a case all who reported it."""
    received: int = NONE
    """When it was received first (of a case: that it is one that counts)."""

    @property
    def order(self) -> tuple[int, str, str, tuple[Evidence, ...]]:
        """Return where it stands among others."""
        return (self.at, self.facility, self.name, self.records)


@dataclass(slots=True)
class Order:
    """All cases of a lot by one way to count."""

    pending: set[str]
    """Those of which a report said something since they were asked for."""
    items: dict[str, Item] = field(default_factory=dict)
    sorted: list[Item] = field(default_factory=list)


def cases_of(grave: frozenset[str], wanted: Names, book: Book) -> list[Item]:
    """Return the cases of a lot, by the instant at which they were known; TRUE where a report says one of these seriousnesses.

    Reports count of those facilities that had one of the wanted scopes when they knew of the case.
    """
    terms = (grave, wanted)
    order = book.orders.get(terms)
    if order is None:
        if len(book.orders) >= KEPT:
            book.orders.clear()
        order = book.orders[terms] = Order(set(book.by_case))
    for case in order.pending:
        old, new = order.items.pop(case, None), _item(case, grave, wanted, book)
        if old is not None:
            del order.sorted[bisect_left(order.sorted, old.order, key=_order_of)]
        if new is not None:
            order.items[case] = new
            insort(order.sorted, new, key=_order_of)
    order.pending.clear()
    return order.sorted


def _order_of(item: Item) -> tuple[int, str, str, tuple[Evidence, ...]]:
    return item.order


def _item(case: str, grave: frozenset[str], wanted: Names, book: Book) -> Item | None:
    """Return a case by those of its reports that count, else by all; None: none names the lot any more, or none is of who is asked for."""
    told_of = [
        (facility, report, book.cases[facility, report]) for facility, report in sorted(book.by_case.get(case, ()))
    ]
    told_of = [told for told in told_of if told[2].named and book.standing.is_in(wanted, told[0], told[2].at)]
    counting = [told for told in told_of if told[2].word in grave] or told_of
    if not counting:
        return None
    at = min(one.at for _, _, one in counting)
    who = max(facility for facility, _, one in counting if one.at == at)
    told = sorted((("report", f"{report}/{one.revision}"), facility) for facility, report, one in counting)
    verdict = Verdict.TRUE if counting[0][2].word in grave else Verdict.FALSE
    received = min(at for _, _, one in counting for word, at in zip(WORDS, one.heard, strict=True) if word in grave)
    return Item(
        at, who, case, verdict, NEVER, tuple(record for record, _ in told), tuple(teller for _, teller in told),
        tuple(sorted({facility for facility, _, _ in counting})), received,
    )  # fmt: skip
