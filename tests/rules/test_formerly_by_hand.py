"""Limits that change while data are late, derived by hand: a row is judged by the numbers of its time (contracts.md §2, ADR 0065)."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rules import formerly, layout
from rules.engine import Engine
from rules.kinds import limit
from rules.layout import FROZEN, LIMIT
from rules.records import RegisterRecord
from rules.snapshot import SnapshotError, open_snapshot, sealed
from tests.examples import examples
from tests.rules.byhand import BUNDLE, FACILITY, HandLog, ms, sensor, since, story

WIDE, NARROW = {"low": 2, "high": 8}, {"low": 2, "high": 6}
AT_30 = {"from": "2026-03-01T00:30:00+08:00"}
STEADY = [5.0, 5.1] * 60


def told(log: HandLog, *rules: str, until: float | None = None) -> list[tuple[object, ...]]:
    return story(log.changes(until=until), *(rules or ("store-out",)))


def narrowed(*more: dict[str, object]) -> HandLog:
    """Wide limits, and from minute 30 on narrow ones; a row a minute until minute 27."""
    return HandLog().register(-1, sensor(limits=WIDE), sensor(limits=NARROW, **AT_30), *more).live("T1", 0, STEADY[:28])


def widened() -> HandLog:
    return HandLog().register(-1, sensor(limits=NARROW), sensor(limits=WIDE, **AT_30)).live("T1", 0, STEADY[:28])


def test_late_rows_of_before_are_no_excursion_by_limits_that_came_later() -> None:
    log = narrowed().live("T1", 30, [5, 5.1, 5])
    assert told(log.rows(33, ("T1", [28, 28.5, 29], [7, 7.1, 7])).live("T1", 34, [5])) == []


def test_late_rows_of_before_are_an_excursion_by_the_limits_of_then() -> None:
    log = widened().live("T1", 30, [7, 7.1, 5, 5.1, 5])  # by the wider ones
    changes = log.rows(35, ("T1", [28, 29], [7, 7.1])).live("T1", 36, [5]).changes()
    assert story(changes, "store-out") == [
        (35, "raised", "store-out", "T1", "orange", 28, None),
        (35, "cleared", "store-out", "T1", "orange", 28, 30),
    ]
    raised, cleared = (c for c in changes if c.rule == "cold-chain.store-out")
    assert raised.late
    assert [(one.name, one.value, one.origin) for one in raised.evidence.limits][1] == ("high", 6, "register")
    assert (raised.evidence.leaves[0].left, raised.evidence.leaves[0].right) == (7.1, 6)
    assert [one.value for one in cleared.evidence.limits] == [2, 8]
    assert (cleared.evidence.leaves[0].left, cleared.evidence.leaves[0].right) == (5, 8)


@pytest.mark.parametrize("last", [29, 29 + 59.999 / 60])
def test_the_instant_at_which_facts_come_into_force_belongs_to_them(last: float) -> None:
    """Two rows outside the old limits raise it; of the later ones the one at minute 30 is inside."""
    late = widened().live("T1", 31, [5, 5.1]).rows(33, ("T1", [28, last], [7, 7.1])).tick(34)
    assert told(late) == [
        (33, "raised", "store-out", "T1", "orange", 28, None),
    ]
    behind = widened().live("T1", 31, [5, 5.1]).rows(33, ("T1", [28, 30], [7, 7.1])).tick(34)
    assert told(behind) == []


def test_stored_rows_in_order_are_judged_by_the_limits_of_their_time() -> None:
    """A recorder that was out of reach sends what it stored, oldest first; nothing newer had come."""
    log = narrowed().rows(45, ("T1", list(range(28, 44)), [7.0, 7.1] * 8)).tick(46)
    assert told(log) == [(45, "raised", "store-out", "T1", "orange", 30, None)]
    log = widened().rows(45, ("T1", list(range(28, 44)), [7.0, 7.1] * 8)).tick(46)
    changes = log.changes()
    assert story(changes, "store-out") == [
        (45, "raised", "store-out", "T1", "orange", 28, None),
        (45, "cleared", "store-out", "T1", "orange", 28, 30),
    ]
    assert [c.late for c in changes if c.rule == "cold-chain.store-out"] == [True, False]


def test_the_silence_is_ended_by_a_row_in_order_whatever_judges_it() -> None:
    log = narrowed().tick(31).rows(31.5, ("T1", [28, 29], [7.0, 7.1])).rows(31.9, ("T1", [31], [5]))
    assert told(log, "gap") == [
        (30, "raised", "gap", "T1", "blue", 28, None),
        (31.5, "retracted", "gap", "T1", "blue", 28, 29),
    ]


def test_an_alarm_that_stands_goes_on_with_other_limits_and_what_came_before_is_added() -> None:
    log = widened().live("T1", 28, [7, 7.1]).live("T1", 30, [9, 9.1])  # raised at 29 by 6, stands above 8
    log.rows(32.5, ("T1", [27.5], [7])).live("T1", 33, [9])
    assert told(log) == [
        (29.01667, "raised", "store-out", "T1", "orange", 28, None),
        (32.5, "amended", "store-out", "T1", "orange", 27.5, None),
    ]


def test_a_register_record_judges_what_is_measured_behind_its_receipt() -> None:
    log = HandLog().register(-1, sensor(limits=WIDE)).live("T1", 0, STEADY[:10])
    log.register(10, sensor(limits=NARROW), version=2)
    log.rows(10, ("T1", [9.5, 10], [7, 7.1]))  # of its own instant, posted behind it
    assert told(log.live("T1", 11, [5, 5.1])) == []
    log.rows(12.5, ("T1", [10.1, 10.2], [7, 7.1])).tick(12.6)
    assert told(log) == [(12.5, "raised", "store-out", "T1", "orange", 10.1, None)]


def test_three_days_of_silence_across_the_change_are_back_filled_by_the_limits_of_each_time() -> None:
    day = 1440
    log = HandLog().register(
        -1,
        sensor(limits=NARROW, interval="10m"),
        sensor(limits=WIDE, interval="10m", **{"from": "2026-03-02T00:00:00+08:00"}),
    )
    log.live("T1", 0, [5, 5.1, 5], every=10).live("T1", 3 * day, [5, 5.1], every=10)
    minutes = [10.0 * i for i in range(3, 3 * 144)]
    warm = {600.0, 610.0, 620.0, 2000.0, 2010.0}  # 7 is outside by the first limits only
    log.rows(3 * day + 11, ("T1", minutes, [7.0 if m in warm else 5 + i % 2 / 10 for i, m in enumerate(minutes)]))
    changes = log.changes(until=3 * day + 20)
    ends = {
        c.alarm: (c.change.value, since(c.start), since(c.end)) for c in changes if c.rule == "cold-chain.store-out"
    }
    assert list(ends.values()) == [("cleared", 600, 630)]


def test_ten_hours_of_stored_rows_in_order_lose_no_excursion_to_the_horizon() -> None:
    """More than the horizon holds: those that would leave it are decided before."""
    late = {"from": "2026-03-01T11:00:00+08:00"}
    log = HandLog().register(-1, sensor(limits=NARROW), sensor(limits=WIDE, **late)).live("T1", 0, STEADY[:28])
    minutes = list(range(28, 700))
    warm = {100, 101, 102, 400, 401, 655, 656, 657, 680, 681}
    log.rows(700, ("T1", minutes, [7.0 if m in warm else 5 + m % 2 / 10 for m in minutes])).live("T1", 701, [5, 5.1, 5])
    ends = {
        c.alarm: (c.change.value, since(c.start), since(c.end))
        for c in log.changes()
        if c.rule == "cold-chain.store-out"
    }
    assert list(ends.values()) == [("cleared", 100, 103), ("cleared", 400, 402), ("cleared", 655, 658)]


def test_frozen_values_are_judged_by_the_limits_of_their_time() -> None:
    """A day's span is too small against the limits: the width follows from those of the register."""
    log = HandLog().register(-1, sensor(limits={"low": 2, "high": 8}), sensor(limits={"low": 2, "high": 7}, **AT_30))
    engine = Engine(BUNDLE)
    for record in log.live("T1", 0, STEADY[:32]).records():
        engine.fold(record)
    kept = engine.state_of(FACILITY).past
    assert {(kind, tag) for kind, _, tag in kept} >= {(LIMIT, "T1"), (FROZEN, "T1")}


def facility_of(log: HandLog) -> Engine:
    engine = Engine(BUNDLE)
    for record in log.records():
        engine.fold(record)
    return engine


def test_numbers_of_before_are_forgotten_when_no_row_of_their_time_can_come() -> None:
    engine = facility_of(narrowed().live("T1", 28, [5]))
    assert open_snapshot(engine.snapshot(0, FACILITY))[0].past is msgspec.UNSET
    engine = facility_of(narrowed().live("T1", 28, STEADY[:10]))
    (one,) = [row for row in open_snapshot(engine.snapshot(0, FACILITY))[0].past if row[1] == "cold-chain.store-out"]
    assert [(until, low, high) for until, _, _, low, high, _ in one[3]] == [(ms(30), 2, 8)]
    engine = facility_of(narrowed().live("T1", 28, [5.0, 5.1] * 110))  # two hours and the slack of the ring
    assert open_snapshot(engine.snapshot(0, FACILITY))[0].past is msgspec.UNSET


def test_a_facility_whose_limits_do_not_change_has_none() -> None:
    engine = facility_of(
        HandLog()
        .register(-1, sensor(limits=WIDE))
        .live("T1", 0, STEADY[:9])
        .register(9, sensor(limits=WIDE), version=2)
    )
    assert engine.state_of(FACILITY).past == {}
    assert open_snapshot(engine.snapshot(0, FACILITY))[0].past is msgspec.UNSET


def test_of_more_changes_than_are_kept_the_horizon_ends() -> None:
    log = HandLog().register(-1, sensor(limits=WIDE)).live("T1", 0, STEADY[:5])
    for i in range(formerly.MOST):
        log.register(5 + i, sensor(limits={"low": 2, "high": 6 + i % 2}), version=2 + i)
    state = facility_of(log).state_of(FACILITY)
    assert max(map(len, state.past.values())) == formerly.MOST
    assert state.of_series("ring_len", 0) == 5
    log.register(20, sensor(limits={"low": 2, "high": 5.5}), version=30)
    state = facility_of(log).state_of(FACILITY)
    assert state.past == {}
    assert state.of_series("ring_len", 0) == 0
    assert state.planned.others == 0


@pytest.mark.parametrize(
    "other",
    [
        {"interval": "2m"}, {"resolution": 0.1}, {"range": {"low": -40, "high": 60}}, {"area": "A2"},
        {"quantity": "humidity", "unit": "%RH"},
    ],
)  # fmt: skip
def test_where_more_than_limits_is_other_the_horizon_ends_as_before(other: dict[str, object]) -> None:
    own = {**sensor(limits=NARROW), **other}
    log = HandLog().register(-1, sensor(limits=WIDE), sensor("T2", "A2")).live("T1", 0, STEADY[:10])
    state = facility_of(log.register(10, own, sensor("T2", "A2"), version=2)).state_of(FACILITY)
    assert state.past == {}
    assert state.of_series("ring_len", 0) == 0


def test_packs_end_the_horizon_and_forget_the_numbers_of_before() -> None:
    store = BUNDLE.rule("cold-chain.store-out")
    other = store.model_copy(update={"clear": store.clear.model_copy(update={"consecutive": 5})})
    packs = BUNDLE.of([other if rule.id == store.id else rule for rule in BUNDLE.rules], BUNDLE.tables.values())
    log = narrowed().live("T1", 28, [5, 5.1, 5, 5.1]).packs(33, packs).rows(33.5, ("T1", [29.5], [9]))
    engine = facility_of(log)
    assert engine.state_of(FACILITY).past == {}
    assert engine.counters(0, FACILITY)["stale"] == 1


@pytest.mark.parametrize("fault", ["tag", "size", "steps", "colour", "interval", "order", "twice", "limit", "none"])
def test_numbers_of_before_that_no_fold_leaves_are_refused(fault: str) -> None:
    engine = facility_of(narrowed().live("T1", 28, STEADY[:10]))
    body, _ = open_snapshot(engine.snapshot(0, FACILITY))
    at = next(i for i, row in enumerate(body.past) if row[1] == "cold-chain.store-out")
    kind, rule, tag, [(until, floor, params, low, high, used)] = body.past[at]
    words = np.frombuffer(params, np.int64).copy()
    rows = [(until, floor, params, low, high, used)]
    place = {
        "steps": (limit.STEP_COUNT, layout.STEPS + 1),
        "colour": (limit.SEV_BASE, 4),
        "interval": (limit.INTERVAL, 1),
    }
    if fault in place:
        words[place[fault][0]] = place[fault][1]
        rows = [(until, floor, words.tobytes(), low, high, used)]
    rows = {
        "size": [(until, floor, params[8:], low, high, used)], "order": [rows[0], (until - 1, *rows[0][1:])],
        "limit": [(until, floor, params, low, high, [("high", float("inf"), None, "register", None)])], "none": [],
    }.get(fault, rows)  # fmt: skip
    body.past[at] = (kind, rule, "T9" if fault == "tag" else tag, rows)
    if fault == "twice":
        body.past.append(body.past[at])
    with pytest.raises(SnapshotError):
        Engine(BUNDLE).restore(0, FACILITY, sealed(body))


QUICK = settings(
    max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
CHANGES = [{"low": 2, "high": 8}, {"low": 2, "high": 6}, {"low": 3.5, "high": 8}]


@st.composite
def days(draw):
    """Draw when limits change, what was measured each minute, and which of it comes late, in which order: all in one record."""
    begins = sorted(draw(st.sets(st.integers(20, 160), min_size=1, max_size=3)))
    limits = [draw(st.sampled_from(CHANGES)) for _ in range(len(begins) + 1)]
    values, last = [], 170
    while len(values) < last:
        value = draw(st.sampled_from([5.0, 5.0, 7.0, 7.0, 9.0, 3.0]))
        values += [value + i % 3 / 10 for i in range(draw(st.integers(1, 25)))]
    first = draw(st.integers(70, 150))
    late = sorted(draw(st.sets(st.integers(first, min(first + 60, 168)), min_size=1)))
    return begins, limits, values[:last], draw(st.permutations(late))


def final(log: HandLog, until: float) -> list[tuple[object, ...]]:
    """Return what stands of each alarm in the end, but for silences."""
    newest = {c.alarm: c for c in log.changes(until=until) if "gap" not in c.rule and "late-evidence" not in c.rule}
    return sorted((c.rule, since(c.start), since(c.end) or -1.0) for c in newest.values() if c.change != "retracted")


@given(days())
@QUICK
def test_a_log_with_late_rows_ends_as_the_log_in_time(drawn) -> None:
    begins, limits, values, late = drawn
    entries = [sensor(limits=limits[0])]
    entries += [sensor(limits=own, **{"from": ms(at)}) for at, own in zip(begins, limits[1:], strict=True)]
    in_time, with_late = HandLog().register(-1, *entries), HandLog().register(-1, *entries)
    for minute, value in enumerate(values):
        in_time.rows(minute + 0.1, ("T1", [minute], [value]))
        if minute not in late:
            with_late.rows(minute + 0.1, ("T1", [minute], [value]))
    with_late.rows(170, ("T1", late, [values[minute] for minute in late]))
    assert final(in_time, 170.5) == final(with_late, 170.5)


def test_the_register_that_carries_facts_to_come_says_so() -> None:
    log = narrowed()
    payload = log.records()[0].payload
    assert isinstance(payload, RegisterRecord)
    assert [one.from_ for one in payload.facility.sensors] == [None, ms(30)]
