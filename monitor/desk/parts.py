"""What the routes of API and console share: the parts of one desk, and who makes a request."""

from __future__ import annotations

import contextlib
from collections import Counter
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from secrets import compare_digest
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request

from monitor.accounts import sessions
from monitor.accounts.brake import Brake
from monitor.accounts.sessions import Person
from monitor.alarms.moments import MomentBook
from monitor.alarms.rejections import Rejections
from monitor.alarms.sparks import Sparks
from monitor.desk.pace import Pace
from monitor.figures.keeping import Shelf
from monitor.store.session import StoreDownError

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.alarms.rulebook import Rulebook
    from monitor.desk.figures import Figures
    from monitor.desk.live import Hub
    from monitor.desk.standing import Watch
    from monitor.settings import DeskEnvironment
    from monitor.store.session import Store

COOKIE = "offsite_session"


class RefusedError(Exception):
    """A request is refused: status and a stable code; the text is chosen where it is shown."""

    def __init__(self, status: HTTPStatus, code: str, detail: str = "", retry_after_s: int | None = None) -> None:
        """Take what the answer says."""
        super().__init__(code)
        self.status, self.code, self.detail, self.retry_after_s = status, code, detail, retry_after_s


@dataclass(slots=True)
class Desk:
    """The parts of one desk."""

    settings: DeskEnvironment
    store: Store
    rulebook: Rulebook
    hub: Hub
    figures: Figures
    archive: Path
    clock_ms: Callable[[], int]
    ready: Callable[[], list[str]]
    """Why the desk is not ready, empty if it is."""
    proofs: Path = Path("var/proofs")
    """The folder of proofs."""
    watch: Watch | None = None
    """Whether the rows are as new as the topic; none where nothing is followed."""
    brake: Brake = field(default_factory=Brake)
    rejections: Rejections = field(default_factory=Rejections)
    """What could not be taken in, the last ones."""
    streams: Counter[str] = field(default_factory=Counter)
    """Open live streams by session; touched by the event loop alone."""
    pace: Pace = field(default_factory=Pace)
    """What the follower asks before it takes the interpreter."""
    moments: MomentBook = field(default_factory=MomentBook)
    """When the readings were that evidence speaks of."""
    shelf: Shelf = field(default_factory=Shelf)
    """What was read of each facility for figures over all."""
    sparks: Sparks = field(init=False)
    """The small pictures of the queue's rows."""

    def __post_init__(self) -> None:
        """Join the parts that need others."""
        self.sparks = Sparks(self.store, self.archive, self.clock_ms)


def desk_of(request: Request) -> Desk:
    """Return the desk that serves a request."""
    found = request.app.state.desk
    if not isinstance(found, Desk):
        raise TypeError("the app was not made by create_desk")
    return found


def person_of(request: Request, desk: Annotated[Desk, Depends(desk_of)]) -> Person:
    """Return who makes the request.

    Raises:
        RefusedError: 401 without a valid session, 403 while a one-time password is still to be changed.
    """
    token = request.cookies.get(COOKIE, "")
    now = desk.clock_ms()
    with desk.store.reading() as session:
        found = sessions.find(session, token, now) if token else None
    if found is None:
        raise RefusedError(HTTPStatus.UNAUTHORIZED, "not_signed_in")
    person, stale = found
    if stale:
        # A store that is busy writing still answers who reads; the next request notes the use.
        with contextlib.suppress(StoreDownError), desk.store.writing() as session:
            sessions.touch(session, person.token_sha256, now)
    request.state.person = person
    return person


def seen_person(request: Request) -> Person | None:
    """Return who makes the request, where that has been found out already: for pages of refusals."""
    found = getattr(request.state, "person", None)
    return found if isinstance(found, Person) else None


def settled_person(person: Annotated[Person, Depends(person_of)]) -> Person:
    """Return who makes the request, once the one-time password has been changed."""
    if person.must_change:
        raise RefusedError(HTTPStatus.FORBIDDEN, "password_must_change")
    return person


def check_origin(request: Request, desk: Annotated[Desk, Depends(desk_of)]) -> None:
    """Refuse a write that a page of another origin sends (its cookie would come along where SameSite is not known)."""
    origin = request.headers.get("origin")
    if origin is None:
        return
    scheme, _, host = origin.partition("://")
    if host != request.headers.get("host") or (desk.settings.https and scheme != "https"):
        raise RefusedError(HTTPStatus.FORBIDDEN, "foreign_origin")


def check_csrf(person: Person, presented: str | None) -> None:
    """Refuse a write without the session's own token."""
    if presented is None or not compare_digest(presented.encode("utf-8", "replace"), person.csrf.encode()):
        raise RefusedError(HTTPStatus.FORBIDDEN, "csrf")


def check_acts(person: Person) -> None:
    """Refuse an action on alarms to who only looks."""
    if not person.role.acts:
        raise RefusedError(HTTPStatus.FORBIDDEN, "role", "supervisors and leads act on alarms")


Parts = Annotated[Desk, Depends(desk_of)]
Signed = Annotated[Person, Depends(settled_person)]
Unsettled = Annotated[Person, Depends(person_of)]
"""Signed in, perhaps still with a one-time password."""
