"""Rules over rare records, for any log: engine and oracle agree; splits, joins, ticks and restarts change nothing."""

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

pytestmark = pytest.mark.long
PACKS = {"all": rarelogs.bundle(), "rare": rarelogs.rare_bundle()}
ANY = st.one_of(
    st.tuples(st.just("all"), rarelogs.logs()),
    st.tuples(st.just("rare"), rarelogs.logs(registers_change=True)),
)
"""Packs and a log: all rules and one register, or those over rare records and several versions of it."""
QUICK = settings(
    max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
LONG = settings(QUICK, max_examples=3000)
END = 40 * rarelogs.DAY
MOST_TICKS = 400
POWER = "cold-chain.power-no-alarm"
COUNTING = ("data-integrity.audit-disabled", "data-integrity.full-rights", "test.three", "test.places")
CHECKS = ("register.sensor-count", "register.sensor-error", "register.calibration-due")


def folded(log, packs, until=None, engine=None):
    return run(log, until, engine or Engine(PACKS[packs]))


def agree(drawn):
    packs, log = drawn
    until = log[-1].received + END
    changes = folded(log, packs, until)
    got = plain(changes)
    wanted, _ = fold(log, PACKS[packs], until)[rarelogs.FACILITY]
    for i, (a, b) in enumerate(zip(got, wanted, strict=False)):
        if a != b:
            note(f"change {i}: engine {a}\noracle {b}")
            break
    assert got == wanted
    alarms = [change.alarm for change in changes if change.change.value == "raised"]
    assert len(alarms) == len(set(alarms)), "two alarms have one id"
    return changes


@given(ANY)
@QUICK
def test_engine_and_oracle_agree(drawn):
    agree(drawn)


@pytest.mark.slow
@pytest.mark.timeout(3_000)
@given(ANY)
@LONG
def test_engine_and_oracle_agree_on_many_logs(drawn):
    """Three thousand logs: too many for every run; a time limit that strikes inside of a strategy reads as a flaky one."""
    agree(drawn)


@given(ANY, st.randoms(use_true_random=False))
@QUICK
def test_events_may_be_split_over_batches_and_joined_in_any_way(drawn, chance):
    packs, log = drawn
    names = Counter(record.payload.batch for record in log if isinstance(record.payload, Events))
    # Of the same name again: a batch that came again must come again as a whole.
    whole = [r for r in log if not isinstance(r.payload, Events) or names[r.payload.batch] == 1]
    runs = []
    for record in whole:
        joins = runs and isinstance(record.payload, Events) and isinstance(runs[-1][-1].payload, Events)
        if joins and runs[-1][-1].received == record.received:
            runs[-1].append(record)
        else:
            runs.append([record])
    other = []
    for records in runs:
        if not isinstance(records[0].payload, Events):
            other += records
            continue
        left = [event for record in records for event in record.payload.events]
        while left:
            many = chance.randint(1, len(left))
            payload = Events(batch=f"other-{len(other)}", events=left[:many])
            other.append(replace(records[0], payload=payload))
            left = left[many:]
    other = [replace(record, offset=i) for i, record in enumerate(other)]
    until = log[-1].received + END
    assert without_records(folded(whole, packs, until)) == without_records(folded(other, packs, until))


@given(ANY, st.lists(st.integers(1, 40 * rarelogs.HOUR), min_size=1, max_size=20))
@QUICK
def test_more_ticks_change_nothing(drawn, distances):
    """The number of ticks is bounded here: days of ticks a millisecond apart would fill the memory with the log alone."""
    packs, log = drawn
    log = [record for record in log if not isinstance(record.payload, Tick)]
    dense, at = [], rarelogs.BEGIN
    for i, record in enumerate(log):
        step = max(distances[i % len(distances)], (record.received - at) * len(log) // MOST_TICKS)
        while at + step < record.received:
            at += step
            dense.append(LogRecord(0, 0, at, Kind.TICK, "", Tick(by="t", role="worker", now=at)))
        dense.append(record)
        at = record.received
    assert len(dense) <= len(log) + MOST_TICKS
    dense = [replace(record, offset=i) for i, record in enumerate(dense)]
    until = log[-1].received + END
    assert without_records(folded(log, packs, until)) == without_records(folded(dense, packs, until))


@given(ANY, st.data())
@QUICK
def test_a_restart_from_a_snapshot_at_any_record_changes_nothing(drawn, data):
    packs, log = drawn
    until = log[-1].received + END
    whole = Engine(PACKS[packs])
    wanted = folded(log, packs, until, whole)
    cut = data.draw(st.integers(1, len(log)))
    first = Engine(PACKS[packs])
    changes = folded(log[:cut], packs, engine=first)
    snapshot, marker = first.snapshot(0, rarelogs.FACILITY), first.partition_state(0)
    second = Engine(PACKS[packs])
    second.restore_partition(0, marker)
    second.restore(0, rarelogs.FACILITY, snapshot)
    assert second.snapshot(0, rarelogs.FACILITY) == snapshot
    repeated = [record for record in log[:cut] if not isinstance(record.payload, Tick)]
    assert folded(repeated, packs, engine=second) == []
    changes += folded(log[cut:], packs, until, engine=second)
    assert changes == wanted
    assert second.snapshot(0, rarelogs.FACILITY) == whole.snapshot(0, rarelogs.FACILITY)


def kinds_of(log, changes):
    """Return (rule, what happened) of every change, finer than its kind: by what it was decided, and how late."""
    for change in changes:
        name = change.change.value
        yield change.rule, name
        if change.source is None or change.received != log[change.source.offset].received:
            yield change.rule, f"{name} by the clock"
        if change.late:
            yield change.rule, f"{name} late"
        kinds = [record.kind for record in change.evidence.records]
        if "decision" in kinds:
            yield change.rule, f"{name} by decision"
        elif name == "cleared" and change.rule in (*COUNTING, POWER):
            yield change.rule, "cleared by the register"


@pytest.mark.slow
@pytest.mark.timeout(1_500)
def test_the_random_logs_reach_what_the_rules_can_say():
    """Slow: 1,500 logs, and what they reach changes only with the strategies of this file and with the rules."""
    seen: Counter[tuple[str, str]] = Counter()
    counted: Counter[str] = Counter()

    @seed(1)
    @given(ANY)
    @settings(QUICK, max_examples=1500, database=None)
    def count(drawn):
        packs, log = drawn
        engine = Engine(PACKS[packs])
        seen.update(kinds_of(log, folded(log, packs, log[-1].received + END, engine)))
        counted.update({name: 1 for name, number in engine.counters(0, rarelogs.FACILITY).items() if number})

    count()
    latched = {"raised", "amended", "raised late", "cleared by decision", "cleared by the register"}
    wanted = dict.fromkeys(COUNTING, frozenset(latched))
    wanted |= dict.fromkeys(
        COUNTING[:2], frozenset(latched - {"cleared by the register"})
    )  # they are for all facilities
    wanted[POWER] = {
        "raised",
        "raised by the clock",
        "amended",
        "retracted",
        "cleared by decision",
        "cleared by the register",
    }
    wanted |= dict.fromkeys(CHECKS[:2], frozenset({"raised", "unknown", "known", "cleared"}))
    wanted[CHECKS[2]] = {"raised", "raised by the clock", "stepped", "stepped by the clock", "cleared"}
    missing = {rule: kinds - {kind for of, kind in seen if of == rule} for rule, kinds in wanted.items()}
    assert {rule: kinds for rule, kinds in missing.items() if kinds} == {}, seen
    asked = {"event_repeated", "event_conflict", "event_future", "event_duplicate", "event_stale"}
    assert asked <= set(counted), counted
