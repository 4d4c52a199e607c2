"""The endpoints of the gateway: who asks, for which facility, and what is answered."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import Response

from monitor.gateway.bodies import MAX_BODY_BYTES, declared_bytes, read_body
from monitor.gateway.feed import feed_of
from monitor.gateway.lane import LARGE_BYTES, read_post
from monitor.gateway.ledger import Registered
from monitor.gateway.problems import RefusedError
from monitor.gateway.texts import CLOSED
from rules.errors import Fault
from rules.faults import FaultCode, PostRefusedError, printable
from rules.instants import format_instant
from streams.access import hash_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.datastructures import QueryParams
    from starlette.requests import Request

    from monitor.gateway.connections import Guard
    from monitor.gateway.door import Door
    from monitor.gateway.figures import Figures
    from monitor.gateway.follower import Follower
    from monitor.gateway.hall import Hall, Place
    from monitor.gateway.lane import Lane
    from monitor.gateway.quota import Quota
    from monitor.gateway.refusals import RefusalBook
    from monitor.gateway.samples import Samples
    from rules.records import Readings
    from streams.access import AccessTable, Endpoint, KeyEntry

MAX_KEY_CHARACTERS = 256
MEDIUM_BYTES = 8 * 1024
"""The worst body of this size takes about 3 ms."""
SENML = "application/senml+json"
READERS = ("application/json", SENML)
POST_PARAMETERS = ("check", "facility")


@dataclass(slots=True)
class Visit:
    """One request under way, as far as it is known: what a refusal is kept under."""

    endpoint: str
    key_hash: str = ""
    entry: KeyEntry | None = None
    facility: str | None = None
    head: bytearray = field(default_factory=bytearray)
    """The first 4 KiB of the decoded body, as far as it was read."""
    body: bytes | None = None
    """The decoded body, once it was read whole."""


@dataclass(slots=True)
class Gateway:
    """The parts of one gateway; `create_gateway` puts them together."""

    access: AccessTable
    door: Door
    guard: Guard
    hall: Hall
    posts: Quota
    bytes: Quota
    queries: Quota
    figures: Figures
    follower: Follower
    refusals: RefusalBook
    samples: Samples
    lane: Lane
    now_ms: Callable[[], int]
    fallen: str | None = None
    """The standing task that ended by a fault of ours."""

    @property
    def open(self) -> bool:
        """Say whether posts are taken: keys are known and the broker was reached."""
        return self.access.ready.is_set() and self.door.open

    def admit(self, request: Request, visit: Visit, endpoint: Endpoint, quota: Quota) -> tuple[KeyEntry, str]:
        """Return what the presented key may do and the facility that the request speaks for.

        Raises:
            RefusedError: 401 without a valid key (only counted, nothing else is said), 403 for another endpoint or facility,
                429 above the quota, 503 before the keys are known.
        """
        if not self.open:
            raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "not_ready", retry_after_s=5)
        scheme, _, presented = request.headers.get("authorization", "").partition(" ")
        entry = None
        if scheme.lower() == "bearer" and 0 < len(presented) <= MAX_KEY_CHARACTERS:
            entry = self.access.find(presented.strip())
        if entry is None or (entry.expires is not None and entry.expires <= self.now_ms()):
            raise RefusedError(HTTPStatus.UNAUTHORIZED, "no_key")
        visit.key_hash, visit.entry = hash_key(presented.strip()), entry
        if endpoint not in entry.endpoints:
            raise RefusedError(HTTPStatus.FORBIDDEN, "not_allowed", "not this endpoint")
        facility = visit.facility = facility_of(entry, request.query_params.get("facility"))
        wait = quota.take(visit.key_hash)
        if wait:
            raise RefusedError(HTTPStatus.TOO_MANY_REQUESTS, "quota", retry_after_s=wait)
        return entry, facility

    async def readings(self, request: Request, visit: Visit) -> Response:
        """Take one batch of readings: `POST /v1/readings` (contracts.md §1)."""
        entry, facility = self.admit(request, visit, "readings", self.posts)
        wait = self.bytes.take(visit.key_hash)
        if wait:
            raise RefusedError(HTTPStatus.TOO_MANY_REQUESTS, "quota", "bytes", retry_after_s=wait)
        with self.hall.enter(visit.key_hash) as place:
            return await self._take(request, visit, entry, facility, place)

    async def _take(self, request: Request, visit: Visit, entry: KeyEntry, facility: str, place: Place) -> Response:
        only_checked = asks_for_a_check(request.query_params)
        media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media not in READERS:
            raise RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "media_type", f"Content-Type: {' or '.join(READERS)}")
        known = self.access.tags.get(facility, {})
        batch = await self._read(request, visit, media, place, known)
        check_tags(entry, batch)
        unknown = [tag for tag in batch.tags if tag not in known]
        if only_checked:
            return answer_json(HTTPStatus.OK, {"id": batch.batch, "checked": True, "unknown_tags": unknown})
        # From here on nothing is refused for what the body says: it waits for the broker without its text.
        visit.body = None
        place.leave()
        receipt = await self.door.append(facility, batch)
        self.figures.readings.inc(int(batch.time.size))
        answer = {
            "id": batch.batch,
            "partition": receipt.partition,
            "offset": receipt.offset,
            "received": format_instant(receipt.received),
            "unknown_tags": unknown,
        }
        return answer_json(HTTPStatus.ACCEPTED, answer)

    async def _read(self, request: Request, visit: Visit, media: str, place: Place, units: dict[str, str]) -> Readings:
        size = declared_bytes(request.headers.get("content-length"))
        if LARGE_BYTES < size <= MAX_BODY_BYTES:
            self.lane.look_for_room(visit.key_hash)  # before four mebibytes are sent for nothing
        encoding = request.headers.get("content-encoding", "")
        try:
            body = visit.body = await read_body(request.stream(), encoding, visit.head, place, size)
        except RefusedError as refused:
            # What was blown up and thrown away has cost as much as what is kept.
            self.bytes.charge(
                visit.key_hash, MAX_BODY_BYTES if refused.code == "too_large" else min(size, MAX_BODY_BYTES)
            )
            raise
        self.figures.bytes.inc(len(body))
        self.bytes.charge(visit.key_hash, len(body))
        batch_id = request.headers.get("idempotency-key", "") if media == SENML else None
        try:
            if len(body) > LARGE_BYTES:
                return await self.lane.read(visit.key_hash, body, batch_id, units)
            if len(body) > MEDIUM_BYTES:
                async with place.turn():
                    return read_post(body, batch_id, units)
            return read_post(body, batch_id, units)
        except PostRefusedError as error:
            raise RefusedError.of_post(error) from None

    async def feed(self, request: Request, visit: Visit) -> Response:
        """Tell a firm what arrived: `GET /v1/feed`."""
        entry, facility = self.admit(request, visit, "feed", self.queries)
        feed = feed_of(
            facility,
            self.follower,
            self.access.tags.get(facility, {}),
            None if entry.tags is None else frozenset(entry.tags),
            self.refusals.told(facility, visit.key_hash),
        )
        return _document(feed.model_dump_json().encode())

    async def register(self, request: Request, visit: Visit) -> Response:
        """Show a firm its own registered facts: `GET /v1/register`.

        Raises:
            RefusedError: 404 where the facility stands neither in the access topic nor in what was read of the log.
        """
        _, facility = self.admit(request, visit, "register", self.queries)
        registered = self.follower.ledger.find(facility).registered
        begin, end = self.follower.log.begin, self.follower.log.end
        since = None if begin is None else format_instant(begin)
        known = self.access.facts.get(facility)
        if known is not None and (registered is None or known[0] >= registered.version):
            received = None if registered is None or known[0] != registered.version else registered.received
            registered = Registered(known[0], received, known[1])
        if registered is None:
            raise RefusedError(
                HTTPStatus.NOT_FOUND, "not_read", f"the log was read from {since or 'no known instant'} on"
            )
        head = {
            "version": registered.version,
            "received": None if registered.received is None else format_instant(registered.received),
            "since": since,
            "as_of": None if end is None else format_instant(end),
            "facility": msgspec.Raw(registered.facility),
        }
        return answer_json(HTTPStatus.OK, head)

    async def healthy(self, _request: Request) -> Response:
        """Say that the process lives."""
        return answer_json(HTTPStatus.OK, {"status": "ok"})

    async def ready(self, _request: Request) -> Response:
        """Say whether posts are taken, and why not, in both languages."""
        why = [] if self.access.ready.is_set() else ["keys"]
        if self.door.closed_because is not None:
            why.append(self.door.closed_because)
        elif self.door.failing:
            why.append("appends_fail")
        status = HTTPStatus.SERVICE_UNAVAILABLE if why else HTTPStatus.OK
        told = [{"code": code, "text": {"zh": CLOSED[code].zh, "en": CLOSED[code].en}} for code in why]
        return answer_json(status, {"status": "closed" if why else "open", "why": told})

    async def metrics(self, _request: Request) -> Response:
        """Return the figures in Prometheus' text form."""
        self.figures.open.set(1 if self.open else 0)
        self.figures.follow(self.follower)
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


def asks_for_a_check(query: QueryParams) -> bool:
    """Say whether a post is only to be checked. Who misspells that must not find the readings stored: they stay for ever.

    Raises:
        RefusedError: 422 for a parameter of another name, named twice, or a `check` that is neither true nor false.
    """
    faults = [
        Fault(
            "", FaultCode.UNKNOWN_MEMBER, f"query parameter {printable(name)}: one of {' '.join(POST_PARAMETERS)}, once"
        )
        for name in query
        if name not in POST_PARAMETERS or len(query.getlist(name)) > 1
    ]
    asked = query.get("check", "false")
    if asked not in {"true", "false"}:
        faults.append(Fault("", FaultCode.WRONG_TYPE, "query parameter check: true or false"))
    if faults:
        refused = RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, "contract", "query parameters")
        refused.faults, refused.counts = faults, dict(Counter(str(fault.code) for fault in faults))
        raise refused
    return asked == "true"


def check_tags(entry: KeyEntry, batch: Readings) -> None:
    """Refuse tags that the key is not for.

    Raises:
        RefusedError: 403.
    """
    if entry.tags is not None:
        allowed = frozenset(entry.tags)
        foreign = [tag for tag in batch.tags if tag not in allowed]
        if foreign:
            raise RefusedError(HTTPStatus.FORBIDDEN, "not_allowed", f"not these tags: {', '.join(foreign[:20])}")


def answer_json(status: HTTPStatus, value: object) -> Response:
    """Return a JSON answer that nobody may keep or take for anything else."""
    return _document(msgspec.json.encode(value), status)


def _document(body: bytes, status: HTTPStatus = HTTPStatus.OK) -> Response:
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return Response(body, status.value, headers, "application/json")
