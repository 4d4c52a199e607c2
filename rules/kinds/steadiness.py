"""Kind `steadiness`: days that move far less than the weeks before them, or not at all from the detection limit (docs/engine-semantics.md, "steadiness"; ADR 0046).

A day is kept as three sums from its first value, a past day as number, mean and sum of squares in two halves of a word, a past week as one half: its
standard deviation (of a check of shares, its share). It is judged by the first known row of a later local day; the clock decides nothing.
"""

from __future__ import annotations

import math

import numpy as np

from rules.fields import Fields
from rules.jit import kernel
from rules.kinds.telling import emit
from rules.layout import ACTIVE, CLEARED, NONE, NORMAL, RAISED, STEADINESS, Array, Codes, Floats, Words

DAY_MS = 86_400_000
SPREAD, DIFFERENCES, NEAR = 0, 1, 2
"""What is taken of a row: its value, what it differs by from the known row before it, or whether it lies at the detection limit."""
WEEK, PAST = 7, 6
"""Days of a window, and those of them before its newest."""
MONDAY = 3
"""Days before 1970-01-01, a Thursday, since which the local weeks are counted."""
WEEKS, ENTERED = 13, 14
"""Weeks of the baseline, 91 days, and those that are kept: the newest may overlap the window."""
MOST = (1 << 20) - 1
"""Rows of a day that are taken at most: counts have twenty bits, three a word."""
COUNT_BITS, A_WORD = 20, 3
HALF_BITS = 32
HALF = (1 << HALF_BITS) - 1
"""The upper half of a float64: as many powers of ten, and a precision of half a millionth. All bits set is none."""
LEAST = 1e-6
"""Of a baseline of so little or less, in the unit of the series, nothing is told: it is what computing leaves of a value that stays."""
A_STEP = 1.000_001
"""Steps of the resolution that a value may lie from the detection limit: one, and what is lost of decimals."""
LARGEST = 1e15
"""A value of so much or more says nothing."""
PARTS = 100_000
"""Parts of one to which the ratio is rounded before it is judged: what the halves lose stays below."""

PARAMS = Fields("check interval zone days weeks below above before facts sev limit:real reach:real")
"""`days` of a window. `below`, `above`, `before`: in parts; of shares an alarm begins with `above`, after weeks of less than `before`, and ends below `below`.

`limit`, `reach`: the detection limit, and how far from it a value may lie. `weeks` of the baseline that have to be known. `facts`: a digest of what, when it changes, lets the counting begin anew."""
(CHECK, INTERVAL, ZONE, SPAN, KNOWN_WEEKS, BELOW, ABOVE, BEFORE, FACTS, SEV_BASE, LIMIT, REACH) = PARAMS.starts

STATE = Fields(
    "phase due=never start_t=none unknown sev value:real=nan baseline:real=nan day=none base:real sum:real squares:real seen_t=none seen:real "
    f"counts*2 days*{PAST} weeks*{ENTERED // 2}=none"
)
"""`value`: the ratio or share that was told; `baseline`: what an alarm was raised against. `day`: that of the newest known row, and how many values were taken of it
(so many of its lowest bits); `base`, its first one, from which `sum` and `squares` count. `seen_t`, `seen`: the newest known row, where differences are taken.

`counts` and `days` by day modulo six: how many, and mean (from `base`) and sum of squares (round the mean) in halves. `weeks`: halves, newest first.
Nothing is ever due, and nothing unknown."""
(PHASE, DUE, START_T, SILENT, SEV, VALUE, BASELINE, DAY, BASE, SUM, SQUARES, SEEN_T, SEEN, COUNTS, DAYS, ENTRY) = (
    STATE.starts
)


@kernel
def half_of(value: float) -> int:
    """Return a float64 as its upper half, rounded."""
    room = np.empty(1)
    room[0] = value
    return ((room.view(np.int64)[0] + (1 << (HALF_BITS - 1))) >> HALF_BITS) & HALF


@kernel
def whole_of(half: int) -> float:
    """Return what a half stands for."""
    room = np.empty(1, np.int64)
    room[0] = half << HALF_BITS
    return room.view(np.float64)[0]


@kernel
def count_of(w: Words, x: int, day: int) -> int:
    """Return how many values were taken of one of the six days before the newest."""
    k = day % PAST
    return (w[x + COUNTS + k // A_WORD] >> (COUNT_BITS * (k % A_WORD))) & MOST


@kernel
def _set_count(w: Words, x: int, day: int, count: int) -> None:
    k = day % PAST
    at, shift = x + COUNTS + k // A_WORD, COUNT_BITS * (k % A_WORD)
    w[at] = (w[at] & ~(MOST << shift)) | (count << shift)


@kernel
def entered(w: Words, x: int, k: int) -> int:
    """Return the half of the k-th newest week that was entered."""
    return (w[x + ENTRY + k // 2] >> (HALF_BITS * (k % 2))) & HALF


@kernel
def enter(w: Words, x: int, half: int) -> None:
    """Enter a week as the newest; the oldest is forgotten."""
    for k in range(ENTERED - 1, -1, -1):
        new = entered(w, x, k - 1) if k > 0 else half
        at, shift = x + ENTRY + k // 2, HALF_BITS * (k % 2)
        w[at] = (w[at] & ~(HALF << shift)) | (new << shift)


@kernel
def week_of(day: int) -> int:
    """Return the week, Monday to Sunday, of a local day."""
    return (day + MONDAY) // WEEK


@kernel
def deviation(w: Words, f: Floats, x: int, days: int) -> tuple[int, float, float]:
    """Return how many values so many newest days have, their mean and their standard deviation (of all of them, not of a sample)."""
    day, many = w[x + DAY] >> COUNT_BITS, w[x + DAY] & MOST
    mean = rest = 0.0
    if many > 0:
        mean = f[x + SUM] / many
        rest = max(f[x + SQUARES] - f[x + SUM] * mean, 0.0)
    for each in range(day - days + 1, day):
        count = count_of(w, x, each)
        if count > 0:
            both = w[x + DAYS + each % PAST]
            away = whole_of((both >> HALF_BITS) & HALF) - mean
            whole = many + count
            rest += whole_of(both & HALF) + away * away * (float(many) * count / whole)
            mean += away * count / whole
            many = whole
    return many, f[x + BASE] + mean, math.sqrt(rest / many) if many > 0 else 0.0


@kernel
def covers(a: Words, p: int, many: int, days: int) -> bool:
    """Say whether so many values make days known: three quarters of what they should have (U5)."""
    return 4 * many * a[p + INTERVAL] >= 3 * days * DAY_MS


@kernel
def median(w: Words, x: int, first: int, least: int) -> float:
    """Return the median of thirteen weeks from the `first` newest on; NaN where fewer than `least` of them are known."""
    known = np.empty(WEEKS)
    many = 0
    for k in range(first, first + WEEKS):
        half = entered(w, x, k)
        if half != HALF:
            known[many] = whole_of(half)
            many += 1
    if many < least:
        return math.nan
    known[:many].sort()
    return (known[(many - 1) // 2] + known[many // 2]) / 2.0


@kernel
def average(w: Words, x: int, least: int) -> float:
    """Return the mean of the thirteen newest weeks; NaN where fewer than `least` of them are known."""
    total, many = 0.0, 0
    for k in range(WEEKS):
        half = entered(w, x, k)
        if half != HALF:
            total += whole_of(half)
            many += 1
    return total / many if many >= least else math.nan


@kernel
def parts_of(found: float, baseline: float) -> int:
    """Return a ratio in parts, halves upward."""
    return math.floor(min(found / baseline * PARTS, 1e15) + 0.5)


@kernel
def _judge(
    a: Words, p: int, w: Words, f: Floats, x: int, row: int, t: int, m: int, found: float, out: Array, n: int
) -> int:
    """Judge a window that is known, with the day of the newest known row before as its last: its deviation, or its share."""
    last, shares, normal = w[x + DAY] >> COUNT_BITS, a[p + CHECK] == NEAR, w[x + PHASE] == NORMAL
    begin = (last - a[p + SPAN] + 1) * DAY_MS - a[p + ZONE]
    baseline = f[x + BASELINE]
    if normal and shares:
        baseline = average(w, x, a[p + KNOWN_WEEKS])
    elif normal:
        sunday = week_of(last) != week_of(last + 1)
        baseline = median(w, x, 0 if sunday else 1, a[p + KNOWN_WEEKS])
    if math.isnan(baseline) or (not shares and baseline <= LEAST):
        return n
    parts = parts_of(found, 1.0 if shares else baseline)
    begins, ends = parts < a[p + BELOW], parts > a[p + ABOVE]
    if shares:
        begins, ends = parts >= a[p + ABOVE] and parts_of(baseline, 1.0) < a[p + BEFORE], parts < a[p + BELOW]
    if normal and begins:
        w[x + PHASE] = ACTIVE
        w[x + SEV] = a[p + SEV_BASE]
        w[x + START_T] = begin
        f[x + BASELINE] = baseline
        f[x + VALUE] = parts / PARTS
        n = emit(out, n, row, STEADINESS, x, RAISED, w[x + SEV], t, m, begin, NONE, t, f[x + VALUE])
    elif ends and not normal:
        n = emit(out, n, row, STEADINESS, x, CLEARED, w[x + SEV], t, m, w[x + START_T], begin, t, parts / PARTS)
        w[x + PHASE] = NORMAL
        w[x + START_T] = NONE
        w[x + SEV] = 0
        f[x + BASELINE] = math.nan
    return n


@kernel
def _turn(a: Words, p: int, w: Words, f: Floats, x: int, row: int, t: int, m: int, day: int, out: Array, n: int) -> int:
    """Leave the newest day behind for a later one: judge what ends with it, enter its week if that has ended, and keep its sums."""
    last, many = w[x + DAY] >> COUNT_BITS, w[x + DAY] & MOST
    near = a[p + CHECK] == NEAR
    taken, mean, found = deviation(w, f, x, a[p + SPAN])
    if covers(a, p, taken, a[p + SPAN]):
        n = _judge(a, p, w, f, x, row, t, m, mean if near else found, out, n)
    weeks = week_of(day) - week_of(last)
    if weeks > 0 and w[x + PHASE] == NORMAL:
        taken, mean, found = deviation(w, f, x, (last + MONDAY) % WEEK + 1)
        enter(w, x, half_of(mean if near else found) if covers(a, p, taken, WEEK) else HALF)
        for _ in range(min(weeks - 1, ENTERED)):
            enter(w, x, HALF)
    mean = rest = 0.0
    if many > 0:
        mean = f[x + SUM] / many
        rest = max(f[x + SQUARES] - f[x + SUM] * mean, 0.0)
    w[x + DAYS + last % PAST] = (half_of(mean) << HALF_BITS) | half_of(rest)
    _set_count(w, x, last, many)
    for each in range(last + 1, min(day, last + WEEK)):
        _set_count(w, x, each, 0)
    w[x + DAY] = day << COUNT_BITS
    f[x + SUM] = 0.0
    f[x + SQUARES] = 0.0
    return n


@kernel
def _rebase(w: Words, f: Floats, x: int, base: float) -> None:
    """Let means count from the first value of a day that begins."""
    moved = f[x + BASE] - base
    for k in range(PAST):
        both = w[x + DAYS + k]
        mean = whole_of((both >> HALF_BITS) & HALF) + moved
        w[x + DAYS + k] = (half_of(mean) << HALF_BITS) | (both & HALF)
    f[x + BASE] = base


@kernel
def step(
    a: Words, af: Floats, p: int, w: Words, f: Floats, x: int,
    row: int, t: int, m: int, value: float, known: bool, out: Array, n: int,
) -> int:  # fmt: skip
    """Fold one row in event-time order."""
    if not known or not abs(value) < LARGEST:
        return n
    day = (t + a[p + ZONE]) // DAY_MS
    if w[x + DAY] == NONE:
        w[x + DAY] = day << COUNT_BITS
    elif day > w[x + DAY] >> COUNT_BITS:
        n = _turn(a, p, w, f, x, row, t, m, day, out, n)
    taken = value
    if a[p + CHECK] == DIFFERENCES:
        taken = value - f[x + SEEN]
        near = w[x + SEEN_T] != NONE and t - w[x + SEEN_T] <= 2 * a[p + INTERVAL]
        w[x + SEEN_T] = t
        f[x + SEEN] = value
        if not near:
            return n
    elif a[p + CHECK] == NEAR:
        taken = 1.0 if abs(value - af[p + LIMIT]) <= af[p + REACH] else 0.0
    many = w[x + DAY] & MOST
    if many == MOST:
        return n
    if many == 0:
        _rebase(w, f, x, taken)
    away = taken - f[x + BASE]
    f[x + SUM] += away
    f[x + SQUARES] += away * away
    w[x + DAY] += 1
    return n


@kernel
def glide(
    a: Words, af: Floats, p: int, w: Words, f: Floats, x: int,
    time: Words, value: Floats, known: Codes, bit: int, i: int, count: int,
) -> int:  # fmt: skip
    """Fold rows from the i-th on as `step` would, as long as they lie in the newest day; returns the first that is left."""
    many = w[x + DAY] & MOST
    if w[x + DAY] == NONE or many == 0:
        return i
    begin = (w[x + DAY] >> COUNT_BITS) * DAY_MS - a[p + ZONE]
    end = begin + DAY_MS
    differs, shares, far = a[p + CHECK] == DIFFERENCES, a[p + CHECK] == NEAR, 2 * a[p + INTERVAL]
    limit, reach = af[p + LIMIT], af[p + REACH]
    base, total, squares = f[x + BASE], f[x + SUM], f[x + SQUARES]
    seen_t, seen = w[x + SEEN_T], f[x + SEEN]
    while i < count:
        v = value[i]
        if (known[i] >> bit) & 1 == 1 and abs(v) < LARGEST:
            t = time[i]
            if t >= end or many == MOST:
                break
            taken, near = v, True
            if differs:
                taken, near = v - seen, t - seen_t <= far
                seen_t, seen = t, v
            elif shares:
                taken = 1.0 if abs(v - limit) <= reach else 0.0
            if near:
                away = taken - base
                total += away
                squares += away * away
                many += 1
        i += 1
    w[x + DAY] = ((w[x + DAY] >> COUNT_BITS) << COUNT_BITS) | many
    f[x + SUM], f[x + SQUARES] = total, squares
    w[x + SEEN_T], f[x + SEEN] = seen_t, seen
    return i


@kernel
def forget(w: Words, f: Floats, x: int) -> None:
    """Let counting begin anew, as for another sensor; what stands, stands against the baseline that it was raised against."""
    w[x + DAY] = NONE
    w[x + SEEN_T] = NONE
    for i in (BASE, SUM, SQUARES, SEEN):
        f[x + i] = 0.0
    for i in range(COUNTS, ENTRY):
        w[x + i] = 0
    for i in range(ENTRY, ENTRY + ENTERED // 2):
        w[x + i] = NONE
