"""Which rules' alarms are excursions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rules.rule import CompareRule, CumulativeRule, FollowUpRule, GapRule, LimitRule

if TYPE_CHECKING:
    from rules.pack import Bundle


def sources_of(rule: FollowUpRule | CompareRule, bundle: Bundle) -> frozenset[str]:
    """Return the rules whose alarms a rule hears: of measured values they are excursions, of silences they say that records are missing."""
    named = {*rule.reads}
    return frozenset(
        one.id for one in bundle.rules if one.id in named and isinstance(one, LimitRule | CumulativeRule | GapRule)
    )
