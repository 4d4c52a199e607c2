"""Classes of rows, compiled: what counts as known to whom, by null, quality and measuring range."""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np

from rules.jit import kernel
from rules.layout import (
    AS_FOLDED,
    IN_RANGE,
    LANES,
    MARKED,
    MARKED_LATER,
    RANGE_HIGH,
    RANGE_LOW,
    SET_ROW,
    Floats,
    Words,
)

Quad: TypeAlias = tuple[float, float, float, float]
"""One number for each of the classes whose range is kept (`layout.LANES`)."""
ALL_LANES = (1 << LANES) - 1
_COUNTED = 0b01010101
"""Every class whatever the range."""
_MARKED = (1 << MARKED) | (1 << (MARKED | AS_FOLDED))


@kernel
def classes(af: Floats, g: int, v: float, q: int) -> int:
    """Return a bit for each class of rows that this one belongs to: null, quality, measuring range.

    Class 0 takes rows of good quality whatever the range, `IN_RANGE` those inside the measuring range only, `MARKED` also
    those that the firm marked. The same with `AS_FOLDED`: there a mark that came behind the row is none.
    """
    if math.isnan(v):
        return 0
    found = 0
    if q == 0 or q == 2:  # noqa: PLR1714 - numba has no fast tuple membership here
        found = _COUNTED
    elif q >= MARKED_LATER:
        found = 0 if q >= SET_ROW else _COUNTED - 1
    elif q != 1 and q != 5 and q != 8:  # noqa: PLR1714 - as above
        found = _MARKED
    if af[g + RANGE_LOW] <= v <= af[g + RANGE_HIGH]:
        found |= found << IN_RANGE
    return found


@kernel
def judge(af: Floats, programs: Words, which: Words, value: Floats, quality: Words, bit: int) -> Words:
    """Return 1 for each row of a class, else 0; `programs` of the series, and which of them each row is of."""
    found = np.zeros(value.shape[0], np.int64)
    for i in range(value.shape[0]):
        found[i] = (classes(af, programs[which[i]], value[i], quality[i]) >> bit) & 1
    return found


@kernel
def widened(lowest: Quad, highest: Quad, mask: int, v: float) -> tuple[Quad, Quad]:
    """Return the range of each class of rows with one more value, whether it belongs to it with or without `AS_FOLDED`."""
    mask |= mask >> LANES
    if mask & ALL_LANES == ALL_LANES:  # a good row inside its range, as nearly all are
        return (
            (min(lowest[0], v), min(lowest[1], v), min(lowest[2], v), min(lowest[3], v)),
            (max(highest[0], v), max(highest[1], v), max(highest[2], v), max(highest[3], v)),
        )
    return (
        (
            min(lowest[0], v) if mask & 1 else lowest[0], min(lowest[1], v) if mask & 2 else lowest[1],
            min(lowest[2], v) if mask & 4 else lowest[2], min(lowest[3], v) if mask & 8 else lowest[3],
        ),
        (
            max(highest[0], v) if mask & 1 else highest[0], max(highest[1], v) if mask & 2 else highest[1],
            max(highest[2], v) if mask & 4 else highest[2], max(highest[3], v) if mask & 8 else highest[3],
        ),
    )  # fmt: skip
