"""What is kept of one lot: moves, stops, notices, cases; bounded, whatever order the facts come in, packed for a snapshot.

Above `MAX_FACTS` facts since they were last folded together, moves are: by facility, type and where they go, with the exact sum and the first
and the last instant. Sums and expiry go on as before; between the first and the last instant nobody knows any more what moved when, and of
each facility only facts with higher numbers are new.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

import msgspec

from rules.layout import NEVER, NONE
from rules.lots.facts import Case, Made, Moved, Notice, Stop
from rules.models import is_facility_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rules.lots.cases import Order
    from rules.lots.facts import LotFact, Read
    from rules.lots.tally import Ledger, Terms

MAX_FACTS: Final = 5_000
"""Facts of a lot that are told apart ..."""
MAX_MERGED: Final = 20_000
"""... rows of moves that were folded together: behind it where they go is not kept any more, and then nothing of new facilities ..."""
MAX_REPORTS: Final = 5_000
"""... and reports of cases and recalls: behind it new ones are left out and counted."""

_At: TypeAlias = Annotated[int, msgspec.Meta(ge=NONE, le=NEVER)]
_Some: TypeAlias = Annotated[int, msgspec.Meta(ge=1)]
_Many: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]
Exact: TypeAlias = int | Fraction
"""A quantity as it is written in decimals."""
Evidence: TypeAlias = tuple[str, str]
"""Kind and id of a record of the log."""
PackedMove: TypeAlias = tuple[str, str, _At, _At, str, _Some, str, bool, _Some, str, str, str]
PackedStops: TypeAlias = tuple[str, _At, Evidence, _At, Evidence]
PackedNotice: TypeAlias = tuple[str, str, _Some, bool, str, _Many, _At, _At]
PackedCase: TypeAlias = tuple[str, str, _Some, bool, str, str, _At]
PackedBook: TypeAlias = tuple[
    list[tuple[str, _Many, list[_Some]]], list[PackedMove], list[PackedStops], list[PackedNotice], list[PackedCase],
    tuple[str, Evidence] | None, _Many,
]  # fmt: skip


@dataclass(slots=True)
class Move:
    """Something of a lot that a facility made, got or gave; several of them where they were folded together. Instants in ms."""

    facility: str
    type: str
    first: int
    last: int
    quantity: Exact
    count: int
    to: str
    """The facility that it goes to, else nothing."""
    came: bool
    """Of a return: it came to the facility that tells it."""
    n: int
    digest: str
    """Of the event; empty where several are folded together."""
    record: Evidence

    @property
    def order(self) -> tuple[int, str, str, str, int]:
        """Return where it stands among others, whatever order they came in."""
        return (self.first, self.facility, self.type, self.digest, self.n)

    def pack(self) -> PackedMove:
        """Return the members for a snapshot."""
        return (
            self.facility, self.type, self.first, self.last, str(self.quantity), self.count, self.to, self.came, self.n,
            self.digest, *self.record,
        )  # fmt: skip

    @classmethod
    def unpack(cls, row: PackedMove) -> Move:
        """Return what packed members say.

        Raises:
            ValueError: its quantity is no number.
        """
        facility, kind, first, last, quantity, count, to, came, n, digest, *record = row
        return cls(
            facility, kind, first, last, _plain(Fraction(quantity)), count, to, came, n, digest, (record[0], record[1])
        )  # fmt: skip


@dataclass(slots=True)
class Stops:
    """When a facility knew that a lot must not move, by its own orders: the earliest that says when, and the earliest that does not. Instants in ms, NEVER: none."""

    known: int = NEVER
    by: Evidence = ("", "")
    told: int = NEVER
    """When one that does not say it happened: it was known by then."""
    told_by: Evidence = ("", "")


@dataclass(frozen=True, slots=True)
class OfReport:
    """What a report says of the lot, as its highest revision has it."""

    revision: int
    named: bool
    key: str
    """The recall, or the case."""
    word: str
    """The seriousness of a case, the class of a recall."""
    decided: int
    """Of a recall when it was decided, ms; NONE of a case."""
    at: int
    """When the chain was told, or the case was known, ms."""


@dataclass(slots=True)
class Book:
    """All that is known of one lot."""

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
    expiry: tuple[str, Evidence] | None = None
    """The earliest day that is named, with the record."""
    left_out: int = 0
    """Facts for which there was no room."""
    merged: bool = False
    """Some moves were folded together."""
    makers: set[str] = field(default_factory=set)
    """Who made or imported it; follows from `moves`, as do the next three."""
    newest: int = NONE
    """The newest instant at which something moved, ms."""
    versions: dict[str, int] = field(default_factory=dict)
    """Facility -> how often its moves came late or were folded together."""
    by_case: dict[str, set[tuple[str, str]]] = field(default_factory=dict)
    """Case -> its reports; follows from `cases`."""
    orders: dict[frozenset[str], Order] = field(default_factory=dict)
    """Cases in order as far as they were asked for (rules/lots/cases.py)."""
    ledgers: dict[Terms, Ledger] = field(default_factory=dict)
    """Balances as far as they were asked for (rules/lots/tally.py)."""
    kept: int = 0
    """Facts that are told apart; follows from `seen`."""
    digests: dict[str, Move] = field(default_factory=dict)
    """Facility and digest of an event -> its move; follows from `moves`."""

    def knows(self, fact: LotFact) -> bool:
        """Say whether a fact came before."""
        return fact.n <= self.floors.get(fact.facility, 0) or fact.n in self.seen.get(fact.facility, ())

    def take(self, fact: LotFact) -> bool:
        """Take a fact that did not come before; says whether anything is known now that was not."""
        self.seen.setdefault(fact.facility, set()).add(fact.n)
        self.kept += 1
        told = fact.told
        if isinstance(told, Stop):
            changed = self._stop(fact, told)
        elif isinstance(told, Notice | Case):
            changed = self._report(fact, told)
        else:
            changed = self._move(fact, told)
        if self.kept > MAX_FACTS:
            self._fold_together()
        return changed

    def holders(self) -> set[str]:
        """Return who made or imported the lot, or recalled it."""
        return self.makers | {facility for facility, _ in self.notices}

    def _stop(self, fact: LotFact, told: Stop) -> bool:
        stops = self.stops.setdefault(fact.facility, Stops())
        by = evidence_of(fact.record)
        if told.known_at is None:
            before = (stops.told, stops.told_by)
            stops.told, stops.told_by = min((fact.at, by), before)
            return before != (stops.told, stops.told_by)
        before = (stops.known, stops.by)
        stops.known, stops.by = min((told.known_at, by), before)
        return before != (stops.known, stops.by)

    def _report(self, fact: LotFact, told: Notice | Case) -> bool:
        of, key = (self.notices if isinstance(told, Notice) else self.cases), (fact.facility, told.report)
        before = of.get(key)
        if before is not None and before.revision >= told.revision:
            return False
        if before is None and len(self.notices) + len(self.cases) >= MAX_REPORTS:
            self.left_out += 1
            return False
        if isinstance(told, Notice):
            made = OfReport(
                told.revision, told.named, told.recall_id, str(told.class_), told.decided_at, told.notified_at
            )
        else:
            made = OfReport(told.revision, told.named, told.case_id, told.seriousness, NONE, told.known_at)
        of[key] = made
        if isinstance(told, Case):
            self._file(key, None if before is None else before.key, made.key)
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
        came = isinstance(told, Moved) and (told.to == fact.facility or told.from_ != fact.facility)
        name = f"{fact.facility} {fact.event or fact.n}"
        if isinstance(told, Made) and told.expiry is not None:
            named = (told.expiry, by)
            self.expiry = named if self.expiry is None else min(self.expiry, named)
        again = self.digests.get(name)
        if again is not None:  # of two copies of one event the first number stays, whatever order they come in
            if fact.n < again.n:
                again.n, again.record = fact.n, by
                self._touch(fact.facility, anew=True)
            return False
        made = Move(
            fact.facility, told.type, fact.at, fact.at, _plain(Fraction(repr(told.quantity))), 1, to,
            told.type == "returned" and came, fact.n, fact.event or "", by,
        )  # fmt: skip
        rows = self.moves.setdefault(fact.facility, [])
        late = bool(rows) and rows[-1].order > made.order
        rows.append(made)
        if late:
            rows.sort(key=_order_of)
        self._touch(fact.facility, anew=late)
        self.newest = max(self.newest, made.last)
        if isinstance(told, Made):
            self.makers.add(fact.facility)
        self.digests[name] = made
        return True

    def _touch(self, facility: str, *, anew: bool) -> None:
        """Let balances of a facility be gone on with, or made anew."""
        self.versions[facility] = self.versions.get(facility, 0) + anew
        for ledger in self.ledgers.values():
            ledger.pending.add(facility)

    def _fold_together(self) -> None:
        """Fold moves together by facility, type and where they go; each facility's facts up to its highest number are done with."""
        merged: dict[tuple[str, str, str, bool], Move] = {}
        facilities: set[str] = set()
        for rows in self.moves.values():
            for row in rows:
                key = (row.facility, row.type, row.to, row.came)
                if key not in merged and len(merged) >= MAX_MERGED:
                    key = (row.facility, row.type, "", row.came)
                    if key not in merged and row.facility not in facilities:
                        self.left_out += row.count
                        continue
                facilities.add(row.facility)
                merged[key] = _together(merged.get(key), row, key[2])
        self.moves = {}
        for row in sorted(merged.values(), key=lambda row: (row.facility, row.order, row.to)):
            self.moves.setdefault(row.facility, []).append(row)
        for facility, numbers in self.seen.items():
            self.floors[facility] = max(self.floors.get(facility, 0), *numbers)
        self.seen, self.kept, self.digests, self.ledgers, self.merged = {}, 0, {}, {}, True

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
        stops = [(name, s.known, s.by, s.told, s.told_by) for name, s in sorted(self.stops.items())]
        notices = [
            (*key, o.revision, o.named, o.key, int(o.word), o.decided, o.at) for key, o in sorted(self.notices.items())
        ]
        cases = [(*key, o.revision, o.named, o.key, o.word, o.at) for key, o in sorted(self.cases.items())]
        return (numbers, [row.pack() for row in self.rows()], stops, notices, cases, self.expiry, self.left_out)

    @classmethod
    def unpack(cls, packed: PackedBook) -> Book:
        """Return what packed members say.

        Raises:
            ValueError: a quantity that is no number.
        """
        numbers, moves, stops, notices, cases, expiry, left_out = packed
        book = cls(expiry=expiry, left_out=left_out)
        for name, floor, seen in numbers:
            book.floors |= {name: floor} if floor else {}
            book.seen |= {name: set(seen)} if seen else {}
        book.kept = sum(map(len, book.seen.values()))
        for move in map(Move.unpack, moves):
            book.moves.setdefault(move.facility, []).append(move)
            book.newest = max(book.newest, move.last)
            book.merged = book.merged or move.count > 1
            if move.type in {"produced", "imported"}:
                book.makers.add(move.facility)
            if move.n > book.floors.get(move.facility, 0):
                book.digests[f"{move.facility} {move.digest or move.n}"] = move
        for name, known, by, told, told_by in stops:
            book.stops[name] = Stops(known, by, told, told_by)
        for facility, report, revision, named, key, grade, decided, at in notices:
            book.notices[facility, report] = OfReport(revision, named, key, str(grade), decided, at)
        for facility, report, revision, named, key, word, at in cases:
            book.cases[facility, report] = OfReport(revision, named, key, word, NONE, at)
            book.by_case.setdefault(key, set()).add((facility, report))
        return book


def _order_of(move: Move) -> tuple[int, str, str, str, int]:
    return move.order


def _plain(quantity: Fraction) -> Exact:
    """Return a whole number as one: most are, and they are added faster."""
    return quantity.numerator if quantity.denominator == 1 else quantity


def evidence_of(read: Read) -> Evidence:
    """Return a record as evidence names it."""
    return (read.kind, read.id)


def _together(sum_of: Move | None, row: Move, to: str) -> Move:
    if sum_of is None:
        return Move(
            row.facility, row.type, row.first, row.last, row.quantity, row.count, to, row.came, row.n, "", row.record
        )
    newer = row if (row.last, row.n) > (sum_of.last, sum_of.n) else sum_of
    return Move(
        row.facility, row.type, min(sum_of.first, row.first), max(sum_of.last, row.last), sum_of.quantity + row.quantity,
        sum_of.count + row.count, to, row.came, max(sum_of.n, row.n), "", newer.record,
    )  # fmt: skip
