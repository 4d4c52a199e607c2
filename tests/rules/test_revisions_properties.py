"""What is posted without effect, for any log: engine, oracle and explanation agree; repeats, ticks, restarts and tight bounds change nothing."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from rules.engine import Engine
from rules.explain import explain
from rules.records import Kind, LogRecord, Report, Tick
from tests.examples import examples, until_met
from tests.rules import revisionlogs
from tests.rules.failures import by_chance, failing_at, hold_against_the_book
from tests.rules.oracle import revisions as oracle
from tests.rules.restarts import restarted
from tests.rules.revisionlogs import BEGIN, FACILITY, HOUR, bundle
from tests.rules.test_engine_properties import plain

pytestmark = pytest.mark.long

BUNDLE = bundle()
OWN = tuple(rule.id for rule in BUNDLE.rules)
QUICK = settings(
    max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
LONG = settings(QUICK, max_examples=4000)
LOGS = revisionlogs.logs()


def run(log):
    engine = Engine(BUNDLE)
    return [change for record in log for change in engine.fold(record)]


def agree(log):
    changes = run(log)
    got, wanted = plain(changes), oracle.fold(log, BUNDLE, FACILITY)
    for i, (a, b) in enumerate(zip(got, wanted, strict=False)):
        if a != b:
            note(f"change {i}: engine {a}\noracle {b}")
            break
    assert got == wanted
    names = [change.alarm for change in changes if change.change.value == "raised"]
    assert len(names) == len(set(names)), "two alarms have one id"


@given(LOGS)
@QUICK
def test_what_is_posted_without_effect_agrees_with_the_oracle(log):
    agree(log)


@pytest.mark.slow
@pytest.mark.timeout(3_000)
@given(LOGS)
@LONG
def test_what_is_posted_without_effect_agrees_with_the_oracle_on_many_logs(log):
    """Slow: 4,000 logs; everything that came is kept for ever."""
    agree(log)


@given(LOGS, st.lists(st.integers(1, 40 * HOUR), min_size=1, max_size=9))
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


@given(LOGS, st.data())
@QUICK
def test_a_restart_from_a_snapshot_at_any_record_changes_nothing(log, data):
    restarted(BUNDLE, FACILITY, log, data.draw(st.integers(1, len(log))), log[-1].received + HOUR)


@given(LOGS)
@QUICK
def test_every_post_sent_twice_changes_nothing(log):
    """But a report that is refused, whose repetition is told of no more often either."""
    twice = [record for one in log for record in ([one] if one.kind in {Kind.REGISTER, Kind.DECISION} else [one, one])]
    assert plain(run([replace(record, offset=i) for i, record in enumerate(twice)])) == plain(run(log))


@given(LOGS)
@QUICK
def test_what_has_no_effect_has_none(log):
    """Without the posts that were told of, the books of reports, marks and batches are the same."""
    engine, kept = Engine(BUNDLE), []
    for record in log:
        told = [change for change in engine.fold(record) if change.change.value in {"raised", "amended"}]
        amended = isinstance(record.payload, Report) and record.payload.type == "amendment"
        if not told or amended:  # an amendment that names no datum keeps its number
            kept.append(record)
    other = Engine(BUNDLE)
    for record in kept:
        other.fold(record)
    one, two = engine.state_of(FACILITY), other.state_of(FACILITY)
    assert one.clocks.book.reports == two.clocks.book.reports
    assert one.marks.by_id == two.marks.by_id
    assert (one.batches.pack()[:3], one.rare.batches.pack()[:3]) == (
        two.batches.pack()[:3],
        two.rare.batches.pack()[:3],
    )


@given(LOGS)
@QUICK
def test_explanations_agree_with_the_engine(log):
    engine = Engine(BUNDLE)
    for record in log:
        engine.fold(record)
    if engine.state_of(FACILITY).plan is None:
        return
    for name in OWN:
        found, _ = explain(log, BUNDLE, name, at=log[-1].received)
        assert all(one.agrees for one in found), (name, [one.to_json() for one in found])


@given(LOGS, st.data())
@QUICK
def test_within_bounds_that_are_always_met_nothing_fails_and_a_restart_changes_nothing(log, data):
    bounds = {"MAX_ROWS": 2, "MAX_POSTED": 2, "MAX_BATCHES": 1}
    with patch.multiple("rules.rare.revisions", **bounds), patch("rules.rare.store.MAX_SEEN", 2):
        whole, changes = restarted(BUNDLE, FACILITY, log, data.draw(st.integers(1, len(log))), log[-1].received + HOUR)
    books = whole.state_of(FACILITY).rare
    for name in OWN:
        assert len(books.of(name)) <= 2
        assert all(len(case.facts) <= 2 and len(case.seen) <= 2 for case in books.of(name).values())
    assert {change.rule for change in changes} <= {*OWN}


@given(LOGS, st.integers(0, 1 << 16), st.data())
@QUICK
def test_a_rule_that_raises_is_put_aside_and_the_others_go_on(log, seed, data):
    with failing_at(by_chance(seed, 4)):
        _, changes = restarted(BUNDLE, FACILITY, log, data.draw(st.integers(1, len(log))), log[-1].received + HOUR)
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
    wanted = {(name, change) for name in OWN for change in ("raised", "cleared")}
    kinds = {"report", "mark", "readings", "events"}

    def take(log):
        for change in run(log):
            found[change.rule, change.change.value] += 1
            found.update(read.kind for read in change.evidence.records)

    until_met(LOGS, take, lambda: wanted | kinds <= found.keys(), most=2_000)
    assert wanted | kinds <= found.keys(), (wanted - found.keys(), found)
