"""`applies_to`: closed, typed predicates over register facts, decided when the register changes, never per reading."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from rules.facts import FACTS, FactValue
from rules.rule import Among

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rules.register import Facility, Scope
    from rules.rule import Predicate, Rule


class Scoped(Protocol):
    """What has scopes as a facility has."""

    @property
    def scopes(self) -> Sequence[Scope]:
        """Return the (field, line) pairs."""


def holds(wanted: Mapping[str, Predicate], facts: Mapping[str, FactValue]) -> bool:
    """Say whether every named fact has (one of) the wanted value(s); a list fact needs one in common.

    A fact that is not registered has no value: it is in no list, in no span, and neither true nor false.

    >>> holds({"area.kind": ["cold-room", "refrigerator"]}, {"area.kind": "cold-room"})
    True
    >>> holds({"area.floor_m2": Among(min=300)}, {"area.floor_m2": 299.5})
    False
    """
    return all(_has(facts.get(name), value) for name, value in wanted.items())


def _has(fact: FactValue, wanted: Predicate) -> bool:
    if isinstance(wanted, Among):
        return _lies(fact, wanted)
    choices = wanted if isinstance(wanted, list) else [wanted]
    if isinstance(fact, list):
        return any(choice in fact for choice in choices)
    return fact in choices


def _lies(fact: FactValue, wanted: Among) -> bool:
    if wanted.registered is not None and wanted.registered != (fact is not None and fact != []):
        return False
    if wanted.min is None and wanted.max is None:
        return True
    if not isinstance(fact, float | int):
        return False
    return (wanted.min is None or fact >= wanted.min) and (wanted.max is None or fact <= wanted.max)


def in_scope(rule: Rule, facility: Facility | Scoped) -> bool:
    """Say whether one of the rule's (field, line) pairs is the facility's; `all` matches anything, on either side."""
    return covers(rule.scopes, facility.scopes)


def covers(wanted: Sequence[Scope], scopes: Sequence[Scope]) -> bool:
    """Say whether one of the wanted (field, line) pairs is among a facility's; `all` matches anything, on either side.

    What is for all fields and lines also covers a facility without scopes.
    """
    return any(
        scope.field == scope.line == "all"
        or any(
            (scope.field == "all" or own.field in {"all", scope.field})
            and (scope.line == "all" or own.line in {"all", scope.line})
            for own in scopes
        )
        for scope in wanted
    )


def matches(rule: Rule, facility: Facility | Scoped, facts: Mapping[str, FactValue]) -> bool:
    """Say whether `rule` watches the sensor that `facts` describe."""
    return in_scope(rule, facility) and holds(rule.applies_to, facts)


def faults(applies_to: Mapping[str, Predicate]) -> list[tuple[str, str]]:
    """Return (name, what is wrong) for unknown facts and values of the wrong type."""
    found: list[tuple[str, str]] = []
    for name, value in applies_to.items():
        if name not in FACTS:
            found.append((name, f"no such fact; known are {', '.join(sorted(FACTS))}"))
            continue
        if text := _wrong(FACTS[name], value):
            found.append((name, text))
    return found


_TAKES = {
    bool: "takes true or false, or {registered: true or false}",
    float: "takes a span of numbers such as {min: 300} or {min: 2, max: 8}, or {registered: true or false}",
    str: "takes a text or a list of texts, or {registered: true or false}",
}


def _wrong(kind: type, value: Predicate) -> str:
    """Return what is wrong with what is wanted of a fact of a kind; empty if nothing is."""
    kind = str if kind is list else kind
    if isinstance(value, Among):
        bounded = value.min is not None or value.max is not None
        if (bounded and kind is not float) or (not bounded and value.registered is None):
            return _TAKES[kind]
        if bounded and value.registered is not None:
            return "a number in a span is registered: give the span alone"
        if value.min is not None and value.max is not None and value.min > value.max:
            return "no number lies there: min is above max"
        return ""
    values = value if isinstance(value, list) else [value]
    fits = kind is not float and values and all(type(v) is kind for v in values) and (kind is str or value is values[0])
    return "" if fits else _TAKES[kind]
