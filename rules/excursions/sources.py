"""Which rules' alarms are excursions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rules.rule import CompareRule, CumulativeRule, DifferenceRule, FollowUpRule, GapRule, LimitRule
from rules.scale import BY_TEMPERATURE

if TYPE_CHECKING:
    from rules.pack import Bundle
    from rules.rule import Rule


def tells_excursions(rule: Rule) -> bool:
    """Say whether the alarms of a rule are excursions of measured values; a limit that another sensor's temperature chooses is one too."""
    by_temperature = isinstance(rule, DifferenceRule) and rule.pairs == BY_TEMPERATURE
    return by_temperature or isinstance(rule, LimitRule | CumulativeRule)


def sources_of(rule: FollowUpRule | CompareRule, bundle: Bundle) -> frozenset[str]:
    """Return the rules whose alarms a rule hears: of measured values they are excursions, of silences they say that records are missing."""
    named = {*rule.reads}
    return frozenset(
        one.id for one in bundle.rules if one.id in named and (tells_excursions(one) or isinstance(one, GapRule))
    )
