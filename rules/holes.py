"""Which time the rows of a batch cover, compiled: a row stands for one interval, and what is missing between two is a hole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rules.jit import kernel
from rules.layout import NONE

if TYPE_CHECKING:
    from rules.layout import Codes, Floats, Words

HOLE_WORDS = 3
"""Slot, begin of a hole (NONE: a row behind it, which may fill others), event time of the row that ends it."""


@kernel
def cover(
    index: Words, time: Words, value: Floats, quality: Codes, takes: int, ceiling: int,
    interval: Words, end: Words, newest: Words, out: Words,
) -> int:  # fmt: skip
    """Let the rows of a batch cover time, in the order posted; returns how many entries of `out` are written.

    Args:
        index: the slot of each row's series, -1 for an unknown tag.
        time: event times, ms.
        value: NaN covers nothing.
        quality: as posted.
        takes: a bit for each quality that covers time.
        ceiling: rows behind it cover nothing, ms.
        interval: of each series, ms; 0: it is not watched.
        end: up to where the time of each series is covered, its holes apart; changed in place.
        newest: the end of each series' newest hole, NONE without one; changed in place.
        out: shape (rows, HOLE_WORDS).
    """
    n = 0
    for i in range(index.shape[0]):
        s, t = index[i], time[i]
        if s < 0 or t > ceiling or np.isnan(value[i]) or not (takes >> np.int64(quality[i])) & 1:
            continue
        every = interval[s]
        if every == 0:
            continue
        before = end[s]
        if t + every > before:
            end[s] = t + every
            if 2 * (t - before) > every:
                out[n, 0], out[n, 1], out[n, 2] = s, before, t
                newest[s] = t
                n += 1
                continue
        if t < newest[s]:
            out[n, 0], out[n, 1], out[n, 2] = s, NONE, t
            n += 1
    return n
