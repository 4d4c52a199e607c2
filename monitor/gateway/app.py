"""The gateway as an ASGI application: plain routes on the hot path, one answer per request, whatever was sent."""

from __future__ import annotations

import asyncio
import contextlib
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Route

from monitor.gateway.bodies import read_body
from monitor.gateway.door import Door
from monitor.gateway.figures import Figures
from monitor.gateway.problems import RefusedError
from monitor.gateway.quota import Quota
from rules.faults import PostRefusedError
from rules.instants import format_instant
from rules.posts import read_readings
from rules.senml import read_senml
from streams.access import AccessTable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from starlette.requests import Request

    from monitor.settings import GatewayEnvironment
    from rules.records import Readings
    from streams.access import KeyEntry
    from streams.settings import KafkaSettings

MAX_KEY_CHARACTERS = 256
SENML = "application/senml+json"
READERS = ("application/json", SENML)


@dataclass(slots=True)
class Gateway:
    """The parts of one gateway; `serve` fills them in."""

    access: AccessTable
    door: Door
    quota: Quota
    figures: Figures
    now_ms: Callable[[], int]

    @property
    def open(self) -> bool:
        """Say whether posts are taken: keys are known and the broker was reached."""
        return self.access.ready.is_set() and self.door.open

    def key_of(self, request: Request) -> tuple[str, KeyEntry]:
        """Return the presented key and what it may do.

        Raises:
            RefusedError: 401 without a valid key (only counted, nothing else is said), 503 before the keys are known.
        """
        if not self.open:
            raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "not_ready", retry_after_s=5)
        scheme, _, presented = request.headers.get("authorization", "").partition(" ")
        entry = None
        if scheme.lower() == "bearer" and 0 < len(presented) <= MAX_KEY_CHARACTERS:
            entry = self.access.find(presented.strip())
        if entry is None or (entry.expires is not None and entry.expires <= self.now_ms()):
            raise RefusedError(HTTPStatus.UNAUTHORIZED, "no_key")
        return presented, entry

    async def readings(self, request: Request) -> Response:
        """Take one batch of readings: `POST /v1/readings` (contracts.md §1)."""
        presented, entry = self.key_of(request)
        if "readings" not in entry.endpoints:
            raise RefusedError(HTTPStatus.FORBIDDEN, "not_allowed", "not this endpoint")
        facility = facility_of(entry, request.query_params.get("facility"))
        wait = self.quota.take(presented)
        if wait:
            raise RefusedError(HTTPStatus.TOO_MANY_REQUESTS, "quota", retry_after_s=wait)
        media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media not in READERS:
            raise RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "media_type", f"Content-Type: {' or '.join(READERS)}")
        body = await read_body(request.stream(), request.headers.get("content-encoding", ""))
        self.figures.bytes.inc(len(body))
        try:
            batch = (
                read_senml(body, request.headers.get("idempotency-key", "")) if media == SENML else read_readings(body)
            )
        except PostRefusedError as error:
            raise RefusedError.of_post(error) from None
        check_tags(entry, batch)
        known = self.access.tags.get(facility, {})
        unknown = [tag for tag in batch.tags if tag not in known]
        if request.query_params.get("check") == "true":
            return _json(HTTPStatus.OK, {"id": batch.batch, "checked": True, "unknown_tags": unknown})
        receipt = await self.door.append(facility, batch)
        self.figures.readings.inc(int(batch.time.size))
        answer = {
            "id": batch.batch,
            "partition": receipt.partition,
            "offset": receipt.offset,
            "received": format_instant(receipt.received),
            "unknown_tags": unknown,
        }
        return _json(HTTPStatus.ACCEPTED, answer)

    async def healthy(self, _request: Request) -> Response:
        """Say that the process lives."""
        return _json(HTTPStatus.OK, {"status": "ok"})

    async def ready(self, _request: Request) -> Response:
        """Say whether posts are taken, and what is missing if not."""
        parts = {"keys": self.access.ready.is_set(), "broker": self.door.open}
        status = HTTPStatus.OK if self.open else HTTPStatus.SERVICE_UNAVAILABLE
        return _json(status, {"status": "open" if self.open else "closed", **parts})

    async def metrics(self, _request: Request) -> Response:
        """Return the figures in Prometheus' text form."""
        self.figures.open.set(1 if self.open else 0)
        return Response(generate_latest(self.figures.registry), media_type=CONTENT_TYPE_LATEST)


def facility_of(entry: KeyEntry, named: str | None) -> str:
    """Return the facility a request speaks for; an integrator's key names it with `?facility=`.

    Raises:
        RefusedError: 403 for another firm's facility, or where it must be named.
    """
    if named is None:
        if len(entry.facilities) == 1:
            return entry.facilities[0]
        raise RefusedError(HTTPStatus.FORBIDDEN, "which_facility")
    if named not in entry.facilities:
        raise RefusedError(HTTPStatus.FORBIDDEN, "not_allowed", "not this facility")
    return named


def check_tags(entry: KeyEntry, batch: Readings) -> None:
    """Refuse tags that the key is not for.

    Raises:
        RefusedError: 403.
    """
    if entry.tags is not None:
        foreign = [tag for tag in batch.tags if tag not in set(entry.tags)]
        if foreign:
            raise RefusedError(HTTPStatus.FORBIDDEN, "not_allowed", f"not these tags: {', '.join(foreign[:20])}")


def create_gateway(settings: GatewayEnvironment, kafka: KafkaSettings) -> Starlette:
    """Build the application; its lifespan connects, follows the access topic, ticks, and closes in order."""
    figures = Figures()
    door = Door(
        kafka,
        figures,
        name=settings.name,
        send_timeout_s=settings.send_timeout_s,
        max_in_flight_bytes=settings.max_in_flight_bytes,
    )
    quota = Quota(settings.posts_per_minute, time.monotonic)
    gateway = Gateway(AccessTable(), door, quota, figures, lambda: time.time_ns() // 1_000_000)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as tasks:
            running = [
                tasks.create_task(gateway.access.follow(kafka)),
                tasks.create_task(_open_and_tick(gateway, settings.tick_s)),
            ]
            yield
            for task in running:
                task.cancel()
        await door.stop()

    routes = [
        Route("/v1/readings", _answered(gateway, gateway.readings), methods=["POST"]),
        Route("/healthz", gateway.healthy),
        Route("/readyz", gateway.ready),
        Route("/metrics", gateway.metrics),
    ]
    app = Starlette(routes=routes, lifespan=lifespan)
    app.state.gateway = gateway
    return app


async def _open_and_tick(gateway: Gateway, every_s: float) -> None:
    await gateway.door.start()
    await gateway.access.ready.wait()
    await gateway.door.tick_for_ever(every_s)


def _answered(gateway: Gateway, endpoint: Callable[[Request], object]) -> Callable[[Request], object]:
    """Turn refusals into problem documents and count every answer."""

    async def answer(request: Request) -> Response:
        try:
            response: Response = await endpoint(request)  # type: ignore[misc]  # an endpoint is a coroutine function
        except RefusedError as refused:
            response = refused.response()
        except ClientDisconnect:
            response = Response(status_code=HTTPStatus.BAD_REQUEST)
        with contextlib.suppress(KeyError):
            gateway.figures.posts.labels(str(response.status_code)).inc()
        return response

    return answer


def _json(status: HTTPStatus, value: object) -> Response:
    return Response(msgspec.json.encode(value), status.value, {"Cache-Control": "no-store"}, "application/json")
