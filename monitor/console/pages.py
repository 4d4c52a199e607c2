"""The pages. Each form posts and redirects, so that reading and acting need no JavaScript."""

from __future__ import annotations

import json
import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Form, Path, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import ValidationError
from sqlalchemy import select

from monitor.accounts import users
from monitor.alarms import operators, queries
from monitor.alarms.chart import chart_of
from monitor.alarms.queries import BadCursorError, Filter
from monitor.api.routes import acknowledged
from monitor.console import views
from monitor.console.render import language_of, local_path, page
from monitor.console.texts import TEXTS, text
from monitor.desk import signing
from monitor.desk.parts import (
    COOKIE,
    Desk,
    Parts,
    RefusedError,
    Signed,
    Unsettled,
    check_acts,
    check_csrf,
    check_origin,
)
from monitor.store.session import StoreDownError
from monitor.store.tables import ContactRow
from rules.changes import Evidence
from rules.errors import OffsiteError

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from monitor.accounts.sessions import Person
    from monitor.alarms.chart import Chart
    from monitor.store.desk_tables import AlarmRow

log = logging.getLogger(__name__)
router = APIRouter(include_in_schema=False, dependencies=[Depends(check_origin)])
Text = Annotated[str, Form(max_length=1000)]
AlarmPath = Annotated[str, Path(pattern=r"^[0-9a-f]{32}$")]
LANGUAGE_COOKIE = "offsite_language"
YEAR_S = 365 * 86_400
CHART_WORDS = ("alarm.low", "alarm.high", "alarm.time", "alarm.value")


@router.get("/sign-in")
def sign_in_page(request: Request, desk: Parts, next: str = "/") -> Response:  # noqa: A002 - the name in the address
    """Show the form."""
    return page(request, desk, "sign_in.html", None, next=local_path(next), name="", fault=None)


@router.post("/sign-in")
def sign_in(
    request: Request, desk: Parts, name: Text = "", password: Text = "", next: Text = "/"  # noqa: A002 - form fields
) -> Response:  # fmt: skip
    """Sign in and go on to where the person wanted to go."""
    try:
        token, person = signing.sign_in(desk, request, name, password)
    except RefusedError as error:
        language = language_of(request, None)
        fault = text(f"refused.{error.code}", language)
        answer = page(
            request, desk, "sign_in.html", None, status=error.status, next=local_path(next), name=name[:32], fault=fault
        )
        if error.retry_after_s is not None:
            answer.headers["Retry-After"] = str(error.retry_after_s)
        return answer
    answer = _to("/password" if person.must_change else local_path(next))
    signing.set_cookie(answer, desk, token)
    return answer


@router.post("/sign-out")
def sign_out(desk: Parts, person: Unsettled, csrf: Text = "") -> Response:
    """End the session."""
    check_csrf(person, csrf)
    signing.sign_out(desk, person)
    answer = _to("/sign-in")
    answer.delete_cookie(COOKIE, path="/")
    return answer


@router.post("/language")
def set_language(desk: Parts, language: Text = "zh", next: Text = "/") -> Response:  # noqa: A002 - the name of the field
    """Choose the language of the pages, kept in a cookie of its own."""
    answer = _to(local_path(next))
    chosen = language if language in users.LANGUAGES else "zh"
    answer.set_cookie(
        LANGUAGE_COOKIE, chosen, max_age=YEAR_S, httponly=True, samesite="strict", secure=desk.settings.https
    )
    return answer


@router.get("/password")
def password_page(request: Request, desk: Parts, person: Unsettled) -> Response:
    """Show the form for a new password."""
    return page(request, desk, "password.html", person, faults=[])


@router.post("/password")
def set_password(
    request: Request,
    desk: Parts,
    person: Unsettled,
    old: Text = "",
    new: Text = "",
    csrf: Text = "",
) -> Response:
    """Set one's own password; every other session of the account ends."""
    check_csrf(person, csrf)
    keys = (f"password:{person.name}",)
    now = desk.clock_ms()
    wait = desk.brake.wait_ms(keys, now)
    if wait > 0:
        raise RefusedError(HTTPStatus.TOO_MANY_REQUESTS, "too_many_tries", retry_after_s=-(-wait // 1000))
    with desk.store.writing() as session:
        faults = users.change_password(session, person.name, old, new)
        if not faults:
            users.end_sessions(session, person.name, but=person.token_sha256)
    if "wrong" in faults:
        desk.brake.failed(keys, now)
    if not faults:
        return _to("/")
    words = [text(f"fault.{fault}", language_of(request, person)) for fault in faults]
    return page(request, desk, "password.html", person, status=HTTPStatus.UNPROCESSABLE_ENTITY, faults=words)


@router.get("/")
def queue_page(request: Request, desk: Parts, person: Signed) -> Response:
    """Show the queue."""
    return page(request, desk, "queue.html", person, page="queue", **_queue(request, desk, person))


@router.get("/queue/rows")
def queue_rows(request: Request, desk: Parts, person: Signed) -> Response:
    """Give the rows alone, for the live update."""
    return page(request, desk, "_rows.html", person, **_queue(request, desk, person))


@router.get("/alarms/{alarm}")
def alarm_page(request: Request, desk: Parts, person: Signed, alarm: AlarmPath) -> Response:
    """Show one alarm with everything that explains it."""
    row, context = _alarm(request, desk, person, alarm)
    chart: Chart | None = None
    try:
        chart = chart_of(desk.store, desk.archive, row, desk.clock_ms())
    except (OffsiteError, OSError) as error:
        if isinstance(error, StoreDownError):
            raise
        log.warning("chart of %s: %s", alarm, error)
    language = language_of(request, person)
    words = {key.partition(".")[2]: text(key, language) for key in CHART_WORDS}
    return page(
        request, desk, "alarm.html", person, chart=chart, words=json.dumps(words, ensure_ascii=False),
        rule=desk.rulebook.rule(row.rule), table_rows=views.table_rows, beyond=views.beyond, **context,
    )  # fmt: skip


@router.get("/alarms/{alarm}/part")
def alarm_part(request: Request, desk: Parts, person: Signed, alarm: AlarmPath) -> Response:
    """Give what changes of an alarm alone, for the live update."""
    return page(request, desk, "_alarm.html", person, **_alarm(request, desk, person, alarm)[1])


@router.post("/alarms/{alarm}/acknowledge")
def acknowledge_alarm(
    desk: Parts, person: Signed, alarm: AlarmPath, csrf: Text = "", revision: Text = "", note: Text = "", next: Text = "/"  # noqa: A002 - form fields
) -> Response:  # fmt: skip
    """Acknowledge the revision that the page showed, and go back to it."""
    check_csrf(person, csrf)
    check_acts(person)
    if not revision.isascii() or not revision.isdigit() or len(revision) > 15:  # noqa: PLR2004 - below 2^53
        raise RefusedError(HTTPStatus.CONFLICT, "no_such_revision")
    printable = "".join(c for c in note if c.isprintable()).strip()
    acknowledged(desk, alarm, int(revision), person.name, printable or None)
    return _to(local_path(next))


@router.get("/operators")
def operators_page(request: Request, desk: Parts, person: Signed) -> Response:
    """Show what is wrong with the monitor itself."""
    with desk.store.reading() as session:
        alarms = operators.open_alarms(session)
        live = queries.last_live(session)
    return page(request, desk, "operators.html", person, page="operators", alarms=alarms, live=live)


def _queue(request: Request, desk: Desk, person: Person) -> dict[str, Any]:
    given = {key: value for key, value in request.query_params.items() if value != ""}
    try:
        wanted = Filter.model_validate(given)
    except ValidationError as error:
        raise RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, "bad_filter") from error
    language, now = language_of(request, person), desk.clock_ms()
    with desk.store.reading() as session:
        live = queries.last_live(session)  # before the rows: what comes in between is sent again, never left out
        try:
            found = queries.queue(session, wanted)
        except BadCursorError as error:
            raise RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, "bad_filter") from error
        names = queries.names(session, {row.facility for row in found.rows})
        covers = queries.covered(session, [row.id for row in found.rows])
        untold = _untold(session)
    rows = [views.alarm(row, desk.rulebook, names, language, now, covers.get(row.id, 0)) for row in found.rows]
    query = urlencode(given)
    return {
        "wanted": wanted,
        "filtered": bool(given),
        "page_rows": found,
        "rows": rows,
        "untold": untold,
        "live": live,
        "now": now,
        "acts": person.role.acts,
        "here": f"/?{query}" if query else "/",
        "rows_url": f"/queue/rows?{query}" if query else "/queue/rows",
        "next_url": None if found.next is None else "/?" + urlencode(given | {"after": found.next}),
    }


def _untold(session: Session) -> dict[str, int]:
    counts = queries.unseen(session)
    return {
        "suppressed": counts.suppressed,
        "blind": counts.blind,
        "shadow": counts.shadow,
        "silent": counts.silent,
        "returned": counts.returned,
        "operators": len(operators.open_alarms(session)),
    }


def _alarm(request: Request, desk: Desk, person: Person, alarm: str) -> tuple[AlarmRow, dict[str, Any]]:
    language, now = language_of(request, person), desk.clock_ms()
    with desk.store.reading() as session:
        live = queries.last_live(session)
        row = queries.one(session, alarm)
        if row is None:
            raise RefusedError(HTTPStatus.NOT_FOUND, "no_such_alarm")
        names = queries.names(session, {row.facility})
        others = queries.covered_rows(session, alarm)
        history = queries.history(session, alarm)
        done = queries.actions(session, alarm)
        contacts = list(
            session.scalars(select(ContactRow).where(ContactRow.facility == row.facility).order_by(ContactRow.position))
        )
    return row, {
        "row": views.alarm(row, desk.rulebook, names, language, now),
        "evidence": Evidence.model_validate_json(row.evidence),
        "history": [views.change(change, language) for change in history],
        "actions": [a for a in done if f"action.{a.action}" in TEXTS],
        "covered": [views.alarm(other, desk.rulebook, names, language, now) for other in others],
        "contacts": contacts,
        "acts": person.role.acts,
        "live": live,
        "here": f"/alarms/{alarm}",
    }


def _to(path: str) -> Response:
    return RedirectResponse(path, HTTPStatus.SEE_OTHER)
