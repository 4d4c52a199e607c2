"""How fast the follower may go while people use the console: in small slices, and never into an answer that is being made.

Python runs one thread at a time, and SQLite has one writer. A page that is made while a backlog of changes is read shares
the interpreter with the reading, and an acknowledgement waits for the transaction that runs. So a transaction takes a
twentieth of a second while somebody is there, and the next one waits, a bounded time, until all requests are answered.
"""

from __future__ import annotations

import threading
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

SLICE_S = 0.1
"""How long understanding and storing a slice of changes may take, about."""
LEAST, MOST = 100, 500
"""Changes of a slice: fewer cost more for their transactions than they spare; the most are taken while nobody is there."""
GIVE_WAY_S = 0.25
"""So long a slice waits for requests to be answered: under a flood of requests the backlog still gets a quarter of the time."""
QUIET_S = 5.0
"""After so long without a request nobody is there."""
NOBODY = ("/static/", "/healthz", "/readyz", "/metrics", "/v1/stream")
"""Machines ask here, or the answer is never over."""


class Pace:
    """Thread-safe: requests enter and leave on the event loop, the follower asks from its thread."""

    def __init__(self) -> None:
        """Begin with nobody there."""
        self._changed = threading.Condition()
        self._open = 0
        self._left = -QUIET_S
        self._size = 2 * LEAST

    def entered(self) -> None:
        """Note that a request is being answered."""
        with self._changed:
            self._open += 1

    def left(self) -> None:
        """Note that it was."""
        with self._changed:
            self._open -= 1
            self._left = monotonic()
            self._changed.notify_all()

    def give_way(self) -> int:
        """Wait until no request is being answered, a bounded time; returns how many changes may be taken next."""
        with self._changed:
            self._changed.wait_for(lambda: self._open == 0, GIVE_WAY_S)
            quiet = self._open == 0 and monotonic() - self._left >= QUIET_S
            return MOST if quiet else self._size

    def took(self, count: int, seconds: float) -> None:
        """Learn from a slice how many changes fit into the time."""
        if not count:
            return
        fits = int(SLICE_S * count / max(seconds, 1e-6))
        with self._changed:
            # Half of the way: one slow write to the disk makes no row of tiny transactions.
            self._size = min(max((self._size + fits) // 2, LEAST), MOST)


class Counted:
    """ASGI middleware: tells the pace of every request that somebody waits for."""

    def __init__(self, app: ASGIApp, *, pace: Pace) -> None:
        """Wrap an app."""
        self._app, self._pace = app, pace

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["path"].startswith(NOBODY):
            await self._app(scope, receive, send)
            return
        self._pace.entered()
        try:
            await self._app(scope, receive, send)
        finally:
            self._pace.left()
