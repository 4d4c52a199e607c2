"""Kind `limit`: a measured value outside its limits (docs/engine-semantics.md, "limit").

`step` folds one row, `fire` takes one decision by the clock; both write transitions to `out`. `schedule` says what is due.
In the normal phase a block is blank: rows inside the limits change nothing. `p` and `x` are where parameters and state stand.
"""

from __future__ import annotations

import numpy as np

from rules.fields import Fields
from rules.jit import kernel
from rules.kinds.telling import emit
from rules.layout import (
    ACTIVE,
    CLEARED,
    CLEARING,
    KNOWN,
    LIMIT,
    NEVER,
    NONE,
    NORMAL,
    PENDING,
    RAISED,
    STEPPED,
    STEPS,
    UNKNOWN,
    Array,
    Floats,
    Words,
)

PARAMS_TEXT = (
    "low:real=-inf high:real=inf inclusive rows db:real opens clears on_delay off_delay unknown_ms interval delivery sev steps "
    "step_after*4=none step_low*4:real=-inf step_high*4:real=inf step_for*4 step_sev*4 step_rows*4"
)
PARAMS = Fields(PARAMS_TEXT)
(
    LOW, HIGH, INCLUSIVE, ROWS, DB, OPENS, CLEARS, ON_DELAY, OFF_DELAY, UNKNOWN_MS, INTERVAL, DELIVERY, SEV_BASE, STEP_COUNT,
    STEP_AFTER, STEP_LOW, STEP_HIGH, STEP_FOR, STEP_SEV, STEP_ROWS,
) = PARAMS.starts  # fmt: skip

STATE_TEXT = (
    "phase due=never known_t=none value:real=nan count clear_count start_t=none start_m=none "
    "start_b=none peak:real end_t=none unknown sev top reached step_t*4=none step_m*4=none"
)
STATE = Fields(STATE_TEXT)
(
    PHASE, DUE, KNOWN_T, VALUE, COUNT, CLEAR_COUNT, START_T, START_M,
    START_B, PEAK, END_T, SILENT, SEV, TOP, REACHED, STEP_T, STEP_M,
) = STATE.starts  # fmt: skip


@kernel
def _tell(
    w: Words, f: Floats, x: int, row: int, code: int, at: int, recv: int, end: int, decided: int, value: float,
    out: Array, n: int,
) -> int:  # fmt: skip
    """Write a transition of the occurrence, with the value that decided and the one farthest outside."""
    n = emit(out, n, row, LIMIT, x, code, w[x + SEV], at, recv, w[x + START_T], end, decided, value)
    out[n - 1]["peak"] = f[x + PEAK]
    out[n - 1]["first"] = w[x + START_B]
    return n


@kernel
def beyond(inclusive: int, low: float, high: float, value: float) -> bool:
    """Say whether `value` lies outside [low, high]; with `inclusive` a bound itself is outside."""
    if inclusive:
        return value >= high or value <= low
    return value > high or value < low


@kernel
def within(inclusive: int, low: float, high: float, db: float, value: float) -> bool:
    """Say whether `value` lies inside by the deadband."""
    return not beyond(inclusive, low, high, value) and value <= high - db and value >= low + db


@kernel
def colour(a: Words, p: int, w: Words, x: int) -> int:
    """Return the highest of base and reached steps."""
    sev = a[p + SEV_BASE]
    for k in range(a[p + STEP_COUNT]):
        if (w[x + REACHED] >> k) & 1 and a[p + STEP_SEV + k] > sev:
            sev = a[p + STEP_SEV + k]
    return sev


@kernel
def _paint(w: Words, x: int, sev: int) -> None:
    """Set the colour and keep the highest."""
    w[x + SEV] = sev
    w[x + TOP] = max(w[x + TOP], sev)


@kernel
def reset(w: Words, f: Floats, x: int) -> None:
    """Return to normal: blank."""
    w[x + PHASE] = NORMAL
    w[x + DUE] = NEVER
    w[x + KNOWN_T] = NONE
    f[x + VALUE] = np.nan
    w[x + COUNT] = 0
    w[x + CLEAR_COUNT] = 0
    w[x + START_T] = NONE
    w[x + START_M] = NONE
    w[x + START_B] = NONE
    f[x + PEAK] = 0.0
    w[x + END_T] = NONE
    w[x + SILENT] = 0
    w[x + SEV] = 0
    w[x + TOP] = 0
    w[x + REACHED] = 0
    for k in range(STEPS):
        w[x + STEP_T + k] = NONE
        w[x + STEP_M + k] = NONE


@kernel
def _in_time(a: Words, p: int, due: int, last_t: int, last_m: int) -> int:
    """Return `due`, never before the newest row came; NEVER if the series is overdue by then (unknown, not outside)."""
    due = max(due, last_m)
    return due if due <= last_t + 2 * a[p + INTERVAL] + a[p + DELIVERY] else NEVER


@kernel
def _step_due(a: Words, p: int, w: Words, x: int, k: int, last_t: int, last_m: int) -> int:
    """Return when the clock alone would reach a step: only while the row that began it is the newest."""
    if (w[x + REACHED] >> k) & 1:
        return NEVER
    if a[p + STEP_AFTER + k] >= 0:
        if last_t == w[x + START_T]:
            return _in_time(a, p, w[x + START_M] + a[p + STEP_AFTER + k], last_t, last_m)
    elif a[p + STEP_ROWS + k] < 2 and w[x + STEP_T + k] != NONE and last_t == w[x + STEP_T + k]:
        return _in_time(a, p, w[x + STEP_M + k] + a[p + STEP_FOR + k], last_t, last_m)
    return NEVER


@kernel
def _open_due(a: Words, p: int, w: Words, x: int, last_t: int, last_m: int) -> int:
    """Return when the clock alone would end the on-delay: only while the first outside row is the newest."""
    met = a[p + ON_DELAY] > 0 and w[x + COUNT] >= a[p + OPENS]
    if w[x + PHASE] == PENDING and met and last_t == w[x + START_T]:
        return _in_time(a, p, w[x + START_M] + a[p + ON_DELAY], last_t, last_m)
    return NEVER


@kernel
def _unknown_due(a: Words, p: int, w: Words, x: int, last_m: int) -> int:
    """Return when the clock says that an active condition is unknown."""
    if w[x + PHASE] >= ACTIVE and w[x + SILENT] == 0:
        return max(w[x + KNOWN_T] + a[p + INTERVAL] + a[p + UNKNOWN_MS] + a[p + DELIVERY], last_m)
    return NEVER


@kernel
def schedule(a: Words, p: int, w: Words, x: int, last_t: int, last_m: int) -> int:
    """Set and return `due`, the next decision by the clock."""
    due = NEVER
    if w[x + PHASE] != NORMAL:
        due = min(_open_due(a, p, w, x, last_t, last_m), _unknown_due(a, p, w, x, last_m))
        for k in range(a[p + STEP_COUNT]):
            due = min(due, _step_due(a, p, w, x, k, last_t, last_m))
    w[x + DUE] = due
    return due


@kernel
def fire(a: Words, p: int, w: Words, f: Floats, x: int, last_t: int, last_m: int, out: Array, n: int) -> int:
    """Take the decision that is due: a delay that has run out, a step, or `unknown`."""
    d = w[x + DUE]
    opens = _open_due(a, p, w, x, last_t, last_m) <= d
    unknown = _unknown_due(a, p, w, x, last_m) <= d
    for k in range(a[p + STEP_COUNT]):
        if _step_due(a, p, w, x, k, last_t, last_m) <= d:
            w[x + REACHED] |= 1 << k
    if opens:
        w[x + PHASE] = ACTIVE
        _paint(w, x, colour(a, p, w, x))
        n = _tell(w, f, x, -1, RAISED, d, d, NONE, last_t, f[x + VALUE], out, n)
    elif w[x + PHASE] >= ACTIVE:
        sev = colour(a, p, w, x)
        if sev != w[x + SEV]:
            _paint(w, x, sev)
            n = _tell(w, f, x, -1, STEPPED, d, d, NONE, last_t, f[x + VALUE], out, n)
    if unknown:
        w[x + SILENT] = 1
        n = _tell(w, f, x, -1, UNKNOWN, d, d, NONE, last_t, f[x + VALUE], out, n)
    schedule(a, p, w, x, last_t, last_m)
    return n


@kernel
def _steps(a: Words, af: Floats, p: int, w: Words, x: int, t: int, m: int, value: float) -> None:
    inclusive = a[p + INCLUSIVE]
    for k in range(a[p + STEP_COUNT]):
        low, high = af[p + STEP_LOW + k], af[p + STEP_HIGH + k]
        if a[p + STEP_AFTER + k] >= 0:
            if t - w[x + START_T] >= a[p + STEP_AFTER + k]:
                w[x + REACHED] |= 1 << k
        elif beyond(inclusive, low, high, value):
            if w[x + STEP_T + k] == NONE:
                w[x + STEP_T + k] = t
                w[x + STEP_M + k] = m
            if t - w[x + STEP_T + k] >= a[p + STEP_FOR + k]:
                w[x + REACHED] |= 1 << k
        elif (w[x + REACHED] >> k) & 1:
            if within(inclusive, low, high, af[p + DB], value):
                w[x + REACHED] &= 255 ^ (1 << k)
                w[x + STEP_T + k] = NONE
        else:
            w[x + STEP_T + k] = NONE


@kernel
def _break(a: Words, p: int, w: Words, f: Floats, x: int) -> None:
    """Drop running counts after a distance of more than two intervals between known rows."""
    if w[x + PHASE] == PENDING:
        reset(w, f, x)
    elif w[x + PHASE] == CLEARING:
        w[x + PHASE] = ACTIVE
        w[x + CLEAR_COUNT] = 0
    for k in range(a[p + STEP_COUNT]):
        if not (w[x + REACHED] >> k) & 1:
            w[x + STEP_T + k] = NONE


@kernel
def step(
    a: Words, af: Floats, p: int, w: Words, f: Floats, x: int,
    row: int, t: int, m: int, b: int, value: float, known: bool, out: Array, n: int,
) -> int:  # fmt: skip
    """Fold one row in event-time order; `known` says whether the value counts for this instance."""
    return step_after(a, af, p, w, f, x, row, t, m, b, value, known, a[p + ON_DELAY], out, n)


@kernel
def step_after(
    a: Words, af: Floats, p: int, w: Words, f: Floats, x: int,
    row: int, t: int, m: int, b: int, value: float, known: bool, delay: int, out: Array, n: int,
) -> int:  # fmt: skip
    """Fold one row as `step` does, with an on-delay (ms) of its own."""
    if not known:
        silent_at = w[x + KNOWN_T] + a[p + INTERVAL] + a[p + UNKNOWN_MS]
        if w[x + PHASE] >= ACTIVE and w[x + SILENT] == 0 and t >= silent_at:
            w[x + SILENT] = 1
            n = _tell(w, f, x, row, UNKNOWN, t, m, NONE, t, f[x + VALUE], out, n)
        return n
    if w[x + PHASE] != NORMAL:
        if t - w[x + KNOWN_T] > 2 * a[p + INTERVAL]:
            _break(a, p, w, f, x)
        if w[x + SILENT] == 1:
            w[x + SILENT] = 0
            n = _tell(w, f, x, row, KNOWN, t, m, NONE, t, value, out, n)
    if w[x + PHASE] <= PENDING:
        if beyond(a[p + INCLUSIVE], af[p + LOW], af[p + HIGH], value):
            if w[x + PHASE] == NORMAL:
                w[x + PHASE] = PENDING
                w[x + START_T] = t
                w[x + START_M] = m
                w[x + START_B] = b
                f[x + PEAK] = value
            w[x + KNOWN_T] = t
            f[x + VALUE] = value
            w[x + COUNT] += 1
            _peak(af, p, f, x, value)
            _steps(a, af, p, w, x, t, m, value)
            if w[x + COUNT] >= a[p + OPENS] and t - w[x + START_T] >= delay:
                w[x + PHASE] = ACTIVE
                _paint(w, x, colour(a, p, w, x))
                n = _tell(w, f, x, row, RAISED, t, m, NONE, t, value, out, n)
        elif w[x + PHASE] == PENDING:
            reset(w, f, x)
        return n
    w[x + KNOWN_T] = t
    f[x + VALUE] = value
    _steps(a, af, p, w, x, t, m, value)
    sev = colour(a, p, w, x)
    cleared = False
    if within(a[p + INCLUSIVE], af[p + LOW], af[p + HIGH], af[p + DB], value):
        if w[x + PHASE] == ACTIVE:
            w[x + PHASE] = CLEARING
            w[x + END_T] = t
            w[x + CLEAR_COUNT] = 0
        w[x + CLEAR_COUNT] += 1
        cleared = w[x + CLEAR_COUNT] >= a[p + CLEARS] and t - w[x + END_T] >= a[p + OFF_DELAY]
    else:
        w[x + PHASE] = ACTIVE
        w[x + CLEAR_COUNT] = 0
        _peak(af, p, f, x, value)
    if sev != w[x + SEV]:
        _paint(w, x, sev)
        n = _tell(w, f, x, row, STEPPED, t, m, NONE, t, value, out, n)
    if cleared:
        n = _tell(w, f, x, row, CLEARED, t, m, w[x + END_T], t, value, out, n)
        reset(w, f, x)
    return n


@kernel
def idle(a: Words, af: Floats, p: int, w: Words, x: int, low: float, high: float) -> bool:
    """Say whether rows whose known values lie in [low, high] (inf, -inf: none is known) change nothing."""
    if w[x + PHASE] != NORMAL:
        return False
    if a[p + INCLUSIVE]:
        return high < af[p + HIGH] and low > af[p + LOW]
    return high <= af[p + HIGH] and low >= af[p + LOW]


@kernel
def _peak(af: Floats, p: int, f: Floats, x: int, value: float) -> None:
    """Keep the value farthest outside the limits."""
    if max(value - af[p + HIGH], af[p + LOW] - value) > max(f[x + PEAK] - af[p + HIGH], af[p + LOW] - f[x + PEAK]):
        f[x + PEAK] = value
