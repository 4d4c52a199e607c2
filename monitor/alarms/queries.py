"""What people ask of the alarms: the queue, one alarm with its history, the counts of what is not shown."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field
from sqlalchemy import ColumnElement, and_, case, func, or_, select

from monitor.alarms.axes import OPEN
from monitor.store.desk_tables import ActionRow, AlarmRow, ChangeRow, LiveRow
from monitor.store.tables import FacilityVersion
from rules.models import FacilityId, Severity, Strict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

Status = Literal["open", "active", "unknown", "cleared", "retracted", "any"]
PAGE = 100
MAX_PAGE = 500


class Filter(Strict):
    """Which alarms; as it stands in the address of the queue page and of `GET /v1/alarms`."""

    status: Status = "open"
    severity: Severity | None = None
    """This colour and worse."""
    facility: FacilityId | None = None
    rule: Annotated[str, Field(max_length=128)] | None = None
    attention: Literal["unacknowledged", "acknowledged"] | None = None
    stage: Literal["live", "shadow", "draft", "any"] = "live"
    suppressed: Literal["no", "only", "any"] = "no"
    """A suppressed alarm stands under the one that covers it, not in the queue."""
    limit: Annotated[int, Field(ge=1, le=MAX_PAGE)] = PAGE
    after: Annotated[str, Field(max_length=200)] | None = None
    """Where the page before ended."""


class BadCursorError(ValueError):
    """`after` is not what a page before gave."""


@dataclass(frozen=True, slots=True)
class Page:
    """Rows and the cursor of the next page, None at the end; `total` counts all that match."""

    rows: list[AlarmRow]
    next: str | None
    total: int


@dataclass(frozen=True, slots=True)
class Unseen:
    """What the queue does not show, by reason; always in view (alarms.md)."""

    suppressed: int
    blind: int
    shadow: int
    silent: int
    """Open silences of feeds, areas and sensors."""
    returned: int
    """Cleared before anybody acknowledged them."""


def unacknowledged() -> ColumnElement[bool]:
    """Return the condition that a row asks for attention (axes.attention says the same of one row)."""
    return and_(
        AlarmRow.stage == "live",
        AlarmRow.status != "retracted",
        AlarmRow.acknowledged_revision < AlarmRow.attention_revision,
    )


def queue(session: Session, wanted: Filter) -> Page:
    """Return alarms, worst first; within a colour what nobody has seen first, then the oldest.

    Raises:
        BadCursorError: the cursor is not ours.
    """
    conditions = _conditions(wanted)
    total = session.scalar(select(func.count()).select_from(AlarmRow).where(*conditions)) or 0
    seen = case((unacknowledged(), 0), else_=1)
    rows = select(AlarmRow).where(*conditions)
    if wanted.after is not None:
        rank, unseen, start, alarm = _cursor(wanted.after)
        rows = rows.where(
            or_(
                AlarmRow.severity_rank < rank,
                and_(AlarmRow.severity_rank == rank, seen > unseen),
                and_(AlarmRow.severity_rank == rank, seen == unseen, AlarmRow.start_ms > start),
                and_(AlarmRow.severity_rank == rank, seen == unseen, AlarmRow.start_ms == start, AlarmRow.id > alarm),
            )
        )
    ordered = rows.order_by(AlarmRow.severity_rank.desc(), seen, AlarmRow.start_ms, AlarmRow.id)
    found = list(session.scalars(ordered.limit(wanted.limit + 1)))
    more = len(found) > wanted.limit
    found = found[: wanted.limit]
    return Page(found, _cursor_of(found[-1]) if more else None, total)


def one(session: Session, alarm: str) -> AlarmRow | None:
    """Return an alarm."""
    return session.get(AlarmRow, alarm)


def history(session: Session, alarm: str, limit: int = MAX_PAGE) -> list[ChangeRow]:
    """Return the newest changes of an alarm, oldest first."""
    rows = select(ChangeRow).where(ChangeRow.alarm == alarm).order_by(ChangeRow.seq.desc()).limit(limit)
    return list(session.scalars(rows))[::-1]


def actions(session: Session, alarm: str) -> list[ActionRow]:
    """Return what people did with an alarm, oldest first."""
    return list(session.scalars(select(ActionRow).where(ActionRow.alarm == alarm).order_by(ActionRow.id)))


def covered(session: Session, alarms: Sequence[str]) -> dict[str, int]:
    """Return how many open alarms each of these covers."""
    if not alarms:
        return {}
    rows = (
        select(AlarmRow.suppressed_by, func.count())
        .where(AlarmRow.suppressed_by.in_(alarms), AlarmRow.status.in_(OPEN))
        .group_by(AlarmRow.suppressed_by)
    )
    return {str(name): count for name, count in session.execute(rows)}


def covered_rows(session: Session, alarm: str) -> list[AlarmRow]:
    """Return the open alarms that one covers."""
    rows = (
        select(AlarmRow).where(AlarmRow.suppressed_by == alarm, AlarmRow.status.in_(OPEN)).order_by(AlarmRow.start_ms)
    )
    return list(session.scalars(rows.limit(PAGE)))


def unseen(session: Session) -> Unseen:
    """Count what the queue does not show."""
    is_open = AlarmRow.status.in_(OPEN)
    live = AlarmRow.stage == "live"

    def count(*conditions: ColumnElement[bool]) -> int:
        return session.scalar(select(func.count()).select_from(AlarmRow).where(*conditions)) or 0

    return Unseen(
        suppressed=count(is_open, live, AlarmRow.suppressed_by.is_not(None)),
        blind=count(AlarmRow.status == "unknown", live),
        shadow=count(is_open, AlarmRow.stage != "live"),
        silent=count(is_open, live, AlarmRow.rule.like("%.gap")),
        returned=count(AlarmRow.status == "cleared", unacknowledged()),
    )


def open_counts(session: Session) -> dict[tuple[str, bool], int]:
    """Return the number of open live alarms by (colour, acknowledged)."""
    asks = case((unacknowledged(), 0), else_=1)
    rows = (
        select(AlarmRow.severity, asks, func.count())
        .where(AlarmRow.status.in_(OPEN), AlarmRow.stage == "live", AlarmRow.suppressed_by.is_(None))
        .group_by(AlarmRow.severity, asks)
    )
    return {(severity, bool(seen)): count for severity, seen, count in session.execute(rows)}


def names(session: Session, facilities: set[str]) -> dict[str, dict[str, str]]:
    """Return the registered names (zh, en) of facilities; one that is not registered is left out."""
    last = select(FacilityVersion.facility, func.max(FacilityVersion.version).label("version"))
    each = last.where(FacilityVersion.facility.in_(facilities)).group_by(FacilityVersion.facility).subquery()
    rows = session.execute(
        select(FacilityVersion.facility, FacilityVersion.data).join(
            each, and_(FacilityVersion.facility == each.c.facility, FacilityVersion.version == each.c.version)
        )
    )
    return {facility: json.loads(data)["name"] for facility, data in rows}


def last_live(session: Session) -> int:
    """Return the number of the newest step of the live stream, 0 before the first."""
    return session.scalar(select(func.max(LiveRow.id))) or 0


def _conditions(wanted: Filter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if wanted.status == "open":
        found.append(AlarmRow.status.in_(OPEN))
    elif wanted.status != "any":
        found.append(AlarmRow.status == wanted.status)
    if wanted.severity is not None:
        found.append(AlarmRow.severity_rank >= wanted.severity.rank)
    if wanted.facility is not None:
        found.append(AlarmRow.facility == wanted.facility)
    if wanted.rule is not None:
        found.append(AlarmRow.rule == wanted.rule)
    if wanted.attention is not None:
        asks = unacknowledged()
        found.append(asks if wanted.attention == "unacknowledged" else ~asks)
    if wanted.stage != "any":
        found.append(AlarmRow.stage == wanted.stage)
    if wanted.suppressed != "any":
        covered_by = AlarmRow.suppressed_by
        found.append(covered_by.is_(None) if wanted.suppressed == "no" else covered_by.is_not(None))
    return found


def _cursor_of(row: AlarmRow) -> str:
    asks = row.stage == "live" and row.status != "retracted" and row.acknowledged_revision < row.attention_revision
    place: list[Any] = [row.severity_rank, 0 if asks else 1, row.start_ms, row.id]
    return base64.urlsafe_b64encode(json.dumps(place, separators=(",", ":")).encode()).decode().rstrip("=")


def _cursor(text: str) -> tuple[int, int, int, str]:
    try:
        rank, unseen_, start, alarm = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        if not (
            isinstance(alarm, str) and all(type(part) is int and abs(part) < 1 << 62 for part in (rank, unseen_, start))
        ):
            raise BadCursorError(text)
    except (ValueError, TypeError, binascii.Error, RecursionError) as error:
        raise BadCursorError(text) from error
    return rank, unseen_, start, alarm
