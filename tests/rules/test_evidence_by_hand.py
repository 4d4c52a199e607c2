"""What decided, and what was read to decide it: derived by hand from contracts.md §4."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.rules.byhand import HandLog, place, sensor, story

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rules.changes import Change

WAVE = [5.0, 5.1] * 100


def leaves(changes: Iterable[Change]) -> list[tuple[Any, ...]]:
    return [
        (c.change.value, *((leaf.left, leaf.op, leaf.right, leaf.verdict.value) for leaf in c.evidence.leaves))
        for c in changes
    ]


def reads(change: Change) -> list[tuple[str, str]]:
    return [(read.kind, read.id) for read in change.evidence.records]


def test_what_cleared_an_excursion_is_the_reading_inside_and_the_peak_stands_beside_it() -> None:
    log = HandLog().register(-1, sensor(limits={"low": 2, "high": 8})).live("T1", 0, [5, 8.1, 9, 8.5, 7.5, 7.4, 7.3])
    changes = log.changes()
    assert leaves(changes) == [("raised", (9.0, ">", 8.0, "true")), ("cleared", (7.3, ">", 8.0, "false"))]
    assert [c.evidence.peak for c in changes] == [9.0, 9.0]


def test_what_cleared_an_excursion_below_is_compared_with_the_lower_limit() -> None:
    log = HandLog().register(-1, sensor(limits={"low": 2, "high": 8})).live("T1", 0, [1, 0.5, 1.5, 5, 5.1, 5.2])
    assert leaves(log.changes()) == [("raised", (0.5, "<", 2.0, "true")), ("cleared", (5.2, "<", 2.0, "false"))]
    assert [c.evidence.peak for c in log.changes()] == [0.5, 0.5]


def test_an_excursion_that_late_rows_close_was_closed_by_the_third_of_them() -> None:
    log = HandLog().register(-1, sensor()).live("T1", 0, [9, 9.2, 9, 9.1, 9.2, 9.3, 9.4])
    log.rows(7, ("T1", [2.2, 2.4, 2.6], [5, 5.1, 5.2]))
    assert leaves(log.changes()) == [
        ("raised", (9.2, ">", 8.0, "true")),
        ("cleared", (5.2, ">", 8.0, "false")),
        ("raised", (9.2, ">", 8.0, "true")),
    ]
    assert [c.evidence.peak for c in log.changes()] == [9.2, 9.2, 9.4]


def test_a_value_that_moves_again_is_what_clears_frozen() -> None:
    log = HandLog().register(-1, sensor()).live("T1", 0, [5.0] * 62 + [5.1, 5.2, 5.3])
    told = leaves(c for c in log.changes() if c.rule == "data-integrity.frozen")
    assert told == [("raised", (5.0, "=", 5.0, "true")), ("cleared", (5.3, "=", "the value before", "false"))]


def test_a_raise_names_the_batches_of_its_first_and_its_deciding_row_and_the_register() -> None:
    log = HandLog().register(-1, sensor(), version=4)
    log.rows(0.1, ("T1", [0], [5]), batch="b1").rows(1.1, ("T1", [1], [9]), batch="b2")
    log.rows(2.1, ("T1", [2], [9]), batch="b3").rows(3.1, ("T1", [3, 4, 5], [5, 5, 5]), batch="b4")
    raised, cleared = log.changes()
    assert reads(raised) == [("readings", "b2"), ("readings", "b3"), ("register", "4")]
    assert reads(cleared) == [("readings", "b2"), ("readings", "b4"), ("register", "4")]


def test_a_raise_within_one_batch_names_it_once() -> None:
    log = HandLog().register(-1, sensor()).rows(1.1, ("T1", [0, 1], [9, 9]), batch="b1")
    assert reads(log.changes()[0]) == [("readings", "b1"), ("register", "1")]


def test_decisions_by_the_clock_name_the_batch_of_the_newest_row() -> None:
    log = HandLog().register(-1, sensor(), sensor("T2"), version=2)
    log.rows(0.1, ("T1", [0], [5]), ("T2", [0], [5]), batch="b1").rows(0.9, ("T2", [0.9], [5]), batch="b2")
    changes = [c for c in log.changes(until=8.5) if c.rule == "data-integrity.gap"]
    named = {(c.change.value, place(c.subject)): reads(c) for c in changes}
    register = ("register", "2")
    assert named["raised", "T1"] == [("readings", "b1"), register]
    assert named["raised", "T2"] == [("readings", "b2"), register]
    assert named["raised", "*"] == [("readings", "b2"), register]
    assert named["stepped", "*"] == [("readings", "b2"), register]
    assert all(reads(c)[-1] == register for c in changes)


def test_a_frozen_value_names_the_batch_of_its_first_row() -> None:
    log = HandLog().register(-1, sensor()).live("T1", 0, [5.1] + [5.0] * 62)
    change = next(c for c in log.changes() if c.rule == "data-integrity.frozen")
    assert reads(change) == [("readings", "b2"), ("readings", "b62"), ("register", "1")]


def test_an_excursion_found_by_late_rows_names_the_batch_of_its_first_row_though_it_came_last() -> None:
    log = HandLog().register(-1, sensor())
    log.rows(0.1, ("T1", [0], [5]), batch="b1").rows(2.1, ("T1", [2], [9]), batch="b2")
    log.rows(3.1, ("T1", [3], [5]), batch="b3").rows(3.2, ("T1", [1.5], [9]), batch="late")
    change = log.changes()[0]
    assert story([change]) == [(3.2, "raised", "store-out", "T1", "orange", 1.5, None)]
    assert reads(change) == [("readings", "late"), ("register", "1")]


def test_a_restart_forgets_no_batch() -> None:
    from rules.engine import Engine
    from tests.rules.byhand import BUNDLE, FACILITY

    log = HandLog().register(-1, sensor()).live("T1", 0, [5, 9]).live("T1", 2, [9])
    first, second = Engine(BUNDLE), Engine(BUNDLE)
    for record in log.records()[:-1]:
        first.fold(record)
    second.restore(0, FACILITY, first.snapshot(0, FACILITY))
    (change,) = second.fold(log.records()[-1])
    assert reads(change) == [("readings", "b2"), ("readings", "b3"), ("register", "1")]
