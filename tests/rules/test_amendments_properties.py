"""Amendments that come too late, for any log: engine, oracle and explanation agree; repeats, ticks, restarts and tight bounds change nothing."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from rules.engine import Engine
from rules.explain import explain
from rules.records import Kind, LogRecord, Report, Tick
from tests.examples import examples, until_met
from tests.rules import amendmentlogs
from tests.rules.failures import by_chance, failing_at, hold_against_the_book
from tests.rules.latenesslogs import BEGIN, DAY, FACILITY, HOUR
from tests.rules.oracle import amendments as oracle
from tests.rules.restarts import restarted
from tests.rules.test_engine_properties import plain

pytestmark = pytest.mark.long

BUNDLE = amendmentlogs.bundle()
OWN = tuple(rule.id for rule in BUNDLE.rules)
QUICK = settings(
    max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
LONG = settings(QUICK, max_examples=4000)
LOGS = amendmentlogs.logs()
BEHIND = 100 * DAY


def run(log):
    engine = Engine(BUNDLE)
    changes = [change for record in log for change in engine.fold(record)]
    return changes + engine.advance(0, log[-1].received + BEHIND)


def agree(log):
    changes = run(log)
    got, wanted = plain(changes), oracle.fold(log, BUNDLE, FACILITY, log[-1].received + BEHIND)
    for i, (a, b) in enumerate(zip(got, wanted, strict=False)):
        if a != b:
            note(f"change {i}: engine {a}\noracle {b}")
            break
    assert got == wanted
    names = [change.alarm for change in changes if change.change.value == "raised"]
    assert len(names) == len(set(names)), "two alarms have one id"


@given(LOGS)
@QUICK
def test_what_is_amended_too_late_agrees_with_the_oracle(log):
    agree(log)


@pytest.mark.slow
@pytest.mark.timeout(3_000)
@given(LOGS)
@LONG
def test_what_is_amended_too_late_agrees_with_the_oracle_on_many_logs(log):
    """Slow: 4,000 logs; every revision stays known for ever."""
    agree(log)


@given(LOGS, st.lists(st.integers(1, 40 * HOUR), min_size=1, max_size=9))
@QUICK
def test_more_ticks_of_workers_change_nothing(log, distances):
    """While the front door is closed nothing is put in: what the clock says then is taken back at its opening."""
    ticks = [r.received for r in log if isinstance(r.payload, Tick) and r.payload.role == "gateway"]
    doors = [(a, b) for a, b in pairwise(ticks) if b - a > 900_000]
    other, at = [], BEGIN
    for i, record in enumerate(log):
        step = max(distances[i % len(distances)], (record.received - at) // 5)
        while at + step < record.received:
            at += step
            if not any(begin <= at <= end for begin, end in doors):
                other.append(LogRecord(0, 0, at, Kind.TICK, "", Tick(by="t", role="worker", now=at)))
        at = max(at, record.received)
        other.append(record)
    other = [replace(record, offset=i) for i, record in enumerate(other)]
    assert plain(run(other)) == plain(run(log))


@given(LOGS, st.data())
@QUICK
def test_a_restart_from_a_snapshot_at_any_record_changes_nothing(log, data):
    restarted(BUNDLE, FACILITY, log, data.draw(st.integers(1, len(log))), log[-1].received + BEHIND)


@given(LOGS, st.randoms(use_true_random=False))
@QUICK
def test_an_amendment_that_comes_again_changes_nothing(log, random):
    twice = [*log]
    for i, record in enumerate(log):
        if isinstance(record.payload, Report) and random.random() < 0.5:
            behind = random.randrange(i, len(log))
            twice.insert(twice.index(log[behind]) + 1, replace(record, received=log[behind].received))
    assert plain(run([replace(record, offset=i) for i, record in enumerate(twice)])) == plain(run(log))


@given(LOGS)
@QUICK
def test_explanations_agree_with_the_engine(log):
    for name in OWN:
        found, _ = explain(log, BUNDLE, name, at=log[-1].received)
        assert all(one.agrees for one in found), (name, [one.to_json() for one in found])


@given(LOGS, st.data())
@QUICK
def test_within_bounds_that_are_always_met_nothing_fails_and_a_restart_changes_nothing(log, data):
    bounds = {"MAX_ROWS": 2, "MAX_CASES": 1, "MAX_TEXT": 40}
    with patch.multiple("rules.rare.amendments", **bounds), patch("rules.rare.store.MAX_SEEN", 2):
        whole, changes = restarted(
            BUNDLE, FACILITY, log, data.draw(st.integers(1, len(log))), log[-1].received + BEHIND
        )
    books = whole.state_of(FACILITY).rare
    for name in OWN:
        assert len(books.of(name)) <= 2
        assert all(len(case.facts) <= 3 for case in books.of(name).values())
        texts = [fact.text for case in books.of(name).values() for fact in case.facts if len(fact.text) > 1]
        assert sum(map(len, texts)) <= 40
    assert {change.rule for change in changes} <= {*OWN}


@given(LOGS, st.integers(0, 1 << 16), st.data())
@QUICK
def test_a_rule_that_raises_is_put_aside_and_the_others_go_on(log, seed, data):
    with failing_at(by_chance(seed, 4)):
        _, changes = restarted(BUNDLE, FACILITY, log, data.draw(st.integers(1, len(log))), log[-1].received + BEHIND)
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
    wanted = {(name, change) for name in OWN for change in ("raised", "amended", "cleared", "retracted")}

    def take(log):
        found.update((change.rule, change.change.value) for change in run(log))

    until_met(LOGS, take, lambda: wanted <= found.keys(), most=2_000)
    assert wanted <= found.keys(), (wanted - found.keys(), found)
