"""Which rules the two cross-checks of excursions read: all of the four packs that tell one (settled.md), so that a new rule is not forgotten."""

from __future__ import annotations

import pytest

from rules.excursions.sound import source_faults
from rules.excursions.sources import sources_of, tells_excursions
from rules.pack import default_bundle
from rules.rule import CompareRule, FollowUpRule, LimitRule

BUNDLE = default_bundle()
PACKS = ("cold-chain", "cell-storage", "cleanroom", "water")
NONE, WRONG = "cross-check.excursion-no-deviation", "cross-check.deviation-misstated"
TOLD = sorted(rule.id for rule in BUNDLE.rules if rule.id.split(".")[0] in PACKS and tells_excursions(rule))
NOT_MEASURED = {
    "cold-chain.ship-hot": "begins far beyond the limits of the goods: what a deviation states lasts longer",
    "cold-chain.ship-freeze": "likewise",
}
"""Limit rules whose alarms are not as long as the time outside the limits."""


def follow() -> FollowUpRule:
    rule = BUNDLE.rule(NONE)
    assert isinstance(rule, FollowUpRule)
    return rule


def compare() -> CompareRule:
    rule = BUNDLE.rule(WRONG)
    assert isinstance(rule, CompareRule)
    return rule


def test_the_missing_report_is_asked_for_by_every_rule_that_tells_an_excursion() -> None:
    assert sorted(follow().reads) == TOLD
    assert sources_of(follow(), BUNDLE) == {*TOLD}
    assert {"water.chp-conductivity", "water.stage1", "water.toc"} <= {*TOLD}


def test_the_comparison_reads_every_limit_rule_that_measures_and_the_silences() -> None:
    limits = {name for name in TOLD if isinstance(BUNDLE.rule(name), LimitRule)}
    assert {*NOT_MEASURED} <= limits
    assert {*compare().reads} == (limits - {*NOT_MEASURED}) | {"data-integrity.gap"}


def test_pressure_and_results_of_a_laboratory_tell_no_excursion() -> None:
    """The catalogue has pressure as difference; settled.md means limits and sums of telemetry."""
    others = ("cleanroom.pressure-low", "cleanroom.pressure-reversed", "water.microbial", "cold-chain.interval-storage")
    assert [tells_excursions(BUNDLE.rule(name)) for name in others] == [False] * 4


@pytest.mark.parametrize(("name", "follows", "compares"), [
    ("water.chp-conductivity", True, False), ("cold-chain.warm-cumulative", True, False), ("cold-chain.store-out", True, True),
    ("cleanroom.pressure-low", False, False), ("data-integrity.gap", False, True),
])  # fmt: skip
def test_lint_says_which_kinds_may_be_read(name: str, follows: bool, compares: bool) -> None:
    store = "cold-chain.store-out"
    for rule, fits in ((follow(), follows), (compare(), compares)):
        faults = source_faults(rule.model_copy(update={"reads": [store, name]}), BUNDLE.rules)
        assert [fault.pointer for fault in faults] == ([] if fits else ["/reads/1"])
