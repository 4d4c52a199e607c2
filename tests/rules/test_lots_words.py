"""Whose word decides: evidence of a lot's alarm names the firm that gave notice or named the expiry, and whose the records are; orders that do not say since when."""

from __future__ import annotations

import pytest

from rules.lots.fold import LotFold
from tests.rules.lotlogs import BEGIN, DAY, HOUR, SHIPPED, Teller

STOPPED = "vigilance.moved-after-stop"


@pytest.fixture
def tell():
    return Teller()


def run(facts):
    lots = LotFold(SHIPPED)
    return [change for fact in facts for change in lots.fold(0, fact, None)]


def said(change):
    return [one.expr for one in change.evidence.leaves], [(one.kind, one.id) for one in change.evidence.records]


def test_the_holder_whose_notice_decides_is_named_and_its_report_is_known_as_its_own(tell):
    facts = [
        tell.notice("MAKER-1", 0, 5 * HOUR),
        tell.notice("SHOP-2", 0, HOUR),  # has a report of the same number, and told the chain first
        tell.moved("SHOP-1", 2 * DAY, 1),
    ]
    (raised,) = run(facts)
    leaves, records = said(raised)
    assert leaves == ["SHOP-1: sold against the stop by SHOP-2"]
    assert raised.evidence.leaves[0].right == "2026-03-01T17:00:00.000Z"
    assert records == [("events", "b-1"), ("report", "SHOP-2 N-1/1")]


def test_a_firms_own_order_is_its_own_word(tell):
    (raised,) = run([tell.stop("SHOP-1", HOUR, known=HOUR), tell.moved("SHOP-1", 2 * HOUR, 1)])
    leaves, records = said(raised)
    assert leaves == ["SHOP-1: sold against the stop by SHOP-1"]
    assert records == [("events", "b-2"), ("events", "b-1")]


def test_the_maker_whose_expiry_decides_is_named(tell):
    facts = [
        tell.made("MAKER-1", 0, 10, expiry="2026-03-02"),
        tell.made("SHOP-2", 0, 10, expiry="2026-03-01"),
        tell.moved("SHOP-1", 5 * DAY, 1),
    ]
    (raised,) = run(facts)
    leaves, records = said(raised)
    assert leaves == ["SHOP-1: sold against the expiry by SHOP-2"]
    assert records == [("events", "b-1"), ("events", "SHOP-2 b-1")]


def test_of_two_who_name_the_same_day_the_first_by_id_is_named_whatever_came_first(tell):
    facts = [
        tell.made("SHOP-2", 0, 10, expiry="2026-03-01"),
        tell.made("MAKER-1", 0, 10, expiry="2026-03-01"),
        tell.moved("SHOP-1", 5 * DAY, 1),
    ]
    for order in (facts, facts[::-1]):
        assert said(run(order)[-1])[0] == ["SHOP-1: sold against the expiry by MAKER-1"]


def test_reports_of_one_number_by_two_firms_are_told_apart(tell):
    facts = [
        tell.case("HOSP-1", HOUR, "C-1", report="R-1"),
        tell.case("SHOP-1", 2 * HOUR, "C-2", report="R-1"),
        tell.case("HOSP-1", 3 * HOUR, "C-3", report="R-3"),
    ]
    (raised,) = run(facts)
    assert raised.facility == "HOSP-1"
    assert said(raised)[1] == [("report", "R-1/1"), ("report", "SHOP-1 R-1/1"), ("report", "R-3/1")]


def test_a_record_of_another_firm_that_decides_is_told_with_its_name(tell):
    facts = [
        tell.moved("SHOP-1", 2 * DAY, 1),
        tell.notice("MAKER-1", 0, HOUR),
    ]
    (raised,) = run(facts)
    assert said(raised)[1] == [("events", "b-1"), ("report", "MAKER-1 N-1/1")]
    decided = tell.decided("MAKER-1", raised.alarm, received=9 * DAY)
    cleared = run([*facts, decided])[-1]
    assert ("decision", "D-1/1") in said(cleared)[1]  # a decision is no firm's
    sums = run([tell.made("MAKER-1", 0, 1, lot="L-2"), tell.moved("MAKER-1", HOUR, 2, lot="L-2")])
    assert all(" " not in name for _, name in said(sums[-1])[1])


def test_another_firm_that_moves_the_lot_while_the_alarm_stands_is_in_its_evidence(tell):
    facts = [
        tell.notice("MAKER-1", 0, HOUR),
        tell.moved("SHOP-1", 2 * DAY, 1),
        tell.moved("SHOP-2", 40 * DAY, 1),
    ]
    raised, amended = run(facts)
    assert (raised.change, amended.change, amended.alarm) == ("raised", "amended", raised.alarm)
    assert said(amended)[0] == [
        "SHOP-1: sold against the stop by MAKER-1",
        "SHOP-2: sold against the stop by MAKER-1",
    ]
    assert "SHOP-2" in amended.message.en


@pytest.mark.parametrize("basis", ["recall", None])
@pytest.mark.parametrize(("sold", "counts"), [(3 * HOUR - 1, False), (3 * HOUR, True)])
def test_an_order_that_does_not_say_since_when_counts_from_the_notice(tell, basis, sold, counts):
    facts = [
        tell.notice("MAKER-1", 0, 3 * HOUR),
        tell.moved("SHOP-1", sold, 1),
        tell.stop("SHOP-1", 10 * HOUR, basis=basis),
    ]
    assert [(one.rule, one.start - BEGIN) for one in run(facts)] == ([(STOPPED, sold)] if counts else [])


@pytest.mark.parametrize(
    ("basis", "known", "notice"),
    [
        ("order", None, 3 * HOUR),  # an authority's order has nothing to do with the notice
        ("recall", 10 * HOUR, 3 * HOUR),  # it says since when
        ("recall", None, None),  # nobody gave notice
    ],
)
def test_else_it_counts_from_when_it_says_or_happened(tell, basis, known, notice):
    facts = [tell.moved("SHOP-1", 10 * HOUR - 1, 1), tell.stop("SHOP-1", 10 * HOUR, known, basis=basis)]
    facts += [] if notice is None else [tell.notice("MAKER-1", 0, notice)]
    assert run(facts) == []
    (raised,) = run([*facts, tell.moved("SHOP-1", 10 * HOUR, 1)])
    assert raised.start == BEGIN + 10 * HOUR


def test_an_order_that_is_posted_late_takes_no_breach_back(tell):
    """settled.md has the own order first, else 24 hours behind the notice: here the earlier one counts (ADR 0072)."""
    facts = [tell.notice("MAKER-1", 0, HOUR), tell.moved("SHOP-1", 30 * HOUR, 1)]
    late = tell.stop("SHOP-1", 48 * HOUR, known=48 * HOUR)
    assert [one.change for one in run([*facts, late])] == ["raised"]
