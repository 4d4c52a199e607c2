"""What holds of a lot by one rule: spells of time, from all that is known of the lot; a function of that and of the rule alone.

A *spell* is one occurrence: it starts at an event time, at a facility. Of moves that count there is one, from the first of them; of cases each
cluster; neither ends but by an officer, behind whose decision counting begins anew; of a balance each time in which it is off. Unknown makes
no spell and ends none.
"""

from __future__ import annotations

from bisect import bisect_left
from functools import partial
from heapq import merge
from typing import TYPE_CHECKING, Final, NamedTuple

from rules.changes import Verdict
from rules.clocks.due import day_is_over
from rules.layout import NEVER, NONE
from rules.lotparts import BehindStop, CountedMoves
from rules.lots.cases import Item, cases_of
from rules.lots.facts import CaseOf, Dark, Lit, Moved, SoldOf
from rules.lots.ratio import ratios_of
from rules.lots.rulings import Done, closed_and_open
from rules.lots.scopes import wanted_of
from rules.lots.spell import Spell
from rules.lots.tally import Sum, ledger_of
from rules.rule import LotBalanceRule, LotFollowUpRule, LotRatioRule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rules.lots.book import Book
    from rules.lots.facts import LotFact
    from rules.lots.rows import Evidence, Move
    from rules.lots.tally import Off
    from rules.rule import LotCountRule, LotRule

MAX_SPELLS: Final = 64
"""Occurrences of one rule that are told of a lot, the newest; one more is found, which says that there are others."""
LISTED: Final = 40
"""Moves, cases or facilities that the evidence of one change shows at most: so many moves are looked at, the first ones of each facility."""


def spells_of(rule: LotRule, book: Book) -> list[Spell]:
    """Return what holds of a lot, by start."""
    if isinstance(rule, LotFollowUpRule):
        asker = book.standing.asker(rule)
        found = [one for trip in book.links.dark for one in book.links.spells_of(trip, rule, asker)]
        return sorted(found, key=lambda one: (one.start, one.trip))
    if isinstance(rule, LotBalanceRule):
        return _off(rule, book)
    if isinstance(rule, LotRatioRule):
        return ratios_of(rule, book)
    return closed_and_open(rule.id, book, partial(_spells, rule, book))


def concerns(rule: LotRule, fact: LotFact, book: Book) -> bool:
    """Say whether a fact, which the book holds, may change what a rule finds; the last one of a record does for those before it."""
    if isinstance(fact.told, SoldOf | CaseOf) or (isinstance(rule, LotRatioRule) and not book.portions):
        of_product = isinstance(rule, LotRatioRule) and bool(book.portions)
        return of_product and (fact.until is not None or book.portions.matters(fact))
    linked = isinstance(fact.told, Dark | Lit)
    if linked or isinstance(rule, LotFollowUpRule):
        return linked and isinstance(rule, LotFollowUpRule)
    return fact.until is not None or _may_change(rule, fact)


def _may_change(rule: LotCountRule | LotBalanceRule | LotRatioRule, fact: LotFact) -> bool:
    if isinstance(rule, LotBalanceRule):
        return fact.told.fact in {"made", "moved"}
    if fact.told.fact == "decided" or isinstance(rule, LotRatioRule):
        return fact.told.fact == "decided"
    if not isinstance(rule.counted, CountedMoves):
        return fact.told.fact == "case"
    if isinstance(fact.told, Moved):
        return fact.told.type in rule.counted.types
    return fact.told.fact != "case"


def items_of(rule: LotCountRule | LotFollowUpRule | LotRatioRule, book: Book) -> Iterator[Item]:
    """Yield what a count, a follow-up or a ratio looks at, each with its verdict; in the order of time, facility and name.

    Nothing of facilities that the rule is not for at the time of the thing itself.
    """
    if isinstance(rule, LotRatioRule):
        yield from book.portions.items()
        return
    if isinstance(rule, LotFollowUpRule):
        asker = book.standing.asker(rule)
        found = [
            item for trip in book.links.dark for item in book.links.items_of(trip) if asker(item.facility, item.at)
        ]
        yield from sorted(found, key=lambda item: item.order)
        return
    if isinstance(rule.counted, CountedMoves):
        yield from sorted(_moves(rule, rule.counted, book, whole=True), key=lambda item: item.order)
    else:
        yield from cases_of(frozenset(rule.counted.seriousness), wanted_of(rule), book)


def _spells(rule: LotCountRule, book: Book, done: Done, until: int) -> list[Spell]:
    """Return the spells of what was received by `until` (ms) and is not done with, by start."""
    if isinstance(rule.counted, CountedMoves):
        found = _first(list(_moves(rule, rule.counted, book, whole=False, after=done.received, until=until)))
        return [] if found is None else [found]
    cases = cases_of(frozenset(rule.counted.seriousness), wanted_of(rule), book)
    if done.names or until != NEVER:
        cases = [item for item in cases if item.received <= until and item.name not in done.names]
    return _clusters(rule, cases)


def _first(items: list[Item]) -> Spell | None:
    """Return the spell from the first of some moves that count."""
    counted = sorted(
        (i for i in items if i.verdict is Verdict.TRUE), key=lambda i: (i.at, i.facility, i.name, i.records)
    )
    if not counted:
        return None
    start = counted[0].at
    who = max(item.facility for item in counted if item.at == start)
    return Spell(start, NONE, who, tuple(sorted({item.facility for item in counted})), tuple(counted))


def _clusters(rule: LotCountRule, items: list[Item]) -> list[Spell]:
    """Return a spell for each cluster of cases: so many within the time, both ends included, and all such that share one with them."""
    counted = [item for item in items if item.verdict is Verdict.TRUE]
    ats, before = [item.at for item in counted], rule.n - 1
    clusters: list[list[int]] = []
    last = -1
    for high, (first, at) in enumerate(zip(ats, ats[before:], strict=False), before):
        if at - first > rule.within:
            continue
        if high - before > last:  # the least that it may share; else how far back it goes
            low = bisect_left(ats, at - rule.within)
            if low > last:
                clusters.append([low, high, high])
        last = clusters[-1][2] = high
    return [_cluster(counted[low : end + 1], ats[reached]) for low, reached, end in clusters]


def _cluster(cases: list[Item], start: int) -> Spell:
    who = max(one.facility for one in cases if one.at == start)
    facilities = set[str]().union(*[one.facilities for one in cases])
    return Spell(start, NONE, who, tuple(sorted(facilities)), tuple(cases))


class Bound(NamedTuple):
    """The instant at or behind which a move counts."""

    at: int
    """ms, NEVER: none is known."""
    may_before: bool = False
    """It may have been known before."""
    by: str = ""
    """Whose word it is."""
    records: tuple[Evidence, ...] = ()


def stop_of(behind: BehindStop, facility: str, book: Book) -> Bound:
    """Return from when a facility knew of a stop, by whose word.

    An order of a recall that does not say since when counts from the holder's notice (default-rules-2.md, "unk").
    """
    known, may_before, by, who, notice = NEVER, False, ("", ""), facility, behind.notice
    own = book.stops.get(facility)
    if own is not None:
        known, by = min((own.known, own.by), (own.told, own.told_by))
        may_before = own.told != NEVER
        notice = 0 if own.recalled else notice
    told = book.recalls().of(facility, notice)
    if told is not None and told[0] < known:
        known, who, by = told
    return Bound(known, may_before, who, (by,)) if by[0] else Bound(NEVER, may_before)


def _moves(
    rule: LotCountRule, counted: CountedMoves, book: Book, *, whole: bool, after: int = NONE, until: int = NEVER
) -> Iterator[Item]:
    """Yield the moves that a rule looks at, received behind `after` and not behind `until` (ms).

    Not `whole`: of each facility none before the first that counts, and not many behind it.
    """
    holders = book.holders() if counted.back else set()
    types, by_stop = frozenset(counted.types), isinstance(rule.behind, BehindStop)
    unknown = not by_stop and book.expiry is None
    against = _expiry(book)
    if not whole and not (book.stops or book.notices if by_stop else against.at <= book.newest):
        return
    share = max(1, LISTED // max(1, len(book.moves)))
    wanted = wanted_of(rule)
    for facility, rows in book.moves.items():
        if isinstance(rule.behind, BehindStop):
            against = stop_of(rule.behind, facility, book)
        begin = 0 if whole or book.merged else bisect_left(rows, against.at, key=_first_of)
        left, asked, inside = len(rows) if whole else share, False, None
        for row in rows[begin:]:
            if not after < row.received <= until:
                continue
            at = row.first if row.first >= against.at else row.last
            if row.type not in types or row.quantity <= 0 or row.to in holders or not (whole or at >= against.at):
                continue
            if not asked:
                asked, inside = True, book.standing.always(wanted, facility)
            if inside is False:
                break
            if inside is None and not book.standing.is_in(wanted, facility, at):
                continue
            maybe = counted.back and row.to in book.gaps  # what is known of it no more may say that it made the lot
            if maybe and not whole:
                continue
            verdict = (
                Verdict.UNKNOWN
                if maybe
                else Verdict.TRUE
                if at >= against.at
                else Verdict.UNKNOWN
                if unknown or against.may_before
                else Verdict.FALSE
            )
            records, tellers = (row.record, *against.records), (facility, *(against.by for _ in against.records))
            yield Item(at, facility, row.type, verdict, against.at, records, tellers, received=row.received)
            left -= 1
            if not left:
                break


def _first_of(row: Move) -> int:
    return row.first


def _expiry(book: Book) -> Bound:
    """Return the end of the lot's last day, and who names that."""
    if book.expiry is None:
        return Bound(NEVER)
    day, who, record = book.expiry
    over = day_is_over(day)
    return Bound(NEVER if over is None else over, by=who, records=(record,))


def sums_of(rule: LotBalanceRule, book: Book) -> Iterator[Sum]:
    """Yield what each facility had and gave by its newest move, by facility."""
    tallies = ledger_of(rule, book).tallies
    asker = book.standing.asker(rule)
    yield from (
        tallies[name].now() for name in sorted(tallies) if tallies[name].ats and asker(name, tallies[name].ats[-1])
    )


def _off(rule: LotBalanceRule, book: Book) -> list[Spell]:
    """Return the newest times in which the balance of some facility is off, by start; those of several that overlap or touch are one.

    They are found from the end, and older ones not looked at: a firm may be off and on as often as it has moves.
    """
    spells: list[Spell] = []
    joined: list[Off] = []
    start = NEVER
    newest = (tally.off() for tally in ledger_of(rule, book).off.values())
    for one in merge(*newest, key=_end_of, reverse=True):
        if joined and one[1] < start:
            spells.append(_spell(joined))
            if len(spells) > MAX_SPELLS:
                return spells[::-1]
            joined, start = [], NEVER
        joined.append(one)
        start = min(start, one[0])
    if joined:
        spells.append(_spell(joined))
    return spells[::-1]


def _end_of(one: Off) -> int:
    return one[1]


def _spell(joined: list[Off]) -> Spell:
    joined = sorted(joined, key=lambda one: (one[0], one[2]))
    start, end = joined[0][0], max(one[1] for one in joined)
    who = max(facility for begin, _, facility, _ in joined if begin == start)
    return Spell(
        start,
        NONE if end == NEVER else end,
        who,
        tuple(sorted({one[2] for one in joined})),
        tuple(one[3].begun(one[0]) for one in joined),
    )
