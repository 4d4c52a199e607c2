"""`GET /v1/stream`: the live stream as server-sent events, resumed by Last-Event-ID (WHATWG HTML, server-sent events).

Event `alarm` carries what changed; its id is the number to resume from. Event `reset` says that the steps in between are
not kept: load afresh and go on from the id it carries. Event `standing`, without an id because only the newest matters, comes
within two seconds when the desk falls behind or catches up, or an operators' alarm changes; who names the mark it shows
(`standing`) hears at once if that is not what stands. Event `still`, without an id, comes every 15 s without a step: it
keeps proxies from closing the line, and a client that misses three knows that the line is dead. The stream ends when the
session does, at the latest 5 s later.
"""

from __future__ import annotations

import asyncio
import json
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import StreamingResponse

from monitor.accounts import sessions
from monitor.api.problems import PROBLEMS
from monitor.desk.face import MARK
from monitor.desk.live import Hub, ResetError
from monitor.desk.parts import COOKIE, Desk, Parts, RefusedError, Signed
from monitor.store.session import StoreDownError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from monitor.desk.face import Face

router = APIRouter(prefix="/v1", responses=PROBLEMS)
KEEPALIVE_S = 15.0
CHECK_S = 5.0
"""How often a running stream asks whether its session still holds."""
MAX_CLIENTS = 500
MAX_PER_SESSION = 30
"""Open pages of one browser; nobody takes every place for himself."""
NUMBER = r"^\d{1,18}$"


@router.get(
    "/stream",
    summary="Live stream of alarms (server-sent events)",
    response_class=StreamingResponse,
    responses={
        200: {"content": {"text/event-stream": {}}, "description": "Events `alarm`, `standing`, `still` and `reset`"}
    },
)
async def get_stream(
    request: Request,
    desk: Parts,
    person: Signed,
    after: Annotated[str | None, Query(pattern=NUMBER)] = None,
    standing: Annotated[str | None, Query(pattern=MARK)] = None,
    last_event_id: Annotated[str | None, Header(pattern=NUMBER)] = None,
) -> StreamingResponse:
    """Send every step after `Last-Event-ID`, or `after`, or from now on; and what else the pages show, if it is not `standing`."""
    own = desk.streams.get(person.token_sha256, 0)
    if desk.hub.clients >= MAX_CLIENTS or own >= MAX_PER_SESSION:
        raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "too_many_clients", retry_after_s=30)
    start = last_event_id or after
    first = await asyncio.to_thread(desk.hub.last) if start is None else int(start)
    lines = _events(desk, request, person.token_sha256, first, standing)
    return StreamingResponse(
        lines, media_type="text/event-stream", headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    )


async def _events(desk: Desk, request: Request, session: str, after: int, standing: str | None) -> AsyncIterator[bytes]:
    desk.hub.clients += 1
    desk.streams[session] += 1
    desk.figures.subscribers.set(desk.hub.clients)
    checked, said = time.monotonic(), time.monotonic()
    shown = standing
    try:
        yield b"retry: 1000\n\n"
        if (face := desk.hub.face) is not None:
            if shown not in {None, face.mark}:
                yield _standing(face)
            shown = face.mark
        async for steps in _steps(desk.hub, after):
            now = time.monotonic()
            if steps is None:
                yield b"event: reset\nid: %d\ndata: {}\n\n" % desk.hub.newest
                return
            if now - checked >= CHECK_S:
                checked = now
                if await request.is_disconnected() or not await asyncio.to_thread(_still_signed_in, desk, request):
                    return
            if (face := desk.hub.face) is not None and face.mark != shown:
                if shown is not None:
                    said = now
                    yield _standing(face)
                shown = face.mark
            if steps or now - said >= KEEPALIVE_S:
                said = now
                yield _framed(steps)
    except asyncio.CancelledError:
        return  # the server stops: this line ends in good order, the client comes again
    finally:
        desk.hub.clients -= 1
        desk.streams[session] -= 1
        if not desk.streams[session]:
            del desk.streams[session]
        desk.figures.subscribers.set(desk.hub.clients)


def _standing(face: Face) -> bytes:
    return b"event: standing\ndata: %s\n\n" % json.dumps(face.data()).encode()


def _framed(steps: list[tuple[int, bytes]]) -> bytes:
    if not steps:
        return b"event: still\ndata: {}\n\n"
    return b"".join(b"event: alarm\nid: %d\ndata: %s\n\n" % step for step in steps)


async def _steps(hub: Hub, after: int) -> AsyncIterator[list[tuple[int, bytes]] | None]:
    try:
        async for steps in hub.follow(after, CHECK_S):
            yield [(step.id, json.dumps(step.data()).encode()) for step in steps]
    except ResetError:
        yield None
    except StoreDownError:
        return  # the client comes again, from the step it has seen


def _still_signed_in(desk: Desk, request: Request) -> bool:
    try:
        with desk.store.reading() as session:
            return sessions.find(session, request.cookies.get(COOKIE, ""), desk.clock_ms()) is not None
    except StoreDownError:
        return False  # no step comes either: the client tries again, and is told why
