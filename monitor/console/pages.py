"""The pages about alarms. Each form posts and redirects, so that reading and acting need no JavaScript."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Form, Path, Request, Response
from pydantic import ValidationError
from sqlalchemy import select

from monitor.alarms import acts, operators, queries
from monitor.alarms.acknowledge import MAX_NOTE
from monitor.alarms.decide import DECIDED
from monitor.alarms.queries import BadCursorError, Filter
from monitor.alarms.second import FINDING
from monitor.api.decisions import can_decide
from monitor.api.proofs import of_alarm
from monitor.api.routes import acknowledged, read_chart
from monitor.console import drawing, views
from monitor.console.entry import to
from monitor.console.render import language_of, local_path, page
from monitor.console.texts import TEXTS, text
from monitor.desk.face import face_of
from monitor.desk.parts import Desk, Parts, RefusedError, Signed, check_acts, check_csrf, check_origin
from monitor.store.tables import ContactRow
from monitor.words import one_line
from rules.changes import Evidence

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

    from monitor.accounts.sessions import Person
    from monitor.alarms.chart import Chart
    from monitor.store.desk_tables import AlarmRow

router = APIRouter(include_in_schema=False, dependencies=[Depends(check_origin)])
Text = Annotated[str, Form(max_length=2000)]
AlarmPath = Annotated[str, Path(pattern=r"^[0-9a-f]{32}$")]
NAMED = 40
"""Other facilities that the page of an alarm names; the rest is counted."""
CHART_WORDS = ("alarm.low", "alarm.high", "alarm.time", "alarm.value")


@router.get("/")
def queue_page(request: Request, desk: Parts, person: Signed) -> Response:
    """Show the queue."""
    return page(request, "queue.html", person, page="queue", **_queue(request, desk, person))


@router.get("/queue/rows")
def queue_rows(request: Request, desk: Parts, person: Signed) -> Response:
    """Give the rows alone, for the live update."""
    return page(request, "_rows.html", person, **_queue(request, desk, person))


@router.get("/untold")
def untold_strip(request: Request, desk: Parts, person: Signed) -> Response:
    """Give the counts of what the queue does not show, for the live update."""
    with desk.store.reading() as session:
        return page(request, "_untold.html", person, **frame(session, desk))


@router.get("/alarms/{alarm}")
def alarm_page(request: Request, desk: Parts, person: Signed, alarm: AlarmPath) -> Response:
    """Show one alarm with everything that explains it."""
    row, context = _alarm(request, desk, person, alarm)
    chart = read_chart(desk, row)
    told = _told(request, desk, person, row, context, lambda: chart)
    language = language_of(request, person)
    words = {key.partition(".")[2]: text(key, language) for key in CHART_WORDS}
    return page(
        request, "alarm.html", person, chart=chart, words=json.dumps(words, ensure_ascii=False),
        rule=desk.rulebook.rule(row.rule, row.packs), proofs=of_alarm(desk, person.role, row), table_rows=views.table_rows, beyond=views.beyond, **context | told,
    )  # fmt: skip


@router.get("/alarms/{alarm}/head")
def alarm_head(request: Request, desk: Parts, person: Signed, alarm: AlarmPath) -> Response:
    """Give the head of an alarm's page alone, for the live update."""
    return page(request, "_head.html", person, **_alarm(request, desk, person, alarm)[1])


@router.get("/alarms/{alarm}/why")
def alarm_why(request: Request, desk: Parts, person: Signed, alarm: AlarmPath) -> Response:
    """Give evidence and history of an alarm alone, for the live update."""
    row, context = _alarm(request, desk, person, alarm)
    told = _told(request, desk, person, row, context, lambda: read_chart(desk, row))
    return page(request, "_why.html", person, **context | told)


@router.post("/alarms/{alarm}/acknowledge")
def acknowledge_alarm(
    desk: Parts, person: Signed, alarm: AlarmPath, csrf: Text = "", revision: Text = "", note: Text = "", next: Text = "/"  # noqa: A002 - form fields
) -> Response:  # fmt: skip
    """Acknowledge the revision that the page showed, and go back to it."""
    check_csrf(person, csrf)
    check_acts(person)
    acknowledged(desk, alarm, revision_of(revision), person.name, one_line(note, MAX_NOTE) or None)
    return to(local_path(next))


@router.get("/operators")
def operators_page(request: Request, desk: Parts, person: Signed) -> Response:
    """Show what is wrong with the monitor itself."""
    return page(request, "operators.html", person, page="operators", **_operators(request, desk, person))


@router.get("/operators/rows")
def operators_rows(request: Request, desk: Parts, person: Signed) -> Response:
    """Give the list alone, for the live update."""
    return page(request, "_operators.html", person, **_operators(request, desk, person))


def revision_of(given: str) -> int:
    """Return the revision that a form names.

    Raises:
        RefusedError: 409, it is none.
    """
    if not given.isascii() or not given.isdigit() or len(given) > 15:  # noqa: PLR2004 - below 2^53
        raise RefusedError(HTTPStatus.CONFLICT, "no_such_revision")
    return int(given)


def frame(session: Session, desk: Desk) -> dict[str, Any]:
    """Return what every page shows. The newest step is read before the rows: what comes in between is sent again, never left out."""
    live = queries.last_live(session)
    counts = queries.unseen(session, desk.rulebook)
    face = face_of(desk, session)
    counted = {name: getattr(counts, name) for name in queries.UNSEEN} | {"operators": face.operators}
    listed = {name: "/?" + urlencode(wanted) for name, wanted in queries.UNSEEN.items()} | {"operators": "/operators"}
    old = None if desk.watch is None else desk.watch.standing()
    fresh = None if desk.watch is None else desk.watch.fresh_ms
    return {
        "live": live,
        "untold": [(name, counted[name], listed[name]) for name in counted],
        "old": old,
        "fresh": fresh,
        "mark": face.mark,
        "waits": acts.count_waiting(session),
    }


def _operators(request: Request, desk: Desk, person: Person) -> dict[str, Any]:
    language = language_of(request, person)
    with desk.store.reading() as session:
        shared = frame(session, desk)
        alarms = operators.open_alarms(session)
    counts, last = desk.rejections.view()
    shown = {"alarms": [views.fault(row, language) for row in alarms], "rejected_counts": counts, "rejected": last}
    return shared | shown | {"now": desk.clock_ms()}


def _queue(request: Request, desk: Desk, person: Person) -> dict[str, Any]:
    given = {key: value for key, value in request.query_params.items() if value != ""}
    try:
        wanted = Filter.model_validate(given)
    except ValidationError as error:
        raise RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, "bad_filter") from error
    language, now = language_of(request, person), desk.clock_ms()
    with desk.store.reading() as session:
        shared = frame(session, desk)
        try:
            found = queries.queue(session, wanted, desk.rulebook)
        except BadCursorError as error:
            raise RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, "bad_filter") from error
        everything = wanted.model_copy(update={"status": "any", "suppressed": "any", "after": None})
        others = 0 if found.total else queries.count(session, everything, desk.rulebook)
        names = queries.names(session, {row.facility for row in found.rows})
        covers = queries.covered(session, [row.id for row in found.rows])
        proposed = acts.waiting_on(session, [row.id for row in found.rows])
        counts, returned = queries.open_counts(session), queries.returned_counts(session)
    sparks = desk.sparks.of(found.rows)
    rows = [
        views.alarm(row, desk.rulebook, names, language, now, covers.get(row.id, 0))
        | {"spark": drawing.picture(row, sparks.get(row.id), language), "proposed": row.id in proposed}
        for row in found.rows
    ]
    query = urlencode(given)
    wider = given | {"status": "any", "suppressed": "any"}
    first = {key: value for key, value in given.items() if key != "after"}
    return shared | {
        "wanted": wanted,
        "filtered": bool(first),
        "page_rows": found,
        "rows": rows,
        "tally": views.tally(counts, returned),
        "now": now,
        "acts": person.role.acts,
        "here": f"/?{query}" if query else "/",
        "rows_url": f"/queue/rows?{query}" if query else "/queue/rows",
        "first_url": "/?" + urlencode(first) if wanted.after is not None else None,
        "others": others,
        "others_url": "/?" + urlencode({key: value for key, value in wider.items() if key != "after"})
        if others
        else None,
        "next_url": None if found.next is None else "/?" + urlencode(given | {"after": found.next}),
    }


def _alarm(request: Request, desk: Desk, person: Person, alarm: str) -> tuple[AlarmRow, dict[str, Any]]:
    language, now = language_of(request, person), desk.clock_ms()
    with desk.store.reading() as session:
        shared = frame(session, desk)
        row = queries.one(session, alarm)
        if row is None:
            raise RefusedError(HTTPStatus.NOT_FOUND, "no_such_alarm")
        evidence = Evidence.model_validate_json(row.evidence)
        beside = [one for one in evidence.facilities or () if one != row.facility]
        names = queries.names(session, {row.facility, *beside[:NAMED]})
        covers = queries.covered(session, [alarm]).get(alarm, 0)
        others = queries.covered_rows(session, alarm)
        history = queries.history(session, alarm)
        done = queries.actions(session, alarm)
        proposal, decision = acts.waiting(session, row), acts.under_way(session, row, now)
        contacts = list(
            session.scalars(select(ContactRow).where(ContactRow.facility == row.facility).order_by(ContactRow.position))
        )
    decides = person.role.acts and can_decide(desk, row)
    return row, shared | {
        "row": views.alarm(row, desk.rulebook, names, language, now, covers),
        "evidence": evidence,
        "named": [{"id": one, "name": names.get(one, {}).get(language, one)} for one in beside[:NAMED]],
        "named_left_out": max(0, len(beside) - NAMED) + evidence.left_out.pop("facilities", 0),
        "changes": history,
        "history": [views.change(change, language) for change in history],
        "history_left_out": row.changes - len(history),
        "actions": [a for a in done if f"action.{a.action}" in TEXTS],
        "covered": [views.alarm(other, desk.rulebook, names, language, now) for other in others],
        "contacts": contacts,
        "acts": person.role.acts,
        "codes": (*DECIDED, FINDING) if decides and proposal is None and decision is None else (),
        "proposal": proposal,
        "decision": decision,
        "finding": None if decision is None else decision.action.removeprefix(acts.DECIDE),
        "answers": decides and proposal is not None,
        "here": f"/alarms/{alarm}",
    }


def _told(
    request: Request,
    desk: Desk,
    person: Person,
    row: AlarmRow,
    context: dict[str, Any],
    chart: Callable[[], Chart | None],
) -> dict[str, Any]:
    """What the evidence says, with the times that only history and archive know."""
    evidence, language = context["evidence"], language_of(request, person)
    moments = desk.moments.of(row, evidence, context["changes"], chart)
    until = desk.clock_ms() if row.end_ms is None else row.end_ms
    silent = None if moments.heard_ms is None else max(0, until - moments.heard_ms)
    return {
        "leaves": [views.leaf(leaf, language, silent) for leaf in evidence.leaves],
        "peak": views.peak(evidence, moments.peak_ms),
    }
