"""Settings that nobody approved, for any log: engine, oracle and explanation agree; splits, ticks and restarts change nothing."""

from __future__ import annotations

from collections import Counter
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rules.rare import store
from tests.examples import examples
from tests.rules import approvallogs
from tests.rules.beatlogs import BEGIN, DAY, FACILITY, HOUR
from tests.rules.eventproperties import Kinds, sent_once

pytestmark = pytest.mark.long

BUNDLE = approvallogs.bundle()
OWN = tuple(rule.id for rule in approvallogs.variants())
QUICK = settings(
    max_examples=examples(100), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
LONG = settings(QUICK, max_examples=3000)
KINDS = Kinds(BUNDLE, FACILITY, OWN, BEGIN, 20 * DAY)


@given(approvallogs.logs())
@QUICK
def test_what_was_set_agrees_with_the_oracle(log):
    KINDS.agree(log)


@pytest.mark.slow
@pytest.mark.timeout(3_000)
@given(approvallogs.logs())
@LONG
def test_what_was_set_agrees_with_the_oracle_on_many_logs(log):
    """Slow: 3,000 logs, each judged from all events at each of them."""
    KINDS.agree(log)


@given(approvallogs.logs(), st.lists(st.integers(1, 40 * HOUR), min_size=1, max_size=9))
@QUICK
def test_splitting_batches_and_more_ticks_change_nothing(log, distances):
    KINDS.splits_change_nothing(sent_once(log), distances)


@given(approvallogs.logs(), st.data())
@QUICK
def test_a_restart_from_a_snapshot_at_any_record_changes_nothing(log, data):
    KINDS.restarted(log, data.draw(st.integers(1, len(log))))


@given(approvallogs.logs(), st.data())
@QUICK
def test_within_bounds_that_are_always_met_nothing_fails_and_a_restart_changes_nothing(log, data):
    with patch.multiple(store, MAX_CHANGES=4, MAX_ALL_FACTS=2):
        whole = KINDS.restarted(log, data.draw(st.integers(1, len(log))))
        for name in OWN:
            cases = whole.state_of(FACILITY).rare.of(name)
            assert all(len(case.facts) <= 3 + 4 for case in cases.values())
            assert cases.held == sum(len(case.facts) for case in cases.values())
    assert "register.rule-failed" not in {change.rule for change in KINDS.run(log, KINDS.until(log))}


@given(approvallogs.logs())
@QUICK
def test_explanations_agree_with_the_engine(log):
    KINDS.explained(log)


def test_the_random_logs_reach_every_transition():
    found = Counter()

    @given(approvallogs.logs())
    @settings(QUICK, max_examples=150, derandomize=True, database=None)
    def look(log):
        found.update(KINDS.told(log))

    look()
    for name in OWN:
        kinds = {kind for rule, kind in found if rule == name}
        assert kinds >= {"raised", "cleared", "amended"} | (set() if "alarms" in name else {"unknown", "known"}), found
        assert "retracted" not in kinds, "lateness stays"
