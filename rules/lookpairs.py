"""Deciding the horizon of a pair again with the numbers of new packs: `migration: re-evaluate` (docs/engine-semantics.md, "Register and packs"; ADR 0086).

The tail of a pair stands where its horizon begins, as the old numbers left it, and the rows of both inputs behind it are kept. They are
folded with the new numbers; then the horizon ends, as with any change of packs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rules import again, carry, formerpairs, pairdoors, paired
from rules.kept import Kept
from rules.kinds import difference

if TYPE_CHECKING:
    from rules import kernels
    from rules.layout import Words
    from rules.occurrence import Folded
    from rules.plan import Instance
    from rules.state import FacilityState


@dataclass(frozen=True, slots=True)
class PairEdge:
    """What a pair knew where its horizon begins, and the rows from there on."""

    block: Words
    params: Words
    """The old ones."""
    measured: list[str]
    """Its inputs, each with what it measures."""
    floor: int
    kept: Kept
    closed: int
    """The old delay while the doors are closed, ms."""


def take(state: FacilityState, pair: Instance) -> PairEdge | None:
    """Return the edge of a pair of which nothing waits; None where a sensor was an input inside its horizon that is none now."""
    plan, kept = state.planned, state.kept[pair.place]
    now = plan.tags_of(pair)
    if any(one.tags != now for one in formerpairs.of(state, pair)):
        return None
    block = state.tails[pair.tail : pair.tail + difference.STATE.words].copy()
    return PairEdge(
        block, plan.block(pair).copy(), plan.measured(pair), state.of(pair, "floor"), Kept(list(kept.rows)),
        pairdoors.delay_of(pair.rule),
    )  # fmt: skip


def is_changed(state: FacilityState, pair: Instance, edge: PairEdge) -> bool:
    """Say whether the plan just adopted judges the same inputs by other numbers."""
    alike = np.array_equal(edge.params, state.planned.block(pair)) and edge.closed == pairdoors.delay_of(pair.rule)
    return not alike and edge.measured == state.planned.measured(pair)


def fold(state: FacilityState, pair: Instance, edge: PairEdge, received: int, room: kernels.Room) -> list[Folded]:
    """Fold the rows behind an edge with the numbers in force now; the pair's state becomes the outcome. Returns its occurrences from there on."""
    words, x, size = state.words, pair.state, difference.STATE.words
    words[x : x + size] = edge.block
    state.kept[pair.place] = edge.kept
    formerpairs.forget_steps(words, x, edge.params, state.planned.block(pair))
    carry.schedule_at(state, pair, state.of(pair, "seen_t"), state.of(pair, "seen_m"))
    folded = again.standing(state, pair)
    paired.refold(state, pair, edge.floor, received, folded, room)
    state.kept[pair.place] = Kept()  # the horizon ends
    words[x + difference.FLOOR] = max(edge.floor, state.of(pair, "seen_t"))
    state.tails[pair.tail : pair.tail + size] = words[x : x + size]
    carry.schedule(state, pair, received)
    return folded
