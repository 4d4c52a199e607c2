"""Kind `difference`: the difference of two inputs, or a measured one, outside its limits (docs/engine-semantics.md, "difference").

The values of a pair make one series of instants, and that is judged as a limit is: parameters and state begin with those of
`rules.kinds.limit`, whose kernels decide. What is added are the values held of each input, and what the pair has read.
"""

from __future__ import annotations

import math

import numpy as np

from rules.doorstates import CLOSED, OPEN
from rules.fields import Fields
from rules.jit import kernel
from rules.kinds import limit
from rules.layout import ACTIVE, MAX_ROWS, NONE, PENDING, Array, Floats, Words

ROWS = 24
"""Rows that a limit by another value has at most: the stage 1 table of USP <645> has 21."""

PARAMS = Fields(
    f"{limit.PARAMS_TEXT} max_age sign:real inputs kept*2 scale scale_from*{ROWS}:real scale_below*{ROWS}:real scale_high*{ROWS}:real"
)
"""`sign`: of the first input, where it is the only one; `kept`: how many rows of each input are kept at most; `scale`: how
many rows the limit by the second input has, each from a value of that on, and below another."""
MAX_AGE, SIGN, INPUTS, KEPT, SCALE, SCALE_FROM, SCALE_BELOW, SCALE_HIGH = PARAMS.starts[-8:]

STATE = Fields(
    f"{limit.STATE_TEXT} held_t*2=none held*2:real=nan "
    # newest instant decided and the receive time it counts from; newest row that has left the horizon
    "seen_t=none seen_m=none floor=none "
    # the receive time whose rows wait, and whether one of them was late
    "waits=never late"
)
HELD_T, HELD, SEEN_T, SEEN_M, FLOOR, WAITS, LATE = STATE.starts[-7:]
AT_ONCE = 65_536
"""Rows of one input that are read at one receive time at most."""
assert MAX_ROWS <= AT_ONCE, "what is kept is read"  # noqa: S101 - the two numbers stand in different files


@kernel
def value_at(a: Words, af: Floats, p: int, w: Words, f: Floats, x: int, t: int) -> float:
    """Return the difference of the values held at an instant; NaN where one is missing, too old, or it is not finite.

    With a scale: how far the first is above the limit at the second, to the millionth of its unit; NaN off the scale.
    """
    if a[p + INPUTS] == 1:
        return af[p + SIGN] * f[x + HELD]
    for which in range(2):
        if w[x + HELD_T + which] == NONE or t - w[x + HELD_T + which] > a[p + MAX_AGE]:
            return math.nan
    if a[p + SCALE] > 0:
        for i in range(a[p + SCALE]):
            if af[p + SCALE_FROM + i] <= f[x + HELD + 1] < af[p + SCALE_BELOW + i]:
                over = np.rint((f[x + HELD] - af[p + SCALE_HIGH + i]) * 1e6) / 1e6
                return over if math.isfinite(over) else math.nan
        return math.nan
    found = f[x + HELD] - f[x + HELD + 1]
    return found if math.isfinite(found) else math.nan


@kernel
def fold(
    a: Words, af: Floats, p: int, w: Words, f: Floats, x: int,
    time: Words, received: Words, batch: Words, which: Words, value: Floats, known: Words,
    closed: int, doors: Words, since: Words, begin: int, stop: int, out: Array, n: int,
) -> int:  # fmt: skip
    """Fold rows [begin, stop) of both inputs, in event order, and what the clock decided between them; equal times are one instant.

    `received` is the instant from which each row counts. Newest instant and its receive time are kept in the state.
    `closed`: the on-delay (ms) while the doors are closed, below zero: there are none; else `doors` and `since` say what they were at each row
    (rules/doorstates.py) and from when on.
    """
    i = begin
    while i < stop:
        t, m, first = time[i], received[i], i
        if w[x + SEEN_T] != NONE and m > w[x + SEEN_M]:
            n = catch_up(a, p, w, f, x, m, out, n)
        counts = False
        while i < stop and time[i] == t:
            if known[i] != 0:
                counts = True
                w[x + HELD_T + which[i]] = t
                f[x + HELD + which[i]] = value[i]
            i += 1
        found = value_at(a, af, p, w, f, x, t) if counts else math.nan
        delay, excused = a[p + limit.ON_DELAY], False
        if closed >= 0 and w[x + limit.PHASE] < ACTIVE:
            excused = doors[first] == OPEN
            if w[x + limit.PHASE] == PENDING and (excused or since[first] > w[x + limit.START_T]):
                limit.reset(w, f, x)
            if doors[first] == CLOSED:
                delay = closed
        if not excused:
            n = limit.step_after(a, af, p, w, f, x, 0, t, m, batch[i - 1], found, not math.isnan(found), delay, out, n)
        limit.schedule(a, p, w, x, t, m)
        w[x + SEEN_T] = t
        w[x + SEEN_M] = m
    return n


@kernel
def catch_up(a: Words, p: int, w: Words, f: Floats, x: int, clock: int, out: Array, n: int) -> int:
    """Take every decision by the clock that is due by an instant."""
    while w[x + limit.DUE] <= clock:
        n = limit.fire(a, p, w, f, x, w[x + SEEN_T], w[x + SEEN_M], out, n)
    return n
