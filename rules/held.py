"""Late rows that wait for their receive time to be over (docs/engine-semantics.md, "Late rows"; ADR 0066).

They stand beside the rings, so that they can be taken by event time, in whatever order they came. That one came already a table
tells; it is compiled, for a row is looked up as it comes. Nothing is held at most times: then there is no room for any.
"""

from __future__ import annotations

import numpy as np

from rules.jit import kernel
from rules.layout import HELD_BQ, HELD_SLOT, HELD_T, HELD_V, HELD_WORDS, MAX_HELD, NONE, QUALITY_BITS, Floats, Words

_STRIDE = 1_000_003
_FIRST = 64
"""Rows for which room is made first."""


@kernel
def find(rows: Words, table: Words, slot: int, t: int) -> int:
    """Return which row of a series has an event time, -1: none."""
    size = table.shape[0]
    k = (t + slot * _STRIDE) % size
    while table[k] >= 0:
        i: int = table[k]
        if rows[i, HELD_SLOT] == slot and rows[i, HELD_T] == t:
            return i
        k = k + 1 if k + 1 < size else 0
    return -1


@kernel
def enter(rows: Words, table: Words, i: int) -> None:
    """Let the i-th row be found."""
    size = table.shape[0]
    k = (rows[i, HELD_T] + rows[i, HELD_SLOT] * _STRIDE) % size
    while table[k] >= 0:
        k = k + 1 if k + 1 < size else 0
    table[k] = i


@kernel
def hold(
    rows: Words, values: Floats, table: Words, size: Words, of: Words, slot: int, t: int, b: int, v: float, q: int
) -> None:
    """Put a row to those that wait; there must be room."""
    i = size[0]
    rows[i, HELD_SLOT], rows[i, HELD_T], rows[i, HELD_BQ] = slot, t, (b << QUALITY_BITS) | q
    values[i, HELD_V] = v
    enter(rows, table, i)
    size[0] += 1
    of[slot, 0] = t if of[slot, 0] == NONE else min(of[slot, 0], t)
    of[slot, 1] += 1


@kernel
def enter_all(rows: Words, table: Words, size: int) -> None:
    """Let the first so many rows be found."""
    for i in range(size):
        enter(rows, table, i)


class Held:
    """The rows of all series of a facility that wait."""

    def __init__(self, series: int = 0) -> None:
        """Begin with none."""
        self.of = np.empty((series, 2), np.int64)
        """Of each series the earliest event time that waits, or NONE, and how many rows do."""
        self.of[:] = NONE, 0
        self.size = np.zeros(1, np.int64)
        """How many rows wait in all."""
        self._make(np.empty((0, HELD_WORDS), np.int64), 0)

    def _make(self, rows: Words, room: int) -> None:
        """Hold these rows, with room for so many."""
        size = len(rows)
        self.rows = np.empty((room, HELD_WORDS), np.int64)
        self.rows[:size] = rows
        self.values = self.rows.view(np.float64)
        # Event times are whole multiples of intervals: a length that has no factor with them spreads them.
        length = 2 * room + 1
        while length % 3 == 0 or length % 5 == 0:
            length += 2
        self.table = np.full(length, -1, np.int64)
        enter_all(self.rows, self.table, size)
        self.size[0] = size

    def grow(self) -> None:
        """Make room for more rows."""
        self._make(self.rows[: int(self.size[0])], max(_FIRST, 2 * len(self.rows)))

    def slots(self) -> list[int]:
        """Return the series whose rows wait."""
        found: list[int] = np.flatnonzero(self.of[:, 0] != NONE).tolist()
        return found

    def take(self, slots: list[int]) -> list[tuple[int, Words]]:
        """Return the rows of some series by event time, shape (rows, HELD_WORDS), series after series; they wait no more here."""
        if not self.size[0]:
            return []
        rows = self.rows[: int(self.size[0])]
        mine = np.isin(rows[:, HELD_SLOT], slots)
        taken, left = rows[mine], rows[~mine]
        taken = np.ascontiguousarray(taken[np.lexsort((taken[:, HELD_T], taken[:, HELD_SLOT]))])
        self.of[slots] = NONE, 0
        self._make(left, len(self.rows) if len(left) else 0)
        cuts = np.flatnonzero(np.diff(taken[:, HELD_SLOT])) + 1
        return [(int(part[0, HELD_SLOT]), part) for part in np.split(taken, cuts) if len(part)]

    def pack(self, tags: list[str]) -> list[tuple[str, bytes]]:
        """Return tag -> event time, batch and quality, value of its rows by event time, as words; by slot."""
        rows = self.rows[: int(self.size[0])]
        rows = rows[np.lexsort((rows[:, HELD_T], rows[:, HELD_SLOT]))]
        return [(tags[slot], rows[rows[:, HELD_SLOT] == slot, HELD_T:].tobytes()) for slot in self.slots()]

    def put_back(self, slot: int, packed: bytes) -> None:
        """Hold the rows of a series again.

        Raises:
            ValueError: they are none that a fold leaves.
        """
        words = np.frombuffer(packed, np.int64).reshape(-1, HELD_WORDS - 1)
        if not 0 < len(words) <= MAX_HELD or (np.diff(words[:, 0]) <= 0).any() or self.of[slot, 1]:
            raise ValueError("rows that wait are none that a fold leaves")
        size = int(self.size[0])
        rows = np.empty((size + len(words), HELD_WORDS), np.int64)
        rows[:size], rows[size:, HELD_SLOT], rows[size:, HELD_T:] = self.rows[:size], slot, words
        self._make(rows, len(rows))
        self.of[slot] = words[0, 0], len(words)
