"""A corrected report that takes an alarm of a lot back: both revisions and how it is now stand in the evidence."""

from __future__ import annotations

from rules.lots.fold import LotFold
from rules.lots.store import LotState
from tests.rules.lotlogs import BEGIN, DAY, HOUR, SHIPPED, Teller, altered
from tests.rules.test_lots_properties import run

CLUSTER, STOPPED = "vigilance.lot-cluster", "vigilance.moved-after-stop"


def leaves(change):
    return [(one.expr, one.left, one.op, one.right, one.verdict.value) for one in change.evidence.leaves]


def records(change):
    return [(one.kind, one.id) for one in change.evidence.records]


def cases(tell, n=3, firm="HOSP-1"):
    return [tell.case(firm, i * HOUR, f"C-{i}") for i in range(n)]


def test_a_case_that_is_less_serious_takes_its_cluster_back_and_both_revisions_are_named():
    tell = Teller()
    facts = [*cases(tell), tell.case("HOSP-1", 2 * HOUR, "C-2", report="R-C-2", revision=2, seriousness="other")]
    raised, back = run(facts)
    assert (raised.change, back.change, back.alarm) == ("raised", "retracted", raised.alarm)
    assert records(back) == [("report", "R-C-2/1"), ("report", "R-C-2/2")]
    said = "HOSP-1: report R-C-2/{}, case C-2 known 2026-02-28T18:00:00.000Z"
    assert leaves(back)[:3] == [
        (said.format(1), "serious", "in", "serious, death", "true"),
        (said.format(2), "other", "in", "serious, death", "false"),
        ("cases within 7d up to 2026-02-28T18:00:00.000Z", 2.0, ">=", 3.0, "false"),
    ]
    assert [one[0].split(" known")[0] for one in leaves(back)[3:]] == [f"HOSP-1: case C-{i}" for i in range(3)]
    assert [one[4] for one in leaves(back)[3:]] == ["true", "true", "false"]


def test_a_case_that_names_the_lot_no_more_and_one_that_is_of_another_firm():
    tell = Teller()
    facts = [
        *cases(tell, 2),
        tell.case("SHOP-1", 3 * HOUR, "C-9"),
        tell.case("HOSP-1", HOUR, "C-1", report="R-C-1", revision=2, named=False),
    ]
    raised, back = run(facts)
    assert (raised.facility, back.change) == ("SHOP-1", "retracted")
    assert records(back) == [("report", "HOSP-1 R-C-1/1"), ("report", "HOSP-1 R-C-1/2")]
    assert leaves(back)[1] == ("HOSP-1: report R-C-1/2 names the lot", "no", "", None, "false")
    assert leaves(back)[2][1:] == (2.0, ">=", 3.0, "false")


def test_where_a_cluster_goes_on_with_others_that_one_is_shown_behind_both_revisions():
    tell = Teller()
    facts = [*cases(tell, 4), tell.case("HOSP-1", 0, "C-0", report="R-C-0", revision=2, seriousness="other")]
    changes = run(facts)
    assert [one.change for one in changes] == ["raised", "raised", "retracted"]
    back = changes[-1]
    assert back.evidence.into == changes[1].alarm
    assert [one[4] for one in leaves(back)][:2] == ["true", "false"]
    assert {("report", "R-C-0/1"), ("report", "R-C-0/2"), ("report", "R-C-3/1")} <= set(records(back))
    assert ("report", "R-C-0/1") in records(changes[1])


def test_a_notice_that_names_the_lot_no_more_takes_back_what_moved_behind_it():
    tell = Teller()
    facts = [
        tell.notice("MAKER-1", 0, HOUR),
        tell.moved("SHOP-1", 3 * DAY, 1),
        tell.notice("MAKER-1", 0, HOUR, revision=2, named=False),
    ]
    raised, back = run(facts)
    assert (raised.rule, back.change) == (STOPPED, "retracted")
    assert records(back) == [("report", "MAKER-1 N-1/1"), ("report", "MAKER-1 N-1/2")]
    assert leaves(back) == [
        ("MAKER-1: report N-1/1 names the lot, recall RC-N-1 told", "2026-02-28T17:00:00.000Z", "", None, "true"),
        ("MAKER-1: report N-1/2 names the lot", "no", "", None, "false"),
        ("SHOP-1: sold against the stop", "2026-03-03T16:00:00.000Z", ">=", None, "false"),
    ]


def test_what_late_data_takes_back_shows_how_it_is_now_and_no_revision():
    tell = Teller()
    facts = [tell.made("MAKER-1", 2 * HOUR, 1), tell.moved("MAKER-1", 3 * HOUR, 2), tell.made("MAKER-1", HOUR, 1)]
    raised, back = run(facts)
    assert back.change == "retracted"
    assert leaves(back) == [
        ("MAKER-1: shipped + sold by 2026-02-28T19:00:00.000Z", 2.0, ">", 2.0, "false"),
    ]
    assert records(back) == [("events", "b-3")]
    assert raised.evidence.into is None


def test_a_restart_before_the_correction_changes_no_byte_of_it():
    tell = Teller()
    facts = [*cases(tell), tell.case("HOSP-1", 2 * HOUR, "C-2", report="R-C-2", revision=2, seriousness="other")]
    lots = LotFold(SHIPPED)
    run(facts[:3], lots)
    other = LotFold(SHIPPED)
    other.restore(0, "L-1", lots.snapshot(0, "L-1"))
    assert [one.to_json() for one in lots.fold(0, facts[3], None)] == [
        one.to_json() for one in other.fold(0, facts[3], None)
    ]
    assert LotState.restored("L-1", lots.snapshot(0, "L-1")).book.corrected is None
    found = records(lots.adopt(0, altered(CLUSTER, n=2), BEGIN + DAY)[0])
    assert found[-1][0] == "packs"
    assert ("report", "R-C-2/1") not in found
