"""What a report states of a time against the summaries of the series that it is about (ADR 0074).

Summaries know whole hours, or whole days. Where a time begins or ends inside of one, a figure is known between two bounds; a statement is
wrong where it lies off both by more than its tolerance on the same side, and right where it lies within it of both.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from rules import sums
from rules.changes import Leaf, Verdict
from rules.excursions.book import KEPT_MS
from rules.excursions.compare import DIGITS, MINUTE, is_meant, named_by
from rules.facts import facts_of
from rules.instants import start_of_day
from rules.kinds.mean_kinetic import DIGITS as PARTS
from rules.kinds.mean_kinetic import mean_of
from rules.layout import NONE
from rules.predicate import matches
from rules.register import ZONE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rules.excursionparts import ClaimedTime, Figure
    from rules.excursions.book import Book, Claim
    from rules.rule import CompareRule
    from rules.state import FacilityState
    from rules.sums import Period

MONTHS = 12


def time_of(said: ClaimedTime, fields: Mapping[str, Any]) -> tuple[int, int]:
    """Return begin and end (ms, the second no part of it) of the time that a report is about; (NONE, NONE): it names none."""
    if said.period is None:
        begin, end = fields.get(said.from_ or ""), fields.get(said.to or "")
        return (begin, end) if isinstance(begin, int) and isinstance(end, int) and begin < end else (NONE, NONE)
    year, _, part = str(fields.get(said.period, "")).partition("-")
    if not year.isdecimal() or not date.min.year <= int(year) < date.max.year:
        return NONE, NONE
    first, months = 0, MONTHS
    if part:
        quarter = part.startswith("Q")
        first, months = (3 * (int(part[1:]) - 1), 3) if quarter else (int(part) - 1, 1)
    return _month(int(year), first), _month(int(year), first + months)


def _month(year: int, month: int) -> int:
    """Return when a month begins, counted from 0 of a year on."""
    return start_of_day(date(year + month // MONTHS, month % MONTHS + 1, 1), ZONE)


def stated(rule: CompareRule, fields: Mapping[str, Any]) -> dict[str, float]:
    """Return what a report states of the figures of a rule, by field; what it does not state is not there."""
    found = {}
    for one in rule.figures:
        name, _, inner = one.field.partition(".")
        value = fields.get(name)
        if inner:
            value = value.get(inner) if isinstance(value, dict) else None
        if isinstance(value, int | float) and not isinstance(value, bool):
            found[one.field] = float(value)
    return found


@dataclass(frozen=True, slots=True)
class Bounds:
    """Between what a measured figure lies, both inside: the same number twice where it is known."""

    low: float
    high: float

    @property
    def said(self) -> float | str:
        """Return it as evidence says it.

        >>> Bounds(5.0, 5.0).said, Bounds(5.0, 9.5).said, Bounds(-math.inf, 9.0).said, Bounds(2.0, math.inf).said
        (5.0, '5 to 9.5', 'at most 9', 'at least 2')
        """
        if self.low == self.high:
            return self.low
        if math.isinf(self.low) or math.isinf(self.high):
            return f"at most {self.high:g}" if math.isinf(self.low) else f"at least {self.low:g}"
        return f"{self.low:g} to {self.high:g}"


@dataclass(slots=True)
class Tally:
    """What one series measured in a time: of the periods that lie in it whole, and of those that it cuts."""

    length: int
    known: int = 0
    """So long at least, ms."""
    low: tuple[float, float] = (math.inf, math.inf)
    """The least value, of the whole periods and of all."""
    high: tuple[float, float] = (-math.inf, -math.inf)
    outside: tuple[int, int] = (0, 0)
    """ms, at least and at most."""
    weight: int = 0
    total: float = 0.0
    is_cut: bool = False

    def add(self, one: Period, begin: int, end: int) -> None:
        """Take a period that has a part in the time."""
        over = min(one.end, end) - max(one.begin, begin)
        if over <= 0:
            return
        rest = one.end - one.begin - over
        sure, most = self.outside
        self.outside = (sure + max(0, one.outside - rest), most + min(one.outside, over))
        self.known += max(0, one.known - rest)
        (low, lowest), (high, highest) = self.low, self.high
        if rest:
            self.is_cut = True
            self.low, self.high = (low, min(lowest, one.low)), (high, max(highest, one.high))
            return
        self.low = (min(low, one.low), min(lowest, one.low))
        self.high = (max(high, one.high), max(highest, one.high))
        self.weight += one.known
        self.total += one.total


def tally(periods: Iterable[Period], begin: int, end: int) -> Tally:
    """Return what a series measured between two instants, ms; periods by time."""
    found = Tally(end - begin)
    for one in periods:
        found.add(one, begin, end)
    return found


@dataclass(frozen=True, slots=True)
class Measured:
    """What the series of a claim say of its time."""

    tags: tuple[str, ...] = ()
    known: float = 0.0
    """The share of the time that is known, of the series of which the least is."""
    tallies: tuple[Tally, ...] = ()
    excursions: int | None = None


def slots_of(rule: CompareRule, asset: str, state: FacilityState) -> list[int]:
    """Return the series that a rule means, and that stand where a claim says."""
    plan, facility = state.planned, state.planned.facility
    places = {*named_by(asset, facility)} if asset else None
    return [
        slot
        for slot, sensor in enumerate(plan.sensors)
        if sums.is_kept(plan, slot)
        and (places is None or sensor.tag == asset or sensor.area in places)
        and matches(rule, facility, facts_of(facility, sensor, plan.at))
    ]


def measured(rule: CompareRule, said: Claim, book: Book, state: FacilityState) -> Measured:
    """Return what the series of a claim measured in its time."""
    slots = [] if said.begin == NONE else slots_of(rule, said.asset, state)
    if not slots:
        return Measured()
    found = []
    for slot in slots:
        kept = sums.of(state, slot)
        found.append(tally(kept.hours if rule.of_hours else kept.days, said.begin, said.end))
    tags = tuple(state.planned.sensors[slot].tag for slot in slots)
    share = min(one.known / one.length for one in found)
    return Measured(tags, share, tuple(found), _excursions(rule, said, {*tags}, book))


def _excursions(rule: CompareRule, said: Claim, tags: set[str], book: Book) -> int | None:
    """Return how many excursions of some series lie in the time of a claim.

    None: the rule did not listen all of it, those of its beginning are kept no longer, or some found no room or had to go.
    """
    if rule.excursions is None or book.since == NONE or book.since > said.begin or said.begin < said.decided - KEPT_MS:
        return None
    if book.counts["excursion_left_out"] or book.counts["excursion_dropped"]:
        return None
    return sum(
        one.tag in tags and is_meant(rule, one) and one.start < said.end and (one.end == NONE or one.end >= said.begin)
        for one in book.excursions.values()
    )


def bounds_of(one: Figure, found: Measured) -> Bounds | None:
    """Return what was measured of a figure, None where that is not known."""
    tallies = found.tallies
    if one.of == "excursions":
        return None if found.excursions is None else Bounds(found.excursions, found.excursions)
    if one.of == "max":
        return Bounds(max(each.high[0] for each in tallies), max(each.high[1] for each in tallies))
    if one.of == "min":
        return Bounds(min(each.low[1] for each in tallies), min(each.low[0] for each in tallies))
    if one.of == "outside":
        most = min(sum(each.outside[1] for each in tallies), tallies[0].length)
        return Bounds(max(each.outside[0] for each in tallies) / MINUTE, most / MINUTE)
    if any(each.is_cut or not each.weight or math.isnan(each.total) for each in tallies):
        return None
    means = [mean_of(float(each.weight), each.total) / PARTS for each in tallies]
    return Bounds(min(means), max(means))


def judged(value: float, bounds: Bounds | None, tolerance: float) -> Verdict:
    """Say whether a statement is wrong.

    >>> judged(5.0, Bounds(5.5, 5.5), 0.5).value, judged(5.0, Bounds(5.6, 9.0), 0.5).value, judged(5.0, Bounds(5.5, 9.0), 0.5).value
    ('false', 'true', 'unknown')
    """
    if bounds is None:
        return Verdict.UNKNOWN
    below, above = round(bounds.low - value, DIGITS), round(value - bounds.high, DIGITS)
    if max(below, above) > tolerance:
        return Verdict.TRUE
    off = max(abs(round(bound - value, DIGITS)) for bound in (bounds.low, bounds.high))
    return Verdict.FALSE if off <= tolerance else Verdict.UNKNOWN


def comparisons(rule: CompareRule, said: Claim, found: Measured) -> list[Leaf | None]:
    """Return the comparison of each figure of a rule, in its order; None of one that the report does not state."""
    leaves: list[Leaf | None] = []
    for one in rule.figures:
        value = said.stated.get(one.field)
        if value is None:
            leaves.append(None)
            continue
        bounds = bounds_of(one, found) if found.tallies and found.known >= rule.known else None
        right, verdict = None if bounds is None else bounds.said, judged(value, bounds, one.tolerance)
        leaves.append(
            Leaf(expr=f"stated {one.of} ({one.field})", left=value, op="against", right=right, verdict=verdict)
        )
    return leaves


def leaves_of(rule: CompareRule, said: Claim, found: Measured) -> tuple[Verdict, list[Leaf]]:
    """Return whether a report states something else than was measured, and the comparisons; of two figures one that is wrong is enough."""
    leaves = [leaf for leaf in comparisons(rule, said, found) if leaf is not None]
    verdicts = [leaf.verdict for leaf in leaves]
    enough = Verdict.TRUE if found.known >= rule.known else Verdict.UNKNOWN
    share = Leaf(expr="known share of the time", left=round(found.known, 6), op=">=", right=rule.known, verdict=enough)
    return next((one for one in (Verdict.TRUE, Verdict.UNKNOWN) if one in verdicts), Verdict.FALSE), [share, *leaves]
