"""What a rule that holds reports against excursions needs beyond its model (see `rules.soundness`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rules.clocksound import member_faults, members_of, model_of, takes
from rules.errors import Fault
from rules.excursions.sources import tells_excursions
from rules.reports.types import TYPES
from rules.rule import CompareRule, FollowUpRule, GapRule, LimitRule

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rules.rule import Rule

DEVIATION = "deviation"
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
    if isinstance(rule, CompareRule) and rule.figures:
        return faults + _figure_faults(rule)
    if isinstance(rule, CompareRule) and rule.report != DEVIATION:
        faults.append(Fault("/report", "compare", f"duration and peak are what a {DEVIATION} says"))
    told = "it looks at reports: it knows facts of the facility"
    strange = [name for name in rule.applies_to if not name.startswith("facility.")]
    faults += [Fault(f"/applies_to/{name}", "predicate", told) for name in strange]
    if not rule.reads:
        faults.append(Fault("/reads", "excursions", "the rules whose alarms are excursions are named here"))
    return faults


def _figure_faults(rule: CompareRule) -> list[Fault]:
    """Return what is wrong with the figures of a rule, or with what they are compared with."""
    faults = [*_member_faults(rule)]
    names = [one.of for one in rule.figures]
    faults += [Fault(f"/figures/{i}", "compare", f"{n} stands twice") for i, n in enumerate(names) if n in names[:i]]
    quantity = rule.applies_to.get("sensor.quantity")
    if not isinstance(quantity, str):
        faults.append(Fault("/applies_to", "predicate", "one sensor.quantity is named: its values are compared"))
    elif "mean-kinetic" in names and quantity != "temperature":
        faults.append(
            Fault("/applies_to/sensor.quantity", "predicate", "a mean kinetic temperature is one of temperatures")
        )
    if (rule.excursions is None) == bool(rule.reads):
        faults.append(
            Fault("/reads", "excursions", "the rules whose alarms are excursions are named, where they are counted")
        )
    return faults


def _member_faults(rule: CompareRule) -> Iterator[Fault]:
    """Yield the members that the report does not have, or that cannot be what is compared."""
    model = model_of(rule.report)
    if model is None:
        yield Fault("/report", "unknown_value", f"no type of report; known are {', '.join(TYPES)}")
        return
    assert rule.time is not None  # noqa: S101 - validated
    for at, name in (("from", rule.time.from_), ("to", rule.time.to)):
        if name is not None:
            yield from member_faults(f"/time/{at}", rule.report, name, instant=True, days=False)
    members = members_of(model)
    named: list[tuple[str, str, tuple[object, ...]]] = [
        (f"/figures/{i}/field", one.field, (1.5, 1)) for i, one in enumerate(rule.figures)
    ]
    named += [("/time/period", name, (2026, "2026")) for name in (rule.time.period,) if name is not None]
    named += [("/asset", name, ("x",)) for name in (rule.asset,) if name is not None]
    for at, path, tried in named:
        name, _, inner = path.partition(".")
        member = members.get(name)
        if member is None:
            yield Fault(at, "unknown_member", f"{rule.report} has no {name}")
            continue
        values = [{inner: value} for value in tried] if inner else [*tried]
        strange = at == "/time/period" and (takes(member, 2026.5) or takes(member, "x"))
        if strange or not any(takes(member, value) for value in values):
            yield Fault(at, "wrong_type", f"{path} of {rule.report} is not what is compared here")


def source_faults(rule: Rule, others: Iterable[Rule]) -> list[Fault]:
    """Return why the rules that one reads tell no excursions; one that is not here tells nothing.

    Silences (kind gap) say for a comparison that records are missing. A cumulative alarm does not last from the first value outside
    to the first inside, and the peak of a limit by temperature is how far it was passed: neither is what a deviation states.
    """
    if not isinstance(rule, FollowUpRule | CompareRule) or rule.excursions is None:
        return []
    compares = isinstance(rule, CompareRule) and not rule.figures
    kinds = "limit and gap" if compares else "limit (also difference by-temperature) and cumulative"
    known = {one.id: one for one in others}
    read = [(i, known[name]) for i, name in enumerate(rule.reads) if name in known]
    faults = [
        Fault(f"/reads/{i}", "excursions", f"{one.id} is of the kind {one.kind}: {kinds} are meant here")
        for i, one in read
        if not (isinstance(one, LimitRule | GapRule) if compares else tells_excursions(one))
    ]
    if read and not any(tells_excursions(one) for _, one in read):
        faults.append(Fault("/reads", "excursions", "one of them at least tells excursions"))
    return faults
