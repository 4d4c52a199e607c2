"""The hall behind the front door: who may be inside with a body at once, and how many bytes all bodies together may hold.

A body takes its room before it is read (as much as it declares), so that a flood is told 503 while it costs a few headers and
not four mebibytes each; nobody waits for room while holding some, so a full hall always empties.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager, contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING

from monitor.gateway.lane import LARGE_BYTES
from monitor.gateway.problems import RefusedError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from contextlib import AbstractAsyncContextManager

    from monitor.gateway.figures import Figures

RETRY_AFTER_S = 2
RETRY_OWN_S = 1
SHARES = 8
"""One key may hold one share of the room; the last one is for small bodies alone, so that large ones never keep them out."""


class Hall:
    """Bounds on posts under way: bytes of all bodies, bytes and number of one key."""

    def __init__(self, room: int, posts_per_key: int, figures: Figures) -> None:
        self._room, self._share, self._posts_per_key = room, room // SHARES, posts_per_key
        self._figures = figures
        self._bytes: Counter[str] = Counter()
        self._posts: Counter[str] = Counter()
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Give the loop back between two pieces of long work: a hundred bombs at once take turns, and small posts go between them."""
        async with self._turn:
            yield
            await asyncio.sleep(0)

    @contextmanager
    def enter(self, key: str) -> Iterator[Place]:
        """Count a post of a key while it is under way, and what its body holds.

        Raises:
            RefusedError: 429 where the key has too many under way.
        """
        if self._posts[key] >= self._posts_per_key:
            raise _too_much_of_one()
        self._posts[key] += 1
        place = Place(self, key)
        try:
            yield place
        finally:
            place.leave()
            self._posts[key] -= 1
            if not self._posts[key]:
                del self._posts[key]

    def take(self, key: str, size: int, *, large: bool) -> None:
        """Take `size` bytes of room for a key; `large` ones leave the last share alone.

        Raises:
            RefusedError: 429 where the key has its share, 503 where the room is taken.
        """
        if self._bytes[key] + size > self._share:
            raise _too_much_of_one()
        if size > self._room - (self._share if large else 0):
            raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "busy", retry_after_s=RETRY_AFTER_S)
        self.move(key, size)

    def move(self, key: str, size: int) -> None:
        """Note `size` more bytes of a key, or fewer."""
        self._bytes[key] += size
        if not self._bytes[key]:
            del self._bytes[key]
        self._room -= size
        self._figures.bodies.inc(size)


class Place:
    """The room that one body holds: what it declared, or what was read of it, whichever is more."""

    __slots__ = ("_hall", "_held", "_key")

    def __init__(self, hall: Hall, key: str) -> None:
        self._hall, self._key, self._held = hall, key, 0

    def turn(self) -> AbstractAsyncContextManager[None]:
        """Wait for the hall's turn."""
        return self._hall.turn()

    def hold(self, size: int) -> None:
        """Hold at least `size` bytes from now on.

        Raises:
            RefusedError: 429 where the key has its share, 503 where the room is taken.
        """
        if size > self._held:
            self._hall.take(self._key, size - self._held, large=size > LARGE_BYTES)
            self._held = size

    def leave(self) -> None:
        """Give the room back: the body was read and is thrown away."""
        if self._held:
            self._hall.move(self._key, -self._held)
            self._held = 0


def _too_much_of_one() -> RefusedError:
    return RefusedError(HTTPStatus.TOO_MANY_REQUESTS, "at_once", retry_after_s=RETRY_OWN_S)
