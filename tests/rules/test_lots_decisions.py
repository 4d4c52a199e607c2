"""Officers' decisions on alarms of lots, by hand: what they end, what is done with then, and that the order of facts decides nothing (ADR 0075)."""

from __future__ import annotations

from itertools import permutations

import pytest

from rules.alarms import fold_alarms
from rules.changes import alarm_id
from rules.engine import Engine
from rules.evaluate import evaluate
from rules.lots import book as books
from rules.lots.fold import LotFold
from rules.lots.offline import FactLine
from rules.records import Decision, Event, Events, Kind, LogRecord
from tests.rules.lotlogs import BEGIN, DAY, HOUR, SHIPPED, Teller, registered

STOPPED, CLUSTER, SUM = "vigilance.moved-after-stop", "vigilance.lot-cluster", "cross-check.sold-over-produced"


@pytest.fixture
def tell():
    return Teller()


def run(facts, lots=None):
    lots = lots or LotFold(SHIPPED)
    return [change for fact in facts for change in lots.fold(0, fact, None)]


def ends(changes):
    """Return (facility, start, end) in ms from the beginning, of the alarms that are not retracted."""
    return [
        (one.facility, one.start - BEGIN, one.end and one.end - BEGIN)
        for one in fold_alarms(changes)
        if one.status != "retracted"
    ]


def stopped(firm="SHOP-1", at=2 * HOUR, use=1, rule=STOPPED):
    return alarm_id(rule, firm, {"lot": "L-1"}, BEGIN + at, use)


def sold_behind_a_stop(tell, *, received=3 * HOUR):
    return [tell.stop("SHOP-1", HOUR, known=HOUR), tell.moved("SHOP-1", 2 * HOUR, 1, received=received)]


def test_a_decision_ends_the_latched_alarm_that_it_names_and_says_so(tell):
    lots = LotFold(SHIPPED)
    (raised,) = run(sold_behind_a_stop(tell), lots)
    decided = tell.decided("SHOP-1", raised.alarm, code="breach", decision="D-9/2", received=DAY)
    (cleared,) = lots.fold(0, decided, (1, 7))
    assert (cleared.change, cleared.alarm, cleared.seq) == ("cleared", raised.alarm, 2)
    assert (cleared.at, cleared.received, cleared.end) == (BEGIN + DAY, BEGIN + DAY, BEGIN + DAY)
    leaf = cleared.evidence.leaves[0]
    assert (leaf.expr, leaf.left, leaf.op, leaf.verdict) == ("decision", "breach", "closes", "false")
    assert ("decision", "D-9/2") in [(one.kind, one.id) for one in cleared.evidence.records]
    assert cleared.message.en.endswith("; closed by an officer's decision")
    assert cleared.message.zh.endswith("；已由监管人员决定关闭")
    assert (cleared.source.partition, cleared.source.offset) == (1, 7)


def test_whatever_order_they_come_in_the_alarm_ends_alike(tell):
    facts = [*sold_behind_a_stop(tell), tell.decided("SHOP-1", stopped(), received=DAY)]
    facts.append(tell.moved("SHOP-1", 3 * HOUR, 1, received=2 * DAY))
    wanted = [("SHOP-1", 2 * HOUR, DAY), ("SHOP-1", 3 * HOUR, None)]
    for order in permutations(facts):
        assert sorted(ends(run(order))) == wanted, [fact.n for fact in order]


def test_what_had_come_is_done_with_to_the_instant_and_what_comes_behind_is_another_alarm(tell):
    facts = [*sold_behind_a_stop(tell), tell.decided("SHOP-1", stopped(), received=DAY)]
    with_it = tell.moved("SHOP-1", 4 * HOUR, 1, received=DAY)
    assert ends(run([*facts, with_it])) == [("SHOP-1", 2 * HOUR, DAY)]
    behind = tell.moved("SHOP-1", 4 * HOUR, 1, received=DAY + 1)
    assert ends(run([*facts, with_it, behind])) == [("SHOP-1", 2 * HOUR, DAY), ("SHOP-1", 4 * HOUR, None)]


def test_an_alarm_of_an_event_that_is_stamped_ahead_does_not_end_before_it_begins(tell):
    facts = sold_behind_a_stop(tell, received=2 * HOUR - 60_000)
    facts.append(tell.decided("SHOP-1", stopped(), received=2 * HOUR - 30_000))
    assert ends(run(facts)) == [("SHOP-1", 2 * HOUR, 2 * HOUR)]


def test_what_comes_behind_with_the_same_start_has_an_id_of_its_own_and_is_closed_by_it(tell):
    facts = [*sold_behind_a_stop(tell), tell.decided("SHOP-1", stopped(), received=DAY)]
    facts.append(tell.moved("SHOP-1", 2 * HOUR, 1, received=2 * DAY))
    changes = run(facts)
    assert [one.alarm for one in fold_alarms(changes)] == [stopped(), stopped(use=2)]
    facts.append(tell.decided("SHOP-1", stopped(use=2), decision="D-2/1", received=3 * DAY))
    assert ends(run(facts)) == [("SHOP-1", 2 * HOUR, DAY), ("SHOP-1", 2 * HOUR, 3 * DAY)]


def test_an_event_that_is_posted_again_behind_the_decision_is_no_new_one(tell):
    facts = [*sold_behind_a_stop(tell), tell.decided("SHOP-1", stopped(), received=DAY)]
    again = facts[1].model_copy(update={"n": 9, "received": BEGIN + 2 * DAY})
    for order in ([*facts, again], [again, *facts], [facts[0], again, facts[2], facts[1]]):
        assert ends(run(order)) == [("SHOP-1", 2 * HOUR, DAY)]


def test_a_decision_on_what_is_not_what_had_come_ends_nothing(tell):
    earlier = tell.moved("SHOP-2", HOUR, 1, received=2 * HOUR)
    facts = [
        tell.stop("SHOP-2", HOUR, known=0),
        *sold_behind_a_stop(tell),
        tell.decided("A-1", stopped(), received=DAY),
    ]
    changes = run([*facts, earlier])  # a firm of another partition had told it before, and nobody had seen it
    assert ends(changes) == ends(run([earlier, *facts])) == [("SHOP-2", HOUR, None)]
    retracted = next(one for one in changes if one.change == "retracted")
    assert (retracted.alarm, retracted.evidence.into) == (stopped(), stopped("SHOP-2", HOUR))
    nobody = tell.decided("A-1", "0" * 32, decision="D-2/1", received=DAY)
    assert run([*facts, nobody]) == run(facts)


def test_a_decision_ends_no_balance_and_no_alarm_of_another_lot(tell):
    made = [tell.made("MAKER-1", HOUR, 1), tell.moved("MAKER-1", 2 * HOUR, 2)]
    decided = tell.decided("MAKER-1", stopped("MAKER-1", rule=SUM), received=DAY)
    assert ends(run([*made, decided])) == [("MAKER-1", 2 * HOUR, None)]
    facts = [*sold_behind_a_stop(tell), tell.decided("SHOP-1", stopped(), received=DAY, lot="L-2")]
    assert ends(run(facts)) == [("SHOP-1", 2 * HOUR, None)]


def cluster(tell):
    return [tell.case("HOSP-1", day * DAY, f"C-{day}", received=day * DAY + HOUR) for day in range(3)]


def test_behind_a_decision_three_further_cases_make_a_cluster(tell):
    facts = [*cluster(tell), tell.decided("HOSP-1", stopped("HOSP-1", 2 * DAY, rule=CLUSTER), received=3 * DAY)]
    facts += [tell.case("HOSP-1", day * DAY, f"C-{day}", received=day * DAY + HOUR) for day in (3, 4)]
    assert ends(run(facts)) == [("HOSP-1", 2 * DAY, 3 * DAY)]
    facts.append(tell.case("HOSP-1", 5 * DAY, "C-5", received=5 * DAY + HOUR))
    assert ends(run(facts)) == [("HOSP-1", 2 * DAY, 3 * DAY), ("HOSP-1", 5 * DAY, None)]


def test_a_case_is_done_with_by_when_it_was_said_first_that_it_is_serious(tell):
    cases = cluster(tell)
    decided = tell.decided("HOSP-1", stopped("HOSP-1", 2 * DAY, rule=CLUSTER), received=3 * DAY)
    revised = [tell.case("HOSP-1", d * DAY, f"C-{d}", revision=2, received=(d + 4) * DAY) for d in range(3)]
    closed = [("HOSP-1", 2 * DAY, 3 * DAY)]
    assert ends(run([*cases, decided, *revised])) == ends(run([*revised, decided, *cases])) == closed
    milder = tell.case("HOSP-1", DAY, "C-1", revision=3, seriousness="other", received=9 * DAY)
    assert ends(run([*cases, decided, *revised, milder])) == []  # it never was a cluster
    others = [tell.case("HOSP-2", d * DAY, f"E-{d}", seriousness="other", received=DAY) for d in range(3)]
    graver = [tell.case("HOSP-2", d * DAY, f"E-{d}", revision=2, received=5 * DAY) for d in range(3)]
    assert ends(run([*cases, decided, *others])) == closed
    assert ends(run([*cases, decided, *others, *graver])) == [*closed, ("HOSP-2", 2 * DAY, None)]


def test_decisions_are_bounded_and_one_that_comes_again_takes_no_room(tell, monkeypatch):
    monkeypatch.setattr(books, "MAX_DECISIONS", 2)
    lots = LotFold(SHIPPED)
    run(sold_behind_a_stop(tell), lots)
    again = [tell.decided("SHOP-1", "0" * 32, received=day * DAY) for day in (3, 2, 4)]
    run([*again, tell.decided("SHOP-1", "0" * 32, decision="D-2/1", received=5 * DAY)], lots)
    assert lots.state_of(0, "L-1").book.decisions == {
        ("0" * 32, "D-1/1"): (BEGIN + 2 * DAY, "close-latched"),
        ("0" * 32, "D-2/1"): (BEGIN + 5 * DAY, "close-latched"),
    }
    assert run([tell.decided("SHOP-1", stopped(), decision="D-3/1", received=6 * DAY)], lots) == []
    assert lots.counters(0)["lot_left_out"] == 1


def test_moves_that_are_folded_together_stay_done_with(tell, monkeypatch):
    monkeypatch.setattr(books, "MAX_FACTS", 4)
    lots = LotFold(SHIPPED)
    changes = run([*sold_behind_a_stop(tell), tell.decided("SHOP-1", stopped(), received=DAY)], lots)
    changes += run([tell.moved("SHOP-1", 5 * HOUR, 1, received=2 * DAY)], lots)
    wanted = [("SHOP-1", 2 * HOUR, DAY), ("SHOP-1", 5 * HOUR, None)]
    assert ends(changes) == wanted
    changes += run([tell.moved("SHOP-1", 6 * HOUR, 1, received=3 * DAY) for _ in range(3)], lots)
    assert lots.state_of(0, "L-1").book.merged
    assert ends(changes) == wanted


def log(*later):
    """Return a log of a firm that sells behind a stop, and what comes behind it, a record an hour."""
    events = [
        Event.model_validate(
            {"stream": "trace", "type": kind, "time": BEGIN + at, "source": "WMS", "fields": {"lot": "L-1"} | fields}
        )
        for kind, at, fields in (
            ("stop-order", HOUR, {"basis": "order"}),
            ("sold", 2 * HOUR, {"quantity": 1, "from": "SHOP-1", "to": "a patient"}),
        )
    ]
    payloads = [(Kind.EVENTS, Events(batch="b-1", events=events)), *((Kind.DECISION, one) for one in later)]
    return [LogRecord(0, i, BEGIN + (3 + i) * HOUR, kind, "SHOP-1", one) for i, (kind, one) in enumerate(payloads)]


def decision(**members):
    told = {
        "id": "D-1", "version": 1, "subject": {"alarm": stopped()}, "lot": "L-1", "code": "breach", "officer": "o-1",
        "revision_seen": 1, "reason_sha256": "0" * 64,
    }  # fmt: skip
    return Decision.model_validate(told | members)


def facts_of(records):
    engine = Engine(SHIPPED, keep_facts=True)
    found = []
    for record in records:
        engine.fold(record)
        found += engine.take_facts(0)
    return found, engine.counters(0, "SHOP-1")


def test_the_first_fold_hands_on_what_closes_and_names_a_lot():
    facts, _ = facts_of(log(decision()))
    told = facts[-1]
    assert (told.facility, told.n, told.lot, told.record.kind, told.record.id) == (
        "SHOP-1",
        3,
        "L-1",
        "decision",
        "D-1/1",
    )
    assert (told.at, told.received, told.told.code) == (BEGIN + 4 * HOUR, BEGIN + 4 * HOUR, "breach")
    assert type(told).from_bytes(told.to_bytes()) == told


@pytest.mark.parametrize(
    "members",
    [
        {"lot": None},
        {"code": "amendment-accepted"},
        {"code": "data-fraud"},
        {"code": "data-fraud", "second": "o-1"},
        {"subject": {"case": "C-1"}},
        {"code": "grade-signed", "subject": {"grade": "SHOP-1"}},
    ],
)
def test_the_first_fold_keeps_to_itself_what_closes_nothing_of_a_lot(members):
    facts, counters = facts_of(log(decision(**members)))
    assert [fact.told.fact for fact in facts] == ["stop", "moved"]
    assert counters["lot_unread"] == 0


def test_fraud_by_two_officers_closes_and_a_name_that_is_no_alarm_is_counted():
    facts, _ = facts_of(log(decision(code="data-fraud", second="o-2")))
    assert facts[-1].told.code == "data-fraud"
    facts, counters = facts_of(log(decision(subject={"alarm": "no-alarm"})))
    assert (len(facts), counters["lot_unread"]) == (2, 1)


def test_offline_a_decision_of_the_log_ends_the_alarm_by_the_log_and_by_lines_alike():
    records = registered(log(decision(), decision()))
    told = evaluate(records, SHIPPED)
    lines = [FactLine(5, i, fact.received, fact) for i, fact in enumerate(facts_of(records)[0])]
    own = [change for change in told if change.stream == "lot:L-1"]
    assert [(one.change, one.seq) for one in own] == [("raised", 1), ("cleared", 2)]
    assert own[1].end == BEGIN + 4 * HOUR  # the same decision again says nothing more
    by_lines = [one for one in evaluate(records, SHIPPED, lines=lines) if one.stream == "lot:L-1"]
    assert [one.to_json(source=False) for one in by_lines] == [one.to_json(source=False) for one in own]
