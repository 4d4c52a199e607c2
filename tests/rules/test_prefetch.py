"""Asking for memory ahead of time: nothing follows from it, whatever is asked for."""

from __future__ import annotations

import numpy as np
import pytest

from rules import prefetch
from rules.jit import kernel
from rules.layout import RING_HEAD, RING_LEN, SERIES
from rules.pack import default_bundle
from rules.plan import compile_plan
from rules.state import FacilityState
from tests.rules import logs


@kernel
def _asked(words, at):
    prefetch._ask(words, at)
    return at


@pytest.mark.parametrize("at", [0, 9, 10, -1, 1 << 40, -(1 << 40)])
def test_memory_that_is_not_ours_may_be_asked_for(at):
    words = np.arange(10)
    assert _asked(words, at) == at
    assert words.tolist() == list(range(10))


def test_the_books_of_a_series_and_its_next_row_stay_as_they_are():
    entity = logs.facility([("T0", "A1", 60), ("T1", "A1", 60), ("T2", "A2", 60)])
    plan = compile_plan(entity, default_bundle(), logs.BEGIN)
    state = FacilityState(0, entity.id)
    state.words, state.rings = plan.blank_state.copy(), np.zeros(plan.ring_words, np.int64)
    for at in plan.series_at:
        state.words[at + RING_HEAD], state.words[at + RING_LEN] = 7, 100
    words = state.words.copy()
    for slot in range(len(plan.sensors)):
        prefetch.books(plan.params, plan.where, slot, state.words)
        prefetch.next_row(plan.params, plan.where, slot, state.words, state.rings)
    assert np.array_equal(words, state.words)
    assert not state.rings.any()
    assert SERIES.words <= 3 * prefetch.LINE_WORDS, "the header is asked for whole"
