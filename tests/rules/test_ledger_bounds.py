"""A flood of what says nothing pushes out nothing that is open; what is open and has no room is counted; work stays small."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest

from rules.engine import Engine
from rules.instants import format_instant
from rules.ledger import fold, kinds, room
from rules.rare import store
from tests.rules.byhand import BUNDLE, FACILITY, HandLog, ms

if TYPE_CHECKING:
    from collections.abc import Sequence

STOCK, RETEST = "cross-check.narcotic-balance", "cross-check.retest-no-investigation"
RELEASE, CHANGE = "cross-check.released-while-open", "cross-check.change-unfiled"
BOTH = [{"field": "medical-use", "line": "drug"}, {"field": "manufacture", "line": "drug"}]
MANY, DAY = 600, 1440


def firm() -> HandLog:
    return HandLog().register(0, scopes=BOTH)


def post(
    hand: HandLog, at: float, stream: str, word: str, said: Sequence[dict[str, Any]], about: float | None = None
) -> HandLog:  # fmt: skip
    """Append a batch of events; `about`: of an earlier time."""
    begin = ms(at if about is None else about)
    events = [
        {"stream": stream, "type": word, "time": begin + i % 1000, "source": "S", "fields": fields}
        for i, fields in enumerate(said)
    ]
    return hand.line(at, "events", {"batch": f"e{len(hand.lines)}", "events": events})


def counted(hand: HandLog, at: float, quantity: int, pairs: int) -> HandLog:
    return post(
        hand, at, "trace", "stock-count", [{"place": f"W{i}", "product": "P", "quantity": quantity} for i in range(pairs)]
    )  # fmt: skip


def result(verdict: str, i: object) -> dict[str, Any]:
    return {"sample_id": f"S{i}", "lot": f"L{i}", "test": "assay", "verdict": verdict}


def deviated(hand: HandLog, at: float, lots: Sequence[str], closed: float | None = None, name: str = "D-1") -> HandLog:
    fields = {
        "deviation_id": name, "asset": "A1", "from": format_instant(ms(at)), "to": format_instant(ms(at)), "duration_min": 0,
        "peak": 9, "unit": "Cel", "lots": list(lots), "opened_at": format_instant(ms(at)),
    }  # fmt: skip
    fields |= {} if closed is None else {"closed_at": format_instant(ms(closed))}
    return hand.line(
        at, "report", {"type": "deviation", "id": name, "revision": 1, "sent": format_instant(ms(at)), "fields": fields}
    )


def raised(hand: HandLog, rule: str, until: float | None = None) -> int:
    changes = hand.changes_behind() if until is None else hand.changes(until=until)
    return sum(c.rule == rule and c.change.value == "raised" for c in changes)


def counters(hand: HandLog) -> dict[str, int]:
    return folded(hand).counters(0, FACILITY)


def folded(hand: HandLog) -> Engine:
    engine = Engine(BUNDLE)
    for record in hand.records():
        engine.fold(record)
    return engine


class TestNothingOpenGoes:
    def test_each_of_many_stocks_that_loses_a_unit_is_one_alarm(self) -> None:
        hand = counted(counted(firm(), 10, 100, MANY), 20, 99, MANY)
        assert raised(hand, STOCK) == MANY > store.MAX_CASES

    def test_passing_results_of_others_hide_no_failure(self) -> None:
        hand = post(firm(), 10, "lab", "result", [result("oos", "x")])
        post(hand, 20, "lab", "result", [result("pass", i) for i in range(MANY)])
        post(hand, 30, "lab", "result", [result("pass", "x")])
        assert raised(hand, RETEST, until=30 + DAY + 1) == 1
        cases = folded(hand).state_of(FACILITY).rare.of(RETEST)
        assert len(cases) == store.MAX_CASES + 1, "what holds nothing gives way to others of its sort"

    def test_releases_of_others_close_no_deviation(self) -> None:
        hand = deviated(firm(), 10, ["X"])
        post(hand, 20, "trace", "released", [{"lot": f"L{i}", "quantity": 1} for i in range(MANY)])
        post(hand, 30, "trace", "released", [{"lot": "X", "quantity": 1}])
        assert raised(hand, RELEASE) == 1

    def test_a_deviation_of_many_lots_is_one_of_each(self) -> None:
        lots = [f"L{i}" for i in range(MANY)]
        hand = post(deviated(firm(), 10, lots), 20, "trace", "released", [{"lot": lot, "quantity": 1} for lot in lots])
        assert raised(hand, RELEASE) == MANY

    def test_every_set_point_has_its_base(self) -> None:
        hand = firm()
        for at in (10, 20):
            said = [{"point": f"T{i}", "hash": "h", "fields": {"set_point": at}} for i in range(MANY)]
            post(hand, at, "device", "config", said)
        assert raised(hand, CHANGE) == MANY

    def test_within_a_lot_what_is_open_goes_last(self) -> None:
        hand = deviated(firm(), 10, ["X"])
        for i in range(8):
            deviated(hand, 11 + i, ["X"], 11 + i, name=f"D-{i + 2}")
        post(hand, 30, "trace", "released", [{"lot": "X", "quantity": 1}])
        with patch.object(store, "MAX_FACTS", 4):
            assert raised(hand, RELEASE) == 1
            assert counters(hand.tick(40))["fact_dropped"] == 6


class TestBounds:
    def test_what_is_open_and_has_no_room_is_counted(self) -> None:
        with patch.object(room, "MAX_OPEN", 3):
            hand = counted(counted(firm(), 10, 100, 5), 20, 99, 5)
            assert raised(hand, STOCK) == 3
            assert counters(hand)["event_left_out"] == 4

    def test_what_answers_or_is_closed_goes_where_there_is_too_much_of_it(self) -> None:
        hand = firm()
        for i in range(5):
            deviated(hand, 10 + i, [f"L{i}"], 10 + i, name=f"D-{i}")
        with patch.object(room, "MAX_ANSWERS", 2):
            engine = folded(hand.tick(100))
            assert [case.subject for case in engine.state_of(FACILITY).rare.of(RELEASE).values()] == [
                '{"lot": "L3"}', '{"lot": "L4"}',
            ]  # fmt: skip
            assert engine.counters(0, FACILITY)["case_dropped"] == 3

    def test_one_that_begins_late_has_room_and_the_fullest_give_it(self) -> None:
        with patch.multiple(room, MAX_ALL=64), patch.object(store, "MAX_FACTS", 40):
            hand = counted(firm(), 10, 100, 2)
            for i in range(70):
                post(hand, 11 + i, "trace", "used", [{"place": f"W{j}", "product": "P", "quantity": 1} for j in (0, 1)])
            post(hand, 100, "trace", "stock-count", [{"place": "NEW", "product": "P", "quantity": 50}])
            for at, said in ((120, 115), (121, 110)):
                used = {"stream": "trace", "type": "used", "time": ms(said), "source": "S"}
                used["fields"] = {"place": "NEW", "product": "P", "quantity": 5}
                hand.line(at, "events", {"batch": f"late{at}", "events": [used]})
            post(hand, 130, "trace", "stock-count", [{"place": "NEW", "product": "P", "quantity": 40}])
            counted(hand, 140, 30, 2)
            assert raised(hand, STOCK) == 0
            cases = folded(hand.tick(150)).state_of(FACILITY).rare.of(STOCK)
            assert cases.held <= 64
            assert len(cases['{"place": "NEW", "product": "P"}'].facts) == 4

    @pytest.mark.parametrize("cut", range(1, 14))
    def test_a_restart_changes_nothing_where_every_bound_is_met(self, cut: int) -> None:
        hand = firm()
        for i in range(12):
            post(
                hand,
                10 + i,
                "lab",
                "result",
                [result("oos" if (i + j) % 3 == 0 else "pass", (i * j) % 7) for j in range(5)],
            )
        tight = patch.multiple(room, MAX_ANSWERS=1, MAX_OPEN=3, MAX_ALL=12)
        with tight, patch.multiple(store, MAX_CASES=2, MAX_FACTS=3):
            records = hand.tick(3 * DAY).records()
            whole, first, second = Engine(BUNDLE), Engine(BUNDLE), Engine(BUNDLE)
            wanted = [whole.fold(record) for record in records]
            assert [first.fold(record) for record in records[:cut]] == wanted[:cut]
            second.restore_partition(0, first.partition_state(0))
            second.restore(0, FACILITY, first.snapshot(0, FACILITY))
            assert [second.fold(record) for record in records[cut:]] == wanted[cut:]
            assert second.snapshot(0, FACILITY) == whole.snapshot(0, FACILITY)


class TestWork:
    def test_a_batch_about_one_subject_is_judged_once(self) -> None:
        hand = firm()
        for at in (10, 20):
            said = [{"lot": "L", "quantity": i} for i in range(200)]
            post(hand, at, "trace", "released", said)
        with patch.object(fold, "judge", wraps=kinds.judge) as judge:
            folded(hand.tick(30))
        assert sum(call.args[0].id == RELEASE for call in judge.call_args_list) == 2

    def test_more_than_may_wait_is_judged_at_once(self) -> None:
        said = [{"place": "W", "product": "P", "quantity": i} for i in range(12)]
        hand = post(firm(), 10, "trace", "stock-count", said)
        with patch.multiple(fold, WAITING=4), patch.object(store, "MAX_FACTS", 2):
            engine = folded(hand)
            assert len(engine.state_of(FACILITY).rare.of(STOCK)['{"place": "W", "product": "P"}'].facts) <= 4
            assert raised(hand, STOCK) == 1
