"""Marked time of a month, for any log: engine, oracle and explanation agree; splits, ticks and restarts change nothing."""

from __future__ import annotations

from collections import Counter
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rules.rare import share, store
from tests.examples import examples
from tests.rules import sharelogs
from tests.rules.eventproperties import Kinds, event_by_event
from tests.rules.splits import split
from tests.rules.test_engine_properties import without_records

pytestmark = pytest.mark.long

BUNDLE = sharelogs.bundle()
OWN = tuple(rule.id for rule in sharelogs.variants())
QUICK = settings(
    max_examples=examples(100), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
LONG = settings(QUICK, max_examples=3000)
KINDS = Kinds(BUNDLE, sharelogs.FACILITY, OWN, sharelogs.MONTH_END - 40 * sharelogs.DAY, 36 * sharelogs.DAY)


@given(sharelogs.logs())
@QUICK
def test_shares_agree_with_the_oracle(log):
    KINDS.agree(log)


@pytest.mark.slow
@pytest.mark.timeout(3_000)
@given(sharelogs.logs())
@LONG
def test_shares_agree_with_the_oracle_on_many_logs(log):
    """Slow: 3,000 logs, each month judged from all marks and rows at each midnight."""
    KINDS.agree(log)


@given(sharelogs.logs(), st.randoms(use_true_random=False))
@QUICK
def test_splitting_batches_changes_nothing(log, random):
    once = Counter(getattr(record.payload, "batch", "") for record in log)
    log = [
        record for record in log if once[getattr(record.payload, "batch", "")] == 1 or record.kind.value != "readings"
    ]
    until = KINDS.until(log)
    assert without_records(KINDS.run(split(log, random), until)) == without_records(KINDS.run(log, until))


@given(sharelogs.logs(), st.lists(st.integers(1, 40 * sharelogs.HOUR), min_size=1, max_size=9))
@QUICK
def test_more_ticks_change_nothing(log, distances):
    until = KINDS.until(log)
    ticking = event_by_event(log, distances, KINDS.begin)
    assert without_records(KINDS.run(ticking, until)) == without_records(KINDS.run(log, until))


@given(sharelogs.logs(), st.data())
@QUICK
def test_a_restart_from_a_snapshot_at_any_record_changes_nothing(log, data):
    KINDS.restarted(log, data.draw(st.integers(1, len(log))))


@given(sharelogs.logs(), st.data())
@QUICK
def test_within_bounds_that_are_always_met_nothing_fails_and_a_restart_changes_nothing(log, data):
    with patch.object(share, "MAX_SPANS", 2), patch.object(store, "MAX_ALL_FACTS", 3):
        whole = KINDS.restarted(log, data.draw(st.integers(1, len(log))))
        for name in OWN:
            cases = whole.state_of(sharelogs.FACILITY).rare.of(name)
            assert all(len(case.facts) <= 2 for case in cases.values())
            assert cases.held == sum(len(case.facts) for case in cases.values())
    assert "register.rule-failed" not in {change.rule for change in KINDS.run(log, KINDS.until(log))}


@given(sharelogs.logs())
@QUICK
def test_explanations_agree_with_the_engine(log):
    KINDS.explained(log)


def test_the_random_logs_reach_every_transition():
    found = Counter()

    @given(sharelogs.logs())
    @settings(QUICK, max_examples=200, derandomize=True, database=None)
    def look(log):
        found.update(KINDS.told(log))

    look()
    for name in OWN:
        kinds = {kind for rule, kind in found if rule == name}
        own = set() if name == "test.one" else {"stepped"}
        assert kinds >= {"raised", "cleared", "unknown", "known"} | own, (name, found)
