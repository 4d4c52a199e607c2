"""Serious cases of a lot above what its product lets expect (kind `lot_ratio`, ADR 0090): the spells of each lot of a product.

What was found is kept beside the book and gone on with: of a fact those instants are looked at again that lie behind it, and those lots are
judged anew of which one holds now that did not, or the reverse. It follows from the book: a start from a snapshot finds the same.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING, Final

from rules.changes import Verdict
from rules.layout import NEVER, NONE
from rules.lots.portions import day_of
from rules.lots.rulings import Done, closed_and_open, named_by
from rules.lots.serious import Altered
from rules.lots.spell import Spell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rules.lots.book import Book
    from rules.lots.cases import Item
    from rules.lots.portions import Rated
    from rules.lots.rows import Exact
    from rules.rule import LotRatioRule

MAX_RATED: Final = 256
"""Alarms that are told of the lots of a product, the newest: one sale may turn all of them."""
KEPT: Final = 4
"""Rules of which is kept what they found."""


@dataclass(slots=True)
class Instant:
    """An instant at which a case of a lot was known, ms, with enough of them behind it."""

    at: int
    low: int
    """The first of the cases within the rule's time, by its place among those of the lot."""
    high: int
    """The last one."""
    holds: bool = False


@dataclass(slots=True)
class Watched:
    """What a rule found of a product."""

    altered: Altered = field(default_factory=Altered)
    instants: dict[str, list[Instant]] = field(default_factory=dict)
    """Of each lot, by time; only lots that have one."""
    spells: dict[str, list[Spell]] = field(default_factory=dict)
    """Of each lot of which something holds."""
    decisions: int = 0
    """How often the book's decisions were others when it looked."""
    whole: list[Spell] = field(default_factory=list)


def ratios_of(rule: LotRatioRule, book: Book) -> list[Spell]:
    """Return what holds of the lots of a product, by start and lot, as far back as it is judged.

    Nothing of a product of whose sales some may not be known any more (`book.gaps`).
    """
    if book.gaps or not book.portions:
        return []
    terms, serious = (rule.id, rule.n, rule.within, rule.over, rule.factor), book.portions.serious
    serious.settle()
    watched = book.rated.pop(terms, None)  # nothing is kept of a look that raises
    if watched is None:
        if len(book.rated) >= KEPT:
            book.rated.clear()
        watched = Watched(Altered(set(serious.of_lots()), NONE))
        serious.altered[:] = [*(one.altered for one in book.rated.values()), watched.altered]
    _go_on(rule, book, watched)
    book.rated[terms] = watched
    return watched.whole


def _go_on(rule: LotRatioRule, book: Book, watched: Watched) -> None:
    """Look at what is another since the last look."""
    altered = watched.altered
    turned = _look(rule, book, watched)
    if book.ruled != watched.decisions:
        watched.decisions, turned = book.ruled, turned | watched.instants.keys()
    for lot in turned:
        found = _of_lot(rule, book, lot, watched.instants.get(lot, []))
        if found:
            watched.spells[lot] = found
        else:
            watched.spells.pop(lot, None)
    if turned or altered.since == NONE:  # what is judged begins on another day
        since = book.portions.judged_from
        whole = [one for found in watched.spells.values() for one in found if one.start >= since]
        watched.whole = sorted(whole, key=lambda one: (one.start, one.lot, one.facility, one.use))
    altered.since = NEVER
    altered.lots.clear()


def _look(rule: LotRatioRule, book: Book, watched: Watched) -> set[str]:
    """Look again at the instants that may be another; returns the lots of which one is, or of which the cases are."""
    altered, portions = watched.altered, book.portions
    turned, of_lots = set(altered.lots), portions.of_lots()
    for lot in altered.lots:
        instants = [Instant(ats[high], low, high) for ats, low, high in _instants(rule, of_lots.get(lot, []))]
        if instants:
            watched.instants[lot] = instants
        else:
            watched.instants.pop(lot, None)
    factor = Fraction(repr(rule.factor))
    of_day: dict[int, Exact] = {}
    for lot, instants in watched.instants.items():
        anew = lot in altered.lots
        if not anew and instants[-1].at < altered.since:
            continue
        sums = portions.lots.get(lot)
        for one in instants if anew else instants[bisect_left(instants, altered.since, key=_at_of) :]:
            holds = False
            if sums is not None and not sums.blind:  # as `Rated.verdict`, without what a person reads
                day = day_of(one.at)
                if day not in of_day:
                    of_day[day] = portions.sold(day, rule.over)
                sold, units = of_day[day], sums.until(day)
                holds = (
                    sold > 0
                    and units > 0
                    and (
                        (one.high - one.low + 1) * sold.numerator * units.denominator * factor.denominator
                        > factor.numerator * portions.known(one.at, rule.over) * units.numerator * sold.denominator
                    )
                )
            if holds != one.holds:
                one.holds = holds
                turned.add(lot)
    return turned


def _at_of(one: Instant) -> int:
    return one.at


def _instants(rule: LotRatioRule, items: list[Item]) -> Iterator[tuple[list[int], int, int]]:
    """Yield the instants at which enough cases of a lot were known: all instants, the first of the cases in the rule's time, the last."""
    ats = [item.at for item in items]
    for high in range(rule.n - 1, len(ats)):
        at = ats[high]
        if (high + 1 == len(ats) or ats[high + 1] != at) and at - ats[high - rule.n + 1] <= rule.within:
            yield ats, bisect_left(ats, at - rule.within), high


def _of_lot(rule: LotRatioRule, book: Book, lot: str, instants: list[Instant]) -> list[Spell]:
    """Return the spells of a lot, by start.

    Without cases that a decision is done with, or that had not come yet, there are fewer at each instant, and as many are expected: so what
    holds then starts at an instant that holds with all of them, and no other decision can name it.
    """
    starts = [one.at for one in instants if one.holds]
    if not starts:
        return []
    items = book.portions.of_lots()[lot]
    tellers = {(at, one.facility) for at in starts for one in items[_first(items, at) : _first(items, at + 1)]}
    decided = named_by(rule.id, book, lot, tellers)
    found = closed_and_open(rule.id, book, partial(_spells, rule, book, lot, items), lot, decided)
    return [replace(one, lot=lot) for one in found]


def _first(items: list[Item], at: int) -> int:
    return bisect_left(items, at, key=lambda one: one.at)


def rated_of(rule: LotRatioRule, book: Book, lot: str, items: list[Item]) -> Iterator[tuple[int, int, Rated]]:
    """Yield, at each instant at which a case of a lot was known, the first and last of those in the rule's time, and what they are held against."""
    ats = [item.at for item in items]
    for high, at in enumerate(ats):
        if high + 1 == len(ats) or ats[high + 1] != at:
            low = bisect_left(ats, at - rule.within)
            yield low, high, book.portions.rated(lot, at, high - low + 1, rule.over)


def verdict_of(rule: LotRatioRule, book: Book, rated: Rated) -> Verdict:
    """Say whether there are more cases of a lot than so many times the expected ones, whatever their number."""
    return Verdict.UNKNOWN if book.gaps else rated.verdict(Fraction(repr(rule.factor)))


def _spells(rule: LotRatioRule, book: Book, lot: str, items: list[Item], done: Done, until: int) -> list[Spell]:
    """Return the spells of cases of a lot that were received by `until` (ms) and are not done with, by start.

    The rate is that of all that is known: sales are sums, which do not say what had come by then.
    """
    left = [item for item in items if item.received <= until and item.name not in done.names]
    factor, clusters = Fraction(repr(rule.factor)), list[list[int]]()
    first: list[Rated] = []
    for ats, low, high in _instants(rule, left):
        rated = book.portions.rated(lot, ats[high], high - low + 1, rule.over)
        if rated.verdict(factor) is not Verdict.TRUE:
            continue
        if clusters and low <= clusters[-1][1]:
            clusters[-1][1] = high
        else:
            clusters.append([low, high])
            first.append(rated)
    return [_spell(left[low : high + 1], rated) for (low, high), rated in zip(clusters, first, strict=True)]


def _spell(cases: list[Item], rated: Rated) -> Spell:
    who = max(one.facility for one in cases if one.at == rated.at)
    facilities = set[str]().union(*[one.facilities for one in cases])
    return Spell(rated.at, NONE, who, tuple(sorted(facilities)), tuple(cases), rated=rated)


def with_rate(rule: LotRatioRule, book: Book, spell: Spell) -> Spell:
    """Return a spell with what its cases are held against by all that is known now."""
    was = spell.rated
    return spell if was is None else replace(spell, rated=book.portions.rated(was.lot, was.at, was.cases, rule.over))
