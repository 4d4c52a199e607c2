"""Kind `difference`, for any log: engine and oracle agree; order of series, splits, joins, ticks and restarts change nothing.

Long: the oracle decides every pair from all its rows again and again; make check leaves it to make test.
"""

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

pytestmark = pytest.mark.long

BUNDLE = pairlogs.BUNDLE
QUICK = settings(
    max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
LONG = settings(QUICK, max_examples=3000)
RULES = [pairlogs.LOW, pairlogs.REVERSED, pairlogs.WAITING, pairlogs.TWINS, pairlogs.SCALED]
PAIRS = {rule.id for rule in RULES}
CHANGES = ("raised", "cleared", "retracted", "amended", "unknown", "known", "raised late")
MET = {f"{rule.id} {change}" for rule in RULES for change in CHANGES}
MET |= {f"{rule.id} stepped" for rule in (pairlogs.REVERSED, pairlogs.WAITING)}
"""What the random logs must make of the pairs of each rule."""


def run(log, until=None, engine=None):
    engine = engine or Engine(BUNDLE)
    changes = [change for record in log for change in engine.fold(record)]
    return changes if until is None else changes + engine.advance(0, until)


def until_of(log):
    return max(record.received for record in log) + END


def agree(drawn):
    """Compare engine and oracle; returns how often each change of a pair occurred."""
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
        assert proof is None or proved(change) == proof
    return Counter(f"{c.rule} {c.change.value}{' late' * c.late}" for c in changes if c.rule in PAIRS)


@given(pairlogs.logs())
@QUICK
def test_engine_and_oracle_agree(drawn):
    agree(drawn)


@pytest.mark.slow
@pytest.mark.timeout(3_000)
def test_engine_and_oracle_agree_on_many_logs_and_these_meet_every_change():
    """Slow: three thousand logs, each folded by the plain oracle too."""
    met = Counter()

    @given(pairlogs.logs())
    @LONG
    def agrees(drawn):
        met.update(agree(drawn))

    agrees()
    print(sorted(met.items()))  # noqa: T201 - read with -s: how often each change was compared
    assert MET - met.keys() == set()


def test_the_random_logs_meet_every_change():
    met = Counter()

    @given(pairlogs.logs())
    @settings(QUICK, max_examples=300, derandomize=True, database=None)
    def look(drawn):
        log = plain_logs.records(*drawn)
        met.update(f"{c.rule} {c.change.value}{' late' * c.late}" for c in run(log, until_of(log)))

    look()
    assert MET - met.keys() == set(), met


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

    def of_pairs(log):
        changes = without_records(run(log, until_of(whole)))
        return [change.model_copy(update={"seq": 0}) for change in changes if change.rule in PAIRS]

    assert of_pairs(whole) == of_pairs(split)


@given(pairlogs.logs())
@QUICK
def test_joining_the_batches_of_one_instant_changes_nothing(drawn):
    entity, entries = drawn
    log = plain_logs.records(entity, entries)
    joined, taken = [log[0]], []
    for record, after in zip(log[1:], [*log[2:], None], strict=True):
        readings = isinstance(record.payload, Readings)
        taken += rows_of(record.payload) if readings else []
        goes_on = after is not None and isinstance(after.payload, Readings) and after.received == record.received
        if readings and goes_on:
            continue
        payload = plain_logs.readings(taken, f"j{record.offset}") if readings else record.payload
        joined.append(LogRecord(0, len(joined), record.received, record.kind, record.facility, payload))
        taken = [] if readings else taken

    def of_pairs(log):
        changes = without_records(run(log, until_of(joined)))
        return [change.model_copy(update={"seq": 0}) for change in changes if change.rule in PAIRS]

    assert of_pairs(log) == of_pairs(joined)


@given(pairlogs.logs(), st.lists(st.integers(1, 600_000), min_size=1, max_size=5))
@QUICK
def test_ticks_make_decisions_come_sooner_and_change_none(drawn, distances):
    entity, entries = drawn
    plain_entries, newest = [], plain_logs.BEGIN
    for received, rows in entries:
        newest = max(newest, received)
        if not isinstance(rows, str):
            plain_entries.append((newest, rows))
    dense, tick = [], plain_logs.BEGIN
    for received, rows in plain_entries:
        while tick < received and len(dense) < 2_000:
            dense.append((tick, "gateway"))
            tick += distances[len(dense) % len(distances)]
        dense.append((received, rows))
    until = newest + END
    sparse, often = plain_logs.records(entity, plain_entries), plain_logs.records(entity, dense)
    assert without_records(run(sparse, until)) == without_records(run(often, until))


@given(pairlogs.logs(), st.data())
@QUICK
def test_a_restart_from_a_snapshot_at_any_record_changes_nothing(drawn, data):
    entity, entries = drawn
    log = plain_logs.records(entity, entries)
    cut = data.draw(st.integers(1, len(log)))
    undisturbed = Engine(BUNDLE)
    whole = run(log, until_of(log), undisturbed)
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
    assert second.snapshot(0, entity.id) == undisturbed.snapshot(0, entity.id)
