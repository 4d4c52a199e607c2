"""The ring of a series: its rows inside the online horizon, ordered by event time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rules.jit import kernel
from rules.layout import HORIZON_MS, MAX_ROWS, MIN_ROWS, Array

Times = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]
Codes = npt.NDArray[np.uint8]


def capacity(interval_ms: int) -> int:
    """Return the rows a series' ring holds: its horizon and a quarter, within bounds.

    >>> capacity(60_000), capacity(1_800_000), capacity(1_000)
    (158, 64, 1024)
    """
    rows = -(-HORIZON_MS // max(interval_ms, 1)) * 5 // 4 + 8
    return max(MIN_ROWS, min(MAX_ROWS, rows))


@kernel
def at(s: Array, i: int) -> int:
    """Return the index in the ring arrays of the i-th row in event-time order; `i` is at most the capacity."""
    k = int(s["ring_head"]) + i
    if k >= s["ring_cap"]:  # a division would cost more than all the rest
        k -= int(s["ring_cap"])
    return int(s["ring_off"]) + k


@kernel
def append(
    s: Array, rt: Times, rm: Times, rb: Times, rv: Values, rq: Codes, t: int, m: int, b: int, v: float, q: int
) -> None:
    """Put a row behind all others; the ring must not be full."""
    k = at(s, int(s["ring_len"]))
    rt[k] = t
    rm[k] = m
    rb[k] = b
    rv[k] = v
    rq[k] = q
    s["ring_len"] += 1


@kernel
def place(s: Array, rt: Times, t: int) -> int:
    """Return how many rows of the ring have an event time below `t`."""
    low = 0
    high = int(s["ring_len"])
    while low < high:
        middle = (low + high) // 2
        if rt[at(s, middle)] < t:
            low = middle + 1
        else:
            high = middle
    return low


@kernel
def insert(
    s: Array, rt: Times, rm: Times, rb: Times, rv: Values, rq: Codes, i: int, t: int, b: int, v: float, q: int
) -> None:
    """Put a late row before the i-th; it takes the `m` of the row behind it. The ring must not be full."""
    m = rm[at(s, i)]
    j = int(s["ring_len"])
    while j > i:
        to = at(s, j)
        source = at(s, j - 1)
        rt[to] = rt[source]
        rm[to] = rm[source]
        rb[to] = rb[source]
        rv[to] = rv[source]
        rq[to] = rq[source]
        j -= 1
    k = at(s, i)
    rt[k] = t
    rm[k] = m
    rb[k] = b
    rv[k] = v
    rq[k] = q
    s["ring_len"] += 1
