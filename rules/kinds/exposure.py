"""Kind `cumulative` with `during`: the time beyond a limit, summed over a declared state (docs/engine-semantics.md, "cumulative, during a declared state").

The sum belongs to the span of the state that its newest part lies in: what lies in another one begins it anew. As in `rules.kinds.during` a block and its
tail hold the newest spans as facts; nothing is decided by the clock, and what was raised stands until an officer closes it.
"""

from __future__ import annotations

from rules.fields import Fields
from rules.jit import kernel
from rules.kinds import limit
from rules.kinds.during import SPANS
from rules.kinds.telling import emit
from rules.layout import ACTIVE, EXPOSURE, NONE, NORMAL, RAISED, Array, Floats, Words

PARAMS = Fields("low:real=-inf high:real=inf inclusive rows total interval sev")
LOW, HIGH, INCLUSIVE, ROWS, TOTAL, INTERVAL, SEV_BASE = PARAMS.starts
STATE = Fields(
    "phase due=never known_t=none beyond sum sum_t=none value:real start_t=none unknown sev done_t=none "
    f"spans*{2 * SPANS}=none"
)
"""`beyond`: the newest known row counts. `sum`: ms, up to the event time `sum_t`. `done_t`: the newest row when an officer closed the alarm."""
PHASE, DUE, KNOWN_T, BEYOND, SUM, SUM_T, VALUE, START_T, SILENT, SEV, DONE_T, SPAN = STATE.starts


@kernel
def _cover(w: Words, f: Floats, x: int, before: int, t: int, counts: int) -> None:
    """Add what lies inside spans of the time from one row to a later one; `counts` 1: beyond the limit."""
    for i in range(SPANS):
        k = x + SPAN + 2 * (SPANS - 1 - i)
        if w[k] == NONE:
            continue
        begin, end = max(before, w[k], w[x + DONE_T]), min(t, w[k + 1])
        if begin >= end:
            continue
        if w[k] > w[x + SUM_T]:
            w[x + SUM] = 0
        w[x + SUM_T] = end
        w[x + SUM] += counts * (end - begin)
        f[x + VALUE] = w[x + SUM]


@kernel
def idle(a: Words, af: Floats, p: int, w: Words, x: int, first: int, longest: int, low: float, high: float) -> bool:
    """Say whether known rows from `first` on, at most `longest` ms apart and all in [low, high], add no time beyond the limit."""
    far = 2 * a[p + INTERVAL]
    if w[x + BEYOND] != 0 or w[x + KNOWN_T] == NONE or first - w[x + KNOWN_T] > far or longest > far:
        return False
    if a[p + INCLUSIVE]:
        return high < af[p + HIGH] and low > af[p + LOW]
    return high <= af[p + HIGH] and low >= af[p + LOW]


@kernel
def glide(w: Words, f: Floats, x: int, t: int) -> None:
    """Fold a run of rows that is idle up to the row at `t`."""
    _cover(w, f, x, w[x + KNOWN_T], t, 0)
    w[x + KNOWN_T] = t


@kernel
def step(
    a: Words, af: Floats, p: int, w: Words, f: Floats, x: int,
    row: int, t: int, m: int, value: float, known: bool, out: Array, n: int,
) -> int:  # fmt: skip
    """Fold one row in event-time order; `known` says whether the value counts for this instance."""
    if not known:
        return n
    before, counts = w[x + KNOWN_T], w[x + BEYOND]
    w[x + KNOWN_T] = t
    w[x + BEYOND] = 1 if limit.beyond(a[p + INCLUSIVE], af[p + LOW], af[p + HIGH], value) else 0
    if before == NONE or t - before > 2 * a[p + INTERVAL]:
        return n
    for i in range(SPANS):
        k = x + SPAN + 2 * (SPANS - 1 - i)
        if w[k] == NONE or max(before, w[k]) >= min(t, w[k + 1]):
            continue
        _cover(w, f, x, max(before, w[k]), min(t, w[k + 1]), counts)
        if w[x + PHASE] == NORMAL and w[x + SUM] >= a[p + TOTAL]:
            w[x + PHASE] = ACTIVE
            w[x + SEV] = a[p + SEV_BASE]
            w[x + START_T] = t
            n = emit(out, n, row, EXPOSURE, x, RAISED, w[x + SEV], t, m, t, NONE, t, f[x + VALUE])
    return n


def close(words: Words, x: int, done_t: int) -> None:
    """Let a block begin anew behind a row: an officer closed its alarm."""
    words[x + PHASE] = NORMAL
    words[x + SUM] = 0
    words[x + START_T] = NONE
    words[x + SEV] = 0
    words[x + DONE_T] = done_t


@kernel
def forget(words: Words, x: int) -> None:
    """Let the sum begin anew: another limit counts now. What stands, stands."""
    words[x + SUM] = 0
    words[x + BEYOND] = 0
