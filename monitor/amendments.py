"""What firms corrected of their readings (reports of type `amendment`): noted by the archiver, shown on the page of an alarm.

An amendment changes no value that was folded (ADR 0093), so an alarm stands as it was raised; who answers for it has to see that the firm
says otherwise. Noted are, by report, revision and tag, the span of event times and what stood and holds in it: every revision stays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pydantic import ValidationError
from sqlalchemy import delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from monitor.store.desk_tables import Counter
from monitor.store.tables import AmendedSpan
from rules.models import Strict
from rules.records import Report
from rules.reports.quality import Amendment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

    from rules.records import LogRecord, Payload
    from rules.reports.quality import ChangedReading

REPORT: Final = "amendment"
UNNOTED: Final = "amendments-unnoted"
"""The counter that stands where an older release has archived amendments that nobody looked at."""
SHOWN: Final = 50
_AT_ONCE: Final = 500
"""Rows of one statement: SQLite takes 32,766 values in it."""


class Correction(Strict):
    """Readings of one tag that one revision of an amendment names; times in ms."""

    report: str
    revision: int
    tag: str
    first_ms: int
    last_ms: int
    """Event times of the first and the last of them."""
    readings: int
    old_low: float | None
    """Of the values that were sent; null: none of them had one."""
    old_high: float | None
    new_low: float | None
    """Of the values that hold, as the firm says; null: it says that none of them holds."""
    new_high: float | None
    author: str
    received_ms: int
    """Log time of the report."""


def amendment_of(payload: Payload) -> Amendment | None:
    """Return what an amendment says; None for everything else, and for fields that are not of that type."""
    if not (isinstance(payload, Report) and payload.type == REPORT):
        return None
    try:
        return Amendment.model_validate(payload.fields)
    except ValidationError:
        return None


def note(session: Session, record: LogRecord) -> None:
    """Note what an amendment corrects. Of a revision that comes again with other content the first stays, as in the fold."""
    model, payload = amendment_of(record.payload), record.payload
    if model is None or not isinstance(payload, Report):
        return
    known = select(AmendedSpan.tag).where(
        AmendedSpan.facility == record.facility,
        AmendedSpan.report == payload.id,
        AmendedSpan.revision == payload.revision,
    )
    if session.scalars(known.limit(1)).first() is not None:
        return  # also where the other content names other tags
    rows = [
        {
            "facility": record.facility, "report": payload.id, "revision": payload.revision, "tag": tag,
            "author": model.author, "received_ms": record.received, **_span(found),
        }
        for tag, found in _by_tag(model).items()
    ]  # fmt: skip
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    for begin in range(0, len(rows), _AT_ONCE):
        session.execute(insert(AmendedSpan).values(rows[begin : begin + _AT_ONCE]).on_conflict_do_nothing())


def corrections(
    session: Session, facility: str, tags: Sequence[str], begin: int, end: int | None
) -> tuple[list[Correction], int]:
    """Return what a facility corrected of some tags with event times in [begin, end], newest first, and how many more there are.

    Args:
        session: of the store.
        facility: whose.
        tags: of sensors; without any there is nothing.
        begin: event time, ms.
        end: event time, ms; None: without an end.
    """
    if not tags:
        return [], 0
    chosen = select(AmendedSpan).where(
        AmendedSpan.facility == facility, AmendedSpan.tag.in_(tags), AmendedSpan.last_ms >= begin
    )
    if end is not None:
        chosen = chosen.where(AmendedSpan.first_ms <= end)
    order = (AmendedSpan.received_ms.desc(), AmendedSpan.report, AmendedSpan.revision.desc(), AmendedSpan.tag)
    names = list(Correction.model_fields)
    rows = session.scalars(chosen.order_by(*order).limit(SHOWN))  # a firm may file any number
    shown = [Correction.model_validate({name: getattr(row, name) for name in names}) for row in rows]
    if len(shown) < SHOWN:
        return shown, 0
    return shown, (session.scalar(select(func.count()).select_from(chosen.subquery())) or 0) - len(shown)


def all_noted(session: Session) -> bool:
    """Say whether every archived amendment was looked at: not where an older release archived some and nobody has rebuilt the store."""
    return session.get(Counter, UNNOTED) is None


def mark_noted(session: Session) -> None:
    """Say that every archived amendment was looked at."""
    session.execute(delete(Counter).where(Counter.name == UNNOTED))


def _by_tag(model: Amendment) -> dict[str, list[ChangedReading]]:
    found: dict[str, list[ChangedReading]] = {}
    for reading in model.readings:
        found.setdefault(reading.tag, []).append(reading)
    return found


def _span(found: Sequence[ChangedReading]) -> dict[str, float | None]:
    old = [one.old for one in found if one.old is not None]
    new = [one.new for one in found if one.new is not None]
    return {
        "first_ms": min(one.time for one in found), "last_ms": max(one.time for one in found), "readings": len(found),
        "old_low": min(old, default=None), "old_high": max(old, default=None),
        "new_low": min(new, default=None), "new_high": max(new, default=None),
    }  # fmt: skip
