"""What is kept of one lot: moves, stops, notices, cases; bounded, whatever order the facts come in, packed for a snapshot.

Above `MAX_FACTS` facts since they were last folded together, moves are: by facility, type and where they go, with the exact sum and the first
and the last instant. Sums and expiry go on as before; between the first and the last instant nobody knows any more what moved when, and of
each facility only facts with higher numbers are new.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Final, TypeAlias

from rules.layout import NONE
from rules.lots.facts import PRODUCT, Case, CaseOf, Dark, Decided, Entered, Lit, Made, Moved, Notice, SoldOf, Stop
from rules.lots.links import Links
from rules.lots.portions import MAX_APART, Portions, begin_of
from rules.lots.recalls import Recalls, recalls_of
from rules.lots.rows import (
    UNHEARD,
    Corrected,
    Evidence,
    Many,
    Move,
    OfReport,
    PackedCase,
    PackedDecision,
    PackedMove,
    PackedNotice,
    PackedStops,
    Some,
    Stops,
    evidence_of,
    heard_of,
    order_of,
    plain,
    together,
)
from rules.lots.scopes import Standing
from rules.models import is_facility_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rules.lots.cases import Order
    from rules.lots.facts import LotFact
    from rules.lots.ratio import Watched
    from rules.lots.scopes import Names
    from rules.lots.tally import Ledger, Terms

MAX_FACTS: Final = 5_000
"""Facts of a lot that are told apart ..."""
MAX_MERGED: Final = 20_000
"""... rows of moves that were folded together: behind it where they go is not kept any more, and then nothing of new facilities ..."""
MAX_REPORTS: Final = 5_000
"""... and reports of cases and recalls: behind it new ones are left out and counted."""
MAX_DECISIONS: Final = 64
"""Officers' decisions on alarms of a lot: behind it new ones are left out and counted ..."""
MAX_OF_PRODUCT: Final = 1_000
"""... so many on alarms of the lots of a product, which are forgotten with its cases."""

_NO_PORTIONS: Final = Portions()
"""Never written to."""
PackedBook: TypeAlias = tuple[
    list[tuple[str, Many, list[Some]]], list[PackedMove], list[PackedStops], list[PackedNotice], list[PackedCase],
    tuple[str, str, Evidence] | None, Many, list[PackedDecision],
]  # fmt: skip


@dataclass(slots=True)
class Book:
    """All that is known of one lot."""

    lot: str = ""
    """Its number: it enters the ids of its alarms."""
    gaps: frozenset[str] = frozenset()
    """Facilities that told facts of lots that were let go of before this one was named: it may have been one of them."""
    floors: dict[str, int] = field(default_factory=dict)
    """Facility -> its facts up to this number were folded together: one that comes again is none ..."""
    seen: dict[str, set[int]] = field(default_factory=dict)
    """... nor is one of these."""
    moves: dict[str, list[Move]] = field(default_factory=dict)
    """By facility, in their order."""
    stops: dict[str, Stops] = field(default_factory=dict)
    notices: dict[tuple[str, str], OfReport] = field(default_factory=dict)
    """(facility, report) -> what it says."""
    cases: dict[tuple[str, str], OfReport] = field(default_factory=dict)
    expiry: tuple[str, str, Evidence] | None = None
    """The earliest day that is named, with who names it, and the record."""
    left_out: int = 0
    """Facts for which there was no room."""
    decisions: dict[tuple[str, str], tuple[int, str]] = field(default_factory=dict)
    """(alarm, decision with version) -> its earliest receipt (ms), and the code that closes."""
    links: Links = field(default_factory=Links)
    """Online sales and telemetry of shipments: known by what they say, so that their numbers are not kept."""
    portions: Portions = field(default_factory=lambda: _NO_PORTIONS)
    """Sales and serious cases of a product: nothing else is told of one but decisions. Of a lot there are none, and one object says so."""
    standing: Standing = field(default_factory=Standing)
    """What those who told facts are registered for."""
    corrected: Corrected | None = None
    """The fact that was taken last was a revision that took the place of another."""
    rescoped: bool = False
    """By the fact that was taken last older facts of the same facility may count otherwise."""
    merged: bool = False
    """Some moves were folded together."""
    makers: set[str] = field(default_factory=set)
    """Who made or imported it; follows from `moves`, as does the next."""
    newest: int = NONE
    """The newest instant at which something moved, ms."""
    by_case: dict[str, set[tuple[str, str]]] = field(default_factory=dict)
    """Case -> its reports; follows from `cases`."""
    recalled: Recalls | None = None
    """The earliest notices; None: not asked for since one was revised. Follows from `notices`."""
    orders: dict[tuple[frozenset[str], Names], Order] = field(default_factory=dict)
    """Cases in order as far as they were asked for (rules/lots/cases.py)."""
    ledgers: dict[Terms, Ledger] = field(default_factory=dict)
    """Balances as far as they were asked for (rules/lots/tally.py)."""
    rated: dict[tuple[str, int, int, int, float], Watched] = field(default_factory=dict)
    """What rules found of the lots of a product, as far as they were asked (rules/lots/ratio.py)."""
    ruled: int = 0
    """How often decisions were others since the book was opened."""
    kept: int = 0
    """Facts that are told apart; follows from `seen`."""
    digests: dict[str, Move] = field(default_factory=dict)
    """Facility and digest of an event -> its move; follows from `moves`."""

    def knows(self, fact: LotFact) -> bool:
        """Say whether a fact came before."""
        if isinstance(fact.told, Dark | Lit):
            return self.links.knows(fact)
        return self.has(fact.facility, fact.n)

    def has(self, facility: str, n: int) -> bool:
        """Say whether a facility's fact of a number came before."""
        return n <= self.floors.get(facility, 0) or n in self.seen.get(facility, ())

    def take(self, fact: LotFact) -> bool:
        """Take a fact that did not come before; says whether anything is known now that was not."""
        self.lot, self.rescoped, self.corrected = fact.lot, self._scope(fact), None
        if isinstance(fact.told, Dark | Lit):
            return self.links.take(fact)
        self.seen.setdefault(fact.facility, set()).add(fact.n)
        self.kept += 1
        told = fact.told
        if isinstance(told, Entered):
            changed = False
        elif isinstance(told, Stop):
            changed = self._stop(fact, told)
        elif isinstance(told, Decided):
            changed = self._decided(fact, told)
        elif isinstance(told, Notice | Case):
            changed = self._report(fact, told)
        elif isinstance(told, SoldOf | CaseOf):
            self.portions = self.portions or Portions()
            today, changed = self.portions.today, self.portions.take(fact)
            if today != self.portions.today:
                self._forget_decisions()
        else:
            changed = self._move(fact, told)
        if self.kept > (MAX_APART if self.portions else MAX_FACTS):
            self._foldtogether()
        return changed

    def _scope(self, fact: LotFact) -> bool:
        """Take what a fact says of the scopes of who tells it; says whether older facts of that facility may count otherwise by it."""
        who = fact.facility
        if not self.standing.take(fact) or not (who in self.floors or who in self.seen):
            return False
        if who in self.moves:
            self._touch(who, None)
        cases = {one.key for (teller, _), one in self.cases.items() if teller == who}
        for order in self.orders.values():
            order.pending |= cases
        return True

    def holders(self) -> set[str]:
        """Return who made or imported the lot, or recalls it; not whose notice was corrected and names it no more."""
        return self.makers | self.recalls().decided.keys()

    def recalls(self) -> Recalls:
        """Return what the notices that name the lot say; they are read once, and again where one says something else."""
        if self.recalled is None:
            self.recalled = recalls_of(self.notices)
        return self.recalled

    def _stop(self, fact: LotFact, told: Stop) -> bool:
        stops = self.stops.setdefault(fact.facility, Stops())
        by = evidence_of(fact.record)
        if told.known_at is None:
            before = (stops.told, stops.told_by, stops.recalled)
            stops.told, stops.told_by = min((fact.at, by), before[:2])
            stops.recalled = stops.recalled or told.basis != "order"
            return before != (stops.told, stops.told_by, stops.recalled)
        known = (stops.known, stops.by)
        stops.known, stops.by = min((told.known_at, by), known)
        return known != (stops.known, stops.by)

    def _decided(self, fact: LotFact, told: Decided) -> bool:
        key, made = (told.alarm, fact.record.id), (fact.received, told.code)
        before = self.decisions.get(key)
        most = MAX_OF_PRODUCT if self.lot.startswith(PRODUCT) else MAX_DECISIONS
        if before is None and len(self.decisions) >= most:
            self.left_out += 1
            return False
        self.decisions[key] = made if before is None else min(before, made)
        self.ruled += 1
        self._forget_decisions()
        return self.decisions.get(key) != before

    def _forget_decisions(self) -> None:
        """Forget decisions on alarms of a product whose cases are forgotten: what they closed stays as it was told."""
        since = begin_of(self.portions.horizon) if self.portions else NONE
        old = [key for key, (received, _) in self.decisions.items() if received < since]
        for key in old:
            del self.decisions[key]
        self.ruled += bool(old)

    def _report(self, fact: LotFact, told: Notice | Case) -> bool:
        of, key = (self.notices if isinstance(told, Notice) else self.cases), (fact.facility, told.report)
        before = of.get(key)
        heard = heard_of(fact, told, UNHEARD if before is None else before.heard)
        if before is not None and before.revision >= told.revision:
            if heard == before.heard:
                return False
            of[key] = replace(before, heard=heard)
            self._file(key, before.key, before.key)
            return bool(self.decisions)
        if before is None and len(self.notices) + len(self.cases) >= MAX_REPORTS:
            self.left_out += 1
            return False
        if isinstance(told, Notice):
            made = OfReport(
                told.revision, told.named, told.recall_id, str(told.class_), told.decided_at, told.notified_at
            )
        else:
            made = OfReport(told.revision, told.named, told.case_id, told.seriousness, NONE, told.known_at, heard)
        of[key] = made
        self.corrected = None if before is None else Corrected(*key, before, made)
        if isinstance(told, Case):
            self._file(key, None if before is None else before.key, made.key)
        elif before is not None:
            self.recalled = None
        elif self.recalled is not None:
            self.recalled.take(key, made)
        return True

    def _file(self, report: tuple[str, str], before: str | None, case: str) -> None:
        """File a report under its case."""
        if before is not None:
            self.by_case[before].discard(report)
        self.by_case.setdefault(case, set()).add(report)
        for order in self.orders.values():
            order.pending |= {case} if before is None else {before, case}

    def _move(self, fact: LotFact, told: Made | Moved) -> bool:
        by = evidence_of(fact.record)
        to = told.to if isinstance(told, Moved) and told.to is not None and is_facility_id(told.to) else ""
        came = isinstance(told, Moved) and (to == fact.facility if to else told.from_ != fact.facility)
        name = f"{fact.facility} {fact.event or fact.n}"
        if isinstance(told, Made) and told.expiry is not None:
            named = (told.expiry, fact.facility, by)
            self.expiry = named if self.expiry is None else min(self.expiry, named)
        again = self.digests.get(name)
        if again is not None:  # of two copies of one event the first number stays, whatever order they come in
            sooner, again.received = fact.received < again.received, min(again.received, fact.received)
            if fact.n < again.n:
                again.n, again.record = fact.n, by
                self._touch(fact.facility, None)
            return sooner and bool(self.decisions)
        made = Move(
            fact.facility, told.type, fact.at, fact.at, plain(Fraction(repr(told.quantity))), 1, to,
            told.type == "returned" and came, fact.n, fact.event or "", fact.received, by,
        )  # fmt: skip
        rows = self.moves.setdefault(fact.facility, [])
        if rows and rows[-1].order > made.order:
            insort(rows, made, key=order_of)
        else:
            rows.append(made)
        self._touch(fact.facility, made)
        self.newest = max(self.newest, made.last)
        if isinstance(told, Made) and made.quantity > 0:
            self.makers.add(fact.facility)
        self.digests[name] = made
        return True

    def _touch(self, facility: str, row: Move | None) -> None:
        """Let balances of a facility be gone on with by a move, or made anew."""
        for ledger in self.ledgers.values():
            ledger.moved(facility, row)

    def _foldtogether(self) -> None:
        """Fold moves together by facility, type, where they go, and which decisions came behind them.

        Each facility's facts up to its highest number are done with.
        """
        merged: dict[tuple[str, str, str, bool, int], Move] = {}
        facilities: set[str] = set()
        decided = sorted(received for received, _ in self.decisions.values())
        for rows in self.moves.values():
            for row in rows:
                span = bisect_left(decided, row.received)
                key = (row.facility, row.type, row.to, row.came, span)
                if key not in merged and len(merged) >= MAX_MERGED:
                    key = (row.facility, row.type, "", row.came, span)
                    if key not in merged and row.facility not in facilities:
                        self.left_out += row.count
                        continue
                facilities.add(row.facility)
                merged[key] = together(merged.get(key), row, key[2])
        self.moves = {}
        for row in sorted(merged.values(), key=lambda row: (row.facility, row.order, row.to)):
            self.moves.setdefault(row.facility, []).append(row)
        for facility, numbers in self.seen.items():
            self.floors[facility] = max(self.floors.get(facility, 0), *numbers)
        self.seen, self.kept, self.digests, self.ledgers, self.merged = {}, 0, {}, {}, True
        if self.portions:
            self.portions.fold_together()

    def tellers(self) -> set[str]:
        """Return who told any fact of the lot."""
        return {*self.floors, *self.seen} | self.links.facilities()

    def rows(self) -> Iterator[Move]:
        """Yield all moves, by facility."""
        for facility in sorted(self.moves):
            yield from self.moves[facility]

    def pack(self) -> PackedBook:
        """Return the members for a snapshot; equal books give equal bytes, whatever order their facts came in."""
        numbers = [
            (name, self.floors.get(name, 0), sorted(self.seen.get(name, ())))
            for name in sorted({*self.floors, *self.seen})
        ]
        stops = [(name, s.known, s.by, s.told, s.told_by, s.recalled) for name, s in sorted(self.stops.items())]
        notices = [
            (*key, o.revision, o.named, o.key, int(o.word), o.decided, o.at) for key, o in sorted(self.notices.items())
        ]
        cases = [(*key, o.revision, o.named, o.key, o.word, o.at, o.heard) for key, o in sorted(self.cases.items())]
        decisions = [(*key, *told) for key, told in sorted(self.decisions.items())]
        moves = [row.pack() for row in self.rows()]
        return (numbers, moves, stops, notices, cases, self.expiry, self.left_out, decisions)

    @classmethod
    def unpack(cls, packed: PackedBook, lot: str) -> Book:
        """Return what packed members say of a lot.

        Raises:
            ValueError: a quantity that is no number.
        """
        numbers, moves, stops, notices, cases, expiry, left_out, decisions = packed
        book = cls(lot=lot, expiry=expiry, left_out=left_out)
        book.decisions = {(alarm, name): (received, code) for alarm, name, received, code in decisions}
        for name, floor, seen in numbers:
            book.floors |= {name: floor} if floor else {}
            book.seen |= {name: set(seen)} if seen else {}
        book.kept = sum(map(len, book.seen.values()))
        for move in map(Move.unpack, moves):
            book.moves.setdefault(move.facility, []).append(move)
            book.newest = max(book.newest, move.last)
            book.merged = book.merged or move.count > 1
            if move.type in {"produced", "imported"} and move.quantity > 0:
                book.makers.add(move.facility)
            if move.n > book.floors.get(move.facility, 0):
                book.digests[f"{move.facility} {move.digest or move.n}"] = move
        for name, known, by, told, told_by, recalled in stops:
            book.stops[name] = Stops(known, by, told, told_by, recalled)
        for facility, report, revision, named, key, grade, decided, at in notices:
            book.notices[facility, report] = OfReport(revision, named, key, str(grade), decided, at)
        for facility, report, revision, named, key, word, at, heard in cases:
            book.cases[facility, report] = OfReport(revision, named, key, word, NONE, at, heard)
            book.by_case.setdefault(key, set()).add((facility, report))
        return book
