"""A process of the simulation: what lives, stands still and dies together, although all share one event loop.

Its tasks are known by the context they were made in. A dead one is cut off from the broker first and its tasks are
cancelled then: whatever they do while they are cancelled reaches nobody, as with kill -9.
"""

from __future__ import annotations

import asyncio
import contextvars
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from rules.errors import OffsiteError
from streams.halt import EX_SOFTWARE, exit_status

if TYPE_CHECKING:
    from collections.abc import Coroutine

KILLED = -9
T = TypeVar("T")
ROUNDS = 200
_current: contextvars.ContextVar[Process | None] = contextvars.ContextVar("process", default=None)


class ProcessDiedError(BaseException):
    """What the code of a process meets in place of `os._exit`: nothing catches it as an Exception."""


class Process:
    """One process."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.status: int | None = None
        """Its exit status, as of a real one: -9 killed, 70 or an error's own when it ended itself; None while it lives."""
        self.reason = ""
        self.error: BaseException | None = None
        self.steps = 0
        """Requests and answers that passed between it and the broker."""
        self.dies_at: int | None = None
        """The step at which it is killed."""
        self.pauses_at: int | None = None
        """The step at which it is paused."""
        self._runs = asyncio.Event()
        self._runs.set()
        self.ended = asyncio.Event()
        self._tasks: dict[asyncio.Task[Any], None] = {}
        _watch_tasks()
        processes().append(self)

    @property
    def alive(self) -> bool:
        """Whether it has not ended; a paused one lives."""
        return self.status is None

    @property
    def paused(self) -> bool:
        """Whether it stands still."""
        return not self._runs.is_set()

    def start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run a coroutine in this process."""
        context = contextvars.copy_context()
        context.run(_current.set, self)
        return context.run(asyncio.create_task, work)

    def add(self, task: asyncio.Task[Any]) -> None:
        """Count a task as this process's; it dies with it."""
        self._tasks[task] = None
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._tasks.pop(task, None)

    async def step(self) -> None:
        """Pass between process and broker: here it may be paused, and here it dies when its hour has come."""
        self.steps += 1
        if self.steps == self.dies_at:
            self.end(KILLED, "killed")
        if self.steps == self.pauses_at:
            self.pause()
        await self._runs.wait()
        if not self.alive:
            await asyncio.get_running_loop().create_future()  # until its task is cancelled

    def pause(self) -> None:
        """Stop answering, as SIGSTOP does: nothing of it reaches the broker any more."""
        self._runs.clear()

    def resume(self) -> None:
        """Go on where it stood."""
        self._runs.set()

    def end(self, status: int, reason: str, error: BaseException | None = None) -> None:
        """Cut it off; `buried` clears it away."""
        if self.alive:
            self.status, self.reason, self.error = status, reason, error
            self._runs.set()
            self.ended.set()

    def halt(self, reason: str, error: BaseException | None = None) -> NoReturn:
        """End it as `streams.halt.halt` would."""
        self.end(exit_status(error), reason, error)
        raise ProcessDiedError(reason) from error

    async def buried(self) -> None:
        """Cancel all that is left of a dead process, and wait until it is gone.

        Raises:
            RuntimeError: something of it does not go.
        """
        for _ in range(ROUNDS):
            here = [task for task in self._tasks if task is not asyncio.current_task()]
            if not here:
                return
            for task in here:
                task.cancel()
            await asyncio.wait(here, timeout=0.1)
            for task in here:
                if task.done() and not task.cancelled():
                    task.exception()
        raise RuntimeError(f"{self.name} does not go: {list(self._tasks)}")

    def told(self) -> str:
        """Say how it ended, with the error's own words."""
        error = self.error
        return f"{self.reason}: {error.report() if isinstance(error, OffsiteError) else error!r}"


def current() -> Process | None:
    """Return the process that this code runs in; None for a test's own."""
    return _current.get()


_all: contextvars.ContextVar[list[Process]] = contextvars.ContextVar("processes")


def processes() -> list[Process]:
    """Return every process of the simulation."""
    return _all.get()


async def with_processes(work: Coroutine[Any, Any, T]) -> T:
    """Await a coroutine that makes processes; none of them outlives it."""
    made: list[Process] = []
    token = _all.set(made)
    try:
        return await work
    finally:
        for process in made:
            process.end(KILLED, "the simulation is over")
            await process.buried()
        _all.reset(token)


def _watch_tasks() -> None:
    loop = asyncio.get_running_loop()
    if loop.get_task_factory() is None:
        loop.set_task_factory(_make_task)


def _make_task(loop: asyncio.AbstractEventLoop, coroutine: Any, **named: Any) -> asyncio.Task[Any]:  # noqa: ANN401 - asyncio's signature
    task = asyncio.Task(coroutine, loop=loop, **named)
    context = named.get("context")
    process = context.get(_current) if context is not None else _current.get()
    if process is not None:
        process.add(task)
    return task


__all__ = ["EX_SOFTWARE", "KILLED", "Process", "ProcessDiedError", "current"]
