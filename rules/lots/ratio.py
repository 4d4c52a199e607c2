"""Serious cases of a lot above what its product lets expect (kind `lot_ratio`, ADR 0090): the spells of each lot of a product."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import replace
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING

from rules.changes import Verdict
from rules.layout import NONE
from rules.lots.rulings import Done, closed_and_open
from rules.lots.spell import Spell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rules.lots.book import Book
    from rules.lots.cases import Item
    from rules.lots.portions import Rated
    from rules.rule import LotRatioRule


def ratios_of(rule: LotRatioRule, book: Book) -> list[Spell]:
    """Return what holds of the lots of a product, by start and lot, as far back as it is judged.

    Nothing of a product of whose sales some may not be known any more (`book.gaps`).
    """
    if book.gaps:
        return []
    found: list[Spell] = []
    for lot, items in sorted(book.portions.of_lots().items()):
        if len(items) >= rule.n:
            spells = closed_and_open(rule.id, book, partial(_spells, rule, book, lot, items), lot)
            found += [replace(one, lot=lot) for one in spells if one.start >= book.portions.judged_from]
    return sorted(found, key=lambda one: (one.start, one.lot))


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
    for low, high, rated in rated_of(rule, book, lot, left):
        if rated.cases < rule.n or rated.verdict(factor) is not Verdict.TRUE:
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
