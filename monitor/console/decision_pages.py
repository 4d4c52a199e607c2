"""The forms of decisions, and the page of what waits for a second officer. Each form posts and redirects."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Path, Request, Response

from monitor.alarms import acts, queries
from monitor.alarms.decide import DECIDED, MAX_REASON
from monitor.alarms.second import FINDING
from monitor.api.decisions import answered, decided, proposed
from monitor.console import views
from monitor.console.entry import to
from monitor.console.pages import frame, revision_of
from monitor.console.render import language_of, page
from monitor.desk.parts import Parts, RefusedError, Signed, check_acts, check_csrf, check_origin
from monitor.words import one_line

router = APIRouter(include_in_schema=False, dependencies=[Depends(check_origin)])
Text = Annotated[str, Form(max_length=2000)]
AlarmPath = Annotated[str, Path(pattern=r"^[0-9a-f]{32}$")]
ANSWERS = ("confirm", "refuse")


@router.post("/alarms/{alarm}/decision")
def decide_alarm(
    desk: Parts, person: Signed, alarm: AlarmPath, csrf: Text = "", revision: Text = "", code: Text = "", reason: Text = ""
) -> Response:  # fmt: skip
    """Close a latched alarm as the page showed it, or propose to a second officer what takes two, and go back to it."""
    check_csrf(person, csrf)
    check_acts(person)
    words = one_line(reason, MAX_REASON)
    chosen = next((one for one in DECIDED if one == code), None)
    if not words or (chosen is None and code != FINDING):
        raise RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, "no_reason")
    if chosen is None:
        proposed(desk, alarm, revision_of(revision), person.name, words)
    else:
        decided(desk, alarm, chosen, revision_of(revision), person.name, words)
    return to(f"/alarms/{alarm}")


@router.post("/alarms/{alarm}/proposals/{proposal}/answer")
def answer_proposal(
    desk: Parts, person: Signed, alarm: AlarmPath, proposal: Annotated[int, Path(ge=1, le=2**53)],
    csrf: Text = "", revision: Text = "", answer: Text = "", reason: Text = "",
) -> Response:  # fmt: skip
    """Confirm or refuse what another officer proposed, or take back one's own, and go back to the alarm."""
    check_csrf(person, csrf)
    check_acts(person)
    words = one_line(reason, MAX_REASON)
    if answer not in ANSWERS or not words:
        raise RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, "no_answer")
    answered(desk, alarm, proposal, revision_of(revision), person.name, words, confirms=answer == "confirm")
    return to(f"/alarms/{alarm}")


@router.get("/proposals")
def proposals_page(request: Request, desk: Parts, person: Signed) -> Response:
    """Show what waits for a second officer, oldest first."""
    language, now = language_of(request, person), desk.clock_ms()
    with desk.store.reading() as session:
        shared = frame(session, desk)
        found = acts.every_waiting(session)
        names = queries.names(session, {one.alarm.facility for one in found})
        rows = [(one.act, views.alarm(one.alarm, desk.rulebook, names, language, now)) for one in found]
    return page(
        request, "proposals.html", person, page="proposals", found=rows, left_out=max(0, shared["waits"] - len(rows)), **shared
    )  # fmt: skip
