"""Kind `clock`, check `offset`, for any log: engine, oracle and explanation agree; splits, ticks and restarts change nothing.

Long: the oracle judges all heartbeats of a device again at each of them; make check leaves it to make test.
"""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.examples import examples
from tests.rules import beatlogs
from tests.rules.eventproperties import Kinds

pytestmark = pytest.mark.long

BUNDLE = beatlogs.bundle()
OWN = tuple(rule.id for rule in beatlogs.variants())
QUICK = settings(
    max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
LONG = settings(QUICK, max_examples=3000)
KINDS = Kinds(BUNDLE, beatlogs.FACILITY, OWN, beatlogs.BEGIN, 40 * beatlogs.DAY)
agree = KINDS.agree


@given(beatlogs.logs())
@QUICK
def test_heartbeats_agree_with_the_oracle(log):
    agree(log)


@pytest.mark.slow
@pytest.mark.timeout(3_000)
@given(beatlogs.logs())
@LONG
def test_heartbeats_agree_with_the_oracle_on_many_logs(log):
    """Slow: 3,000 logs, each judged from scratch at every heartbeat."""
    agree(log)


@given(beatlogs.logs(), st.lists(st.integers(1, 40 * beatlogs.HOUR), min_size=1, max_size=9))
@QUICK
def test_splitting_batches_and_more_ticks_change_nothing(log, distances):
    KINDS.splits_change_nothing(log, distances)


@given(beatlogs.logs(), st.data())
@QUICK
def test_a_restart_from_a_snapshot_at_any_record_changes_nothing(log, data):
    KINDS.restarted(log, data.draw(st.integers(1, len(log))))


@given(beatlogs.logs())
@QUICK
def test_explanations_agree_with_the_engine(log):
    KINDS.explained(log)


def test_the_random_logs_reach_every_transition():
    found = Counter()

    @given(beatlogs.logs())
    @settings(QUICK, max_examples=60, derandomize=True, database=None)
    def look(log):
        found.update(KINDS.told(log))

    look()
    for name in OWN:
        kinds = {kind for rule, kind in found if rule == name}
        assert kinds >= {"raised", "cleared", "unknown", "known"}, (name, found)
    assert found[beatlogs.RULE, "stepped"], found
