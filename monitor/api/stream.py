"""`GET /v1/stream`: the live stream as server-sent events, resumed by Last-Event-ID (WHATWG HTML, server-sent events).

Event `alarm` carries what changed; its id is the number to resume from. Event `reset` says that the steps in between are
not kept: load afresh and go on from the id it carries. A comment every 15 s keeps proxies from closing the line.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import StreamingResponse

from monitor.accounts import sessions
from monitor.api.problems import PROBLEMS
from monitor.desk.live import Hub, ResetError
from monitor.desk.parts import COOKIE, Desk, Parts, RefusedError, Signed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

router = APIRouter(prefix="/v1", responses=PROBLEMS)
KEEPALIVE_S = 15.0
MAX_CLIENTS = 500
NUMBER = r"^\d{1,18}$"


@router.get(
    "/stream",
    summary="Live stream of alarms (server-sent events)",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}, "description": "Events `alarm` and `reset`"}},
)
async def get_stream(
    request: Request,
    desk: Parts,
    person: Signed,
    after: Annotated[str | None, Query(pattern=NUMBER)] = None,
    last_event_id: Annotated[str | None, Header(pattern=NUMBER)] = None,
) -> StreamingResponse:
    """Send every step after `Last-Event-ID`, or `after`, or from now on."""
    del person
    if desk.hub.clients >= MAX_CLIENTS:
        raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "too_many_clients", retry_after_s=30)
    start = last_event_id or after
    first = desk.hub.newest if start is None else int(start)
    lines = _events(desk, request, first)
    return StreamingResponse(
        lines, media_type="text/event-stream", headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    )


async def _events(desk: Desk, request: Request, after: int) -> AsyncIterator[bytes]:
    desk.hub.clients += 1
    desk.figures.subscribers.set(desk.hub.clients)
    try:
        yield b"retry: 1000\n\n"
        async for steps in _steps(desk.hub, after):
            if steps is None:
                yield b"event: reset\nid: %d\ndata: {}\n\n" % desk.hub.newest
                return
            if not steps:
                if await request.is_disconnected() or not _still_signed_in(desk, request):
                    return
                yield b": still here\n\n"
            for number, data in steps:
                yield b"event: alarm\nid: %d\ndata: %s\n\n" % (number, data)
    finally:
        desk.hub.clients -= 1
        desk.figures.subscribers.set(desk.hub.clients)


async def _steps(hub: Hub, after: int) -> AsyncIterator[list[tuple[int, bytes]] | None]:
    try:
        async for steps in hub.follow(after, KEEPALIVE_S):
            yield [(step.id, json.dumps(step.data()).encode()) for step in steps]
    except ResetError:
        yield None


def _still_signed_in(desk: Desk, request: Request) -> bool:
    with desk.store.reading() as session:
        return sessions.find(session, request.cookies.get(COOKIE, ""), desk.clock_ms()) is not None
