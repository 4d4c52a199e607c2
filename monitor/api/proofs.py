"""Proofs at the desk: what a facility has uploaded, and each as a download. The gateway wrote them; here they are only read."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Literal

from fastapi import APIRouter, Path, Query, Response

from monitor.accounts.users import Role
from monitor.api.models import NamedProof
from monitor.api.problems import PROBLEMS
from monitor.desk.parts import Desk, Parts, RefusedError, Signed
from monitor.proofs import journal
from monitor.proofs.content import MEDIA
from monitor.proofs.named import names_in
from monitor.proofs.serving import download
from monitor.proofs.shelf import Bounds, ProofReceipt, Shelf
from rules.changes import Evidence
from rules.instants import format_instant
from rules.models import FacilityId, Strict

if TYPE_CHECKING:
    from monitor.store.desk_tables import AlarmRow
    from monitor.store.tables import ProofNamed

log = logging.getLogger(__name__)
router = APIRouter(prefix="/v1", responses=PROBLEMS)
READERS = frozenset({Role.READER, Role.SUPERVISOR, Role.LEAD})
"""Who runs the monitor has no business with what firms prove."""
LISTED = 500
SHOWN = 50
RETRY_AFTER_S = 30
Sha256Path = Annotated[str, Path(pattern=r"^[0-9a-f]{64}$")]


class FacilityProofs(Strict):
    """What a facility has uploaded, newest first."""

    facility: FacilityId
    files: int
    bytes: int
    proofs: list[ProofReceipt]
    left_out: int
    """Older ones that the list does not hold."""
    missing: list[NamedProof]
    """Named by a mark or an amendment, as far as it is archived, and never uploaded; newest record first, at most 500."""


@router.get("/proofs", summary="What a facility has uploaded, newest first")
def get_proofs(desk: Parts, person: Signed, facility: Annotated[FacilityId, Query()]) -> FacilityProofs:
    """Return the receipts of a facility's proofs; the newest 500."""
    check_reads(person.role)
    return listed(desk, facility)


@router.get(
    "/proofs/{facility}/{sha256}",
    summary="One proof, as a download",
    response_class=Response,
    responses={200: {"content": {media: {"schema": {"type": "string"}} for media in MEDIA}}},
)
def get_proof(
    desk: Parts, person: Signed, facility: Annotated[FacilityId, Path()], sha256: Sha256Path
) -> Response:  # fmt: skip
    """Give a proof's content. It is never shown by a browser: `attachment`, `nosniff`, a sandbox of its own."""
    check_reads(person.role)
    try:
        receipt = shelf_of(desk).find(facility, sha256)
        path = None if receipt is None else shelf_of(desk).content(receipt)
    except OSError as error:
        raise _unreadable(error) from None
    if receipt is None or path is None:
        raise RefusedError(HTTPStatus.NOT_FOUND, "no_such_proof")
    log.info("proof %s of %s given to %s", sha256, facility, person.name)
    desk.figures.proofs.inc()
    return download(receipt, path)


def check_reads(role: Role) -> None:
    """Refuse proofs to who is not here for what firms do.

    Raises:
        RefusedError: 403.
    """
    if role not in READERS:
        raise RefusedError(HTTPStatus.FORBIDDEN, "proofs_role", "readers, supervisors and leads see proofs")


def listed(desk: Desk, facility: str) -> FacilityProofs:
    """Return what a facility has uploaded, and what it named and did not upload.

    Raises:
        RefusedError: 503 where the folder cannot be read.
    """
    with desk.store.reading() as session:  # before the folder: what comes in between is there, not missing
        rows, gone = journal.named(session, facility), journal.deleted(session, facility)
    try:
        every = shelf_of(desk).every(facility)
    except OSError as error:
        raise _unreadable(error) from None
    known = {receipt.sha256 for receipt in every} | gone
    missing = [_named(row, "missing") for row in rows if row.sha256 not in known]
    return FacilityProofs(
        facility=facility,
        files=len(every),
        bytes=sum(receipt.size for receipt in every),
        proofs=every[:LISTED],
        left_out=max(0, len(every) - LISTED),
        missing=missing[:LISTED],
    )


def of_alarm(desk: Desk, role: Role, row: AlarmRow) -> list[NamedProof] | None:
    """Return the proofs that the marks and amendments of an alarm's evidence name, oldest first; at most 50.

    None for who does not see proofs, and where the folder cannot be read: an alarm is shown without.
    """
    if role not in READERS:
        return None
    names = names_in(Evidence.model_validate_json(row.evidence), row.facility)
    shelf, found = shelf_of(desk), []
    with desk.store.reading() as session:
        for facility, own in sorted(names.items()):
            gone = journal.deleted(session, facility) if own else set()
            found += [(one, one.sha256 in gone) for one in journal.named_by(session, facility, own)]
    try:
        return [
            _named(one, "received" if shelf.find(one.facility, one.sha256) else "deleted" if gone else "missing")
            for one, gone in found[:SHOWN]
        ]
    except OSError as error:
        log.warning("proofs cannot be read: %s", error)
        return None


def _named(row: ProofNamed, state: Literal["received", "missing", "deleted"]) -> NamedProof:
    return NamedProof(
        facility=row.facility, kind="mark" if row.kind == "mark" else "report", record=row.record, revision=row.revision,
        received=format_instant(row.received_ms), sha256=row.sha256, state=state,
    )  # fmt: skip


def shelf_of(desk: Desk) -> Shelf:
    """Return the folder of proofs; the desk keeps nothing in it."""
    return Shelf(desk.proofs, Bounds(bytes=0, files=0, keep_free=0))


def _unreadable(error: OSError) -> RefusedError:
    log.warning("proofs cannot be read: %s", error)
    return RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "proofs_down", retry_after_s=RETRY_AFTER_S)
