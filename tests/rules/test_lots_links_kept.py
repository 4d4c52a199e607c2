"""What is kept of telemetry and dark sales: the first of each, whatever goes out; how much is looked at for a fact; the order of what a batch lights."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rules.changes import Verdict
from rules.evaluate import evaluate
from rules.layout import NEVER, NONE
from rules.lots import links
from rules.lots.facts import LotFact
from rules.lots.fold import LotFold
from rules.lots.links import Links
from rules.lots.sliding import least
from tests.examples import examples
from tests.rules.onlinelogs import DELIVERY, ONLINE, RULE, Log
from tests.rules.tracelogs import BEGIN, DAY, HOUR

DUE = DAY + DELIVERY
ROOM = 8
"""Shipments that are lit for which there is room in the random tests."""


def anyone(_who, _at):
    return True


def fact(n, who, at, received, told, record=None):
    record = {"kind": "events", "id": record or f"b-{n}"}
    members = {"facility": who, "n": n, "lot": "L-1", "at": BEGIN + at, "received": BEGIN + received, "record": record}
    return LotFact.model_validate(members | {"told": told})


def dark(n, sold, *, trip="W-7", who="SHOP-1", found=None):
    found = sold + DUE if found is None else found
    return fact(n, who, sold + DAY, found, {"fact": "dark", "trip": trip, "sold_at": BEGIN + sold})


def lit(n, sent, received, *, trip="W-7", who="CARRIER-1", record=None):
    return fact(n, who, sent, received, {"fact": "lit", "trip": trip}, record)


def plainly(kept):
    """Return the first telemetry of each dark sale that has any, from all that is kept at once."""
    found = {}
    for trip, sales in kept.dark.items():
        for sold, who in sales:
            proofs = [
                (received, by, record)
                for (of, sent, by), (received, record) in kept.lit.items()
                if of == trip and abs(sent - sold) <= DAY
            ]
            if proofs:
                found[trip, sold, who] = min(proofs)
    return found


def first_of(kept):
    return {(trip, *sale): proof for trip, sales in kept.first.items() for sale, proof in sales.items()}


_AT = st.sampled_from([0, 1, HOUR, DAY - 1, DAY, DAY + 1, 2 * DAY, 2 * DAY + 1, 3 * DAY])
_TRIP, _WHO = st.sampled_from(["W-7", "W-7", "W-8"]), st.sampled_from(["A-1", "B-1"])


@st.composite
def linked(draw):
    """Draw facts of two trips; some come again with another receipt."""
    facts = []
    for n in range(1, draw(st.integers(1, 40)) + 1):
        at, trip, who = draw(_AT) + draw(st.integers(0, 3)), draw(_TRIP), draw(_WHO)
        received = at + DUE + draw(st.sampled_from([-1, 0, 0, 1, HOUR]))
        if draw(st.integers(0, 2)):
            facts.append(lit(n, at, received, trip=trip, who=who, record=draw(st.sampled_from(["r-1", "r-2", None]))))
        else:
            facts.append(dark(n, at, trip=trip, who=who, found=received))
    return facts


@given(linked(), st.data())
@settings(max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_first_telemetry_is_what_all_that_is_kept_says_and_so_is_what_was_told(facts, data):
    cuts = set(data.draw(st.lists(st.integers(0, len(facts)), max_size=3)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(links, "MAX_LIT", ROOM)
        whole, lots = LotFold(ONLINE), LotFold(ONLINE)
        for i, one in enumerate(facts):
            if i in cuts and i:
                other = LotFold(ONLINE)
                other.restore(0, "L-1", lots.snapshot(0, "L-1"))
                lots = other
            assert lots.fold(0, one, None) == whole.fold(0, one, None)
            state = whole.state_of(0, "L-1")
            kept = state.book.links
            assert first_of(kept) == plainly(kept)
            assert len(kept.lit) <= ROOM
            assert {(sent, trip, who) for trip, sent, who in kept.lit} == set(kept.sent)
            spells = [spell for trip in kept.dark for spell in kept.spells_of(trip, ONLINE.rules[0], anyone)]
            told = [one for one in state.told.get(RULE, ()) if not one.retracted]
            assert {(*one.key, one.end) for one in told} == {(*spell.key, spell.end) for spell in spells}
            again = Links.unpack(kept.pack(), kept.left_out)
            again.touched = kept.touched
            assert {**first_of(again)} == first_of(kept)
            assert replace(again, first={}) == replace(kept, first={})


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 9))),
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 9))),
)
def test_the_least_in_each_window(points, windows):
    points.sort(key=lambda point: point[0])
    lows, highs = sorted(low for low, _ in windows), sorted(low + more for low, more in windows)
    windows = list(zip(lows, highs, strict=True))
    wanted = [min((value for at, value in points if low <= at <= high), default=None) for low, high in windows]
    assert list(least(points, windows)) == wanted


class Counted:
    """How often telemetry was looked at and trips were decided."""

    def __init__(self, monkeypatch):
        self.looks, self.decisions = 0, 0
        proof, spells = Links._proof, Links.spells_of

        def looks(*what):
            self.looks += 1
            return proof(*what)

        def decides(*what):
            self.decisions += 1
            return spells(*what)

        monkeypatch.setattr(Links, "_proof", looks)
        monkeypatch.setattr(Links, "spells_of", decides)

    def fold(self, lots, facts):
        """Return the looks and decisions that some facts cost, and how many changes came."""
        before, told = (self.looks, self.decisions), 0
        for one in facts:
            told += len(lots.fold(0, one, None))
        return self.looks - before[0], self.decisions - before[1], told


def test_telemetry_that_says_nothing_new_costs_a_comparison_a_sale_and_no_decision(monkeypatch):
    lots, counted = LotFold(ONLINE), Counted(monkeypatch)
    assert counted.fold(lots, [dark(i + 1, i) for i in range(64)]) == (0, 64, 1)
    assert counted.fold(lots, [lit(1, 1_000, 3 * DAY)]) == (0, 1, 1)
    later = [lit(i, 1_000 + i, 3 * DAY + i) for i in range(2, 400)]
    assert counted.fold(lots, later) == (0, 0, 0)
    other = LotFold(ONLINE)
    other.restore(0, "L-1", lots.snapshot(0, "L-1"))
    assert counted.fold(other, [lit(400, 2_000, 4 * DAY)])[1:] == (0, 0)


def test_a_sale_that_is_found_behind_it_looks_once_at_what_belongs_to_it(monkeypatch):
    lots, counted = LotFold(ONLINE), Counted(monkeypatch)
    counted.fold(lots, [lit(i, i, DUE + i) for i in range(1, 100)])
    looks, decisions, told = counted.fold(lots, [dark(1, 0)])
    assert (looks, decisions, told) == (99, 1, 2)
    assert counted.fold(lots, [dark(2, 40 * DAY)]) == (0, 1, 1)
    assert counted.fold(lots, [dark(3, 0, found=DUE - 1)]) == (
        0,
        1,
        0,
    )  # the same sale, found before: its telemetry stays


def test_where_the_first_telemetry_goes_out_each_other_is_looked_at_once_for_all_sales(monkeypatch):
    monkeypatch.setattr(links, "MAX_LIT", 100)
    lots, counted = LotFold(ONLINE), Counted(monkeypatch)
    counted.fold(lots, [dark(i + 1, i) for i in range(64)])
    counted.fold(lots, [lit(i, 1_000 + i, 3 * DAY + i) for i in range(1, 101)])
    looks, decisions, told = counted.fold(lots, [lit(101, 1_101, 3 * DAY + 101)])  # the first of all sales goes out
    assert (looks <= 102, decisions, told) == (True, 1, 1)
    kept = lots.state_of(0, "L-1").book.links
    assert {one.against for one in kept.items_of("W-7")} == {BEGIN + 3 * DAY + 2}


def test_where_the_next_one_is_of_the_same_record_nothing_is_looked_at_again(monkeypatch):
    monkeypatch.setattr(links, "MAX_LIT", 100)
    lots, counted = LotFold(ONLINE), Counted(monkeypatch)
    counted.fold(lots, [dark(i + 1, i) for i in range(64)])
    counted.fold(lots, [lit(i, 1_000 + i, 3 * DAY, record="e-2") for i in range(1, 101)])
    looks, decisions, told = counted.fold(lots, [lit(i, 1_000 + i, 3 * DAY, record="e-2") for i in range(101, 151)])
    assert (looks, decisions, told) == (2 * 50, 0, 0)


def test_a_trip_whose_first_telemetry_goes_out_for_another_trip_is_decided_too(monkeypatch):
    monkeypatch.setattr(links, "MAX_LIT", 1)
    lots = LotFold(ONLINE)
    facts = [dark(1, 0), lit(1, 0, 3 * DAY), dark(2, 0, trip="W-8"), lit(2, HOUR, 4 * DAY, trip="W-8")]
    changes = [lots.fold(0, one, None) for one in facts]
    assert [(str(one.change), one.subject["trip"], one.end) for one in changes[-1]] == [
        ("cleared", "W-8", BEGIN + 4 * DAY), ("amended", "W-7", None),
    ]  # fmt: skip
    kept = lots.state_of(0, "L-1").book.links
    assert [(one.verdict, one.against) for one in kept.items_of("W-7")] == [(Verdict.TRUE, NEVER)]
    assert kept.spells_of("W-7", ONLINE.rules[0], anyone)[0].end == NONE
    # One that was sent before all that are kept, with no room, says nothing.
    assert lots.fold(0, lit(3, -HOUR, 3 * DAY), None) == []
    assert [trip for trip, _, _ in kept.lit] == ["W-8"]


def test_the_next_one_of_the_same_record_stands_in_only_for_sales_that_it_belongs_to(monkeypatch):
    monkeypatch.setattr(links, "MAX_LIT", 2)
    lots = LotFold(ONLINE)
    both = [dark(1, 0), dark(2, DAY)]
    for one in [*both, lit(1, HOUR, 3 * DAY, record="e-2"), lit(2, DAY + 1, 3 * DAY, record="e-2")]:
        lots.fold(0, one, None)
    (change,) = lots.fold(0, lit(3, DAY + 2, 3 * DAY, record="e-2"), None)
    assert (str(change.change), change.end) == ("amended", None)
    kept = lots.state_of(0, "L-1").book.links
    assert [one.against for one in kept.items_of("W-7")] == [NEVER, BEGIN + 3 * DAY]


def several(split):
    """Return the log of two dark sales on two trips, and readings of both in one batch or in two."""
    log = Log("CARRIER-1")
    log.sold(3 * HOUR, "CARRIER-1", 2 * HOUR, area="V1", trip="T1")
    log.sold(3 * HOUR, "CARRIER-1", HOUR, area="B1", trip="T2")
    log.tick(40 * HOUR)
    rows = [("V1.T", 3 * HOUR), ("B1.T", 3 * HOUR)]
    for some in [rows[:1], rows[1:]] if split else [rows]:
        log.read(41 * HOUR, "CARRIER-1", *some)
    log.tick(42 * HOUR)
    return log.records


def test_what_a_batch_lights_is_told_by_the_first_row_that_lights_it_however_it_is_split():
    told = [
        [(one.seq, str(one.change), one.subject["trip"], one.at - BEGIN) for one in evaluate(several(split), ONLINE)]
        for split in (False, True)
    ]
    assert told[0] == told[1]
    assert [one[2] for one in told[0]] == ["T2", "T1", "T1", "T2"]


def test_of_several_rows_the_first_that_belongs_to_it_counts_and_of_one_row_what_was_sent_first():
    log = Log("CARRIER-1")
    for at, area, trip in ((2 * HOUR, "V1", "T1"), (HOUR, "V1", "T2"), (0, "B1", "T3")):
        log.sold(3 * HOUR, "CARRIER-1", at, area=area, trip=trip)
    log.tick(40 * HOUR)
    rows = [("V1.T", 40 * HOUR), ("B1.T", 3 * HOUR), ("V1.T", 4 * HOUR), ("V1.T", 3 * HOUR)]
    log.read(41 * HOUR, "CARRIER-1", *rows)
    told = [one.subject["trip"] for one in evaluate(log.records, ONLINE) if str(one.change) == "cleared"]
    assert told == ["T3", "T2", "T1"]
