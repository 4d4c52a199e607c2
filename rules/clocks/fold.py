"""Reports and findings in the fold: they start clocks and answer them (`judging` says what comes of it)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from rules.changes import RecordRead
from rules.clocks import taking
from rules.clocks.book import Met
from rules.documents import fold as documents
from rules.excursions import fold as excursions
from rules.failing import attempt
from rules.ledger import fold as ledger
from rules.rare import amendments, revisions, rows
from rules.rare.speak import Now
from rules.records import Kind
from rules.reports.quality import Amendment
from rules.reports.reading import fields_of, members_of

if TYPE_CHECKING:
    from rules.emission import Emitter
    from rules.plan import Plan
    from rules.records import Inspection, Report
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
    clocks.counts["report_dropped"] += len(meeting.gone)
    taking.let_go(state, meeting.gone, received, emitter)
    if meeting.met is not Met.TAKEN:
        clocks.counts[f"report_{meeting.met.value}"] += 1
        revisions.report(state, payload, meeting, received, emitter)
        return
    fields = members_of(model)
    now = Now(received, received, [RecordRead(kind=Kind.REPORT.value, id=f"{payload.id}/{payload.revision}")])
    if rules and meeting.is_newest:
        taking.report(rules, payload, meeting, fields, now, emitter)
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
            attempt(emitter, rule.id, received, partial(taking.visited, rule, payload, now, emitter))
    for heard in () if plan is None else plan.visits:
        attempt(emitter, heard.id, received, partial(ledger.inspection, heard, payload, now, emitter))
        state.rare.refresh()
