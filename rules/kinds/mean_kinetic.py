"""Kind `mean_kinetic`: mean kinetic temperature of twelve months (docs/engine-semantics.md, "mean_kinetic").

Each month keeps its covered time and the sum of time times rate, exp(-10,000 K / T); a month is judged when it has ended.
"""

from __future__ import annotations

import math

from rules.fields import Fields
from rules.jit import kernel
from rules.kinds.telling import emit
from rules.layout import (
    ACTIVE,
    CLEARED,
    KNOWN,
    MEAN_KINETIC,
    NEVER,
    NONE,
    NORMAL,
    RAISED,
    UNKNOWN,
    Array,
    Codes,
    Floats,
    Words,
)

MONTHS = 12
DAY_MS = 86_400_000
ACTIVATION_K = 10_000.0
"""Activation energy over the gas constant: 83.144 kJ/mol / 8.3144e-3 kJ/(mol K) (limits.md §4)."""
KELVIN = 273.15
COLDEST, HOTTEST = -100.0, 1_000.0
"""Degrees Celsius; what lies outside is no value of a store."""
DIGITS = 10_000
"""Parts of a degree to which the mean is rounded before it is judged: the tolerance of the published vectors."""

PARAMS = Fields("rows above clear_at interval delivery zone sev")
"""`above`, `clear_at`: in parts of a degree. `zone`: what the jurisdiction's clock is ahead of UTC, ms."""
ROWS, ABOVE, CLEAR_AT, INTERVAL, DELIVERY, ZONE, SEV_BASE = PARAMS.starts

STATE = Fields(
    "phase due=never known_t=none seen:real=nan rate:real month=none ends judged value:real=nan start_t=none unknown sev "
    f"weight*{MONTHS} sum*{MONTHS}:real"
)
"""`seen`, `rate`: of the newest known row. `month`: the one it lies in, counted from year 0; `ends`: when that ends. `judged`: how many month
ends the clock has judged since. `weight`: covered ms of each month; `sum`: of covered ms times rate."""
(
    PHASE, DUE, KNOWN_T, SEEN, RATE, MONTH, ENDS, JUDGED, VALUE, START_T, SILENT, SEV, WEIGHTS, SUMS,
) = STATE.starts  # fmt: skip


@kernel
def month_of(t: int, zone: int) -> int:
    """Return the month of an instant, counted from year 0 (proleptic Gregorian calendar)."""
    day = (t + zone) // DAY_MS + 719_468
    era = day // 146_097
    of_era = day - era * 146_097
    year = (of_era - of_era // 1_460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    shifted = (5 * of_year + 2) // 153  # months since March
    return 12 * (year + era * 400) + shifted + 2


@kernel
def begin_of(month: int, zone: int) -> int:
    """Return the instant at which a month begins."""
    shifted = (month - 2) % 12
    year = (month - 2) // 12
    era = year // 400
    of_era = year - era * 400
    day = era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + (153 * shifted + 2) // 5
    return (day - 719_468) * DAY_MS - zone


@kernel
def rate_of(value: float) -> float:
    """Return the rate at a temperature in degrees Celsius, over that at infinite temperature."""
    return math.exp(-ACTIVATION_K / (value + KELVIN))


@kernel
def mean_of(weight: float, total: float) -> int:
    """Return the mean kinetic temperature of a sum of rates, in parts of a degree Celsius."""
    return math.floor((ACTIVATION_K / -math.log(total / weight) - KELVIN) * DIGITS + 0.5)


@kernel
def counts(value: float) -> bool:
    """Say whether a value can be one of a store."""
    return COLDEST <= value <= HOTTEST


@kernel
def schedule(a: Words, p: int, w: Words, x: int, last_m: int) -> int:
    """Set and return `due`: when the clock judges the month that the newest row lies in, and the one behind it."""
    due = NEVER
    if w[x + MONTH] != NONE:
        wait = 2 * a[p + INTERVAL] + a[p + DELIVERY]
        standing = w[x + PHASE] == ACTIVE and w[x + SILENT] == 0
        if w[x + JUDGED] == 0 and (standing or w[x + WEIGHTS + w[x + MONTH] % MONTHS] > 0):
            due = max(w[x + ENDS] + wait, last_m)
        elif w[x + JUDGED] <= 1 and standing:
            due = max(begin_of(w[x + MONTH] + 2, a[p + ZONE]) + wait, last_m)
    w[x + DUE] = due
    return due


@kernel
def _unknown(w: Words, f: Floats, x: int, row: int, at: int, m: int, decided: int, out: Array, n: int) -> int:
    if w[x + PHASE] == ACTIVE and w[x + SILENT] == 0:
        w[x + SILENT] = 1
        n = emit(out, n, row, MEAN_KINETIC, x, UNKNOWN, w[x + SEV], at, m, w[x + START_T], NONE, decided, f[x + VALUE])
    return n


@kernel
def _judge(
    a: Words, p: int, w: Words, f: Floats, x: int, row: int, at: int, m: int, decided: int, out: Array, n: int
) -> int:
    """Judge the twelve months that end with the present one; a month without covered time, or too little of all: unknown."""
    month = w[x + MONTH]
    end = w[x + ENDS]
    weight = 0
    total = 0.0
    whole = True
    for each in range(month - MONTHS + 1, month + 1):
        i = each % MONTHS
        whole = whole and w[x + WEIGHTS + i] > 0
        weight += w[x + WEIGHTS + i]
        total += f[x + SUMS + i]
    if not whole or 4 * weight < 3 * (end - begin_of(month - MONTHS + 1, a[p + ZONE])):
        return _unknown(w, f, x, row, at, m, decided, out, n)
    mean = mean_of(float(weight), total)
    value = mean / DIGITS
    f[x + VALUE] = value
    if w[x + PHASE] == NORMAL:
        if mean > a[p + ABOVE]:
            w[x + PHASE] = ACTIVE
            w[x + SEV] = a[p + SEV_BASE]
            w[x + START_T] = end
            n = emit(out, n, row, MEAN_KINETIC, x, RAISED, w[x + SEV], at, m, end, NONE, decided, value)
        return n
    if w[x + SILENT] == 1:
        w[x + SILENT] = 0
        n = emit(out, n, row, MEAN_KINETIC, x, KNOWN, w[x + SEV], at, m, w[x + START_T], NONE, decided, value)
    if mean <= a[p + CLEAR_AT]:
        n = emit(out, n, row, MEAN_KINETIC, x, CLEARED, w[x + SEV], at, m, w[x + START_T], end, decided, value)
        w[x + PHASE] = NORMAL
        w[x + START_T] = NONE
        w[x + SEV] = 0
    return n


@kernel
def fire(a: Words, p: int, w: Words, f: Floats, x: int, last_t: int, last_m: int, out: Array, n: int) -> int:
    """Take the decision that is due: judge the month, or say that the one behind it has no average.

    It is noted as taken just behind the newest row, not with it: what the clock ends stands until a row behind it leaves the horizon.
    """
    d = w[x + DUE]
    behind = last_t + 1
    if w[x + JUDGED] == 0:
        n = _judge(a, p, w, f, x, -1, d, d, behind, out, n)
        w[x + JUDGED] = 1
    else:
        n = _unknown(w, f, x, -1, d, d, behind, out, n)
        w[x + JUDGED] = 2
    schedule(a, p, w, x, last_m)
    return n


@kernel
def _weigh(w: Words, f: Floats, x: int, span: int) -> None:
    """Add a span at the rate of the newest known row to the present month."""
    i = w[x + MONTH] % MONTHS
    w[x + WEIGHTS + i] += span
    f[x + SUMS + i] += span * f[x + RATE]


@kernel
def step(
    a: Words,
    p: int,
    w: Words,
    f: Floats,
    x: int,
    row: int,
    t: int,
    m: int,
    value: float,
    known: bool,
    out: Array,
    n: int,
) -> int:
    """Fold one row in event-time order."""
    if not known or not counts(value):
        return n
    if w[x + MONTH] == NONE:
        w[x + MONTH] = month_of(t, a[p + ZONE])
        w[x + ENDS] = begin_of(w[x + MONTH] + 1, a[p + ZONE])
    covered = w[x + KNOWN_T] != NONE and t - w[x + KNOWN_T] <= 2 * a[p + INTERVAL]
    since = w[x + KNOWN_T]
    while t >= w[x + ENDS]:
        if covered:
            _weigh(w, f, x, w[x + ENDS] - since)
            since = w[x + ENDS]
        n = _judge(a, p, w, f, x, row, t, m, t, out, n)
        w[x + MONTH] += 1
        w[x + ENDS] = begin_of(w[x + MONTH] + 1, a[p + ZONE])
        w[x + WEIGHTS + w[x + MONTH] % MONTHS] = 0
        f[x + SUMS + w[x + MONTH] % MONTHS] = 0.0
        w[x + JUDGED] = 0
    if covered:
        _weigh(w, f, x, t - since)
    w[x + KNOWN_T] = t
    if value != f[x + SEEN]:
        f[x + SEEN] = value
        f[x + RATE] = rate_of(value)
    return n


@kernel
def glide(
    a: Words,
    p: int,
    w: Words,
    f: Floats,
    x: int,
    time: Words,
    value: Floats,
    known: Codes,
    bit: int,
    i: int,
    count: int,
) -> int:
    """Fold rows from the i-th on as `step` would, as long as they lie in the present month; returns the first that is left."""
    if w[x + MONTH] == NONE or w[x + KNOWN_T] == NONE:
        return i
    end, far, last_t = w[x + ENDS], 2 * a[p + INTERVAL], w[x + KNOWN_T]
    k = w[x + MONTH] % MONTHS
    weight, total = w[x + WEIGHTS + k], f[x + SUMS + k]
    seen, rate = f[x + SEEN], f[x + RATE]
    while i < count:
        if (known[i] >> bit) & 1 == 1 and counts(value[i]):
            t = time[i]
            if t >= end:
                break
            if t - last_t <= far:
                weight += t - last_t
                total += (t - last_t) * rate
            last_t = t
            if value[i] != seen:
                seen = value[i]
                rate = rate_of(seen)
        i += 1
    w[x + KNOWN_T], f[x + SEEN], f[x + RATE] = last_t, seen, rate
    w[x + WEIGHTS + k], f[x + SUMS + k] = weight, total
    return i
