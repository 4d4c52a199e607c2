"""What a declared state makes of series: instances of rules that hold only during it know its spans, and are decided again when these are others.

What has left the horizon of a series stays as it was judged by what was known then: the tails move there first. The rest waits, as late rows do, until
nothing of the receive time can come any more (rules/late.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rules import absence, kernels, layout, opengaps
from rules.kinds import during
from rules.kinds.table import KINDS, SPANNED
from rules.layout import ABSENCE, NONE

if TYPE_CHECKING:
    from rules.plan import Instance, Plan
    from rules.records import Event
    from rules.state import FacilityState


def meet(state: FacilityState, event: Event, at: int) -> None:
    """Take what an event tells of a declared state; `at` is the event time that counts, ms."""
    plan = state.planned
    area = state.declared.take(event, at, plan.facility, plan.asked)
    if area is not None:
        _refit(state, plan, area, state.declared.spans(area), at)
        absence.arm(state, (one for one in plan.by_kind[ABSENCE] if one.area == area))


def instances_of(plan: Plan) -> list[Instance]:
    """Return the instances of rules that hold only during a declared state."""
    return [one for kind in SPANNED for one in plan.by_kind[kind]]


def inscribe(state: FacilityState) -> None:
    """Let all instances know what is declared: a plan was adopted, or some of them begin anew."""
    plan = state.planned
    state.declared.keep(plan.asked)
    for instance in instances_of(plan):
        _inscribe(state, instance, state.declared.spans(instance.area))


def _inscribe(state: FacilityState, instance: Instance, spans: list[tuple[int, int]]) -> None:
    inside = KINDS[instance.kind].state["spans"].start
    during.inscribe(state.words, instance.state + inside, spans)
    during.inscribe(state.tails, instance.tail + inside, spans)


def _refit(state: FacilityState, plan: Plan, area: str, spans: list[tuple[int, int]], at: int) -> None:
    """Let the series of an area know other spans; what their horizon holds waits to be decided again."""
    instances = [one for one in instances_of(plan) if one.area == area]
    scratch = np.zeros(kernels.PER_ROW * (layout.MAX_ROWS + layout.SLACK_ROWS), layout.OUT)
    for slot in sorted({one.slot for one in instances}):
        edge = opengaps.leave(state, slot, scratch)
        state.declared.counts["trip_span_left_out"] += sum(end > edge for _, end in spans[: -during.SPANS])
        if state.of_series("ring_len", slot) > 0:
            earliest, newest = state.late[slot, :2].tolist()
            state.late[slot, :2] = edge + 1 if earliest == NONE else min(earliest, edge + 1), max(newest, at)
    for one in instances:
        _inscribe(state, one, spans)
