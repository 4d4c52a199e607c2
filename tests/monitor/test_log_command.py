"""`offsite log dump` and `load` as a user runs them, on a real Kafka."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from kafka import KafkaProducer
from kafka.admin import KafkaAdminClient
from kafka.structs import TopicPartition

from monitor.cli import main
from rules.evaluate import evaluate
from rules.pack import default_bundle
from rules.records import Kind
from streams.jsonlines import format_line, read_lines
from streams.ports import free_port
from streams.topics import LOG
from tests.coldlog import BEGIN, MINUTE, excursion

if TYPE_CHECKING:
    from pathlib import Path

    from streams.settings import KafkaSettings

LINES = [
    format_line(record)
    for record in [*excursion("BJ-ONE", partition=0).records, *excursion("BJ-TWO", partition=2).records]
]


class Offsite:
    """Runs the command line in this process."""

    def __init__(self, capture: pytest.CaptureFixture[bytes]) -> None:
        self._capture = capture

    def log(self, *arguments: object) -> tuple[int, list[bytes], str]:
        """Return exit code, lines of stdout and stderr."""
        code = 0
        try:
            main(["log", *map(str, arguments)])
        except SystemExit as stop:
            code = int(stop.code or 0)
        out, err = self._capture.readouterr()
        return code, out.splitlines(), err.decode()


@pytest.fixture
def offsite(capsysbinary: pytest.CaptureFixture[bytes]) -> Offsite:
    return Offsite(capsysbinary)


@pytest.fixture
def environment(kafka_settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch) -> KafkaSettings:
    """The command finds the test's topics as it would in an installation: from the environment."""
    monkeypatch.setenv("OFFSITE_KAFKA_BOOTSTRAP", kafka_settings.bootstrap)
    monkeypatch.setenv("OFFSITE_KAFKA_TOPIC_PREFIX", kafka_settings.topic_prefix)
    return kafka_settings


@pytest.fixture
def loaded(environment: KafkaSettings, offsite: Offsite, tmp_path: Path) -> Offsite:
    """A log in the import topic `back-test`."""
    dump = tmp_path / "dump.jsonl"
    dump.write_bytes(b"\n".join(LINES))
    code, out, err = offsite.log("load", dump, "--topic", "back-test")
    assert (code, out) == (0, [])
    assert err == f"offsite: {len(LINES)} records in {environment.topic('back-test')}\n"
    return offsite


def test_what_was_loaded_is_dumped_line_by_line(loaded: Offsite) -> None:
    code, out, err = loaded.log("dump", "--topic", "back-test")
    assert (code, out) == (0, LINES)
    assert err == f"offsite: {len(LINES)} lines\n"


def test_a_dump_goes_to_a_file_whole_or_not_at_all(loaded: Offsite, tmp_path: Path) -> None:
    output = tmp_path / "out" / "dump.jsonl"
    code, _, err = loaded.log("dump", "--topic", "back-test", "--output", output)
    assert code == 3
    assert "unwritable" in err
    output.parent.mkdir()
    assert loaded.log("dump", "--topic", "back-test", "--output", output)[0] == 0
    assert output.read_bytes().splitlines() == LINES
    assert [path.name for path in output.parent.iterdir()] == ["dump.jsonl"]


def test_one_facility_and_a_time_can_be_cut_out(loaded: Offsite) -> None:
    until = "2026-03-01T00:12:00+08:00"
    code, out, _ = loaded.log("dump", "--topic", "back-test", "--facility", "BJ-TWO", "--until", until)
    assert code == 0
    assert out == [
        line for line in LINES if b'"partition":2' in line and json.loads(line)["received"] < "2026-02-28T16:12:00.000Z"
    ]
    assert out


def test_a_facility_without_any_record_is_said(loaded: Offsite) -> None:
    code, out, err = loaded.log("dump", "--topic", "back-test", "--facility", "BJ-NOPE")
    assert (code, out) == (0, [])
    assert "offsite: no record of BJ-NOPE was found" in err
    assert "no record" not in loaded.log("dump", "--topic", "back-test", "--facility", "BJ-TWO")[2]


def test_a_cut_begins_with_state_and_goes_on_as_the_whole_does(loaded: Offsite) -> None:
    code, out, _ = loaded.log("dump", "--topic", "back-test", "--from", "2026-03-01T00:16:00+08:00")
    assert code == 0
    cut, whole = list(read_lines(out)), list(read_lines(LINES))
    assert [record.kind for record in cut if record.kind is Kind.STATE] == [Kind.STATE] * 2
    until = BEGIN + 300 * MINUTE
    later = [change.to_json(source=False) for change in evaluate(cut, default_bundle(), until_ms=until)]
    assert later
    assert all(
        change in [c.to_json(source=False) for c in evaluate(whole, default_bundle(), until_ms=until)]
        for change in later
    )


def test_undecodable_records_are_listed_and_counted_and_the_rest_is_dumped(
    environment: KafkaSettings, offsite: Offsite
) -> None:
    producer = KafkaProducer(**environment.for_kafka_python())
    for value in (b"\x1b[2J", b"{}"):
        producer.send(environment.topic(LOG), value=value, key=b"BJ-ONE", partition=1).get(timeout=30)
    producer.close(timeout=10)
    code, out, err = offsite.log("dump")
    assert (code, out) == (0, [])
    assert "partition 1 offset 0: schema_version" in err
    assert "partition 1 offset 1: schema_version" in err
    assert "0 lines, 2 undecodable left out" in err
    assert "\x1b" not in err


def test_a_cut_of_a_log_that_lost_its_beginning_is_refused(loaded: Offsite, environment: KafkaSettings) -> None:
    topic = environment.topic("back-test")
    client = KafkaAdminClient(**environment.for_kafka_python())
    try:
        client.delete_records({TopicPartition(topic, 2): 3})
    finally:
        client.close()
    code, out, err = loaded.log("dump", "--topic", "back-test", "--from", "2026-03-01T00:16:00+08:00")
    assert (code, out) == (4, [])
    assert "partition 2 at offset 3" in err
    code, out, _ = loaded.log("dump", "--topic", "back-test")
    assert (code, out) == (
        0,
        [line for line in LINES if b'"partition":2' not in line or json.loads(line)["offset"] >= 3],
    )


def test_a_load_of_a_file_with_bad_lines_writes_nothing(
    environment: KafkaSettings, offsite: Offsite, tmp_path: Path
) -> None:
    dump = tmp_path / "dump.jsonl"
    dump.write_bytes(b"\n".join([*LINES, b"{", b"[]"]))
    code, _, err = offsite.log("load", dump, "--topic", "back-test")
    assert code == 3
    assert f"dump.jsonl:{len(LINES) + 1}: malformed" in err
    assert f"dump.jsonl:{len(LINES) + 2}: wrong_type" in err
    code, _, err = offsite.log("dump", "--topic", "back-test")
    assert code == 4
    assert environment.topic("back-test") in err


def test_a_load_into_a_topic_that_exists_is_refused(loaded: Offsite, tmp_path: Path) -> None:
    code, _, err = loaded.log("load", tmp_path / "dump.jsonl", "--topic", "back-test")
    assert code == 4
    assert "exists already" in err
    code, _, err = loaded.log("load", tmp_path / "dump.jsonl", "--topic", LOG)
    assert code == 4


def test_a_file_that_is_not_there_is_bad_input(offsite: Offsite, tmp_path: Path) -> None:
    code, _, err = offsite.log("load", tmp_path / "nothing.jsonl", "--topic", "back-test")
    assert code == 3
    assert "unreadable" in err


def test_a_broker_that_is_down_is_exit_4(offsite: Offsite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.dump.TIMEOUT_MS", 500)
    monkeypatch.setenv("OFFSITE_KAFKA_BOOTSTRAP", f"127.0.0.1:{free_port()}")
    code, out, err = offsite.log("dump")
    assert (code, out) == (4, [])
    assert "OFFSITE_KAFKA_BOOTSTRAP" in err


@pytest.mark.parametrize(
    "arguments",
    [
        ["dump", "--facility", "<b>"],
        ["dump", "--from", "yesterday"],
        ["dump", "--until", "2026-03-01"],
        ["dump", "--pack", "default"],
        ["load", "x.jsonl"],
        ["load", "--topic", "t"],
    ],
)
def test_wrong_usage_is_exit_2(offsite: Offsite, arguments: list[str]) -> None:
    code, out, err = offsite.log(*arguments)
    assert (code, out) == (2, [])
    assert err
