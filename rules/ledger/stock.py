"""Kind `stock_balance`: at each count, what the last count and the bookings since leave, against what was counted.

Bookings and counts stand by event time, in whatever order they come; a booking lies before a count if its event time does. A count
that differs holds until a later one agrees with the bookings since it. Sums are exact, in decimals.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

from rules.changes import Leaf, Verdict
from rules.layout import HORIZON_MS, NEVER, NONE
from rules.leaves.model import Seen, verdict
from rules.ledger.entry import Entry, Met, entries_of, text_of
from rules.ledger.judged import Judged, Run, shown
from rules.rare.match import is_meant, text_of_field
from rules.rare.store import subject_of
from rules.rare.units import number_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rules.rare.store import Fact
    from rules.records import Event
    from rules.register import Facility
    from rules.rule import StockBalanceRule

COUNT, ADDS, TAKES, BASE = "count", "adds", "takes", "base"


def met(rule: StockBalanceRule, event: Event, facility: Facility) -> Met | None:
    """Return what an event is to the rule, None of one that it does not mean.

    A product that is registered with another class is none of its; one that is not registered is.
    """
    asked = [(COUNT, rule.counted), *((ADDS, one) for one in rule.adds), *((TAKES, one) for one in rule.takes)]
    what = next((what for what, match in asked if is_meant(event, match) is Verdict.TRUE), None)
    if what is None:
        return None
    product, place = text_of_field(event, "product"), text_of_field(event, "place")
    quantity = number_of(event.fields.get("quantity"))
    registered = next((one for one in facility.products if one.id == product), None)
    if registered is not None and registered.class_ != rule.product_class:
        return None
    if product is None or place is None or quantity is None:
        return Met(None, "")
    return Met({"place": place, "product": product}, text_of(what, quantity=str(quantity)))


class _Count(NamedTuple):
    """A count with what it should have been."""

    entry: Entry
    counted: Fraction
    expected: Fraction | None
    """None: there is no count before it."""
    wrong: bool


def counts_of(rule: StockBalanceRule, entries: Sequence[Entry]) -> list[_Count]:
    """Return the counts of a place and product, each against what came and went since the one before, by event time."""
    found: list[_Count] = []
    balance: Fraction | None = None
    tolerance = Fraction(repr(rule.tolerance))
    for entry in entries:
        quantity = Fraction(entry.said["quantity"])
        if entry.what in {COUNT, BASE}:
            if entry.what == COUNT:
                wrong = balance is not None and abs(balance - quantity) > tolerance
                found.append(_Count(entry, quantity, balance, wrong))
            balance = quantity
        elif balance is not None:
            balance += quantity if entry.what == ADDS else -quantity
    return found


def judge(rule: StockBalanceRule, subject: str, facts: list[Fact], now: int) -> Judged:
    """Return what the counts of a place and product say at `now` (log time, ms)."""
    entries = entries_of(facts)
    counts = counts_of(rule, entries)
    base = entries[0] if entries and entries[0].what == BASE else None
    since = NONE if base is None else base.said["since"]
    runs: list[Run] = []
    wrong: list[_Count] = []
    begun = since
    named = subject_of(subject)
    for i, one in enumerate(counts):
        if one.wrong:
            begun = one.entry.at if begun == NONE else begun
            wrong.append(one)
        ends = begun != NONE and (not one.wrong or i == len(counts) - 1)
        if ends:
            held = [base] if base is not None and begun == since else []
            runs.append(_run(rule, named, begun, [*held, *wrong], is_open=one.wrong))
        if not one.wrong:
            begun, wrong = NONE, []
    if not counts and since != NONE and base is not None:
        runs.append(_run(rule, named, since, [base], is_open=True))
    last = counts[-1].entry.at if counts else NONE if base is None else base.said["counted"]
    lasts, over = bool(runs) and runs[-1].is_open, last + rule.silent
    return Judged(
        tuple(runs),
        tuple(_leaf(named, one) for one in counts[-1:]),
        again=over if lasts and now < over else NEVER,
        unknown=lasts and now >= over,
        seen=() if last == NONE else _seen(counts[-1] if counts else None, rule, now - last),
    )


def _run(
    rule: StockBalanceRule, named: dict[str, str], start: int, wrong: list[Entry | _Count], *, is_open: bool
) -> Run:  # fmt: skip
    entries = tuple(one.entry if isinstance(one, _Count) else one for one in wrong)
    leaves = tuple(_leaf(named, one) for one in wrong[-1:] if isinstance(one, _Count))
    return Run(start, entries, is_open, leaves, start + HORIZON_MS, rule.severity.base.rank)


def _leaf(named: dict[str, str], one: _Count) -> Leaf:
    said = Verdict.UNKNOWN if one.expected is None else verdict(one.wrong)
    expected = None if one.expected is None else shown(one.expected)
    name = f"stock of {named['product']} in {named['place']}"
    return Leaf(expr=name, left=shown(one.counted), op="!=", right=expected, verdict=said)


def _seen(one: _Count | None, rule: StockBalanceRule, age: int) -> tuple[Seen, ...]:
    recent = Seen("recent", verdict(age < rule.silent), float(age), "<", float(rule.silent), "ms")
    if one is None:
        return (recent,)
    said = Verdict.UNKNOWN if one.expected is None else verdict(one.wrong)
    expected = None if one.expected is None else shown(one.expected)
    return (Seen("differs", said, shown(one.counted), "!=", expected), recent)


def joined(rule: StockBalanceRule, facts: list[Fact]) -> list[Fact]:
    """Return facts with the two oldest as one: what there was behind them, whether the last count had differed, and since when.

    So nothing that was told changes; only what comes later with an event time up to its is too old for it. A booking before any count
    is of no use, and goes.
    """
    first, second = entries_of(facts[:2])
    if first.what not in {COUNT, BASE}:
        return facts[1:]
    since = first.said.get("since", NONE)
    left, counted = Fraction(first.said["quantity"]), first.said.get("counted", first.at)
    quantity = Fraction(second.said["quantity"])
    if second.what == COUNT:
        wrong = counts_of(rule, [first, second])[-1].wrong
        since = NONE if not wrong else second.at if since == NONE else since
        left, counted = quantity, second.at
    else:
        left += quantity if second.what == ADDS else -quantity
    told = NEVER if since == NONE else second.fact.due if second.told else first.fact.due
    text = text_of(BASE, quantity=str(left), since=since, counted=counted)
    return [replace(second.fact, text=text, due=told, counts=since != NONE), *facts[2:]]


def is_too_old(facts: list[Fact], t: int) -> bool:
    """Say whether an event time (ms) lies in what was made one fact."""
    return any(entry.what == BASE and t <= entry.at for entry in entries_of(facts[:1]))


def is_booking(fact: Fact) -> bool:
    """Say whether a fact is no count: of one instant it stands behind the count."""
    return all(entry.what in {ADDS, TAKES} for entry in entries_of([fact]))
