"""Reports held against excursions, for any log: engine, oracle and explanation agree; splits, ticks and restarts change nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rules.engine import Engine
from rules.records import Kind, LogRecord, Tick
from tests.examples import examples
from tests.rules import excursionlogs
from tests.rules.eventproperties import Kinds
from tests.rules.excursionlogs import BEGIN, DAY, FACILITY, NONE, WRONG
from tests.rules.oracle.excursions import Oracle
from tests.rules.splits import split
from tests.rules.test_engine_properties import without_records

pytestmark = pytest.mark.long

BUNDLE = excursionlogs.bundle()
QUICK = settings(
    max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
KINDS = Kinds(BUNDLE, FACILITY, (NONE, WRONG), BEGIN, 40 * DAY)


def told(log):
    """Return the changes of the engine, each with the record that it came behind and the highest colour of its alarm."""
    engine, found, tops = Engine(BUNDLE), [], {}
    for i, record in enumerate(log):
        for change in engine.fold(record):
            tops[change.alarm] = max(tops.get(change.alarm, 0), change.severity.rank)
            found.append({"change": change, "order": i, "top": tops[change.alarm]})
    for change in engine.advance(0, log[-1].received + KINDS.behind):
        tops[change.alarm] = max(tops.get(change.alarm, 0), change.severity.rank)
        found.append({"change": change, "order": len(log), "top": tops[change.alarm]})
    return found


@given(excursionlogs.logs())
@QUICK
def test_both_rules_agree_with_the_oracle(log):
    found = told(log)
    for name in (NONE, WRONG):
        wanted = Oracle(BUNDLE.rule(name), BUNDLE).run(log, found, log[-1].received + KINDS.behind)
        changes = [c["change"] for c in found if c["change"].rule == name]
        got = [(c.subject, c.change.value, c.start, c.received) for c in changes]
        key = lambda one: (one[3], str(one[0]), one[1])  # noqa: E731 - at one instant in any order
        assert sorted(got, key=key) == sorted(wanted, key=key)
        raised = [c.alarm for c in changes if c.change.value == "raised"]
        assert len(raised) == len(set(raised)), "two alarms have one id"


@given(excursionlogs.logs(), st.data())
@QUICK
def test_a_restart_from_a_snapshot_at_any_record_changes_nothing(log, data):
    KINDS.restarted(log, data.draw(st.integers(1, len(log))))


@given(excursionlogs.logs(), st.randoms(use_true_random=False))
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


@given(excursionlogs.logs())
@QUICK
def test_explanations_agree_with_the_engine(log):
    KINDS.explained(log)
