"""Kind `frozen`: a value that does not move (docs/engine-semantics.md, "frozen").

Two branches share one occurrence: equal values in a row, and a day whose span is too small for a live instrument.
"""

from __future__ import annotations

import numpy as np

from rules.jit import kernel
from rules.kinds.limit import emit
from rules.layout import ACTIVE, CLEARED, FROZEN, HOURS, KNOWN, NEVER, NONE, NORMAL, RAISED, UNKNOWN, Array

HOUR_MS = 3_600_000


@kernel
def schedule(p: Array, s: Array) -> None:
    """Set `due` to the instant at which an active occurrence becomes unknown by the clock."""
    due = NEVER
    if s["phase"] == ACTIVE and s["unknown"] == 0:
        due = max(s["known_t"] + p["interval"] + p["unknown_ms"] + p["delivery"], s["last_m"])
    s["due"] = due


@kernel
def fire(p: Array, s: Array, inst: int, out: Array, n: int) -> int:
    """Take the decision that is due: `unknown`."""
    d = s["due"]
    s["unknown"] = 1
    n = emit(out, n, -1, FROZEN, inst, UNKNOWN, s["sev"], d, d, s["start_t"], NONE, s["last_t"], s["value"])
    schedule(p, s)
    return n


@kernel
def _roll(p: Array, s: Array, hour: int) -> int:
    """Close the hours before `hour`; if the 24 full hours before it are too flat, return the first known one, else NONE."""
    if s["hour"] == NONE:
        s["hour"] = hour
        return NONE
    k = s["hour"] % HOURS
    s["low"][k] = s["cur_low"]
    s["high"][k] = s["cur_high"]
    s["known"][k] = s["cur_known"]
    skipped = min(hour - s["hour"] - 1, HOURS)
    for i in range(skipped):
        s["known"][(s["hour"] + 1 + i) % HOURS] = 0
    s["hour"] = hour
    s["cur_known"] = 0
    known = 0
    low = np.inf
    high = -np.inf
    first = hour
    for h in range(hour - HOURS, hour):
        i = h % HOURS
        if s["known"][i] > 0:
            known += s["known"][i]
            low = min(low, s["low"][i])
            high = max(high, s["high"][i])
            first = min(first, h)
    if p["width"] >= 0.0 and known >= p["expected"] and high - low < p["width"]:
        return first
    return NONE


@kernel
def step(
    p: Array, s: Array, inst: int, row: int, t: int, m: int, b: int, value: float, known: bool, out: Array, n: int
) -> int:
    """Fold one row in event-time order."""
    s["last_t"] = t
    s["last_m"] = m
    if not known:
        if s["phase"] == ACTIVE and s["unknown"] == 0 and t >= s["known_t"] + p["interval"] + p["unknown_ms"]:
            s["unknown"] = 1
            n = emit(out, n, row, FROZEN, inst, UNKNOWN, s["sev"], t, m, s["start_t"], NONE, t, s["value"])
        schedule(p, s)
        return n
    if s["unknown"] == 1:
        s["unknown"] = 0
        n = emit(out, n, row, FROZEN, inst, KNOWN, s["sev"], t, m, s["start_t"], NONE, t, value)
    hour = t // HOUR_MS
    if hour != s["hour"]:
        first = s["hour"] == NONE
        flat = _roll(p, s, hour)
        if not first:
            s["by_span"] = 1 if flat != NONE else 0
        if flat != NONE and s["phase"] == NORMAL:
            s["phase"] = ACTIVE
            s["sev"] = p["sev"]
            s["start_t"] = flat * HOUR_MS
            n = emit(out, n, row, FROZEN, inst, RAISED, s["sev"], t, m, s["start_t"], NONE, t, value)
    if s["cur_known"] == 0:
        s["cur_low"] = value
        s["cur_high"] = value
    s["cur_low"] = min(s["cur_low"], value)
    s["cur_high"] = max(s["cur_high"], value)
    s["cur_known"] += 1

    if s["known_t"] == NONE or t - s["known_t"] > 2 * p["interval"]:
        s["run"] = 1
        s["run_t"] = t
        s["run_b"] = b
        s["moves"] = 0
        s["before"] = np.nan
    elif value == s["value"]:
        s["run"] += 1
        s["moves"] = 0
        s["before"] = s["value"]
    else:
        s["run"] = 1
        s["run_t"] = t
        s["run_b"] = b
        if s["moves"] > 0 and value != s["before"]:
            s["moves"] += 1
        else:
            s["moves"] = 1
            s["move_t"] = t
        s["before"] = s["value"]
    s["known_t"] = t
    s["value"] = value

    if s["phase"] == NORMAL:
        if s["run"] >= p["identical"] and t - s["run_t"] >= p["span"]:
            s["phase"] = ACTIVE
            s["sev"] = p["sev"]
            s["start_t"] = s["run_t"]
            n = emit(out, n, row, FROZEN, inst, RAISED, s["sev"], t, m, s["start_t"], NONE, t, value)
            out[n - 1]["first"] = s["run_b"]
    elif s["moves"] >= p["distinct"] and s["by_span"] == 0:
        n = emit(out, n, row, FROZEN, inst, CLEARED, s["sev"], t, m, s["start_t"], s["move_t"], t, value)
        s["phase"] = NORMAL
        s["start_t"] = NONE
    schedule(p, s)
    return n
