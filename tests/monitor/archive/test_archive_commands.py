"""`offsite archiver` and `offsite log dump --from-archive` as a user runs them, on a real Kafka."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request

import pytest
from sqlalchemy import select

from monitor.archive import index
from monitor.cli import main
from monitor.store.session import Store
from monitor.store.tables import ArchiveChunk
from streams.ports import free_port
from streams.topics import LOG
from tests.monitor.archive.running import ROOT, archived, archiving, producing, send, until
from tests.monitor.archive.test_archive_kafka import ahead, delete_before, mixed_log, uncut


@pytest.fixture
def environment(store_url, kafka_settings, tmp_path, monkeypatch):
    values = {
        "OFFSITE_KAFKA_BOOTSTRAP": kafka_settings.bootstrap,
        "OFFSITE_KAFKA_TOPIC_PREFIX": kafka_settings.topic_prefix,
        "OFFSITE_KAFKA_PARTITIONS": str(kafka_settings.partitions),
        "OFFSITE_STORE_URL": store_url,
        "OFFSITE_ARCHIVER_FOLDER": str(tmp_path / "archive"),
        "OFFSITE_ARCHIVER_FLUSH_S": "0.1",
        "OFFSITE_ARCHIVER_IDLE_FLUSH_S": "0.2",
        "OFFSITE_ARCHIVER_LEASE_S": "2",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    return kafka_settings


@pytest.fixture
def offsite(capsysbinary):
    def run(*arguments):
        code = 0
        try:
            main(["log", *map(str, arguments)])
        except SystemExit as stop:
            code = int(stop.code or 0)
        out, err = capsysbinary.readouterr()
        return code, out, err.decode()

    return run


class Server:
    """The command in a process of its own."""

    def __init__(self, log_file):
        with log_file.open("ab") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "monitor", "archiver", "--port", "0"],
                cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, env=dict(os.environ),
            )  # fmt: skip
        self.url = "http://" + json.loads(self.process.stdout.readline())["listening"]

    def get(self, path):
        try:
            with urllib.request.urlopen(self.url + path, timeout=10) as answer:  # noqa: S310 - loopback
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def stop(self):
        self.process.terminate()
        code = self.process.wait(60)
        self.process.stdout.close()
        return code


@pytest.fixture
def server(tmp_path):
    started = []

    def start():
        started.append(Server(tmp_path / "archiver.log"))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait(30)
        one.process.stdout.close()


def test_a_dump_out_of_the_archive_is_the_dump_out_of_kafka_byte_by_byte(
    store, environment, offsite, tmp_path, monkeypatch
):
    from monitor.archive import archiver as module

    monkeypatch.setattr(module, "LOOK_S", 0.2)
    mixed_log(environment)
    with archiving(store, environment, tmp_path / "archive"):
        until("archive of all", lambda: archived(store, environment))
    questions = [
        (), ("--facility", "BJ-SIX"), ("--facility", "BJ-2"), ("--facility", "BJ-NOBODY"),
        ("--until", "2026-03-01T00:12:00+08:00"), ("--until", "2999-01-01T00:00:00Z", "--facility", "BJ-2"),
        ("--from", "2999-01-01T00:00:00Z"), ("--from", "1999-01-01T00:00:00Z", "--facility", "BJ-SIX"),
    ]  # fmt: skip
    wanted = [offsite("dump", *question) for question in questions]
    assert len(wanted[0][1].splitlines()) == 4 + 11 + 2
    assert "10 undecodable left out" in wanted[0][2]
    assert [offsite("dump", "--from-archive", *question) for question in questions] == wanted
    with archiving(store, environment, tmp_path / "archive", clock_ms=ahead):
        until("hours cut by facility", lambda: not uncut(store))
    assert [offsite("dump", "--from-archive", *question) for question in questions] == wanted
    for partition in range(3):
        delete_before(environment, LOG, partition, -1)
    assert offsite("dump")[1] == b""
    assert [offsite("dump", "--from-archive", *question) for question in questions] == wanted


def test_a_dump_out_of_a_damaged_archive_stops_with_a_name(store, environment, offsite, tmp_path):
    mixed_log(environment)
    with archiving(store, environment, tmp_path / "archive"):
        until("archive of all", lambda: archived(store, environment))
    with store.reading() as session:
        path = session.scalars(
            select(ArchiveChunk.path).where(ArchiveChunk.topic == LOG, ArchiveChunk.partition == 2)
        ).first()
    (tmp_path / "archive" / path).write_bytes(b"")
    output = tmp_path / "dump.jsonl"
    code, _, err = offsite("dump", "--from-archive", "--output", output)
    assert code == 4
    assert path in err
    assert "archive verify" in err
    assert not output.exists()


def test_a_dump_out_of_an_archive_with_gaps_names_them_and_cannot_be_cut(store, environment, offsite, tmp_path):
    from tests.coldlog import excursion

    topic = environment.topic(LOG)
    with producing(environment) as producer:
        send(producer, topic, excursion("BJ-SIX", partition=0).records[:3])
        with archiving(store, environment, tmp_path / "archive"):
            until("archive of all", lambda: archived(store, environment))
        send(producer, topic, excursion("BJ-SIX", partition=0).records[3:])
    delete_before(environment, LOG, 0, 6)
    with archiving(store, environment, tmp_path / "archive"):
        until("archive of all", lambda: archived(store, environment))
    code, out, err = offsite("dump", "--from-archive")
    assert (code, len(out.splitlines())) == (0, 3 + 5)
    assert "partition 0 offsets 3 to 5: lost before they were archived" in err
    code, out, err = offsite("dump", "--from-archive", "--from", "2026-03-01T00:12:00+08:00")
    assert (code, out) == (4, b"")
    assert "gaps" in err


def test_only_the_log_can_be_dumped_from_the_archive(offsite):
    assert offsite("dump", "--from-archive", "--topic", "back-test")[0] == 2


def test_the_archiver_serves_its_health_and_ends_with_everything_archived(store, environment, server):
    one = server()
    until("readiness", lambda: one.get("/readyz")[0] == 200, alive=lambda: one.process.poll() is None)
    mixed_log(environment)
    until("archive of all", lambda: archived(store, environment))
    code, body = one.get("/healthz")
    assert (code, json.loads(body)) == (200, {"status": "ok", "waiting": None})
    until("no lag", lambda: json.loads(one.get("/readyz")[1]) == {"ready": True, "waiting": None, "lag_records": 0})
    metrics = dict(line.rsplit(" ", 1) for line in one.get("/metrics")[1].splitlines() if not line.startswith("#"))
    with store.reading() as session:
        rows = session.scalars(select(ArchiveChunk)).all()
    assert float(metrics["offsite_archiver_chunks"]) == len(rows)
    assert float(metrics['offsite_archiver_records_total{topic="offsite.log.v1"}']) == sum(
        row.records for row in rows if row.topic == LOG
    )
    assert float(metrics["offsite_archiver_file_bytes_total"]) == sum(row.size for row in rows)
    assert float(metrics["offsite_archiver_last_flush_timestamp_seconds"]) > 1_700_000_000
    assert one.get("/nothing")[0] == 404

    two = server()  # a second one waits, is healthy and not ready, and takes over at once when the first one ends
    until("second waits", lambda: "archiver is done by archiver-1" in two.get("/readyz")[1])
    assert two.get("/readyz")[0] == 503
    assert two.get("/healthz")[0] == 200
    with producing(environment) as producer:
        producer.send(environment.topic(LOG), value=b"last", partition=1).get(timeout=30)
        assert one.stop() == 0
        assert archived(store, environment, (LOG,))
        until("second at work", lambda: two.get("/readyz")[0] == 200)
        producer.send(environment.topic(LOG), value=b"later", partition=1).get(timeout=30)
        until("archive of all", lambda: archived(store, environment))
    assert two.stop() == 0


def test_without_broker_and_store_it_waits_and_without_its_topics_it_ends(environment, server, store_url, monkeypatch):
    monkeypatch.setenv("OFFSITE_KAFKA_BOOTSTRAP", f"127.0.0.1:{free_port()}")
    one = server()
    until("it waits for the broker", lambda: "no Kafka answers" in one.get("/readyz")[1])
    assert one.get("/readyz")[0] == 503
    assert one.get("/healthz")[0] == 200
    assert one.stop() == 0
    monkeypatch.setenv("OFFSITE_KAFKA_BOOTSTRAP", environment.bootstrap)
    monkeypatch.setenv("OFFSITE_KAFKA_PARTITIONS", "7")
    done = subprocess.run(
        [sys.executable, "-m", "monitor", "archiver", "--port", "0"], cwd=ROOT, capture_output=True, text=True, check=False,
        timeout=120,
    )  # fmt: skip
    assert done.returncode == 4
    assert "has 3 partitions, not 7" in done.stderr
    store = Store(store_url)
    with store.reading() as session:
        assert index.clusters(session) == set()
    store.close()


def test_a_record_in_a_foreign_partition_is_left_out_of_both_dumps_and_counted(store, environment, offsite, tmp_path):
    from tests.coldlog import excursion

    topic = environment.topic(LOG)
    with producing(environment) as producer:
        send(producer, topic, excursion("BJ-SIX", partition=0).records)
        send(producer, topic, excursion("BJ-SIX", partition=1).records[:1])
    with archiving(store, environment, tmp_path / "archive"):
        until("archive of all", lambda: archived(store, environment))
    wanted = offsite("dump")
    assert {json.loads(line)["partition"] for line in wanted[1].splitlines()} == {0}
    assert "partition 1 offset 0: misplaced: a record of BJ-SIX belongs into partition 0" in wanted[2]
    assert "1 misplaced left out" in wanted[2]
    assert offsite("dump", "--from-archive") == wanted
