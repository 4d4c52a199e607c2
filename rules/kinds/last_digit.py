"""Kind `last_digit`, check `uniform`: last digits that are not evenly spread (docs/engine-semantics.md, "last_digit"; ADR 0043).

A block is so many readings in event time, of which every k-th is taken, so that neighbours know little of each other. All that is kept of
it are counts and whole-number sums of steps of the resolution: the same rows give the same bits, however they came.
"""

from __future__ import annotations

import math

from rules.fields import Fields
from rules.jit import kernel
from rules.kinds.telling import emit
from rules.layout import ACTIVE, CLEARED, LAST_DIGIT, NONE, NORMAL, RAISED, Array, Codes, Floats, Words

TEN = 10
LARGEST = 1e9
"""Of more steps than this a value says nothing."""
FARTHEST = 500_000
"""Steps from a block's first value that enter the sums at most: a value that lies farther is an outlier anyway."""
MOST = 4_000
"""Readings of a block at most: their counts have twelve bits, their sums of products 63."""
SPARSEST = 10
"""At most every 2^10-th reading is taken."""
DECADE, DECADES = 10, 10
"""Values are counted in decades of steps round the first one of their block; the outermost hold all that lies farther."""
BITS, A_WORD, PART = 12, 5, 0xFFF
"""Counts of twelve bits, five a word."""
SHARE = 20
"""The twentieth part of a block lies below its 5th percentile, and as many above its 95th."""

PARAMS = Fields("resolution:real number look related:real uneven even decades sev")
"""`related`: the square of the correlation that is too much. `uneven`, `even`: chi square in thousandths. `decades` between the percentiles."""
(RESOLUTION, NUMBER, LOOK, RELATED, UNEVEN, EVEN, APART, SEV_BASE) = PARAMS.starts

STATE = Fields(
    "phase due=never start_t=none unknown sev value:real=nan begin_t=none pace base sum squares products last digits*2 decades*2"
)
"""Of the block: `begin_t`, its first value in steps (`base`); `sum`, `squares`, `products` (of neighbours) and `last` count from that one.

`pace`: readings that are left out before the next is taken, how many were taken, and of how many one is (as a power of two). Nothing is ever due, and
nothing unknown."""
(PHASE, DUE, START_T, SILENT, SEV, VALUE, BEGIN_T, PACE, BASE, SUM, SQUARES, PRODUCTS, LAST, DIGITS, DECADE_AT) = (
    STATE.starts
)


@kernel
def steps_of(value: float, resolution: float) -> tuple[int, bool]:
    """Return a value in steps of the resolution, halves upward, and whether it says anything."""
    steps = value / resolution
    if not abs(steps) < LARGEST:
        return 0, False
    return math.floor(steps + 0.5), True


@kernel
def counted(w: Words, at: int, i: int) -> int:
    """Return one of the packed counts."""
    return (w[at + i // A_WORD] >> (BITS * (i % A_WORD))) & PART


@kernel
def _count(w: Words, at: int, i: int) -> None:
    w[at + i // A_WORD] += 1 << (BITS * (i % A_WORD))


@kernel
def _take(w: Words, x: int, t: int, steps: int) -> int:
    """Take a reading into the block; returns how many it holds."""
    pace = w[x + PACE]
    held, sparse = (pace >> BITS) & PART, pace >> (2 * BITS)
    if held == 0:
        w[x + BEGIN_T] = t
        w[x + BASE] = steps
    inside = min(FARTHEST, max(-FARTHEST, steps - w[x + BASE]))
    w[x + PRODUCTS] += w[x + LAST] * inside  # of the first one that is nothing: it is nothing itself
    w[x + SUM] += inside
    w[x + SQUARES] += inside * inside
    w[x + LAST] = inside
    _count(w, x + DIGITS, steps % TEN)
    _count(w, x + DECADE_AT, min(DECADES - 1, max(0, inside // DECADE + DECADES // 2)))
    held += 1
    w[x + PACE] = (sparse << (2 * BITS)) | (held << BITS) | ((1 << sparse) - 1)
    return held


@kernel
def _clear(w: Words, x: int, sparse: int) -> None:
    """Let a block begin, of which one reading in 2^sparse is taken; what is left out before the next one stays so."""
    skip = min(w[x + PACE] & PART, (1 << sparse) - 1)
    w[x + PACE] = (sparse << (2 * BITS)) | skip
    w[x + BEGIN_T] = NONE
    for i in range(BASE, DECADE_AT + 2):
        w[x + i] = 0


@kernel
def relation(w: Words, x: int, held: int) -> tuple[float, float]:
    """Return numerator and squared denominator of the correlation of neighbours; the latter is 0 where one side does not vary."""
    pairs, last = held - 1, w[x + LAST]
    first, second = (
        w[x + SUM] - last,
        w[x + SUM],
    )  # sums of the first and of the second of each pair: the block's first value is 0
    over = pairs * w[x + PRODUCTS] - first * second
    one = pairs * (w[x + SQUARES] - last * last) - first * first
    other = pairs * w[x + SQUARES] - second * second
    return float(over), float(one) * float(other)


@kernel
def spread(w: Words, x: int, held: int) -> int:
    """Return how many decades lie between those of the 5th and of the 95th percentile."""
    low = high = DECADES - 1
    seen = 0
    for i in range(DECADES):
        seen += counted(w, x + DECADE_AT, i)
        if low == DECADES - 1 and seen * SHARE >= held:
            low = min(low, i)
        if seen * SHARE >= held * (SHARE - 1):
            high = i
            break
    return high - low


@kernel
def chi_square(w: Words, x: int, held: int) -> int:
    """Return chi square of the digits against evenly spread ones, times their number: nine degrees of freedom."""
    squares = 0
    for i in range(TEN):
        squares += counted(w, x + DIGITS, i) ** 2
    return TEN * squares - held * held


@kernel
def _judge(a: Words, p: int, w: Words, f: Floats, x: int, row: int, t: int, m: int, out: Array, n: int) -> int:
    """Judge a block that is whole, of neighbours that know little of each other."""
    held = a[p + NUMBER]
    if spread(w, x, held) < a[p + APART]:
        return n
    found = chi_square(w, x, held)
    f[x + VALUE] = found / held
    if w[x + PHASE] == NORMAL and 1000 * found > a[p + UNEVEN] * held:
        w[x + PHASE] = ACTIVE
        w[x + SEV] = a[p + SEV_BASE]
        w[x + START_T] = w[x + BEGIN_T]
        n = emit(out, n, row, LAST_DIGIT, x, RAISED, w[x + SEV], t, m, w[x + START_T], NONE, t, f[x + VALUE])
    elif w[x + PHASE] == ACTIVE and 1000 * found < a[p + EVEN] * held:
        n = emit(out, n, row, LAST_DIGIT, x, CLEARED, w[x + SEV], t, m, w[x + START_T], w[x + BEGIN_T], t, f[x + VALUE])
        w[x + PHASE] = NORMAL
        w[x + START_T] = NONE
        w[x + SEV] = 0
    return n


@kernel
def step(
    a: Words, af: Floats, p: int, w: Words, f: Floats, x: int,
    row: int, t: int, m: int, value: float, known: bool, out: Array, n: int,
) -> int:  # fmt: skip
    """Fold one row in event-time order."""
    if not known:
        return n
    steps, says = steps_of(value, af[p + RESOLUTION])
    if not says:
        return n
    if w[x + PACE] & PART > 0:
        w[x + PACE] -= 1
        return n
    held = _take(w, x, t, steps)
    whole = held == a[p + NUMBER]
    if held != a[p + LOOK] and not whole:
        return n
    over, under = relation(w, x, held)
    sparse = w[x + PACE] >> (2 * BITS)
    if over > 0.0 and over * over >= af[p + RELATED] * under:
        _clear(w, x, min(sparse + 1, SPARSEST))
    elif whole:
        if under > 0.0:
            n = _judge(a, p, w, f, x, row, t, m, out, n)
        closer = over <= 0.0 or 4.0 * over * over <= af[p + RELATED] * under
        _clear(w, x, max(sparse - 1, 0) if closer else sparse)
    return n


@kernel
def glide(
    a: Words, af: Floats, p: int, w: Words, x: int, time: Words, value: Floats, known: Codes, bit: int, i: int, count: int
) -> int:  # fmt: skip
    """Fold rows from the i-th on as `step` would, as long as the block is not looked at; returns the first that is left."""
    while i < count:
        if (known[i] >> bit) & 1 == 1:
            steps, says = steps_of(value[i], af[p + RESOLUTION])
            pace = w[x + PACE]
            if says and pace & PART > 0:
                w[x + PACE] = pace - 1
            elif says:
                held = ((pace >> BITS) & PART) + 1
                if held in (a[p + LOOK], a[p + NUMBER]):
                    break
                _take(w, x, time[i], steps)
        i += 1
    return i


@kernel
def forget(w: Words, x: int) -> None:
    """Let counting begin anew, as for another resolution; what stands, stands."""
    w[x + PACE] = 0
    _clear(w, x, 0)
