"""Kind `gap` during a trip by hand, in minutes: what is silent on the way, what ends it, what comes late, our own door, and every bound."""

# Above 400 lines on purpose: one vehicle on its way, and each case reads beside the next.

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import rules.pack
from rules.absence import Numbers, reach, silences
from rules.engine import Engine
from rules.explain import Explanation, explain
from rules.explaintext import lines
from rules.kinds import absence
from rules.layout import ABSENCE, NONE
from rules.lint import lint
from rules.pack import Bundle, default_bundle
from rules.snapshot import SnapshotError, open_snapshot
from rules.soundness import bundle_faults
from tests.rules import absencelogs, sums
from tests.rules.byhand import FACILITY, HandLog, ms, since
from tests.rules.test_trips_by_hand import BOX, ROOM, VEHICLE, WHOLESALER, in_time, recorder, told

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rules.changes import Change

PACK = Path(rules.pack.__file__).parent / "packs" / "cold-chain"
RULE = "cold-chain.interval-transport"
SHIPPED = default_bundle().only({RULE, "data-integrity.physical-range"})
MILLISECOND = 1 / 60_000
SIX = Numbers(6, 1, 1, 1, ((15, 2),))


def begun(*more: dict[str, Any], area: dict[str, Any] = VEHICLE, interval: str = "60s") -> HandLog:
    return HandLog().register(-1, recorder(interval=interval), *more, areas=[area, ROOM], scopes=WHOLESALER)


def under_way(*, until: float | None = None, area: dict[str, Any] = VEHICLE, interval: str = "60s") -> HandLog:
    """Return the log of a vehicle that departed at 0, and arrived at an instant if one is given."""
    hand = told(begun(area=area, interval=interval), "shipped", 0)
    return hand if until is None else told(hand, "arrived", until)


def row(hand: HandLog, *minutes: float, at: float | None = None) -> HandLog:
    """Append one post of rows, received with its last one."""
    return hand.rows(minutes[-1] if at is None else at, ("T1", list(minutes), [5.0] * len(minutes)))


def live(hand: HandLog, minutes: Iterable[float]) -> HandLog:
    for minute in minutes:
        row(hand, minute)
    return hand


def changes(hand: HandLog, bundle: Bundle = SHIPPED, until: float | None = None) -> list[Change]:
    return [c for c in in_time(hand).changes(bundle=bundle, until=until) if c.rule in {RULE, *absencelogs.NAMES}]


def story(hand: HandLog, bundle: Bundle = SHIPPED, until: float | None = None) -> list[tuple[Any, ...]]:
    """Return (received, what, colour, start, end) of each change, in minutes."""
    found = changes(hand, bundle, until)
    return [(since(c.received), c.change.value, c.severity.value, since(c.start), since(c.end)) for c in found]


def engine_of(hand: HandLog, bundle: Bundle = SHIPPED) -> Engine:
    engine = Engine(bundle)
    for record in in_time(hand).records():
        engine.fold(record)
    return engine


def other(**members: Any) -> Bundle:
    """Return the shipped rule with other members."""
    rule = SHIPPED.rule(RULE)
    assert rule is not None
    entry = rule.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude={"tests"})
    return Bundle.of([sums.rule({**entry, "version": "1.1.0", **members})], [])


# -- what is silent, and when it is known -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("minutes", "wanted"),
    [
        ([1, 7], []),  # GSP annexes: at least every five minutes; one minute of grace (own) is inside
        ([1, 7 + MILLISECOND], ["raised", "cleared"]),
        ([1, 7, 13, 19, 25], []),
        ([1, 8.9], ["raised", "cleared"]),
    ],
)
@pytest.mark.parametrize("area", [BOX, VEHICLE])
def test_six_minutes_between_records_are_the_border(
    area: dict[str, Any], minutes: list[float], wanted: list[str]
) -> None:
    hand = under_way(area=area)
    for at in minutes:
        row(hand, at)
    assert [what for _, what, *_ in story(hand)][:2] == wanted


def test_a_five_minute_recorder_that_jitters_by_its_grace_is_quiet() -> None:
    assert story(live(under_way(interval="5m"), [i * 6 for i in range(1, 40)])) == []


def test_the_clock_decides_a_delivery_time_later_and_the_colour_follows() -> None:
    hand = row(under_way(), 1)
    assert story(hand, until=8 - MILLISECOND) == []
    assert story(hand, until=8) == [(8, "raised", "yellow", 2, None)]
    assert story(hand, until=17 - MILLISECOND) == [(8, "raised", "yellow", 2, None)]
    assert story(hand, until=17) == [(8, "raised", "yellow", 2, None), (17, "stepped", "orange", 2, None)]


def test_what_is_due_with_a_record_is_decided_before_it() -> None:
    hand = row(under_way(), 1)
    row(
        hand, 3, at=8
    )  # due at this very instant: the clock speaks first, and the row says that it was only late in coming
    assert story(hand, until=9) == [(8, "raised", "yellow", 2, None), (8, "retracted", "yellow", 2, None)]
    earlier = row(row(under_way(), 1), 3, at=8 - MILLISECOND)
    assert story(earlier, until=9) == []


def test_a_vehicle_that_never_sent_is_silent_from_its_departure_on() -> None:
    hand = told(begun(), "shipped", 20)
    assert story(hand, until=30) == [(27, "raised", "yellow", 21, None)]


def test_a_departure_before_the_sensor_was_registered_counts_from_its_registration() -> None:
    hand = told(begun(), "shipped", -60, after=60.5)
    assert story(hand, until=7) == [(6, "raised", "yellow", 0, None)]


def test_it_ends_with_a_row_at_the_row_and_is_not_taken_back() -> None:
    hand = row(row(under_way(), 1), 20)
    assert story(hand, until=30)[-3:-1] == [(17, "stepped", "orange", 2, None), (20, "cleared", "orange", 2, 20)]


def test_a_colour_that_the_length_has_and_the_clock_had_not_decided_is_told_before_the_end() -> None:
    hand = row(row(under_way(), 1), 16 + MILLISECOND)
    assert story(hand, until=17) == [
        (8, "raised", "yellow", 2, None),
        (16.00002, "stepped", "orange", 2, None),
        (16.00002, "cleared", "orange", 2, 16.00002),
    ]


def test_a_row_that_was_only_late_in_coming_takes_a_colour_back() -> None:
    hand = row(row(under_way(), 1), 15, at=17.5)  # fourteen minutes, told as more than fifteen
    assert story(hand, until=18)[-2:] == [(17.5, "stepped", "yellow", 2, None), (17.5, "cleared", "yellow", 2, 15)]


# -- the trip -----------------------------------------------------------------------------------------------------------


def test_it_ends_with_the_arrival_once_its_rows_can_no_longer_come() -> None:
    hand = row(under_way(until=12), 1)
    assert story(hand, until=13 - MILLISECOND) == [(8, "raised", "yellow", 2, None)]
    assert story(hand, until=60) == [(8, "raised", "yellow", 2, None), (13, "cleared", "yellow", 2, 12)]


@pytest.mark.parametrize(("arrives", "wanted"), [(7, []), (7 + MILLISECOND, ["raised", "cleared"])])
def test_six_minutes_up_to_the_arrival_are_the_border_too(arrives: float, wanted: list[str]) -> None:
    assert [what for _, what, *_ in story(row(under_way(until=arrives), 1), until=60)] == wanted


@pytest.mark.parametrize(("departs", "wanted"), [(4, []), (4 - MILLISECOND, ["raised", "cleared"])])
def test_and_from_the_departure(departs: float, wanted: list[str]) -> None:
    hand = row(told(begun(), "shipped", departs), -0.5)
    live(hand, range(10, 20))
    assert [what for _, what, *_ in story(hand)] == wanted


def test_a_parked_vehicle_owes_nothing_nor_one_that_has_only_arrived() -> None:
    assert story(row(begun(), 1), until=600) == []
    assert story(row(told(begun(), "arrived", 5), 1), until=600) == []


def test_two_trips_within_one_silence_are_two_alarms() -> None:
    hand = told(told(row(under_way(until=20), 1), "shipped", 40, "W-2"), "arrived", 60, "W-2")
    row(hand, 90)
    assert [s[1:] for s in story(hand)] == [
        ("raised", "yellow", 2, None), ("stepped", "orange", 2, None), ("cleared", "orange", 2, 20),
        ("raised", "yellow", 41, None), ("stepped", "orange", 41, None), ("cleared", "orange", 41, 60),
    ]  # fmt: skip


def test_without_an_arrival_a_trip_ends_after_thirty_days() -> None:
    month = 30 * 24 * 60.0
    found = story(row(under_way(), 1), until=month + 100)
    assert found[-1] == (month + 1, "cleared", "orange", 2, month)


def test_a_departure_that_is_told_late_finds_what_its_rows_left_open() -> None:
    hand = told(live(begun(), [1, 12, 13, 14]), "shipped", 0, after=15)
    (raised, cleared) = changes(hand, until=16)
    assert (since(raised.start), since(cleared.end), raised.late) == (2, 12, True)
    assert since(raised.received) == 15


def test_what_has_left_the_horizon_by_then_stands() -> None:
    hand = live(begun(), [1, 12, *range(13, 160)])
    told(hand, "shipped", 0, after=160)
    assert story(hand, until=161) == []


def test_an_arrival_that_is_told_late_ends_it_where_it_was_and_takes_it_back_where_there_was_none() -> None:
    hand = told(row(under_way(), 1), "arrived", 10, after=25)
    assert [s[1:] for s in story(hand, until=36)][-2:] == [("stepped", "yellow", 2, None), ("cleared", "yellow", 2, 10)]
    early = told(row(under_way(), 1), "arrived", 5, after=25)
    assert [s[1:] for s in story(early, until=36)][-1] == ("retracted", "orange", 2, None)


def test_a_lot_that_is_still_aboard_opens_it_again() -> None:
    hand = row(under_way(until=12), 1)
    told(hand, "shipped", 0, lot="L2", after=20)
    assert [s[1:] for s in story(hand, until=21)] == [
        ("raised", "yellow", 2, None), ("cleared", "yellow", 2, 12), ("amended", "orange", 2, None),
    ]  # fmt: skip


def test_the_same_start_again_is_another_alarm() -> None:
    hand = told(row(under_way(), 1), "arrived", 5, after=5)  # told at 10: nothing was missing
    told(hand, "shipped", 0, lot="L2", after=20)  # but there is more aboard
    found = changes(hand, until=21)
    assert [c.change.value for c in found] == ["raised", "retracted", "raised"]
    assert found[0].start == found[2].start
    assert found[0].alarm == found[1].alarm != found[2].alarm


# -- rows that come late ------------------------------------------------------------------------------------------------


def test_stored_rows_that_leave_no_hole_take_it_back() -> None:
    hand = live(row(under_way(), 1), [20, 21, 22])
    row(hand, 6, 11, 16, at=23)
    assert story(hand, until=24)[-1] == (23, "retracted", "orange", 2, 20)


def test_stored_rows_that_leave_a_hole_amend_it() -> None:
    hand = live(row(under_way(), 1), [20, 21, 22])
    row(hand, 6, 11, at=23)  # nine minutes are left
    assert story(hand, until=24)[-1] == (23, "amended", "yellow", 12, 20)


def test_stored_rows_can_make_two_of_one() -> None:
    hand = live(row(under_way(), 1), [30, 31])
    row(hand, 15, at=32)
    assert [s[1:] for s in story(hand, until=33)][-3:] == [
        ("amended", "yellow", 2, 15), ("raised", "yellow", 16, None), ("cleared", "yellow", 16, 30),
    ]  # fmt: skip
    assert changes(hand, until=33)[-2].late


def test_a_backlog_that_comes_in_parts_is_no_chain_of_changes() -> None:
    """A lorry that was out of radio sends what it stored, oldest first, in posts of five minutes: nothing is told until it is whole."""
    hand = row(under_way(), 1)
    for part in range(6):
        row(hand, *(2 + 5 * part + i for i in range(5)), at=31 + part / 10)
    live(hand, [32, 33, 34])
    assert [s[1:] for s in story(hand, until=35)] == [
        ("raised", "yellow", 2, None), ("stepped", "orange", 2, None), ("retracted", "orange", 2, None),
    ]  # fmt: skip


def test_rows_that_come_in_order_behind_an_arrival_take_back_what_it_had_ended() -> None:
    hand = row(under_way(until=12), 1)
    assert story(row(hand, 6, 11, at=40), until=41)[-1] == (40, "retracted", "yellow", 2, 12)


def test_a_hole_inside_of_a_backlog_is_what_stays_of_it() -> None:
    hand = row(under_way(), 1)
    row(hand, *range(2, 11), at=31)
    row(hand, *range(18, 28), at=31.1)
    live(hand, [31.2, 32])
    assert [s[1:] for s in story(hand, until=33)][2:] == [
        ("amended", "yellow", 11, None), ("cleared", "yellow", 11, 18),
    ]  # fmt: skip


def test_a_post_of_more_than_the_horizon_holds_loses_no_hole() -> None:
    hand = row(under_way(), 1)
    row(hand, *range(2, 11), *range(20, 400), at=400)
    assert [s[1:] for s in story(hand, until=401)][-2:] == [
        ("amended", "yellow", 11, None),
        ("cleared", "yellow", 11, 20),
    ]


def test_late_rows_in_the_middle_of_a_post_count_before_the_horizon_moves_past_them() -> None:
    hand = row(under_way(), 1)
    row(hand, 20, 6, 11, 16, *range(21, 400), at=400)
    assert [s[1:] for s in story(hand, until=401)][-1] == ("retracted", "orange", 2, None)


def test_rows_of_any_quality_are_records() -> None:
    hand = under_way()
    for minute in range(1, 60, 5):
        hand.rows(minute, ("T1", [minute], [(5.0, "uncertain" if minute % 2 else "fault")]))
    assert story(hand) == []


def test_an_open_silence_of_a_trip_that_is_over_is_not_that_of_the_next() -> None:
    hand = row(under_way(), 1)
    told(hand, "arrived", 20, after=40)
    told(hand, "shipped", 30, "W-2", after=30)
    row(hand, 6, 11, 16, 21, 26, 31, 35, at=60)
    assert story(hand, until=61)[-1] == (60, "amended", "orange", 36, None), "not since the first trip"


def test_the_same_start_again_is_another_alarm_also_where_its_rows_leave_the_horizon_meanwhile() -> None:
    hand = told(row(under_way(), 1), "arrived", 5, after=5)
    told(hand, "shipped", 0, lot="L2", after=400)
    row(hand, *range(20, 401), at=400)
    found = [c for c in changes(hand, until=401) if since(c.start) == 2]
    assert [c.change.value for c in found] == ["raised", "retracted", "raised", "cleared"]
    assert found[0].alarm != found[2].alarm


def test_distances_that_go_for_newer_ones_stand_as_they_were_told() -> None:
    hand = live(under_way(), [1 + 7 * i for i in range(absence.DISTANCES + 5)])
    assert {what for _, what, *_ in story(hand, until=300)} == {"raised", "cleared", "stepped"}
    assert engine_of(hand).counters(0, FACILITY)["trip_distance_dropped"] > 0


# -- our own door -------------------------------------------------------------------------------------------------------


def test_closed_time_of_the_door_is_nobodys_silence() -> None:
    hand = row(under_way(), 1).tick(1.5).tick(61.5)
    live(hand, [62, 63])
    assert story(hand, until=64) == []


def test_what_the_clock_told_while_it_was_closed_is_taken_back_and_due_anew() -> None:
    hand = row(under_way(), 1).tick(2).tick(9, "worker").tick(18, "worker").tick(40)
    assert story(hand, until=46) == [
        (8, "raised", "yellow", 2, None), (17, "stepped", "orange", 2, None), (40, "retracted", "orange", 2, None),
        (46, "raised", "yellow", 2, None),
    ]  # fmt: skip


def test_a_colour_that_only_the_closed_time_made_steps_back() -> None:
    hand = row(under_way(), 1).tick(9).tick(18, "worker").tick(30)
    assert story(hand, until=38) == [
        (8, "raised", "yellow", 2, None), (17, "stepped", "orange", 2, None), (30, "stepped", "yellow", 2, None),
        (38, "stepped", "orange", 2, None),
    ]  # fmt: skip


def test_fifteen_minutes_between_ticks_are_an_open_door() -> None:
    assert story(row(under_way(), 1).tick(2).tick(17), until=17)[0][:3] == (8, "raised", "yellow")
    assert story(row(under_way(), 1).tick(2).tick(17 + MILLISECOND), until=17) == []


@pytest.mark.parametrize(
    ("doors", "begin", "length", "wanted"),
    [((), 0, 5, 5), (((5, 9),), 0, 5, 5), (((5, 9),), 0, 6, 10), (((5, 9),), 7, 3, 12), (((5, 9), (10, 20)), 0, 7, 21)],
)
def test_how_long_it_takes_for_the_door_to_have_been_open_for_so_long(
    doors: tuple[tuple[int, int], ...], begin: int, length: int, wanted: int
) -> None:
    assert reach(doors, begin, length) == wanted


# -- the function -------------------------------------------------------------------------------------------------------


def test_what_is_found_is_by_time_and_only_the_last_is_open() -> None:
    found = silences(SIX, 50, [(0, 10), (20, 27)], [(0, 30), (40, 100)], [], 60)
    assert [(one.start, one.end, one.sev) for one in found.silences] == [(1, 10, 1), (21, 27, 1), (51, NONE, 1)]
    assert (found.since, found.due, found.late) == (40, 66, {1, 21, 51})


def test_the_due_instant_is_the_next_that_changes_the_answer() -> None:
    assert [silences(SIX, 0, [], [(0, 20)], [], now).due for now in (0, 6, 7, 15, 16, 20)] == [7, 7, 16, 16, 21, 21]
    assert silences(SIX, 0, [], [(0, 20)], [], 21).due == silences(SIX, 0, [], [], [], 0).due


# -- register, packs, marks ---------------------------------------------------------------------------------------------


def test_a_sensor_that_moves_into_another_vehicle_leaves_its_silence_behind() -> None:
    areas = [VEHICLE, VEHICLE | {"id": "B2"}]
    hand = HandLog().register(-1, recorder(interval="60s"), areas=areas, scopes=WHOLESALER)
    row(told(hand, "shipped", 0), 1)
    hand.register(10, recorder(interval="60s", area="B2"), version=2, areas=areas, scopes=WHOLESALER)
    told(hand, "shipped", 12, "W-2", area="B2")
    assert story(hand, until=19.5) == [
        (8, "raised", "yellow", 2, None), (10, "cleared", "yellow", 2, 10), (19, "raised", "yellow", 13, None),
    ]  # fmt: skip


def test_new_numbers_are_due_with_the_packs_and_end_the_horizon() -> None:
    hand = row(under_way(), 1)
    hand.packs(5, other(threshold="2m", severity={"base": "red"}))
    assert story(hand, until=6) == [(5, "raised", "red", 2, None)]
    later = live(under_way(), [1, 6, 11, 12])
    later.packs(12.5, other(threshold="2m", severity={"base": "red"}))
    assert story(live(later, [13, 14]), until=15) == [], "distances before the packs stand as they were judged"


def test_packs_that_close_it_raise_it_anew_with_another_name() -> None:
    hand = row(under_way(), 1)
    hand.packs(10, other(migration="close", severity={"base": "red"}))
    found = changes(hand, until=11)
    assert [(c.change.value, c.severity.value, since(c.start)) for c in found] == [
        ("raised", "yellow", 2), ("cleared", "yellow", 2), ("raised", "red", 2),
    ]  # fmt: skip
    assert len({c.alarm for c in found}) == 2


def test_a_rule_that_is_no_longer_there_ends_its_alarm() -> None:
    hand = row(under_way(), 1).packs(10, default_bundle().only({"data-integrity.physical-range"}))
    assert story(hand, until=100)[-1] == (10, "cleared", "yellow", 2, 10)


def test_a_mark_that_comes_in_time_is_in_its_evidence() -> None:
    hand = row(under_way(), 1).mark(10, "comms", 2)
    found = changes(hand, until=17)
    assert [(c.change.value, c.evidence.marks) for c in found] == [
        ("raised", []), ("amended", ["M-1/1"]), ("stepped", ["M-1/1"]),
    ]  # fmt: skip


def test_a_rule_that_fails_is_put_aside_and_tells_it_with_another_name(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(SHIPPED)
    hand = in_time(row(under_way(), 1).tick(8, "worker").tick(20, "worker").packs(30, SHIPPED).tick(40, "worker"))
    found: list[Change] = []
    for record in hand.records():
        if since(record.received) == 20:
            monkeypatch.setattr("rules.absence.silences", lambda *_: 1 / 0)
        found += engine.fold(record)
        monkeypatch.undo()
    own = [c for c in found if c.rule == RULE]
    assert [c.change.value for c in own] == ["raised", "unknown", "cleared", "raised"]
    assert own[0].start == own[-1].start
    assert own[0].alarm != own[-1].alarm


# -- bounds, snapshots --------------------------------------------------------------------------------------------------


def test_distances_of_one_post_are_bounded_and_what_goes_is_counted_and_ends_what_stood() -> None:
    hand = row(under_way(), 1)
    minutes = [10 + 7 * i for i in range(absence.DISTANCES + 2)]
    row(hand, *minutes, at=minutes[-1])
    engine = engine_of(hand)
    changes_then = engine.advance(0, ms(minutes[-1] + 1))
    assert engine.counters(0, FACILITY)["trip_distance_dropped"] == 2
    cleared = [c for c in changes_then if c.change.value == "cleared" and since(c.start) == 2]
    assert [since(c.end) for c in cleared] == [minutes[1]], "by then at the latest"
    assert len([c for c in changes_then if c.change.value == "raised"]) == absence.DISTANCES - 1 + 1


def test_closed_spans_of_the_door_are_bounded_and_joined() -> None:
    hand = row(under_way(), 1).tick(1.5)
    for i in range(absence.DOORS + 2):
        hand.tick(21.5 + 20 * i)
    engine = engine_of(hand)
    assert engine.counters(0, FACILITY)["trip_door_joined"] == 2
    state = engine.state_of(FACILITY)
    (one,) = state.planned.by_kind[ABSENCE]
    block = state.words[one.state + absence.DOOR : one.state + absence.STATE.words].tolist()
    assert block[:4] == [ms(1.5), ms(61.5), ms(61.5), ms(81.5)]


def test_a_snapshot_names_it_only_where_it_watches_and_refuses_places_that_are_none() -> None:
    engine = engine_of(row(under_way(), 1))
    body, _ = open_snapshot(engine.snapshot(0, FACILITY))
    assert "absence" in body.layouts
    stores = HandLog().register(-1, recorder(area="R1"), areas=[VEHICLE, ROOM], scopes=WHOLESALER)
    plain, _ = open_snapshot(engine_of(stores).snapshot(0, FACILITY))
    assert "absence" not in plain.layouts
    state = engine.state_of(FACILITY)
    (one,) = state.planned.by_kind[ABSENCE]
    state.words[one.state + absence.COUNT] = absence.DISTANCES + 1
    with pytest.raises(SnapshotError, match="none that a fold leaves"):
        Engine(SHIPPED).restore(0, FACILITY, engine.snapshot(0, FACILITY))


def test_a_block_takes_little_room() -> None:
    """A vehicle's series pays 696 bytes; nothing behind its horizon, and all other series nothing."""
    assert 8 * absence.STATE.words == 696


# -- files and explanations ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "pointer"),
    [
        ({"applies_to": {"sensor.quantity": "temperature"}}, "/applies_to/area.kind"),
        ({"applies_to": {"area.kind": ["box", "cold-room"]}}, "/applies_to/area.kind"),
        ({"groups": ["area"]}, "/groups"),
        ({"unknown": {"max": "5m"}}, "/unknown"),
        ({"migration": "re-evaluate"}, "/migration"),
        ({"threshold": "30d"}, "/threshold"),
        ({"severity": {"base": "yellow", "steps": [{"after": "5m", "to": "red"}]}}, "/severity/steps/0/after"),
        ({"severity": {"base": "yellow", "steps": [{"after": "30d", "to": "red"}]}}, "/severity/steps/0/after"),
        (
            {"severity": {"base": "yellow", "steps": [{"after": "1h", "to": "red", "unless_marked": ["comms"]}]}},
            "/severity/steps/0/unless_marked",
        ),
    ],
)
def test_what_such_a_rule_cannot_have_is_a_fault(members: dict[str, Any], pointer: str) -> None:
    rule = sums.rule({**absencelogs.RULES[0], **members})
    assert pointer in {f.pointer.removeprefix("/rules/0") for f in bundle_faults([rule], []) if f.code == "during"}
    assert bundle_faults([sums.rule(entry) for entry in absencelogs.RULES], []) == []


def test_a_fault_is_named_with_its_line_and_column(tmp_path: Path) -> None:
    folder = tmp_path / "cold-chain"
    folder.mkdir()
    shipped = (PACK / "interval-transport.yaml").read_text(encoding="utf-8")
    (folder / "interval-transport.yaml").write_text(shipped.replace("groups: []", "groups: [area]"), encoding="utf-8")
    faults = lint([tmp_path])
    assert [(f.code, f.pointer.partition(".yaml")[2], f.detail.partition(":")[0]) for f in faults] == [
        ("during", ":11:1", "groups")
    ]


def explained(hand: HandLog, at: float) -> Explanation:
    (found,), _ = explain(in_time(hand).records(), SHIPPED, RULE, at=ms(at))
    assert isinstance(found, Explanation)
    assert found.agrees
    return found


def verdicts(found: Explanation) -> dict[str, str | None]:
    return {leaf.name: None if seen is None else seen.verdict.value for leaf, seen in found.leaves}


def test_an_explanation_says_what_is_missing_on_which_trip_in_both_languages() -> None:
    hand = row(under_way(), 1)
    assert verdicts(explained(hand, 7.5)) == {"under_way": "true", "silence": "unknown", "step1.after": None}
    found = explained(hand, 16.5)
    assert verdicts(found) == {"under_way": "true", "silence": "true", "step1.after": "unknown"}
    assert [(n["name"], n["value"]) for n in found.numbers()] == [
        ("silence", "6m"), ("step 1", "15m"), ("delivery", "1m"),
    ]  # fmt: skip
    assert "the area was on a trip at that time, as far as it was declared" in "\n".join(lines(found, "en"))
    assert "该时刻该区域处于运输途中（据申报）" in "\n".join(lines(found, "zh"))


def test_an_explanation_of_a_parked_vehicle_says_so_and_of_one_without_a_trip_that_none_is_known() -> None:
    assert verdicts(explained(row(under_way(until=3), 1), 60)) == {
        "under_way": "false", "silence": None, "step1.after": None,
    }  # fmt: skip
    assert verdicts(explained(row(begun(), 1), 60))["under_way"] == "unknown"


def test_a_change_tells_it_in_both_languages() -> None:
    raised = changes(row(under_way(), 1), until=8)[0]
    assert raised.message.en == "T1: no record arrives on a trip"
    assert raised.message.zh == "T1：运输途中未收到记录"
    assert [(leaf.expr, leaf.right) for leaf in raised.evidence.leaves] == [("silence of T1 on a trip", "6m")]


def test_where_something_else_is_due_at_the_same_instant_each_is_decided_and_the_fold_goes_on() -> None:
    """Two carriers fall silent at the instant at which an event is missed that is awaited: a short chaos found that nothing was decided there, for ever."""
    recorders = [recorder(interval="60s"), recorder(tag="T2", area="B2", interval="60s")]
    log = HandLog().register(-1, *recorders, areas=[VEHICLE, BOX | {"id": "B2"}], scopes=WHOLESALER)
    log.rows(0, ("T1", [0], [5]), ("T2", [0], [5]))
    told(told(log, "shipped", 0), "shipped", 0, trip="W-2", area="B2")
    said = [("power", 1, {"state": "lost"}), ("heartbeat", 1, {})]
    events = [
        {"stream": "device", "type": kind, "time": ms(at), "source": "UPS", "area": "B1", "fields": fields}
        for kind, at, fields in said
    ]
    log.line(1, "events", {"batch": "p", "events": events})
    changes = log.changes(until=30, bundle=default_bundle())
    raised = [(c.rule, since(c.received)) for c in changes if c.change == "raised" and since(c.received) == 7]
    assert sorted(raised) == [
        ("cold-chain.interval-transport", 7),
        ("cold-chain.interval-transport", 7),
        ("cold-chain.power-no-alarm", 7),
    ]
