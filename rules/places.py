"""When an area or a whole feed falls silent: what its series sent last, and when more was due (ADR 0002)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rules.layout import NEVER, NONE

if TYPE_CHECKING:
    import numpy.typing as npt

    from rules.plan import Plan
    from rules.state import FacilityState

FEWEST = 2
"""Series that make a place: of one, its own alarm says the same (ADR 0002)."""


def refresh_due(state: FacilityState) -> None:
    """Recompute the earliest decision by the clock, silences of places included."""
    if state.refresh_due():
        state.next_due = min(state.next_due, next_rise(state))


def next_rise(state: FacilityState) -> int:
    """Return when the next place falls silent, as far as it depends on a series that is silent already.

    The others are never before their own silence, which is looked at together with its places (`candidates`).
    """
    plan = state.plan
    if plan is None:
        return NEVER
    active = np.flatnonzero(state.gap_column("active"))
    pairs = {(plan.gaps[i].rule.id, place) for i in active.tolist() for place in ("", plan.gaps[i].area)}
    return min((at for pair in pairs if (at := rises(state, plan, *pair)) is not None), default=NEVER)


def watched(plan: Plan) -> set[tuple[str, str]]:
    """Return (rule, place) of the silences that a plan groups."""
    return {
        (rule, place)
        for (rule, place), members in plan.silent.items()
        if plan.gap_param("area" if place else "facility", members[:1])[0]
    }


def rises(state: FacilityState, plan: Plan, rule_id: str, place: str) -> int | None:
    """Return when a place falls silent as a whole if nothing more comes, None if it cannot (docs/engine-semantics.md)."""
    if state.is_muted(rule_id):
        return None
    members, slots = plan.silent[rule_id, place], plan.places[place]
    wanted = plan.gap_param("area" if place else "facility", members[:1])[0]
    if not wanted or slots.size < FEWEST or _held(state, rule_id, place):
        return None
    own, delivery = plan.gap_slots[members], plan.facility.delivery
    newest, received = _last_row(state, slots), state.column("recv", own)
    last = received + delivery >= newest
    if not last.any():
        return None
    due = np.where(state.gap_column("active", members) == 1, NONE, state.gap_column("due", members))
    wait = np.where(received == newest, delivery, delivery * 3 // 2)
    due = np.maximum(due, newest + wait + state.column("ext", own))
    return max(int(due[last].min()), state.clock, state.floor)


def _last_row(state: FacilityState, slots: npt.NDArray[np.int64]) -> int:
    """Return when the newest row of these series was received; of those that never sent, when they were registered."""
    received = state.column("recv", slots)
    sent = state.column("batch", slots) != NONE
    return int((received[sent] if sent.any() else received).max())


def _held(state: FacilityState, rule_id: str, place: str) -> bool:
    """Say whether a group stands over a place, or one that has just ended is still to release its series."""
    return any(
        group.rule == rule_id
        and group.place in {"", place}
        and (group.occurrence.active or (group.release != NEVER and group.place != place))
        for group in state.groups
    )


def begin(state: FacilityState, plan: Plan, rule_id: str, place: str, due: int) -> tuple[int, int]:
    """Return the start of a place's silence, and the instant from which its colours count.

    Of its overdue series count those that stopped with it, and those whose record was due after its last row had come:
    a series that was dead before says nothing of when the others stopped.
    """
    members = plan.silent[rule_id, place]
    own, active, lo = plan.gap_slots[members], state.gap_column("active", members) == 1, state.gap_column("lo", members)
    newest = _last_row(state, plan.places[place])
    starts = np.where(active, state.gap_column("start_t", members), lo + plan.gap_param("pace", members))
    overdue = active | (state.gap_column("due", members) <= due)
    last = state.column("recv", own) + plan.facility.delivery >= newest
    chosen = overdue & (last | (starts > newest))
    return int(starts[chosen].min()), int((lo + state.column("ext", own))[chosen].min())
