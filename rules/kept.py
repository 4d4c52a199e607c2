"""The rows of its inputs that a pair keeps (rules/paired.py)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from rules.kinds.difference import AT_ONCE
from rules.layout import NEVER, ROW_M, ROW_T, ROW_WORDS

if TYPE_CHECKING:
    from rules.layout import Words

INPUTS = 2


def _no_rows() -> list[Words]:
    return [np.zeros((0, ROW_WORDS), np.int64) for _ in range(INPUTS)]


@dataclass(slots=True)
class Kept:
    """The rows of each source, by event time: shape (rows, ROW_WORDS); the second column is the receive time."""

    rows: list[Words] = field(default_factory=_no_rows)
    """Of its inputs, and behind these ..."""
    others: list[str] = field(default_factory=list)
    """... of sensors that were inputs before (rules/formerpairs.py), whose tags these are, sorted."""

    def put(self, which: int, new: Words) -> None:
        """Put rows received together, ordered by event time, among those of a source; the newest AT_ONCE of them stay."""
        held = self.rows[which]
        both = np.concatenate([held, new])
        if len(held) and new[0, ROW_T] < held[-1, ROW_T]:
            both = both[np.argsort(both[:, ROW_T], kind="stable")]
        if len(both) > AT_ONCE:
            waiting = np.flatnonzero(both[:, ROW_M] == new[0, ROW_M])
            both = np.delete(both, waiting[: max(0, waiting.size - AT_ONCE)], axis=0)
        self.rows[which] = both

    def first_of(self, received: int) -> int:
        """Return the earliest event time of the rows of one receive time, NEVER: none came then."""
        waiting = [rows[rows[:, ROW_M] == received] for rows in self.rows]
        return min((int(rows[0, ROW_T]) for rows in waiting if len(rows)), default=NEVER)

    def drop(self, floor: int) -> None:
        """Drop the rows that are not newer than `floor` (event time)."""
        self.rows = [rows[rows[:, ROW_T] > floor].copy() for rows in self.rows]
