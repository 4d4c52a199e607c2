"""The readings around an alarm: which tags, which window, which lines, what is missing; how long there is to respond."""

from __future__ import annotations

import math

import pytest

from monitor.alarms import queries
from monitor.alarms.chart import (
    LEAST_AROUND_MS,
    LONGEST_MS,
    MAX_TAGS,
    MOST_AROUND_MS,
    Line,
    _lines,
    chart_of,
)
from monitor.alarms.projection import apply_batch
from monitor.alarms.rulebook import DAY_MS, HOUR_MS, RESPOND, Rulebook
from monitor.register.store import import_register
from rules.changes import Evidence, LimitUsed, RecordRead
from rules.models import Severity
from rules.pack import default_bundle
from rules.register import Sensor
from tests.monitor.alarms.changes import change, incoming
from tests.monitor.desk import seeds
from tests.monitor.desk.lab import NOW, RULEBOOK, DeskLab
from tests.monitor.register.samples import facility, register

MINUTE = 60_000
RULE = RULEBOOK.rule("cold-chain.store-out")


@pytest.fixture
def lab(store, tmp_path):
    return DeskLab(store, tmp_path / "archive")


def sensor(tag, area="CR1", interval="60s", **more):
    return {"tag": tag, "area": area, "quantity": "temperature", "unit": "Cel", "interval": interval} | more


def told_before(lab, *changes):
    with lab.store.writing() as session:
        apply_batch(session, incoming(changes), NOW)
    return [RecordRead(kind="alarm", id=one.alarm) for one in changes]


def chart(lab, subject, *sensors, now=NOW, name="A1", rule=None, seq=1, **more):
    areas = [{"id": each, "kind": "cold-room"} for each in sorted({s["area"] for s in sensors} | {"CR1"})]
    if sensors:
        with lab.store.writing() as session:
            import_register(session, register(facility(name, sensors=list(sensors), areas=areas)), "u", NOW - DAY_MS)
    raised = change(seq, stream=name, **({"start": NOW - 30 * MINUTE} | more)).model_copy(update={"subject": subject})
    with lab.store.writing() as session:
        apply_batch(session, incoming([raised]), NOW)
    with lab.store.reading() as session:
        row = queries.one(session, raised.alarm)
    return chart_of(lab.store, lab.desk.archive, row, now, rule)


@pytest.mark.parametrize(
    ("subject", "tags"),
    [
        ({"tag": "T1"}, ["T1"]), ({"tag": "T9"}, []), ({"area": "CR2"}, ["T3"]), ({"area": "NONE"}, []), ({"feed": "main"}, ["T1", "T2", "T3"]), ({}, ["T1", "T2", "T3"]),
    ],
)  # fmt: skip
def test_the_subject_says_which_tags_are_drawn(lab, subject, tags):
    found = chart(lab, subject, sensor("T1"), sensor("T2"), sensor("T3", "CR2"))
    assert [series.tag for series in found.series] == tags
    assert all(series.time == [] for series in found.series)


def test_of_two_rooms_the_pressures_of_both_are_drawn(lab):
    gauge = sensor("DP", "CR2", quantity="pressure-difference", unit="Pa", against="CR1")
    rooms = [sensor("P1", quantity="pressure", unit="Pa"), sensor("P2", "CR2", quantity="pressure", unit="Pa")]
    other = sensor("P3", "CR3", quantity="pressure", unit="Pa")
    found = chart(lab, {"area": "CR1", "place": "CR2"}, sensor("T1"), gauge, *rooms, other)
    assert [series.tag for series in found.series] == ["DP", "P1", "P2"]


def test_more_tags_than_can_be_read_are_counted_not_drawn(lab):
    found = chart(lab, {}, *(sensor(f"T{n}") for n in range(MAX_TAGS + 3)))
    assert (len(found.series), found.tags_left_out) == (MAX_TAGS, 3)


def test_an_alarm_of_a_report_shows_what_it_was_held_against(lab):
    """Two excursions of one room, the second still open; one of another firm is nobody's business here."""
    firm = [sensor("T1"), sensor("T2"), sensor("T3", "CR2")]
    told = [
        change(seq, stream=name, tag=tag, start=NOW - start * MINUTE)
        for seq, tag, start, name in ((1, "T2", 300, "A1"), (2, "T1", 200, "A1"), (1, "T3", 250, "B1"))
    ]
    reads = told_before(lab, *told)
    proof = Evidence(records=[*reads, RecordRead(kind="alarm", id="0" * 32), RecordRead(kind="report", id="R-1/1")])
    found = chart(lab, {"report": "R-1"}, *firm, evidence=proof, seq=3)
    assert [series.tag for series in found.series] == ["T1", "T2"]
    assert (found.compared, found.start_ms, found.end_ms) == (2, NOW - 300 * MINUTE, None)
    assert found.from_ms == NOW - 360 * MINUTE


def test_when_all_that_it_was_held_against_has_ended_the_window_ends_with_it(lab):
    start, end = NOW - 300 * MINUTE, NOW - 240 * MINUTE
    reads = told_before(lab, change(1, start=start), change(2, "cleared", start=start, end=end))
    found = chart(lab, {"report": "R-1"}, sensor("T1"), evidence=Evidence(records=reads[:1]), seq=3)
    assert (found.start_ms, found.end_ms) == (NOW - 300 * MINUTE, NOW - 240 * MINUTE)
    assert (found.from_ms, found.to_ms) == (NOW - 360 * MINUTE, NOW - 180 * MINUTE)


def test_a_report_that_no_series_speaks_of_has_no_readings(lab):
    found = chart(lab, {"report": "R-1"}, sensor("T1"))
    assert (found.series, found.compared, found.tags_left_out) == ([], 0, 0)
    assert found.start_ms == NOW - 30 * MINUTE


def test_a_firm_that_is_not_registered_has_a_chart_without_series(lab):
    found = chart(lab, {"tag": "T1"})
    assert (found.series, found.missing, found.archived_to_ms) == ([], [], None)


@pytest.mark.parametrize(
    ("interval", "start", "end", "begin_ms", "end_ms"),
    [
        ("60s", NOW - 30 * MINUTE, None, NOW - 90 * MINUTE, NOW + 1),
        ("1s", NOW - 30 * MINUTE, None, NOW - 30 * MINUTE - LEAST_AROUND_MS, NOW + 1),
        ("60s", NOW - 9 * HOUR_MS, NOW - 8 * HOUR_MS, NOW - 10 * HOUR_MS, NOW - 7 * HOUR_MS),
        ("1h", NOW - 9 * HOUR_MS, NOW - 8 * HOUR_MS, NOW - 9 * HOUR_MS - MOST_AROUND_MS, NOW - 2 * HOUR_MS),
        ("60s", NOW - 9 * DAY_MS, None, NOW - LONGEST_MS + 1, NOW + 1),
        ("60s", NOW + HOUR_MS, None, NOW, NOW + HOUR_MS + 1),
    ],
)
def test_the_window_shows_what_was_before_and_after_and_never_more_than_two_days(
    lab, interval, start, end, begin_ms, end_ms
):
    kind = {"start": start} if end is None else {"start": start, "end": end, "kind": "cleared"}
    found = chart(lab, {"tag": "T1"}, sensor("T1", interval=interval), **kind)
    assert (found.from_ms, found.to_ms) == (begin_ms, end_ms)
    assert (found.start_ms, found.end_ms) == (start, end)


def limits(**values):
    return Evidence(
        limits=[LimitUsed(name=n, value=v, unit="Cel", origin="GSP", edition="2013") for n, v in values.items()]
    )


REGISTERED = Sensor.model_validate(sensor("T1", limits={"low": 1, "high": 9}))
BARE = Sensor.model_validate(sensor("T1"))


@pytest.mark.parametrize(
    ("given", "evidence", "rule", "wanted"),
    [
        (REGISTERED, limits(low=2.0, high=8.0), None, [("low", 2.0, "GSP", None), ("high", 8.0, "GSP", None)]),
        (REGISTERED, limits(low=2.0, high=8.0), RULE, [("low", 2.0, "GSP", 2.5), ("high", 8.0, "GSP", 7.5)]),
        (REGISTERED, limits(high=8.0), RULE, [("high", 8.0, "GSP", 7.5)]),
        (REGISTERED, Evidence(), RULE, [("low", 1.0, "register", 1.5), ("high", 9.0, "register", 8.5)]),
        (REGISTERED, Evidence(), RULEBOOK.rule("data-integrity.gap"), [("low", 1.0, "register", None), ("high", 9.0, "register", None)]),
        (BARE, Evidence(), RULE, []),
        (REGISTERED, Evidence(limits=[LimitUsed(name="high", value=5.0, unit="Pa", origin="x")]), None, [("low", 1.0, "register", None), ("high", 9.0, "register", None)]),
        (REGISTERED, Evidence(limits=[LimitUsed(name="rate", value=5.0, unit="Cel", origin="x")]), None, [("low", 1.0, "register", None), ("high", 9.0, "register", None)]),
    ],
)  # fmt: skip
def test_lines_are_the_limits_that_were_used_else_the_registered_ones_and_where_they_clear(
    given, evidence, rule, wanted
):
    assert [(line.name, line.value, line.origin, line.clears_at) for line in _lines(given, evidence, rule)] == wanted


@pytest.mark.parametrize(
    ("quantity", "more", "wanted"),
    [("pressure-difference", {"against": "CR2"}, [("low", 10.0, 11.0)]), ("pressure", {}, [])],
)
def test_limits_of_a_difference_are_no_lines_of_a_pressure(quantity, more, wanted):
    given = Sensor.model_validate(sensor("P1", quantity=quantity, unit="Pa", **more))
    used = Evidence(limits=[LimitUsed(name="low", value=10.0, unit="Pa", origin="cleanroom-pressure")])
    found = _lines(given, used, RULEBOOK.rule("cleanroom.pressure-low"))
    assert [(line.name, line.value, line.clears_at) for line in found] == wanted


def test_the_limit_of_a_mean_is_no_line_of_single_readings():
    given = Sensor.model_validate(
        sensor("P1", quantity="particles-5.0", unit="/m3", sample_m3=0.0283, limits={"high": 9})
    )
    used = Evidence(limits=[LimitUsed(name="high", value=20.0, unit="/m3", origin="cleanroom-particles")])
    assert _lines(given, used, RULEBOOK.rule("cleanroom.a-coarse")) == []
    assert [line.value for line in _lines(given, used, RULEBOOK.rule("cleanroom.b-particles"))] == [20.0]


def test_a_line_names_its_edition():
    (line,) = _lines(BARE, limits(low=2.0), None)
    assert line == Line(name="low", value=2.0, origin="GSP", edition="2013")


def test_readings_come_from_the_archive_with_quality_and_lateness(lab, tmp_path):
    ids = seeds.day(lab)
    seeds.readings(lab, tmp_path / "archive")
    with lab.store.reading() as session:
        row = queries.one(session, ids["CR1.T1"])
    found = chart_of(lab.store, tmp_path / "archive", row, NOW, RULE)
    (series,) = found.series
    assert series.time == sorted(series.time)
    assert found.from_ms <= series.time[0] <= series.time[-1] < found.to_ms
    assert series.rows == len(series.time) == 101
    assert {quality: series.quality.count(quality) for quality in set(series.quality)} == {"good": 98, "fault": 3}
    assert sum(series.late) == 3
    crossed = next(t for t, v in zip(series.time, series.value, strict=True) if v > 8)
    assert abs(crossed - row.start_ms) < 5 * MINUTE
    assert found.archived_to_ms is not None
    assert not any(math.isnan(value) for value in series.value)


def test_a_value_that_the_firm_did_not_send_is_null(lab, tmp_path):
    from tests.monitor.archive.making import Archive
    from tests.monitor.archive.test_archive_readings import batch

    archive = Archive(lab.store, tmp_path / "archive")
    archive.begin(1)
    archive.write(
        0, [batch(0, NOW - 5 * MINUTE, [("T1", NOW - 6 * MINUTE, None, 6), ("T1", NOW - 5 * MINUTE, 4.5, 0)], "A1")]
    )
    found = chart(lab, {"tag": "T1"}, sensor("T1"))
    assert found.series[0].value == [None, 4.5]
    assert found.series[0].quality == ["fault", "good"]


@pytest.mark.parametrize("severity", list(Severity))
def test_the_time_to_respond_is_the_colours_unless_the_rule_has_its_own_for_its_base_colour(severity):
    assert RULEBOOK.respond("no.rule", severity) == RESPOND[severity]
    own = RULEBOOK.respond("cell-storage.oxygen-low", severity)
    assert own == (15 * MINUTE if severity is Severity.RED else RESPOND[severity])
    until = RULEBOOK.respond_by_ms("no.rule", severity, NOW)
    assert until == (NOW + RESPOND[severity] if isinstance(RESPOND[severity], int) else None)


def test_shifts_hold_only_what_differs_from_the_colour():
    assert RULEBOOK.shift("cell-storage.oxygen-low", Severity.RED) == -45 * MINUTE
    assert RULEBOOK.shift("cell-storage.oxygen-silent", Severity.RED) == -45 * MINUTE
    assert RULEBOOK.shift("cell-storage.vapour-high", Severity.YELLOW) == 0, "it has the time of its colour"
    named = {(shift.rule, shift.severity) for shift in RULEBOOK.shifts}
    assert ("cold-chain.store-out", Severity.ORANGE) not in named
    assert all(shift.ms and shift.packs is None for shift in RULEBOOK.shifts)


def test_a_rule_that_is_not_in_the_bundle_is_named_by_its_id():
    book = Rulebook(default_bundle())
    assert book.rule("no.rule") is None
    assert (book.title("no.rule").zh, book.title("no.rule").en) == ("no.rule", "no.rule")
    assert book.title("cold-chain.store-out").en == "Cold room outside its limits"
