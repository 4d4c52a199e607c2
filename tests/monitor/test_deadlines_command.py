"""`offsite deadlines --log` as a user runs it: what runs at an instant of a log, ahead of its end, and exit codes."""

from __future__ import annotations

import io
import json
import sys
from unittest.mock import patch

import pytest

from monitor.cli import main
from rules.clocks import sums
from rules.clocks.ofalog import due_of_log
from rules.evaluate import evaluate, survey
from rules.instants import format_instant
from rules.pack import default_bundle
from streams.jsonlines import format_line
from tests.rules.duelogs import BEGIN, DAY, FIRM, HOUR, DueLog, firm

INVESTIGATION = "report-clock.adr-death-investigation"
DUE = BEGIN + 16 * DAY
OTHER = "BJ-DUE-0002"


def write(path, records):
    path.write_bytes(b"".join(format_line(record) + b"\n" for record in records))
    return path


def story():
    return DueLog().death(10 * HOUR).visit(12 * HOUR, handed_over_at=10 * HOUR).investigation(20 * DAY).records


@pytest.fixture
def log(tmp_path):
    return write(tmp_path / "log.jsonl", story())


@pytest.fixture
def offsite(capsys):
    def run(*arguments):
        code = 0
        try:
            main(["deadlines", *map(str, arguments)])
        except SystemExit as stop:
            code = int(stop.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return run


def at(ms):
    return "--at", format_instant(ms)


def rows(found):
    return [(row["rule"].partition(".")[2], row["state"], row["severity"]) for row in json.loads(found)["deadlines"]]


def test_what_runs_at_an_instant_is_listed_by_due_instant(offsite, log):
    code, out, err = offsite("--log", log, "--json", *at(BEGIN + DAY))
    assert (code, err) == (0, "")
    told = json.loads(out)
    assert (told["at"], told["aside"], told["left_out"]) == ("2026-03-01T16:00:00.000Z", [], [])
    first, second = told["deadlines"]
    assert first == {
        "facility": FIRM, "rule": INVESTIGATION, "version": "1.0.0", "stage": "live",
        "title": {"zh": "死亡病例调查报告逾期", "en": "Investigation of a death not reported in time"},
        "subject": {"report": "C-1"}, "report": "adr-death-investigation",
        "report_title": {"zh": "死亡病例调查报告", "en": "Investigation of a death"},
        "start": "2026-03-01T02:00:00.000Z", "due": "2026-03-16T16:00:00.000Z", "reminder": "2026-03-13T13:12:00.000Z",
        "state": "due", "severity": None, "time": "15d", "left_ms": 15 * DAY, "left": {"zh": "剩余15天", "en": "15 d left"},
        "planned": False, "verify": [], "documents": [{"kind": "report", "id": "R-1/1"}], "alarm": None,
    }  # fmt: skip
    assert (second["rule"], second["verify"]) == ("report-clock.rectification", ["calendar", "citation"])


def test_what_is_received_later_is_left_out(offsite, log):
    assert rows(offsite("--log", log, "--json", *at(BEGIN + 9 * HOUR))[1]) == []
    assert rows(offsite("--log", log, "--json", *at(DUE))[1])[0] == ("adr-death-investigation", "soon", "blue")
    assert rows(offsite("--log", log, "--json", *at(DUE + 1))[1])[0] == ("adr-death-investigation", "late", "red")
    assert rows(offsite("--log", log, "--json")[1]) == [
        ("rectification", "due", None)
    ]  # the report came on the last day


def test_ahead_of_the_log_it_says_what_will_be_late_if_nothing_comes(offsite, tmp_path):
    records = DueLog(trials=[{"id": "T-1", "anniversary": "2024-03-10"}]).death(10 * HOUR).records
    path = write(tmp_path / "log.jsonl", records)
    _, out, _ = offsite("--log", path, "--json", *at(BEGIN + 500 * DAY))
    found = json.loads(out)["deadlines"]
    raised = {change.alarm: change for change in evaluate(records, default_bundle(), until_ms=BEGIN + 500 * DAY)}
    late = [row for row in found if row["state"] == "late"]
    assert [(row["rule"], row["subject"]["report"]) for row in late] == [
        (INVESTIGATION, "C-1"), ("report-clock.dsur", "T-1+2026-03-10"),
        ("report-clock.dsur", "T-1+2027-03-10"),
    ]  # fmt: skip
    assert {row["alarm"]: row["due"] for row in late} == {
        name: format_instant(one.start) for name, one in raised.items()
    }
    assert [row["subject"]["report"] for row in found if row["state"] == "due"] == ["T-1+2028-03-10"]


def test_the_packs_and_the_register_may_come_beside_the_log(offsite, tmp_path):
    records = DueLog().death(10 * HOUR).records[1:]  # the register record is missing
    path = write(tmp_path / "log.jsonl", records)
    assert rows(offsite("--log", path, "--json")[1]) == []
    facts = firm().model_dump(mode="json", by_alias=True, exclude_none=True)
    register = tmp_path / "register.json"
    register.write_text(json.dumps({"facilities": [facts]}), encoding="utf-8")
    found = offsite("--log", path, "--register", register, "--pack", "default", "--ignore-pack-records", "--json")
    assert rows(found[1]) == [("adr-death-investigation", "due", None)]
    packs = tmp_path / "packs"
    packs.mkdir()
    assert offsite("--log", path, "--register", register, "--pack", packs)[0] == 3


def test_a_registered_fact_is_not_folded_before_its_time():
    log = DueLog(trials=[{"id": "T-1", "anniversary": "2024-03-10"}])
    records = log.death(10 * HOUR).records[1:]
    facts = [log.records[0].payload.facility]
    told = [
        len(due_of_log(records, default_bundle(), register=facts, surveyed=survey(records), at=instant).rows)
        for instant in (BEGIN + 10 * HOUR - 1, BEGIN + 10 * HOUR)
    ]
    assert told == [0, 2]


def test_one_facility_of_several(offsite, tmp_path):
    other = DueLog(OTHER, partition=1).death(5 * HOUR, "C-9").records
    path = write(tmp_path / "log.jsonl", [*story()[:2], *other])
    everybody = json.loads(offsite("--log", path, "--json")[1])
    assert everybody["at"] == format_instant(BEGIN + 10 * HOUR)  # where the last of the partitions ends
    assert [row["facility"] for row in everybody["deadlines"]] == [FIRM, OTHER]
    alone = json.loads(offsite("--log", path, "--json", "--facility", OTHER)[1])
    assert alone == everybody | {"deadlines": everybody["deadlines"][1:]}


@pytest.mark.parametrize(
    ("lang", "words"),
    [
        ("zh", "死亡病例调查报告 (15d), 剩余1小时"),
        ("en", "Investigation of a death (15d), 1 h left"),
        ("both", "死亡病例调查报告 / Investigation of a death (15d), 剩余1小时 / 1 h left"),
    ],
)
def test_a_line_for_people(offsite, log, lang, words):
    code, out, err = offsite("--log", log, "--lang", lang, *at(DUE - HOUR))
    assert (code, err) == (0, "")
    first, second, last = out.splitlines()
    begins, _, alarm = first.partition(" alarm ")
    assert begins == f"2026-03-17 00:00:00 soon    blue   {FIRM} C-1: {words}"
    assert len(alarm) == 32
    assert second.endswith(" verify: calendar, citation")
    assert last == "2 clocks run, as of 2026-03-16 23:00:00"


def test_where_the_calendar_does_not_reach_no_instant_is_shown(offsite, tmp_path):
    log = DueLog(begin=BEGIN + 650 * DAY).visit(HOUR, handed_over_at=0)
    path = write(tmp_path / "log.jsonl", log.records)
    _, out, _ = offsite("--log", path, "--lang", "en")
    assert out.startswith(
        f"------------------- unknown        {FIRM} V-1: Rectification after an inspection (20wd), the calendar"
    )


def test_a_rule_that_raised_is_told_beside_the_list(offsite, tmp_path):
    path = write(tmp_path / "log.jsonl", DueLog().death(10 * HOUR).records)
    with patch.object(sums, "facts_of", side_effect=ZeroDivisionError):
        code, out, err = offsite("--log", path)
        told = json.loads(offsite("--log", path, "--json")[1])
    assert (code, out) == (0, "0 clocks run, as of 2026-03-01 10:00:00\n")
    assert f"{FIRM}: {INVESTIGATION} raised and is put aside: its clocks are not known" in err
    assert {"facility": FIRM, "rule": INVESTIGATION} in told["aside"]


def test_the_log_can_come_from_standard_input(offsite, log, monkeypatch):
    expected = offsite("--log", log, *at(DUE))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(log.read_bytes())))
    assert offsite("--log", "-", *at(DUE)) == expected


def test_every_fault_of_a_bad_log_is_told_and_nothing_is_printed(offsite, log, tmp_path):
    with log.open("ab") as file:
        file.write(b'{"no": "record"}\n{"neither": 1}\n')
    code, out, err = offsite("--log", log, *at(BEGIN))
    assert (code, out) == (3, "")
    assert err.count("log.jsonl:5") + err.count("log.jsonl:6") >= 2
    assert offsite("--log", tmp_path / "none.jsonl")[0] == 3


@pytest.mark.parametrize(
    "arguments",
    [
        ["--log", "x", "--at", "yesterday"],
        ["--log", "x", "--facility", "no id"],
        ["--register", "x"],
        ["--ignore-pack-records"],
        ["--log", "x", "--lang", "fr"],
    ],
)
def test_usage_errors_end_with_2(offsite, arguments):
    code, out, _ = offsite(*arguments)
    assert (code, out) == (2, "")
