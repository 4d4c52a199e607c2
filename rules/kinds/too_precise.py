"""Kind `last_digit`, check `precision`: values with more decimals than the sensor has (docs/engine-semantics.md, "last_digit")."""

from __future__ import annotations

import math

from rules.fields import Fields
from rules.jit import kernel
from rules.kinds.telling import emit
from rules.layout import ACTIVE, CLEARED, NONE, NORMAL, RAISED, TOO_PRECISE, Array, Codes, Floats, Words

MOST = 16
"""Values that are counted together at most."""
NEAR = 1e-6
"""A decimal fraction is none in binary: so near to a whole number of last decimals a value is one."""
LARGEST = 1e9
"""Of more last decimals than this a value says nothing."""

PARAMS = Fields("interval scale:real number within clean sev")
"""`scale`: last decimals of the resolution in one unit. `number` such values `within` ms; ended by `clean` ms of records without one."""
(INTERVAL, SCALE, NUMBER, WITHIN, CLEAN, SEV_BASE) = PARAMS.starts

STATE = Fields(
    f"phase due=never start_t=none unknown sev value:real=nan known_t=none calm_t=none calm count times*{MOST}=none"
)
"""`times`: event times of the newest such values. `calm_t`, `calm`: the first record behind the newest of them, and the covered time since.

Nothing is ever due, and nothing unknown."""
(PHASE, DUE, START_T, SILENT, SEV, VALUE, KNOWN_T, CALM_T, CALM, COUNT, TIMES) = STATE.starts


@kernel
def beyond(value: float, scale: float) -> bool:
    """Say whether a value has more decimals than the resolution."""
    decimals = abs(value) * scale
    return decimals < LARGEST and abs(decimals - math.floor(decimals + 0.5)) > NEAR


@kernel
def _cover(a: Words, p: int, w: Words, x: int, t: int) -> None:
    """Add the time since the newest known row, if that is near enough."""
    if w[x + CALM_T] != NONE and t - w[x + KNOWN_T] <= 2 * a[p + INTERVAL]:
        w[x + CALM] += t - w[x + KNOWN_T]
    w[x + KNOWN_T] = t


@kernel
def step(
    a: Words, af: Floats, p: int, w: Words, f: Floats, x: int,
    row: int, t: int, m: int, value: float, known: bool, out: Array, n: int,
) -> int:  # fmt: skip
    """Fold one row in event-time order."""
    if not known:
        return n
    _cover(a, p, w, x, t)
    if beyond(value, af[p + SCALE]):
        w[x + CALM] = 0
        w[x + CALM_T] = NONE
        number = a[p + NUMBER]
        w[x + TIMES + w[x + COUNT]] = t
        w[x + COUNT] = (w[x + COUNT] + 1) % number
        f[x + VALUE] = value
        first = w[x + TIMES + w[x + COUNT]]
        if w[x + PHASE] == NORMAL and first != NONE and t - first <= a[p + WITHIN]:
            w[x + PHASE] = ACTIVE
            w[x + SEV] = a[p + SEV_BASE]
            w[x + START_T] = first
            n = emit(out, n, row, TOO_PRECISE, x, RAISED, w[x + SEV], t, m, first, NONE, t, value)
        return n
    if w[x + CALM_T] == NONE:
        w[x + CALM_T] = t
    if w[x + PHASE] == ACTIVE and w[x + CALM] >= a[p + CLEAN]:
        n = emit(
            out, n, row, TOO_PRECISE, x, CLEARED, w[x + SEV], t, m, w[x + START_T], w[x + CALM_T], t, float(w[x + CALM])
        )
        w[x + PHASE] = NORMAL
        w[x + START_T] = NONE
        w[x + SEV] = 0
        for i in range(MOST):
            w[x + TIMES + i] = NONE
        w[x + COUNT] = 0
    return n


@kernel
def glide(
    a: Words, af: Floats, p: int, w: Words, x: int, time: Words, value: Floats, known: Codes, bit: int, i: int, count: int
) -> int:  # fmt: skip
    """Fold rows from the i-th on as `step` would, as long as they have no more decimals and end nothing; returns the first that is left."""
    scale, far = af[p + SCALE], 2 * a[p + INTERVAL]
    last, since, calm, active = w[x + KNOWN_T], w[x + CALM_T], w[x + CALM], w[x + PHASE] == ACTIVE
    while i < count:
        if (known[i] >> bit) & 1 == 1:
            if beyond(value[i], scale):
                break
            t = time[i]
            more = calm
            if since != NONE and t - last <= far:
                more += t - last
            if active and more >= a[p + CLEAN]:
                break
            if since == NONE:
                since = t
            calm, last = more, t
        i += 1
    w[x + KNOWN_T], w[x + CALM_T], w[x + CALM] = last, since, calm
    return i


@kernel
def forget(w: Words, x: int) -> None:
    """Let counting begin anew, as for another resolution; what stands, stands."""
    w[x + KNOWN_T] = NONE
    w[x + CALM_T] = NONE
    w[x + CALM] = 0
    w[x + COUNT] = 0
    for i in range(MOST):
        w[x + TIMES + i] = NONE


def decimals_of(resolution: float) -> int:
    """Return how many decimals a resolution has, at most nine.

    >>> [decimals_of(r) for r in (0.1, 0.5, 0.25, 1.0, 5.0, 1e-12)]
    [1, 1, 2, 0, 0, 9]
    """
    return next(
        (
            d
            for d in range(9)
            if abs(resolution * 10**d - round(resolution * 10**d)) < NEAR and round(resolution * 10**d)
        ),
        9,
    )
