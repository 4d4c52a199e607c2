"""Kind `cumulative`: the time beyond a limit, summed over a sliding window (docs/engine-semantics.md, "cumulative").

The window is kept as 48 sums, one for each part of it: time beyond the limit and time covered, in ms, in one word. A copy of
the single-event rule (`idle_while`) runs inside the block, so that what lies inside its occurrence is taken out again also
where late rows decide anew.
"""

from __future__ import annotations

from rules.fields import Fields
from rules.jit import kernel
from rules.kinds import limit
from rules.kinds.telling import emit
from rules.layout import (
    ACTIVE,
    CLEARED,
    CUMULATIVE,
    KNOWN,
    NEVER,
    NONE,
    NORMAL,
    RAISED,
    UNKNOWN,
    Array,
    Floats,
    Words,
)

PARTS = 48
"""Parts of the window that have a sum of their own."""
COVERED_BITS = 32
COVERED_MASK = (1 << COVERED_BITS) - 1

PARAMS = Fields(
    "low:real=-inf high:real=inf inclusive rows total below part interval delivery unknown_ms sev "
    f"single single_rule*{limit.PARAMS.words}"
)
"""`part`: length of one of the 48 parts, ms. `single`: which rule the single event is of (a number made of its id), 0 if none;
behind it stand that rule's own parameters."""
(
    LOW, HIGH, INCLUSIVE, ROWS, TOTAL, BELOW, PART, INTERVAL, DELIVERY, UNKNOWN_MS, SEV_BASE, SINGLE, SINGLE_PARAMS,
) = PARAMS.starts  # fmt: skip

STATE = Fields(
    "phase due=never known_t=none beyond last_t=none last_m=none part=none sum_beyond sum_covered "
    f"value:real start_t=none unknown sev before parts*{PARTS} {limit.STATE.text('single_')}"
)
"""`beyond`: the newest known row counts. `part`: number of the part that the newest known row ends in, since the epoch. `value`: the sum
that was judged last. `before`: what the part in which the single event begins held before it."""
(
    PHASE, DUE, KNOWN_T, BEYOND, LAST_T, LAST_M, PART_NOW, SUM_BEYOND, SUM_COVERED,
    VALUE, START_T, SILENT, SEV, BEFORE, SUMS, SINGLE_STATE, *_,
) = STATE.starts  # fmt: skip
_EMPTIED = (BEYOND, PART_NOW, SUM_BEYOND, SUM_COVERED, BEFORE)


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
    n = emit(out, n, -1, CUMULATIVE, x, UNKNOWN, w[x + SEV], d, d, w[x + START_T], NONE, last_t, f[x + VALUE])
    schedule(a, p, w, x, last_m)
    return n


@kernel
def _roll(a: Words, p: int, w: Words, x: int, t: int) -> None:
    """Move the window on, so that it ends in the part which holds the instant before `t`."""
    part = (t - 1) // a[p + PART]
    if w[x + PART_NOW] == NONE:
        w[x + PART_NOW] = part
        return
    if part - w[x + PART_NOW] >= PARTS:
        for k in range(PARTS):
            w[x + SUMS + k] = 0
        w[x + SUM_BEYOND] = 0
        w[x + SUM_COVERED] = 0
        w[x + PART_NOW] = part
    while w[x + PART_NOW] < part:
        w[x + PART_NOW] += 1
        i = x + SUMS + w[x + PART_NOW] % PARTS
        w[x + SUM_BEYOND] -= w[i] >> COVERED_BITS
        w[x + SUM_COVERED] -= w[i] & COVERED_MASK
        w[i] = 0


@kernel
def _cover(a: Words, p: int, w: Words, x: int, begin: int, end: int, counts: int) -> None:
    """Add the time from `begin` to `end` (the window ends there) to the parts; `counts` 1: beyond the limit."""
    length = a[p + PART]
    for part in range(max(begin // length, w[x + PART_NOW] - PARTS + 1), w[x + PART_NOW] + 1):
        span = min(end, (part + 1) * length) - max(begin, part * length)
        w[x + SUMS + part % PARTS] += span + counts * (span << COVERED_BITS)
        w[x + SUM_COVERED] += span
        w[x + SUM_BEYOND] += counts * span


@kernel
def _take_out(a: Words, p: int, w: Words, x: int, start: int) -> None:
    """Take the time beyond the limit since `start`, the beginning of a single event, out of the sums."""
    first = start // a[p + PART]
    for part in range(max(first, w[x + PART_NOW] - PARTS + 1), w[x + PART_NOW] + 1):
        i = x + SUMS + part % PARTS
        stays = w[x + BEFORE] if part == first else 0
        w[x + SUM_BEYOND] -= (w[i] >> COVERED_BITS) - stays
        w[i] = (stays << COVERED_BITS) | (w[i] & COVERED_MASK)
    w[x + BEYOND] = 0


@kernel
def _single_clock(a: Words, p: int, w: Words, f: Floats, x: int, m: int, out: Array, n: int) -> None:
    """Let the clock decide the single event up to `m`, the receive time of the next row; what it writes is not told."""
    q, y = p + SINGLE_PARAMS, x + SINGLE_STATE
    if w[y + limit.PHASE] == NORMAL or m <= w[x + LAST_M]:
        return
    was = w[y + limit.PHASE]
    while w[y + limit.DUE] <= m:
        limit.fire(a, q, w, f, y, w[x + LAST_T], w[x + LAST_M], out, n)
    if was < ACTIVE <= w[y + limit.PHASE]:
        _take_out(a, p, w, x, w[y + limit.START_T])


@kernel
def _single_row(
    a: Words,
    af: Floats,
    p: int,
    w: Words,
    f: Floats,
    x: int,
    t: int,
    m: int,
    value: float,
    mask: int,
    out: Array,
    n: int,
) -> None:
    """Let a row decide the single event; what it writes is not told."""
    q, y = p + SINGLE_PARAMS, x + SINGLE_STATE
    if limit.idle(a, af, q, w, y, value, value):
        return
    was = w[y + limit.PHASE]
    limit.step(a, af, q, w, f, y, -1, t, m, NONE, value, (mask >> a[q + limit.ROWS]) & 1 == 1, out, n)
    limit.schedule(a, q, w, y, t, m)
    if w[y + limit.PHASE] != NORMAL and w[y + limit.START_T] == t:
        part = t // a[p + PART]
        inside = w[x + PART_NOW] - PARTS < part <= w[x + PART_NOW]
        w[x + BEFORE] = w[x + SUMS + part % PARTS] >> COVERED_BITS if inside else 0
    if was < ACTIVE <= w[y + limit.PHASE]:
        _take_out(a, p, w, x, w[y + limit.START_T])


@kernel
def idle(a: Words, af: Floats, p: int, w: Words, x: int, first: int, longest: int, low: float, high: float) -> bool:
    """Say whether known rows from `first` on, at most `longest` ms apart and all in [low, high], add covered time and nothing else."""
    if w[x + PHASE] != NORMAL or w[x + BEYOND] != 0 or w[x + SINGLE_STATE + limit.PHASE] != NORMAL:
        return False
    far = 2 * a[p + INTERVAL]
    if w[x + KNOWN_T] == NONE or first - w[x + KNOWN_T] > far or longest > far or w[x + SUM_BEYOND] >= a[p + TOTAL]:
        return False
    q = p + SINGLE_PARAMS
    if a[p + SINGLE] != 0 and not limit.idle(a, af, q, w, x + SINGLE_STATE, low, high):
        return False
    if a[p + INCLUSIVE]:
        return high < af[p + HIGH] and low > af[p + LOW]
    return high <= af[p + HIGH] and low >= af[p + LOW]


@kernel
def glide(a: Words, p: int, w: Words, f: Floats, x: int, t: int, m: int) -> None:
    """Fold a run of rows that is idle up to the row at `t`, received at `m`."""
    _roll(a, p, w, x, t)
    _cover(a, p, w, x, w[x + KNOWN_T], t, 0)
    w[x + KNOWN_T] = t
    w[x + LAST_T] = t
    w[x + LAST_M] = m
    f[x + VALUE] = w[x + SUM_BEYOND]


@kernel
def step(
    a: Words, af: Floats, p: int, w: Words, f: Floats, x: int,
    row: int, t: int, m: int, value: float, mask: int, out: Array, n: int,
) -> int:  # fmt: skip
    """Fold one row in event-time order; `mask` says for whom its value counts."""
    known = (mask >> a[p + ROWS]) & 1 == 1
    if a[p + SINGLE] != 0:
        _single_clock(a, p, w, f, x, m, out, n)
    if known:
        _roll(a, p, w, x, t)
        if w[x + KNOWN_T] != NONE and t - w[x + KNOWN_T] <= 2 * a[p + INTERVAL]:
            _cover(a, p, w, x, w[x + KNOWN_T], t, w[x + BEYOND])
    if a[p + SINGLE] != 0:
        _single_row(a, af, p, w, f, x, t, m, value, mask, out, n)
    w[x + LAST_T] = t
    w[x + LAST_M] = m
    if not known:
        silent_at = w[x + KNOWN_T] + a[p + INTERVAL] + a[p + UNKNOWN_MS]
        if w[x + PHASE] == ACTIVE and w[x + SILENT] == 0 and t >= silent_at:
            w[x + SILENT] = 1
            n = emit(out, n, row, CUMULATIVE, x, UNKNOWN, w[x + SEV], t, m, w[x + START_T], NONE, t, f[x + VALUE])
        return n
    w[x + KNOWN_T] = t
    counts = limit.beyond(a[p + INCLUSIVE], af[p + LOW], af[p + HIGH], value)
    w[x + BEYOND] = 1 if counts and w[x + SINGLE_STATE + limit.PHASE] < ACTIVE else 0
    return _judge(a, p, w, f, x, row, t, m, out, n)


@kernel
def _judge(a: Words, p: int, w: Words, f: Floats, x: int, row: int, t: int, m: int, out: Array, n: int) -> int:
    """Compare the sum with the limits, if three quarters of the window are covered; else it is unknown."""
    total = w[x + SUM_BEYOND]
    f[x + VALUE] = total
    begin = (w[x + PART_NOW] - PARTS + 1) * a[p + PART]
    if 4 * w[x + SUM_COVERED] < 3 * (t - begin):
        if w[x + PHASE] == ACTIVE and w[x + SILENT] == 0:
            w[x + SILENT] = 1
            n = emit(out, n, row, CUMULATIVE, x, UNKNOWN, w[x + SEV], t, m, w[x + START_T], NONE, t, total)
        return n
    if w[x + PHASE] == NORMAL:
        if total >= a[p + TOTAL]:
            w[x + PHASE] = ACTIVE
            w[x + SEV] = a[p + SEV_BASE]
            w[x + START_T] = t
            n = emit(out, n, row, CUMULATIVE, x, RAISED, w[x + SEV], t, m, t, NONE, t, total)
        return n
    if w[x + SILENT] == 1:
        w[x + SILENT] = 0
        n = emit(out, n, row, CUMULATIVE, x, KNOWN, w[x + SEV], t, m, w[x + START_T], NONE, t, total)
    if total < a[p + BELOW]:
        n = emit(out, n, row, CUMULATIVE, x, CLEARED, w[x + SEV], t, m, w[x + START_T], t, t, total)
        w[x + PHASE] = NORMAL
        w[x + START_T] = NONE
        w[x + SEV] = 0
    return n


def empty(words: Words, x: int) -> None:
    """Empty the sums of a block: its window has another length now. What stands, stands."""
    blank = STATE.blank()
    for at in _EMPTIED:
        words[x + at] = blank[at]
    words[x + SUMS : x + SUMS + PARTS] = 0


def forget_single(words: Words, x: int) -> None:
    """Let the copy of the single event begin anew: another rule is named now."""
    words[x + SINGLE_STATE : x + SINGLE_STATE + limit.STATE.words] = limit.STATE.blank()
