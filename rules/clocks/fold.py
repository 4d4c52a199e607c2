"""Reports and findings in the fold: they start clocks and answer them (`judging` says what comes of it)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from rules.changes import RecordRead
from rules.clocks import yearly
from rules.clocks.book import Met
from rules.clocks.due import day_begins, day_is_over, facts_of, keys_of, matches, subject_with
from rules.clocks.judging import judge, terms
from rules.clocks.speak import close_alarm
from rules.deadlineparts import RECEIPT
from rules.documents import fold as documents
from rules.excursions import fold as excursions
from rules.failing import attempt
from rules.instants import EARLIEST_MS, LATEST_MS
from rules.layout import NONE
from rules.ledger import fold as ledger
from rules.rare import amendments, revisions, rows
from rules.rare.speak import Now
from rules.rare.store import subject_of
from rules.records import Kind
from rules.reports.quality import Amendment
from rules.reports.reading import fields_of, members_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rules.clocks.store import Clock
    from rules.deadlineparts import Document
    from rules.emission import Emitter
    from rules.plan import Plan
    from rules.records import Inspection, Report
    from rules.rule import DeadlineRule
    from rules.state import FacilityState


def report(state: FacilityState, payload: Report, received: int, emitter: Emitter) -> None:
    """Fold a submitted report: each number of it once (contracts.md §1).

    Of a type that no rule in force reads nothing is kept. What its model refuses, and what has no effect, leaves no more than a count:
    a report that was returned for a fatal error was not made (deadlines.md §0).
    """
    clocks, plan = state.clocks, state.plan
    if plan is None or not _is_read(plan, payload):
        return
    clocks.counts["reports"] += 1
    model = fields_of(payload)
    if model is None:
        clocks.counts["report_unread"] += 1
        return
    rules = plan.reading.get(payload.type, ())
    compared = excursions.readers(plan, payload.type)
    asked = tuple(rule for rule in plan.documents if payload.type in rule.reports)
    amended = plan.amendments if payload.type == amendments.REPORT else ()
    ledgers = tuple(rule for rule in plan.ledgers if payload.type in rule.reports)
    names = plan.naming and payload.type == amendments.REPORT
    if not (rules or compared or asked or amended or ledgers or plan.revisions or names):
        return
    meeting = clocks.book.greet(payload)
    clocks.counts["report_dropped"] += meeting.forgot
    if meeting.met is not Met.TAKEN:
        clocks.counts[f"report_{meeting.met.value}"] += 1
        revisions.report(state, payload, meeting, received, emitter)
        return
    fields = members_of(model)
    now = Now(received, received, [RecordRead(kind=Kind.REPORT.value, id=f"{payload.id}/{payload.revision}")])
    for rule in rules:
        attempt(
            emitter, rule.id, received, partial(_take, rule, payload, fields, now, emitter, is_first=meeting.is_first)
        )
    if compared:
        excursions.report(state, payload, fields, now, emitter)
    names_nothing = isinstance(model, Amendment) and not amendments.names_datum(state, model, received)
    if isinstance(model, Amendment) and not names_nothing:
        amendments.report(amended, payload, model, now, emitter)
        rows.amend(state, model, now, emitter)
    for told in ledgers:
        step = partial(ledger.report, told, payload, fields, now, emitter, is_first=meeting.is_first)
        attempt(emitter, told.id, received, step)
    if ledgers:
        state.rare.refresh()
    if asked:
        documents.report(asked, state, payload, model, now, emitter)
    if names_nothing:
        revisions.amendment(state, payload, received, emitter)


def _is_read(plan: Plan, payload: Report) -> bool:
    """Say whether reports are folded at all; where rules over rows alone ask for any, amendments are."""
    reads = plan.deadlines or plan.excursions or plan.documents or plan.amendments or plan.revisions or plan.ledgers
    return bool(reads) or (plan.naming and payload.type == amendments.REPORT)


def inspection(state: FacilityState, payload: Inspection, received: int, emitter: Emitter) -> None:
    """Fold a visit: its findings, once handed over, start the clocks of what is to follow; a version not newer is a no-op."""
    plan = state.plan
    now = Now(received, received, [RecordRead(kind=Kind.INSPECTION.value, id=f"{payload.visit}/{payload.version}")])
    for rule in () if plan is None else plan.deadlines:
        if rule.inspections:
            attempt(emitter, rule.id, received, partial(_visited, rule, payload, now, emitter))
    for heard in () if plan is None else plan.visits:
        attempt(emitter, heard.id, received, partial(ledger.inspection, heard, payload, now, emitter))
        state.rare.refresh()


def _take(
    rule: DeadlineRule, payload: Report, fields: Mapping[str, Any], now: Now, emitter: Emitter, *, is_first: bool
) -> None:  # fmt: skip
    starts, answers, ends = (
        dict.fromkeys(_keys(rule, part, payload.type, fields)) for part in (rule.starts, rule.answer, rule.again_until)
    )
    for key in starts | answers | ends:
        subject = subject_with(key)
        clock = emitter.state.clocks.clock(rule.id, subject)
        if clock is None:
            continue
        if key in starts and rule.starts is not None:
            _start(rule, rule.starts, clock, payload.revision, fields, now)
        if key in answers and rule.again_until is None:
            _answer(rule, subject, clock, payload.revision, fields, now, emitter)
        elif key in answers and is_first:
            _begin_again(rule, subject, clock, now, emitter)
        if key in ends and clock.answered == NONE:
            clock.answered = now.received
            _note(clock, now)
        judge(rule, subject, clock, now, emitter)


def _keys(rule: DeadlineRule, part: Document | None, kind: str, fields: Mapping[str, Any]) -> list[str]:
    """Return the cases that a report is about as this part of the rule, none where it is no such document."""
    if part is None or part.report != kind or not matches(part.where, fields):
        return []
    return yearly.keys_of(rule, fields) if rule.yearly is not None else keys_of(fields.get(part.key))


def _start(
    rule: DeadlineRule, part: Document, clock: Clock, revision: int, fields: Mapping[str, Any], now: Now
) -> None:  # fmt: skip
    """Let a document tell when the clock began: the earliest of all counts (deadlines.md §0); and what is asked of it."""
    if clock.start == NONE or rule.again_until is None:
        _begin(clock, _began(part, fields, now), now)
    if revision > clock.revision:
        clock.revision, clock.said = revision, facts_of(rule, fields)
        _note(clock, now)


def _begin(clock: Clock, at: int | None, now: Now) -> None:
    if at is not None and (clock.start == NONE or at < clock.start):
        clock.start = at
        _note(clock, now)


def _begin_again(rule: DeadlineRule, subject: str, clock: Clock, now: Now, emitter: Emitter) -> None:
    """Let one report of many answer the clock, and start it anew. A revision of one that came is no further report."""
    if clock.start == NONE or clock.answered != NONE:
        return
    if clock.standing is not None:
        close_alarm(rule, subject, clock, terms(rule, clock, emitter), now, emitter)
    clock.start, clock.documents = now.received, ()
    _note(clock, now)


def _answer(
    rule: DeadlineRule, subject: str, clock: Clock, revision: int, fields: Mapping[str, Any], now: Now, emitter: Emitter
) -> None:  # fmt: skip
    """Let a report answer the clock: the first one received counts; what it says is that of the highest revision."""
    if rule.yearly is not None:
        _begin_year(rule, subject, clock, now, emitter)
    else:
        _begin(clock, _began(rule.answer, fields, now), now)
    if revision > clock.reply:
        clock.reply = revision
        if not clock.revision:
            clock.said = facts_of(rule, fields)
        _plan(rule, clock, fields.get(rule.plan or ""), now, emitter)
        named = fields.get(rule.judged or "")
        clock.named = named if isinstance(named, int) else NONE
        _note(clock, now)
    if clock.answered == NONE:
        clock.answered = now.received
        _note(clock, now)


def _begin_year(rule: DeadlineRule, subject: str, clock: Clock, now: Now, emitter: Emitter) -> None:
    """Start the clock of a yearly report that came before the clock or the register did; what is not owed is never late."""
    if clock.start == NONE:
        state = emitter.state
        since = state.clocks.since.get(rule.id, NONE)
        start = yearly.began(rule, subject_of(subject)["report"], state.planned.facility, since)
        clock.start = start if start is not None and start <= now.received + yearly.AHEAD_MS else NONE


def _plan(rule: DeadlineRule, clock: Clock, day: object, now: Now, emitter: Emitter) -> None:
    """Let an approved plan put another day in the place of the text's, if it is known before that is over.

    A day that lies before the clock began is a slip of the pen, and no plan.
    """
    planned = day_is_over(day) if rule.plan is not None and isinstance(day, str) else None
    if planned is None or clock.start == NONE or planned <= clock.start:
        return
    before, clock.planned = clock.planned, NONE
    found = terms(rule, clock, emitter)
    in_time = found is not None and found.due is not None and now.received <= found.due
    clock.planned = planned if in_time else before


def _began(part: Document, fields: Mapping[str, Any], now: Now) -> int | None:
    """Return the instant that a document tells as the clock's beginning; a day begins at its local midnight. None: it tells none."""
    if part.at is None or part.at == RECEIPT:
        return None if part.at is None else now.received
    value = fields.get(part.at)
    if isinstance(value, str):
        return day_begins(value)
    return value if isinstance(value, int) and EARLIEST_MS <= value <= LATEST_MS else None


def _visited(rule: DeadlineRule, payload: Inspection, now: Now, emitter: Emitter) -> None:
    subject = subject_with(payload.visit)
    clock = emitter.state.clocks.clock(rule.id, subject)
    if clock is None or payload.version <= clock.revision:
        return
    clock.revision, clock.said = payload.version, ""
    _begin(clock, payload.handed_over_at, now)
    _note(clock, now)
    _plan(rule, clock, payload.plan_date, now, emitter)
    judge(rule, subject, clock, now, emitter)


def _note(clock: Clock, now: Now) -> None:
    for read in now.records:
        clock.note((read.kind, read.id))
