"""Online sales without telemetry, for any log: both folds and the oracle agree; ticks, batches, orders and restarts change nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rules.alarms import fold_alarms
from rules.engine import Engine
from rules.evaluate import evaluate
from rules.lots.fold import LotFold
from rules.lots.offline import FactLine
from rules.records import Readings
from tests.examples import examples
from tests.rules.onlinelogs import ONLINE, logs
from tests.rules.oracle import online as oracle
from tests.rules.tracelogs import BEGIN

pytestmark = pytest.mark.long
QUICK = settings(max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.too_slow])


def standing(changes):
    return {
        (one.subject["lot"], one.subject.get("trip", ""), one.facility, one.start, one.end)
        for one in fold_alarms(changes)
        if one.status != "retracted"
    }


def said(changes):
    """Return what changes say, but for the records that they name: those have other ids where a batch is split."""
    told = [one.to_json(source=False) for one in changes]
    for one in told:
        one["evidence"].pop("records", None)
    return told


def facts_of(records, cuts=()):
    """Return what a log tells; before some records the fold is put back from its snapshots."""
    engine, found = Engine(ONLINE, keep_facts=True), []
    for i, record in enumerate(records):
        if i in cuts:
            engine = restarted(engine)
        engine.fold(record)
        found += engine.take_facts(0)
    return found


def restarted(engine):
    other = Engine(ONLINE, keep_facts=True)
    other.restore_partition(0, engine.partition_state(0))
    for name in engine.facilities(0):
        snapshot = engine.snapshot(0, name)
        other.restore(0, name, snapshot)
        assert other.snapshot(0, name) == snapshot
    return other


@given(logs())
@QUICK
def test_what_stands_is_what_the_oracle_finds_in_the_log(records):
    assert standing(evaluate(records, ONLINE)) == oracle.alarms(records)


@given(logs(), st.data())
@QUICK
def test_ticks_in_between_change_nothing(records, data):
    *before, last = records
    ticks = []
    for record in before:
        if data.draw(st.booleans()):
            behind = record.received + data.draw(st.sampled_from([0, 1, 3_600_000, 86_460_000]))
            ticks.append(replace(last, offset=record.offset, received=min(behind, last.received)))
    told = [one.to_json(source=False) for one in evaluate(records, ONLINE)]
    denser = [*sorted([*before, *ticks], key=lambda one: (one.received, one.offset, one.facility == "")), last]
    denser = [replace(one, offset=i) for i, one in enumerate(denser)]
    assert [one.to_json(source=False) for one in evaluate(denser, ONLINE)] == told


@given(logs())
@QUICK
def test_readings_row_by_row_end_alike(records):
    split = []
    for record in records:
        payload = record.payload
        if not isinstance(payload, Readings):
            split.append(record)
            continue
        for i, tag in enumerate(payload.tags):
            one = Readings(
                f"{payload.batch}-{i}", (tag,), np.ones(1, np.int32), payload.time[i : i + 1], payload.value[i : i + 1],
                payload.quality[i : i + 1],
            )  # fmt: skip
            split.append(replace(record, payload=one))
    split = [replace(record, offset=i) for i, record in enumerate(split)]
    ends = [evaluate(found, ONLINE) for found in (split, records)]
    assert standing(ends[0]) == standing(ends[1])
    assert said(ends[0]) == said(ends[1])


@given(logs(), st.data())
@QUICK
def test_facts_in_any_order_and_twice_end_alike(records, data):
    facts = facts_of(records)
    mixed = data.draw(st.permutations(facts + [fact for fact in facts if data.draw(st.booleans())]))
    folds = [LotFold(ONLINE), LotFold(ONLINE)]
    changes = [
        [change for fact in found for change in fold.fold(0, fact, None)]
        for fold, found in zip(folds, (facts, mixed), strict=True)
    ]
    assert standing(changes[0]) == standing(changes[1]) == oracle.alarms(records)
    assert folds[0].lots(0) == folds[1].lots(0)
    for lot in folds[0].lots(0):
        one, other = (fold.state_of(0, lot).book for fold in folds)
        assert (one.links.pack(), one.pack()) == (other.links.pack(), other.pack())
        folds[0].clean(0, lot)
    for fact in facts:
        assert folds[0].fold(0, fact, None) == []
    assert folds[0].dirty(0) == []


@given(logs(), st.data())
@QUICK
def test_restarts_of_either_fold_change_nothing(records, data):
    cuts = set(data.draw(st.lists(st.integers(0, len(records)), max_size=4)))
    facts = facts_of(records)
    assert facts_of(records, cuts) == facts
    whole, lots = LotFold(ONLINE), LotFold(ONLINE)
    for i, fact in enumerate(facts):
        if i in cuts:
            other = LotFold(ONLINE)
            other.restore_partition(0, lots.partition_state(0))
            for lot in lots.lots(0):
                other.restore(0, lot, lots.snapshot(0, lot))
                assert other.snapshot(0, lot) == lots.snapshot(0, lot)
            lots = other
        assert lots.fold(0, fact, None) == whole.fold(0, fact, None)


@given(logs(), st.randoms(use_true_random=False))
@QUICK
def test_lines_of_the_topic_in_any_order_end_as_the_log_does(records, random):
    lines = [FactLine(5, i, fact.received + 5, fact) for i, fact in enumerate(facts_of(records))]
    random.shuffle(lines)
    until = records[-1].received + 3 * 86_400_000
    ends = [standing(evaluate(records, ONLINE, until_ms=until, lines=found)) for found in ((), lines)]
    assert ends[0] == ends[1]
    assert all(start > BEGIN for _, _, _, start, _ in ends[0])
