"""Late rows, derived by hand from settled.md and contracts.md §4: what was said stays said unless late data deny it."""

from __future__ import annotations

from tests.rules.byhand import HandLog, sensor, story


def half_hourly() -> HandLog:
    """An excursion at 0 and 30 min, inside from 60 min on, cleared by the third inside row at 120 min."""
    log = HandLog().register(-1, sensor(interval="30m"))
    for minute, value in zip(range(0, 181, 30), [9, 9, 5, 5.1, 5, 5.1, 5], strict=True):
        log.rows(minute + 0.1, ("T1", [minute], [value]))
    return log


def test_late_row_that_clears_earlier_does_not_retract_the_excursion_when_it_leaves_the_horizon() -> None:
    log = half_hourly()
    log.rows(180.2, ("T1", [75], [5.2]))  # now the third inside row is the one at 90 min; start and end stay
    log.rows(210.1, ("T1", [210], [5.1]))  # the rows up to 90 min leave the horizon
    log.rows(210.2, ("T1", [200], [5.1]))
    assert story(log.changes(), "store-out") == [
        (30.1, "raised", "store-out", "T1", "orange", 0, None),
        (120.1, "cleared", "store-out", "T1", "orange", 0, 60),
    ]


def test_late_inside_row_retracts_the_excursion() -> None:
    log = HandLog().register(-1, sensor()).live("T1", 0, [5, 9])
    log.rows(2.6, ("T1", [2], [9])).rows(2.7, ("T1", [1.5], [5]))
    assert story(log.changes()) == [
        (2.6, "raised", "store-out", "T1", "orange", 1, None),
        (2.7, "retracted", "store-out", "T1", "orange", 1, None),
    ]


def test_late_rows_split_an_excursion_and_the_earliest_keeps_its_id() -> None:
    log = HandLog().register(-1, sensor()).live("T1", 0, [9, 9, 9, 9.1, 9.2, 9.3, 9.4])
    log.rows(7, ("T1", [2.2, 2.4, 2.6], [5, 5.1, 5.2]))
    changes = log.changes()
    assert story(changes) == [
        (1.01667, "raised", "store-out", "T1", "orange", 0, None),
        (7, "cleared", "store-out", "T1", "orange", 0, 2.2),
        (7, "raised", "store-out", "T1", "orange", 3, None),
    ]
    assert [c.late for c in changes] == [False, False, True]
    assert changes[0].alarm == changes[1].alarm != changes[2].alarm


def test_late_rows_join_two_excursions_and_the_absorbed_one_names_the_other() -> None:
    log = HandLog().register(-1, sensor()).live("T1", 0, [9, 9, 5, 5.1, 5, 9, 9, 9])
    log.rows(8, ("T1", [3.5], [9]))
    changes = log.changes()
    assert story(changes) == [
        (1.01667, "raised", "store-out", "T1", "orange", 0, None),
        (4.01667, "cleared", "store-out", "T1", "orange", 0, 2),
        (6.01667, "raised", "store-out", "T1", "orange", 5, None),
        (8, "amended", "store-out", "T1", "orange", 0, None),
        (8, "retracted", "store-out", "T1", "orange", 5, None),
    ]
    assert changes[-1].evidence.into == changes[0].alarm


def test_rows_of_a_batch_posted_newest_first_end_as_if_in_order() -> None:
    down = HandLog().register(-1, sensor()).live("T1", 0, [5]).rows(4.1, ("T1", [4, 3, 2, 1], [5, 5.1, 5, 9]))
    final = {c.alarm: c.change.value for c in down.changes()}
    assert set(final.values()) <= {"retracted"}
