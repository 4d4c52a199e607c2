"""Kind `gap`: a series that falls silent (docs/engine-semantics.md, "gap"). Groups of series: `rules.silence`."""

from __future__ import annotations

import numpy as np

from rules.fields import Fields
from rules.jit import kernel
from rules.kinds.telling import emit
from rules.layout import CLEARED, GAP, NEVER, NONE, RAISED, RETRACTED, STEPPED, Array, Words

FIELDS = "silent pace delivery interval sev steps step_after*4 step_sev*4 area facility"
PARAMS = Fields(FIELDS)
"""`pace`: the next row is due so long after the newest. `area`, `facility`: grouped by these."""
(SILENT, PACE, DELIVERY, INTERVAL, SEV_BASE, STEP_COUNT, STEP_AFTER, STEP_SEV, AREA, FACILITY) = PARAMS.starts

STATE = Fields("lo due=never active fresh start_t=none raised hole sev")
"""`raised`: the due instant at which the clock raised it. `fresh`: no row yet since the registration.

`hole`, of an active silence: 0 where no distance was too long so far, else the event time (ms) of the row before the first distance that
was; less than 0, and of that size, where no row came before the silence. Snapshots of before semantics 7 know 0 and 1.
"""
OLD = 1
"""A hole of which a snapshot of before semantics 7 does not say where it lies: one that a device stamped so is told as a millisecond later."""
(LO, DUE, ACTIVE, FRESH, START_T, RAISED_AT, HOLE, SEV) = STATE.starts


@kernel
def colour(a: Words, p: int, elapsed: int) -> int:
    """Return the colour of a silence that has lasted longer than `elapsed` ms since the last row."""
    sev = a[p + SEV_BASE]
    for k in range(a[p + STEP_COUNT]):
        if elapsed > a[p + STEP_AFTER + k] and a[p + STEP_SEV + k] > sev:
            sev = a[p + STEP_SEV + k]
    return sev


@kernel
def _reached(a: Words, p: int, w: Words, x: int, ext: int, now: int, sev: int) -> int:
    """Return the colour that a silence has by an instant of the clock, at least `sev`."""
    for k in range(a[p + STEP_COUNT]):
        if w[x + LO] + a[p + STEP_AFTER + k] + a[p + DELIVERY] + ext <= now and a[p + STEP_SEV + k] > sev:
            sev = a[p + STEP_SEV + k]
    return sev


@kernel
def schedule(a: Words, p: int, w: Words, x: int, ext: int, floor: int) -> int:
    """Set and return `due`: the silence itself, or while active the next step; never before `floor` (ms, receive time)."""
    due = NEVER
    if w[x + ACTIVE] == 0:
        due = max(w[x + LO] + a[p + SILENT] + a[p + DELIVERY] + ext, floor)
    else:
        for k in range(a[p + STEP_COUNT]):
            if a[p + STEP_SEV + k] > w[x + SEV]:
                due = min(due, max(w[x + LO] + a[p + STEP_AFTER + k] + a[p + DELIVERY] + ext, floor))
    w[x + DUE] = due
    return due


@kernel
def fire(a: Words, p: int, w: Words, x: int, ext: int, last_t: int, out: Array, n: int) -> int:
    """Take the decision that is due: the silence, or its next colour."""
    d = w[x + DUE]
    if w[x + ACTIVE] == 0:
        w[x + ACTIVE] = 1
        w[x + HOLE] = 0
        w[x + RAISED_AT] = d
        w[x + START_T] = w[x + LO] + a[p + PACE]
        w[x + SEV] = _reached(a, p, w, x, ext, d, a[p + SEV_BASE])
        n = emit(out, n, -1, GAP, x, RAISED, w[x + SEV], d, d, w[x + START_T], NONE, last_t, np.nan)
    else:
        sev = _reached(a, p, w, x, ext, d, w[x + SEV])
        if sev != w[x + SEV]:
            w[x + SEV] = sev
            n = emit(out, n, -1, GAP, x, STEPPED, sev, d, d, w[x + START_T], NONE, last_t, np.nan)
    schedule(a, p, w, x, ext, d)
    return n


@kernel
def idle(a: Words, p: int, w: Words, x: int, longest: int) -> bool:
    """Say whether in-order rows at most `longest` ms apart, with no closed front door, change nothing but the newest."""
    return w[x + ACTIVE] == 0 and w[x + FRESH] == 0 and longest <= a[p + SILENT]


@kernel
def step(
    a: Words, p: int, w: Words, x: int, row: int, t: int, m: int, forgiven: int, ext: int, out: Array, n: int
) -> int:
    """Fold one in-order row of any quality; `forgiven` ms before it and `ext` ms behind it the front door was closed."""
    distance = t - w[x + LO] - forgiven
    if w[x + ACTIVE] == 1:
        if w[x + FRESH] == 1:
            w[x + HOLE] = -w[x + LO]
        if w[x + HOLE] == 0 and distance > a[p + SILENT]:
            w[x + HOLE] = max(w[x + LO], OLD + 1)
        elif w[x + HOLE] == -w[x + LO] and distance <= a[p + SILENT]:
            w[x + HOLE] = -t
        if t + a[p + SILENT] + a[p + DELIVERY] + ext > m:
            code = RETRACTED if w[x + HOLE] == 0 else CLEARED
            end = max(t, w[x + START_T])
            n = emit(out, n, row, GAP, x, code, w[x + SEV], t, m, w[x + START_T], end, t, np.nan)
            led = abs(w[x + HOLE])
            out[n - 1]["first"] = led if led > max(OLD, w[x + START_T] - a[p + PACE]) else NONE
            w[x + ACTIVE] = 0
    elif w[x + FRESH] == 0 and distance > a[p + SILENT]:
        sev = colour(a, p, distance)
        start = w[x + LO] + a[p + PACE]
        n = emit(out, n, row, GAP, x, RAISED, sev, t, m, start, NONE, t, np.nan)
        n = emit(out, n, row, GAP, x, CLEARED, sev, t, m, start, t, t, np.nan)
    if w[x + ACTIVE] == 0:
        w[x + SEV] = 0
        w[x + START_T] = NONE
    w[x + FRESH] = 0
    w[x + LO] = t
    return n


@kernel
def recolour(a: Words, p: int, w: Words, x: int, ext: int, now: int) -> bool:
    """Take back the colours of an active silence that are not reached by `now`; says whether one was."""
    sev = _reached(a, p, w, x, ext, now, a[p + SEV_BASE])
    if sev >= w[x + SEV]:
        return False
    w[x + SEV] = sev
    return True


@kernel
def reopen(w: Words, x: int) -> None:
    """Take back a silence that the clock raised while the front door was closed."""
    w[x + ACTIVE] = 0
    w[x + SEV] = 0
    w[x + START_T] = NONE
