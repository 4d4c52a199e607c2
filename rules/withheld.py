"""Colours of a silence that a mark keeps away: a step with `unless_marked` is taken at the first instant that none covers (docs/engine-semantics.md, "gap").

The kernel knows no marks. Where a rule and a facility have both, what it decided is looked at again here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from rules.changes import ChangeKind
from rules.kinds import gap
from rules.layout import GAP, NEVER
from rules.rule import GapRule

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rules.emission import Transition
    from rules.plan import Instance
    from rules.state import FacilityState

Steps = list[tuple[int, int, Sequence[str]]]
"""After how long (ms), to which colour, and the flags of marks that keep it away."""


def steps_of(rule: GapRule, interval: int) -> Steps:
    """Return the steps of a rule for series that are recorded every `interval` ms."""
    return [
        (step.after if step.after is not None else int((step.after_intervals or 0) * interval), step.to.rank, step.unless_marked or ())
        for step in rule.severity.steps
    ]  # fmt: skip


def free_from(state: FacilityState, slot: int, t: int, flags: Sequence[str]) -> int:
    """Return the first instant from `t` on that no mark of a series with one of the flags covers, NEVER while one is open."""
    sensor = state.planned.sensors[slot]
    return state.marks.free_from(sensor.tag, sensor.area, t, flags)


def free_place(state: FacilityState, slots: Iterable[int], t: int, flags: Sequence[str]) -> int:
    """Return the same of a place: while all its series are marked."""
    if not flags or not state.marks.by_id:
        return t
    return min((free_from(state, slot, t, flags) for slot in slots), default=t)


def is_asked(state: FacilityState, instance: Instance) -> bool:
    """Say whether marks may keep a colour of a silence away."""
    rule = instance.rule
    return bool(state.marks.by_id) and isinstance(rule, GapRule) and any(s.unless_marked for s in rule.severity.steps)


def by_clock(
    state: FacilityState, instance: Instance, before: int, transitions: list[Transition], due: int
) -> list[Transition]:
    """Return what the clock decides of a silence where marks are asked, and note what is due next.

    Args:
        state: with the block of the instance as the kernel left it.
        instance: of a gap rule.
        before: the colour that the silence had; 0 if it was none.
        transitions: what the kernel decided.
        due: the instant.
    """
    rule, reached = instance.rule, _lengths(state, instance)
    sev = max([rule.severity.base.rank, before])
    for at, colour, flags in reached:
        if at <= due and colour > sev and free_from(state, instance.slot, due, flags) == due:
            sev = colour
    state.words[instance.state + gap.SEV] = sev
    again(state, instance, due)
    told = [replace(one, sev=sev) for one in transitions]
    return [one for one in told if one.kind is not ChangeKind.STEPPED or sev > before]


def of_row(state: FacilityState, transitions: list[Transition]) -> list[Transition]:
    """Return what one row says: a silence that it ended, and that the clock had not raised, has the colour that no mark kept away."""
    found = list(transitions)
    for i, raised in enumerate(transitions):
        if raised.of != GAP or raised.kind is not ChangeKind.RAISED:
            continue
        instance = state.planned.by_state[raised.inst]
        if is_asked(state, instance):
            sev = _colour(state, instance, raised)
            for k in (i, i + 1):  # raised and cleared in one
                found[k] = replace(found[k], sev=sev)
    return found


def _colour(state: FacilityState, instance: Instance, raised: Transition) -> int:
    rule = instance.rule
    assert isinstance(rule, GapRule)  # noqa: S101 - of kind gap
    lo, sev = raised.start - state.param(instance, "pace"), rule.severity.base.rank
    for after, colour, flags in steps_of(rule, state.param(instance, "interval")):
        if colour <= raised.sev and free_from(state, instance.slot, lo + after, flags) < raised.at:
            sev = max(sev, colour)
    return sev


def again(state: FacilityState, instance: Instance, floor: int) -> None:
    """Note when the next colour of a silence is due, never before `floor` (ms, receive time)."""
    words, x = state.words, instance.state
    if not words[x + gap.ACTIVE]:
        return
    ahead = [
        max(free_from(state, instance.slot, max(at, floor), flags), floor)
        for at, colour, flags in _lengths(state, instance)
        if colour > words[x + gap.SEV]
    ]
    words[x + gap.DUE] = min([NEVER, *ahead])


def _lengths(state: FacilityState, instance: Instance) -> Steps:
    """Return the steps of a silence with the instants at which its length reaches them."""
    rule = instance.rule
    assert isinstance(rule, GapRule)  # noqa: S101 - of kind gap
    begin = (
        int(state.words[instance.state + gap.LO])
        + state.planned.facility.delivery
        + state.of_series("ext", instance.slot)
    )
    steps = steps_of(rule, state.param(instance, "interval"))
    return [(begin + after, colour, flags) for after, colour, flags in steps]
