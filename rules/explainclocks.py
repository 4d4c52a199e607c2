"""Explanations of legal clocks: which documents started and answered a case, and when it is over, by the engine's books."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rules.calendar import calendar_for
from rules.clocks import yearly
from rules.clocks.book import Book, Met, name_of
from rules.clocks.due import keys_of, matches, reminded_at, terms_of
from rules.explainbeats import Kept
from rules.explainparts import Told
from rules.instants import format_instant
from rules.layout import NEVER, NONE
from rules.leaves.deadlines import seen_of
from rules.rare.store import text_of
from rules.records import Inspection, Report
from rules.reports.reading import fields_of

if TYPE_CHECKING:
    from rules.clocks.due import Terms
    from rules.clocks.store import Clock
    from rules.leaves.model import Seen
    from rules.pack import Bundle
    from rules.records import LogRecord
    from rules.rule import DeadlineRule
    from rules.state import FacilityState


def clocks_of(
    rule: DeadlineRule, log: list[LogRecord], state: FacilityState, bundle: Bundle, at: int
) -> tuple[dict[str, list[Told]], dict[str, dict[str, Seen]]]:
    """Return the documents of each case with what became of them, and the leaves of the case, by subject."""
    found = _documents(rule, log)
    leaves: dict[str, dict[str, Seen]] = {}
    for subject, clock in state.clocks.of(rule.id).items():
        leaves[subject] = {seen.name: seen for seen in seen_of(rule, clock, state, bundle, at)}
        due = _terms(rule, clock, state, bundle)
        told = found.setdefault(subject, [])
        if not told and clock.start != NONE:  # the register started it, or a saved state knows its documents
            told.append(
                Told(clock.start, clock.start, "-", "awaited", {"stream": "register", "type": rule.yearly or "-"})
            )
        runs = clock.start != NONE and clock.answered == NONE and due is not None and due.due is not None
        for one in told:
            if one.fate == "replaced":
                continue
            if runs and due is not None:
                one.fate = "awaited"
                one.until, one.decided = due.due, None if clock.due == NEVER else clock.due
            elif one.fate == "awaited":
                one.fate = "answered" if clock.answered != NONE else "not meant"
    return found, leaves


def kept_of(rule: DeadlineRule, clock: Clock, state: FacilityState, bundle: Bundle, at: int) -> Kept:
    """Return whether an alarm of a case stands, by its terms."""
    terms = _terms(rule, clock, state, bundle)
    stands = terms is not None and terms.due is not None and clock.answered == NONE
    if stands and terms is not None and terms.due is not None:
        reminded = reminded_at(rule, clock, terms.due)
        stands = at > terms.due or (reminded is not None and at >= reminded)
    return Kept(may=stands, must=stands)


def numbers_of(rule: DeadlineRule) -> list[tuple[str, Any]]:
    """Return the times of a rule, with what they are for."""
    found: list[tuple[str, Any]] = []
    for edition in rule.within:
        where = ", ".join(f"{name} = {value}" for name, value in edition.where.items())
        since = [f"from {edition.from_}"] if edition.from_ else []
        since += [f"before {edition.before}"] if edition.before else []
        found.append((" ".join(["within", *([where] if where else []), *since]), str(edition.time)))
    if rule.reminder is not None:
        share = rule.reminder.share
        found.append(("reminder", f"{100 * share:g} %" if share is not None else f"{rule.reminder.before} ms before"))
    return found + [("overdue", f"{step.after} {step.to}") for step in rule.overdue]


def _terms(rule: DeadlineRule, clock: Clock, state: FacilityState, bundle: Bundle) -> Terms | None:
    days = calendar_for(state.planned.facility.jurisdiction, bundle.calendars.values())
    return terms_of(rule, clock, days, state.clocks.closed)


def _documents(rule: DeadlineRule, log: list[LogRecord]) -> dict[str, list[Told]]:
    """Return the reports and visits of the log that a rule looks at, by subject; each number once, and the highest of a report counts."""
    found: dict[str, list[Told]] = {}
    numbers: dict[str, int] = {}
    of_reports: list[tuple[str, int, Told]] = []
    book = Book()
    for record in log:
        payload = record.payload
        if isinstance(payload, Inspection) and rule.inspections:
            said = {"stream": "inspection", "type": payload.mode}
            if payload.handed_over_at is not None:
                said["handed_over_at"] = format_instant(payload.handed_over_at)
            told = Told(payload.done_at, record.received, f"{payload.visit}/{payload.version}", "awaited", said)
            found.setdefault(text_of({"report": payload.visit}), []).append(told)
        if not isinstance(payload, Report):
            continue
        met = book.meet(payload)
        if met is Met.TAKEN:
            numbers[name_of(payload)] = max(payload.revision, numbers.get(name_of(payload), 0))
        fate = {Met.TAKEN: "awaited", Met.REPEATED: "again"}.get(met, "not kept")
        model = fields_of(payload)
        fields = {} if model is None else model.model_dump(by_alias=True)
        for part in (rule.starts, rule.answer, rule.again_until):
            if part is None or part.report != payload.type or not matches(part.where, fields):
                continue
            keys = yearly.keys_of(rule, fields) if rule.yearly else keys_of(fields.get(part.key))
            at = fields.get(part.at or "")
            began = at if isinstance(at, int) else record.received
            for key in keys:
                said = {"stream": "report", "type": payload.type, "id": f"{payload.id}/{payload.revision}"}
                told = Told(began, record.received, payload.id, fate, said)
                cases = found.setdefault(text_of({"report": key}), [])
                if not cases or cases[-1].event.get("id") != said["id"]:
                    cases.append(told)
                    of_reports.append((name_of(payload), payload.revision, told))
    for name, revision, told in of_reports:
        if revision < numbers.get(name, 0):
            told.fate = "replaced"
    return found
