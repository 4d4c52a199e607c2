"""Stock that does not balance, for any log: engine, oracle and explanation agree; splits, ticks, restarts and few kept facts change nothing."""

from __future__ import annotations

from collections import Counter
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from rules.engine import Engine
from rules.rare import store
from tests.examples import examples
from tests.rules import stocklogs
from tests.rules.eventproperties import Kinds
from tests.rules.oracle.stock import Oracle
from tests.rules.stocklogs import BEGIN, DAY, FACILITY, MINUTE, RULE
from tests.rules.test_engine_properties import plain

pytestmark = pytest.mark.long

BUNDLE = stocklogs.bundle()
QUICK = settings(
    max_examples=examples(100), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
KINDS = Kinds(BUNDLE, FACILITY, (RULE,), BEGIN, 3 * DAY)


@given(stocklogs.logs())
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


@given(stocklogs.logs(), st.data())
@QUICK
def test_a_restart_from_a_snapshot_at_any_record_changes_nothing(log, data):
    KINDS.restarted(log, data.draw(st.integers(1, len(log))))


@given(stocklogs.logs(), st.lists(st.sampled_from([MINUTE, 7 * MINUTE, DAY]), min_size=1, max_size=5))
@QUICK
def test_splitting_batches_and_more_ticks_change_nothing(log, distances):
    KINDS.splits_change_nothing(log, distances)


@given(stocklogs.logs())
@QUICK
def test_explanations_agree_with_the_engine(log):
    KINDS.explained(log)


@given(stocklogs.logs(late=False), st.integers(1, 9))
@QUICK
def test_where_nothing_comes_late_a_few_facts_tell_the_same_as_all(log, kept):
    whole = KINDS.run(log, KINDS.until(log))
    with patch.object(store, "MAX_FACTS", kept):
        few = KINDS.run(log, KINDS.until(log))
    assert plain(few) == plain(whole)


def test_random_logs_reach_what_is_asked_of_them():
    told, late, unknown = Counter(), 0, 0
    for seed in range(150):
        engine = Engine(BUNDLE)
        changes = KINDS.run(stocklogs.log(seed), None, engine)
        told.update(c.change.value for c in changes)
        late += sum(c.late for c in changes)
        unknown += engine.state_of(FACILITY).rare.counts["ledger_unknown"]
    assert all(told[kind] > 20 for kind in ("raised", "amended", "cleared", "unknown", "known")), told
    assert late > 20
    assert unknown > 100
