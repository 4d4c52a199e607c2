"""Bookings that name no place: in each place of the product the stock is unknown behind them; how many facts that is, and what it costs (ADR 0069)."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from time import process_time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.engine import Engine
from rules.ledger import room
from rules.ledger.entry import entries_of, text_of
from rules.ledger.stock import MARKS, SOMEWHERE, Marks, merged, unplaced_subject
from rules.rare.store import Fact
from rules.records import Events
from tests.rules import stocklogs
from tests.rules.byhand import BUNDLE, FACILITY, HandLog, ms
from tests.rules.oracle.stock import Oracle
from tests.rules.test_engine_properties import plain
from tests.rules.test_ledger_bounds import BOTH, STOCK, counted, counters, firm, folded, post, raised
from tests.rules.test_stock_properties import KINDS, QUICK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rules.records import LogRecord


def nowhere(
    hand: HandLog, at: float, quantities: Sequence[int], name: str = "", about: float | None = None
) -> HandLog:  # fmt: skip
    """Append bookings of one event time that name no place; `about`: that one, if they come later."""
    time = ms(at if about is None else about)
    used: dict[str, Any] = {"stream": "trace", "type": "used", "time": time, "source": "S"}
    events = [used | {"fields": {"product": "P", "quantity": one}} for one in quantities]
    return hand.line(at, "events", {"batch": name or f"n{len(hand.lines)}", "events": events})


def unplaced(hand: HandLog) -> dict[str, int]:
    """Return how many bookings without a place, or spans of them, are kept of each product."""
    cases = folded(hand).state_of(FACILITY).rare.of(STOCK)
    found = {name: sum(one.what == SOMEWHERE for one in entries_of(case.facts)) for name, case in cases.items()}
    return {name: many for name, many in found.items() if many}


@pytest.mark.parametrize("late", [False, True])
def test_no_place_is_known_then_however_many_there_are(*, late: bool) -> None:
    hand = counted(firm(), 10, 100, 12)
    if not late:
        nowhere(hand, 20, [1])
    counted(hand, 30, 99, 12).tick(31)
    assert raised(hand, STOCK) == 12 * late
    if late:
        post(hand, 40, "trace", "used", [{"product": "P", "quantity": 1}], about=20)
        changes = [c for c in hand.tick(41).changes() if c.rule == STOCK and c.change.value == "cleared"]
        assert len(changes) == 12
        assert {c.at for c in changes} == {ms(20)}
        assert all("e4" in {read.id for read in c.evidence.records} for c in changes)
    assert unplaced(hand) == {unplaced_subject("P"): 1}


@pytest.mark.parametrize(("at", "known"), [(9, True), (10, False), (29, False), (30, True)])
def test_a_count_stands_before_what_is_booked_at_its_instant(at: float, *, known: bool) -> None:
    hand = nowhere(counted(counted(firm(), 10, 100, 1), 30, 99, 1), 40, [1], about=at).tick(41)
    assert [c.change.value for c in hand.changes() if c.rule == STOCK] == ["raised"] + ["cleared"] * (not known)


def test_a_place_that_is_counted_first_behind_it_knows_of_it_too() -> None:
    hand = nowhere(firm(), 20, [1])
    post(hand, 40, "trace", "stock-count", [{"place": "W", "product": "P", "quantity": 9}], about=10)
    post(hand, 41, "trace", "stock-count", [{"place": "W", "product": "P", "quantity": 8}], about=30)
    assert raised(hand.tick(42), STOCK) == 0


def test_a_flood_of_products_without_places_pushes_out_no_stock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "MAX_ANSWERS", 5)
    hand = counted(firm(), 10, 100, 12)
    for i in range(40):
        post(hand, 20 + i, "trace", "used", [{"product": f"Q{i}", "quantity": 1}])
    assert unplaced(hand.tick(70)) == {unplaced_subject(f"Q{i}"): 1 for i in range(35, 40)}
    assert raised(counted(hand, 80, 99, 12).tick(81), STOCK) == 12


@given(st.lists(st.integers(0, 60), min_size=1, max_size=30, unique=True), st.integers(1, 12))
def test_spans_hide_what_bookings_did_and_no_more_than_so_many_are_left(times: list[int], most: int) -> None:
    """Made at once or step by step, and whatever comes to lie inside one."""
    facts = [Fact(t, t, f"{t:016x}", "b", text_of(SOMEWHERE)) for t in sorted(times)]
    kept, steps = merged(facts, most), facts[:1]
    for fact in facts[1:]:
        steps = merged([*steps, fact], most)
    whole = Marks(facts)
    for one in (kept, steps):
        assert len(one) == min(len(facts), most)
        marks = Marks(one)
        for begin in range(61):
            for end in range(begin, 62):
                assert marks.are_in(begin, end) or not whole.are_in(begin, end)
        assert not marks.are_in(0, min(times))
        assert not marks.are_in(max(times) + 1, 99)
    inside = Marks(sorted([*kept, Fact(min(times), 99, "x", "b", text_of(SOMEWHERE))], key=lambda one: one.t))
    assert inside.are_in(min(times), min(times) + 1)


def test_the_closest_become_a_span_first() -> None:
    facts = [Fact(t, t, f"{t:016x}", "b", text_of(SOMEWHERE)) for t in (0, 10, 12, 30, 33)]
    assert [(one.at, one.said.get("until")) for one in entries_of(merged(facts, 3))] == [(0, None), (10, 12), (30, 33)]


@given(stocklogs.logs(), st.integers(9, 14))
@QUICK
def test_engine_and_oracle_agree_of_more_places_than_eight(log: list[LogRecord], many: int) -> None:
    """What is told of one place is told of many others too; what names none is booked once."""
    wide = []
    for record in log:
        payload = record.payload
        if isinstance(payload, Events):
            more = [
                event.model_copy(update={"fields": event.fields | {"place": f"T{i:02d}"}})
                for event in payload.events
                if event.fields.get("place") == "S1"
                for i in range(many)
            ]
            payload = payload.model_copy(update={"events": [*payload.events, *more]})
        wide.append(replace(record, payload=payload))
    changes = KINDS.run(wide, KINDS.until(wide))
    got = [{name: value for name, value in one.items() if name not in ("seq", "by")} for one in plain(changes)]
    assert got == Oracle().run(wide, KINDS.until(wide))


@pytest.mark.parametrize("other", ["PP", 'x", "product": "P', "Q"])
def test_another_product_is_not_meant(other: str) -> None:
    hand = post(firm(), 10, "trace", "stock-count", [{"place": "W", "product": other, "quantity": 5}])
    nowhere(hand, 20, [1])
    post(hand, 30, "trace", "stock-count", [{"place": "W", "product": other, "quantity": 4}])
    assert raised(hand.tick(31), STOCK) == 1


def test_several_of_one_instant_are_one_fact_and_each_is_counted() -> None:
    hand = nowhere(nowhere(counted(firm(), 10, 100, 3), 20, [1, 2, 3, 3]), 25, [1]).tick(26)
    assert unplaced(hand) == {unplaced_subject("P"): 2}
    assert counters(hand)["ledger_unknown"] == 5


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_their_order_within_an_instant_changes_nothing(order: tuple[int, ...]) -> None:
    """An alarm stands, and is unknown behind them: the evidence names the same record."""

    def log(order: Sequence[int]) -> HandLog:
        hand = counted(counted(firm(), 10, 100, 1), 20, 99, 1)
        for i in order:
            nowhere(hand, 30, [i + 1], f"n{i}")
        return counted(hand, 40, 99, 1).tick(41)

    assert log(order).changes() == log(range(3)).changes()
    kept, wanted = (folded(log(one)).state_of(FACILITY).rare.pack() for one in (order, range(3)))
    assert kept[2] == wanted[2]


@pytest.mark.parametrize("first", [False, True])
def test_a_register_of_the_same_instant_decides_nothing_before_it_is_over(*, first: bool) -> None:
    hand = counted(counted(firm(), 10, 100, 2), 30, 99, 2)
    if first:
        hand.register(40, version=2, scopes=BOTH)
    nowhere(hand, 40, [1], about=20)
    if not first:
        hand.register(40, version=2, scopes=BOTH)
    told = [(c.change.value, c.at) for c in hand.tick(41).changes() if c.rule == STOCK]
    assert told == [("raised", ms(30) + i) for i in range(2)] + [("cleared", ms(20))] * 2


def test_one_that_comes_again_is_known() -> None:
    hand = nowhere(nowhere(counted(firm(), 10, 100, 1), 20, [1], "a"), 20, [1], "b")
    assert counters(hand.tick(30))["event_duplicate"] == 1


def test_a_thousand_of_a_batch_are_few_facts_and_take_no_time() -> None:
    hand = counted(firm(), 10, 1, 64)
    post(hand, 20, "trace", "used", [{"product": "P", "quantity": 1}] * 1000)
    nowhere(hand.tick(21), 30, range(1, 1001))
    *records, one, tick, last = hand.tick(31).records()[:-1]
    engine = Engine(BUNDLE)
    for record in records:
        engine.fold(record)
    begun = process_time()
    engine.fold(one)
    assert engine.state_of(FACILITY).rare.of(STOCK).held <= 64 + 1000
    engine.fold(tick)
    held = engine.state_of(FACILITY).rare.of(STOCK).held
    engine.fold(last)
    assert process_time() - begun < 4.0, "it was 6.4 s for one of two batches"
    assert engine.state_of(FACILITY).rare.of(STOCK).held <= held + 1
    assert held <= 64 + MARKS
