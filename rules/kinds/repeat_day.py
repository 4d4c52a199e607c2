"""Kind `repeat_day`: a day whose values are those of an earlier day (docs/engine-semantics.md, "repeat_day").

Of a day stand at most 49 entries, one a slot: where in its slot the record lies, and a digest of its value. They do not depend on
the order in which records came, and a day is judged when none of its rows can come any more: so there is no tail to decide again from.
"""

from __future__ import annotations

import math

import numpy as np

from rules.fields import Fields
from rules.jit import kernel
from rules.kinds.telling import emit
from rules.layout import HORIZON_MS, NONE, RAISED, REPEAT_DAY, Array, Floats, Words

DAY_MS = 86_400_000
SLOTS = 49
"""Entries of a day at most: 48 and, where the interval divides the day, the one at its end."""
DAYS = 9
"""A day is compared with one at most seven before it, while the next has begun."""
LAGS = 2
PARTS = 16
"""Where in its slot a record lies is kept in sixteenths of the interval."""
ENTRY_BITS, DIGEST_BITS, A_WORD = 21, 16, 3
"""An entry: whether there is one, sixteenth, digest; so many entries of a word, of different days."""
ENTRY = (1 << ENTRY_BITS) - 1
HELD = 1 << (ENTRY_BITS - 1)
DIGEST = (1 << DIGEST_BITS) - 1

PARAMS = Fields("interval zone stride slots resolution:real lags*2 share pairs distinct chance")
"""`stride`: of how many slots one is kept; `slots`: how many those are. `lags` in days, 0: none. `share` and `chance` in thousandths."""
(INTERVAL, ZONE, STRIDE, KEPT, RESOLUTION, LAG, SHARE, PAIRS, DISTINCT, CHANCE) = PARAMS.starts
GRID_WORDS = SLOTS * DAYS // A_WORD

STATE = Fields(f"day=none next=none wake mix:real due=never grid*{GRID_WORDS}")
"""`day`: the newest that has entries; `next`: the one to be judged next; `wake`: rows before this instant change nothing.

`mix` is room for the bits of a value. Nothing is ever due."""
DAY, NEXT, WAKE, MIX, DUE, GRID = STATE.starts


def stride_of(interval: int) -> int:
    """Return of how many slots one is kept.

    >>> stride_of(60_000), stride_of(1_200_000), stride_of(3_600_000)
    (30, 2, 1)
    """
    return max(1, -(-DAY_MS // ((SLOTS - 1) * interval)))


def slots_of(interval: int) -> int:
    """Return how many slots of a day are kept.

    >>> slots_of(60_000), slots_of(1_200_000), slots_of(3_600_000), slots_of(7 * DAY_MS)
    (49, 37, 25, 1)
    """
    return (DAY_MS - 1 + interval // 2) // interval // stride_of(interval) + 1


@kernel
def digest(w: Words, f: Floats, x: int, value: float, resolution: float) -> int:
    """Return what tells a value from others as the sensor shows it: 16 bits of the steps of its resolution, else of itself."""
    shown = value
    if resolution > 0.0 and math.isfinite(value / resolution):
        shown = math.floor(value / resolution + 0.5)
    f[x + MIX] = shown + 0.0  # no negative zero
    bits = w[x + MIX]
    w[x + MIX] = 0
    low, high = bits & 0xFFFFFFFF, (bits >> 32) & 0xFFFFFFFF
    mixed = ((low * 0x4F1BBCDD) ^ (high * 0x68E31DA5)) & 0xFFFFFFFF
    return mixed >> 16


@kernel
def _word(x: int, day: int, k: int) -> tuple[int, int]:
    """Return the word that the entry of a slot and a day stands in, and how far it is shifted."""
    column = day % DAYS
    return x + GRID + k * (DAYS // A_WORD) + column // A_WORD, ENTRY_BITS * (column % A_WORD)


@kernel
def entry(w: Words, x: int, day: int, k: int) -> int:
    """Return the entry of a slot of a day, 0 where there is none."""
    at, shift = _word(x, day, k)
    return (w[at] >> shift) & ENTRY


@kernel
def _open(w: Words, x: int, day: int) -> None:
    """Let a day begin: what stood in its place is forgotten."""
    if w[x + DAY] == NONE:
        w[x + DAY] = day - 1
    first = max(w[x + DAY] + 1, day - DAYS + 1)
    for each in range(first, day + 1):
        for k in range(SLOTS):
            at, shift = _word(x, each, k)
            w[at] &= ~(ENTRY << shift)
    w[x + DAY] = day
    w[x + NEXT] = max(w[x + NEXT], day - 1)


@kernel
def put(a: Words, af: Floats, p: int, w: Words, f: Floats, x: int, t: int, value: float) -> None:
    """Enter a known row of any order: of one slot the earliest by sixteenths stands, then that with the smaller digest."""
    local = t + a[p + ZONE]
    day = local // DAY_MS
    if w[x + DAY] == NONE or day > w[x + DAY]:
        _open(w, x, day)
    if day <= w[x + DAY] - DAYS:
        return
    interval = a[p + INTERVAL]
    inside = local - day * DAY_MS + interval // 2
    slot = inside // interval
    if slot % a[p + STRIDE] != 0:
        return
    part = (inside - slot * interval) * PARTS // interval
    new = HELD | (part << DIGEST_BITS) | digest(w, f, x, value, af[p + RESOLUTION])
    k = slot // a[p + STRIDE]
    at, shift = _word(x, day, k)
    old = (w[at] >> shift) & ENTRY
    if old == 0 or new < old:
        w[at] = (w[at] & ~(ENTRY << shift)) | (new << shift)


@kernel
def compare(a: Words, p: int, w: Words, x: int, day: int, lag: int) -> tuple[int, int, int, int]:
    """Compare a day with one before it; returns pairs, equal ones, different values of the pairs, and the sum of their squared numbers."""
    seen = np.empty(SLOTS, np.int64)
    pairs = equal = 0
    for k in range(a[p + KEPT]):
        new, old = entry(w, x, day, k), entry(w, x, day - lag, k)
        if new == 0 or old == 0 or 2 * abs((new >> DIGEST_BITS) - (old >> DIGEST_BITS)) > PARTS:
            continue
        seen[pairs] = new & DIGEST
        pairs += 1
        if (new & DIGEST) == (old & DIGEST):
            equal += 1
    seen[:pairs].sort()
    different = squares = run = 0
    for i in range(pairs):
        run += 1
        if i + 1 == pairs or seen[i + 1] != seen[i]:
            different += 1
            squares += run * run
            run = 0
    return pairs, equal, different, squares


@kernel
def _judge(a: Words, p: int, w: Words, x: int, row: int, t: int, m: int, day: int, out: Array, n: int) -> int:
    """Judge a day that is whole: by the first lag of which enough is known and the values agree."""
    for i in range(LAGS):
        lag = a[p + LAG + i]
        if lag == 0:
            continue
        pairs, equal, different, squares = compare(a, p, w, x, day, lag)
        if pairs < a[p + PAIRS] or different < a[p + DISTINCT] or 1000 * squares > a[p + CHANCE] * pairs * pairs:
            continue
        if 1000 * equal >= a[p + SHARE] * pairs:
            start = day * DAY_MS - a[p + ZONE]
            n = emit(out, n, row, REPEAT_DAY, x, RAISED, 0, t, m, start, lag, t, float(equal))
            out[n - 1]["peak"] = float(pairs)
            return n
    return n


@kernel
def step(
    a: Words, af: Floats, p: int, w: Words, f: Floats, x: int,
    row: int, t: int, m: int, value: float, known: bool, out: Array, n: int,
) -> int:  # fmt: skip
    """Fold one row in event-time order, the newest of its series: judge the days that it leaves behind, then enter it."""
    zone, interval = a[p + ZONE], a[p + INTERVAL]
    day = (t + zone) // DAY_MS
    if w[x + DAY] == NONE:
        _open(w, x, day)
    while w[x + NEXT] <= w[x + DAY] and t >= (w[x + NEXT] + 1) * DAY_MS - zone + HORIZON_MS:
        n = _judge(a, p, w, x, row, t, m, w[x + NEXT], out, n)
        w[x + NEXT] += 1
    if day > w[x + DAY]:
        _open(w, x, day)
    if known:
        put(a, af, p, w, f, x, t, value)
    begin = day * DAY_MS - zone
    slot = (t - begin + interval // 2) // interval
    wake = 0
    if slot % a[p + STRIDE] != 0:
        behind = (slot // a[p + STRIDE] + 1) * a[p + STRIDE] * interval - interval // 2
        wake = min(begin + behind, begin + DAY_MS, (w[x + NEXT] + 1) * DAY_MS - zone + HORIZON_MS)
    w[x + WAKE] = wake
    return n
