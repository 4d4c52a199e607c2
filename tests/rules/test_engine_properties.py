"""What must hold for any log: engine and oracle agree; batches, ticks, co-tenants and restarts change nothing."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from rules.changes import ChangeKind, Verdict
from rules.engine import Engine
from rules.pack import default_bundle
from rules.records import Kind, LogRecord, Readings, Tick
from tests.examples import examples
from tests.rules import logs
from tests.rules.oracle.fold import fold

BUNDLE = default_bundle()
QUICK = settings(
    max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
LONG = settings(QUICK, max_examples=3000)
END = 6 * 3_600_000


def run(log, until=None, engine=None):
    engine = engine or Engine(BUNDLE)
    changes = [change for record in log for change in engine.fold(record)]
    if until is not None:
        changes += engine.advance(0, until)
    return changes


def plain(changes):
    return [
        {
            "seq": c.seq, "rule": c.rule, "subject": c.subject, "change": c.change.value, "alarm": c.alarm,
            "severity": c.severity.value, "start": c.start, "end": c.end, "at": c.at, "received": c.received,
            "late": c.late, "by": c.by,
        }
        for c in changes
    ]  # fmt: skip


def without_records(changes):
    return [
        c.model_copy(update={"source": None, "evidence": c.evidence.model_copy(update={"records": []})})
        for c in changes
    ]


def agree(drawn):
    entity, entries = drawn
    log = logs.records(entity, entries)
    until = max(r.received for r in log) + END
    changes = run(log, until)
    got = plain(changes)
    wanted, proofs = fold(log, BUNDLE, until)[entity.id]
    for i, (a, b) in enumerate(zip(got, wanted, strict=False)):
        if a != b:
            note(f"change {i}: engine {a}\noracle {b}")
            break
    assert got == wanted
    for change, proof in zip(changes, proofs, strict=True):
        if isinstance(proof, tuple):
            assert proved(change) == proof
        elif proof is not None:  # kinds that sum tell one number
            assert change.evidence.leaves[0].left == proof


def proved(change):
    """Return (deciding value, whether it lies outside, farthest value) of a limit's change."""
    (leaf,) = change.evidence.leaves
    if leaf.verdict is Verdict.UNKNOWN:
        return None, None, change.evidence.peak
    return leaf.left, leaf.verdict is Verdict.TRUE, change.evidence.peak


def test_a_silence_that_closed_time_had_coloured_is_taken_back_with_that_colour():
    """It was told yellow inside closed time and stepped back; a random log of many thousands found the two of different minds."""
    second, begin = 1_000, logs.BEGIN
    steady = [(3_600 * second + i, [logs.Row("T1", begin + (1_200 + 300 * i) * second, 5.0 + i % 2)]) for i in range(9)]
    stored = [logs.Row("T0", begin + t * second, 5.0 + t % 900 / 900) for t in (900, 600, 300)]
    log = [
        (601 * second, "gateway"), (900 * second, [logs.Row("T1", begin + 900 * second, 5.0)]), (901 * second, "gateway"),
        *steady, (4_201 * second, "gateway"), (4_202 * second + 1, stored),
    ]  # fmt: skip
    entity = logs.facility([("T0", "A1", 300), ("T1", "A1", 300)], delivery=10_000)
    drawn = entity, [(begin + at, what) for at, what in log]
    agree(drawn)
    told = [
        c
        for c in run(logs.records(*drawn), begin + END)
        if c.rule == "data-integrity.gap" and c.subject == {"tag": "T0"}
    ]
    assert [c.severity for c in told if c.change is ChangeKind.RETRACTED] == ["yellow"]


@given(logs.logs())
@QUICK
def test_engine_and_oracle_agree(drawn):
    agree(drawn)


@pytest.mark.slow
@given(logs.logs())
@LONG
def test_engine_and_oracle_agree_on_many_logs(drawn):
    agree(drawn)


@given(logs.logs(), st.randoms(use_true_random=False))
@QUICK
def test_splitting_batches_of_one_instant_changes_nothing(drawn, random):
    entity, entries = drawn
    whole = logs.records(entity, entries)
    split = [whole[0]]
    for record in whole[1:]:
        if not isinstance(record.payload, Readings):
            split.append(LogRecord(0, len(split), record.received, record.kind, record.facility, record.payload))
            continue
        payload = record.payload
        rows = []
        begin = 0
        for tag, count in zip(payload.tags, payload.counts, strict=True):
            rows += [
                logs.Row(tag, int(payload.time[i]), float(payload.value[i]), int(payload.quality[i]))
                for i in range(begin, begin + count)
            ]
            begin += count
        while rows:
            cut = random.randint(1, len(rows))
            part, rows = rows[:cut], rows[cut:]
            split.append(
                LogRecord(
                    0,
                    len(split),
                    record.received,
                    Kind.READINGS,
                    entity.id,
                    logs.readings(part, f"{payload.batch}-{len(rows)}"),
                )
            )
    until = max(r.received for r in whole) + END
    assert without_records(run(whole, until)) == without_records(run(split, until))


@given(logs.logs(doors=False), st.lists(st.integers(1, 800_000), min_size=1, max_size=60))
@QUICK
def test_more_ticks_change_nothing(drawn, distances):
    entity, entries = drawn
    entries = [entry for entry in entries if not isinstance(entry[1], str)]
    newest = logs.BEGIN
    monotone = []
    for received, rows in entries:
        newest = max(newest, received)
        monotone.append((newest, rows))
    sparse = logs.records(entity, monotone)
    dense_entries = []
    tick = logs.BEGIN
    queue = list(distances)
    for received, rows in monotone:
        while tick < received:
            dense_entries.append((tick, "gateway"))
            tick += queue[len(dense_entries) % len(queue)] + 1_000
        dense_entries.append((received, rows))
    dense = logs.records(entity, dense_entries)
    until = newest + END
    assert without_records(run(sparse, until)) == without_records(run(dense, until))


@given(logs.logs(doors=False), logs.logs(doors=False))
@QUICK
def test_another_facility_in_the_partition_changes_nothing(drawn, other):
    entity, entries = drawn
    stranger, more = other
    stranger = stranger.model_copy(update={"id": "ELSE-0002"})
    entries = [e for e in entries if not isinstance(e[1], str)]
    more = [e for e in more if not isinstance(e[1], str)]
    alone = logs.records(entity, entries)
    mixed = []
    lines = sorted(
        [(r.received, 0, i, r) for i, r in enumerate(alone)]
        + [(r.received, 1, i, r) for i, r in enumerate(logs.records(stranger, more))],
        key=lambda item: (item[2], item[1]),
    )
    for _, _, _, record in lines:
        mixed.append(LogRecord(0, len(mixed), record.received, record.kind, record.facility, record.payload))
    assert without_records(run(alone)) == [c for c in without_records(run(mixed)) if c.facility == entity.id]


@given(logs.logs(), st.data())
@QUICK
def test_a_restart_from_a_snapshot_at_any_record_changes_nothing(drawn, data):
    entity, entries = drawn
    log = logs.records(entity, entries)
    cut = data.draw(st.integers(1, len(log)))
    until = max(r.received for r in log) + END
    whole = run(log, until)
    first = Engine(BUNDLE)
    changes = run(log[:cut], engine=first)
    snapshot, marker = first.snapshot(0, entity.id), first.partition_state(0)
    second = Engine(BUNDLE)
    second.restore_partition(0, marker)
    second.restore(0, entity.id, snapshot)
    assert second.snapshot(0, entity.id) == snapshot
    again = data.draw(st.integers(1, cut))
    repeated = [record for record in log[again:cut] if not isinstance(record.payload, Tick)]
    assert run(repeated, engine=second) == []
    changes += run(log[cut:], until, engine=second)
    assert changes == whole


@given(logs.logs())
@QUICK
def test_every_alarm_tells_a_well_formed_story(drawn):
    entity, entries = drawn
    log = logs.records(entity, entries)
    changes = run(log, max(r.received for r in log) + END)
    assert [c.seq for c in changes] == list(range(1, len(changes) + 1))
    stories: dict[str, list] = {}
    for change in changes:
        stories.setdefault(change.alarm, []).append(change)
    for story in stories.values():
        assert story[0].change is ChangeKind.RAISED
        assert [c for c in story[1:] if c.change is ChangeKind.RAISED] == []
        assert all(c.change is not ChangeKind.RETRACTED for c in story[:-1])
        assert len({(c.rule, str(c.subject)) for c in story}) == 1
        for change in story:
            assert change.end is None or change.end >= change.start
            if change.change is ChangeKind.CLEARED:
                assert change.end is not None
