"""Figures of reports and the summaries behind them, for any log: engine and oracle agree; splits, ticks and restarts change nothing."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rules import sums
from rules.engine import Engine
from rules.records import Kind, LogRecord, Tick
from tests.examples import examples
from tests.rules import claimlogs
from tests.rules.claimlogs import BEGIN, DAY, FACILITY, MONTH, SPAN, STORE
from tests.rules.eventproperties import Kinds
from tests.rules.oracle.claims import Oracle, periods
from tests.rules.splits import split
from tests.rules.test_engine_properties import without_records

pytestmark = pytest.mark.long

BUNDLE = claimlogs.bundle()
QUICK = settings(
    max_examples=examples(30), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
KINDS = Kinds(BUNDLE, FACILITY, (MONTH, SPAN), BEGIN, 40 * DAY)


def summed(log, until=None):
    """Return the summaries of each series behind a log."""
    engine = Engine(BUNDLE)
    for record in log:
        engine.fold(record)
    engine.settle(0) if until is None else engine.advance(0, until)
    state = engine.state_of(FACILITY)
    return {tag: sums.of(state, slot) for tag, slot in state.planned.slots.items()}


@given(claimlogs.logs())
@QUICK
def test_both_rules_agree_with_the_oracle(log):
    changes = KINDS.run(log, KINDS.until(log))
    for name in (MONTH, SPAN):
        wanted = Oracle(BUNDLE.rule(name)).run(log, [c for c in changes if c.rule == STORE], KINDS.until(log))
        got = [(c.subject["report"], c.change.value, c.start, c.received) for c in changes if c.rule == name]
        assert sorted(got, key=lambda one: (one[3], one[0])) == sorted(wanted, key=lambda one: (one[3], one[0]))


@given(claimlogs.logs())
@QUICK
def test_summaries_are_those_of_all_rows(log):
    oracle = Oracle(BUNDLE.rule(MONTH))
    oracle.run(log, [], log[-1].received)
    for tag, found in summed(log).items():
        for unit, many in ((3_600_000, found.hours), (DAY, found.days)):
            wanted = periods(oracle.series[tag], oracle.marks.values(), unit)
            assert [(p.begin, p.end, p.rows, p.known, p.outside, p.low, p.high) for p in many] == [
                (w.begin, w.end, w.rows, w.known, w.outside, w.low, w.high) for _, w in sorted(wanted.items())
            ]
            for one in many:
                assert math.isclose(one.total, wanted[one.begin].total, rel_tol=1e-12)


@given(claimlogs.logs(), st.randoms(use_true_random=False))
@QUICK
def test_splitting_batches_and_more_ticks_change_nothing(log, random):
    until = KINDS.until(log)
    other, at = [], BEGIN
    for record in split([r for r in log if r.kind is not Kind.TICK], random):
        if record.received > at:
            now = random.randint(at, record.received)
            other.append(LogRecord(0, 0, now, Kind.TICK, "", Tick(by="t", role="worker", now=now)))
        at = record.received
        other.append(record)
    other = [replace(record, offset=i) for i, record in enumerate(other)]
    assert without_records(KINDS.run(log, until)) == without_records(KINDS.run(other, until))
    assert summed(log, until) == summed(other, until)


@given(claimlogs.logs(), st.data())
@QUICK
def test_a_restart_from_a_snapshot_at_any_record_changes_nothing(log, data):
    KINDS.restarted(log, data.draw(st.integers(1, len(log))))


@given(claimlogs.logs())
@QUICK
def test_explanations_agree_with_the_engine(log):
    KINDS.explained(log)
