"""Which legal clocks run, by hand: what is due when, what holds of it at an instant, and the same out of a snapshot alone."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from unittest.mock import patch

import msgspec
import pytest

from rules.clocks import sums
from rules.clocks.listing import DueState, Running, asked, listing, rows
from rules.clocks.listing import running as listing_running
from rules.clocks.peek import peek
from rules.engine import Engine
from rules.instants import format_local, parse_instant
from rules.pack import Bundle
from rules.register import ZONE, Facility
from rules.snapshot import MAGIC, SnapshotError, open_snapshot, sealed
from tests.rules.duelogs import BEGIN, CLOCKS, DAY, FIRM, HOUR, DueLog, firm

INVESTIGATION, RECTIFICATION = "report-clock.adr-death-investigation", "report-clock.rectification"
GOLDEN = Path(__file__).parents[1] / "streams" / "golden"


def listed(log, bundle=CLOCKS):
    return listing(log.engine().state_of(log.name), bundle)


def of(found, rule):
    return [row for row in found if row.rule == rule]


def told(row, at):
    held = row.at(at)
    return held.state.value, None if held.severity is None else held.severity.value, held.words.en, held.words.zh


def local(ms):
    return format_local(ms, ZONE)[:19]


class TestOneClock:
    @pytest.fixture
    def row(self):
        (row,) = of(listed(DueLog().death(10 * HOUR)), INVESTIGATION)
        return row

    def test_it_says_what_is_awaited_since_when_and_until_when(self, row):
        assert (row.facility, row.subject, row.report, row.time) == (
            FIRM,
            {"report": "C-1"},
            "adr-death-investigation",
            "15d",
        )
        assert row.start == BEGIN + 10 * HOUR
        assert local(row.due) == "2026-03-17 00:00:00"
        assert local(row.reminder) == "2026-03-13 21:12:00"  # 80 % of the 374 hours from the start
        assert [record.id for record in row.documents] == ["R-1/1"]
        assert (row.verify, row.planned, row.alarm, row.stage) == ([], False, None, "live")
        assert row.title.zh == "死亡病例调查报告逾期"

    def test_before_the_reminder_it_is_due(self, row):
        assert told(row, row.start) == ("due", None, "15 d 14 h left", "剩余15天14小时")
        assert told(row, row.reminder - 1)[:2] == ("due", None)

    def test_from_the_reminder_to_the_last_instant_it_is_soon_due(self, row):
        assert told(row, row.reminder)[:2] == ("soon", "blue")
        assert told(row, row.due - 90 * 60_000) == ("soon", "blue", "1 h 30 min left", "剩余1小时30分")
        assert told(row, row.due) == ("soon", "blue", "0 s left", "剩余0秒")

    def test_a_millisecond_behind_it_is_late(self, row):
        assert told(row, row.due + 1) == ("late", "red", "1 s overdue", "逾期1秒")
        assert told(row, row.due + 2 * DAY + HOUR) == ("late", "red", "2 d 1 h overdue", "逾期2天1小时")

    def test_it_says_how_long_there_is(self, row):
        assert [row.at(row.due + by).left for by in (-5, 0, 5)] == [5, 0, -5]

    def test_it_is_read_again_as_it_was_written(self, row):
        assert Running.model_validate_json(row.model_dump_json()) == row


def test_the_alarm_that_stands_is_named():
    log = DueLog().death(10 * HOUR)
    engine = log.engine()
    assert listing(engine.state_of(FIRM), CLOCKS)[0].alarm is None
    (raised,) = engine.advance(0, BEGIN + 14 * DAY)
    assert [row.alarm for row in listing(engine.state_of(FIRM), CLOCKS)] == [raised.alarm]
    (stepped,) = engine.advance(0, BEGIN + 17 * DAY)
    (row,) = listing(engine.state_of(FIRM), CLOCKS)
    assert (row.alarm, stepped.alarm, row.at(BEGIN + 17 * DAY).severity) == (
        raised.alarm,
        raised.alarm,
        stepped.severity,
    )


def test_what_was_answered_is_listed_no_more_early_or_late():
    assert listed(DueLog().death(10 * HOUR).investigation(9 * DAY)) == []
    assert listed(DueLog().death(10 * HOUR).investigation(40 * DAY)) == []


def test_a_case_that_by_its_newest_revision_owes_nothing_is_not_listed():
    log = DueLog().death(HOUR, id="R-A")
    log.death(DAY, id="R-A", revision=2, reason="another patient", fields={"known_at": HOUR, "seriousness": "serious"})
    assert of(listed(log), INVESTIGATION) == []


def test_the_earliest_start_of_two_reports_counts_and_both_are_named():
    log = DueLog().death(3 * DAY).death(4 * DAY, fields={"known_at": DAY})
    (row,) = of(listed(log), INVESTIGATION)
    assert (row.start, local(row.due)) == (BEGIN + DAY, "2026-03-18 00:00:00")
    assert [record.id for record in row.documents] == ["R-1/1", "R-2/1"]


class TestWorkingDays:
    def test_a_year_that_nobody_has_confirmed_is_marked(self):
        (row,) = listed(DueLog().visit(20 * HOUR, handed_over_at=10 * HOUR))
        assert (row.rule, row.time, row.subject) == (RECTIFICATION, "20wd", {"report": "V-1"})
        assert row.verify == ["calendar", "citation"]
        assert local(row.due) == "2026-03-28 00:00:00"

    def test_beyond_the_calendar_nothing_is_known_and_it_stands_last(self):
        log = DueLog(begin=parse_instant("2027-12-10T00:00:00+08:00"))
        log.visit(20 * HOUR, handed_over_at=10 * HOUR).death(21 * HOUR)
        death, row = listed(log)
        assert (death.rule, row.rule) == (INVESTIGATION, RECTIFICATION)
        assert (row.due, row.reminder, row.colours, row.verify) == (None, None, [], ["citation"])
        held = row.at(log.begin + 400 * DAY)
        assert held == (DueState.UNKNOWN, None, None, held.words)
        assert (held.words.en, held.words.zh) == ("the calendar of working days does not reach", "工作日历未覆盖")

    def test_where_no_calendar_covers_the_jurisdiction_nothing_is_known(self):
        (row,) = listed(DueLog(jurisdiction="810000").visit(20 * HOUR, handed_over_at=10 * HOUR))
        assert row.due is None

    def test_an_approved_plan_puts_another_day_in_place(self):
        log = DueLog().visit(20 * HOUR, handed_over_at=10 * HOUR)
        log.visit(5 * DAY, version=2, handed_over_at=10 * HOUR, plan_date="2026-05-31")
        (row,) = listed(log)
        assert (row.planned, local(row.due)) == (True, "2026-06-01 00:00:00")


class TestTheRegistersClocks:
    def test_a_trial_owes_its_yearly_report_before_its_anniversary_has_come(self):
        (row,) = listed(DueLog(trials=[{"id": "T-1", "anniversary": "2024-03-10"}]))
        assert (row.subject, row.report, local(row.start)) == (
            {"report": "T-1+2026-03-10"},
            "dsur",
            "2026-03-10 00:00:00",
        )
        assert (local(row.due), row.documents) == ("2026-05-11 00:00:00", [])

    def test_a_holder_owes_a_report_of_the_year_whose_colour_grows(self):
        licences = [{"number": "N-1", "kind": "drug-mah", "from": "2020-01-01"}]
        (row,) = listed(DueLog(begin=parse_instant("2025-12-30T00:00:00+08:00"), licences=licences))
        assert (row.subject, local(row.due)) == ({"report": "annual-report+2025"}, "2026-05-01 00:00:00")
        seen = [(local(one.since), one.severity.value) for one in row.colours]
        assert seen == [
            ("2026-04-01 00:00:00", "blue"), ("2026-05-01 00:00:00", "yellow"), ("2026-06-02 00:00:00", "orange"),
        ]  # fmt: skip
        late = row.colours[2].since
        assert [row.at(at).severity.value for at in (row.due, row.due + 1, late - 1, late)] == [
            "blue",
            "yellow",
            "yellow",
            "orange",
        ]

    def test_who_has_neither_owes_neither(self):
        assert listed(DueLog()) == []


def test_a_recall_owes_the_next_report_until_its_last():
    log = DueLog()
    fields = {"recall_id": "C-1", "line": "drug", "class": 1, "decided_at": 0, "notified_at": HOUR}
    log.report(2 * HOUR, "recall-notice", fields | {"lots": [{"lot": "L", "shipped": 5}]})
    (row,) = listed(log)
    assert (row.report, row.start, local(row.due), row.reminder) == (
        "recall-progress", BEGIN + 2 * HOUR, "2026-03-03 00:00:00", None,
    )  # fmt: skip
    assert [row.at(at).state for at in (row.due, row.due + 1)] == ["due", "late"]  # no reminder: it is never soon due
    totals = [{"lot": "L", "shipped": 5, "returned": 1, "destroyed": 0}]
    log.report(30 * HOUR, "recall-progress", {"recall_id": "C-1", "seq": 1, "as_of": "2026-03-01", "totals": totals})
    (row,) = listed(log)
    assert (row.start, local(row.due)) == (BEGIN + 30 * HOUR, "2026-03-04 00:00:00")


def test_a_door_that_was_closed_over_the_last_instant_moves_it_to_its_opening():
    log = DueLog().death(10 * HOUR)
    log.tick(15 * DAY + 23 * HOUR).tick(16 * DAY + 2 * HOUR)
    (row,) = listed(log)
    assert local(row.due) == "2026-03-17 02:00:00"


def test_by_due_instant_then_by_rule_and_case():
    log = DueLog().death(10 * HOUR, "C-2").death(11 * HOUR, "C-1").visit(12 * HOUR, handed_over_at=10 * HOUR)
    assert [(row.rule, row.subject["report"]) for row in listed(log)] == [
        (INVESTIGATION, "C-1"), (INVESTIGATION, "C-2"), (RECTIFICATION, "V-1"),
    ]  # fmt: skip


def test_of_a_firm_that_was_never_registered_nothing_is_due():
    log = DueLog()
    log.records = []
    assert listed(log.death(10 * HOUR)) == []


def test_a_rule_in_draft_and_one_that_the_packs_have_no_more_list_nothing():
    log = DueLog().death(10 * HOUR)
    engine = log.engine()
    rule = CLOCKS.rule(INVESTIGATION)
    assert asked(firm(), Bundle.of([rule.model_copy(update={"stage": "draft"})], [])) == ((), None)
    assert [one.id for one in asked(firm(), CLOCKS.only({INVESTIGATION}))[0]] == [INVESTIGATION]
    assert rows(FIRM, listing_running(engine.state_of(FIRM).clocks), [CLOCKS.rule(RECTIFICATION)], None, []) == []


def test_a_rule_that_is_put_aside_keeps_no_clock():
    log = DueLog().death(10 * HOUR)
    engine = log.engine()
    log.death(11 * HOUR, "C-2")
    with patch.object(sums, "facts_of", side_effect=ZeroDivisionError):
        engine.fold(log.records[-1])
    log.death(12 * HOUR, "C-3")
    engine.fold(log.records[-1])
    assert of(listing(engine.state_of(FIRM), CLOCKS), INVESTIGATION) == []
    assert INVESTIGATION in peek(engine.snapshot(0, FIRM)).muted()


class TestASnapshotAlone:
    def test_it_lists_the_same(self):
        log = DueLog(trials=[{"id": "T-1", "anniversary": "2024-03-10"}])
        log.death(10 * HOUR).death(11 * HOUR, "C-2").investigation(12 * HOUR, "C-2")
        log.visit(12 * HOUR, handed_over_at=10 * HOUR).tick(15 * DAY + 23 * HOUR).tick(16 * DAY + 2 * HOUR)
        engine = log.engine()
        seen = peek(engine.snapshot(0, FIRM))
        clocks, closed = seen.clocks()
        mine, days = asked(Facility.model_validate_json(seen.register), CLOCKS)
        assert rows(seen.facility, clocks, mine, days, closed) == listing(engine.state_of(FIRM), CLOCKS) != []
        assert (seen.packs, seen.muted()) == (CLOCKS.sha256, frozenset())

    def test_what_nothing_was_reported_to_has_no_clocks(self):
        engine = Engine(CLOCKS)
        engine.fold(DueLog().records[0])
        seen = peek(engine.snapshot(0, FIRM))
        assert (seen.clocks(), seen.muted()) == (([], []), frozenset())

    def test_its_digest_is_of_what_clocks_are_listed_from(self):
        log = DueLog().death(10 * HOUR)
        engine = log.engine()
        first = peek(engine.snapshot(0, FIRM)).digest
        engine.fold(log.tick(12 * HOUR).records[-1])
        assert peek(engine.snapshot(0, FIRM)).digest == first
        engine.fold(log.death(13 * HOUR, "C-2").records[-1])
        assert peek(engine.snapshot(0, FIRM)).digest != first

    @pytest.mark.parametrize("version", [2, 3])
    def test_of_an_older_format_nothing_is_listed(self, version):
        lines = (GOLDEN / f"format-{version}.state.jsonl").read_text(encoding="utf-8").splitlines()
        values = {row["key"]: base64.b64decode(row["value"]) for row in map(json.loads, lines)}
        seen = peek(values["OLD-0001"])
        assert (seen.facility, seen.clocks(), seen.muted()) == ("OLD-0001", ([], []), frozenset())

    def test_foreign_bytes_and_unknown_formats_are_refused(self):
        good = DueLog().death(10 * HOUR).engine().snapshot(0, FIRM)
        body, _ = open_snapshot(good)
        newer = sealed(msgspec.structs.replace(body, format=99))
        for bad in (b"", b"nonsense" * 9, good[:-1], MAGIC + good[5:], newer):
            with pytest.raises(SnapshotError):
                peek(bad)

    def test_clocks_that_are_none_are_refused_when_they_are_read(self):
        body, _ = open_snapshot(DueLog().death(10 * HOUR).engine().snapshot(0, FIRM))
        seen = peek(sealed(msgspec.structs.replace(body, clocks=(0, [], [], "none", []), aside=[("r", "none")])))
        with pytest.raises(SnapshotError, match="clocks of BJ-DUE-0001"):
            seen.clocks()
        with pytest.raises(SnapshotError, match="put aside at BJ-DUE-0001"):
            seen.muted()
