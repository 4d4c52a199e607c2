"""What a limit that holds only during a declared state needs, and cannot have beside it (kind `limit` with `during`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rules.errors import Fault
from rules.rule import ClearWhen, UnknownAfter

if TYPE_CHECKING:
    from rules.rule import LimitRule

MOVES = frozenset({"vehicle", "box"})
"""Areas that make trips."""


def during_faults(rule: LimitRule) -> list[Fault]:
    """Return what makes such a rule mean nothing; pointers are into the rule."""
    if rule.during is None:
        return []
    kinds = rule.applies_to.get("area.kind")
    named = set(kinds) if isinstance(kinds, list) else {kinds}
    clear = rule.clear
    candidates = [
        (not named <= MOVES, "/applies_to/area.kind", "only a vehicle or a box makes trips: name these alone"),
        (not clear.latched, "/clear/latched", "what happened during a trip stands until an officer closes it: latched: true"),
        (
            clear.off_delay or clear.deadband not in {0.0, "0%"} or clear.consecutive != ClearWhen().consecutive,
            "/clear", "nothing but an officer ends it: no deadband, no delay, no count of records",
        ),
        (rule.excludes, "/excludes", "it excludes values of other rules, which hold at all times"),
        (rule.smooth is not None, "/smooth", "a mean is judged at all times"),
        (rule.severity.steps, "/severity/steps", "it has one colour"),
        (rule.unknown != UnknownAfter(), "/unknown", "what is latched says what happened: it does not become unknown"),
        (rule.migration == "re-evaluate", "/migration", "a rule during a declared state is not decided again: carry or close"),
    ]  # fmt: skip
    return [Fault(pointer, "during", text) for wrong, pointer, text in candidates if wrong]
