"""Large bodies are read in a process of their own, so that one firm's four mebibytes never hold up everybody's posts.

A process and not a thread: decoding JSON holds Python's one lock in a single call, and naming faults one by one takes it back
every 5 ms; `bench/gateway_lane.py` measures both. One body at a time per process, few waiting, fewer of one key; what is
above is told to come again.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
from collections import Counter
from concurrent.futures import BrokenExecutor, Executor, ProcessPoolExecutor
from http import HTTPStatus
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, NamedTuple

from monitor.gateway.posts import read_post
from monitor.gateway.problems import RefusedError
from rules.faults import PostRefusedError

if TYPE_CHECKING:
    from monitor.gateway.posts import How, Post
    from rules.errors import Fault

log = logging.getLogger(__name__)
LARGE_BYTES = 64 * 1024
"""The worst body of this size takes about 25 ms on the loop, of reports and events twice that."""
WAITING = 8
PER_KEY = 2
RETRY_AFTER_S = 2
LONGEST_S = 30
"""A reading that takes longer than this ends its process; the worst body takes below two."""


class _Refusal(NamedTuple):
    """A PostRefusedError as it crosses the pipe."""

    what: str
    faults: list[Fault]
    counts: dict[str, int]


class Lane:
    """The way of large bodies. `read` gives what `read_post` gives, or says 503 where there is no room."""

    def __init__(self, processes: int) -> None:
        self._processes = processes
        self._pool: Executor | None = None
        self._keys: Counter[str] = Counter()

    @property
    def under_way(self) -> int:
        """Return how many bodies are being read or wait for it."""
        return self._keys.total()

    async def read(self, key_hash: str, body: bytes, how: How) -> Post:
        """Return what a large body holds.

        Raises:
            PostRefusedError: with every fault.
            RefusedError: 429 where too many of this key wait, 503 where too many of all do, or where the process was lost.
        """
        self.look_for_room(key_hash)
        self._keys[key_hash] += 1
        try:
            outcome = await self._run(body, how)
        finally:
            self._keys[key_hash] -= 1
            self._keys += Counter()  # drops keys that are at zero
        if isinstance(outcome, _Refusal):
            raise PostRefusedError(*outcome)
        return outcome

    def look_for_room(self, key_hash: str) -> None:
        """Say whether one more large body would be taken now.

        Raises:
            RefusedError: 429, 503, as `read`.
        """
        if self._keys[key_hash] >= PER_KEY:
            raise RefusedError(HTTPStatus.TOO_MANY_REQUESTS, "at_once", retry_after_s=RETRY_AFTER_S)
        if self.under_way >= WAITING:
            raise _busy()

    async def _run(self, body: bytes, how: How) -> Post | _Refusal:
        pool = self._pool
        if pool is None:
            pool = self._pool = self._open_pool()
        try:
            return await asyncio.wrap_future(pool.submit(_read_apart, body, how))
        except BrokenExecutor:
            log.warning("the process that reads large bodies was lost; the next one gets a new process")
            if self._pool is pool:
                self.close()
            raise _busy() from None

    def _open_pool(self) -> Executor:
        # Spawned: a forked copy would share the producer's sockets and the loop's locks.
        return ProcessPoolExecutor(self._processes, mp_context=get_context("spawn"), initializer=_begin)

    def close(self) -> None:
        """End the processes; what is under way there is answered 503."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)


def _busy() -> RefusedError:
    return RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "busy", retry_after_s=RETRY_AFTER_S)


def _read_apart(body: bytes, how: How) -> Post | _Refusal:
    signal.alarm(LONGEST_S)
    try:
        return read_post(body, how)
    except PostRefusedError as error:
        return _Refusal(error.what, error.faults, error.counts)
    finally:
        signal.alarm(0)


def _begin() -> None:
    """Set up a process of the pool: Ctrl-C is its parent's business, and it does not outlive a parent that was killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)
