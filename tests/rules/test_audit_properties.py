"""Kind `clock`, check `heartbeat`, for any log: engine, oracle and explanation agree; splits, ticks and restarts change nothing."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from rules.engine import Engine
from rules.explain import explain
from rules.rare import store
from rules.records import Events, Kind, LogRecord, Tick
from tests.examples import examples
from tests.rules import auditlogs
from tests.rules.oracle.fold import fold
from tests.rules.test_engine_properties import plain, without_records

pytestmark = pytest.mark.long

BUNDLE = auditlogs.bundle()
OWN = tuple(rule.id for rule in auditlogs.variants())
QUICK = settings(
    max_examples=examples(100), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
LONG = settings(QUICK, max_examples=3000)
END = 5 * auditlogs.DAY


def run(log, until=None, engine=None):
    engine = engine or Engine(BUNDLE)
    changes = [change for record in log for change in engine.fold(record)]
    return changes if until is None else changes + engine.advance(0, until)


def agree(log):
    until = log[-1].received + END
    changes = run(log, until)
    got = plain(changes)
    wanted, _ = fold(log, BUNDLE, until)[auditlogs.FACILITY]
    for i, (a, b) in enumerate(zip(got, wanted, strict=False)):
        if a != b:
            note(f"change {i}: engine {a}\noracle {b}")
            break
    assert got == wanted
    alarms = [change.alarm for change in changes if change.change.value == "raised"]
    assert len(alarms) == len(set(alarms)), "two alarms have one id"
    return Counter((c.rule, c.change.value) for c in changes if c.rule in OWN)


@given(auditlogs.logs())
@QUICK
def test_audit_heartbeats_agree_with_the_oracle(log):
    agree(log)


@pytest.mark.slow
@pytest.mark.timeout(3_000)
@given(auditlogs.logs())
@LONG
def test_audit_heartbeats_agree_with_the_oracle_on_many_logs(log):
    """Slow: 3,000 logs."""
    agree(log)


@given(auditlogs.logs(), st.lists(st.integers(1, 40 * auditlogs.HOUR), min_size=1, max_size=9))
@QUICK
def test_splitting_batches_and_more_ticks_change_nothing(log, distances):
    names = Counter(record.payload.batch for record in log if isinstance(record.payload, Events))
    log = [r for r in log if not isinstance(r.payload, Events) or names[r.payload.batch] == 1]
    # A tick inside of closed time takes decisions that are taken back when the door opens: these are other changes.
    log = [r for r in log if not isinstance(r.payload, Tick)]
    other, at = [], auditlogs.BEGIN
    for i, record in enumerate(log):
        step = max(distances[i % len(distances)], (record.received - at) // 20)
        while at + step < record.received:
            at += step
            other.append(LogRecord(0, 0, at, Kind.TICK, "", Tick(by="t", role="worker", now=at)))
        at = max(at, record.received)
        if isinstance(record.payload, Events):
            other += [
                replace(record, payload=Events(batch=f"{record.payload.batch}-{k}", events=[event]))
                for k, event in enumerate(record.payload.events)
            ]
        else:
            other.append(record)
    other = [replace(record, offset=i) for i, record in enumerate(other)]
    until = log[-1].received + END
    assert without_records(run(other, until)) == without_records(run(log, until))


def restarted(log, cut):
    until = log[-1].received + END
    whole = Engine(BUNDLE)
    wanted = run(log, until, whole)
    first = Engine(BUNDLE)
    changes = run(log[:cut], engine=first)
    snapshot, marker = first.snapshot(0, auditlogs.FACILITY), first.partition_state(0)
    second = Engine(BUNDLE)
    second.restore_partition(0, marker)
    second.restore(0, auditlogs.FACILITY, snapshot)
    assert second.snapshot(0, auditlogs.FACILITY) == snapshot
    repeated = [record for record in log[1:cut] if not isinstance(record.payload, Tick)]
    assert run(repeated, engine=second) == []
    assert changes + run(log[cut:], until, engine=second) == wanted
    assert second.snapshot(0, auditlogs.FACILITY) == whole.snapshot(0, auditlogs.FACILITY)
    return whole


@given(auditlogs.logs(), st.data())
@QUICK
def test_a_restart_from_a_snapshot_at_any_record_changes_nothing(log, data):
    restarted(log, data.draw(st.integers(1, len(log))))


@given(auditlogs.logs(), st.data())
@QUICK
def test_with_room_for_one_system_a_restart_changes_nothing_either(log, data):
    with patch.multiple(store, MAX_CASES=1, MAX_FACTS=1, MAX_ALL_FACTS=1, MAX_SEEN=2, MAX_RUNS=1):
        engine = restarted(log, data.draw(st.integers(1, len(log))))
        rare = engine.state_of(auditlogs.FACILITY).rare
        assert all(len(rare.of(rule)) <= 1 for rule in OWN)
        assert all(len(heard.runs) == 1 for heard in rare.areas.values())


@given(auditlogs.logs())
@QUICK
def test_heartbeats_that_come_again_an_instant_later_change_nothing(log):
    again, names = [], Counter(record.payload.batch for record in log if isinstance(record.payload, Events))
    log = [r for r in log if not isinstance(r.payload, Events) or (names[r.payload.batch] == 1 and not of_future(r))]
    for record in log:
        again.append(record)
        if isinstance(record.payload, Events):
            batch = f"again-{len(again)}"
            again.append(replace(record, payload=Events(batch=batch, events=record.payload.events[::-1])))
    again = [replace(record, offset=i) for i, record in enumerate(again)]
    until = log[-1].received + END
    assert told(run(again, until)) == told(run(log, until))


def of_future(record):
    """Say whether an event counts as of when it comes: each time that it comes."""
    return any(event.time > record.received + 5 * auditlogs.MINUTE for event in record.payload.events)


def told(changes):
    """Return what is told by the rules over heartbeats, without the numbers that other changes count with."""
    return [(c["rule"], c["subject"], c["change"], c["alarm"], c["start"], c["end"], c["received"])
            for c in plain(changes) if c["rule"] in OWN]  # fmt: skip


@given(auditlogs.logs())
@QUICK
def test_explanations_agree_with_the_engine(log):
    for name in OWN:
        found, _ = explain(log, BUNDLE, name, at=log[-1].received)
        assert all(one.agrees for one in found), (name, [one.to_json() for one in found])


def test_the_random_logs_reach_every_transition():
    found = Counter()

    @given(auditlogs.logs())
    @settings(QUICK, max_examples=150, derandomize=True, database=None)
    def look(log):
        found.update(agree(log))

    look()
    for name in OWN:
        kinds = {kind for rule, kind in found if rule == name}
        assert kinds >= {"raised", "cleared", "unknown", "known"}, (name, found)
    assert found["test.quick", "retracted"], found
