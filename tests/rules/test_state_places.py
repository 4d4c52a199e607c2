"""The state of a facility belongs to a partition: a record of it elsewhere touches nothing of its own."""

from __future__ import annotations

from rules.engine import Engine
from tests.rules.byhand import BUNDLE, FACILITY, HandLog, ms, sensor, story


def home() -> HandLog:
    return HandLog(partition=3).register(-1, sensor()).live("T1", 0, [5, 9, 9])


def stray(*, at: float = 4) -> HandLog:
    """A register record of the same facility that somebody wrote into another partition."""
    return HandLog(partition=0).register(at, sensor("T9"), version=5)


def test_a_record_of_a_facility_in_a_second_partition_leaves_its_snapshot_alone() -> None:
    engine, alone = Engine(BUNDLE), Engine(BUNDLE)
    for record in home().records():
        engine.fold(record)
        alone.fold(record)
    for record in stray().records():
        engine.fold(record)
    assert engine.snapshot(3, FACILITY) == alone.snapshot(3, FACILITY) != engine.snapshot(0, FACILITY)
    assert engine.counters(3, FACILITY)["rows"] == 3
    assert engine.counters(0, FACILITY)["rows"] == 0


def test_what_is_clean_and_what_is_dropped_is_so_in_one_partition_only() -> None:
    engine = Engine(BUNDLE)
    for record in [*home().records(), *stray().records()]:
        engine.fold(record)
    engine.clean(0, FACILITY)
    assert (engine.dirty(0), engine.dirty(3)) == ([], [FACILITY])
    engine.drop(0)
    assert engine.snapshot(3, FACILITY)


def test_a_restart_after_a_stray_record_goes_on_where_the_facility_stood() -> None:
    first, second = Engine(BUNDLE), Engine(BUNDLE)
    told = [change for record in [*home().records(), *stray().records()] for change in first.fold(record)]
    second.restore_partition(3, first.partition_state(3))
    second.restore(3, FACILITY, first.snapshot(3, FACILITY))
    second.restore(0, FACILITY, first.snapshot(0, FACILITY))
    told += second.advance(3, ms(6))
    assert [s[1:4] for s in story(told)] == [("raised", "store-out", "T1"), ("raised", "gap", "T1")]
    assert [change.seq for change in told] == [1, 2]
