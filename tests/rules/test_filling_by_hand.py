"""Kind `gap` during filling by hand, in minutes: what a filling is, which records count, a monitor that is off, what comes late, and every bound."""

# Above 400 lines on purpose: one filling line, and each case reads beside the next.

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import rules.pack
from rules.absence import Found, Numbers, standing
from rules.declared import MAX_TRIPS, Declared, asked
from rules.engine import Engine
from rules.explain import Explanation, explain
from rules.explaintext import lines
from rules.layout import ABSENCE, NEVER, NONE
from rules.lint import lint
from rules.monitors import MAX_SWITCHES, Switches
from rules.pack import Bundle, default_bundle
from rules.records import Event
from rules.register import Facility
from rules.snapshot import open_snapshot
from rules.soundness import bundle_faults
from rules.uncovered import join, touched
from tests.rules import fillinglogs, sums
from tests.rules.byhand import FACILITY, HandLog, ms, since
from tests.rules.test_trips_by_hand import in_time

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rules.changes import Change

PACK = Path(rules.pack.__file__).parent / "packs" / "cleanroom"
RULE = "cleanroom.a-monitor-off"
SHIPPED = default_bundle().only({RULE, "data-integrity.physical-range"})
ROOM = {"id": "R1", "kind": "cleanroom", "grade": "A", "standard": "cn-gmp-2010"}
MILLISECOND = 1 / 60_000
TWO = Numbers(2, 1, 1, 3, ())


def counter(interval: str = "60s", area: str = "R1", **more: Any) -> dict[str, Any]:
    return {
        "tag": "P5", "area": area, "quantity": "particles-5.0", "unit": "/m3", "interval": interval, "sample_m3": 0.1,
        "range": {"low": 0, "high": 100_000}, **more,
    }  # fmt: skip


def begun(**more: Any) -> HandLog:
    return HandLog().register(-1, counter(**more), areas=[ROOM, ROOM | {"id": "R2"}])


def told(hand: HandLog, kind: str, at: float, *, after: float = 0.01, **more: Any) -> HandLog:
    """Append one event, received so many minutes after its event time."""
    event = {
        "stream": "trace" if kind == "batch-step" else "device",
        "type": kind,
        "time": ms(at),
        "source": "PLC",
        "area": "R1",
    }
    return hand.line(at + after, "events", {"batch": f"e{len(hand.lines)}", "events": [event | more]})


def filled(hand: HandLog, begin: float, end: float | None = None, *, at: float | None = None, **more: Any) -> HandLog:
    """Append the event of a filling, told at its beginning or at an instant."""
    said = {"batch": "L-1", "step": "filling", "from": ms(begin), **({} if end is None else {"to": ms(end)})}
    return told(hand, "batch-step", begin if at is None else at, fields=said | more)


def switched(hand: HandLog, at: float, state: str, *, after: float = 0.01, **more: Any) -> HandLog:
    return told(hand, "monitor", at, after=after, fields={"state": state}, **more)


def row(hand: HandLog, *minutes: float, at: float | None = None, value: Any = 0.0) -> HandLog:
    """Append one post of rows, received with its last one."""
    return hand.rows(minutes[-1] if at is None else at, ("P5", list(minutes), [value] * len(minutes)))


def live(hand: HandLog, minutes: Iterable[float], value: Any = 0.0) -> HandLog:
    for minute in minutes:
        row(hand, minute, value=value)
    return hand


def changes(hand: HandLog, bundle: Bundle = SHIPPED, until: float | None = None) -> list[Change]:
    return [c for c in in_time(hand).changes(bundle=bundle, until=until) if c.rule in {RULE, *fillinglogs.NAMES}]


def story(hand: HandLog, bundle: Bundle = SHIPPED, until: float | None = None) -> list[tuple[Any, ...]]:
    """Return (what, start, end) of each change, in minutes."""
    return [(c.change.value, since(c.start), since(c.end)) for c in changes(hand, bundle, until)]


def engine_of(hand: HandLog, bundle: Bundle = SHIPPED) -> Engine:
    engine = Engine(bundle)
    for record in in_time(hand).records():
        engine.fold(record)
    return engine


# -- what a filling is --------------------------------------------------------------------------------------------------


def test_where_no_step_is_told_nothing_is_owed_and_another_step_is_none() -> None:
    assert story(row(begun(), 1), until=600) == []
    assert story(row(filled(begun(), 0, step="capping"), 1), until=600) == []


@pytest.mark.parametrize(
    "more",
    [{"batch": ""}, {"batch": 7}, {"from": "noon"}, {"from": None}, {"to": "noon"}, {"to": ms(-1)}, {"step": None}],
)
def test_a_step_that_cannot_be_read_tells_nothing_and_is_counted(more: dict[str, Any]) -> None:
    hand = row(filled(begun(), 0, **more), 1)
    assert story(hand, until=60) == []
    counts = engine_of(hand).counters(0, FACILITY)
    assert (counts["step_unreadable"], counts["step_events"]) == (1, 0)


def test_two_fillings_of_a_batch_leave_the_time_between_them_out() -> None:
    hand = filled(filled(row(begun(), -0.5), 0, 3, at=0), 60, 70, at=60)
    assert story(hand, until=80) == [
        ("raised", 1, None), ("cleared", 1, 3), ("raised", 61, None), ("cleared", 61, 70),
    ]  # fmt: skip


def test_of_one_that_is_told_again_the_later_end_counts_in_any_order() -> None:
    for ends in ((5, 10), (10, 5)):
        hand = row(begun(), 1)
        for i, end in enumerate(ends):
            filled(hand, 0, end, at=2 + i / 10)
        assert story(hand, until=30)[-1] == ("cleared", 2, 10)


def test_without_an_end_it_is_over_after_thirty_days() -> None:
    month = 30 * 24 * 60.0
    assert story(row(filled(begun(), 0), 1), until=month + 100)[-1] == ("cleared", 2, month)


def test_an_event_of_a_trip_tells_nothing_of_a_clean_room_nor_a_step_of_a_box() -> None:
    hand = told(begun(), "shipped", 0, stream="trace", fields={"trip": "W-1", "lot": "L"})
    state = engine_of(row(hand, 1)).state_of(FACILITY)
    assert (state.declared.places, state.planned.asked) == ({}, {"R1": "filling", "R2": "filling"})
    box = Facility.model_validate(
        {"id": "F-1", "name": {"zh": "测", "en": "F"}, "jurisdiction": "110000", "areas": [{"id": "B1", "kind": "box"}]}
    )
    step = Event(
        stream="trace",
        type="batch-step",
        time=5,
        source="P",
        area="B1",
        fields={"batch": "L", "step": "filling", "from": 5},
    )
    declared = Declared()
    assert declared.take(step, 5, box, {"B1": "trip"}) is None
    assert declared.take(step, 5, box, {"B1": "filling"}) == "B1"
    assert asked(SHIPPED, box, 0) == {}


def test_fillings_of_an_area_are_bounded_and_what_goes_is_counted() -> None:
    hand = begun()
    for i in range(MAX_TRIPS + 2):
        filled(hand, i, i + 0.5)
    filled(hand, 0, 0.5, at=MAX_TRIPS + 5)
    engine = engine_of(hand)
    counts = engine.counters(0, FACILITY)
    assert (counts["step_events"], counts["step_dropped"], counts["step_stale"]) == (MAX_TRIPS + 3, 2, 1)
    assert len(engine.state_of(FACILITY).declared.spans("R1")) == MAX_TRIPS


# -- the numbers, and which records count -------------------------------------------------------------------------------


@pytest.mark.parametrize(("interval", "silent"), [("30s", 2), ("60s", 2), ("61s", 2 * 61 / 60), ("2m", 4), ("5m", 10)])
def test_two_intervals_and_at_least_two_minutes_are_the_border(interval: str, silent: float) -> None:
    for more, wanted in ((0.0, []), (MILLISECOND, ["raised", "cleared"])):
        hand = live(filled(begun(interval=interval), 0), [1, 1 + silent + more])
        assert [what for what, *_ in story(hand)][:2] == wanted


@pytest.mark.parametrize(
    ("value", "counts"),
    [
        (0.0, True), (0, True), ((0.0, "over_limit"), True), (100_000.0, True), (100_001.0, False), (-1.0, False),
        ((0.0, "fault"), False), ((0.0, "uncertain"), False), ((None, "comms"), False), ((0.0, "maintenance"), False),
    ],
)  # fmt: skip
def test_only_records_count_that_a_limit_would_judge(value: Any, counts: bool) -> None:
    hand = live(live(filled(begun(), 0), [1]), [2, 3, 4, 5], value)
    assert story(live(hand, [6, 7])) == ([] if counts else [("raised", 2, None), ("cleared", 2, 6)])


def test_a_mark_that_was_known_takes_records_and_one_that_comes_later_does_not() -> None:
    known = live(filled(begun(), 0), [1]).mark(1.5, "maintenance", 1.5, 4.5, tags=["P5"])
    assert story(live(known, [2, 3, 4, 5, 6])) == [("raised", 2, None), ("cleared", 2, 5)]
    later = live(filled(begun(), 0), range(1, 8)).mark(7.5, "maintenance", 1.5, 4.5, tags=["P5"])
    assert story(live(later, [8, 9])) == []


def test_a_revision_that_frees_records_takes_the_silence_back() -> None:
    hand = live(filled(begun(), 0), [1]).mark(1.5, "maintenance", 1.5, 4.5, tags=["P5"])
    live(hand, [2, 3, 4, 5, 6]).mark(6.5, "maintenance", 0.5, 0.6, revision=2, tags=["P5"])
    assert story(live(hand, [7, 8]))[-1] == ("retracted", 2, 5)


def test_a_bad_record_that_comes_late_fills_nothing_and_a_good_one_behind_the_newest_good_does() -> None:
    hand = live(live(filled(begun(), 0), [1]), [2.9, 6], (0.0, "fault"))
    assert story(row(hand, 3, at=6.5, value=(0.0, "fault")), until=7) == [("raised", 2, None)]
    row(hand, 2.5, 4, 5.5, at=7)
    assert story(hand, until=7.5)[-1] == ("retracted", 2, None)


def test_bad_records_for_hours_do_not_let_go_of_what_is_open() -> None:
    """Horizons move with records of any quality; what ends a silence lies hours behind them, and is told late."""
    hand = live(live(filled(begun(), 0), [1]), range(2, 400), (0.0, "fault"))
    assert story(filled(hand, 0, 20, at=400), until=402) == [("raised", 2, None), ("cleared", 2, 20)]
    assert story(live(hand, [410, 411])) == [("raised", 2, None), ("cleared", 2, 20)]


def test_what_no_good_record_has_ended_goes_on_as_the_same_alarm() -> None:
    hand = live(live(filled(begun(), 0, 20, at=0), [1]), range(2, 400), (0.0, "fault"))
    found = changes(filled(hand, 0, 390, at=400), until=401)
    assert [(c.change.value, since(c.start), since(c.end)) for c in found] == [
        ("raised", 2, None), ("cleared", 2, 20), ("amended", 2, 390),
    ]  # fmt: skip
    assert len({c.alarm for c in found}) == 1


def test_time_that_has_left_the_horizon_is_not_silent_anew() -> None:
    """The filling was over; hours later its end is told anew, when what was silent then cannot be judged any more."""
    hand = live(live(filled(begun(), 0, 20, at=0), [1]), range(2, 400), (0.0, "fault"))
    live(hand, [400, 401])
    filled(hand, 0, 390, at=402)
    found = changes(hand, until=404)
    assert [c.change.value for c in found] == ["raised", "cleared", "raised", "cleared"]
    assert found[0].alarm != found[2].alarm
    assert (found[2].start, found[2].late, since(found[3].end)) == (ms(281) + 1, True, 390)


# -- the monitor --------------------------------------------------------------------------------------------------------


def test_a_monitor_that_is_off_is_a_gap_at_once_although_records_come() -> None:
    hand = switched(filled(live(begun(), [-1, 0]), 0), 5, "off")
    hand = live(hand, range(1, 12))
    assert [(c.change.value, since(c.received), since(c.start)) for c in changes(hand)] == [("raised", 5.01, 5)]
    assert story(switched(hand, 12, "on"), until=13) == [("raised", 5, None), ("cleared", 5, 12)]


@pytest.mark.parametrize(("at", "fires"), [(10 - MILLISECOND, True), (10, False), (11, False)])
def test_off_at_the_end_of_the_filling_is_none(at: float, fires: bool) -> None:
    hand = switched(filled(live(begun(), range(-1, 10)), 0, 10, at=9), at, "off")
    assert bool(story(live(hand, range(10, 20)))) is fires


@pytest.mark.parametrize(("at", "fires"), [(5 + MILLISECOND, True), (5, False), (4, False)])
def test_on_before_the_beginning_is_none(at: float, fires: bool) -> None:
    hand = switched(switched(filled(begun(), 5, at=0), 1, "off"), at, "on")
    found = story(live(hand, range(1, 12)))
    assert (
        bool(found and found[-1][0] != "retracted") is fires
    )  # at 5 the clock speaks first, and then the event that comes with it


def test_a_filling_that_begins_while_it_is_off_is_raised_by_the_clock_and_ends_with_the_filling_a_delivery_later() -> (
    None
):
    hand = switched(filled(live(begun(), [0, 1]), 5, 20, at=1), 1.5, "off")
    live(hand, [2, 3, 4])
    assert story(hand, until=5 - MILLISECOND) == []
    assert story(hand, until=5) == [("raised", 5, None)]
    live(hand, range(5, 21))
    assert story(hand, until=21 - MILLISECOND) == [("raised", 5, None)]
    assert [since(c.received) for c in changes(hand, until=21)] == [5, 21]
    assert story(hand, until=21)[-1] == ("cleared", 5, 20)


def test_off_time_and_missing_records_are_one_alarm() -> None:
    hand = switched(switched(filled(live(begun(), [-1, 0, 1]), 0), 1.5, "off"), 6, "on")
    live(hand, [9, 10])
    assert story(hand, until=11) == [("raised", 1.5, None), ("cleared", 1.5, 9)]


def test_records_that_never_missed_end_it_with_the_monitor() -> None:
    hand = switched(switched(filled(live(begun(), [0, 1]), 0), 1.5, "off"), 2.5, "on")
    assert story(live(hand, [3, 4, 5])) == [("raised", 1.5, None), ("cleared", 1.5, 2.5)]


def test_off_that_is_told_late_joins_what_was_told_and_on_that_is_told_late_parts_it() -> None:
    hand = live(filled(begun(), 0), [0, 1, 5, 6, 7, 8])
    switched(hand, 4, "off", after=4.5)
    live(hand, [9, 10])
    assert story(hand, until=10)[-1] == ("amended", 2, None)
    switched(hand, 4.5, "on", after=6)
    assert story(hand, until=10.6)[-1] == ("cleared", 2, 5)


def test_two_monitors_are_off_until_both_are_on() -> None:
    hand = switched(filled(live(begun(), [0, 1]), 0), 1.5, "off", device="M1")
    switched(switched(switched(hand, 2, "off", device="M2"), 3, "on", device="M1"), 5, "on", device="M2")
    assert story(live(hand, range(2, 9))) == [("raised", 1.5, None), ("cleared", 1.5, 5)]


@pytest.mark.parametrize("more", [{"area": "R2"}, {"stream": "audit"}, {"fields": {"state": "idle"}}, {"fields": {}}])
def test_another_room_stream_or_word_tells_nothing(more: dict[str, Any]) -> None:
    hand = switched(filled(live(begun(), [0, 1]), 0), 1.5, "off")
    said = told(filled(live(begun(), [0, 1]), 0), "monitor", 1.5, **({"fields": {"state": "off"}} | more))
    assert story(live(hand, [2, 3, 4]))
    assert story(live(said, [2, 3, 4])) == []
    counts = engine_of(said).counters(0, FACILITY)
    assert counts["monitor_unreadable"] == (more.get("fields", {"state": "off"}) != {"state": "off"})


def test_a_distance_behind_the_horizon_stays_in_an_alarm_that_goes_on() -> None:
    hand = switched(filled(live(begun(), [0, 1]), 0), 5.5, "off")
    live(hand, [6, *range(7, 300)])  # silent from 1 to 6, off since 5.5: one alarm, from 2 on
    assert story(switched(hand, 300, "on"), until=301) == [("raised", 2, None), ("cleared", 2, 300)]
    assert story(hand, until=302)[-1] == ("amended", 2, None), "and no record came behind"


def test_closed_time_in_a_distance_behind_the_horizon_stays_with_it() -> None:
    """Ten minutes between records are nobody's silence while our door was closed in them, also when the horizon has left them."""
    hand = switched(filled(live(begun(), [0, 1]).tick(1.1).tick(26), 0), 25, "off", after=1.5)
    live(hand, range(27, 300))
    assert story(hand)[0] == ("raised", 25, None)
    assert story(switched(hand, 300, "on"), until=301) == [("raised", 25, None), ("cleared", 25, 300)]


def test_the_door_says_nothing_of_a_monitor() -> None:
    hand = switched(filled(live(begun(), [0, 1]), 0), 1.5, "off").tick(2).tick(62)
    assert story(hand, until=63) == [("raised", 1.5, None)]


# -- monitors, and the function that joins ------------------------------------------------------------------------------


def test_off_until_on_whatever_the_order_and_on_wins_at_one_instant() -> None:
    told = [(5, True), (7, True), (9, False), (12, False), (20, True), (20, False)]
    for order in (told, told[::-1]):
        one = Switches()
        for t, off in order:
            assert one.put("M1", t, off=off) == "kept"
        assert one.spans() == [(5, 9)]
    one.put("M2", 9, off=True)
    assert one.spans() == [(5, NEVER)]


def test_events_of_monitors_are_bounded_repeats_go_first() -> None:
    one = Switches()
    assert {one.put("M1", 0, off=True), one.put("M1", 1, off=False)} == {"kept"}
    assert {one.put("M1", 2 + i, off=False) for i in range(2 * MAX_SWITCHES)} == {"kept"}
    assert (one.spans(), one.floor) == ([(0, 1)], NONE)
    became = [one.put("M1", 1_000 + i, off=i % 2 == 0) for i in range(2 * MAX_SWITCHES)]
    assert sum(map(len, one.by_device.values())) == MAX_SWITCHES
    assert became[-1] == "dropped"
    assert one.put("M1", one.floor, off=True) == "stale"


def test_the_newest_word_of_a_monitor_goes_last() -> None:
    one = Switches()
    one.put("M0", 0, off=True)
    for i in range(2 * MAX_SWITCHES):
        one.put("M1", 1 + i, off=i % 2 == 0)
    assert one.spans()[0] == (0, NEVER)
    many = Switches()
    assert [many.put(f"M{i}", i, off=True) for i in range(MAX_SWITCHES + 1)][-1] == "dropped"
    assert (min(many.by_device), many.floor) == ("M1", 0)


def test_what_is_kept_of_monitors_stands_in_snapshots_only_where_something_was_told() -> None:
    plain, _ = open_snapshot(engine_of(filled(begun(), 0)).snapshot(0, FACILITY))
    assert not plain.monitors
    engine = engine_of(switched(filled(begun(), 0), 5, "off"))
    body, _ = open_snapshot(engine.snapshot(0, FACILITY))
    assert body.monitors == [("R1", NONE, [("PLC", [(ms(5), True)])])]
    restored = Engine(SHIPPED)
    restored.restore(0, FACILITY, engine.snapshot(0, FACILITY))
    assert restored.state_of(FACILITY).declared == engine.state_of(FACILITY).declared
    assert restored.snapshot(0, FACILITY) == engine.snapshot(0, FACILITY)


def test_joined_are_those_that_overlap_or_touch_and_only_the_last_goes_on() -> None:
    found = Found([TWO.told(1, 10, 3), TWO.told(41, NONE, 3)], since=40)
    join(TWO, found, [(0, 30), (40, 100)], [(10, 15), (20, NEVER)], 60)
    assert [(one.start, one.end) for one in found.silences] == [(1, 15), (20, 30), (40, NONE)]
    assert (found.since, found.due, found.late) == (40, 101, {1, 20, 40})


def test_of_two_that_would_go_on_the_first_is_over() -> None:
    """The next filling begins while records of the one before may still be under way."""
    found = Found([])
    join(Numbers(2, 1, 5, 3, ()), found, [(0, 30), (32, 100)], [(20, NEVER)], 33)
    assert [(one.start, one.end) for one in found.silences] == [(20, 30), (32, NONE)]
    assert (found.since, found.due) == (32, 35)


def test_what_is_over_stands_but_for_what_ends_what_is_open() -> None:
    found = Found([TWO.told(1, 5, 3), TWO.told(7, 12, 3), TWO.told(20, NONE, 3)])
    whole = standing(found, 9, [])
    assert [one.start for one in whole] == [7, 20]
    assert [(one.start, one.end) for one in found.silences] == [(10, 12), (20, NONE)]
    again = Found([TWO.told(1, 5, 3)])
    standing(again, 9, [(2, NONE)])
    assert [(one.start, one.end) for one in again.silences] == [(2, 5)], (
        "it was judged up to 9: what was told from 2 on begins no earlier"
    )


def test_a_distance_is_kept_while_an_alarm_of_its_time_goes_on() -> None:
    over, on = TWO.told(1, 9, 3), TWO.told(1, NONE, 3)
    assert [touched([one], 0, 5, edge) for one in (over, on) for edge in (8, 9)] == [True, False, True, True]
    assert not touched([on], 0, 1, 0)


# -- files and explanations ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "code", "pointer"),
    [
        ({"applies_to": {"sensor.quantity": "particles-5.0", "area.grade": "A"}}, "during", "/applies_to/area.kind"),
        ({"applies_to": {**fillinglogs.A, "area.kind": "box"}}, "during", "/applies_to/area.kind"),
        ({"groups": ["area"]}, "during", "/groups"),
        ({"at_least": "30d"}, "during", "/at_least"),
        ({"severity": {"base": "yellow", "steps": [{"after": "1h", "to": "red"}]}}, "during", "/severity/steps"),
        ({"factor": None, "threshold": "5m"}, "silence", "/at_least"),
        ({"during": None}, "during", "/records"),
        ({"during": None}, "during", "/off"),
        ({"during": "trip", "applies_to": {"area.kind": "box"}}, "during", "/off"),
    ],
)
def test_what_such_a_rule_cannot_have_is_a_fault(members: dict[str, Any], code: str, pointer: str) -> None:
    rule = sums.rule({**fillinglogs.RULES[0], **members})
    found = {(f.code, f.pointer.removeprefix("/rules/0")) for f in bundle_faults([rule], [])}
    assert (code, pointer) in found
    assert bundle_faults([sums.rule(entry) for entry in fillinglogs.RULES], []) == []


def test_a_fault_is_named_with_its_line_and_column(tmp_path: Path) -> None:
    folder = tmp_path / "cleanroom"
    folder.mkdir()
    shipped = (PACK / "a-monitor-off.yaml").read_text(encoding="utf-8")
    (folder / "a-monitor-off.yaml").write_text(shipped.replace("during: filling\n", ""), encoding="utf-8")
    faults = lint([tmp_path])
    assert {(f.code, f.pointer.partition(".yaml")[2]) for f in faults} == {("during", ":10:1"), ("during", ":11:1")}


def explained(hand: HandLog, at: float) -> Explanation:
    (found,), _ = explain(in_time(hand).records(), SHIPPED, RULE, at=ms(at))
    assert isinstance(found, Explanation)
    assert found.agrees
    return found


def verdicts(found: Explanation) -> dict[str, str | None]:
    return {leaf.name: None if seen is None else seen.verdict.value for leaf, seen in found.leaves}


def test_an_explanation_says_what_is_missing_in_both_languages() -> None:
    hand = row(filled(begun(), 0), 1)
    assert verdicts(explained(hand, 3.5)) == {"under_way": "true", "silence": "unknown", "off": "unknown"}
    assert verdicts(explained(hand, 4.5)) == {"under_way": "true", "silence": "true", "off": "unknown"}
    found = explained(switched(live(filled(begun(), 0), [1, 2, 3]), 3.5, "off"), 4)
    assert verdicts(found) == {"under_way": "true", "silence": "false", "off": "true"}
    english, chinese = "\n".join(lines(found, "en")), "\n".join(lines(found, "zh"))
    assert "no good record for longer than 2 intervals, and than 2m" in english
    assert "a monitor of the area was off at that time" in english
    assert "超过 2 个间隔且超过 2m 没有有效记录" in chinese
    assert "该时刻该区域处于灌装期间" in chinese
    assert verdicts(explained(row(begun(), 1), 60)) == {"under_way": "unknown", "silence": None, "off": "unknown"}


def test_a_change_tells_it_in_both_languages() -> None:
    raised = changes(row(filled(begun(), 0), 1), until=4)[0]
    assert raised.message.en == "P5: no good record arrives in a filling step, or the monitor is off"
    assert raised.message.zh == "P5：灌装期间未收到有效记录，或监测仪已关闭"
    assert [(leaf.expr, leaf.right) for leaf in raised.evidence.leaves] == [
        ("silence of P5 in a filling step", "2 x interval, at least 2m, or monitor off"),
    ]  # fmt: skip


def test_a_series_of_grade_b_has_no_such_block() -> None:
    hand = HandLog().register(-1, counter(), areas=[ROOM | {"grade": "B"}])
    assert engine_of(row(filled(hand, 0), 1)).state_of(FACILITY).planned.by_kind[ABSENCE] == []
