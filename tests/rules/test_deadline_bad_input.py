"""Reports and visits that came through another door, that say what cannot be, or that are too many: no clock fails, and nothing is lost."""

from __future__ import annotations

import json
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rules.clocks import book, store
from rules.clocks.book import digest_of
from rules.engine import Engine
from rules.fitting import RULE_FAILED
from rules.instants import LATEST_MS, format_instant
from rules.pack import default_bundle
from rules.records import Inspection, Kind, LogRecord, RegisterRecord, Report, Tick
from rules.register import Facility
from rules.reports.types import TYPES
from tests.examples import examples
from tests.rules.byhand import BEGIN
from tests.rules.clockhand import DAY, EVERYTHING, HOUR, SHIPPED, ClockLog, only, shipped
from tests.rules.deadlinerules import ALONE, variants

DEATH, VISIT, DSUR = shipped("adr-death"), shipped("rectification"), shipped("dsur")
TEST = {one.id: one for one in variants()}
LONG_AGO, FAR = "1970-01-01T00:00:00Z", "2099-12-31T23:59:59.999Z"
FIELDS = {name: dict(known.example) for name, known in TYPES.items()}


def refused(kind, **wrong):
    """Return what the clocks make of a report that its model refuses."""
    log = ClockLog().report(40 * DAY, kind, **FIELDS[kind] | wrong)
    return log.story(SHIPPED, 400 * DAY), log.counts(SHIPPED)


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        ("adr-case", {"known_at": "soon"}),
        ("adr-case", {"known_at": "2026-03-02T10:00:00"}),
        ("adr-case", {"known_at": "1969-12-31T23:59:59Z"}),
        ("adr-case", {"known_at": "2100-06-01T00:00:00Z"}),
        ("adr-case", {"onset": "2026-02-30"}),
        ("adr-case", {"seriousness": "grave"}),
        ("adr-case", {"seriousness": None}),
        ("adr-case", {"case_id": 118}),
        ("adr-case", {"case_id": ""}),
        ("adr-case", {"is_new": "no"}),
        ("adr-case", {"more": 1}),
        ("susar", {"day0": "2026-02-29"}),
        ("susar", {"day0": "2026-13-01"}),
        ("susar", {"day0": 1_767_225_600_000}),
        ("susar", {"fatal_or_life_threatening": 1}),
        ("dsur", {"anniversary": "2026-02-29"}),
        ("annual-report", {"year": "2025"}),
        ("annual-report", {"year": 2025.5}),
        ("annual-report", {"year": 10_000}),
        ("recall-notice", {"class": "1"}),
        ("recall-notice", {"class": 4}),
        ("cosmetic-self-check", {"cases": "K-4"}),
        ("cosmetic-self-check", {"cases": []}),
        ("device-event", {"channel": "fax"}),
        ("rectification", {"plan_date": "2026-04-31"}),
        ("rectification", {"handed_over_at": None}),
    ],
)
def test_a_report_that_its_model_refuses_is_counted_and_nothing_else(kind, wrong):
    assert refused(kind, **wrong) == ([], {"reports": 1, "report_unread": 1})


def test_a_report_of_no_known_type_is_counted_and_nothing_else():
    log = ClockLog().report(DAY, "weather", sky="blue")
    assert log.story(SHIPPED, 40 * DAY) == []
    assert log.counts(SHIPPED) == {"reports": 1, "report_unread": 1}


def test_what_could_not_be_read_was_not_made_and_its_number_is_free():
    """A report that was returned for a fatal error was not made (deadlines.md §0)."""
    log = ClockLog().case(DAY, "soon").case(3 * DAY, 0)
    assert [part[1] for part in log.story(DEATH)] == ["raised", "cleared"]
    assert log.counts(DEATH) == {"reports": 2, "report_unread": 1}


@pytest.mark.parametrize("day", ["0001-01-01", "1969-12-31", "1970-01-01", "1970-01-02"])
def test_a_day_before_the_time_of_the_log_is_no_excuse(day):
    """The front door takes them: the calendar has them, and they lie before `sent`."""
    said = {"trial_id": "T-1", "case_id": "S-1", "fatal_or_life_threatening": True, "follow_up": False}
    log = ClockLog().report(DAY, "susar", day0=day, **said)
    told = log.changes(until=40 * DAY, bundle=shipped("susar-fatal"))
    assert [change.change.value for change in told] == ["raised", "cleared"]
    assert 0 < told[0].start < 10 * 86_400_000


@pytest.mark.parametrize("day", ["2100-06-01", "9999-12-31"])
def test_a_day_behind_the_time_of_the_log_starts_nothing(day):
    """It lies behind `sent`: the front door refuses it, another door may not."""
    said = {"trial_id": "T-1", "case_id": "S-1", "fatal_or_life_threatening": True, "follow_up": False}
    log = ClockLog().report(DAY, "susar", day0=day, **said)
    assert log.story(SHIPPED, 40 * DAY) == []
    log.report(2 * DAY, "susar", revision=2, reason="a slip of the pen", day0="2026-02-01", **said)
    assert [part[1] for part in log.story(SHIPPED, 3 * DAY) if part[3] == "red"] == ["raised", "cleared"]


@pytest.mark.parametrize("kind", sorted(TYPES))
@pytest.mark.parametrize("at", [LONG_AGO, "1970-01-01T00:00:00.001Z", FAR, "2100-01-01T00:00:00Z"])
def test_the_oldest_and_the_newest_instants_that_a_report_can_tell(kind, at):
    """No rule fails, the state can be saved and read again, and the clock goes on to the end of the log's time."""
    dates = {"day0", "anniversary", "as_of", "plan_date", "onset"}
    fields = {
        name: at if name.endswith("_at") or name in {"from", "to"} else at[:10] if name in dates else value
        for name, value in FIELDS[kind].items()
    }
    log = ClockLog(trials=[{"id": "CTR-1", "anniversary": "1970-01-01"}, {"id": "T-2", "anniversary": "2099-11-30"}])
    log.visit(DAY, 1, at, name="V-2026-11", plan_date=at[:10]).report(2 * DAY, kind, **fields)
    engine = Engine(SHIPPED)
    for record in log.records():
        engine.fold(record)
    snapshot = engine.snapshot(0, log.facility)
    again = engine.alone()
    again.restore_partition(0, engine.partition_state(0))
    again.restore(0, log.facility, snapshot)
    assert again.snapshot(0, log.facility) == snapshot
    for rounds in (BEGIN + 366 * 86_400_000, LATEST_MS):
        assert RULE_FAILED not in {change.rule for change in engine.advance(0, rounds)}
    assert engine.state_of(log.facility).clocks.due > LATEST_MS


def test_a_time_that_is_over_behind_the_end_of_all_logs_is_over_at_that_end():
    log = (
        ClockLog()
        .case(DAY, FAR)
        .visit(DAY, 1, 0, plan_date="2099-12-31")
        .case(DAY, "2099-12-30T00:00:00Z", "R-2", case_id="C-2")
    )
    engine = log.engine(SHIPPED)
    assert RULE_FAILED not in {change.rule for change in engine.advance(0, LATEST_MS)}
    dues = {
        clock.due for clock in engine.state_of(log.facility).clocks.of("report-clock.adr-death-investigation").values()
    }
    assert dues == {LATEST_MS + 1}


@pytest.mark.parametrize("code", ["710000", "990000"])
def test_where_no_calendar_holds_working_days_nothing_is_due_and_it_is_counted(code):
    log = ClockLog(jurisdiction=code).visit(HOUR, 1, 0).tick(200 * DAY, "worker")
    assert log.story(VISIT, 400 * DAY) == []
    assert log.counts(VISIT)["clock_unknown"] == 1


def test_a_calendar_that_ends_before_the_deadline_is_never_on_time_and_never_late():
    handed = "2027-12-10T00:00:00+08:00"
    log = ClockLog().visit(660 * DAY, 1, handed)
    log.report(800 * DAY, "rectification", inspection_id="V-1", handed_over_at=handed, actions=["x"])
    assert log.story(VISIT, 900 * DAY) == []
    assert log.counts(VISIT)["clock_unknown"] == 1


def test_an_amendment_of_a_report_that_never_came_starts_no_clock_of_these():
    fields = FIELDS["amendment"]
    log = ClockLog().report(DAY, "amendment", "R-9", 3, reason="wrong", **fields)
    assert log.story(SHIPPED, 40 * DAY) == []
    assert log.counts(SHIPPED) == {"reports": 1}, "no clock reads amendments: nothing is kept of them"


@pytest.mark.parametrize("figure", [10**20, 2**53, -(2**64), 1e300, 1.5])
def test_a_number_that_canonical_json_does_not_take_stops_nothing(figure):
    """RFC 8785 has no whole number of 2^53 and above; a digest is made of it all the same, and the same one each time."""
    figures = FIELDS["annual-report"] | {"figures": {"x": figure}}
    report = Report.model_validate({"type": "annual-report", "id": "R-1", "revision": 1, "sent": 0, "fields": figures})
    assert digest_of(report) == digest_of(report.model_copy())
    log = ClockLog().report(DAY, "annual-report", **figures)
    log.lines.append(log.lines[-1].replace('"offset": 1', '"offset": 2'))
    assert log.counts(SHIPPED) == {"reports": 2, "report_repeated": 1}


def test_a_visit_in_a_log_before_any_register_and_without_a_rule_is_nothing():
    engine = Engine(only())
    said = {"visit": "V-1", "version": 1, "mode": "written", "done_at": 0, "full": False, "findings": {}}
    engine.fold(LogRecord(0, 0, BEGIN, Kind.INSPECTION, "HAND-0001", Inspection.model_validate(said)))
    engine.fold(LogRecord(0, 1, BEGIN, Kind.REPORT, "HAND-0001", ClockLog().case(0, 0).records()[1].payload))
    assert engine.state_of("HAND-0001").clocks.are_nothing


def test_versions_of_a_visit_that_are_not_newer_are_no_ops():
    log = ClockLog().visit(HOUR, 3, 0).visit(2 * HOUR, 3, -40 * DAY).visit(3 * HOUR, 2, -40 * DAY)
    told = log.story(only(TEST["test.visit"]), 3.5 * DAY)
    assert [part[1] for part in told] == ["raised", "stepped"]
    log.visit(4 * DAY - HOUR, 4, -40 * DAY)
    assert "amended" in [part[1] for part in log.story(only(TEST["test.visit"]), 5 * DAY)]


# -- too many --------------------------------------------------------------------------------------------------------
def facility(**facts):
    return Facility.model_validate(
        {"id": "HAND-0001", "name": {"zh": "测", "en": "T"}, "jurisdiction": "110000", "scopes": EVERYTHING, **facts}
    )


def begun(bundle, **facts):
    engine = Engine(bundle)
    engine.fold(
        LogRecord(0, 0, BEGIN, Kind.REGISTER, "HAND-0001", RegisterRecord(version=1, facility=facility(**facts)))
    )
    return engine


def death(number, known=BEGIN, seriousness="death"):
    fields = FIELDS["adr-case"] | {
        "case_id": f"C-{number}",
        "known_at": known,
        "seriousness": seriousness,
        "onset": "2026-01-01",
    }
    return Report.model_validate(
        {"type": "adr-case", "id": f"R-{number}", "revision": 1, "sent": BEGIN, "fields": fields}
    )


def tick(engine, offset, at):
    return engine.fold(LogRecord(0, offset, at, Kind.TICK, "", Tick(by="t", role="worker", now=at)))


@pytest.mark.parametrize("many", [50, pytest.param(20_000, marks=[pytest.mark.slow, pytest.mark.timeout(900)])])
def test_as_many_cases_of_one_facility_as_there_is_room_for_and_a_few_more(many):
    """All that run are kept; what is more is left out and counted; those that are answered make room, oldest first.

    Slow: 20,000 of them, as many as there really is room for.
    """
    assert store.MAX_CLOCKS == book.MAX_REPORTS == 20_000
    with patch.object(store, "MAX_CLOCKS", many), patch.object(book, "MAX_REPORTS", many):
        filled(many)


def filled(many):
    engine = begun(default_bundle())
    for i in range(many + 3):
        engine.fold(LogRecord(0, 1 + i, BEGIN + i, Kind.REPORT, "HAND-0001", death(i)))
    clocks = engine.state_of("HAND-0001").clocks
    assert len(clocks.of("report-clock.adr-death-investigation")) == many
    assert clocks.counts["clock_left_out"] == 3
    assert len(clocks.of("report-clock.adr-death")) == many, "answered, each of them"
    assert clocks.counts["clock_dropped"] == 3 * 3, "of the three that are judged by the case alone"
    assert '{"report": "C-2"}' not in clocks.of("report-clock.adr-death")
    assert len(clocks.book.reports) == many
    assert clocks.counts["report_dropped"] == 3
    changes = tick(engine, many + 9, BEGIN + 17 * 86_400_000)
    assert {change.rule for change in changes} == {"report-clock.adr-death-investigation"}
    assert [change.change.value for change in changes].count("stepped") == many


def test_a_store_that_is_full_of_running_clocks_leaves_out_what_is_new_and_keeps_what_runs():
    with patch.object(store, "MAX_CLOCKS", 3):
        log = ClockLog()
        for i in range(5):
            log.case(HOUR + i, 0, f"R-{i}", case_id=f"C-{i}")
        log.found(2 * HOUR, name="I-0", case_id="C-1")
        log.case(3 * HOUR, 0, "R-9", case_id="C-9")
        bundle = shipped("adr-death-investigation")
        assert log.counts(bundle)["clock_left_out"] == 2
        assert log.counts(bundle)["clock_dropped"] == 1
        told = [part[2] for part in log.story(bundle, 30 * DAY) if part[1] == "stepped"]
        assert told == ["C-0", "C-2", "C-9"]


def test_an_alarm_that_stands_is_never_dropped_for_a_new_case():
    with patch.object(store, "MAX_CLOCKS", 2):
        log = ClockLog().case(HOUR, 0).case(20 * DAY, 0, "R-2", case_id="C-2", seriousness="other")
        log.case(21 * DAY, "2026-03-22T00:00:00+08:00", "R-3", case_id="C-3").found(22 * DAY)
        told = log.story(shipped("adr-death-investigation"), 23 * DAY)
        assert [part[1:3] for part in told] == [("raised", "C-1"), ("stepped", "C-1"), ("cleared", "C-1")]


def test_a_case_that_is_put_off_again_and_again_does_not_fill_the_memory():
    """Each revision says an earlier start, decades ahead: the entries of before are stale."""
    engine = begun(only(TEST["test.await"]))
    for i in range(1, 500):
        report = death(1, LATEST_MS - 90_000_000 * i).model_copy(update={"revision": i, "reason": "x"})
        engine.fold(LogRecord(0, i, BEGIN + i, Kind.REPORT, "HAND-0001", report))
    clocks = engine.state_of("HAND-0001").clocks
    assert len(clocks._heap) <= 2 + store.SPARE
    ((_, entries),) = clocks.book.pack()
    assert len(entries) <= 12 * 32


def test_a_revision_below_all_that_are_remembered_counts_as_one_that_came():
    engine = begun(shipped("recall-progress"))
    notice = {
        "line": "drug",
        "class": 1,
        "decided_at": BEGIN,
        "notified_at": BEGIN,
        "lots": [{"lot": "L", "shipped": 1}],
    }
    said = {"type": "recall-notice", "id": "N", "sent": BEGIN, "reason": "x", "fields": notice | {"recall_id": "R-1"}}
    for i, revision in enumerate([*range(2, 40), 1], 1):
        report = Report.model_validate(said | {"revision": revision})
        engine.fold(LogRecord(0, i, BEGIN + i, Kind.REPORT, "HAND-0001", report))
    counts = engine.state_of("HAND-0001").clocks.counts
    assert (counts["reports"], counts["report_repeated"]) == (39, 1)


def test_a_self_check_that_names_a_thousand_cases_answers_each_once():
    cases = [f"K-{i % 997}" for i in range(1000)]
    log = ClockLog().report(
        DAY, "cosmetic-self-check", **FIELDS["cosmetic-self-check"] | {"cases": cases, "known_at": 0}
    )
    engine = log.engine(SHIPPED)
    assert len(engine.state_of(log.facility).clocks.of("report-clock.cosmetic-self-check")) == 997


def test_a_thousand_trials_of_one_day_are_told_once_each_and_the_next_year_is_asked_for():
    trials = [{"id": f"T-{i:03d}", "anniversary": "2024-03-10"} for i in range(1000)]
    engine = begun(DSUR, trials=trials)
    changes = tick(engine, 1, BEGIN + 72 * 86_400_000)
    assert len(changes) == 2000
    assert [c.subject["report"] for c in changes[1000:]] == [f"T-{i:03d}+2026-03-10" for i in range(1000)]
    assert len(engine.state_of("HAND-0001").clocks.of("report-clock.dsur")) == 2000


# -- anything at all -------------------------------------------------------------------------------------------------
ODD = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=8),
    st.sampled_from([LONG_AGO, FAR, "2026-02-29", "0001-01-01", "9999-12-31", "C-1", 1, "1"]),
    st.lists(st.text(max_size=3), max_size=3), st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)  # fmt: skip


@st.composite
def posts(draw):
    """Draw reports of which some members are anything; those that are no record of a log are left out."""
    found = []
    for i in range(draw(st.integers(1, 6))):
        kind = draw(st.sampled_from(sorted(TYPES)))
        fields = dict(FIELDS[kind])
        for name in draw(st.lists(st.sampled_from(sorted(fields)), max_size=2)):
            fields[name] = draw(ODD)
        said = {
            "type": kind,
            "id": f"R-{draw(st.integers(1, 2))}",
            "revision": draw(st.integers(1, 3)),
            "sent": BEGIN + i,
        }
        try:
            found.append(Report.model_validate(said | {"reason": draw(st.sampled_from([None, "x"])), "fields": fields}))
        except ValueError:
            continue
    return found


@given(posts())
@settings(max_examples=examples(150), deadline=None, suppress_health_check=list(HealthCheck))
def test_whatever_a_report_holds_no_clock_fails_and_the_state_can_be_read_again(reports):
    bundle = ALONE
    engine = begun(bundle, trials=[{"id": "CTR-1", "anniversary": "2024-02-01"}])
    changes = []
    for i, report in enumerate(reports, 1):
        changes += engine.fold(LogRecord(0, i, BEGIN + i * 86_400_000, Kind.REPORT, "HAND-0001", report))
    snapshot = engine.snapshot(0, "HAND-0001")
    again = engine.alone()
    again.restore_partition(0, engine.partition_state(0))
    again.restore(0, "HAND-0001", snapshot)
    assert again.snapshot(0, "HAND-0001") == snapshot
    changes += engine.advance(0, BEGIN + 800 * 86_400_000)
    assert RULE_FAILED not in {change.rule for change in changes}
    json.dumps([change.to_json() for change in changes])


def test_instants_are_written_as_records_write_them():
    assert (format_instant(0), format_instant(LATEST_MS)) == ("1970-01-01T00:00:00.000Z", "2100-01-01T00:00:00.000Z")
