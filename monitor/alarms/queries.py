"""What people ask of the alarms: the queue, one alarm with its history, the counts of what is not shown."""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field
from sqlalchemy import ColumnElement, and_, case, func, or_, select, union_all
from sqlalchemy.orm import aliased

from monitor.alarms.axes import OPEN, Attention, attention
from monitor.store.desk_tables import ActionRow, AlarmRow, ChangeRow, LiveRow, NamedRow
from monitor.store.tables import FacilityVersion
from rules.models import FacilityId, Severity, Strict
from rules.rule import RuleId

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

    from monitor.alarms.rulebook import Rulebook

Status = Literal["queue", "open", "active", "unknown", "cleared", "retracted", "any"]
PAGE = 100
MAX_PAGE = 500
MAX_NAMES = 20_000
_NAMES: dict[str, dict[str, str]] = {}
"""Names by the hash of the facts that hold them: the same whatever store they stand in."""
_ALARM_ID = re.compile(r"[0-9a-f]{32}")


class Filter(Strict):
    """Which alarms; as it stands in the address of the queue page and of `GET /v1/alarms`."""

    status: Status = "queue"
    """`queue`: what has not ended, and what ended before anybody acknowledged it (returned, unacknowledged)."""
    severity: Severity | None = None
    """This colour and worse."""
    facility: FacilityId | None = None
    """Its own alarms, and by `named` those of lots that name it."""
    named: Literal["any", "no", "only"] = "any"
    """Beside `facility`: alarms of other facilities that name it, `only` these, or `no` such."""
    rule: RuleId | None = None
    cause: Literal["silence"] | None = None
    """`silence`: alarms of the rules that watch for missing data."""
    attention: Literal["unacknowledged", "acknowledged"] | None = None
    stage: Literal["live", "shadow", "draft", "trial", "any"] = "live"
    """`trial`: every rule that is not live."""
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
    """What the queue does not show, by reason; always in view (alarms.md). UNSEEN has the filter that lists each."""

    suppressed: int
    blind: int
    trial: int
    """Open alarms of rules that are not live."""
    silent: int
    """Open silences of feeds, areas and sensors."""
    returned: int
    """Cleared under a wider alarm before anybody acknowledged them; those of their own stay in the queue."""


UNSEEN: dict[str, dict[str, str]] = {
    "suppressed": {"status": "open", "suppressed": "only"},
    "blind": {"status": "unknown", "suppressed": "any"},
    "trial": {"status": "open", "stage": "trial", "suppressed": "any"},
    "silent": {"status": "open", "cause": "silence", "suppressed": "any"},
    "returned": {"status": "cleared", "attention": "unacknowledged", "suppressed": "only"},
}


def unacknowledged() -> ColumnElement[bool]:
    """Return the condition that a row asks for attention (axes.attention says the same of one row)."""
    return and_(
        AlarmRow.stage == "live",
        AlarmRow.status != "retracted",
        AlarmRow.acknowledged_revision < AlarmRow.attention_revision,
    )


def queue(session: Session, wanted: Filter, rulebook: Rulebook) -> Page:
    """Return alarms, worst first; within a colour what nobody has seen first, then by the time left to respond.

    What ended unseen follows what still holds and is unseen; what was seen comes last.

    Raises:
        BadCursorError: the cursor is not ours.
    """
    conditions = _conditions(wanted, rulebook)
    total = count(session, wanted, rulebook)
    seen = _seen()
    due = _due(rulebook)
    rows = select(AlarmRow).where(*conditions)
    if wanted.after is not None:
        rank, unseen_, until, alarm = _cursor(wanted.after)
        rows = rows.where(
            or_(
                AlarmRow.severity_rank < rank,
                and_(AlarmRow.severity_rank == rank, seen > unseen_),
                and_(AlarmRow.severity_rank == rank, seen == unseen_, due > until),
                and_(AlarmRow.severity_rank == rank, seen == unseen_, due == until, AlarmRow.id > alarm),
            )
        )
    ordered = rows.order_by(AlarmRow.severity_rank.desc(), seen, due, AlarmRow.id)
    found = list(session.scalars(ordered.limit(wanted.limit + 1)))
    more = len(found) > wanted.limit
    found = found[: wanted.limit]
    return Page(found, _cursor_of(found[-1], rulebook) if more else None, total)


def count(session: Session, wanted: Filter, rulebook: Rulebook) -> int:
    """Return how many alarms match, wherever a page begins."""
    return session.scalar(select(func.count()).select_from(AlarmRow).where(*_conditions(wanted, rulebook))) or 0


def _seen() -> ColumnElement[int]:
    return case((and_(unacknowledged(), AlarmRow.status.in_(OPEN)), 0), (unacknowledged(), 1), else_=2)


def _due(rulebook: Rulebook) -> ColumnElement[int]:
    """Until when somebody must have acted; comparable within one colour only, so the colour's own time is left out."""
    shift = [
        (
            and_(
                AlarmRow.rule == each.rule,
                AlarmRow.severity == each.severity.value,
                *([] if each.packs is None else [AlarmRow.packs == each.packs]),
            ),
            each.ms,
        )
        for each in rulebook.shifts
    ]
    return AlarmRow.asked_ms + case(*shift, else_=0) if shift else AlarmRow.asked_ms + 0


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


def unseen(session: Session, rulebook: Rulebook) -> Unseen:
    """Count what the queue does not show: two statements, both by an index, however much has ever been cleared."""
    live = AlarmRow.stage == "live"

    def among(*conditions: ColumnElement[bool]) -> ColumnElement[int]:
        return func.coalesce(func.sum(case((and_(*conditions), 1), else_=0)), 0)

    is_open = select(
        among(live, AlarmRow.suppressed_by.is_not(None)),
        among(live, AlarmRow.status == "unknown"),
        among(~live),
        among(live, AlarmRow.rule.in_(rulebook.silences)),
    ).where(AlarmRow.status.in_(OPEN))
    suppressed, blind, trial, silent = session.execute(is_open).one()
    cleared = (
        select(func.count())
        .select_from(AlarmRow)
        .where(AlarmRow.status == "cleared", AlarmRow.suppressed_by.is_not(None), unacknowledged())
    )
    return Unseen(int(suppressed), int(blind), int(trial), int(silent), session.scalar(cleared) or 0)


def open_counts(session: Session) -> dict[tuple[str, bool], int]:
    """Return the number of open live alarms by (colour, acknowledged)."""
    asks = case((unacknowledged(), 0), else_=1)
    rows = (
        select(AlarmRow.severity, asks, func.count())
        .where(AlarmRow.status.in_(OPEN), AlarmRow.stage == "live", AlarmRow.suppressed_by.is_(None))
        .group_by(AlarmRow.severity, asks)
    )
    return {(severity, bool(seen)): count for severity, seen, count in session.execute(rows)}


def returned_counts(session: Session) -> dict[str, int]:
    """Return by colour how many alarms of the queue ended before anybody acknowledged them."""
    rows = (
        select(AlarmRow.severity, func.count())
        .where(AlarmRow.status == "cleared", AlarmRow.suppressed_by.is_(None), unacknowledged())
        .group_by(AlarmRow.severity)
    )
    return {severity: count for severity, count in session.execute(rows)}  # noqa: C416 - rows are no pairs to mypy


def names(session: Session, facilities: set[str]) -> dict[str, dict[str, str]]:
    """Return the registered names (zh, en) of facilities; one that is not registered is left out.

    A facility's facts may be megabytes: each version is read once, later its hash is enough.
    """
    last = select(FacilityVersion.facility, func.max(FacilityVersion.version).label("version"))
    each = last.where(FacilityVersion.facility.in_(facilities)).group_by(FacilityVersion.facility).subquery()
    newest = session.execute(
        select(FacilityVersion.facility, FacilityVersion.sha256).join(
            each, and_(FacilityVersion.facility == each.c.facility, FacilityVersion.version == each.c.version)
        )
    )
    hashes = {facility: sha256 for facility, sha256 in newest}  # noqa: C416 - rows are no pairs to mypy
    known = {sha256: name for sha256 in hashes.values() if (name := _NAMES.get(sha256)) is not None}
    unread = [facility for facility, sha256 in hashes.items() if sha256 not in known]
    rows = select(FacilityVersion.sha256, FacilityVersion.data).where(
        FacilityVersion.facility.in_(unread), FacilityVersion.sha256.in_([hashes[facility] for facility in unread])
    )
    for sha256, data in session.execute(rows) if unread else ():
        known[sha256] = _NAMES[sha256] = json.loads(data)["name"]
    while len(_NAMES) > MAX_NAMES:
        _NAMES.pop(next(iter(_NAMES)), None)
    return {facility: known[sha256] for facility, sha256 in hashes.items()}


def last_live(session: Session) -> int:
    """Return the number of the newest step of the live stream, 0 before the first."""
    return session.scalar(select(func.max(LiveRow.id))) or 0


def _conditions(wanted: Filter, rulebook: Rulebook) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if wanted.status == "queue":
        unseen_end = and_(AlarmRow.status == "cleared", AlarmRow.acknowledged_revision < AlarmRow.attention_revision)
        found.append(or_(AlarmRow.status.in_(OPEN), and_(unseen_end, AlarmRow.stage == "live")))
    elif wanted.status == "open":
        found.append(AlarmRow.status.in_(OPEN))
    elif wanted.status != "any":
        found.append(AlarmRow.status == wanted.status)
    if wanted.severity is not None:
        found.append(AlarmRow.severity_rank >= wanted.severity.rank)
    if wanted.facility is not None:
        found.append(_of_facility(wanted.facility, wanted.named))
    if wanted.rule is not None:
        found.append(AlarmRow.rule == wanted.rule)
    if wanted.cause is not None:
        found.append(AlarmRow.rule.in_(rulebook.silences))
    if wanted.attention is not None:
        asks = unacknowledged()
        found.append(asks if wanted.attention == "unacknowledged" else ~asks)
    if wanted.stage == "trial":
        found.append(AlarmRow.stage != "live")
    elif wanted.stage != "any":
        found.append(AlarmRow.stage == wanted.stage)
    if wanted.suppressed != "any":
        covered_by = AlarmRow.suppressed_by
        found.append(covered_by.is_(None) if wanted.suppressed == "no" else covered_by.is_not(None))
    return found


def _of_facility(facility: str, named: str) -> ColumnElement[bool]:
    """Return the condition that an alarm is a facility's own, or names it: each way by its index."""
    own, naming = AlarmRow.facility == facility, select(NamedRow.alarm).where(NamedRow.facility == facility)
    if named == "no":
        return own
    if named == "only":
        return AlarmRow.id.in_(naming)
    other = aliased(AlarmRow)
    return AlarmRow.id.in_(union_all(select(other.id).where(other.facility == facility), naming))


def _cursor_of(row: AlarmRow, rulebook: Rulebook) -> str:
    asks = attention(row) is Attention.UNACKNOWLEDGED
    due = row.asked_ms + rulebook.shift(row.rule, Severity(row.severity), row.packs)
    seen = 2 if not asks else 0 if row.status in OPEN else 1
    place: list[Any] = [row.severity_rank, seen, due, row.id]
    return base64.urlsafe_b64encode(json.dumps(place, separators=(",", ":")).encode()).decode().rstrip("=")


def _cursor(text: str) -> tuple[int, int, int, str]:
    try:
        rank, unseen_, due, alarm = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        if not (
            isinstance(alarm, str)
            and _ALARM_ID.fullmatch(alarm)
            and all(type(part) is int and abs(part) < 1 << 62 for part in (rank, unseen_, due))
        ):
            raise BadCursorError(text)
    except (ValueError, TypeError, binascii.Error, RecursionError) as error:
        raise BadCursorError(text) from error
    return rank, unseen_, due, alarm
