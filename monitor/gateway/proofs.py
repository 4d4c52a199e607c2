"""Proofs at the front door: taken in pieces to the disk, listed, and given back to the facility that sent them (ADR 0077)."""

from __future__ import annotations

import asyncio
import logging
import re
from base64 import b64decode
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from pydantic import TypeAdapter, ValidationError

from monitor.gateway.answers import ProofList
from monitor.gateway.bodies import GRACE_S, LEAST_BYTES_S, declared_bytes, next_chunk, too_large
from monitor.gateway.front import answer_document, answer_json
from monitor.gateway.problems import RefusedError
from monitor.proofs.content import MEDIA, Look, media_type
from monitor.proofs.serving import download
from monitor.proofs.shelf import Bounds, DiskFullError, NoRoomError, ProofName, ProofReceipt, Shelf
from rules.errors import Fault
from rules.faults import FaultCode, printable, told

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from monitor.gateway.front import Gateway, Visit
    from monitor.gateway.hall import Place
    from monitor.proofs.content import MediaType
    from monitor.proofs.shelf import Incoming
    from monitor.settings import ProofsEnvironment

log = logging.getLogger(__name__)
T = TypeVar("T")
P = ParamSpec("P")
PIECE_BYTES = 256 * 1024
"""Written at once."""
HELD_BYTES = 2 * PIECE_BYTES
"""Of one upload in memory at most: what is gathered, and the chunk that comes."""
RETRY_AFTER_S = 30
THREADS = 4
LISTED = 500
LOOK_S = 0.25
"""So long a receipt waits for the disk of proofs at most, to say that one is missing ..."""
LOOKS = 16
"""... and so many look at once: what a slow disk has not answered is not piled up."""
PARAMETERS = ("check", "facility", "name")
_NAME: TypeAdapter[str] = TypeAdapter(ProofName)
_DIGEST = re.compile(r"sha-256=:([A-Za-z0-9+/]{43}=):")


@dataclass(slots=True)
class Asked:
    """What a request says beside its body, and what is wrong with that so far."""

    media: MediaType
    only_checked: bool = False
    name: str | None = None
    digest: str | None = None
    """The SHA-256 that the sender names (hex)."""
    faults: list[Fault] = field(default_factory=list)


class Proofs:
    """What the gateway does with proofs. Its disk has threads of its own, so that a slow one keeps no post waiting."""

    def __init__(self, gateway: Gateway, name: str, settings: ProofsEnvironment) -> None:
        self._gateway, self._name, self._most = gateway, name, settings.max_bytes
        self._bounds = Bounds(settings.facility_bytes, settings.facility_files, settings.keep_free_bytes)
        self._shelf = Shelf(settings.folder, self._bounds)
        self._threads = ThreadPoolExecutor(THREADS, "proofs")
        self._looks: set[asyncio.Task[bool]] = set()

    async def begin(self) -> None:
        """Delete what a crash left half written. A folder that cannot be written is told with the first upload."""
        try:
            await self._aside(self._shelf.clear, self._name)
        except OSError as error:
            log.warning("proofs: %s cannot be written: %s", self._shelf.folder, error.strerror or error)

    def close(self) -> None:
        """End the threads; an upload under way has no receipt."""
        for task in self._looks:
            task.cancel()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def look(self, facility: str, sha256: str | None) -> asyncio.Task[bool] | None:
        """Begin to look whether a proof that a post names is missing; None where none is named, or too many look already."""
        if sha256 is None or len(self._looks) >= LOOKS:
            return None
        task = asyncio.create_task(self._lacks(facility, sha256))
        self._looks.add(task)
        task.add_done_callback(self._looks.discard)
        return task

    @staticmethod
    async def missing(task: asyncio.Task[bool] | None) -> bool:
        """Say whether it is missing, as far as the disk says so within a quarter of a second: a post never fails for it."""
        if task is None:
            return False
        await asyncio.wait([task], timeout=LOOK_S)
        return task.done() and not task.cancelled() and task.result()

    async def _lacks(self, facility: str, sha256: str) -> bool:
        try:
            return await self._aside(self._shelf.find, facility, sha256) is None
        except OSError as error:
            log.warning("proofs cannot be read: %s", error)
            return False

    async def take(self, request: Request, visit: Visit) -> Response:
        """Take one proof: `POST /v1/proofs`, the content itself as the body.

        Raises:
            RefusedError: 413 above the bound or the quota, 415 another type, 422 with every fault, 503 where the disk is full.
        """
        try:
            receipt, new, only_checked = await self._taken(request, visit)
        except RefusedError as refused:
            ours = refused.status >= HTTPStatus.INTERNAL_SERVER_ERROR
            self._gateway.figures.proofs.labels("failed" if ours else "refused").inc()
            raise
        if only_checked:
            return answer_json(HTTPStatus.OK, {"sha256": receipt.sha256, "checked": True, "known": not new})
        self._gateway.figures.proofs.labels("stored" if new else "again").inc()
        self._gateway.figures.proof_bytes.inc(receipt.size if new else 0)
        return answer_document(receipt.model_dump_json().encode(), HTTPStatus.CREATED if new else HTTPStatus.OK)

    async def _taken(self, request: Request, visit: Visit) -> tuple[ProofReceipt, bool, bool]:
        gateway = self._gateway
        entry, facility = gateway.admit(request, visit, "proofs", gateway.posts)
        wait = gateway.bytes.take(visit.key_hash)
        if wait:
            raise RefusedError(HTTPStatus.TOO_MANY_REQUESTS, "quota", "bytes", retry_after_s=wait)
        asked, size = self._asked(request), declared_bytes(request.headers.get("content-length"))
        if size > self._most:
            raise too_large(most=self._most)
        with gateway.hall.enter(visit.key_hash) as place:
            place.hold(HELD_BYTES)
            try:
                kept, new = await self._stored(request, visit, place, asked, facility, entry.name)
            except NoRoomError as error:
                raise RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "proof_quota", str(error)) from None
            except (OSError, DiskFullError) as error:
                log.warning("a proof was not kept: %s", error)
                raise RefusedError(
                    HTTPStatus.SERVICE_UNAVAILABLE, "not_stored", "the disk", retry_after_s=RETRY_AFTER_S
                ) from None
        return kept, new, asked.only_checked

    async def listed(self, request: Request, visit: Visit) -> Response:
        """List what the facility has uploaded, newest first: `GET /v1/proofs`."""
        _, facility = self._gateway.admit(request, visit, "proofs", self._gateway.queries)
        try:
            every = await self._aside(self._shelf.every, facility)
        except OSError as error:
            raise _unreadable(error) from None
        told_ = ProofList(
            facility=facility,
            files=len(every),
            bytes=sum(receipt.size for receipt in every),
            max_files=self._bounds.files,
            max_bytes=self._bounds.bytes,
            proofs=every[:LISTED],
            left_out=max(0, len(every) - LISTED),
        )
        return answer_document(told_.model_dump_json().encode())

    async def give(self, request: Request, visit: Visit) -> Response:
        """Give a proof back to the facility that sent it: `GET /v1/proofs/{sha256}`.

        Raises:
            RefusedError: 404 where this facility has sent no such content, whoever else has.
        """
        _, facility = self._gateway.admit(request, visit, "proofs", self._gateway.queries)
        try:
            receipt = await self._aside(self._shelf.find, facility, request.path_params["sha256"])
            path = None if receipt is None else await self._aside(self._shelf.content, receipt)
        except OSError as error:
            raise _unreadable(error) from None
        if receipt is None or path is None:
            raise RefusedError(HTTPStatus.NOT_FOUND, "no_such_proof")
        self._gateway.figures.proofs.labels("given").inc()
        return download(receipt, path)

    def _asked(self, request: Request) -> Asked:
        media = media_type(request.headers.get("content-type", ""))
        if media is None:
            wanted = f"Content-Type: one of {', '.join(MEDIA)}; of texts charset utf-8 or gb18030"
            raise RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "media_type", wanted)
        if request.headers.get("content-encoding", "identity").strip().lower() not in {"", "identity"}:
            raise RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "media_type", "Content-Encoding: none for proofs")
        asked, query = Asked(media), request.query_params
        for name in query:
            if name not in PARAMETERS or len(query.getlist(name)) > 1:
                detail = f"query parameter {printable(name)}: one of {' '.join(PARAMETERS)}, once"
                asked.faults.append(Fault("", FaultCode.UNKNOWN_MEMBER, detail))
        if query.get("check", "false") not in {"true", "false"}:
            asked.faults.append(Fault("", FaultCode.WRONG_TYPE, "query parameter check: true or false"))
        asked.only_checked = query.get("check") == "true"
        try:
            asked.name = None if "name" not in query else _NAME.validate_python(query["name"])
        except ValidationError as error:
            code, text = told(error.errors(include_url=False, include_input=False)[0])
            asked.faults.append(Fault("", code, f"query parameter name: {text}"))
        header = request.headers.get("content-digest")
        if header is not None:
            found = _DIGEST.search(header)
            if found is None:
                asked.faults.append(Fault("", FaultCode.WRONG_FORM, "Content-Digest: sha-256=:...: (RFC 9530)"))
            else:
                asked.digest = b64decode(found[1]).hex()
        return asked

    async def _stored(
        self, request: Request, visit: Visit, place: Place, asked: Asked, facility: str, key: str
    ) -> tuple[ProofReceipt, bool]:
        incoming = await self._aside(self._shelf.open, self._name)
        try:
            look = Look(asked.media)
            await self._read(request, visit, place, incoming, look)
            sha256 = await self._aside(incoming.finish)
            _refuse(asked, look, sha256)
            receipt = ProofReceipt(
                sha256=sha256, facility=facility, size=incoming.size, type=asked.media, name=asked.name,
                received=self._gateway.now_ms(), key=key, gateway=self._name,
            )  # fmt: skip
            if asked.only_checked:
                known = await self._aside(self._shelf.find, facility, sha256)
                if known is None:
                    await self._aside(self._shelf.look_for_room, facility, incoming.size)
                return (receipt, True) if known is None else (known, False)
            return await self._aside(self._shelf.keep, incoming, receipt)
        finally:
            # Not cancelled with the request: a file that is half written is deleted.
            await asyncio.shield(self._aside(incoming.__exit__, None, None, None))

    async def _read(self, request: Request, visit: Visit, place: Place, incoming: Incoming, look: Look) -> None:
        gathered = bytearray()
        size = 0
        due = asyncio.get_running_loop().time() + GRACE_S
        chunks = request.stream()

        def write(piece: bytes) -> None:
            incoming.write(piece)
            look.feed(piece)

        try:
            while (chunk := await next_chunk(chunks, due + size / LEAST_BYTES_S)) is not None:
                size += len(chunk)
                if size > self._most:
                    raise too_large(most=self._most)
                gathered += chunk
                if len(gathered) >= PIECE_BYTES:
                    place.hold(len(gathered))
                    piece, gathered = bytes(gathered), bytearray()
                    await self._aside(write, piece)
        finally:
            # What was broken off, came too slowly or found the disk full has cost as much as what is kept.
            self._gateway.bytes.charge(visit.key_hash, size)
        self._gateway.figures.bytes.inc(size)
        await self._aside(write, bytes(gathered))

    async def _aside(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, partial(work, *args, **kwargs))


def _unreadable(error: OSError) -> RefusedError:
    log.warning("proofs cannot be read: %s", error)
    return RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "busy", "the disk", retry_after_s=RETRY_AFTER_S)


def _refuse(asked: Asked, look: Look, sha256: str) -> None:
    """Refuse what is wrong with a request, its content and its digest, all at once.

    Raises:
        RefusedError: 422.
    """
    faults, wrong = asked.faults, look.end()
    if wrong:
        faults.append(Fault("", FaultCode.WRONG_CONTENT, f"{asked.media}: {wrong}"))
    if asked.digest not in {None, sha256}:
        faults.append(Fault("", FaultCode.WRONG_DIGEST, f"the SHA-256 of what came is {sha256}"))
    if faults:
        refused = RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, "contract", "the proof")
        refused.faults, refused.counts = faults, dict(Counter(str(fault.code) for fault in faults))
        raise refused
