"""What the fast path remembers or computes in one go is what the slow way would give."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.engine import BEGIN, facility
from rules import kernels, layout, ring
from rules.engine import Engine
from rules.pack import default_bundle
from rules.plan import REMEMBERED_ROWS, Plan, compile_plan
from rules.records import Kind, LogRecord, Readings, RegisterRecord

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


DUES = st.lists(st.integers(-1, layout.NEVER), max_size=5)


@given(DUES, DUES, st.lists(st.tuples(st.integers(0, layout.NEVER), st.booleans()), max_size=5))
def test_the_next_decision_is_the_earliest_of_all(
    limits: list[int], frozen: list[int], gaps: list[tuple[int, bool]]
) -> None:
    lhead, fhead = np.zeros(len(limits), layout.LIMIT_STATE), np.zeros(len(frozen), layout.FROZEN_STATE)
    gs = np.zeros(len(gaps), layout.GAP_STATE)
    lhead["due"], fhead["due"] = limits, frozen
    gs["due"], gs["active"] = [due for due, _ in gaps], [active for _, active in gaps]
    due, silent = kernels.next_due(lhead, fhead, gs)
    assert due == min([layout.NEVER, *limits, *frozen, *(due for due, _ in gaps)])
    assert bool(silent) is any(active for _, active in gaps)


@pytest.mark.parametrize("head", [0, 1, 6])
def test_a_ring_goes_round(head: int) -> None:
    series = np.zeros(1, layout.SERIES)
    series["ring_off"], series["ring_cap"], series["ring_head"] = 10, 7, head
    assert [ring.at(series[0], i) for i in range(8)] == [10 + (head + i) % 7 for i in range(8)]
