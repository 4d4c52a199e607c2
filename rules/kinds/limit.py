"""Kind `limit`: a measured value outside its limits (docs/engine-semantics.md, "limit").

`step` folds one row, `fire` takes one decision by the clock; both write transitions to `out` and keep `due`.
"""

from __future__ import annotations

import numpy as np

from rules.jit import kernel
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
    UNKNOWN,
    Array,
)


@kernel
def emit(
    out: Array, n: int, row: int, kind: int, inst: int, code: int, sev: int,
    at: int, recv: int, start: int, end: int, decided: int, value: float,
) -> int:  # fmt: skip
    """Write one transition and return the next free place."""
    out[n]["row"] = row
    out[n]["kind"] = kind
    out[n]["inst"] = inst
    out[n]["code"] = code
    out[n]["sev"] = sev
    out[n]["at"] = at
    out[n]["recv"] = recv
    out[n]["start"] = start
    out[n]["end"] = end
    out[n]["decided"] = decided
    out[n]["value"] = value
    out[n]["peak"] = np.nan
    out[n]["first"] = NONE
    return n + 1


@kernel
def _tell(
    s: Array, inst: int, row: int, code: int, at: int, recv: int, end: int, value: float, out: Array, n: int
) -> int:
    """Write a transition of the occurrence that `s` holds, with the value that decided and the one farthest outside."""
    n = emit(out, n, row, LIMIT, inst, code, s["sev"], at, recv, s["start_t"], end, s["last_t"], value)
    out[n - 1]["peak"] = s["peak"]
    out[n - 1]["first"] = s["start_b"]
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
def colour(p: Array, s: Array) -> int:
    """Return the highest of base and reached steps."""
    sev = int(p["sev"])
    for k in range(p["steps"]):
        if (s["reached"] >> k) & 1 and p["step_sev"][k] > sev:
            sev = int(p["step_sev"][k])
    return sev


@kernel
def _paint(s: Array, sev: int) -> None:
    """Set the colour and keep the highest."""
    s["sev"] = sev
    s["top"] = max(s["top"], sev)


@kernel
def reset(s: Array) -> None:
    """Return to normal."""
    s["phase"] = NORMAL
    s["count"] = 0
    s["clear_count"] = 0
    s["start_t"] = NONE
    s["start_m"] = NONE
    s["start_b"] = NONE
    s["end_t"] = NONE
    s["unknown"] = 0
    s["reached"] = 0
    s["sev"] = 0
    s["top"] = 0
    for k in range(s["step_t"].shape[0]):
        s["step_t"][k] = NONE
        s["step_m"][k] = NONE


@kernel
def _in_time(p: Array, s: Array, due: int) -> int:
    """Return `due`, never before the newest row came; NEVER if the series is overdue by then (unknown, not outside)."""
    due = max(due, s["last_m"])
    return due if due <= s["last_t"] + 2 * p["interval"] + p["delivery"] else NEVER


@kernel
def _step_due(p: Array, s: Array, k: int) -> int:
    """Return when the clock alone would reach a step: only while the row that began it is the newest."""
    if (s["reached"] >> k) & 1:
        return NEVER
    if p["step_after"][k] >= 0:
        if s["last_t"] == s["start_t"]:
            return _in_time(p, s, s["start_m"] + p["step_after"][k])
    elif s["step_t"][k] != NONE and s["last_t"] == s["step_t"][k]:
        return _in_time(p, s, s["step_m"][k] + p["step_for"][k])
    return NEVER


@kernel
def _open_due(p: Array, s: Array) -> int:
    """Return when the clock alone would end the on-delay: only while the first outside row is the newest."""
    if s["phase"] == PENDING and p["on_delay"] > 0 and s["count"] >= p["opens"] and s["last_t"] == s["start_t"]:
        return _in_time(p, s, s["start_m"] + p["on_delay"])
    return NEVER


@kernel
def _unknown_due(p: Array, s: Array) -> int:
    """Return when the clock says that an active condition is unknown."""
    if s["phase"] >= ACTIVE and s["unknown"] == 0:
        return max(s["known_t"] + p["interval"] + p["unknown_ms"] + p["delivery"], s["last_m"])
    return NEVER


@kernel
def schedule(p: Array, s: Array) -> None:
    """Set `due` to the next decision by the clock."""
    due = NEVER
    if s["phase"] != NORMAL:
        due = min(_open_due(p, s), _unknown_due(p, s))
        for k in range(p["steps"]):
            due = min(due, _step_due(p, s, k))
    s["due"] = due


@kernel
def fire(p: Array, s: Array, inst: int, out: Array, n: int) -> int:
    """Take the decision that is due: a delay that has run out, a step, or `unknown`."""
    d = s["due"]
    opens = _open_due(p, s) <= d
    unknown = _unknown_due(p, s) <= d
    for k in range(p["steps"]):
        if _step_due(p, s, k) <= d:
            s["reached"] |= 1 << k
    if opens:
        s["phase"] = ACTIVE
        _paint(s, colour(p, s))
        n = _tell(s, inst, -1, RAISED, d, d, NONE, s["value"], out, n)
    elif s["phase"] >= ACTIVE:
        sev = colour(p, s)
        if sev != s["sev"]:
            _paint(s, sev)
            n = _tell(s, inst, -1, STEPPED, d, d, NONE, s["value"], out, n)
    if unknown:
        s["unknown"] = 1
        n = _tell(s, inst, -1, UNKNOWN, d, d, NONE, s["value"], out, n)
    schedule(p, s)
    return n


@kernel
def _steps(p: Array, s: Array, t: int, m: int, value: float) -> None:
    for k in range(p["steps"]):
        if p["step_after"][k] >= 0:
            if t - s["start_t"] >= p["step_after"][k]:
                s["reached"] |= 1 << k
        elif beyond(p["inclusive"], p["step_low"][k], p["step_high"][k], value):
            if s["step_t"][k] == NONE:
                s["step_t"][k] = t
                s["step_m"][k] = m
            if t - s["step_t"][k] >= p["step_for"][k]:
                s["reached"] |= 1 << k
        elif (s["reached"] >> k) & 1:
            if within(p["inclusive"], p["step_low"][k], p["step_high"][k], p["db"], value):
                s["reached"] &= 255 ^ (1 << k)
                s["step_t"][k] = NONE
        else:
            s["step_t"][k] = NONE


@kernel
def _break(p: Array, s: Array) -> None:
    """Drop running counts after a distance of more than two intervals between known rows."""
    if s["phase"] == PENDING:
        reset(s)
    elif s["phase"] == CLEARING:
        s["phase"] = ACTIVE
        s["clear_count"] = 0
    for k in range(p["steps"]):
        if not (s["reached"] >> k) & 1:
            s["step_t"][k] = NONE


@kernel
def step(
    p: Array, s: Array, inst: int, row: int, t: int, m: int, b: int, value: float, known: bool, out: Array, n: int
) -> int:
    """Fold one row in event-time order; `known` says whether the value counts for this instance."""
    s["last_t"] = t
    s["last_m"] = m
    if not known:
        if s["phase"] >= ACTIVE and s["unknown"] == 0 and t >= s["known_t"] + p["interval"] + p["unknown_ms"]:
            s["unknown"] = 1
            n = _tell(s, inst, row, UNKNOWN, t, m, NONE, s["value"], out, n)
        schedule(p, s)
        return n
    if s["known_t"] != NONE and t - s["known_t"] > 2 * p["interval"]:
        _break(p, s)
    s["known_t"] = t
    s["value"] = value
    if s["unknown"] == 1:
        s["unknown"] = 0
        n = _tell(s, inst, row, KNOWN, t, m, NONE, value, out, n)
    outside = beyond(p["inclusive"], p["low"], p["high"], value)
    if s["phase"] <= PENDING:
        if outside:
            if s["phase"] == NORMAL:
                s["phase"] = PENDING
                s["start_t"] = t
                s["start_m"] = m
                s["start_b"] = b
                s["count"] = 0
                s["peak"] = value
            s["count"] += 1
            _peak(p, s, value)
            _steps(p, s, t, m, value)
            if s["count"] >= p["opens"] and t - s["start_t"] >= p["on_delay"]:
                s["phase"] = ACTIVE
                _paint(s, colour(p, s))
                n = _tell(s, inst, row, RAISED, t, m, NONE, value, out, n)
        elif s["phase"] == PENDING:
            reset(s)
    else:
        _steps(p, s, t, m, value)
        sev = colour(p, s)
        cleared = False
        if within(p["inclusive"], p["low"], p["high"], p["db"], value):
            if s["phase"] == ACTIVE:
                s["phase"] = CLEARING
                s["end_t"] = t
                s["clear_count"] = 0
            s["clear_count"] += 1
            cleared = s["clear_count"] >= p["clears"] and t - s["end_t"] >= p["off_delay"]
        else:
            s["phase"] = ACTIVE
            s["clear_count"] = 0
            _peak(p, s, value)
        if sev != s["sev"]:
            _paint(s, sev)
            n = _tell(s, inst, row, STEPPED, t, m, NONE, value, out, n)
        if cleared:
            n = _tell(s, inst, row, CLEARED, t, m, s["end_t"], value, out, n)
            reset(s)
    schedule(p, s)
    return n


@kernel
def _peak(p: Array, s: Array, value: float) -> None:
    """Keep the value farthest outside the limits."""
    if max(value - p["high"], p["low"] - value) > max(s["peak"] - p["high"], p["low"] - s["peak"]):
        s["peak"] = value
