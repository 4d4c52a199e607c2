"""Kind `limit` with `smooth`: the mean over the newest records that together sampled a volume (docs/engine-semantics.md, "limit, smoothed").

A file and a block of its own (ADR 0038): `rules.kinds.limit` decides by one value, this one by a window of them that may not be full,
and by a count of records while it is not. Concentrations are kept as whole millionths, so that their sum does not depend on how it came
to be: the same window gives the same bits.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from rules.fields import Fields
from rules.jit import kernel
from rules.kinds.telling import emit
from rules.layout import (
    ACTIVE,
    CLEARED,
    CLEARING,
    KNOWN,
    NEVER,
    NONE,
    NORMAL,
    RAISED,
    SMOOTH,
    STEPPED,
    UNKNOWN,
    Array,
    Codes,
    Floats,
    Words,
)

MOST = 128
"""Records that a window holds at most: of a cubic metre each samples 7.8125 litres or more."""
OF = 4
"""Newest records that are looked at one by one, at most."""
PARTS = 1_000_000
"""Parts of the unit in which concentrations are kept."""
LARGEST = 1e9
"""A larger concentration counts as this one: any mean with it in a window is far beyond every limit."""

PARAMS = Fields(
    "rows records bound inclusive one early_records early_of clears interval delivery unknown_ms sev early_sev"
)
"""`records`: how many together sample the volume. `bound`: the limit times that, in parts. `one`: from which concentration on, in parts, a
record counts; `early_records` of the newest `early_of` such (0: never) raise it before the limit does."""
(
    ROWS, RECORDS, BOUND, INCLUSIVE, ONE, EARLY_RECORDS, EARLY_OF, CLEARS, INTERVAL, DELIVERY, UNKNOWN_MS, SEV_BASE, SEV_EARLY,
) = PARAMS.starts  # fmt: skip

STATE = Fields(
    "phase due=never known_t=none value:real=nan clear_count inside start_t=none start_b=none peak:real=nan end_t=none "
    f"unknown sev top held_t=none count at total early_t*{OF}=none early_b*{OF}=none window*{MOST}"
)
"""`known_t`: the newest decision. `value`: the mean it was taken by, NaN while the volume is not full. `inside`: decisions in a row whose mean
lies inside. `held_t`: the newest record of the window, of `count`; `at`: where the next is written. `early_t`, `early_b`: event time and batch
of the newest records, the newest first, NONE of one that does not count."""
(
    PHASE, DUE, KNOWN_T, VALUE, CLEAR_COUNT, INSIDE, START_T, START_B, PEAK, END_T,
    SILENT, SEV, TOP, HELD_T, COUNT, AT, TOTAL, EARLY_T, EARLY_B, WINDOW,
) = STATE.starts  # fmt: skip


def records_of(volume: Fraction, sample: float | None) -> int:
    """Return how many records together sample a volume; 0 where that is not known, or more than a window holds.

    Args:
        volume: m3.
        sample: what the sensor samples for one record as registered, m3.

    >>> [records_of(Fraction(1), sample) for sample in (0.0283, 0.025, 0.1, 0.111, 3.0, 0.0078125, 0.0078, None)]
    [36, 40, 10, 10, 1, 128, 0, 0]
    """
    if sample is None:
        return 0
    records = math.ceil(volume / Fraction(repr(sample)))
    return records if records <= MOST else 0


def concentration_of(particles: int, sample: float) -> int:
    """Return from which concentration on, in parts, a record counts so many particles: posted values are rounded, the nearest whole number counts.

    >>> concentration_of(1, 0.0283), concentration_of(2, 0.1)
    (17667845, 15000000)
    """
    return math.ceil((particles - Fraction(1, 2)) / Fraction(repr(sample)) * PARTS)


def bound_of(limit: float, records: int) -> int:
    """Return what the sum of a full window is compared with, in parts.

    >>> bound_of(20.0, 36)
    720000000
    """
    return math.floor(min(limit, LARGEST) * PARTS + 0.5) * records


@kernel
def parts_of(value: float) -> int:
    """Return a concentration in whole parts."""
    return math.floor(min(value, LARGEST) * PARTS + 0.5)


@kernel
def _tell(
    w: Words, f: Floats, x: int, row: int, code: int, at: int, recv: int, end: int, decided: int, out: Array, n: int
) -> int:
    """Write a transition of the occurrence, with the mean that decided (NaN without one) and the highest."""
    n = emit(out, n, row, SMOOTH, x, code, w[x + SEV], at, recv, w[x + START_T], end, decided, f[x + VALUE])
    out[n - 1]["peak"] = f[x + PEAK]
    out[n - 1]["first"] = w[x + START_B]
    return n


@kernel
def empty(w: Words, f: Floats, x: int) -> None:
    """Let sampling begin anew: the window is empty, and what runs in a row begins anew; what stands, stands."""
    if w[x + HELD_T] == NONE:
        return
    for i in range(MOST):
        w[x + WINDOW + i] = 0
    for k in range(OF):
        w[x + EARLY_T + k] = NONE
        w[x + EARLY_B + k] = NONE
    w[x + HELD_T] = NONE
    w[x + COUNT] = 0
    w[x + AT] = 0
    w[x + TOTAL] = 0
    w[x + INSIDE] = 0
    w[x + CLEAR_COUNT] = 0
    f[x + VALUE] = np.nan
    if w[x + PHASE] == CLEARING:
        w[x + PHASE] = ACTIVE
        w[x + END_T] = NONE


@kernel
def _take(a: Words, p: int, w: Words, x: int, t: int, b: int, value: float) -> None:
    """Take a record into the window; where that is full the oldest leaves it."""
    parts = parts_of(value)
    i = x + WINDOW + w[x + AT]
    w[x + TOTAL] += parts - w[i]
    w[i] = parts
    w[x + AT] = w[x + AT] + 1 if w[x + AT] + 1 < a[p + RECORDS] else 0
    w[x + COUNT] = min(w[x + COUNT] + 1, a[p + RECORDS])
    w[x + HELD_T] = t
    for k in range(OF - 1, 0, -1):
        w[x + EARLY_T + k] = w[x + EARLY_T + k - 1]
        w[x + EARLY_B + k] = w[x + EARLY_B + k - 1]
    counts = parts >= a[p + ONE]
    w[x + EARLY_T] = t if counts else NONE
    w[x + EARLY_B] = b if counts else NONE


@kernel
def _early(a: Words, p: int, w: Words, x: int) -> int:
    """Return the place of the oldest of the newest records that count, if these are enough; NONE if not."""
    found = 0
    oldest = NONE
    for k in range(a[p + EARLY_OF]):
        if w[x + EARLY_T + k] != NONE:
            found += 1
            oldest = k
    return oldest if 0 < a[p + EARLY_RECORDS] <= found else NONE


@kernel
def _reset(w: Words, f: Floats, x: int) -> None:
    """Return to normal. The window stays; records up to the end of the occurrence make no other one."""
    for k in range(OF):
        if w[x + EARLY_T + k] <= w[x + END_T]:
            w[x + EARLY_T + k] = NONE
            w[x + EARLY_B + k] = NONE
    w[x + PHASE] = NORMAL
    w[x + DUE] = NEVER
    w[x + KNOWN_T] = NONE
    w[x + CLEAR_COUNT] = 0
    w[x + INSIDE] = 0
    w[x + START_T] = NONE
    w[x + START_B] = NONE
    f[x + PEAK] = np.nan
    w[x + END_T] = NONE
    w[x + SEV] = 0
    w[x + TOP] = 0


@kernel
def schedule(a: Words, p: int, w: Words, x: int, last_m: int) -> int:
    """Set and return `due`, the instant at which an active occurrence becomes unknown by the clock."""
    due = NEVER
    if w[x + PHASE] >= ACTIVE and w[x + SILENT] == 0:
        due = max(w[x + KNOWN_T] + a[p + INTERVAL] + a[p + UNKNOWN_MS] + a[p + DELIVERY], last_m)
    w[x + DUE] = due
    return due


@kernel
def fire(a: Words, p: int, w: Words, f: Floats, x: int, last_t: int, last_m: int, out: Array, n: int) -> int:
    """Take the decision that is due: `unknown`."""
    d = w[x + DUE]
    w[x + SILENT] = 1
    n = _tell(w, f, x, -1, UNKNOWN, d, d, NONE, last_t, out, n)
    schedule(a, p, w, x, last_m)
    return n


@kernel
def _undecided(a: Words, p: int, w: Words, f: Floats, x: int, row: int, t: int, m: int, out: Array, n: int) -> int:
    """Say that an active occurrence is unknown, where no decision was possible for long."""
    if w[x + PHASE] >= ACTIVE and w[x + SILENT] == 0 and t >= w[x + KNOWN_T] + a[p + INTERVAL] + a[p + UNKNOWN_MS]:
        w[x + SILENT] = 1
        n = _tell(w, f, x, row, UNKNOWN, t, m, NONE, t, out, n)
    return n


@kernel
def step(
    a: Words, p: int, w: Words, f: Floats, x: int,
    row: int, t: int, m: int, b: int, value: float, known: bool, out: Array, n: int,
) -> int:  # fmt: skip
    """Fold one row in event-time order; one that does not count, or lies below zero, ends what was sampled."""
    if not known or value < 0.0:
        empty(w, f, x)
        return _undecided(a, p, w, f, x, row, t, m, out, n)
    if w[x + HELD_T] != NONE and t - w[x + HELD_T] > 2 * a[p + INTERVAL]:
        empty(w, f, x)
    _take(a, p, w, x, t, b, value)
    full = w[x + COUNT] == a[p + RECORDS]
    total, bound = w[x + TOTAL], a[p + BOUND]
    exceeded = full and (total > bound or (a[p + INCLUSIVE] == 1 and total == bound))
    f[x + VALUE] = float(total) / float(a[p + RECORDS] * PARTS) if full else np.nan
    oldest = _early(a, p, w, x)
    early = oldest != NONE
    if not full and not early:
        return _undecided(a, p, w, f, x, row, t, m, out, n)
    if w[x + PHASE] == NORMAL:
        if exceeded or early:
            w[x + PHASE] = ACTIVE
            w[x + KNOWN_T] = t
            w[x + START_T] = w[x + EARLY_T + oldest] if early else t
            w[x + START_B] = w[x + EARLY_B + oldest] if early else b
            f[x + PEAK] = f[x + VALUE]
            w[x + SEV] = a[p + SEV_BASE] if exceeded else a[p + SEV_EARLY]
            w[x + TOP] = w[x + SEV]
            n = _tell(w, f, x, row, RAISED, t, m, NONE, t, out, n)
        return n
    w[x + KNOWN_T] = t
    if full and not f[x + PEAK] >= f[x + VALUE]:
        f[x + PEAK] = f[x + VALUE]
    if w[x + SILENT] == 1:
        w[x + SILENT] = 0
        n = _tell(w, f, x, row, KNOWN, t, m, NONE, t, out, n)
    w[x + INSIDE] = w[x + INSIDE] + 1 if full and not exceeded else 0
    sev = w[x + SEV]
    if exceeded:
        sev = a[p + SEV_BASE]
    elif early and w[x + INSIDE] >= a[p + CLEARS]:
        sev = a[p + SEV_EARLY]
    if sev != w[x + SEV]:
        w[x + SEV] = sev
        w[x + TOP] = max(w[x + TOP], sev)
        n = _tell(w, f, x, row, STEPPED, t, m, NONE, t, out, n)
    if exceeded or early:
        w[x + PHASE] = ACTIVE
        w[x + CLEAR_COUNT] = 0
        w[x + END_T] = NONE
        return n
    if w[x + PHASE] == ACTIVE:
        w[x + PHASE] = CLEARING
        w[x + END_T] = t
    w[x + CLEAR_COUNT] += 1
    if w[x + CLEAR_COUNT] >= a[p + CLEARS]:
        n = _tell(w, f, x, row, CLEARED, t, m, w[x + END_T], t, out, n)
        _reset(w, f, x)
    return n


@kernel
def glide(
    a: Words, p: int, w: Words, f: Floats, x: int,
    time: Words, batches: Words, value: Floats, known: Codes, i: int, count: int,
) -> int:  # fmt: skip
    """Fold rows from the i-th on as `step` would, as long as they begin nothing anew and raise nothing; returns the first that is left."""
    if w[x + PHASE] != NORMAL:
        return i
    bit, far, records, one = a[p + ROWS], 2 * a[p + INTERVAL], a[p + RECORDS], a[p + ONE]
    least = a[p + BOUND] + 1 - a[p + INCLUSIVE]
    need, of = a[p + EARLY_RECORDS], a[p + EARLY_OF]
    held, have, at, total = w[x + HELD_T], w[x + COUNT], w[x + AT], w[x + TOTAL]
    marks = 0  # one bit for each of the newest records that counts: mostly none does, and nothing is to be moved
    for k in range(OF):
        if w[x + EARLY_T + k] != NONE:
            marks |= 1 << k
    begun = i
    while i < count:
        t, v = time[i], value[i]
        if (known[i] >> bit) & 1 == 0 or v < 0.0 or (held != NONE and t - held > far):
            break
        parts = math.floor(min(v, LARGEST) * PARTS + 0.5)
        after = total + parts - w[x + WINDOW + at]
        if have + 1 >= records and after >= least:
            break
        counts = parts >= one
        if counts or marks != 0:
            marks = ((marks << 1) | counts) & ((1 << OF) - 1)
            found = 0
            for k in range(of):
                found += (marks >> k) & 1
            if 0 < need <= found:
                break
            for k in range(OF - 1, 0, -1):
                w[x + EARLY_T + k] = w[x + EARLY_T + k - 1]
                w[x + EARLY_B + k] = w[x + EARLY_B + k - 1]
            w[x + EARLY_T] = t if counts else NONE
            w[x + EARLY_B] = batches[i] if counts else NONE
        w[x + WINDOW + at] = parts
        total, held = after, t
        at += 1
        if at == records:
            at = 0
        if have < records:
            have += 1
        i += 1
    if i > begun:
        w[x + HELD_T], w[x + COUNT], w[x + AT], w[x + TOTAL] = held, have, at, total
        f[x + VALUE] = float(total) / float(records * PARTS) if have == records else np.nan
    return i
