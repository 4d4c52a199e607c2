from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from monitor.gateway.ledger import OFFSETS_KEPT, REGISTER_BYTES, SEQUENCE_KEPT, Caps, ChangeSeen, Ledger, Sequence
from rules.alarms import fold_alarms
from rules.evaluate import evaluate
from rules.pack import default_bundle
from rules.records import Kind, LogRecord, RegisterRecord, Tick
from tests.rules.logs import BEGIN, FACILITY, Row, facility, readings

MINUTE = 60_000


def record(payload, received, kind=Kind.READINGS, owner=FACILITY):
    return LogRecord(0, 0, received, kind, owner, payload)


def change(seq, kind="raised", alarm="a" * 32, **members):
    value = {
        "stream": FACILITY, "seq": seq, "facility": FACILITY, "alarm": alarm, "rule": "cold-chain.store-out",
        "subject": {"tag": "T1"}, "change": kind, "severity": "orange", "stage": "live", "start": BEGIN,
        "end": None, "received": BEGIN + seq, "message": {"en": "warm", "zh": "超温"}, "evidence": {"leaves": []},
    } | members  # fmt: skip
    return ChangeSeen.model_validate(value)


def open_alarms(ledger):
    return set(ledger.find(FACILITY).findings)


def test_the_clock_offset_is_the_median_of_the_last_records():
    ledger = Ledger()
    assert ledger.find(FACILITY).clock_offset() is None
    for i in range(OFFSETS_KEPT + 20):
        late = 10_000_000 if i < 20 else 2_000 + i
        rows = [Row("T1", BEGIN + i, 5.0), Row("T1", BEGIN + i - 9, 5.0)]
        ledger.take(record(readings(rows, f"b{i}"), BEGIN + i + late), ())
    assert ledger.find(FACILITY).clock_offset() == 2_000 + 20 + OFFSETS_KEPT // 2


def test_arrivals_are_counted_by_kind_with_the_last_instant():
    ledger = Ledger()
    ledger.take(record(readings([Row("T1", 1, 5.0)]), 100), ())
    ledger.take(record(readings([Row("T1", 2, 5.0)], "c"), 200), ())
    ledger.count(FACILITY, Kind.REPORT, 300)
    assert ledger.find(FACILITY).records == {Kind.READINGS: (2, 200), Kind.REPORT: (1, 300)}


def test_findings_open_and_close_as_the_changes_say():
    ledger = Ledger()
    for seq, kind in enumerate(["raised", "stepped", "suppressed", "released", "unknown", "known"], 1):
        ledger.apply(change(seq, kind))
        assert open_alarms(ledger) == {"a" * 32}
    ledger.apply(change(seq + 1, "cleared", end=BEGIN + 5))
    assert open_alarms(ledger) == set()
    ledger.apply(change(seq + 2, "amended", end=BEGIN + 6))
    assert open_alarms(ledger) == set()
    ledger.apply(change(seq + 3, "amended"))  # late data show that it has not ended
    assert open_alarms(ledger) == {"a" * 32}
    ledger.apply(change(seq + 4, "retracted"))
    assert open_alarms(ledger) == set()
    assert ledger.findings == 0


def test_suppressed_and_unknown_are_told():
    ledger = Ledger()
    ledger.apply(change(1))
    finding = ledger.find(FACILITY).findings["a" * 32]
    for seq, kind, expected in [
        (2, "suppressed", (True, False)), (3, "unknown", (True, True)), (4, "released", (False, True)),
        (5, "known", (False, False)),
    ]:  # fmt: skip
        ledger.apply(change(seq, kind))
        assert (finding.suppressed, finding.unknown) == expected
        assert finding.last.seq == seq


def test_what_is_published_again_changes_nothing_and_a_missing_number_is_counted():
    ledger = Ledger()
    ledger.apply(change(7))
    ledger.apply(change(8, "cleared", end=BEGIN))
    ledger.apply(change(7))
    ledger.apply(change(8))
    assert open_alarms(ledger) == set()
    assert ledger.find(FACILITY).changes_missed == 0  # what lies before the first one read is no gap
    ledger.apply(change(12, alarm="b" * 32))
    assert ledger.find(FACILITY).changes_missed == 3
    ledger.apply(change(1, alarm="c" * 32, stream="lot:B2601"))
    assert open_alarms(ledger) == {"b" * 32, "c" * 32}


def test_the_table_is_bounded_and_what_is_above_is_counted():
    ledger = Ledger(Caps(facilities=1, series=2, findings=10, findings_per_facility=1, streams=2))
    ledger.apply(change(1))
    ledger.apply(change(2, alarm="b" * 32))
    assert open_alarms(ledger) == {"a" * 32}
    assert ledger.find(FACILITY).findings_left_out == 1
    ledger.take(record(readings([Row(t, 1, 1.0) for t in "ABC"]), 1), "ABC")
    assert ledger.series == 2
    assert ledger.find(FACILITY).series.left_out == 1
    ledger.take(record(readings([Row("A", 1, 1.0)]), 1, owner="ELSE-0001"), ())
    ledger.apply(change(1, stream="ELSE-0001", facility="ELSE-0001"))
    ledger.apply(change(1, stream="lot:1", facility="ELSE-0001"))
    assert ledger.refused_facilities == 3
    assert set(ledger.facilities) == {FACILITY}
    assert len(ledger._streams) == 2


def test_the_whole_gateways_findings_are_bounded():
    ledger = Ledger(Caps(findings=1))
    ledger.apply(change(1))
    ledger.apply(change(1, stream="ELSE-0001", facility="ELSE-0001", alarm="b" * 32))
    assert ledger.find("ELSE-0001").findings_left_out == 1
    ledger.apply(change(2, "cleared", end=BEGIN))
    ledger.apply(change(2, stream="ELSE-0001", facility="ELSE-0001", alarm="c" * 32))
    assert set(ledger.find("ELSE-0001").findings) == {"c" * 32}


def test_the_newest_version_of_the_register_is_kept():
    ledger = Ledger()
    for version, tags in [(2, ["T1", "T2"]), (1, ["T9"]), (2, ["T8"]), (3, ["T1"])]:
        fact = RegisterRecord(version=version, facility=facility([(tag, "A1", 60) for tag in tags]))
        ledger.take(record(fact, 100 + version, Kind.REGISTER), ())
    kept = ledger.find(FACILITY).registered
    assert (kept.version, kept.received) == (3, 103)
    assert [s["tag"] for s in json.loads(kept.facility)["sensors"]] == ["T1"]
    assert ledger.register_bytes == len(kept.facility)


def test_a_register_record_without_room_leaves_none_rather_than_an_older_one():
    small = RegisterRecord(version=1, facility=facility([("T1", "A1", 60)]))
    large = RegisterRecord(version=2, facility=facility([(f"T{i}", "A1", 60) for i in range(5_000)]))
    ledger = Ledger(Caps(register_bytes=REGISTER_BYTES // 4))
    ledger.take(record(small, 1, Kind.REGISTER), ())
    assert ledger.register_bytes > 0
    ledger.take(record(large, 2, Kind.REGISTER), ())
    assert ledger.find(FACILITY).registered is None
    assert ledger.register_bytes == 0


def test_numbers_that_did_not_come_are_missing_until_they_come():
    sequence = Sequence()
    for seq in [10, 11, 15, 13]:
        sequence.take(seq)
    assert (sequence.highest, list(sequence.missing)) == (15, [12, 14])
    sequence.take(15)
    sequence.take(12)
    assert list(sequence.missing) == [14]
    sequence.take(2**40)
    assert (sequence.highest, sequence.missing) == (2**40, {})
    sequence.take(2**40 + 2)
    sequence.take(3)  # a feed that begins anew
    assert (sequence.highest, sequence.missing) == (3, {})


def test_missing_numbers_are_bounded():
    sequence = Sequence()
    for seq in range(0, 6 * SEQUENCE_KEPT, SEQUENCE_KEPT // 2):
        sequence.take(seq)
    assert len(sequence.missing) == SEQUENCE_KEPT
    assert min(sequence.missing) > 3 * SEQUENCE_KEPT


@pytest.fixture(scope="module")
def folded():
    """Changes of the real engine over an excursion, a silence of one tag, and a silence of the whole feed."""
    log = [LogRecord(0, 0, BEGIN, Kind.REGISTER, FACILITY, RegisterRecord(version=1, facility=facility([("T1", "A1", 60), ("T2", "A1", 60)])))]  # fmt: skip
    for minute in range(1, 60):
        at = BEGIN + minute * MINUTE
        warm = 9.0 if 20 <= minute < 30 else 5.0 + minute % 3
        rows = [Row("T1", at, warm)] + ([Row("T2", at, 5.0 + minute % 2)] if minute < 40 else [])
        log.append(LogRecord(0, minute, at + 1_000, Kind.READINGS, FACILITY, readings(rows, f"b{minute}")))
    ticks = [
        LogRecord(0, 100 + i, BEGIN + i * MINUTE, Kind.TICK, "", Tick(by="gw", role="gateway", now=BEGIN + i * MINUTE))
        for i in range(90)
    ]
    merged = sorted(log + ticks, key=lambda r: (r.received, r.offset))
    ordered = [replace(r, offset=i) for i, r in enumerate(merged)]
    return list(evaluate(ordered, default_bundle()))


def test_after_every_change_of_a_real_fold_the_open_findings_are_those_of_the_alarms(folded):
    assert len(folded) > 5
    ledger = Ledger()
    for i, one in enumerate(folded):
        ledger.apply(ChangeSeen.model_validate_json(json.dumps(one.to_json())))
        alarms = fold_alarms(folded[: i + 1])
        live = {a.alarm: a for a in alarms if a.status not in {"cleared", "retracted"} and a.stage == "live"}
        assert open_alarms(ledger) == set(live)
        for name, finding in ledger.find(FACILITY).findings.items():
            assert finding.unknown == (live[name].status == "unknown")
            assert finding.suppressed == (live[name].suppressed_by is not None)
            assert finding.last.severity == live[name].current


def test_a_real_silence_is_known_for_one_and_an_excursion_is_not(folded):
    ledger = Ledger()
    seen = {}
    for one in folded:
        ledger.apply(ChangeSeen.model_validate_json(json.dumps(one.to_json())))
        for finding in ledger.find(FACILITY).findings.values():
            seen.setdefault((one.rule, finding.last.rule, finding.silence))
    kinds = {(rule, silence) for _, rule, silence in seen}
    assert ("data-integrity.gap", True) in kinds
    assert ("data-integrity.gap", False) not in kinds
    assert ("cold-chain.store-out", False) in kinds
    assert ("cold-chain.store-out", True) not in kinds
    subjects = {json.dumps(c.subject) for c in folded if c.rule == "data-integrity.gap"}
    assert len(subjects) > 1  # a tag's silence and a grouped one


def test_five_thousand_series_in_one_record_are_one_pass():
    ledger = Ledger()
    tags = tuple(f"T{i}" for i in range(5_000))
    ones = np.ones(5_000)
    from rules.records import Readings

    batch = Readings("b", tags, ones.astype(np.int32), (ones * BEGIN).astype(np.int64), ones, np.zeros(5_000, np.uint8))
    ledger.take(record(batch, BEGIN), frozenset(tags))
    assert ledger.series == len(ledger.find(FACILITY).series.slots) == 5_000
