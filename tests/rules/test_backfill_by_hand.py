"""Late rows of one receive instant by hand, in minutes: they are a set, in whatever order and in how many records they come (ADR 0066)."""

from __future__ import annotations

import pytest

from rules.engine import Engine
from rules.layout import MAX_HELD
from tests.rules.byhand import BUNDLE, FACILITY, HandLog, sensor
from tests.rules.test_open_gaps_by_hand import LATE, SILENT, WARM, ends, rows, silent, told


@pytest.mark.parametrize("size", [1, 10, 350])
def test_the_newest_rows_first_is_taken_whole_where_it_comes_at_one_instant(size: int) -> None:
    """In records of any size, the newest one first, each with its newest row first."""
    hand = silent()
    for last in range(SILENT, 10, -size):
        rows(hand, SILENT + 10, reversed(range(max(10, last - size), last)), range(340, 350), WARM)
    assert ends(hand.changes()) == {100: 130, 340: 350}
    assert [row[1] for row in told(hand.changes()) if row[0] == "raised"] == [100, 340]
    assert told(hand.changes(), LATE) == []


def test_stored_rows_in_no_order_and_no_live_row_before_them_are_all_taken() -> None:
    """The newest so far is in order each time one comes; the rest is held meanwhile."""
    for step in (2, 17, 101, 174, 300):
        minutes = sorted(range(10, SILENT), key=lambda minute, step=step: (minute * step % 349, minute))
        hand = rows(HandLog().register(-1, sensor()), 9, range(10))
        rows(hand, SILENT, minutes, WARM)
        assert ends(rows(hand, SILENT + 1, [SILENT]).changes()) == {100: 130}
        assert told(hand.changes(), LATE) == []


def test_a_row_in_order_that_would_make_held_ones_stale_comes_behind_them() -> None:
    """Three late rows, warm; then, at the same instant, two hours of rows in order, which push them out of the horizon."""
    for live in (100, 119, 120, 160, 400):
        hand = rows(HandLog().register(-1, sensor()), 9, [0, 1, 2, 3, 8, 9])
        hand.rows(9 + live, ("T1", [4, 5, 6], [9.1, 9.2, 9.3]))
        rows(hand, 9 + live, range(10, 10 + live))
        assert ends(hand.changes()) == {4: 8}
        assert told(hand.changes(), LATE) == []


def test_no_more_rows_of_a_series_are_held_than_there_is_room_for() -> None:
    """Newest first: those that are held are decided as they stand, and what is older than two hours before them is stale then."""
    hand = silent()
    rows(hand, SILENT + 10, reversed(range(10, SILENT)), WARM)
    engine = Engine(BUNDLE)
    for record in hand.records():
        engine.fold(record)
    assert engine.counters(0, FACILITY)["late"] == SILENT - 10
    hand = rows(HandLog().register(-1, sensor(interval="1s")), 0, range(1))
    first, count = 1.0, MAX_HELD + 2_000
    seconds = [first + i / 60 for i in range(count)]
    last = seconds[-1] + 1
    hand.rows(last, ("T1", [last], [5.0]))
    for part in range(0, count, 10_000):
        at = seconds[::-1][part : part + 10_000]
        hand.rows(last, ("T1", at, [5.0 + i % 7 / 10 for i in range(len(at))]))
    engine = Engine(BUNDLE)
    for record in hand.tick(last + 1).records():
        engine.fold(record)
    counts = engine.counters(0, FACILITY)
    assert (counts["late"], counts["stale"]) == (MAX_HELD, 2_000)
    assert engine.state_of(FACILITY).held.rows.size == 0, "nothing is held any more"
