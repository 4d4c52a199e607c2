"""Kind `stock_balance`: at each count, what the last count and the bookings since leave, against what was counted.

Bookings and counts stand by event time, in whatever order they come; a booking lies before a count if its event time does. A count
that differs holds until a later one agrees with the bookings since it. Sums are exact, in decimals. Bookings that name no place are kept
by product, and what there is in each of its places is not known behind them until the next count.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from rules.changes import Leaf, RecordRead, Verdict
from rules.instants import format_instant
from rules.layout import HORIZON_MS, NEVER, NONE
from rules.leaves.model import Seen, verdict
from rules.ledger.entry import Entry, Met, entries_of, read_of, reads_of, text_of
from rules.ledger.judged import Judged, Run, shown
from rules.rare.match import is_meant, text_of_field
from rules.rare.store import subject_of
from rules.rare.store import text_of as text_of_subject
from rules.rare.units import number_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rules.rare.store import Cases, Fact
    from rules.records import Event
    from rules.register import Facility
    from rules.rule import StockBalanceRule

COUNT, ADDS, TAKES, BASE, SOMEWHERE = "count", "adds", "takes", "base", "somewhere"
"""SOMEWHERE: a booking of the product that names no place."""
MARKS = 256
"""Such bookings that are kept of a product; of more the closest become spans, in which nothing is known."""


def met(rule: StockBalanceRule, event: Event, facility: Facility) -> Met | None:
    """Return what an event is to the rule, None of one that it does not mean.

    A product that is registered with another class is none of its; one that is not registered is.
    """
    asked = [(COUNT, rule.counted), *((ADDS, one) for one in rule.adds), *((TAKES, one) for one in rule.takes)]
    what = next((what for what, match in asked if is_meant(event, match) is Verdict.TRUE), None)
    if what is None:
        return None
    product, quantity = text_of_field(event, "product"), number_of(event.fields.get("quantity"))
    registered = next((one for one in facility.products if one.id == product), None)
    if registered is not None and registered.class_ != rule.product_class:
        return None
    what, place = _booked(event, what, facility)
    if product is None or quantity is None:
        return Met(None, "")
    if place is None:
        return Met(None, "" if what == COUNT else text_of(SOMEWHERE), None if what == COUNT else product)
    return Met({"place": place, "product": product}, text_of(what, quantity=str(quantity)))


def _booked(event: Event, what: str, facility: Facility) -> tuple[str, str | None]:
    """Return whether an event adds or takes, and where: `place`, else where it says that it came to or went from, but for the facility itself.

    What comes back to the place adds, and what leaves it takes, whatever the word for it is.
    """
    place, begin, end = (text_of_field(event, name) for name in ("place", "from", "to"))
    if what == COUNT:
        return what, place
    if place is None:
        named = end if what == ADDS else begin
        place = None if named == facility.id else named
    if place is not None and begin != end and place in {begin, end}:
        what = ADDS if place == end else TAKES
    return what, place


def unplaced_subject(product: str) -> str:
    """Return under which subject, as text, the bookings of a product that name no place are kept.

    >>> unplaced_subject("P-1")
    '{"product": "P-1"}'
    """
    return text_of_subject({"product": product})


def is_unplaced(subject: str) -> bool:
    """Say whether a subject is the one of such bookings: it has no place, and no alarm."""
    return subject_of(subject).keys() == {"product"}


def unplaced(subject: str, cases: Cases) -> list[Fact]:
    """Return the bookings without a place that speak of a subject: those of the product of a place."""
    named = subject_of(subject)
    case = cases.get(unplaced_subject(named["product"])) if named.keys() == {"place", "product"} else None
    return [] if case is None else case.facts


def newest_count(facts: Sequence[Fact]) -> int:
    """Return the event time (ms) of the newest count, NONE: there is none. What comes before it may change what was said of it."""
    return next((fact.t for fact in reversed(facts) if not is_booking(fact)), NONE)


class Marks:
    """When something was booked of which it is not known where."""

    def __init__(self, facts: Sequence[Fact]) -> None:
        """Begin with bookings, or what they became, by event time."""
        self._begins, self._reach = [fact.t for fact in facts], []
        reach = NONE
        for entry in entries_of(facts):
            reach = max(reach, entry.said.get("until", entry.at))
            self._reach.append(reach)

    def are_in(self, begin: int, end: int) -> bool:
        """Say whether there is one from an event time (ms) on until before another."""
        before = bisect_left(self._begins, end)
        return before > 0 and self._reach[before - 1] >= begin


def merged(facts: list[Fact], most: int) -> list[Fact]:
    """Return at most so many bookings without a place: those that lie closest become spans, as if there were some all the time."""
    entries = entries_of(facts)
    gaps = [(after.at - one.said.get("until", one.at), i) for i, (one, after) in enumerate(pairwise(entries), 1)]
    joins = {i for _, i in sorted(gaps)[: max(0, len(facts) - most)]}
    found: list[Fact] = []
    until = NONE
    for i, one in enumerate(entries):
        ends = one.said.get("until", one.at)
        if i not in joins:
            found.append(one.fact)
            until = ends
            continue
        until = max(until, ends)
        received = max(found[-1].received, one.fact.received)
        found[-1] = replace(found[-1], received=received, text=text_of(SOMEWHERE, until=until))
    return found


class _Count(NamedTuple):
    """A count with what it should have been."""

    entry: Entry
    counted: Fraction
    expected: Fraction | None
    """None: there is no count before it, or what came or went since is not known."""
    wrong: bool
    opening: Entry | None
    """The count before ..."""
    booked: tuple[Entry, ...]
    """... and the bookings since."""


def counts_of(rule: StockBalanceRule, entries: Sequence[Entry], marks: Marks) -> list[_Count]:
    """Return the counts of a place and product, each against what came and went since the one before, by event time."""
    found: list[_Count] = []
    balance: Fraction | None = None
    tolerance = Fraction(repr(rule.tolerance))
    opening: Entry | None = None
    booked: list[Entry] = []
    for entry in entries:
        quantity = None if entry.said["quantity"] is None else Fraction(entry.said["quantity"])
        if entry.what in {COUNT, BASE}:
            if opening is not None and marks.are_in(_counted(opening), entry.at):
                balance = None
            if entry.what == COUNT and quantity is not None:
                wrong = balance is not None and abs(balance - quantity) > tolerance
                found.append(_Count(entry, quantity, balance, wrong, opening, tuple(booked)))
            balance, opening, booked = quantity, entry, []
        elif opening is not None and quantity is not None:
            booked.append(entry)
            balance = None if balance is None else balance + (quantity if entry.what == ADDS else -quantity)
    return found


def _counted(opening: Entry) -> int:
    """Return when the last count was of what opens, event time, ms."""
    return int(opening.said.get("counted", opening.at))


def judge(rule: StockBalanceRule, subject: str, facts: list[Fact], now: int, somewhere: Sequence[Fact]) -> Judged:
    """Return what the counts of a place and product say at `now` (log time, ms).

    Args:
        rule: that asks.
        subject: as text.
        facts: of it.
        now: log time, ms.
        somewhere: the bookings of the product that name no place.
    """
    if is_unplaced(subject):
        return Judged()
    entries = entries_of(facts)
    counts = counts_of(rule, entries, Marks(somewhere))
    base = entries[0] if entries and entries[0].what == BASE else None
    since = NONE if base is None else base.said["since"]
    runs: list[Run] = []
    wrong: list[_Count] = []
    begun, held = since, base if since != NONE else None
    named = subject_of(subject)
    for i, one in enumerate(counts):
        if one.wrong:
            begun = one.entry.at if begun == NONE else begun
            wrong.append(one)
        agrees = _agrees(i, counts, base)
        if begun != NONE and (agrees or i == len(counts) - 1):
            runs.append(_run(rule, named, begun, held, wrong, is_open=not agrees))
        if agrees:
            begun, wrong, held = NONE, [], None
    if not counts and since != NONE:
        runs.append(_run(rule, named, since, held, [], is_open=True))
    last = counts[-1].entry.at if counts else NONE if base is None else base.said["counted"]
    lasts, over = bool(runs) and runs[-1].is_open, last + rule.silent
    blind = not counts[-1].wrong if counts else base is not None and base.said["blind"]
    return Judged(
        tuple(runs),
        _leaves(named, counts[-1], brief=True) if counts else (),
        again=over if lasts and now < over else NEVER,
        unknown=lasts and (now >= over or blind),
        seen=() if last == NONE else _seen(counts[-1] if counts else None, rule, now - last),
    )


def _agrees(i: int, counts: Sequence[_Count], base: Entry | None) -> bool:
    """Say whether a count ends what was wrong before it: one of which it is not known what there should have been does not."""
    one = counts[i]
    return not one.wrong and (one.expected is not None or (i == 0 and base is None))


def _run(
    rule: StockBalanceRule, named: dict[str, str], start: int, held: Entry | None, wrong: list[_Count], *, is_open: bool
) -> Run:  # fmt: skip
    entries = (*(() if held is None else (held,)), *(one.entry for one in wrong))
    leaves = _leaves(named, wrong[-1]) if wrong else ()
    return Run(start, entries, is_open, leaves, start + HORIZON_MS, rule.severity.base.rank, _records(wrong))


def _records(wrong: Sequence[_Count]) -> tuple[RecordRead, ...]:
    """Return the records of the newest count that differs: of the opening, of the first and last bookings, and its own."""
    if not wrong:
        return ()
    one = wrong[-1]
    return (*(() if one.opening is None else (read_of(one.opening),)), *reads_of(one.booked), read_of(one.entry))


def _leaves(named: dict[str, str], one: _Count, *, brief: bool = False) -> tuple[Leaf, ...]:
    said = Verdict.UNKNOWN if one.expected is None else verdict(one.wrong)
    expected = None if one.expected is None else shown(one.expected)
    product, place = named["product"], named["place"]
    first = Leaf(expr=f"stock of {product} in {place}", left=shown(one.counted), op="!=", right=expected, verdict=said)
    if one.opening is None or one.opening.said["quantity"] is None or brief:
        return (first,)
    opened = format_instant(_counted(one.opening))
    left = shown(Fraction(one.opening.said["quantity"]))
    leaves = [
        first,
        Leaf(expr=f"opening of {product} in {place}", left=left, op="at", right=opened, verdict=Verdict.TRUE),
    ]
    for what, word in ((ADDS, "in"), (TAKES, "out")):
        booked = [Fraction(it.said["quantity"]) for it in one.booked if it.what == what]
        expr = f"booked {word} of {product} in {place}, {len(booked)} times"
        total = shown(sum(booked, Fraction()))
        leaves.append(Leaf(expr=expr, left=total, op="since", right=opened, verdict=Verdict.TRUE))
    return tuple(leaves)


def _seen(one: _Count | None, rule: StockBalanceRule, age: int) -> tuple[Seen, ...]:
    recent = Seen("recent", verdict(age < rule.silent), float(age), "<", float(rule.silent), "ms")
    if one is None:
        return (recent,)
    said = Verdict.UNKNOWN if one.expected is None else verdict(one.wrong)
    expected = None if one.expected is None else shown(one.expected)
    return (Seen("differs", said, shown(one.counted), "!=", expected), recent)


def joined(rule: StockBalanceRule, facts: list[Fact], marks: Marks) -> list[Fact]:
    """Return facts with the two oldest as one: what there was behind them, whether the last count had differed, and since when.

    So nothing that was told changes; only what comes later with an event time up to its is too old for it. A booking before any count
    is of no use, and goes.
    """
    first, second = entries_of(facts[:2])
    if first.what not in {COUNT, BASE}:
        return facts[1:]
    since = first.said.get("since", NONE)
    left, counted, blind = first.said["quantity"], first.said.get("counted", first.at), first.said.get("blind", False)
    if second.what == COUNT:
        one = counts_of(rule, [first, second], marks)[-1]
        since = second.at if one.wrong and since == NONE else since if one.wrong or one.expected is None else NONE
        left, counted, blind = second.said["quantity"], second.at, one.expected is None
    elif left is not None and marks.are_in(counted, second.at + 1):
        left = None
    elif left is not None:
        quantity = Fraction(second.said["quantity"])
        left = str(Fraction(left) + (quantity if second.what == ADDS else -quantity))
    told = NEVER if since == NONE else second.fact.due if second.told else first.fact.due
    text = text_of(BASE, quantity=left, since=since, counted=counted, blind=blind)
    return [replace(second.fact, text=text, due=told, counts=since != NONE), *facts[2:]]


def is_too_old(facts: list[Fact], t: int) -> bool:
    """Say whether an event time (ms) lies in what was made one fact."""
    return any(entry.what == BASE and t <= entry.at for entry in entries_of(facts[:1]))


def is_booking(fact: Fact) -> bool:
    """Say whether a fact is no count: of one instant it stands behind the count."""
    return all(entry.what not in {COUNT, BASE} for entry in entries_of([fact]))


def is_counted(facts: Sequence[Fact]) -> bool:
    """Say whether there is a count: bookings alone say nothing."""
    return any(entry.what in {COUNT, BASE} for entry in entries_of(facts))
