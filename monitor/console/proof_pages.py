"""The page of a facility's proofs: a list with downloads, nothing of a proof is ever shown."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter, Depends, Request, Response

from monitor.alarms import queries
from monitor.api.proofs import check_reads, listed
from monitor.console.pages import frame
from monitor.console.render import language_of, page
from monitor.desk.parts import Parts, RefusedError, Signed, check_origin
from rules.instants import parse_instant
from rules.models import is_facility_id

router = APIRouter(include_in_schema=False, dependencies=[Depends(check_origin)])


@router.get("/proofs")
def proofs_page(request: Request, desk: Parts, person: Signed, facility: str = "") -> Response:
    """Show what a facility has uploaded."""
    check_reads(person.role)
    if not is_facility_id(facility):
        raise RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, "bad_filter")
    found = listed(desk, facility)
    with desk.store.reading() as session:
        shared, names = frame(session, desk), queries.names(session, {facility})
    name = names.get(facility, {}).get(language_of(request, person), facility)
    return page(
        request, "proofs.html", person, page="proofs", found=found, facility_name=name, parsed=parse_instant, **shared
    )
