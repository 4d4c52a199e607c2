"""Whether the group still knows a worker to whom it gives nothing.

As a standby it is of use, outside the group of none; from inside both look the same, an empty assignment.
"""

from __future__ import annotations

import threading
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING

from streams.admin import BrokerDownError
from streams.group import describe
from streams.names import SIGHTINGS, thrown_out

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from streams.group import Group
    from streams.halt import Halt
    from streams.worker_settings import WorkerSettings

LOOK_S = 5.0
STRANGERS_S = 60.0


class Standing:
    """Asks the group about this worker while it owns nothing; `confirmed` says when the group last knew it as a standby."""

    def __init__(
        self,
        settings: WorkerSettings,
        idle: Callable[[], bool],
        mine: Callable[[], Container[str]],
        halt: Halt,
        *,
        ask: Callable[[WorkerSettings], Group] = describe,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._settings, self._idle, self._mine, self._halt = settings, idle, mine, halt
        self._ask, self._clock = ask, clock
        self.confirmed: float | None = None
        self.why = "the group was not asked yet"
        self._joined = False
        """Whether it was seen in the group: before, a seat under its name is its predecessor's."""
        self._strangers: deque[float] = deque(maxlen=SIGHTINGS)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="standing", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stop.set()

    def look(self) -> None:
        """Ask once; ends the process if somebody else sits under its name."""
        try:
            group = self._ask(self._settings)
        except BrokerDownError as error:
            self.why = f"the coordinator does not answer: {error}"
            return
        if not self._idle():
            return  # it was given partitions meanwhile
        self.why = self._judge(group)
        if not self.why:
            self.confirmed = self._clock()

    def _judge(self, group: Group) -> str:
        """Return why this worker is no standby; empty if it is one."""
        settings, mine = self._settings, self._mine()
        if not group.stable:
            return "the group is rebalancing"
        seat = group.under(settings.instance)
        if seat is not None and self._joined and seat.member not in mine:
            self._strangers.append(self._clock())
            if len(self._strangers) == SIGHTINGS and self._clock() - self._strangers[0] < STRANGERS_S:
                self._halt("another worker took this one's name", thrown_out(settings))
        if seat is None or seat.member not in mine:
            return "the group does not know this worker"
        self._joined = True
        if seat.partitions:
            return f"the group gave partitions {sorted(seat.partitions)}, and they did not arrive"
        left = set(range(settings.kafka.partitions)).difference(*(other.partitions for other in group.seats))
        return f"nobody was given partitions {sorted(left)}" if left else ""

    def _run(self) -> None:
        while not self._stop.wait(LOOK_S):
            if self._idle():
                self.look()
