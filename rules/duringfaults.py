"""What a rule that holds only during a declared state needs, and cannot have beside it (kinds `limit`, `cumulative` and `gap` with `during`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rules.declared import LONGEST_MS
from rules.errors import Fault
from rules.rule import SUM_WINDOW, ClearWhen, GapRule, LimitRule, UnknownAfter

if TYPE_CHECKING:
    from rules.rule import CumulativeRule

MOVES = frozenset({"vehicle", "box"})
"""Areas that make trips."""


def during_faults(rule: LimitRule | CumulativeRule | GapRule) -> list[Fault]:
    """Return what makes such a rule mean nothing; pointers are into the rule."""
    if rule.during is None:
        return []
    kinds = rule.applies_to.get("area.kind")
    named = set(kinds) if isinstance(kinds, list) else {kinds}
    candidates = [
        (not named <= MOVES, "/applies_to/area.kind", "only a vehicle or a box makes trips: name these alone"),
        (rule.unknown != UnknownAfter(), "/unknown", "it says what happened: it does not become unknown"),
        (rule.migration == "re-evaluate", "/migration", "a rule during a declared state is not decided again: carry or close"),
        *_of_kind(rule),
    ]  # fmt: skip
    return [Fault(pointer, "during", text) for wrong, pointer, text in candidates if wrong]


def _of_kind(rule: LimitRule | CumulativeRule | GapRule) -> list[tuple[object, str, str]]:
    if isinstance(rule, GapRule):
        return _of_silences(rule)
    return _of_limits(rule) if isinstance(rule, LimitRule) else _of_sums(rule)


def _of_silences(rule: GapRule) -> list[tuple[object, str, str]]:
    silent = None if rule.threshold is None else rule.threshold + rule.grace
    candidates = [
        (rule.groups, "/groups", "a silence of a trip is told series by series: groups: []"),
        (silent is not None and silent >= LONGEST_MS, "/threshold", "no trip lasts so long: thirty days at most"),
    ]
    for i, step in enumerate(rule.severity.steps):
        at = f"/severity/steps/{i}"
        candidates += [
            (step.unless_marked, f"{at}/unless_marked", "a silence of a trip takes its colours whatever was marked"),
            (
                step.after is not None and silent is not None and step.after < silent,
                f"{at}/after", "it is reached before the silence itself is",
            ),
            ((step.after or 0) >= LONGEST_MS, f"{at}/after", "no trip lasts so long: thirty days at most"),
        ]  # fmt: skip
    return candidates


def _of_limits(rule: LimitRule) -> list[tuple[object, str, str]]:
    clear = rule.clear
    return [
        (not clear.latched, "/clear/latched", "what happened during a trip stands until an officer closes it: latched: true"),
        (
            clear.off_delay or clear.deadband not in {0.0, "0%"} or clear.consecutive != ClearWhen().consecutive,
            "/clear", "nothing but an officer ends it: no deadband, no delay, no count of records",
        ),
        (rule.excludes, "/excludes", "it excludes values of other rules, which hold at all times"),
        (rule.smooth is not None, "/smooth", "a mean is judged at all times"),
        (rule.severity.steps, "/severity/steps", "it has one colour"),
    ]  # fmt: skip


def _of_sums(rule: CumulativeRule) -> list[tuple[object, str, str]]:
    return [
        (rule.clear_below, "/clear_below", "nothing but an officer ends it"),
        (rule.window != SUM_WINDOW, "/window", "the sum is that of the whole trip"),
        (rule.idle_while is not None, "/idle_while", "the sum is that of the whole trip, single events and all"),
        (rule.total > LONGEST_MS, "/total", "no trip lasts so long: thirty days at most"),
    ]
