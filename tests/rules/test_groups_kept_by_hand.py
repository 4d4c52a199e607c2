"""How long a group of silences is remembered: as long as something may still retract it (docs/engine-semantics.md, "gap")."""

from __future__ import annotations

import pytest

from rules import forgetting
from rules.engine import Engine
from rules.snapshot import open_snapshot
from tests.rules.byhand import BUNDLE, FACILITY, HandLog, sensor, story

WAVE = [5.0, 5.1] * 400


def batch(log: HandLog, at: float, begin: int, end: int, *tags: str) -> HandLog:
    """Append one batch with a row a minute in [begin, end) of each tag."""
    minutes = list(range(begin, end))
    return log.rows(at, *[(tag, minutes, [WAVE[m] for m in minutes]) for tag in tags])


def live(log: HandLog, begin: int, end: int, *tags: str) -> HandLog:
    for minute in range(begin, end):
        batch(log, minute + 0.1, minute, minute + 1, *tags)
    return log


def long_dead() -> HandLog:
    """Of an area of two one falls silent and then the other too; this comes back with all its rows, the other stays away for more than two hours.

    Meanwhile the other area falls silent, which is when old groups are forgotten, and comes back.
    """
    log = HandLog().register(-1, sensor("T1"), sensor("T2"), sensor("T3", "A2"), sensor("T4", "A2"))
    live(log, 0, 8, "T1", "T2", "T3", "T4")
    live(log, 8, 10, "T1", "T3", "T4")
    live(log, 10, 20, "T3", "T4")
    batch(log, 20.1, 10, 21, "T1")
    live(log, 20, 21, "T3", "T4")
    live(log, 21, 170, "T1", "T3", "T4")
    live(log, 170, 180, "T1")
    return live(log, 180, 182, "T1", "T3", "T4")


def at_the_end(log: HandLog, at: float) -> list[tuple[object, ...]]:
    return [s[1:] for s in story(log.changes(until=at + 1), "gap") if s[0] == at]


def groups_of(log: HandLog) -> list[str]:
    engine = Engine(BUNDLE)
    for record in log.records():
        engine.fold(record)
    body, _ = open_snapshot(engine.snapshot(0, FACILITY))
    return [group[1] for group in body.groups]


def test_a_group_is_retracted_when_its_last_tag_is_however_long_that_tag_was_away() -> None:
    assert at_the_end(batch(long_dead(), 182.2, 8, 183, "T2"), 182.2) == [
        ("retracted", "gap", "T2", "yellow", 8, 180),
        ("retracted", "gap", "@A1", "yellow", 10, 10),
    ]


def test_a_restart_in_between_forgets_it_neither() -> None:
    log = batch(long_dead(), 182.2, 8, 183, "T2").records()
    first, second = Engine(BUNDLE), Engine(BUNDLE)
    for record in log[:-1]:
        first.fold(record)
    second.restore_partition(0, first.partition_state(0))
    second.restore(0, FACILITY, first.snapshot(0, FACILITY))
    assert second.snapshot(0, FACILITY) == first.snapshot(0, FACILITY)
    assert [c.to_json() for c in second.fold(log[-1])] == [c.to_json() for c in first.fold(log[-1])]


def ended_in_a_gap() -> HandLog:
    """Of an area of two one comes back without the rows in between: cleared, and behind the horizon, where its gap may still be filled."""
    log = HandLog().register(-1, sensor("T1"), sensor("T2"), sensor("T3", "A2"), sensor("T4", "A2"))
    live(log, 0, 8, "T1", "T2", "T3", "T4")
    live(log, 8, 10, "T1", "T3", "T4")
    live(log, 10, 20, "T3", "T4")
    batch(log, 20.1, 20, 21, "T1")
    live(log, 20, 21, "T3", "T4")
    return live(log, 21, 170, "T1", "T3", "T4")


def test_a_group_is_kept_while_the_gap_of_a_tag_that_has_ended_may_be_filled() -> None:
    """Until stop 20 it was forgotten once that lay behind the horizon; open gaps are filled there now (ADR 0092)."""
    log = ended_in_a_gap()
    live(log, 170, 180, "T1")
    live(log, 180, 182, "T1", "T3", "T4")
    assert groups_of(log) == ["A1", "A2"]
    batch(log, 182.2, 10, 20, "T1")
    assert at_the_end(batch(log, 182.3, 8, 183, "T2"), 182.3) == [
        ("retracted", "gap", "T2", "yellow", 8, 180),
        ("retracted", "gap", "@A1", "yellow", 10, 20),
    ]


def test_a_group_of_which_a_tag_has_ended_for_good_is_forgotten() -> None:
    log = ended_in_a_gap()
    assert groups_of(log) == ["A1"], "nothing has risen since"
    log.register(
        170.5, sensor("T2"), sensor("T3", "A2"), sensor("T4", "A2"), version=2
    )  # T1 is gone, and its gap with it
    live(log, 171, 172, "T3", "T4")
    log.rows(190.1, ("T2", [189], [5.0]))
    live(log, 190, 192, "T3", "T4")
    assert groups_of(log) == [""], "the firm was silent"


def test_groups_that_only_wait_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    assert groups_of(long_dead()) == ["A1", "A2"]
    monkeypatch.setattr(forgetting, "WAITING", 0)
    assert groups_of(long_dead()) == ["A2"]
    assert at_the_end(batch(long_dead(), 182.2, 8, 183, "T2"), 182.2) == [("retracted", "gap", "T2", "yellow", 8, 180)]


@pytest.mark.parametrize("kept", [1, 2])
def test_the_newest_of_those_that_wait_are_kept(kept: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forgetting, "WAITING", kept)
    log = long_dead()
    for begin in (190, 330):  # T1 falls silent twice more, for ten minutes, and brings all its rows
        live(log, begin - 8, begin, "T1", "T3", "T4")
        live(log, begin, begin + 10, "T3", "T4")
        batch(log, begin + 10.05, begin, begin + 11, "T1")
        live(log, begin + 10, begin + 132, "T1", "T3", "T4")
    live(log, 462, 480, "T1")  # A2 is silent: what is old is forgotten
    live(log, 480, 481, "T1", "T3", "T4")
    assert groups_of(log).count("A1") == kept
