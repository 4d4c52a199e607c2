"""Readings of tags that nobody registered, sent again when their batch is forgotten: nothing changes that stands or is to come (ADR 0052)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from unittest.mock import patch

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rules.engine import Engine
from rules.rare import store
from rules.rare.strays import Came
from rules.records import Kind, LogRecord, Readings
from rules.snapshot import SnapshotError, open_snapshot, sealed
from tests.examples import examples
from tests.rules import straylogs
from tests.rules.byhand import FACILITY, HandLog, ms, sensor
from tests.rules.test_strays_by_hand import DAY, ONLY, RULE, WEEK, engine_of, explained, log, post, told

QUICK = settings(
    max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def send(hand: HandLog, at: float, tag: str, *times: float, batch: str) -> HandLog:
    """Append a batch of readings of these event times, in minutes."""
    return hand.rows(at, (tag, list(times), [5.0] * len(times)), batch=batch)


def kept(hand: HandLog) -> list[str]:
    return list(engine_of(hand).state_of(FACILITY).rare.of(RULE))


@pytest.mark.parametrize("later", [DAY - 1, DAY, DAY + 1, 3 * DAY, WEEK - 2])
def test_one_batch_that_is_sent_again_is_no_day_of_readings(later: int) -> None:
    hand = send(log(), 0, "X", -2, -1, batch="one")
    assert told(send(hand, later, "X", -2, -1, batch="one")) == []
    assert told(send(hand, later + 0.5, "X", -2, -1, batch="another")) == [], "so under another id"
    new = send(hand, max(later, DAY) + 1, "X", -0.5, batch="two")
    assert told(new) == [("X", "raised", 0, max(later, DAY) + 1)], "a newer one counts, however late it comes"


def test_it_does_not_keep_an_alarm_that_is_to_be_forgotten() -> None:
    hand = post(send(log(), 0, "X", -1, batch="one"), DAY + 1, "X")
    send(hand, 4 * DAY, "X", -1, batch="one")
    assert told(hand, until=9 * DAY) == [("X", "raised", 0, DAY + 1), ("X", "cleared", 0, DAY + 1 + WEEK)]


def test_once_it_is_forgotten_nothing_begins_with_what_is_sent_again() -> None:
    hand = post(send(log(), 0, "X", -1, batch="one"), 60, "X", batch="two")
    send(hand, 60 + WEEK, "X", -1, batch="one")
    assert kept(hand) == []
    post(hand, WEEK + DAY, "X")
    assert told(post(hand, WEEK + 2 * DAY + 1, "X")) == [("X", "raised", WEEK + DAY, WEEK + 2 * DAY + 1)]


def test_what_came_while_it_was_registered_is_nothing_new_when_it_is_struck_off() -> None:
    hand = HandLog().register(-1, sensor(), sensor("X")).rows(0, ("X", [-1, 0], [5.0, 5.1]), batch="one")
    hand.register(1, sensor(), version=2)
    send(hand, DAY + 2, "X", -1, 0, batch="one")
    assert kept(hand) == []
    assert kept(send(hand, DAY + 3, "X", 0.5, batch="new")) == ['{"tag": "X"}']


def test_readings_of_a_tag_that_was_registered_meanwhile_begin_nothing_behind_it() -> None:
    hand = send(log(), 0, "X", -1, batch="one").register(5, sensor(), sensor("X"), version=2)
    hand.register(6, sensor(), version=3)
    send(hand, DAY + 7, "X", -1, batch="one")
    assert kept(hand) == []


def test_of_rows_of_no_order_those_count_that_are_newer_than_all_before() -> None:
    hand = send(log(), 0, "X", -3, -5, -2, -2.5, batch="one")
    (raised,) = send(hand, DAY + 1, "X", -4, -1, DAY, DAY - 1, batch="two").changes(bundle=ONLY)
    assert [leaf.left for leaf in raised.evidence.leaves] == [(DAY + 1) * 60_000.0, 2.0]


def test_a_clock_that_runs_ahead_makes_no_tag_silent() -> None:
    """Stamped next year, it counts as of its receipt: what is sent a minute later is newer."""
    hand = send(log(), 0, "X", 400 * DAY, batch="one")
    assert kept(hand) == ['{"tag": "X"}']
    assert told(send(hand, DAY + 1, "X", DAY, batch="two")) == [("X", "raised", 0, DAY + 1)]
    hand = send(send(log(), 0, "X", 400 * DAY, batch="one"), DAY + 1, "X", 400 * DAY, batch="one")
    assert told(hand) == [], "the id of such a batch is known without end"


@pytest.mark.parametrize("ahead", [0, 5, 5.001])
def test_a_few_minutes_ahead_are_as_they_are_stamped(ahead: float) -> None:
    hand = send(send(log(), 0, "X", ahead, batch="one"), DAY + 1, "X", ahead, batch="two")
    assert (told(hand) == []) is (ahead <= 5)


@pytest.mark.parametrize(
    ("newest", "found"),
    [(-1, (7, 3, 9)), (4, (7, 3, 9)), (5, (8, 2, 9)), (7, (10, 1, 9)), (9, (7, 0, 9)), (20, (7, 0, 20))],
)
def test_newer_rows_are_found_in_their_order(newest: int, found: tuple[int, int, int]) -> None:
    came = Came(7, "X", np.array([5, 7, 6, 9]))
    assert came.newer(newest, 9) == found
    assert came.above(newest, 9) == sum(t > newest for t in (5, 7, 6, 9))


def test_no_more_is_known_than_there_is_room_for() -> None:
    with patch.object(store, "MAX_STRAYS", 2):
        hand = log()
        for i in range(20):
            post(hand, 2 * DAY * i, f"R{i}")
        sent = engine_of(hand).state_of(FACILITY).rare.sent[RULE]
        assert list(sent) == [f"R{i}" for i in range(20 - 2 * store.KNOWN_STRAYS, 20)]
    names = [f"R{i}" for i in range(5_000)]
    state = engine_of(post(log(), 1, *names)).state_of(FACILITY)
    assert len(state.rare.sent[RULE]) == store.MAX_STRAYS, "nothing is known of those that find no room"


def test_those_that_find_no_room_are_counted_if_they_bring_something_new() -> None:
    with patch.object(store, "MAX_STRAYS", 1):
        hand = post(send(log(), 0, "X", -1, batch="one"), 2 * DAY, "Y")
        send(hand, 2 * DAY + 1, "X", -1, batch="again")
        assert engine_of(hand).counters(0, FACILITY)["stray_left_out"] == 0
        hand.rows(2 * DAY + 2, ("Z", [0], [5.0]), ("X", [-1, 1, 0.5], [5.0] * 3))
        assert engine_of(hand).counters(0, FACILITY)["stray_left_out"] == 3


def test_the_explanation_says_that_it_had_come_before() -> None:
    hand = send(send(log(), 0, "X", -1, batch="one"), DAY + 5, "X", -1, batch="one")
    assert "it had come before" in explained(hand, DAY + 6)
    assert "it had come before" not in explained(hand, DAY + 4)


def test_a_snapshot_holds_it_only_where_such_a_tag_came() -> None:
    body, _ = open_snapshot(engine_of(post(log(), 0, "T1")).snapshot(0, FACILITY))
    assert isinstance(body.sent, msgspec.UnsetType)
    body, _ = open_snapshot(engine_of(post(log(), 0, "X", "Y")).snapshot(0, FACILITY))
    assert body.sent == [(RULE, [("X", ms(-1)), ("Y", ms(-1))])]
    body.sent = [(RULE, [("X", 1 << 63)])]
    with pytest.raises((SnapshotError, OverflowError)):
        Engine(ONLY).restore(0, FACILITY, sealed(body))


@given(straylogs.logs(), st.data())
@QUICK
def test_any_batch_that_is_sent_again_behind_a_day_changes_nothing(drawn: Any, data: Any) -> None:
    """Of the rule that looks at every facility: of the other nothing was kept while it looked at nothing."""
    sent = [i for i, record in enumerate(drawn) if isinstance(record.payload, Readings)]
    if not sent:
        return
    first = drawn[data.draw(st.sampled_from(sent))]
    received = first.received + straylogs.DAY + data.draw(st.sampled_from([0, 1, straylogs.DAY, 8 * straylogs.DAY]))
    at = next((i for i, record in enumerate(drawn) if record.received > received), len(drawn))
    again = LogRecord(0, 0, received, Kind.READINGS, straylogs.FACILITY, first.payload)
    other = [replace(record, offset=i) for i, record in enumerate([*drawn[:at], again, *drawn[at:]])]
    until = max(record.received for record in other) + 9 * straylogs.DAY
    assert said(other, until) == said(drawn, until)


def said(records: Any, until: int) -> list[tuple[Any, ...]]:
    engine = Engine(straylogs.bundle())
    changes = [change for record in records for change in engine.fold(record)] + engine.advance(0, until)
    return [
        (c.alarm, c.change, c.start, c.end, c.at, c.received, [leaf.left for leaf in c.evidence.leaves])
        for c in changes
        if c.rule == straylogs.RULE
    ]
