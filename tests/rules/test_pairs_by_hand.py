"""Pressure pairs from the text of the catalogue, in minutes: cleanroom.pressure-low and cleanroom.pressure-reversed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.rules.byhand import HandLog, sensor, story

AREAS = [
    {"id": "B1", "kind": "cleanroom", "grade": "B", "standard": "cn-gmp-2010"},
    {"id": "C1", "kind": "cleanroom", "grade": "C", "standard": "cn-gmp-2010"},
]
RULES = ("pressure-low", "pressure-reversed")


def pressure(tag: str, area: str, interval: str = "60s") -> dict[str, Any]:
    return sensor(tag, area, interval, quantity="pressure", unit="Pa")


def two(**facts: object) -> HandLog:
    cascades = [{"cleaner": "B1", "dirtier": "C1", "low": 10}]
    return HandLog().register(-1, pressure("P.B", "B1"), pressure("P.C", "C1"), areas=AREAS, cascades=cascades, **facts)


def told(log: HandLog, until: float) -> list[tuple[object, ...]]:
    return [(row[0], row[1], row[2], row[4], row[5], row[6]) for row in story(log.changes(until=until), *RULES)]


@pytest.mark.parametrize("first", ["P.B", "P.C"])
def test_series_of_one_batch_are_one_instant_whatever_their_order(first: str) -> None:
    """At minute 1 both rooms fall by 30: B-C stays 20. Read one after the other it would be -10."""
    log, minutes = two(), list(range(8))
    series = {"P.B": [50, 20, 20, 20, 20, 20, 20, 20], "P.C": [30, 0, 0, 0, 0, 0, 0, 0]}
    names = sorted(series, reverse=first == "P.C")
    log.rows(8, *((name, minutes, series[name]) for name in names))
    assert told(log, 9) == []


def test_two_batches_of_one_receive_time_are_read_together() -> None:
    log = two()
    log.rows(0.5, ("P.B", [0], [50])).rows(0.5, ("P.C", [0], [30]))
    for minute in (1, 2, 3):
        log.rows(minute + 0.5, ("P.B", [minute], [20])).rows(minute + 0.5, ("P.C", [minute], [0]))
    assert told(log, 4) == []


def test_a_reversal_is_told_at_its_receive_time_and_two_records_are_needed() -> None:
    log = two()
    for minute, (clean, dirty) in enumerate([(30, 10), (10, 10), (9, 10), (30, 10), (30, 10), (30, 10)]):
        log.rows(minute + 0.5, ("P.B", [minute], [clean]), ("P.C", [minute], [dirty]))
    assert told(log, 6) == [
        (2.5, "raised", "pressure-reversed", "red", 1, None),
        (5.5, "cleared", "pressure-reversed", "red", 1, 3),
    ]


@pytest.mark.parametrize(("silent_for", "raised"), [(2, True), (3, False)])
def test_a_partner_counts_for_two_intervals(silent_for: int, raised: bool) -> None:
    """C's newest row is at minute 0; reversed rows of B stand one minute apart and end `silent_for` minutes after it."""
    log = two().rows(0.5, ("P.B", [0], [30]), ("P.C", [0], [10]))
    for minute in (silent_for - 1, silent_for):
        log.rows(minute + 0.5, ("P.B", [minute], [5]))
    assert [row[1] for row in told(log, 3.6)] == (["raised"] if raised else [])


def test_a_late_row_of_the_partner_takes_back_what_it_made() -> None:
    """C falls with B at minute 3, which is sent after minute 4: nothing was ever reversed."""
    log = two()
    for minute, (clean, dirty) in enumerate([(50, 30), (50, 30), (50, 30)]):
        log.rows(minute + 0.5, ("P.B", [minute], [clean]), ("P.C", [minute], [dirty]))
    log.rows(3.5, ("P.B", [3], [20])).rows(4.5, ("P.B", [4], [20]))
    log.rows(5.5, ("P.C", [3, 4], [0, 0]))
    assert [row[:3] for row in told(log, 6)] == [
        (4.5, "raised", "pressure-reversed"), (5.5, "retracted", "pressure-reversed"),
    ]  # fmt: skip


def test_a_row_late_in_its_own_series_raises_late() -> None:
    log = two()
    log.rows(3.5, ("P.B", [0, 1, 3], [30, 5, 30]), ("P.C", [0, 1, 3], [10, 10, 10]))
    log.rows(4.5, ("P.B", [2], [5]))
    (raised,) = [c for c in log.changes(until=5) if c.rule == "cleanroom.pressure-reversed"]
    assert (raised.change.value, raised.late, raised.subject) == ("raised", True, {"area": "B1", "place": "C1"})


def test_a_day_of_both_rooms_in_one_batch_is_judged_from_its_beginning() -> None:
    minutes = list(range(1440))
    clean = [5.0 if 60 <= minute < 70 else 30.0 for minute in minutes]
    log = two().rows(1441, ("P.B", minutes, clean), ("P.C", minutes, [10.0] * 1440))
    assert told(log, 1442) == [
        (1441, change, rule, colour, 60, end)
        for rule, colour in (("pressure-low", "orange"), ("pressure-reversed", "red"))
        for change, end in (("raised", None), ("cleared", 70))
    ]


def test_low_pressure_needs_180_seconds_and_more_than_sixteen_batches_are_told_apart() -> None:
    log = two()
    for minute in range(20):
        log.rows(minute + 0.5, ("P.B", [minute], [30]), ("P.C", [minute], [10]))
    for minute in (20, 21, 22, 23):
        log.rows(minute + 0.5, ("P.B", [minute], [19.9]), ("P.C", [minute], [10]))
    assert told(log, 24) == [(23.5, "raised", "pressure-low", "orange", 20, None)]


# -- which of two rooms is the cleaner one ---------------------------------------------------------------------------
def across(area: str, against: str, value: float, grades: tuple[str | None, str | None], *, cascade: bool = False) -> list[tuple[object, ...]]:  # fmt: skip
    """What a pressure-difference sensor of a room against another tells in six minutes, with the subject; grades are of X1 and Y1."""
    rooms = [
        {"id": name, "kind": "cleanroom", "grade": grade, "standard": "cn-gmp-2010"} if grade else {"id": name, "kind": "room-store"}
        for name, grade in zip(("X1", "Y1"), grades, strict=True)
    ]  # fmt: skip
    cascades = [{"cleaner": "X1", "dirtier": "Y1", "low": 10}] if cascade else []
    gauge = sensor("DP", area, "60s", quantity="pressure-difference", unit="Pa", against=against)
    log = HandLog().register(-1, gauge, areas=rooms, cascades=cascades)
    for minute in range(6):
        log.rows(minute + 0.5, ("DP", [minute], [value]))
    return [
        (change.rule.partition(".")[2], change.subject["area"], change.subject["place"])
        for change in log.changes(until=6)
        if change.rule.partition(".")[2] in RULES and change.change.value == "raised"
    ]


@pytest.mark.parametrize("cascade", [False, True])
@pytest.mark.parametrize(("area", "against", "sign"), [("X1", "Y1", 1), ("Y1", "X1", -1)])
def test_the_better_grade_has_to_lead_whichever_room_carries_the_sensor(area: str, against: str, sign: int, cascade: bool) -> None:  # fmt: skip
    """Found by fresh eyes: a sensor in C against A told a reversal while A led, and nothing while air flowed into A."""
    assert across(area, against, sign * 15.0, ("A", "C"), cascade=cascade) == []
    reversed_ = across(area, against, sign * -15.0, ("A", "C"), cascade=cascade)
    assert ("pressure-reversed", "X1", "Y1") in reversed_
    assert {row[1:] for row in reversed_} == {("X1", "Y1")}


@pytest.mark.parametrize(("area", "against", "sign"), [("X1", "Y1", 1), ("Y1", "X1", -1)])
def test_a_room_without_a_grade_is_the_least_clean(area: str, against: str, sign: int) -> None:
    assert across(area, against, sign * 15.0, ("C", None)) == []
    assert ("pressure-reversed", "X1", "Y1") in across(area, against, sign * -15.0, ("C", None))


@pytest.mark.parametrize(("area", "against"), [("X1", "Y1"), ("Y1", "X1")])
def test_of_rooms_of_one_grade_the_sensor_s_own_is_to_lead(area: str, against: str) -> None:
    assert ("pressure-reversed", area, against) in across(area, against, -15.0, ("C", "C"))
    assert across(area, against, 15.0, ("C", "C")) == []
