"""The process manager of `offsite demo` and `offsite run`.

A process that ends is started again, after a pause that doubles from half a second to half a minute and begins anew once
the process has run for a minute. One that answers no probe for a minute, though it did before, is killed and started again.

Ending with 2 or 3 (usage, bad input) is final: everything is ended, and the code is the process's own, so that whoever
started the manager (systemd, a person) sees it. A crash loop is five endings within two minutes of which none followed a
minute's run. Whoever watches a demo is told of it at once, as of bad input. In an installation one process that fails must not
close the front door, nor hide what the desk knows: a looping one is told, and tried every half minute, while the others work.
Ending with 4 (a part is missing or down) is waiting in this manner, however often, and no loop. One that has ended so five times
within two minutes, or that has waited for two minutes without running for one, is told to be waiting; once, with the last words
of its log. When it then runs for a minute, that is told, too.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from monitor.supervise.child import Child

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from monitor.supervise.child import Spec

POLL_S = 0.1
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
SETTLED_S = 60.0
LOOP_ENDINGS = 5
LOOP_S = 120.0
WAITING_S = 120.0
STOP_S = 5.0
FINAL_CODES = frozenset({2, 3})
MISSING_CODE = 4
PROBE_EVERY_S = 10.0
FROZEN_PROBES = 6
"""So many probes in a row without any answer, good or bad, from a process that had answered: it is frozen."""


@dataclass(slots=True)
class Watched:
    """One process under the manager's eyes; times by the manager's clock, in seconds."""

    spec: Spec
    child: Child | None = None
    started: float = 0.0
    due: float = 0.0
    """When it is started (again)."""
    pauses: int = 0
    endings: list[float] = field(default_factory=list)
    restarts: int = 0
    looping: bool = False
    missed: list[float] = field(default_factory=list)
    """When it ended with 4 since it last ran for a minute: the first time, and those within the time of a loop."""
    waiting: bool = False
    code: int = 0
    words: str = ""
    """With what it ended last, and the last words of its log then."""
    unanswered: int | None = None
    """Probes without an answer since the last one that had one; None until it has answered once."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why the manager gave up: which process, its exit code, and the end of its log."""

    name: str
    code: int
    loop: bool
    tail: str

    def __str__(self) -> str:
        """Return it in words."""
        how = f"ended {LOOP_ENDINGS} times in a row, last" if self.loop else "ended"
        return f"{self.name} {how} with {self.code}" + (f":\n{self.tail}" if self.tail else "")


class Manager:
    """Runs processes until told to stop; one manager, one thread."""

    def __init__(
        self,
        specs: Iterable[Spec],
        *,
        tell: Callable[[str, str, str], None] = lambda *_: None,
        give_up: bool = True,
        clock: Callable[[], float] = time.monotonic,
        start: Callable[[Spec], Child] = Child,
    ) -> None:
        """Take what to run.

        Args:
            specs: of the processes.
            tell: hears of every event: kind (started, ended, crash-loop, waiting, recovered, frozen, gave-up, stopped), name,
                detail.
            give_up: end everything at a crash loop, too.
            clock: in seconds.
            start: starts a process.
        """
        self._watched = {spec.name: Watched(spec) for spec in specs}
        self._tell, self._give_up, self._clock, self._start = tell, give_up, clock, start
        self._lock = threading.Lock()
        self.failure: Failure | None = None

    def run(self, stop: threading.Event) -> int:
        """Start everything and keep it running until `stop`; returns 0, or the code of the process that made it give up."""
        ended = threading.Event()
        prober = threading.Thread(target=self._probe_for_ever, args=(ended,), name="liveness", daemon=True)
        prober.start()
        try:
            while not stop.is_set() and self.failure is None:
                self.turn()
                stop.wait(POLL_S)
        finally:
            ended.set()
            self.end()
        return 0 if self.failure is None else self.failure.code or 1

    def turn(self) -> None:
        """Look at every process once."""
        for one in self._watched.values():
            now = self._clock()
            if one.child is None:
                if now >= one.due:
                    self._begin(one, now)
            elif (code := one.child.process.poll()) is not None:
                self._ended(one, code, now)
                if self.failure is not None:
                    return
            elif now - one.started >= SETTLED_S:
                self._settled(one)
            self._look_at_waiting(one, now)

    def end(self) -> None:
        """End every process: SIGTERM to all at once, SIGKILL to what is left after five seconds."""
        with self._lock:
            children = [one.child for one in self._watched.values() if one.child is not None]
        for child in children:
            child.terminate()
        deadline = time.monotonic() + STOP_S
        for child in children:
            self._tell("stopped", child.name, f"code {child.wait(deadline - time.monotonic())}")

    def not_ready(self) -> list[str]:
        """Return the names of processes that are not ready."""
        with self._lock:
            children = {name: one.child for name, one in self._watched.items()}
        return [name for name, child in children.items() if child is None or not child.is_ready()]

    def probe(self) -> None:
        """Ask every process once whether it answers at all; kill one that has not for long."""
        for one in self._watched.values():
            child = one.child
            if child is None:
                continue
            if child.answers():
                one.unanswered = 0
            elif one.unanswered is not None and child is one.child:
                one.unanswered += 1
                if one.unanswered >= FROZEN_PROBES:
                    one.unanswered = None
                    self._tell("frozen", one.spec.name, f"no answer to {FROZEN_PROBES} probes: killed")
                    child.process.kill()

    def looping(self) -> list[str]:
        """Return the names of processes in a crash loop."""
        return [name for name, one in self._watched.items() if one.looping]

    def waiting(self) -> list[str]:
        """Return the names of processes that wait for a part that is missing or down."""
        return [name for name, one in self._watched.items() if one.waiting]

    def running(self) -> dict[str, Child]:
        """Return what runs, by name."""
        with self._lock:
            return {name: one.child for name, one in self._watched.items() if one.child is not None}

    def restarts(self) -> dict[str, int]:
        """Return how often each process was started again."""
        return {name: one.restarts for name, one in self._watched.items() if one.restarts}

    def _begin(self, one: Watched, now: float) -> None:
        try:
            child = self._start(one.spec)
        except OSError as error:  # no memory, no process more: it is waited for, and the others go on
            one.started = now
            self._ended(one, MISSING_CODE, now, f"it cannot be started: {error.strerror or error}")
            return
        with self._lock:
            one.child, one.started, one.unanswered = child, now, None
        self._tell("started", one.spec.name, f"pid {child.process.pid}")

    def _ended(self, one: Watched, code: int, now: float, said: str = "") -> None:
        child = one.child
        tail = child.tail() if child is not None else said
        if now - one.started >= SETTLED_S:
            self._settled(one)
            one.pauses, one.endings, one.looping = 0, [], False
        one.endings = [at for at in one.endings if now - at < LOOP_S]
        one.code, one.words = code, tail.strip().rpartition("\n")[2].strip()
        if code == MISSING_CODE:
            one.missed = [*one.missed[:1], *(at for at in one.missed[1:] if now - at < LOOP_S), now]
        else:
            one.endings.append(now)
        loop = len(one.endings) >= LOOP_ENDINGS
        with self._lock:
            one.child = None
        if code in FINAL_CODES or (loop and self._give_up):
            self.failure = Failure(one.spec.name, code, loop, tail)
            self._tell("gave-up", one.spec.name, str(self.failure))
            return
        if loop and not one.looping:
            one.looping = True
            self._tell("crash-loop", one.spec.name, str(Failure(one.spec.name, code, loop, tail)))
        pause = LONGEST_PAUSE_S if one.looping else min(FIRST_PAUSE_S * 2**one.pauses, LONGEST_PAUSE_S)
        one.due, one.pauses, one.restarts = now + pause, one.pauses + 1, one.restarts + 1
        self._tell("ended", one.spec.name, f"code {code}, started again in {pause:g} s{_said(one)}")

    def _settled(self, one: Watched) -> None:
        """Note that a process has run for a minute: nothing is missing."""
        was, one.missed, one.waiting = one.waiting, [], False
        if was:
            self._tell("recovered", one.spec.name, f"it has run for {SETTLED_S:g} s")

    def _look_at_waiting(self, one: Watched, now: float) -> None:
        """Tell once of a process that waits; `missed` ends with its minute's run."""
        if one.waiting or not one.missed:
            return
        often = sum(now - at < LOOP_S for at in one.missed) >= LOOP_ENDINGS
        if often or (one.code == MISSING_CODE and now - one.missed[0] >= WAITING_S):
            one.waiting = True
            how = f"code {MISSING_CODE} since {now - one.missed[0]:.0f} s: a part is missing or down"
            self._tell("waiting", one.spec.name, how + _said(one))

    def _probe_for_ever(self, ended: threading.Event) -> None:
        while not ended.wait(PROBE_EVERY_S):
            self.probe()


def _said(one: Watched) -> str:
    return f"; it said: {one.words}" if one.words else ""
