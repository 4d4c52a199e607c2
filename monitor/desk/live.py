"""The live stream: every applied change and every acknowledgement, numbered, resumable from any number still kept.

One task reads new steps from the store and wakes the clients; each client keeps the number it has seen, and reads older
ones from the store itself. So a slow client costs nobody anything, and several desks on one store serve the same stream.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import delete, func, select

from monitor.store.desk_tables import LiveRow
from monitor.store.session import StoreDownError
from rules.instants import format_instant

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from monitor.desk.face import Face
    from monitor.store.session import Store

log = logging.getLogger(__name__)
KEEP_MS = 7 * 86_400_000
RING = 5_000
PAGE = 500
LOOK_S = 1.0
"""How often the strips are looked at; there is nobody to poke for a follower that stands still."""
POLL_S = 0.5
"""Without a word from this process's own follower, the store is asked this often: another desk may have written."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the stream; `alarm` and `revision` say what to fetch."""

    id: int
    at_ms: int
    kind: str
    alarm: str
    facility: str
    revision: int

    def data(self) -> dict[str, object]:
        """Return the event's JSON."""
        return {
            "kind": self.kind,
            "alarm": self.alarm,
            "facility": self.facility,
            "revision": self.revision,
            "at": format_instant(self.at_ms),
        }


class ResetError(Exception):
    """The number a client resumes from is not kept (too old), or was never given out: it must load afresh."""


class Hub:
    """The newest steps in memory, and the clients that wait for the next."""

    def __init__(self, store: Store) -> None:
        """Take the store; `run` does the work."""
        self._store = store
        self.look: Callable[[], Face | None] = lambda: None
        """Asked in a thread for what the strips of the pages show."""
        self.face: Face | None = None
        """What it said last."""
        self._ring: deque[Step] = deque(maxlen=RING)
        self._wake = asyncio.Event()
        self._news = asyncio.Condition()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._looks_at = 0.0
        self.newest = 0
        self.clients = 0

    def poke(self) -> None:
        """Say from any thread that something was committed."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closing: there is nobody left to tell
                self._loop.call_soon_threadsafe(self._wake.set)

    def load(self) -> None:
        """Begin at the newest step of the store: what is older is read by who asks for it."""
        self.newest = self.last()

    async def run(self) -> None:
        """Read new steps as they come, until cancelled."""
        self._loop = asyncio.get_running_loop()
        while True:
            try:
                steps = await asyncio.to_thread(self._read, self.newest, PAGE)
            except StoreDownError as error:
                log.warning("live stream: %s", error)
                steps = []
            if steps:
                async with self._news:
                    self._ring.extend(steps)
                    self.newest = steps[-1].id
                    self._news.notify_all()
            if time.monotonic() >= self._looks_at:
                await self._look()
            if len(steps) < PAGE:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), POLL_S)
                self._wake.clear()

    async def _look(self) -> None:
        face = await asyncio.to_thread(self.look)
        self._looks_at = time.monotonic() + LOOK_S
        if face != self.face:
            async with self._news:
                self.face = face
                self._news.notify_all()

    async def follow(self, after: int, patience_s: float) -> AsyncIterator[list[Step]]:
        """Yield the steps above `after`, in order; an empty list when `face` changes, or after `patience_s` without any.

        Raises:
            ResetError: steps between `after` and now are no longer kept, or `after` lies ahead of the store.
        """
        face = self.face
        if after > self.newest and after > await asyncio.to_thread(self.last):  # another desk may be ahead of this one
            raise ResetError
        if after < self.newest and await asyncio.to_thread(self._gone, after):
            raise ResetError
        while True:
            steps = [step for step in self._ring if step.id > after]
            if after < self.newest and (not steps or steps[0].id != after + 1):
                steps = await asyncio.to_thread(self._read, after, PAGE)
            if steps:
                after = steps[-1].id
                yield steps
                continue
            try:
                async with asyncio.timeout(patience_s), self._news:
                    await self._news.wait_for(lambda: self.newest > after or self.face != face)  # noqa: B023 - read at once, in this turn
            except TimeoutError:
                yield []
            else:
                if self.face != face:
                    face = self.face  # what comes while the caller works is another change
                    yield []

    def prune(self, now_ms: int) -> int:
        """Drop steps older than a week, but for the newest one; returns how many."""
        with self._store.writing() as session:
            last = session.scalar(select(func.max(LiveRow.id))) or 0
            gone = session.execute(delete(LiveRow).where(LiveRow.at_ms < now_ms - KEEP_MS, LiveRow.id < last))
            return int(getattr(gone, "rowcount", 0))

    def last(self) -> int:
        """Return the number of the newest step committed, which this desk may not have read yet; 0 before the first."""
        with self._store.reading() as session:
            return session.scalar(select(func.max(LiveRow.id))) or 0

    def _read(self, after: int, limit: int) -> list[Step]:
        with self._store.reading() as session:
            rows = session.scalars(select(LiveRow).where(LiveRow.id > after).order_by(LiveRow.id).limit(limit))
            return [Step(row.id, row.at_ms, row.kind, row.alarm, row.facility, row.revision) for row in rows]

    def _gone(self, after: int) -> bool:
        with self._store.reading() as session:
            first = session.scalar(select(func.min(LiveRow.id)).where(LiveRow.id > after))
        return first is None or first != after + 1
