"""The product's worker in memory: the app that `offsite worker` runs, as a process that can be killed, paused and stopped."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from streams.app import create_app
from streams.sensor import Sensor
from streams.testing.process import KILLED, Process
from streams.testing.transport import MEMORY
from streams.ticker import Ticker
from streams.worker import accepting, finish, guarded, releases

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.custody import Custody
    from streams.faust_seams import WorkerApp
    from streams.fold import Fold
    from streams.history import History
    from streams.worker_settings import WorkerSettings


class MemoryWorker:
    """One worker; each `start` is a new process with a new fold."""

    def __init__(self, settings: WorkerSettings, new_fold: Callable[[], Fold], history: History | None = None) -> None:
        self.settings, self._new_fold, self._history = settings, new_fold, history
        self.process = Process(settings.instance)
        self.app: WorkerApp | None = None
        self.sensor = Sensor()
        """What its process counts."""
        self.landed: dict[int, int] = {}
        """Partition -> where its last tick stands."""
        self._parts: list[asyncio.Task[Any]] = []

    @property
    def custody(self) -> Custody:
        """What this process owns.

        Raises:
            RuntimeError: it was not started.
        """
        if self.app is None:
            raise RuntimeError("the worker was not started")
        return self.app.custody

    @property
    def owned(self) -> list[int]:
        """The partitions that it has restored and folds."""
        if self.app is None or not self.process.alive:
            return []
        return sorted(accepting(self.custody))

    async def start(self, dies_at: int | None = None) -> None:
        """Start a process; it may be told at which step towards the broker it dies."""
        self.process = Process(self.settings.instance)
        self.process.dies_at = dies_at
        await self.process.start(self._begin())

    async def _begin(self) -> None:
        halt = self.process.halt
        sensor = self.sensor = Sensor()
        app = self.app = create_app(
            self.settings, self._new_fold(), sensor=sensor, halt=halt, history=self._history, kinds=MEMORY
        )
        ticker = Ticker(self.settings, sensor, lambda: accepting(app.custody), self._land, MEMORY)
        parts = (ticker.run(), app.start(), releases(app.custody, self.settings))
        self._parts = [asyncio.create_task(guarded(part, halt)) for part in parts]

    def _land(self, partition: int, offset: int, _: int) -> None:
        self.landed[partition] = offset

    async def kill(self) -> None:
        """End it as kill -9 does: it finishes nothing, and the group knows it until its session ends."""
        self.process.end(KILLED, "killed")
        await self.bury()

    async def bury(self) -> None:
        """Clear away what is left of a process that has ended; a file that it has locked is free then."""
        await self.process.buried()
        if self.app is not None:
            self.custody.crumbs.close()

    async def stop(self) -> None:
        """End it as SIGTERM does, in the worker's own way: final checkpoint, then Faust."""
        app, process = self.app, self.process
        if app is None or not process.alive:
            return
        stopping = process.start(finish(app, app.custody, self._parts, self.settings, process.halt))
        ending = asyncio.create_task(process.ended.wait())
        await asyncio.wait({stopping, ending}, return_when=asyncio.FIRST_COMPLETED)
        ending.cancel()
        process.end(0, "stopped")
        await self.bury()
