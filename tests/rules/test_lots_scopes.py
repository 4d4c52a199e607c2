"""For whom rules over lots speak (ADR 0095): registers of the log, and facts that say what they named, against the oracle."""

from __future__ import annotations

from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from rules.engine import Engine
from rules.evaluate import evaluate
from rules.layout import NONE
from rules.leaves.lots import moments_of
from rules.lots import scopes
from rules.lots.facts import LotFact, Scoped
from rules.lots.fold import LotFold
from rules.lots.offline import FactLine
from rules.lots.scopes import Registered, Standing, names_of
from rules.lots.store import LotState
from rules.pack import Bundle
from rules.records import Kind, LogRecord, RegisterRecord
from rules.snapshot import open_snapshot
from tests.examples import examples
from tests.rules import lotlogs
from tests.rules.lotlogs import BEGIN, DAY, HOUR, SHIPPED, Teller, facility
from tests.rules.oracle import lots as oracle
from tests.rules.test_lots_properties import run, sound, standing
from tests.rules.test_online_sales import ONLINE, RULE, dark
from tests.rules.tracelogs import batch, case, event, moved

EXPIRED, SUM = "cross-check.expired-moving", "cross-check.sold-over-produced"
CLUSTER, STOPPED = "vigilance.lot-cluster", "vigilance.moved-after-stop"
SHOP = ("distribution", "drug")
QUICK = settings(max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.too_slow])


def register(*pairs, at=0, version=0, who="MAKER-1", offset=-1):
    payload = RegisterRecord(version=version, facility=facility(who, *pairs))
    return LogRecord(0, offset, BEGIN + at, Kind.REGISTER, who, payload)


def wrong(at=HOUR, received=2 * DAY, offset=5):
    """Return a batch of MAKER-1: ten of a lot that ended the day before were made, and fifteen sold."""
    made = event("produced", at, lot="L-1", quantity=10, expiry="2026-02-28")
    return batch(f"b-{offset}", [made, moved("sold", at + HOUR, "L-1", 15)], received, offset=offset)


def said(log, bundle=SHIPPED, **more):
    return [(one.rule, one.change) for one in evaluate(log, bundle, **more) if one.stream == "lot:L-1"]


RAISED = [(EXPIRED, "raised"), (SUM, "raised")]


@pytest.mark.parametrize(
    ("pairs", "found"),
    [
        ([SHOP], RAISED),
        ([("manufacture", "cosmetics"), SHOP], RAISED),
        (
            [("manufacture", "drug")],
            RAISED[1:],
        ),  # who makes a drug is asked what it ships (settled), not for expired stock
        ([("distribution", "device")], []),
        ([("manufacture", "cosmetics")], []),
        ([("clinical-trials", "device")], []),
        ([("distribution", "device"), ("vigilance", "drug")], []),  # the pair has to be one
    ],
)
def test_an_alarm_is_for_who_is_registered_in_one_of_the_rules_pairs(pairs, found):
    assert said([register(*pairs), wrong()]) == found


def test_a_facility_that_nobody_registered_raises_nothing_and_counts_once_it_is():
    log = [wrong()]
    assert said(log) == []
    assert said([*log, register(SHOP, at=3 * DAY, offset=6)]) == RAISED
    assert said([*log, register(("retail", "cosmetics"), at=3 * DAY, offset=6)]) == []


def test_what_was_registered_when_it_happened_decides_however_late_it_is_told():
    before = [register(("retail", "device")), register(SHOP, at=DAY, version=1, offset=1)]
    assert said([*before, wrong(at=20 * HOUR, offset=5)]) == []
    assert said([*before, wrong(at=DAY - HOUR, offset=5)]) == RAISED  # it sold as the register came
    after = [register(SHOP), register(("retail", "device"), at=DAY, version=1, offset=1)]
    assert said([*after, wrong(at=DAY - 2 * HOUR)]) == RAISED
    assert said([*after, wrong(at=DAY - HOUR)]) == []
    assert said([*after, register(SHOP, at=DAY + 1, version=1, offset=2), wrong(at=DAY)]) == []  # no newer version


def test_a_balance_counts_all_that_moved_and_is_off_only_while_the_rule_is_for_the_facility():
    tell = Teller()
    out, inside = {"scopes": ["retail/device"]}, {"scopes": ["distribution/drug"], "since": BEGIN + 5 * HOUR}
    facts = [
        tell.made("SHOP-1", HOUR, 10, scoped=out),
        tell.moved("SHOP-1", 2 * HOUR, 11, scoped=out),
        tell.moved("SHOP-1", 5 * HOUR, 1, scoped=inside),
        tell.moved("SHOP-1", 6 * HOUR, 2, kind="arrived", scoped=inside),
    ]
    assert [(one.rule, one.change, one.start - BEGIN) for one in run(facts)] == [
        (SUM, "raised", 5 * HOUR),
        (SUM, "cleared", 5 * HOUR),
    ]


def test_cases_count_of_who_watches_over_drugs_and_any_holders_notice_counts():
    log = [register(("vigilance", "cosmetics"), who="HOSP-1"), register(("vigilance", "drug"), who="SHOP-1")]
    cases = [
        case(f"R-{i}", ["L-1"], (i + 1) * DAY, firm=("HOSP-1", "SHOP-1")[i > 0], offset=i, known=i * HOUR)
        for i in range(4)
    ]
    assert said([*log, *cases[:3]]) == []
    assert said([*log, *cases]) == [(CLUSTER, "raised")]
    tell = Teller()
    out, inside = {"scopes": ["retail/drug"]}, {"scopes": ["distribution/device"]}
    facts = [
        tell.notice("MAKER-1", 0, HOUR, scoped=out),
        tell.moved("SHOP-1", 3 * DAY, 1, scoped=inside),
        tell.moved("SHOP-2", 3 * DAY, 1, scoped=out),
    ]
    assert [(one.rule, one.facility) for one in run(facts)] == [(STOPPED, "SHOP-1")]


def test_an_online_sale_is_asked_of_shops_and_again_where_the_register_comes_later():
    lots = LotFold(ONLINE)
    sold = {"fact": "moved", "type": "sold", "quantity": 1.0, "from": "SHOP-1", "to": "x"}
    moved_one = dark(n=1).model_copy(update={"told": LotFact.model_validate(dark().to_json() | {"told": sold}).told})
    facts = [moved_one, dark(n=2)]
    facts = [one.model_copy(update={"scoped": Scoped()}) for one in facts]
    assert [change for one in facts for change in lots.fold(0, one, None)] == []
    entered = LotFact.model_validate(
        dark(n=3).to_json() | {"told": {"fact": "entered"}, "scoped": {"scopes": ["retail/drug"]}, "record": {"kind": "register", "id": "1"}}
    )  # fmt: skip
    assert [(one.rule, one.change) for one in lots.fold(0, entered, None)] == [(RULE, "raised")]
    assert lots.fold(0, entered.model_copy(update={"n": 4}), None) == []
    (rule,) = ONLINE.rules
    assert [moment.leaves[0].verdict.value for moment in moments_of(rule, [*facts, entered])] == [
        "false",
        "false",
        "true",
    ]


def test_a_fact_of_a_worker_before_counts_and_its_lines_are_those_of_the_log():
    log = [register(("retail", "device")), wrong()]
    engine, facts = Engine(SHIPPED, keep_facts=True), []
    for record in log:
        engine.fold(record)
        facts += engine.take_facts(0)
    lines = [FactLine(0, i, fact.received, fact) for i, fact in enumerate(facts)]
    assert said(log, lines=lines) == []
    old = [FactLine(0, i, fact.received, fact.model_copy(update={"scoped": None})) for i, fact in enumerate(facts)]
    assert said(log, lines=old) == RAISED


def test_scopes_of_before_and_waiting_lots_are_kept_within_bounds_and_in_the_snapshot():
    engine = Engine(Bundle.of((), ()), keep_facts=True)
    with patch.object(scopes, "MAX_WAITING", 2):
        engine.fold(batch("b-1", [event("produced", 0, lot=f"L-{i}", quantity=1) for i in range(3)], HOUR))
    assert [fact.to_json()["scoped"] for fact in engine.take_facts(0)] == [{}] * 3
    assert open_snapshot(engine.snapshot(0, "MAKER-1"))[0].scoped == ([], ["L-0", "L-1"])
    other = Engine(engine.bundle, keep_facts=True)
    other.restore(0, "MAKER-1", engine.snapshot(0, "MAKER-1"))
    for one in (engine, other):
        one.fold(register(SHOP, at=2 * HOUR, offset=1))
        told = one.take_facts(0)
        assert [(fact.lot, fact.n, fact.told.fact, fact.at - BEGIN) for fact in told] == [
            ("L-0", 4, "entered", 2 * HOUR),
            ("L-1", 5, "entered", 2 * HOUR),
        ]
        assert {fact.record.id for fact in told} == {"0"}
        assert {str(fact.to_json()["scoped"]) for fact in told} == {"{'scopes': ['distribution/drug']}"}
    assert not open_snapshot(engine.snapshot(0, "MAKER-1"))[0].scoped
    assert engine.snapshot(0, "MAKER-1") == other.snapshot(0, "MAKER-1")


def test_of_many_registers_the_oldest_scopes_go_and_those_behind_them_count_for_their_time():
    known = Registered()
    for i in range(scopes.MAX_FORMER + 3):
        assert known.take(facility("MAKER-1", ("retail", f"line-{'abcdefgh'[i % 8]}")), i) == []
    assert len(known.former) == scopes.MAX_FORMER
    assert known.at(0) == {"scopes": ("retail/line-c",), "since": None}
    assert known.at(3) == {"scopes": ("retail/line-d",), "since": 3}
    before = list(known.former)
    known.take(facility("MAKER-1", ("retail", "line-c")), 5)  # the same again, whatever the clock of the log says
    assert known.former == before
    known.take(facility("MAKER-1", SHOP), 5)
    assert known.former[-1][0] == known.former[-2][0] == 66
    assert names_of(facility("MAKER-1", SHOP, SHOP)) == ("distribution/drug",)


def test_a_lots_snapshot_says_what_facts_said_of_their_facilities():
    state = LotState("L-1")
    state.book.take(Teller().made("MAKER-1", 0, 1))
    assert LotState.restored("L-1", state.snapshot()).book.standing == Standing()
    tell = Teller()
    rows = [{}, {"scopes": ["a/b"]}, {"scopes": ["c/d"], "since": BEGIN}, {"scopes": []}]
    for scoped in rows:
        state.book.take(tell.moved("SHOP-1", HOUR, 1, scoped=scoped))
    state.book.take(tell.moved("SHOP-2", HOUR, 1, scoped={"scopes": ["a/b"]}))
    kept = LotState.restored("L-1", state.snapshot())
    assert kept.book.standing == state.book.standing
    assert kept.snapshot() == state.snapshot()


def test_of_two_sayings_for_one_time_the_least_counts_whatever_order_they_come_in():
    for names in (["a/b"], []), ([], ["a/b"]):
        tell, known = Teller(), Standing()
        for said_then in names:
            known.take(tell.made("MAKER-1", 0, 1, scoped={"scopes": said_then}))
        assert known.periods == {"MAKER-1": ((NONE, ()),)}


@pytest.mark.parametrize(
    "scoped", [{"scopes": ["drug"]}, {"scopes": [f"a/{'b' * 33}"]}, {"since": -1}, {"scopes": [], "more": 1}]
)
def test_what_says_nothing_of_scopes_is_refused(scoped):
    with pytest.raises(ValidationError):
        Scoped.model_validate(scoped)


SCOPES = st.sampled_from(
    [[], ["distribution/drug"], ["distribution/device"], ["manufacture/drug"], ["retail/drug", "vigilance/drug"]]
)
SAYINGS = st.one_of(
    st.none(),
    st.just({}),
    st.builds(lambda names: {"scopes": names}, SCOPES),
    st.builds(lambda names, at: {"scopes": names, "since": BEGIN + at}, SCOPES, lotlogs.TIMES),
)


@st.composite
def scoped_facts(draw):
    """Draw facts of facilities whose scopes differ and change, and registers that come behind some."""
    usual = {firm: draw(SAYINGS) for firm in lotlogs.FIRMS}
    found = []
    for fact in draw(lotlogs.facts(most=15)):
        said = draw(st.just(usual[fact.facility]) | SAYINGS)
        found.append(LotFact.model_validate(fact.to_json() | ({} if said is None else {"scoped": said})))
    for i, firm in enumerate(draw(st.lists(st.sampled_from(lotlogs.FIRMS), max_size=2))):
        place = draw(st.integers(0, len(found)))
        received = max([BEGIN, *(fact.received for fact in found[:place])])
        one = {
            "facility": firm,
            "n": 1000 + i,
            "lot": "L-1",
            "at": received,
            "received": received,
            "told": {"fact": "entered"},
        }
        said = {"record": {"kind": "register", "id": "1"}, "scoped": {"scopes": draw(SCOPES)}}
        found.insert(place, LotFact.model_validate(one | said))
    return found


@pytest.mark.long
@given(scoped_facts())
@QUICK
def test_what_stands_is_what_the_oracle_finds_of_whom_the_rules_are_for(facts):
    lots, changes = LotFold(SHIPPED), []
    for i, fact in enumerate(facts):
        changes += lots.fold(0, fact, (0, i))
        assert standing(changes) == oracle.alarms(facts[: i + 1], SHIPPED)
    sound(changes)


@pytest.mark.long
@given(scoped_facts(), st.data())
@QUICK
def test_any_order_and_a_restart_anywhere_end_alike(facts, data):
    mixed = data.draw(st.permutations(facts))
    cut = data.draw(st.integers(0, len(mixed)))
    lots, other = LotFold(SHIPPED), LotFold(SHIPPED)
    changes = run(mixed[:cut], lots)
    for lot in lots.lots(0):
        lots.restore(0, lot, lots.snapshot(0, lot))
    changes += run(mixed[cut:], lots)
    sound(changes)
    assert standing(changes) == standing(run(facts, other)) == oracle.alarms(facts, SHIPPED)
    for lot in lots.lots(0):
        assert lots.state_of(0, lot).book.standing.pack() == other.state_of(0, lot).book.standing.pack()
