"""Explanations of rules over facts that come in any order: which facts are kept of a subject, and what follows from them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from rules.emission import SEVERITIES
from rules.explainbeats import Kept
from rules.explainparts import Told
from rules.instants import format_duration
from rules.leaves.ledger import seen_of
from rules.ledger.entry import entries_of
from rules.ledger.kinds import beside, judge
from rules.ledger.room import waits
from rules.rare import grade
from rules.rule import AnnualRule, ChangeRule, GradeRule, RetestRule, RunsRule, StockBalanceRule, VisitRule

if TYPE_CHECKING:
    from rules.leaves.model import Seen
    from rules.ledger.entry import Entry
    from rules.rule import LedgerRule
    from rules.state import FacilityState

LISTS = frozenset({"since", "revision", "open", "missing", "products", "known", "lots", "whole", "wrong", "until"})
"""What a fact says and an explanation does not: it would be long, or is ours."""
GRADES: tuple[Literal["A", "B", "C", "D"], ...] = ("A", "B", "C", "D")


def ledger_of(
    rule: LedgerRule | GradeRule, state: FacilityState, at: int
) -> tuple[dict[str, list[Told]], dict[str, dict[str, Seen]]]:
    """Return the facts that are kept, with what became of them, and the leaves at a log time (ms), by subject."""
    leaves = {subject: {one.name: one for one in seen} for subject, seen in seen_of(rule, state, at)}
    if isinstance(rule, GradeRule):
        return {
            subject: [_heard(one) for one in grade.heard_of(case)] for subject, case in state.rare.of(rule.id).items()
        }, leaves
    cases = state.rare.of(rule.id)
    found = {
        subject: [_told(entry) for entry in entries_of([*case.facts, *beside(rule, subject, cases).facts])]
        for subject, case in cases.items()
    }
    return found, leaves


def kept_of(rule: LedgerRule | GradeRule, subject: str, state: FacilityState, at: int) -> Kept:
    """Return whether an alarm of a subject stands at a log time (ms), by what is kept of it."""
    case = state.rare.of(rule.id).get(subject)
    if isinstance(rule, GradeRule):
        holds = (
            case is not None
            and case.standing is not None
            and grade.count(rule, grade.heard_of(case), case.standing.start).reaches(rule)
        )
        return Kept(may=holds, must=holds)
    judged = None if case is None else judge(rule, subject, case.facts, at, state.planned.facility, state.rare)
    stands = judged is not None and judged.open is not None
    if case is not None and waits(case):  # nothing is decided before the instant is over
        return Kept(may=True, must=False)
    return Kept(may=stands or (judged is not None and judged.unknown), must=stands)


def numbers_of(rule: LedgerRule | GradeRule) -> list[tuple[str, Any]]:
    """Return the numbers of a rule."""
    if isinstance(rule, GradeRule):
        return [
            ("window", format_duration(rule.window)),
            ("red", rule.red),
            ("orange", rule.orange),
            ("without", ", ".join(rule.without)),
        ]
    if isinstance(rule, StockBalanceRule):
        return [("tolerance", rule.tolerance), ("silent", format_duration(rule.silent))]
    if isinstance(rule, RetestRule | RunsRule):
        anew = [("anew", rule.anew)] if isinstance(rule, RunsRule) else []
        return [("wait", format_duration(rule.wait)), *anew]
    if isinstance(rule, VisitRule):
        months = [(f"months {grade}", rule.months[grade]) for grade in GRADES]
        return [*months, ("notice", format_duration(rule.notice.before))]
    if isinstance(rule, AnnualRule | ChangeRule):
        return _numbers_of_told(rule)
    return [("while_open", ", ".join(rule.while_open)), ("allowed", format_duration(rule.allowed))]


def _numbers_of_told(rule: AnnualRule | ChangeRule) -> list[tuple[str, Any]]:
    if isinstance(rule, ChangeRule):
        return [("within", format_duration(rule.within))]
    return [("percent", rule.percent), ("batches", rule.batches)]


def _told(entry: Entry) -> Told:
    stream, _, rest = entry.fact.digest.partition(" ")
    named = rest if "revision" in entry.said else entry.fact.batch
    said = {name: value for name, value in entry.said.items() if name not in LISTS and value is not None}
    source = (
        {"stream": "report", "type": stream} if "revision" in entry.said else {"stream": "event", "type": entry.what}
    )
    fate = "occasion" if entry.fact.counts else "heard"
    return Told(entry.at, entry.fact.received, named, fate, source | said)


def _heard(one: grade.Heard) -> Told:
    fate = "occasion" if one.fact.counts else "heard" if one.counts else "done"
    said = {"stream": "alarm", "type": one.said["rule"], "colour": SEVERITIES[one.said["top"]].value}
    return Told(one.fact.t, one.fact.received, one.fact.digest, fate, said)
