"""The connections of the front door: how many, of whom, and how long one may take over its headers and its answer.

uvicorn bounds neither the bytes nor the time of headers, nor an answer that nobody reads, nor requests sent ahead; each of
these holds memory and a file descriptor for as long as a peer likes. How long a body may take: bodies.py.
"""

from __future__ import annotations

import resource
import time
from collections import Counter
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, ClassVar, cast

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from monitor.gateway.problems import RefusedError
from monitor.serving import BACKLOG, MAX_HEADER_BYTES, STOP_S

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from starlette.types import ASGIApp
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

    from monitor.gateway.figures import Figures

IDLE_S = 30
AHEAD = 4
"""Requests of one connection that may wait for the answers before them."""
TURNED_AWAY = 256
"""Connections above the bound that are still told so; what comes besides is closed without a word."""
OTHER_FILES = 256
"""File descriptors beside those of connections: Kafka, the lane's processes, libraries."""
LOWEST_CONNECTIONS = 64
RETRY_AFTER_S = 5


@dataclass(frozen=True, slots=True)
class Limits:
    """What one gateway takes. `per_peer` counts by address: behind a proxy every firm has the proxy's."""

    connections: int = 2_000
    per_peer: int = 1_500
    headers_s: float = 10.0
    """From a connection, or from the first byte of a request, to the end of its headers."""
    rest_s: float = 10.0
    """How long the rest of a body is still read, and thrown away, after its request was answered."""
    answer_s: float = 30.0
    """How long an answer may lie unread."""


def _canned(status: HTTPStatus, code: str) -> bytes:
    """Return a whole answer for who never comes as far as the application."""
    answer = RefusedError(status, code, retry_after_s=RETRY_AFTER_S).response()
    head = f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode()
    headers = b"".join(name + b": " + value + b"\r\n" for name, value in answer.raw_headers)
    return head + headers + b"connection: close\r\n\r\n" + bytes(answer.body)


_TOLD: dict[str, bytes] = {
    "full": _canned(HTTPStatus.SERVICE_UNAVAILABLE, "busy"),
    "peer": _canned(HTTPStatus.TOO_MANY_REQUESTS, "connections"),
    "slow_headers": _canned(HTTPStatus.REQUEST_TIMEOUT, "too_slow"),
    "large_headers": _canned(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "large_headers"),
    "malformed": _canned(HTTPStatus.BAD_REQUEST, "malformed"),
}
"""What a connection is told before it is closed; all other reasons of figures.CLOSED_FOR close it without a word."""


class _TooMuchError(Exception):
    """Ends httptools' parsing from inside a callback."""


class Guard:
    """All connections of one gateway."""

    def __init__(self, limits: Limits, figures: Figures, clock: Callable[[], float] = time.monotonic) -> None:
        self.limits, self.clock = limits, clock
        self._figures = figures
        self.held: set[GuardedProtocol] = set()
        self._peers: Counter[str] = Counter()

    def admit(self, connection: GuardedProtocol) -> str | None:
        """Count a new connection; returns why it is turned away, if it is."""
        self.held.add(connection)
        self._peers[connection.peer] += 1
        self._figures.connections.set(len(self.held))
        if len(self.held) > self.limits.connections + TURNED_AWAY:
            return "crowd"
        if len(self.held) > self.limits.connections:
            return "full"
        return "peer" if self._peers[connection.peer] > self.limits.per_peer else None

    def leave(self, connection: GuardedProtocol) -> None:
        """Forget a connection that is lost."""
        if connection in self.held:
            self.held.remove(connection)
            self._peers[connection.peer] -= 1
            if not self._peers[connection.peer]:
                del self._peers[connection.peer]
            self._figures.connections.set(len(self.held))

    def closed(self, why: str) -> None:
        """Count a connection that is closed by this end before its time."""
        self._figures.closed.labels(why).inc()

    def sweep(self) -> None:
        """End what is over its time; called about once a second, one pass instead of timers of every connection."""
        now = self.clock()
        for connection in list(self.held):
            connection.look(now)


class GuardedProtocol(HttpToolsProtocol):
    """uvicorn's connection with bounds; `serving` gives each gateway a class with its own guard."""

    guard: ClassVar[Guard]

    peer = ""
    _due: float | None = None
    """When this connection is to be closed, and `_why`."""
    _why = "slow_headers"
    _unread_since: float | None = None
    _deaf = False
    """Whether what still comes in is thrown away."""
    _in_headers = False
    _fed = _header_bytes = _body_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Take a connection, or turn it away with an answer that says when to come again."""
        super().connection_made(transport)
        self.peer = self.client[0] if self.client else ""
        self._wait("slow_headers", self.guard.limits.headers_s)
        why = self.guard.admit(self)
        if why is not None:
            self._end(why)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self.guard.leave(self)
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse, as uvicorn does, but no more than a request may be, and without a line in the log for every stranger."""
        if self._deaf:
            return
        self._unset_keepalive_if_required()
        self._fed += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # nothing is upgraded here: the request is answered as it stands
        except httptools.HttpParserCallbackError as error:
            self._end(str(error.__context__) if isinstance(error.__context__, _TooMuchError) else "malformed")
        except httptools.HttpParserError:
            self._end("malformed")
        else:
            # Headers, trailers and chunk extensions together: none has a bound of its own in the parser.
            if self._fed - self._body_bytes > MAX_HEADER_BYTES + self._body_bytes:
                self._end("large_headers")

    def on_message_begin(self) -> None:
        """Begin to count."""
        if len(self.pipeline) >= AHEAD:
            raise _TooMuchError("ahead")
        super().on_message_begin()
        self._in_headers = True
        self._fed = self._header_bytes = self._body_bytes = 0
        self._wait("slow_headers", self.guard.limits.headers_s)

    def on_url(self, url: bytes) -> None:
        """Count the address."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a header, or a trailer."""
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Let the application have its time: what the body may take is its business."""
        self._in_headers = False
        self._due = None
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Count the body."""
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Wait for the next request if this one was answered before its end."""
        super().on_message_complete()
        self._fed = self._body_bytes = 0
        if self.cycle.response_complete:
            self._wait("idle", IDLE_S)

    def on_response_complete(self) -> None:
        """Wait for the next request, or a short while for the rest of this one."""
        ahead = bool(self.pipeline)
        super().on_response_complete()
        if not ahead:
            self.cycle.body = bytearray()  # what nobody read goes at once, not with the next request
        if self.cycle.more_body:
            self._wait("unread_body", self.guard.limits.rest_s)
        elif not ahead and not self._in_headers:
            self._wait("idle", IDLE_S)

    def look(self, now: float) -> None:
        """Close the connection if it is over its time, for good if an answer lies unread."""
        if self.transport.get_write_buffer_size() == 0:
            self._unread_since = None
        elif self._unread_since is None:
            self._unread_since = now
        elif now - self._unread_since > self.guard.limits.answer_s:
            self.guard.closed("unread_answer")
            self.transport.abort()
            return
        if self._due is not None and now > self._due:
            if self._deaf:
                self._due = None
                self.transport.close()
            else:
                self._end(self._why)

    def _wait(self, why: str, seconds: float) -> None:
        if not self._deaf:
            self._why, self._due = why, self.guard.clock() + seconds

    def _count(self, size: int) -> None:
        self._header_bytes += size
        if self._header_bytes > MAX_HEADER_BYTES:
            raise _TooMuchError("large_headers")

    def _end(self, why: str) -> None:
        """Close; a stranger is told why first, and what it still sends is read for a moment, else it would never see the answer."""
        self.guard.closed(why)
        told = _TOLD.get(why)
        cycle = cast("RequestResponseCycle | None", self.cycle)  # None before the first request
        answering = cycle is not None and not cycle.response_complete
        self._deaf = True
        if cycle is not None and answering:
            cycle.disconnected = True
            cycle.message_event.set()
        if why == "crowd":
            self.transport.abort()
        elif told is None or answering:
            self.transport.close()
        else:
            self.flow.resume_reading()
            self.transport.write(told)
            self._due = self.guard.clock() + self.guard.limits.rest_s


class GuardedServer(uvicorn.Server):
    """uvicorn's server that looks after its connections once a second."""

    def __init__(self, config: uvicorn.Config, guard: Guard) -> None:
        super().__init__(config)
        self._guard = guard

    async def on_tick(self, counter: int) -> bool:
        """Sweep, as uvicorn ticks ten times a second."""
        if counter % 10 == 0:
            self._guard.sweep()
        return await super().on_tick(counter)


def guarded(app: ASGIApp, guard: Guard) -> GuardedServer:
    """Return the server of the gateway's application."""
    protocol = type("Connection", (GuardedProtocol,), {"guard": guard})
    config = uvicorn.Config(
        app, http=protocol, ws="none", loop="uvloop", log_level="warning", access_log=False, server_header=False,
        backlog=BACKLOG, timeout_keep_alive=IDLE_S, timeout_graceful_shutdown=STOP_S,
    )  # fmt: skip
    return GuardedServer(config, guard)


def files_for(connections: int) -> int:
    """Raise the process's own bound of open files as far as it may; returns how many connections there is room for."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + TURNED_AWAY + OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return connections
    return max(LOWEST_CONNECTIONS, soft - TURNED_AWAY - OTHER_FILES)
