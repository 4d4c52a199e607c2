"""Kinds `cumulative` and `mean_kinetic`: engine and oracle agree over random logs; splits, restarts and late rows change nothing.

Long: a year of rows for each example; make check leaves it to make test.
"""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.examples import examples, until_met
from tests.rules import logs, sums
from tests.rules.seriesproperties import Kinds

pytestmark = pytest.mark.long

QUICK = settings(
    max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
LONG = settings(QUICK, max_examples=3000)
KINDS = Kinds(sums.bundle(), ("test.sum", "test.sum-idle", "test.sum-low", "test.mean"), 40 * sums.DAY)


@given(st.one_of(logs.logs(), sums.hours(), sums.hours()))
@QUICK
def test_sums_agree_with_the_oracle(drawn):
    KINDS.agree(drawn)


@given(sums.years())
@QUICK
def test_means_agree_with_the_oracle(drawn):
    KINDS.agree(drawn)


@pytest.mark.slow
@pytest.mark.timeout(3_000)
@given(st.one_of(logs.logs(), sums.hours(), sums.hours()))
@LONG
def test_sums_agree_with_the_oracle_on_many_logs(drawn):
    """Slow: 3,000 logs, each folded by the oracle too."""
    KINDS.agree(drawn)


@pytest.mark.slow
@pytest.mark.timeout(3_000)
@given(sums.years())
@LONG
def test_means_agree_with_the_oracle_on_many_logs(drawn):
    """Slow: 3,000 logs of a year and more, each folded by the oracle too."""
    KINDS.agree(drawn)


@pytest.mark.parametrize("strategy", [sums.hours(), sums.years()], ids=["sums", "means"])
def test_splitting_batches_of_one_instant_changes_nothing(strategy):
    @given(strategy, st.randoms(use_true_random=False))
    @QUICK
    def changes_nothing(drawn, random):
        KINDS.splits_change_nothing(drawn, random)

    changes_nothing()


@pytest.mark.parametrize("strategy", [sums.hours(), sums.years()], ids=["sums", "means"])
def test_a_restart_from_a_snapshot_at_any_record_changes_nothing(strategy):
    @given(strategy, st.data())
    @QUICK
    def changes_nothing(drawn, data):
        KINDS.restarts_change_nothing(drawn, data)

    changes_nothing()


def test_the_random_logs_reach_every_transition():
    found, wanted = Counter(), {"raised", "cleared", "unknown", "known"}

    def look(drawn):
        _, log, until = KINDS.log(drawn)
        found.update((c.rule, c.change.value) for c in KINDS.run(log, until) if c.rule in KINDS.own)

    def missing():
        told = {name: {kind for rule, kind in found if rule == name} for name in KINDS.own}
        lacking = {name: wanted - kinds for name, kinds in told.items() if wanted - kinds}
        return lacking or {"retracted", "amended"} - {kind for _, kind in found}

    until_met(st.one_of(sums.hours(), sums.years()), look, lambda: not missing(), most=800)
    assert not missing(), (missing(), found)
