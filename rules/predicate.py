"""`applies_to`: closed, typed predicates over register facts, decided when the register changes, never per reading."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rules.facts import FACTS, FactValue

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rules.register import Facility
    from rules.rule import Predicate, Rule


def holds(wanted: Mapping[str, Predicate], facts: Mapping[str, FactValue]) -> bool:
    """Say whether every named fact has (one of) the wanted value(s); a list fact needs one in common.

    >>> holds({"area.kind": ["cold-room", "refrigerator"]}, {"area.kind": "cold-room"})
    True
    """
    return all(_has(facts.get(name), value) for name, value in wanted.items())


def _has(fact: FactValue, wanted: Predicate) -> bool:
    choices = wanted if isinstance(wanted, list) else [wanted]
    if isinstance(fact, list):
        return any(choice in fact for choice in choices)
    return fact in choices


def in_scope(rule: Rule, facility: Facility) -> bool:
    """Say whether one of the rule's (field, line) pairs is the facility's; `all` matches anything."""
    return any(
        (scope.field == "all" or any(scope.field == own.field for own in facility.scopes))
        and (
            scope.line == "all"
            or any(scope.line == own.line and scope.field in {"all", own.field} for own in facility.scopes)
        )
        for scope in rule.scopes
    )


def matches(rule: Rule, facility: Facility, facts: Mapping[str, FactValue]) -> bool:
    """Say whether `rule` watches the sensor that `facts` describe."""
    return in_scope(rule, facility) and holds(rule.applies_to, facts)


def faults(applies_to: Mapping[str, Predicate]) -> list[tuple[str, str]]:
    """Return (name, what is wrong) for unknown facts and values of the wrong type."""
    found: list[tuple[str, str]] = []
    for name, value in applies_to.items():
        if name not in FACTS:
            found.append((name, f"no such fact; known are {', '.join(sorted(FACTS))}"))
            continue
        wanted = bool if FACTS[name] is bool else str
        values = value if isinstance(value, list) else [value]
        if not values or any(type(v) is not wanted for v in values):
            found.append((name, f"takes {'true or false' if wanted is bool else 'text or a list of texts'}"))
    return found
