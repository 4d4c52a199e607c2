"""The gateway as an ASGI application: plain routes on the hot path, one answer per request, whatever was sent."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from contextlib import asynccontextmanager
from functools import cache, partial
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeAlias

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Route

from monitor.gateway.connections import Guard, Limits
from monitor.gateway.door import Door
from monitor.gateway.figures import Figures
from monitor.gateway.follower import Follower
from monitor.gateway.front import Gateway, Visit
from monitor.gateway.hall import Hall
from monitor.gateway.lane import Lane
from monitor.gateway.listing import event_types, report_types
from monitor.gateway.openapi import document
from monitor.gateway.posts import POSTS
from monitor.gateway.problems import RefusedError
from monitor.gateway.proofs import Proofs
from monitor.gateway.quota import Quota
from monitor.gateway.refusals import RefusalBook
from monitor.gateway.samples import Samples
from monitor.gateway.taking import take
from monitor.settings import ProofsEnvironment
from streams.access import AccessTable
from streams.admin import ensure_ready

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from starlette.requests import Request

    from monitor.settings import GatewayEnvironment
    from streams.settings import KafkaSettings

    Endpoint: TypeAlias = Callable[[Request, Visit], Awaitable[Response]]

log = logging.getLogger(__name__)
HOUR_MS = 3_600_000


STOP_S = 0.8
"""For all that is closed behind the last answer (monitor/serving.py gives the answers four seconds)."""


def create_gateway(
    settings: GatewayEnvironment,
    kafka: KafkaSettings,
    on_failure: Callable[[], None] = lambda: None,
    *,
    proofs: ProofsEnvironment | None = None,
) -> Starlette:
    """Build the application; its lifespan connects, follows the access topic, ticks, and closes in order.

    Args:
        settings: of this gateway.
        kafka: how to reach Kafka.
        on_failure: told when one of its standing tasks ends by a fault of ours: without ticks, or with keys that are no longer
            followed, it must not go on. Then `Gateway.fallen` says which.
        proofs: where uploads are kept, and how much; those of the environment if not given.
    """
    gateway = _parts(settings, kafka)
    kept = gateway.proofs = Proofs(gateway, settings.name, proofs or ProofsEnvironment())

    async def describe(_request: Request) -> Response:
        return Response(_described(), media_type="application/json")

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        standing = {
            "access": gateway.access.follow(kafka),
            "door": _open_and_tick(gateway, kafka, settings.tick_s),
            "feed": gateway.follower.follow(),
            "samples": gateway.samples.pump(),
        }
        running = [asyncio.create_task(work, name=name) for name, work in standing.items()]

        def ended(task: asyncio.Task[None]) -> None:
            if not task.cancelled() and task.exception() is not None:
                log.critical("%s ended: the gateway stops", task.get_name(), exc_info=task.exception())
                gateway.fallen = task.get_name()
                on_failure()

        for task in running:
            task.add_done_callback(ended)
        await kept.begin()
        yield
        gateway.lane.close()
        kept.close()
        closing = asyncio.create_task(gateway.door.stop())
        for task in running:
            task.cancel()
        # Kafka's clients close as slowly as a broker that is away makes them: what is not closed by then ends with the process.
        await asyncio.wait([*running, closing], timeout=STOP_S)

    routes = [
        *(
            Route(f"/v1/{name}", _answered(gateway, name, partial(take, gateway, name)), methods=["POST"])
            for name in POSTS
        ),
        Route("/v1/proofs", _answered(gateway, "proofs", kept.take), methods=["POST"]),
        Route("/v1/proofs", _answered(gateway, "proofs", kept.listed), methods=["GET"]),
        Route("/v1/proofs/{sha256}", _answered(gateway, "proofs", kept.give)),
        Route("/v1/feed", _answered(gateway, "feed", gateway.feed)),
        Route("/v1/register", _answered(gateway, "register", gateway.register)),
        *(
            Route(f"/v1/{name}", _answered(gateway, name, partial(gateway.listed, listing)))
            for name, listing in _listings().items()
        ),
        Route("/healthz", gateway.healthy),
        Route("/readyz", gateway.ready),
        Route("/metrics", gateway.metrics),
        Route("/openapi.json", describe),
    ]
    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers={HTTPException: _no_such_route})
    app.state.gateway = gateway
    return app


@cache
def _described() -> bytes:
    return msgspec.json.encode(document())


@cache
def _listings() -> dict[str, str]:
    return {
        "report-types": report_types().model_dump_json(by_alias=True),
        "event-types": event_types().model_dump_json(by_alias=True),
    }


def _parts(settings: GatewayEnvironment, kafka: KafkaSettings) -> Gateway:
    figures = Figures()
    door = Door(
        kafka,
        figures,
        name=settings.name,
        send_timeout_s=settings.send_timeout_s,
        max_in_flight_bytes=settings.max_in_flight_bytes,
    )
    access = AccessTable()
    follower = Follower(
        kafka,
        access.tags,
        look_back_ms=int(settings.look_back_h * HOUR_MS),
        look_back_records=settings.look_back_records,
        now_ms=_now_ms,
    )
    return Gateway(
        access=access,
        door=door,
        guard=Guard(Limits(settings.connections, settings.connections_per_peer), figures),
        hall=Hall(settings.max_body_bytes_held, settings.posts_at_once, figures),
        posts=Quota(settings.posts_per_minute, time.monotonic),
        bytes=Quota(settings.bytes_per_minute, time.monotonic),
        queries=Quota(settings.queries_per_minute, time.monotonic),
        figures=figures,
        follower=follower,
        refusals=RefusalBook(settings.name, _now_ms()),
        samples=Samples(kafka, figures, settings.name, time.monotonic),
        lane=Lane(settings.large_body_processes),
        now_ms=_now_ms,
    )


async def _open_and_tick(gateway: Gateway, kafka: KafkaSettings, every_s: float) -> None:
    await gateway.door.start(lambda: ensure_ready(kafka))
    await gateway.access.ready.wait()
    await gateway.door.tick_for_ever(every_s)


def _answered(gateway: Gateway, name: str, endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
    """Turn refusals into problem documents, keep them for the feed, and count every answer."""

    async def answer(request: Request) -> Response:
        visit = Visit(name)
        try:
            response = await endpoint(request, visit)
        except RefusedError as refused:
            _keep(gateway, visit, refused)
            response = refused.response()
        except asyncio.CancelledError:
            # Only the end of the server cancels: the post may be stored yet, and the firm is told what is known.
            response = RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "not_stored", retry_after_s=1).response()
        except ClientDisconnect:
            response = Response(status_code=HTTPStatus.BAD_REQUEST)
        except Exception:  # one answer per request: a fault of our own is said to be one
            log.exception("%s: a fault of the front door", visit.endpoint)
            response = RefusedError(HTTPStatus.INTERNAL_SERVER_ERROR, "internal").response()
        # A full disk keeps proofs out and no post: ticks do not ask for it.
        ours = response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR and visit.endpoint != "proofs"
        if ours and visit.entry is not None:
            gateway.door.turned_away()
        with contextlib.suppress(KeyError):
            gateway.figures.posts.labels(str(response.status_code)).inc()
        return response

    return answer


def _keep(gateway: Gateway, visit: Visit, refused: RefusedError) -> None:
    if visit.entry is None or refused.status is HTTPStatus.NOT_FOUND:
        return  # without a key nothing is kept: 401 is only counted; what is not there yet is no refusal
    owner = visit.facility or visit.key_hash
    now = gateway.now_ms()
    try:
        gateway.refusals.note(owner, visit.entry.name, visit.endpoint, refused, now)
        gateway.samples.offer(visit, refused, now)
    except Exception:  # what is kept of a refusal never disturbs its answer
        log.exception("%s: a refusal was not kept", visit.endpoint)


async def _no_such_route(_request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else HTTPStatus.NOT_FOUND
    code = "method" if status == HTTPStatus.METHOD_NOT_ALLOWED else "not_found"
    response = RefusedError(HTTPStatus(status), code).response()
    response.headers.update(getattr(error, "headers", None) or {})  # 405 names the methods there are
    return response


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
