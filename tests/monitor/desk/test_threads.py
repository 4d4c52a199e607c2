"""The desk's threads, and the command as a process: one line when it listens, a clear end when something is wrong."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time

import httpx
import pytest

from monitor.cli import main
from monitor.desk.figures import Figures
from monitor.desk.threads import Threads, outbox_job
from monitor.serving import bound, is_loopback
from streams.probes import PortTakenError
from tests.e2e.test_front_to_alarm import environment, running, until


def test_a_job_that_ends_by_an_error_is_named_and_told_once():
    told, gate = [], threading.Event()
    threads = Threads(on_failure=lambda: (told.append(1), gate.set()))

    def breaks(_stop):
        raise ValueError("no")

    threads.start("first", breaks)
    assert gate.wait(10)
    threads.start("second", breaks)
    threads.start("good", lambda stop: stop.wait(30))
    threads.join(10)
    assert threads.failed == "first: ValueError: no"
    assert told == [1]


def test_jobs_end_when_they_are_told():
    threads = Threads(on_failure=lambda: pytest.fail("nothing failed"))
    seen = []
    threads.start("one", lambda stop: seen.append(stop.wait(30)))
    threads.join(10)
    assert seen == [True]
    assert threads.failed is None


def test_jobs_that_hang_are_waited_for_together_and_not_one_after_the_other():
    threads, gate = Threads(on_failure=lambda: pytest.fail("nothing failed")), threading.Event()
    for name in ("one", "two", "three", "four", "five"):
        threads.start(name, lambda _stop: gate.wait(60))
    began = time.monotonic()
    threads.join(1.0)
    assert time.monotonic() - began < 4.0
    gate.set()


@pytest.mark.parametrize(
    ("host", "wanted"),
    [("127.0.0.1", True), ("127.0.0.2", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("10.0.0.1", False), ("x", False)],
)  # fmt: skip
def test_loopback_is_told_from_the_rest(host, wanted):
    assert is_loopback(host) is wanted


def test_a_taken_port_is_named():
    held = bound("127.0.0.1", 0)
    with pytest.raises(PortTakenError) as caught:
        bound("127.0.0.1", held.getsockname()[1])
    assert str(held.getsockname()[1]) in caught.value.report()
    held.close()


def call(capsys, *arguments):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    return end.value.code, capsys.readouterr().err


def test_beyond_loopback_the_desk_wants_tls(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("OFFSITE_STORE_URL", f"sqlite:///{tmp_path}/o.db")
    code, err = call(capsys, "desk", "--host", "0.0.0.0")
    assert code == 3
    assert "OFFSITE_DESK_HTTPS" in err
    assert not (tmp_path / "o.db").exists()


class Rows:
    """A relay that counts how often it is asked to send."""

    def __init__(self):
        self.rounds, self.looks = 0, 0

    def send_once(self):
        self.rounds += 1
        return 0

    def waiting(self):
        self.looks += 1
        return 3

    def close(self):
        pass


def test_nothing_is_sent_to_a_kafka_that_is_not_known_to_be_ours(sqlite_store, monkeypatch):
    monkeypatch.setattr("monitor.desk.threads.IDLE_S", 0.01)
    relay, admitted, figures = Rows(), threading.Event(), Figures()
    threads = Threads(on_failure=lambda: pytest.fail("nothing failed"))
    threads.start("outbox", outbox_job(relay, sqlite_store, figures, lambda: 1, admitted))
    until(lambda: relay.looks > 5)
    assert relay.rounds == 0
    assert figures.outbox._value.get() == 3  # those that wait are counted all the same
    admitted.set()
    until(lambda: relay.rounds > 2)
    admitted.clear()
    until(lambda: relay.looks > 20)
    before, looks = relay.rounds, relay.looks
    until(lambda: relay.looks > looks + 5)
    assert relay.rounds == before
    threads.join(10)


@pytest.mark.kafka
def test_the_desk_runs_as_a_process_and_ends_by_sigterm(kafka_settings, tmp_path):
    env = environment(kafka_settings, OFFSITE_STORE_URL=f"sqlite:///{tmp_path}/o.db", OFFSITE_DESK_PORT="0")
    with running("desk", env=env, log=tmp_path / "desk.log") as process:
        url = "http://" + json.loads(process.stdout.readline())["listening"]
        until(lambda: httpx.get(f"{url}/readyz", trust_env=False).status_code == 200)
        page = httpx.get(f"{url}/", trust_env=False, follow_redirects=True)
        assert page.status_code == 200
        assert 'name="password"' in page.text
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    again = subprocess.run(
        [sys.executable, "-m", "monitor", "store", "check"], env=env, capture_output=True, text=True, check=False
    )
    assert again.returncode == 0, again.stderr
