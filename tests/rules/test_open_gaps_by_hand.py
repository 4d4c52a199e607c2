"""Open gaps by hand, in minutes: a lorry without radio sends live data first, and what it stored then is decided as if in time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings

from rules import again, late
from rules.engine import Engine
from rules.snapshot import open_snapshot
from tests.examples import examples
from tests.rules import logs
from tests.rules.byhand import BUNDLE, FACILITY, HandLog, sensor, since

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rules.changes import Change

OUT, LATE = "cold-chain.store-out", "data-integrity.late-evidence"
DAY = 1440
SILENT = 360
"""Minutes without radio."""
QUICK = settings(
    max_examples=examples(80), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def told(changes: Iterable[Change], rule: str = OUT) -> list[tuple[Any, ...]]:
    return [
        (c.change.value, since(c.start), None if c.end is None else since(c.end), since(c.at), c.late)
        for c in changes
        if c.rule == rule
    ]


def value(minute: float, warm: Sequence[range]) -> float:
    return (9.0 if any(minute in span for span in warm) else 5.0) + minute % 7 / 10  # nothing stands still


def ends(changes: Iterable[Change]) -> dict[float, float | None]:
    """Return start -> end of each alarm, as it was told last."""
    newest = {c.alarm: c for c in changes if c.rule == OUT}
    return {since(c.start): None if c.end is None else since(c.end) for c in newest.values()}


def rows(hand: HandLog, received: float, minutes: Iterable[int], *warm: range) -> HandLog:
    at = list(minutes)
    return hand.rows(received, ("T1", at, [value(minute, warm) for minute in at]))


def silent(until: int = SILENT, *warm: range) -> HandLog:
    """Ten rows, then nothing, then ten live rows from `until` on."""
    hand = rows(HandLog().register(-1, sensor()), 9, range(10), *warm)
    return rows(hand, until + 9, range(until, until + 10), *warm)


WARM = range(100, 130)


EXCURSION = [("raised", 100, None, 359, True), ("cleared", 100, 130, 359, False)]
"""All of one instant. The horizon holds 109 rows before the live ones and the gap in front of these: the first are decided at minute 118,
cleared by what is known to have come next, the live rows; those that tell when it ended with the next 109. It is told once, by all of them."""


@pytest.mark.parametrize("size", [1, 7, 10, 60, 350])
def test_what_happened_out_of_radio_is_raised_late_and_cleared(size: int) -> None:
    hand = silent()
    for first in range(10, SILENT, size):
        rows(hand, SILENT + 10, range(first, min(first + size, SILENT)), WARM)
    assert told(hand.changes()) == EXCURSION


def test_live_rows_between_the_stored_ones_change_nothing() -> None:
    hand = silent()
    for i, first in enumerate(range(10, SILENT, 10)):
        rows(hand, SILENT + 10 + i, range(first, first + 10), WARM)
        rows(hand, SILENT + 10 + i, [SILENT + 10 + i])
    assert told(hand.changes()) == [
        ("raised", 100, None, 109, True),
        ("cleared", 100, SILENT, 109, False),
        ("amended", 100, 130, 139, False),
    ]


def test_an_alarm_that_stood_when_the_radio_went_ends_where_it_ended() -> None:
    """Warm from minute 5 to 20, and again from 300 until long behind the silence: what was one alarm is two."""
    spans = range(5, 20), range(300, 380)
    hand = silent(SILENT, *spans)
    before = told(hand.changes())
    assert before[0] == ("raised", 5, None, 6, False)
    assert {row[1] for row in before} == {5}
    assert all(row[2] is None for row in before)
    rows(hand, SILENT + 10, range(10, SILENT), *spans)
    assert ends(hand.changes()) == {5: 20, 300: None}
    assert ends(rows(hand, 400, range(370, 390), *spans).changes()) == {5: 20, 300: 380}


def test_an_alarm_that_live_rows_cleared_is_cleared_where_it_was() -> None:
    spans = (range(5, 200),)
    hand = silent(SILENT, *spans)
    assert told(hand.changes())[-1] == ("cleared", 5, SILENT, SILENT + 2, False)
    rows(hand, SILENT + 10, range(10, SILENT), *spans)
    assert told(hand.changes())[-1] == ("amended", 5, 200, 359, False)


@pytest.mark.parametrize(("gap", "judged"), [(10 * DAY - 20, True), (10 * DAY + 31, False)])
def test_a_gap_stays_open_for_ten_days(gap: int, judged: bool) -> None:
    hand = silent(gap)
    rows(hand, gap + 20, range(10, 40), range(20, 30))
    assert ends(hand.changes()) == ({20: 30} if judged else {})
    late = told(hand.changes(), "data-integrity.late-evidence")
    assert late == []  # older than ten days: `event-time` tells
    assert bool(told(hand.changes(), "data-integrity.event-time")) is not judged


@pytest.mark.parametrize(("live", "by_all"), [(110, True), (121, False)])
def test_behind_two_hours_of_live_data_limits_are_judged_still_and_people_are_told_of_the_rest(
    live: int, by_all: bool
) -> None:
    """ADR 0092 (tests/rules/test_open_gaps_behind.py)."""
    hand = silent()
    rows(hand, SILENT + live, range(SILENT + 10, SILENT + live + 1))
    rows(hand, SILENT + live + 1, range(10, SILENT), WARM)
    assert told(hand.changes()) == EXCURSION
    assert bool(told(hand.changes(), LATE)) is not by_all


def test_four_gaps_are_open_at_once_and_filled_in_any_order() -> None:
    """Ten rows every five hours; what lies between comes later, the third gap first."""
    hand = HandLog().register(-1, sensor())
    begins = [0, 300, 600, 900, 1200]
    for begin in begins:
        rows(hand, begin + 9, range(begin, begin + 10))
    for i, gap in enumerate((3, 1, 4, 2)):
        begin = begins[gap - 1] + 10
        rows(hand, 1220 + i, range(begin, begin + 20), range(begin + 5, begin + 8))
    raised = [row[1] for row in told(hand.changes()) if row[0] == "raised"]
    assert raised == [615, 15, 915, 315]
    assert ends(hand.changes()) == {15: 18, 315: 318, 615: 618, 915: 918}


def test_of_the_newest_rows_first_what_the_ring_does_not_reach_is_judged_for_limits_alone() -> None:
    """158 rows of a minute: ten live ones, and the newest 148 that are stored, while those before the silence make room. The rest waits in the gap."""
    hand = silent()
    for i, last in enumerate(range(SILENT, 10, -10)):
        rows(hand, SILENT + 10 + i / 60, range(last - 10, last), range(340, 350), WARM)
    assert ends(hand.changes()) == {100: 130, 340: 350}
    assert told(hand.changes(), LATE)[0][0] == "raised"


GAP = "data-integrity.gap"


def silences(hand: HandLog, **options: Any) -> list[tuple[Any, ...]]:
    """Return what was told of the series' own silence since minute 10."""
    found = [c for c in hand.changes(**options) if c.subject and since(c.start) == 10]
    return [row for row in told(found, GAP) if row[0] not in {"suppressed", "released", "stepped"}]


@pytest.mark.parametrize("size", [1, 7, 60, 350])
@pytest.mark.parametrize("hours", [2, 6, 30])
def test_a_silence_is_taken_back_once_all_has_come_however_long_it_was(hours: int, size: int) -> None:
    """Six and thirty hours are more rows than the ring holds."""
    until = hours * 60
    hand = silent(until)
    for first in range(10, until, size):
        rows(hand, until + 10, range(first, min(first + size, until)))
    raised, cleared, retracted = silences(hand)
    assert raised == ("raised", 10, None, 12, False)
    assert cleared == ("cleared", 10, until + 7, until + 7, False)  # ten live rows at once: the eighth is in time
    assert retracted[:3] == ("retracted", 10, until + 7)


@pytest.mark.parametrize("lacking", [10, 11, 200, 357, 358])
@pytest.mark.parametrize("more", [0, 1])
def test_a_silence_stays_one_where_records_are_lacking(lacking: int, more: int) -> None:
    """A gap is more than two intervals: a single record that lacks is none."""
    hand = silent()
    rows(hand, SILENT + 10, [m for m in range(10, SILENT) if not lacking <= m <= lacking + more])
    assert (silences(hand)[-1][0] == "retracted") is (more == 0)


def test_live_rows_between_do_not_keep_a_silence_from_being_taken_back() -> None:
    hand = silent()
    for i, first in enumerate(range(10, SILENT, 10)):
        rows(hand, SILENT + 10 + i, range(first, first + 10))
        rows(hand, SILENT + 10 + i, [SILENT + 10 + i])
    assert silences(hand)[-1][:3] == ("retracted", 10, SILENT + 7)


def test_a_part_that_had_failed_to_come_is_filled_in_whether_the_ring_reaches_it_or_not() -> None:
    """Stored rows come first, without an hour of them; live ones follow, and then the hour: at minute 360 the ring begins behind 202."""
    for hole in (range(240, 300), range(100, 160)):
        hand = rows(HandLog().register(-1, sensor()), 9, range(10))
        rows(hand, SILENT, [m for m in range(10, SILENT) if m not in hole])
        rows(hand, SILENT, range(SILENT, SILENT + 1))
        assert silences(hand)[-1][:3] == ("cleared", 10, SILENT - 2)
        rows(hand, SILENT + 1, hole)
        assert silences(hand)[-1][0] == "retracted"


def test_a_part_that_comes_while_the_silence_stands_leaves_no_hole() -> None:
    hand = rows(HandLog().register(-1, sensor()), 9, range(10))
    rows(hand, SILENT - 1, [m for m in range(10, 300) if not 200 <= m < 260])  # old rows: it is silent still
    rows(hand, SILENT - 1, range(200, 260))
    rows(hand, SILENT, range(300, SILENT))
    assert [row[0] for row in silences(hand)] == ["raised", "retracted"]


def test_a_part_that_comes_at_the_instant_at_which_the_silence_ends_is_known_once_it_is_over() -> None:
    hand = rows(HandLog().register(-1, sensor()), 9, range(10))
    rows(hand, SILENT, [m for m in range(10, 300) if not 200 <= m < 260])
    rows(hand, SILENT, range(200, 260))
    rows(hand, SILENT, range(300, SILENT))
    assert [row[0] for row in silences(hand)] == ["raised", "cleared", "retracted"]


@pytest.mark.parametrize("begin", [0, 1, 2, 5])
def test_a_device_whose_clock_begins_in_1970_has_a_hole_behind_it(begin: int) -> None:
    """A row of the first milliseconds of all time, and the next one today: nothing came between them."""
    old = {"batch": "old", "series": [{"tag": "T1", "time": [begin], "value": [5.0]}]}
    hand = HandLog().register(-1, sensor()).line(0, "readings", old).rows(60, ("T1", [60], [5.0]))
    kinds = [c.change.value for c in hand.changes() if c.rule == GAP and c.subject]
    assert "retracted" not in kinds
    assert kinds[-1] == "cleared"


def test_what_leads_into_a_silence_is_kept_over_a_restart() -> None:
    """Cut behind every record: what follows is the same, and so are the bytes of the state."""
    hand = silent()
    for first in range(10, SILENT, 50):
        rows(hand, SILENT + 10, range(first, min(first + 50, SILENT)))
    log = hand.tick(SILENT + 40).records()
    whole = Engine(BUNDLE)
    cut = Engine(BUNDLE)
    kept = 0
    for record in log:
        assert cut.fold(record) == whole.fold(record)
        body = cut.snapshot(0, FACILITY)
        assert body == whole.snapshot(0, FACILITY)
        kept += not isinstance(open_snapshot(body)[0].filled, msgspec.UnsetType)
        again_ = Engine(BUNDLE)
        again_.restore_partition(0, cut.partition_state(0))
        again_.restore(0, FACILITY, body)
        cut = again_
    assert kept > 3


def test_a_place_that_is_silent_again_counts_from_its_newest_row() -> None:
    hand = silent()
    rows(hand, SILENT + 10, range(10, SILENT), WARM)
    raised = [
        c for c in hand.changes(until=SILENT + 60) if c.rule == "data-integrity.gap" and c.change.value == "raised"
    ]
    assert max(since(c.start) for c in raised) == SILENT + 10


# -- decided together, in compiled code where nothing was said ------------------------------------------------------------
def folded(log: list[Any], until: int) -> tuple[list[Change], bytes, dict[str, int]]:
    engine = Engine(BUNDLE)
    changes = [change for record in log for change in engine.fold(record)] + engine.advance(0, until)
    return changes, engine.snapshot(0, log[0].facility), engine.counters(0, log[0].facility)


@QUICK
@given(logs.logs())
def test_what_compiled_code_finds_quiet_says_nothing_in_python_either(drawn: Any) -> None:
    log = logs.records(*drawn)
    until = max(record.received for record in log) + 3 * 3_600_000
    quietly = folded(log, until)
    with patch.object(again, "is_quiet", lambda *_: False):
        one_by_one = folded(log, until)
    assert quietly[0] == one_by_one[0]
    assert quietly[2] == one_by_one[2]


def test_a_stored_day_is_taken_by_compiled_code() -> None:
    """Twenty-four hours in batches of ten rows: Python decides nothing of it."""
    hand = silent(DAY)
    for first in range(10, DAY, 10):
        rows(hand, DAY + 10 + first / 1_000, range(first, first + 10))
    engine = Engine(BUNDLE)
    with patch.object(late, "_again", side_effect=AssertionError("decided in Python")):
        for record in hand.tick(DAY + 12).records():
            engine.fold(record)
    counts = engine.counters(0, FACILITY)
    assert (counts["late"], counts["stale"]) == (DAY - 10, 0)


def test_where_stored_rows_say_something_python_decides_them_together() -> None:
    """Three hundred and fifty rows at once: decided each time the earliest of them would leave the horizon, and at the end."""
    hand = silent()
    rows(hand, SILENT + 10, range(10, SILENT), WARM)
    seen, plain = [], late._again
    with patch.object(late, "_again", lambda *args: seen.append(1) or plain(*args)):
        found = hand.changes()
    assert told(found) == EXCURSION
    assert 0 < len(seen) < 4 * len(BUNDLE.rules)


def test_stored_rows_are_decided_once_their_receive_time_is_over() -> None:
    """Minute 5 is cold: two batches of one instant are one alarm taken back, and it is taken back when the clock goes on."""
    warm = [(4, 9.1), (6, 9.2), (7, 9.3)]
    hand = rows(HandLog().register(-1, sensor()), 3, range(4))
    hand.rows(7, ("T1", [t for t, _ in warm], [v for _, v in warm]))
    hand.rows(8, ("T1", [4.5], [9.0])).rows(8, ("T1", [5], [9.4])).rows(9, ("T1", [8], [9.0]))
    engine = Engine(BUNDLE)
    told_at = [told(engine.fold(record)) for record in hand.records()]
    assert told_at[2] == [("raised", 4, None, 6, False)]
    assert told_at[3:] == [[], [], []]  # nothing that is said of it is other
    hand = rows(HandLog().register(-1, sensor()), 3, range(4))
    hand.rows(7, ("T1", [4, 6], [9.1, 9.2])).rows(8, ("T1", [4.5], [5.0])).rows(8, ("T1", [5], [5.1])).tick(9)
    engine = Engine(BUNDLE)
    told_at = [told(engine.fold(record)) for record in hand.records()]
    assert told_at[2:] == [[("raised", 4, None, 6, False)], [], [], [("retracted", 4, None, 5, False)]]


def test_a_row_in_order_does_not_part_the_late_rows_of_its_instant() -> None:
    """One batch: a warm row of before, a cold one in order, and another warm one: both were warm before it, whatever came between."""
    hand = HandLog().register(-1, sensor()).rows(9, ("T1", [0, 1, 9], [5, 5.1, 5.2]))
    hand.rows(10, ("T1", [6, 10, 5], [9.1, 5.3, 9.2]))
    hand.tick(11)
    engine = Engine(BUNDLE)
    *_, last, tick = [told(engine.fold(record)) for record in hand.records()]
    assert last == []
    assert tick[:1] == [("raised", 5, None, 6, True)]


def test_rows_that_would_leave_the_horizon_before_they_are_decided_are_decided_before() -> None:
    """Six hundred rows ten seconds apart, into a ring of 158: an alarm in their first minutes is told though they do not stay."""
    minutes = [10 + i / 6 for i in range(600)]
    values = [(9.0 if 12 <= minute < 14 else 5.0) + i % 7 / 10 for i, minute in enumerate(minutes)]
    hand = rows(HandLog().register(-1, sensor()), 119, [0, 1, 118, 119])
    hand.rows(120, ("T1", minutes, values))
    assert ends(hand.changes()) == {12: 14}


def test_a_log_that_ends_says_what_its_last_rows_say() -> None:
    hand = rows(HandLog().register(-1, sensor()), 20, range(20), range(10, 12))
    hand.rows(21, ("T1", [10.5], [5.2]))
    assert [row[0] for row in told(hand.changes())] == ["raised", "cleared", "retracted"]


def test_a_snapshot_holds_what_waits() -> None:
    hand = rows(HandLog().register(-1, sensor()), 20, range(20), range(10, 12))
    log = hand.rows(21, ("T1", [10.5], [5.2])).tick(22).records()
    first, second = Engine(BUNDLE), Engine(BUNDLE)
    for record in log[:-1]:
        first.fold(record)
    second.restore_partition(0, first.partition_state(0))
    second.restore(0, FACILITY, first.snapshot(0, FACILITY))
    assert second.snapshot(0, FACILITY) == first.snapshot(0, FACILITY)
    assert [row[0] for row in told(second.fold(log[-1]))] == ["retracted"]
    assert second.snapshot(0, FACILITY) != first.snapshot(0, FACILITY)


def test_a_published_alarm_that_a_late_row_takes_back_is_taken_back() -> None:
    """Warm at minutes 10 and 11; a row between them, which was not warm, comes later: no two records in a row were."""
    hand = rows(HandLog().register(-1, sensor()), 20, range(20), range(10, 12))
    hand.rows(21, ("T1", [5.5, 10.5, 15.5], [5.1, 5.2, 5.3]))
    assert [row[0] for row in told(hand.changes())] == ["raised", "cleared", "retracted"]


def test_an_alarm_of_the_same_batch_is_taken_back_too() -> None:
    """One batch: a late row of no account, two warm ones, and one between them."""
    hand = rows(HandLog().register(-1, sensor()), 9, range(10))
    hand.rows(13, ("T1", [5.5, 10, 11, 10.5, 12, 13], [5.1, 9.1, 9.2, 5.2, 5.3, 5.4]))
    assert [row[0] for row in told(hand.changes())] == ["raised", "retracted"]


def test_a_silence_within_the_ring_that_is_filled_is_taken_back() -> None:
    """Forty minutes, in batches of ten: that of the third leaves no hole longer than 31 minutes."""
    hand = silent(50)
    for first in range(10, 50, 10):
        rows(hand, 60, range(first, first + 10))
    assert [c.change.value for c in hand.changes() if c.rule == "cold-chain.interval-storage"] == [
        "raised",
        "cleared",
        "retracted",
    ]
