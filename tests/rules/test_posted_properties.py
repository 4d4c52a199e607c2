"""Posted laboratory results, for any log: engine, oracle and explanation agree; splits, ticks and restarts change nothing."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from rules.engine import Engine
from tests.examples import examples
from tests.rules import postedlogs
from tests.rules.eventproperties import Kinds, sent_once
from tests.rules.oracle.posted import Oracle
from tests.rules.postedlogs import BEGIN, DAY, FACILITY, MINUTE, OWN
from tests.rules.test_engine_properties import plain

pytestmark = pytest.mark.long

BUNDLE = postedlogs.bundle()
QUICK = settings(
    max_examples=examples(100), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
KINDS = Kinds(BUNDLE, FACILITY, OWN, BEGIN, 2 * DAY)


@given(postedlogs.logs())
@QUICK
def test_all_five_agree_with_the_oracle(log):
    engine, oracle = Engine(BUNDLE), Oracle()
    changes = KINDS.run(log, KINDS.until(log), engine)
    got = [{name: value for name, value in one.items() if name not in ("seq", "by")} for one in plain(changes)]
    wanted = oracle.run(log)
    for i, (a, b) in enumerate(zip(got, wanted, strict=False)):
        if a != b:
            note(f"change {i}: engine {a}\noracle {b}")
            break
    assert got == wanted
    assert engine.state_of(FACILITY).rare.counts["result_unknown"] == oracle.unknown
    raised = [c.alarm for c in changes if c.change.value == "raised"]
    assert len(raised) == len(set(raised)), "two alarms have one id"


@given(postedlogs.logs(), st.data())
@QUICK
def test_a_restart_from_a_snapshot_at_any_record_changes_nothing(log, data):
    KINDS.restarted(log, data.draw(st.integers(1, len(log))))


@given(postedlogs.logs(), st.lists(st.sampled_from([MINUTE, 7 * MINUTE, DAY]), min_size=1, max_size=5))
@QUICK
def test_splitting_batches_and_more_ticks_change_nothing(log, distances):
    KINDS.splits_change_nothing(sent_once(log), distances)


@given(postedlogs.logs())
@QUICK
def test_explanations_agree_with_the_engine(log):
    KINDS.explained(log)


def test_random_logs_reach_what_is_asked_of_them():
    told, unknown = Counter(), 0
    for seed in range(150):
        engine = Engine(BUNDLE)
        told.update((c.rule, c.change.value) for c in KINDS.run(postedlogs.log(seed), None, engine))
        unknown += engine.state_of(FACILITY).rare.counts["result_unknown"]
    assert all(told[name, "raised"] > 20 for name in OWN), told
    assert all(sum(told[name, kind] for name in OWN) > 10 for kind in ("amended", "cleared")), told
    assert unknown > 100
