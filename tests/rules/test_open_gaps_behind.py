"""Open gaps that have left the horizon, by hand, in minutes: two hours of live data stand behind a silence when what was stored of it comes (ADR 0092)."""

from __future__ import annotations

from typing import Any

import pytest

from rules.engine import Engine
from rules.instants import parse_instant
from rules.opengap import BEHIND, GAPS, STORED
from rules.pack import Bundle
from tests.rules import sums
from tests.rules.byhand import BUNDLE, FACILITY, HandLog, ms, sensor, since, story
from tests.rules.test_open_gaps_by_hand import GAP, LATE, ends, rows, told

AWAY = 360
"""Minutes without radio, behind two hours of rows."""
BEGIN, BACK = 121, 121 + AWAY
"""The first minute that nobody heard of, and the first live one behind them."""
WARM = range(200, 230)
DAY = 1440


def back(live: int, *warm: range, until: int = BACK) -> HandLog:
    """Return a log of a recorder that came back: two hours of rows, nothing, so many live rows."""
    hand = rows(HandLog().register(-1, sensor()), 120, range(121), *warm)
    for minute in range(until, until + live):
        rows(hand, minute + 0.5, [minute], *warm)
    return hand


def silences(hand: HandLog) -> list[str]:
    """Return what was told of the silence behind the two hours."""
    return [c.change.value for c in hand.changes() if c.rule == GAP and c.subject and since(c.start) == BEGIN]


def engine_of(hand: HandLog) -> Engine:
    engine = Engine(BUNDLE)
    for record in hand.records():
        engine.fold(record)
    engine.advance(0, hand.records()[-1].received + 1)
    return engine


def gaps(hand: HandLog) -> list[tuple[int, int, int]]:
    """Return of each gap that is kept: how many minutes are open, rows that wait in it, and rows behind it."""
    found = engine_of(hand).state_of(FACILITY).gaps.get("T1", [])
    return [((gap.end - gap.begin) // 60_000, len(gap.rows), len(gap.behind)) for gap in found]


@pytest.mark.parametrize("live", [60, 118, 119, 120, 121, 125, 150, 189, 190, 191, 240, 400])
def test_an_excursion_on_the_road_is_raised_and_the_silence_taken_back_however_long_live_rows_stand_behind_it(
    live: int,
) -> None:
    """Two hours count 118 live rows: the gap itself counts two minutes."""
    hand = rows(back(live), BACK + live, range(BEGIN, BACK), WARM)
    at = (
        BACK - 2 if live == 119 else BACK - 1
    )  # one minute of these has room in the horizon still, and is no row of the gap
    assert told(hand.changes()) == [("raised", 200, None, at, True), ("cleared", 200, 230, at, False)]
    assert silences(hand)[-1] == "retracted"


@pytest.mark.parametrize("live", [60, 121, 240])
def test_whatever_the_order_and_the_parts_what_stands_at_last_is_the_same(live: int) -> None:
    for size, turned in ((7, False), (7, True), (60, True), (120, False)):
        hand = back(live)
        firsts = list(range(BEGIN, BACK, size))
        for i, first in enumerate(reversed(firsts) if turned else firsts):
            rows(hand, BACK + live + 10 * i, range(first, min(first + size, BACK)), WARM)
        assert ends(hand.changes()) == {200: 230}, (size, turned)
        assert silences(hand)[-1] == "retracted"
        assert gaps(hand) == []


def test_the_part_that_came_first_is_kept_until_what_lies_before_it_is_there() -> None:
    hand = rows(back(240), BACK + 241, range(300, BACK), range(320, 330))
    assert ends(hand.changes()) == {320: 330}
    assert silences(hand)[-1] == "cleared", "an hour of it is missing still"
    assert gaps(hand) == [(AWAY + 1, BACK - 300, 3)]
    rows(hand, BACK + 301, range(BEGIN, 300), WARM)
    assert ends(hand.changes()) == {200: 230, 320: 330}
    assert silences(hand)[-1] == "retracted"
    assert gaps(hand) == [], "nothing is open any more"


def test_an_excursion_that_lasts_into_the_live_rows_begins_earlier_and_keeps_its_id() -> None:
    warm = range(400, BACK + 20)
    hand = back(200, warm)
    before = ends(hand.changes())
    assert before == {BACK: BACK + 20}
    rows(hand, BACK + 201, range(BEGIN, BACK), warm)
    changes = hand.changes()
    assert told(changes)[-1] == ("amended", 400, BACK + 20, BACK - 1, False)
    assert len({c.alarm for c in changes if c.rule == "cold-chain.store-out"}) == 1


def test_one_that_stands_still_begins_earlier_too() -> None:
    """All live rows are warm: nothing behind the gap has come to rest, and the tails are put where they would stand."""
    warm = range(400, 10_000)
    hand = rows(back(140, warm), BACK + 141, range(BEGIN, BACK), warm)
    assert told(hand.changes())[-1] == ("amended", 400, None, BACK - 1, False)
    for minute in range(BACK + 142, BACK + 150):
        rows(hand, minute, [minute])
    assert told(hand.changes())[-1][:3] == ("cleared", 400, BACK + 142)


def test_an_alarm_that_stood_before_and_behind_is_two() -> None:
    spans = range(100, 140), range(300, BACK + 10)
    hand = back(200, *spans)
    assert ends(hand.changes()) == {100: BACK + 10}
    rows(hand, BACK + 201, range(BEGIN, BACK), *spans)
    assert ends(hand.changes()) == {100: 140, 300: BACK + 10}


@pytest.mark.parametrize(("many", "joined"), [(BEHIND - 3, True), (BEHIND - 2, False)])
def test_an_alarm_that_lasts_so_many_rows_behind_the_gap_is_not_joined(many: int, joined: bool) -> None:
    """Three rows of those that are kept have to be calm: the third of them clears it."""
    warm = range(400, BACK + many)
    hand = rows(back(400, warm), BACK + 401, range(BEGIN, BACK), warm)
    assert ends(hand.changes()) == ({400: BACK + many} if joined else {BACK: BACK + many})
    assert [c.change.value for c in hand.changes() if c.rule == LATE] == ["raised"]


def test_four_gaps_are_kept_and_the_fifth_before_them_is_not() -> None:
    hand = rows(HandLog().register(-1, sensor()), 120, range(121))
    begins = [121 + 200 * i for i in range(GAPS + 1)]
    for begin in begins:  # sixty minutes nothing, then live rows
        for minute in range(begin + 60, begin + 200):
            rows(hand, minute + 0.5, [minute])
    live = begins[-1] + 200
    assert len(gaps(hand)) == GAPS
    for begin in begins:
        rows(hand, live, range(begin, begin + 60), range(begin + 20, begin + 30))
    assert ends(hand.changes()) == {begin + 20: begin + 30 for begin in begins[1:]}


@pytest.mark.parametrize(("minute", "judged"), [(1, True), (0, False)])
def test_rows_of_ten_days_behind_the_newest_are_judged_older_ones_not(minute: int, judged: bool) -> None:
    newest = 1_000 + 10 * DAY
    hand = rows(HandLog().register(-1, sensor()), 120, range(121))
    for first in range(newest - 200, newest + 1):
        rows(hand, first + 0.5, [first])
    rows(hand, newest + 1, [1_000 + minute, 1_001 + minute, 1_002 + minute], range(1_000, 1_002 + minute))
    assert bool(ends(hand.changes())) == judged


def test_the_oldest_of_those_that_wait_are_kept_where_there_is_no_room_for_all() -> None:
    """The first minutes are missing, so that nothing leads on."""
    long = STORED + 600
    hand = back(200, until=BEGIN + long)
    rows(hand, BEGIN + long + 201, range(BEGIN + 10, BEGIN + long))
    assert gaps(hand)[0][1] == STORED


def leaves(hand: HandLog, **options: Any) -> list[tuple[str, Any, Any]]:
    """Return what was told last of rows that came too late, times in minutes."""
    found = [c for c in hand.changes(**options) if c.rule == LATE][-1].evidence.leaves
    return [(one.expr, None if one.left is None else since(parse_instant(str(one.left))), one.right) for one in found]


def test_people_are_told_which_rules_judged_nothing_of_what_came_into_the_gap() -> None:
    """Limits and the silence did; what sums, counts or compares did not."""
    hand = rows(back(240), BACK + 241, range(BEGIN, BACK), WARM)
    first, last, rest = leaves(hand)
    assert (first, last) == (
        ("event time in open gaps of T1", BEGIN, "horizon"), ("event time in open gaps of T1", BACK - 1, "horizon")
    )  # fmt: skip
    assert rest[:2] == ("rules that judged nothing in open gaps of T1", None)
    named = set(rest[2].split(", "))
    assert {"data-integrity.frozen", "cold-chain.warm-cumulative"} <= named
    assert not named & {"cold-chain.store-out", "data-integrity.physical-range", GAP}


def test_where_all_rules_of_a_series_judged_them_none_is_named() -> None:
    hand = rows(back(240), BACK + 241, range(BEGIN, BACK), WARM)
    bundle = BUNDLE.only({"cold-chain.store-out", GAP, LATE})
    assert leaves(hand, bundle=bundle)[-1] == ("rules that judged nothing in open gaps of T1", None, "none")


def test_a_limit_that_does_not_meet_is_named_too() -> None:
    """It stands for two hundred rows behind the gap."""
    warm = range(400, BACK + 200)
    hand = rows(back(400, warm), BACK + 401, range(BEGIN, BACK), warm)
    assert "cold-chain.store-out" in leaves(hand)[-1][2]


def test_rows_outside_of_gaps_are_told_apart() -> None:
    """Half a minute between rows that came long ago lies in no gap. Of a series the first row that came too late is known, and the newest 31."""
    hand = rows(back(240), BACK + 241, range(BEGIN, BEGIN + 10))
    hand.rows(BACK + 241, ("T1", [50.5], [5.0]))
    assert [row[:2] for row in leaves(hand)] == [
        ("event time of T1", 50.5), ("event time in open gaps of T1", BEGIN), ("event time in open gaps of T1", BEGIN + 9),
        ("rules that judged nothing in open gaps of T1", None),
    ]  # fmt: skip
    assert len(leaves(rows(back(240), BACK + 241, [50.5]))) == 1


def test_a_jump_on_the_road_is_raised() -> None:
    jump = sums.rule(
        {"id": "test.jump", "kind": "jump", "applies_to": {"sensor.quantity": "temperature"},
         "limits": {"from": {"low": -3, "high": 3}}, "when": {"consecutive": 1},
         "clear": {"consecutive": 2, "deadband": 0}, "severity": {"base": "yellow"}}
    )  # fmt: skip
    bundle = Bundle.of([jump], ())
    hand = rows(back(240), BACK + 241, range(BEGIN, BACK), WARM)
    found = [row[1:] for row in story(hand.changes(bundle=bundle), "jump")]
    assert [(row[0], row[4]) for row in found] == [("raised", 200), ("cleared", 200), ("raised", 230), ("cleared", 230)]


def test_the_same_rows_again_say_nothing_new() -> None:
    hand = rows(back(240), BACK + 241, range(BEGIN + 5, BACK), WARM)
    first = told(hand.changes())
    rows(hand, BACK + 250, range(BEGIN + 5, BACK), range(250, 300))
    assert told(hand.changes()) == first, "of one event time the first stands"


def test_a_snapshot_holds_gaps_only_where_there_are_some_and_goes_on_with_them() -> None:
    def with_restart(hand: HandLog, cut: int) -> list[object]:
        first, second, log = Engine(BUNDLE), Engine(BUNDLE), hand.records()
        said = [change for record in log[:cut] for change in first.fold(record)]
        second.restore_partition(0, first.partition_state(0))
        second.restore(0, FACILITY, first.snapshot(0, FACILITY))
        assert second.snapshot(0, FACILITY) == first.snapshot(0, FACILITY)
        return said + [change for record in log[cut:] for change in second.fold(record)]

    hand = rows(back(240), BACK + 241, range(300, BACK), range(320, 330))
    hand = rows(hand, BACK + 242, range(BEGIN, 300), WARM).tick(BACK + 243)
    whole = with_restart(hand, 1)
    for cut in range(len(hand.lines) - 4, len(hand.lines)):
        assert with_restart(hand, cut) == whole


def test_the_silence_of_a_firm_goes_with_the_last_of_its_sensors_silences_though_another_one_came_in_between() -> None:
    """Found by random logs of days: the firm's silence was forgotten when the next one was raised, so that one of its two stayed for ever."""
    hour = 60
    log = HandLog().register(0, sensor("T0", interval="1h"), sensor("T1", interval="1h"))
    hours = {"T0": list(range(9)), "T1": list(range(9))}
    log.rows(8 * hour + 1, *((tag, [hour * at for at in found], [5.0] * len(found)) for tag, found in hours.items()))
    log.rows(
        14 * hour,
        ("T0", [hour * at for at in range(9, 15)], [5.0] * 6),
        ("T1", [hour * at for at in (12, 13, 14)], [5.0] * 3),
    )
    log.rows(32 * hour, *((tag, [hour * at for at in range(15, 33)], [5.0] * 18) for tag in ("T0", "T1")))
    log.rows(32 * hour + 1, ("T1", [hour * at for at in (9, 10, 11)], [5.0] * 3))
    found = [c for c in log.changes() if c.rule == GAP and c.start >= ms(9 * hour)]
    raised = {c.alarm for c in found if c.change.value == "raised"}
    assert len(raised) == 6
    assert {c.alarm for c in found if c.change.value == "retracted"} == raised
    assert [(c.subject, since(c.start)) for c in found if c.received == ms(32 * hour + 1)] == [
        ({"tag": "T1"}, 9 * hour), ({}, 9 * hour),
    ]  # fmt: skip
