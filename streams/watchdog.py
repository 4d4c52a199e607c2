"""Sees a worker that is alive and useless, says so in `/healthz`, and ends it.

Runs in a thread of its own: a blocked event loop is one of the things it has to see.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Protocol

from streams.checkpoint import LogLostError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from streams.custody import Custody
    from streams.halt import Halt
    from streams.worker_settings import WorkerSettings

LOOK_S = 0.5
FRESH_S = 20.0
"""What the group said of a standby holds for so long: four looks."""
TICK_SLACK_S = 5.0
GRACE = 1.5
"""Unhealthy at the limit, ended at this multiple of it: a supervisor's probe sees it in between."""
_log = logging.getLogger("offsite.worker")


class Confirmed(Protocol):
    """What the group last said of a worker that owns nothing (streams.standing)."""

    confirmed: float | None
    why: str


@dataclass(slots=True)
class _Progress:
    """Since when a number has stood still although it should not."""

    value: int | None = None
    since: float = 0.0

    def still_for(self, value: int, now: float, *, idle: bool) -> float:
        if idle or value != self.value:
            self.value, self.since = value, now
        return now - self.since


@dataclass(slots=True)
class _Partition:
    folded: _Progress = field(default_factory=_Progress)
    written: _Progress = field(default_factory=_Progress)
    end: int = 0
    """The log holds records up to here at least: from fetches, and from our own ticks."""
    heard: float = 0.0
    """When a record of ours was last appended to it; its first sight counts as one."""


class Watchdog:
    """Judges custody and the event loop; `check` is a function of the clock handed to it."""

    def __init__(
        self,
        settings: WorkerSettings,
        custody: Custody,
        halt: Halt,
        highwaters: Callable[[], Mapping[int, int]],
        died: Callable[[], str | None],
        standing: Confirmed,
    ) -> None:
        self._settings, self._custody, self._halt = settings, custody, halt
        self._highwaters, self._died, self._standing = highwaters, died, standing
        self._partitions: dict[int, _Partition] = {}
        self._beat = self._looked = self._idle_since = monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)
        self.faults: list[str] = ["starting"]
        self.ready = False
        self.behind: list[str] = ["starting"]
        """Why it is not ready, apart from faults."""
        self._measured = False

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Stop looking: the worker is stopping on purpose."""
        self._stop.set()

    def beat(self) -> None:
        """Say that the event loop turns; called from it."""
        self._beat = monotonic()

    def landed(self, partition: int, offset: int, folded: int) -> None:
        """Say where a tick of ours stands in the log, and which offset was the next to fold before it was sent."""
        if offset < folded:
            self._halt(
                f"partition {partition} lost records",
                LogLostError(f"a new record was appended at {offset}, behind {folded} everything was folded before"),
            )
        seen = self._partition(partition)
        seen.end, seen.heard = offset + 1, monotonic()

    def lag(self) -> int:
        """Return how many records of owned partitions are known and not folded."""
        tenures = list(self._custody.tenures.items())
        return sum(max(0, self._partitions[p].end - tenure.next) for p, tenure in tenures if p in self._partitions)

    def check(self, now: float) -> tuple[list[str], float]:
        """Return what is wrong, and the worst overrun of a limit as a multiple of it."""
        faults: list[str] = []
        worst = 0.0

        def judge(what: str, seconds: float, limit: float) -> None:
            nonlocal worst
            if seconds > limit:
                faults.append(f"{what} for {seconds:.0f} s")
                worst = max(worst, seconds / limit)

        settings, custody = self._settings, self._custody
        died = self._died()
        if died is not None:
            faults.append(died)
            worst = GRACE * 2
        judge("the event loop is blocked", now - self._beat, settings.loop_timeout_s)
        if custody.wanted or custody.restoring_since is not None:
            self._idle_since = now
        else:
            # A rebalance that gives nothing again does not begin this anew, only the group's own word does.
            since = max(self._idle_since, self._standing.confirmed or 0.0)
            judge(f"no partition is assigned ({self._standing.why})", now - since, settings.assignment_timeout_s)
        if custody.restoring_since is not None:
            judge("restoring does not go on", now - custody.restoring_moved, settings.recovery_timeout_s)
        elif custody.wanted and not custody.restored:
            judge("assigned and not restored", now - custody.wanted_since, settings.recovery_timeout_s)
        tenures = dict(custody.tenures)
        for partition in self._partitions.keys() - tenures.keys():
            del self._partitions[partition]
        ends = self._highwaters()
        for partition in ends.keys() & tenures.keys():
            seen = self._partition(partition)
            seen.end = max(seen.end, ends[partition])
        self._measured = tenures.keys() <= ends.keys()
        silent = max(settings.stall_timeout_s, 3 * settings.tick_every_s)
        for partition, tenure in tenures.items():
            seen = self._partition(partition)
            seen.heard = seen.heard or now
            judge(f"nothing could be appended to partition {partition}", now - seen.heard, silent)
            # One that waits for a second clock stands still on purpose, and says so.
            idle = tenure.next >= seen.end or tenure.held
            judge(
                f"partition {partition} does not move from offset {tenure.next} of {seen.end}",
                seen.folded.still_for(tenure.next, now, idle=idle),
                settings.stall_timeout_s,
            )
            judge(
                f"partition {partition} has had no checkpoint behind {tenure.checkpointed}",
                seen.written.still_for(tenure.checkpointed, now, idle=tenure.checkpointed == tenure.next),
                settings.stall_timeout_s,
            )
        return faults, worst

    def look(self, now: float) -> None:
        """Judge once; ends the process when a limit is overrun by half."""
        if now - self._looked > LOOK_S * 8:
            # The whole process slept (SIGSTOP, a suspended machine): nothing stood still while nothing ran.
            self._beat = now
            self._idle_since = now
            for seen in self._partitions.values():
                seen.folded.since = seen.written.since = seen.heard = now
        self._looked = now
        self.faults, worst = self.check(now)
        self.behind = self._reasons(now)
        self.ready = not self.behind and not self.faults
        if worst > GRACE:
            self._halt("watchdog: " + "; ".join(self.faults))

    def _reasons(self, now: float) -> list[str]:
        """Return why this worker is not caught up; a standby confirmed by the group is."""
        custody, settings = self._custody, self._settings
        if not custody.wanted:
            confirmed = self._standing.confirmed
            return [] if confirmed is not None and now - confirmed < FRESH_S else [self._standing.why]
        if not custody.restored:
            return ["restoring"]
        reasons = [] if self._measured else ["the log's end is not known yet"]
        if (lag := self.lag()) > settings.ready_lag_records:
            reasons.append(f"{lag} records are not folded")
        if held := sorted(p for p, tenure in list(custody.tenures.items()) if tenure.held):
            reasons.append(f"partitions {held} wait for a second clock")
        deaf = 3 * max(settings.tick_every_s, TICK_SLACK_S)
        mute = sorted(p for p, seen in list(self._partitions.items()) if seen.heard and now - seen.heard > deaf)
        return [*reasons, f"nothing could be appended to partitions {mute}"] if mute else reasons

    def _run(self) -> None:
        while not self._stop.wait(LOOK_S):
            self.look(monotonic())

    def _partition(self, partition: int) -> _Partition:
        return self._partitions.setdefault(partition, _Partition())
