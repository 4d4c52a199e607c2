"""Leaves of rules over what reports say: each comparison of the condition, as it was of each report (or entry) at each report that came."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rules.clocks.book import Book, Met
from rules.documents.condition import condition_of
from rules.documents.judge import Series
from rules.documents.kept import text_of
from rules.documents.speak import operand, verdict_of
from rules.documents.store import Documents
from rules.leaves.model import ALL, TWO, Leaf, Moment, Seen, both
from rules.records import Report
from rules.reports.reading import fields_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rules.documents.judge import Look
    from rules.documents.kept import Kept
    from rules.records import LogRecord
    from rules.rule import ReportRule


def leaves_of(rule: ReportRule) -> list[Leaf]:
    """Return the leaves of a rule, in the order of its condition."""
    return [
        Leaf(part.text, both(f"{part.left} {part.op} {part.right}", _chinese(part.left, part.op, part.right)), verdicts)
        for part in condition_of(rule).leaves
        for verdicts in (ALL if part.uncertain else TWO,)
    ]


_SIGNS = {
    "<": "小于",
    "<=": "不大于",
    ">": "大于",
    ">=": "不小于",
    "==": "等于",
    "!=": "不等于",
    "in": "属于",
    "is": "为",
}


def _chinese(left: str, op: str, right: str) -> str:
    return f"{left} {_SIGNS[op]} {right}"


def seen_of(rule: ReportRule, look: Look) -> tuple[Seen, ...]:
    """Return the leaves of one report, or of one entry of it, with their operands."""
    found = []
    for part in condition_of(rule).leaves:
        verdict = verdict_of(part.verdict(look.scope))
        sides = (verdict.value, "true")
        left, right = sides if part.operands is None else (operand(one(look.scope)) for one in part.operands)
        found.append(Seen(part.text, verdict, left, part.op, right))
    return tuple(found)


def looks_of(rule: ReportRule, kept: Iterable[Kept]) -> Iterator[tuple[str, Look, bool | None]]:
    """Yield the subject, each look at a report that decides of it, and what the report says of the subject."""
    kept = list(kept)
    for group in sorted({one.place.group for one in kept if one.key[0] in rule.reports}):
        for finding in Series(rule, kept, group).findings().values():
            for look in finding.looks:
                yield finding.subject, look, finding.verdict


def moments_of(rule: ReportRule, log: Iterable[LogRecord]) -> Iterator[Moment]:
    """Return what the leaves were of all that was kept, whenever a report came that the rule reads."""
    book, documents = Book(), Documents()
    for record in log:
        payload = record.payload
        if not isinstance(payload, Report) or payload.type not in rule.reports:
            continue
        model = fields_of(payload)
        if model is None or book.meet(payload) is not Met.TAKEN:
            continue
        documents.put((payload.type, payload.id), payload.revision, text_of(model))
        for _, look, _ in looks_of(rule, documents.kept.values()):
            yield Moment("report", record.received, seen_of(rule, look))
