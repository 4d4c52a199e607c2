"""Kind `gap`: a series that falls silent (docs/engine-semantics.md, "gap"). Groups of series: `rules.silence`."""

from __future__ import annotations

import numpy as np

from rules.jit import kernel
from rules.kinds.limit import emit
from rules.layout import CLEARED, GAP, NEVER, NONE, RAISED, RETRACTED, STEPPED, Array


@kernel
def colour(p: Array, elapsed: int) -> int:
    """Return the colour of a silence that has lasted longer than `elapsed` ms since the last row."""
    sev = int(p["sev"])
    for k in range(p["steps"]):
        if elapsed > p["step_after"][k] and p["step_sev"][k] > sev:
            sev = int(p["step_sev"][k])
    return sev


@kernel
def schedule(p: Array, s: Array, ext: int, floor: int) -> None:
    """Set `due`: the silence itself, or while active the next step; never before `floor` (ms, receive time)."""
    due = NEVER
    if s["active"] == 0:
        due = max(s["lo"] + p["silent"] + p["delivery"] + ext, floor)
    else:
        for k in range(p["steps"]):
            if p["step_sev"][k] > s["sev"]:
                due = min(due, max(s["lo"] + p["step_after"][k] + p["delivery"] + ext, floor))
    s["due"] = due


@kernel
def fire(p: Array, s: Array, inst: int, ext: int, last_t: int, out: Array, n: int) -> int:
    """Take the decision that is due: the silence, or its next colour."""
    d = s["due"]
    if s["active"] == 0:
        s["active"] = 1
        s["hole"] = 0
        s["raised"] = d
        s["start_t"] = s["lo"] + p["pace"]
        s["sev"] = p["sev"]
        for k in range(p["steps"]):
            if s["lo"] + p["step_after"][k] + p["delivery"] + ext <= d and p["step_sev"][k] > s["sev"]:
                s["sev"] = p["step_sev"][k]
        n = emit(out, n, -1, GAP, inst, RAISED, s["sev"], d, d, s["start_t"], NONE, last_t, np.nan)
    else:
        sev = int(s["sev"])
        for k in range(p["steps"]):
            if s["lo"] + p["step_after"][k] + p["delivery"] + ext <= d and p["step_sev"][k] > sev:
                sev = int(p["step_sev"][k])
        if sev != s["sev"]:
            s["sev"] = sev
            n = emit(out, n, -1, GAP, inst, STEPPED, sev, d, d, s["start_t"], NONE, last_t, np.nan)
    schedule(p, s, ext, d)
    return n


@kernel
def step(p: Array, s: Array, inst: int, row: int, t: int, m: int, forgiven: int, ext: int, out: Array, n: int) -> int:
    """Fold one in-order row of any quality; `forgiven` ms before it and `ext` ms behind it the front door was closed."""
    distance = t - s["lo"] - forgiven
    if s["active"] == 1:
        if s["fresh"] == 1 or distance > p["silent"]:
            s["hole"] = 1
        if t + p["silent"] + p["delivery"] + ext > m:
            code = CLEARED if s["hole"] == 1 else RETRACTED
            end = max(t, s["start_t"])
            n = emit(out, n, row, GAP, inst, code, s["sev"], t, m, s["start_t"], end, t, np.nan)
            s["active"] = 0
    elif s["fresh"] == 0 and distance > p["silent"]:
        sev = colour(p, distance)
        start = s["lo"] + p["pace"]
        n = emit(out, n, row, GAP, inst, RAISED, sev, t, m, start, NONE, t, np.nan)
        n = emit(out, n, row, GAP, inst, CLEARED, sev, t, m, start, t, t, np.nan)
    if s["active"] == 0:
        s["sev"] = 0
        s["start_t"] = NONE
    s["fresh"] = 0
    s["lo"] = t
    schedule(p, s, ext, m)
    return n


@kernel
def recolour(p: Array, s: Array, ext: int, now: int) -> bool:
    """Take back the colours of an active silence that are not reached by `now`; says whether one was."""
    sev = int(p["sev"])
    for k in range(p["steps"]):
        if s["lo"] + p["step_after"][k] + p["delivery"] + ext <= now and p["step_sev"][k] > sev:
            sev = int(p["step_sev"][k])
    if sev >= s["sev"]:
        return False
    s["sev"] = sev
    return True


@kernel
def reopen(s: Array) -> None:
    """Take back a silence that the clock raised while the front door was closed."""
    s["active"] = 0
    s["sev"] = 0
    s["start_t"] = NONE
