"""The manager: restarts with a growing pause, gives up where starting again cannot help, ends everything in time."""

# Above 400 lines on purpose: the stand-ins for processes serve every promise of the manager.

from __future__ import annotations

import errno
import itertools
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from monitor.supervise import child as child_module
from monitor.supervise import manager as module
from monitor.supervise.child import Child, Spec
from monitor.supervise.manager import (
    FINAL_CODES,
    FROZEN_PROBES,
    LONGEST_PAUSE_S,
    LOOP_ENDINGS,
    MISSING_CODE,
    SETTLED_S,
    WAITING_S,
    Manager,
)  # fmt: skip
from streams.ports import free_port


class FakeProcess:
    def __init__(self, number):
        self.pid, self.code, self.killed = number, None, 0

    def poll(self):
        return self.code

    def kill(self):
        self.killed += 1
        self.code = -9


class FakeChild:
    def __init__(self, number, name=""):
        self.name = name
        self.process, self.asked, self.ready, self.alive = FakeProcess(number), [], True, True

    def tail(self):
        return "last words"

    def terminate(self):
        self.asked.append("term")

    def wait(self, _seconds):
        self.asked.append("wait")
        return 0

    def is_ready(self):
        return self.ready

    def answers(self):
        return self.alive


class Lab:
    """A manager over processes that end when the test says so, and a clock that the test moves."""

    def __init__(self, *names, give_up=True):
        self.now, self.children, self.events = 0.0, {}, []
        self.manager = Manager(
            [Spec(name, (name,), "http://127.0.0.1:1/readyz") for name in names],
            tell=lambda *event: self.events.append(event), clock=lambda: self.now, start=self.start,
            give_up=give_up,
        )  # fmt: skip

    def start(self, spec):
        child = FakeChild(len(self.events) + 1, spec.name)
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


def test_in_an_installation_a_crash_loop_is_told_and_tried_and_takes_nobody_along():
    lab = Lab("worker", "gateway", give_up=False)
    lab.manager.turn()
    for _ in range(LOOP_ENDINGS - 1):
        lab.end("worker", 70)
        lab.starts_after("worker")
    for _ in range(3):
        lab.end("worker", 70)
        assert lab.manager.looping() == ["worker"]
        assert lab.starts_after("worker") == pytest.approx(LONGEST_PAUSE_S, abs=0.15)
    assert [event[:2] for event in lab.events].count(("crash-loop", "worker")) == 1
    assert "last words" in next(event[2] for event in lab.events if event[0] == "crash-loop")
    assert lab.manager.failure is None
    assert len(lab.children["gateway"]) == 1
    lab.now += SETTLED_S + 0.01  # it runs well for a minute: what was, is over
    lab.end("worker", 70)
    assert lab.manager.looping() == []
    assert lab.starts_after("worker") == pytest.approx(0.5, abs=0.15)


@pytest.mark.parametrize("give_up", [True, False])
def test_a_part_that_is_missing_is_waited_for_and_is_no_crash_loop(give_up):
    lab = Lab("worker", give_up=give_up)
    lab.manager.turn()
    for _ in range(4 * LOOP_ENDINGS):
        lab.end("worker", MISSING_CODE)
        last = lab.starts_after("worker")
    assert last == pytest.approx(LONGEST_PAUSE_S, abs=0.15)
    assert lab.manager.failure is None
    assert lab.manager.looping() == []


@pytest.mark.parametrize("give_up", [False, True], ids=["an installation", "the demo"])
def test_a_process_that_cannot_be_started_is_waited_for_and_takes_nobody_along(give_up):
    lab = Lab("gateway", "worker", give_up=give_up)
    lab.manager.turn()
    start, tries = lab.start, []

    def refuses(_spec):
        tries.append(lab.now)
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    lab.manager._start = refuses
    lab.end("worker", 70)
    for _ in range(4_000):
        lab.now += 0.1
        lab.manager.turn()
    assert lab.manager.failure is None
    assert len(lab.children["gateway"]) == len(lab.children["worker"]) == 1
    assert lab.children["gateway"][0].asked == []
    assert [round(b - a) for a, b in itertools.pairwise(tries)][:7] == [1, 2, 4, 8, 16, 30, 30]
    ((_, who, why),) = [event for event in lab.events if event[0] == "waiting"]
    assert (who, "it said: it cannot be started: Cannot allocate memory" in why) == ("worker", True)
    lab.manager._start = start
    lab.starts_after("worker")
    lab.now += 61
    lab.manager.turn()
    assert told(lab, "recovered")


def told(lab, *kinds):
    return [event[:2] for event in lab.events if event[0] in kinds]


def test_what_ends_with_4_as_often_as_a_crash_loop_needs_is_told_once_to_be_waiting():
    lab = Lab("worker", "gateway", give_up=False)
    lab.manager.turn()
    for _ in range(LOOP_ENDINGS - 1):
        lab.end("worker", MISSING_CODE)
        assert lab.manager.waiting() == []
        lab.starts_after("worker")
    for _ in range(LOOP_ENDINGS):
        lab.end("worker", MISSING_CODE)
        assert lab.manager.waiting() == ["worker"]
        lab.starts_after("worker")
    assert told(lab, "waiting", "recovered", "crash-loop") == [("waiting", "worker")]
    assert next(event[2] for event in lab.events if event[0] == "waiting") == (
        "code 4 since 8 s: a part is missing or down; it said: last words"
    )


def test_what_ends_with_4_seldom_but_never_runs_for_a_minute_is_told_after_two_minutes_of_it():
    """Each time it runs for 50 s, so that fewer than five endings lie within two minutes."""
    lab = Lab("desk")
    lab.manager.turn()
    lab.now += 50
    lab.end("desk", MISSING_CODE)
    begun = lab.now
    while lab.manager.waiting() == []:
        assert lab.now - begun <= WAITING_S
        lab.now += 0.5
        lab.manager.turn()
        child = lab.children["desk"][-1]
        if child.process.code is None and lab.now - lab.manager._watched["desk"].started >= 50:
            lab.end("desk", MISSING_CODE)
    assert lab.now - begun == pytest.approx(WAITING_S, abs=0.5)
    assert told(lab, "waiting") == [("waiting", "desk")]


def test_what_waited_is_told_to_have_recovered_once_it_has_run_for_a_minute_and_may_wait_again():
    lab = Lab("worker")
    lab.manager.turn()
    for _ in range(2):
        for _ in range(LOOP_ENDINGS):
            lab.end("worker", MISSING_CODE)
            lab.starts_after("worker")
        begun = lab.now
        while lab.manager.waiting():
            assert lab.now - begun <= SETTLED_S
            lab.now += 0.5
            lab.manager.turn()
        assert lab.now - begun == pytest.approx(SETTLED_S, abs=1)
        lab.now += 500
        lab.manager.turn()
    assert told(lab, "waiting", "recovered") == [("waiting", "worker"), ("recovered", "worker")] * 2


@pytest.mark.parametrize("code", [0, 70, -9])
def test_what_ends_otherwise_is_not_waiting(code):
    lab = Lab("worker", give_up=False)
    lab.manager.turn()
    for _ in range(2 * LOOP_ENDINGS):
        lab.end("worker", code)
        lab.starts_after("worker")
    assert lab.manager.waiting() == []
    assert told(lab, "waiting", "recovered") == []


def test_what_ended_with_4_once_and_then_otherwise_is_not_waiting():
    lab = Lab("worker", give_up=False)
    lab.manager.turn()
    lab.end("worker", MISSING_CODE)
    for _ in range(2 * LOOP_ENDINGS):
        lab.starts_after("worker")
        lab.now += 50
        lab.end("worker", 70)
    assert told(lab, "waiting") == []


def test_a_part_that_was_away_for_a_moment_is_no_waiting():
    """It ends with 4 once in five minutes, and runs well between: however often."""
    lab = Lab("worker")
    lab.manager.turn()
    for _ in range(2 * LOOP_ENDINGS):
        lab.end("worker", MISSING_CODE)
        lab.starts_after("worker")
        for _ in range(30):
            lab.now += 10
            lab.manager.turn()
    assert told(lab, "waiting", "recovered") == []
    assert lab.manager._watched["worker"].missed == []


def test_a_process_whose_minute_nobody_looked_at_has_recovered_when_it_ends():
    lab = Lab("worker")
    lab.manager.turn()
    for _ in range(LOOP_ENDINGS):
        lab.end("worker", MISSING_CODE)
        lab.starts_after("worker")
    lab.now += SETTLED_S
    lab.end("worker", MISSING_CODE)
    assert told(lab, "waiting", "recovered") == [("waiting", "worker"), ("recovered", "worker")]
    assert lab.manager.waiting() == []


def test_a_process_that_stops_answering_is_killed_and_started_again():
    lab = Lab("gateway", "desk")
    lab.manager.turn()
    gateway = lab.children["gateway"][0]
    lab.manager.probe()
    gateway.alive = False
    for _ in range(FROZEN_PROBES - 1):
        lab.manager.probe()
    gateway.alive = True  # a bad moment
    lab.manager.probe()
    gateway.alive = False
    for _ in range(FROZEN_PROBES - 1):
        lab.manager.probe()
    assert gateway.process.killed == 0
    lab.manager.probe()
    assert gateway.process.killed == 1
    assert ("frozen", "gateway") in [event[:2] for event in lab.events]
    lab.manager.turn()
    lab.starts_after("gateway")
    assert len(lab.children["desk"]) == 1


def test_a_process_that_never_answered_is_starting_and_is_left():
    lab = Lab("worker")
    lab.manager.turn()
    lab.manager.probe()  # the first life answers; what it knew of that one is not held against the next
    lab.end("worker", 70)
    lab.starts_after("worker")
    second = lab.children["worker"][1]
    second.alive = False
    for _ in range(10 * FROZEN_PROBES):
        lab.manager.probe()
    assert second.process.killed == 0


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
    assert [event for event in lab.events if event[0] == "stopped"] == [("stopped", n, "code None") for n in "abc"]


def test_readiness_names_what_is_not_ready():
    lab = Lab("a", "b")
    assert lab.manager.not_ready() == ["a", "b"]
    lab.manager.turn()
    lab.children["b"][0].ready = False
    assert lab.manager.not_ready() == ["b"]
    lab.end("a", 70)
    assert lab.manager.not_ready() == ["a", "b"]


@pytest.mark.slow  # in `make test`: test_run_command.py
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
        deadline = time.monotonic() + 240
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
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    child.process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert child.process.stdout.readline() == b"up\n"
    child.terminate()
    assert child.wait(0.2) == -9
    child.process.stdout.close()


SERVES = """
import http.server, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(503)
        self.end_headers()
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
"""


class Script(Child):
    """A real process of a few lines, in place of one of ours."""

    def __init__(self, spec):
        self.spec = spec
        self.process = subprocess.Popen([sys.executable, "-c", *spec.arguments])


def test_a_real_process_that_is_frozen_is_killed_and_replaced(monkeypatch):
    monkeypatch.setattr(module, "PROBE_EVERY_S", 0.1)
    monkeypatch.setattr(child_module, "ANSWER_S", 1.0)
    port, told = free_port(), []
    manager = Manager([Spec("gateway", (SERVES, str(port)), f"http://127.0.0.1:{port}/readyz")], start=Script,
                      tell=lambda *event: told.append(event[:2]))  # fmt: skip
    stop = threading.Event()
    thread = threading.Thread(target=manager.run, args=(stop,))
    thread.start()

    def until(condition):
        deadline = time.monotonic() + 90
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.05)

    try:
        until(lambda: "gateway" in manager.running() and manager.running()["gateway"].answers())
        frozen = manager.running()["gateway"].process
        until(lambda: manager._watched["gateway"].unanswered == 0)
        os.kill(frozen.pid, signal.SIGSTOP)
        until(lambda: "gateway" in manager.running() and manager.running()["gateway"].process is not frozen)
        until(lambda: manager.not_ready() == ["gateway"] and manager.running()["gateway"].answers())
        assert frozen.returncode == -9
        assert ("frozen", "gateway") in told
    finally:
        stop.set()
        thread.join(60)
    assert not thread.is_alive()


def test_real_crash_loops_are_found_while_the_others_run(monkeypatch):
    monkeypatch.setattr(module, "FIRST_PAUSE_S", 0.01)
    told = []
    manager = Manager(
        [Spec("broken", ("raise SystemExit(70)",), "http://127.0.0.1:1/"), Spec("good", ("import time; time.sleep(600)",), "http://127.0.0.1:1/")],
        start=Script, give_up=False, tell=lambda *event: told.append(event),
    )  # fmt: skip
    stop = threading.Event()
    thread = threading.Thread(target=manager.run, args=(stop,))
    thread.start()
    try:
        deadline = time.monotonic() + 90
        while not manager.looping():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        good = manager.running()["good"].process
        assert good.poll() is None
    finally:
        stop.set()
        thread.join(60)
    assert manager.failure is None
    assert good.returncode == -signal.SIGTERM
    assert [event[1] for event in told if event[0] == "crash-loop"] == ["broken"]
