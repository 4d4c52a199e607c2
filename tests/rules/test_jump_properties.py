"""Kind `jump`, for any log: engine, oracle and leaves agree; splits, restarts and late rows change nothing."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.examples import examples
from tests.rules import jumplogs, logs
from tests.rules.seriesproperties import Kinds

QUICK = settings(
    max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
LONG = settings(QUICK, max_examples=3000)

KINDS = Kinds(jumplogs.bundle(), ("test.leap", "test.rise", "test.fall"))


@given(st.one_of(logs.logs(), jumplogs.leaps(), jumplogs.leaps()))
@QUICK
def test_jumps_agree_with_the_oracle(drawn):
    KINDS.agree(drawn)


@pytest.mark.slow
@pytest.mark.timeout(3_000)
@given(st.one_of(logs.logs(), jumplogs.leaps(), jumplogs.leaps()))
@LONG
def test_jumps_agree_with_the_oracle_on_many_logs(drawn):
    """Slow: 3,000 logs, each folded by the oracle too."""
    KINDS.agree(drawn)


@given(jumplogs.leaps(), st.randoms(use_true_random=False))
@QUICK
def test_splitting_batches_of_one_instant_changes_nothing(drawn, random):
    KINDS.splits_change_nothing(drawn, random)


@given(jumplogs.leaps(), st.data())
@QUICK
def test_a_restart_from_a_snapshot_at_any_record_changes_nothing(drawn, data):
    KINDS.restarts_change_nothing(drawn, data)


@given(jumplogs.leaps())
@QUICK
def test_an_alarm_stands_in_the_leaves_when_it_stands_in_the_engine(drawn):
    KINDS.stands_in_the_leaves(drawn, "above", "below")


def test_the_random_logs_reach_every_transition():
    found = Counter()

    @given(jumplogs.leaps())
    @settings(QUICK, max_examples=150, derandomize=True, database=None)
    def look(drawn):
        found.update(KINDS.told(drawn))

    look()
    for name in KINDS.own:
        kinds = {kind for rule, kind in found if rule == name}
        assert kinds >= {"raised", "raised late", "cleared", "unknown", "known", "retracted", "amended"}, (name, found)
