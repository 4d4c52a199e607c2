"""Parallel measurements, for any log: engine, oracle and explanation agree; ticks, restarts, joined batches and tight bounds change nothing."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from rules.engine import Engine
from rules.explain import explain
from rules.records import Events, Kind, LogRecord, Tick
from tests.examples import examples, until_met
from tests.rules import parallellogs
from tests.rules.failures import by_chance, failing_at, hold_against_the_book
from tests.rules.oracle import parallel as oracle
from tests.rules.parallellogs import BEGIN, FACILITY, MINUTE, bundle
from tests.rules.restarts import restarted
from tests.rules.test_engine_properties import plain

pytestmark = pytest.mark.long

BUNDLE = bundle()
OWN = tuple(rule.id for rule in BUNDLE.rules)
QUICK = settings(
    max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
LONG = settings(QUICK, max_examples=4000)
LOGS = parallellogs.logs()
END = 30 * MINUTE


def run(log, until=None):
    engine = Engine(BUNDLE)
    changes = [change for record in log for change in engine.fold(record)]
    return changes + engine.advance(0, log[-1].received + END if until is None else until)


def agree(log):
    changes = run(log)
    got, wanted = plain(changes), oracle.fold(log, BUNDLE, FACILITY, log[-1].received + END)
    for i, (a, b) in enumerate(zip(got, wanted, strict=False)):
        if a != b:
            note(f"change {i}: engine {a}\noracle {b}")
            break
    assert got == wanted
    names = [change.alarm for change in changes if change.change.value == "raised"]
    assert len(names) == len(set(names)), "two alarms have one id"


@given(LOGS)
@QUICK
def test_what_does_not_fit_agrees_with_the_oracle(log):
    agree(log)


@pytest.mark.slow
@pytest.mark.timeout(3_000)
@given(LOGS)
@LONG
def test_what_does_not_fit_agrees_with_the_oracle_on_many_logs(log):
    """Slow: 4,000 logs; every row stays known for ever."""
    agree(log)


@given(LOGS, st.lists(st.integers(1, 5 * MINUTE), min_size=1, max_size=9))
@QUICK
def test_more_ticks_of_workers_change_nothing(log, distances):
    other, at = [], BEGIN
    for i, record in enumerate(log):
        step = max(distances[i % len(distances)], (record.received - at) // 5)
        while at + step < record.received:
            at += step
            other.append(LogRecord(0, 0, at, Kind.TICK, "", Tick(by="t", role="worker", now=at)))
        at = max(at, record.received)
        other.append(record)
    other = [replace(record, offset=i) for i, record in enumerate(other)]
    assert plain(run(other)) == plain(run(log))


@given(LOGS)
@QUICK
def test_events_of_one_instant_in_one_batch_change_nothing(log):
    joined = []
    for record in log:
        last = joined[-1] if joined else None
        both = last is not None and last.kind is record.kind is Kind.EVENTS and last.received == record.received
        if both:
            events = Events(batch=last.payload.batch, events=[*last.payload.events, *record.payload.events])
            joined[-1] = replace(last, payload=events)
        else:
            joined.append(record)
    until = log[-1].received + END
    assert plain(run([replace(record, offset=i) for i, record in enumerate(joined)], until)) == plain(run(log, until))


@given(LOGS, st.data())
@QUICK
def test_a_restart_from_a_snapshot_at_any_record_changes_nothing(log, data):
    restarted(BUNDLE, FACILITY, log, data.draw(st.integers(1, len(log))), log[-1].received + END)


@given(LOGS)
@QUICK
def test_explanations_agree_with_the_engine(log):
    for name in OWN:
        found, _ = explain(log, BUNDLE, name, at=log[-1].received)
        assert all(one.agrees for one in found), (name, [one.to_json() for one in found])


@given(LOGS, st.data())
@QUICK
def test_within_bounds_that_are_always_met_nothing_fails_and_a_restart_changes_nothing(log, data):
    bounds = {"MAX_ROWS": 2, "MAX_CHECKED": 2, "MAX_SEEN": 2}
    with patch.multiple("rules.rare.store", **bounds):
        whole, changes = restarted(BUNDLE, FACILITY, log, data.draw(st.integers(1, len(log))), log[-1].received + END)
    books = whole.state_of(FACILITY).rare
    for name in OWN:
        assert len(books.of(name)) <= 2
        assert all(len(case.facts) <= 2 and len(case.seen) <= 2 for case in books.of(name).values())
    assert {change.rule for change in changes} <= {*OWN}


@given(LOGS, st.integers(0, 1 << 16), st.data())
@QUICK
def test_a_rule_that_raises_is_put_aside_and_the_others_go_on(log, seed, data):
    until = log[-1].received + END
    with failing_at(by_chance(seed, 4)):
        _, changes = restarted(BUNDLE, FACILITY, log, data.draw(st.integers(1, len(log))), until)
    hold_against_the_book(changes, FACILITY)
    failed = {change.subject["system"] for change in changes if change.rule == "register.rule-failed"}
    others = {*OWN} - failed

    def told(of):
        return [
            (one["rule"], one["change"], one["alarm"], one["received"]) for one in plain(of) if one["rule"] in others
        ]

    assert told(changes) == told(run(log))


def test_the_random_logs_reach_every_transition():
    found = Counter()
    wanted = {(name, change) for name in OWN for change in ("raised", "amended", "cleared")}

    def take(log):
        found.update((change.rule, change.change.value) for change in run(log))

    until_met(LOGS, take, lambda: wanted <= found.keys(), most=2_000)
    assert wanted <= found.keys(), (wanted - found.keys(), found)
