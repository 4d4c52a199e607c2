"""What a facility had and gave of a lot, gone on with move by move: a move that is the newest costs no look at those before it.

It follows from the moves alone, is in no snapshot, and is made anew where a move comes late or moves were folded together.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Final, TypeAlias

from rules.changes import Verdict
from rules.layout import NEVER, NONE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rules.lots.book import Book
    from rules.lots.rows import Evidence, Exact, Move
    from rules.rule import LotBalanceRule

ORIGINS: Final = frozenset({"produced", "imported", "arrived"})
"""Types that say what a facility had; returns alone do not."""
KEPT: Final = 4
"""Ways to balance of which tallies are kept."""
Terms: TypeAlias = tuple[frozenset[str], frozenset[str], "Exact"]
"""Types that leave, types that come, and how much more may leave."""
Off: TypeAlias = "tuple[int, int, str, Sum]"
"""Begin and end (ms, NEVER: it lasts) of a time in which the balance of a facility is off, and how it was then."""


@dataclass(frozen=True, slots=True)
class Sum:
    """What a facility had and gave of a lot by an instant (ms)."""

    at: int
    facility: str
    parts: Exact
    whole: Exact
    verdict: Verdict
    records: tuple[Evidence, ...]


@dataclass(slots=True)
class Tally:
    """The balance of one facility up to its newest move."""

    facility: str
    version: int
    """Of its moves (`Book.versions`)."""
    taken: int = 0
    """So many of them are in it."""
    known: bool = False
    at: int = NONE
    """Of the newest instant at which something moved (ms); what stands below is of before it ..."""
    closed: list[Off] = field(default_factory=list)
    begun: Sum | None = None
    """... and these of it."""
    gave: Exact = 0
    had: Exact = 0
    records: list[Evidence] = field(default_factory=list)

    def now(self, slack: Exact) -> Sum:
        """Return the balance at the newest instant."""
        verdict = Verdict.TRUE if self.gave > self.had + slack else Verdict.FALSE
        verdict = verdict if self.known else Verdict.UNKNOWN
        return Sum(self.at, self.facility, self.gave, self.had, verdict, tuple(self.records))

    def take(self, at: int, out: bool, quantity: Exact, record: Evidence, slack: Exact) -> None:  # noqa: FBT001 - a value
        """Take what moved at an instant that is not before the newest one."""
        if at > self.at:
            self._settle(slack)
            self.at, self.records = at, []
        if out:
            self.gave += quantity
        else:
            self.had += quantity
        self.records.append(record)

    def _settle(self, slack: Exact) -> None:
        """Nothing more moves at the newest instant."""
        off = self.gave > self.had + slack
        if off and self.begun is None:
            self.begun = Sum(self.at, self.facility, self.gave, self.had, Verdict.TRUE, tuple(self.records))
        elif not off and self.begun is not None:
            self.closed.append((self.begun.at, self.at, self.facility, self.begun))
            self.begun = None

    def off(self, slack: Exact) -> Iterator[Off]:
        """Yield the times in which it is off, none where it is not known what the facility had."""
        if not self.known:
            return
        yield from self.closed
        off = self.gave > self.had + slack
        if off:
            begun = self.now(slack) if self.begun is None else self.begun
            yield (begun.at, NEVER, self.facility, begun)
        elif self.begun is not None:
            yield (self.begun.at, self.at, self.facility, self.begun)


def terms_of(rule: LotBalanceRule) -> Terms:
    """Return what a rule holds against what."""
    return frozenset(rule.parts), frozenset(rule.whole), Fraction(repr(rule.tolerance))


@dataclass(slots=True)
class Ledger:
    """The balances of all facilities of a lot, by one way to balance."""

    pending: set[str]
    """Facilities of which something moved since they were asked for."""
    tallies: dict[str, Tally] = field(default_factory=dict)
    off: dict[str, list[Off]] = field(default_factory=dict)
    """Facility -> the times in which its balance is off; those of which it never is are not here."""


def ledger_of(rule: LotBalanceRule, book: Book) -> Ledger:
    """Return the balances of all facilities of a lot; only those of which something moved are looked at."""
    terms = terms_of(rule)
    ledger = book.ledgers.get(terms)
    if ledger is None:
        if len(book.ledgers) >= KEPT:
            book.ledgers.clear()
        ledger = book.ledgers[terms] = Ledger(set(book.moves))
    for facility in ledger.pending:
        rows, version = book.moves[facility], book.versions.get(facility, 0)
        tally = ledger.tallies.get(facility)
        if tally is None or tally.version != version or not _go_on(tally, rows, terms):
            tally = ledger.tallies[facility] = _anew(facility, rows, terms, version)
        ledger.off.pop(facility, None)
        if facility in book.gaps:
            tally.known = False
        if off := list(tally.off(terms[2])):
            ledger.off[facility] = off
    ledger.pending.clear()
    return ledger


def _go_on(tally: Tally, rows: list[Move], terms: Terms) -> bool:
    """Take the moves that have come since; False: one of them is not newer."""
    for row in rows[tally.taken :]:
        for at, out, quantity, record in steps_of(row, terms):
            if at < tally.at:
                return False
            tally.take(at, out, quantity, record, terms[2])
        tally.known = tally.known or row.type in terms[1] & ORIGINS
        tally.taken += 1
    return True


def _anew(facility: str, rows: list[Move], terms: Terms, version: int) -> Tally:
    tally = Tally(facility, version, len(rows), any(row.type in terms[1] & ORIGINS for row in rows))
    for at, out, quantity, record in sorted((s for row in rows for s in steps_of(row, terms)), key=lambda s: s[0]):
        tally.take(at, out, quantity, record, terms[2])
    return tally


def steps_of(row: Move, terms: Terms) -> Iterator[tuple[int, bool, Exact, Evidence]]:
    """Yield when something moved (ms), whether it left, how much, and the record.

    What was folded together comes at its first instant and leaves at its last: between them nothing is held to be off.
    """
    if row.type in terms[0]:
        yield row.last, True, row.quantity, row.record
    elif row.type in terms[1] and (row.type != "returned" or row.came):
        yield row.first, False, row.quantity, row.record
