"""One open gap that has left the horizon, and how a snapshot holds it (rules/opengaps.py)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from rules import layout
from rules.kinds import limit
from rules.kinds.table import CODES, NAMES
from rules.layout import JUMP, LIMIT, NONE, NORMAL, ROW_T, ROW_WORDS
from rules.occurrence import Time

if TYPE_CHECKING:
    from rules.layout import Words

GAPS = 4
"""Gaps of a series that are kept: the newest (engine.md, "Late readings")."""
BEHIND = 128
"""Rows behind a gap that are kept at most: an alarm that lasts longer from one side to behind it is not joined."""
STORED = 1024
"""Back-filled rows of a gap that wait for what lies before them, at most."""
WAITING = 512
"""Of more than so many that wait, none waits for a single row: what lies before them leads on over two intervals."""
MEET = (LIMIT, JUMP)
"""Kinds whose states meet again behind a gap, whatever lies in it."""

PackedGap: TypeAlias = tuple[Time, Time, Time, Time, Time, bool, bytes, bytes, list[tuple[str, str, bytes]]]
"""In a snapshot: the members of `Gap`, in their order; of each block kind, rule and words."""


def near(interval: int) -> int:
    """Return how far apart two rows may lie (ms) between which none is lacking, whatever their clock does."""
    return 3 * interval // 2


@dataclass(slots=True, kw_only=True)
class Gap:
    """One open gap of a series, behind which the tails stand; event and receive times in ms."""

    begin: int
    """The event time of the row before it: the blocks stand behind that ..."""
    begin_m: int
    """... and when it was received."""
    end: int
    """The event time of the first row behind it."""
    led: int = NONE
    """The event time of the last row before the next such distance, NONE: the tails have not passed one ..."""
    step: int = 0
    """... and the longest distance between two rows from `end` to there."""
    whole: bool = True
    """All rows between it and where the tails stand are in `behind`."""
    rows: Words = field(default_factory=lambda: np.zeros((0, ROW_WORDS), np.int64))
    """What was back-filled and has a hole before it yet, as rows of a ring."""
    behind: Words = field(default_factory=lambda: np.zeros((0, ROW_WORDS), np.int64))
    """The rows from `end` on, until any state would have come to rest."""
    blocks: dict[tuple[int, str], Words] = field(default_factory=dict)
    """By kind and rule, as they stood behind `begin`."""

    def pack(self) -> PackedGap:
        """Return the members for a snapshot."""
        blocks = [(NAMES[kind], rule, block.tobytes()) for (kind, rule), block in sorted(self.blocks.items())]
        rows, behind = self.rows.tobytes(), self.behind.tobytes()
        return self.begin, self.begin_m, self.end, self.led, self.step, self.whole, rows, behind, blocks


def unpacked(packed: PackedGap, sizes: dict[tuple[int, str], int]) -> Gap:
    """Return the gap of its packed members; `sizes` are the words of the blocks that it may hold.

    Raises:
        ValueError: it is none that a fold leaves.
    """
    begin, begin_m, end, led, step, whole, rows, behind, blocks = packed
    gap = Gap(begin=begin, begin_m=begin_m, end=end, led=led, step=step, whole=whole)
    gap.rows = np.frombuffer(rows, np.int64).reshape(-1, ROW_WORDS).copy()
    gap.behind = np.frombuffer(behind, np.int64).reshape(-1, ROW_WORDS).copy()
    for name, rule, words in blocks:
        block = np.frombuffer(words, np.int64).copy()
        if sizes.get((CODES[name], rule)) != block.size or not NORMAL <= block[limit.PHASE] <= layout.CLEARING:
            raise ValueError(f"a state before a gap that is none of {rule}")
        gap.blocks[CODES[name], rule] = block
    times = np.concatenate([[begin], gap.rows[:, ROW_T], gap.behind[:, ROW_T]])
    if not len(gap.behind) or gap.behind[0, ROW_T] != end or (np.diff(times) <= 0).any() or len(gap.rows) > STORED:
        raise ValueError("an open gap that no fold leaves")
    return gap
