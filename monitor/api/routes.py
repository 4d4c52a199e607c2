"""The routes of `/v1`: session, alarms, acknowledgement, chart, operators' alarms."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response

from monitor.accounts import assignments
from monitor.alarms import operators, queries
from monitor.alarms.acknowledge import Acknowledged, NoSuchAlarmError, RevisionError, TooManyActsError, acknowledge
from monitor.alarms.acts import under_way, waiting
from monitor.alarms.chart import Chart, chart_of
from monitor.alarms.queries import BadCursorError, Filter
from monitor.api.models import (
    AcknowledgeAnswer,
    AcknowledgeBody,
    AlarmDetail,
    AlarmPage,
    AlarmView,
    OperatorView,
    SignedIn,
    SignInBody,
    action_view,
    alarm_view,
    change_view,
    operator_view,
    proposal_view,
    under_way_view,
)
from monitor.api.problems import PROBLEMS
from monitor.api.proofs import of_alarm
from monitor.deadlines import queries as deadlines
from monitor.deadlines.views import Counts, DeadlinePage, DeadlineView, members
from monitor.desk import signing
from monitor.desk.parts import COOKIE, Desk, Parts, RefusedError, Signed, check_acts, check_csrf, check_origin
from monitor.figures import queries as figures
from monitor.figures.views import FiguresAnswer  # noqa: TC001 - FastAPI reads it
from monitor.store.session import StoreDownError
from rules.changes import Evidence
from rules.errors import OffsiteError
from rules.instants import format_instant

if TYPE_CHECKING:
    from monitor.store.desk_tables import AlarmRow

log = logging.getLogger(__name__)
router = APIRouter(prefix="/v1", responses=PROBLEMS)
AlarmPath = Annotated[str, Path(pattern=r"^[0-9a-f]{32}$")]
Csrf = Annotated[str | None, Header(alias="X-CSRF-Token", max_length=200)]


def _view(desk: Desk, row: AlarmRow, names: dict[str, dict[str, str]]) -> AlarmView:
    return alarm_view(row, desk.rulebook, names.get(row.facility))


@router.post(
    "/session", summary="Sign in; answers with the cookie and the CSRF token", dependencies=[Depends(check_origin)]
)
def post_session(desk: Parts, request: Request, response: Response, body: SignInBody) -> SignedIn:
    """Sign in with a local account. A one-time password must be changed on the console before anything else."""
    token, person = signing.sign_in(desk, request, body.name, body.password)
    signing.set_cookie(response, desk, token)
    return SignedIn(
        name=person.name, display=person.display, role=person.role, language=person.language, csrf=person.csrf
    )


@router.get("/session", summary="Who is signed in")
def get_session(person: Signed) -> SignedIn:
    """Return the account of the session and its CSRF token."""
    return SignedIn(
        name=person.name, display=person.display, role=person.role, language=person.language, csrf=person.csrf
    )


@router.delete("/session", status_code=204, summary="Sign out", dependencies=[Depends(check_origin)])
def delete_session(desk: Parts, person: Signed, response: Response, csrf: Csrf = None) -> None:
    """End the session."""
    check_csrf(person, csrf)
    signing.sign_out(desk, person)
    response.delete_cookie(COOKIE, path="/")


@router.get("/alarms", summary="Alarms, worst first")
def get_alarms(desk: Parts, person: Signed, wanted: Annotated[Filter, Query()]) -> AlarmPage:
    """Return a page of alarms: by colour, then what nobody has seen, then by the time left to respond."""
    del person
    with desk.store.reading() as session:
        try:
            page = queries.queue(session, wanted, desk.rulebook)
        except BadCursorError as error:
            raise RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, "bad_cursor", "`after` comes from `next`") from error
        names = queries.names(session, {row.facility for row in page.rows})
    return AlarmPage(items=[_view(desk, row, names) for row in page.rows], next=page.next, total=page.total)


@router.get("/alarms/{alarm}", summary="One alarm with evidence and history")
def get_alarm(desk: Parts, person: Signed, alarm: AlarmPath) -> AlarmDetail:
    """Return an alarm with everything that explains it."""
    with desk.store.reading() as session:
        row = _row(queries.one(session, alarm))
    proofs = of_alarm(desk, person.role, row)
    with desk.store.reading() as session:
        row = _row(queries.one(session, alarm))
        names = queries.names(session, {row.facility})
        return AlarmDetail(
            alarm=_view(desk, row, names),
            evidence=Evidence.model_validate_json(row.evidence),
            history=[change_view(change) for change in queries.history(session, alarm)],
            actions=[action_view(action) for action in queries.actions(session, alarm)],
            proposal=None if (own := waiting(session, row)) is None else proposal_view(own),
            decision=None if (gone := under_way(session, row, desk.clock_ms())) is None else under_way_view(gone),
            proofs=proofs,
        )


@router.get("/alarms/{alarm}/chart", summary="The readings around an alarm")
def get_chart(desk: Parts, person: Signed, alarm: AlarmPath) -> Chart:
    """Return the readings around an alarm from the archive, with the limits used."""
    del person
    with desk.store.reading() as session:
        row = _row(queries.one(session, alarm))
    found = read_chart(desk, row)
    if found is None:
        raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "archive_down", retry_after_s=15)
    return found


@router.post(
    "/alarms/{alarm}/acknowledge",
    summary="Acknowledge the revision that was seen",
    dependencies=[Depends(check_origin)],
)
def post_acknowledge(
    desk: Parts, person: Signed, alarm: AlarmPath, body: AcknowledgeBody, csrf: Csrf = None
) -> AcknowledgeAnswer:
    """Acknowledge. Anything newer than the revision named stays unacknowledged; the answer says whether there is."""
    check_csrf(person, csrf)
    check_acts(person)
    done = acknowledged(desk, alarm, body.revision, person.name, body.note)
    with desk.store.reading() as session:
        row = _row(queries.one(session, alarm))
        names = queries.names(session, {row.facility})
    return AcknowledgeAnswer(revision=done.revision, newer=done.newer, alarm=_view(desk, row, names))


@router.get("/deadlines", summary="Legal clocks that run, by due instant")
def get_deadlines(desk: Parts, person: Signed, wanted: Annotated[deadlines.Filter, Query()]) -> DeadlinePage:
    """Return a page of what is due, soon due and late; what nobody knows the end of comes last."""
    del person
    now = desk.clock_ms()
    with desk.store.reading() as session:
        try:
            page = deadlines.page(session, wanted, now)
        except BadCursorError as error:
            raise RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, "bad_cursor", "`after` comes from `next`") from error
        counts = deadlines.counts(session, wanted, now)
        standing = deadlines.standing(session, wanted.facility)
        facilities = {row.facility for row in page.rows}
        names = queries.names(session, facilities)
        people = assignments.of_facilities(session, facilities)
    items = [
        DeadlineView.model_validate(
            members(row, now)
            | {
                "facility_name": names.get(row.facility),
                "inspectors": [name for name, _ in people.get(row.facility, ())],
            }
        )
        for row in page.rows
    ]
    return DeadlinePage(
        items=items, next=page.next, total=page.total, counts=Counts(**{state.value: n for state, n in counts.items()}),
        at=format_instant(now), as_of=None if standing.as_of_ms is None else format_instant(standing.as_of_ms),
        left_out=standing.left_out, aside=standing.aside, quarantined=standing.held, unread=standing.unread,
    )  # fmt: skip


@router.get("/figures", summary="Figures over all facilities: samples that pass, visits, risk grades")
def get_figures(desk: Parts, person: Signed, wanted: Annotated[figures.Filter, Query()]) -> FiguresAnswer:
    """Return the figures of the running periods and those before, each held against its target; what nobody knows is null."""
    del person
    with desk.store.reading() as session:
        return figures.answer(session, desk.shelf, wanted, desk.clock_ms())


@router.get("/operator-alarms", summary="What is wrong with the monitor itself")
def get_operator_alarms(desk: Parts, person: Signed) -> list[OperatorView]:
    """Return the open operators' alarms, newest first."""
    del person
    with desk.store.reading() as session:
        return [operator_view(row) for row in operators.open_alarms(session)]


def acknowledged(desk: Desk, alarm: str, revision: int, actor: str, note: str | None) -> Acknowledged:
    """Acknowledge in a transaction of its own and wake the live stream.

    Raises:
        RefusedError: 404 no such alarm, 409 a revision that is not there or behind which it asks anew, or more acts than one alarm keeps.
    """
    try:
        with desk.store.writing() as session:
            done = acknowledge(session, alarm, revision=revision, actor=actor, now_ms=desk.clock_ms(), note=note)
    except NoSuchAlarmError as error:
        raise RefusedError(HTTPStatus.NOT_FOUND, "no_such_alarm") from error
    except RevisionError as error:
        raise RefusedError(HTTPStatus.CONFLICT, "no_such_revision", str(error)) from error
    except TooManyActsError as error:
        raise RefusedError(HTTPStatus.CONFLICT, "too_many_acts") from error
    desk.hub.poke()
    return done


def read_chart(desk: Desk, row: AlarmRow) -> Chart | None:
    """Return the chart of an alarm, None if the archive cannot be read: an alarm is shown without it.

    Raises:
        StoreDownError: the store does not answer.
    """
    try:
        return chart_of(desk.store, desk.archive, row, desk.clock_ms(), desk.rulebook.rule(row.rule, row.packs))
    except StoreDownError:
        raise
    except (OffsiteError, OSError) as error:
        log.warning("chart of %s: %s", row.id, error)
        return None


def _row(row: AlarmRow | None) -> AlarmRow:
    if row is None:
        raise RefusedError(HTTPStatus.NOT_FOUND, "no_such_alarm")
    return row
