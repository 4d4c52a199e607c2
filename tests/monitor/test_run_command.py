"""`offsite run`: which processes with which names and ports, and the whole on a real Kafka."""

from __future__ import annotations

import json
import signal

import httpx
import pytest

from monitor.cli import main
from monitor.commands.run import KINDS, specs
from rules.errors import BadInputError
from streams.broker import free_port
from tests.e2e.test_front_to_alarm import environment, running, until


def test_workers_never_clash_in_name_or_port(monkeypatch):
    monkeypatch.setenv("OFFSITE_WORKER_INSTANCE", "host-a")
    monkeypatch.setenv("OFFSITE_WORKER_PORT", "9000")
    found = specs(["worker"], 3, None)
    assert [s.name for s in found] == ["worker-1", "worker-2", "worker-3"]
    assert [s.env["OFFSITE_WORKER_INSTANCE"] for s in found] == ["host-a-1", "host-a-2", "host-a-3"]
    assert [s.ready_url for s in found] == [f"http://127.0.0.1:{port}/readyz" for port in (9000, 9001, 9002)]


def test_all_kinds_run_by_default_each_with_its_log(tmp_path):
    found = specs(list(KINDS), 1, tmp_path)
    assert [s.arguments for s in found] == [(kind,) for kind in KINDS]
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
        assert not ready()
