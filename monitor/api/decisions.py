"""The routes of officers' decisions: by one, and by two where data were falsified (ADR 0075, 0087)."""

from __future__ import annotations

import json
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Depends, Header, Path

from monitor.alarms import acts, queries, second
from monitor.alarms.acknowledge import NoSuchAlarmError, RevisionError, TooManyActsError
from monitor.alarms.decide import (
    AsksAnewError,
    Code,
    NotLatchedError,
    ProposalWaitsError,
    UnderWayError,
    decide,
)
from monitor.api.models import (
    AlarmView,
    DecisionAnswer,
    DecisionBody,
    ProposalAnswerBody,
    ProposalAnswered,
    ProposalBody,
    ProposalMade,
    WaitingList,
    WaitingView,
    alarm_view,
    proposal_view,
)
from monitor.api.problems import PROBLEMS
from monitor.desk.parts import Desk, Parts, RefusedError, Signed, check_acts, check_csrf, check_origin
from monitor.store.desk_tables import ActionRow
from monitor.store.restored import NotRebuiltError
from rules.rule import is_latched

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.orm import Session

    from monitor.store.desk_tables import AlarmRow

router = APIRouter(prefix="/v1", responses=PROBLEMS)
AlarmPath = Annotated[str, Path(pattern=r"^[0-9a-f]{32}$")]
Csrf = Annotated[str | None, Header(alias="X-CSRF-Token", max_length=200)]
Number = Annotated[int, Path(ge=1, le=2**53)]
REFUSED: dict[type[Exception], tuple[HTTPStatus, str]] = {
    NoSuchAlarmError: (HTTPStatus.NOT_FOUND, "no_such_alarm"),
    RevisionError: (HTTPStatus.CONFLICT, "no_such_revision"),
    AsksAnewError: (HTTPStatus.CONFLICT, "asks_anew"),
    NotLatchedError: (HTTPStatus.CONFLICT, "not_latched"),
    UnderWayError: (HTTPStatus.CONFLICT, "decision_under_way"),
    ProposalWaitsError: (HTTPStatus.CONFLICT, "proposal_waits"),
    TooManyActsError: (HTTPStatus.CONFLICT, "too_many_acts"),
    second.NoSuchProposalError: (HTTPStatus.CONFLICT, "no_such_proposal"),
    second.SameOfficerError: (HTTPStatus.FORBIDDEN, "same_officer"),
    second.RefusedBeforeError: (HTTPStatus.CONFLICT, "refused_before"),
    NotRebuiltError: (HTTPStatus.SERVICE_UNAVAILABLE, "not_rebuilt"),
}
"""What a decision may meet, and what is answered."""


@router.post(
    "/alarms/{alarm}/decision",
    summary="Close a latched alarm by an officer's decision",
    dependencies=[Depends(check_origin)],
)
def post_decision(
    desk: Parts, person: Signed, alarm: AlarmPath, body: DecisionBody, csrf: Csrf = None
) -> DecisionAnswer:
    """Close. The decision goes to the log; the alarm ends once the worker has folded it."""
    check_csrf(person, csrf)
    check_acts(person)
    name = decided(desk, alarm, body.code, body.revision, person.name, body.reason)
    return DecisionAnswer(decision=name, alarm=_seen(desk, alarm))


@router.post(
    "/alarms/{alarm}/proposals",
    summary="Propose to a second officer what takes two",
    dependencies=[Depends(check_origin)],
)
def post_proposal(desk: Parts, person: Signed, alarm: AlarmPath, body: ProposalBody, csrf: Csrf = None) -> ProposalMade:
    """Propose. Nothing is decided until another officer confirms it."""
    check_csrf(person, csrf)
    check_acts(person)
    number = proposed(desk, alarm, body.revision, person.name, body.reason)
    with desk.store.reading() as session:
        made = proposal_view(session.get_one(ActionRow, number))
    return ProposalMade(proposal=made, alarm=_seen(desk, alarm))


@router.post(
    "/alarms/{alarm}/proposals/{proposal}/answer",
    summary="Confirm or refuse what another officer proposed",
    dependencies=[Depends(check_origin)],
)
def post_answer(
    desk: Parts, person: Signed, alarm: AlarmPath, proposal: Number, body: ProposalAnswerBody, csrf: Csrf = None
) -> ProposalAnswered:
    """Confirm, and the decision of both goes to the log; refuse; or take back one's own."""
    check_csrf(person, csrf)
    check_acts(person)
    confirms = body.answer == "confirm"
    name = answered(desk, alarm, proposal, body.revision, person.name, body.reason, confirms=confirms)
    return ProposalAnswered(decision=name, alarm=_seen(desk, alarm))


@router.get("/proposals", summary="What waits for a second officer, oldest first")
def get_proposals(desk: Parts, person: Signed) -> WaitingList:
    """Return the proposals that wait on any alarm; the oldest 500."""
    del person
    with desk.store.reading() as session:
        rows = acts.every_waiting(session)
        total = acts.count_waiting(session)
        names = queries.names(session, {row.alarm.facility for row in rows})
        items = [
            WaitingView(
                proposal=proposal_view(row.act),
                alarm=alarm_view(row.alarm, desk.rulebook, names.get(row.alarm.facility)),
            )
            for row in rows
        ]
    return WaitingList(items=items, left_out=max(0, total - len(items)))


def decided(desk: Desk, alarm: str, code: Code, revision: int, actor: str, reason: str) -> str:
    """Decide in a transaction of its own and wake the live stream; returns the decision's id.

    Raises:
        RefusedError: 404 no such alarm, 409 a revision that is not there, an alarm that no decision ends, one that is decided or
            waits for a second officer, or more acts than one alarm keeps; 503 a store that waits for its rebuild.
    """
    with _deciding(desk) as session:
        return decide(
            session, alarm, code=code, revision=revision, actor=actor, reason=reason,
            latched=lambda row: can_decide(desk, row), now_ms=desk.clock_ms(),
        )  # fmt: skip


def proposed(desk: Desk, alarm: str, revision: int, actor: str, reason: str) -> int:
    """Propose data fraud in a transaction of its own and wake the live stream; returns the proposal's number.

    Raises:
        RefusedError: as `decided`; 409 what was refused before in the same words.
    """
    with _deciding(desk) as session:
        return second.propose(
            session, alarm, revision=revision, actor=actor, reason=reason, latched=lambda row: can_decide(desk, row),
            now_ms=desk.clock_ms(),
        )  # fmt: skip


def answered(
    desk: Desk, alarm: str, proposal: int, revision: int, actor: str, reason: str, *, confirms: bool
) -> str | None:
    """Answer a proposal in a transaction of its own and wake the live stream; returns the decision's id, if there is one.

    Raises:
        RefusedError: as `decided`; 403 one's own proposal, 409 one that does not wait.
    """
    with _deciding(desk) as session:
        return second.answer(
            session, alarm, proposal, confirms=confirms, revision=revision, actor=actor, reason=reason,
            latched=lambda row: can_decide(desk, row), now_ms=desk.clock_ms(),
        )  # fmt: skip


def can_decide(desk: Desk, row: AlarmRow) -> bool:
    """Say whether only an officer's decision ends an alarm, by the packs that raised it, and whether it stands."""
    rule = desk.rulebook.rule(row.rule, row.packs)
    return acts.is_open(row) and is_latched(rule, json.loads(row.subject))


@contextmanager
def _deciding(desk: Desk) -> Iterator[Session]:
    try:
        with desk.store.writing() as session:
            yield session
    except tuple(REFUSED) as error:
        status, code = REFUSED[type(error)]
        raise RefusedError(status, code, str(error)) from error
    desk.hub.poke()


def _seen(desk: Desk, alarm: str) -> AlarmView:
    with desk.store.reading() as session:
        row = queries.one(session, alarm)
        if row is None:
            raise RefusedError(HTTPStatus.NOT_FOUND, "no_such_alarm")
        names = queries.names(session, {row.facility})
    return alarm_view(row, desk.rulebook, names.get(row.facility))
