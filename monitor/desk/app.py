"""Join the parts of the desk to one app: console, API, live stream, health."""

from __future__ import annotations

import asyncio
import contextlib
import json
from http import HTTPStatus
from typing import TYPE_CHECKING

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware

from monitor.alarms import operators, queries, rejections
from monitor.api import decisions, problems, proofs, register, routes, stream
from monitor.console import deadline_pages, decision_pages, entry, figure_pages, pages, proof_pages, render
from monitor.console.files import Files
from monitor.desk.face import watched
from monitor.desk.guard import HEADERS, Guard
from monitor.desk.pace import Counted
from monitor.desk.parts import Desk, RefusedError
from monitor.figures import queries as figures
from monitor.store.session import StoreDownError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PRUNE_S = 3600.0


def create_desk(desk: Desk) -> FastAPI:
    """Return the app of a desk. Nothing is read from outside before it starts to serve."""

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await asyncio.to_thread(desk.hub.load)
        tasks = [asyncio.create_task(desk.hub.run()), asyncio.create_task(_prune(desk))]
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    app = FastAPI(
        title="Off-site inspection monitor: desk",
        version="1",
        summary="Alarms, acknowledgement, charts and the live stream for supervisors' tools",
        lifespan=lifespan,
        docs_url=None,  # the documentation page would load scripts from elsewhere
        redoc_url=None,
    )
    app.state.desk = desk
    desk.hub.look = watched(desk)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=[host.strip() for host in desk.settings.hosts.split(",")])
    app.add_middleware(Guard, https=desk.settings.https)
    app.add_middleware(Counted, pace=desk.pace)
    app.include_router(routes.router)
    app.include_router(decisions.router)
    app.include_router(stream.router)
    app.include_router(proofs.router)
    app.include_router(register.router)
    app.include_router(entry.router)
    app.include_router(pages.router)
    app.include_router(decision_pages.router)
    app.include_router(deadline_pages.router)
    app.include_router(proof_pages.router)
    app.include_router(figure_pages.router)
    app.mount("/static", Files(), name="static")
    _health(app, desk)
    _errors(app)
    return app


def _health(app: FastAPI, desk: Desk) -> None:
    @app.get("/healthz", include_in_schema=False)
    def healthz() -> Response:
        return Response('{"ok":true}', media_type="application/json")

    @app.get("/readyz", include_in_schema=False)
    def readyz() -> Response:
        reasons = desk.ready()
        status = HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK
        return Response(json.dumps({"ready": not reasons, "reasons": reasons}), status, media_type="application/json")

    @app.get("/metrics", include_in_schema=False)
    def metrics() -> Response:
        with contextlib.suppress(StoreDownError):
            _refresh(desk)
        return Response(generate_latest(desk.figures.registry), media_type=CONTENT_TYPE_LATEST)


def _refresh(desk: Desk) -> None:
    with desk.store.reading() as session:
        counts = queries.open_counts(session)
        desk.figures.operator_alarms.set(operators.count_open(session))
        found, _ = figures.read(session, desk.shelf, desk.clock_ms())
    desk.figures.of_all.show(found)
    for severity in ("red", "orange", "yellow", "blue"):
        for seen, attention in ((False, "unacknowledged"), (True, "acknowledged")):
            desk.figures.alarms.labels(severity, attention).set(counts.get((severity, seen), 0))


def _errors(app: FastAPI) -> None:
    def answered(request: Request, error: RefusedError) -> Response:
        return problems.of_refusal(error) if request.url.path.startswith("/v1/") else render.refused(request, error)

    @app.exception_handler(RefusedError)
    def refused(request: Request, error: RefusedError) -> Response:
        return answered(request, error)

    @app.exception_handler(RequestValidationError)
    def invalid(request: Request, error: RequestValidationError) -> Response:
        if request.url.path.startswith("/v1/"):
            return problems.of_validation(error)
        if any(item["loc"][:1] == ("path",) for item in error.errors()):
            return answered(request, RefusedError(HTTPStatus.NOT_FOUND, "not_found"))
        return answered(request, RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, "contract"))

    @app.exception_handler(StoreDownError)
    def store_down(request: Request, error: StoreDownError) -> Response:
        del error  # it names the database, which is nothing for the outside
        return answered(request, RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "store_down", retry_after_s=5))

    @app.exception_handler(HTTPException)
    def http_error(request: Request, error: HTTPException) -> Response:
        status = HTTPStatus(error.status_code)
        code = "not_found" if status == HTTPStatus.NOT_FOUND else status.name.lower()
        answer = answered(request, RefusedError(status, code))
        answer.headers.update(error.headers or {})
        return answer

    @app.exception_handler(Exception)
    def failed(request: Request, error: Exception) -> Response:
        del error  # starlette raises it again for the log, once this answer is out
        answer = answered(request, RefusedError(HTTPStatus.INTERNAL_SERVER_ERROR, "internal"))
        for name, value in HEADERS:  # this answer is given outside the guard
            answer.headers[name.decode()] = value.decode()
        return answer


async def _prune(desk: Desk) -> None:
    while True:
        with contextlib.suppress(StoreDownError):
            await asyncio.to_thread(desk.hub.prune, desk.clock_ms())
            await asyncio.to_thread(_expire, desk)
        await asyncio.sleep(PRUNE_S)


def _expire(desk: Desk) -> None:
    with desk.store.writing() as session:
        rejections.expire(session, desk.clock_ms())
