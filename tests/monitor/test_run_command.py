"""`offsite run`: which processes with which names and ports, and the whole on a real Kafka."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import httpx
import pytest
from kafka import KafkaConsumer, TopicPartition

from monitor.cli import main
from monitor.commands.run import KINDS, specs
from rules.errors import BadInputError
from streams.access import new_key
from streams.ports import free_port, port_in_use
from streams.topics import ALARMS
from tests.e2e.test_front_to_alarm import admit, batch, environment, ready, running, until


def test_workers_never_clash_in_name_or_port(monkeypatch):
    monkeypatch.setenv("OFFSITE_WORKER_INSTANCE", "host-a")
    monkeypatch.setenv("OFFSITE_WORKER_PORT", "9000")
    found = specs(["worker"], 3, None)
    assert [s.name for s in found] == ["worker-1", "worker-2", "worker-3"]
    assert [s.env["OFFSITE_WORKER_INSTANCE"] for s in found] == ["host-a-1", "host-a-2", "host-a-3"]
    assert [s.ready_url for s in found] == [f"http://127.0.0.1:{port}/readyz" for port in (9010, 9011, 9012)]
    assert [s.env["OFFSITE_WORKER_PORT"] for s in found] == ["9010", "9011", "9012"]


def test_with_the_shipped_settings_no_two_processes_share_a_port():
    found = specs(list(KINDS), 64, None)
    assert len({s.ready_url for s in found}) == len(found) == 68
    assert found[1].ready_url == "http://127.0.0.1:8721/readyz"


@pytest.mark.parametrize(
    ("variables", "workers", "codes"),
    [
        ({"OFFSITE_DESK_PORT": "8710"}, 1, ["port_clash"]),
        ({"OFFSITE_DESK_PORT": "8722"}, 2, ["port_clash"]),
        ({"OFFSITE_WORKER_PORT": "65530"}, 2, ["port_clash"] * 3),
        ({"OFFSITE_WORKER_INSTANCE": "x" * 63}, 2, ["too_long"]),
    ],
)
def test_names_and_ports_that_clash_are_refused_before_anything_starts(monkeypatch, variables, workers, codes):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(BadInputError) as caught:
        specs(list(KINDS), workers, None)
    assert [fault.code for fault in caught.value.faults] == codes


def test_all_kinds_run_by_default_each_with_its_log(tmp_path):
    found = specs(list(KINDS), 1, tmp_path)
    assert [s.arguments for s in found] == [("worker", "--lots") if kind == "lots" else (kind,) for kind in KINDS]
    lots = next(s for s in found if s.name == "lots")
    assert (lots.env["OFFSITE_WORKER_INSTANCE"], lots.env["OFFSITE_WORKER_PORT"]) == ("worker-1-lots", "8719")
    assert {s.log.name for s in found} == {f"{kind}.log" for kind in KINDS}


def test_all_faults_are_told_at_once(monkeypatch):
    monkeypatch.setenv("OFFSITE_DESK_PORT", "0")
    with pytest.raises(BadInputError) as caught:
        specs(["desk", "printer", "fax"], 1, None)
    assert [fault.code for fault in caught.value.faults] == ["unknown", "unknown", "no_port"]


def test_an_unknown_process_is_bad_input(capsys):
    with pytest.raises(SystemExit) as end:
        main(["run", "--only", "printer"])
    assert end.value.code == 3
    assert "printer" in capsys.readouterr().err


@pytest.mark.kafka
def test_what_is_killed_comes_back_and_sigterm_ends_all(kafka_settings, tmp_path):
    port = free_port()
    env = environment(
        kafka_settings, OFFSITE_STORE_URL=f"sqlite:///{tmp_path}/o.db", OFFSITE_DESK_PORT=str(port),
        OFFSITE_ARCHIVER_PORT=str(free_port()), OFFSITE_ARCHIVER_FOLDER=str(tmp_path / "archive"),
    )  # fmt: skip
    with running(
        "run", "--only", "desk", "--only", "archiver", "--logs", str(tmp_path), env=env, log=tmp_path / "run.log"
    ) as manager:
        events = [json.loads(manager.stdout.readline()) for _ in range(2)]
        assert [(e["event"], e["process"]) for e in events] == [("started", "desk"), ("started", "archiver")]

        def ready():
            try:
                return httpx.get(f"http://127.0.0.1:{port}/readyz", trust_env=False).status_code == 200
            except httpx.HTTPError:
                return False

        until(ready)
        import os

        os.kill(int(events[0]["detail"].removeprefix("pid ")), signal.SIGKILL)
        more = [json.loads(manager.stdout.readline()) for _ in range(2)]
        assert [(e["event"], e["process"]) for e in more] == [("ended", "desk"), ("started", "desk")]
        until(ready)
        manager.send_signal(signal.SIGTERM)
        assert manager.wait(20) == 0
        stopped = [json.loads(line) for line in manager.stdout]
        assert [(e["event"], e["process"]) for e in stopped] == [("stopped", "desk"), ("stopped", "archiver")]
        assert not ready()


def raw_changes(settings):
    """Return (stream, seq) of every change in Kafka, repeats too."""
    consumer = KafkaConsumer(**settings.for_kafka_python(), isolation_level="read_committed", enable_auto_commit=False)
    try:
        partitions = [TopicPartition(settings.topic(ALARMS), p) for p in range(settings.partitions)]
        consumer.assign(partitions)
        begin, end = consumer.beginning_offsets(partitions), consumer.end_offsets(partitions)
        for partition in partitions:
            consumer.seek(partition, begin[partition])
        found = []
        while any(consumer.position(p) < end[p] for p in partitions):
            for rows in consumer.poll(timeout_ms=200).values():
                found += [(row["stream"], row["seq"]) for row in (json.loads(r.value) for r in rows)]
        return found
    finally:
        consumer.close()


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.timeout(1_200)  # nine processes are started, each with its imports
def test_sigterm_ends_the_whole_line_in_five_seconds_with_everything_written(kafka_settings, tmp_path):
    key, key_hash = new_key()
    admit(kafka_settings, key_hash)
    ports = {name: free_port() for name in ("GATEWAY", "DESK", "ARCHIVER")}
    worker_port = next(
        p for p in iter(free_port, None) if p < 65_000 and not any(map(port_in_use, (p + 8, p + 10, p + 11)))
    )
    env = environment(
        kafka_settings, OFFSITE_STORE_URL=f"sqlite:///{tmp_path}/o.db", OFFSITE_ARCHIVER_FOLDER=str(tmp_path / "archive"),
        OFFSITE_WORKER_PORT=str(worker_port), OFFSITE_WORKER_CHECKPOINT_S="600", OFFSITE_ARCHIVER_FLUSH_S="600",
        OFFSITE_GATEWAY_TICK_S="1", **{f"OFFSITE_{name}_PORT": str(port) for name, port in ports.items()},
    )  # fmt: skip
    begin = (int(time.time() * 1000) // 60_000 - 40) * 60_000
    places = [*ports.values(), worker_port + 8, worker_port + 10, worker_port + 11]

    def all_ready():
        return all(ready(f"http://127.0.0.1:{port}") for port in places)

    with running("run", "--workers", "2", "--logs", str(tmp_path), env=env, log=tmp_path / "run.log") as manager:
        until(all_ready, 600)
        receipts, number = [], 0
        with httpx.Client(base_url=f"http://127.0.0.1:{ports['GATEWAY']}", timeout=20) as firm:
            for number in range(60):
                post = batch(f"b{number}", number // 2, [9.0 if number % 20 < 10 else 5.0], begin)
                answer = firm.post("/v1/readings", json=post, headers={"Authorization": f"Bearer {key}"})
                assert answer.status_code == 202, answer.text
                receipts.append((answer.json()["partition"], answer.json()["offset"]))
        until(lambda: raw_changes(kafka_settings), 60)
        manager.send_signal(signal.SIGTERM)
        assert manager.wait(30) == 0
        events = [json.loads(line) for line in manager.stdout]
    stopped = {e["process"]: e["detail"] for e in events if e["event"] == "stopped"}
    assert stopped == dict.fromkeys(["gateway", "worker-1", "worker-2", "lots", "archiver", "desk"], "code 0")
    assert not [e for e in events if e["event"] not in {"started", "stopped"}], "something ended before"

    def dump(*more):
        return subprocess.run(
            [sys.executable, "-m", "monitor", "log", "dump", *more], env=env, capture_output=True, check=True
        ).stdout

    log = [json.loads(line) for line in dump().splitlines()]
    kept = [json.loads(line) for line in dump("--from-archive").splitlines()]
    assert [(r["partition"], r["offset"]) for r in log if r["kind"] == "readings"] == receipts
    assert [(r["partition"], r["offset"]) for r in kept if r["kind"] == "readings"] == receipts, (
        "the archiver had some in hand"
    )
    before = raw_changes(kafka_settings)
    assert len(before) == len(set(before))
    with running("worker", "--instance", "next", "--port", str(worker_port), env=env, log=tmp_path / "next.log"):
        until(lambda: ready(f"http://127.0.0.1:{worker_port}"), 120)
        after = raw_changes(kafka_settings)
    assert len(after) == len(set(after)), "what was folded before was not in the final checkpoint"
