"""Explanations of rules over what a firm declares too late: which marks came of each sensor, and what became of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rules.explainparts import Told
from rules.leaves.lateness import told_of
from rules.rare.store import Case, text_of

if TYPE_CHECKING:
    from rules.leaves.lateness import Declared
    from rules.leaves.model import Seen
    from rules.records import LogRecord
    from rules.rule import LatenessRule
    from rules.state import FacilityState


def lateness_of(
    rule: LatenessRule, log: list[LogRecord], state: FacilityState
) -> tuple[dict[str, list[Told]], dict[str, dict[str, Seen]]]:  # fmt: skip
    """Return the marks of each sensor with what became of them, and the leaves of the newest, by subject."""
    found: dict[str, list[Told]] = {}
    leaves: dict[str, dict[str, Seen]] = {}
    cases = state.rare.of(rule.id)
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
    return [("flags", ", ".join(rule.flags)), ("within", str(rule.within))]


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
