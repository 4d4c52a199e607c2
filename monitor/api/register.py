"""The register at the desk: any stored version of a facility, the facts in force at an instant, and how two versions differ."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query

from monitor.api.problems import PROBLEMS
from monitor.desk.parts import Parts, RefusedError, Signed
from monitor.register.compare import FactChange, compare
from monitor.register.store import version_of, versions
from rules.errors import BadInputError
from rules.instants import Instant
from rules.models import FacilityId, Strict
from rules.register import Facility
from rules.validity import facts_at

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from monitor.store.tables import FacilityVersion

router = APIRouter(prefix="/v1", responses=PROBLEMS)
Named = Annotated[FacilityId, Query()]
Version = Annotated[int | None, Query(ge=1, le=2**31 - 1)]
LISTED = 500


class VersionView(Strict):
    """One stored version of a facility's facts."""

    version: int
    recorded: Instant
    """When it was stored (the store's clock); what is in force when is said by `from` of the facts."""
    actor: str
    sha256: str
    """Of the canonical JSON of the facts."""


class RegisterView(Strict):
    """A facility's registered facts, without contacts."""

    version: VersionView
    facility: Facility
    at: Instant | None = None
    """`facility` holds what is in force at this instant; null: all facts, with their `from`."""


class VersionsView(Strict):
    """The stored versions of a facility, newest first."""

    facility: FacilityId
    versions: list[VersionView]
    left_out: int
    """Older ones that the list does not hold."""


class DifferenceView(Strict):
    """How two stored versions of a facility differ, fact by fact."""

    facility: FacilityId
    old: int
    new: int
    changes: list[FactChange]


@router.get(
    "/register",
    summary="A facility's registered facts: the newest version, or another one",
    response_model_exclude_none=True,
)
def get_register(
    desk: Parts, person: Signed, facility: Named, version: Version = None, at: Annotated[Instant | None, Query()] = None
) -> RegisterView:  # fmt: skip
    """Return registered facts; with `at` those in force at that instant, as this version says."""
    del person
    with desk.store.reading() as session:
        row = _row(session, facility, version)
        facts = Facility.model_validate_json(row.data)
        return RegisterView(version=_view(row), facility=facts if at is None else facts_at(facts, at), at=at)


@router.get("/register/versions", summary="The stored versions of a facility, newest first")
def get_versions(desk: Parts, person: Signed, facility: Named) -> VersionsView:
    """Return when each version was stored and by whom; the newest 500."""
    del person
    with desk.store.reading() as session:
        _row(session, facility, None)
        rows = versions(session, facility)
        listed = [_view(row) for row in rows[:LISTED]]
    return VersionsView(facility=facility, versions=listed, left_out=max(0, len(rows) - LISTED))


@router.get("/register/diff", summary="How two stored versions of a facility differ", response_model_by_alias=True)
def get_difference(
    desk: Parts, person: Signed, facility: Named, old: Version = None, new: Version = None
) -> DifferenceView:  # fmt: skip
    """Return the facts that were added, removed or changed; without numbers those of the newest version and the one before."""
    del person
    with desk.store.reading() as session:
        after = _row(session, facility, new)
        if old is None and after.version == 1:
            changes = compare({}, json.loads(after.data))
            return DifferenceView(facility=facility, old=0, new=1, changes=changes)
        before = _row(session, facility, after.version - 1 if old is None else old)
        changes = compare(json.loads(before.data), json.loads(after.data))
        return DifferenceView(facility=facility, old=before.version, new=after.version, changes=changes)


def _row(session: Session, facility: str, version: int | None) -> FacilityVersion:
    try:
        return version_of(session, facility, version)
    except BadInputError as error:
        raise RefusedError(HTTPStatus.NOT_FOUND, "no_such_version", error.faults[0].detail) from None


def _view(row: FacilityVersion) -> VersionView:
    return VersionView(version=row.version, recorded=row.recorded_ms, actor=row.actor, sha256=row.sha256)
