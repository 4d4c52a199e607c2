"""Where sensors stood: a mark of an area is about a sensor while it stood there (contracts.md §2: facts in force at the event time); in minutes."""

from __future__ import annotations

from typing import Any

import pytest

from rules import stays
from rules.engine import Engine
from rules.explain import explain
from rules.layout import NONE
from rules.register import Facility
from rules.snapshot import SnapshotError, open_snapshot, sealed
from rules.stays import moved, while_in
from tests.rules.byhand import BUNDLE, FACILITY, HandLog, ms, sensor, since, story
from tests.rules.test_snapshot import body_of

SHARE, RATE = "data-integrity.mark-share", "data-integrity.effective-rate"
HOUR, DAY = 60, 1440
MONTH = 31 * DAY
FOREVER = 1 << 60


def facility(*sensors: dict[str, Any]) -> Facility:
    areas = [{"id": area, "kind": "cold-room"} for area in ("A1", "A2", "A3")]
    return Facility.model_validate(
        {
            "id": FACILITY,
            "name": {"zh": "测试", "en": "T"},
            "jurisdiction": "110000",
            "areas": areas,
            "sensors": sensors,
        }
    )


def stood(area: str, begin: int | None = None, tag: str = "T1") -> dict[str, Any]:
    return sensor(tag, area) | ({} if begin is None else {"from": begin})


@pytest.mark.parametrize(
    ("before", "entries", "wanted"),
    [
        (None, [stood("A1")], None),
        ("A1", [stood("A1")], None),
        ("A1", [stood("A2")], [(NONE, "A1"), (100, "A2")]),  # without `from`: from its receipt
        ("A1", [stood("A1"), stood("A2", 40)], [(NONE, "A1"), (40, "A2")]),
        ("A1", [stood("A2", 40)], [(NONE, "A1"), (40, "A2")]),  # the old entry is no more in the register
        ("A1", [stood("A1"), stood("A2", 40), stood("A3", 70)], [(NONE, "A1"), (40, "A2"), (70, "A3")]),
        ("A1", [stood("A1"), stood("A2", 101)], None),  # not yet
        (None, [stood("A1", 30), stood("A2", 40)], [(NONE, "A1"), (40, "A2")]),
        (None, [stood("A2", 40)], None),
        ([(NONE, "A1"), (40, "A2")], [stood("A2")], [(NONE, "A1"), (40, "A2")]),
        ([(NONE, "A1"), (40, "A2")], [stood("A1")], [(NONE, "A1"), (40, "A2"), (100, "A1")]),
        ([(NONE, "A1"), (40, "A2")], [stood("A3", 60)], [(NONE, "A1"), (40, "A2"), (60, "A3")]),
        ([(NONE, "A1"), (40, "A2")], [stood("A1"), stood("A3", 20)], [(NONE, "A1"), (20, "A3")]),  # the later word
        ([(NONE, "A1"), (40, "A2")], [stood("A1", 0)], None),  # it had been there all the time
        ([(NONE, "A1"), (100, "A2")], [stood("A3")], [(NONE, "A1"), (100, "A3")]),  # two versions of one instant
        ([(NONE, "A1"), (100, "A2")], [stood("A1")], None),
    ],
)  # fmt: skip
def test_what_a_register_says_of_where_a_sensor_stood(before, entries, wanted):
    told = {"T1": before} if isinstance(before, list) else {}
    areas = {} if before is None else {"T1": before[-1][1] if isinstance(before, list) else before}
    found = moved(told, areas, facility(*entries), 100, FOREVER)
    assert found == ({} if wanted is None else {"T1": wanted})


def test_stays_that_ended_long_ago_and_more_than_there_is_room_for_are_forgotten(monkeypatch):
    told = {"T1": [(NONE, "A1"), (40, "A2"), (50, "A1"), (90, "A3")]}
    areas = {"T1": "A3"}
    assert moved(told, areas, facility(stood("A3")), 100, 50) == {"T1": [(NONE, "A2"), (50, "A1"), (90, "A3")]}
    assert moved(told, areas, facility(stood("A3")), 1000, 50) == {}
    monkeypatch.setattr(stays, "MAX_STAYS", 2)
    assert moved(told, areas, facility(stood("A3")), 100, FOREVER) == {"T1": [(NONE, "A1"), (90, "A3")]}


def test_a_sensor_that_is_not_in_force_any_more_stood_nowhere():
    told = {"T1": [(NONE, "A1"), (40, "A2")]}
    assert moved(told, {"T1": "A2"}, facility(stood("A1", tag="T2")), 100, FOREVER) == {}
    assert moved(told, {"T1": "A2"}, facility(stood("A3", 101)), 100, FOREVER) == {}


def test_bounds_of_a_mark_are_inside_and_the_instant_of_a_move_belongs_to_the_new_area():
    there = [(NONE, "A1"), (50, "A2"), (80, "A1")]
    assert while_in(there, "A1", 49, 50) == [(49, 49)]
    assert while_in(there, "A1", 50, 79) == []
    assert while_in(there, "A2", 0, 99) == [(50, 79)]
    assert while_in(there, "A1", 0, 80) == [(0, 49), (80, 80)]


def engine_of(hand: HandLog, rule: str, until: float) -> Engine:
    engine = Engine(BUNDLE.only({rule}))
    for record in hand.records():
        engine.fold(record)
    engine.advance(0, ms(until))
    return engine


def marked(hand: HandLog, until: float) -> list[float]:
    """Return the marked hours of each series."""
    judged = engine_of(hand, SHARE, until).state_of(FACILITY).rare.judged[SHARE]
    return [one.marked / 3_600_000 for one in judged.values()]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("when", "entries", "hours"),
    [
        (48, [stood("A2")], 24),
        (48, [stood("A1"), stood("A2", ms(36 * HOUR))], 12),
        (48, [stood("A1"), stood("A2", ms(60 * HOUR))], 24),  # the mark ended before
        (12, [stood("A1"), stood("A2", ms(30 * HOUR))], 6),  # by the clock
        (20, [stood("A2")], 0),
    ],
)
def test_marked_hours_of_an_area_are_those_in_which_the_sensor_stood_there(when, entries, hours):
    """A1 is faulty from hour 24 to 48."""
    hand = (
        HandLog()
        .register(-1, sensor(), sensor("T2"), sensor("T3", "A2"))
        .mark(1, "fault", 24 * HOUR, 48 * HOUR, area="A1")
    )
    hand.register(
        when * HOUR + 0.5 if when == 48 else when * HOUR, *entries, sensor("T2"), sensor("T3", "A2"), version=2
    )
    assert marked(hand, 4 * DAY + 1) == ([hours] if hours else []) + [24]


def test_two_areas_that_are_marked_are_one_mark_for_a_sensor_that_moves_from_one_to_the_other():
    hand = HandLog().register(-1, sensor(), sensor("T2", "A2"))
    hand.mark(1, "fault", 0, 48 * HOUR, area="A1").mark(2, "fault", 0, 48 * HOUR, name="M-2", area="A2")
    hand.register(3 * DAY, stood("A1"), stood("A2", ms(24 * HOUR)), sensor("T2", "A2"), version=2)
    assert marked(hand, 4 * DAY + 1) == [48, 48]


@pytest.mark.parametrize(
    ("stopped", "wanted"), [("A1", []), ("A2", [(MONTH + 1, "raised")])]
)  # fmt: skip
def test_hours_in_which_an_area_stood_still_are_not_expected_of_a_sensor_that_left_it_behind_them(stopped, wanted):
    """T1 sent nothing for five days, in A1; then it was moved to A2 and sent until the end of the month."""
    hand = HandLog().register(-1, sensor(interval="1h"), sensor("T9", "A2", interval="1h"))
    hand.mark(1, "stopped", 0, 5 * DAY - 1, area=stopped)
    hand.register(5 * DAY, stood("A2") | {"interval": "1h"}, sensor("T9", "A2", interval="1h"), version=2)
    minutes = [HOUR * i for i in range(5 * 24, 31 * 24)]
    hand.rows(MONTH, ("T1", minutes, [5.0] * len(minutes)))
    changes = [c for c in hand.changes(until=MONTH + 2, bundle=BUNDLE.only({RATE})) if c.subject == {"tag": "T1"}]
    assert [(since(c.received), c.change.value) for c in changes] == wanted
    assert all(not change.evidence.marks for change in changes), "a mark of where it did not stand explains nothing"


WARM = [5, 5, 5, 5, 9, 9, 9, 9]
STORE = BUNDLE.only({"cold-chain.store-out", "cold-chain.interval-storage"})
"""Without a rule that begins anew with a sensor's place: the horizon goes on through a move."""


def store(log: HandLog, until: float) -> list[tuple[Any, ...]]:
    return [row[:2] for row in story(log.changes(until=until, bundle=STORE), "store-out")]


@pytest.mark.parametrize(("area", "told"), [("A1", []), ("A2", [(10, "raised")])])
def test_rows_of_before_a_move_have_the_marks_of_the_area_of_then_also_where_they_come_behind_it(area, told):
    """The room was stopped while T1 was out of reach in it; its rows come when it stands elsewhere."""
    log = HandLog().register(-1, sensor(), sensor("T9", "A2")).mark(2, "stopped", 2, 7, area=area)
    log.live("T1", 0, WARM[:2]).register(9, stood("A2"), sensor("T9", "A2"), version=2)
    assert store(log.rows(10, ("T1", range(2, 8), WARM[2:])), 11) == told


@pytest.mark.parametrize(("area", "told"), [("A1", []), ("A2", [(10, "raised")])])
def test_a_mark_that_comes_behind_a_move_reaches_the_rows_of_before_it(area, told):
    """One record outside at 4; the late one of 4.5 makes two of it, unless the first is marked."""
    log = HandLog().register(-1, sensor(), sensor("T9", "A2")).live("T1", 0, [5, 5, 5, 5, 9, 5, 5, 5])
    log.register(8.5, stood("A2"), sensor("T9", "A2"), version=2).mark(9, "maintenance", 3, 4.2, area=area)
    assert store(log.rows(10, ("T1", [4.5], [9])).tick(10.1), 10.2)[:1] == told


@pytest.mark.parametrize(("area", "told"), [("A1", [(9.01667, "raised")]), ("A2", [])])
def test_it_does_not_reach_those_of_behind_it(area, told):
    log = HandLog().register(-1, sensor(), sensor("T9", "A2")).live("T1", 0, [5] * 6)
    log.register(6.5, stood("A2"), sensor("T9", "A2"), version=2).mark(7.5, "maintenance", 3, 60, area=area)
    assert store(log.live("T1", 8, [9, 9]), 10) == told


def test_an_alarm_is_amended_by_a_mark_of_where_its_sensor_stood_while_it_stood_there():
    log = HandLog().register(-1, sensor(), sensor("T9", "A2")).live("T1", 0, WARM)
    log.register(7.5, stood("A2"), sensor("T9", "A2"), version=2)
    log.mark(8, "maintenance", 4, 6, area="A1").mark(8.2, "maintenance", 4, 6, name="M-2", area="A2")
    log.mark(8.4, "maintenance", 6, 8, name="M-3", area="A2").live("T1", 9, [5, 5, 5])
    mine = [c for c in log.changes(bundle=STORE) if c.subject == {"tag": "T1"}]
    assert [(since(c.received), c.change.value, c.evidence.marks) for c in mine] == [
        (5.01667, "raised", []), (8, "amended", ["M-1/1"]), (8.4, "amended", ["M-1/1", "M-3/1"]),
        (11.01667, "cleared", ["M-1/1", "M-3/1"]),
    ]  # fmt: skip


def test_a_revision_frees_the_rows_that_the_mark_had_covered_where_the_sensor_stood():
    log = HandLog().register(-1, sensor(), sensor("T9", "A2")).mark(3, "maintenance", 3, 60, area="A1")
    log.live("T1", 3.5, [9, 9, 9]).register(7, stood("A2"), sensor("T9", "A2"), version=2)
    assert store(log.mark(8, "maintenance", 3, 3, revision=2, area="A1"), 8.1) == [(8, "raised")]


@pytest.mark.parametrize(("when", "told"), [(7, []), (20, ["amended"])])
def test_the_silence_of_a_place_is_amended_by_a_mark_of_where_all_of_it_stood_while_it_was_silent(when, told):
    """T1 and T2 stand in A1 and are silent since 6; A2, where they were moved to, is marked from 9 on."""
    log = HandLog().register(-1, sensor(), sensor("T2"), sensor("T3", "A3"))
    for i in range(30):
        tags = ["T3"] if i > 5 else ["T1", "T2", "T3"]
        log.rows(i + 0.1, *[(tag, [i], [5 + i % 2 / 10]) for tag in tags])
        if i == when:
            log.register(i + 0.5, stood("A2"), stood("A2", tag="T2"), sensor("T3", "A3"), version=2)
    log.mark(31, "fault", 9, 12, area="A1")
    gap = [c for c in log.changes(until=32) if c.rule.endswith(".gap") and c.subject != {"tag": "T3"}]
    assert sorted({c.change.value for c in gap if c.change == "amended"}) == told


@pytest.mark.parametrize("area", ["A1", "A2"])
def test_explanations_mark_rows_by_where_the_sensor_stood(area):
    log = HandLog().register(-1, sensor(), sensor("T9", "A2")).mark(2, "stopped", 2, 20, area=area)
    log.live("T1", 0, WARM[:2]).register(9, stood("A1"), stood("A2", ms(6)), sensor("T9", "A2"), version=2)
    log.rows(10, ("T1", range(2, 10), [9] * 8)).mark(11, "fault", 3, 8, name="M-2", area="A1")
    found, _ = explain(log.records(), STORE, "cold-chain.store-out", at=ms(12), tag="T1")
    (one,) = found
    assert one.agrees  # type: ignore[union-attr]
    where = {since(row.t): row.mark for row in one.rows}  # type: ignore[union-attr]
    assert [t for t, mark in where.items() if mark == "M-1/1"] == ([2, 3, 4, 5] if area == "A1" else [6, 7, 8, 9])


def test_a_facility_whose_sensors_never_moved_has_no_member_and_one_that_did_goes_on_after_a_restart():
    hand = HandLog().register(-1, sensor(), sensor("T2", "A2")).mark(1, "fault", 0, 48 * HOUR, area="A1")
    assert "stays" not in body_of(engine_of(hand, SHARE, DAY).snapshot(0, FACILITY))
    hand.register(DAY, stood("A2"), sensor("T2", "A2"), version=2)
    first, second = engine_of(hand, SHARE, DAY + 5), Engine(BUNDLE.only({SHARE}))
    data = first.snapshot(0, FACILITY)
    assert body_of(data)["stays"] == [["T1", [[NONE, "A1"], [ms(DAY), "A2"]]]]
    second.restore_partition(0, first.partition_state(0))
    second.restore(0, FACILITY, data)
    assert second.snapshot(0, FACILITY) == data
    for engine in (first, second):
        engine.advance(0, ms(3 * DAY))
        assert [one.marked for one in engine.state_of(FACILITY).rare.judged[SHARE].values()] == [DAY * 60_000]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "broken",
    [[("T1", [(NONE, "A1")])], [("T9", [(NONE, "A1"), (5, "A2")])], [("T1", [(0, "A1"), (5, "A2")])],
     [("T1", [(NONE, "A1"), (5, "A2"), (5, "A1")])]],
)  # fmt: skip
def test_stays_that_no_fold_leaves_are_refused(broken):
    hand = HandLog().register(-1, sensor(), sensor("T2", "A2"))
    body, _ = open_snapshot(engine_of(hand, SHARE, DAY).snapshot(0, FACILITY))
    body.stays = broken
    with pytest.raises(SnapshotError):
        Engine(BUNDLE.only({SHARE})).restore(0, FACILITY, sealed(body))
