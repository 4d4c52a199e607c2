"""Online sales without telemetry, by hand: what is told and when, what is unknown, what is bounded, what an alarm says."""

from __future__ import annotations

import msgspec
import pytest

from rules.alarms import fold_alarms
from rules.engine import Engine
from rules.evaluate import evaluate
from rules.lots import links, watches
from rules.lots.facts import LotFact
from rules.lots.fold import LotFold
from rules.pack import Bundle
from rules.snapshot import open_snapshot
from tests.rules.onlinelogs import DELIVERY, ONLINE, RULE, Log
from tests.rules.tracelogs import BEGIN, DAY, HOUR

EMPTY = Bundle.of((), ())


def told(records, engine=None):
    engine, found = engine or Engine(ONLINE, keep_facts=True), []
    for record in records:
        engine.fold(record)
        found += engine.take_facts(0)
    return found


def linked(records):
    return [
        (fact.facility, fact.told.fact, fact.at - BEGIN, fact.received - BEGIN, fact.record.kind)
        for fact in told(records)
        if fact.told.fact in {"dark", "lit"}
    ]


def dark(facility="SHOP-1", sold=0, trip="W-7", n=1, found=None, **more):
    found = sold + DAY + DELIVERY if found is None else found
    said = {"fact": "dark", "trip": trip, "sold_at": BEGIN + sold, **more}
    return fact(facility, n, sold + DAY, found, said)


def lit(facility="CARRIER-1", sent=0, trip="W-7", n=1, received=0):
    return fact(facility, n, sent, received, {"fact": "lit", "trip": trip})


def fact(facility, n, at, received, said):
    record = {"kind": "events", "id": f"b-{n}"}
    return LotFact.model_validate(
        {"facility": facility, "n": n, "lot": "L-1", "at": BEGIN + at, "received": BEGIN + received, "record": record, "told": said}
    )  # fmt: skip


def fold(facts, lots=None):
    lots = lots or LotFold(ONLINE)
    return [change for one in facts for change in lots.fold(0, one, None)]


def said(changes):
    return [
        (str(one.change), one.subject.get("trip"), one.start - BEGIN, None if one.end is None else one.end - BEGIN)
        for one in changes
    ]


def test_the_clock_tells_it_at_the_due_instant_whichever_record_moves_it():
    log = Log()
    log.sold(HOUR, "SHOP-1", 0)
    log.tick(3 * DAY)
    assert linked(log.records) == [("SHOP-1", "dark", DAY, DAY + DELIVERY, "events")]
    log = Log()
    log.sold(HOUR, "SHOP-1", 0)
    log.sold(3 * DAY, "SHOP-1", 3 * DAY, channel="shop")
    assert linked(log.records) == [("SHOP-1", "dark", DAY, DAY + DELIVERY, "events")]
    assert [one.n for one in told(log.records)] == [1, 2, 3]


def test_a_sale_that_is_told_late_waits_for_one_more_post_and_is_late():
    log = Log()
    log.sold(2 * DAY, "SHOP-1", 0)
    log.tick(2 * DAY + DELIVERY - 1)
    assert linked(log.records) == []
    log.tick(2 * DAY + DELIVERY)
    (one,) = [one for one in told(log.records) if one.told.fact == "dark"]
    assert (one.received - BEGIN, one.told.late) == (2 * DAY + DELIVERY, True)
    assert fold([one]) == []  # nobody has registered the seller
    assert [change.late for change in fold([one.model_copy(update={"scoped": None})])] == [True]
    assert [change.late for change in fold([dark()])] == [False]


def test_what_was_due_while_our_door_was_closed_waits_for_a_post():
    log = Log()
    log.sold(HOUR, "SHOP-1", 0)
    log.tick(DAY, "gateway")
    log.tick(DAY + HOUR, "gateway")
    assert linked(log.records) == []
    log.tick(DAY + HOUR + DELIVERY, "gateway")
    assert [one[3] for one in linked(log.records)] == [DAY + HOUR + DELIVERY]


def test_where_readings_went_on_beyond_the_time_it_is_unknown_what_was_in_it_and_counted():
    log = Log("SELLER-1")
    log.read(3 * DAY, "SELLER-1", ("S1.T", 3 * DAY))
    log.sold(3 * DAY, "SELLER-1", 2 * DAY - 1)
    log.sold(3 * DAY, "SELLER-1", 2 * DAY)
    log.sold(3 * DAY, "SELLER-1", DAY, cold_chain=None)
    log.tick(9 * DAY)
    engine = Engine(ONLINE)
    assert told(log.records, engine) == []
    counted = engine.counters(0, "SELLER-1")
    assert (counted["online_unknown"], counted["online_left_out"], counted["lot_facts"]) == (2, 0, 3)


def test_a_store_that_the_sale_names_is_the_one_that_is_asked():
    for area, wanted in (("S1", 0), ("R1", 0), ("CR-OTHER", 0), ("C1", 1)):
        log = Log("SELLER-1")
        log.sold(HOUR, "SELLER-1", 0, **{"from": area})
        log.read(2 * HOUR, "SELLER-1", ("S1.T", HOUR))
        log.tick(2 * DAY)
        assert len(linked(log.records)) == wanted, area
    log = Log("SELLER-1")
    log.sold(HOUR, "SELLER-1", 0, area="V1")
    log.read(2 * HOUR, "SELLER-1", ("V1.T", HOUR))
    log.tick(2 * DAY)
    assert linked(log.records) == []


def test_the_store_of_another_firm_that_ships_on_the_trip_counts():
    log = Log("SELLER-1")
    log.sold(HOUR, "SHOP-1", 0)
    log.shipped(HOUR, "SELLER-1", HOUR, cold_chain=True)
    log.read(2 * HOUR, "SELLER-1", ("S1.T", 2 * HOUR))
    log.shipped(3 * HOUR, "SELLER-1", HOUR + 1, lot="L-2")  # its store is not asked: nobody says that it must stay cold
    log.tick(2 * DAY)
    assert linked(log.records) == [
        ("SELLER-1", "lit", HOUR, 2 * HOUR, "readings"), ("SHOP-1", "dark", DAY, DAY + DELIVERY, "events"),
    ]  # fmt: skip
    assert evaluate(log.records, ONLINE) == []


def test_a_shipment_that_is_told_behind_its_readings_is_lit_at_once():
    log = Log("CARRIER-1")
    log.read(HOUR, "CARRIER-1", ("V1.T", HOUR))
    log.shipped(2 * HOUR, "CARRIER-1", HOUR - DAY, area="V1")
    log.shipped(2 * HOUR, "CARRIER-1", HOUR - DAY - 1, area="V1")
    assert linked(log.records) == [("CARRIER-1", "lit", HOUR - DAY, 2 * HOUR, "events")]


def test_readings_of_tags_and_areas_that_are_not_registered_say_nothing():
    log = Log("SELLER-1")
    log.sold(HOUR, "SELLER-1", 0)
    log.read(2 * HOUR, "SELLER-1", ("X.T", HOUR), ("R1.T", HOUR))
    log.tick(2 * DAY)
    assert [one[1] for one in linked(log.records)] == ["dark"]


def test_another_register_is_asked_where_series_stand_then():
    log = Log("CARRIER-1")
    log.sold(HOUR, "SELLER-1", 0)
    log.records += Log("SELLER-1").records
    log.read(2 * HOUR, "SELLER-1", ("S1.T", HOUR))
    log.tick(2 * DAY)
    assert linked(renumbered(log.records)) == []


def renumbered(records):
    return [type(one)(0, i, one.received, one.kind, one.facility, one.payload) for i, one in enumerate(records)]


def test_a_seller_with_more_undecided_sales_than_there_is_room_for(monkeypatch):
    monkeypatch.setattr(watches, "MAX_WATCHES", 3)
    log = Log()
    for i in range(5):
        log.sold(i, "SHOP-1", i)
    engine = Engine(ONLINE, keep_facts=True)
    told(log.records, engine)
    assert engine.counters(0, "SHOP-1")["online_left_out"] == 2
    later = Log()
    later.tick(2 * DAY)
    later.sold(2 * DAY, "SHOP-1", 2 * DAY)
    dark = told(
        [type(one)(0, 9 + i, one.received, one.kind, one.facility, one.payload) for i, one in enumerate(later.records)],
        engine,
    )
    assert [one.told.fact for one in dark] == ["dark"] * 3 + ["moved"]
    open_ = engine.state_of("SHOP-1").telling.watches.open
    assert [key[0] - BEGIN for key in open_] == [1, 2, 2 * DAY]  # the first gave way: its time was over


def test_what_is_thirty_days_old_is_listened_for_no_more():
    log = Log("CARRIER-1")
    log.shipped(0, "CARRIER-1", 0, area="B1")
    log.shipped(31 * DAY, "CARRIER-1", 31 * DAY, area="B1")
    log.read(31 * DAY, "CARRIER-1", ("B1.T", HOUR), ("B1.T", 31 * DAY))
    assert [one[2] for one in linked(log.records)] == [31 * DAY]


def test_snapshots_hold_shipments_only_where_there_are_any():
    log = Log("SELLER-1")
    log.sold(HOUR, "SELLER-1", 0)
    engine = Engine(ONLINE)
    told(log.records, engine)
    body, _ = open_snapshot(engine.snapshot(0, "SELLER-1"))
    assert [one[1:4] for one in body.shipments] == [("L-1", "W-7", True)]
    log.read(2 * HOUR, "SELLER-1", ("S1.T", HOUR))
    told(log.records[-1:], engine)
    body, _ = open_snapshot(engine.snapshot(0, "SELLER-1"))
    assert body.shipments is msgspec.UNSET


def test_an_alarm_names_lot_trip_firms_and_what_was_known_when():
    (raised, cleared) = fold([dark(), lit(received=3 * DAY)])
    assert raised.subject == {"lot": "L-1", "trip": "W-7"}
    assert raised.message.en == "Lot L-1, trip W-7: Cold-chain product sold online without telemetry (SHOP-1)"
    assert raised.message.zh == "批号 L-1、运输批次 W-7：网络销售冷链产品无温度监测数据（SHOP-1）"
    leaf = raised.evidence.leaves[0]
    assert (leaf.left, leaf.op, leaf.right) == ("none", "until", "2026-03-01T16:01:00.000Z")
    assert leaf.expr == "SHOP-1: sold online 2026-02-28T16:00:00.000Z, trip W-7, telemetry within 1d"
    assert (cleared.end - BEGIN, cleared.change) == (3 * DAY, "cleared")
    leaf = cleared.evidence.leaves[0]
    assert (leaf.left, leaf.op) == ("CARRIER-1 2026-03-03T16:00:00.000Z", "after")
    assert [(one.kind, one.id) for one in cleared.evidence.records] == [("events", "b-1"), ("events", "CARRIER-1 b-1")]


def test_telemetry_before_the_due_instant_says_nothing_at_it_the_alarm_is_raised_and_ended():
    due = DAY + DELIVERY
    assert fold([lit(received=due - 1), dark()]) == []
    assert said(fold([lit(received=due), dark()])) == [("raised", "W-7", DAY, None), ("cleared", "W-7", DAY, due)]
    assert said(fold([dark(), lit(received=due - 1)])) == [
        ("raised", "W-7", DAY, None),
        ("retracted", "W-7", DAY, None),
    ]


@pytest.mark.parametrize(("sent", "counts"), [(-DAY, True), (-DAY - 1, False), (DAY, True), (DAY + 1, False)])
def test_a_shipment_is_of_the_sale_up_to_24_hours_to_either_side(sent, counts):
    assert (fold([lit(sent=sent), dark()]) == []) == counts


def test_sales_of_one_trip_are_one_alarm_while_any_of_them_is_dark():
    facts = [dark(sold=0), dark("SHOP-2", sold=HOUR), lit(sent=-DAY, received=2 * DAY)]
    assert said(fold(facts)) == [("raised", "W-7", DAY, None), ("amended", "W-7", DAY, None)]
    facts.append(lit(sent=0, n=2, received=3 * DAY))
    assert said(fold(facts))[-1] == ("cleared", "W-7", DAY, 3 * DAY)
    later = [*facts, dark(sold=9 * DAY, n=2)]
    assert said(fold(later))[-1] == ("raised", "W-7", 10 * DAY, None)


def test_sales_that_name_no_trip_are_of_the_lot_and_other_trips_stay_as_they_are():
    lots = LotFold(ONLINE)
    assert [one.subject for one in fold([dark(trip=None), dark(n=2)], lots)] == [
        {"lot": "L-1"},
        {"lot": "L-1", "trip": "W-7"},
    ]
    assert said(fold([lit(trip=None, received=2 * DAY)], lots)) == [("cleared", None, DAY, 2 * DAY)]
    assert said(fold([lit(trip="W-8", n=2)], lots)) == []


def test_packs_take_the_rule_away_and_bring_it_back():
    lots = LotFold(ONLINE)
    fold([dark()], lots)
    (gone,) = lots.adopt(0, EMPTY, BEGIN + 5 * DAY)
    assert (gone.change, gone.subject) == ("cleared", {"lot": "L-1", "trip": "W-7"})
    (back,) = lots.adopt(0, ONLINE, BEGIN + 6 * DAY)
    assert (back.change, back.alarm, back.end) == ("amended", gone.alarm, None)


def test_a_rule_that_raises_is_put_aside_for_the_lot(monkeypatch):
    lots, heard = LotFold(ONLINE, lambda *what: heard.append(what)), []
    fold([dark()], lots)
    monkeypatch.setattr(links.Links, "spells_of", lambda *_: 1 // 0)
    changes = fold([lit(received=2 * DAY)], lots)
    assert [(one.rule, str(one.change), one.subject) for one in changes] == [
        ("register.rule-failed", "raised", {"system": RULE, "lot": "L-1"}), (RULE, "unknown", {"lot": "L-1", "trip": "W-7"}),
    ]  # fmt: skip
    monkeypatch.undo()
    assert len(heard) == 1
    changes = lots.adopt(0, EMPTY, BEGIN + 3 * DAY) + lots.adopt(0, ONLINE, BEGIN + 4 * DAY)
    assert {one.status for one in fold_alarms(changes) if one.rule == RULE} <= {"cleared"}


def test_trips_and_shipments_that_are_too_many_are_left_out_or_go(monkeypatch):
    monkeypatch.setattr(links, "MAX_TRIPS", 2)
    monkeypatch.setattr(links, "MAX_LIT", 2)
    lots = LotFold(ONLINE)
    changes = fold(
        [dark(trip=f"W-{i}", n=i + 1) for i in range(4)] + [dark(sold=i, trip="W-0", n=9 + i) for i in (1, 2)], lots
    )
    assert {one.subject["trip"] for one in changes} == {"W-0", "W-1"}
    assert lots.counters(0)["lot_left_out"] == 3
    fold([lit(sent=i, n=i + 1, trip=f"W-{i % 2}") for i in (3, 1, 2)], lots)
    book = lots.state_of(0, "L-1").book
    assert [one[0] - BEGIN for one in book.links.sent] == [2, 3]
    assert sorted(book.links.by_trip) == ["W-0", "W-1"]
    assert book.tellers() == {"SHOP-1", "CARRIER-1"}


def test_a_lot_of_which_only_telemetry_is_told_is_quiet_and_comes_back_from_its_row():
    lots = LotFold(ONLINE)
    assert fold([lit()], lots) == []
    state = lots.state_of(0, "L-1")
    assert (state.seq, state.book.seen, state.book.floors) == (0, {}, {})
    row = state.left_over(frozenset(state.book.tellers()), 3)
    assert row.book.gaps == {"CARRIER-1"}
    other = LotFold(ONLINE)
    other.restore(0, "L-1", lots.snapshot(0, "L-1"))
    assert other.snapshot(0, "L-1") == lots.snapshot(0, "L-1")
    assert fold([lit()], other) == []
    assert other.dirty(0) == []


def test_of_equal_facts_the_earliest_receipt_counts_whatever_comes_first():
    both = [lit(received=2 * DAY), lit(received=3 * DAY, n=2)]
    for order in (both, both[::-1]):
        assert said(fold([dark(), *order]))[-1][1:] == ("W-7", DAY, 2 * DAY)
    again = [dark(found=2 * DAY, n=2), dark(found=DAY + DELIVERY)]
    proof = lit(received=DAY + DELIVERY + 1, n=3)
    for order in (again, again[::-1]):
        assert said(fold([proof, *order]))[-1] == ("cleared", "W-7", DAY, DAY + DELIVERY + 1)


def test_a_lot_that_is_restored_goes_on_with_the_alarm_of_its_trip():
    lots, other = LotFold(ONLINE), LotFold(ONLINE)
    (raised,) = fold([dark()], lots)
    other.restore(0, "L-1", lots.snapshot(0, "L-1"))
    (cleared,) = fold([lit(received=2 * DAY)], other)
    assert (cleared.change, cleared.alarm, cleared.seq, cleared.subject) == ("cleared", raised.alarm, 2, raised.subject)


@pytest.mark.parametrize(("at", "wanted"), [(HOUR, 0), (HOUR - 1, 1)])
def test_a_reading_at_the_instant_of_the_sale_that_was_known_before_it_proves_it(at, wanted):
    log = Log("SELLER-1")
    log.read(HOUR, "SELLER-1", ("S1.T", at))
    log.sold(HOUR, "SELLER-1", HOUR)
    log.tick(3 * DAY)
    assert len(linked(log.records)) == wanted


def test_a_row_of_the_future_proves_nothing():
    log = Log("SELLER-1")
    log.sold(HOUR, "SELLER-1", 0)
    log.read(2 * HOUR, "SELLER-1", ("S1.T", 3 * HOUR))
    log.tick(3 * DAY)
    assert [one[1] for one in linked(log.records)] == ["dark"]
