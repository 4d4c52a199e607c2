"""Silences of a declared state of which nothing is to be told: what the compiled look passes over is what the full judgement leaves as it is."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from rules import kernels, passedover
from rules.engine import Engine
from rules.kinds import absence as compiled
from rules.layout import ABSENCE, NEVER, NONE
from rules.records import Kind, LogRecord, Readings, RegisterRecord
from tests.examples import examples
from tests.rules import absencelogs, fillinglogs
from tests.rules.byhand import since
from tests.rules.logs import BEGIN, FACILITY
from tests.rules.test_filling_by_hand import begun, changes, filled, live, switched

QUICK = settings(
    max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
SILENT, DELIVERY, STEPPED_AFTER = 120_000, 60_000, 900_000


def folded(bundle, log, until, *, in_full):
    """Return changes and the snapshot behind each record, with or without the compiled look, and how often that passed some."""
    engine, seen, passed = Engine(bundle), [], 0
    look = passedover.pass_over

    def counted(state, now):
        nonlocal passed
        found = False if in_full else look(state, now)
        passed += found
        return found

    with patch.object(passedover, "pass_over", counted):
        for record in log:
            seen.append((engine.fold(record), engine.snapshot(0, FACILITY) if record.facility else b""))
        seen.append((engine.advance(0, until), engine.snapshot(0, FACILITY)))
    return seen, passed


def same(logs, drawn):
    entity, entries = drawn
    log = logs.records(entity, entries)
    until = max(record.received for record in log) + 4 * 3_600_000
    quick, passed = folded(logs.bundle(), log, until, in_full=False)
    whole, _ = folded(logs.bundle(), log, until, in_full=True)
    assert quick == whole
    return passed


@given(fillinglogs.fillings())
@QUICK
def test_of_a_filling_what_is_passed_over_changes_nothing(drawn):
    same(fillinglogs, drawn)


@given(absencelogs.absences())
@QUICK
def test_of_a_trip_what_is_passed_over_changes_nothing(drawn):
    same(absencelogs, drawn)


def test_series_are_passed_over_before_anything_was_declared_and_while_it_lasts():
    passed = []

    @given(fillinglogs.fillings())
    @settings(QUICK, max_examples=20)
    def count(drawn):
        passed.append(same(fillinglogs, drawn))

    count()
    assert any(passed)


def block(**words):
    state = compiled.STATE.block({"lo": 0, "edge": 0, **words})
    params = compiled.PARAMS.block(
        {"silent": SILENT, "delivery": DELIVERY, "steps": 1, "step_after": [STEPPED_AFTER, 0, 0, 0]}
    )
    return params, state


def following(spans, now, **words):
    params, state = block(**words)
    rows = np.array(spans, np.int64).reshape(len(spans), 2)
    return compiled.next_of_quiet(params, 0, state, 0, rows, 0, len(spans), now)


@pytest.mark.parametrize("words", [{"count": 1}, {"active": 1}, {"lost": 1}, {"door": [0, 9, *[NONE] * 14]}])
def test_what_keeps_anything_is_judged_in_full(words):
    assert following([], 1, **words) == NONE


def test_without_a_span_nothing_is_due():
    assert following([], 1) == NEVER


@pytest.mark.parametrize(("end", "due"), [(SILENT, NEVER), (SILENT + 1, SILENT + DELIVERY)])
def test_a_span_that_ends_before_a_silence_can_is_nothing(end, due):
    assert following([(0, end)], 1) == due


@pytest.mark.parametrize(("now", "due"), [(SILENT + DELIVERY - 1, SILENT + DELIVERY), (SILENT + DELIVERY, NONE)])
def test_a_silence_that_is_due_is_judged_in_full(now, due):
    assert following([(0, NEVER)], now) == due


@pytest.mark.parametrize("spans", [[(0, SILENT + 1)], [(-900_000, -1), (0, SILENT + 1)]])
def test_the_end_of_a_state_is_due_where_it_comes_before_the_silence_ends(spans):
    lo = -1 if len(spans) == 1 else 0
    assert following(spans, 1, lo=lo) == SILENT + DELIVERY


@pytest.fixture
def state():
    """Return a facility with one counter, behind its first row."""
    engine, entity = Engine(fillinglogs.bundle()), fillinglogs.line(60, 1, DELIVERY)
    engine.fold(LogRecord(0, 0, BEGIN, Kind.REGISTER, FACILITY, RegisterRecord(version=1, facility=entity)))
    at = BEGIN + 60_000
    payload = Readings("b", ("T0",), np.ones(1, np.int32), np.full(1, at), np.full(1, 5.0), np.zeros(1, np.uint8))
    engine.fold(LogRecord(0, 1, at, Kind.READINGS, FACILITY, payload))
    return engine.state_of(FACILITY)


def passed(state, now, found):
    plan = state.planned
    none = np.zeros((0, 2), np.int64)
    return kernels.pass_over(
        plan.params, plan.where, found, none, np.zeros(2, np.int64), state.words, state.rings, now, state.due, state.silent
    )  # fmt: skip


def test_a_look_passes_over_what_is_due_now_and_it_is_due_no_more(state):
    due = [state.of(one, "due") for one in state.planned.by_kind[ABSENCE]]
    assert sorted(due) == [state.clock, state.clock, NEVER]
    assert passed(state, state.clock, state.planned.absent) == 2
    assert [state.of(one, "due") for one in state.planned.by_kind[ABSENCE]] == [NEVER] * 3
    assert passed(state, state.clock, state.planned.absent) == 0
    assert state.due[0] > state.clock


def test_a_look_leaves_what_it_is_not_to_look_at_and_what_is_due_later(state):
    before, left = state.words.copy(), state.planned.absent.copy()
    left[:, 2] = NONE
    assert passed(state, state.clock, left) == 0
    assert passed(state, state.clock - 1, state.planned.absent) == 0
    assert (state.words == before).all()


def test_where_nothing_of_a_declared_state_is_asked_nothing_is_passed_over():
    engine, entity = Engine(fillinglogs.bundle().only({"data-integrity.gap"})), fillinglogs.line(60, 1, DELIVERY)
    engine.fold(LogRecord(0, 0, BEGIN, Kind.REGISTER, FACILITY, RegisterRecord(version=1, facility=entity)))
    assert not passedover.pass_over(engine.state_of(FACILITY), BEGIN)


def test_what_was_told_and_lost_its_ground_is_taken_back():
    hand = filled(live(begun(), [1, 2]), 0, 60, at=2)
    hand = switched(switched(hand, 3, "off"), 6, "on")
    for minute in (3, 4, 5, 6, 7, 8):
        hand = live(hand, [minute])
    hand = switched(hand, 3, "on", after=6)  # of one instant `on` wins: it never was off
    told = [(one.change.value, since(one.received)) for one in changes(live(hand, [10, 11, 12]))]
    assert told == [("raised", 3.01), ("cleared", 6.01), ("retracted", 9)]
