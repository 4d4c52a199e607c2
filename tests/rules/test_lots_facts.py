"""What the first fold tells of lots: by the log alone, each thing once, and nothing of what is not about a lot."""

from __future__ import annotations

from itertools import groupby

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from rules.engine import Engine
from rules.instants import LATEST_MS
from rules.lots import telling
from rules.lots.facts import LotFact
from rules.pack import Bundle, default_bundle
from rules.records import Event, Kind, LogRecord, PacksRecord, RegisterRecord, StateRecord, Tick
from rules.snapshot import open_snapshot, unpacked
from tests.coldlog import cold_store, excursion
from tests.examples import examples
from tests.rules.tracelogs import BEGIN, DAY, FIRMS, HOUR, batch, case, event, logs, moved, notice

EMPTY = Bundle.of((), ())
QUICK = settings(max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.too_slow])


def told(records, engine=None):
    engine = engine or Engine(EMPTY, keep_facts=True)
    found = []
    for record in records:
        engine.fold(record)
        found += engine.take_facts(record.partition)
    return found


def said(fact):
    return {"lot": fact.lot, "n": fact.n, **fact.told.model_dump(by_alias=True, exclude_none=True)}


def test_events_of_lots_are_told_in_their_order_and_numbered_by_firm():
    events = [
        event("produced", 0, lot="L-1", quantity=10, expiry="2026-05-01", product="P-1"),
        moved("shipped", HOUR, "L-1", 4, from_="MAKER-1", to="SHOP-1", trip="W-1"),
        event("released", HOUR, lot="L-1", quantity=10),
        event("stop-order", 2 * HOUR, lot="L-2", basis="recall", known_at="2026-03-01T01:00:00+08:00"),
    ]
    found = told([batch("b-1", events, 3 * HOUR), batch("b-1", events[:1], 4 * HOUR, "SHOP-1", 1)])
    assert [(fact.facility, fact.n, fact.lot, fact.at - BEGIN, fact.received - BEGIN) for fact in found] == [
        ("MAKER-1", 1, "L-1", 0, 3 * HOUR), ("MAKER-1", 2, "L-1", HOUR, 3 * HOUR), ("MAKER-1", 3, "L-2", 2 * HOUR, 3 * HOUR),
        ("SHOP-1", 1, "L-1", 0, 4 * HOUR),
    ]  # fmt: skip
    assert said(found[0]) == {
        "lot": "L-1", "n": 1, "fact": "made", "type": "produced", "quantity": 10.0, "expiry": "2026-05-01", "product": "P-1",
    }  # fmt: skip
    assert said(found[1])["to"] == "SHOP-1"
    assert said(found[2])["known_at"] == BEGIN + HOUR
    assert {(fact.record.kind, fact.record.id) for fact in found} == {("events", "b-1")}


def test_a_fact_is_small_canonical_json_and_comes_back_whole():
    (fact,) = told([batch("b-1", [moved("sold", 0, "L-1", 1.5, from_="A", to="病人")], HOUR)])
    raw = fact.to_bytes()
    assert LotFact.from_bytes(raw) == fact
    assert (
        raw
        == (
            f'{{"at":{BEGIN},"event":"{fact.event}","facility":"MAKER-1","lot":"L-1","n":1,"received":{BEGIN + HOUR},'
            '"record":{"id":"b-1","kind":"events"},"scoped":{},"told":{"fact":"moved","from":"A","quantity":1.5,"to":"病人","type":"sold"}}'
        ).encode()
    )


@pytest.mark.parametrize(
    ("member", "value"),
    [("n", 0), ("lot", ""), ("lot", "L 1"), ("lot", "L" * 65), ("facility", "x"), ("at", -1), ("extra", 1), ("event", "abc"),
     ("told", {"fact": "sold", "quantity": 1}), ("told", {"fact": "moved", "type": "sold", "quantity": float("inf")}),
     ("told", {"fact": "made", "type": "sold", "quantity": 1}), ("told", {"fact": "stop", "known_at": "2026-03-01"})],
)  # fmt: skip
def test_what_is_no_fact_is_refused(member, value):
    (fact,) = told([batch("b-1", [moved("sold", 0, "L-1", 1.5)], HOUR)])
    with pytest.raises(ValidationError):
        LotFact.model_validate(fact.to_json() | {member: value})


def test_a_batch_that_comes_again_tells_nothing_whatever_it_holds_then():
    engine = Engine(EMPTY, keep_facts=True)
    first, other = [moved("sold", 0, "L-1", 1)], [moved("sold", 0, "L-1", 2)]
    found = told(
        [batch("b-1", first, 0), batch("b-1", first, HOUR, offset=1), batch("b-1", other, 2 * HOUR, offset=2)], engine
    )
    assert [fact.n for fact in found] == [1]
    assert (
        engine.counters(0, "MAKER-1")["lot_batch_repeated"] == engine.counters(0, "MAKER-1")["lot_batch_conflict"] == 1
    )
    assert engine.counters(0, "MAKER-1")["lot_facts"] == 1


def test_what_cannot_be_read_is_counted_and_stops_nothing():
    engine = Engine(EMPTY, keep_facts=True)
    events = [
        event("sold", 0, lot="L-1"),
        event("produced", 0, lot="M" * 65, quantity=1),
        event("produced", 0, lot="M" * 64, quantity=1),
    ]
    found = told([batch("b-1", events, 0), notice("N-1", ["L-1", "M" * 65], HOUR, offset=1)], engine)
    assert [fact.lot for fact in found] == ["M" * 64, "L-1"]
    assert engine.counters(0, "MAKER-1")["lot_unread"] == 3


def test_a_receipt_that_cannot_be_is_counted_and_takes_no_number():
    engine = Engine(EMPTY, keep_facts=True)
    late = LATEST_MS - BEGIN
    records = [
        batch("b-1", [moved("sold", 0, "L-1", 1)], 0),
        batch("b-2", [moved("sold", 0, "L-1", 1)], late + 1, offset=1),
    ]
    assert [fact.n for fact in told(records, engine)] == [1]
    assert engine.counters(0, "MAKER-1") | {"lot_facts": 1, "lot_unread": 1} == engine.counters(0, "MAKER-1")


def test_an_event_that_is_stamped_ahead_counts_as_of_its_receipt():
    events = [moved("sold", HOUR + 5 * 60_000, "L-1", 1), moved("sold", HOUR + 5 * 60_000 + 1, "L-1", 1)]
    assert [fact.at - BEGIN for fact in told([batch("b-1", events, HOUR)])] == [HOUR + 300_000, HOUR]


def test_a_revision_tells_the_lots_it_names_and_those_it_names_no_more():
    records = [
        case("R-1", ["L-1", "L-2"], 0),
        case("R-1", ["L-2", "L-3"], HOUR, revision=3, offset=1),
        case("R-1", ["L-9"], 2 * HOUR, revision=2, offset=2),
        case("R-1", ["L-1"], 3 * HOUR, revision=4, offset=3, reason=None),
        case("R-1", None, 4 * HOUR, revision=5, offset=4),
    ]
    found = [(fact.n, fact.lot, fact.told.revision, fact.told.named, fact.record.id) for fact in told(records)]
    assert found == [
        (1, "L-1", 1, True, "R-1/1"), (2, "L-2", 1, True, "R-1/1"), (3, "product P-1", 1, True, "R-1/1"),
        (4, "L-1", 3, False, "R-1/3"), (5, "L-2", 3, True, "R-1/3"), (6, "L-3", 3, True, "R-1/3"),
        (7, "product P-1", 3, True, "R-1/3"), (8, "L-2", 5, False, "R-1/5"), (9, "L-3", 5, False, "R-1/5"),
        (10, "product P-1", 5, True, "R-1/5"),
    ]  # fmt: skip


def test_a_number_that_comes_again_tells_nothing_whatever_it_says():
    engine = Engine(EMPTY, keep_facts=True)
    records = [
        case("R-1", ["L-1"], 0),
        case("R-1", ["L-1"], 1, offset=1),
        case("R-1", ["L-2"], 2, offset=2, seriousness="death"),
    ]
    assert [(fact.n, fact.lot) for fact in told(records, engine)] == [(1, "L-1"), (2, "product P-1")]
    assert engine.counters(0, "HOSP-1")["lot_report_stale"] == 2


def test_a_notice_tells_when_it_was_decided_and_when_the_chain_was_told():
    (fact,) = told([notice("N-1", ["L-1"], 3 * HOUR)])
    assert (fact.at, fact.told.decided_at, fact.told.notified_at) == (BEGIN + HOUR, BEGIN, BEGIN + HOUR)
    assert said(fact)["class"] == 1


def test_of_reports_that_went_out_a_lower_revision_tells_again(monkeypatch):
    monkeypatch.setattr(telling, "MAX_REPORTS", 2)
    engine = Engine(EMPTY, keep_facts=True)
    records = [case(f"R-{i}", ["L-1"], i, revision=2, offset=i) for i in range(3)]
    found = told([*records, case("R-0", ["L-1"], 9, offset=9), case("R-2", ["L-1"], 10, offset=10)], engine)
    assert [fact.record.id for fact in found if fact.lot == "L-1"] == ["R-0/2", "R-1/2", "R-2/2", "R-0/1"]
    assert engine.counters(0, "HOSP-1")["lot_report_dropped"] == 2


def test_reports_that_name_many_lots_make_room_too(monkeypatch):
    monkeypatch.setattr(telling, "MAX_NAMED", 8)
    engine = Engine(EMPTY, keep_facts=True)
    told([case(f"R-{i}", ["L-1", "L-2"], i, offset=i) for i in range(4)], engine)
    kept = engine.state_of("HOSP-1").telling
    assert list(kept.reports) == ["adr-case R-2", "adr-case R-3"]
    assert kept.held == 6  # the lots, and the product of each


def test_without_keep_facts_none_are_kept_and_they_are_counted_all_the_same():
    engine, other = Engine(EMPTY), Engine(EMPTY, keep_facts=True)
    record = batch("b-1", [moved("sold", 0, "L-1", 1)], 0)
    engine.fold(record)
    assert engine.take_facts(0) == []
    other.fold(record)
    assert engine.snapshot(0, "MAKER-1") == other.snapshot(0, "MAKER-1")
    assert engine.counters(0, "MAKER-1")["lot_facts"] == 1
    assert len(other.take_facts(0)) == 1
    assert other.take_facts(0) == other.take_facts(7) == []


@given(logs(), st.data())
@QUICK
def test_batches_of_folding_ticks_packs_and_restarts_tell_the_same(log, data):
    wanted = told(log)
    engine = Engine(EMPTY, keep_facts=True)
    for record in log:  # taken once, at the end
        engine.fold(record)
    assert engine.take_facts(0) == wanted
    fewer = [record for record in log if not isinstance(record.payload, Tick)]
    assert told(fewer) == wanted
    cut = data.draw(st.integers(0, len(log)))
    first, second = Engine(default_bundle(), keep_facts=True), Engine(default_bundle(), keep_facts=True)
    before = told(log[:cut], first)
    second.restore_partition(0, first.partition_state(0))
    for name in first.facilities(0):
        second.restore(0, name, first.snapshot(0, name))
    own = [record for record in log[:cut] if record.facility]
    assert told(own, second) == []
    assert before + told(log[cut:], second) == wanted


@given(logs())
@QUICK
def test_numbers_are_dense_and_a_firm_alone_tells_what_it_tells_among_others(log):
    found = sorted(told(log), key=lambda fact: (fact.facility, fact.n))
    for firm, of in groupby(found, key=lambda fact: fact.facility):
        own = list(of)
        assert [fact.n for fact in own] == list(range(1, len(own) + 1))
        assert told([record for record in log if record.facility in {"", firm}]) == own
    assert {fact.facility for fact in found} <= set(FIRMS)


def test_who_names_no_lot_leaves_the_bytes_that_it_left_before():
    engine = Engine(default_bundle())
    events = [
        event("heartbeat", 0, stream="audit", system="LIMS"),
        event("stock-count", 0, place="NS-1", product="P-1", quantity=1),
    ]
    engine.fold(
        LogRecord(0, 0, BEGIN, Kind.REGISTER, "BJ-COLD", RegisterRecord(version=1, facility=cold_store("BJ-COLD")))
    )
    engine.fold(batch("b-1", events, 0, "BJ-COLD", 1))
    engine.fold(case("R-1", None, HOUR, firm="BJ-COLD", offset=2, seriousness="other"))
    assert "lots" not in msgspec.msgpack.decode(unpacked(engine.snapshot(0, "BJ-COLD")))
    assert "lot_facts" not in engine.counters(0, "BJ-COLD")
    engine.fold(batch("b-2", [moved("sold", 0, "L-1", 1)], DAY, "BJ-COLD", 3))
    body, _ = open_snapshot(engine.snapshot(0, "BJ-COLD"))
    assert body.lots[0] == 1


def test_facts_go_on_counting_behind_packs_and_a_seeded_state():
    engine = Engine(EMPTY, keep_facts=True)
    told([batch("b-1", [moved("sold", 0, "L-1", 1)] * 1, 0)], engine)
    packs = PacksRecord.model_validate(default_bundle().to_record().model_dump())
    engine.fold(LogRecord(0, 1, BEGIN + HOUR, Kind.PACKS, "", packs))
    assert [fact.n for fact in told([batch("b-2", [moved("sold", 1, "L-1", 1)], 2 * HOUR, offset=2)], engine)] == [2]
    import base64
    import hashlib

    snapshot = engine.snapshot(0, "MAKER-1")
    seed = StateRecord(
        format=4, semantics=engine.partition_state(0).semantics, packs=default_bundle().sha256, clock=BEGIN, seq=0,
        snapshot=base64.b64encode(snapshot).decode(), checksum=hashlib.sha256(snapshot).hexdigest(),
    )  # fmt: skip
    other = Engine(default_bundle(), keep_facts=True)
    other.fold(LogRecord(3, 0, BEGIN + 3 * HOUR, Kind.STATE, "MAKER-1", seed))
    again = batch("b-2", [moved("sold", 1, "L-1", 1)], 4 * HOUR, offset=1)
    more = batch("b-3", [moved("sold", 2, "L-1", 1)], 5 * HOUR, offset=2)
    found = []
    for record in (again, more):
        other.fold(LogRecord(3, record.offset, record.received, record.kind, record.facility, record.payload))
        found += other.take_facts(3)
    assert [(fact.n, fact.record.id) for fact in found] == [(3, "b-3")]


def test_a_fold_beside_this_one_tells_the_facts_that_it_folds():
    engine = Engine(EMPTY, keep_facts=True)
    record = batch("b-1", [moved("sold", 0, "L-1", 1)], 0)
    for other in (engine.alone(), engine.sibling(EMPTY.sha256)):
        assert [fact.n for fact in told([record], other)] == [1]
    assert told([record], engine) == told([record], engine.alone())


def test_readings_tell_nothing():
    assert told(excursion().records) == []
    assert isinstance(event("sold", 0), Event)
