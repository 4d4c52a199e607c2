"""Take a post: the one way of readings, reports, marks and events into the log (contracts.md §1)."""

from __future__ import annotations

from collections import Counter
from http import HTTPStatus
from typing import TYPE_CHECKING

from monitor.gateway.bodies import MAX_BODY_BYTES, declared_bytes, read_body
from monitor.gateway.front import answer_json
from monitor.gateway.lane import LARGE_BYTES
from monitor.gateway.posts import MEDIA, MEDIUM_BYTES, SENML, How, read_post
from monitor.gateway.problems import RefusedError
from rules.errors import Fault
from rules.faults import FaultCode, PostRefusedError, printable
from rules.instants import format_instant

if TYPE_CHECKING:
    import asyncio

    from starlette.datastructures import QueryParams
    from starlette.requests import Request
    from starlette.responses import Response

    from monitor.gateway.front import Gateway, Visit
    from monitor.gateway.hall import Place
    from monitor.gateway.posts import Post, PostEndpoint
    from streams.access import KeyEntry

PARAMETERS = ("check", "facility")


async def take(gateway: Gateway, endpoint: PostEndpoint, request: Request, visit: Visit) -> Response:
    """Take one post: `POST /v1/readings`, `/v1/reports`, `/v1/marks`, `/v1/events`; the receipt comes behind the broker's ack."""
    entry, facility = gateway.admit(request, visit, endpoint, gateway.posts)
    wait = gateway.bytes.take(visit.key_hash)
    if wait:
        raise RefusedError(HTTPStatus.TOO_MANY_REQUESTS, "quota", "bytes", retry_after_s=wait)
    with gateway.hall.enter(visit.key_hash) as place:
        only_checked = asks_for_a_check(request.query_params)
        media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media not in MEDIA[endpoint]:
            wanted = f"Content-Type: {' or '.join(MEDIA[endpoint])}"
            raise RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "media_type", wanted)
        known = gateway.access.tags.get(facility, {})
        post = await _read(gateway, request, visit, place, endpoint, known if media == SENML else None)
        check_tags(entry, post)
        unknown = [tag for tag in post.tags if tag not in known]
        looking = None if gateway.proofs is None else gateway.proofs.look(facility, post.proof)
        if only_checked:
            said = {"id": post.id, "checked": True, "unknown_tags": unknown}
            return answer_json(HTTPStatus.OK, said | await _missing(gateway, looking, post))
        # From here on nothing is refused for what the body says: it waits for the broker without its text.
        visit.body = None
        place.leave()
        receipt = await gateway.door.append(facility, post.record)
        gateway.figures.readings.inc(post.readings)
        answer = {
            "id": post.id,
            "partition": receipt.partition,
            "offset": receipt.offset,
            "received": format_instant(receipt.received),
            "unknown_tags": unknown,
        }
        return answer_json(HTTPStatus.ACCEPTED, answer | await _missing(gateway, looking, post))


async def _missing(gateway: Gateway, looking: asyncio.Task[bool] | None, post: Post) -> dict[str, str]:
    """Return what an answer says of a proof that was never uploaded: nothing is refused for it, it may come behind (contracts.md §1)."""
    if gateway.proofs is None or post.proof is None or not await gateway.proofs.missing(looking):
        return {}
    return {"proof_missing": post.proof}


async def _read(
    gateway: Gateway, request: Request, visit: Visit, place: Place, endpoint: PostEndpoint, units: dict[str, str] | None
) -> Post:
    """Read a body; with `units`, those of the registered tags, readings as SenML."""
    size = declared_bytes(request.headers.get("content-length"))
    if LARGE_BYTES < size <= MAX_BODY_BYTES:
        gateway.lane.look_for_room(visit.key_hash)  # before four mebibytes are sent for nothing
    encoding = request.headers.get("content-encoding", "")
    try:
        body = visit.body = await read_body(request.stream(), encoding, visit.head, place, size)
    except RefusedError as refused:
        # What was blown up and thrown away has cost as much as what is kept.
        gateway.bytes.charge(
            visit.key_hash, MAX_BODY_BYTES if refused.code == "too_large" else min(size, MAX_BODY_BYTES)
        )
        raise
    gateway.figures.bytes.inc(len(body))
    gateway.bytes.charge(visit.key_hash, len(body))
    how = How(endpoint, gateway.now_ms())
    if units is not None:
        how = How(endpoint, how.now, request.headers.get("idempotency-key", ""), dict(units))
    try:
        if len(body) > LARGE_BYTES:
            return await gateway.lane.read(visit.key_hash, body, how)
        if len(body) > MEDIUM_BYTES[endpoint]:
            async with place.turn():
                return read_post(body, how)
        return read_post(body, how)
    except PostRefusedError as error:
        raise RefusedError.of_post(error) from None


def asks_for_a_check(query: QueryParams) -> bool:
    """Say whether a post is only to be checked. Who misspells that must not find the post stored: it stays for ever.

    Raises:
        RefusedError: 422 for a parameter of another name, named twice, or a `check` that is neither true nor false.
    """
    faults = [
        Fault("", FaultCode.UNKNOWN_MEMBER, f"query parameter {printable(name)}: one of {' '.join(PARAMETERS)}, once")
        for name in query
        if name not in PARAMETERS or len(query.getlist(name)) > 1
    ]
    asked = query.get("check", "false")
    if asked not in {"true", "false"}:
        faults.append(Fault("", FaultCode.WRONG_TYPE, "query parameter check: true or false"))
    if faults:
        refused = RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, "contract", "query parameters")
        refused.faults, refused.counts = faults, dict(Counter(str(fault.code) for fault in faults))
        raise refused
    return asked == "true"


def check_tags(entry: KeyEntry, post: Post) -> None:
    """Refuse tags that the key is not for; a key for some tags speaks for no whole area.

    Raises:
        RefusedError: 403.
    """
    if entry.tags is None:
        return
    allowed = frozenset(entry.tags)
    foreign = [tag for tag in post.tags if tag not in allowed]
    if foreign:
        raise RefusedError(HTTPStatus.FORBIDDEN, "not_allowed", f"not these tags: {', '.join(foreign[:20])}")
    if post.has_area:
        raise RefusedError(HTTPStatus.FORBIDDEN, "not_allowed", "not a whole area")
