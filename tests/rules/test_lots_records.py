"""What one record tells of a lot: equal events, the order of its events, returns to and from the firm's own areas."""

from __future__ import annotations

from itertools import permutations

import pytest

from rules.alarms import fold_alarms
from rules.engine import Engine
from rules.evaluate import evaluate
from rules.lots import store
from rules.lots.fold import LotFold
from rules.lots.offline import FactLine
from rules.records import Event, Events, Kind, LogRecord, RegisterRecord
from rules.register import Facility
from tests.rules.lotlogs import BEGIN, DAY, HOUR, SHIPPED, Teller, registered

SUM, STOPPED = "cross-check.sold-over-produced", "vigilance.moved-after-stop"


def event(kind, at, **fields):
    told = {"stream": "trace", "type": kind, "time": BEGIN + at, "source": "WMS"}
    return Event.model_validate(told | {"fields": {"lot": "L-1"} | fields})


def moved(kind, at, quantity, from_, to, **more):
    return event(kind, at, quantity=quantity, **{"from": from_, "to": to}, **more)


ARRIVED = moved("arrived", HOUR, 10, "MAKER-1", "SHOP-1")


def log(*batches, register=()):
    """Return a log of SHOP-1: its register, and a batch an hour."""
    payloads = [(Kind.REGISTER, one) for one in register]
    payloads += [(Kind.EVENTS, Events(batch=f"b-{i}", events=list(events))) for i, events in enumerate(batches)]
    return [LogRecord(0, i, BEGIN + (5 + i) * HOUR, kind, "SHOP-1", one) for i, (kind, one) in enumerate(payloads)]


def facts_of(records):
    engine = Engine(SHIPPED, keep_facts=True)
    found = []
    for record in registered(records):
        engine.fold(record)
        found += engine.take_facts(0)
    return found


def told(records):
    return [
        (one.change, one.start - BEGIN) for one in evaluate(registered(records), SHIPPED) if one.stream == "lot:L-1"
    ]


def test_two_equal_events_of_one_batch_count_twice():
    sold = moved("sold", 2 * HOUR, 20, "SHOP-1", "a patient")
    assert told(log([ARRIVED, ARRIVED], [sold])) == []
    assert told(log([ARRIVED], [sold])) == [("raised", 2 * HOUR)]
    more = moved("sold", 2 * HOUR, 20.5, "SHOP-1", "a patient")
    assert told(log([ARRIVED, ARRIVED], [more])) == [("raised", 2 * HOUR)]


def test_a_copy_under_another_batch_tells_nothing_new():
    sold = moved("sold", 2 * HOUR, 30, "SHOP-1", "a patient")
    assert told(log([ARRIVED, ARRIVED], [ARRIVED, ARRIVED], [ARRIVED], [sold])) == [("raised", 2 * HOUR)]
    assert told(log([ARRIVED], [ARRIVED, ARRIVED, ARRIVED], [sold])) == []
    names = [fact.event for fact in facts_of(log([ARRIVED, ARRIVED, ARRIVED], [ARRIVED, ARRIVED]))]
    assert len(set(names)) == 3
    assert names[:2] == names[3:]


def test_a_record_is_judged_once_whatever_stands_first_in_it():
    sold = moved("sold", 3 * HOUR, 15, "SHOP-1", "a patient")
    further = moved("arrived", 2 * HOUR, 10, "MAKER-1", "SHOP-1")
    assert told(log([ARRIVED], [sold, further])) == []
    assert told(log([ARRIVED], [sold], [further])) == [("raised", 3 * HOUR), ("retracted", 3 * HOUR)]


def test_the_last_fact_of_a_record_stands_in_each_of_them_and_a_lot_that_is_alone_names_none():
    other = moved("arrived", HOUR, 1, "MAKER-1", "SHOP-1", lot="L-2")
    facts = facts_of(log([ARRIVED, other, ARRIVED], [ARRIVED]))
    assert [(fact.lot, fact.n, fact.until) for fact in facts] == [
        ("L-1", 1, 3), ("L-2", 2, None), ("L-1", 3, 3), ("L-1", 4, None),
    ]  # fmt: skip
    assert "until" not in facts[1].to_json()
    assert [type(fact).from_bytes(fact.to_bytes()) for fact in facts] == facts


def test_a_record_that_a_checkpoint_cuts_in_two_is_judged_behind_its_end():
    order = event("stop-order", HOUR, known_at="2026-03-01T01:00:00+08:00")
    facts = facts_of(log([moved("sold", 2 * HOUR, 1, "SHOP-1", "a patient"), order, ARRIVED]))
    whole = LotFold(SHIPPED)
    wanted = [change for fact in facts for change in whole.fold(0, fact, None)]
    assert [(one.rule, one.change) for one in wanted] == [(STOPPED, "raised")]
    for cut in range(1, 3):
        lots, changes = LotFold(SHIPPED), []
        for fact in facts[:cut]:
            changes += lots.fold(0, fact, None)
        assert changes == []
        again = LotFold(SHIPPED)
        again.restore(0, "L-1", lots.snapshot(0, "L-1"))
        assert [change for fact in facts for change in again.fold(0, fact, None)] == wanted
        assert again.snapshot(0, "L-1") == whole.snapshot(0, "L-1")


def test_whatever_order_the_facts_of_a_record_come_in_all_are_judged():
    first, then = moved("sold", 2 * HOUR, 15, "SHOP-1", "a patient"), moved("sold", 3 * HOUR, 6, "SHOP-1", "a patient")
    facts = facts_of(log([ARRIVED, first, ARRIVED, then], [ARRIVED]))
    for order in permutations(facts):
        lots = LotFold(SHIPPED)
        changes = [change for fact in order for change in lots.fold(0, fact, None)]
        standing = [(one.start, one.end) for one in fold_alarms(changes) if one.status != "retracted"]
        assert standing == [(BEGIN + 3 * HOUR, None)]


def test_by_lines_of_the_topic_the_same_is_told():
    sold = moved("sold", 3 * HOUR, 45, "SHOP-1", "a patient")
    records = log([ARRIVED, ARRIVED], [sold, ARRIVED])
    lines = [FactLine(3, i, fact.received, fact) for i, fact in enumerate(facts_of(records))]
    by_lines = [one.to_json(source=False) for one in evaluate(registered(records), SHIPPED, lines=lines)]
    assert by_lines == [one.to_json(source=False) for one in evaluate(registered(records), SHIPPED)]
    assert [one["change"] for one in by_lines] == ["raised"]


def register(*areas):
    told = {
        "id": "SHOP-1", "name": {"zh": "店", "en": "Shop"}, "jurisdiction": "110000", "delivery": "60s",
        "scopes": [{"field": "distribution", "line": "drug"}], "areas": [{"id": one, "kind": "room-store"} for one in areas],
    }  # fmt: skip
    return RegisterRecord(version=1, facility=Facility.model_validate(told))


@pytest.mark.parametrize(
    ("from_", "to", "areas", "came"),
    [
        ("SHOP-1", "MAKER-1", (), False),
        ("STORE-A", "MAKER-1", (), False),  # whoever it is that it leaves, it goes to another firm
        ("STORE-A", "MAKER-1", ("STORE-A",), False),
        ("HOSP-1", "SHOP-1", (), True),
        ("HOSP-1", "STORE-A", ("STORE-A",), True),
        ("HOSP-1", "STORE-A", (), False),  # by its form it is a facility, and nobody registered it
        ("a patient", "Store A", (), True),
        ("SHOP-1", "the maker", (), False),
        ("store-a", "the maker", ("store-a",), False),
        ("a patient", "the counter", (), True),
    ],
)
def test_where_a_return_goes_decides_whether_it_came(from_, to, areas, came):
    back = moved("returned", 2 * HOUR, 5, from_, to)
    sold = moved("sold", 3 * HOUR, 14, "SHOP-1", "a patient")
    records = log([ARRIVED], [back], [sold], register=[register(*areas)] if areas else ())
    assert told(records) == ([] if came else [("raised", 3 * HOUR)])


def test_whoever_made_nothing_of_a_lot_is_no_maker():
    tell = Teller()
    lots = LotFold(SHIPPED)
    facts = [
        tell.made("SHOP-2", 0, 0, expiry="2026-03-01"),
        tell.moved("SHOP-1", 2 * DAY, 1, kind="shipped", to="SHOP-2"),
    ]
    changes = [change for fact in facts for change in lots.fold(0, fact, None)]
    assert [(one.rule, one.change) for one in changes] == [("cross-check.expired-moving", "raised")]
    again = LotFold(SHIPPED)
    again.restore(0, "L-1", lots.snapshot(0, "L-1"))
    assert again.state_of(0, "L-1").book.makers == set()
    made = lots.fold(0, tell.made("SHOP-2", DAY, 1), None)
    assert [(one.rule, one.change) for one in made] == [("cross-check.expired-moving", "retracted")]


def test_an_alarm_that_went_out_of_memory_is_not_raised_a_second_time():
    tell, lots = Teller(), LotFold(SHIPPED)
    changes = lots.fold(0, tell.notice("MAKER-1", 0, HOUR), None)
    for i in range(131):  # newest first: each replaces the one before
        changes += lots.fold(0, tell.moved("MAKER-1", DAY - i * 1_000, 1), None)
    state = lots.state_of(0, "L-1")
    assert len(state.told[STOPPED]) == 128
    gone = sorted(state.forgotten[STOPPED])
    assert len(gone) == 3
    again = LotFold(SHIPPED)
    again.restore(0, "L-1", lots.snapshot(0, "L-1"))
    assert again.snapshot(0, "L-1") == lots.snapshot(0, "L-1")
    correction = tell.notice("MAKER-1", DAY - 128_000, HOUR, revision=2)
    for one in (lots, again):
        told = one.fold(0, correction, None)
        assert [(one.change, one.start - BEGIN) for one in told] == [
            ("amended", DAY - 128_000), ("retracted", DAY - 130_000),
        ]  # fmt: skip
    alarms = [one.alarm for one in changes if one.change == "raised"]
    assert told[0].alarm in alarms
    assert len(alarms) == len(set(alarms))
    assert told[0].alarm[:16] in gone
    assert told[0].alarm[:16] not in again.state_of(0, "L-1").forgotten[STOPPED]


def test_ids_that_are_remembered_are_bounded(monkeypatch):
    monkeypatch.setattr(store, "MAX_TOLD", 2)
    monkeypatch.setattr(store, "MAX_FORGOTTEN", 3)
    tell, lots = Teller(), LotFold(SHIPPED)
    lots.fold(0, tell.notice("MAKER-1", 0, HOUR), None)
    told = []
    for i in range(9):
        told += lots.fold(0, tell.moved("MAKER-1", DAY - i * 1_000, 1), None)
    ids = list(lots.state_of(0, "L-1").forgotten[STOPPED])
    assert len(ids) == len(set(ids)) == 3
    assert set(ids) < {one.alarm[:16] for one in told if one.change == "raised"}
