"""The compiled pass over a batch: every row through the instances of its series (docs/engine-semantics.md).

Above 400 lines on purpose: the pass is one function, and warming up names every kernel.

Rows of a batch stand series after series, so they are folded in runs: what a run of rows means for the series first (which of
them are in order, which are known to whom, their range and their longest distance), then instance by instance over the run.
Most instances have nothing to say of most runs, and see it without looking at a row. Late rows are put into their places and wait
(rules/late.py). `fold_rows` stops where those have to be decided first, and before `out` could overflow.
"""

from __future__ import annotations

import math

import numpy as np

from rules import layout, prefetch, ring
from rules.held import Held, find, hold
from rules.holes import HOLE_WORDS, cover
from rules.horizon import (
    EARLIEST,
    FORMING,
    NEWEST,
    admit,
    advance,
    decide_quiet,
    edge_of,
    fill,
    gone,
    is_stale,
    opens,
    passes,
    reached,
    refold,
    rewind,
    shut,
    shuts_out,
)
from rules.jit import kernel
from rules.kinds import (
    absence,
    cumulative,
    difference,
    during,
    exposure,
    frozen,
    gap,
    jump,
    last_digit,
    limit,
    mean_kinetic,
    repeat_day,
    smooth,
    steadiness,
    too_precise,
)
from rules.layout import (
    ABSENCE,
    AT_PROGRAM,
    AT_RING,
    AT_STATE,
    AT_TAIL,
    BATCH,
    CALL_KIND,
    CALL_PARAMS,
    CALL_PAST,
    CALL_STATE,
    CALL_WORDS,
    CALLS,
    CHANGED,
    CLASSES,
    CONFLICT,
    CUMULATIVE,
    DUPLICATE,
    DURING,
    EXPOSURE,
    EXT,
    FROZEN,
    FUTURE,
    FUTURE_MS,
    GAP,
    HELD_BQ,
    HELD_V,
    INSTANCES,
    JUMP,
    LAST_DIGIT,
    LAST_M,
    LAST_T,
    LATE,
    LIMIT,
    MARKED,
    MAX_HELD,
    MEAN_KINETIC,
    NEVER,
    NONE,
    QUALITY_BITS,
    RECV,
    REPEAT_DAY,
    RING_HEAD,
    RING_LEN,
    RING_ROOM,
    ROW_BQ,
    ROW_CONFLICT,
    ROW_FOLDED,
    ROW_LATE,
    ROW_STALE,
    ROW_T,
    ROW_V,
    ROWS,
    SHUT,
    SLACK_ROWS,
    SMOOTH,
    STALE,
    STEADINESS,
    TOO_PRECISE,
    Array,
    Codes,
    Floats,
    Words,
)
from rules.rises import rises
from rules.rowclass import classes, judge, widened

OUT_ROWS = 8192
DONE, STOPPED, FULL, CROWDED, OPENED = 0, 1, 2, 3, 4
PER_ROW = 6
"""Transitions one instance can make of one row, with room to spare."""
RUN_ROWS = 256
"""Rows that are folded in one run at most."""
LIMIT_WORDS, FROZEN_WORDS, JUMP_WORDS = limit.STATE.words, frozen.STATE.words, jump.STATE.words
CUMULATIVE_WORDS, MEAN_KINETIC_WORDS = cumulative.STATE.words, mean_kinetic.STATE.words
TOO_PRECISE_WORDS, SMOOTH_WORDS = too_precise.STATE.words, smooth.STATE.words


class Room:
    """What the compiled fold needs besides the state: room for transitions and for one run of rows."""

    def __init__(self) -> None:
        """Begin with room for what most batches say."""
        self.out = np.zeros(OUT_ROWS, layout.OUT)
        self.scratch = np.zeros(OUT_ROWS, layout.OUT)
        self.run = np.zeros((4, RUN_ROWS), np.int64)
        self.value = np.zeros(RUN_ROWS)
        self.known = np.zeros(RUN_ROWS, np.uint8)
        self.forgiven = np.zeros(RUN_ROWS, np.int64)
        self.behind = np.zeros(RUN_ROWS, np.int64)
        self.asked = np.zeros(64, np.uint8)

    def ask(self, instances: int) -> Codes:
        """Return room for a mark on each instance of a series."""
        if self.asked.size < instances:
            self.asked = np.zeros(2 * instances, np.uint8)
        return self.asked[:instances]

    def grow(self) -> None:
        """Double the room for transitions."""
        self.out = np.zeros(2 * self.out.size, layout.OUT)
        self.scratch = np.zeros(self.out.size, layout.OUT)


@kernel
def fold_rows(
    begin: int, received: int, batch: int, index: Words, time: Words, value: Floats, quality: Codes,
    a: Words, af: Floats, places: Words, w: Words, f: Floats, tails: Words, tail_values: Floats,
    rings: Words, values: Floats, due: Words, silent: Codes,
    run: Words, seen: Floats, known: Codes, forgiven: Words, behind: Words,
    out: Array, scratch: Array, folded: Codes, first: Floats, waiting: Words, stands: Words,
    held: Words, held_values: Floats, table: Words, size: Words, holds: Words,
) -> tuple[int, int, int, int]:  # fmt: skip
    """Fold rows from `begin`; returns (row it stopped at, why, transitions written, late rows that wait now).

    Late rows are held until their receive time is over (rules/held.py, whose members `held` to `holds` are): where there is no room for
    one more it stops (CROWDED). `waiting` is of each series the earliest and the newest row of its horizon that waits to be decided, or NONE.
    It stops where a series has to be decided first (STOPPED): before a row in order, if rows of its horizon wait or if it would make one that
    is held stale, and where MAX_HELD of it are held; and where the tails have to pass an open gap first (OPENED). `stands` says which rows are taken by which instances as they were folded (rules/marks.py).

    `index` is the slot of each row's series, or -1 for an unknown tag; `batch` the number of their batch; `folded` is set to
    what became of each row (ROW_FOLDED and so on), `first`, if it has room, to the value that a conflict comes behind. `run` (place in the batch, event and receive times, batch of each),
    `seen` (values), `known`, `forgiven` and `behind` are room for a run of rows.
    """
    n = late_rows = 0
    row = begin
    total = time.shape[0]
    at, times, receipts, batches = run[0], run[1], run[2], run[3]
    while row < total:
        slot = index[row]
        if slot < 0:
            row += 1
            continue
        place = slot * 4
        s, x0, r0, g = (
            places[place + AT_STATE],
            places[place + AT_TAIL],
            places[place + AT_RING],
            places[place + AT_PROGRAM],
        )
        calls = a[g + INSTANCES]
        most = RUN_ROWS
        if calls > 0:
            most = min(most, (out.shape[0] - n) // (PER_ROW * calls))
        if most == 0:
            return row, FULL, n, late_rows
        # What the run means for the series.
        room = a[g + RING_ROOM]
        last = w[s + LAST_T]
        longest = 0
        changed = a[g + CHANGED]
        late = first_decide = before = opened = False
        closed = w[s + EXT] > 0
        count = 0
        every = (1 << CLASSES) - 1
        lowest = (np.inf, np.inf, np.inf, np.inf)
        highest = (-np.inf, -np.inf, -np.inf, -np.inf)
        while row < total and index[row] == slot and count < most:
            t = time[row]
            if t > received + FUTURE_MS:
                w[s + FUTURE] += 1
                row += 1
                continue
            v = value[row]
            if last != NONE and t <= last:
                if is_stale(a, g, w, s, rings, r0, t):
                    w[s + STALE] += 1
                    folded[row] = ROW_STALE
                    row += 1
                    continue
                k = ring.at(r0, room, w[s + RING_HEAD], ring.place(w, s, rings, r0, room, t))
                if rings[k + ROW_T] == t:
                    stood = values[k + ROW_V]
                    if stood == v or (math.isnan(stood) and math.isnan(v)):
                        w[s + DUPLICATE] += 1
                    else:
                        w[s + CONFLICT] += 1
                        folded[row] = ROW_CONFLICT
                        if first.shape[0] > 0:
                            was = classes(af, g, stood, rings[k + ROW_BQ] & ((1 << QUALITY_BITS) - 1))
                            both = was & classes(af, g, v, int(quality[row]))
                            first[row] = stood if (both >> MARKED) & 1 == 1 else math.nan
                    row += 1
                    continue
                late = True
                break
            earlier = t < changed or received < changed
            if waiting[slot, EARLIEST] != NONE and not (earlier and waiting[slot, NEWEST] == last):
                first_decide = True
                break
            q = int(quality[row])
            if w[s + RING_LEN] == room:
                many = min(gone(a, g, w, s, rings, r0), SLACK_ROWS)
                if opens(a, g, w, s, rings, r0, many, waiting[slot, FORMING]):
                    opened = True
                    break
                advance(many, a, af, g, w, s, tails, tail_values, x0, rings, values, r0, slot, stands, scratch)
            ring.write(rings, values, ring.at(r0, room, w[s + RING_HEAD], w[s + RING_LEN]), t, received, batch, v, q)
            w[s + RING_LEN] += 1
            if earlier and waiting[slot, EARLIEST] != NONE and passes(a, g, w, s, rings, r0, waiting[slot, EARLIEST]):
                first_decide = True
                break
            if holds[slot, 1] > 0 and shuts_out(a, g, w, s, rings, r0, holds[slot, 0]):
                first_decide = True
                break
            if earlier:  # judged by numbers of before, once the instant is over (rules/late.py)
                before = True
                waiting[slot, EARLIEST] = t if waiting[slot, EARLIEST] == NONE else waiting[slot, EARLIEST]
                waiting[slot, NEWEST] = t
            if last != NONE:
                longest = max(longest, t - last)
            w[s + LAST_T] = t
            last = t
            if closed:
                forgiven[count] = min(w[s + EXT], max(0, t - w[s + SHUT]))
                w[s + EXT] -= forgiven[count]
                behind[count] = w[s + EXT]
                w[s + SHUT] = max(w[s + SHUT], t)
            mask = classes(af, g, v, q)
            known[count] = mask
            lowest, highest = widened(lowest, highest, mask, v)
            every &= mask
            folded[row] = ROW_FOLDED
            at[count], times[count], receipts[count], batches[count] = row, t, received, batch
            seen[count] = v
            count += 1
            row += 1
        if row < total and index[row] >= 0:  # the series after next, and the next one, whose header has come meanwhile
            ahead = row + max(1, count)
            if ahead < total and index[ahead] >= 0:
                prefetch.books(a, places, index[ahead], w)
            prefetch.next_row(a, places, index[row], w, rings)
        if count > 0:
            w[s + ROWS] += count
            w[s + RECV] = received
            w[s + BATCH] = batch
            w[s + LAST_M] = received
            w[s + SHUT] = max(w[s + SHUT], last)
            # Then instance by instance.
            earliest = NEVER
            quiet = True
            for j in range(calls):
                c = g + CALLS + CALL_WORDS * j
                p, x = a[c + CALL_PARAMS], s + a[c + CALL_STATE]
                if before and a[c + CALL_PAST] > 0:
                    continue
                if a[c + CALL_KIND] == GAP:
                    if not closed and gap.idle(a, p, w, x, max(longest, times[0] - w[x + gap.LO])):
                        w[x + gap.LO] = last
                    else:
                        for i in range(count):
                            back, ahead = (forgiven[i], behind[i]) if closed else (0, 0)
                            n = gap.step(a, p, w, x, at[i], times[i], received, back, ahead, out, n)
                    earliest = min(earliest, gap.schedule(a, p, w, x, w[s + EXT], received))
                    quiet = quiet and w[x + gap.ACTIVE] == 0
                elif a[c + CALL_KIND] == LIMIT:
                    bit = a[p + limit.ROWS]
                    if limit.idle(a, af, p, w, x, lowest[bit], highest[bit]):
                        continue
                    for i in range(count):
                        counts = (known[i] >> bit) & 1 == 1
                        n = limit.step(a, af, p, w, f, x, at[i], times[i], received, batch, seen[i], counts, out, n)
                    earliest = min(earliest, limit.schedule(a, p, w, x, last, received))
                elif a[c + CALL_KIND] == CUMULATIVE:
                    bit = a[p + cumulative.ROWS]
                    if (every >> bit) & 1 == 1 and cumulative.idle(
                        a, af, p, w, x, times[0], longest, lowest[bit], highest[bit]
                    ):
                        cumulative.glide(a, p, w, f, x, last, received)
                        continue
                    for i in range(count):
                        n = cumulative.step(a, af, p, w, f, x, at[i], times[i], received, seen[i], known[i], out, n)
                    earliest = min(earliest, cumulative.schedule(a, p, w, x, received))
                elif a[c + CALL_KIND] == MEAN_KINETIC:
                    bit = a[p + mean_kinetic.ROWS]
                    i = 0
                    while i < count:
                        i = mean_kinetic.glide(a, p, w, f, x, times, seen, known, bit, i, count)
                        if i < count:
                            counts = (known[i] >> bit) & 1 == 1
                            n = mean_kinetic.step(a, p, w, f, x, at[i], times[i], received, seen[i], counts, out, n)
                            i += 1
                    earliest = min(earliest, mean_kinetic.schedule(a, p, w, x, received))
                elif a[c + CALL_KIND] == JUMP:
                    bit = a[p + limit.ROWS]
                    if (every >> bit) & 1 == 1 and jump.idle(a, af, p, w, f, x, lowest[bit], highest[bit]):
                        jump.hold(w, f, x, last, seen[count - 1])
                        continue
                    for i in range(count):
                        counts = (known[i] >> bit) & 1 == 1
                        n = jump.step(a, af, p, w, f, x, at[i], times[i], received, batch, seen[i], counts, out, n)
                    earliest = min(earliest, limit.schedule(a, p, w, x, last, received))
                elif a[c + CALL_KIND] == SMOOTH:
                    i = 0
                    while i < count:
                        i = smooth.glide(a, p, w, f, x, times, batches, seen, known, i, count)
                        if i < count:
                            counts = (known[i] >> a[p + smooth.ROWS]) & 1 == 1
                            n = smooth.step(a, p, w, f, x, at[i], times[i], received, batch, seen[i], counts, out, n)
                            i += 1
                    earliest = min(earliest, smooth.schedule(a, p, w, x, received))
                elif a[c + CALL_KIND] == DURING:
                    bit = a[p + during.ROWS]
                    if during.idle(a, af, p, w, x, lowest[bit], highest[bit]):
                        continue
                    for i in range(count):
                        counts = (known[i] >> bit) & 1 == 1
                        n = during.step(a, af, p, w, f, x, at[i], times[i], received, batch, seen[i], counts, out, n)
                elif a[c + CALL_KIND] == EXPOSURE:
                    bit = a[p + exposure.ROWS]
                    if (every >> bit) & 1 == 1 and exposure.idle(
                        a, af, p, w, x, times[0], longest, lowest[bit], highest[bit]
                    ):
                        exposure.glide(w, f, x, last)
                        continue
                    for i in range(count):
                        counts = (known[i] >> bit) & 1 == 1
                        n = exposure.step(a, af, p, w, f, x, at[i], times[i], received, seen[i], counts, out, n)
                elif a[c + CALL_KIND] == ABSENCE:
                    absence.run(a, p, w, x, times, known, every, count, longest, received)
                    earliest = min(earliest, w[x + absence.DUE])
                elif a[c + CALL_KIND] == TOO_PRECISE:
                    i = 0
                    while i < count:
                        i = too_precise.glide(a, af, p, w, x, times, seen, known, MARKED, i, count)
                        if i < count:
                            counts = (known[i] >> MARKED) & 1 == 1
                            n = too_precise.step(a, af, p, w, f, x, at[i], times[i], received, seen[i], counts, out, n)
                            i += 1
                elif a[c + CALL_KIND] == LAST_DIGIT:
                    i = 0
                    while i < count:
                        i = last_digit.glide(a, af, p, w, x, times, seen, known, MARKED, i, count)
                        if i < count:
                            counts = (known[i] >> MARKED) & 1 == 1
                            n = last_digit.step(a, af, p, w, f, x, at[i], times[i], received, seen[i], counts, out, n)
                            i += 1
                elif a[c + CALL_KIND] == STEADINESS:
                    i = 0
                    while i < count:
                        i = steadiness.glide(a, af, p, w, f, x, times, seen, known, MARKED, i, count)
                        if i < count:
                            counts = (known[i] >> MARKED) & 1 == 1
                            n = steadiness.step(a, af, p, w, f, x, at[i], times[i], received, seen[i], counts, out, n)
                            i += 1
                elif a[c + CALL_KIND] == REPEAT_DAY:
                    if last < w[x + repeat_day.WAKE]:
                        continue
                    for i in range(count):
                        if times[i] >= w[x + repeat_day.WAKE]:
                            counts = (known[i] >> MARKED) & 1 == 1
                            n = repeat_day.step(a, af, p, w, f, x, at[i], times[i], received, seen[i], counts, out, n)
                else:
                    i = 0
                    while i < count:
                        i = frozen.glide(a, p, w, f, x, times, batches, seen, known, MARKED, i, count)
                        if i < count:
                            counts = (known[i] >> MARKED) & 1 == 1
                            n = frozen.step(
                                a, af, p, w, f, x, at[i], times[i], received, batch, seen[i], counts, out, n
                            )
                            i += 1
                    earliest = min(earliest, frozen.schedule(a, p, w, x, received))
            due[slot] = earliest
            silent[slot] = 0 if quiet else 1
        if first_decide or opened:
            return row, OPENED if opened else STOPPED, n, late_rows
        if late:
            t, v = time[row], value[row]
            i = find(held, table, slot, t)
            if i >= 0:
                told = held_values[i, HELD_V]
                if told == v or (math.isnan(told) and math.isnan(v)):
                    w[s + DUPLICATE] += 1
                else:
                    w[s + CONFLICT] += 1
                    folded[row] = ROW_CONFLICT
                    if first.shape[0] > 0:
                        was = classes(af, g, told, held[i, HELD_BQ] & ((1 << QUALITY_BITS) - 1))
                        both = was & classes(af, g, v, int(quality[row]))
                        first[row] = told if (both >> MARKED) & 1 == 1 else math.nan
                row += 1
                continue
            if holds[slot, 1] == MAX_HELD:
                return row, STOPPED, n, late_rows
            if size[0] == held.shape[0]:
                return row, CROWDED, n, late_rows
            hold(held, held_values, table, size, holds, slot, t, batch, v, int(quality[row]))
            w[s + LATE] += 1
            w[s + RECV] = received
            w[s + BATCH] = batch
            for j in range(calls):
                admit(a, af, places, slot, j, w, f, time[row], value[row], int(quality[row]))
            folded[row] = ROW_LATE
            late_rows += 1
            row += 1
    return total, DONE, n, late_rows


@kernel
def fire(a: Words, places: Words, slot: int, call: int, w: Words, f: Floats, out: Array) -> int:
    """Take the one decision by the clock that is due for an instance; returns transitions written."""
    place = slot * 4
    s, g = places[place + AT_STATE], places[place + AT_PROGRAM]
    c = g + CALLS + CALL_WORDS * call
    p, x = a[c + CALL_PARAMS], s + a[c + CALL_STATE]
    if a[c + CALL_KIND] == LIMIT or a[c + CALL_KIND] == JUMP:
        return limit.fire(a, p, w, f, x, w[s + LAST_T], w[s + LAST_M], out, 0)
    if a[c + CALL_KIND] == FROZEN:
        return frozen.fire(a, p, w, f, x, w[s + LAST_T], w[s + LAST_M], out, 0)
    if a[c + CALL_KIND] == CUMULATIVE:
        return cumulative.fire(a, p, w, f, x, w[s + LAST_T], w[s + LAST_M], out, 0)
    if a[c + CALL_KIND] == SMOOTH:
        return smooth.fire(a, p, w, f, x, w[s + LAST_T], w[s + LAST_M], out, 0)
    if a[c + CALL_KIND] == MEAN_KINETIC:
        return mean_kinetic.fire(a, p, w, f, x, w[s + LAST_T], w[s + LAST_M], out, 0)
    return gap.fire(a, p, w, x, w[s + EXT], w[s + LAST_T], out, 0)


@kernel
def refresh(a: Words, places: Words, slot: int, w: Words, due: Words, silent: Codes) -> None:
    """Note the earliest decision by the clock of a series, and whether it is silent."""
    place = slot * 4
    s, g = places[place + AT_STATE], places[place + AT_PROGRAM]
    earliest = NEVER
    quiet = True
    for j in range(a[g + INSTANCES]):
        c = g + CALLS + CALL_WORDS * j
        x = s + a[c + CALL_STATE]
        if a[c + CALL_KIND] == LIMIT or a[c + CALL_KIND] == JUMP:
            earliest = min(earliest, w[x + limit.DUE])
        elif a[c + CALL_KIND] == FROZEN:
            earliest = min(earliest, w[x + frozen.DUE])
        elif a[c + CALL_KIND] == CUMULATIVE:
            earliest = min(earliest, w[x + cumulative.DUE])
        elif a[c + CALL_KIND] == MEAN_KINETIC:
            earliest = min(earliest, w[x + mean_kinetic.DUE])
        elif a[c + CALL_KIND] == REPEAT_DAY:
            earliest = min(earliest, w[x + repeat_day.DUE])
        elif a[c + CALL_KIND] == TOO_PRECISE:
            earliest = min(earliest, w[x + too_precise.DUE])
        elif a[c + CALL_KIND] == LAST_DIGIT:
            earliest = min(earliest, w[x + last_digit.DUE])
        elif a[c + CALL_KIND] == STEADINESS:
            earliest = min(earliest, w[x + steadiness.DUE])
        elif a[c + CALL_KIND] == SMOOTH:
            earliest = min(earliest, w[x + smooth.DUE])
        elif a[c + CALL_KIND] == DURING:
            earliest = min(earliest, w[x + during.DUE])
        elif a[c + CALL_KIND] == EXPOSURE:
            earliest = min(earliest, w[x + exposure.DUE])
        elif a[c + CALL_KIND] == ABSENCE:
            earliest = min(earliest, w[x + absence.DUE])
        else:
            earliest = min(earliest, w[x + gap.DUE])
            quiet = quiet and w[x + gap.ACTIVE] == 0
    due[slot] = earliest
    silent[slot] = 0 if quiet else 1


@kernel
def pass_over(
    a: Words, places: Words, found: Words, spans: Words, first: Words, w: Words, rings: Words, now: int, due: Words, silent: Codes
) -> int:  # fmt: skip
    """Judge the silences of a declared state of which nothing is to be told at an instant that is over; returns how many these were.

    `found` says of each its series, which call of it, and its area by number, -1: it is left as it is; `spans` from `first` of an area on are when that
    was in its state. What has left the horizon by now is let go of, as `rules.absence.decide` does, which takes the others.
    """
    passed = 0
    for i in range(found.shape[0]):
        slot, area = found[i, 0], found[i, 2]
        if area < 0 or due[slot] > now:
            continue
        place = slot * 4
        s, g = places[place + AT_STATE], places[place + AT_PROGRAM]
        c = g + CALLS + CALL_WORDS * found[i, 1]
        p, x = a[c + CALL_PARAMS], s + a[c + CALL_STATE]
        if w[x + absence.DUE] != now:
            continue
        following = absence.next_of_quiet(a, p, w, x, spans, first[area], first[area + 1], now)
        if following == NONE:
            continue
        edge = edge_of(a, places, slot, w, rings)
        w[x + absence.EDGE] = max(w[x + absence.EDGE], min(edge, w[x + absence.LO]))
        w[x + absence.DUE] = following
        refresh(a, places, slot, w, due, silent)
        passed += 1
    return passed


@kernel
def refresh_all(a: Words, places: Words, count: int, w: Words, due: Words, silent: Codes) -> None:
    """Note the same of the first so many series."""
    for slot in range(count):
        refresh(a, places, slot, w, due, silent)


@kernel
def next_due(due: Words, silent: Codes) -> tuple[int, bool]:
    """Return the earliest decision by the clock of any series, and whether one is silent."""
    earliest = NEVER
    active = False
    for i in range(due.shape[0]):
        earliest = min(earliest, due[i])
        active = active or silent[i] != 0
    return earliest, active


@kernel
def waits(late: Words, size: Words) -> bool:
    """Say whether rows of a series wait to be decided: of its horizon (`late`), or held beside it (`size`)."""
    found = size[0] > 0
    for i in range(late.shape[0]):
        found = found or late[i, EARLIEST] != NONE
    return found


def warm() -> None:
    """Compile and cache every kernel on empty input, so that the first batch of a process does not wait."""
    room = Room()
    where = np.zeros(layout.PLACE.words, np.int64)
    call = layout.CALL.block({"kind": LIMIT, "params": CALLS + CALL_WORDS, "state": layout.SERIES.words})
    program = layout.PROGRAM.block({"ring_cap": 1, "ring_room": 2, "instances": 1})
    params = np.concatenate([program, call, limit.PARAMS.blank(), frozen.PARAMS.blank(), gap.PARAMS.blank(),
                             cumulative.PARAMS.blank(), mean_kinetic.PARAMS.blank()])  # fmt: skip
    reals = params.view(np.float64)
    words = np.concatenate([layout.SERIES.blank(), limit.STATE.blank(), frozen.STATE.blank(), gap.STATE.blank(),
                            cumulative.STATE.blank(), mean_kinetic.STATE.blank()])  # fmt: skip
    tails = limit.STATE.blank()
    floats, tail_floats = words.view(np.float64), tails.view(np.float64)
    rings = np.zeros(2 * layout.ROW_WORDS, np.int64)
    values = rings.view(np.float64)
    due, silent, stands = np.full(1, NEVER), np.zeros(1, np.uint8), np.zeros((0, 3), np.int64)
    late, aside = np.full((1, 3), NONE), Held(1)
    none_i, none_f, none_c = due[:0], values[:0], silent[:0]
    fold_rows(0, 0, 0, none_i, none_i, none_f, none_c, params, reals, where, words, floats, tails, tail_floats, rings, values,
              due, silent, room.run, room.value, room.known, room.forgiven, room.behind, room.out, room.scratch, none_c, none_f,
              late, stands, aside.rows, aside.values, aside.table, aside.size, aside.of)  # fmt: skip
    fill(params, reals, where, 0, words, tails, tail_floats, rings, values, aside.rows, aside.values, 0, late, stands,
         room.scratch)  # fmt: skip
    decide_quiet(params, reals, where, 0, words, floats, tails, rings, values, 0, stands, room.ask(1), room.out)
    rewind(params, reals, where, 0, 0, words, floats, tails, rings, values, tails.size, stands, room.scratch)
    refold(params, reals, where, 0, 0, words, floats, rings, values, 0, 0, stands, room.out)
    fire(params, where, 0, 0, words, floats, room.out)
    refresh(params, where, 0, words, due, silent)
    next_due(due, silent)
    waits(late, aside.size)
    pass_over(
        params, where, np.zeros((0, 3), np.int64), np.zeros((0, 2), np.int64), none_i, words, rings, 0, due, silent
    )
    rises(words, none_i, none_i, 0, none_i, none_i, np.zeros(1, np.int64), none_i, none_i, none_c, none_c, 0, 0, none_i)
    reached(params, where, 0, words, rings, 0, 0, 0, np.zeros((0, 2), np.int64))
    shut(np.zeros((0, 2), np.int64), 0, 0)
    edge_of(params, where, 0, words, rings)
    at_limit, at_frozen = layout.SERIES.words, layout.SERIES.words + limit.STATE.words
    at_gap = at_frozen + frozen.STATE.words
    of_limit = CALLS + CALL_WORDS
    of_frozen = of_limit + limit.PARAMS.words
    of_gap = of_frozen + frozen.PARAMS.words
    gap.reopen(words, at_gap)
    gap.schedule(params, of_gap, words, at_gap, 0, 0)
    gap.recolour(params, of_gap, words, at_gap, 0, 0)
    limit.schedule(params, of_limit, words, at_limit, 0, 0)
    frozen.schedule(params, of_frozen, words, at_frozen, 0)
    at_sum, of_sum = at_gap + gap.STATE.words, of_gap + gap.PARAMS.words
    cumulative.schedule(params, of_sum, words, at_sum, 0)
    at_mean, of_mean = at_sum + cumulative.STATE.words, of_sum + cumulative.PARAMS.words
    mean_kinetic.schedule(params, of_mean, words, at_mean, 0)
    mean, window = smooth.PARAMS.blank(), smooth.STATE.blank()
    smooth.schedule(mean, 0, window, 0, 0)
    smooth.empty(window, window.view(np.float64), 0)
    pair, block = difference.PARAMS.blank(), difference.STATE.blank()
    one_i, one_f = np.zeros(1, np.int64), np.zeros(1)
    known = judge(reals, one_i, one_i, one_f, one_i, 0)
    difference.fold(pair, pair.view(np.float64), 0, block, block.view(np.float64), 0,
                    one_i, one_i, one_i, one_i, one_f, known, 0, one_i, one_i, 0, 1, room.out, 0)  # fmt: skip
    difference.catch_up(pair, 0, block, block.view(np.float64), 0, 0, room.out, 0)
    limit.fire(pair, 0, block, block.view(np.float64), 0, 0, 0, room.out, 0)
    cover(none_i, none_i, none_f, none_c, 0, 0, none_i, none_i, none_i, np.zeros((0, HOLE_WORDS), np.int64))
