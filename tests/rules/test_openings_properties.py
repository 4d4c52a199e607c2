"""Openings that a sensor does not show, for any log: engine, oracle and explanation agree; splits, ticks and restarts change nothing."""

from __future__ import annotations

from collections import Counter
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rules.rare import store
from rules.rare.openings import told_of, verdicts_of
from tests.examples import examples
from tests.rules import doorlogs
from tests.rules.eventproperties import Kinds
from tests.rules.splits import row_by_row, split
from tests.rules.test_engine_properties import without_records

pytestmark = pytest.mark.long

BUNDLE = doorlogs.bundle()
OWN = tuple(rule.id for rule in doorlogs.variants())
QUICK = settings(
    max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
LONG = settings(QUICK, max_examples=3000)
KINDS = Kinds(BUNDLE, doorlogs.FACILITY, OWN, doorlogs.BEGIN - doorlogs.HOUR, doorlogs.HOUR)


def agree(log):
    """Compare with the oracle, which forgets nothing: a link that is away for hours brings more events than a sensor keeps."""
    with patch.object(store, "MAX_DOOR", 1_000):
        KINDS.agree(log)


@given(doorlogs.logs())
@QUICK
def test_openings_agree_with_the_oracle(log):
    agree(log)


@pytest.mark.slow
@pytest.mark.timeout(3_000)
@given(doorlogs.logs())
@LONG
def test_openings_agree_with_the_oracle_on_many_logs(log):
    """Slow: 3,000 logs, each opening held against all rows of the horizon and all events."""
    agree(log)


@given(doorlogs.logs(), st.randoms(use_true_random=False), st.booleans())
@QUICK
def test_how_rows_are_batched_changes_nothing(log, random, single):
    until = KINDS.until(log)
    other = row_by_row(log) if single else split(log, random)
    assert without_records(KINDS.run(other, until)) == without_records(KINDS.run(log, until))


@given(doorlogs.logs(), st.lists(st.integers(1, 40 * doorlogs.MINUTE), min_size=1, max_size=9))
@QUICK
def test_neither_splits_of_batches_of_events_nor_more_ticks_change_anything(log, distances):
    KINDS.splits_change_nothing(log, distances)


@given(doorlogs.logs(), st.data())
@QUICK
def test_a_restart_from_a_snapshot_at_any_record_changes_nothing(log, data):
    KINDS.restarted(log, data.draw(st.integers(1, len(log))))


@given(doorlogs.logs(), st.data(), st.sampled_from([(2, 10_000), (3, 4), (32, 6)]))
@QUICK
def test_within_bounds_that_are_always_met_a_restart_changes_nothing(log, data, bounds):
    with patch.object(store, "MAX_DOOR", bounds[0]), patch.object(store, "MAX_ALL_FACTS", bounds[1]):
        whole = KINDS.restarted(log, data.draw(st.integers(1, len(log))))
        for rule in doorlogs.variants():
            cases = whole.state_of(doorlogs.FACILITY).rare.of(rule.id)
            assert cases.held == sum(len(case.facts) for case in cases.values())
            for case in cases.values():
                assert len(told_of(case.facts)) <= bounds[0]
                assert len(verdicts_of(case.facts)) <= rule.trace.last


@given(doorlogs.logs())
@QUICK
def test_explanations_agree_with_the_engine(log):
    KINDS.explained(log)


def test_the_random_logs_reach_every_transition():
    found = Counter()

    @given(doorlogs.logs())
    @settings(QUICK, max_examples=300, derandomize=True, database=None)
    def look(log):
        found.update(KINDS.told(log))

    look()
    for name in OWN:
        assert {kind for rule, kind in found if rule == name} == {"raised", "cleared"}, (name, found)
