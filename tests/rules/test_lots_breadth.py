"""What one fact of a lot costs where a lot has many notices, many firms and many occurrences; and which notice decides."""

from __future__ import annotations

import random
import sys

import pytest

from rules.lots.fold import LotFold
from rules.lots.judge import MAX_SPELLS
from rules.lots.recalls import recalls_of
from rules.lots.rows import OfReport
from tests.rules.lotlogs import BEGIN, DAY, HOUR, SHIPPED, Teller


@pytest.fixture
def tell():
    return Teller()


def calls(lots, facts):
    """Return how many functions are called while facts are folded: what they cost, whatever else the machine does."""
    found = [0]

    def count(*_):
        found[0] += 1

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        for fact in facts:
            lots.fold(0, fact, None)
    finally:
        sys.setprofile(before)
    return found[0]


def noticed(notices, firms):
    """Return what a further sale costs behind notices of one firm, each decided earlier than the one before, where firms sell the lot."""
    tell, lots = Teller(), LotFold(SHIPPED)
    for i in range(firms):
        lots.fold(0, tell.moved(f"SHOP-{i}", HOUR, 5, kind="arrived", to=f"SHOP-{i}"), None)
        lots.fold(0, tell.moved(f"SHOP-{i}", 2 * HOUR, 1), None)
    told = [tell.notice("MAKER-1", 9 * DAY - i, 9 * DAY, report=f"N-{i:04d}") for i in range(notices)]
    cost = calls(lots, told)
    return cost, calls(lots, [tell.moved("SHOP-0", 3 * HOUR, 1)])


def test_many_notices_cost_no_more_for_each_firm():
    (few, sale), (many, later) = noticed(20, 20), noticed(80, 20)
    assert many < 5 * few
    assert later < 1.5 * sale


def test_a_notice_that_is_revised_reads_the_others_once_whoever_has_the_lot():
    costs = []
    for firms in (10, 40):
        tell, lots = Teller(), LotFold(SHIPPED)
        for i in range(firms):
            lots.fold(0, tell.moved(f"SHOP-{i}", HOUR, 5, kind="arrived", to=f"SHOP-{i}"), None)
        told = [tell.notice("MAKER-1", 9 * DAY, 9 * DAY, report=f"N-{i:04d}") for i in range(100)]
        for fact in told:
            lots.fold(0, fact, None)
        costs.append(calls(lots, [tell.notice("MAKER-1", 8 * DAY, 9 * DAY, report="N-0000", revision=2)]))
    assert costs[1] < 1.5 * costs[0]


def test_a_firm_that_is_off_and_on_costs_the_newest_times_alone():
    costs = []
    for times in (150, 600):
        tell, lots = Teller(), LotFold(SHIPPED)
        lots.fold(0, tell.made("MAKER-1", 0, 1), None)
        for i in range(times):
            lots.fold(0, tell.moved("MAKER-1", (2 * i + 1) * HOUR, 2), None)
            lots.fold(0, tell.made("MAKER-1", (2 * i + 2) * HOUR, 2), None)
        costs.append(calls(lots, [tell.moved("MAKER-1", (2 * times + 1) * HOUR, 2)]))
    assert costs[1] < 1.2 * costs[0]


def test_many_firms_that_are_off_at_once_cost_each_of_them_a_look():
    costs = []
    for firms in (50, 200):
        tell, lots = Teller(), LotFold(SHIPPED)
        for i in range(firms):
            lots.fold(0, tell.moved(f"SHOP-{i}", i * HOUR, 1, kind="arrived", to=f"SHOP-{i}"), None)
            lots.fold(0, tell.moved(f"SHOP-{i}", i * HOUR + 1, 2), None)
        costs.append(calls(lots, [tell.moved("SHOP-0", firms * HOUR, 1)]))
    assert costs[1] < 5 * costs[0]


def test_the_newest_occurrences_are_those_that_a_look_at_all_of_them_finds(tell):
    """Two firms, off and on at random; what overlaps or touches is one."""
    chance = random.Random(4)  # noqa: S311 - a walk, no secret
    lots, changes, held = LotFold(SHIPPED), [], {"MAKER-1": 1, "SHOP-1": 1}
    for firm in held:
        lots.fold(0, tell.made(firm, 0, 1), None)
    off, spells, begun = set(), 0, False
    for i in range(1, 600):
        firm = chance.choice(sorted(held))
        told = tell.made(firm, i * HOUR, 2) if held[firm] < 0 else tell.moved(firm, i * HOUR, 2)
        held[firm] += 2 if held[firm] < 0 else -2
        off = off ^ {firm}
        spells += bool(off) and not begun
        begun = bool(off)
        changes += lots.fold(0, told, None)
        assert changes[-1].end is None or not off
    raised = [one for one in changes if one.change == "raised"]
    assert len(raised) == spells > MAX_SPELLS
    assert not any(one.change == "retracted" for one in changes)


def notice(decided, told, revision=1, *, named=True):
    return OfReport(revision, named, "RC-1", "1", decided, told)


def test_of_notices_a_firms_own_decision_and_the_earliest_word_of_another_decide():
    notices = {
        ("A-1", "N-1"): notice(50, 60),
        ("A-1", "N-2"): notice(40, 70, 3),
        ("B-1", "N-1"): notice(90, 65),
        ("C-1", "N-1"): notice(1, 2, named=False),
    }
    found = recalls_of(notices)
    assert found.of("A-1", 10) == (40, "A-1", ("report", "N-2/3"))
    assert found.of("A-1", -30) == (
        35,
        "B-1",
        ("report", "N-1/1"),
    )  # the word of B-1; its own does not count against itself
    assert found.of("B-1", 10) == (70, "A-1", ("report", "N-1/1"))
    assert found.of("C-1", 10) == found.of("SHOP-1", 10) == (70, "A-1", ("report", "N-1/1"))
    assert sorted(found.decided) == ["A-1", "B-1"]
    assert recalls_of({}).of("A-1", 10) is None
    assert recalls_of({("A-1", "N-1"): notice(5, 6)}).of("A-1", 10) == (5, "A-1", ("report", "N-1/1"))


def test_whatever_order_notices_come_in_the_same_decide():
    chance = random.Random(7)  # noqa: S311 - a shuffle, no secret
    for _ in range(200):
        notices = {
            (chance.choice("ABC") + "-1", f"N-{i}"): notice(chance.randint(0, 4), chance.randint(0, 4))
            for i in range(6)
        }
        wanted = {
            firm: min(
                [(one.decided, who, name) for (who, name), one in notices.items() if who == firm]
                + [(one.at + 2, who, name) for (who, name), one in notices.items() if who != firm]
            )[0]
            for firm in ("A-1", "B-1", "C-1", "D-1")
            if any(who != firm for who, _ in notices)
        }
        for _ in range(3):
            mixed = list(notices.items())
            chance.shuffle(mixed)
            found = recalls_of(dict(mixed))
            assert {firm: found.of(firm, 2)[0] for firm in wanted} == wanted
            assert {firm: found.of(firm, 2) for firm in wanted} == {
                firm: recalls_of(notices).of(firm, 2) for firm in wanted
            }


def test_a_notice_that_was_corrected_and_names_the_lot_no_more_makes_nobody_a_holder(tell):
    facts = [
        tell.notice("SHOP-2", HOUR, 2 * HOUR),
        tell.notice("SHOP-2", HOUR, 2 * HOUR, revision=2, named=False),
        tell.made("MAKER-1", 0, 10, expiry="2026-03-01"),
        tell.moved("SHOP-1", 3 * DAY, 3, kind="shipped", to="SHOP-2"),
    ]
    lots = LotFold(SHIPPED)
    told = [change for fact in facts for change in lots.fold(0, fact, None)]
    assert [(one.rule, one.change, one.start) for one in told] == [
        ("cross-check.expired-moving", "raised", BEGIN + 3 * DAY)
    ]
    again = lots.fold(0, tell.notice("SHOP-2", HOUR, 2 * HOUR, revision=3), None)
    assert {(one.rule, one.change) for one in again} == {("cross-check.expired-moving", "retracted")}
