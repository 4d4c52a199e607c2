"""What a facility had and gave of a lot: exact sums by instant, gone on with move by move, also by one that comes late.

It follows from the moves alone, is in no snapshot, and is made anew where moves were folded together. What moves at an instant shifts the sums
from there on; in which times the balance is off is looked for from there on again.
"""

from __future__ import annotations

from bisect import bisect_left
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from operator import gt
from typing import TYPE_CHECKING, Final, TypeAlias

from rules.changes import Verdict
from rules.layout import NEVER, NONE
from rules.lots.rows import order_of, plain
from rules.lots.scopes import wanted_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rules.lots.book import Book
    from rules.lots.rows import Evidence, Exact, Move
    from rules.lots.scopes import Names
    from rules.rule import LotBalanceRule

ORIGINS: Final = frozenset({"produced", "imported", "arrived"})
"""Types that say what a facility had; returns alone do not."""
KEPT: Final = 4
"""Ways to balance of which tallies are kept."""
Terms: TypeAlias = "tuple[frozenset[str], frozenset[str], Exact, Names]"
"""Types that leave, types that come, how much more may leave, and the scopes of whom it is asked."""
Off: TypeAlias = "tuple[int, int, str, Tally]"
"""Begin and end (ms, NEVER: it lasts) of a time in which the balance of a facility is off, and the tally that says how it was then."""


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
    """The balance of one facility at each instant at which something moved."""

    facility: str
    terms: Terms
    rows: list[Move]
    """Its moves, in their order: those of the book."""
    known: bool = False
    """It is told what the facility had."""
    inside: Callable[[int], bool] | None = None
    """Says of an instant (ms) whether the facility is one of whom it is asked; None: it always is."""
    spans: tuple[Move, ...] = ()
    """Those of its moves that were folded together over a time."""
    ats: list[int] = field(default_factory=list)
    """Instants at which something moved, ms ..."""
    gave: list[Exact] = field(default_factory=list)
    """... and what had left ..."""
    had: list[Exact] = field(default_factory=list)
    """... and what had come by each of them."""
    turns: list[int] = field(default_factory=list)
    """Instants at which the balance begins to be off, and is off no more, in turn."""
    sums: dict[int, Sum] = field(default_factory=dict)
    """The sums at instants at which it begins to be off, as far as they were asked for."""

    def now(self) -> Sum:
        """Return the balance at the newest instant."""
        off = self.gave[-1] > self.had[-1] + self.terms[2]
        verdict = Verdict.TRUE if off else Verdict.FALSE
        return self._sum(len(self.ats) - 1, verdict if self.known else Verdict.UNKNOWN)

    def begun(self, at: int) -> Sum:
        """Return the balance at an instant at which it begins to be off."""
        found = self.sums.get(at)
        if found is None:
            found = self.sums[at] = self._sum(bisect_left(self.ats, at), Verdict.TRUE)
        return found

    def _sum(self, i: int, verdict: Verdict) -> Sum:
        at = self.ats[i]
        steps = [step for row in self._rows_at(at) for step in steps_of(row, self.terms)]
        records = tuple(record for when, _, _, record in steps if when == at)
        return Sum(at, self.facility, self.gave[i], self.had[i], verdict, records)

    def _rows_at(self, at: int) -> list[Move]:
        found = [] if not self.spans else [row for row in self.spans if at in {row.first, row.last}]
        i = bisect_left(self.rows, at, key=_first_of)
        while i < len(self.rows) and self.rows[i].first == at:
            found += [self.rows[i]] if self.rows[i].last == at else []
            i += 1
        return sorted(found, key=order_of) if self.spans else found

    def take(self, row: Move) -> int:
        """Take a further move; returns from which instant on sums are others, NEVER: they stay."""
        self.known = self.known or row.type in self.terms[1] & ORIGINS
        changed = NEVER
        for at, out, quantity, _ in steps_of(row, self.terms):
            changed = at
            i = len(self.ats)
            if self.ats and at <= self.ats[-1]:
                i = bisect_left(self.ats, at)
            if i == len(self.ats) or self.ats[i] != at:
                self.ats.insert(i, at)
                self.gave.insert(i, self.gave[i - 1] if i else 0)
                self.had.insert(i, self.had[i - 1] if i else 0)
            sums = self.gave if out else self.had
            sums[i:] = [total + quantity for total in sums[i:]]
        return changed

    def turn(self, since: int) -> None:
        """Look again for the times in which it is off, from an instant on (ms)."""
        i, before = bisect_left(self.ats, since), bisect_left(self.turns, since)
        for begin in self.turns[before:]:
            self.sums.pop(begin, None)
        del self.turns[before:]
        may = self.had[i:]
        if self.terms[2]:
            may = [total + self.terms[2] for total in may]
        off, flags, at = before % 2 == 1, list(map(gt, self.gave[i:], may)), 0
        if self.inside is not None:
            flags = [flag and self.inside(when) for flag, when in zip(flags, self.ats[i:], strict=True)]
        with suppress(ValueError):  # the balance turns no more
            while True:
                at = flags.index(not off, at)
                self.turns.append(self.ats[i + at])
                off = not off

    def off(self) -> Iterator[Off]:
        """Yield the times in which it is off, the newest first; none where it is not known what the facility had."""
        if not self.known:
            return
        end = NEVER
        for i in range(len(self.turns) - 1, -1, -1):
            if i % 2:
                end = self.turns[i]
            else:
                yield (self.turns[i], end, self.facility, self)


def _first_of(row: Move) -> int:
    return row.first


def terms_of(rule: LotBalanceRule) -> Terms:
    """Return what a rule holds against what."""
    return frozenset(rule.parts), frozenset(rule.whole), plain(Fraction(repr(rule.tolerance))), wanted_of(rule)


@dataclass(slots=True)
class Ledger:
    """The balances of all facilities of a lot, by one way to balance."""

    pending: dict[str, list[Move] | None]
    """Facilities of which something moved since they were asked for: what did, None: their tally is made anew."""
    tallies: dict[str, Tally] = field(default_factory=dict)
    off: dict[str, Tally] = field(default_factory=dict)
    """Those whose balance is off at some time, by facility."""

    def moved(self, facility: str, row: Move | None) -> None:
        """Take note that something of a facility moved; None: its rows are others."""
        since = self.pending.setdefault(facility, [])
        if row is None:
            self.pending[facility] = None
        elif since is not None:
            since.append(row)


def ledger_of(rule: LotBalanceRule, book: Book) -> Ledger:
    """Return the balances of all facilities of a lot; only those of which something moved are looked at."""
    terms = terms_of(rule)
    ledger = book.ledgers.get(terms)
    if ledger is None:
        if len(book.ledgers) >= KEPT:
            book.ledgers.clear()
        ledger = book.ledgers[terms] = Ledger(dict.fromkeys(book.moves))
    for facility, since in ledger.pending.items():
        tally = ledger.tallies.get(facility)
        if tally is None or since is None:
            tally = ledger.tallies[facility] = _anew(facility, book, terms)
        else:
            changed = min(map(tally.take, since))
            if changed != NEVER:
                tally.turn(changed)
        if facility in book.gaps:
            tally.known = False
        ledger.off.pop(facility, None)
        if tally.known and tally.turns:
            ledger.off[facility] = tally
    ledger.pending.clear()
    return ledger


def _anew(facility: str, book: Book, terms: Terms) -> Tally:
    rows, standing = book.moves[facility], book.standing
    tally = Tally(facility, terms, rows, spans=tuple(row for row in rows if row.first != row.last))
    if not standing.always(terms[3], facility):
        tally.inside = lambda at: standing.is_in(terms[3], facility, at)
    for row in rows:
        tally.take(row)
    if tally.ats:
        tally.turn(NONE)
    return tally


def steps_of(row: Move, terms: Terms) -> Iterator[tuple[int, bool, Exact, Evidence]]:
    """Yield when something moved (ms), whether it left, how much, and the record.

    What was folded together comes at its first instant and leaves at its last: between them nothing is held to be off.
    """
    if row.type in terms[0]:
        yield row.last, True, row.quantity, row.record
    elif row.type in terms[1] and (row.type != "returned" or row.came):
        yield row.first, False, row.quantity, row.record
