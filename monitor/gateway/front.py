"""The endpoints of the gateway: who asks, for which facility, and what is answered. Posts are taken in taking.py."""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import Response

from monitor.gateway.feed import feed_of
from monitor.gateway.ledger import Registered
from monitor.gateway.problems import RefusedError
from monitor.gateway.registering import asked_of
from monitor.gateway.texts import CLOSED
from rules.instants import format_instant
from rules.register import Facility
from rules.validity import facts_at
from streams.access import hash_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from monitor.gateway.connections import Guard
    from monitor.gateway.door import Door
    from monitor.gateway.figures import Figures
    from monitor.gateway.follower import Follower
    from monitor.gateway.hall import Hall
    from monitor.gateway.lane import Lane
    from monitor.gateway.proofs import Proofs
    from monitor.gateway.quota import Quota
    from monitor.gateway.refusals import RefusalBook
    from monitor.gateway.samples import Samples
    from streams.access import AccessTable, Endpoint, KeyEntry

MAX_KEY_CHARACTERS = 256


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
    proofs: Proofs | None = None
    """What is kept of proofs."""
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
        entry = self.know(request, visit)
        if endpoint not in entry.endpoints:
            raise RefusedError(HTTPStatus.FORBIDDEN, "not_allowed", "not this endpoint")
        facility = visit.facility = facility_of(entry, request.query_params.get("facility"))
        self.count(visit, quota)
        return entry, facility

    def know(self, request: Request, visit: Visit) -> KeyEntry:
        """Return what the presented key may do.

        Raises:
            RefusedError: 401, 503, as `admit`.
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
        return entry

    @staticmethod
    def count(visit: Visit, quota: Quota) -> None:
        """Count one request of a key that is known.

        Raises:
            RefusedError: 429 above the quota.
        """
        wait = quota.take(visit.key_hash)
        if wait:
            raise RefusedError(HTTPStatus.TOO_MANY_REQUESTS, "quota", retry_after_s=wait)

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
        return answer_document(feed.model_dump_json().encode())

    async def register(self, request: Request, visit: Visit) -> Response:
        """Show a firm its own registered facts: `GET /v1/register`, with `at` those in force at that instant.

        Raises:
            RefusedError: 404 where the facility stands neither in the access topic nor in what was read of the log, or with
                another version than asked for; 422 for parameters that are none.
        """
        _, facility = self.admit(request, visit, "register", self.queries)
        asked = asked_of(request.query_params)
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
        if asked.version not in {None, registered.version}:
            known_here = f"version {registered.version} is the one that is known here"
            raise RefusedError(HTTPStatus.NOT_FOUND, "no_such_version", known_here)
        facts = registered.facility
        if asked.at is not None:
            facts = facts_at(Facility.model_validate_json(facts), asked.at).model_dump_json(
                by_alias=True, exclude_none=True
            ).encode()  # fmt: skip
        head = {
            "version": registered.version,
            "received": None if registered.received is None else format_instant(registered.received),
            "since": since,
            "as_of": None if end is None else format_instant(end),
            "facility": msgspec.Raw(facts),
        }
        if asked.at is not None:
            head["at"] = format_instant(asked.at)
        return answer_json(HTTPStatus.OK, head)

    async def listed(self, listing: str, request: Request, visit: Visit) -> Response:
        """Answer what is the same for every firm: any valid key may ask, whatever else it is for."""
        self.know(request, visit)
        self.count(visit, self.queries)
        return answer_document(listing.encode())

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


def answer_json(status: HTTPStatus, value: object) -> Response:
    """Return a JSON answer that nobody may keep or take for anything else."""
    return answer_document(msgspec.json.encode(value), status)


def answer_document(body: bytes, status: HTTPStatus = HTTPStatus.OK) -> Response:
    """Return a document that was written before, with the same headers."""
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return Response(body, status.value, headers, "application/json")
