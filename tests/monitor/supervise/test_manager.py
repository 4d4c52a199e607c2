"""The manager: restarts with a growing pause, gives up where starting again cannot help, ends everything in time."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from monitor.supervise import manager as module
from monitor.supervise.child import Child, Spec
from monitor.supervise.manager import FINAL_CODES, LONGEST_PAUSE_S, LOOP_ENDINGS, SETTLED_S, Manager
from streams.broker import free_port


class FakeProcess:
    def __init__(self, number):
        self.pid, self.code = number, None

    def poll(self):
        return self.code


class FakeChild:
    def __init__(self, number):
        self.process, self.asked, self.ready = FakeProcess(number), [], True

    def tail(self):
        return "last words"

    def terminate(self):
        self.asked.append("term")

    def wait(self, _seconds):
        self.asked.append("wait")
        return 0

    def is_ready(self):
        return self.ready


class Lab:
    """A manager over processes that end when the test says so, and a clock that the test moves."""

    def __init__(self, *names):
        self.now, self.children, self.events = 0.0, {}, []
        self.manager = Manager(
            [Spec(name, (name,), "http://127.0.0.1:1/readyz") for name in names],
            tell=lambda *event: self.events.append(event), clock=lambda: self.now, start=self.start,
        )  # fmt: skip

    def start(self, spec):
        child = FakeChild(len(self.events) + 1)
        self.children.setdefault(spec.name, []).append(child)
        return child

    def end(self, name, code):
        self.children[name][-1].process.code = code
        self.manager.turn()

    def starts_after(self, name, limit=100.0):
        """Turn until the process is started again; returns how long that took."""
        before, begun = len(self.children[name]), self.now
        while len(self.children[name]) == before:
            assert self.now - begun < limit, "it was not started again"
            self.now += 0.05
            self.manager.turn()
        return round(self.now - begun, 1)


def test_what_ends_is_started_again_after_a_growing_pause():
    lab = Lab("worker", "desk")
    lab.manager.turn()
    pauses = []
    for _ in range(LOOP_ENDINGS - 1):
        lab.end("worker", 70)
        pauses.append(lab.starts_after("worker"))
    assert pauses == pytest.approx([0.5, 1.0, 2.0, 4.0], abs=0.15)
    assert len(lab.children["desk"]) == 1
    assert lab.manager.restarts() == {"worker": LOOP_ENDINGS - 1}
    assert lab.manager.failure is None


def test_a_crash_loop_ends_it_with_the_process_own_code_and_words():
    lab = Lab("worker")
    lab.manager.turn()
    for _ in range(LOOP_ENDINGS - 1):
        lab.end("worker", 70)
        lab.starts_after("worker")
    lab.end("worker", 70)
    failure = lab.manager.failure
    assert (failure.name, failure.code, failure.loop) == ("worker", 70, True)
    assert "last words" in str(failure)
    assert lab.events[-1][0] == "gave-up"


def test_endings_with_a_good_run_between_are_no_loop_and_pause_anew():
    lab = Lab("worker")
    lab.manager.turn()
    for _ in range(3 * LOOP_ENDINGS):
        lab.now += SETTLED_S + 0.01
        lab.end("worker", -9)
        assert lab.starts_after("worker") == pytest.approx(0.5, abs=0.15)
    assert lab.manager.failure is None


def test_the_pause_has_a_bound(monkeypatch):
    monkeypatch.setattr(module, "LOOP_ENDINGS", 1000)
    lab = Lab("worker")
    lab.manager.turn()
    for _ in range(12):
        lab.end("worker", 1)
        last = lab.starts_after("worker")
    assert last == pytest.approx(LONGEST_PAUSE_S, abs=0.15)


@pytest.mark.parametrize("code", sorted(FINAL_CODES))
def test_usage_and_bad_input_are_not_tried_again(code):
    lab = Lab("gateway", "worker")
    lab.manager.turn()
    lab.end("gateway", code)
    assert (lab.manager.failure.code, lab.manager.failure.loop) == (code, False)
    assert lab.manager.run(threading.Event()) == code
    assert lab.children["worker"][0].asked == ["term", "wait"]


def test_all_are_asked_to_end_before_any_is_waited_for():
    lab = Lab("a", "b", "c")
    lab.manager.turn()
    order = []
    for children in lab.children.values():
        children[0].terminate = lambda: order.append("term")
        children[0].wait = lambda _s: order.append("wait")
    lab.manager.end()
    assert order == ["term"] * 3 + ["wait"] * 3


def test_readiness_names_what_is_not_ready():
    lab = Lab("a", "b")
    assert lab.manager.not_ready() == ["a", "b"]
    lab.manager.turn()
    lab.children["b"][0].ready = False
    assert lab.manager.not_ready() == ["b"]
    lab.end("a", 70)
    assert lab.manager.not_ready() == ["a", "b"]


def test_real_processes_are_restarted_and_ended(tmp_path):
    log = tmp_path / "log"
    spec = Spec("broken", ("rules", "--no-such-option"), "http://127.0.0.1:1/", dict(os.environ), log)
    gone = Manager([spec])
    assert gone.run(threading.Event()) == 2
    assert "no-such-option" in gone.failure.tail

    env = dict(os.environ) | {
        "OFFSITE_STORE_URL": f"sqlite:///{tmp_path}/o.db",
        "OFFSITE_KAFKA_BOOTSTRAP": f"127.0.0.1:{free_port()}",
    }
    port = free_port()
    waits = Spec("gateway", ("gateway", "--port", str(port)), f"http://127.0.0.1:{port}/healthz", env, log)
    stop, manager = threading.Event(), Manager([waits])
    thread = threading.Thread(target=manager.run, args=(stop,))
    thread.start()
    try:
        deadline = time.monotonic() + 60
        while manager.not_ready():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        first = manager.running()["gateway"].process.pid
        os.kill(first, signal.SIGKILL)
        while manager.not_ready() or manager.running()["gateway"].process.pid == first:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert manager.restarts() == {"gateway": 1}
        last = manager.running()["gateway"]
    finally:
        stop.set()
        thread.join(30)
    assert last.process.poll() is not None


def test_a_child_that_does_not_listen_to_sigterm_is_killed():
    child = Child.__new__(Child)
    import subprocess
    import sys

    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    child.process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert child.process.stdout.readline() == b"up\n"
    child.terminate()
    assert child.wait(0.2) == -9
    child.process.stdout.close()
