"""Kind `clock`, check `heartbeat`, for any log: engine, oracle and explanation agree; splits, ticks and restarts change nothing."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rules.rare import store
from rules.records import Events, Tick
from tests.examples import examples
from tests.rules import auditlogs
from tests.rules.eventproperties import Kinds, sent_once
from tests.rules.test_engine_properties import plain

pytestmark = pytest.mark.long

BUNDLE = auditlogs.bundle()
OWN = tuple(rule.id for rule in auditlogs.variants())
QUICK = settings(
    max_examples=examples(100), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
LONG = settings(QUICK, max_examples=3000)
KINDS = Kinds(BUNDLE, auditlogs.FACILITY, OWN, auditlogs.BEGIN, 5 * auditlogs.DAY)
agree = KINDS.agree


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
    # A tick inside of closed time takes decisions that are taken back when the door opens: these are other changes.
    KINDS.splits_change_nothing([r for r in sent_once(log) if not isinstance(r.payload, Tick)], distances)


@given(auditlogs.logs(), st.data())
@QUICK
def test_a_restart_from_a_snapshot_at_any_record_changes_nothing(log, data):
    KINDS.restarted(log, data.draw(st.integers(1, len(log))))


@given(auditlogs.logs(), st.data())
@QUICK
def test_with_room_for_one_system_a_restart_changes_nothing_either(log, data):
    with patch.multiple(store, MAX_CASES=1, MAX_FACTS=1, MAX_ALL_FACTS=1, MAX_SEEN=2, MAX_RUNS=1):
        engine = KINDS.restarted(log, data.draw(st.integers(1, len(log))))
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
    until = KINDS.until(log)
    assert told(KINDS.run(again, until)) == told(KINDS.run(log, until))


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
    KINDS.explained(log)


def test_the_random_logs_reach_every_transition():
    found = Counter()

    @given(auditlogs.logs())
    @settings(QUICK, max_examples=150, derandomize=True, database=None)
    def look(log):
        found.update(KINDS.told(log))

    look()
    for name in OWN:
        kinds = {kind for rule, kind in found if rule == name}
        assert kinds >= {"raised", "cleared", "unknown", "known"}, (name, found)
    assert found["test.quick", "retracted"], found
