"""Years that are over stay as they were: a later visit, a corrected day, fields that a firm leaves, products that go; who a laboratory is."""

from __future__ import annotations

import pytest

from rules.figures import book
from rules.figures.book import FigureBook
from rules.figures.sampling import counted
from rules.figures.visits import years
from rules.instants import parse_instant
from tests.rules.duelogs import BEGIN, DAY, HOUR, firm
from tests.rules.figurelogs import LAB, MAKER, PRODUCTS, SHOP, FigureLog, risk

TRIALS = [{"field": "clinical-trials", "line": "drug"}]
RETAIL = [{"field": "retail", "line": "device"}]
JANUARY = parse_instant("2027-01-02T00:00:00+08:00")


def shares(told, instant=JANUARY, back=1):
    """Return facilities of grade B and those visited, of all and of trial institutions, in the year before."""
    year = years(told.facts(), instant)[back]
    return tuple(year.shares["B"]), tuple(year.trials["B"])


def registered(*facts):
    """Return a log of one facility whose registers come a day apart."""
    told = FigureLog(MAKER, **facts[0])
    for number, more in enumerate(facts[1:], 1):
        told.register(number * DAY, **more)
    return told


def days(*named):
    kept, before = FigureBook(), None
    for number, day in enumerate(named):
        now = firm(risk=None if day is None else risk("B", day))
        kept.register(before, now, number)
        before = now
    return kept.days


class TestVisits:
    def test_a_later_visit_takes_nothing_from_the_year_before(self):
        told = registered(
            {"risk": risk("B", "2026-03-01"), "scopes": TRIALS}, {"risk": risk("B", "2027-01-01"), "scopes": TRIALS}
        )
        assert shares(told) == ((1, 1), (1, 1))
        assert shares(told, back=0)[0] == (1, 1)

    @pytest.mark.parametrize(
        ("named", "kept"),
        [
            (["2026-03-01", "2026-04-01"], ["2026-03-01"]), (["2026-03-01", "2026-03-01"], []), (["2026-03-01", None], ["2026-03-01"]),
            (["2026-03-01", "2026-02-28"], []), (["2026-03-01", None, "2026-02-28"], []), ([None, "2026-03-01"], []),
            (["2026-01-01", "2026-03-01", "2026-02-01", "2026-05-01"], ["2026-01-01", "2026-02-01"]),
        ],
    )  # fmt: skip
    def test_days_are_kept_until_an_earlier_one_corrects_them(self, named, kept):
        assert days(*named) == kept

    def test_a_day_that_was_a_mistake_counts_no_more(self):
        told = registered({"risk": risk("B", "2026-03-01")}, {"risk": risk("B", "2025-03-01")})
        assert shares(told)[0] == (1, 0)

    def test_days_are_bounded(self, monkeypatch):
        monkeypatch.setattr(book, "MAX_VISITS", 2)
        assert days(*(f"2026-0{month}-01" for month in range(1, 7))) == ["2026-04-01", "2026-05-01"]


class TestScopes:
    def test_who_leaves_trials_was_one_in_the_year_before(self):
        seen = {"risk": risk("B", "2026-03-01")}
        told = FigureLog(MAKER, scopes=TRIALS, **seen)
        told.register(JANUARY - BEGIN, scopes=RETAIL, **seen)
        assert shares(told, JANUARY + DAY) == ((1, 1), (1, 1))
        assert shares(told, JANUARY + DAY, back=0)[1] == (0, 0)

    def test_who_becomes_one_was_none_before(self):
        told = FigureLog(MAKER, scopes=RETAIL, risk=risk("B"))
        told.register(JANUARY - BEGIN, scopes=TRIALS, risk=risk("B"))
        assert shares(told, JANUARY + DAY)[1] == (0, 0)
        assert shares(told, JANUARY + DAY, back=0)[1] == (1, 0)

    def test_the_last_day_of_a_target_asks_who_was_one_then(self):
        told = FigureLog(MAKER, scopes=TRIALS, risk=risk("B"))
        told.register(parse_instant("2026-11-01T00:00:00+08:00") - BEGIN, scopes=RETAIL, risk=risk("B"))
        autumn, winter = years(told.facts(), JANUARY)[1].judged
        assert (tuple(autumn.share), tuple(winter.share)) == ((1, 0), (0, 0))

    def test_nothing_is_kept_of_a_register_that_stays(self):
        told = registered({"scopes": TRIALS, "products": PRODUCTS}, {"scopes": TRIALS, "products": PRODUCTS})
        (found,) = told.facts()
        assert (found.scoped, found.days) == ([], [])
        assert told.engine().state_of(MAKER).figures.is_nothing

    def test_changes_are_bounded(self, monkeypatch):
        monkeypatch.setattr(book, "MAX_GRADES", 2)
        kept, before = FigureBook(), firm(scopes=TRIALS)
        for number in range(1, 5):
            now = firm(scopes=RETAIL if number % 2 else TRIALS)
            kept.register(before, now, number)
            before = now
        assert [since for since, _ in kept.scopes] == [3, 4]


class TestSamples:
    def lines(self, told):
        return [one.line for one in counted(told.facts())]

    def sampled(self, *facts, product="P-2"):
        told = FigureLog(LAB)
        told.name = MAKER
        told.register(0, **facts[0])
        told.sample(HOUR, product=product, facility=LAB)
        for number, more in enumerate(facts[1:], 1):
            told.register(number * DAY, **more)
        return told

    def test_a_product_that_left_the_register_keeps_its_line(self):
        told = self.sampled({"products": PRODUCTS, "scopes": TRIALS}, {"products": PRODUCTS[:1], "scopes": TRIALS})
        assert self.lines(told) == ["device"]

    def test_one_that_comes_back_as_another_has_the_new_one(self):
        other = [PRODUCTS[1] | {"class": "cosmetic"}]
        told = self.sampled({"products": PRODUCTS}, {"products": PRODUCTS[:1]}, {"products": other})
        assert self.lines(told) == ["cosmetics"]

    def test_of_a_product_that_nobody_registered_the_scopes_of_then_say_it(self):
        told = self.sampled({"scopes": TRIALS, "products": []}, {"scopes": RETAIL, "products": []}, product="P-77")
        assert self.lines(told) == ["drug"]

    def test_products_are_bounded(self, monkeypatch):
        monkeypatch.setattr(book, "MAX_PRODUCTS", 2)
        kept = FigureBook()
        kept.register(firm(products=PRODUCTS), firm(products=[]), 1)
        assert list(kept.products) == ["P-2", "P-3"]

    @pytest.mark.parametrize(("field", "passed"), [("laboratory", False), ("retail", True)])
    def test_a_registered_laboratory_stands_against_a_later_word_of_others(self, field, passed):
        told = FigureLog(LAB, scopes=[{"field": field, "line": "all"}])
        told.sample(HOUR, passed=False, of=MAKER).sample(DAY, passed=True, of=MAKER, facility=SHOP)
        assert [one.passed for one in counted(told.facts())] == [passed]
