"""Which silences of places are forgotten when another one is raised: nothing can retract them, and their start cannot come again.

Most of the time none is, and that is seen without looking at any: thousands of areas may fall silent one after the other.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from rules import horizon, opengaps
from rules.layout import GAP, HORIZON_MS, NONE

if TYPE_CHECKING:
    from rules.groups import Group
    from rules.plan import Plan
    from rules.state import FacilityState

WAITING = 256
"""Ended groups of a facility that are kept only because all they suppressed may still be retracted; older ones are forgotten."""


def drop_old(state: FacilityState, plan: Plan, newest: int) -> None:
    """Forget groups that nothing can retract any more and whose start (and so whose id) cannot come again.

    Late data reach so far behind the newest row. A group is retracted once all that it suppressed is, so it is kept while each
    of these is retracted or may still be. Of those that nothing can retract the newest of its start tells the next use.

    Args:
        state: of the facility.
        plan: its plan.
        newest: event time of its newest row, ms.
    """
    groups = state.groups
    ended, repeated = groups.ended_until(newest - HORIZON_MS), groups.repeated()
    if ended.size:
        # A rule that lasts or comes again takes these starts, and a place takes that of a tag it is left with.
        ahead = state.gap_column("lo") + plan.gap_param("pace", np.arange(len(plan.gaps)))
        taken = np.where(state.gap_column("active") == 1, state.gap_column("start_t"), NONE)
        old = groups.without_again(ended, ahead, taken)
    else:
        old = []
    if old or repeated:
        _Forgetting(state, plan, {one.number: one for one in old}, {one.number: one for one in repeated}).take()


def _order(group: Group) -> tuple[bool, int]:
    """Return by what groups are gone through: the areas before the facility that may hang on them, newest first."""
    return not group.place, -group.number


@dataclass(slots=True)
class _Forgetting:
    """Which of the groups go that nothing but what they suppressed may still hold. The others stay."""

    state: FacilityState
    plan: Plan
    old: dict[int, Group]
    """Those that ended behind the reach of late data, and whose start comes again with no series, by number ..."""
    repeated: dict[int, Group]
    """... and those of which a newer one tells the next use."""
    away: set[int] = field(default_factory=set)
    """Those of them that are kept although their place is not watched: who comes back counts from there."""
    queue: list[Group] | None = None
    """Those that have ended and may still be retracted, as far as their own books say; made where it is asked for first."""
    before: dict[int, int] = field(default_factory=dict)
    """Of those of them that were gone through: how many before them wait for that (at most WAITING are counted) ..."""
    counted: int = 0
    """... and how many of all these do."""
    open_groups: dict[int, bool] = field(default_factory=dict)
    """Areas' groups of which it was found out whether something may still retract them."""

    def take(self) -> None:
        """Forget them."""
        old = sorted((one for one in self.old.values() if one.number not in self.repeated), key=_order)
        self.away = self._away(old)
        gone = [one for one in old if not (self._stays(one) or self._waits_in_time(one))]
        self.state.groups.drop([*self.repeated.values(), *gone])

    def _away(self, old: list[Group]) -> set[int]:
        """Return the newest of the groups whose place is not watched, or under a rule that is put aside, and whose start may come again then."""
        state, plan = self.state, self.plan
        # What is put aside comes back, and is not watched until then.
        found = [one for one in old if one.key not in plan.grouped or state.is_muted(one.rule)]
        if not found:
            return set()
        # A rule that comes back counts from the newest row of a series, or from its registration, whatever its numbers are then.
        oldest = min(max(state.of_series("last_t", slot), state.registered[tag]) for tag, slot in plan.slots.items())
        return {one.number for one in [one for one in found if one.occurrence.first_start > oldest][:WAITING]}

    def _stays(self, group: Group) -> bool:
        return group.number not in self.old or group.number in self.away

    def _waits_in_time(self, group: Group) -> bool:
        """Say whether an ended group may still be retracted, and is one of the newest of which that is all that keeps them."""
        return _waits(group) and self._is_open(group) and self._before(group) < WAITING

    def _before(self, group: Group) -> int:
        """Return how many groups before one that may wait do so."""
        if self.queue is None:
            self.queue = sorted((one for one in self.state.groups if _waits(one)), key=_order, reverse=True)
        while group.number not in self.before:
            other = self.queue.pop()
            self.before[other.number] = self.counted
            if self.counted < WAITING:
                self.counted += self._is_open(other)
        return self.before[group.number]

    def _is_open(self, group: Group) -> bool:
        """Say whether all that a group suppressed is retracted or may still be."""
        return all(gone or self._may_go(alarm) for alarm, gone in group.occurrence.children.items())

    def _may_go(self, alarm: str) -> bool:
        """Say whether an alarm stands, or may still be retracted by late data."""
        lower = self.state.groups.by_alarm(alarm)
        if lower is not None and lower.place:
            return self._group_may_go(lower)
        tag = self.state.groups.tag_of(alarm)
        slot = None if tag is None else self.plan.slots.get(tag[1])
        if tag is None or slot is None:
            return False
        plan, state = self.plan, self.state
        edge = horizon.edge_of(plan.params, plan.where, slot, state.words, state.rings)
        rows = [one for one in state.occurrences.get((GAP, *tag), ()) if one.alarm == alarm and not one.retracted]
        if any(one.end == NONE or one.end > edge for one in rows):
            return True
        # A gap that has left the horizon and is open yet may be filled (rules/opengaps.py).
        open_gaps = opengaps.windows(state, GAP, slot)
        return any(
            low < max(one.closed, one.opened, one.first_start) and one.opened <= high
            for one in rows
            for low, high in open_gaps
        )

    def _group_may_go(self, lower: Group) -> bool:
        """Say the same of the silence of an area, under that of the facility."""
        known = self.open_groups.get(lower.number)
        if known is None:
            can_go = lower.held and not lower.occurrence.retracted and lower.number not in self.repeated
            known = can_go and self._is_open(lower) and (self._stays(lower) or self._before(lower) < WAITING)
            self.open_groups[lower.number] = known
        return known


def _waits(group: Group) -> bool:
    occurrence = group.occurrence
    return not occurrence.active and bool(occurrence.children) and not occurrence.retracted
