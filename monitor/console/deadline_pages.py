"""The page of what is due. It only reads: a clock ends when its report comes."""

from __future__ import annotations

from datetime import date
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Request, Response

from monitor.accounts import assignments
from monitor.alarms import queries
from monitor.alarms.queries import BadCursorError
from monitor.console.pages import frame
from monitor.console.render import language_of, page
from monitor.console.texts import text
from monitor.deadlines import queries as deadlines
from monitor.deadlines.keeping import row_id
from monitor.deadlines.queries import Filter
from monitor.deadlines.views import report_title
from monitor.desk.parts import Desk, Parts, RefusedError, Signed, check_origin
from rules.calendar import end_of_day
from rules.clocks.listing import DueState

if TYPE_CHECKING:
    from monitor.accounts.sessions import Person
    from rules.clocks.listing import Running

router = APIRouter(include_in_schema=False, dependencies=[Depends(check_origin)])
OLD_MS = 3 * 60_000
"""A snapshot is written once a minute: a list that is older than this is said to be."""
DAY = len("2026-01-01")


@router.get("/deadlines")
def deadlines_page(request: Request, desk: Parts, person: Signed) -> Response:
    """Show what is due, soon due and late."""
    return page(request, "deadlines.html", person, page="deadlines", **_deadlines(request, desk, person))


@router.get("/deadlines/rows")
def deadlines_rows(request: Request, desk: Parts, person: Signed) -> Response:
    """Give the list alone, for the live update."""
    return page(request, "_deadlines.html", person, **_deadlines(request, desk, person))


def _deadlines(request: Request, desk: Desk, person: Person) -> dict[str, Any]:
    given = {key: value for key, value in request.query_params.items() if value != ""}
    language, now = language_of(request, person), desk.clock_ms()
    wanted = _filter(given)
    with desk.store.reading() as session:
        shared = frame(session, desk)
        try:
            found = deadlines.page(session, wanted, now)
        except BadCursorError as error:
            raise RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, "bad_filter") from error
        counts = deadlines.counts(session, wanted, now)
        standing = deadlines.standing(session, wanted.facility)
        names = queries.names(session, {row.facility for row in found.rows})
        people = assignments.of_facilities(session, {row.facility for row in found.rows})
        everybody = assignments.everybody(session)
        alarms = deadlines.known_alarms(session, [row.alarm for row in found.rows if row.alarm is not None])
    first = {key: value for key, value in given.items() if key != "after"}
    notes = {"left_out": standing.left_out, "aside": standing.aside, "held": standing.held, "unread": standing.unread}
    return shared | {
        "wanted": wanted,
        "until": given.get("until", "")[:DAY],
        "filtered": bool(first),
        "people": everybody,
        "tally": [
            {"state": state.value, "count": counts[state], "url": _url(first | {"state": state.value})}
            for state in DueState
        ],
        "rows": [
            _row(row, now, language)
            | {
                "facility_name": names.get(row.facility, {}).get(language, row.facility),
                "people": people.get(row.facility, []),
                "alarm": row.alarm if row.alarm in alarms else None,
            }
            for row in found.rows
        ],
        "total": found.total,
        "as_of": standing.as_of_ms,
        "outdated": standing.as_of_ms is not None and now - standing.as_of_ms > OLD_MS,
        "notes": [text(f"deadlines.{name}", language, n=n) for name, n in notes.items() if n],
        "now": now,
        "rows_url": _url(given, "/deadlines/rows"),
        "first_url": _url(first) if wanted.after is not None else None,
        "next_url": None if found.next is None else _url(given | {"after": found.next}),
    }


def _filter(given: dict[str, str]) -> Filter:
    """Return the filter of an address; `until` may be a day, which means all of it, or an instant, as the API takes it."""
    until = given.get("until", "")
    try:
        day = {"until": end_of_day(date.fromisoformat(until))} if len(until) == DAY else {}
        return Filter.model_validate(given | day)
    except ValueError as error:  # pydantic's is one too
        raise RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, "bad_filter") from error


def _url(query: dict[str, str], path: str = "/deadlines") -> str:
    return f"{path}?{urlencode(query)}" if query else path


def _row(row: Running, now_ms: int, language: str) -> dict[str, Any]:
    held = row.at(now_ms)
    return {
        "id": row_id(row),
        "state": held.state.value,
        "severity": None if held.severity is None else held.severity.value,
        "left": getattr(held.words, language),
        "rule": row.rule,
        "title": getattr(row.title, language),
        "report": getattr(report_title(row), language),
        "time": row.time,
        "start": row.start,
        "due": row.due,
        "planned": row.planned,
        "verify": row.verify,
        "stage": row.stage,
        "documents": row.documents,
        "facility": row.facility,
        "subject": row.subject,
    }
