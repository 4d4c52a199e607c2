"""Bookings that name no place: of how many places the stock is unknown, how many facts that is, and what it costs (ADR 0069)."""

from __future__ import annotations

from itertools import permutations
from time import process_time
from typing import TYPE_CHECKING, Any

import pytest

from rules.engine import Engine
from rules.ledger import fold, room
from rules.ledger.entry import entries_of
from rules.ledger.stock import SOMEWHERE
from rules.rare.store import Cases
from rules.rare.store import text_of as text_of_subject
from rules.rule import StockBalanceRule
from tests.rules.byhand import BUNDLE, FACILITY, HandLog, ms
from tests.rules.test_ledger_bounds import STOCK, counted, counters, firm, folded, post, raised

if TYPE_CHECKING:
    from collections.abc import Sequence


def nowhere(hand: HandLog, at: float, quantities: Sequence[int], name: str = "") -> HandLog:
    """Append bookings of one event time that name no place."""
    used: dict[str, Any] = {"stream": "trace", "type": "used", "time": ms(at), "source": "S"}
    events = [used | {"fields": {"product": "P", "quantity": one}} for one in quantities]
    return hand.line(at, "events", {"batch": name or f"n{len(hand.lines)}", "events": events})


def unplaced(hand: HandLog) -> dict[str, int]:
    cases = folded(hand).state_of(FACILITY).rare.of(STOCK)
    return {name: sum(one.what == SOMEWHERE for one in entries_of(case.facts)) for name, case in cases.items()}


def test_the_first_places_by_name_are_not_known_then() -> None:
    hand = counted(firm(), 10, 100, 12)
    post(hand, 20, "trace", "used", [{"product": "P", "quantity": 1}])
    counted(hand, 30, 99, 12)
    places = sorted(f"W{i}" for i in range(12))
    assert [name for name, facts in sorted(unplaced(hand).items()) if facts] == [
        text_of_subject({"place": place, "product": "P"}) for place in places[: fold.PLACES]
    ]
    assert raised(hand, STOCK) == 12 - fold.PLACES == 4


@pytest.mark.parametrize("other", ["PP", 'x", "product": "P', "Q"])
def test_another_product_is_not_meant(other: str) -> None:
    hand = post(firm(), 10, "trace", "stock-count", [{"place": "W", "product": other, "quantity": 5}])
    assert unplaced(nowhere(hand, 20, [1])) == {text_of_subject({"place": "W", "product": other}): 0}


def test_several_of_one_instant_are_one_fact_and_each_is_counted() -> None:
    hand = nowhere(nowhere(counted(firm(), 10, 100, 3), 20, [1, 2, 3, 3]), 25, [1]).tick(26)
    assert set(unplaced(hand).values()) == {2}
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
    assert engine.state_of(FACILITY).rare.of(STOCK).held <= 64 + fold.PLACES * 1000
    engine.fold(tick)
    held = engine.state_of(FACILITY).rare.of(STOCK).held
    engine.fold(last)
    assert process_time() - begun < 4.0, "it was 6.4 s for one of two batches"
    assert engine.state_of(FACILITY).rare.of(STOCK).held <= held + fold.PLACES


def test_subjects_of_a_product_are_those_that_are_kept() -> None:
    rule = BUNDLE.rule(STOCK)
    assert isinstance(rule, StockBalanceRule)
    tiers, names = room.Tiers(rule, Cases()), [text_of_subject({"place": f"W{i}", "product": "P"}) for i in range(4)]
    for tier, name in enumerate([*reversed(names), *names]):
        tiers.put(name, tier % 3)
    tiers.put(text_of_subject({"lot": "P"}), 0)
    tiers.drop(names[1])
    tiers.drop(names[1])
    assert tiers.of_product("P", 2) == [names[0], names[2]]
    for name in names:
        tiers.drop(name)
    assert tiers.of_product("P", 2) == tiers.of_product("Q", 2) == []
