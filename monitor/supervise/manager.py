"""The process manager of `offsite demo` and `offsite run`.

A process that ends is started again, after a pause that doubles from half a second to half a minute and begins anew once
the process has run for a minute. Two endings are final, because starting again cannot help: exit code 2 or 3 (usage, bad
input), and a crash loop (five endings within two minutes of which none followed a minute's run). Then everything is ended, and the
code is the process's own, so that whoever started the manager (systemd, a person) sees it.
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
STOP_S = 5.0
FINAL_CODES = frozenset({2, 3})


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
        clock: Callable[[], float] = time.monotonic,
        start: Callable[[Spec], Child] = Child,
    ) -> None:
        """Take what to run. `tell` hears of every event: kind (started, ended, gave-up), name, detail."""
        self._watched = {spec.name: Watched(spec) for spec in specs}
        self._tell, self._clock, self._start = tell, clock, start
        self._lock = threading.Lock()
        self.failure: Failure | None = None

    def run(self, stop: threading.Event) -> int:
        """Start everything and keep it running until `stop`; returns 0, or the code of the process that made it give up."""
        try:
            while not stop.is_set() and self.failure is None:
                self.turn()
                stop.wait(POLL_S)
        finally:
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

    def end(self) -> None:
        """End every process: SIGTERM to all at once, SIGKILL to what is left after five seconds."""
        with self._lock:
            children = [one.child for one in self._watched.values() if one.child is not None]
        for child in children:
            child.terminate()
        deadline = time.monotonic() + STOP_S
        for child in children:
            child.wait(deadline - time.monotonic())

    def not_ready(self) -> list[str]:
        """Return the names of processes that are not ready."""
        with self._lock:
            children = {name: one.child for name, one in self._watched.items()}
        return [name for name, child in children.items() if child is None or not child.is_ready()]

    def running(self) -> dict[str, Child]:
        """Return what runs, by name."""
        with self._lock:
            return {name: one.child for name, one in self._watched.items() if one.child is not None}

    def restarts(self) -> dict[str, int]:
        """Return how often each process was started again."""
        return {name: one.restarts for name, one in self._watched.items() if one.restarts}

    def _begin(self, one: Watched, now: float) -> None:
        child = self._start(one.spec)
        with self._lock:
            one.child, one.started = child, now
        self._tell("started", one.spec.name, f"pid {child.process.pid}")

    def _ended(self, one: Watched, code: int, now: float) -> None:
        child = one.child
        tail = child.tail() if child is not None else ""
        if now - one.started >= SETTLED_S:
            one.pauses, one.endings = 0, []
        one.endings = [at for at in one.endings if now - at < LOOP_S] + [now]
        loop = len(one.endings) >= LOOP_ENDINGS
        with self._lock:
            one.child = None
        if code in FINAL_CODES or loop:
            self.failure = Failure(one.spec.name, code, loop, tail)
            self._tell("gave-up", one.spec.name, str(self.failure))
            return
        pause = min(FIRST_PAUSE_S * 2**one.pauses, LONGEST_PAUSE_S)
        one.due, one.pauses, one.restarts = now + pause, one.pauses + 1, one.restarts + 1
        self._tell("ended", one.spec.name, f"code {code}, started again in {pause:g} s")
