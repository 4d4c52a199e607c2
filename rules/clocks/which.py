"""Which legal clocks may run for a facility: by scope and registered facts, whatever its series are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rules.facts import facts_of_area
from rules.predicate import holds, in_scope
from rules.rule import DeadlineRule

if TYPE_CHECKING:
    from rules.pack import Bundle
    from rules.register import Facility


def clocks_for(facility: Facility, bundle: Bundle) -> tuple[DeadlineRule, ...]:
    """Return the rules of kind `deadline` that the fold evaluates for a facility, by id."""
    facts = facts_of_area(facility, None)
    return tuple(
        rule
        for rule in bundle.rules
        if isinstance(rule, DeadlineRule)
        and rule.stage in {"live", "shadow"}
        and in_scope(rule, facility)
        and holds(rule.applies_to, facts)
    )
