"""Kind `clock`, check `offset`, for any log: engine, oracle and explanation agree; splits, ticks and restarts change nothing.

Long: the oracle judges all heartbeats of a device again at each of them; make check leaves it to make test.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from rules.engine import Engine
from rules.explain import explain
from rules.records import Events, Kind, LogRecord, Tick
from tests.examples import examples
from tests.rules import beatlogs
from tests.rules.oracle.fold import fold
from tests.rules.test_engine_properties import plain, without_records

pytestmark = pytest.mark.long

BUNDLE = beatlogs.bundle()
OWN = tuple(rule.id for rule in beatlogs.variants())
QUICK = settings(
    max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
LONG = settings(QUICK, max_examples=3000)
END = 40 * beatlogs.DAY


def run(log, until=None, engine=None):
    engine = engine or Engine(BUNDLE)
    changes = [change for record in log for change in engine.fold(record)]
    return changes if until is None else changes + engine.advance(0, until)


def agree(log):
    until = log[-1].received + END
    changes = run(log, until)
    got = plain(changes)
    wanted, _ = fold(log, BUNDLE, until)[beatlogs.FACILITY]
    for i, (a, b) in enumerate(zip(got, wanted, strict=False)):
        if a != b:
            note(f"change {i}: engine {a}\noracle {b}")
            break
    assert got == wanted
    return Counter((c.rule, c.change.value) for c in changes if c.rule in OWN)


@given(beatlogs.logs())
@QUICK
def test_heartbeats_agree_with_the_oracle(log):
    agree(log)


@pytest.mark.slow
@pytest.mark.timeout(3_000)
@given(beatlogs.logs())
@LONG
def test_heartbeats_agree_with_the_oracle_on_many_logs(log):
    """Slow: 3,000 logs, each judged from scratch at every heartbeat."""
    agree(log)


@given(beatlogs.logs(), st.lists(st.integers(1, 40 * beatlogs.HOUR), min_size=1, max_size=9))
@QUICK
def test_splitting_batches_and_more_ticks_change_nothing(log, distances):
    other, at = [], beatlogs.BEGIN
    for i, record in enumerate(r for r in log if not isinstance(r.payload, Tick)):
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


@given(beatlogs.logs(), st.data())
@QUICK
def test_a_restart_from_a_snapshot_at_any_record_changes_nothing(log, data):
    cut = data.draw(st.integers(1, len(log)))
    until = log[-1].received + END
    whole = Engine(BUNDLE)
    wanted = run(log, until, whole)
    first = Engine(BUNDLE)
    changes = run(log[:cut], engine=first)
    snapshot, marker = first.snapshot(0, beatlogs.FACILITY), first.partition_state(0)
    second = Engine(BUNDLE)
    second.restore_partition(0, marker)
    second.restore(0, beatlogs.FACILITY, snapshot)
    assert second.snapshot(0, beatlogs.FACILITY) == snapshot
    repeated = [record for record in log[1:cut] if not isinstance(record.payload, Tick)]
    assert run(repeated, engine=second) == []
    assert changes + run(log[cut:], until, engine=second) == wanted
    assert second.snapshot(0, beatlogs.FACILITY) == whole.snapshot(0, beatlogs.FACILITY)


@given(beatlogs.logs())
@QUICK
def test_explanations_agree_with_the_engine(log):
    for name in OWN:
        found, _ = explain(log, BUNDLE, name, at=log[-1].received)
        assert all(one.agrees for one in found), (name, [one.to_json() for one in found])


def test_the_random_logs_reach_every_transition():
    found = Counter()

    @given(beatlogs.logs())
    @settings(QUICK, max_examples=60, derandomize=True, database=None)
    def look(log):
        found.update(agree(log))

    look()
    for name in OWN:
        kinds = {kind for rule, kind in found if rule == name}
        assert kinds >= {"raised", "cleared", "unknown", "known"}, (name, found)
    assert found[beatlogs.RULE, "stepped"], found
