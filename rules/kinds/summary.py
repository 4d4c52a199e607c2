"""Summaries of a series by hour and by local day, for rules that compare reports with them (kind `compare`, ADR 0074).

They are made of the rows that have left the series' horizon, in event-time order: what came late within it is in its place by then, and
no row comes to them later. So an hour or a day behind which rows have left is closed for good. The block of a series stands behind
its ring, and only where a rule asks for it: `HEAD`, then as many entries of hours and of days as the program says, each a ring by number.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rules.fields import Fields
from rules.jit import kernel
from rules.kinds.mean_kinetic import counts, rate_of
from rules.layout import INTERVAL, SUM_DAYS, SUM_HIGH, SUM_HOURS, SUM_LOW, SUM_PAST, SUM_ZONE, Floats, Words

if TYPE_CHECKING:
    from collections.abc import Mapping

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
HOUR_SPAN, DAY_SPAN = 24, 28
"""Hours and days that go together when they are too old: a local day of hours, four weeks of days."""
HOURS, DAYS = (35 + 1) * HOUR_SPAN, (19 + 1) * DAY_SPAN
"""Hours and days that there is room for: 35 whole days of hours and the newest one, 532 days and the newest four weeks.

An annual report is due on 30 April: by then its year began up to 366 + 120 days ago, and it is looked at for thirty days more (ADR 0074).
"""
REACH = 2
"""A known value stands until the next known row, where that is at most so many intervals away; else nothing is known between them."""

HEAD = Fields("through behind out value:real rate:real")
"""`through`: event time of the newest row that is in here, plus 1; 0: none is. `behind`: so of the newest known row, `value`, `rate` (NaN:
it is none of a store), and `out`, whether it lies outside the limits."""
THROUGH, BEHIND, OUT, VALUE, RATE = HEAD.starts
ENTRY = Fields("place spans low:real high:real total:real")
"""`place`: number of the hour or day (`number_of`), and rows that are known, in one word; `spans`: how long it is known and how
long outside, ms, in one word; the least and the greatest value; the sum of known time times rate."""
PLACE, SPANS, LOW, HIGH, TOTAL = ENTRY.starts
HEAD_WORDS, ENTRY_WORDS = HEAD.words, ENTRY.words
HALF = 32


def words(sums: Mapping[str, float]) -> int:
    """Return how many words the block of a series takes, by what its program says."""
    kept = int(sums.get("sum_hours", 0) + sums.get("sum_days", 0))
    return HEAD.words + kept * ENTRY_WORDS if kept else 0


@kernel
def number_of(t: int, unit: int, zone: int) -> int:
    """Return the number of the hour or day (`unit`, ms) of an instant, by the local clock; the first of 1970 is 1."""
    return (t + zone) // unit + 1


@kernel
def _entry(w: Words, f: Floats, first: int, size: int, number: int) -> int:
    """Return where the entry of an hour or a day stands, begun anew if another one stood there."""
    e = first + (number % size) * ENTRY_WORDS
    if w[e + PLACE] >> HALF != number:
        w[e + PLACE], w[e + SPANS] = number << HALF, 0
        f[e + LOW], f[e + HIGH], f[e + TOTAL] = math.inf, -math.inf, 0.0
    return e


@kernel
def _spread(w: Words, f: Floats, x: int, first: int, size: int, unit: int, zone: int, begin: int, end: int) -> None:
    """Let the newest known value stand in a span, in each hour or day that it touches."""
    while begin < end:
        number = number_of(begin, unit, zone)
        stop = min(end, number * unit - zone)
        e = _entry(w, f, first, size, number)
        w[e + SPANS] += (stop - begin) << HALF
        if w[x + OUT] == 1:
            w[e + SPANS] += stop - begin
        f[e + TOTAL] += (stop - begin) * f[x + RATE]
        begin = stop


@kernel
def _count(w: Words, f: Floats, first: int, size: int, number: int, v: float) -> None:
    e = _entry(w, f, first, size, number)
    w[e + PLACE] += 1
    f[e + LOW], f[e + HIGH] = min(f[e + LOW], v), max(f[e + HIGH], v)


@kernel
def _is_outside(a: Words, af: Floats, g: int, at: int, v: float) -> bool:
    """Say whether a value is outside of the limits that were in force at an instant (rules/formerly.py, `Span`)."""
    low, high, h = af[g + SUM_LOW], af[g + SUM_HIGH], a[g + SUM_PAST]
    for k in range(a[h] if h > 0 else 0):
        if at < a[h + 1 + 3 * k]:
            return v < af[h + 2 + 3 * k] or v > af[h + 3 + 3 * k]
    return v < low or v > high


@kernel
def take(
    a: Words, af: Floats, g: int, w: Words, f: Floats, x: int, t: int, m: int, v: float, known: bool
) -> None:  # fmt: skip
    """Take one row in event-time order into the block at `x`; one that is in it already changes nothing.

    Args:
        a: parameters; `af`: the same as floats.
        af: see there.
        g: the series' program.
        w: the words that hold the block; `f`: the same as floats.
        f: see there.
        x: where the block begins.
        t: event time, ms; the limits are those in force then ...
        m: ... or at its receive time, ms, where that is earlier.
        v: the value.
        known: it counts; a row that does not leaves what stood before it standing.
    """
    if t < w[x + THROUGH]:
        return
    w[x + THROUGH] = t + 1
    if not known:
        return
    hours, days, zone = a[g + SUM_HOURS], a[g + SUM_DAYS], a[g + SUM_ZONE]
    of_hours = x + HEAD_WORDS
    of_days = of_hours + hours * ENTRY_WORDS
    since = w[x + BEHIND] - 1
    if since >= 0 and t - since <= REACH * a[g + INTERVAL]:
        if hours > 0:
            _spread(w, f, x, of_hours, hours, HOUR_MS, zone, since, t)
        _spread(w, f, x, of_days, days, DAY_MS, zone, since, t)
    if hours > 0:
        _count(w, f, of_hours, hours, number_of(t, HOUR_MS, zone), v)
    _count(w, f, of_days, days, number_of(t, DAY_MS, zone), v)
    if since < 0 or v != f[x + VALUE]:
        f[x + VALUE] = v
        f[x + RATE] = rate_of(v) if counts(v) else math.nan
    w[x + BEHIND] = t + 1
    w[x + OUT] = 1 if _is_outside(a, af, g, min(t, m), v) else 0
