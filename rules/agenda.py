"""What is decided at one instant of the clock, in order: by rule, level and subject (docs/engine-semantics.md, "Clock and order").

All that is due is looked up once, however much it is, and taken one after the other as long as nothing that was decided can have made another thing
due before the next. A decision makes no series, area or pair due but its own; beyond that there are four:

- a silence of a place keeps its own place from falling silent, and that of the whole feed its areas: asked of each when it comes;
- a silence of the whole feed that releases what it had covered lets areas fall silent by themselves: everything is looked up again;
- so it is where a rule raised and is put aside,
- and where a rule over rare records, or over excursions, heard of it, and decides at the same instant.

Of legal clocks a thousand may be due at once; their own heap names one after the other.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from rules import places
from rules.rare import fold as rare
from rules.silence import AREA, FACILITY, TAG

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rules.emission import Emitter
    from rules.groups import Group
    from rules.plan import Instance
    from rules.state import FacilityState

RISES, GROUP = -2, -1
"""Kinds of entries that are no instance's: a place that falls silent, before the next colour or the release of one that did."""


class Entry(NamedTuple):
    """One decision; entries are taken in the order of their members."""

    rank: int
    """The rule's place in the bundle."""
    level: int
    name: str
    """Tag, name of the pair, area (empty for the facility), or subject of the case."""
    kind: int = RISES
    """Of the instance, RISES or GROUP."""
    i: int = -1
    """Where the instance's block stands, or the group's number."""


class Agenda:
    """The decisions of one facility that are due at one instant."""

    def __init__(self, state: FacilityState, due: int, emitter: Emitter) -> None:
        """Look up what is due at `due`, the earliest instant at which anything is (ms)."""
        self._state, self._due, self._emitter = state, due, emitter
        self._failures = len(emitter.failures)
        self._asks_anew = False
        self._groups: dict[int, Group] = {}
        rare.forget_soonest(state)
        self._entries = [
            *self._series(),
            *self._places(),
            *(Entry(*one) for one in rare.candidates(state, due, emitter)),
        ]
        heapify(self._entries)

    def _series(self) -> Iterator[Entry]:
        plan = self._state.planned
        for slot in np.flatnonzero(self._state.due == self._due).tolist():
            if slot >= len(plan.sensors):
                yield _entry(plan.pairs[slot - len(plan.sensors)])
            else:
                yield from self._of_slot(slot)

    def _of_slot(self, slot: int) -> Iterator[Entry]:
        for instance in self._state.planned.by_slot[slot]:
            if self._state.of(instance, "due") == self._due:
                yield _entry(instance)

    def _places(self) -> Iterator[Entry]:
        state, bundle = self._state, self._emitter.bundle
        for group in state.groups.due_at(self._due):
            yield self._of_group(group)
        for rule, place in places.rising_next(state):
            yield Entry(bundle.rank(rule), AREA if place else FACILITY, place)

    def _of_group(self, group: Group) -> Entry:
        self._groups[group.number] = group
        rank, level = self._emitter.bundle.rank(group.rule), AREA if group.place else FACILITY
        return Entry(rank, level, group.place, GROUP, group.number)

    def group(self, entry: Entry) -> Group:
        """Return the group of an entry of kind GROUP."""
        return self._groups[entry.i]

    def next(self) -> Entry | None:
        """Return the next decision; None: there is none, or it has to be looked up anew which it is."""
        while self._entries and not self._asks_anew:
            entry = heappop(self._entries)
            if self._is_due(entry):
                return entry
            if entry.level == rare.LEVEL:
                self._next_clock(entry)
        return None

    def _is_due(self, entry: Entry) -> bool:
        state, rule = self._state, self._emitter.bundle.rules[entry.rank]
        if entry.level == rare.LEVEL:
            return rare.is_due(state, rule, entry.name, self._due)
        if entry.level == TAG:
            return self._due_of(state.planned.by_state[entry.i]) == self._due
        if entry.kind == RISES:
            return not places.is_held(state, rule.id, entry.name)
        group = self._groups[entry.i]
        return self._due in (group.due, group.release)

    def _due_of(self, instance: Instance) -> int:
        state = self._state
        if instance.slots:
            return int(state.due[len(state.planned.sensors) + instance.place])
        return state.of(instance, "due")

    def taken(self, entry: Entry) -> None:
        """Take notice that a decision was taken: it may have made itself due again, or something else."""
        state, due = self._state, self._due
        if len(self._emitter.failures) > self._failures or rare.is_heard(state, due):
            self._asks_anew = True
        elif entry.level == TAG:
            self._again(state.planned.by_state[entry.i])
        elif entry.level == rare.LEVEL:
            self._asks_anew = not entry.name  # a check of the register or of a month, of many subjects
            self._next_clock(entry)
        elif entry.kind == GROUP:
            group = self._groups[entry.i]
            self._asks_anew = not (group.place or group.occurrence.active)
            if due in (group.due, group.release):
                heappush(self._entries, entry)

    def _next_clock(self, entry: Entry) -> None:
        """Of clocks one is looked up at a time: behind one that was decided the next."""
        bundle = self._emitter.bundle
        found = rare.behind(self._state, bundle.rules[entry.rank], self._due)
        if found is not None:
            heappush(self._entries, Entry(bundle.rank(found[0]), rare.LEVEL, found[1], -1, -1))

    def _again(self, instance: Instance) -> None:
        state = self._state
        next_due = int(state.due[instance.slot]) if not instance.slots else self._due_of(instance)
        if next_due < self._due:
            self._asks_anew = True
        elif next_due == self._due:
            for entry in [_entry(instance)] if instance.slots else self._of_slot(instance.slot):
                heappush(self._entries, entry)


def _entry(instance: Instance) -> Entry:
    return Entry(instance.rank, TAG, instance.key[1], instance.kind, instance.state)
