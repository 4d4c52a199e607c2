"""Lots in `offsite evaluate`: what the log tells, what lines of the lots' topic say, and that both agree."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rules.alarms import fold_alarms
from rules.engine import Engine
from rules.evaluate import evaluate
from rules.lots.fold import LotFold
from rules.lots.offline import FactLine, FactsError, Lots
from rules.pack import Bundle
from rules.records import Kind, LogRecord, PacksRecord
from tests.examples import examples
from tests.rules.lotlogs import altered, bundle, numbered, registered
from tests.rules.test_lots_facts import told
from tests.rules.tracelogs import BEGIN, DAY, HOUR, batch, case, logs, moved, notice

BUNDLE, EMPTY = bundle(), Bundle.of((), ())
QUICK = settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])
STOPPED = "vigilance.moved-after-stop"


def packs(own, received, offset, partition=0):
    payload = PacksRecord.model_validate(own.to_record().model_dump())
    return LogRecord(partition, offset, BEGIN + received, Kind.PACKS, "", payload)


def sold(lot, at, received, offset, firm="SHOP-1", partition=0):
    record = batch(f"b-{offset}", [moved("sold", at, lot, 1, from_=firm, to="a patient")], received, firm, offset)
    return LogRecord(partition, offset, record.received, record.kind, firm, record.payload)


RECALLED = numbered(
    [
        notice("N-1", ["L-1"], 2 * HOUR, offset=0),
        sold("L-1", 3 * DAY, 3 * DAY, 1),
        sold("L-2", 3 * DAY, 4 * DAY, 2),
    ]
)


def lines_of(log, partition=5):
    facts = told(log)
    return [FactLine(partition, i, fact.received + 5, fact) for i, fact in enumerate(facts)]


def test_alarms_of_lots_stand_behind_those_of_facilities_with_the_record_that_told_them():
    changes = evaluate(RECALLED, BUNDLE)
    assert [(one.stream, one.rule, one.change, one.facility) for one in changes] == [
        ("lot:L-1", STOPPED, "raised", "SHOP-1")
    ]
    assert (changes[0].source.partition, changes[0].source.offset) == (0, 3)


def test_with_one_facility_no_lot_is_decided():
    assert evaluate(RECALLED, BUNDLE, facility="SHOP-1") == []
    assert evaluate(RECALLED, BUNDLE, facility="SHOP-1", lines=lines_of(RECALLED)) == []


def test_a_log_of_several_partitions_is_told_in_the_order_of_time_not_of_partitions():
    log = [sold("L-1", 3 * DAY, 3 * DAY, 0), notice("N-1", ["L-1"], 2 * HOUR, offset=0)]
    log[1] = LogRecord(1, 0, log[1].received, log[1].kind, log[1].facility, log[1].payload)
    (change,) = evaluate(registered(log), BUNDLE)
    assert (change.received, change.late) == (BEGIN + 3 * DAY, False)


def test_packs_of_the_log_come_into_force_among_the_facts_of_all_partitions():
    log = [packs(BUNDLE, 5 * DAY, 9), *RECALLED]
    log = [*RECALLED, packs(BUNDLE, 5 * DAY, 9), packs(BUNDLE, 5 * DAY + 1, 0, partition=1)]
    (change,) = evaluate(log, EMPTY)
    assert (change.change, change.received, change.packs) == ("raised", BEGIN + 5 * DAY, BUNDLE.sha256)
    assert evaluate(log, EMPTY, ignore_pack_records=True) == []
    back = [*log, packs(EMPTY, 6 * DAY, 10)]
    assert [one.change for one in evaluate(back, EMPTY)] == ["raised", "cleared"]


def test_lines_are_what_is_folded_where_there_are_some():
    changes = evaluate(RECALLED, BUNDLE, lines=lines_of(RECALLED))
    assert [(one.stream, one.source.partition, one.source.offset) for one in changes] == [("lot:L-1", 5, 1)]
    doubled = [line for line in lines_of(RECALLED) for _ in range(2)]
    assert [one.to_json(source=False) for one in evaluate(RECALLED, BUNDLE, lines=doubled)] == [
        one.to_json(source=False) for one in changes
    ]


def test_packs_of_a_partition_come_into_force_among_its_lines_only():
    log = [*RECALLED, packs(BUNDLE, 5 * DAY, 9)]
    assert evaluate(log, EMPTY, lines=lines_of(log, partition=5)) == []
    (change,) = evaluate(log, EMPTY, lines=lines_of(log, partition=0))
    assert change.received == BEGIN + 5 * DAY


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda lines: lines[:-1], "SHOP-1 2, lot L-2: told by the log, no line"),
        (lambda lines: [*lines, FactLine(5, 9, 0, lines[-1].fact.model_copy(update={"n": 3}))], "SHOP-1 3, lot L-2: a line, not told by the log"),
        (lambda lines: [*lines[:-1], FactLine(5, 9, 0, lines[-1].fact.model_copy(update={"lot": "L-3"}))], "SHOP-1 2, lot L-2: another content"),
    ],
)  # fmt: skip
def test_lines_that_the_log_does_not_tell_are_named_and_the_reverse(spoil, words):
    with pytest.raises(FactsError, match=words) as raised:
        evaluate(RECALLED, BUNDLE, lines=spoil(lines_of(RECALLED)))
    assert raised.value.exit_code == 4
    assert "1 facts of lots differ" in str(raised.value)


def test_many_differences_are_cut_and_counted():
    log = [sold("L-1", i * HOUR, i * HOUR, i) for i in range(30)]
    with pytest.raises(FactsError, match="and 9 more"):
        evaluate(log, BUNDLE, lines=lines_of(log)[:1])


def test_lines_of_before_a_seeded_state_are_none_of_its_log():
    lots = Lots()
    lots.seed("SHOP-1", 2)
    lines = lines_of(RECALLED)
    lots.tell((0, 0), [line.fact for line in lines if line.fact.facility != "SHOP-1"])
    assert [one.rule for one in lots.decide(BUNDLE, lines)] == [STOPPED]
    lots.seed("SHOP-1", 1)
    with pytest.raises(FactsError, match="SHOP-1 2"):
        lots.decide(BUNDLE, lines)


@given(logs().map(registered) | logs(), st.randoms(use_true_random=False))
@QUICK
def test_lines_in_any_order_end_as_the_log_does(log, random):
    lines = lines_of(log)
    random.shuffle(lines)
    ends = [
        {(a.alarm, a.start, a.end, a.status) for a in fold_alarms(found) if a.status != "retracted"}
        for found in (evaluate(log, BUNDLE), evaluate(log, BUNDLE, lines=lines))
    ]
    assert ends[0] == ends[1]


@given(logs().map(registered))
@QUICK
def test_evaluate_says_what_both_folds_say_live(log):
    engine, lots, live = Engine(BUNDLE, keep_facts=True), LotFold(BUNDLE), []
    for record in log:
        live += engine.fold(record)
        live += [change for fact in engine.take_facts(0) for change in lots.fold(0, fact, None)]
    changes = evaluate(log, BUNDLE)
    assert [one.to_json(source=False) for one in changes if one.stream.startswith("lot:")] == [
        one.to_json(source=False)
        for one in sorted(live, key=lambda one: (one.stream, one.seq))
        if one.stream.startswith("lot:")
    ]


def test_a_cluster_over_two_firms_is_seen_offline():
    log = [
        case(f"R-{i}", ["L-1"], (i + 1) * DAY, firm=("HOSP-1", "MAKER-1")[i % 2], offset=i, known=i * HOUR)
        for i in range(3)
    ]
    log = registered(log)
    (change,) = evaluate(log, BUNDLE)
    assert change.rule == "vigilance.lot-cluster"
    assert evaluate(log, altered("vigilance.lot-cluster", n=4)) == []
