"""`offsite figures --log` as a user runs it: figures of a log at an instant, as lines and as JSON, and exit codes."""

from __future__ import annotations

import io
import json
import sys
from unittest.mock import patch

import pytest

from monitor.cli import main
from rules.instants import format_instant
from streams.jsonlines import format_line
from tests.rules.duelogs import BEGIN, DAY, HOUR
from tests.rules.figurelogs import LAB, MAKER, PRODUCTS, FigureLog, risk


def story():
    """Return a log of a laboratory and a maker of grade C: two samples, one fails; a visit; a step that is signed."""
    log = FigureLog(LAB)
    log.name = MAKER
    log.register(0, products=PRODUCTS, risk=risk("C")).visit(HOUR, done_at=HOUR).disabled(2 * HOUR)
    log.name = LAB
    log.sample(3 * HOUR, "S-1").sample(4 * HOUR, "S-2", passed=False)
    log.name = MAKER
    return log.decided(5 * HOUR)


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"".join(format_line(record) + b"\n" for record in story().records))
    return path


@pytest.fixture
def offsite(capsys):
    def run(*arguments):
        code = 0
        try:
            main(["figures", *map(str, arguments)])
        except SystemExit as stop:
            code = int(stop.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return run


def at(ms):
    return "--at", format_instant(ms)


def test_figures_of_a_log(offsite, log):
    code, out, err = offsite("--log", log, "--json", *at(BEGIN + DAY))
    assert (code, err) == (0, "")
    told = json.loads(out)
    assert (told["at"], told["facilities"], told["left_out"]) == (format_instant(BEGIN + DAY), 2, [])
    assert told["grades"] == {"A": 0, "B": 0, "C": 1, "D": 0, "none": 1}
    month = told["sampling"][0]
    assert {key: month[key] for key in ("period", "line", "samples", "passed", "unretested", "percent", "missed")} == {
        "period": "2026-03", "line": "drug", "samples": 2, "passed": 1, "unretested": 1, "percent": 50.0, "missed": True,
    }  # fmt: skip
    assert told["years"][0]["all"]["C"] == {"facilities": 1, "visited": 1, "percent": 100.0}
    assert told["years"][0]["steps"] == {"proposed": 1, "open": 0, "signed": 1, "refused": 0, "withdrawn": 0}


def test_what_is_received_later_is_left_out(offsite, log):
    told = json.loads(offsite("--log", log, "--json", *at(BEGIN + 3 * HOUR))[1])
    assert (told["sampling"][0]["samples"], told["years"][0]["steps"]["open"]) == (1, 1)
    assert json.loads(offsite("--log", log, "--json")[1])["at"] == format_instant(BEGIN + 5 * HOUR)


def test_an_instant_ahead_is_another_period_and_judges_what_is_over(offsite, log):
    told = json.loads(offsite("--log", log, "--json", *at(BEGIN + 300 * DAY))[1])
    assert (told["sampling"][0]["period"], told["sampling"][0]["percent"]) == ("2026-12", None)
    assert [one["target"] for one in told["years"][0]["judged"]] == ["b-share-step"]


def test_lines_for_people(offsite, log):
    code, out, _ = offsite("--log", log, *at(BEGIN + DAY))
    lines = out.splitlines()
    assert code == 0
    assert lines[0] == "facilities by risk grade: A:0 B:0 C:1 D:0 none:1"
    assert lines[1].startswith(
        "2026-03 * drug       50.00 % 1/2, 1 failed without a re-test  yellow: below 99 % (verify: Half-year"
    )
    assert lines[2] == "2026-02   drug           no samples"
    assert "2026* grade C visited: 100.00 % 1/1" in lines
    assert "2026* steps of the grade: proposed:1 open:0 signed:1 refused:0 withdrawn:0" in lines
    assert lines[-1] == f"as of {format_instant(BEGIN + DAY)}"


def test_a_share_that_is_missed_is_said(offsite, tmp_path):
    records = FigureLog("BJ-TRI-0001", risk=risk("B"), scopes=[{"field": "clinical-trials", "line": "drug"}]).records
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"".join(format_line(record) + b"\n" for record in records))
    out = offsite("--log", path, *at(BEGIN + 400 * DAY))[1]
    assert (
        "2026  trial institutions of grade B visited before 2026-09-30T16:00:00.000Z: 0.00 % 0/1  blue: below 50 % (own"
        in out
    )
    assert (
        "2026  trial institutions of grade B visited before 2026-12-31T16:00:00.000Z: 0.00 % 0/1  yellow: below 70 % (cited"
        in out
    )


def test_it_reads_standard_input(offsite, log):
    given = io.TextIOWrapper(io.BytesIO(log.read_bytes()))
    with patch.object(sys, "stdin", given):
        code, out, _ = offsite("--log", "-", "--json")
    assert (code, json.loads(out)["facilities"]) == (0, 2)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(("--at", "yesterday", "--log", "x"), 2), (("--ignore-pack-records",), 2), (("--log", "nothing.jsonl"), 3)],
)
def test_exit_codes(offsite, arguments, code):
    found, out, err = offsite(*arguments)
    assert (found, out) == (code, "")
    assert err
