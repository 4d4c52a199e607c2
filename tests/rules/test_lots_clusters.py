"""Clusters of cases of a lot, each an alarm of its own; a decision is done with the cases of the cluster that it names, and no others (ADR 0081)."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rules.alarms import fold_alarms
from rules.changes import alarm_id
from rules.lots.fold import LotFold
from rules.lots.judge import MAX_SPELLS
from rules.pack import Bundle
from tests.examples import examples
from tests.rules.lotlogs import BEGIN, DAY, HOUR, SHIPPED, Teller, altered
from tests.rules.oracle import lots as oracle

CLUSTER = "vigilance.lot-cluster"
YEAR = 365 * DAY


@pytest.fixture
def tell():
    return Teller()


def run(facts, lots=None):
    lots = LotFold(SHIPPED) if lots is None else lots
    return [change for fact in facts for change in lots.fold(0, fact, None)]


def found(changes):
    """Return (facility, start, end) of each alarm that was not taken back, by start; instants in ms behind BEGIN."""
    alarms = [one for one in fold_alarms(changes) if one.status != "retracted"]
    ends = [(one.facility, one.start - BEGIN, None if one.end is None else one.end - BEGIN) for one in alarms]
    return sorted(ends, key=lambda one: (one[1], one[0]))


def cases(tell, *days, firm="HOSP-1", letter="C"):
    return [tell.case(firm, int(day * DAY), f"{letter}-{day}", received=int(day * DAY) + HOUR) for day in days]


def id_of(day, firm="HOSP-1", use=1):
    return alarm_id(CLUSTER, firm, {"lot": "L-1"}, BEGIN + int(day * DAY), use)


def test_a_second_cluster_a_year_later_is_an_alarm_of_its_own_though_the_first_stands(tell):
    changes = run(cases(tell, 0, 1, 2, 365, 366, 367))
    assert found(changes) == [("HOSP-1", 2 * DAY, None), ("HOSP-1", 367 * DAY, None)]
    second = changes[-1]
    assert (second.change, second.severity, second.late) == ("raised", "red", False)
    head, *leaves = second.evidence.leaves
    assert (head.left, head.right) == (3.0, 3.0)
    assert [leaf.expr for leaf in leaves] == [f"HOSP-1: case C-{day} known" for day in (365, 366, 367)]


def test_two_cases_a_year_later_are_none(tell):
    assert found(run(cases(tell, 0, 1, 2, 365, 366))) == [("HOSP-1", 2 * DAY, None)]


def test_cases_that_go_on_are_one_cluster_as_long_as_three_of_them_share_a_case_with_three_before(tell):
    assert found(run(cases(tell, *range(0, 60, 3)))) == [("HOSP-1", 6 * DAY, None)]
    assert found(run(cases(tell, 0, 1, 2, 8.5, 9))) == [("HOSP-1", 2 * DAY, None)]  # 2, 8.5 and 9 lie within seven days


@pytest.mark.parametrize("beyond", [0, 1])
def test_both_ends_of_the_seven_days_belong_to_the_cluster(tell, beyond):
    """0 1 2 and 2 8.5 9: they share a case; a millisecond later the second three are another cluster if a third new one comes."""
    facts = cases(tell, 0, 1, 2, 8.5)
    facts.append(tell.case("HOSP-1", 9 * DAY + beyond, "C-9", received=9 * DAY + HOUR))
    facts += cases(tell, 10)
    wanted = [("HOSP-1", 2 * DAY, None), ("HOSP-1", 10 * DAY, None)]
    assert found(run(facts)) == (wanted if beyond else wanted[:1])


def test_a_decision_on_one_of_two_clusters_leaves_the_other(tell):
    both = cases(tell, 0, 1, 2, 20, 21, 22)
    for day, left in ((2, 22), (22, 2)):
        decided = tell.decided("HOSP-1", id_of(day), received=30 * DAY)
        for order in ([*both, decided], [decided, *both]):
            assert sorted(found(run(order))) == sorted([("HOSP-1", day * DAY, 30 * DAY), ("HOSP-1", left * DAY, None)])


def test_a_cluster_that_came_before_the_decision_on_another_one_is_not_done_with_unseen(tell):
    """Two cases had come and were in no alarm when the first cluster was closed; the third makes one."""
    facts = cases(tell, 0, 1, 2, 20, 21)
    facts.append(tell.decided("HOSP-1", id_of(2), received=int(21.5 * DAY)))
    facts += cases(tell, 22)
    assert found(run(facts)) == [("HOSP-1", 2 * DAY, int(21.5 * DAY)), ("HOSP-1", 22 * DAY, None)]


def test_behind_a_decision_two_new_cases_and_one_that_it_covered_are_none_and_three_new_ones_are(tell):
    facts = [*cases(tell, 0, 1, 2), tell.decided("HOSP-1", id_of(2), received=3 * DAY), *cases(tell, 4, 5)]
    assert found(run(facts)) == [("HOSP-1", 2 * DAY, 3 * DAY)]
    third = cases(tell, 6)
    wanted = [("HOSP-1", 2 * DAY, 3 * DAY), ("HOSP-1", 6 * DAY, None)]
    for order in itertools.islice(itertools.permutations([*facts, *third]), 0, 5040, 97):
        assert found(run(order)) == wanted


def test_three_new_cases_a_millisecond_more_than_seven_days_apart_behind_a_decision_are_none(tell):
    facts = [*cases(tell, 0, 1, 2), tell.decided("HOSP-1", id_of(2), received=3 * DAY), *cases(tell, 10, 11)]
    for more, many in ((0, 2), (1, 1)):
        third = tell.case("HOSP-1", 17 * DAY + more, f"D-{more}", received=18 * DAY)
        assert len(found(run([*facts, third]))) == many


def test_each_of_several_decisions_is_done_with_its_own_cluster(tell):
    facts = []
    for i in range(4):
        begin = 20 * i
        facts += cases(tell, begin, begin + 1, begin + 2)
        decided = tell.decided("HOSP-1", id_of(begin + 2), decision=f"D-{i}/1", received=(begin + 3) * DAY)
        facts.append(decided)
    wanted = [("HOSP-1", (20 * i + 2) * DAY, (20 * i + 3) * DAY) for i in range(4)]
    assert found(run(facts)) == found(run(facts[::-1])) == wanted


def test_a_late_case_that_joins_two_clusters_takes_the_second_back_into_the_first(tell):
    facts = cases(tell, 0, 1, 2, 9, 10, 11)
    assert len(found(run(facts))) == 2
    lots = LotFold(SHIPPED)
    run(facts, lots)
    late = run(cases(tell, 5, 6), lots)
    assert [(one.change, one.alarm) for one in late] == [("retracted", id_of(11))]
    assert late[0].evidence.into == id_of(2)


def test_a_case_that_is_corrected_moves_the_nearest_cluster_and_no_other(tell):
    facts = cases(tell, 0, 1, 2, 100, 101, 102, 200, 201, 202)
    lots = LotFold(SHIPPED)
    run(facts, lots)
    earlier = tell.case("HOSP-1", 99 * DAY, "C-102", report="R-C-102", revision=2, received=300 * DAY)
    raised, retracted = run([earlier], lots)
    assert (raised.change, raised.alarm) == ("raised", id_of(101))
    assert (retracted.change, retracted.alarm, retracted.evidence.into) == ("retracted", id_of(102), id_of(101))


def test_a_firm_that_joins_a_cluster_behind_its_start_is_told(tell):
    lots = LotFold(SHIPPED)
    run(cases(tell, 0, 1, 2), lots)
    (amended,) = run(cases(tell, 5, firm="HOSP-2", letter="E"), lots)
    assert (amended.change, amended.alarm) == ("amended", id_of(2))
    assert "HOSP-2" in amended.message.en
    assert run(cases(tell, 30, firm="HOSP-2", letter="E"), lots) == []


def test_of_very_many_clusters_the_newest_are_told_and_older_alarms_stay_as_they_are(tell):
    lots = LotFold(SHIPPED)
    many = MAX_SPELLS + 3
    changes = [change for i in range(many) for change in run(cases(tell, 20 * i, 20 * i + 1, 20 * i + 2), lots)]
    assert [one.change for one in changes] == ["raised"] * many
    for lot in lots.lots(0):
        lots.clean(0, lot)
    assert lots.adopt(0, Bundle.of(SHIPPED.rules, ()), BEGIN + YEAR) == []


@st.composite
def walks(draw):
    """Draw cases of a few firms at few instants, and decisions on alarms that some of them make, in the order of receipt."""
    tell, told = Teller(), []
    fewer = altered(CLUSTER, n=2, within=DAY)
    for i in range(draw(st.integers(2, 14))):
        firm = draw(st.sampled_from(["HOSP-1", "HOSP-2"]))
        if told and draw(st.integers(0, 3)) == 0:
            lots = LotFold(fewer)
            ids = sorted({change.alarm for fact in told for change in lots.fold(0, fact, None)})
            alarm = draw(st.sampled_from([*ids, "0" * 32]))
            told.append(tell.decided(firm, alarm, decision=f"D-{i}/1"))
        else:
            at = draw(st.integers(0, 12)) * 12 * HOUR + draw(st.sampled_from([0, 0, 1]))
            case = f"C-{draw(st.integers(1, 9))}"
            told.append(tell.case(firm, at, case, report=f"R-{i}"))
    return told


@given(walks(), st.data())
@settings(max_examples=examples(200), deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_in_any_order_clusters_and_decisions_end_as_the_oracle_says(told, data):
    fewer = altered(CLUSTER, n=2, within=DAY)
    mixed = data.draw(st.permutations(told))
    wanted = sorted(one for own in oracle.alarms(told, fewer).values() for one in own)
    for order in (told, mixed):
        alarms = [one for one in fold_alarms(run(order, LotFold(fewer))) if one.status != "retracted"]
        assert sorted((one.alarm, one.facility, one.start, one.end, one.current.value) for one in alarms) == wanted
