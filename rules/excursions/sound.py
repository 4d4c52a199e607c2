"""What a rule that holds reports against excursions needs beyond its model (see `rules.soundness`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rules.errors import Fault
from rules.rule import CompareRule, CumulativeRule, FollowUpRule, GapRule, LimitRule

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rules.rule import Rule

UNUSED = (
    "before", "alarm", "trace", "first", "then", "within", "within_before", "lasts_until", "result", "silent", "allowed",
    "settings", "approved_by",
)  # fmt: skip
"""What a follow_up has for events, and no use for with `excursions`."""


def excursion_faults(rule: FollowUpRule | CompareRule) -> list[Fault]:
    """Return what is wrong with a rule; pointers are into the rule."""
    faults = []
    if isinstance(rule, FollowUpRule):
        fields = FollowUpRule.model_fields
        strange = [name for name in UNUSED if getattr(rule, name) != fields[name].default]
        faults += [Fault(f"/{name}", "follow_up", f"of excursions there is no {name}") for name in strange]
    elif rule.wait <= 0:
        faults.append(Fault("/wait", "compare", "above nothing: an alarm is told behind the report that it is about"))
    told = "it looks at reports: it knows facts of the facility"
    strange = [name for name in rule.applies_to if not name.startswith("facility.")]
    faults += [Fault(f"/applies_to/{name}", "predicate", told) for name in strange]
    if not rule.reads:
        faults.append(Fault("/reads", "excursions", "the rules whose alarms are excursions are named here"))
    return faults


def source_faults(rule: Rule, others: Iterable[Rule]) -> list[Fault]:
    """Return why the rules that one reads tell no excursions; one that is not here tells nothing.

    Silences (kind gap) say for a comparison that records are missing. A cumulative alarm does not last from the first value outside
    to the first inside, and so measures nothing.
    """
    if not isinstance(rule, FollowUpRule | CompareRule) or rule.excursions is None:
        return []
    compares = isinstance(rule, CompareRule)
    fits = LimitRule | GapRule if compares else LimitRule | CumulativeRule
    kinds = "limit and gap" if compares else "limit and cumulative"
    known = {one.id: one for one in others}
    read = [(i, known[name]) for i, name in enumerate(rule.reads) if name in known]
    faults = [
        Fault(f"/reads/{i}", "excursions", f"{one.id} is of the kind {one.kind}: {kinds} are meant here")
        for i, one in read
        if not isinstance(one, fits)
    ]
    if read and not any(isinstance(one, LimitRule | CumulativeRule) for _, one in read):
        faults.append(Fault("/reads", "excursions", "one of them at least tells excursions"))
    return faults
