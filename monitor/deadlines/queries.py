"""What people ask of the clocks that run: pages by due instant, counts, how new they are and what is not among them."""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field
from sqlalchemy import ColumnElement, and_, case, func, or_, select

from monitor.accounts.assignments import responsible
from monitor.alarms.queries import MAX_PAGE, PAGE, BadCursorError
from monitor.deadlines.keeping import FAR_MS
from monitor.store.desk_tables import AlarmRow, DeadlineFacility, DeadlinePartition, DeadlineRow
from rules.clocks.listing import DueState, Running
from rules.instants import Instant
from rules.models import FacilityId, Strict

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy.orm import Session

NOBODY = "-"
_ID = re.compile(r"[0-9a-f]{32}")


class Filter(Strict):
    """Which clocks; as it stands in the address of the page and of `GET /v1/deadlines`."""

    facility: FacilityId | None = None
    state: DueState | None = None
    inspector: Annotated[str, Field(pattern=r"^([a-z][a-z0-9._-]{1,31}|-)$")] | None = None
    """Of facilities that this account is responsible for; `-`: that nobody is."""
    until: Instant | None = None
    """Due by then, late ones too; what nobody knows the end of is never left out."""
    limit: Annotated[int, Field(ge=1, le=MAX_PAGE)] = PAGE
    after: Annotated[str, Field(max_length=200)] | None = None
    """Where the page before ended."""


@dataclass(frozen=True, slots=True)
class Page:
    """Clocks and the cursor of the next page, None at the end; `total` counts all that match."""

    rows: list[Running]
    next: str | None
    total: int


@dataclass(frozen=True, slots=True)
class Standing:
    """How new the list is, and what is not in it."""

    as_of_ms: int | None
    """Everything received before is in it; None: nothing was read yet."""
    left_out: int
    """Clocks beyond those that are kept of a facility."""
    aside: int
    """Rules that raised at a facility: what they would list is not known."""
    held: int
    """Facilities that are quarantined: their clocks are as of then."""
    unread: int
    """Facilities whose newest snapshot cannot be read: theirs are as of an older one."""

    @property
    def is_whole(self) -> bool:
        """Say whether nothing is missing."""
        return not (self.left_out or self.aside or self.held or self.unread)


def page(session: Session, wanted: Filter, now_ms: int) -> Page:
    """Return clocks by due instant; those whose end nobody knows come last.

    Raises:
        BadCursorError: the cursor is not ours.
    """
    conditions = _conditions(wanted, now_ms)
    total = session.scalar(select(func.count()).select_from(DeadlineRow).where(*conditions)) or 0
    found = select(DeadlineRow).where(*conditions)
    if wanted.after is not None:
        due, name = _cursor(wanted.after)
        found = found.where(or_(DeadlineRow.due_ms > due, and_(DeadlineRow.due_ms == due, DeadlineRow.id > name)))
    rows = list(session.scalars(found.order_by(DeadlineRow.due_ms, DeadlineRow.id).limit(wanted.limit + 1)))
    more = len(rows) > wanted.limit
    rows = rows[: wanted.limit]
    return Page(
        [Running.model_validate_json(row.body) for row in rows], _cursor_of(rows[-1]) if more else None, total
    )  # fmt: skip


def counts(session: Session, wanted: Filter, now_ms: int) -> dict[DueState, int]:
    """Return how many clocks there are in each state, whatever state is asked for."""
    held = case(*((_is(state, now_ms), state.value) for state in DueState), else_=DueState.UNKNOWN.value)
    conditions = _conditions(wanted.model_copy(update={"state": None}), now_ms)
    found = dict.fromkeys(DueState, 0)
    for state, count in session.execute(
        select(held, func.count()).select_from(DeadlineRow).where(*conditions).group_by(held)
    ):
        found[DueState(state)] = count
    return found


def standing(session: Session, facility: str | None = None) -> Standing:
    """Return how new the list is and what is missing, of all or of one facility."""
    of = select(
        func.coalesce(func.sum(DeadlineFacility.left_out), 0),
        func.coalesce(func.sum(case((DeadlineFacility.held, 1), else_=0)), 0),
        func.coalesce(func.sum(case((DeadlineFacility.fault.is_not(None), 1), else_=0)), 0),
    )
    asides = select(DeadlineFacility.aside).where(DeadlineFacility.aside != "[]")
    oldest = select(func.min(DeadlinePartition.as_of_ms))
    if facility is not None:
        mine = DeadlineFacility.facility == facility
        of, asides = of.where(mine), asides.where(mine)
        home = select(DeadlineFacility.partition).where(mine).scalar_subquery()
        oldest = oldest.where(or_(DeadlinePartition.partition == home, home.is_(None)))
    left_out, held, unread = session.execute(of).one()
    aside = sum(len(json.loads(one)) for one in session.scalars(asides))
    return Standing(session.scalar(oldest), int(left_out), aside, int(held), int(unread))


def known_alarms(session: Session, alarms: Collection[str]) -> set[str]:
    """Return those alarms that the desk has a page of."""
    return set(session.scalars(select(AlarmRow.id).where(AlarmRow.id.in_(alarms)))) if alarms else set()


def _is(state: DueState, now_ms: int) -> ColumnElement[bool]:
    """Say in SQL what `Running.at` says."""
    due, soon = DeadlineRow.due_ms, DeadlineRow.soon_ms
    return {
        DueState.UNKNOWN: due == FAR_MS,
        DueState.LATE: due < now_ms,
        DueState.SOON: and_(soon <= now_ms, due >= now_ms),
        DueState.DUE: and_(soon > now_ms, due >= now_ms, due != FAR_MS),
    }[state]


def _conditions(wanted: Filter, now_ms: int) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if wanted.facility is not None:
        found.append(DeadlineRow.facility == wanted.facility)
    if wanted.state is not None:
        found.append(_is(wanted.state, now_ms))
    if wanted.inspector == NOBODY:
        found.append(DeadlineRow.facility.not_in(responsible()))
    elif wanted.inspector is not None:
        found.append(DeadlineRow.facility.in_(responsible(wanted.inspector)))
    if wanted.until is not None:
        found.append(or_(DeadlineRow.due_ms <= wanted.until, DeadlineRow.due_ms == FAR_MS))
    return found


def _cursor_of(row: DeadlineRow) -> str:
    place = json.dumps([row.due_ms, row.id], separators=(",", ":"))
    return base64.urlsafe_b64encode(place.encode()).decode().rstrip("=")


def _cursor(text: str) -> tuple[int, str]:
    try:
        due, name = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        if type(due) is not int or not 0 <= due <= FAR_MS or not isinstance(name, str) or not _ID.fullmatch(name):
            raise BadCursorError(text)
    except (ValueError, TypeError, binascii.Error, RecursionError) as error:
        raise BadCursorError(text) from error
    return due, name
