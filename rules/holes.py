"""Which slots the rows of a batch lie in, compiled: a slot is one interval long, and one without a row is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rules.jit import kernel
from rules.layout import NONE

if TYPE_CHECKING:
    from rules.layout import Codes, Floats, Words

HOLE_WORDS = 3
"""Slot of the series, begin of a hole (NONE: a row behind it, which may fill others), end of the hole (or event time of that row)."""


@kernel
def cover(
    index: Words, time: Words, value: Floats, quality: Codes, takes: int, ceiling: int,
    interval: Words, end: Words, newest: Words, out: Words,
) -> int:  # fmt: skip
    """Let the rows of a batch cover the slots that they lie in, in the order posted; returns how many entries of `out` are written.

    Args:
        index: the series of each row by its place, -1 for an unknown tag.
        time: event times, ms.
        value: NaN covers nothing.
        quality: as posted.
        takes: a bit for each quality that covers time.
        ceiling: rows behind it cover nothing, ms.
        interval: of each series, ms; 0: it is not watched.
        end: up to where the time of each series is covered, its holes apart: where a slot begins; changed in place.
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
        if t >= before + every:
            begin = before + (t - before) // every * every
            end[s], newest[s] = begin + every, begin
            out[n, 0], out[n, 1], out[n, 2] = s, before, begin
            n += 1
        elif t >= before:
            end[s] = before + every
        elif before - (before - t + every - 1) // every * every < newest[s]:  # its slot begins before the end of a hole
            out[n, 0], out[n, 1], out[n, 2] = s, NONE, t
            n += 1
    return n
