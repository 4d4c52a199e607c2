"""Late rows: held as they come, put into their places by event time and decided once nothing of their receive time can come any more.

A batch of stored rows says what happened, not how it came to be known: its series is decided again once for all of them, in whatever order
they came (docs/engine-semantics.md, "Late rows"; ADR 0066). Rows that would leave the horizon undecided are decided before the next one is put:
what is different is told once for all such parts (rules/drafts.py).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from rules import absence, again, drafts, formerly, horizon, kernels, layout, opengaps, silence
from rules.changes import ChangeKind
from rules.drafts import Draft
from rules.excursions import judge as excursions
from rules.excursions.compare import beyond
from rules.failing import attempt
from rules.kinds import gap
from rules.kinds.table import KINDS
from rules.layout import ABSENCE, GAP, NONE
from rules.occurrence import Difference
from rules.rare import rows as odd_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rules.changes import RecordRead
    from rules.emission import Emitter
    from rules.layout import Words
    from rules.occurrence import Folded, Occurrence
    from rules.plan import Instance
    from rules.state import FacilityState


@dataclass(frozen=True, slots=True)
class _Found:
    """What is different for one instance."""

    instance: Instance
    at: int
    """Event time of the newest row that waited."""
    difference: Difference
    late: bool
    """Late rows made it, and an alarm that it raises."""


@dataclass(frozen=True, slots=True)
class _Stays:
    """An alarm that stays, with its value farthest outside."""

    instance: Instance
    alarm: str
    peak: float


def waiting(state: FacilityState) -> list[int]:
    """Return the series that have late rows waiting."""
    if not state.waits:
        return []
    found: list[int] = np.flatnonzero((state.late[:, horizon.EARLIEST] != NONE) | (state.held.of[:, 1] > 0)).tolist()
    outside = (state.planned.slots[tag] for tag in state.outside)
    return sorted({*found, *outside, *drafts.slots(state)}) if state.drafts or state.outside else found


def decide(
    state: FacilityState, slots: Iterable[int], emitter: Emitter, room: kernels.Room, read: Sequence[RecordRead] = (),
    *, late: bool = True, over: bool = True,
) -> None:  # fmt: skip
    """Decide series again whose late rows wait, and say what is different: by rule, then by tag.

    Args:
        state: of the facility.
        slots: the series.
        emitter: of the record.
        room: of the compiled fold.
        read: the record that says why, where no rows came; without it the newest batch of the series is named.
        late: rows came late: an alarm first raised here was raised by late data, and silences may be filled.
        over: the instant is; else only silences that are filled are told of, and the rest with what is still to come.
    """
    these, due = list(slots), state.clock
    filled: dict[int, list[tuple[Instance, Difference]]] = {slot: [] for slot in these}
    newest = dict.fromkeys(these, NONE)
    for slot, rows in state.held.take(these):
        _put(state, slot, rows, room, filled[slot], newest)
    for slot in these:
        _part(state, slot, room, filled[slot], newest, filling=late)
    found: list[_Found] = []
    stay: list[_Stays] = []
    for slot in these:
        found += (_Found(one, newest[slot], difference, late) for one, difference in filled[slot])
        found += _told(state, slot, stay, late=late, over=over)
    _tell(state, found, stay, due, emitter, read)
    if not over:
        return
    for slot in these:
        for instance, _ in drafts.at_slot(state, slot):
            drafts.forget(state, instance)
    if state.outside:
        _fill_gaps(state, these, emitter, room, read)


def _fill_gaps(
    state: FacilityState, slots: list[int], emitter: Emitter, room: kernels.Room, read: Sequence[RecordRead]
) -> None:  # fmt: skip
    """Decide open gaps of series again into which rows came that are too old for the horizon, and say what is different."""
    found: list[_Found] = []
    stay: list[_Stays] = []
    done: dict[int, opengaps.Filled] = {}
    for slot in slots:
        if state.planned.sensors[slot].tag not in state.outside:
            continue
        filled = done[slot] = opengaps.fill(state, state.planned.sensors[slot].tag, room)
        found += (_Found(instance, at, difference, late=True) for instance, at, difference in filled.told)
        stay += [
            _Stays(formerly.as_of(state, instance, old.opened), old.alarm, new.peak)
            for instance, old, new in filled.stay
            if instance.rule.id in state.planned.listeners
        ]
        for instance, at in filled.again:
            _again(state, instance, state.clock, room, at)
        found += _told(state, slot, stay, late=True, over=True)
        for one in state.planned.by_slot[slot] if filled.times else ():
            if one.kind == GAP:
                found += (
                    _Found(one, filled.newest, difference, late=True)
                    for difference in _filled(state, one, filled.times)
                )
        if filled.came:
            odd_rows.fill(state, slot, filled.came)
        state.refresh(slot)
    _tell(state, found, stay, state.clock, emitter, read)
    for slot, filled in done.items():
        for instance, _ in drafts.at_slot(state, slot):
            drafts.forget(state, instance)
        opengaps.move(state, slot, filled)


def make_way(state: FacilityState, why: int, slot: int, emitter: Emitter, room: kernels.Room) -> None:
    """Do what the compiled pass stopped for at a row of a series: what waits of it is decided, or there is room to hold more."""
    if why == kernels.STOPPED:
        decide(state, [slot], emitter, room, over=False)
    elif why == kernels.CROWDED:
        state.held.grow()
    elif why == kernels.OPENED:
        opengaps.leave(state, slot, room.scratch)


def _put(
    state: FacilityState, slot: int, rows: Words, room: kernels.Room, filled: list[tuple[Instance, Difference]],
    newest: dict[int, int],
) -> None:  # fmt: skip
    """Put the rows of a series that were held into their places, oldest first; those in front of them leave the horizon decided."""
    plan, values, at = state.planned, rows.view(np.float64), 0
    while at < len(rows):
        at = horizon.fill(
            plan.params, plan.reals, plan.where, slot, state.words, state.tails, state.tail_floats, state.rings,
            state.ring_floats, rows, values, at, state.late, state.stands, room.scratch,
        )  # fmt: skip
        if at < 0:
            at = -1 - at
            opengaps.leave(state, slot, room.scratch)
        elif at < len(rows):
            _part(state, slot, room, filled, newest, filling=True)


def _tell(
    state: FacilityState, found: list[_Found], stay: list[_Stays], due: int, emitter: Emitter, read: Sequence[RecordRead]
) -> None:  # fmt: skip
    """Say what is different, by rule and tag, and what lies elsewhere of alarms that stay."""
    for _, one in sorted(enumerate(found), key=lambda pair: (pair[1].instance.rank, pair[1].instance.tag, pair[0])):
        rule = one.instance.rule.id
        attempt(
            emitter, rule, due,
            partial(emitter.late, one.instance.kind, one.instance, one.difference, one.at, due, list(read), late=one.late),
        )  # fmt: skip
        if one.instance.kind == GAP:
            attempt(emitter, rule, due, partial(silence.settle, state, rule, one.at, due, list(read), emitter))
    for each in stay:
        low, high = (limit if math.isfinite(limit) else None for limit in (each.instance.low, each.instance.high))
        far = beyond(each.peak, low, high)
        for listener in state.planned.listeners.get(each.instance.rule.id, ()):
            step = partial(excursions.refolded, listener, each.alarm, each.peak, far, due, emitter)
            attempt(emitter, listener.id, due, step)


def _told(
    state: FacilityState, slot: int, stay: list[_Stays], *, late: bool, over: bool
) -> Iterator[_Found]:  # fmt: skip
    """Yield what the drafts of a series make of what was told, if the instant is over; those that make nothing of it are told with that."""
    for instance, draft in drafts.at_slot(state, slot):
        pairs: list[tuple[Occurrence, Folded]] = []
        found = drafts.compared(state, instance, draft, pairs, over=over)
        if found and not over:
            continue
        yield from (_Found(instance, draft.at, one, late and draft.is_late(one)) for one in found)
        stay += [
            _Stays(formerly.as_of(state, instance, old.opened), old.alarm, new.peak)
            for old, new in (pairs if instance.rule.id in state.planned.listeners else ())
            if not math.isnan(new.peak)
        ]
        if not over:
            drafts.forget(state, instance)


def _part(
    state: FacilityState, slot: int, room: kernels.Room, told: list[tuple[Instance, Difference]], newest: dict[int, int], *, filling: bool
) -> None:  # fmt: skip
    """Decide a series again with the rows that are in their places; `told` takes what they fill of its silences, the first time."""
    plan, clock = state.planned, state.clock
    at = int(state.late[slot, horizon.NEWEST])
    if at == NONE and state.drafts:  # nothing came since its last part
        return
    newest[slot] = max(newest[slot], at)
    state.late[slot, : horizon.FORMING] = NONE
    horizon.gone(
        plan.params, plan.place(slot, layout.AT_PROGRAM), state.words, plan.place(slot, layout.AT_STATE), state.rings,
        plan.place(slot, layout.AT_RING),
    )  # fmt: skip
    instances = plan.by_slot[slot]
    asked = room.ask(len(instances))
    decided = [one for one in instances if KINDS[one.kind].again and not state.is_muted(one.rule.id)]
    quiet = {one.call for one in decided if drafts.of(state, one) is None and again.is_quiet(state, one)}
    for one in instances:
        asked[one.call] = one.call in quiet
    horizon.decide_quiet(
        plan.params, plan.reals, plan.where, slot, state.words, state.floats, state.tails, state.rings, state.ring_floats,
        clock, state.stands, asked, room.out,
    )  # fmt: skip
    for one in instances:
        if one.kind == ABSENCE:
            absence.note(state, one)
        elif one.kind == GAP and filling:
            had = [id(difference.old) for _, difference in told]
            told += [(one, difference) for difference in _filled(state, one) if id(difference.old) not in had]
        elif one in decided and (one.call not in quiet or asked[one.call]):
            _again(state, one, clock, room, at)
    state.refresh(slot)


def _filled(
    state: FacilityState, instance: Instance, times: Sequence[int | tuple[int, int, int]] = ()
) -> Iterator[Difference]:
    """Yield the retractions of closed silences in which no distance is left that is too long.

    How far rows lead is kept of each silence, for the rows leave the horizon before all of a long back-fill has come. `times` are those of rows
    in front of it (rules/opengaps.py, `Filled`).
    """
    plan = state.planned
    pace, silent = state.param(instance, "pace"), state.param(instance, "silent")
    doors = np.array(state.doors.get(instance.tag, ()), np.int64).reshape(-1, 2)

    def lead(low: int, high: int) -> int:
        for t in times:
            if isinstance(t, tuple):
                begin, to, step = t
                low = max(low, min(to, high)) if low >= begin and step <= silent else low
                continue
            if t > high or t - low - horizon.shut(doors, low, t) > silent:
                break
            low = max(low, t)
        return horizon.reached(
            plan.params, plan.where, instance.slot, state.words, state.rings, low, high, silent, doors
        )

    hole = state.of(instance, "hole")
    if state.of(instance, "active") == 1 and abs(hole) > gap.OLD:
        newest = state.of(instance, "lo")
        led = lead(abs(hole), newest)
        state.words[instance.state + gap.HOLE] = -led if hole < 0 else 0 if led == newest else led
    for occurrence in state.occurrences.get((GAP, *instance.key), []):
        low, end = occurrence.start - pace, occurrence.end
        if occurrence.retracted or end == NONE:
            continue
        before = max(low, occurrence.filled)
        to = lead(before, end)
        if to > before:  # late rows have come into it
            occurrence.filled = to
            if end - to - horizon.shut(doors, to, end) <= silent:
                yield Difference(ChangeKind.RETRACTED, occurrence, None)


def _again(state: FacilityState, instance: Instance, clock: int, room: kernels.Room, at: int) -> None:
    """Decide one instance again from where the horizon of its series begins; `at` is the newest event time that waited."""
    plan, slot, call = state.planned, instance.slot, instance.call
    begin = horizon.rewind(
        plan.params, plan.reals, plan.where, slot, call, state.words, state.floats, state.tails,
        state.rings, state.ring_floats, KINDS[instance.kind].state.words, state.stands, room.scratch,
    )  # fmt: skip
    folded = again.standing(state, instance)
    n = horizon.refold(
        plan.params, plan.reals, plan.where, slot, call, state.words, state.floats, state.rings, state.ring_floats,
        begin, clock, state.stands, room.out,
    )  # fmt: skip
    again.take(folded, room.out[:n])
    key, tail = (instance.kind, *instance.key), state.tail_of(instance)
    state.drafts.setdefault(key, Draft(edge=tail, at=at)).take(folded, tail, at)
