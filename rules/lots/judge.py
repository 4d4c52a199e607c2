"""What holds of a lot by one rule: spells of time, from all that is known of the lot; a function of that and of the rule alone.

A *spell* is one occurrence: it starts at an event time, at a facility. Of a count there is one at most, from where it is reached first, and it
does not end; of a balance each time in which it is off. Unknown makes no spell and ends none.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Final

from rules.changes import Verdict
from rules.clocks.due import day_is_over
from rules.layout import NEVER, NONE
from rules.lotparts import BehindExpiry, BehindStop, CountedMoves
from rules.rule import LotBalanceRule

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rules.lots.book import Book, Evidence, Move
    from rules.rule import LotCountRule, LotRule

ORIGINS: Final = frozenset({"produced", "imported", "arrived"})
"""Types that say what a facility had; returns alone do not."""


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
    facilities: tuple[str, ...] = ()
    """Of a case all who reported it."""


@dataclass(frozen=True, slots=True)
class Sum:
    """What a facility had and gave of a lot by an instant (ms)."""

    at: int
    facility: str
    parts: Fraction
    whole: Fraction
    verdict: Verdict
    records: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True)
class Spell:
    """One occurrence; instants in ms, `end` NONE while it lasts."""

    start: int
    end: int
    facility: str
    """Of the newest of the facts by which it holds at its start: by event or known time, then by id."""
    facilities: tuple[str, ...]
    """All whose facts make it hold, sorted."""
    items: tuple[Item | Sum, ...]
    """What makes it hold, in the order of time."""


def spells_of(rule: LotRule, book: Book) -> list[Spell]:
    """Return what holds of a lot, by start."""
    if isinstance(rule, LotBalanceRule):
        return _off(list(sums_of(rule, book)))
    return _reached(rule, list(items_of(rule, book)))


def items_of(rule: LotCountRule, book: Book) -> Iterator[Item]:
    """Yield what a count looks at, each with its verdict; in the order of time, facility and name."""
    found = _moves(rule, rule.counted, book) if isinstance(rule.counted, CountedMoves) else _cases(rule, book)
    yield from sorted(found, key=lambda item: (item.at, item.facility, item.name, item.records))


def _reached(rule: LotCountRule, items: list[Item]) -> list[Spell]:
    """Return the spell from the first instant at which so many lie within the time, both ends included."""
    counted = [item for item in items if item.verdict is Verdict.TRUE]
    low = 0
    for high, item in enumerate(counted):
        while item.at - counted[low].at > rule.within:
            low += 1
        if high - low + 1 >= rule.n:
            who = max(one.facility for one in counted if one.at == item.at)
            beside = counted if rule.n == 1 else [one for one in counted if abs(one.at - item.at) <= rule.within]
            facilities = tuple(sorted({name for one in beside for name in one.facilities or (one.facility,)}))
            return [Spell(item.at, NONE, who, facilities, tuple(beside))]
    return []


def stop_of(behind: BehindStop, facility: str, book: Book) -> tuple[int, bool, tuple[Evidence, ...]]:
    """Return from when a facility knew of a stop (ms, NEVER: it did not), whether it may have known before, and the record that says so."""
    known, may_before, by = NEVER, False, ("", "")
    own = book.stops.get(facility)
    if own is not None:
        known, by = min((own.known, own.by), (own.told, own.told_by))
        may_before = own.told != NEVER
    for (holder, _), notice in sorted(book.notices.items()):
        if notice.named:
            at = notice.decided if holder == facility else notice.at + behind.notice
            if at < known:
                known, by = at, ("report", _revision(book, holder, notice.key))
    return known, may_before, (by,) if by[0] else ()


def _revision(book: Book, holder: str, recall: str) -> str:
    found = [f"{report}/{one.revision}" for (name, report), one in sorted(book.notices.items()) if name == holder and one.key == recall and one.named]  # fmt: skip
    return found[0]


def _moves(rule: LotCountRule, counted: CountedMoves, book: Book) -> Iterator[Item]:
    holders = book.holders() if counted.back else set()
    types = frozenset(counted.types)
    by_expiry: tuple[int, bool, tuple[Evidence, ...]] = (NEVER, False, ())
    if isinstance(rule.behind, BehindExpiry) and book.expiry is not None:
        over = day_is_over(book.expiry[0])
        by_expiry = (NEVER if over is None else over, False, (book.expiry[1],))
    for facility, rows in book.moves.items():
        against = stop_of(rule.behind, facility, book) if isinstance(rule.behind, BehindStop) else by_expiry
        unknown = isinstance(rule.behind, BehindExpiry) and book.expiry is None
        for row in rows:
            if row.type not in types or row.quantity <= 0 or row.to in holders:
                continue
            at = row.first if row.first >= against[0] else row.last
            verdict = Verdict.TRUE if at >= against[0] else Verdict.UNKNOWN if unknown or against[1] else Verdict.FALSE
            yield Item(at, facility, row.type, verdict, against[0], (row.record, *against[2]))


def _cases(rule: LotCountRule, book: Book) -> Iterator[Item]:
    grave = frozenset() if isinstance(rule.counted, CountedMoves) else frozenset(rule.counted.seriousness)
    by_case: dict[str, list[tuple[int, str, Evidence, bool]]] = {}
    for (facility, report), one in book.cases.items():
        if one.named:
            told = (one.at, facility, ("report", f"{report}/{one.revision}"), one.word in grave)
            by_case.setdefault(one.key, []).append(told)
    for case, told_of in by_case.items():
        counting = [told for told in told_of if told[3]]
        at = min(told[0] for told in counting or told_of)
        who = max(told[1] for told in counting or told_of if told[0] == at)
        records = tuple(sorted(told[2] for told in counting or told_of))
        verdict = Verdict.TRUE if counting else Verdict.FALSE
        yield Item(at, who, case, verdict, NEVER, records, tuple(sorted({told[1] for told in counting or told_of})))


def sums_of(rule: LotBalanceRule, book: Book) -> Iterator[Sum]:
    """Yield what each facility had and gave by each instant at which something moved; by facility, then in the order of time.

    What was folded together comes in at its first instant and leaves at its last: between them nothing is held to be off.
    """
    parts, whole = frozenset(rule.parts), frozenset(rule.whole)
    slack = Fraction(repr(rule.tolerance))
    for facility in sorted(book.moves):
        rows = book.moves[facility]
        steps = sorted(_steps(rows, parts, whole), key=lambda step: step[0])
        known = any(row.type in whole & ORIGINS for row in rows)
        gave, had, records = Fraction(0), Fraction(0), []
        for i, (at, sign, quantity, record) in enumerate(steps):
            gave, had = (gave + quantity, had) if sign else (gave, had + quantity)
            records.append(record)
            if i + 1 < len(steps) and steps[i + 1][0] == at:
                continue
            verdict = Verdict.TRUE if gave > had + slack else Verdict.FALSE
            yield Sum(at, facility, gave, had, verdict if known else Verdict.UNKNOWN, tuple(records))
            records = []


def _steps(
    rows: list[Move], parts: frozenset[str], whole: frozenset[str]
) -> Iterator[tuple[int, bool, Fraction, Evidence]]:
    for row in rows:
        if row.type in parts:
            yield row.last, True, row.quantity, row.record
        elif row.type in whole and (row.type != "returned" or row.came):
            yield row.first, False, row.quantity, row.record


def _off(sums: list[Sum]) -> list[Spell]:
    """Return the times in which the balance of some facility is off; those of several that overlap or touch are one."""
    single: list[tuple[int, int, str, Sum]] = []
    for facility, of in _by_facility(sums):
        begun: Sum | None = None
        for one in of:
            if one.verdict is Verdict.TRUE and begun is None:
                begun = one
            elif one.verdict is Verdict.FALSE and begun is not None:
                single.append((begun.at, one.at, facility, begun))
                begun = None
        if begun is not None:
            single.append((begun.at, NEVER, facility, begun))
    spells: list[Spell] = []
    joined: list[tuple[int, int, str, Sum]] = []
    for one in sorted(single, key=lambda each: (each[0], each[2])):
        if joined and one[0] > max(each[1] for each in joined):
            spells.append(_spell(joined))
            joined = []
        joined.append(one)
    return [*spells, _spell(joined)] if joined else spells


def _by_facility(sums: Iterable[Sum]) -> Iterator[tuple[str, list[Sum]]]:
    found: dict[str, list[Sum]] = {}
    for one in sums:
        found.setdefault(one.facility, []).append(one)
    yield from found.items()


def _spell(joined: list[tuple[int, int, str, Sum]]) -> Spell:
    start, end = joined[0][0], max(one[1] for one in joined)
    who = max(facility for begin, _, facility, _ in joined if begin == start)
    return Spell(
        start,
        NONE if end == NEVER else end,
        who,
        tuple(sorted({one[2] for one in joined})),
        tuple(one[3] for one in joined),
    )
