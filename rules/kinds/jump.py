"""Kind `jump`: how much a value changes from one record to the next (docs/engine-semantics.md, "jump").

The changes of a series make a series of their own, and that is judged as a limit is: parameters are those of
`rules.kinds.limit`, whose kernels decide, and the state begins with its state. What is added is the newest known row.
"""

from __future__ import annotations

import math

from rules.fields import Fields
from rules.jit import kernel
from rules.kinds import limit
from rules.layout import JUMP, NONE, NORMAL, Array, Floats, Words

PARTS = 1_000_000.0
"""Parts of a unit to which a change is rounded: the difference of two decimal fractions is none itself."""
ROUNDED_BELOW = 1e9
"""Larger changes stand as they are."""

PARAMS = Fields(limit.PARAMS_TEXT)
STATE = Fields(f"{limit.STATE_TEXT} held_t=none held:real=nan")
"""`held_t`, `held`: event time and value of the newest known row."""
HELD_T, HELD = STATE.starts[-2:]


@kernel
def rounded(change: float) -> float:
    """Return a change to the millionth of its unit; NaN where it is not finite."""
    if not math.isfinite(change):
        return math.nan
    return math.floor(change * PARTS + 0.5) / PARTS if abs(change) < ROUNDED_BELOW else change


@kernel
def hold(w: Words, f: Floats, x: int, t: int, value: float) -> None:
    """Keep the newest known row."""
    w[x + HELD_T] = t
    f[x + HELD] = value


@kernel
def step(
    a: Words, af: Floats, p: int, w: Words, f: Floats, x: int,
    row: int, t: int, m: int, b: int, value: float, known: bool, out: Array, n: int,
) -> int:  # fmt: skip
    """Fold one row in event-time order; what changed since a row more than two intervals before is not known."""
    change = math.nan
    if known:
        if w[x + HELD_T] != NONE and t - w[x + HELD_T] <= 2 * a[p + limit.INTERVAL]:
            change = rounded(value - f[x + HELD])
        hold(w, f, x, t, value)
    told = limit.step(a, af, p, w, f, x, row, t, m, b, change, not math.isnan(change), out, n)
    for i in range(n, told):
        out[i]["kind"] = JUMP
    return told


@kernel
def idle(a: Words, af: Floats, p: int, w: Words, f: Floats, x: int, low: float, high: float) -> bool:
    """Say whether known rows between `low` and `high` can hold no jump; they change nothing but the newest known row."""
    if w[x + limit.PHASE] != NORMAL:
        return False
    if w[x + HELD_T] != NONE:
        low, high = min(low, f[x + HELD]), max(high, f[x + HELD])
    most = rounded(high - low)
    # A width that is not finite is NaN, and no comparison with it holds: such rows are looked at one by one.
    allowed = min(af[p + limit.HIGH], -af[p + limit.LOW])
    return most < allowed if a[p + limit.INCLUSIVE] else most <= allowed
