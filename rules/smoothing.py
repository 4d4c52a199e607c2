"""Limit rules that are smoothed: what they are for one sensor, and what keeps a rule from being one (told by lint; a bundle is refused for it)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rules.changes import LimitUsed
from rules.errors import Fault
from rules.kinds.smooth import records_of
from rules.params import smooth_param
from rules.register import Span

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rules.layout import Words
    from rules.register import Sensor
    from rules.rule import LimitRule, Predicate
    from rules.tables import Table


def mean_of(
    rule: LimitRule, sensor: Sensor, high: float, interval: int, delivery: int
) -> tuple[Words, tuple[LimitUsed, ...]] | None:
    """Return the parameters of a smoothed rule on a sensor, and the volumes that evidence names.

    None where it is not known what a record samples, or too little for the window: unknown.
    """
    records, sample = sampled_of(rule, sensor)
    if not records:
        return None
    return smooth_param(rule, high, records, sample, interval, delivery), volumes_of(rule, sample)


def sampled_of(rule: LimitRule, sensor: Sensor) -> tuple[int, float]:
    """Return how many records of a sensor together sample the volume of a smoothed rule (0: unknown), and what one samples (m3)."""
    sample = sensor.sample_m3
    if rule.smooth is None or sample is None:
        return 0, 0.0
    return records_of(rule.smooth.cubic_metres, sample), sample


def volumes_of(rule: LimitRule, sample: float) -> tuple[LimitUsed, ...]:
    """Return the volume that a smoothed rule asks for and what a record samples, as evidence names them."""
    volume = 0.0 if rule.smooth is None else float(rule.smooth.cubic_metres)
    edition = f"{rule.id} {rule.version}"
    return (
        LimitUsed(name="volume", value=volume, unit="m3", origin="rule", edition=edition),
        LimitUsed(name="sample", value=sample, unit="m3", origin="register"),
    )


def smooth_faults(rule: LimitRule, tables: Mapping[str, Table]) -> list[Fault]:
    """Return what a rule that judges a mean cannot have beside it; pointers are into the rule."""
    if rule.smooth is None:
        return []
    clear = rule.clear
    candidates = [
        (rule.excludes, "/excludes", "a mean excludes no single record"),
        (rule.when.consecutive != 1 or rule.when.on_delay, "/when", "a mean opens at once: `early` counts records"),
        (clear.off_delay or clear.deadband not in {0.0, "0%"}, "/clear", "a mean clears by records inside, with no deadband or delay"),
        (rule.severity.steps, "/severity/steps", "its milder colour is that of `smooth.early`, others it has not"),
        (rule.limits.narrower, "/limits/narrower", "a registered limit is one of single records"),
        (not _only_high(rule, tables), "/limits/from", "only an upper limit, literal or of a table without other members, is one of a mean"),
        (rule.migration == "re-evaluate", "/migration", "a mean of rows that have left is not taken anew: carry or close"),
        (
            rule.smooth.early is not None and rule.smooth.early.to.rank >= rule.severity.base.rank,
            "/smooth/early/to", "is not milder than the rule's own colour",
        ),
    ]  # fmt: skip
    return [Fault(pointer, "smooth", text) for wrong, pointer, text in candidates if wrong]


def _only_high(rule: LimitRule, tables: Mapping[str, Table]) -> bool:
    """Say whether all limits that the rule can have are upper ones; a table that is not there is another fault."""
    source = rule.limits.from_
    if isinstance(source, Span):
        return source.low is None and source.high is not None
    if source in tables:
        return all(
            row.limit.low is None and row.limit.high is not None
            and not (row.registered or row.deadband is not None or row.consecutive is not None or row.at is not None)
            for row in tables[source].rows
            if not any(_apart(wanted, rule.applies_to.get(name)) for name, wanted in row.where.items())
        )  # fmt: skip
    return source not in {"sensor", "range"}


def _apart(one: Predicate, other: Predicate | None) -> bool:
    """Say whether no fact can be as both want it, where both name the texts that they take."""
    if not isinstance(one, str | list) or not isinstance(other, str | list):
        return False
    return not _named(one) & _named(other)


def _named(value: str | list[str]) -> set[str]:
    return {value} if isinstance(value, str) else set(value)
