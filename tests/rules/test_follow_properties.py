"""Alarms that something on the spot should have told too, for any log: engine, oracle and explanation agree; splits, ticks and restarts change nothing."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rules.rare import store
from rules.records import Readings
from tests.examples import examples
from tests.rules import followlogs
from tests.rules.beatlogs import BEGIN, DAY, FACILITY, HOUR
from tests.rules.eventproperties import Kinds, sent_once
from tests.rules.splits import split
from tests.rules.test_engine_properties import without_records

pytestmark = pytest.mark.long

BUNDLE = followlogs.bundle()
OWN = tuple(rule.id for rule in followlogs.variants())
ASKING = tuple(rule.id for rule in followlogs.asking())
QUICK = settings(
    max_examples=examples(100), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
LONG = settings(QUICK, max_examples=3000)
KINDS = Kinds(BUNDLE, FACILITY, (*OWN, *ASKING), BEGIN, 3 * DAY)


@given(followlogs.logs())
@QUICK
def test_what_is_followed_up_agrees_with_the_oracle(log):
    KINDS.agree(log)


@pytest.mark.slow
@pytest.mark.timeout(3_000)
@given(followlogs.logs())
@LONG
def test_what_is_followed_up_agrees_with_the_oracle_on_many_logs(log):
    """Slow: 3,000 logs, each alarm judged from all events at each of them."""
    KINDS.agree(log)


@given(followlogs.logs(), st.lists(st.integers(1, 40 * HOUR), min_size=1, max_size=9))
@QUICK
def test_splitting_batches_of_events_and_more_ticks_change_nothing(log, distances):
    KINDS.splits_change_nothing(sent_once(log), distances)


@given(followlogs.logs(), st.data())
@QUICK
def test_a_restart_from_a_snapshot_at_any_record_changes_nothing(log, data):
    KINDS.restarted(log, data.draw(st.integers(1, len(log))))


@given(followlogs.logs())
@QUICK
def test_explanations_agree_with_the_engine(log):
    KINDS.explained(log)


@given(followlogs.logs(), st.randoms(use_true_random=False))
@QUICK
def test_splitting_batches_of_readings_changes_nothing(log, random):
    until = KINDS.until(log)
    assert without_records(KINDS.run(log, until)) == without_records(KINDS.run(split(log, random), until))


@given(followlogs.logs(), st.data())
@QUICK
def test_within_bounds_that_are_always_met_nothing_fails_and_a_restart_changes_nothing(log, data):
    with patch.multiple(store, MAX_FACTS=2, MAX_ALL_FACTS=2, MAX_RUNS=3, MAX_PARTNERS=2):
        whole = KINDS.restarted(log, data.draw(st.integers(1, len(log))))
        rare = whole.state_of(FACILITY).rare
        for name in (*OWN, *ASKING):
            assert all(len(case.facts) <= 2 for case in rare.of(name).values())
            assert rare.of(name).held == sum(len(case.facts) for case in rare.of(name).values())
            for area in ("A1", "A2"):
                kept = [
                    heard.partners
                    for key, heard in rare.areas.items()
                    if key[0] == name and key[1].startswith(f"{area} ")
                ]
                assert len(kept) <= 3
                assert all(len(times) <= 2 for times in kept)
    assert "register.rule-failed" not in {change.rule for change in KINDS.run(log, KINDS.until(log))}


@given(followlogs.logs())
@QUICK
def test_readings_alone_tell_nothing_where_no_device_is_heard(log):
    """Nothing but silence: unknown raises nothing."""
    quiet = [replace(r, offset=i) for i, r in enumerate(r for r in log if r.kind != "events")]
    changes = KINDS.run(quiet, KINDS.until(log))
    assert not {change.rule for change in changes} & set(OWN)


def test_the_random_logs_reach_every_transition():
    found = Counter()

    @given(followlogs.logs())
    @settings(QUICK, max_examples=250, derandomize=True, database=None)
    def look(log):
        found.update(KINDS.told(log))
        found.update(("rows", "some") for record in log if isinstance(record.payload, Readings))

    look()
    for name in OWN:
        kinds = {kind for rule, kind in found if rule == name}
        often = name in {followlogs.RULE, "zz.brief"}
        wanted = {"raised", "amended", "retracted", "cleared"} if often else {"raised", "amended"}
        assert kinds >= wanted, (name, found)
    for name in ASKING:
        kinds = {kind for rule, kind in found if rule == name}
        assert kinds >= {"raised", "amended", "retracted", "cleared"}, (name, found)
