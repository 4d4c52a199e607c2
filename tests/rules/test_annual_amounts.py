"""Quantities and volumes that are too large or too fine to be added up make their year unknown, and what is kept stays short (ADR 0080)."""

from __future__ import annotations

from fractions import Fraction

import pytest

from rules.changes import Verdict
from rules.ledger import annual
from rules.rare.speak import Now
from rules.rare.store import Fact, text_of
from rules.records import Kind, LogRecord
from rules.reports.reading import fields_of
from tests.rules.oracle.volumes import DAY, RULE, begin_of, plain
from tests.rules.test_annual_volume import BEGIN, BUNDLE, FACILITY, folded, made, quarters, report

OVER = begin_of(2026) + DAY
ROWS = 1_000
AMOUNTS = [
    (0, True), (10**15, True), (1e15, True), (10**15 + 1, False), (1.1e15, False),
    (1.7976931348623157e308, False), (1e-9, True), (1.5e-9, False), (0.000000001, True), (1e-10, False),
    (4.9e-324, False), (999999.999999999, True), (0.1234567891, False),
]  # fmt: skip


def said_of(payload):
    """Return what a report says, as text."""
    fields = fields_of(payload)
    ((_, _, text),) = annual.said(payload, {name: getattr(fields, name) for name in type(fields).model_fields}, OVER)
    return text


@pytest.mark.parametrize(("amount", "is_plain"), AMOUNTS)
def test_amounts_up_to_1e15_in_steps_of_1e_9_are_added_up(amount, is_plain):
    assert annual.is_plain(Fraction(repr(amount))) is plain(amount) is is_plain
    told = annual.met(BUNDLE.rule(RULE), made(begin_of(2025), "L-1", amount), Now(begin_of(2025), begin_of(2025)))
    assert told.subject == annual.subject_for(2025)
    (entry,) = annual.entries_of([Fact(0, 0, "x", "b", told.text)])
    assert entry.what == (annual.MADE if is_plain else annual.UNNAMED)
    assert ('"plain": false' in said_of(report(BEGIN, [("P", 1, amount)]))) is not is_plain


@pytest.mark.parametrize(("amount", "is_told"), [(10**15, True), (1.1e15, False), (1e-9, True), (1e-10, False)])
def test_a_report_of_such_a_volume_tells_nothing(amount, is_told):
    engine, changes = folded([*quarters(), (OVER, report(OVER, [("P", 5, amount)]))])
    changes += engine.advance(0, OVER + DAY)
    assert [c.change.value for c in changes] == ["raised"] * is_told


@pytest.mark.parametrize(("amount", "is_known"), [(1e-9, True), (1e-10, False)])
def test_an_alarm_is_unknown_until_a_report_can_be_read(amount, is_known):
    wrong, right = report(OVER, [("P", 4, 40)]), report(OVER, [("P", 5, 50)], 3)
    odd = report(OVER, [("P", 3, 40), ("P", 1, amount)], 2)
    engine, changes = folded([*quarters(), (OVER, wrong), (OVER + 1, odd), (OVER + 2, right)])
    changes += engine.advance(0, OVER + DAY)
    assert [c.change.value for c in changes] == ["raised", "amended" if is_known else "unknown", "cleared"]


@pytest.mark.parametrize(("amount", "verdict"), [(60, Verdict.TRUE), (1e16, Verdict.UNKNOWN)])
def test_the_leaf_says_so(amount, verdict):
    text = said_of(report(BEGIN, [("P", 5, amount)]))
    fact = Fact(begin_of(2026), OVER, "annual-report Y/1", "", text)
    spans = [(begin_of(2025), OVER)]
    judged = annual.judge(BUNDLE.rule(RULE), text_of(annual.subject_for(2025)), [fact], OVER + DAY, 60_000, spans)
    assert {one.name: one.verdict for one in judged.seen}["named"] is verdict
    assert judged.unknown is (verdict is Verdict.UNKNOWN)


def test_a_report_of_a_thousand_products_stays_short_whatever_it_says():
    """It was 975 KB."""
    rows = [(f"P{i:04d}", 1, one) for i in range(ROWS) for one in (1.7976931348623157e308, 4.9e-324)]
    assert len(said_of(report(BEGIN, rows))) < 40 * ROWS
    most = [(f"P{i:04d}", 1, one) for i in range(ROWS) for one in (10**15, 999999.123456789, 1e-9)]
    assert len(said_of(report(BEGIN, most))) < 80 * ROWS


def test_sums_of_events_that_became_one_stay_short():
    """Of a product at most the digits of 1e15 in steps of 1e-9, and those of how many there were."""
    facts = []
    for i in range(ROWS):
        for j, quantity in enumerate((10**15, 1e-9, 1.7e308, 4.9e-324)):
            at = begin_of(2025) + i
            told = annual.met(BUNDLE.rule(RULE), made(at, f"L{i}", quantity, f"P{i % 4}"), Now(at, at))
            facts.append(Fact(at, at, f"{i:06x}{j}", "b", told.text))
    kept = annual.shortened(BUNDLE.rule(RULE), facts, 2)
    base = next(one for one in annual.entries_of(kept) if one.what == annual.BASE)
    assert base.said["unnamed"] is True
    assert max(len(volume) for _, volume in base.said["products"].values()) < 45


def test_a_year_of_such_events_is_unknown_and_a_report_of_it_tells_nothing():
    events = quarters()
    events[-1][1].events[0].fields["quantity"] = 1.7e308
    engine, changes = folded([*events, (OVER, report(OVER, [("P", 1, 1)]))])
    changes += engine.advance(0, OVER + DAY)
    assert changes == []
    again = engine.fold(LogRecord(0, 9, OVER + DAY, Kind.REPORT, FACILITY, report(OVER, [("P", 5, 50)], 2)))
    assert again == []
