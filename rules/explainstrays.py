"""Explanations of readings whose tag the register does not hold: each batch that had some, and what is kept of the tag."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rules.explainparts import Told
from rules.leaves.strays import came_of
from rules.rare.store import Case, text_of

if TYPE_CHECKING:
    from rules.leaves.model import Seen
    from rules.records import LogRecord
    from rules.rule import RegisterCheckRule
    from rules.state import FacilityState


def strays_of(
    rule: RegisterCheckRule, log: list[LogRecord], state: FacilityState, at: int
) -> tuple[dict[str, list[Told]], dict[str, dict[str, Seen]]]:
    """Return what became of the batches with readings of tags that were not in force, and the leaves of the newest, by subject.

    Args:
        rule: of the check.
        log: records of the facility up to `at`.
        state: of the facility at `at`.
        at: log time, ms.
    """
    found: dict[str, list[Told]] = {}
    leaves: dict[str, dict[str, Seen]] = {}
    came, sent = came_of(rule, log, at)
    strange = {one.tag for one in came if not one.registered}
    for one in came:
        if one.tag not in strange:
            continue
        name = text_of({"tag": one.tag})
        fact = next(iter(state.rare.of(rule.id).get(name, Case()).facts), None)
        said: dict[str, Any] = {"stream": "readings", "type": one.tag, "readings": one.many}
        told = Told(one.t, one.received, one.batch, "not kept", said)
        if not one.new:
            told.fate = "again"
        elif one.registered:
            told.fate = "not meant"
        elif fact is not None and one.received >= fact.t:
            told.fate = "occasion" if fact.counts else "counted"
        found.setdefault(name, []).append(told)
        leaves[name] = {seen.name: seen for seen in one.leaves} if one.new else leaves.get(name, {})
    for tag, seen in sent.items():
        leaves[text_of({"tag": tag})][seen.name] = seen
    return found, leaves
