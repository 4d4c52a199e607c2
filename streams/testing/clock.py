"""An event loop whose time jumps to the next timer when nothing is left to do: seconds of a worker's life pass in milliseconds.

One thread, one loop, no real waiting: with the same seed the same things happen in the same order.
"""

from __future__ import annotations

import asyncio
import gc
import selectors
import sys
import time
import warnings
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

from streams.testing.process import with_processes

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from concurrent.futures import Executor

BEGIN_S = 1_000.0
T = TypeVar("T")
THREAD_WAIT_S = 0.01
TURNS, TURNS_S = 1_000, 0.01
"""So many turns of the loop in a row at one instant take so long, as they would on a machine."""
_MONOTONIC = time.monotonic
_ROOMS = ("streams", "mode", "faust")
"""Packages that measure durations with `time.monotonic`; inside the simulation they see the loop's time."""


class StandstillError(Exception):
    """Nothing is left to do and no timer is set: what is waited for will never come."""


class _Selector(selectors.DefaultSelector):
    """Instead of waiting for a timer it moves the loop's time; threads at work are really waited for."""

    loop: VirtualLoop
    turns = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            self.turns += 1
            if self.turns >= TURNS:
                # Whoever never waits (Faust's fetcher in a process that has died) must not hold the others' time.
                self.turns = 0
                self.loop.now += TURNS_S
            return ready
        self.turns = 0
        if self.loop.threads:
            return super().select(THREAD_WAIT_S)
        if timeout is None:
            raise StandstillError("nothing is left to do and no timer is set")
        self.loop.now += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """The loop; `now` is its time in seconds."""

    def __init__(self) -> None:
        self.now = BEGIN_S
        self.threads = 0
        """Calls in threads that have not returned."""
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        """Return the virtual time, in seconds."""
        return self.now

    def run_in_executor(self, executor: Executor | None, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override] # noqa: ANN401 - asyncio's signature
        """Run a call in a thread; time stands still until it returns."""
        self.threads += 1
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(self._returned)
        return future

    async def shutdown_default_executor(self, *args: Any) -> None:  # noqa: ANN401 - asyncio's signature
        """Wait for the threads at the end; asyncio does so in one more thread."""
        self.threads += 1
        try:
            await super().shutdown_default_executor(*args)
        finally:
            self.threads -= 1

    def _returned(self, _: asyncio.Future[Any]) -> None:
        self.threads -= 1


class _Time(ModuleType):
    """The module `time` as the worker sees it inside a simulation."""

    def __init__(self, loop: VirtualLoop, wall_ns: int) -> None:
        super().__init__("time")
        self._loop, self._wall_ns = loop, wall_ns

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the module has
        return getattr(time, name)

    def monotonic(self) -> float:
        return self._loop.now

    def time_ns(self) -> int:
        return self._wall_ns + int((self._loop.now - BEGIN_S) * 1_000_000_000)

    def time(self) -> float:
        return self.time_ns() / 1_000_000_000


@contextmanager
def _one_clock(loop: VirtualLoop, wall_ns: int) -> Iterator[None]:
    """Let Faust, mode and the worker read the loop's time, as they would a machine's."""
    seen = _Time(loop, wall_ns)
    changed: list[tuple[ModuleType, str, Any]] = []
    for name, module in list(sys.modules.items()):
        if name.split(".")[0] not in _ROOMS or name.startswith("streams.testing"):
            continue
        for attribute, real, ours in (("monotonic", _MONOTONIC, seen.monotonic), ("time", time, seen)):
            if vars(module).get(attribute) is real:
                changed.append((module, attribute, real))
                setattr(module, attribute, ours)
    try:
        yield
    finally:
        for module, attribute, real in changed:
            setattr(module, attribute, real)


def wall_ms(loop: VirtualLoop | None = None) -> int:
    """Return what a correct wall clock shows now: the simulation's begin is a fixed instant."""
    loop = loop or running()
    return WALL_MS + int((loop.now - BEGIN_S) * 1_000)


WALL_MS = 1_767_225_600_000
"""Wall time at the begin of each simulation: 2026-01-01T00:00:00Z."""


def running() -> VirtualLoop:
    """Return the virtual loop that runs.

    Raises:
        RuntimeError: none does.
    """
    loop = asyncio.get_running_loop()
    if not isinstance(loop, VirtualLoop):
        raise RuntimeError(  # noqa: TRY004 - not the type of an argument
            "the memory broker works inside streams.testing.simulate() only"
        )
    return loop


def simulate(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in a virtual loop, and clear away what it leaves.

    Raises:
        StandstillError: it waits for something that will never come.
    """
    loop = VirtualLoop()
    with _remains(), _one_clock(loop, WALL_MS * 1_000_000), asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(with_processes(work))


@contextmanager
def _remains() -> Iterator[None]:
    """Clear away what killed processes leave without a word: coroutines that nobody came to await are part of being killed."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
        gc.collect()
        gc.freeze()  # what was there before is not looked through, here or later
        searching = gc.isenabled()
        gc.disable()  # nor what is made here, before the end
        try:
            yield
        finally:
            gc.collect()
            if searching:
                gc.enable()
