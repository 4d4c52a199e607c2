"""What a change of register or packs does to what is open: derived by hand from contracts.md §2 and §4."""

from __future__ import annotations

import pytest

from rules.engine import Engine
from tests.rules.byhand import BUNDLE, FACILITY, HandLog, ms, place, sensor, story

WAVE = [5.0, 5.1] * 100
WITHOUT_GAP = BUNDLE.only({rule.id for rule in BUNDLE.rules} - {"data-integrity.gap"})


def together(log: HandLog, begin: int, end: int, *tags: str) -> HandLog:
    """Append one batch a minute with a row of each tag."""
    for minute in range(begin, end):
        log.rows(minute + 0.1, *[(tag, [minute], [WAVE[minute]]) for tag in tags])
    return log


def test_a_gap_rule_that_comes_to_an_old_series_counts_from_its_newest_row() -> None:
    log = HandLog().register(-1, sensor(), areas=[{"id": "A1", "kind": "vehicle"}]).live("T1", 0, WAVE[:100])
    log.register(100, sensor(), areas=[{"id": "A1", "kind": "cold-room"}], version=2)
    log.live("T1", 100, WAVE[:5])
    assert story(log.changes()) == []
    assert story(log.changes(until=137), "interval-storage") == [
        (136, "raised", "interval-storage", "T1", "yellow", 105, None)  # newest row 104, 31 min and the delivery
    ]


def test_packs_that_bring_a_gap_rule_invent_no_old_silence() -> None:
    log = HandLog().packs(-2, WITHOUT_GAP).register(-1, sensor()).live("T1", 0, WAVE[:100]).packs(99.5, BUNDLE)
    assert story(log.live("T1", 100, WAVE[:5]).changes()) == []


def test_a_silence_that_new_packs_find_is_due_when_they_come_and_not_before() -> None:
    log = HandLog().packs(-2, WITHOUT_GAP).register(-1, sensor()).live("T1", 0, WAVE[:3]).packs(30, BUNDLE)
    assert story(log.changes(until=31), "gap") == [(30, "raised", "gap", "T1", "yellow", 3, None)]


def test_a_longer_interval_holds_at_once() -> None:
    log = HandLog().register(-1, sensor()).live("T1", 0, WAVE[:10]).register(9.5, sensor(interval="10m"), version=2)
    log.live("T1", 19, WAVE[:3], every=10)
    assert story(log.changes(until=59.9)) == []  # 39 + 20 + 1
    assert story(log.changes(until=60)) == [(60, "raised", "gap", "T1", "blue", 49, None)]


def test_a_shorter_interval_holds_at_once() -> None:
    log = HandLog().register(-1, sensor(interval="30m")).live("T1", 0, [5, 5.1, 5], every=30)
    log.register(60.5, sensor(), version=2)
    assert story(log.changes(until=64)) == [(63, "raised", "gap", "T1", "blue", 61, None)]


def test_an_interval_that_is_already_overdue_is_due_with_the_record_that_says_so() -> None:
    log = HandLog().register(-1, sensor(interval="30m")).live("T1", 0, [5])
    log.register(20, sensor(), version=2)
    assert story(log.changes(until=21)) == [(20, "raised", "gap", "T1", "yellow", 1, None)]


def test_packs_without_a_rule_whose_silence_of_the_whole_feed_is_open_end_it_and_say_why() -> None:
    log = together(HandLog().register(-1, sensor(), sensor("T2")), 0, 5, "T1", "T2").tick(20)
    changes = together(log.packs(21, WITHOUT_GAP), 22, 25, "T1", "T2").changes()
    assert story(changes, "gap")[-3:] == [
        (21, "cleared", "gap", "T1", "yellow", 5, 21),
        (21, "cleared", "gap", "T2", "yellow", 5, 21),
        (21, "cleared", "gap", "*", "yellow", 5, 21),
    ]
    for change in changes[-3:]:
        assert [(r.kind, r.id) for r in change.evidence.records] == [("packs", WITHOUT_GAP.sha256)]
        assert "no longer watched" in change.message.en
        assert "不再监测" in change.message.zh
        assert change.packs == BUNDLE.sha256


def test_what_ends_with_a_tag_names_the_register_version() -> None:
    log = together(HandLog().register(-1, sensor(), sensor("T2")), 0, 2, "T1", "T2")
    log.rows(3, ("T1", [2, 3], [9, 9.1]), ("T2", [2, 3], [5, 5.1]))
    log.register(3.5, sensor("T2"), version=7)
    changes = log.changes()
    assert story(changes) == [
        (3, "raised", "store-out", "T1", "orange", 2, None),
        (3.5, "cleared", "store-out", "T1", "orange", 2, 3.5),
    ]
    assert [(r.kind, r.id) for r in changes[1].evidence.records] == [("register", "7")]
    assert "normal" not in changes[1].message.en


def test_a_tag_that_returns_folds_no_row_twice() -> None:
    log = HandLog().register(-1, sensor(), sensor("T2")).live("T1", 0, [5, 9, 9, 9])
    log.register(4, sensor("T2"), version=2).register(5, sensor(), sensor("T2"), version=3)
    log.rows(5.1, ("T1", [0, 1, 2, 3], [5, 9, 9, 9])).rows(6, ("T1", [5.5, 6], [9, 9]))
    changes = [c for c in log.changes() if c.rule == "cold-chain.store-out"]
    assert story(changes) == [
        (2.01667, "raised", "store-out", "T1", "orange", 1, None),
        (4, "cleared", "store-out", "T1", "orange", 1, 4),
        (6, "raised", "store-out", "T1", "orange", 5.5, None),
    ]
    assert changes[0].alarm != changes[2].alarm


def test_silent_tags_that_change_their_area_are_released_from_the_old_one() -> None:
    names = ("T1", "T2", "T3", "T4")
    log = HandLog().register(-1, sensor(), sensor("T2"), sensor("T3", "A2"), sensor("T4", "A2"))
    together(together(log, 0, 5, *names), 5, 15, "T3", "T4")
    log.register(15.2, *[sensor(tag, "A2") for tag in names], version=2)
    assert story(log.changes(), "gap")[-3:] == [
        (15.2, "cleared", "gap", "@A1", "yellow", 5, 15.2),
        (15.2, "released", "gap", "T1", "yellow", 5, None),
        (15.2, "released", "gap", "T2", "yellow", 5, None),
    ]


def test_silent_tags_that_move_under_a_silent_area_are_suppressed_by_it() -> None:
    names = ("T1", "T2", "T3", "T4")
    alive = sensor("T5", "A3")
    log = HandLog().register(-1, sensor(), sensor("T2"), sensor("T3", "A2"), sensor("T4", "A2"), alive)
    together(together(log, 0, 5, *names, "T5"), 5, 15, "T5")
    log.register(15.2, *[sensor(tag, "A2") for tag in names], alive, version=2)
    changes = log.changes()
    area = next(c for c in changes if place(c.subject) == "@A2" and c.change == "raised")
    assert story(changes, "gap")[-3:] == [
        (15.2, "cleared", "gap", "@A1", "yellow", 5, 15.2),
        (15.2, "suppressed", "gap", "T1", "yellow", 5, None),
        (15.2, "suppressed", "gap", "T2", "yellow", 5, None),
    ]
    assert changes[-1].by == area.alarm


def test_adding_a_sensor_leaves_the_horizon_of_the_others_alone() -> None:
    log = HandLog().register(-1, sensor("T5")).live("T5", 0, [5, 5.1, 5, 5.1])
    log.register(3.5, sensor("A0"), sensor("T5"), version=2).live("T5", 4, [5])
    log.rows(4.5, ("T5", [3.2, 3.4], [9, 9.1]), ("A0", [4], [5]))
    assert story(log.changes(), "store-out") == [
        (4.5, "raised", "store-out", "T5", "orange", 3.2, None)
    ]  # and open until three records inside have come behind it


LATER = {"from": "2026-03-01T00:30:00+08:00"}  # minute 30


def test_a_sensor_is_watched_from_the_instant_its_facts_are_in_force() -> None:
    log = HandLog().register(-1, sensor(), sensor("T2", **LATER)).live("T1", 0, WAVE[:60])
    assert story(log.changes(), "gap") == [
        (33, "raised", "gap", "T2", "blue", 31, None),
        (37, "stepped", "gap", "T2", "yellow", 31, None),
    ]


def test_rows_of_a_sensor_that_is_not_in_force_yet_are_counted() -> None:
    log = HandLog().register(-1, sensor(), sensor("T2", **LATER)).rows(1, ("T2", [0, 1], [99, 99]))
    engine = Engine(BUNDLE)
    assert [change for record in log.records() for change in engine.fold(record)] == []
    assert engine.counters(0, FACILITY)["unknown_tag"] == 2


def test_limits_change_when_their_facts_come_into_force() -> None:
    wide, narrow = sensor(limits={"low": 2, "high": 8}), sensor(limits={"low": 3, "high": 6}, **LATER)
    log = HandLog().register(-1, wide, narrow).live("T1", 0, [7, 7.1] * 20)
    assert story(log.changes()) == [(31.01667, "raised", "store-out", "T1", "orange", 30, None)]


def test_an_area_changes_its_kind_when_its_facts_come_into_force() -> None:
    areas = [{"id": "A1", "kind": "cold-room", **LATER}, {"id": "A1", "kind": "room-store"}]
    log = HandLog().register(-1, sensor(), areas=areas).live("T1", 0, [20, 20.1] * 20)
    assert story(log.changes()) == [(31.01667, "raised", "store-out", "T1", "orange", 30, None)]


@pytest.mark.parametrize("cut", range(2, 46, 4))
def test_a_restart_does_not_bring_facts_into_force_early_or_late(cut: int) -> None:
    wide, narrow = sensor(limits={"low": 2, "high": 8}), sensor(limits={"low": 3, "high": 6}, **LATER)
    log = HandLog().register(-1, wide, narrow, sensor("T2", **LATER)).live("T1", 0, [7, 7.1] * 20).tick(55)
    records = log.records()
    whole = Engine(BUNDLE)
    wanted = [change for record in records for change in whole.fold(record)] + whole.advance(0, ms(90))
    first, second = Engine(BUNDLE), Engine(BUNDLE)
    got = [change for record in records[:cut] for change in first.fold(record)]
    snapshot = first.snapshot(0, FACILITY)
    second.restore_partition(0, first.partition_state(0))
    second.restore(0, FACILITY, snapshot)
    assert second.snapshot(0, FACILITY) == snapshot
    got += [change for record in records[cut:] for change in second.fold(record)] + second.advance(0, ms(90))
    assert got == wanted


def test_a_steps_other_numbers_let_it_begin_anew() -> None:
    vapour = next(rule for rule in BUNDLE.rules if rule.id == "cell-storage.vapour-high")
    changed = vapour.model_dump(mode="json", by_alias=True, exclude_none=True)
    changed["severity"]["steps"] = [{"beyond": {"high": -100}, "for": "10m", "to": "red"}]
    other = BUNDLE.of([type(vapour).model_validate(changed)], BUNDLE.tables.values())
    areas = [{"id": "A1", "kind": "cryo-tank"}]
    log = HandLog().register(-1, sensor(), areas=areas).live("T1", 0, [-140] * 12).packs(12, other)
    log.live("T1", 12.5, [-140.5])
    assert story(log.changes(), "vapour-high") == [
        (10.01667, "raised", "vapour-high", "T1", "orange", 0, None),
        (12.51667, "stepped", "vapour-high", "T1", "yellow", 0, None),
    ]
