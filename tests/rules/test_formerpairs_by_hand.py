"""Pairs whose limits, rooms or sensors change while data are late, derived by hand, in minutes: an instant is judged by what was in force then (ADR 0086)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rules import formerly
from rules.engine import Engine
from rules.kinds import difference, limit
from rules.layout import ROW_BQ, ROW_T, ROW_WORDS
from rules.pack import Bundle
from rules.snapshot import SnapshotError, open_snapshot, sealed
from tests.examples import examples
from tests.rules import pairlogs
from tests.rules.byhand import FACILITY, HandLog, ms, sensor, since

if TYPE_CHECKING:
    from rules.rule import Rule

AREAS = [
    {"id": name, "kind": "cleanroom", "grade": grade, "standard": "cn-gmp-2010"}
    for name, grade in (("B1", "B"), ("C1", "C"), ("D1", "D"))
]
LOW = pairlogs.rule(
    "by-time", limits={"from": {"low": 5}, "narrower": "register"}, when={"consecutive": 2}, clear={"consecutive": 2}
)
TWINS = pairlogs.rule("by-twin", pairs="redundant", limits={"from": {"low": -2, "high": 2}}, when={"consecutive": 2},
                      clear={"consecutive": 2})  # fmt: skip
BUNDLE = Bundle.of([LOW, TWINS, *pairlogs.EXCLUDING], [])
AT_30 = {"from": "2026-03-01T00:30:00+08:00"}


def pressure(tag: str, area: str, **more: object) -> dict[str, object]:
    return sensor(tag, area, quantity="pressure", unit="Pa", **more)


def cascade(low: float, dirtier: str = "C1") -> dict[str, object]:
    return {"areas": AREAS, "cascades": [{"cleaner": "B1", "dirtier": dirtier, "low": low}]}


B, C, S = pressure("P.B", "B1"), pressure("P.C", "C1"), pressure("P.S", "D1")


def both(log: HandLog, minutes: range, lead: float) -> HandLog:
    """Append a record a minute: the cleaner room at 20 and this more, the other at 20."""
    for minute in minutes:
        log.rows(minute + 0.1, ("P.B", [minute], [20 + lead]), ("P.C", [minute], [20]))
    return log


def changed(before: float, behind: float) -> HandLog:
    """The cleaner room leads by 30; from the record at minute 30 on it has to lead by another pressure."""
    log = both(HandLog().register(-1, B, C, **cascade(before)), range(28), 30)
    return log.register(30, B, C, version=2, **cascade(behind))


def story(log: HandLog, until: float) -> list[tuple[object, ...]]:
    """Return what the cascade's rule says."""
    return [(round(since(c.received), 2), c.change.value, since(c.start), since(c.end))
            for c in log.changes(until=until, bundle=BUNDLE) if c.rule == LOW.id]  # fmt: skip


def engine_of(log: HandLog, bundle: Bundle = BUNDLE) -> Engine:
    engine = Engine(bundle)
    for record in log.records():
        engine.fold(record)
    return engine


def story_of(rule: Rule, log: HandLog, until: float) -> list[tuple[object, ...]]:
    """Return what one rule alone says, to the hundredth of a minute."""
    found = log.changes(until=until, bundle=Bundle.of([rule], []))
    return [(round(since(c.received), 2), c.change.value, round(since(c.start), 2)) for c in found if c.rule == rule.id]


# -- limits -----------------------------------------------------------------------------------------------------------
def test_late_rows_of_before_are_judged_by_the_limit_of_then() -> None:
    """At 28 and 29 the lead was 10: enough for 5, too little for 15."""
    late = ("P.B", [28, 29], [30, 30]), ("P.C", [28, 29], [20, 20])
    assert story(both(changed(5, 15), range(31, 34), 30).rows(34.5, *late), 40) == []
    log = both(changed(15, 5), range(31, 34), 30).rows(34.5, *late)
    assert story(log, 35) == [(34.5, "raised", 28, None), (34.5, "cleared", 28, 31)]
    raised, cleared = (c for c in log.changes(until=35, bundle=BUNDLE) if c.rule == LOW.id)
    assert (raised.late, cleared.late) == (True, False)
    assert [(one.value, one.origin) for one in raised.evidence.limits] == [(15, "register")]
    assert [(one.value, one.origin) for one in cleared.evidence.limits] == [(5, "rule")]


def test_stored_rows_in_order_are_judged_by_the_limit_of_then_and_told_as_late() -> None:
    rows = ("P.B", [28, 29, 30.5, 31.5], [30] * 4), ("P.C", [28, 29, 30.5, 31.5], [20] * 4)
    log = changed(15, 5).rows(34.5, *rows)
    assert story(log, 35) == [(34.5, "raised", 28, None), (34.5, "cleared", 28, 30.5)]
    assert [c.late for c in log.changes(until=35, bundle=BUNDLE) if c.change == "raised" and c.rule == LOW.id] == [True]
    log = changed(5, 15).rows(34.5, *rows)
    assert story(log, 35) == [(34.5, "raised", 30.5, None)]


@pytest.mark.parametrize(("last", "raised"), [(30, True), (30 + 0.001 / 60, False)])
def test_a_record_judges_from_the_millisecond_behind_its_receipt(last: float, raised: bool) -> None:
    rows = ("P.B", [29, last], [30, 30]), ("P.C", [29, last], [20, 20])
    assert [row[1] for row in story(changed(15, 5).rows(31, *rows), 32)] == ["raised"] * raised


@pytest.mark.parametrize(("last", "raised"), [(30 - 0.001 / 60, True), (30, False)])
def test_the_instant_at_which_facts_come_into_force_belongs_to_them(last: float, raised: bool) -> None:
    """A gauge between the rooms has to show 15, and from minute 30 on 5."""
    gauge = {**sensor("DP", "B1", quantity="pressure-difference", unit="Pa"), "against": "C1"}
    log = HandLog().register(
        -1, {**gauge, "limits": {"low": 15}}, {**gauge, "limits": {"low": 5}, **AT_30}, areas=AREAS
    )
    log.live("DP", 0, [30] * 28).live("DP", 31, [30]).rows(32, ("DP", [29, last], [10, 10]))
    assert [row[1:3] for row in story(log, 33)] == [("raised", 29)] * raised + [("cleared", 29)] * 0


def test_an_alarm_that_stands_goes_on_and_what_came_before_is_added() -> None:
    log = both(both(HandLog().register(-1, B, C, **cascade(15)), range(20), 30), range(21, 28), 10)
    log.register(30, B, C, version=2, **cascade(25))
    both(log, range(31, 33), 20)
    log.rows(33.5, ("P.B", [20], [30]), ("P.C", [20], [20])).rows(34.1, ("P.B", [34], [50]), ("P.C", [34], [20]))
    assert story(log, 34.5) == [(22.1, "raised", 21, None), (33.5, "amended", 20, None)]
    log.rows(35.1, ("P.B", [35], [50]), ("P.C", [35], [20]))
    assert story(log, 36)[-1] == (35.1, "cleared", 20, 34)


def test_what_was_due_by_the_old_limit_is_decided_before_the_new_one() -> None:
    """The clock opens it 60 s behind the receipt of minute 28, while its lead of 10 is too little; decided again it stays."""
    slow = LOW.model_copy(update={"when": LOW.when.model_copy(update={"consecutive": 1, "on_delay": 60_000})})
    log = both(both(HandLog().register(-1, B, C, **cascade(15)), range(28), 30), range(28, 29), 10)
    log.register(30, B, C, version=2, **cascade(5)).rows(30.5, ("P.C", [27.5], [20]))
    assert story_of(slow, log, 32) == [(29.1, "raised", 28)]
    log.rows(31.1, ("P.B", [31], [30]), ("P.C", [31], [20])).rows(31.5, ("P.B", [27.5], [50]))
    assert story_of(slow, log, 32) == [(29.1, "raised", 28)]


def test_a_row_of_before_counts_as_received_before_the_change() -> None:
    """Measured at 29.9, received at 31: its delay of 60 s counts from minute 30 on, and is over at once."""
    slow = LOW.model_copy(update={"when": LOW.when.model_copy(update={"consecutive": 1, "on_delay": 60_000})})
    log = changed(15, 5).rows(31, ("P.B", [29.9], [30]), ("P.C", [29.9], [20]))
    assert story_of(slow, log, 31.5) == [(31, "raised", 29.9)]


def test_the_clock_decides_by_what_was_in_force_when_it_was_due() -> None:
    """Nothing comes behind minute 10: unknown 17 minutes later. From 30 on data may take half an hour; that changes nothing of then."""
    log = both(both(HandLog().register(-1, B, C, **cascade(15)), range(8), 30), range(8, 11), 10)
    log.register(30, B, C, version=2, delivery="30m", **cascade(15)).rows(31, ("P.C", [7.5], [20]))
    assert story(log, 32) == [(9.1, "raised", 8, None), (27, "unknown", 8, None)]


# -- rooms and sensors ------------------------------------------------------------------------------------------------
def test_a_sensor_that_was_replaced_judges_the_time_in_which_it_was_an_input() -> None:
    """P.B stood until the record at 30; P.N behind it. That P.C rose to 40 at 28 and 29 comes late: P.B had 50 then."""
    log = both(HandLog().register(-1, B, C, **cascade(15)), range(28), 30)
    for minute in (28, 29):
        log.rows(minute + 0.1, ("P.B", [minute], [50]))
    log.register(30, pressure("P.N", "B1"), C, version=2, **cascade(15))
    for minute in (31, 32, 33):
        log.rows(minute + 0.1, ("P.N", [minute], [50]), ("P.C", [minute], [20]))
    log.rows(34, ("P.C", [28, 29], [40, 40]))
    assert story(log, 35) == [(34, "raised", 28, None), (34, "cleared", 28, 31)]
    assert open_snapshot(engine_of(log, BUNDLE).snapshot(0, FACILITY))[0].former[0][3][0][0] == "P.B"


def test_nothing_is_held_of_the_sensor_before_behind_the_change() -> None:
    """What P.B had at 28 is no lead of P.N at 29 and 30, of which nothing has come; nor when a late row decides it again."""
    log = both(HandLog().register(-1, B, C, **cascade(15)), range(29), 30)
    log.register(28.5, pressure("P.N", "B1"), C, version=2, **cascade(15))
    log.rows(29.1, ("P.C", [29], [45])).rows(30.1, ("P.C", [30], [45])).rows(30.5, ("P.C", [27.5], [20]))
    assert story(log, 31) == []


def test_a_sensor_that_moves_is_an_input_of_each_room_in_its_time() -> None:
    """P.A stands in C1 from 30 on: there it is the first by tag, and P.C is no input any more."""
    moved = pressure("P.A", "D1"), pressure("P.A", "C1", **AT_30)
    log = both(HandLog().register(-1, B, C, *moved, **cascade(15)), range(28), 30)
    for minute in (31, 32, 33):
        log.rows(minute + 0.1, ("P.B", [minute], [50]), ("P.A", [minute], [20]))
    log.rows(34, ("P.B", [28, 29], [30, 30]), ("P.C", [28, 29, 31, 32], [20, 20, 90, 90]), ("P.A", [27.5, 29], [0, 0]))
    assert story(log, 35) == [(34, "raised", 28, None), (34, "cleared", 28, 31)]
    assert {since(c.at) for c in log.changes(until=35, bundle=BUNDLE) if c.rule == LOW.id} == {28}, (
        "P.A of 27.5 is not read"
    )


def test_redundant_sensors_are_compared_with_the_neighbour_of_their_time() -> None:
    """P.C2 is compared with P.C, and with P.C1 from the record at 30 on."""
    twins = [pressure(tag, "C1") for tag in ("P.C", "P.C2")]
    log = HandLog().register(-1, *twins, areas=AREAS)
    for minute in range(28):
        log.rows(minute + 0.1, ("P.C", [minute], [20]), ("P.C2", [minute], [20]))
    log.register(30, *twins, pressure("P.C1", "C1"), version=2, areas=AREAS)
    for minute in (31, 32):
        tags = ("P.C", "P.C1", "P.C2")
        log.rows(minute + 0.1, *((tag, [minute], [20]) for tag in tags))
    log.rows(33, ("P.C", [28, 29], [20, 20]), ("P.C1", [28, 29], [25, 25]), ("P.C2", [28, 29], [25, 25]))
    changes = [c for c in log.changes(until=34, bundle=BUNDLE) if c.rule == TWINS.id]
    assert [(c.change.value, c.subject["tag"], since(c.start)) for c in changes] == [
        ("raised", "P.C2", 28), ("cleared", "P.C2", 28),
    ]  # fmt: skip


@pytest.mark.parametrize(("first", "raised"), [(30, False), (30 + 0.001 / 60, True)])
def test_rooms_that_become_neighbours_are_judged_from_then_on(first: float, raised: bool) -> None:
    log = HandLog().register(-1, B, C, areas=AREAS).rows(5, ("P.B", [5], [20]), ("P.C", [5], [20]))
    log.register(30, B, C, version=2, **cascade(15))
    log.rows(31.1, ("P.B", [first, 31], [30, 30]), ("P.C", [first, 31], [20, 20]))
    assert [row[1:3] for row in story(log, 31.5)] == [("raised", since(ms(first)))] * raised


def test_the_measuring_range_is_that_of_the_time_too() -> None:
    """100 is a value of a sensor up to 200; behind the record at 30 it reaches 60, and 100 is none."""
    long, short = ({**B, "range": {"low": 0, "high": high}} for high in (200, 60))
    log = HandLog().register(-1, long, C, **cascade(15))
    for minute in range(28):
        log.rows(minute + 0.1, ("P.B", [minute], [100]), ("P.C", [minute], [20]))
    for minute in (28, 29):
        log.rows(minute + 0.1, ("P.B", [minute], [100]))
    log.register(30, short, C, version=2, **cascade(15))
    for minute in (33, 34):  # nothing of minute 29 is held any more
        log.rows(minute + 0.1, ("P.B", [minute], [100]), ("P.C", [minute], [95]))
    assert story(log, 34.5) == []
    log.rows(35.1, ("P.B", [35], [50]), ("P.C", [35], [20])).rows(36, ("P.C", [28, 29], [95, 95]))
    assert story(log, 37) == [(36, "raised", 28, None)]


def test_a_mark_on_rows_of_a_sensor_that_was_an_input_counts() -> None:
    """It stands in another room now; that it was being serviced from 28 to 29.5 comes behind the change."""
    log = both(HandLog().register(-1, B, C, **cascade(15)), range(28), 30)
    log.register(29.5, pressure("P.B", "D1"), pressure("P.N", "B1"), C, version=2, **cascade(15))
    log.rows(31.1, ("P.N", [31], [50]), ("P.C", [31], [20]))
    log.mark(31.5, "maintenance", 26.5, 29.2, tags=["P.B"])
    log.rows(32, ("P.B", [28, 29], [30, 30]), ("P.C", [28, 29], [20, 20]))
    assert story(log, 33) == []
    engine = engine_of(log)
    (pair,) = engine.state_of(FACILITY).plan.pairs
    kept = engine.state_of(FACILITY).kept[pair.place]
    assert kept.others == ["P.B"]
    marked = kept.rows[2][kept.rows[2][:, ROW_BQ] & 15 != 0]
    assert [since(t) for t in marked[:, ROW_T].tolist()] == [27, 28, 29]


# -- what is kept -----------------------------------------------------------------------------------------------------
def former(engine: Engine) -> object:
    return open_snapshot(engine.snapshot(0, FACILITY))[0].former


def test_what_was_in_force_is_forgotten_when_no_row_of_its_time_can_come() -> None:
    log = both(changed(15, 5), range(31, 40), 30)
    ((rule, name, [one], others),) = former(engine_of(log))
    assert (rule, name, one[0], one[3], others) == (LOW.id, "B1 C1", ms(30) + 1, 15, [])
    log = both(log, range(40, 155), 30).tick(156)  # two hours behind the last row of before
    assert former(engine_of(log)) is msgspec.UNSET
    assert engine_of(log).state_of(FACILITY).former == {}


def test_a_record_that_changes_nothing_of_a_pair_keeps_nothing() -> None:
    assert former(engine_of(both(changed(15, 15), range(31, 33), 30))) is msgspec.UNSET


def test_packs_end_the_horizon_and_forget_what_was_before() -> None:
    other = Bundle.of([LOW.model_copy(update={"clear": LOW.clear.model_copy(update={"consecutive": 3})}), TWINS], [])
    log = both(changed(15, 5), range(31, 33), 30).packs(33, other)
    log.rows(33.5, ("P.B", [28, 29], [30, 30]), ("P.C", [28, 29], [20, 20]))
    assert story(log, 34) == []
    assert engine_of(log).state_of(FACILITY).former == {}


def test_of_more_changes_than_are_kept_the_horizon_ends() -> None:
    log = both(HandLog().register(-1, B, C, **cascade(15)), range(5), 30)
    for i in range(formerly.MOST):
        log.register(5 + i, B, C, version=2 + i, **cascade(16 + i))
    state = engine_of(log).state_of(FACILITY)
    (pair,) = state.plan.pairs
    assert (len(state.former[pair.key]), state.of(pair, "floor")) == (formerly.MOST, -1)
    state = engine_of(log.register(20, B, C, version=30, **cascade(6))).state_of(FACILITY)
    (pair,) = state.plan.pairs
    assert (state.former, since(state.of(pair, "floor"))) == ({}, 4)
    assert [len(rows) for rows in state.kept[pair.place].rows] == [0, 0]


def test_a_sensor_that_measures_something_else_ends_the_horizon() -> None:
    twins = [pressure("P.C", "C1"), pressure("P.C2", "C1")]
    log = HandLog().register(-1, *twins, areas=AREAS).rows(1, ("P.C", [1], [20]), ("P.C2", [1], [20])).tick(2)
    warm = [sensor(tag, "C1") for tag in ("P.C", "P.C2")]
    state = engine_of(log.register(3, *warm, version=2, areas=AREAS)).state_of(FACILITY)
    (pair,) = [one for one in state.plan.pairs if one.rule.id == TWINS.id]
    assert (state.former, since(state.of(pair, "floor"))) == ({}, 1)


# -- snapshots --------------------------------------------------------------------------------------------------------
def replaced() -> HandLog:
    """A log behind which a pair has rows of a sensor that is no input any more."""
    log = both(HandLog().register(-1, B, C, **cascade(15)), range(5), 30)
    return log.register(6, pressure("P.N", "B1"), C, version=2, **cascade(15)).rows(7.1, ("P.N", [7], [50])).tick(8)


def test_a_snapshot_holds_what_was_in_force_and_comes_back_byte_for_byte() -> None:
    engine, other = engine_of(replaced()), Engine(BUNDLE)
    snapshot = engine.snapshot(0, FACILITY)
    other.restore(0, FACILITY, snapshot)
    assert other.snapshot(0, FACILITY) == snapshot
    ((rule, name, [ended], [(tag, rows)]),) = former(engine)
    assert (rule, name, [one[0] for one in ended[6]], tag) == (LOW.id, "B1 C1", ["P.B", "P.C"], "P.B")
    assert len(np.frombuffer(rows, np.int64)) == 5 * ROW_WORDS


@pytest.mark.parametrize(
    "fault",
    [
        "pair",
        "size",
        "steps",
        "scale",
        "inputs",
        "until",
        "order",
        "twice",
        "limit",
        "none",
        "rows",
        "quality",
        "tag",
        "few",
        "many",
    ],
)
def test_what_no_fold_leaves_is_refused(fault: str) -> None:
    body, _ = open_snapshot(engine_of(replaced()).snapshot(0, FACILITY))
    rule, name, [ended], [(tag, rows)] = body.former[0]
    words, kept = np.frombuffer(ended[2], np.int64).copy(), np.frombuffer(rows, np.int64).reshape(-1, ROW_WORDS).copy()
    places = {"steps": limit.STEP_COUNT, "scale": difference.SCALE, "inputs": difference.INPUTS}
    if fault in places:
        words[places[fault]] = 99
    if fault == "rows":
        kept[[0, 1]] = kept[[1, 0]]
    kept[0, ROW_BQ] = -1 if fault == "quality" else kept[0, ROW_BQ]
    params = words.tobytes()[8 if fault == "size" else 0 :]
    until = {"until": 1 << 62}.get(fault, ended[0])
    limits = [("low", float("nan"), "Pa", "register", None)] if fault == "limit" else ended[5]
    one = (until, ended[1], params, *ended[3:5], limits, ended[6])
    past = {"order": [one, (until - 1, *one[1:])], "none": [], "many": [one] * (formerly.MOST + 1)}.get(fault, [one])
    others = {"tag": [("P.X", kept.tobytes())], "few": []}.get(fault, [(tag, kept.tobytes())])
    body.former[0] = (rule, "B1 D1" if fault == "pair" else name, past, others)
    if fault == "twice":
        body.former.append(body.former[0])
    with pytest.raises(SnapshotError):
        Engine(BUNDLE).restore(0, FACILITY, sealed(body))


# -- late is as in time -----------------------------------------------------------------------------------------------
QUICK = settings(
    max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@st.composite
def hours(draw):
    """Draw when the cascade changes, each minute's lead, and which minutes of one room come late, all in one record."""
    begins = sorted(draw(st.sets(st.integers(20, 100), min_size=1, max_size=3)))
    lows = [draw(st.sampled_from([6.0, 12.0, 18.0])) for _ in range(len(begins) + 1)]
    leads = []
    while len(leads) < 110:
        leads += [draw(st.sampled_from([20.0, 20.0, 15.0, 9.0, 3.0]))] * draw(st.integers(1, 20))
    first = draw(st.integers(10, 90))
    late = sorted(draw(st.sets(st.integers(first, min(first + 40, 108)), min_size=1)))
    return begins, lows, leads[:110], late, draw(st.sampled_from(["P.B", "P.C"]))


@given(hours())
@QUICK
def test_a_log_with_late_rows_ends_as_the_log_in_time(drawn) -> None:
    """A gauge would do too; here what is late is one of two rooms, so that every instant of it was unknown before."""
    begins, lows, leads, late, tag = drawn
    found = []
    for held_back in ([], late):
        log, other = HandLog().register(-1, B, C, **cascade(lows[0])), "P.C" if tag == "P.B" else "P.B"
        values = {"P.B": [20 + lead for lead in leads], "P.C": [20.0] * len(leads)}
        for minute in range(len(leads)):
            if minute in begins:
                log.register(minute - 0.5, B, C, version=2 + minute, **cascade(lows[1 + begins.index(minute)]))
            tags = [other] if minute in held_back else [other, tag]
            log.rows(minute + 0.1, *((one, [minute], [values[one][minute]]) for one in sorted(tags)))
        if held_back:
            log.rows(110, (tag, late, [values[tag][minute] for minute in late]))
        newest = {c.alarm: c for c in log.changes(until=110.5, bundle=BUNDLE)}
        found.append(sorted((since(c.start), since(c.end) or -1.0) for c in newest.values() if c.change != "retracted"))
    assert found[0] == found[1]
