"""What the desk's API answers and takes. Instants are RFC 3339 UTC with three decimals."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field

from monitor.alarms.acts import DECIDE
from monitor.alarms.axes import Attention, State, attention, state
from monitor.alarms.decide import MAX_REASON, Code
from monitor.words import says_something
from rules.changes import ChangeKind, Evidence
from rules.instants import format_instant
from rules.models import Bilingual, Severity, Strict, Text

if TYPE_CHECKING:
    from monitor.alarms.rulebook import Rulebook
    from monitor.store.desk_tables import ActionRow, AlarmRow, ChangeRow, OperatorAlarm

AlarmId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]


def _said(text: str) -> str:
    if not says_something(text):
        raise ValueError("blank: words are needed")
    return text


Reason = Annotated[Text, Field(min_length=1, max_length=MAX_REASON), AfterValidator(_said)]
"""Why an officer did something: spaces and what cannot be seen are no reason."""
Revision = Annotated[int, Field(ge=1, le=2**53, strict=True)]


class Acknowledgement(Strict):
    """Who has seen which revision, and when."""

    revision: int
    by: str
    at: str


class AlarmView(Strict):
    """One alarm: the members of `offsite evaluate --alarms` (contracts.md §5), and what people did with it."""

    alarm: AlarmId
    stream: str
    facility: str
    facility_name: Bilingual | None
    rule: str
    rule_title: Bilingual
    version: str
    packs: str
    subject: dict[str, str]
    severity: Severity
    """The highest colour it had."""
    severity_now: Severity
    stage: str
    start: str
    end: str | None
    status: Literal["active", "unknown", "cleared", "retracted"]
    suppressed_by: str | None
    late: bool
    changes: int
    raised: str
    """Log time of the first raise."""
    changed: str
    revision: int
    """What an acknowledgement names."""
    attention: Attention
    state: State
    """ANSI/ISA-18.2 name, and two of ours: blind, retracted."""
    asked: str
    """Log time since when it asks for a person: the raise, the newest step up or release; the time to respond starts here."""
    respond_by: str | None
    """Until when somebody must have acted; null where the limit counts working days."""
    acknowledged: Acknowledgement | None
    message: Bilingual


class ChangeView(Strict):
    """One change of an alarm's history."""

    seq: int
    change: ChangeKind
    severity: Severity
    at: str
    received: str
    late: bool
    message: Bilingual
    by: str | None
    source: str | None
    """`partition:offset` in the log of the deciding record."""


class ActionView(Strict):
    """What a person did."""

    action: str
    revision: int
    actor: str
    at: str
    note: str | None


class ProposalView(Strict):
    """What an officer proposes that takes a second one: it waits until another confirms or refuses it."""

    proposal: int
    """Its number: an answer names it."""
    code: Literal["data-fraud"] = "data-fraud"
    officer: str
    revision: int
    """What the officer saw of the alarm."""
    at: str
    reason: str


class UnderWayView(Strict):
    """A decision that has not ended the alarm yet."""

    code: str
    officer: str
    """Where it took two, the second."""
    at: str


class NamedProof(Strict):
    """A proof that a mark or an amendment names by its SHA-256, and whether it was ever uploaded."""

    facility: str
    kind: Literal["mark", "report"]
    record: str
    revision: int
    """The record that names it."""
    received: str
    """Log time of that record."""
    sha256: str
    state: Literal["received", "missing", "deleted"]
    """`missing`: the facility has uploaded no such content. `deleted`: it had, and the time it is kept was over."""


class AlarmDetail(Strict):
    """One alarm with its evidence and history."""

    alarm: AlarmView
    evidence: Evidence
    history: list[ChangeView]
    actions: list[ActionView]
    proposal: ProposalView | None = None
    """What waits for a second officer."""
    decision: UnderWayView | None = None
    """What was decided and the worker has not folded yet."""
    proofs: list[NamedProof] | None = None
    """What the marks and amendments of the evidence name; null for who does not see proofs, and where they cannot be read."""


class AlarmPage(Strict):
    """A page of alarms, worst first; `next` goes into `after` of the next request.

    Of a facility that was asked for also alarms of other ones that name it: `facility` of an item says whose it is.
    """

    items: list[AlarmView]
    next: str | None
    total: int


class AcknowledgeBody(Strict):
    """The revision that was seen, and a note."""

    revision: Revision
    note: Annotated[Text, Field(max_length=1000)] | None = None
    """One that is blank is none."""


class DecisionBody(Strict):
    """Why a latched alarm is closed, and the revision that was seen."""

    revision: Revision
    code: Code
    reason: Reason


class ProposalBody(Strict):
    """What an officer proposes to a second one, and the revision that was seen."""

    revision: Revision
    code: Literal["data-fraud"]
    reason: Reason


class ProposalAnswerBody(Strict):
    """The second officer's answer; who proposed may only take it back (`refuse`)."""

    revision: Revision
    answer: Literal["confirm", "refuse"]
    reason: Reason


class ProposalMade(Strict):
    """The proposal that waits, and the alarm: nothing is decided."""

    proposal: ProposalView
    alarm: AlarmView


class ProposalAnswered(Strict):
    """The alarm as it is now: it ends when the worker has folded the decision, if there is one."""

    decision: str | None
    """Id of the `decision` record; null where the proposal was refused or taken back."""
    alarm: AlarmView


class WaitingView(Strict):
    """A proposal that waits, and its alarm."""

    proposal: ProposalView
    alarm: AlarmView


class WaitingList(Strict):
    """Proposals that wait for a second officer, oldest first."""

    items: list[WaitingView]
    left_out: int
    """Newer ones that the list does not hold."""


class DecisionAnswer(Strict):
    """The alarm as it is now: it ends when the worker has folded the decision."""

    decision: str
    """Id of the `decision` record."""
    alarm: AlarmView


class AcknowledgeAnswer(Strict):
    """`newer`: the alarm has changed since in a way that asks for attention again."""

    revision: int
    newer: bool
    alarm: AlarmView


class SignInBody(Strict):
    """Name and password of a local account."""

    name: str = Field(max_length=100)
    password: str = Field(max_length=1000)


class SignedIn(Strict):
    """Who is signed in; `csrf` goes into the header X-CSRF-Token of every request that changes something."""

    name: str
    display: str
    role: str
    language: str
    csrf: str


class OperatorView(Strict):
    """Something wrong with the monitor itself."""

    code: str
    subject: str
    opened: str
    last: str
    count: int
    detail: str


def alarm_view(row: AlarmRow, rulebook: Rulebook, facility_name: dict[str, str] | None) -> AlarmView:
    """Return the view of a row."""
    respond = rulebook.respond_by_ms(row.rule, Severity(row.severity), row.asked_ms, row.packs)
    return AlarmView(
        alarm=row.id,
        stream=row.stream,
        facility=row.facility,
        facility_name=None if facility_name is None else Bilingual.model_validate(facility_name),
        rule=row.rule,
        rule_title=rulebook.title(row.rule, row.packs),
        version=row.version,
        packs=row.packs,
        subject=json.loads(row.subject),
        severity=Severity(row.highest),
        severity_now=Severity(row.severity),
        stage=row.stage,
        start=format_instant(row.start_ms),
        end=None if row.end_ms is None else format_instant(row.end_ms),
        status=_STATUS[row.status],
        suppressed_by=row.suppressed_by,
        late=row.late,
        changes=row.changes,
        raised=format_instant(row.raised_ms),
        changed=format_instant(row.changed_ms),
        revision=row.revision,
        attention=attention(row),
        state=state(row),
        asked=format_instant(row.asked_ms),
        respond_by=None if respond is None else format_instant(respond),
        acknowledged=None
        if row.acknowledged_by is None or row.acknowledged_ms is None
        else Acknowledgement(
            revision=row.acknowledged_revision, by=row.acknowledged_by, at=format_instant(row.acknowledged_ms)
        ),
        message=Bilingual(zh=row.message_zh, en=row.message_en),
    )


def change_view(row: ChangeRow) -> ChangeView:
    """Return the view of a change."""
    body: dict[str, Any] = json.loads(row.body)
    return ChangeView(
        seq=row.seq,
        change=body["change"],
        severity=body["severity"],
        at=body["at"],
        received=body["received"],
        late=body["late"],
        message=body["message"],
        by=body.get("by"),
        source=row.source,
    )


def action_view(row: ActionRow) -> ActionView:
    """Return the view of an action."""
    return ActionView(
        action=row.action, revision=row.revision, actor=row.actor, at=format_instant(row.at_ms), note=row.note
    )


def proposal_view(row: ActionRow) -> ProposalView:
    """Return the view of a proposal."""
    return ProposalView(
        proposal=row.id, officer=row.actor, revision=row.revision, at=format_instant(row.at_ms), reason=row.note or ""
    )


def under_way_view(row: ActionRow) -> UnderWayView:
    """Return the view of a decision that is under way."""
    return UnderWayView(code=row.action.removeprefix(DECIDE), officer=row.actor, at=format_instant(row.at_ms))


def operator_view(row: OperatorAlarm) -> OperatorView:
    """Return the view of an operators' alarm."""
    return OperatorView(
        code=row.code, subject=row.subject, opened=format_instant(row.opened_ms), last=format_instant(row.last_ms),
        count=row.count, detail=row.detail,
    )  # fmt: skip


_STATUS: dict[str, Literal["active", "unknown", "cleared", "retracted"]] = {
    "active": "active",
    "unknown": "unknown",
    "cleared": "cleared",
    "retracted": "retracted",
}
