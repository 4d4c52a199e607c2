"""What a rule that holds only during a declared state needs, and cannot have beside it (kinds `limit`, `cumulative` and `gap` with `during`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rules.declared import FILLING, LONGEST_MS, TRIP
from rules.errors import Fault
from rules.rule import SUM_WINDOW, ClearWhen, GapRule, LimitRule, UnknownAfter

if TYPE_CHECKING:
    from rules.rule import CumulativeRule

PLACES = {TRIP: frozenset({"vehicle", "box"}), FILLING: frozenset({"cleanroom"})}
"""Declared state -> the kinds of areas that can be in it."""
_ONLY = {
    TRIP: "only a vehicle or a box makes trips: name these alone", FILLING: "it is filled in clean rooms: name these alone",
}  # fmt: skip


def during_faults(rule: LimitRule | CumulativeRule | GapRule) -> list[Fault]:
    """Return what makes such a rule mean nothing; pointers are into the rule."""
    if rule.during is None:
        return _of_plain_silences(rule) if isinstance(rule, GapRule) else []
    kinds = rule.applies_to.get("area.kind")
    named = set(kinds) if isinstance(kinds, list) else {kinds}
    candidates = [
        (not named <= PLACES[rule.during], "/applies_to/area.kind", _ONLY[rule.during]),
        (rule.unknown != UnknownAfter(), "/unknown", "it says what happened: it does not become unknown"),
        (rule.migration == "re-evaluate", "/migration", "a rule during a declared state is not decided again: carry or close"),
        *_of_kind(rule),
    ]  # fmt: skip
    return [Fault(pointer, "during", text) for wrong, pointer, text in candidates if wrong]


def _of_kind(rule: LimitRule | CumulativeRule | GapRule) -> list[tuple[object, str, str]]:
    if isinstance(rule, GapRule):
        return _of_silences(rule)
    return _of_limits(rule) if isinstance(rule, LimitRule) else _of_sums(rule)


def _of_plain_silences(rule: GapRule) -> list[Fault]:
    candidates = [
        (rule.records == "good", "/records", "a silence at all times ends with records of any quality"),
        (rule.off is not None, "/off", "a monitor is asked for only during filling"),
    ]
    return [Fault(pointer, "during", text) for wrong, pointer, text in candidates if wrong]


def _of_silences(rule: GapRule) -> list[tuple[object, str, str]]:
    silent = None if rule.threshold is None else rule.threshold + rule.grace
    candidates = [
        (rule.groups, "/groups", "a silence of a trip is told series by series: groups: []"),
        (silent is not None and silent >= LONGEST_MS, "/threshold", "no trip lasts so long: thirty days at most"),
        ((rule.at_least or 0) >= LONGEST_MS, "/at_least", "no declared state lasts so long: thirty days at most"),
        (rule.off is not None and rule.during != FILLING, "/off", "a monitor is asked for only during filling"),
        (
            rule.off is not None and rule.severity.steps,
            "/severity/steps",
            "where a monitor is off nothing is counted that a step could reach: one colour",
        ),
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
