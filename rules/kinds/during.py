"""Kind `limit` with `during`: a limit that is judged only by rows inside a declared state (docs/engine-semantics.md, "limit, during a declared state").

A block knows the newest spans of the state of its area (rules/declared.py). They are facts and no outcome: its tail holds the same, so that rows
are decided again with what is known now. A row outside of all of them, or one up to which an officer is done, ends what is pending and says
nothing. The clock decides nothing, and what was raised stands until it is closed: it says what happened.
"""

from __future__ import annotations

import numpy as np

from rules.fields import Fields
from rules.jit import kernel
from rules.kinds import limit
from rules.kinds.telling import emit
from rules.layout import ACTIVE, DURING, NONE, NORMAL, PENDING, RAISED, Array, Floats, Words

SPANS = 8
"""Spans that a block knows, newest first; each its begin and its end, both inside."""

PARAMS = Fields("low:real=-inf high:real=inf inclusive rows opens on_delay interval sev")
LOW, HIGH, INCLUSIVE, ROWS, OPENS, ON_DELAY, INTERVAL, SEV_BASE = PARAMS.starts
STATE = Fields(
    "phase due=never known_t=none value:real=nan count start_t=none start_b=none peak:real unknown sev top done_t=none "
    f"spans*{2 * SPANS}=none"
)
"""`done_t`: the newest row when an officer closed the alarm; rows up to it are done with."""
PHASE, DUE, KNOWN_T, VALUE, COUNT, START_T, START_B, PEAK, SILENT, SEV, TOP, DONE_T, SPAN = STATE.starts


@kernel
def since(w: Words, x: int, t: int) -> int:
    """Return the begin of the span that holds an instant, NONE if none does."""
    for k in range(SPANS):
        begin = w[x + SPAN + 2 * k]
        if begin == NONE:
            return NONE
        if begin <= t <= w[x + SPAN + 2 * k + 1]:
            return begin
    return NONE


@kernel
def reset(w: Words, f: Floats, x: int) -> None:
    """Return to normal: blank, but for the spans and what is done with."""
    w[x + PHASE] = NORMAL
    w[x + KNOWN_T] = NONE
    f[x + VALUE] = np.nan
    w[x + COUNT] = 0
    w[x + START_T] = NONE
    w[x + START_B] = NONE
    f[x + PEAK] = 0.0
    w[x + SEV] = 0
    w[x + TOP] = 0


@kernel
def _peak(af: Floats, p: int, f: Floats, x: int, value: float) -> None:
    """Keep the value farthest outside the limits."""
    if max(value - af[p + HIGH], af[p + LOW] - value) > max(f[x + PEAK] - af[p + HIGH], af[p + LOW] - f[x + PEAK]):
        f[x + PEAK] = value


@kernel
def idle(a: Words, af: Floats, p: int, w: Words, x: int, low: float, high: float) -> bool:
    """Say whether rows whose known values lie in [low, high] (inf, -inf: none is known) change nothing."""
    if w[x + PHASE] != NORMAL:
        return False
    if a[p + INCLUSIVE]:
        return high < af[p + HIGH] and low > af[p + LOW]
    return high <= af[p + HIGH] and low >= af[p + LOW]


@kernel
def step(
    a: Words, af: Floats, p: int, w: Words, f: Floats, x: int,
    row: int, t: int, m: int, b: int, value: float, known: bool, out: Array, n: int,
) -> int:  # fmt: skip
    """Fold one row in event-time order; `known` says whether the value counts for this instance."""
    if t <= w[x + DONE_T] or since(w, x, t) == NONE:
        if w[x + PHASE] == PENDING:
            reset(w, f, x)
        return n
    if not known:
        return n
    if w[x + PHASE] == PENDING and t - w[x + KNOWN_T] > 2 * a[p + INTERVAL]:
        reset(w, f, x)
    outside = limit.beyond(a[p + INCLUSIVE], af[p + LOW], af[p + HIGH], value)
    if w[x + PHASE] == ACTIVE:
        if outside:
            _peak(af, p, f, x, value)
        return n
    if not outside:
        if w[x + PHASE] == PENDING:
            reset(w, f, x)
        return n
    if w[x + PHASE] == NORMAL:
        w[x + PHASE] = PENDING
        w[x + START_T] = t
        w[x + START_B] = b
        f[x + PEAK] = value
    w[x + KNOWN_T] = t
    f[x + VALUE] = value
    w[x + COUNT] += 1
    _peak(af, p, f, x, value)
    if w[x + COUNT] >= a[p + OPENS] and t - w[x + START_T] >= a[p + ON_DELAY]:
        w[x + PHASE] = ACTIVE
        w[x + SEV] = a[p + SEV_BASE]
        w[x + TOP] = a[p + SEV_BASE]
        n = emit(out, n, row, DURING, x, RAISED, w[x + SEV], t, m, w[x + START_T], NONE, t, value)
        out[n - 1]["peak"] = f[x + PEAK]
        out[n - 1]["first"] = w[x + START_B]
    return n


def inscribe(words: Words, at: int, spans: list[tuple[int, int]]) -> None:
    """Write the newest spans into a block, newest first.

    Args:
        words: of the state, or of the tails.
        at: where the field `spans` of the block stands in them.
        spans: by their begin, none of them touching another.
    """
    block = np.full(2 * SPANS, NONE)
    newest = spans[-SPANS:][::-1]
    block[: 2 * len(newest)] = [instant for span in newest for instant in span]
    words[at : at + 2 * SPANS] = block


def close(words: Words, floats: Floats, x: int, done_t: int) -> None:
    """Let a block begin anew behind a row: an officer closed its alarm."""
    reset(words, floats, x)
    words[x + DONE_T] = done_t
