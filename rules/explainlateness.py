"""Explanations of rules over what a firm declares too late: which marks came of each sensor, and what became of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rules.changes import Verdict
from rules.clocks.book import Met
from rules.explainbeats import Kept
from rules.explainparts import Told
from rules.layout import NEVER, NONE
from rules.leaves import amended
from rules.leaves.lateness import told_of
from rules.rare.amendments import PROOF, proof_due
from rules.rare.store import Case, subject_of, text_of

if TYPE_CHECKING:
    from rules.leaves.amended import Amended
    from rules.leaves.lateness import Declared
    from rules.leaves.model import Seen
    from rules.records import LogRecord
    from rules.rule import LatenessRule
    from rules.state import FacilityState


def lateness_of(
    rule: LatenessRule, log: list[LogRecord], state: FacilityState, at: int
) -> tuple[dict[str, list[Told]], dict[str, dict[str, Seen]]]:  # fmt: skip
    """Return the marks of each sensor with what became of them, and the leaves of the newest, by subject."""
    found: dict[str, list[Told]] = {}
    leaves: dict[str, dict[str, Seen]] = {}
    cases = state.rare.of(rule.id)
    if rule.of == "amendment":
        return _amended(rule, log, state, at)
    for one in told_of(rule, log, state.clocks.closed):
        name, mark = text_of({"tag": one.tag}), one.mark
        said: dict[str, Any] = {"stream": "mark", "type": mark.flag}
        fate = _fate(one, cases.get(name, Case()))
        found.setdefault(name, []).append(Told(mark.begin, mark.received, mark.name, fate, said))
        if not one.repeated:
            leaves[name] = {seen.name: seen for seen in one.leaves}
    for name, case in cases.items():  # what came before a saved state
        known = {told.batch for told in found.get(name, [])}
        older = [Told(f.t, f.received, f.batch, "occasion", {"stream": "mark"}) for f in case.facts]
        found[name] = [told for told in older if told.batch not in known] + found.get(name, [])
    return found, leaves


def numbers_of(rule: LatenessRule) -> list[tuple[str, Any]]:
    """Return the times and states of a rule, with their names."""
    proof = [] if rule.proof_by is None else [("proof_by", rule.proof_by)]
    return [*([("flags", ", ".join(rule.flags))] if rule.flags else []), ("within", str(rule.within)), *proof]


def kept_of(rule: LatenessRule, subject: str, state: FacilityState, at: int) -> Kept | None:
    """Return whether an alarm about proof stands, by what is kept of it; None: the alarm is about what came late."""
    case = state.rare.of(rule.id).get(subject)
    if "case" not in subject_of(subject) or case is None or not case.facts:
        return None
    fact = case.facts[0]
    stands = fact.received == NONE and at > proof_due(rule, fact.t, state.clocks.closed)
    return Kept(may=stands, must=stands)


def _amended(
    rule: LatenessRule, log: list[LogRecord], state: FacilityState, at: int
) -> tuple[dict[str, list[Told]], dict[str, dict[str, Seen]]]:  # fmt: skip
    """Return the amendments of each report with what became of them, of their proof the newest, and the leaves, by subject."""
    found: dict[str, list[Told]] = {}
    leaves: dict[str, dict[str, Seen]] = {}
    cases = state.rare.of(rule.id)
    for one in amended.told_of(rule, log, at, state.clocks.closed):
        name, proof = text_of({"report": one.report}), text_of({"report": one.report, "case": PROOF})
        said = {"stream": "report", "type": "amendment"}
        case, seen = cases.get(name, Case()), {leaf.name: leaf for leaf in one.leaves}
        if one.name:
            found.setdefault(name, []).append(Told(one.t, one.received, one.name, _fate_of(one, case), said))
        leaves[name] = leaves.get(name, {}) | {leaf: seen[leaf] for leaf in ("first", "late") if leaf in seen}
        if "proof" in seen and proof in cases:
            leaves[proof] = {"proof": seen["proof"]}
            case = cases[proof]
            told = Told(one.t, one.received, one.name, "awaited" if case.due != NEVER else "answered", said)
            if case.facts and case.facts[0].received == NONE and case.due == NEVER:
                told.fate = "occasion"
            told.decided = None if case.due == NEVER else case.due
            told.until = None if case.due == NEVER else case.due - 1
            found[proof] = [told] if one.name else found.get(proof, [told])
    return found, leaves


def _fate_of(one: Amended, case: Case) -> str:
    if one.met is not Met.TAKEN:
        return "again" if one.met is Met.REPEATED else "not kept"
    if any(fact.digest == one.name and fact.counts for fact in case.facts):
        return "occasion"
    if one.name in case.seen:
        return "done"
    if not one.leaves:
        return "void"
    held = {leaf.name: leaf.verdict is Verdict.TRUE for leaf in one.leaves}
    return "revised" if not held["first"] else "not kept" if held["late"] else "timely"


def _fate(one: Declared, case: Case) -> str:
    if one.repeated:
        return "again"
    if any(fact.digest == one.mark.name for fact in case.facts):
        return "occasion"
    if one.mark.name in case.seen:
        return "done"
    meant, *rest = one.verdicts
    if not meant:
        return "not meant"
    return "not kept" if all(rest) else "timely" if rest[0] else "revised"
