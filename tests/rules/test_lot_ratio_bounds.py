"""Serious cases of a lot against its product's: what one firm can make of it, what is looked at again, decisions, and years that pass (ADR 0090)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.alarms import fold_alarms
from rules.changes import alarm_id
from rules.lots import ratio as ratios
from rules.lots.book import Book
from rules.lots.fold import LotFold
from rules.lots.portions import KEPT_DAYS, Portions
from rules.lots.serious import MAX_NAMED
from rules.lots.store import LotState
from rules.pack import default_bundle
from tests.examples import examples
from tests.rules.lotlogs import BEGIN, DAY, HOUR, Teller
from tests.rules.ratiologs import PRODUCT, RATIO, SHIPPED, ProductTeller, ratio
from tests.rules.test_lots_ratio import told
from tests.rules.tracelogs import case

LOTS = [f"L-{i}" for i in range(10)]
EASY = ratio(factor=1.5, within=10 * DAY, over=20 * DAY)


@pytest.fixture
def tell():
    return ProductTeller()


def run(facts, lots=None):
    lots = LotFold(SHIPPED) if lots is None else lots
    return [change for fact in facts for change in lots.fold(0, fact, None)]


def market(tell, *lots, others=1_000):
    return [tell.sold(HOUR, others, of="L-OTHER"), *(tell.sold(HOUR, 1, of=lot) for lot in lots)]


def twice(tell, *lots, at=DAY, name="C"):
    """Return two cases that name the same lots."""
    return [tell.case_of(at, f"{name}-1", *lots), tell.case_of(at + HOUR, f"{name}-2", *lots)]


def rows(changes):
    return [(one.change.value, one.subject.get("lot")) for one in changes]


# what reports name


def test_what_all_reports_name_together_is_bounded_and_what_takes_it_back_has_room(tell, monkeypatch):
    monkeypatch.setattr("rules.lots.serious.MAX_NAMED", 5)
    own = Portions()
    assert own.take(tell.case_of(DAY, "C-1", "L-1", "L-2", "L-3"))
    assert own.take(tell.case_of(DAY, "C-2", "L-1", "L-2"))
    assert not own.take(tell.case_of(DAY, "C-3", "L-9"))
    assert own.take(tell.case_of(DAY, "C-4"))  # it counts for the product, and names no lot
    assert (own.serious.named, own.left_out, len(own.serious.reports)) == (5, 1, 3)
    assert not own.take(tell.case_of(DAY, "C-2", "L-1", "L-2", "L-3", revision=2))
    assert own.take(tell.case_of(DAY, "C-1", "L-1", "L-2", "L-3", revision=2, named=False))
    assert (own.serious.named, own.left_out) == (2, 2)
    assert own.take(tell.case_of(DAY, "C-3", "L-9"))
    assert Portions.unpack(own.pack()).serious.named == own.serious.named == 3


def test_reports_that_name_a_thousand_lots_each_leave_a_state_that_can_be_read_back(tell):
    lots = LotFold(SHIPPED)
    names = [f"{'L' * 58}-{i:05d}" for i in range(5_000)]
    for i in range(30):
        run([tell.case_of(DAY + i, f"C-{i}", *names[(i % 5) * 1_000 : (i % 5 + 1) * 1_000])], lots)
    assert lots.state_of(0, PRODUCT).book.portions.serious.named == MAX_NAMED
    assert lots.counters(0)["lot_left_out"] == 20
    snapshot = lots.snapshot(0, PRODUCT)
    assert len(snapshot) < 1_000_000
    assert LotState.restored(PRODUCT, snapshot).snapshot() == snapshot


def test_a_case_that_is_known_ahead_of_its_receipt_counts_at_this():
    (fact,), _ = told(case("R-1", ["L-1"], HOUR, known=400 * DAY))
    assert (fact.told.known_at, fact.at) == (BEGIN + HOUR, BEGIN + HOUR)
    (fact,), _ = told(case("R-1", ["L-1"], DAY, known=HOUR))
    assert (fact.told.known_at, fact.at) == (BEGIN + HOUR, BEGIN + HOUR)


# what is told


def test_so_many_alarms_of_a_product_are_told_the_newest_and_none_of_the_others_is_taken_back(tell, monkeypatch):
    monkeypatch.setattr("rules.lots.fold.MAX_RATED", 3)
    lots = LotFold(SHIPPED)
    changes = run([*market(tell, *LOTS), *twice(tell, *LOTS[:3])], lots)
    assert rows(changes) == [("raised", lot) for lot in LOTS[:3]]
    more = run(twice(tell, *LOTS[5:8], at=2 * DAY, name="D"), lots)
    assert rows(more) == [("raised", lot) for lot in LOTS[5:8]]
    assert all(one.end is None and one.status != "retracted" for one in fold_alarms([*changes, *more]))
    third = run(twice(tell, "L-4", at=2 * DAY, name="E"), lots)  # of one start, the last by number are told
    assert rows(third) == []
    assert len(lots.state_of(0, PRODUCT).told[RATIO]) == 6


def test_one_that_was_told_stays_where_others_of_its_start_take_its_place(tell, monkeypatch):
    monkeypatch.setattr("rules.lots.fold.MAX_RATED", 2)
    lots = LotFold(SHIPPED)
    first = run([*market(tell, *LOTS), *twice(tell, "L-1")], lots)
    more = run(twice(tell, "L-5", "L-6", name="D"), lots)  # known when those of L-1 were
    assert rows([*first, *more]) == [("raised", "L-1"), ("raised", "L-5"), ("raised", "L-6")]


def test_evidence_has_the_rate_of_when_it_is_told_not_of_when_it_was_found(tell):
    lots = LotFold(SHIPPED)
    (raised,) = run([*market(tell, "L-1"), *twice(tell, "L-1")], lots)
    assert "on 1001 units" in raised.evidence.leaves[1].expr
    assert run([tell.sold(HOUR, 500, of="L-OTHER", received=2 * DAY)], lots) == []
    (cleared,) = run([tell.decided("HOSP-1", raised.alarm, received=3 * DAY)], lots)
    assert any("on 1501 units" in leaf.expr for leaf in cleared.evidence.leaves)


def test_one_sale_turns_no_more_alarms_than_are_told(tell, monkeypatch):
    monkeypatch.setattr("rules.lots.fold.MAX_RATED", 4)
    lots = LotFold(SHIPPED)
    of_product = [tell.case_of(HOUR, f"P-{i}") for i in range(10)]
    assert run([*market(tell, *LOTS, others=1), *of_product, *twice(tell, *LOTS)], lots) == []
    turned = run([tell.sold(HOUR, 10_000, of="L-OTHER", received=3 * DAY)], lots)
    assert rows(turned) == [("raised", lot) for lot in LOTS[6:]]


# what is looked at again


def counted(monkeypatch):
    """Count how often the cases of a product are counted."""
    looked, plain = [], Portions.known
    monkeypatch.setattr(Portions, "known", lambda *given: looked.append(1) or plain(*given))
    return looked


def test_in_order_only_what_is_new_is_looked_at(tell, monkeypatch):
    lots, looked, now = LotFold(SHIPPED), counted(monkeypatch), 20 * DAY
    run(market(tell, *LOTS, others=1), lots)
    for i in range(200):  # a case an hour of one of ten lots
        run([tell.case_of(2 * DAY + i * HOUR, f"C-{i}", LOTS[i % 10], received=now)], lots)
    of_one_lot = 20
    assert len(looked) < 200 * (of_one_lot + 5)
    looked.clear()
    run([tell.sold(2 * DAY + 300 * HOUR, 1, received=now)], lots)
    assert looked == [], "a sale behind all cases changes none of them"
    run([tell.sold(2 * DAY + 150 * HOUR, 1, received=now)], lots)
    assert 0 < len(looked) <= 80, "a late one those behind it"


def test_a_look_that_raises_leaves_nothing_behind(tell, monkeypatch):
    lots = LotFold(SHIPPED)
    run([*market(tell, "L-1", "L-2"), tell.case_of(DAY, "C-1", "L-1", "L-2")], lots)
    with monkeypatch.context() as broken:
        broken.setattr("rules.lots.ratio._of_lot", lambda *_: 1 // 0)
        (failed,) = run([tell.case_of(DAY + HOUR, "C-2", "L-1", "L-2")], lots)
    assert failed.rule == "register.rule-failed"
    assert lots.state_of(0, PRODUCT).book.rated == {}
    again = lots.adopt(0, ratio(n=2, factor=2.5), BEGIN + 2 * DAY)
    assert [row for row in rows(again) if row[1]] == [("raised", "L-1"), ("raised", "L-2")]
    book = lots.state_of(0, PRODUCT).book
    assert [one.altered for one in book.rated.values()] == book.portions.serious.altered


def test_what_rules_found_is_kept_of_few(tell):
    lots = LotFold(SHIPPED)
    run([*market(tell, "L-1"), *twice(tell, "L-1")], lots)
    book = lots.state_of(0, PRODUCT).book
    for factor in range(2, 12):
        found = ratios.ratios_of(ratio(factor=factor).rule(RATIO), book)
        assert [one.lot for one in found] == ["L-1"]
        assert len(book.rated) == len(book.portions.serious.altered) <= ratios.KEPT


# decisions


def test_a_product_has_room_for_more_decisions_than_a_lot_and_each_ends_that_of_its_lot(tell, monkeypatch):
    lots, names = LotFold(SHIPPED), [f"L-{i:02d}" for i in range(80)]
    raised = run([*market(tell, *names), *twice(tell, *names)], lots)
    assert len(raised) == 80
    closed = [
        run([tell.decided("HOSP-1", one.alarm, decision=f"D-{i}/1", received=3 * DAY)], lots)
        for i, one in enumerate(raised)
    ]
    assert [rows(found) for found in closed] == [[("cleared", name)] for name in names]
    monkeypatch.setattr("rules.lots.book.MAX_OF_PRODUCT", 80)
    assert run([tell.decided("HOSP-1", "0" * 32, decision="D-99/1", received=3 * DAY)], lots) == []
    assert lots.counters(0)["lot_left_out"] == 1


def test_the_second_alarm_of_a_start_is_closed_by_a_decision_on_it_in_any_order(tell):
    """A case that comes behind a decision, known when those were that it closed, makes a second alarm of that start."""
    one = [*market(tell, "L-1"), tell.case_of(DAY, "C-1", "L-1"), tell.case_of(DAY, "C-2", "L-1")]
    late = [tell.case_of(DAY, f"C-{i}", "L-1", received=4 * DAY) for i in (3, 4)]
    alarms = [alarm_id(RATIO, "HOSP-1", {"lot": "L-1"}, BEGIN + DAY, use) for use in (1, 2)]
    decided = [
        tell.decided("HOSP-1", alarm, decision=f"D-{i}/1", received=(3 + 2 * i) * DAY) for i, alarm in enumerate(alarms)
    ]
    facts = [*one, decided[0], *late, decided[1]]
    wanted = [(alarms[0], BEGIN + 3 * DAY), (alarms[1], BEGIN + 5 * DAY)]
    for i in range(len(facts)):
        for order in (facts[i:] + facts[:i], facts[i::-1] + facts[:i:-1]):
            found = [(a.alarm, a.end) for a in fold_alarms(run(order)) if a.status != "retracted"]
            assert sorted(found, key=lambda one: one[1]) == wanted, [fact.n for fact in order]


def test_decisions_go_with_the_cases_that_they_closed_and_what_was_told_stays(tell):
    lots = LotFold(SHIPPED)
    (raised,) = run([*market(tell, "L-1"), *twice(tell, "L-1")], lots)
    decided = tell.decided("HOSP-1", raised.alarm, received=3 * DAY)
    run([decided], lots)
    book = lots.state_of(0, PRODUCT).book
    assert len(book.decisions) == 1
    assert run([tell.sold((KEPT_DAYS + 3) * DAY, 1, received=(KEPT_DAYS + 3) * DAY)], lots) == []
    assert len(book.decisions) == 1
    assert run([tell.sold((KEPT_DAYS + 4) * DAY, 1, received=(KEPT_DAYS + 4) * DAY)], lots) == []
    assert book.decisions == {}
    assert run([tell.decided("HOSP-1", raised.alarm, decision="D-2/1", received=3 * DAY)], lots) == []
    assert book.decisions == {}, "one that comes behind that is none"
    assert [(one.alarm, one.end) for one in lots.state_of(0, PRODUCT).told[RATIO]] == [(raised.alarm, BEGIN + 3 * DAY)]


# years


@st.composite
def long_logs(draw):
    """Draw facts of some years, mostly in order, so that days, cases and decisions go while others come."""
    tell, now, found, lots = ProductTeller(), 0, [], LotFold(EASY)
    raised = []
    for i in range(draw(st.integers(5, 30))):
        now += draw(st.sampled_from([0, HOUR, DAY, 5 * DAY, 5 * DAY, 40 * DAY, 300 * DAY, 800 * DAY]))
        at = max(0, now - draw(st.sampled_from([0, 0, 0, DAY, 30 * DAY, 600 * DAY])))
        lot = draw(st.sampled_from(LOTS[:3]))
        what = draw(st.sampled_from(["sold", "sold", "case", "case", "case", "decided"]))
        if what == "sold":
            fact = tell.sold(at, draw(st.sampled_from([1, 2.5, 30])), of=lot, received=now)
        elif what == "case":
            fact = tell.case_of(at, f"C-{i}", lot, received=now)
        else:
            alarm = draw(st.sampled_from([*raised, "0" * 32]))
            fact = tell.decided("HOSP-1", alarm, decision=f"D-{i}/1", received=now)
        found.append(fact)
        raised = sorted({*raised, *(change.alarm for change in lots.fold(0, fact, None))})
    return found


@pytest.mark.long
@given(long_logs())
@settings(max_examples=examples(150), deadline=None)
def test_over_years_a_fold_that_starts_anew_behind_every_fact_says_the_same(facts):
    whole, other = LotFold(EASY), LotFold(EASY)
    for fact in facts:
        said = [change.to_json() for change in whole.fold(0, fact, None)]
        assert [change.to_json() for change in other.fold(0, fact, None)] == said
        snapshot = other.snapshot(0, PRODUCT)
        assert snapshot == whole.snapshot(0, PRODUCT)
        other = LotFold(EASY)
        other.restore(0, PRODUCT, snapshot)


def test_a_lot_keeps_nothing_of_products_and_what_is_asked_of_it_leaves_nothing(tell):
    lots = LotFold(default_bundle())
    run([Teller().moved("SHOP-1", HOUR, 1), Teller().decided("SHOP-1", "0" * 32, decision="D-1/1")], lots)
    run([tell.sold(HOUR, 1)], lots)
    lots.adopt(0, SHIPPED, BEGIN + DAY)
    of_lot, of_product = (lots.state_of(0, name).book for name in ("L-1", PRODUCT))
    assert of_lot.portions is Book().portions is not of_product.portions
    assert (of_lot.portions, of_lot.rated) == (Portions(), {})
    assert list(of_product.portions.lots) == ["L-1"]
