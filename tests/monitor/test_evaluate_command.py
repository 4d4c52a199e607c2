"""`offsite evaluate` as a user runs it: canonical lines, nothing on stdout with bad input, exit codes."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from monitor.cli import main
from rules.alarms import fold_alarms
from rules.canonical import canonical_bytes
from rules.evaluate import evaluate
from rules.instants import format_instant
from rules.pack import SHIPPED, default_bundle
from rules.records import SEMANTICS
from streams.jsonlines import format_line
from tests.coldlog import BEGIN, MINUTE, cold_store, excursion

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from rules.records import LogRecord

UNTIL = format_instant(BEGIN + 300 * MINUTE)


def write(path: Path, records: Iterable[LogRecord]) -> Path:
    path.write_bytes(b"".join(format_line(record) + b"\n" for record in records))
    return path


def written_register(path: Path) -> Path:
    facility = cold_store().model_dump(mode="json", by_alias=True, exclude_none=True)
    path.write_text(json.dumps({"facilities": [facility]}), encoding="utf-8")
    return path


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return write(tmp_path / "log.jsonl", excursion().records)


class Offsite:
    """Runs the command line in this process."""

    def __init__(self, capture: pytest.CaptureFixture[bytes]) -> None:
        self._capture = capture

    def evaluate(self, *arguments: object) -> tuple[int, bytes, str]:
        """Return exit code, stdout and stderr."""
        code = 0
        try:
            main(["evaluate", *map(str, arguments)])
        except SystemExit as stop:
            code = int(stop.code or 0)
        out, err = self._capture.readouterr()
        return code, out, err.decode()


@pytest.fixture
def offsite(capsysbinary: pytest.CaptureFixture[bytes]) -> Offsite:
    return Offsite(capsysbinary)


def test_changes_are_printed_as_canonical_lines_without_source(offsite: Offsite, log: Path) -> None:
    code, out, err = offsite.evaluate("--pack", "default", "--log", log)
    assert (code, err) == (0, "")
    printed = [json.loads(line) for line in out.splitlines()]
    assert [(line["stream"], line["seq"], line["change"]) for line in printed] == [
        ("BJ-COLD-01", 1, "raised"),
        ("BJ-COLD-01", 2, "cleared"),
    ]
    assert all("source" not in line for line in printed)
    assert out == b"".join(canonical_bytes(line) + b"\n" for line in printed)
    expected = [change.to_json(source=False) for change in evaluate(excursion().records, default_bundle())]
    assert printed == json.loads(json.dumps(expected))


def test_alarms_are_one_line_each_as_they_end_up(offsite: Offsite, log: Path) -> None:
    code, out, _ = offsite.evaluate("--pack", "default", "--log", log, "--alarms", "--until", UNTIL)
    assert code == 0
    alarms = fold_alarms(evaluate(excursion().records, default_bundle(), until_ms=BEGIN + 300 * MINUTE))
    assert out == b"".join(canonical_bytes(alarm.to_json()) + b"\n" for alarm in alarms)
    assert [json.loads(line)["status"] for line in out.splitlines()] == ["cleared", "active", "active"]


def test_two_runs_and_two_processes_give_the_same_bytes(offsite: Offsite, log: Path) -> None:
    arguments = ["--pack", "default", "--log", str(log), "--until", UNTIL]
    _, first, _ = offsite.evaluate(*arguments)
    _, second, _ = offsite.evaluate(*arguments)
    command = [sys.executable, "-m", "monitor", "evaluate", *arguments]
    other = subprocess.run(command, capture_output=True, check=True, env={**os.environ, "PYTHONHASHSEED": "7"})
    assert first == second == other.stdout
    assert first


def test_the_log_can_come_from_standard_input(
    offsite: Offsite, log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, expected, _ = offsite.evaluate("--pack", "default", "--log", log)
    for arguments in ([], ["--register", written_register(tmp_path / "register.json")]):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(log.read_bytes())))
        code, out, _ = offsite.evaluate("--pack", "default", "--log", "-", *arguments)
        assert (code, out) == (0, expected)


def test_the_log_can_come_through_a_named_pipe(offsite: Offsite, log: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(log.read_bytes()))
    writer.start()
    register = written_register(tmp_path / "register.json")
    code, out, _ = offsite.evaluate("--pack", "default", "--log", pipe, "--register", register)
    writer.join(timeout=30)
    assert code == 0
    assert out.count(b"\n") == 2


def test_a_register_file_stands_in_front_of_the_log(offsite: Offsite, tmp_path: Path) -> None:
    log = write(tmp_path / "bare.jsonl", excursion(registered=False).records)
    register = written_register(tmp_path / "register.json")
    assert offsite.evaluate("--pack", "default", "--log", log) == (0, b"", "")
    code, out, _ = offsite.evaluate("--pack", "default", "--log", log, "--register", register)
    assert code == 0
    assert [json.loads(line)["change"] for line in out.splitlines()] == ["raised", "cleared"]


def test_one_facility_can_be_asked_for(offsite: Offsite, log: Path) -> None:
    assert offsite.evaluate("--pack", "default", "--log", log, "--facility", "BJ-OTHER") == (0, b"", "")
    assert offsite.evaluate("--pack", "default", "--log", log, "--facility", "BJ-COLD-01")[1].count(b"\n") == 2


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--log", "x"],
        ["--pack", "default"],
        ["--pack", "default", "--log", "-", "--until", "yesterday"],
        ["--pack", "default", "--log", "-", "--until", "2026-03-01T00:00:00"],
        ["--pack", "default", "--log", "-", "--facility", "<b>"],
        ["--pack", "default", "--log", "-", "--no-such-option"],
    ],
)
def test_wrong_usage_is_exit_2(offsite: Offsite, arguments: list[str]) -> None:
    code, out, err = offsite.evaluate(*arguments)
    assert (code, out) == (2, b"")
    assert err


def test_every_fault_of_the_log_is_told_and_nothing_is_printed(offsite: Offsite, log: Path) -> None:
    lines = log.read_bytes().splitlines()
    lines[-1] = b"{"
    lines[-2] = lines[-2].replace(b"CR1.T1", b"CR1 T1")
    log.write_bytes(b"\n".join(lines))
    code, out, err = offsite.evaluate("--pack", "default", "--log", log)
    assert (code, out) == (3, b"")
    assert f"log.jsonl:{len(lines) - 1}/data/series/0/tag: bad_tag" in err
    assert f"log.jsonl:{len(lines)}: malformed" in err


def test_faults_of_lines_behind_a_record_that_cannot_be_folded_are_told_too(offsite: Offsite, log: Path) -> None:
    line = {
        "partition": 3, "offset": 900, "received": "2026-03-01T00:00:00Z", "kind": "packs", "facility": "",
        "data": {"sha256": "0" * 64, "semantics": SEMANTICS, "bundle": "AAAA"},
    }  # fmt: skip
    packs = json.dumps(line) + "\n"
    log.write_bytes(log.read_bytes() + packs.encode() + b"{\n")
    code, out, err = offsite.evaluate("--pack", "default", "--log", log)
    assert (code, out) == (3, b"")
    assert "partition 3 offset 900/bundle" in err
    assert "malformed" in err


def test_faults_of_packs_and_register_are_told_together(offsite: Offsite, log: Path, tmp_path: Path) -> None:
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "bad.yaml").write_text("schema: rule/1\nid: 5\n", encoding="utf-8")
    (tmp_path / "register.yaml").write_text("facilities: [{id: bad id}]\n", encoding="utf-8")
    code, out, err = offsite.evaluate(
        "--pack", tmp_path / "pack", "--log", log, "--register", tmp_path / "register.yaml"
    )
    assert (code, out) == (3, b"")
    assert "bad.yaml:" in err
    assert "register.yaml:" in err


def test_a_bad_pack_is_told_as_by_lint(
    offsite: Offsite, log: Path, tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    pack = tmp_path / "store"
    shutil.copytree(SHIPPED, pack)
    rule = min(pack.rglob("*.yaml"), key=lambda path: ("rule/1" not in path.read_text(encoding="utf-8"), path))
    rule.rename(rule.with_name("elsewhere.yaml"))  # lint alone looks at this
    (pack / "bad.yaml").write_text("schema: rule/1\nid: 5\n", encoding="utf-8")
    code, out, err = offsite.evaluate("--pack", pack, "--log", log)
    assert (code, out) == (3, b"")
    with pytest.raises(SystemExit):
        main(["rules", "lint", str(pack)])
    linted = [line for line in capsysbinary.readouterr().err.decode().splitlines() if ".yaml:" in line]
    assert any("bad.yaml:" in line for line in linted)
    assert any("elsewhere.yaml:" in line and " place" in line for line in linted)
    assert [line for line in err.splitlines() if ".yaml:" in line] == linted


@pytest.mark.parametrize("name", ["missing.jsonl", "."])
def test_a_log_that_cannot_be_read_is_bad_input(offsite: Offsite, tmp_path: Path, name: str) -> None:
    code, out, err = offsite.evaluate("--pack", "default", "--log", tmp_path / name)
    assert (code, out) == (3, b"")
    assert "unreadable" in err


def test_an_empty_log_is_no_fault(offsite: Offsite, tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").touch()
    assert offsite.evaluate("--pack", "default", "--log", tmp_path / "empty.jsonl", "--until", UNTIL) == (0, b"", "")


def test_a_reader_that_has_seen_enough_is_no_error(log: Path) -> None:
    command = [sys.executable, "-m", "monitor", "evaluate", "--pack", "default", "--log", str(log)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=60) == 0
