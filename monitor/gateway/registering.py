"""What `GET /v1/register` is asked for: a version, and an instant at which facts are in force."""

from __future__ import annotations

from collections import Counter
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, ValidationError

from monitor.gateway.problems import RefusedError
from rules.faults import model_faults
from rules.instants import Instant
from rules.models import Strict

if TYPE_CHECKING:
    from starlette.datastructures import QueryParams

MAX_VERSION = 2**31 - 1


class Asked(Strict):
    """The query, but for whose register it is."""

    version: Annotated[int, Field(ge=0, le=MAX_VERSION)] | None = None
    """Only this one: an answer is of it or is none. A gateway knows the newest."""
    at: Instant | None = None
    """Facts in force at this instant; without it all, with their `from`."""


def asked_of(query: QueryParams) -> Asked:
    """Return what a query asks for.

    Raises:
        RefusedError: 422 with every fault: a name that is none or stands twice, a value that cannot be read.
    """
    given = {name: value for name, value in query.items() if name != "facility"}
    twice = [name for name in query if len(query.getlist(name)) > 1]
    try:
        asked = Asked.model_validate(given | dict.fromkeys(twice, "twice"))
    except ValidationError as error:
        found = model_faults(error)
        refused = RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, "contract", "query parameters")
        refused.faults, refused.counts = found.listed, dict(Counter(found.counts))
        raise refused from None
    return asked
