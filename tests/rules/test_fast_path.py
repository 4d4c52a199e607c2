"""What the fast path remembers or computes in one go is what the slow way would give."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.engine import BEGIN, facility
from rules import kernels, layout, ring
from rules.engine import Engine
from rules.kinds import gap
from rules.kinds.table import KINDS
from rules.pack import default_bundle
from rules.plan import REMEMBERED_ROWS, REMEMBERED_SHAPES, Plan, compile_plan
from rules.records import Kind, LogRecord, Readings, RegisterRecord
from rules.register import Facility
from rules.state import FacilityState

NAMES = st.sampled_from(["T0", "T1", "T2", "T59", "not.registered"])


@pytest.fixture(scope="module")
def plan() -> Plan:
    return compile_plan(facility(0), default_bundle(), BEGIN)


def by_hand(plan: Plan, tags: tuple[str, ...], counts: list[int]) -> list[int]:
    return [plan.slots.get(tag, -1) for tag, count in zip(tags, counts, strict=True) for _ in range(count)]


@given(
    st.lists(
        st.lists(st.tuples(NAMES, st.integers(1, 3)), min_size=1, max_size=4, unique_by=lambda one: one[0]), max_size=6
    )
)
def test_a_remembered_index_is_that_of_its_batch(plan: Plan, batches: list[list[tuple[str, int]]]) -> None:
    for batch in batches:
        tags, counts = tuple(tag for tag, _ in batch), [count for _, count in batch]
        for _ in range(2):
            index, unknown = plan.index_of(tags, np.array(counts, np.int32))
            assert index.tolist() == by_hand(plan, tags, counts)
            assert unknown == sum(count for tag, count in batch if tag not in plan.slots)


def test_the_same_tags_with_other_counts_have_another_index(plan: Plan) -> None:
    for counts in ([2, 1], [1, 2]):
        index, _ = plan.index_of(("T0", "T1"), np.array(counts, np.int32))
        assert index.tolist() == by_hand(plan, ("T0", "T1"), counts)


@pytest.mark.parametrize(("rows", "kept"), [(REMEMBERED_ROWS, True), (REMEMBERED_ROWS + 1, False)])
def test_an_index_is_remembered_up_to_a_bound(plan: Plan, rows: int, *, kept: bool) -> None:
    counts = np.array([rows], np.int32)
    assert (plan.index_of(("T7",), counts)[0] is plan.index_of(("T7",), counts)[0]) is kept


def test_a_changed_register_forgets_what_was_remembered() -> None:
    engine, known = Engine(default_bundle()), facility(0)
    fewer = known.model_copy(update={"sensors": known.sensors[1:]})
    for offset, (version, registered) in enumerate([(1, known), (2, fewer)]):
        record = RegisterRecord(version=version, facility=registered)
        engine.fold(LogRecord(0, 10 * offset, BEGIN, Kind.REGISTER, known.id, record))
        for i in range(1, 3):
            at = BEGIN + 60_000 * (10 * offset + i)
            payload = Readings(
                f"b{at}", ("T0", "T1"), np.ones(2, np.int32), np.full(2, at), np.full(2, 5.0 + i), np.zeros(2, np.uint8)
            )
            engine.fold(LogRecord(0, 10 * offset + i, at, Kind.READINGS, known.id, payload))
    assert engine.counters(0, known.id)["unknown_tag"] == 2
    assert engine.counters(0, known.id)["rows"] == 4


@given(st.data())
def test_the_next_decision_is_the_earliest_of_all(plan: Plan, data: st.DataObject) -> None:
    state = FacilityState(0, "F-0000")
    state.take(plan)
    every = [one for instances in plan.by_slot for one in instances]
    drawn = {
        one.state: data.draw(st.integers(-1, layout.NEVER))
        for one in data.draw(st.lists(st.sampled_from(every), max_size=6, unique_by=lambda one: one.state))
    }
    for at, due in drawn.items():
        instance = plan.by_state[at]
        state.words[at + KINDS[instance.kind].state["due"].start] = due
    silent = data.draw(st.lists(st.sampled_from(plan.gaps), max_size=2))
    for one in silent:
        state.words[one.state + gap.ACTIVE] = 1
    state.refresh_all()
    due, is_silent = kernels.next_due(state.due, state.silent)
    assert due == min([layout.NEVER, *drawn.values()])
    assert bool(is_silent) is bool(silent)
    for slot, instances in enumerate(plan.by_slot):
        assert state.due[slot] == min([layout.NEVER, *(drawn.get(one.state, layout.NEVER) for one in instances)])


@pytest.mark.parametrize("head", [0, 1, 6])
def test_a_ring_goes_round(head: int) -> None:
    assert [ring.at(40, 7, head, i) for i in range(8)] == [40 + 4 * ((head + i) % 7) for i in range(8)]


def test_sensors_that_are_alike_share_program_and_parameters(plan: Plan) -> None:
    programs = {plan.place(slot, layout.AT_PROGRAM) for slot in range(len(plan.sensors))}
    assert len(programs) == 1, "sixty equal sensors"
    assert len({one.params for one in plan.gaps}) == len({one.rule.id for one in plan.gaps})
    assert len({one.state for instances in plan.by_slot for one in instances}) == sum(map(len, plan.by_slot))
    changed = facility(0).model_dump(mode="json", by_alias=True, exclude_none=True)
    changed["sensors"][3]["limits"] = {"low": 3, "high": 8}
    other = compile_plan(Facility.model_validate(changed), default_bundle(), BEGIN)
    assert len({other.place(slot, layout.AT_PROGRAM) for slot in range(len(other.sensors))}) == 2


def test_blocks_stand_side_by_side_and_none_in_another(plan: Plan) -> None:
    taken = np.zeros(plan.blank_state.size, int)
    for slot, instances in enumerate(plan.by_slot):
        taken[plan.series_at[slot] : plan.series_at[slot] + layout.SERIES.words] += 1
        for one in instances:
            taken[one.state : one.state + KINDS[one.kind].state.words] += 1
    assert (taken == 1).all()
    tails = np.zeros(plan.blank_tails.size, int)
    for one in (one for instances in plan.by_slot for one in instances if one.tail != layout.NONE):
        tails[one.tail : one.tail + KINDS[one.kind].state.words] += 1
    assert (tails == 1).all()


@pytest.mark.parametrize("rows", [1, 5, 255, 256, 257, 1_500])
def test_a_batch_longer_than_a_run_or_than_the_room_for_transitions_is_folded_whole(
    monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    known = facility(0)
    record = RegisterRecord(version=1, facility=known)
    value = np.where(np.arange(rows) // 2 % 2 == 0, 5.0, 9.0)
    time = BEGIN + 60_000 * np.arange(1, rows + 1)
    told = []
    for room in (kernels.OUT_ROWS, 8):
        monkeypatch.setattr(kernels, "OUT_ROWS", room)
        engine = Engine(default_bundle())
        engine.fold(LogRecord(0, 0, BEGIN, Kind.REGISTER, known.id, record))
        payload = Readings("b", ("T0",), np.array([rows], np.int32), time, value, np.zeros(rows, np.uint8))
        told.append(engine.fold(LogRecord(0, 1, int(time[-1]), Kind.READINGS, known.id, payload)))
    assert told[0] == told[1]
    assert (len(told[0]) > 0) is (rows >= 4)
    assert engine.counters(0, known.id)["rows"] == rows


def test_the_newest_shapes_of_batches_are_remembered_and_no_more(plan: Plan) -> None:
    """Several feeds of a firm post different series in turn."""

    def shape(rows: int) -> object:
        return plan.index_of(("T7",), np.array([rows], np.int32))[0]

    first = {rows: shape(rows) for rows in range(1, REMEMBERED_SHAPES + 1)}
    assert all(shape(rows) is index for rows, index in first.items())
    shape(REMEMBERED_SHAPES + 1)
    assert shape(2) is first[2]
    assert shape(1) is not first[1]
