"""A place that is watched again takes no alarm id a second time: derived by hand from contracts.md §4 ("alarm")."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

import pytest

from rules import forgetting
from rules.changes import alarm_id
from rules.engine import Engine
from rules.layout import NEVER
from rules.snapshot import open_snapshot
from tests.rules.byhand import BUNDLE, FACILITY, HandLog, ms, place, sensor, story

if TYPE_CHECKING:
    from typing import Any

    from rules.changes import Change
    from rules.snapshot import Body

GAP = "data-integrity.gap"
WITHOUT_GAP = BUNDLE.only({rule.id for rule in BUNDLE.rules} - {GAP})
WAVE = [5.0, 5.1] * 410
TWO_AND_TWO = ("T1", "A1"), ("T2", "A1"), ("T3", "A2"), ("T4", "A2")


def together(log: HandLog, begin: int, end: int, *tags: str) -> HandLog:
    """Append one batch a minute with a row of each tag."""
    for minute in range(begin, end):
        log.rows(minute + 0.1, *[(tag, [minute], [WAVE[minute]]) for tag in tags])
    return log


def facts(*moved: str) -> list[dict[str, Any]]:
    """Return two areas of two sensors each; those that are named stand in the second one."""
    return [sensor(tag, "A2" if tag in moved else area) for tag, area in TWO_AND_TWO]


def begun() -> HandLog:
    """Of two areas of two the first falls silent after minute 4."""
    log = together(HandLog().register(-1, *facts()), 0, 5, "T1", "T2", "T3", "T4")
    return together(log, 5, 10, "T3", "T4")


def ids(changes: list[Change], where: str, rule: str = GAP) -> list[str]:
    return [c.alarm for c in changes if c.change == "raised" and place(c.subject) == where and c.rule == rule]


def uses(where: dict[str, str], start: float, times: int, rule: str = GAP) -> list[str]:
    return [alarm_id(rule, FACILITY, where, ms(start), use) for use in range(1, times + 1)]


def body_of(log: HandLog) -> Body:
    engine = Engine(BUNDLE)
    for record in log.records():
        engine.fold(record)
    return open_snapshot(engine.snapshot(0, FACILITY))[0]


def test_a_silent_area_whose_rule_leaves_and_returns_gets_another_id() -> None:
    log = together(begun().packs(10, WITHOUT_GAP), 10, 12, "T3", "T4").packs(12, BUNDLE)
    changes = together(log, 12, 14, "T3", "T4").changes()
    assert [s[:2] for s in story(changes, "gap") if s[3] == "@A1"] == [(7, "raised"), (10, "cleared"), (12, "raised")]
    assert ids(changes, "@A1") == uses({"area": "A1"}, 5, 2)


def test_a_silent_feed_whose_rule_leaves_and_returns_twice_gets_three_ids() -> None:
    log = together(HandLog().register(-1, *facts()), 0, 5, "T1", "T2", "T3", "T4")
    for at in (10, 12):
        log.packs(at, WITHOUT_GAP).packs(at + 1, BUNDLE)
    changes = log.changes(until=20)
    assert ids(changes, "*") == uses({}, 5, 3)
    assert len({c.alarm for c in changes if c.change == "raised"}) == sum(c.change == "raised" for c in changes)


def test_an_area_that_its_silent_sensors_leave_and_return_to_gets_another_id() -> None:
    log = begun().register(10, *facts("T1", "T2"), version=2)
    log = together(log, 10, 12, "T3", "T4").register(12, *facts(), version=3)
    changes = together(log, 12, 14, "T3", "T4").changes()
    assert ids(changes, "@A1") == uses({"area": "A1"}, 5, 2)
    raised = [c for c in changes if c.alarm == ids(changes, "@A1")[1]]
    assert [c.change for c in raised] == ["raised"], "nothing of the first is told of the second"
    assert {c.by for c in changes if c.change == "suppressed" and c.received >= ms(12)} == {raised[0].alarm}


def test_an_area_that_had_ended_before_its_rule_left_gets_another_id_too() -> None:
    log = begun().rows(9.5, ("T1", [3.5], [5.0]), ("T2", [3.5], [5.0]))  # late ones: the area ends, its series do not
    log = together(log.packs(9.8, WITHOUT_GAP), 10, 12, "T3", "T4").packs(12, BUNDLE)  # it leaves before the release
    changes = together(log, 12, 20, "T3", "T4").changes()
    assert ids(changes, "@A1") == uses({"area": "A1"}, 5, 2)
    assert [s[0] for s in story(changes, "gap") if s[1] == "cleared"] == [9.5, 9.8, 9.8]


def test_what_has_ended_is_never_due_and_nothing_is_said_of_it_while_its_rule_is_away() -> None:
    log = begun().rows(9.5, ("T1", [5], [5.0])).packs(9.8, WITHOUT_GAP)
    (group,) = body_of(log).groups
    assert group[:2] == (GAP, "A1")
    assert group[6:] == (NEVER, NEVER)
    assert group[2][11] == [], "what it suppressed is nobody's concern any more"
    log.tick(10).tick(40).tick(41)  # a closed front door, and places of another rule
    together(log, 41, 43, "T1", "T2", "T3", "T4").rows(43.5, ("T2", range(4, 41), WAVE[4:41]))
    assert {c.rule for c in log.changes(until=80) if c.received > ms(9.8)} == {"cold-chain.interval-storage"}


def away(log: HandLog) -> HandLog:
    """The rule is away for more than the horizon; in the end a place of another rule rises, which is when old groups are forgotten."""
    together(log.packs(10, WITHOUT_GAP), 10, 150, "T3", "T4")
    return log.tick(181, "worker").tick(182, "worker")


def vehicles(*, third: bool = False) -> HandLog:
    """Two vehicles of two sensors, or one, that fall silent after minute 4; only `gap` watches them. A store goes on."""
    kinds = {"A1": "vehicle", "A2": "cold-room", "A5": "vehicle"}
    sensors = [*facts(), *([sensor("T5", "A5"), sensor("T6", "A5")] if third else [])]
    log = HandLog().register(-1, *sensors, areas=[{"id": area, "kind": kind} for area, kind in kinds.items()])
    together(log, 0, 5, "T1", "T2", "T3", "T4", *(["T5", "T6"] if third else []))
    return together(log, 5, 10, "T3", "T4")


def groups_of(log: HandLog, rule: str) -> list[str]:
    return [group[1] for group in body_of(log).groups if group[0] == rule]


def test_a_start_that_may_come_again_is_remembered_for_as_long_as_its_rule_is_away() -> None:
    log = away(vehicles())
    assert groups_of(log, "cold-chain.interval-storage") == ["A2"], "old groups were forgotten when it rose"
    assert groups_of(log, GAP) == ["A1"]
    changes = together(together(log, 183, 185, "T3", "T4").packs(185, BUNDLE), 185, 187, "T3", "T4").changes()
    assert ids(changes, "@A1") == uses({"area": "A1"}, 5, 2)
    assert [s[0] for s in story(changes, "gap") if s[1] == "raised" and s[3] == "@A1"] == [7, 185]


def test_a_start_that_cannot_come_again_is_forgotten_also_while_its_rule_is_away() -> None:
    log = together(vehicles().packs(10, WITHOUT_GAP), 10, 12, "T1", "T2")
    together(log, 10, 150, "T3", "T4").tick(181, "worker").tick(182, "worker")
    assert groups_of(log, "cold-chain.interval-storage") == ["A2"]
    assert groups_of(log, GAP) == []


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_those_that_are_kept_for_their_start_alone_while_they_are_away_are_bounded(
    kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forgetting, "WAITING", kept)
    assert groups_of(away(vehicles(third=True)), GAP) == ["A1", "A5"][2 - kept :]


@pytest.mark.long
def test_an_area_that_is_left_and_returned_to_a_thousand_times_leaves_few_groups_behind() -> None:
    log, version, engine = begun(), count(2), Engine(BUNDLE)
    for i in range(1_000):
        log.register(10 + i / 30, *facts("T1", "T2"), version=next(version))
        log.register(10 + i / 30 + 1 / 60, *facts(), version=next(version))
        log.rows(10 + i / 30 + 1.5 / 60, ("T3", [10 + i / 30], [WAVE[i % 2]]), ("T4", [10 + i / 30], [WAVE[i % 2]]))
    changes = [change for record in log.records() for change in engine.fold(record)]
    assert ids(changes, "@A1") == uses({"area": "A1"}, 5, 1_001)
    assert [group[1] for group in open_snapshot(engine.snapshot(0, FACILITY))[0].groups if group[0] == GAP] == [
        "A1",
        "A1",
    ]


def test_new_silences_between_leaving_and_returning_leave_no_more_than_the_horizon_holds() -> None:
    log, version, engine = begun(), count(2), Engine(BUNDLE)
    for i in range(10, 810, 8):
        together(log, i, i + 2, "T1", "T2", "T3", "T4")
        together(log, i + 2, i + 6, "T3", "T4").register(i + 6, *facts("T1", "T2"), version=next(version))
        together(log, i + 6, i + 7, "T3", "T4").register(i + 7.05, *facts(), version=next(version))
        together(log, i + 7, i + 8, "T3", "T4")
    changes = [change for record in log.records() for change in engine.fold(record)]
    found = ids(changes, "@A1")
    assert len(found) == len(set(found)) == 201
    groups = [group for group in open_snapshot(engine.snapshot(0, FACILITY))[0].groups if group[0] == GAP]
    assert len(groups) <= 2 * 120 // 8 + 2


def test_a_restart_while_it_is_away_changes_nothing() -> None:
    log = begun().packs(10, WITHOUT_GAP)
    together(log, 10, 13, "T3", "T4").packs(13, BUNDLE)
    records = together(log, 13, 16, "T3", "T4").records()
    whole = Engine(BUNDLE)
    wanted = [change for record in records for change in whole.fold(record)]
    for cut in range(len(records) - 9, len(records)):
        first, second = Engine(BUNDLE), Engine(BUNDLE)
        got = [change for record in records[:cut] for change in first.fold(record)]
        second.know(WITHOUT_GAP)
        second.restore_partition(0, first.partition_state(0))
        second.restore(0, FACILITY, first.snapshot(0, FACILITY))
        assert second.snapshot(0, FACILITY) == first.snapshot(0, FACILITY)
        assert got + [change for record in records[cut:] for change in second.fold(record)] == wanted
