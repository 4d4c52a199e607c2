"""Bookings without a place are read once for all places of their product, and have room however many stocks are open (ADR 0069)."""

from __future__ import annotations

from time import process_time
from typing import TYPE_CHECKING
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.engine import Engine
from rules.layout import NONE
from rules.ledger import nowhere as reading
from rules.ledger import room
from rules.ledger.entry import entries_of, text_of
from rules.ledger.nowhere import NOBODY, Nowhere, beside
from rules.ledger.stock import SOMEWHERE, Marks, unplaced_subject
from rules.rare import store
from rules.rare.store import Case, Cases, Fact
from rules.rare.store import text_of as text_of_subject
from tests.rules import stocklogs
from tests.rules.byhand import FACILITY
from tests.rules.oracle.stock import Oracle
from tests.rules.test_engine_properties import plain
from tests.rules.test_ledger_bounds import STOCK, counted, counters, firm, folded, post, raised
from tests.rules.test_stock_nowhere import nowhere, unplaced
from tests.rules.test_stock_properties import KINDS, QUICK

if TYPE_CHECKING:
    from rules.records import LogRecord

PLACE = text_of_subject({"place": "W", "product": "P"})


def booked(t: int, received: int, text: str = text_of(SOMEWHERE)) -> Fact:
    return Fact(t, received, f"{t:016x}", "b", text)


FACTS = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 5)), max_size=30, unique_by=lambda one: one[0])


class TestReading:
    @given(FACTS)
    def test_it_says_what_going_through_all_of_them_says(self, times: list[tuple[int, int]]) -> None:
        facts = [booked(t, received) for t, received in sorted(times)]
        read, whole = Nowhere(facts), Marks(facts)
        assert read.newest == max((fact.received for fact in facts), default=NONE)
        for received in range(7):
            came = read.came(received)
            assert list(came.entries) == entries_of([fact for fact in facts if fact.received == received])
            assert came.until == max((one.at for one in came.entries), default=NONE)
        for begin in range(0, 41, 3):
            for end in range(begin, 42, 3):
                assert read.marks.are_in(begin, end) == whole.are_in(begin, end)

    def test_a_place_reads_those_of_its_product_and_others_read_nobody(self) -> None:
        cases = Cases()
        cases[unplaced_subject("P")] = Case()
        cases.keep(cases[unplaced_subject("P")], [booked(1, 2)])
        assert beside(PLACE, cases).came(2).until == 1
        assert beside(text_of_subject({"place": "W", "product": "Q"}), cases) is NOBODY
        assert beside(unplaced_subject("P"), cases) is NOBODY
        assert beside(text_of_subject({"lot": "L"}), cases) is NOBODY
        assert NOBODY.facts == []

    def test_they_are_read_anew_when_they_are_others_and_only_then(self) -> None:
        cases = Cases()
        cases[unplaced_subject("P")] = case = Case()
        cases.keep(case, [booked(1, 2)])
        first = beside(PLACE, cases)
        assert beside(PLACE, cases) is first
        assert not first.marks.are_in(5, 9)
        cases.keep(case, [*case.facts, booked(7, 8)])
        again = beside(PLACE, cases)
        assert again is not first
        assert (again.newest, again.marks.are_in(5, 9)) == (8, True)
        del cases[unplaced_subject("P")]
        assert beside(PLACE, cases) is NOBODY

    def test_a_span_that_came_again_is_of_when_its_last_booking_came(self) -> None:
        read = Nowhere([booked(1, 4, text_of(SOMEWHERE, until=9)), booked(11, 3)])
        assert read.came(4).until == 1
        assert read.came(3).until == 11
        assert read.marks.are_in(9, 10)
        assert not read.marks.are_in(10, 11)


class TestWork:
    @pytest.mark.parametrize("about", [None, 15])
    def test_a_batch_is_read_once_for_all_places(self, about: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
        """Each place read all of them twice."""
        hand = counted(counted(firm(), 10, 100, 60), 20, 99, 60).tick(25)
        post(hand, 30, "trace", "used", [{"product": "P", "quantity": 1}] * 200, about=about)
        made: list[int] = []
        monkeypatch.setattr(reading, "Marks", lambda facts: made.append(len(facts)) or Marks(facts))
        folded(hand.tick(31))
        assert [many for many in made if many] == ([200] if about else [])

    def test_two_thousand_places_and_a_thousand_bookings_take_no_time(self) -> None:
        hand = firm()
        for at, quantity in ((10, 100), (20, 99)):
            for part in range(2):
                said = [{"place": f"W{part}-{i}", "product": "P", "quantity": quantity} for i in range(1000)]
                post(hand, at + part, "trace", "stock-count", said)
        post(hand.tick(25), 30, "trace", "used", [{"product": "P", "quantity": 1}] * 1000, about=15)
        *records, last = hand.tick(31).records()
        engine = Engine(stocklogs.bundle())
        for record in records:
            engine.fold(record)
        begun = process_time()
        changes = engine.fold(last)
        assert process_time() - begun < 1.5, "it was 1.4 ms a place"
        assert sum(one.change.value == "cleared" for one in changes) == 2000


class TestRoom:
    def test_a_booking_has_room_where_every_open_stock_is_kept(self) -> None:
        with patch.object(room, "MAX_OPEN", 12):
            hand = nowhere(counted(firm(), 10, 100, 12), 20, [1])
            assert unplaced(hand.tick(21)) == {unplaced_subject("P"): 1}
            assert counters(hand)["event_left_out"] == 0
            assert raised(counted(hand, 30, 99, 12).tick(31), STOCK) == 0, "no place is held against the firm"

    def test_a_late_one_ends_what_was_raised_and_is_kept(self) -> None:
        with patch.object(room, "MAX_OPEN", 12):
            hand = nowhere(counted(counted(firm(), 10, 100, 12), 30, 99, 12), 40, [1], about=20).tick(41)
            kinds = [one.change.value for one in hand.changes() if one.rule == STOCK]
            assert kinds == ["raised"] * 12 + ["cleared"] * 12
            assert unplaced(hand) == {unplaced_subject("P"): 1}

    @pytest.mark.parametrize("first", [False, True])
    def test_those_of_an_instant_take_no_room_from_stocks(self, *, first: bool) -> None:
        with patch.object(room, "MAX_OPEN", 3):
            hand = counted(firm(), 10, 100, 2)
            said = [{"product": f"Q{i}", "quantity": 1} for i in range(3)]
            if first:
                post(hand, 20, "trace", "used", said)
            post(hand, 20, "trace", "stock-count", [{"place": "NEW", "product": "P", "quantity": 1}])
            if not first:
                post(hand, 20, "trace", "used", said)
            assert counters(hand.tick(21))["event_left_out"] == 0
            assert unplaced(hand) == {unplaced_subject(f"Q{i}"): 1 for i in range(3)}

    def test_of_more_products_at_one_instant_than_stocks_have_room_the_last_are_left_out_and_counted(self) -> None:
        with patch.object(room, "MAX_OPEN", 3):
            hand = post(firm(), 20, "trace", "used", [{"product": f"Q{i}", "quantity": 1} for i in range(5)])
            assert counters(hand)["event_left_out"] == 2
            post(hand, 30, "trace", "used", [{"product": f"R{i}", "quantity": 1} for i in range(3)])
            assert counters(hand.tick(31))["event_left_out"] == 2, "when the instant is over there is room again"
            assert len(unplaced(hand)) == 6

    @pytest.mark.parametrize("cut", range(1, 9))
    def test_a_restart_changes_nothing_where_all_room_is_taken(self, cut: int) -> None:
        hand = firm()
        for at in (10, 20):
            counted(hand, at, 120 - at, 4)
            nowhere(hand, at, [1], about=at - 5)
            post(hand, at + 5, "trace", "used", [{"product": f"Q{at}", "quantity": 1}])
        with patch.multiple(room, MAX_OPEN=3, MAX_ANSWERS=1), patch.multiple(store, MAX_CASES=2, MAX_FACTS=3):
            records = hand.tick(60).records()
            whole, first, second = (Engine(stocklogs.bundle()) for _ in range(3))
            wanted = [whole.fold(record) for record in records]
            assert [first.fold(record) for record in records[:cut]] == wanted[:cut]
            second.restore_partition(0, first.partition_state(0))
            second.restore(0, FACILITY, first.snapshot(0, FACILITY))
            assert [second.fold(record) for record in records[cut:]] == wanted[cut:]
            assert second.snapshot(0, FACILITY) == whole.snapshot(0, FACILITY)

    @given(stocklogs.logs())
    @QUICK
    def test_with_room_for_its_stocks_alone_engine_and_oracle_agree(self, log: list[LogRecord]) -> None:
        oracle = Oracle()
        wanted = oracle.run(log, KINDS.until(log))
        with patch.object(room, "MAX_OPEN", max(1, len(oracle.subjects))):
            changes = KINDS.run(log, KINDS.until(log))
        got = [{name: value for name, value in one.items() if name not in ("seq", "by")} for one in plain(changes)]
        assert got == wanted
