"""Retests and releases, for any log: engine, oracle and explanation agree; splits, ticks and restarts change nothing."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from rules.engine import Engine
from tests.examples import examples
from tests.rules import ledgerlogs
from tests.rules.eventproperties import Kinds
from tests.rules.ledgerlogs import BEGIN, DAY, FACILITY, MINUTE, OWN
from tests.rules.oracle.ledger import RELEASE, RETEST, Oracle
from tests.rules.test_engine_properties import plain

pytestmark = pytest.mark.long

BUNDLE = ledgerlogs.bundle()
QUICK = settings(
    max_examples=examples(100), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
KINDS = Kinds(BUNDLE, FACILITY, OWN, BEGIN, 3 * DAY)


@given(ledgerlogs.logs())
@QUICK
def test_engine_and_oracle_agree(log):
    engine, oracle = Engine(BUNDLE), Oracle()
    changes = KINDS.run(log, KINDS.until(log), engine)
    got = [{name: value for name, value in one.items() if name not in ("seq", "by")} for one in plain(changes)]
    wanted = oracle.run(log, KINDS.until(log))
    for i, (a, b) in enumerate(zip(got, wanted, strict=False)):
        if a != b:
            note(f"change {i}: engine {a}\noracle {b}")
            break
    assert got == wanted
    assert engine.state_of(FACILITY).rare.counts["ledger_unknown"] == oracle.unknown
    raised = [c.alarm for c in changes if c.change.value == "raised"]
    assert len(raised) == len(set(raised)), "two alarms have one id"


@given(ledgerlogs.logs(), st.data())
@QUICK
def test_a_restart_from_a_snapshot_at_any_record_changes_nothing(log, data):
    KINDS.restarted(log, data.draw(st.integers(1, len(log))))


@given(ledgerlogs.logs(), st.lists(st.sampled_from([MINUTE, 7 * MINUTE, DAY]), min_size=1, max_size=5))
@QUICK
def test_splitting_batches_and_more_ticks_change_nothing(log, distances):
    KINDS.splits_change_nothing(log, distances)


@given(ledgerlogs.logs())
@QUICK
def test_explanations_agree_with_the_engine(log):
    KINDS.explained(log)


def test_random_logs_reach_what_is_asked_of_them():
    told, late = Counter(), 0
    for seed in range(300):
        changes = KINDS.run(ledgerlogs.log(seed), None, Engine(BUNDLE))
        told.update((c.rule, c.change.value) for c in changes)
        late += sum(c.late for c in changes)
    assert all(told[RETEST, kind] > 20 for kind in ("raised", "amended", "cleared")), told
    assert all(told[RELEASE, kind] > 20 for kind in ("raised", "amended")), told
    assert all(told[RELEASE, kind] > 5 for kind in ("cleared", "retracted")), told
    assert late > 50
