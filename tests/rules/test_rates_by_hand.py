"""Measured time of a month, by hand, in minutes from 2026-03-01 in China: what a row covers, what is expected, and what is kept of it.

Most of these stand still until the last day of March: 1,440 minutes are expected then, and 1,296 of them are 90 %. Of a row a minute the slots begin
a quarter of a minute behind each whole one (`EARLY`), or three (`AMID`): a row of a whole minute lies in one from 0.75, or from 0.25, before it.
"""

# Above 400 lines on purpose: one matter, a row's way from its slot to the alarm of a month.

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import msgspec
import numpy as np
import pytest

from rules.engine import Engine
from rules.explain import explain
from rules.explainraretext import rare_lines
from rules.pack import Bundle
from rules.rare import missing, rate
from rules.snapshot import SnapshotError, open_snapshot, sealed
from rules.soundness import bundle_faults
from tests.rules.byhand import BUNDLE, FACILITY, HandLog, ms, sensor, since
from tests.rules.test_snapshot import body_of

RULE = "data-integrity.effective-rate"
HOUR, DAY = 60, 1440
END = 31 * DAY
LAST = 30 * DAY
"""The last day of March begins."""
ONLY = BUNDLE.only({RULE})
SECOND = 1 / 60
EARLY, AMID = 0, 1
SILENT = 1439.25
"""What lacks where nothing came on that day: the plant stood still up to its beginning, three quarters into a slot of the way that measures more."""


def log(at: float = LAST, *sensors: dict[str, Any], **facts: Any) -> HandLog:
    hand = HandLog().register(at, *(sensors or (sensor(),)), **facts)
    return hand.mark(at, "stopped", 0, LAST, name="M-0", area="A1")


def rows(hand: HandLog, at: float, minutes: list[float], tag: str = "T1", value: Any = 5.0) -> HandLog:
    return hand.rows(at, (tag, minutes, [value] * len(minutes)))


def minutes(begin: float, number: int, every: float = 1) -> list[float]:
    return [begin + i * every for i in range(number)]


def told(hand: HandLog, until: float = END + 2, bundle: Bundle = ONLY) -> list[tuple[Any, ...]]:
    changes = [c for c in hand.changes(until=until, bundle=bundle) if c.rule == RULE]
    return [(since(c.received), c.change.value, since(c.start), since(c.end)) for c in changes]


def engine_of(hand: HandLog, bundle: Bundle = ONLY, until: float | None = None) -> Engine:
    engine = Engine(bundle)
    for record in hand.records():
        engine.fold(record)
    if until is not None:
        engine.advance(0, ms(until))
    return engine


def rare_of(engine: Engine) -> Any:
    return engine.state_of(FACILITY).rare


def kept(engine: Engine, way: int = AMID) -> Any:
    return rare_of(engine).missing[RULE][way]


def holes_of(engine: Engine, slot: int = 0, way: int = AMID) -> list[tuple[float | None, float | None]]:
    """Return the holes of a series but for the one that is open, in minutes."""
    return [(since(a), since(b)) for a, b in kept(engine, way).of(slot)[:-1]]


def ends_of(engine: Engine) -> list[float | None]:
    """Return up to where a series is covered, by each way."""
    return [since(int(kept(engine, way).end[0])) for way in (EARLY, AMID)]


def found(engine: Engine, tag: str = "T1") -> Any:
    """Return what the newest judgement found of a series: minutes that were expected, and that are missing at least and at most."""
    one = rare_of(engine).judged[RULE].get(f'{{"tag": "{tag}"}}')
    if one is None:  # nothing is missing
        return None
    return (None if one.expected is None else one.expected / 60_000, one.least / 60_000, one.most / 60_000)


RAISED = (END + 1, "raised", END, None)


@pytest.mark.parametrize(("number", "wanted"), [(1296, []), (1295, [RAISED])])
def test_ninety_per_cent_are_enough_and_a_minute_less_is_not(number, wanted):
    assert told(rows(log(), LAST + number, minutes(LAST, number))) == wanted


@pytest.mark.parametrize("lost", [0, 7, 144])
def test_a_row_that_is_lost_anywhere_costs_its_minute(lost):
    there = [t for i, t in enumerate(minutes(LAST, 1440)) if i % 10 != 5 or i >= 10 * lost]
    engine = engine_of(rows(log(), END, there), until=END + 2)
    assert found(engine) == ((1440, lost, lost) if lost else None)
    assert [len(holes_of(engine, way=way)) for way in (EARLY, AMID)] == [lost, lost]


@pytest.mark.parametrize("phase", [0, 0.1, 0.25, 0.5, 0.75, 0.9])
@pytest.mark.parametrize("off", [SECOND, 0.1, 0.249])
def test_a_recorder_that_jitters_by_less_than_a_quarter_of_its_interval_misses_nothing(phase, off):
    chance = np.random.default_rng(7).uniform(-off, off, 1440)
    hand = rows(log(LAST - 2), END + 2, [LAST + phase + i + float(by) for i, by in enumerate(chance)])
    assert found(engine_of(rows(hand, END + 2, [LAST - 1 + phase, END + phase]), until=END + DAY + 2)) is None


@pytest.mark.parametrize(("every", "lacks"), [(1, None), (1.01, 14), (1.2, 240), (1.25, 288), (1.5, 480), (2, 720)])
@pytest.mark.parametrize("off", [0, 0.1])
def test_a_recorder_that_sends_every_one_and_a_half_intervals_measures_two_thirds(every, lacks, off):
    """However it jitters: two of its rows never lie in one slot, as they are an interval apart or more."""
    if off and every < 1 + 2 * off:
        return
    chance = np.random.default_rng(7).uniform(0, off, 1440) if off else np.zeros(1440)
    number = -(-1440 // every)
    hand = rows(log(), END, [LAST + i * every + float(chance[i]) for i in range(int(number))])
    measured = found(engine_of(hand, until=END + 2))
    assert measured == (None if lacks is None else (1440, lacks, lacks))


def test_one_whose_beat_wanders_has_rows_of_two_intervals_in_one_slot_and_measures_less():
    """Each distance by itself 48 to 72 seconds: on average right, and one slot in twenty is jumped over. ADR 0047 says so."""
    distances = np.random.default_rng(7).uniform(0.8, 1.2, 1440)
    engine = engine_of(rows(log(), END + 10, [LAST + float(t) for t in np.cumsum(distances)]), until=END + DAY + 2)
    assert 0.94 < 1 - found(engine)[1] / 1440 < 0.96


def test_a_row_fills_the_slot_that_it_lies_in_whenever_it_comes_and_only_once():
    hand = rows(log(), LAST + 20, [LAST, LAST + 10])
    assert holes_of(engine_of(hand)) == [(LAST + 0.75, LAST + 9.75)]
    assert holes_of(engine_of(hand), way=EARLY) == [(LAST + 0.25, LAST + 9.25)]
    rows(hand, LAST + 300, [LAST + 4])
    assert holes_of(engine_of(hand)) == [(LAST + 0.75, LAST + 3.75), (LAST + 4.75, LAST + 9.75)]
    assert holes_of(engine_of(hand), way=EARLY) == [(LAST + 0.25, LAST + 3.25), (LAST + 4.25, LAST + 9.25)]
    rows(rows(hand, LAST + 301, [LAST + 4]), LAST + 301, [LAST, LAST + 0.2, LAST + 4.5, LAST + 4.9])
    assert holes_of(engine_of(hand)) == [(LAST + 0.75, LAST + 3.75), (LAST + 5.75, LAST + 9.75)]
    assert holes_of(engine_of(hand), way=EARLY) == [(LAST + 0.25, LAST + 3.25), (LAST + 5.25, LAST + 9.25)]
    engine = engine_of(rows(hand, LAST + 600, minutes(LAST, 10)))
    for way in (EARLY, AMID):
        assert (holes_of(engine, way=way), kept(engine, way).held) == ([], 0)


@pytest.mark.parametrize(("t", "inside"), [(0.74998, False), (0.75, True), (1.74998, True), (1.75, False)])
def test_a_slot_begins_at_its_first_millisecond_and_ends_before_the_next_ones(t, inside):
    hand = rows(rows(log(), LAST + 20, [LAST, LAST + 2]), LAST + 20, [LAST + t])
    assert (holes_of(engine_of(hand)) == []) is inside


def test_rows_of_one_batch_that_go_back_leave_the_holes_that_they_have():
    hand = rows(log(), LAST + 20, [LAST + 5, LAST + 3, LAST + 9])
    rows(hand, LAST + 21, [LAST + 8])
    assert holes_of(engine_of(hand)) == [
        (LAST - 0.25, LAST + 2.75), (LAST + 3.75, LAST + 4.75), (LAST + 5.75, LAST + 7.75),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "counts"),
    [((5.0, "good"), True), ((5.0, "over_limit"), True), ((5.0, "maintenance"), True), ((5.0, "calibration"), True),
     ((5.0, "stopped"), True), ((5.0, "uncertain"), False), ((5.0, "fault"), False), ((5.0, "set_value"), False),
     ((5.0, "comms"), False)],
)  # fmt: skip
def test_what_is_a_valid_row(value, counts):
    assert (told(rows(log(), END, minutes(LAST, 1440), value=value)) == []) is counts


def test_rows_of_the_future_of_long_ago_and_of_unknown_sensors_cover_nothing():
    hand = rows(log(), LAST + 1, [LAST + 6.001, LAST - 32 * DAY]).rows(LAST + 1, ("T9", [LAST], [5.0]))
    assert ends_of(engine_of(hand)) == [LAST - 0.75, LAST - 0.25]  # of the slots that have begun
    rows(hand, LAST + 1, [LAST + 6])
    assert ends_of(engine_of(hand)) == [LAST + 6.25, LAST + 6.75]


def test_what_lies_before_the_registration_is_expected_and_does_not_lack():
    hand = rows(log(LAST + 720), END, minutes(LAST + 720, 700))
    assert found(engine_of(hand, until=END + 2)) == (1440, 20, 20)
    added = log(LAST, sensor()).register(LAST + 1000, sensor(), sensor("T2"), version=2)
    engine = engine_of(added, until=END + 2)
    assert (found(engine), found(engine, "T2")) == ((1440, SILENT, SILENT), (1440, 440, 440))


@pytest.mark.parametrize(("silent", "wanted"), [(1, []), (4464, []), (4464.75, []), (4464.75 + SECOND, [RAISED])])
def test_a_firm_that_is_connected_late_in_a_month_is_reported_for_a_tenth_of_it(silent, wanted):
    """Owed is a row in the slot that had begun: by the better way a minute more than a tenth is one that had begun three quarters of one before."""
    assert told(HandLog().register(END - silent, sensor())) == wanted


def test_an_interval_that_comes_later_begins_the_expectation_and_another_one_keeps_the_holes():
    hand = rows(log(LAST, sensor(interval=None)), LAST + 10, minutes(LAST, 10))
    assert told(hand) == []
    hand.register(LAST + 440, sensor(), version=2)
    assert found(engine_of(rows(hand, END, minutes(LAST + 440, 500)), until=END + 2)) == (1440, 500, 500)
    hand = rows(log(), LAST + 20, [LAST, LAST + 10]).register(LAST + 30, sensor(interval="5m"), version=2)
    assert holes_of(engine_of(hand)) == [(LAST + 0.75, LAST + 9.75)]
    assert ends_of(engine_of(hand)) == [LAST + 11.25, LAST + 13.75]  # where the next slots of five minutes begin
    rows(hand, LAST + 31, [LAST + 2])
    assert holes_of(engine_of(hand)) == [(LAST + 3.75, LAST + 9.75)]
    assert holes_of(engine_of(hand), way=EARLY) == [(LAST + 0.25, LAST + 1.25), (LAST + 6.25, LAST + 9.25)]


def test_a_sensor_that_returns_begins_anew():
    hand = log(LAST, sensor(), sensor("T2")).register(LAST + 100, sensor("T2"), version=2)
    hand.register(LAST + 940, sensor(), sensor("T2"), version=3)
    engine = engine_of(hand, until=END + 2)
    assert (found(engine), found(engine, "T2")) == ((1440, 500, 500), (1440, SILENT, SILENT))


def test_two_bad_months_are_one_alarm_and_a_good_one_ends_it():
    hand = log(LAST, sensor(interval="1h"))
    rows(hand, END + 61 * DAY, [END + 30 * DAY + HOUR * i for i in range(744)])
    assert told(hand, END + 62 * DAY) == [RAISED, (END + 61 * DAY + 1, "cleared", END, END + 61 * DAY + 1)]


def test_a_mark_that_is_revised_within_ten_days_counts_at_the_next_midnight_and_behind_them_no_more():
    hand = rows(log(), END, minutes(LAST, 1440)).mark(END - 5, "fault", LAST, END - 5)
    fixed = hand.mark(END + 9 * DAY, "fault", LAST, LAST + 5, revision=2)
    assert told(fixed, END + 12 * DAY) == [RAISED, (END + 9 * DAY + 1, "cleared", END, END + 9 * DAY + 1)]
    late = rows(log(), END, minutes(LAST, 1440)).mark(END - 5, "fault", LAST, END - 5)
    assert told(late.mark(END + 10 * DAY + 1, "fault", LAST, LAST + 5, revision=2), END + 12 * DAY) == [RAISED]


def test_the_marks_of_the_month_stand_in_the_evidence():
    hand = log().mark(LAST + 5, "comms", LAST, LAST + 5).mark(LAST + 5, "stopped", LAST + 9, LAST + 10, name="M-2")
    hand.mark(LAST + 5, "maintenance", LAST, END, name="M-3").mark(END + 0.1, "fault", END, END + 1, name="M-4")
    (change,) = [c for c in hand.changes(until=END + 2, bundle=ONLY) if c.rule == RULE]
    assert change.evidence.marks == ["M-0/1", "M-1/1", "M-2/1", "M-4/1"]
    assert [(leaf.left, leaf.op, leaf.right, leaf.unit) for leaf in change.evidence.leaves] == [
        (0.0521, "<", 90.0, "%")
    ]


def test_an_alarm_stands_through_registers_of_the_month_and_ends_with_its_sensor():
    hand = log(LAST, sensor(), sensor("T2")).register(END + 20 * DAY, sensor(), sensor("T2", area="A2"), version=2)
    assert [kind for _, kind, _, _ in told(hand, END + 21 * DAY)] == ["raised", "raised"]
    hand.register(END + 21 * DAY, sensor("T2", area="A2"), version=3)
    assert told(hand, END + 22 * DAY)[2:] == [(END + 21 * DAY, "cleared", END, END + 21 * DAY)]


def test_an_explanation_of_a_sensor_that_returns_shows_nothing_of_the_month_before_it_left():
    hand = log(LAST, sensor(), sensor("T2")).register(END + 20 * DAY, sensor("T2"), version=2)
    hand.register(END + 21 * DAY, sensor(), sensor("T2"), version=3).tick(END + 21 * DAY + 1)
    found = {one.subject["tag"]: one for one in explain(hand.records(), ONLY, RULE, at=ms(END + 21 * DAY + 1))[0]}
    assert (found["T1"].phase, found["T1"].agrees) == ("normal", True)
    assert (found["T2"].phase, found["T2"].agrees) == ("active", True)
    assert "it lacked nothing when it was judged last, or no month" in "\n".join(rare_lines(found["T1"], "en"))


def test_it_is_judged_at_eleven_midnights_and_then_at_the_end_of_the_month():
    engine = engine_of(log())
    due = []
    for _ in range(14):
        due.append((rare_of(engine).checked[RULE] - ms(END)) / 60_000)
        engine.advance(0, rare_of(engine).checked[RULE])
    assert due == [*(DAY * day + 1 for day in range(12)), 30 * DAY + 1, 31 * DAY + 1]


def shut(hand: HandLog, begin: float, until: float, *inside: float) -> HandLog:
    """Append ticks between which our door is closed; a worker may tick inside."""
    hand.tick(begin)
    for at in inside:
        hand.tick(at, "worker")
    return hand.tick(until)


def backlog(hand: HandLog, at: float) -> HandLog:
    """Append the rows of the last day of the month, of which the first 1,295 had come before our door closed."""
    return rows(hand, at, minutes(LAST + 1295, 145))


def sent() -> HandLog:
    return rows(log(), LAST + 1296, minutes(LAST, 1295))


CLOSED = (LAST + 1300, END + 5 * HOUR)
NEXT = END + DAY + 1


def test_a_month_that_ends_while_our_door_is_closed_is_judged_behind_the_first_midnight_that_it_is_open():
    assert told(shut(sent(), *CLOSED), until=NEXT - 0.1) == []
    assert told(shut(sent(), *CLOSED), until=NEXT) == [(NEXT, "raised", END, None)]
    assert told(backlog(shut(sent(), *CLOSED), END + 5 * HOUR + 1), until=NEXT + DAY) == []


@pytest.mark.parametrize("until", [END, END + 0.001])
def test_one_that_ends_when_it_opens_has_the_time_of_any_other(until):
    due = END + 1 if until == END else NEXT
    assert told(shut(sent(), LAST + 1300, until), until=NEXT + 1) == [(due, "raised", END, None)]


def test_what_a_worker_s_tick_said_while_it_was_closed_is_taken_back_and_said_again_where_nothing_came():
    hand = shut(sent(), *CLOSED, END + 30)
    opened = END + 5 * HOUR
    begun = [(END + 1, "raised", END, None), (opened, "retracted", END, None)]
    assert told(hand, until=NEXT + 1) == [*begun, (NEXT, "raised", END, None)]
    ids = [c.alarm for c in hand.changes(until=NEXT + 1, bundle=ONLY) if c.change == "raised"]
    assert len(set(ids)) == 2
    (back,) = [c for c in hand.changes(until=NEXT, bundle=ONLY) if c.change == "retracted"]
    assert "our own front door was closed" in back.message.en
    assert [(leaf.expr, leaf.left, leaf.right) for leaf in back.evidence.leaves] == [
        ("front door", "closed", "2026-03-31T21:00:00.000Z")
    ]
    (one,) = explain(hand.records(), ONLY, RULE, at=ms(opened + 1))[0]
    assert (one.phase, one.agrees) == ("normal", True)
    assert told(backlog(hand, opened + 1), until=NEXT + 1) == begun


def test_what_was_said_before_it_closed_stands():
    hand = shut(sent().tick(END + 2), END + 2, END + 5 * HOUR)
    assert told(hand, until=NEXT + 1) == [RAISED]


@pytest.mark.parametrize("inside", [[], [END + 30]])
def test_a_month_that_would_be_done_with_when_our_door_is_open_again_is_judged_at_its_end(inside):
    hand = shut(sent(), LAST + 1300, END + 10 * DAY + 5, *inside)
    assert told(hand, until=END + 12 * DAY)[:1] == [RAISED]
    assert [row[1] for row in told(hand, until=END + 12 * DAY)] == ["raised"]


def test_a_month_under_way_is_judged_at_its_end_however_often_our_door_was_closed_before():
    assert told(shut(sent(), LAST + 1300, LAST + 1330), until=END + 2) == [RAISED]


def test_behind_the_ten_days_the_holes_of_the_month_are_forgotten():
    hand = rows(log(), LAST + 20, [LAST, LAST + 10])
    rows(hand, END + 20, [END, END + 10])
    assert len(holes_of(engine_of(hand, until=END + 11 * DAY))) == 3
    assert holes_of(engine_of(hand, until=END + 11 * DAY + 1)) == [(END + 0.75, END + 9.75)]


def test_a_month_that_is_done_with_is_not_judged_again_where_the_delivery_gets_longer():
    half = rows(log(LAST, sensor(interval="1h")), END + 9.95 * DAY, minutes(LAST + 720, 250, HOUR))
    half.register(END + 11 * DAY + 2, sensor(interval="1h"), version=2, delivery="10m")
    assert holes_of(engine_of(half)) == []
    assert told(half, END + 12 * DAY) == [RAISED]
    hand = log(LAST, delivery="12h").register(END + 11 * DAY + 2, sensor(), version=2)
    assert told(hand, END + 12 * DAY) == [(END + 720, "raised", END, None)]


def test_packs_without_it_leave_no_member_and_a_series_without_holes_two_numbers():
    hand = rows(log(LAST, sensor(), sensor("T2")), END, minutes(LAST, 1440))
    plain = engine_of(hand, BUNDLE.only({"data-integrity.conflict"})).snapshot(0, FACILITY)
    assert not {"missing", "shifted"} & body_of(plain).keys()
    for member in ("missing", "shifted"):
        ((rule, over, since_, end, holes, losses),) = body_of(engine_of(hand).snapshot(0, FACILITY))[member]
        assert over == ms(0)
        assert (rule, len(since_), len(end), holes, losses) == (RULE, 16, 16, [], [])


def test_a_bound_keeps_how_much_is_missing_and_loses_only_where():
    there = [t for i, t in enumerate(minutes(LAST, 1440)) if i % 5 != 2]
    with patch.object(missing, "MAX_HOLES", 10):
        engine = engine_of(rows(log(), END, there), until=END + 2)
        assert found(engine) == (1440, 288, 288)
        assert len(holes_of(engine)) == 10
        assert engine.counters(0, FACILITY)["hole_dropped"] == 2 * 278  # by both ways
        late = rows(rows(log(), END, there), END + 0.5, [LAST + 5])  # it may have filled one of those
        engine = engine_of(late, until=END + 2)
        assert (found(engine), told(late)) == ((1440, 287, 288), [RAISED])  # a slot at most
        marked = rows(log(), END, there).mark(END + 0.5, "comms", LAST + 5, LAST + 10)
        assert (found(engine_of(marked, until=END + 2))[1:], told(marked)) == ((288, 293), [RAISED])
        marked.mark(END + 0.6, "comms", LAST + 5, LAST + 200, revision=2)
        assert told(marked) == [RAISED]


def test_of_all_series_together_no_more_holes_are_kept_than_there_is_room_for():
    hand = log(LAST, sensor(), sensor("T2"))
    rows(rows(hand, END, minutes(LAST, 20, 2)), END, minutes(LAST, 20, 2), "T2")
    with patch.object(missing, "MAX_ALL_HOLES", 30):
        engine = engine_of(hand)
    for way in (EARLY, AMID):
        counts = [len(holes_of(engine, slot, way)) for slot in (0, 1)]
        assert (counts, kept(engine, way).held) == ([19, 11], 30)


@pytest.mark.parametrize("way", [EARLY, AMID])
def test_what_a_bound_took_is_split_at_the_end_of_the_month_and_forgotten_with_it(way):
    hand = rows(log(), END + 100, [LAST, END + 60, END + 90])
    with patch.object(missing, "MAX_HOLES", 1):
        engine = engine_of(hand)
        assert kept(engine, way).losses[0].months == {ms(0): 1439 * 60_000, ms(END): 60 * 60_000}
        engine.advance(0, ms(END + 12 * DAY))
        assert kept(engine, way).losses[0].months == {ms(END): 60 * 60_000}
        engine.advance(0, ms(END + 42 * DAY))
        assert kept(engine, way).losses == {}


def packed(*values: int) -> bytes:
    return np.array(values, np.int64).tobytes()


GOOD = packed(ms(LAST) - 45_000)
"""Up to where a slot of the first way ends."""


@pytest.mark.parametrize(
    "broken",
    [(RULE, 0, b"", b"", [], []), (RULE, 0, bytes(8), GOOD, [(1, packed(0, 9))], []),
     (RULE, 0, bytes(8), GOOD, [(0, bytes(16))], []), (RULE, 0, bytes(8), GOOD, [(0, b"12345678")], []),
     ("data-integrity.conflict", 0, bytes(8), GOOD, [], []), (RULE, 0, bytes(8), GOOD, [], [(3, 0, 0, 0, [])]),
     (RULE, 0, bytes(8), packed(ms(LAST)), [], [])],
)  # fmt: skip
def test_a_snapshot_of_other_series_or_with_numbers_of_no_fold_is_refused(broken):
    body, _ = open_snapshot(engine_of(log()).snapshot(0, FACILITY))
    body.missing = [(RULE, 0, bytes(8), GOOD, [(0, packed(0, 9))], [])]
    Engine(ONLY).restore(0, FACILITY, sealed(body))
    body.missing = [broken]
    with pytest.raises(SnapshotError):
        Engine(ONLY).restore(0, FACILITY, sealed(body))


def test_a_snapshot_with_one_way_alone_is_refused_but_for_one_of_before_there_were_slots():
    """What was covered then stays so, and the slot that had begun; its holes go on in both ways."""
    hand = rows(log(), LAST + 20, [LAST, LAST + 10])
    body, _ = open_snapshot(engine_of(hand).snapshot(0, FACILITY))
    first, second = body.missing, body.shifted
    body.missing = msgspec.UNSET
    with pytest.raises(SnapshotError):
        Engine(ONLY).restore(0, FACILITY, sealed(body))
    body.missing, body.shifted = first, msgspec.UNSET
    ((rule, over, begun, _, _, losses),) = first
    body.missing = [(rule, over, begun, packed(ms(LAST + 11)), [(0, packed(ms(LAST + 1), ms(LAST + 10)))], losses)]
    engine = Engine(ONLY)
    engine.restore(0, FACILITY, sealed(body))
    assert ends_of(engine) == [LAST + 11.25, LAST + 11.75]
    assert [holes_of(engine, way=way) for way in (EARLY, AMID)] == [[(LAST + 1, LAST + 10)]] * 2
    data = engine.snapshot(0, FACILITY)
    engine.restore(0, FACILITY, data)
    assert engine.snapshot(0, FACILITY) == data
    engine.fold(rows(hand, LAST + 21, [LAST + 4]).records()[-1])
    assert holes_of(engine) == [(LAST + 1, LAST + 3.75), (LAST + 4.75, LAST + 10)]
    assert second is not msgspec.UNSET


def test_a_judgement_that_fails_puts_the_rule_aside_and_other_packs_let_it_begin_anew():
    hand = rows(log(), LAST + 20, [LAST, LAST + 10])
    with patch.object(rate, "rates", side_effect=ZeroDivisionError):
        engine = engine_of(hand)
        changes = engine.advance(0, ms(END + 2))
    assert [(change.rule, change.subject) for change in changes] == [("register.rule-failed", {"system": RULE})]
    assert (rare_of(engine).missing, rare_of(engine).checked) == ({}, {})
    rows(hand, END + 5, [END + 3]).packs(END + 10, BUNDLE.only({RULE, "data-integrity.conflict"}))
    for record in hand.records()[3:]:
        engine.fold(record)
    assert [kept(engine, way).since.tolist() for way in (EARLY, AMID)] == [[ms(END + 10)]] * 2


def test_packs_that_ask_another_question_under_the_same_name_let_go_of_the_holes():
    shipped = BUNDLE.rule(RULE)
    other = shipped.model_copy(update={"check": "mark-share", "flags": ["fault"], "invalid": [], "exempt": []})
    engine = engine_of(rows(log(), LAST + 20, [LAST, LAST + 10]).packs(LAST + 30, Bundle.of([other], [])))
    data = engine.snapshot(0, FACILITY)
    assert "missing" not in body_of(data)
    engine.restore(0, FACILITY, data)


def test_an_explanation_says_what_was_found_and_why_nothing_was_told():
    (one,) = explain(log().tick(LAST + 5).records(), ONLY, RULE, at=ms(LAST + 5))[0]
    assert "no month of it was judged" in "\n".join(rare_lines(one, "en"))
    assert "尚未按月判定" in "\n".join(rare_lines(one, "zh"))
    hand = rows(log(), END, minutes(LAST, 720)).tick(END + 5)
    (one,) = explain(hand.records(), ONLY, RULE, at=ms(END + 5))[0]
    assert (one.phase, one.agrees, one.subject) == ("active", True, {"tag": "T1"})
    english, chinese = "\n".join(rare_lines(one, "en")), "\n".join(rare_lines(one, "zh"))
    assert "effective rate of the month from 2026-03-01: 50 % < 90 %" in english
    assert "judged again at 2026-04-01T16:01:00.000Z" in english
    assert "已报警：黄色" in chinese
    assert [(n["name"], n["value"]) for n in one.to_json()["limits"]] == [
        ("invalid", "fault, set_value, comms"), ("exempt", "stopped"), ("share", 0.9)
    ]  # fmt: skip
    (one,) = explain(log(LAST, sensor(interval=None)).tick(END + 5).records(), ONLY, RULE, at=ms(END + 5))[0]
    assert "no interval is registered" in "\n".join(rare_lines(one, "en"))


@pytest.mark.parametrize(
    ("change", "pointer"),
    [({"flags": ["fault"]}, "/flags"), ({"invalid": ["fault", "fault"]}, "/invalid"), ({"exempt": ["comms"]}, "/exempt"),
     ({"notice": BUNDLE.rule("data-integrity.mark-share").notice}, "/notice"), ({"migration": "re-evaluate"}, "/migration")],
)  # fmt: skip
def test_a_rule_that_could_mean_nothing_is_refused(change, pointer):
    shipped = BUNDLE.rule(RULE)
    assert bundle_faults([shipped], []) == []
    assert f"/rules/0{pointer}" in [f.pointer for f in bundle_faults([shipped.model_copy(update=change)], [])]


@pytest.mark.parametrize(("change", "pointer"), [({"flags": []}, "/flags"), ({"invalid": ["fault"]}, "/invalid")])
def test_what_belongs_to_this_check_is_refused_at_the_other(change, pointer):
    other = BUNDLE.rule("data-integrity.mark-share").model_copy(update=change)
    assert f"/rules/0{pointer}" in [f.pointer for f in bundle_faults([other], [])]


@pytest.mark.parametrize("how", ["", "fault", "stopped", "again"])
def test_a_minute_that_is_marked_or_posted_again_hides_nothing_of_what_a_bound_took(how):
    """Every second row of a month is lost: far more holes than are kept; what lies in the lost ones is at most what the mark is long."""
    log = HandLog().register(0, sensor())
    for day in range(31):
        if how in {"fault", "stopped"} and day == 5:
            log.mark(5 * DAY + 1, how, 5 * DAY, 5 * DAY + 1)
        rows(log, (day + 1) * DAY + 0.1, [m for m in minutes(day * DAY, DAY) if m % 2])
        if how == "again" and day == 20:
            rows(log, (day + 1) * DAY + 0.2, [5 * DAY + 1])
    assert [row[1] for row in told(log)] == ["raised"]
