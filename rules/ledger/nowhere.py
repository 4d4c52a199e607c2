"""The bookings of a product that name no place, read once for all of its places (kind `stock_balance`, ADR 0069).

One post may bring a thousand of them, and ten thousand places were counted behind each. What is worked out here follows from what is
kept, and is in no snapshot.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rules.layout import NONE
from rules.ledger.entry import Entry, entries_of
from rules.ledger.stock import Marks, unplaced_subject
from rules.rare.store import subject_of

if TYPE_CHECKING:
    from rules.rare.store import Cases, Fact


class Came(NamedTuple):
    """What came at one log time."""

    entries: tuple[Entry, ...] = ()
    until: int = NONE
    """The newest event time of them, ms; NONE: nothing came."""


class Nowhere:
    """Such bookings of one product, in this list and no other."""

    __slots__ = ("_came", "_marks", "facts", "newest")

    def __init__(self, facts: list[Fact]) -> None:
        """Begin with bookings, or what they became, by event time. The list changes no more: a case takes another one for it."""
        self.facts = facts
        self.newest = max((fact.received for fact in facts), default=NONE)
        """When the last of them came, log time, ms."""
        self._marks: Marks | None = None
        self._came: dict[int, Came] | None = None

    @property
    def marks(self) -> Marks:
        """Return when they are."""
        if self._marks is None:
            self._marks = Marks(self.facts)
        return self._marks

    def came(self, received: int) -> Came:
        """Return those that came at a log time (ms), by event time."""
        if self._came is None:
            found: dict[int, list[Entry]] = {}
            for entry in entries_of(self.facts):
                found.setdefault(entry.fact.received, []).append(entry)
            self._came = {at: Came(tuple(some), max(one.at for one in some)) for at, some in found.items()}
        return self._came.get(received, _NOTHING)


_NOTHING = Came()
NOBODY = Nowhere([])
"""Where there are none."""


def beside(subject: str, cases: Cases) -> Nowhere:
    """Return the bookings without a place that speak of a subject: those of the product of a place."""
    named = subject_of(subject)
    case = cases.get(unplaced_subject(named["product"])) if named.keys() == {"place", "product"} else None
    if case is None:
        return NOBODY
    if case.nowhere is None or case.nowhere.facts is not case.facts:
        case.nowhere = Nowhere(case.facts)
    return case.nowhere
