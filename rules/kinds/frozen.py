"""Kind `frozen`: a value that does not move (docs/engine-semantics.md, "frozen").

Two branches share one occurrence: equal values in a row, and a day whose span is too small for a live instrument.
"""

from __future__ import annotations

import numpy as np

from rules.fields import Fields
from rules.jit import kernel
from rules.kinds.telling import emit
from rules.layout import (
    ACTIVE,
    CLEARED,
    FROZEN,
    KNOWN,
    NEVER,
    NONE,
    NORMAL,
    RAISED,
    UNKNOWN,
    Array,
    Codes,
    Floats,
    Words,
)

HOUR_MS = 3_600_000
HOURS = 24

PARAMS = Fields("interval identical span distinct unknown_ms delivery width:real=-inf expected sev")
"""`width`: the largest max - min that counts as frozen over a day; below zero the branch is idle. `expected`: known rows that make
a day judgeable."""
(INTERVAL, IDENTICAL, SPAN, DISTINCT, UNKNOWN_MS, DELIVERY, WIDTH, EXPECTED, SEV_BASE) = PARAMS.starts

STATE = Fields(
    "phase value:real=nan known_t=none run run_t=none run_b=none moves before:real=nan "
    "hour=none cur_known cur_low:real cur_high:real move_t=none by_span due=never start_t=none "
    "unknown sev low*24:real high*24:real known*24"
)
(
    PHASE, VALUE, KNOWN_T, RUN, RUN_T, RUN_B, MOVES, BEFORE,
    HOUR, CUR_KNOWN, CUR_LOW, CUR_HIGH, MOVE_T, BY_SPAN, DUE, START_T,
    SILENT, SEV, LOWS, HIGHS, KNOWNS,
) = STATE.starts  # fmt: skip


@kernel
def schedule(a: Words, p: int, w: Words, x: int, last_m: int) -> int:
    """Set and return `due`, the instant at which an active occurrence becomes unknown by the clock."""
    due = NEVER
    if w[x + PHASE] == ACTIVE and w[x + SILENT] == 0:
        due = max(w[x + KNOWN_T] + a[p + INTERVAL] + a[p + UNKNOWN_MS] + a[p + DELIVERY], last_m)
    w[x + DUE] = due
    return due


@kernel
def fire(a: Words, p: int, w: Words, f: Floats, x: int, last_t: int, last_m: int, out: Array, n: int) -> int:
    """Take the decision that is due: `unknown`."""
    d = w[x + DUE]
    w[x + SILENT] = 1
    n = emit(out, n, -1, FROZEN, x, UNKNOWN, w[x + SEV], d, d, w[x + START_T], NONE, last_t, f[x + VALUE])
    schedule(a, p, w, x, last_m)
    return n


@kernel
def _roll(a: Words, af: Floats, p: int, w: Words, f: Floats, x: int, hour: int) -> int:
    """Close the hours before `hour`; if the 24 full hours before it are too flat, return the first known one, else NONE."""
    if w[x + HOUR] == NONE:
        w[x + HOUR] = hour
        return NONE
    k = w[x + HOUR] % HOURS
    f[x + LOWS + k] = f[x + CUR_LOW]
    f[x + HIGHS + k] = f[x + CUR_HIGH]
    w[x + KNOWNS + k] = w[x + CUR_KNOWN]
    skipped = min(hour - w[x + HOUR] - 1, HOURS)
    for i in range(skipped):
        w[x + KNOWNS + (w[x + HOUR] + 1 + i) % HOURS] = 0
    w[x + HOUR] = hour
    w[x + CUR_KNOWN] = 0
    known = 0
    low = np.inf
    high = -np.inf
    first = hour
    for h in range(hour - HOURS, hour):
        i = h % HOURS
        if w[x + KNOWNS + i] > 0:
            known += w[x + KNOWNS + i]
            low = min(low, f[x + LOWS + i])
            high = max(high, f[x + HIGHS + i])
            first = min(first, h)
    if af[p + WIDTH] >= 0.0 and known >= a[p + EXPECTED] and high - low < af[p + WIDTH]:
        return first
    return NONE


@kernel
def step(
    a: Words, af: Floats, p: int, w: Words, f: Floats, x: int,
    row: int, t: int, m: int, b: int, value: float, known: bool, out: Array, n: int,
) -> int:  # fmt: skip
    """Fold one row in event-time order."""
    if not known:
        silent_at = w[x + KNOWN_T] + a[p + INTERVAL] + a[p + UNKNOWN_MS]
        if w[x + PHASE] == ACTIVE and w[x + SILENT] == 0 and t >= silent_at:
            w[x + SILENT] = 1
            n = emit(out, n, row, FROZEN, x, UNKNOWN, w[x + SEV], t, m, w[x + START_T], NONE, t, f[x + VALUE])
        return n
    if w[x + SILENT] == 1:
        w[x + SILENT] = 0
        n = emit(out, n, row, FROZEN, x, KNOWN, w[x + SEV], t, m, w[x + START_T], NONE, t, value)
    hour = t // HOUR_MS
    if hour != w[x + HOUR]:
        first = w[x + HOUR] == NONE
        flat = _roll(a, af, p, w, f, x, hour)
        if not first:
            w[x + BY_SPAN] = 1 if flat != NONE else 0
        if flat != NONE and w[x + PHASE] == NORMAL:
            w[x + PHASE] = ACTIVE
            w[x + SEV] = a[p + SEV_BASE]
            w[x + START_T] = flat * HOUR_MS
            n = emit(out, n, row, FROZEN, x, RAISED, w[x + SEV], t, m, w[x + START_T], NONE, t, value)
    if w[x + CUR_KNOWN] == 0:
        f[x + CUR_LOW] = value
        f[x + CUR_HIGH] = value
    f[x + CUR_LOW] = min(f[x + CUR_LOW], value)
    f[x + CUR_HIGH] = max(f[x + CUR_HIGH], value)
    w[x + CUR_KNOWN] += 1

    if w[x + KNOWN_T] == NONE or t - w[x + KNOWN_T] > 2 * a[p + INTERVAL]:
        w[x + RUN] = 1
        w[x + RUN_T] = t
        w[x + RUN_B] = b
        w[x + MOVES] = 0
        f[x + BEFORE] = np.nan
    elif value == f[x + VALUE]:
        w[x + RUN] += 1
        w[x + MOVES] = 0
        f[x + BEFORE] = f[x + VALUE]
    else:
        w[x + RUN] = 1
        w[x + RUN_T] = t
        w[x + RUN_B] = b
        if w[x + MOVES] > 0 and value != f[x + BEFORE]:
            w[x + MOVES] += 1
        else:
            w[x + MOVES] = 1
            w[x + MOVE_T] = t
        f[x + BEFORE] = f[x + VALUE]
    w[x + KNOWN_T] = t
    f[x + VALUE] = value

    if w[x + PHASE] == NORMAL:
        if w[x + RUN] >= a[p + IDENTICAL] and t - w[x + RUN_T] >= a[p + SPAN]:
            w[x + PHASE] = ACTIVE
            w[x + SEV] = a[p + SEV_BASE]
            w[x + START_T] = w[x + RUN_T]
            n = emit(out, n, row, FROZEN, x, RAISED, w[x + SEV], t, m, w[x + START_T], NONE, t, value)
            out[n - 1]["first"] = w[x + RUN_B]
    elif w[x + MOVES] >= a[p + DISTINCT] and w[x + BY_SPAN] == 0:
        n = emit(out, n, row, FROZEN, x, CLEARED, w[x + SEV], t, m, w[x + START_T], w[x + MOVE_T], t, value)
        w[x + PHASE] = NORMAL
        w[x + START_T] = NONE
    return n


@kernel
def glide(
    a: Words, p: int, w: Words, f: Floats, x: int,
    time: Words, batch: Words, value: Floats, known: Codes, bit: int, i: int, count: int,
) -> int:  # fmt: skip
    """Fold rows from the i-th on as `step` would, as long as they begin or end nothing; returns the first that is left.

    Nearly all rows are such, and the block is read and written once for all of them.
    """
    if w[x + PHASE] != NORMAL or w[x + HOUR] == NONE or w[x + KNOWN_T] == NONE or w[x + CUR_KNOWN] == 0:
        return i
    begin = w[x + HOUR] * HOUR_MS
    end = begin + HOUR_MS
    far, identical, span = 2 * a[p + INTERVAL], a[p + IDENTICAL], a[p + SPAN]
    last_t, last, before = w[x + KNOWN_T], f[x + VALUE], f[x + BEFORE]
    equal, equal_t, equal_b = w[x + RUN], w[x + RUN_T], w[x + RUN_B]
    moves, move_t = w[x + MOVES], w[x + MOVE_T]
    low, high, seen = f[x + CUR_LOW], f[x + CUR_HIGH], w[x + CUR_KNOWN]
    while i < count:
        if (known[i] >> bit) & 1 == 1:
            t, v = time[i], value[i]
            if t >= end or t < begin or t - last_t > far:
                break
            if v == last:
                if equal + 1 >= identical and t - equal_t >= span:
                    break
                equal += 1
                moves = 0
            else:
                equal, equal_t, equal_b = 1, t, batch[i]
                if moves > 0 and v != before:
                    moves += 1
                else:
                    moves, move_t = 1, t
            before = last
            low, high = min(low, v), max(high, v)
            seen += 1
            last_t, last = t, v
        i += 1
    w[x + KNOWN_T], f[x + VALUE], f[x + BEFORE] = last_t, last, before
    w[x + RUN], w[x + RUN_T], w[x + RUN_B] = equal, equal_t, equal_b
    w[x + MOVES], w[x + MOVE_T] = moves, move_t
    f[x + CUR_LOW], f[x + CUR_HIGH], w[x + CUR_KNOWN] = low, high, seen
    return i
