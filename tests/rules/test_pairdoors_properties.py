"""Kind `difference` with doors, for any log: engine and oracles agree; order, splits, joins, ticks and restarts change nothing (ADR 0091).

Long: the oracle decides every pair from all its rows and all events of doors again and again; make check leaves it to make test.
"""

from __future__ import annotations

from collections import Counter
from unittest.mock import patch

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from rules import doorstates
from rules.engine import Engine
from rules.pack import Bundle
from rules.records import Events, Kind, LogRecord, Readings, Tick
from rules.rule import DifferenceRule
from tests.examples import examples
from tests.rules import logs as plain_logs
from tests.rules import pairdoorlogs, pairlogs
from tests.rules.leaves.test_pairs_agree import compare
from tests.rules.oracle import pressuredoors
from tests.rules.oracle.fold import fold
from tests.rules.pairdoorlogs import GUARDED, MINUTE, OTHER, STEPPED, event
from tests.rules.test_engine_properties import END, plain, proved, without_records
from tests.rules.test_pairs_properties import QUICK, rows_of, until_of

pytestmark = pytest.mark.long

RULES = [GUARDED, STEPPED, OTHER]
BUNDLE = Bundle.of([*RULES, *pairlogs.EXCLUDING], [])
BLIND = Bundle.of([*(one.model_copy(update={"doors": None}) for one in RULES), *pairlogs.EXCLUDING], [])
PAIRS = {rule.id for rule in RULES}
CHANGES = ("raised", "cleared", "retracted", "amended", "unknown", "known", "raised late")
MET = {f"{rule.id} {change}" for rule in (GUARDED, STEPPED) for change in CHANGES} | {f"{STEPPED.id} stepped"}
BELIEVED = 10 * MINUTE


@pytest.fixture(scope="module", autouse=True)
def believed():
    """An hour is longer than these logs: ten minutes here."""
    with patch.object(doorstates, "BELIEVED_MS", BELIEVED), patch.object(pressuredoors, "HOUR", BELIEVED):
        yield


def run(log, until=None, engine=None, bundle=BUNDLE):
    engine = engine or Engine(bundle)
    changes = [change for record in log for change in engine.fold(record)]
    return changes if until is None else changes + engine.advance(0, until)


def of_pairs(log, until, bundle=BUNDLE):
    changes = without_records(run(log, until, bundle=bundle))
    return [change.model_copy(update={"seq": 0}) for change in changes if change.rule in PAIRS]


def agree(drawn):
    entity, entries = drawn
    log = pairdoorlogs.records(entity, entries)
    changes = run(log, until_of(log))
    wanted, proofs = fold(log, BUNDLE, until_of(log))[entity.id]
    got = plain(changes)
    for i, (a, b) in enumerate(zip(got, wanted, strict=False)):
        if a != b:
            note(f"change {i}: engine {a}\noracle {b}")
            break
    assert got == wanted
    for change, proof in zip(changes, proofs, strict=True):
        told = change.model_copy(update={"evidence": _without_doors(change.evidence)})
        assert proof is None or proved(told) == proof
    return Counter(f"{c.rule} {c.change.value}{' late' * c.late}" for c in changes if c.rule in PAIRS)


def _without_doors(evidence):
    return evidence.model_copy(
        update={"leaves": [leaf for leaf in evidence.leaves if not leaf.expr.startswith("doors ")]}
    )


@given(pairdoorlogs.logs())
@QUICK
def test_engine_and_oracle_agree(drawn):
    agree(drawn)


@pytest.mark.slow
@pytest.mark.timeout(3_000)
def test_engine_and_oracle_agree_on_many_logs_and_these_meet_every_change():
    """Slow: two thousand logs, each folded by the plain oracle too."""
    met = Counter()

    @given(pairdoorlogs.logs())
    @settings(QUICK, max_examples=2_000)
    def agrees(drawn):
        met.update(agree(drawn))

    agrees()
    print(sorted(met.items()))  # noqa: T201 - read with -s: how often each change was compared
    assert MET - met.keys() == set()


def test_the_random_logs_meet_every_change_and_doors_make_a_difference():
    met, other = Counter(), 0

    @given(pairdoorlogs.logs())
    @settings(QUICK, max_examples=400, derandomize=True, database=None)
    def look(drawn):
        nonlocal other
        log = pairdoorlogs.records(*drawn)
        changes = run(log, until_of(log))
        met.update(f"{c.rule} {c.change.value}{' late' * c.late}" for c in changes)
        other += plain(changes) != plain(run(log, until_of(log), bundle=BLIND))

    look()
    assert MET - met.keys() == set(), met
    assert other > 100


@given(pairlogs.logs(), st.lists(st.sampled_from(["C1", "S"]), max_size=4))
@QUICK
def test_without_a_door_of_the_cleaner_room_all_is_as_without_doors(drawn, areas):
    entity, entries = drawn
    areas = [
        area for area in areas if all(area not in (one.area, one.against) for one in entity.sensors if one.against)
    ]
    told = [(plain_logs.BEGIN, [event("D", plain_logs.BEGIN, "closed", area)]) for area in areas]
    told.append((plain_logs.BEGIN, [event("D", plain_logs.BEGIN, "ajar")]))
    log = pairdoorlogs.records(entity, [*told, *entries])
    cleaner = {pair.subject["area"] for pair in planned(log).pairs}
    if not cleaner & set(areas):
        guarded, blind = (run(log, until_of(log), bundle=bundle) for bundle in (BUNDLE, BLIND))
        assert [c.model_copy(update={"packs": ""}) for c in guarded] == [
            c.model_copy(update={"packs": ""}) for c in blind
        ]


def planned(log):
    engine = Engine(BUNDLE)
    engine.fold(log[0])
    return engine.state_of(log[0].facility).plan


@given(pairdoorlogs.logs(), st.randoms(use_true_random=False))
@QUICK
def test_splitting_a_batch_and_the_order_of_its_series_and_of_events_at_an_instant_change_nothing(drawn, random):
    """Rows of one series keep their order; all else of an instant does not: series, batches, and events before or behind rows."""
    entity, entries = drawn
    whole = pairdoorlogs.records(entity, entries)
    by_instant = {}
    for record in whole[1:]:
        by_instant.setdefault(record.received, []).append(record)
    split = [whole[0]]

    def put(record, payload, kind):
        split.append(LogRecord(0, len(split), record.received, kind, record.facility, payload))

    for found in by_instant.values():
        rows = [one for one in found if not isinstance(one.payload, Events)]
        parts = [
            (one, Events(batch=f"{one.payload.batch}-{i}", events=[single]))
            for one in found
            if isinstance(one.payload, Events)
            for i, single in enumerate(one.payload.events)
        ]
        random.shuffle(parts)
        for record in rows:
            while parts and random.random() < 0.5:
                put(*parts.pop(), Kind.EVENTS)
            if not isinstance(record.payload, Readings):
                put(record, record.payload, record.kind)
                continue
            queues = {}
            for row in rows_of(record.payload):
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
                put(record, plain_logs.readings(taken, f"{record.payload.batch}-{part}"), Kind.READINGS)
                part += 1
        for part in parts:
            put(*part, Kind.EVENTS)
    assert of_pairs(whole, until_of(whole)) == of_pairs(split, until_of(whole))


@given(pairdoorlogs.logs(), st.lists(st.integers(1, 600_000), min_size=1, max_size=5))
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
    sparse, often = pairdoorlogs.records(entity, plain_entries), pairdoorlogs.records(entity, dense)
    assert without_records(run(sparse, until)) == without_records(run(often, until))


@given(pairdoorlogs.logs(), st.data())
@QUICK
def test_a_restart_from_a_snapshot_at_any_record_changes_nothing(drawn, data):
    entity, entries = drawn
    log = pairdoorlogs.records(entity, entries)
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
    assert second.counters(0, entity.id) == undisturbed.counters(0, entity.id)


@given(pairdoorlogs.logs())
@settings(QUICK, max_examples=examples(12))
def test_explain_says_what_the_engine_says(drawn):
    entity, entries = drawn
    log = pairdoorlogs.records(entity, entries)
    compare(log, BUNDLE, [rule.id for rule in RULES if isinstance(rule, DifferenceRule)], until_of(log))


ROWS = st.lists(st.sampled_from([12.0, 12.0, 9.0, 9.0, 9.0, 9.0, 10.0, 11.0, None]), min_size=4, max_size=40)
TOLD = st.lists(
    st.tuples(st.sampled_from("DDEF"), st.integers(-20, 400), st.sampled_from(["open", "closed"])), max_size=12
)


@given(ROWS, TOLD, st.sampled_from([20, 30, 60]), st.booleans())
@settings(QUICK, max_examples=examples(150))
def test_of_a_log_in_order_it_tells_what_the_plain_rule_tells(values, told, every, few):
    """With room for four events in place of 512 as well: what is in order needs no more."""
    entity = pairlogs.facility([("DP", "B1", "C1", every)], [])
    rows = [(plain_logs.BEGIN + i * every * 1_000, value) for i, value in enumerate(values)]
    events = sorted((plain_logs.BEGIN + 5_000 * at, door, word) for door, at, word in told)
    entries = [
        (t, [plain_logs.Row("DP", t, 0.0 if value is None else value, 0 if value is not None else 8)])
        for t, value in rows
    ]
    entries += [(t, [event(door, t, word)]) for t, door, word in events if t <= rows[-1][0]]
    log = pairdoorlogs.records(entity, sorted(entries, key=lambda entry: max(entry[0], plain_logs.BEGIN)))
    said = {}
    for t, door, word in events:
        said.setdefault(door, []).append((t, word))
    with patch.object(doorstates, "MAX_EVENTS", 4 if few else 512):
        changes = [change for change in run(log, rows[-1][0] + 1) if change.rule == GUARDED.id]
    ends = {change.alarm: change.end for change in changes if change.change == "cleared"}
    got = [(c.start, c.at, ends.get(c.alarm)) for c in changes if c.change == "raised"]
    assert got == pressuredoors.alarms(rows, said, interval=every * 1_000)
