"""Stored rows whose newer part comes at an earlier instant than the older one, by hand, in minutes: what is judged by whom, and what is told (ADR 0085, 0092)."""

from __future__ import annotations

import pytest

from rules.engine import Engine
from tests.rules.byhand import BUNDLE, FACILITY, HandLog, sensor
from tests.rules.test_open_gaps_by_hand import LATE, ends, rows, silences, told

HOURS = 720
"""Twelve hours without radio."""
WARM = (range(100, 130), range(HOURS - 40, HOURS - 30))


def parts(newer: int, *, live: int = 0) -> HandLog:
    """Live rows, the newest `newer` that are stored, more live ones, an hour later the rest."""
    hand = rows(HandLog().register(-1, sensor()), 9, range(10))
    rows(hand, HOURS + 9, range(HOURS, HOURS + 10))
    rows(hand, HOURS + 10, range(HOURS - newer, HOURS), *WARM)
    for minute in range(HOURS + 10, HOURS + 10 + live):
        rows(hand, minute + 0.5, [minute])
    return rows(hand, HOURS + 70, range(10, HOURS - newer), *WARM)


def stale(hand: HandLog) -> int:
    engine = Engine(BUNDLE)
    for record in hand.records():
        engine.fold(record)
    return engine.counters(0, FACILITY)["stale"]


@pytest.mark.parametrize(("newer", "live"), [(41, 0), (41, 60), (48, 60), (60, 0), (108, 0)])
def test_less_than_two_hours_behind_the_gap_leave_it_open_and_the_rest_is_decided_exactly(
    newer: int, live: int
) -> None:
    hand = parts(newer, live=live)
    assert ends(hand.changes()) == {100: 130, HOURS - 40: HOURS - 30}
    assert silences(hand)[-1][0] == "retracted"
    assert (told(hand.changes(), LATE), stale(hand)) == ([], 0)


@pytest.mark.parametrize(("newer", "live"), [(49, 60), (109, 0), (150, 0), (360, 0), (360, 60)])
def test_behind_two_hours_limits_are_decided_from_before_it_and_people_are_told_which_rows_came_too_late_for_the_rest(
    newer: int, live: int
) -> None:
    """The gap itself counts two minutes: 109 stored and ten live rows fill the horizon. What of the rest lies inside it is judged by all."""
    hand = parts(newer, live=live)
    newest = min(HOURS - newer - 1, HOURS + 9 + live - 120)
    assert ends(hand.changes()) == {100: 130, HOURS - 40: HOURS - 30}
    assert silences(hand)[-1][0] == "retracted"
    (raised,) = [c for c in hand.changes() if c.rule == LATE]
    assert (raised.change, raised.subject) == ("raised", {"tag": "T1"})
    *times, rest = raised.evidence.leaves
    assert "data-integrity.frozen" in str(rest.right), "and which rules judged nothing"
    assert [leaf.left for leaf in times] == [
        hand_stamp(10),
        hand_stamp(newest),
    ], "the earliest and the newest of them"
    assert raised.evidence.records[0].id == f"b{4 + live}", "and the batch"
    assert stale(hand) == newest - 9


def test_in_one_instant_it_is_exact_however_much_comes() -> None:
    hand = rows(HandLog().register(-1, sensor()), 9, range(10))
    rows(hand, HOURS + 9, range(HOURS, HOURS + 10))
    rows(hand, HOURS + 10, range(360, HOURS), *WARM)
    rows(hand, HOURS + 10, range(10, 360), *WARM)
    assert ends(hand.changes()) == {100: 130, HOURS - 40: HOURS - 30}
    assert (told(hand.changes(), LATE), stale(hand)) == ([], 0)


def hand_stamp(minute: float) -> str:
    hours, minutes = divmod(int(minute), 60)
    day, hours = divmod(hours + 16, 24)  # the story begins at midnight in Beijing
    return f"2026-0{2 + (day > 0)}-{28 if day == 0 else day:02d}T{hours:02d}:{minutes:02d}:00.000Z"
