"""Serious cases of a lot against those that its product lets expect, by hand: what is told, what holds, bounds and what is forgotten (ADR 0090)."""

from __future__ import annotations

from fractions import Fraction

import pytest
import yaml
from pydantic import TypeAdapter, ValidationError

from monitor.alarms.decide import lot_of
from rules.alarms import fold_alarms
from rules.changes import Verdict
from rules.engine import Engine
from rules.layout import NONE
from rules.lots import portions as keeping
from rules.lots.facts import LotFact
from rules.lots.fold import LotFold
from rules.lots.portions import DAY_MS, JUDGED_DAYS, KEPT_DAYS, Portions, Rated, begin_of, day_of
from rules.lots.sound import lot_faults
from rules.pack import SHIPPED as PACKS
from rules.pack import Bundle
from rules.rule import Rule, is_latched
from streams.codec import lot_key, owner_of
from tests.rules.lotlogs import BEGIN, DAY, HOUR
from tests.rules.ratiologs import PRODUCT, RATIO, SHIPPED, ProductTeller, ratio
from tests.rules.tracelogs import batch, case, event, moved

RULE: TypeAdapter[Rule] = TypeAdapter(Rule)
NOTHING = Bundle.of((), ())


@pytest.fixture
def tell():
    return ProductTeller()


def run(facts, lots=None):
    lots = LotFold(SHIPPED) if lots is None else lots
    return [change for fact in facts for change in lots.fold(0, fact, None)]


def told(*records):
    engine, found = Engine(NOTHING, keep_facts=True), []
    for record in records:
        engine.fold(record)
        found += engine.take_facts(record.partition)
    return [fact for fact in found if fact.lot.startswith("product ")], engine


def market(tell):
    """Return sales of a lot that is a tenth of what was sold."""
    return [tell.sold(HOUR, 10), tell.sold(HOUR, 90, of="L-2", firm="SHOP-2")]


# what is told


def test_a_sale_is_told_of_its_product_too_and_both_facts_have_numbers():
    found, engine = told(batch("b-1", [moved("sold", 0, "L-1", 2, product="P-1")], HOUR, "SHOP-1"))
    (fact,) = found
    assert (fact.lot, fact.n, fact.told.of, fact.told.quantity) == (PRODUCT, 2, "L-1", 2.0)
    assert fact.event is not None
    assert engine.counters(0, "SHOP-1")["lot_facts"] == 2


@pytest.mark.parametrize("kind", ["shipped", "arrived", "returned"])
def test_what_is_no_sale_tells_nothing_of_a_product(kind):
    assert told(batch("b-1", [moved(kind, 0, "L-1", 2, product="P-1")], HOUR))[0] == []


def test_sales_without_a_product_or_with_too_long_a_one_are_counted_and_nothing_is_none():
    events = [
        moved("sold", 0, "L-1", 2),
        moved("sold", 0, "L-1", 2, product="P" * 65),
        moved("sold", 0, "L-1", 0, product="P-1"),
        event("produced", 0, lot="L-1", quantity=2, product="P-1"),
    ]
    found, engine = told(batch("b-1", events, HOUR))
    assert found == []
    assert engine.counters(0, "MAKER-1")["product_unnamed"] == 2
    long, _ = told(batch("b-1", [moved("sold", 0, "L-1", 2, product="P" * 64)], HOUR))
    assert [fact.lot for fact in long] == [f"product {'P' * 64}"]


def test_serious_cases_are_told_of_their_product_with_all_lots_and_without_any():
    found, _ = told(case("R-1", ["L-2", "L-1"], HOUR), case("R-2", None, HOUR, offset=1, seriousness="death"))
    assert [(fact.told.case_id, fact.told.lots) for fact in found] == [("C-R-1", ["L-1", "L-2"]), ("C-R-2", [])]
    assert told(case("R-3", ["L-1"], HOUR, seriousness="other"))[0] == []


def test_a_revision_that_is_not_serious_or_of_another_product_takes_the_case_back():
    found, _ = told(
        case("R-1", ["L-1"], HOUR),
        case("R-1", ["L-1"], HOUR, revision=2, offset=1, product="P-2"),
        case("R-1", ["L-1"], HOUR, revision=3, offset=2, product="P-2", seriousness="other"),
        case("R-1", ["L-1"], HOUR, revision=4, offset=3, product="P-2", seriousness="other"),
    )
    assert [(fact.lot, fact.told.revision, fact.told.named) for fact in found] == [
        (PRODUCT, 1, True), (PRODUCT, 2, False), ("product P-2", 2, True), ("product P-2", 3, False),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("lot", "fits"), [(PRODUCT, True), ("L-1", False), ("product P 1", False), ("lots P-1", False)]
)
def test_a_fact_of_a_product_stands_under_a_product_alone(tell, lot, fits):
    value = tell.sold(0, 1).to_json() | {"lot": lot}
    if fits:
        assert LotFact.model_validate(value).lot == PRODUCT
    else:
        with pytest.raises(ValidationError):
            LotFact.model_validate(value)
    moved_one = {"fact": "moved", "type": "sold", "quantity": 1}
    with pytest.raises(ValidationError):
        LotFact.model_validate(value | {"lot": PRODUCT, "told": moved_one})


# what holds


def test_its_changes_stand_in_the_stream_of_the_product_and_are_of_the_lot(tell):
    (raised,) = run(
        [*market(tell), tell.case_of(DAY, "C-1", "L-1"), tell.case_of(2 * DAY, "C-2", "L-1", firm="HOSP-2")]
    )
    assert (raised.stream, raised.seq, raised.subject, raised.facility) == ("product:P-1", 1, {"lot": "L-1"}, "HOSP-2")
    assert (raised.severity, raised.stage, raised.start) == ("red", "shadow", BEGIN + 2 * DAY)
    assert raised.evidence.facilities == ["HOSP-1", "HOSP-2"]
    count, against, *cases = raised.evidence.leaves
    assert (count.left, count.right) == (2.0, 2.0)
    assert (against.left, against.right) == (2.0, pytest.approx(0.6))
    assert "2 of the product in 365d on 100 units, 10 of lot L-1" in against.expr
    assert [leaf.expr for leaf in cases] == ["HOSP-1: case C-1 known", "HOSP-2: case C-2 known"]
    assert raised.message.en.startswith("Lot L-1: ")
    assert owner_of(raised) == lot_key(PRODUCT)
    assert lot_of(raised.stream) == PRODUCT
    assert (lot_of("lot:L-1"), lot_of("SHOP-1")) == ("L-1", None)


def test_a_decision_on_it_names_the_product_and_closes_that_lot_alone(tell):
    facts = [
        tell.sold(HOUR, 5), tell.sold(HOUR, 5, of="L-2"), tell.sold(HOUR, 90, of="L-3"),
        tell.case_of(DAY, "C-1", "L-1", "L-2"), tell.case_of(2 * DAY, "C-2", "L-1", "L-2"),
    ]  # fmt: skip
    lots = LotFold(SHIPPED)
    one, other = run(facts, lots)
    assert (one.subject, other.subject) == ({"lot": "L-1"}, {"lot": "L-2"})
    (cleared,) = run([tell.decided("HOSP-1", one.alarm, received=3 * DAY)], lots)
    assert (cleared.change, cleared.alarm, cleared.end) == ("cleared", one.alarm, BEGIN + 3 * DAY)
    again = run([tell.case_of(4 * DAY, "C-3", "L-1"), tell.case_of(5 * DAY, "C-4", "L-1")], lots)
    assert [(change.change, change.subject["lot"], change.start - BEGIN) for change in again] == [
        ("raised", "L-1", 5 * DAY)
    ]
    assert again[0].alarm != one.alarm


def test_a_decision_of_the_log_reaches_the_product(tell):
    (fact,) = [tell.decided("HOSP-1", "0" * 32)]
    assert (fact.lot, LotFact.from_bytes(fact.to_bytes())) == (PRODUCT, fact)


@pytest.mark.parametrize(("days", "fires"), [(364, False), (365, True)])
def test_the_rate_is_that_of_365_days_the_day_of_the_case_inside(tell, days, fires):
    """Six further cases of the product keep it quiet as long as they lie within the rate's time."""
    begin = [tell.case_of(HOUR, f"B-{i}") for i in range(6)]
    market = [tell.sold(2 * DAY, 10), tell.sold(2 * DAY, 90, of="L-2")]
    own = [tell.case_of(days * DAY, "C-1", "L-1"), tell.case_of(days * DAY + 1, "C-2", "L-1")]
    assert bool(run([*begin, *market, *own])) == fires


def test_units_of_the_lot_are_all_that_were_sold_by_then_those_of_the_product_of_the_year(tell):
    old = [tell.sold(0, 1000), tell.sold(0, 1000, of="L-2")]
    new = [tell.sold(400 * DAY, 1), tell.sold(400 * DAY, 99, of="L-2")]
    own = [tell.case_of(401 * DAY, "C-1", "L-1"), tell.case_of(401 * DAY, "C-2", "L-1")]
    assert run([*old, *new, *own]) == []
    assert len(run([*new, *own])) == 1


def test_a_copy_of_a_sale_counts_once_on_its_earliest_day(tell):
    sale = tell.sold(3 * DAY, 10)
    copy = sale.model_copy(update={"n": 50, "at": sale.at - DAY})
    for order in ((sale, copy), (copy, sale)):
        own = Portions()
        assert [own.take(fact) for fact in order] == [True, order[0] is sale]
        assert own.lots["L-1"].days == own.total.days == {day_of(BEGIN + 2 * DAY): 10}
        assert own.apart == {f"SHOP-1 {sale.event}": (sale.n, day_of(BEGIN + 2 * DAY), "L-1", 10)}


def test_a_product_of_which_something_may_be_forgotten_is_unknown(tell):
    lots = LotFold(SHIPPED)
    run(market(tell), lots)
    lots.state_of(0, PRODUCT).book.gaps = frozenset({"SHOP-9"})
    assert run([tell.case_of(DAY, "C-1", "L-1"), tell.case_of(DAY, "C-2", "L-1")], lots) == []


def test_a_rule_that_raises_is_put_aside_for_the_product(tell, monkeypatch):
    heard = []
    lots = LotFold(SHIPPED, lambda stream, rule, _: heard.append((stream, rule)))
    run(market(tell), lots)
    monkeypatch.setattr("rules.lots.judge.ratios_of", lambda *_: 1 // 0)
    (failed,) = run([tell.case_of(DAY, "C-1", "L-1")], lots)
    assert (failed.subject, failed.stream) == ({"system": RATIO, "product": "P-1"}, "product:P-1")
    assert "product P-1" in failed.message.en
    assert "产品 P-1" in failed.message.zh
    assert heard == [("product:P-1", RATIO)]


@pytest.mark.parametrize(
    ("numbers", "wanted"),
    [((2, 100, 2, 300), Verdict.FALSE), ((2, 100, 2, 301), Verdict.TRUE), ((2, 0, 2, 300), Verdict.UNKNOWN), ((2, 1, 2, 0), Verdict.UNKNOWN)],
)  # fmt: skip
def test_exactly_three_times_is_not_more_and_without_sales_it_is_unknown(numbers, wanted):
    rated = Rated(0, "L-1", *numbers)
    assert rated.verdict(3) is wanted
    assert (rated.expected() is None) == (wanted is Verdict.UNKNOWN)
    assert Rated(0, "L-1", 2, 10, 3, 100).expected() == Fraction(3, 10)


# bounds


def test_what_is_older_than_what_is_kept_is_one_sum_and_old_cases_are_forgotten(tell):
    own = Portions()
    own.take(tell.sold(0, 7))
    own.take(tell.sold(KEPT_DAYS * DAY, 3, received=KEPT_DAYS * DAY))
    own.take(tell.case_of(0, "C-1", "L-1", received=KEPT_DAYS * DAY))
    assert (own.rows, len(own.serious.reports), own.lots["L-1"].before) == (2, 1, 0)
    own.take(tell.sold(KEPT_DAYS * DAY, 1, of="L-2", received=(KEPT_DAYS + 1) * DAY))
    assert (own.rows, own.serious.reports, own.lots["L-1"].before) == (2, {}, 7)
    assert own.lots["L-1"].until(day_of(BEGIN)) == 7
    assert own.lots["L-1"].until(day_of(BEGIN + KEPT_DAYS * DAY)) == 10
    assert Portions.unpack(own.pack()).pack() == own.pack()
    assert not own.take(tell.case_of(0, "C-9", "L-1", received=(KEPT_DAYS + 1) * DAY))


def test_a_lot_of_which_no_day_is_kept_is_forgotten(tell):
    own = Portions()
    own.take(tell.sold(0, 7))
    own.take(tell.sold(2 * KEPT_DAYS * DAY, 1, of="L-2", received=2 * KEPT_DAYS * DAY))
    assert list(own.lots) == ["L-2"]


def test_alarms_of_more_than_thirteen_months_ago_stay_as_they_were_told(tell):
    lots = LotFold(SHIPPED)
    (raised,) = run([*market(tell), tell.case_of(DAY, "C-1", "L-1"), tell.case_of(DAY, "C-2", "L-1")], lots)
    run([tell.sold(HOUR, 1, of="L-2", received=(JUDGED_DAYS + 2) * DAY)], lots)
    assert lots.state_of(0, PRODUCT).book.portions.judged_from > raised.start
    corrected = tell.case_of(DAY, "C-2", "L-1", revision=2, named=False, received=(JUDGED_DAYS + 3) * DAY)
    assert run([corrected], lots) == []
    (alarm,) = fold_alarms([raised])
    assert alarm.end is None
    assert Portions().judged_from == NONE


def test_behind_so_many_lots_a_sale_counts_for_the_product_alone(tell, monkeypatch):
    monkeypatch.setattr(keeping, "MAX_LOTS", 2)
    own = Portions()
    for i in range(3):
        own.take(tell.sold(0, 1, of=f"L-{i}"))
    assert (sorted(own.lots), own.left_out, sum(own.total.days.values())) == (["L-0", "L-1"], 1, 3)
    later = (KEPT_DAYS + 1) * DAY
    own.take(tell.sold(later - DAY, 1, of="L-4", received=later - DAY))
    assert "L-4" not in own.lots
    own.take(tell.sold(later, 1, of="L-5", received=later))
    assert "L-5" in own.lots or own.closed >= own.horizon


def test_a_lot_with_a_day_too_many_is_unknown(tell, monkeypatch):
    monkeypatch.setattr(keeping, "MAX_ROWS", 2)
    own = Portions()
    for i in range(3):
        own.take(tell.sold(i * DAY, 1))
    assert (own.rows, own.left_out, own.lots["L-1"].blind) == (2, 1, True)
    assert own.rated("L-1", BEGIN + 3 * DAY, 2, 365 * DAY_MS).sold == 0
    assert own.rated("L-1", BEGIN + 3 * DAY, 2, 365 * DAY_MS).all_sold == 3


def test_reports_beyond_the_bound_are_left_out_and_counted(tell, monkeypatch):
    monkeypatch.setattr("rules.lots.serious.MAX_REPORTS", 1)
    lots = LotFold(SHIPPED)
    run([tell.case_of(0, "C-1", "L-1"), tell.case_of(0, "C-2", "L-1")], lots)
    assert lots.counters(0)["lot_left_out"] == 1


def test_sales_are_told_apart_up_to_a_bound_and_sums_go_on(tell, monkeypatch):
    monkeypatch.setattr("rules.lots.book.MAX_APART", 3)
    lots = LotFold(SHIPPED)
    run([tell.sold(0, 1) for _ in range(5)], lots)
    book = lots.state_of(0, PRODUCT).book
    assert (len(book.portions.apart), book.floors, book.portions.lots["L-1"].until(day_of(BEGIN))) == (
        1,
        {"SHOP-1": 4},
        5,
    )


def test_a_sale_matters_only_where_a_case_was_known_on_its_day_or_later(tell):
    own = Portions()
    assert not own.matters(tell.sold(0, 1))
    own.take(tell.case_of(DAY + HOUR, "C-1", "L-1"))
    assert own.matters(tell.sold(DAY + 5 * HOUR, 1))
    assert not own.matters(tell.sold(2 * DAY, 1))
    assert begin_of(day_of(BEGIN)) == BEGIN


# the rule


def value():
    return yaml.safe_load((PACKS / "vigilance" / "lot-ratio.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("members", "wanted"),
    [
        ({}, []), ({"counted": {"fact": "case", "seriousness": ["serious"]}}, [("/counted/seriousness", "ratio")]),
        ({"over": "36h", "within": "1d"}, [("/over", "ratio")]), ({"over": "366d"}, [("/over", "ratio")]),
        ({"over": "20d"}, [("/within", "ratio")]),
    ],
)  # fmt: skip
def test_what_means_nothing_is_named_with_its_place(members, wanted):
    rule = RULE.validate_python(value() | members)
    assert [(fault.pointer, fault.code) for fault in lot_faults(rule)] == wanted
    assert is_latched(rule, {"lot": "L-1"})


@pytest.mark.parametrize(
    "members", [{"factor": 0}, {"factor": 1001}, {"n": 0}, {"within": "0s"}, {"over": "0s"}, {"distinct": None}]
)
def test_what_the_model_does_not_know_is_refused(members):
    with pytest.raises(ValidationError):
        RULE.validate_python(value() | members)


def test_other_numbers_count(tell):
    facts = [*market(tell), *(tell.case_of(DAY, f"C-{i}", "L-1") for i in range(2))]
    assert run(facts, LotFold(ratio(n=3))) == run(facts, LotFold(ratio(factor=10))) == []
    assert len(run(facts, LotFold(ratio(factor=9.5)))) == 1
