"""Kind `steadiness` for any log: engine, oracle and leaves agree; splits, restarts and late rows change nothing."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.examples import examples, until_met
from tests.rules import logs, steadylogs
from tests.rules.seriesproperties import Kinds

QUICK = settings(
    max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
LONG = settings(QUICK, max_examples=3000)

LATE = ("raised late", "retracted")
"""What late rows do now and then, of any of the rules."""
KINDS = Kinds(steadylogs.bundle(), steadylogs.NAMES)


@given(steadylogs.weeks())
@QUICK
def test_weeks_agree_with_the_oracle(drawn):
    KINDS.agree(drawn)


@pytest.mark.slow
@pytest.mark.timeout(6_000)
@given(st.one_of(logs.logs(), steadylogs.weeks(), steadylogs.weeks(), steadylogs.weeks()))
@LONG
def test_weeks_agree_with_the_oracle_on_many_logs(drawn):
    """Slow: 3,000 logs, each folded by the oracle too."""
    KINDS.agree(drawn)


@given(steadylogs.weeks(), st.randoms(use_true_random=False))
@QUICK
def test_splitting_batches_of_one_instant_changes_nothing(drawn, random):
    KINDS.splits_change_nothing(drawn, random)


@given(steadylogs.weeks(), st.data())
@QUICK
def test_a_restart_from_a_snapshot_at_any_record_changes_nothing(drawn, data):
    KINDS.restarts_change_nothing(drawn, data)


@given(steadylogs.weeks())
@settings(QUICK, max_examples=examples(10))
def test_an_alarm_stands_in_the_leaves_when_it_stands_in_the_engine(drawn):
    KINDS.stands_in_the_leaves(drawn, "narrow", "at_limit")


def test_the_random_logs_reach_every_transition():
    found, wanted = Counter(), {"raised", "cleared"}

    def missing():
        told = {name: {kind for rule, kind in found if rule == name} for name in KINDS.own}
        late = {kind: sum(many for (_, told), many in found.items() if told == kind) for kind in LATE}
        return {name: wanted - kinds for name, kinds in told.items() if wanted - kinds} or min(late.values()) < 1

    until_met(steadylogs.weeks(), lambda drawn: found.update(KINDS.told(drawn)), lambda: not missing(), most=300)
    assert not missing(), (missing(), found)
