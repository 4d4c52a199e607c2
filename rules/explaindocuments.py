"""Explanations of rules over what reports say: which reports came, what each says of a subject, and what it is compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rules.clocks.book import Book, Met
from rules.documents.store import DocumentCase
from rules.explainbeats import Kept
from rules.explainparts import Told
from rules.leaves.documents import looks_of, seen_of
from rules.records import Report
from rules.reports.reading import fields_of
from rules.rule import DocumentRule

if TYPE_CHECKING:
    from rules.leaves.model import Seen
    from rules.records import LogRecord
    from rules.rule import ReportRule
    from rules.state import FacilityState


def documents_of(
    rule: ReportRule, log: list[LogRecord], state: FacilityState
) -> tuple[dict[str, list[Told]], dict[str, dict[str, Seen]]]:
    """Return the reports of the log that say something of a subject, with what became of them, and its leaves, by subject.

    Of several reports that say something of a subject, the leaves are those of one that holds, else of the last in its series.
    """
    found: dict[str, list[Told]] = {}
    leaves: dict[str, dict[str, Seen]] = {}
    holding: dict[str, bool] = {}
    come = _come(rule, log)
    for subject, look, verdict in looks_of(rule, state.documents.kept.values()):
        if verdict or not holding.get(subject):
            leaves[subject] = {seen.name: seen for seen in seen_of(rule, look)}
            holding[subject] = bool(verdict)
        told = come.get((*look.kept.key, look.kept.newest.revision))
        if told is not None and told not in found.setdefault(subject, []):
            found[subject].append(told)
    for subject, case in state.documents.of(rule.id).items():
        held = {cause.key for cause in case.causes}
        for told in found.get(subject, []):
            if (told.event["type"], told.batch.rpartition("/")[0]) in held:
                told.fate = "occasion"
    return found, leaves


def kept_of(rule: ReportRule, subject: str, state: FacilityState) -> Kept:
    """Return whether an alarm of a subject stands, by what is kept of reports; one that is unknown may."""
    verdicts = [verdict for name, _, verdict in looks_of(rule, state.documents.kept.values()) if name == subject]
    case = state.documents.of(rule.id).get(subject, DocumentCase())
    holds = any(verdict for verdict in verdicts)
    return Kept(may=holds or any(not cause.known for cause in case.causes), must=holds)


def numbers_of(rule: ReportRule) -> list[tuple[str, Any]]:
    """Return what a rule asks, as its file writes it."""
    if isinstance(rule, DocumentRule):
        return [("condition", rule.condition), *([("leave_out", ", ".join(rule.leave_out))] if rule.leave_out else [])]
    return [("parts", ", ".join(rule.parts)), ("whole", ", ".join(rule.whole)), ("tolerance", rule.tolerance)]


def _come(rule: ReportRule, log: list[LogRecord]) -> dict[tuple[str, str, int], Told]:
    """Return the reports of a log that were taken, by type, id and revision."""
    found: dict[tuple[str, str, int], Told] = {}
    book = Book()
    for record in log:
        payload = record.payload
        if not isinstance(payload, Report) or payload.type not in rule.reports or fields_of(payload) is None:
            continue
        if book.meet(payload) is Met.TAKEN:
            named = f"{payload.id}/{payload.revision}"
            said = {"stream": "report", "type": payload.type}
            told = Told(payload.sent, record.received, named, "heard", said)
            found[payload.type, payload.id, payload.revision] = told
    return found
