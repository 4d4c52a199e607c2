"""What a mark does to rows: those that come are marked by what is known then, those of the horizon are decided again (ADR 0042).

A row that a mark covers counts no more for the rules that skip marked rows. What had been told before the mark came stands: an instance
with an alarm there takes the rows as they were folded, and the alarm is `amended` with the mark in evidence; an officer decides.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from rules import horizon, kernels, late, layout, paired, silence, withheld
from rules.changes import RecordRead
from rules.declared import LONGEST_MS
from rules.failing import attempt
from rules.kinds import difference
from rules.kinds.table import SPANNED
from rules.layout import (
    ABSENCE,
    CUMULATIVE,
    DIFFERENCE,
    DURING,
    EXPOSURE,
    GAP,
    JUMP,
    LIMIT,
    MARKED_LATER,
    MARKED_ROW,
    MEAN_KINETIC,
    NONE,
    QUALITY_BITS,
    ROW_BQ,
    ROW_T,
    SET_ROW,
    SMOOTH,
)
from rules.marks import COVERS, MARKED, SET
from rules.records import Kind, Quality
from rules.rule import CumulativeRule

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy.typing as npt

    from rules.emission import Emitter
    from rules.layout import Words
    from rules.marks import Declaration
    from rules.occurrence import Occurrence
    from rules.plan import Instance, Plan
    from rules.records import Readings
    from rules.state import FacilityState

SKIPPING = frozenset({LIMIT, CUMULATIVE, MEAN_KINETIC, DIFFERENCE, JUMP, SMOOTH, DURING, EXPOSURE})
"""Kinds whose rules may skip marked rows (`marked: skip`)."""
GOOD, OVER_LIMIT = int(Quality.GOOD), int(Quality.OVER_LIMIT)
_QUALITY = (1 << QUALITY_BITS) - 1


@dataclass(frozen=True, slots=True)
class _Moved:
    """Event times of rows that count differently now, by event time: all, those that were marked, those from which a mark was taken."""

    times: list[int]
    marked: list[int]
    freed: list[int]


def covered(state: FacilityState, plan: Plan, payload: Readings) -> Readings:
    """Return a batch with the rows marked that a mark covers which is known by now."""
    if not state.marks.by_id:
        return payload
    quality, begin = payload.quality, 0
    for tag, count in zip(payload.tags, payload.counts.tolist(), strict=True):
        slot, rows = plan.slots.get(tag), slice(begin, begin + count)
        begin += count
        if slot is None:
            continue
        code = _codes(state, slot, payload.time[rows])
        free = np.isin(payload.quality[rows], (GOOD, OVER_LIMIT)) & (code > 0)
        if free.any():
            quality = quality.copy() if quality is payload.quality else quality
            quality[rows] = np.where(free, code + (payload.quality[rows] == OVER_LIMIT), payload.quality[rows])
    return payload if quality is payload.quality else replace(payload, quality=quality)


def decide(
    state: FacilityState,
    before: Declaration | None,
    one: Declaration,
    received: int,
    emitter: Emitter,
    room: kernels.Room,
) -> None:
    """Take a mark into force: what stands is amended, the rows of the horizon are marked, and decided again.

    Args:
        state: of a facility with a plan; nothing of it waits to be decided.
        before: the revision that was in force, if any.
        one: the revision that came.
        received: its receive time, ms.
        emitter: of its record.
        room: of the compiled fold.
    """
    plan, read = state.planned, [RecordRead(kind=Kind.MARK, id=one.name)]
    slots = slots_of(state, one)
    if one.is_timely:
        for instance in _skipping(plan, slots, also=(GAP, ABSENCE)):
            for occurrence in _touched(state, instance, one, received):
                step = partial(emitter.marked, instance, occurrence, one, received, read)
                attempt(emitter, instance.rule.id, received, step)
    every = sorted({*slots, *([] if before is None else slots_of(state, before))})
    moved_of = range(len(plan.sensors)) if state.marks.dropped else every
    silence.declare(state, one, slots, moved_of, received, emitter)
    keep_away(state, moved_of, received)
    if one.flag not in COVERS and (before is None or before.flag not in COVERS):
        return
    changed: list[int] = []
    for slot in every:
        ring, order = _ring(state, plan, slot)
        codes = _codes(state, slot, ring[order, ROW_T])
        moved = _mark(ring, order, codes, _came(state, slot, one), _marking(state, slot, before))
        if moved.times:
            state.late[slot, :2] = moved.times[0], moved.times[-1]
            changed.append(slot)
            for instance in _skipping(plan, [slot]):
                if not instance.slots:
                    _let_stand(state, instance, 0, moved)
    pairs = _mark_pairs(state, plan, every, one, before)
    state.let_stand()
    late.decide(state, changed, emitter, room, read, late=False)
    for pair, earliest in sorted(
        pairs.items(), key=lambda entry: (plan.pairs[entry[0]].rank, plan.pairs[entry[0]].key)
    ):
        paired.decide_again(state, plan.pairs[pair], emitter, room, received, earliest, read)


def keep_away(state: FacilityState, slots: Iterable[int], received: int) -> None:
    """Note when the next colour of silences is due, now that other marks, places or rules are known; nothing is due before `received` (ms)."""
    for slot in slots if state.marks.by_id else ():
        for instance in state.planned.by_slot[slot]:
            if instance.kind == GAP:
                withheld.again(state, instance, received)
                state.refresh(slot)


def _codes(state: FacilityState, slot: int, times: Words) -> Words:
    """Return the quality that marks give to a good row of each instant, 0 where none covers it; a value that was set is none that was measured."""
    sensor, found = state.planned.sensors[slot], np.zeros(times.size, np.int64)
    for flags, code in ((MARKED, MARKED_ROW), (SET, SET_ROW)):
        begins, ends = state.marks.spans(sensor.tag, sensor.area, flags)
        if begins:
            place = np.searchsorted(begins, times, "right") - 1
            found[(place >= 0) & (times <= np.array(ends)[place])] = code
    return found


def slots_of(state: FacilityState, one: Declaration) -> list[int]:
    """Return the series that a mark is about at some time of it, in their order."""
    plan = state.planned
    if one.tags:
        return sorted(plan.slots[tag] for tag in one.tags if tag in plan.slots)
    here = plan.places[one.area].tolist() if one.area in plan.places else []
    moved = (plan.slots[tag] for tag in state.marks.stays if tag in plan.slots)
    return [slot for slot in sorted({*here, *moved}) if _spans(state, slot, one)]


def _spans(state: FacilityState, slot: int, one: Declaration) -> list[tuple[int, int]]:
    """Return the parts of a mark that are about a series; event times, both ends inside."""
    sensor = state.planned.sensors[slot]
    return state.marks.about(one, sensor.tag, sensor.area)


def _came(state: FacilityState, slot: int, one: Declaration) -> list[tuple[int, int]]:
    """Return the parts in which a mark that came marks the rows of a series that had come before it."""
    return _marking(state, slot, one) if one.is_timely else []


def _marking(state: FacilityState, slot: int, one: Declaration | None) -> list[tuple[int, int]]:
    """Return the parts in which a mark marks the rows of a series."""
    return _spans(state, slot, one) if one is not None and one.flag in COVERS else []


def _overlaps(state: FacilityState, instance: Instance, one: Declaration, begin: int, end: int) -> bool:
    """Say whether a mark is about a series of an instance at an instant of a span, both ends inside."""
    sensors = (state.planned.sensors[slot] for slot in instance.reads)
    return any(state.marks.overlaps(one, sensor.tag, sensor.area, begin, end) for sensor in sensors)


def _skipping(plan: Plan, slots: list[int], also: tuple[int, ...] = ()) -> Iterator[Instance]:
    """Yield the instances on some series whose rules skip marked rows, and those of more kinds; by rule, then by tag or pair."""
    found = [one for slot in slots for one in plan.by_slot[slot]]
    found += [plan.pairs[i] for i in sorted({pair for slot in slots for pair, _ in plan.inputs.get(slot, ())})]
    chosen = [one for one in found if one.kind in also or (one.kind in SKIPPING and one.rule.marked == "skip")]
    yield from sorted(chosen, key=lambda one: (one.rank, one.key[1]))


def _touched(state: FacilityState, instance: Instance, one: Declaration, received: int) -> list[Occurrence]:
    """Return what stands of an instance and overlaps a mark: open, up to now (`received`, ms), or ended inside the horizon."""
    if instance.kind == MEAN_KINETIC:  # of a year; an hour explains nothing of it
        return []
    if instance.kind in {GAP, ABSENCE}:
        return [
            told
            for told in state.occurrences.get((instance.kind, *instance.key), [])
            if told.active and told.by is None and _overlaps(state, instance, one, told.start, received)
        ]
    plan = state.planned
    edge = state.tail_of(instance)
    if not instance.slots:
        edge = max(edge, horizon.edge_of(plan.params, plan.where, instance.slot, state.words, state.rings))
    before = 0
    if isinstance(instance.rule, CumulativeRule):
        before = instance.rule.window if instance.kind == CUMULATIVE else LONGEST_MS
    return [
        told
        for told in state.occurrences.get((instance.kind, *instance.key), [])
        if not told.retracted
        and (
            told.active or (told.closed > edge and instance.kind not in SPANNED)
        )  # what an officer closed is done with
        and _overlaps(state, instance, one, told.start - before, received if told.active else told.end)
    ]


def _ring(state: FacilityState, plan: Plan, slot: int) -> tuple[Words, Words]:
    """Return the ring of a series as rows, and where those of its horizon stand, by event time."""
    s, at, room = int(plan.series_at[slot]), plan.place(slot, layout.AT_RING), plan.number(slot, "ring_room")
    order = (state.words[s + layout.RING_HEAD] + np.arange(state.words[s + layout.RING_LEN])) % room
    rows = state.rings[at : at + room * layout.ROW_WORDS].reshape(room, layout.ROW_WORDS)
    edge = horizon.edge_of(plan.params, plan.where, slot, state.words, state.rings)
    return rows, order[rows[order, ROW_T] > edge]


def _mark(
    rows: Words, order: Words, codes: Words, came: list[tuple[int, int]], before: list[tuple[int, int]]
) -> _Moved:
    """Mark rows that were folded, and take marks from them that no longer cover them.

    Args:
        rows: shape (any, ROW_WORDS); changed in place.
        order: which of them, by event time.
        codes: what the marks in force make of each of these (`_codes`).
        came: where the one that came marks rows of the series.
        before: where its revision before marked rows of the series: what it covered, and none covers now, is freed.
    """
    times, quality = rows[order, ROW_T], rows[order, ROW_BQ] & _QUALITY
    new = quality.copy()
    hit = _within(times, came) & np.isin(quality, (GOOD, OVER_LIMIT))
    new[hit] = MARKED_LATER + (quality[hit] == OVER_LIMIT)
    freed = (quality >= MARKED_ROW) & _within(times, before) & (codes == 0)
    new[freed] = np.where((quality[freed] - MARKED_ROW) % 2 == 1, OVER_LIMIT, GOOD)
    moved = new != quality
    rows[order, ROW_BQ] += new - quality
    return _Moved(times[moved].tolist(), times[moved & (new >= MARKED_LATER)].tolist(), times[freed].tolist())


def _within(times: Words, spans: list[tuple[int, int]]) -> npt.NDArray[np.bool_]:
    """Return which instants lie in one of some spans, both ends inside."""
    found = np.zeros(times.size, np.bool_)
    for begin, end in spans:
        found |= (times >= begin) & (times <= end)
    return found


def _mark_pairs(
    state: FacilityState, plan: Plan, slots: list[int], one: Declaration, before: Declaration | None
) -> dict[int, int]:
    """Mark the rows that pairs keep; returns pair -> the oldest event time that counts differently."""
    first: dict[int, int] = {}
    for slot in slots:
        for index, which in plan.inputs.get(slot, ()):
            pair = plan.pairs[index]
            rows = state.kept[pair.place].rows[which]
            inside = np.flatnonzero(rows[:, ROW_T] > state.words[pair.state + difference.FLOOR])
            codes = _codes(state, slot, rows[inside, ROW_T])
            moved = _mark(rows, inside, codes, _came(state, slot, one), _marking(state, slot, before))
            if moved.times:
                first[index] = min(first.get(index, moved.times[0]), moved.times[0])
                if pair.rule.marked == "skip":
                    _let_stand(state, pair, which, moved)
    return first


def _let_stand(state: FacilityState, instance: Instance, which: int, moved: _Moved) -> None:
    """Note the rows that an instance takes as they were folded: what it had told stands on them.

    Args:
        state: of the facility.
        instance: whose rule skips marked rows.
        which: of its inputs.
        moved: rows that were marked now, and those from which the mark was taken.
    """
    key = (instance.kind, *instance.key)
    behind = state.tail_of(instance) if instance.slots else state.of_series("tail_t", instance.slot)
    taken = state.marks.standing.pop(key, set())
    taken -= {(which, t) for t in moved.freed}
    taken = {row for row in taken if row[1] > behind}  # the others are in the tail
    edge = state.tail_of(instance)
    told = [o for o in state.occurrences.get(key, ()) if not o.retracted and (o.closed == NONE or o.closed > edge)]
    told = [o for o in told if o.end == NONE or instance.kind not in SPANNED]
    last = max((layout.NEVER if o.closed == NONE else o.closed for o in told), default=NONE)
    taken |= {(which, t) for t in moved.marked if t <= last}
    if taken:
        state.marks.standing[key] = taken
