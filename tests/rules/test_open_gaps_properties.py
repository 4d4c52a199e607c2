"""Open gaps behind the horizon, for any log: engine and oracle agree; splits and restarts change nothing."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rules import opengaps
from tests.examples import examples, until_met
from tests.rules import opengaplogs
from tests.rules.seriesproperties import Kinds

QUICK = settings(
    max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
LONG = settings(QUICK, max_examples=2000)
KINDS = Kinds(opengaplogs.bundle(), opengaplogs.NAMES)


@given(opengaplogs.back_filled())
@QUICK
def test_open_gaps_agree_with_the_oracle(drawn):
    KINDS.agree(drawn)


@pytest.mark.slow
@pytest.mark.timeout(3_000)
@given(opengaplogs.back_filled())
@LONG
def test_open_gaps_agree_with_the_oracle_on_many_logs(drawn):
    """Slow: 2,000 logs, each folded by the oracle too."""
    KINDS.agree(drawn)


@given(opengaplogs.back_filled(), st.randoms(use_true_random=False))
@QUICK
def test_splitting_batches_of_one_instant_changes_nothing(drawn, random):
    KINDS.splits_change_nothing(drawn, random)


@given(opengaplogs.back_filled(), st.data())
@QUICK
def test_a_restart_from_a_snapshot_at_any_record_changes_nothing(drawn, data):
    KINDS.restarts_change_nothing(drawn, data)


def test_the_random_logs_fill_gaps_that_meet_and_that_do_not(monkeypatch):
    found, taken, meet = Counter(), Counter(), opengaps._meet

    def seen(state, instance, gap, *rest):
        result, again = meet(state, instance, gap, *rest), len(rest[-2].again)
        taken[("meets" if result else "does not"), "from the tails" if result and again else ""] += 1
        return result

    monkeypatch.setattr(opengaps, "_meet", seen)
    wanted = {("meets", ""): 50, ("meets", "from the tails"): 5, ("does not", ""): 5}

    def missing():
        return {what for what, n in wanted.items() if taken[what] < n} | (set(KINDS.own) - {rule for rule, _ in found})

    until_met(opengaplogs.back_filled(), lambda drawn: found.update(KINDS.told(drawn)), lambda: not missing(), most=300)
    assert not missing(), (missing(), taken)
