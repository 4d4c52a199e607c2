"""Explanations of rules over what is posted without effect: of each id that had a fault the posts that came, and what became of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from rules.explainparts import Told
from rules.leaves.revised import told_of
from rules.rare.store import Case, text_of

if TYPE_CHECKING:
    from rules.leaves.model import Seen
    from rules.leaves.revised import Posted
    from rules.records import LogRecord
    from rules.rule import PostFault, RevisionRule
    from rules.state import FacilityState


def revisions_of(
    rule: RevisionRule, log: list[LogRecord], state: FacilityState
) -> tuple[dict[str, list[Told]], dict[str, dict[str, Seen]]]:  # fmt: skip
    """Return the posts of each id that had a fault with what became of them, and the leaves of the newest that had one, by subject."""
    found: dict[str, list[Told]] = {}
    leaves: dict[str, dict[str, Seen]] = {}
    cases = state.rare.of(rule.id)
    posts = list(told_of(rule, log))
    at_fault = {one.id for one in posts if one.faults}
    for one in posts:
        if one.id not in at_fault:
            continue
        name = text_of({"report": one.id})
        said: dict[str, Any] = {"stream": one.kind.value, "type": ", ".join(one.faults) or "-"}
        found.setdefault(name, []).append(
            Told(one.t, one.received, one.name, _fate(one, cases.get(name, Case())), said)
        )
        if one.faults or name not in leaves:
            leaves[name] = {seen.name: seen for seen in one.leaves}
    for name, case in cases.items():  # what came before a saved state
        known = {told.batch for told in found.get(name, [])}
        older = [Told(f.t, f.received, f.batch, "occasion", {"stream": f.text}) for f in case.facts]
        found[name] = [told for told in older if told.batch not in known] + found.get(name, [])
    return found, leaves


def _fate(one: Posted, case: Case) -> str:
    if not one.faults:
        return "folded"
    digests = {one.known_by(cast("PostFault", fault)) for fault in one.faults}
    if any(fact.digest in digests for fact in case.facts):
        return "occasion"
    return "done" if digests & {*case.seen} else "not kept"
