"""Deciding the horizon again with the numbers of new packs: `migration: re-evaluate` (docs/engine-semantics.md, "Register and packs").

Before the new plan is adopted, what an instance knew where its horizon begins is put together with the old numbers. Behind that the rows
of the horizon are folded with the new ones, and what is different from what was told goes out, as with late rows. Then the horizon ends,
as with any change of numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from rules import again, carry, horizon, layout, lookpairs
from rules.exceptions import stands_in
from rules.failing import attempt
from rules.kinds import cumulative, difference, mean_kinetic
from rules.kinds.table import KINDS
from rules.layout import CUMULATIVE, MEAN_KINETIC
from rules.stored import ring_rows

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rules import kernels
    from rules.changes import RecordRead
    from rules.emission import Emitter
    from rules.layout import Words
    from rules.lookpairs import PairEdge
    from rules.occurrence import Folded
    from rules.plan import Instance, Plan
    from rules.state import FacilityState


Edges: TypeAlias = "dict[tuple[int, str, str], Edge | PairEdge]"
"""By kind and key of their instance."""
JUDGES = {
    CUMULATIVE: [cumulative.TOTAL, cumulative.BELOW, cumulative.UNKNOWN_MS, cumulative.SEV_BASE],
    MEAN_KINETIC: [mean_kinetic.ABOVE, mean_kinetic.CLEAR_AT, mean_kinetic.SEV_BASE],
}
"""Kind that sums rows which have left the horizon -> the numbers that only judge the sum. Where another one differs, what has left would
have been summed in another way, and nobody can: the instance is carried."""


@dataclass(frozen=True, slots=True)
class Edge:
    """What an instance knew where the horizon of its series begins, and the rows from there on."""

    block: Words
    params: Words
    """The old ones."""
    header: Words
    """Of the series; its ring begins with the first of `rows`."""
    rows: Words
    begin: int
    """How many of the rows lie before the horizon: the last of them tells when the next was due."""
    stands: Words
    """Which of the rows the instance takes as they were folded (rules/marks.py), for a series and an instance of any number."""


def take(state: FacilityState, rules: Iterable[str], room: kernels.Room) -> Edges:
    """Return the edges of the instances of some rules; the state stays as it is."""
    plan, chosen = state.plan, set(rules)
    found: Edges = {}
    if plan is None or not chosen:
        return found
    for kind, instances in plan.by_kind.items():
        for instance in instances:
            if instance.rule.id not in chosen or state.is_muted(instance.rule.id) or stands_in(instance.limits):
                continue  # what was decided under a site exception stands as it was decided
            edge = lookpairs.take(state, instance) if instance.slots else _edge(state, plan, instance, room)
            if edge is not None:
                found[kind, *instance.key] = edge
    return found


def _edge(state: FacilityState, plan: Plan, instance: Instance, room: kernels.Room) -> Edge:
    size, at = KINDS[instance.kind].state.words, int(plan.series_at[instance.slot])
    mine, header = slice(instance.state, instance.state + size), slice(at, at + layout.SERIES.words)
    before = state.words[mine].copy(), state.words[header].copy()
    program, ring = plan.place(instance.slot, layout.AT_PROGRAM), plan.place(instance.slot, layout.AT_RING)
    horizon.gone(
        plan.params, program, state.words, at, state.rings, ring
    )  # rows leave the horizon when one is looked for
    begin = horizon.rewind(
        plan.params, plan.reals, plan.where, instance.slot, instance.call, state.words, state.floats, state.tails,
        state.rings, state.ring_floats, size, state.stands, room.scratch,
    )  # fmt: skip
    rows = ring_rows(plan, state.words, state.rings, instance.slot).copy()
    taken = sorted(state.marks.standing.get((instance.kind, *instance.key), ()))
    stands = np.array([(0, t, -1) for _, t in taken], np.int64).reshape(len(taken), 3)
    edge = Edge(state.words[mine].copy(), plan.block(instance).copy(), state.words[header].copy(), rows, begin, stands)
    state.words[mine], state.words[header] = before
    return edge


def decide(
    state: FacilityState, edges: Edges, received: int, why: RecordRead, emitter: Emitter,
    room: kernels.Room,
) -> None:  # fmt: skip
    """Decide instances again whose numbers are others in the plan just adopted, and emit what is different; by rule and tag, or pair."""
    instances = [
        one
        for kind, found in state.planned.by_kind.items()
        for one in found
        if (kind, *one.key) in edges
        and not stands_in(one.limits)  # nor does one that comes reach back
        and _is_changed(state, one, edges[kind, *one.key])
    ]  # fmt: skip
    for instance in sorted(instances, key=lambda one: (one.rank, one.key[1])):
        edge = edges[instance.kind, *instance.key]
        if isinstance(edge, Edge):
            tail_t = int(edge.header[layout.GONE_T])
            folded = _folded(state, instance, edge, received, room)
        else:
            tail_t = edge.floor
            folded = lookpairs.fold(state, instance, edge, received, room)
        behind = state.tail_of(instance)
        _end_at(state, instance, tail_t)  # what had these starts is known while they are told
        for found in again.compared(state, instance, folded, tail_t):
            step = partial(emitter.late, instance.kind, instance, found, received, received, [why], late=False)
            attempt(emitter, instance.rule.id, received, step)
        _end_at(state, instance, behind)
    if instances:
        carry.settle(state)


def _end_at(state: FacilityState, instance: Instance, t: int) -> None:
    """Let the horizon of an instance begin behind an event time."""
    if instance.slots:
        state.words[instance.state + difference.FLOOR] = t
    else:
        state.put("gone_t", instance.slot, t)


def _is_changed(state: FacilityState, instance: Instance, edge: Edge | PairEdge) -> bool:
    """Say whether the horizon of an instance is decided again: its numbers are others, and nothing else of what they judge."""
    if not isinstance(edge, Edge):
        return lookpairs.is_changed(state, instance, edge)
    new = state.planned.block(instance)
    return not np.array_equal(edge.params, new) and _is_summed_alike(instance.kind, edge.params, new)


def _is_summed_alike(kind: int, old: Words, new: Words) -> bool:
    """Say whether new numbers only judge what was summed with the old ones, or nothing is summed."""
    judges = JUDGES.get(kind)
    return judges is None or np.array_equal(np.delete(old, judges), np.delete(new, judges))


def _folded(state: FacilityState, instance: Instance, edge: Edge, received: int, room: kernels.Room) -> list[Folded]:
    """Fold the rows behind an edge; the instance's state becomes the outcome. Returns its occurrences from there on."""
    plan = state.planned
    x, size = instance.state, edge.block.size
    state.words[x : x + size] = edge.block
    if instance.kind == layout.LIMIT:
        carry.forget_steps(state, instance, edge.params)
    newest = edge.rows[edge.begin - 1] if edge.begin else None
    last_t = edge.header[layout.TAIL_T] if newest is None else newest[layout.ROW_T]
    last_m = edge.header[layout.TAIL_M] if newest is None else newest[layout.ROW_M]
    carry.schedule_at(state, instance, last_t, last_m)
    folded = again.standing(state, instance)
    # A series of its own: the ring that was, which the plan in force has no place for.
    at = int(plan.series_at[instance.slot])
    words = np.concatenate([edge.header, state.words[at + layout.SERIES.words : x + size]])
    words[layout.RING_HEAD] = 0
    rings = np.zeros(max(edge.rows.size, plan.number(instance.slot, "ring_room") * layout.ROW_WORDS), np.int64)
    rings[: edge.rows.size] = edge.rows.ravel()
    where = np.array([0, 0, 0, plan.place(instance.slot, layout.AT_PROGRAM)], np.int64)
    n = horizon.refold(
        plan.params, plan.reals, where, 0, instance.call, words, words.view(np.float64), rings, rings.view(np.float64),
        edge.begin, received, edge.stands, room.out,
    )  # fmt: skip
    again.take(folded, room.out[:n])
    state.words[x : x + size] = words[x - at : x - at + size]
    carry.schedule(state, instance, received)
    return folded
