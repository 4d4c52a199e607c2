"""Pairs: instances that read two series, decided when the clock leaves a receive time (docs/engine-semantics.md, "difference").

What a pair reads stands apart from the rings of its series: the rows of each input inside its own horizon, by event time.
A batch brings rows of one series after another, and one receive time may bring several batches; so rows wait here until
nothing of their receive time can come any more, and only then are both inputs merged and folded by event time.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from rules import again, formerpairs, pairdoors, rowclass
from rules.failing import attempt
from rules.kinds import difference, limit
from rules.kinds.table import KINDS
from rules.layout import (
    AS_FOLDED,
    AT_PROGRAM,
    NEVER,
    NONE,
    QUALITY_BITS,
    REACH,
    ROW_BQ,
    ROW_FOLDED,
    ROW_M,
    ROW_T,
    ROW_V,
    ROW_WORDS,
    Array,
    Codes,
    Floats,
    Words,
)
from rules.ring import behind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rules import kernels
    from rules.changes import RecordRead
    from rules.emission import Emitter
    from rules.occurrence import Folded
    from rules.plan import Instance, Plan
    from rules.records import Readings
    from rules.state import FacilityState

CHUNK = 512
"""Rows that are folded in one call: what they say has room in `kernels.Room.out`."""


@dataclass(frozen=True, slots=True)
class _Merged:
    """Rows of both inputs by event time, column by column; `counts` is the instant from which each counts."""

    time: Words
    received: Words
    counts: Words
    span: Words | None
    """Which of what it was judged by is in force at each; None: nothing of before is kept."""
    batch: Words
    which: Words
    value: Floats
    known: Words
    guard: pairdoors.Guard
    """What the doors of the cleaner room were at each."""


def receive(
    state: FacilityState, plan: Plan, index: Words, folded: Codes, late: list[int], payload: Readings, received: int
) -> None:
    """Let the rows of a batch that were folded wait for the pairs that read their series.

    Args:
        state: of the facility.
        plan: its plan.
        index: the slot of each row's series, -1 for an unknown tag.
        folded: what became of each row (rules/layout.py).
        late: which of the rows were late, in order.
        payload: the batch.
        received: its receive time, ms.
    """
    chosen = np.flatnonzero(plan.paired[index] & (folded == ROW_FOLDED))
    slots = index[chosen]
    were_late = np.isin(chosen, late)
    batch = state.batches.next - 1
    for slot in np.unique(slots).tolist():
        mine = slots == slot
        at = chosen[mine]
        order = np.argsort(payload.time[at], kind="stable")
        at = at[order]
        rows = np.empty((at.size, ROW_WORDS), np.int64)
        rows[:, ROW_T], rows[:, ROW_M] = payload.time[at], received
        rows[:, ROW_BQ] = (batch << QUALITY_BITS) | payload.quality[at].astype(np.int64)
        rows.view(np.float64)[:, ROW_V] = payload.value[at]
        for pair, source in plan.inputs[slot]:
            _wait(state, plan.pairs[pair], source, rows, were_late[mine][order], received)


def _wait(state: FacilityState, pair: Instance, source: int, rows: Words, late: Codes, received: int) -> None:
    words, x = state.words, pair.state
    inside = rows[:, ROW_T] > words[x + difference.FLOOR]
    if past := formerpairs.of(state, pair):
        instants = np.minimum(rows[:, ROW_T], received)
        inside &= formerpairs.read_by(state, pair, source, instants)
        late = late | (instants < past[-1].until)
    if not inside.any():
        return
    state.kept[pair.place].put(source, rows[inside])
    words[x + difference.WAITS] = received
    words[x + difference.LATE] |= int(late[inside].any())
    state.refresh_pair(pair)


def waiting(state: FacilityState) -> list[Instance]:
    """Return the pairs that have rows waiting, by rule and subject."""
    plan = state.plan
    pairs = [] if plan is None else [one for one in plan.pairs if state.of(one, "waits") != NEVER]
    return sorted(pairs, key=lambda one: (one.rank, one.key[1]))


def decide(state: FacilityState, pair: Instance, emitter: Emitter, room: kernels.Room) -> None:
    """Take the decision that is due for a pair: over the rows that wait, or one by the clock alone."""
    words, x, due = state.words, pair.state, state.of(pair, "waits")
    if due == NEVER:
        due = state.of(pair, "due")
        n = limit.fire(
            state.planned.params, pair.params, words, state.floats, x,
            words[x + difference.SEEN_T], words[x + difference.SEEN_M], room.out, 0,
        )  # fmt: skip
        state.refresh_pair(pair)
        _say(pair, emitter, room, n, due)
        return
    late = bool(words[x + difference.LATE])
    words[x + difference.WAITS], words[x + difference.LATE] = NEVER, 0
    seen = int(words[x + difference.SEEN_T])
    first = min(state.kept[pair.place].first_of(due), pairdoors.first_of(state, pair, due))
    past = formerpairs.of(state, pair)
    merged = _merged(state, pair, seen) if first > seen else None
    if merged is not None and (merged.span is None or (merged.span == len(past)).all()):
        for n in _fold(state, pair, merged, room.out, len(past)):
            _say(pair, emitter, room, n, due)
    else:
        _again(state, pair, emitter, room, due, first, [], late=late)
    _trim(state, pair, room)
    state.refresh_pair(pair)


def decide_again(
    state: FacilityState,
    pair: Instance,
    emitter: Emitter,
    room: kernels.Room,
    due: int,
    first: int,
    read: list[RecordRead],
) -> None:
    """Decide a pair again of which nothing waits: from `first` (event time) on its rows count differently, as the record says that is read."""
    _again(state, pair, emitter, room, due, first, read, late=False)
    state.refresh_pair(pair)


def _say(pair: Instance, emitter: Emitter, room: kernels.Room, n: int, due: int) -> None:
    for transition in emitter.read(room.out, n):
        attempt(emitter, pair.rule.id, due, partial(emitter.apply, pair.kind, pair, transition, []))


def _again(
    state: FacilityState, pair: Instance, emitter: Emitter, room: kernels.Room, due: int, first: int, read: list[RecordRead],
    *, late: bool,
) -> None:  # fmt: skip
    """Decide a pair again from its floor and say what is different."""
    size, words, x = KINDS[pair.kind].state.words, state.words, pair.state
    floor = int(words[x + difference.FLOOR])
    words[x : x + size] = state.tails[pair.tail : pair.tail + size]
    words[x + difference.FLOOR], words[x + difference.WAITS], words[x + difference.LATE] = floor, NEVER, 0
    folded: list[Folded] = again.standing(state, pair)
    refold(state, pair, floor, due, folded, room)
    if state.is_muted(pair.rule.id):
        return
    for found in again.compared(state, pair, folded, floor):
        step = partial(emitter.late, pair.kind, pair, found, first, due, read, late=late)
        attempt(emitter, pair.rule.id, due, step)


def refold(
    state: FacilityState, pair: Instance, behind: int, clock: int, folded: list[Folded], room: kernels.Room
) -> None:
    """Fold a pair, which was put back to where its tail stands, over the kept rows behind an event time and up to the clock.

    Args:
        state: of the facility.
        pair: its state becomes the outcome.
        behind: event time, ms.
        clock: ms.
        folded: takes its occurrences.
        room: of the compiled fold.
    """
    words, x = state.words, pair.state
    had = formerpairs.stands(formerpairs.of(state, pair), words, x)
    for n in _fold(state, pair, _merged(state, pair, behind), room.out, had, now=True):
        again.take(folded, room.out[:n])
    if clock > state.of(pair, "seen_m"):
        n = difference.catch_up(state.planned.params, pair.params, words, state.floats, x, clock, room.out, 0)
        again.take(folded, room.out[:n])


def _trim(state: FacilityState, pair: Instance, room: kernels.Room) -> None:
    """Let rows leave that are behind the pair's horizon; its tail moves over them."""
    words, x, kept = state.words, pair.state, state.kept[pair.place]
    most = formerpairs.rooms(state, pair)
    times = np.unique(np.concatenate([rows[:, ROW_T] for rows in kept.rows]))
    left_behind = behind(times, REACH * int(state.planned.params[pair.params + limit.INTERVAL])) if times.size else 0
    full = pairdoors.next_floor(state, pair)
    edge = max(full, int(times[left_behind - 1]) if left_behind else NONE)
    floor = before = int(words[x + difference.FLOOR])
    for rows, cap in zip(kept.rows, most, strict=True):
        left = max(int((rows[:, ROW_T] <= edge).sum()), len(rows) - cap)
        if left > 0:
            floor = max(floor, int(rows[left - 1, ROW_T]))
    if floor != before:
        _move_tail(state, pair, floor, room)
    pairdoors.leave(state, pair, max(floor, full))


def _move_tail(state: FacilityState, pair: Instance, floor: int, room: kernels.Room) -> None:
    """Let the rows leave that are not newer than a new floor."""
    words, x = state.words, pair.state
    merged = _merged(state, pair, NONE)
    end = int(np.searchsorted(merged.time, floor, "right"))
    had = formerpairs.stands(formerpairs.of(state, pair), state.tails, pair.tail)
    for _ in _fold(state, pair, merged, room.scratch, had, end=end):
        pass  # what has left was told
    words[x + difference.FLOOR] = floor
    state.kept[pair.place].drop(floor)
    formerpairs.leave(state, pair)


def _chunks(merged: _Merged, end: int | None) -> list[tuple[int, int]]:
    """Return (begin, stop) of parts of the rows that may be folded in one call: no instant is cut in two, and each is of one span."""
    time, span = merged.time, merged.span
    end = time.size if end is None else end
    found, begin = [], 0
    while begin < end:
        stop = min(begin + CHUNK, end)
        if span is not None:
            stop = min(stop, begin + int(np.searchsorted(span[begin:], span[begin], "right")))
        while stop < end and time[stop] == time[stop - 1]:
            stop += 1
        found.append((begin, stop))
        begin = stop
    return found


def _merged(state: FacilityState, pair: Instance, behind: int) -> _Merged:
    """Return the kept rows of both inputs that are newer than `behind` (event time)."""
    rows = state.kept[pair.place].rows
    if behind != NONE:
        rows = [one[np.searchsorted(one[:, ROW_T], behind, "right") :] for one in rows]
    both = np.concatenate(rows)
    source = np.repeat(np.arange(len(rows)), [len(one) for one in rows])
    order = np.argsort(both[:, ROW_T], kind="stable")
    both, source = both[order], source[order]
    time, received = both[:, ROW_T].copy(), both[:, ROW_M].copy()
    which, span, counts = source, None, np.ascontiguousarray(np.minimum.accumulate(received[::-1])[::-1])
    if past := formerpairs.of(state, pair):
        span, which, counts = formerpairs.split(state, pair, time, counts, source)
        there = which != NONE  # a clock that runs ahead may bring a row of an instant at which it is no input
        both, source, time, received = both[there], source[there], time[there], received[there]
        which, span, counts = which[there], span[there], counts[there]
    value = both.view(np.float64)[:, ROW_V].copy()
    quality = both[:, ROW_BQ] & ((1 << QUALITY_BITS) - 1)
    plan = state.planned
    programs = np.array([plan.place(slot, AT_PROGRAM) for slot in (*pair.slots, pair.slots[0])[:2]], np.int64)
    reals, judged = plan.reals, which
    if past and span is not None:
        reals, places = formerpairs.ranges_of(state, pair)
        programs, judged = places.ravel(), span * places.shape[1] + which
    rows_of = int(plan.params[pair.params + limit.PARAMS["rows"].start])
    known = rowclass.judge(reals, programs, judged, value, quality, rows_of)
    if taken := state.marks.standing.get((pair.kind, *pair.key)):
        stands = [row in taken for row in zip(source.tolist(), time.tolist(), strict=True)]
        folded = rowclass.judge(reals, programs, judged, value, quality, rows_of | AS_FOLDED)
        known = np.where(stands, folded, known)
    guard = pairdoors.guard_of(state, pair, time)
    return _Merged(time, received, counts, span, both[:, ROW_BQ] >> QUALITY_BITS, which, value, known, guard)


def _fold(
    state: FacilityState, pair: Instance, merged: _Merged, out: Array, had: int, *, end: int | None = None, now: bool = False
) -> Iterator[int]:  # fmt: skip
    """Fold the rows, those before `end` if it is given: into the tail then. Yields how many transitions `out` holds, part by part.

    Args:
        state: of the facility.
        pair: the pair.
        merged: its rows.
        out: takes what each part says.
        had: behind how many of what it was judged by before its state stands.
        end: how many of the rows, if not all.
        now: go on to what it is judged by now, behind the last row.
    """
    plan, past = state.planned, formerpairs.of(state, pair)
    words, reals, x = (
        (state.words, state.floats, pair.state) if end is None else (state.tails, state.tail_floats, pair.tail)
    )
    for begin, stop in _chunks(merged, end):
        to = len(past) if merged.span is None else int(merged.span[begin])
        for k in range(had, to):
            yield formerpairs.turn(state, pair, k, words, reals, x, out)
        had = max(had, to)
        a, af, p = plan.params, plan.reals, pair.params
        if had < len(past):
            a, af, p = past[had].params, past[had].params.view(np.float64), 0
        yield difference.fold(
            a, af, p, words, reals, x,
            merged.time, merged.counts, merged.batch, merged.which, merged.value, merged.known,
            *merged.guard, begin, stop, out, 0,
        )  # fmt: skip
    for k in range(had, len(past) if now else had):
        yield formerpairs.turn(state, pair, k, words, reals, x, out)
