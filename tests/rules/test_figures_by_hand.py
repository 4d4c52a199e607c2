"""Figures by hand: what counts as a sample, a visit, a step; both sides of every target; what nobody knows.

Above 400 lines on purpose: the targets are read against one another, side by side.
"""

from __future__ import annotations

from itertools import pairwise

import msgspec
import pytest

from rules.clocks.peek import peek
from rules.engine import Engine
from rules.figures import book, targets, visits
from rules.figures.book import FigureBook, Sample
from rules.figures.facts import facts_of
from rules.figures.periods import period_of, periods
from rules.figures.sampling import Rate, counted, rates, roots_of
from rules.instants import parse_instant
from rules.pack import default_bundle
from rules.snapshot import SnapshotError, open_snapshot, sealed
from rules.state import FacilityState
from tests.rules.duelogs import BEGIN, DAY, HOUR, firm
from tests.rules.figurelogs import LAB, MAKER, PRODUCTS, SHOP, STEP_UP, FigureLog, facts_in, risk


def log(**facts):
    """Return a log whose first facility is a laboratory."""
    return FigureLog(LAB, **facts)


def maker(found, at=0, name=MAKER, **facts):
    found.name = name
    found.register(at, products=PRODUCTS, **facts)
    found.name = LAB
    return found


def month(found, at, line="drug", back=0):
    """Return samples, passed and unretested of a month."""
    name = period_of(at, "month", back).name
    rate = next(one for one in rates(found.facts(), at) if one.period.name == name and one.line == line)
    return rate.samples, rate.passed, rate.unretested


def at(text):
    return parse_instant(f"{text}+08:00")


class TestSamples:
    def test_a_sample_counts_in_the_month_in_which_it_was_drawn_to_the_millisecond(self):
        begin = at("2026-04-01T00:00:00") - BEGIN
        told = maker(log()).sample(begin + DAY, "S-1", drawn=begin - 1).sample(begin + DAY, "S-2", drawn=begin)
        now = BEGIN + begin + DAY
        assert month(told, now) == (1, 1, 0)
        assert month(told, now, back=1) == (1, 1, 0)

    def test_a_period_without_samples_has_no_rate(self):
        told = maker(log()).sample(HOUR)
        of_month = [one for one in rates(told.facts(), BEGIN + DAY) if one.period.kind == "month"]
        assert [(one.samples, one.percent, one.missed) for one in of_month[:2]] == [(1, 100.0, False), (0, None, None)]
        assert [one.running for one in of_month[:2]] == [True, False]

    def test_a_log_without_samples_has_no_lines(self):
        assert rates(maker(log()).facts(), BEGIN) == []
        assert rates([], BEGIN) == []

    def test_of_revisions_the_newest_counts_and_each_number_once(self):
        told = maker(log()).sample(HOUR, passed=False, id="R")
        told.sample(2 * HOUR, passed=True, id="R", revision=3, reason="mistyped")
        told.sample(3 * HOUR, passed=False, id="R", revision=2, reason="late")
        told.sample(4 * HOUR, passed=False, id="R", revision=3, reason="again")
        assert month(told, BEGIN + DAY) == (1, 1, 0)
        assert told.engine(STEP_UP).state_of(LAB).figures.counts == {"stale": 2}

    @pytest.mark.parametrize(("reason", "passed"), [("mistyped", 1), (" ", 0), (None, 0)])
    def test_a_revision_that_does_not_say_why_has_no_effect(self, reason, passed):
        told = maker(log()).sample(HOUR, passed=False, id="R")
        told.sample(2 * HOUR, passed=True, id="R", revision=2, reason=reason)
        assert month(told, BEGIN + DAY)[:2] == (1, passed)

    def test_a_revision_that_names_another_sample_takes_the_first_away(self):
        told = maker(log()).sample(HOUR, "S-1", passed=False, id="R")
        told.sample(2 * HOUR, "S-2", id="R", revision=2, reason="mistyped")
        assert month(told, BEGIN + DAY) == (1, 1, 0)

    def test_a_sample_that_two_laboratories_report_counts_once_by_what_came_last(self):
        told = maker(log()).sample(HOUR, "S-1", passed=True, id="R")
        told.sample(2 * HOUR, "S-1", passed=False, id="R", facility=SHOP)
        assert month(told, BEGIN + DAY) == (1, 0, 1)

    def test_samples_of_one_name_that_were_drawn_at_two_facilities_are_two(self):
        told = maker(maker(log()), name=SHOP).sample(HOUR, "S-1").sample(HOUR, "S-1", of=SHOP, passed=False)
        assert month(told, BEGIN + DAY) == (2, 1, 1)

    def test_what_cannot_be_read_is_counted_and_other_reports_are_nothing_to_it(self):
        told = log().report(HOUR, "sampling-result", {"sample_id": "S"}).death(2 * HOUR)
        state = told.engine(STEP_UP).state_of(LAB)
        assert (state.figures.samples, state.figures.counts) == ({}, {"unread": 1})

    def test_the_oldest_reports_go_where_there_are_too_many(self, monkeypatch):
        monkeypatch.setattr(book, "MAX_SAMPLES", 2)
        told = maker(log()).sample(HOUR, "S-1", id="R-1").sample(HOUR, "S-2", id="R-2")
        told.sample(2 * HOUR, "S-1", id="R-1", revision=2, reason="mistyped").sample(3 * HOUR, "S-3", id="R-3")
        found = facts_of(told.engine(STEP_UP).state_of(LAB))
        assert ([one.sample for one in found.samples], found.dropped) == (["S-1", "S-3"], 1)


class TestRetests:
    def test_the_re_test_stands_for_its_sample_in_the_month_of_the_sample(self):
        begin = at("2026-04-01T00:00:00") - BEGIN
        told = maker(log()).sample(begin, "S-1", passed=False, drawn=begin - DAY)
        assert month(told, BEGIN + begin + DAY, back=1) == (1, 0, 1)
        told.sample(begin + DAY, "S-2", retest_of="S-1", drawn=begin + HOUR)
        assert month(told, BEGIN + begin + DAY, back=1) == (1, 1, 0)
        assert month(told, BEGIN + begin + DAY) == (0, 0, 0)

    def test_a_re_test_that_fails_too_is_no_open_one(self):
        told = maker(log()).sample(HOUR, "S-1", passed=False).sample(2 * HOUR, "S-2", passed=False, retest_of="S-1")
        assert month(told, BEGIN + DAY) == (1, 0, 0)

    def test_of_several_the_newest_counts_and_chains_end_at_their_first(self):
        told = maker(log()).sample(HOUR, "S-1", passed=False).sample(2 * HOUR, "S-2", passed=False, retest_of="S-1")
        told.sample(3 * HOUR, "S-3", retest_of="S-2", facility=SHOP)
        assert month(told, BEGIN + DAY) == (1, 1, 0)

    def test_an_older_re_test_that_is_corrected_later_does_not_stand_for_the_newest(self):
        told = (
            maker(log())
            .sample(HOUR, "S-1", passed=False)
            .sample(3 * HOUR, "S-2", passed=False, retest_of="S-1", id="R")
        )
        told.sample(5 * HOUR, "S-3", retest_of="S-2")
        told.sample(
            7 * HOUR, "S-2", passed=False, retest_of="S-1", drawn=2 * HOUR, id="R", revision=2, reason="mistyped"
        )
        assert month(told, BEGIN + DAY) == (1, 1, 0)

    def test_a_chain_of_ten_thousand_re_tests_is_followed_once(self):
        class Asked(dict):
            many = 0

            def get(self, key):
                self.many += 1
                return super().get(key)

        chain = Asked({
            (MAKER, f"S-{n}"): Sample(f"R-{n}", 1, n, f"S-{n}", MAKER, "P", n, True, f"S-{n - 1}" if n else None)
            for n in range(10_000)
        })  # fmt: skip
        assert set(roots_of(chain).values()) == {(MAKER, "S-0")}
        assert chain.many == 10_000

    def test_who_is_sampled_does_not_report_the_verdict(self):
        told = maker(log()).sample(HOUR, "S-1", passed=False).sample(2 * HOUR, "S-1", facility=MAKER)
        told.sample(3 * HOUR, "S-2", retest_of="S-1", facility=MAKER)
        assert month(told, BEGIN + DAY) == (1, 0, 1)

    def test_re_tests_of_a_sample_that_nobody_reported_stand_for_it(self):
        told = maker(log()).sample(HOUR, "S-2", retest_of="S-1").sample(2 * HOUR, "S-3", passed=False, retest_of="S-1")
        assert month(told, BEGIN + DAY) == (1, 0, 0)

    def test_samples_that_re_test_each_other_are_one(self):
        told = maker(log()).sample(HOUR, "S-1", retest_of="S-2").sample(2 * HOUR, "S-2", retest_of="S-1", passed=False)
        told.sample(3 * HOUR, "S-3", retest_of="S-3")
        assert len(counted(told.facts())) == 2

    def test_a_re_test_of_another_facility_is_another_sample(self):
        told = maker(maker(log()), name=SHOP).sample(HOUR, "S-1", passed=False)
        told.sample(2 * HOUR, "S-2", of=SHOP, retest_of="S-1")
        assert month(told, BEGIN + DAY) == (2, 1, 1)


class TestLines:
    def test_the_line_is_that_of_the_registered_product(self):
        told = maker(log())
        for product, line in (("P-1", "drug"), ("P-2", "device"), ("P-3", "cosmetics")):
            told.sample(HOUR, product, product=product)
            assert month(told, BEGIN + DAY, line) == (1, 1, 0)

    def test_an_unknown_product_is_of_the_only_line_of_the_facility_or_of_none(self):
        one = maker(log(), scopes=[{"field": "retail", "line": "device"}, {"field": "manufacture", "line": "device"}])
        assert month(one.sample(HOUR, product="P-9"), BEGIN + DAY, "device") == (1, 1, 0)
        two = maker(log()).sample(HOUR, product="P-9")
        assert month(two, BEGIN + DAY, None) == (1, 1, 0)
        every = maker(log(), scopes=[{"field": "manufacture", "line": "all"}]).sample(HOUR, product="P-9")
        assert month(every, BEGIN + DAY, None) == (1, 1, 0)

    def test_a_facility_that_nobody_registered_says_no_line(self):
        told = log().sample(HOUR, of="BJ-XXX-0001")
        assert month(told, BEGIN + DAY, None) == (1, 1, 0)


class TestTargets:
    @pytest.mark.parametrize(
        ("passed", "samples", "missed", "percent"),
        [(99, 100, False, 99.0), (98, 100, True, 98.0), (98_999, 100_000, True, 98.99), (989_999, 1_000_000, True, 98.99),
         (990_000, 1_000_000, False, 99.0), (0, 0, None, None), (0, 1, True, 0.0), (1, 1, False, 100.0)],
    )  # fmt: skip
    def test_a_rate_is_held_against_its_target_exactly_and_shown_rounded_down(self, passed, samples, missed, percent):
        rate = Rate(period_of(BEGIN, "month"), "drug", samples, passed, 0, running=True)
        assert (rate.missed, rate.percent) == (missed, percent)

    def test_every_number_has_a_citation_and_what_is_not_sure_says_so(self):
        assert [cite.status for cite in targets.SAMPLING.cites] == ["verify", "own"]
        assert [[cite.status for cite in one.cites] for one in targets.B_SHARE] == [["own", "own"], ["cited", "own"]]
        assert [(one.percent, one.severity.value) for one in targets.B_SHARE] == [(50, "blue"), (70, "yellow")]


class TestPeriods:
    def test_names_and_bounds_in_the_zone(self):
        last = at("2026-01-01T00:00:00") - 1
        assert [period_of(last, kind).name for kind in ("month", "quarter", "year")] == ["2025-12", "2025-Q4", "2025"]
        assert [period_of(last + 1, kind).name for kind in ("month", "quarter", "year")] == [
            "2026-01",
            "2026-Q1",
            "2026",
        ]
        quarter = period_of(last, "quarter")
        assert (quarter.begin, quarter.end) == (at("2025-10-01T00:00:00"), last + 1)

    def test_those_that_are_shown_follow_each_other(self):
        for kind, last in (("month", "2025-03"), ("quarter", "2024-Q1"), ("year", "2024")):
            found = periods(BEGIN, kind)
            assert found[-1].name == last
            assert all(later.begin == earlier.end for later, earlier in pairwise(found))


def institutions(total, visited, done, scopes=(("clinical-trials", "drug"),)):
    """Return facts of grade B institutions of which so many were visited at an instant."""
    found = []
    for number in range(total):
        told = FigureLog(f"BJ-TRI-{number:04d}", risk=risk("B"), scopes=[{"field": f, "line": to} for f, to in scopes])
        if number < visited:
            told.visit(DAY, done_at=done - BEGIN)
        found += told.facts()
    return found


class TestShares:
    DONE = at("2026-06-01T09:00:00")

    def judged(self, found, now, back=0):
        return [(one.target.name, tuple(one.share), one.missed) for one in visits.years(found, now)[back].judged]

    @pytest.mark.parametrize(("visited", "missed"), [(4, True), (5, False)])
    def test_half_is_reached_at_the_end_of_september_or_it_is_blue(self, visited, missed):
        found, over = institutions(10, visited, self.DONE), at("2026-10-01T00:00:00")
        assert self.judged(found, over - 1) == []
        assert self.judged(found, over) == [("b-share-step", (10, visited), missed)]

    @pytest.mark.parametrize(("visited", "missed"), [(6, True), (7, False)])
    def test_seventy_of_a_hundred_are_reached_at_the_end_of_the_year_or_it_is_yellow(self, visited, missed):
        found, over = institutions(10, visited, self.DONE), at("2027-01-01T00:00:00")
        assert len(self.judged(found, over - 1)) == 1
        assert self.judged(found, over) == []
        assert self.judged(found, over, back=1)[1] == ("b-share", (10, visited), missed)

    def test_a_visit_counts_until_the_last_millisecond_of_the_day(self):
        over = at("2026-10-01T00:00:00")
        assert self.judged(institutions(1, 1, over - 1), over) == [("b-share-step", (1, 1), False)]
        assert self.judged(institutions(1, 1, over), over) == [("b-share-step", (1, 0), True)]

    def test_a_visit_of_another_year_does_not_count(self):
        over = at("2026-10-01T00:00:00")
        assert self.judged(institutions(1, 1, at("2026-01-01T00:00:00") - 1), over)[0][1] == (1, 0)
        assert self.judged(institutions(1, 1, at("2026-01-01T00:00:00")), over)[0][1] == (1, 1)

    @pytest.mark.parametrize(
        ("scope", "is_one"),
        [(("clinical-trials", "drug"), True), (("clinical-trials", "all"), True), (("all", "drug"), True),
         (("clinical-trials", "device"), False), (("manufacture", "drug"), False)],
    )  # fmt: skip
    def test_only_trial_institutions_are_judged(self, scope, is_one):
        found = institutions(2, 2, self.DONE, [scope])
        ((_, share, missed),) = self.judged(found, at("2026-11-01T00:00:00"))
        assert (share, missed) == (((2, 2), False) if is_one else ((0, 0), None))
        assert tuple(visits.years(found, at("2026-11-01T00:00:00"))[0].shares["B"]) == (2, 2)

    def test_only_full_visits_on_site_count_by_their_newest_version(self):
        told = FigureLog(MAKER, risk=risk("B"))
        told.visit(DAY, "V-1", 1, done_at=DAY).visit(DAY, "V-2", 1, mode="off-site").visit(DAY, "V-3", 1, full=False)
        assert told.facts()[0].visits == [BEGIN + DAY]
        told.visit(2 * DAY, "V-1", 3, full=False).visit(3 * DAY, "V-1", 2, done_at=DAY)
        assert told.facts()[0].visits == []

    def test_the_day_that_the_register_names_counts(self):
        told = FigureLog(MAKER, risk=risk("B", "2026-02-10"))
        year = visits.years(told.facts(), BEGIN)
        assert [tuple(one.shares["B"]) for one in year[:2]] == [(1, 1), (0, 0)]

    def test_the_grade_is_that_which_was_registered_at_the_end(self):
        told = FigureLog(MAKER, risk=risk("B"))
        told.register(100 * DAY, risk=risk("C")).register(200 * DAY)
        found = told.facts()
        for days, grade in ((50, "B"), (100, "C"), (199, "C")):
            assert [g for g, one in visits.shares(found, BEGIN, BEGIN + days * DAY + 1).items() if one.facilities] == [
                grade
            ]
        assert not any(one.facilities for one in visits.shares(found, BEGIN, BEGIN + 200 * DAY + 1).values())
        assert not any(one.facilities for one in visits.shares(found, 0, BEGIN).values())

    def test_facilities_are_counted_by_grade_and_those_without_one_as_such(self):
        told = FigureLog(MAKER, risk=risk("B"))
        told.name = SHOP
        told.register(HOUR).sample(HOUR, facility="BJ-NEW-0001")
        assert visits.by_grade(told.facts()) == {"A": 0, "B": 1, "C": 0, "D": 0, "": 1}


class TestSteps:
    def steps(self, told, now=BEGIN + 40 * DAY):
        return {state: n for state, n in visits.years(told.facts(), now)[0].steps.items() if n}

    def proposed(self):
        return FigureLog(MAKER, risk=risk("C")).disabled(HOUR)

    def test_a_step_is_proposed_and_signed_or_refused(self):
        assert self.steps(self.proposed()) == {"open": 1}
        assert self.steps(self.proposed().decided(2 * HOUR)) == {"signed": 1}
        assert self.steps(self.proposed().decided(2 * HOUR, "grade-refused")) == {"refused": 1}

    def test_of_versions_of_a_decision_the_newest_counts(self):
        told = self.proposed().decided(2 * HOUR).decided(3 * HOUR, "grade-refused", version=3)
        assert self.steps(told) == {"refused": 1}
        assert self.steps(told.decided(4 * HOUR, "grade-signed", version=2)) == {"refused": 1}

    def test_another_decision_is_about_what_is_open_alone(self):
        told = self.proposed().decided(2 * HOUR).disabled(3 * HOUR, "S-2").decided(4 * HOUR, "grade-refused", "D-2")
        assert self.steps(told) == {"signed": 1, "refused": 1}

    def test_what_did_not_hold_is_withdrawn(self):
        told = self.proposed()
        assert self.steps(told.decided(2 * HOUR, "false-alarm", alarm=told.alarm())) == {"withdrawn": 1}

    @pytest.mark.parametrize("ticks", [(), (17 * DAY,)])
    def test_what_time_alone_proposes_is_there_when_a_decision_comes(self, ticks):
        packs = default_bundle().only({"risk.step-up", "report-clock.adr-death-investigation"})
        told = FigureLog(MAKER, risk=risk("C")).death(HOUR)
        for at_ms in ticks:
            told.tick(at_ms)
        told.decided(18 * DAY, "grade-refused")
        assert [step.state for step in told.facts(packs)[0].steps] == ["refused"]
        assert told.facts(packs)[0].steps[0].raised == BEGIN + 16 * DAY + 1

    def test_decisions_about_something_else_decide_nothing(self):
        assert self.steps(self.proposed().decided(2 * HOUR, "breach", case="C-1")) == {"open": 1}
        assert self.steps(FigureLog(MAKER, risk=risk("C")).decided(HOUR)) == {}

    def test_a_rule_that_is_no_more_leaves_no_open_step(self):
        told, packs = self.proposed(), STEP_UP.only({"data-integrity.audit-disabled"})
        engine = told.engine(STEP_UP)
        record = told.append(2 * HOUR, "packs", packs.to_record(), facility="").records[-1]
        engine.fold(record)
        assert [step.state for one in facts_in(engine) for step in one.steps] == ["withdrawn"]

    def test_rules_on_trial_propose_nothing(self):
        rules = [
            one.model_copy(update={"stage": "shadow"}) if one.id == "risk.step-up" else one for one in STEP_UP.rules
        ]
        assert all(not one.steps for one in self.proposed().facts(type(STEP_UP).of(rules, [])))

    def test_a_step_counts_in_the_year_in_which_it_was_raised(self):
        told = self.proposed()
        found = visits.years(told.facts(), at("2027-02-01T00:00:00"))
        assert [sum(one.steps.values()) for one in found] == [0, 1, 0]

    def test_the_oldest_go_where_there_are_too_many(self, monkeypatch):
        monkeypatch.setattr(book, "MAX_STEPS", 1)
        told = self.proposed().decided(2 * HOUR).disabled(3 * HOUR, "S-2")
        assert self.steps(told) == {"open": 1}


class TestState:
    def test_nothing_is_kept_where_nothing_was_told(self):
        told = FigureLog(MAKER)
        body, _ = open_snapshot(told.engine(STEP_UP).snapshot(0, MAKER))
        assert body.figures is msgspec.UNSET
        assert FacilityState(0, MAKER).figures.is_nothing

    def test_a_release_that_kept_no_grades_is_gone_on_with(self):
        told = FigureLog(MAKER, risk=risk("B"))
        engine = told.engine(STEP_UP)
        body, _ = open_snapshot(engine.snapshot(0, MAKER))
        engine.restore(0, MAKER, sealed(msgspec.structs.replace(body, figures=msgspec.UNSET)))
        assert facts_in(engine)[0].grade_at(0) == "B"
        engine.fold(told.register(DAY, risk=risk("C")).records[-1])
        (found,) = facts_in(engine)
        assert found.grades == [(0, "B"), (BEGIN + DAY, "C")]

    def test_a_snapshot_that_cannot_be_read_is_a_fault(self):
        engine = FigureLog(MAKER, risk=risk("B")).engine(STEP_UP)
        body, _ = open_snapshot(engine.snapshot(0, MAKER))
        for bad in ("none", [[], [], [], []], [[["R"]], [], [], [], [], [], [], []]):
            with pytest.raises(SnapshotError):
                peek(sealed(msgspec.structs.replace(body, figures=bad))).figures()

    def test_what_is_packed_comes_back(self):
        kept = FigureBook(
            {"R": Sample("R", 2, 3, "S", MAKER, "P", 1, True, None)}, {}, [(0, "A"), (5, "")], {}, {"stale": 1},
            ["2025-11-02"], [(0, [("retail", "drug")]), (7, [])], {"P-1": "device"},
        )  # fmt: skip
        assert FigureBook.unpack(kept.pack()) == kept

    def test_visits_and_grades_are_bounded(self, monkeypatch):
        monkeypatch.setattr(book, "MAX_VISITS", 1)
        monkeypatch.setattr(book, "MAX_GRADES", 2)
        kept = FigureBook()
        for number in range(4):
            kept.register(
                firm(risk=risk("ABCD"[number - 1])) if number else None, firm(risk=risk("ABCD"[number])), number
            )
        assert kept.grades == [(2, "C"), (3, "D")]
        told = FigureLog(MAKER).visit(HOUR, "V-1").visit(2 * HOUR, "V-2")
        assert list(told.engine(STEP_UP).state_of(MAKER).figures.visits) == ["V-2"]

    def test_an_engine_without_rules_keeps_the_same(self):
        told = FigureLog(MAKER, risk=risk("B")).visit(HOUR).sample(2 * HOUR)
        empty = Engine(STEP_UP.only(set()))
        for record in told.records:
            empty.fold(record)
        assert facts_in(empty) == told.facts()
