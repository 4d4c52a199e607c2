"""The ring of a series: its rows inside the online horizon and a few beyond, ordered by event time."""

from __future__ import annotations

import numpy as np

from rules.jit import kernel
from rules.layout import (
    HORIZON_MS,
    MAX_ROWS,
    MIN_ROWS,
    OPEN_MS,
    QUALITY_BITS,
    RING_HEAD,
    RING_LEN,
    ROW_BQ,
    ROW_M,
    ROW_T,
    ROW_V,
    ROW_WORDS,
    Floats,
    Words,
)


def capacity(interval_ms: int) -> int:
    """Return the rows of a series' horizon: two hours of them and a quarter, within bounds.

    >>> capacity(60_000), capacity(1_800_000), capacity(1_000)
    (158, 64, 1024)
    """
    rows = -(-HORIZON_MS // max(interval_ms, 1)) * 5 // 4 + 8
    return max(MIN_ROWS, min(MAX_ROWS, rows))


def behind(times: Words, reach: int) -> int:
    """Return how many of some rows have left the horizon of the newest; `times` by event time, neighbours count `reach` at most.

    >>> hour = 3_600_000
    >>> rows = np.array([0, hour // 2, 40 * hour, 41 * hour, 42 * hour])
    >>> behind(rows, hour), behind(rows, hour // 4), behind(rows + [0, 0, 240 * hour, 240 * hour, 240 * hour], hour // 4)
    (3, 0, 2)
    """
    if times.size == 0:
        return 0
    steps = np.minimum(np.diff(times), reach)
    away = np.cumsum(steps[::-1])[::-1]
    return int(((away >= HORIZON_MS) | (times[-1] - times[:-1] >= OPEN_MS)).sum())


@kernel
def at(ring: int, room: int, head: int, i: int) -> int:
    """Return where the i-th row in event-time order begins; `i` is at most the room."""
    k = head + i
    if k >= room:  # a division would cost more than all the rest
        k -= room
    return ring + ROW_WORDS * k


@kernel
def write(rings: Words, values: Floats, k: int, t: int, m: int, b: int, v: float, q: int) -> None:
    """Write a row."""
    rings[k + ROW_T] = t
    rings[k + ROW_M] = m
    rings[k + ROW_BQ] = (b << QUALITY_BITS) | q
    values[k + ROW_V] = v


@kernel
def place(words: Words, s: int, rings: Words, ring: int, room: int, t: int) -> int:
    """Return how many rows have an event time below `t`."""
    low = 0
    high = words[s + RING_LEN]
    head = words[s + RING_HEAD]
    while low < high:
        middle = (low + high) // 2
        if rings[at(ring, room, head, middle) + ROW_T] < t:
            low = middle + 1
        else:
            high = middle
    return low


@kernel
def insert(
    words: Words, s: int, rings: Words, values: Floats, ring: int, room: int, i: int, t: int, b: int, v: float, q: int
) -> None:
    """Put a late row before the i-th; it takes the `m` of the row behind it. There must be room."""
    head = words[s + RING_HEAD]
    m = rings[at(ring, room, head, i) + ROW_M]
    j = words[s + RING_LEN]
    while j > i:
        to = at(ring, room, head, j)
        source = at(ring, room, head, j - 1)
        for k in range(ROW_WORDS):
            rings[to + k] = rings[source + k]
        j -= 1
    write(rings, values, at(ring, room, head, i), t, m, b, v, q)
    words[s + RING_LEN] += 1


@kernel
def remove(words: Words, s: int, rings: Words, ring: int, room: int, i: int) -> None:
    """Take the i-th row out, which is not the newest."""
    head = words[s + RING_HEAD]
    words[s + RING_LEN] -= 1
    for j in range(i, words[s + RING_LEN]):
        to = at(ring, room, head, j)
        source = at(ring, room, head, j + 1)
        for k in range(ROW_WORDS):
            rings[to + k] = rings[source + k]


@kernel
def left(rings: Words, ring: int, room: int, head: int, length: int, cap: int, reach: int) -> int:
    """Return how many of the oldest rows have left the horizon; neighbours count `reach` (ms) at most, `cap` rows are held."""
    count = max(0, length - cap)
    if count == length:
        return count
    newest = rings[at(ring, room, head, length - 1) + ROW_T]
    if newest - rings[at(ring, room, head, count) + ROW_T] < HORIZON_MS:
        return count
    away = 0
    behind = newest
    for i in range(length - 2, count - 1, -1):
        t = rings[at(ring, room, head, i) + ROW_T]
        away += min(behind - t, reach)
        if away >= HORIZON_MS or newest - t >= OPEN_MS:
            return i + 1
        behind = t
    return count


@kernel
def beyond(rings: Words, ring: int, room: int, head: int, length: int, reach: int, t: int) -> bool:
    """Say whether an instant before the newest row lies behind the horizon; as `left`."""
    if length == 0:
        return True
    newest = rings[at(ring, room, head, length - 1) + ROW_T]
    if newest - t < HORIZON_MS:
        return False
    away = 0
    behind = newest
    for i in range(length - 2, -1, -1):
        before = rings[at(ring, room, head, i) + ROW_T]
        if before <= t or away >= HORIZON_MS:
            break
        away += min(behind - before, reach)
        behind = before
    return away + min(behind - t, reach) >= HORIZON_MS or newest - t >= OPEN_MS
