"""Rules over rare records, for any log: engine and oracle agree; splits, ticks and restarts change nothing."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, note, seed, settings
from hypothesis import strategies as st

from rules.engine import Engine
from rules.records import Events, Kind, LogRecord, Tick
from tests.examples import examples
from tests.rules import rarelogs
from tests.rules.oracle.fold import fold
from tests.rules.test_engine_properties import plain, run, without_records

BUNDLE = rarelogs.bundle()
QUICK = settings(
    max_examples=examples(100), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
LONG = settings(QUICK, max_examples=3000)
END = 40 * rarelogs.DAY


def folded(log, until=None, engine=None):
    return run(log, until, engine or Engine(BUNDLE))


def agree(log):
    until = log[-1].received + END
    got = plain(folded(log, until))
    wanted, _ = fold(log, BUNDLE, until)[rarelogs.FACILITY]
    for i, (a, b) in enumerate(zip(got, wanted, strict=False)):
        if a != b:
            note(f"change {i}: engine {a}\noracle {b}")
            break
    assert got == wanted


@given(rarelogs.logs())
@QUICK
def test_engine_and_oracle_agree(drawn):
    agree(drawn[1])


@pytest.mark.slow
@given(rarelogs.logs())
@LONG
def test_engine_and_oracle_agree_on_many_logs(drawn):
    """Three thousand logs: too many for every run."""
    agree(drawn[1])


@given(rarelogs.logs())
@QUICK
def test_each_event_in_a_batch_of_its_own_changes_nothing(drawn):
    _, log = drawn
    single = []
    for record in log:
        parts = [record.payload]
        if isinstance(record.payload, Events):
            # Of the same name and content again: a batch that came again must come again as a whole.
            parts = [
                Events(batch=f"{record.payload.batch}-{i}-{len(record.payload.events)}", events=[event])
                for i, event in enumerate(record.payload.events)
            ]
        single += [replace(record, payload=payload, offset=len(single) + i) for i, payload in enumerate(parts)]
    whole = [
        record
        for record in log
        if not isinstance(record.payload, Events)
        or sum(r.payload.batch == record.payload.batch for r in log if isinstance(r.payload, Events)) == 1
    ]
    kept = {record.payload.batch for record in whole if isinstance(record.payload, Events)}
    single = [r for r in single if not isinstance(r.payload, Events) or r.payload.batch.split("-")[0] in kept]
    until = log[-1].received + END
    assert without_records(folded(whole, until)) == without_records(folded(single, until))


@given(rarelogs.logs(), st.lists(st.integers(20 * rarelogs.MINUTE, 40 * rarelogs.HOUR), min_size=1, max_size=20))
@QUICK
def test_more_ticks_change_nothing(drawn, distances):
    _, log = drawn
    log = [record for record in log if not isinstance(record.payload, Tick)]
    dense, at = [], rarelogs.BEGIN
    for i, record in enumerate(log):
        step = distances[i % len(distances)]
        while at + step < record.received:
            at += step
            dense.append(LogRecord(0, 0, at, Kind.TICK, "", Tick(by="t", role="worker", now=at)))
        dense.append(record)
    dense = [replace(record, offset=i) for i, record in enumerate(dense)]
    until = log[-1].received + END
    assert without_records(folded(log, until)) == without_records(folded(dense, until))


@given(rarelogs.logs(), st.data())
@QUICK
def test_a_restart_from_a_snapshot_at_any_record_changes_nothing(drawn, data):
    _, log = drawn
    until = log[-1].received + END
    whole = Engine(BUNDLE)
    wanted = folded(log, until, whole)
    cut = data.draw(st.integers(1, len(log)))
    first = Engine(BUNDLE)
    changes = folded(log[:cut], engine=first)
    snapshot, marker = first.snapshot(0, rarelogs.FACILITY), first.partition_state(0)
    second = Engine(BUNDLE)
    second.restore_partition(0, marker)
    second.restore(0, rarelogs.FACILITY, snapshot)
    assert second.snapshot(0, rarelogs.FACILITY) == snapshot
    repeated = [record for record in log[:cut] if not isinstance(record.payload, Tick)]
    assert folded(repeated, engine=second) == []
    changes += folded(log[cut:], until, engine=second)
    assert changes == wanted
    assert second.snapshot(0, rarelogs.FACILITY) == whole.snapshot(0, rarelogs.FACILITY)


def test_the_random_logs_reach_what_the_rules_can_say():
    seen: Counter[tuple[str, str]] = Counter()

    @seed(1)
    @given(rarelogs.logs())
    @settings(QUICK, max_examples=500, database=None)
    def count(drawn):
        changes = folded(drawn[1], drawn[1][-1].received + END)
        seen.update((change.rule, change.change.value) for change in changes)

    count()
    counting = ("data-integrity.audit-disabled", "data-integrity.full-rights", "test.three", "test.places")
    wanted = {rule: {"raised", "amended"} for rule in counting}
    wanted["data-integrity.audit-disabled"].add("cleared")
    wanted["cold-chain.power-no-alarm"] = {"raised", "retracted", "cleared"}
    wanted |= {"register.calibration-due": {"raised", "stepped"}}
    wanted |= {"register.sensor-count": {"raised"}, "register.sensor-error": {"raised"}}
    missing = {rule: kinds - {kind for of, kind in seen if of == rule} for rule, kinds in wanted.items()}
    assert {rule: kinds for rule, kinds in missing.items() if kinds} == {}, seen
