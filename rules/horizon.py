"""The horizon of a series, compiled: what its ring holds, what leaves it, and deciding instances again over it (docs/engine-semantics.md).

Above 400 lines on purpose: the tails, and what is folded again behind them, read the same words in the same order.

The tails are the blocks of the instances as they stood before the ring's oldest row. What leaves the ring moves them; what is decided
again begins with them.
"""

from __future__ import annotations

import numpy as np

from rules import ring
from rules.jit import kernel
from rules.kinds import (
    cumulative,
    during,
    exposure,
    frozen,
    jump,
    last_digit,
    limit,
    mean_kinetic,
    repeat_day,
    smooth,
    steadiness,
    summary,
    too_precise,
)
from rules.layout import (
    ABSENCE,
    AS_FOLDED,
    AT_PROGRAM,
    AT_RING,
    AT_STATE,
    AT_TAIL,
    CALL_KIND,
    CALL_PARAMS,
    CALL_PAST,
    CALL_STATE,
    CALL_TAIL,
    CALL_WORDS,
    CALLS,
    CLASSES,
    CUMULATIVE,
    DURING,
    EXPOSURE,
    FROZEN,
    GAP,
    GONE_T,
    HELD_BQ,
    HELD_T,
    HELD_V,
    IN_RANGE,
    INSTANCES,
    INTERVAL,
    JUMP,
    LAST_DIGIT,
    LIMIT,
    MARKED,
    MARKED_LATER,
    MEAN_KINETIC,
    NEVER,
    NONE,
    QUALITY_BITS,
    REACH,
    REPEAT_DAY,
    RING_CAP,
    RING_HEAD,
    RING_LEN,
    RING_ROOM,
    ROW_BQ,
    ROW_M,
    ROW_T,
    ROW_V,
    ROW_WORDS,
    SLACK_ROWS,
    SMOOTH,
    STEADINESS,
    SUM_DAYS,
    TAIL_M,
    TAIL_T,
    TOO_PRECISE,
    Array,
    Codes,
    Floats,
    Words,
)
from rules.rowclass import Quad, classes, widened

STANDS_BITS = 62
"""Instances of a series behind so many share the last bit of `stands`."""
EARLIEST, NEWEST, FORMING = 0, 1, 2
"""Of a series: the earliest and the newest row that wait to be decided, and whether rows that leave the horizon are kept behind an open gap
(rules/opengaps.py); NONE without."""
PUT, WAITS, OPENS = 0, 1, 2
"""What became of a late row: it is in its place; not, for rows that wait have to be decided first; not, for the tails have to pass an open gap first."""
LIMIT_WORDS, FROZEN_WORDS, JUMP_WORDS = limit.STATE.words, frozen.STATE.words, jump.STATE.words
CUMULATIVE_WORDS, MEAN_KINETIC_WORDS = cumulative.STATE.words, mean_kinetic.STATE.words
TOO_PRECISE_WORDS, SMOOTH_WORDS, LAST_DIGIT_WORDS = too_precise.STATE.words, smooth.STATE.words, last_digit.STATE.words
DURING_WORDS, EXPOSURE_WORDS, STEADINESS_WORDS = during.STATE.words, exposure.STATE.words, steadiness.STATE.words


@kernel
def _shift(stands: Words, slot: int, call: int, t: int) -> int:
    """Return how far the classes of a row are shifted for an instance: those with `AS_FOLDED` stand `AS_FOLDED` bits higher.

    `stands` holds the rows (slot, event time, a bit for each instance that takes it as it was folded), in their order (rules/marks.py).
    """
    low, high = 0, stands.shape[0]
    while low < high:
        middle = (low + high) // 2
        if stands[middle, 0] < slot or (stands[middle, 0] == slot and stands[middle, 1] < t):
            low = middle + 1
        else:
            high = middle
    if low == stands.shape[0] or stands[low, 0] != slot or stands[low, 1] != t:
        return 0
    return AS_FOLDED * ((stands[low, 2] >> min(call, STANDS_BITS)) & 1)


@kernel
def _own(stands: Words, slot: int, call: int, times: Words, known: Codes) -> Codes:
    """Return the classes of some rows as they are for one instance."""
    found = known.copy()
    for i in range(known.shape[0]):
        if known[i] >> AS_FOLDED != known[i] & ((1 << AS_FOLDED) - 1):
            found[i] = known[i] >> _shift(stands, slot, call, times[i])
    return found


@kernel
def _columns(
    count: int, a: Words, af: Floats, g: int, w: Words, s: int, rings: Words, values: Floats, r0: int,
    times: Words, batches: Words, seen: Floats, known: Codes,
) -> tuple[Quad, Quad, int]:  # fmt: skip
    """Write the `count` oldest rows of the ring as columns; returns the range of each class and the classes that hold all."""
    room, head = a[g + RING_ROOM], w[s + RING_HEAD]
    lowest = (np.inf, np.inf, np.inf, np.inf)
    highest = (-np.inf, -np.inf, -np.inf, -np.inf)
    every = (1 << CLASSES) - 1
    for i in range(count):
        k = ring.at(r0, room, head, i)
        v = values[k + ROW_V]
        mask = classes(af, g, v, rings[k + ROW_BQ] & ((1 << QUALITY_BITS) - 1))
        times[i], batches[i], seen[i], known[i] = rings[k + ROW_T], rings[k + ROW_BQ] >> QUALITY_BITS, v, mask
        lowest, highest = widened(lowest, highest, mask, v)
        every &= mask
    return lowest, highest, every


@kernel
def _pass(
    count: int, kind: int, a: Words, af: Floats, g: int, p: int, blocks: Words, floats: Floats, x: int,
    w: Words, s: int, rings: Words, values: Floats, r0: int,
    times: Words, batches: Words, seen: Floats, known: Codes, lowest: Quad, highest: Quad, every: int,
    slot: int, call: int, stands: Words, out: Array,
) -> int:  # fmt: skip
    """Fold the block of one instance that stands behind the tails over the `count` oldest rows of the ring (`_columns`).

    Returns transitions written: as `replay`, but without a look at rows of which the instance has nothing to say.
    """
    if _had_others(a, g, call, w, s):
        return replay(
            kind, a, af, g, p, blocks, floats, x, rings, values, r0, a[g + RING_ROOM], w[s + RING_HEAD], 0, count,
            w[s + TAIL_T], w[s + TAIL_M], slot, call, stands, out, 0,
        )  # fmt: skip
    if stands.shape[0] > 0:
        known = _own(stands, slot, call, times, known)
        for i in range(count):
            every &= known[i]
    if (kind == LIMIT and limit.idle(a, af, p, blocks, x, lowest[a[p + limit.ROWS]], highest[a[p + limit.ROWS]])) or (
        kind == DURING and during.idle(a, af, p, blocks, x, lowest[a[p + during.ROWS]], highest[a[p + during.ROWS]])
    ):
        return 0
    room, head = a[g + RING_ROOM], w[s + RING_HEAD]
    if kind == JUMP:
        bit = a[p + limit.ROWS]
        if (every >> bit) & 1 == 1 and jump.idle(a, af, p, blocks, floats, x, lowest[bit], highest[bit]):
            jump.hold(blocks, floats, x, times[count - 1], seen[count - 1])
            return 0
    i = n = 0
    last_t, last_m = w[s + TAIL_T], w[s + TAIL_M]
    while i < count:
        begun, stop = i, count
        if kind == FROZEN:
            i = frozen.glide(a, p, blocks, floats, x, times, batches, seen, known, MARKED, i, count)
        elif kind == MEAN_KINETIC:
            bit = a[p + mean_kinetic.ROWS]
            i = mean_kinetic.glide(a, p, blocks, floats, x, times, seen, known, bit, i, count)
        elif kind == TOO_PRECISE:
            i = too_precise.glide(a, af, p, blocks, x, times, seen, known, MARKED, i, count)
        elif kind == LAST_DIGIT:
            i = last_digit.glide(a, af, p, blocks, x, times, seen, known, MARKED, i, count)
        elif kind == STEADINESS:
            i = steadiness.glide(a, af, p, blocks, floats, x, times, seen, known, MARKED, i, count)
        elif kind == SMOOTH:
            i = smooth.glide(a, p, blocks, floats, x, times, batches, seen, known, i, count)
        elif kind == CUMULATIVE:
            bit, far = a[p + cumulative.ROWS], 2 * a[p + cumulative.INTERVAL]
            begins = i == 0 or times[i] - times[i - 1] > far
            stop = i + 1
            while stop < count and times[stop] - times[stop - 1] <= far:
                stop += 1
            if (every >> bit) & 1 == 1 and cumulative.idle(a, af, p, blocks, x, times[i], 0, lowest[bit], highest[bit]):
                k = ring.at(r0, room, head, stop - 1)
                cumulative.glide(a, p, blocks, floats, x, rings[k + ROW_T], rings[k + ROW_M])
                i = stop
            elif begins:  # behind a hole the row itself is folded, and then the rest of those that hang together
                stop = i + 1
        if i > begun:
            k = ring.at(r0, room, head, i - 1)
            last_t, last_m = rings[k + ROW_T], rings[k + ROW_M]
        if kind in (FROZEN, MEAN_KINETIC, TOO_PRECISE, SMOOTH, LAST_DIGIT, STEADINESS):
            stop = i + 1
        n = replay(
            kind, a, af, g, p, blocks, floats, x,
            rings, values, r0, room, head, i, min(stop, count), last_t, last_m, slot, call, stands, out, n,
        )  # fmt: skip
        i = stop
        if i < count:
            k = ring.at(r0, room, head, i - 1)
            last_t, last_m = rings[k + ROW_T], rings[k + ROW_M]
    return n


@kernel
def advance(
    count: int, a: Words, af: Floats, g: int, w: Words, s: int, tails: Words, tail_values: Floats, x0: int,
    rings: Words, values: Floats, r0: int, slot: int, stands: Words, scratch: Array,
) -> None:  # fmt: skip
    """Move the tails over the `count` oldest rows of the ring, which have left the horizon, and drop these."""
    room, head = a[g + RING_ROOM], w[s + RING_HEAD]
    times, batches = np.empty(count, np.int64), np.empty(count, np.int64)
    seen, known = np.empty(count), np.empty(count, np.uint8)
    lowest, highest, every = _columns(
        count, a, af, g, w, s, rings, values, r0, times, batches, seen, known
    )  # fmt: skip
    for j in range(a[g + INSTANCES]):
        c = g + CALLS + CALL_WORDS * j
        if a[c + CALL_KIND] not in (GAP, REPEAT_DAY, ABSENCE):
            _pass(
                count, a[c + CALL_KIND], a, af, g, a[c + CALL_PARAMS], tails, tail_values, x0 + a[c + CALL_TAIL],
                w, s, rings, values, r0, times, batches, seen, known, lowest, highest, every,
                slot, j, stands, scratch,
            )  # fmt: skip
    if a[g + SUM_DAYS] > 0:
        for i in range(count):
            m = rings[ring.at(r0, room, head, i) + ROW_M]
            summary.take(
                a, af, g, rings, values, r0 + ROW_WORDS * room, times[i], m, seen[i], (known[i] >> IN_RANGE) & 1 == 1
            )
    newest = ring.at(r0, room, head, count - 1)
    w[s + TAIL_T], w[s + TAIL_M] = rings[newest + ROW_T], rings[newest + ROW_M]
    w[s + GONE_T] = max(w[s + GONE_T], w[s + TAIL_T])
    head += count
    w[s + RING_HEAD] = head - room if head >= room else head
    w[s + RING_LEN] -= count


@kernel
def summed(
    count: int, a: Words, af: Floats, g: int, w: Words, s: int, rings: Words, values: Floats, r0: int, block: Words, reals: Floats
) -> None:  # fmt: skip
    """Take the `count` oldest rows of a ring into summaries that stand apart; `reals` is the same memory as `block`, as floats."""
    for i in range(count):
        k = ring.at(r0, a[g + RING_ROOM], w[s + RING_HEAD], i)
        v, q = values[k + ROW_V], rings[k + ROW_BQ] & ((1 << QUALITY_BITS) - 1)
        known = (classes(af, g, v, q) >> IN_RANGE) & 1 == 1
        summary.take(a, af, g, block, reals, 0, rings[k + ROW_T], rings[k + ROW_M], v, known)


@kernel
def opens(a: Words, g: int, w: Words, s: int, rings: Words, r0: int, count: int, forming: int) -> bool:
    """Say whether the tails would pass an open gap with the `count` oldest rows of the ring, or rows behind one that are kept (`forming`)."""
    if forming != NONE:
        return True
    last, room, head, far = w[s + TAIL_T], a[g + RING_ROOM], w[s + RING_HEAD], REACH * a[g + INTERVAL]
    for i in range(count):
        t = rings[ring.at(r0, room, head, i) + ROW_T]
        if last != NONE and t - last > far:
            return True
        last = t
    return False


@kernel
def _words(kind: int) -> int:
    """Return how many words the block of an instance takes."""
    if kind == LIMIT:
        return LIMIT_WORDS
    if kind in (CUMULATIVE, MEAN_KINETIC):
        return CUMULATIVE_WORDS if kind == CUMULATIVE else MEAN_KINETIC_WORDS
    if kind in (TOO_PRECISE, LAST_DIGIT):
        return TOO_PRECISE_WORDS if kind == TOO_PRECISE else LAST_DIGIT_WORDS
    if kind in (SMOOTH, STEADINESS):
        return SMOOTH_WORDS if kind == SMOOTH else STEADINESS_WORDS
    if kind in (DURING, EXPOSURE):
        return DURING_WORDS if kind == DURING else EXPOSURE_WORDS
    return JUMP_WORDS if kind == JUMP else FROZEN_WORDS


@kernel
def decide_quiet(
    a: Words, af: Floats, places: Words, slot: int, w: Words, f: Floats, tails: Words, rings: Words, values: Floats,
    clock: int, stands: Words, asked: Codes, out: Array,
) -> None:  # fmt: skip
    """Decide instances of a series again from the tails, those of which `asked` is 1: where one says nothing it becomes 0.

    None of them may have an alarm that stands behind the tails. One that says something is not to be used as it is left here.
    """
    place = slot * 4
    s, x0, r0, g = (
        places[place + AT_STATE],
        places[place + AT_TAIL],
        places[place + AT_RING],
        places[place + AT_PROGRAM],
    )
    count = w[s + RING_LEN]
    times, batches = np.empty(count, np.int64), np.empty(count, np.int64)
    seen, known = np.empty(count), np.empty(count, np.uint8)
    lowest, highest, every = _columns(
        count, a, af, g, w, s, rings, values, r0, times, batches, seen, known
    )  # fmt: skip
    newest = ring.at(r0, a[g + RING_ROOM], w[s + RING_HEAD], count - 1)
    last_t, last_m = rings[newest + ROW_T], rings[newest + ROW_M]
    for j in range(a[g + INSTANCES]):
        if asked[j] == 0:
            continue
        c = g + CALLS + CALL_WORDS * j
        kind, p = a[c + CALL_KIND], a[c + CALL_PARAMS]
        x, y = s + a[c + CALL_STATE], x0 + a[c + CALL_TAIL]
        for i in range(_words(kind)):
            w[x + i] = tails[y + i]
        n = _pass(
            count, kind, a, af, g, p, w, f, x,
            w, s, rings, values, r0, times, batches, seen, known, lowest, highest, every,
            slot, j, stands, out,
        )  # fmt: skip
        if n == 0:
            n = to_clock(kind, a, a[c + CALL_PAST], p, w, f, x, last_t, last_m, clock, out, 0)
        if n == 0:
            asked[j] = 0


@kernel
def ended(a: Words, h: int, at: int) -> int:
    """Return how many of the numbers that an instance had before are no longer in force at an instant.

    At `h` stands how many they are, and for each the instant at which it ended, the one before which what follows makes nothing due,
    and where its parameters stand (rules/formerly.py).
    """
    k = 0
    while k < a[h] and a[h + 1 + 3 * k] <= at:
        k += 1
    return k


@kernel
def _had_others(a: Words, g: int, call: int, w: Words, s: int) -> bool:
    """Say whether an instance had other numbers when the newest row behind which the tails stand came."""
    h = a[g + CALLS + CALL_WORDS * call + CALL_PAST]
    return h > 0 and ended(a, h, min(w[s + TAIL_T], w[s + TAIL_M])) < a[h]


@kernel
def _turn(
    kind: int, a: Words, h: int, p: int, k: int, to: int, w: Words, f: Floats, x: int, last_t: int, last_m: int,
    out: Array, n: int,
) -> int:  # fmt: skip
    """Let an instance go on from its k-th numbers to later ones, as the clock did: what was due before, then what stays."""
    while k < to:
        until = a[h + 1 + 3 * k]
        old, new = a[h + 3 + 3 * k], a[h + 6 + 3 * k] if k + 1 < a[h] else p
        if until - 1 > last_m and (k == 0 or until > a[h - 2 + 3 * k]):
            n = catch_up(kind, a, old, w, f, x, last_t, last_m, until - 1, out, n)
        _adopt(kind, a, old, new, w, f, x, last_t, last_m, a[h + 2 + 3 * k])
        k += 1
    return n


@kernel
def _differ(a: Words, old: int, new: int, first: int, last: int) -> bool:
    """Say whether any of some parameters is another one."""
    i = first
    while i <= last and a[old + i] == a[new + i]:
        i += 1
    return i <= last


@kernel
def _adopt(
    kind: int, a: Words, old: int, new: int, w: Words, f: Floats, x: int, last_t: int, last_m: int, floor: int
) -> None:  # fmt: skip
    """Let an instance have other numbers, as rules/carry.py does; what they make due is never due before `floor`."""
    if kind == EXPOSURE and _differ(a, old, new, exposure.LOW, exposure.ROWS):
        exposure.forget(w, x)
    elif kind == TOO_PRECISE and _differ(a, old, new, too_precise.SCALE, too_precise.NUMBER):
        too_precise.forget(w, x)
    elif kind == LAST_DIGIT and _differ(a, old, new, last_digit.RESOLUTION, last_digit.LOOK):
        last_digit.forget(w, x)
    elif kind == STEADINESS and _differ(a, old, new, steadiness.FACTS, steadiness.FACTS):
        steadiness.forget(w, f, x)
    elif kind == SMOOTH and (
        a[old + smooth.RECORDS] != a[new + smooth.RECORDS] or a[old + smooth.ONE] != a[new + smooth.ONE]
    ):
        smooth.empty(w, f, x)
    if kind in (LIMIT, JUMP):
        limit.schedule(a, new, w, x, last_t, last_m)
        w[x + limit.DUE] = min(max(w[x + limit.DUE], floor), NEVER)
    elif kind == CUMULATIVE:
        cumulative.schedule(a, new, w, x, last_m)
        w[x + cumulative.DUE] = min(max(w[x + cumulative.DUE], floor), NEVER)
    elif kind == MEAN_KINETIC:
        mean_kinetic.schedule(a, new, w, x, last_m)
        w[x + mean_kinetic.DUE] = min(max(w[x + mean_kinetic.DUE], floor), NEVER)
    elif kind == SMOOTH:
        smooth.schedule(a, new, w, x, last_m)
        w[x + smooth.DUE] = min(max(w[x + smooth.DUE], floor), NEVER)
    elif kind == FROZEN:
        frozen.schedule(a, new, w, x, last_m)
        w[x + frozen.DUE] = min(max(w[x + frozen.DUE], floor), NEVER)


@kernel
def to_clock(
    kind: int, a: Words, h: int, p: int, w: Words, f: Floats, x: int, last_t: int, last_m: int, clock: int, out: Array, n: int
) -> int:  # fmt: skip
    """Take what an instance decides behind its newest row: it has the numbers of now then, and what is due by the clock is decided."""
    if h > 0:
        k = ended(a, h, min(last_t, last_m))
        if k < a[h]:
            last_m = min(last_m, a[h + 1 + 3 * k] - 1)
            n = _turn(kind, a, h, p, k, a[h], w, f, x, last_t, last_m, out, n)
    return catch_up(kind, a, p, w, f, x, last_t, last_m, clock, out, n) if clock > last_m else n


@kernel
def replay(
    kind: int, a: Words, af: Floats, g: int, p: int, w: Words, f: Floats, x: int,
    rings: Words, values: Floats, r0: int, room: int, head: int, begin: int, stop: int, last_t: int, last_m: int,
    slot: int, call: int, stands: Words, out: Array, n: int,
) -> int:  # fmt: skip
    """Fold one instance over rows [begin, stop) of a ring, and what the clock decided between them.

    Where it had other numbers before (`ended`), each row is judged by those in force at its event time, or at its receive time if that is
    earlier; one that came when they had ended counts as received just before.
    """
    h, newest = a[g + CALLS + CALL_WORDS * call + CALL_PAST], p
    many = a[h] if h > 0 else 0
    had = ended(a, h, min(last_t, last_m)) if many > 0 else 0
    if had < many:
        p, last_m = a[h + 3 + 3 * had], min(last_m, a[h + 1 + 3 * had] - 1)
    for i in range(begin, stop):
        k = ring.at(r0, room, head, i)
        t, m, v = rings[k + ROW_T], rings[k + ROW_M], values[k + ROW_V]
        b, q = rings[k + ROW_BQ] >> QUALITY_BITS, rings[k + ROW_BQ] & ((1 << QUALITY_BITS) - 1)
        if had < many:
            behind = ended(a, h, min(t, m))
            n = _turn(kind, a, h, newest, had, behind, w, f, x, last_t, last_m, out, n)
            had = behind
            p = a[h + 3 + 3 * had] if had < many else newest
            m = min(m, a[h + 1 + 3 * had] - 1) if had < many else m
        if m > last_m:
            n = catch_up(kind, a, p, w, f, x, last_t, last_m, m, out, n)
        known = classes(af, g, v, q)
        if q >= MARKED_LATER and stands.shape[0] > 0:
            known >>= _shift(stands, slot, call, t)
        if kind == LIMIT:
            n = limit.step(a, af, p, w, f, x, 0, t, m, b, v, (known >> a[p + limit.ROWS]) & 1 == 1, out, n)
            limit.schedule(a, p, w, x, t, m)
        elif kind == CUMULATIVE:
            n = cumulative.step(a, af, p, w, f, x, 0, t, m, v, known, out, n)
            cumulative.schedule(a, p, w, x, m)
        elif kind == MEAN_KINETIC:
            n = mean_kinetic.step(a, p, w, f, x, 0, t, m, v, (known >> a[p + mean_kinetic.ROWS]) & 1 == 1, out, n)
            mean_kinetic.schedule(a, p, w, x, m)
        elif kind == JUMP:
            n = jump.step(a, af, p, w, f, x, 0, t, m, b, v, (known >> a[p + limit.ROWS]) & 1 == 1, out, n)
            limit.schedule(a, p, w, x, t, m)
        elif kind == SMOOTH:
            n = smooth.step(a, p, w, f, x, 0, t, m, b, v, (known >> a[p + smooth.ROWS]) & 1 == 1, out, n)
            smooth.schedule(a, p, w, x, m)
        elif kind == DURING:
            n = during.step(a, af, p, w, f, x, 0, t, m, b, v, (known >> a[p + during.ROWS]) & 1 == 1, out, n)
        elif kind == EXPOSURE:
            n = exposure.step(a, af, p, w, f, x, 0, t, m, v, (known >> a[p + exposure.ROWS]) & 1 == 1, out, n)
        elif kind == TOO_PRECISE:
            n = too_precise.step(a, af, p, w, f, x, 0, t, m, v, (known >> MARKED) & 1 == 1, out, n)
        elif kind == LAST_DIGIT:
            n = last_digit.step(a, af, p, w, f, x, 0, t, m, v, (known >> MARKED) & 1 == 1, out, n)
        elif kind == STEADINESS:
            n = steadiness.step(a, af, p, w, f, x, 0, t, m, v, (known >> MARKED) & 1 == 1, out, n)
        else:
            n = frozen.step(a, af, p, w, f, x, 0, t, m, b, v, (known >> MARKED) & 1 == 1, out, n)
            frozen.schedule(a, p, w, x, m)
        last_t, last_m = t, m
    return n


@kernel
def catch_up(
    kind: int, a: Words, p: int, w: Words, f: Floats, x: int, last_t: int, last_m: int, clock: int, out: Array, n: int
) -> int:
    """Take every decision of an instance that is due by an instant of the clock."""
    if kind in (LIMIT, JUMP):
        while w[x + limit.DUE] <= clock:
            n = limit.fire(a, p, w, f, x, last_t, last_m, out, n)
    elif kind == CUMULATIVE:
        while w[x + cumulative.DUE] <= clock:
            n = cumulative.fire(a, p, w, f, x, last_t, last_m, out, n)
    elif kind == MEAN_KINETIC:
        while w[x + mean_kinetic.DUE] <= clock:
            n = mean_kinetic.fire(a, p, w, f, x, last_t, last_m, out, n)
    elif kind == SMOOTH:
        while w[x + smooth.DUE] <= clock:
            n = smooth.fire(a, p, w, f, x, last_t, last_m, out, n)
    elif kind == FROZEN:
        while w[x + frozen.DUE] <= clock:
            n = frozen.fire(a, p, w, f, x, last_t, last_m, out, n)
    return n


@kernel
def gone(a: Words, g: int, w: Words, s: int, rings: Words, r0: int) -> int:
    """Return how many of the oldest rows of the ring have left the horizon, and note the newest of them."""
    room, head, length = a[g + RING_ROOM], w[s + RING_HEAD], w[s + RING_LEN]
    count = ring.left(rings, r0, room, head, length, a[g + RING_CAP], REACH * a[g + INTERVAL])
    if count > 0:
        w[s + GONE_T] = max(w[s + GONE_T], rings[ring.at(r0, room, head, count - 1) + ROW_T])
    return count


@kernel
def insert_late(
    a: Words, af: Floats, places: Words, slot: int, w: Words, tails: Words, tail_values: Floats, rings: Words, values: Floats,
    t: int, b: int, v: float, q: int, waiting: int, forming: int, stands: Words, scratch: Array,
) -> int:  # fmt: skip
    """Put a late row that is not stale into its place (PUT).

    Nothing is done where it would move the horizon past a row that is not decided yet (WAITS; `waiting` is the earliest of these, or NONE), or
    where the tails would pass an open gap (OPENS).
    """
    place = slot * 4
    s, x0, r0, g = (
        places[place + AT_STATE],
        places[place + AT_TAIL],
        places[place + AT_RING],
        places[place + AT_PROGRAM],
    )
    room, head = a[g + RING_ROOM], w[s + RING_HEAD]
    left = gone(a, g, w, s, rings, r0)
    gone_t = w[s + GONE_T]
    if w[s + RING_LEN] - left == a[g + RING_CAP]:
        w[s + GONE_T] = max(w[s + GONE_T], rings[ring.at(r0, room, head, left) + ROW_T])
        left += 1
    if w[s + RING_LEN] == room:
        many = min(left, SLACK_ROWS)
        if opens(a, g, w, s, rings, r0, many, forming):
            w[s + GONE_T] = gone_t
            return OPENS
        advance(many, a, af, g, w, s, tails, tail_values, x0, rings, values, r0, slot, stands, scratch)
    at = ring.place(w, s, rings, r0, room, t)
    ring.insert(w, s, rings, values, r0, room, at, t, b, v, q)
    if waiting != NONE:
        length, head = w[s + RING_LEN], w[s + RING_HEAD]
        left = ring.left(rings, r0, room, head, length, a[g + RING_CAP], REACH * a[g + INTERVAL])
        if left > 0 and rings[ring.at(r0, room, head, left - 1) + ROW_T] >= waiting:
            ring.remove(w, s, rings, r0, room, at)
            w[s + GONE_T] = gone_t
            return WAITS
    return PUT


@kernel
def fill(
    a: Words, af: Floats, places: Words, slot: int, w: Words, tails: Words, tail_values: Floats, rings: Words, values: Floats,
    rows: Words, of: Floats, begin: int, waiting: Words, stands: Words, scratch: Array,
) -> int:  # fmt: skip
    """Put late rows of a series that were held into their places, from the `begin`-th on, by event time.

    `of` is the same memory as `rows`, as floats. Returns where it stopped: before a row that would move the horizon past one that is
    not decided yet, or (-1 less that) before one that would move the tails past an open gap; `waiting` is of each series the earliest and the
    newest of these, or NONE.
    """
    for i in range(begin, rows.shape[0]):
        t, bq = rows[i, HELD_T], rows[i, HELD_BQ]
        why = insert_late(
            a, af, places, slot, w, tails, tail_values, rings, values,
            t, bq >> QUALITY_BITS, of[i, HELD_V], bq & ((1 << QUALITY_BITS) - 1), waiting[slot, EARLIEST], waiting[slot, FORMING],
            stands, scratch,
        )  # fmt: skip
        if why != PUT:
            return i if why == WAITS else -1 - i
        waiting[slot, EARLIEST] = t if waiting[slot, EARLIEST] == NONE else min(waiting[slot, EARLIEST], t)
        waiting[slot, NEWEST] = max(waiting[slot, NEWEST], t)
    return rows.shape[0]


@kernel
def is_stale(a: Words, g: int, w: Words, s: int, rings: Words, r0: int, t: int) -> bool:
    """Say whether a row that is not newer than the newest is behind the horizon, or older than all of a full ring."""
    left = gone(a, g, w, s, rings, r0)
    room, head, length = a[g + RING_ROOM], w[s + RING_HEAD], w[s + RING_LEN]
    if t <= w[s + GONE_T] or ring.beyond(rings, r0, room, head, length, REACH * a[g + INTERVAL], t):
        return True
    return length - left == a[g + RING_CAP] and t < rings[ring.at(r0, room, head, left) + ROW_T]


@kernel
def shuts_out(a: Words, g: int, w: Words, s: int, rings: Words, r0: int, t: int) -> bool:
    """Say whether the newest row of the ring makes a row stale that is held; if so, the newest row is taken out again."""
    gone_t = w[s + GONE_T]
    if not is_stale(a, g, w, s, rings, r0, t):
        return False
    w[s + GONE_T] = gone_t
    w[s + RING_LEN] -= 1
    return True


@kernel
def admit(
    a: Words, af: Floats, places: Words, slot: int, call: int, w: Words, f: Floats, t: int, v: float, q: int
) -> None:  # fmt: skip
    """Let an instance that is not decided again take a late row: what it keeps does not depend on the order of rows."""
    place = slot * 4
    s, g = places[place + AT_STATE], places[place + AT_PROGRAM]
    c = g + CALLS + CALL_WORDS * call
    if a[c + CALL_KIND] == REPEAT_DAY and (classes(af, g, v, q) >> MARKED) & 1 == 1:
        repeat_day.put(a, af, a[c + CALL_PARAMS], w, f, s + a[c + CALL_STATE], t, v)


@kernel
def rewind(
    a: Words, af: Floats, places: Words, slot: int, call: int, w: Words, f: Floats, tails: Words, rings: Words, values: Floats,
    size: int, stands: Words, scratch: Array,
) -> int:  # fmt: skip
    """Put an instance back to where its ring's horizon begins; returns how many rows of the ring lie before that."""
    place = slot * 4
    s, x0, r0, g = (
        places[place + AT_STATE],
        places[place + AT_TAIL],
        places[place + AT_RING],
        places[place + AT_PROGRAM],
    )
    c = g + CALLS + CALL_WORDS * call
    x, y = s + a[c + CALL_STATE], x0 + a[c + CALL_TAIL]
    for i in range(size):
        w[x + i] = tails[y + i]
    room, head = a[g + RING_ROOM], w[s + RING_HEAD]
    left = 0
    while left < w[s + RING_LEN] and rings[ring.at(r0, room, head, left) + ROW_T] <= w[s + GONE_T]:
        left += 1
    replay(
        a[c + CALL_KIND], a, af, g, a[c + CALL_PARAMS], w, f, x, rings, values, r0, room, head, 0, left,
        w[s + TAIL_T], w[s + TAIL_M], slot, call, stands, scratch, 0,
    )  # fmt: skip
    return left


@kernel
def refold(
    a: Words, af: Floats, places: Words, slot: int, call: int, w: Words, f: Floats, rings: Words, values: Floats,
    begin: int, clock: int, stands: Words, out: Array,
) -> int:  # fmt: skip
    """Fold an instance that was rewound over the rest of the ring and up to the clock; its state becomes the outcome."""
    place = slot * 4
    s, r0, g = places[place + AT_STATE], places[place + AT_RING], places[place + AT_PROGRAM]
    room, head, length = a[g + RING_ROOM], w[s + RING_HEAD], w[s + RING_LEN]
    c = g + CALLS + CALL_WORDS * call
    kind, p, x = a[c + CALL_KIND], a[c + CALL_PARAMS], s + a[c + CALL_STATE]
    last_t, last_m = w[s + TAIL_T], w[s + TAIL_M]
    if begin > 0:
        k = ring.at(r0, room, head, begin - 1)
        last_t, last_m = rings[k + ROW_T], rings[k + ROW_M]
    n = replay(
        kind,
        a,
        af,
        g,
        p,
        w,
        f,
        x,
        rings,
        values,
        r0,
        room,
        head,
        begin,
        length,
        last_t,
        last_m,
        slot,
        call,
        stands,
        out,
        0,
    )
    if length > begin:
        k = ring.at(r0, room, head, length - 1)
        last_t, last_m = rings[k + ROW_T], rings[k + ROW_M]
    return to_clock(kind, a, a[c + CALL_PAST], p, w, f, x, last_t, last_m, clock, out, n)


@kernel
def passes(a: Words, g: int, w: Words, s: int, rings: Words, r0: int, waiting: int) -> bool:
    """Say whether a row that waits to be decided would leave the horizon by the newest row of the ring; if so, that is taken out again."""
    room, head, length = a[g + RING_ROOM], w[s + RING_HEAD], w[s + RING_LEN]
    left = ring.left(rings, r0, room, head, length, a[g + RING_CAP], REACH * a[g + INTERVAL])
    if left == 0 or rings[ring.at(r0, room, head, left - 1) + ROW_T] < waiting:
        return False
    w[s + RING_LEN] -= 1
    return True


@kernel
def edge_of(a: Words, places: Words, slot: int, w: Words, rings: Words) -> int:
    """Return the newest event time of a series that has left its horizon: a row not newer is stale; NONE if none has."""
    place = slot * 4
    s, r0, g = places[place + AT_STATE], places[place + AT_RING], places[place + AT_PROGRAM]
    room, head, length = a[g + RING_ROOM], w[s + RING_HEAD], w[s + RING_LEN]
    count = ring.left(rings, r0, room, head, length, a[g + RING_CAP], REACH * a[g + INTERVAL])
    if count == 0:
        return w[s + GONE_T]
    return max(w[s + GONE_T], rings[ring.at(r0, room, head, count - 1) + ROW_T])


@kernel
def shut(doors: Words, low: int, high: int) -> int:
    """Return how long our front door was closed between two instants; `doors`: from when to when, shape (times, 2), ms."""
    found = 0
    for i in range(doors.shape[0]):
        found += max(0, min(high, doors[i, 1]) - max(low, doors[i, 0]))
    return found


@kernel
def reached(
    a: Words, places: Words, slot: int, w: Words, rings: Words, low: int, high: int, longest: int, doors: Words
) -> int:  # fmt: skip
    """Return the newest row up to `high` to which rows lead from `low` (event times, ms) in steps of at most `longest`; `low` if none does.

    `doors`, shape (times, 2), is when our front door was closed: what of it lies in a step is no part of its length. Rows that have left the horizon count no more, also while the ring still has them: within a batch it lets go of them late.
    """
    place = slot * 4
    s, r0, g = places[place + AT_STATE], places[place + AT_RING], places[place + AT_PROGRAM]
    room, head, length = a[g + RING_ROOM], w[s + RING_HEAD], w[s + RING_LEN]
    for i in range(ring.left(rings, r0, room, head, length, a[g + RING_CAP], REACH * a[g + INTERVAL]), length):
        t = rings[ring.at(r0, room, head, i) + ROW_T]
        if t > high or t - low - shut(doors, low, t) > longest:
            break
        low = max(low, t)
    return low
