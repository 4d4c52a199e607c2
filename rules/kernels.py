"""The compiled pass over a batch: every row through the instances of its series, in order (docs/engine-semantics.md).

`fold_rows` stops at a late row (Python decides again and calls on) and before `out` could overflow.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from rules import layout, ring
from rules.jit import kernel
from rules.kinds import frozen, gap, limit
from rules.layout import FROZEN, FUTURE_MS, HORIZON_MS, LIMIT, NEVER, NONE, Array

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bytes = npt.NDArray[np.uint8]

OUT_ROWS = 8192
DONE, LATE, FULL = 0, 1, 2
PER_ROW = 6
"""Transitions one instance can make of one row, with room to spare."""


@kernel
def known_limit(p: Array, s: Array, v: float, q: int) -> bool:
    """Say whether a row counts for a limit instance: quality, null, measuring range."""
    if math.isnan(v):
        return False
    if p["excludes"] == 0 and (v < s["range_low"] or v > s["range_high"]):
        return False
    if p["marked"] == 1:
        return q != 1 and q != 5 and q != 8  # noqa: PLR1714 - numba has no fast tuple membership here
    return q == 0 or q == 2  # noqa: PLR1714 - as above


@kernel
def known_frozen(v: float, q: int) -> bool:
    """Say whether a row counts for a frozen instance: integrity rules look at marked rows too."""
    return not math.isnan(v) and q != 1 and q != 5 and q != 8  # noqa: PLR1714 - as above


@kernel
def _evict(
    s: Array, rt: Ints, rm: Ints, rb: Ints, rv: Floats, rq: Bytes,
    lp: Array, ltail: Array, fp: Array, ftail: Array, keep: int, scratch: Array,
) -> None:  # fmt: skip
    """Move rows that leave the horizon, or overfill the ring by `keep`, into the tail states."""
    edge = s["last_t"] - HORIZON_MS
    while s["ring_len"] > 0:
        k = ring.at(s, 0)
        if rt[k] > edge and s["ring_len"] <= keep:
            break
        _advance_tail(s, rt[k], rm[k], rb[k], rv[k], int(rq[k]), lp, ltail, fp, ftail, scratch)
        s["tail_t"] = rt[k]
        s["tail_m"] = rm[k]
        s["ring_head"] = 0 if s["ring_head"] + 1 == s["ring_cap"] else s["ring_head"] + 1
        s["ring_len"] -= 1


@kernel
def _advance_tail(
    s: Array, t: int, m: int, b: int, v: float, q: int,
    lp: Array, ltail: Array, fp: Array, ftail: Array, scratch: Array,
) -> None:  # fmt: skip
    moved = m > s["tail_m"]
    for i in range(s["limit_lo"], s["limit_hi"]):
        if moved:
            while ltail[i]["due"] <= m:
                limit.fire(lp[i], ltail[i], i, scratch, 0)
        limit.step(lp[i], ltail[i], i, 0, t, m, b, v, known_limit(lp[i], s, v, q), scratch, 0)
    for i in range(s["frozen_lo"], s["frozen_hi"]):
        if moved:
            while ftail[i]["due"] <= m:
                frozen.fire(fp[i], ftail[i], i, scratch, 0)
        frozen.step(fp[i], ftail[i], i, 0, t, m, b, v, known_frozen(v, q), scratch, 0)


@kernel
def fold_rows(
    begin: int, received: int, batch: int, index: Ints, time: Ints, value: Floats, quality: Bytes,
    series: Array, rt: Ints, rm: Ints, rb: Ints, rv: Floats, rq: Bytes,
    lp: Array, lhead: Array, ltail: Array, fp: Array, fhead: Array, ftail: Array, gp: Array, gs: Array,
    out: Array, scratch: Array, folded: Bytes,
) -> tuple[int, int, int]:  # fmt: skip
    """Fold rows from `begin`; returns (row it stopped at, why, transitions written).

    `index` is the slot of each row's series, or -1 for an unknown tag; `batch` the number of their batch; `folded` is set to 1 for rows that were.
    """
    n = 0
    for row in range(begin, time.shape[0]):
        if index[row] < 0:
            continue
        s = series[index[row]]
        t = time[row]
        if t > received + FUTURE_MS:
            s["future"] += 1
            continue
        width = s["limit_hi"] - s["limit_lo"] + s["frozen_hi"] - s["frozen_lo"] + s["gap_hi"] - s["gap_lo"]
        if n + PER_ROW * width > out.shape[0]:
            return row, FULL, n
        v = value[row]
        q = int(quality[row])
        if s["last_t"] != NONE and t <= s["last_t"]:
            if t <= s["tail_t"] or t <= s["last_t"] - HORIZON_MS:
                s["stale"] += 1
                continue
            i = ring.place(s, rt, t)
            k = ring.at(s, i)
            if rt[k] == t:
                if rv[k] == v or (math.isnan(rv[k]) and math.isnan(v)):
                    s["duplicate"] += 1
                else:
                    s["conflict"] += 1
                continue
            return row, LATE, n
        s["rows"] += 1
        s["recv"] = received
        s["batch"] = batch
        folded[row] = 1
        if s["ring_len"] == s["ring_cap"]:
            _evict(s, rt, rm, rb, rv, rq, lp, ltail, fp, ftail, s["ring_cap"] - 1, scratch)
        ring.append(s, rt, rm, rb, rv, rq, t, received, batch, v, q)
        s["last_t"] = t
        s["last_m"] = received
        forgiven = min(s["ext"], max(0, t - s["shut"]))
        s["ext"] -= forgiven
        s["shut"] = max(s["shut"], t)
        for i in range(s["gap_lo"], s["gap_hi"]):
            n = gap.step(gp[i], gs[i], i, row, t, received, forgiven, s["ext"], out, n)
        for i in range(s["limit_lo"], s["limit_hi"]):
            n = limit.step(lp[i], lhead[i], i, row, t, received, batch, v, known_limit(lp[i], s, v, q), out, n)
        for i in range(s["frozen_lo"], s["frozen_hi"]):
            n = frozen.step(fp[i], fhead[i], i, row, t, received, batch, v, known_frozen(v, q), out, n)
        _evict(s, rt, rm, rb, rv, rq, lp, ltail, fp, ftail, s["ring_cap"], scratch)
    return time.shape[0], DONE, n


@kernel
def insert_late(
    s: Array, rt: Ints, rm: Ints, rb: Ints, rv: Floats, rq: Bytes, t: int, b: int, v: float, q: int,
    lp: Array, ltail: Array, fp: Array, ftail: Array, scratch: Array,
) -> bool:  # fmt: skip
    """Put a late row into its place; False if making room moved the tail past it (then it is stale)."""
    if s["ring_len"] == s["ring_cap"]:
        if t < rt[ring.at(s, 0)]:
            return False
        _evict(s, rt, rm, rb, rv, rq, lp, ltail, fp, ftail, s["ring_cap"] - 1, scratch)
    ring.insert(s, rt, rm, rb, rv, rq, ring.place(s, rt, t), t, b, v, q)
    return True


@kernel
def refold(
    kind: int, inst: int, s: Array, rt: Ints, rm: Ints, rb: Ints, rv: Floats, rq: Bytes, clock: int,
    lp: Array, lhead: Array, ltail: Array, fp: Array, fhead: Array, ftail: Array, out: Array,
) -> int:  # fmt: skip
    """Fold one instance again from its tail over the ring and up to the clock; its head becomes the outcome."""
    n = 0
    before = s["tail_m"]
    if kind == LIMIT:
        lhead[inst] = ltail[inst]
    else:
        fhead[inst] = ftail[inst]
    for i in range(s["ring_len"]):
        k = ring.at(s, i)
        m = rm[k]
        if kind == LIMIT:
            if m > before:
                while lhead[inst]["due"] <= m:
                    n = limit.fire(lp[inst], lhead[inst], inst, out, n)
            n = limit.step(
                lp[inst],
                lhead[inst],
                inst,
                0,
                rt[k],
                m,
                rb[k],
                rv[k],
                known_limit(lp[inst], s, rv[k], int(rq[k])),
                out,
                n,
            )
        else:
            if m > before:
                while fhead[inst]["due"] <= m:
                    n = frozen.fire(fp[inst], fhead[inst], inst, out, n)
            n = frozen.step(
                fp[inst], fhead[inst], inst, 0, rt[k], m, rb[k], rv[k], known_frozen(rv[k], int(rq[k])), out, n
            )
        before = m
    if clock > before:
        if kind == LIMIT:
            while lhead[inst]["due"] <= clock:
                n = limit.fire(lp[inst], lhead[inst], inst, out, n)
        else:
            while fhead[inst]["due"] <= clock:
                n = frozen.fire(fp[inst], fhead[inst], inst, out, n)
    return n


@kernel
def fire(
    kind: int, inst: int, s: Array,
    lp: Array, lhead: Array, fp: Array, fhead: Array, gp: Array, gs: Array, out: Array,
) -> int:  # fmt: skip
    """Take the one decision by the clock that is due for an instance; returns transitions written."""
    if kind == LIMIT:
        return limit.fire(lp[inst], lhead[inst], inst, out, 0)
    if kind == FROZEN:
        return frozen.fire(fp[inst], fhead[inst], inst, out, 0)
    return gap.fire(gp[inst], gs[inst], inst, s["ext"], s["last_t"], out, 0)


@kernel
def next_due(lhead: Array, fhead: Array, gs: Array) -> tuple[int, bool]:
    """Return the earliest decision by the clock of any instance, and whether a silence is active."""
    due = NEVER
    active = False
    for i in range(lhead.shape[0]):
        due = min(due, lhead[i]["due"])
    for i in range(fhead.shape[0]):
        due = min(due, fhead[i]["due"])
    for i in range(gs.shape[0]):
        due = min(due, gs[i]["due"])
        active = active or gs[i]["active"] != 0
    return due, active


@kernel
def largest_step(s: Array, rt: Ints, low: int, high: int) -> int:
    """Return the largest distance between neighbouring rows from `low` to `high` (event times of two rows)."""
    largest = 0
    before = low
    for i in range(s["ring_len"]):
        t = rt[ring.at(s, i)]
        if low < t <= high:
            largest = max(largest, t - before)
            before = t
    return max(largest, high - before)


def warm() -> None:
    """Compile and cache every kernel on empty input, so that the first batch of a process does not wait."""
    series = np.zeros(1, layout.SERIES)
    ints, floats, codes = np.zeros(1, np.int64), np.zeros(1), np.zeros(1, np.uint8)
    lp, ls = np.zeros(1, layout.LIMIT_PARAM), np.zeros(1, layout.LIMIT_STATE)
    fp, fs = np.zeros(1, layout.FROZEN_PARAM), np.zeros(1, layout.FROZEN_STATE)
    gp, gs = np.zeros(1, layout.GAP_PARAM), np.zeros(1, layout.GAP_STATE)
    out = np.zeros(OUT_ROWS, layout.OUT)
    none_i, none_f, none_c = ints[:0], floats[:0], codes[:0]
    fold_rows(0, 0, 0, none_i, none_i, none_f, none_c, series, ints, ints, ints, floats, codes,
              lp, ls, ls.copy(), fp, fs, fs.copy(), gp, gs, out, out.copy(), none_c)  # fmt: skip
    series["ring_cap"] = 1
    insert_late(series[0], ints, ints, ints, floats, codes, 1, 0, 0.0, 0, lp, ls, fp, fs, out)
    ls["due"] = fs["due"] = gs["due"] = NEVER
    series["ring_len"] = 0
    refold(LIMIT, 0, series[0], ints, ints, ints, floats, codes, 0, lp, ls, ls.copy(), fp, fs, fs.copy(), out)
    fire(LIMIT, 0, series[0], lp, ls, fp, fs, gp, gs, out)
    next_due(ls, fs, gs)
    largest_step(series[0], ints, 0, 0)
    gap.reopen(gs[0])
    gap.schedule(gp[0], gs[0], 0, 0)
    gap.recolour(gp[0], gs[0], 0, 0)
    limit.schedule(lp[0], ls[0])
    frozen.schedule(fp[0], fs[0])
