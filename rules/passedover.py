"""Silences of a declared state of which nothing is to be told: a compiled look passes over them (ADR 0082; `rules.absence` judges the others)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rules import kernels
from rules.absence import published
from rules.layout import ABSENCE, NONE

if TYPE_CHECKING:
    from rules.plan import Plan
    from rules.state import FacilityState

_NO_SPANS = np.zeros((0, 2), np.int64)


def pass_over(state: FacilityState, now: int) -> bool:
    """Judge those series at an instant that is over (receive time, ms) of which nothing is to be told; says whether there were any.

    All that counts where a monitor's off time does are judged behind each of their rows, and hardly ever is there anything to tell. What is left is for
    `decide`: those of which something was told or is kept, those in whose area a monitor was off, and those whose rule is put aside.
    """
    plan = state.planned
    found, spans, first = plan.absent, _NO_SPANS, np.zeros(len(plan.absent_in) + 1, np.int64)
    if not found.size:
        return False
    if state.declared.places:
        each = [state.declared.spans(area) for area in plan.absent_in]
        first[1:] = np.cumsum([len(some) for some in each])
        spans = np.array([span for some in each for span in some], np.int64).reshape(int(first[-1]), 2)
    if left := _to_judge(state, plan):
        found = found.copy()
        found[left, 2] = NONE
    passed = kernels.pass_over(
        plan.params, plan.where, found, spans, first, state.words, state.rings, now, state.due, state.silent
    )  # fmt: skip
    return bool(passed)


def _to_judge(state: FacilityState, plan: Plan) -> list[int]:
    """Return which silences of a declared state have to be judged in full, by what is kept of them elsewhere than in their blocks."""
    told = not state.occurrences.keys().isdisjoint(plan.absent_as)
    off = {area for area in plan.absent_in if state.declared.off(area)} if state.declared.places else set()
    if not (told or off or state.aside):
        return []
    return [
        i
        for i, one in enumerate(plan.by_kind[ABSENCE])
        if one.area in off or state.is_muted(one.rule.id) or published(state, one)
    ]
