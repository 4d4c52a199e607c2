"""Open gaps that have left the horizon: what is back-filled of them is folded from the state that stood before, up to where all is the same again (ADR 0092).

Where the tails of a series pass a distance of more than two intervals, the blocks of its limits and jumps are kept as they stood before it, and the rows
behind it up to where any state would have come to rest. Rows that are too old for the horizon and lie in such a gap are set aside until their
receive time is over, put to those that were back-filled before, and the gap is folded twice: with them and without. At the first row behind where
both say the same they meet, and what differs until there is told (docs/engine-semantics.md, "Open gaps").
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from rules import again, horizon, layout
from rules.drafts import Draft
from rules.kinds import limit
from rules.kinds.table import KINDS
from rules.layout import MAX_HELD, NEVER, NONE, NORMAL, OPEN_MS, QUALITY_BITS, ROW_BQ, ROW_M, ROW_T, ROW_V, ROW_WORDS
from rules.occurrence import differences
from rules.opengap import BEHIND, GAPS, MEET, STORED, WAITING, Gap, near, unpacked
from rules.stored import ring_rows

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rules import kernels
    from rules.layout import Array, Codes, Words
    from rules.occurrence import Difference, Folded, Occurrence
    from rules.opengap import PackedGap
    from rules.plan import Instance
    from rules.records import Readings
    from rules.state import FacilityState

_CHUNK = 1024
"""Rows that are folded at once: what they say has room in what is made for the compiled fold."""
_LATER = (layout.MARKED_LATER, layout.MARKED_LATER + 1)


@dataclass(slots=True)
class Filled:
    """What back-filled rows make of a series."""

    told: list[tuple[Instance, int, Difference]] = field(default_factory=list)
    """What differs up to where the states meet, and the newest event time that came."""
    stay: list[tuple[Instance, Occurrence, Folded]] = field(default_factory=list)
    """What stays of what was told there."""
    again: list[tuple[Instance, int]] = field(default_factory=list)
    """Instances whose states do not meet in what has left the horizon: they are to be decided again from their tails, which are others now."""
    times: list[int | tuple[int, int, int]] = field(default_factory=list)
    """Event times of all rows of the gaps into which some came, and of those kept behind them, in order; behind each gap from where to where rows
    lead, and the longest distance between two of these."""
    newest: int = NONE
    came: dict[int, set[str]] = field(default_factory=dict)
    """Event times of the rows that came into gaps, with the rules for which these could not be decided."""
    moved: list[tuple[Gap, int, int]] = field(default_factory=list)
    """Gaps that begin later now, at which event and receive time: once what differs is told, for until then occurrences in front of it are asked for."""


def hear(state: FacilityState, payload: Readings, index: Words, folded: Codes, batch: int) -> None:
    """Set aside the rows of a batch that are too old for the horizon, until their receive time is over; of one event time the first."""
    if layout.ROW_STALE not in folded:
        return
    for row in np.flatnonzero(folded == layout.ROW_STALE).tolist():
        aside = state.outside.setdefault(state.planned.sensors[int(index[row])].tag, {})
        if len(aside) < MAX_HELD:
            bits = batch << QUALITY_BITS | int(payload.quality[row])
            aside.setdefault(int(payload.time[row]), (bits, float(payload.value[row])))


def fit(state: FacilityState) -> None:
    """Let the compiled fold know of which series rows that leave the horizon are kept."""
    plan = state.planned
    state.gaps = {tag: gaps for tag, gaps in state.gaps.items() if tag in plan.slots and gaps}
    state.late[:, horizon.FORMING] = NONE
    for tag, gaps in state.gaps.items():
        if gaps[-1].whole:
            state.late[plan.slots[tag], horizon.FORMING] = 1


def drop(state: FacilityState, slot: int) -> None:
    """Forget the gaps of a series: its horizon ends, or others numbers come."""
    state.gaps.pop(state.planned.sensors[slot].tag, None)
    state.late[slot, horizon.FORMING] = NONE


def windows(state: FacilityState, kind: int, slot: int) -> list[tuple[int, int]]:
    """Return in which event times before the horizon occurrences of an instance may still be others: behind the first of each, up to the last.

    What the tails have not passed yet may lie behind a gap that is none yet.
    """
    if kind not in (*MEET, layout.GAP):
        return []
    gaps = state.gaps.get(state.planned.sensors[slot].tag, ()) if state.gaps else ()
    found = [(gap.begin, NEVER if gap.whole else int(gap.behind[-1, ROW_T])) for gap in gaps]
    return [(state.of_series("tail_t", slot), NEVER), *found]


def leave(state: FacilityState, slot: int, scratch: Array) -> int:
    """Move the tails of a series over all rows that have left its horizon; returns the newest event time that has."""
    plan = state.planned
    horizon.gone(
        plan.params, plan.place(slot, layout.AT_PROGRAM), state.words, plan.place(slot, layout.AT_STATE), state.rings,
        plan.place(slot, layout.AT_RING),
    )  # fmt: skip
    edge = state.of_series("gone_t", slot)
    rows = ring_rows(plan, state.words, state.rings, slot)
    rows = rows[rows[:, ROW_T] <= edge]
    far, at = layout.REACH * plan.number(slot, "interval"), 0
    while at < len(rows):
        last = state.of_series("tail_t", slot)
        before = np.concatenate([[rows[at, ROW_T] if last == NONE else last], rows[at:-1, ROW_T]])
        holes = np.flatnonzero(rows[at:, ROW_T] - before > far)
        stop = at + int(holes[0]) if holes.size else len(rows)
        if stop == at:
            _open(state, slot, rows[at])
            stop = at + 1
        horizon.advance(
            stop - at, plan.params, plan.reals, plan.place(slot, layout.AT_PROGRAM), state.words, plan.place(slot, layout.AT_STATE),
            state.tails, state.tail_floats, plan.place(slot, layout.AT_TAIL), state.rings, state.ring_floats,
            plan.place(slot, layout.AT_RING), slot, state.stands, scratch,
        )  # fmt: skip
        gaps = state.gaps.get(plan.sensors[slot].tag, ())
        if gaps and gaps[-1].led == NONE:
            passed = rows[at:stop, ROW_T]
            steps = np.diff(passed if passed[0] == gaps[-1].end else np.concatenate([[last], passed]))
            gaps[-1].step = max(gaps[-1].step, int(steps.max(initial=0)))
        _keep_behind(state, slot, rows[at:stop], scratch)
        at = stop
    return edge


def _open(state: FacilityState, slot: int, row: Words) -> None:
    """Keep what stands before a gap; `row` is the first behind it."""
    plan = state.planned
    tag, begin, begin_m = plan.sensors[slot].tag, state.of_series("tail_t", slot), state.of_series("tail_m", slot)
    gaps = state.gaps.get(tag, [])
    for gap in gaps:
        gap.whole, gap.led = False, begin if gap.led == NONE else gap.led
    newest = state.of_series("last_t", slot)
    gaps = [gap for gap in gaps if newest - gap.end < OPEN_MS]
    state.late[slot, horizon.FORMING] = NONE
    if min(begin, begin_m) >= plan.number(
        slot, "changed"
    ):  # else rows of it may be judged by numbers that are kept no more
        blocks = {
            (one.kind, one.rule.id): state.tails[one.tail : one.tail + KINDS[one.kind].state.words].copy()
            for one in _instances(state, slot)
        }
        gaps.append(Gap(begin=begin, begin_m=begin_m, end=int(row[ROW_T]), blocks=blocks))
        state.late[slot, horizon.FORMING] = 1
    state.gaps[tag] = gaps[-GAPS:]


def _instances(state: FacilityState, slot: int) -> list[Instance]:
    return [one for one in state.planned.by_slot[slot] if one.kind in MEET and not state.is_muted(one.rule.id)]


def _keep_behind(state: FacilityState, slot: int, rows: Words, scratch: Array) -> None:
    """Keep rows that leave the horizon behind the newest gap, until all that its instances could stand at has come to rest."""
    gaps = state.gaps.get(state.planned.sensors[slot].tag)
    if not gaps or not gaps[-1].whole:
        return
    gap = gaps[-1]
    later = np.flatnonzero(np.isin(rows[:, ROW_BQ] & ((1 << QUALITY_BITS) - 1), _LATER))
    taken = rows[: int(later[0])] if later.size else rows  # how instances took such a row is not known for long
    gap.behind = np.concatenate([gap.behind, taken])[:BEHIND]
    rest = _at_rest(state, slot, gap, scratch)
    if rest < len(gap.behind):
        gap.behind = gap.behind[: rest + 1].copy()
    elif len(taken) == len(rows) and len(gap.behind) < BEHIND:
        return
    gap.whole = False
    state.late[slot, horizon.FORMING] = NONE
    if not len(gap.behind):
        gaps.pop()


def _at_rest(state: FacilityState, slot: int, gap: Gap, scratch: Array) -> int:
    """Return the first row behind a gap at which an alarm that had stood would have ended for all instances; their number where none is.

    Whatever an instance knew before, it knows then what such an alarm leaves: nothing ends later than one that began before and stood.
    """
    rest = 0
    for one in _instances(state, slot):
        block = KINDS[one.kind].state.blank()
        begin = int(gap.behind[0, ROW_T]) - 1 if len(gap.behind) else 0
        block[limit.PHASE] = layout.ACTIVE
        block[limit.START_T] = block[limit.START_M] = block[limit.KNOWN_T] = begin
        at, last = 0, (begin, begin)
        while at < len(gap.behind) and block[limit.PHASE] != NORMAL:
            last = _fold(state, one, block, gap.behind[at : at + 1], last, scratch, None)
            at += 1
        if block[limit.PHASE] != NORMAL:
            return len(gap.behind)
        rest = max(rest, at - 1)
    return rest


def _fold(
    state: FacilityState, instance: Instance, block: Words, rows: Words, last: tuple[int, int], out: Array,
    folded: list[Folded] | None,
) -> tuple[int, int]:  # fmt: skip
    """Fold a block over some rows; returns event and receive time of the last, `last` being those of the row before."""
    plan = state.planned
    for at in range(0, len(rows), _CHUNK):
        part = np.ascontiguousarray(rows[at : at + _CHUNK]).ravel()
        n = horizon.replay(
            instance.kind, plan.params, plan.reals, plan.place(instance.slot, layout.AT_PROGRAM), instance.params, block,
            block.view(np.float64), 0, part, part.view(np.float64), 0, _CHUNK + 1, 0, 0, part.size // ROW_WORDS, *last, instance.slot,
            instance.call, state.stands, out, 0,
        )  # fmt: skip
        if folded is not None:
            again.take(folded, out[:n])
        last = int(part[-ROW_WORDS + ROW_T]), int(part[-ROW_WORDS + ROW_M])
    return last


def fill(state: FacilityState, tag: str, room: kernels.Room) -> Filled:
    """Fold the rows of a series that were set aside into the gaps in which they lie, oldest gap first."""
    found, aside = Filled(), state.outside.pop(tag)
    slot = state.planned.slots.get(tag)
    if slot is None:
        return found
    _pass_border(state, slot, aside, room)
    newest = state.of_series("last_t", slot)
    for gap in list(state.gaps.get(tag, ())):
        had = set(gap.rows[:, ROW_T].tolist())
        mine = [t for t in sorted(aside) if gap.begin < t < gap.end and newest - t < OPEN_MS and t not in had]
        if mine:
            came = np.array([(t, gap.behind[0, ROW_M], aside[t][0], 0) for t in mine], np.int64)
            came[:, ROW_V] = np.array([aside[t][1] for t in mine]).view(np.int64)
            _take(state, slot, gap, came, found, room)
    return found


def _pass_border(state: FacilityState, slot: int, aside: Iterable[int], room: kernels.Room) -> None:
    """Let the horizon begin behind a gap whose front has left it, where rows were set aside that lie in it."""
    leave(state, slot, room.scratch)
    edge, rows = state.of_series("gone_t", slot), ring_rows(state.planned, state.words, state.rings, slot)
    if edge == NONE or len(rows) <= 1:
        return
    first, newest = int(rows[0, ROW_T]), int(rows[-1, ROW_T])
    far = layout.REACH * state.planned.number(slot, "interval")
    if first - edge > far and any(edge < t < first and newest - t < OPEN_MS for t in aside):
        state.put("gone_t", slot, first)
        leave(state, slot, room.scratch)


def _take(state: FacilityState, slot: int, gap: Gap, came: Words, found: Filled, room: kernels.Room) -> None:
    """Put rows to those of a gap, and decide it again for each instance that can be."""
    interval = state.planned.number(slot, "interval")
    came = _room_for(gap, came, interval)
    if not len(came):
        return
    rows = np.concatenate([gap.rows, came])
    rows = rows[np.argsort(rows[:, ROW_T])]
    at = int(came[-1, ROW_T])
    found.newest = max(found.newest, at)
    found.times += [*rows[:, ROW_T].tolist(), *gap.behind[:, ROW_T].tolist()]
    found.times.append((gap.end, state.of_series("gone_t", slot) if gap.led == NONE else gap.led, gap.step))
    led = _led(gap.begin, rows, interval)
    undecided: set[str] = set()
    found.came.update(dict.fromkeys(came[:, ROW_T].tolist(), undecided))
    for one in _instances(state, slot):
        block = gap.blocks.get((one.kind, one.rule.id))
        if block is None or not _meet(state, one, gap, block, rows, at, found, room):
            gap.blocks.pop((one.kind, one.rule.id), None)
            undecided.add(one.rule.id)
            continue
        _fold(state, one, block, rows[:led], (gap.begin, gap.begin_m), room.scratch, None)
    if led:
        found.moved.append((gap, int(rows[led - 1, ROW_T]), int(rows[led - 1, ROW_M])))
    gap.rows = rows[led:].copy()


def move(state: FacilityState, slot: int, filled: Filled) -> None:
    """Let gaps of a series begin behind what leads on; those of which nothing is open any more are forgotten."""
    tag, interval = state.planned.sensors[slot].tag, state.planned.number(slot, "interval")
    for gap, begin, begin_m in filled.moved:
        gap.begin, gap.begin_m = begin, begin_m
        if gap.end - begin <= near(interval):
            state.gaps[tag] = [one for one in state.gaps[tag] if one is not gap]
            if gap.whole:
                state.late[slot, horizon.FORMING] = NONE


def _led(begin: int, rows: Words, interval: int) -> int:
    """Return how many rows lead on from the begin of a gap: none is lacking between them, or, where many wait, a single one."""
    steps = np.diff(np.concatenate([[begin], rows[:, ROW_T]]))
    for most in (near(interval), layout.REACH * interval):
        holes = np.flatnonzero(steps > most)
        led = int(holes[0]) if holes.size else len(rows)
        if len(rows) - led <= WAITING:
            break
    return led


def _room_for(gap: Gap, came: Words, interval: int) -> Words:
    """Return the rows that are taken: all that lead on from the begin, and of those behind a hole the oldest for which there is room."""
    rows = np.concatenate([gap.rows, came])
    rows = rows[np.argsort(rows[:, ROW_T])]
    led = _led(gap.begin, rows, interval)
    edge = gap.begin if led == 0 else int(rows[led - 1, ROW_T])
    spare = STORED - int((gap.rows[:, ROW_T] > edge).sum())
    leads = int((came[:, ROW_T] <= edge).sum())
    return came[: leads + max(0, spare)]


def _meet(
    state: FacilityState, instance: Instance, gap: Gap, block: Words, rows: Words, at: int, found: Filled, room: kernels.Room
) -> bool:  # fmt: skip
    """Fold a gap for one instance with all rows and with those of before; says whether both meet, or all behind them is there to be folded again."""
    old, new = block.copy(), block.copy()
    folded = again.stood(instance.kind, new, 0)
    begin = gap.begin, gap.begin_m
    last_old = _fold(state, instance, old, gap.rows, begin, room.scratch, None)
    last_new = _fold(state, instance, new, rows, begin, room.scratch, folded)
    for i in range(len(gap.behind)):
        row = gap.behind[i : i + 1]
        last_old = _fold(state, instance, old, row, last_old, room.scratch, None)
        last_new = _fold(state, instance, new, row, last_new, room.scratch, folded)
        if np.array_equal(old, new):
            _compare(state, instance, gap.begin, int(row[0, ROW_T]), new, folded, at, found)
            return True
    if not gap.whole:
        return False
    state.tails[instance.tail : instance.tail + new.size] = new
    draft = Draft(edge=gap.begin, at=at)
    draft.take(folded, state.of_series("gone_t", instance.slot), at)
    state.drafts[instance.kind, *instance.key] = draft
    found.again.append((instance, at))
    return True


def _compare(
    state: FacilityState, instance: Instance, begin: int, end: int, block: Words, folded: list[Folded], at: int, found: Filled
) -> None:  # fmt: skip
    """Compare what was told of a gap, up to the row at which the states meet, with what was folded; what goes on there is the same."""
    goes_on = int(block[limit.START_T]) if block[limit.PHASE] != NORMAL else NONE
    told = [
        one
        for one in state.occurrences.get((instance.kind, *instance.key), ())
        if not one.retracted and (one.closed == NONE or one.closed > begin) and one.opened <= end
        and (goes_on == NONE or one.start != goes_on)
    ]  # fmt: skip
    if folded and folded[-1].end == NONE:
        folded = folded[:-1]
    stay: list[tuple[Occurrence, Folded]] = []
    found.told += [(instance, at, one) for one in differences(told, folded, stay)]
    found.stay += [(instance, old, new) for old, new in stay if not math.isnan(new.peak)]


def pack(state: FacilityState) -> list[tuple[str, list[PackedGap]]]:
    """Return what a snapshot holds of gaps, by tag."""
    return [(tag, [gap.pack() for gap in gaps]) for tag, gaps in sorted(state.gaps.items()) if gaps]


def pack_outside(state: FacilityState) -> list[tuple[str, list[tuple[int, int, float | None]]]]:
    """Return what a snapshot holds of rows that are set aside: event time, batch and quality, value; by tag and event time."""
    return [
        (tag, [(t, bits, None if math.isnan(v) else v) for t, (bits, v) in sorted(rows.items())])
        for tag, rows in sorted(state.outside.items())
    ]


def load(
    state: FacilityState, gaps: Iterable[tuple[str, list[PackedGap]]],
    outside: Iterable[tuple[str, list[tuple[int, int, float | None]]]],
) -> None:  # fmt: skip
    """Take what a snapshot holds; the plan stands.

    Raises:
        ValueError: of a series that is not watched, or gaps that no fold leaves.
    """
    plan = state.planned
    for tag, packed in gaps:
        slot = plan.slots[tag]
        sizes = {(one.kind, one.rule.id): KINDS[one.kind].state.words for one in plan.by_slot[slot] if one.kind in MEET}
        found = [unpacked(each, sizes) for each in packed]
        if tag in state.gaps or len(found) > GAPS or any(gap.whole for gap in found[:-1]):
            raise ValueError(f"open gaps of {tag} that no fold leaves")
        state.gaps[tag] = found
    for tag, rows in outside:
        if tag not in plan.slots or tag in state.outside or len(rows) > MAX_HELD:
            raise ValueError(f"rows of {tag} that no fold sets aside")
        state.outside[tag] = {t: (bits, math.nan if v is None else v) for t, bits, v in rows}
    fit(state)
