"""The arrays of a facility as its snapshot holds them: the blocks of each kind together, and the rows of rings in order.

What follows from register and packs alone (where blocks stand, parameters) is not stored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rules import layout
from rules.kept import INPUTS, Kept
from rules.kinds import absence
from rules.kinds.table import KINDS
from rules.layout import (
    ABSENCE,
    DIFFERENCE,
    DURING,
    EXPOSURE,
    JUMP,
    LAST_DIGIT,
    NONE,
    REPEAT_DAY,
    ROW_T,
    ROW_WORDS,
    SMOOTH,
    STEADINESS,
    TOO_PRECISE,
)
from rules.models import Severity
from rules.snapshot import SnapshotError

if TYPE_CHECKING:
    from rules.layout import Words
    from rules.migrate import Layout
    from rules.plan import Plan
    from rules.snapshot import Body
    from rules.state import FacilityState

ROW_LAYOUT: Layout = [("time", "<i8", []), ("received", "<i8", []), ("batch_quality", "<i8", []), ("value", "<f8", [])]
LAYOUTS: dict[str, Layout] = {
    "series": layout.SERIES.layout(),
    "row": ROW_LAYOUT,
    **{spec.name: spec.state.layout() for spec in KINDS.values()},
    "inputs": [("rows", "<i8", [INPUTS])],
}
"""What snapshots call the words of a header, a row and a block of each kind. A migrator finds a field by its name."""
ONLY_WHERE_USED = frozenset(
    {DIFFERENCE, JUMP, REPEAT_DAY, TOO_PRECISE, SMOOTH, LAST_DIGIT, DURING, EXPOSURE, STEADINESS, ABSENCE}
)
"""Kinds that a snapshot names only where it holds some: without them it is that of the release before them, byte for byte."""
COLOURS = len(Severity)


def layouts_of(plan: Plan) -> dict[str, Layout]:
    """Return the layouts of a facility's snapshot: those of `ONLY_WHERE_USED` only where there are some."""
    unused = {KINDS[kind].name for kind in ONLY_WHERE_USED if not plan.by_kind[kind]}
    unused |= set() if plan.pairs else {"inputs"}
    return {name: fields for name, fields in LAYOUTS.items() if name not in unused}


def ring_rows(plan: Plan, words: Words, rings: Words, slot: int) -> Words:
    """Return the rows of a series' ring by event time: shape (rows, ROW_WORDS)."""
    s, ring = int(plan.series_at[slot]), plan.place(slot, layout.AT_RING)
    room = plan.number(slot, "ring_room")
    order = (words[s + layout.RING_HEAD] + np.arange(words[s + layout.RING_LEN])) % room
    rows: Words = rings[ring : ring + room * ROW_WORDS].reshape(room, ROW_WORDS)[order]
    return rows


def arrays_of(state: FacilityState, plan: Plan) -> dict[str, tuple[str, Words]]:
    """Return array -> (its layout, its words). Equal states give equal arrays."""
    headers = state.words[plan.series_at[:, None] + np.arange(layout.SERIES.words)]
    headers[:, layout.RING_HEAD] = 0
    rows = [ring_rows(plan, state.words, state.rings, slot) for slot in range(len(plan.sensors))]
    found = {"series": ("series", headers), "rings": ("row", np.concatenate(rows) if rows else headers[:0])}
    for kind, instances in plan.by_kind.items():
        spec = KINDS[kind]
        if kind in ONLY_WHERE_USED and not instances:
            continue
        inside = np.arange(spec.state.words)
        found[f"{spec.name}_head"] = (spec.name, state.words[_starts([one.state for one in instances]) + inside])
        if spec.again:
            found[f"{spec.name}_tail"] = (spec.name, state.tails[_starts([one.tail for one in instances]) + inside])
    if state.kept:
        inputs = [rows for kept in state.kept for rows in kept.rows[:INPUTS]]
        found["pair_rows"] = ("row", np.concatenate(inputs))
        found["pair_inputs"] = ("inputs", np.array([len(rows) for rows in inputs], np.int64))
    return found


def load(state: FacilityState, plan: Plan, body: Body) -> None:
    """Put the arrays of a snapshot into place.

    Raises:
        SnapshotError: one is not there, has other fields or another length than the plan asks for, or numbers that no fold leaves.
    """
    headers = _array(body, "series", "series", len(plan.sensors))
    lengths = headers[:, layout.RING_LEN]
    rooms = plan.numbers("ring_room")
    if headers[:, layout.RING_HEAD].any() or (lengths < 0).any() or (lengths > rooms).any():
        raise SnapshotError(f"snapshot of {body.facility}: its numbers are none that a fold leaves")
    state.words[plan.series_at[:, None] + np.arange(layout.SERIES.words)] = headers
    rows = _array(body, "rings", "row", int(lengths.sum()))
    ends = np.cumsum(lengths)
    back = np.flatnonzero(np.diff(rows[:, ROW_T]) <= 0) + 1
    if not np.isin(back, ends).all():  # within a ring time goes on; from one ring to the next it may go back
        raise SnapshotError(f"snapshot of {body.facility}: its numbers are none that a fold leaves")
    at, flat = plan.where[layout.AT_RING :: layout.PLACE.words].tolist(), rows.ravel()
    for ring, length, end in zip(at, (ROW_WORDS * lengths).tolist(), (ROW_WORDS * ends).tolist(), strict=True):
        state.rings[ring : ring + length] = flat[end - length : end]
    for kind, instances in plan.by_kind.items():
        spec = KINDS[kind]
        inside = np.arange(spec.state.words)
        for name, target, places in (
            (f"{spec.name}_head", state.words, [one.state for one in instances]),
            (f"{spec.name}_tail", state.tails, [one.tail for one in instances if one.tail != NONE]),
        ):
            if places:
                blocks = _array(body, name, spec.name, len(places))
                _judge(body, kind, blocks)
                target[_starts(places) + inside] = blocks
    if plan.pairs:
        _load_pairs(state, plan, body)


def _load_pairs(state: FacilityState, plan: Plan, body: Body) -> None:
    counts = _array(body, "pair_inputs", "inputs", len(plan.pairs))
    if (counts < 0).any():
        raise SnapshotError(f"snapshot of {body.facility}: its numbers are none that a fold leaves")
    rows = _array(body, "pair_rows", "row", int(counts.sum()))
    parts = np.split(rows, np.cumsum(counts.ravel())[:-1])
    if any((np.diff(part[:, ROW_T]) <= 0).any() for part in parts):
        raise SnapshotError(f"snapshot of {body.facility}: its numbers are none that a fold leaves")
    state.kept = [Kept([part.copy() for part in parts[i : i + INPUTS]]) for i in range(0, len(parts), INPUTS)]


def _judge(body: Body, kind: int, blocks: Words) -> None:
    """Refuse colours, phases and numbers of places that are none: they are looked up in tables."""
    fields = KINDS[kind].state
    most = absence.DISTANCES + 1 if kind == ABSENCE else layout.NEVER
    for name, bound in (
        ("sev", COLOURS),
        ("top", COLOURS),
        ("phase", layout.CLEARING + 1),
        ("active", 2),
        ("count", most),
    ):
        if name in fields and (name != "count" or kind == ABSENCE):
            column = blocks[:, fields[name].start]
            if ((column < 0) | (column >= bound)).any():
                raise SnapshotError(f"snapshot of {body.facility}: its numbers are none that a fold leaves")


def _array(body: Body, name: str, of: str, rows: int) -> Words:
    found, data = body.arrays.get(name, ("", b""))
    words = sum(int(np.prod(shape)) if shape else 1 for _, _, shape in LAYOUTS[of])
    if found != of or body.layouts.get(of) != LAYOUTS[of] or len(data) != 8 * words * rows:
        raise SnapshotError(f"snapshot of {body.facility}: its array {name} does not fit its register and packs")
    return np.frombuffer(data, np.int64).reshape(rows, words)


def _starts(places: list[int]) -> Words:
    return np.array(places, np.int64)[:, None]
