"""Kind `difference`, for any log: engine and oracle agree; order of series, splits, joins and restarts change nothing."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from rules.engine import Engine
from rules.records import Kind, LogRecord, Readings, Tick
from tests.examples import examples
from tests.rules import logs as plain_logs
from tests.rules import pairlogs
from tests.rules.oracle.fold import fold
from tests.rules.test_engine_properties import END, plain, proved, without_records

BUNDLE = pairlogs.BUNDLE
QUICK = settings(
    max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
LONG = settings(QUICK, max_examples=3000)
MET: Counter[str] = Counter()
"""Which changes the random logs made, by rule and kind."""


def run(log, until=None, engine=None):
    engine = engine or Engine(BUNDLE)
    changes = [change for record in log for change in engine.fold(record)]
    return changes if until is None else changes + engine.advance(0, until)


def until_of(log):
    return max(record.received for record in log) + END


def agree(drawn):
    entity, entries = drawn
    log = plain_logs.records(entity, entries)
    changes = run(log, until_of(log))
    wanted, proofs = fold(log, BUNDLE, until_of(log))[entity.id]
    got = plain(changes)
    for i, (a, b) in enumerate(zip(got, wanted, strict=False)):
        if a != b:
            note(f"change {i}: engine {a}\noracle {b}")
            break
    assert got == wanted
    for change, proof in zip(changes, proofs, strict=True):
        MET[f"{change.rule.split('-')[-1]} {change.change.value}{' late' * change.late}"] += 1
        assert proof is None or proved(change) == proof


@given(pairlogs.logs())
@QUICK
def test_engine_and_oracle_agree(drawn):
    agree(drawn)


@pytest.mark.slow
@given(pairlogs.logs())
@LONG
def test_engine_and_oracle_agree_on_many_logs(drawn):
    """Slow: three thousand logs, each folded by the plain oracle."""
    agree(drawn)


@pytest.mark.slow
def test_the_random_logs_meet_every_change_of_a_pair():
    """Slow: it counts what three thousand logs of the test before made, and is skipped where that did not run."""
    if not MET:
        pytest.skip("the test of many logs did not run in this process")
    wanted = {
        f"{r} {c}"
        for r in ("low", "reversed", "waiting", "twins")
        for c in ("raised", "cleared", "retracted", "amended")
    }
    wanted |= {"waiting unknown", "waiting known", "reversed stepped", "waiting stepped", "low raised late"}
    assert wanted - MET.keys() == set()


def rows_of(payload):
    rows, begin = [], 0
    for tag, count in zip(payload.tags, payload.counts, strict=True):
        rows += [
            plain_logs.Row(tag, int(payload.time[i]), float(payload.value[i]), int(payload.quality[i]))
            for i in range(begin, begin + count)
        ]
        begin += count
    return rows


@given(pairlogs.logs(), st.randoms(use_true_random=False))
@QUICK
def test_splitting_a_batch_and_the_order_of_its_series_change_nothing(drawn, random):
    """Rows of one series keep their order (which of two is the duplicate depends on it); series and batches do not."""
    entity, entries = drawn
    whole = plain_logs.records(entity, entries)
    split = [whole[0]]
    for record in whole[1:]:
        payload = record.payload
        if not isinstance(payload, Readings):
            split.append(LogRecord(0, len(split), record.received, record.kind, record.facility, payload))
            continue
        queues = {}
        for row in rows_of(payload):
            queues.setdefault(row.tag, []).append(row)
        part = 0
        while queues:
            taken = []
            for tag in random.sample(sorted(queues), random.randint(1, len(queues))):
                count = random.randint(1, len(queues[tag]))
                taken += queues[tag][:count]
                queues[tag] = queues[tag][count:]
                if not queues[tag]:
                    del queues[tag]
            batch = plain_logs.readings(taken, f"{payload.batch}-{part}")
            split.append(LogRecord(0, len(split), record.received, Kind.READINGS, entity.id, batch))
            part += 1
    pairs = {rule.id for rule in (pairlogs.LOW, pairlogs.REVERSED, pairlogs.WAITING, pairlogs.TWINS)}

    def of_pairs(log):
        changes = without_records(run(log, until_of(whole)))
        return [change.model_copy(update={"seq": 0}) for change in changes if change.rule in pairs]

    assert of_pairs(whole) == of_pairs(split)


@given(pairlogs.logs(), st.data())
@QUICK
def test_a_restart_from_a_snapshot_at_any_record_changes_nothing(drawn, data):
    entity, entries = drawn
    log = plain_logs.records(entity, entries)
    cut = data.draw(st.integers(1, len(log)))
    whole = run(log, until_of(log))
    first = Engine(BUNDLE)
    changes = run(log[:cut], engine=first)
    snapshot, marker = first.snapshot(0, entity.id), first.partition_state(0)
    second = Engine(BUNDLE)
    second.restore_partition(0, marker)
    second.restore(0, entity.id, snapshot)
    assert second.snapshot(0, entity.id) == snapshot
    assert run([record for record in log[1:cut] if not isinstance(record.payload, Tick)], engine=second) == []
    changes += run(log[cut:], until_of(log), engine=second)
    assert changes == whole
