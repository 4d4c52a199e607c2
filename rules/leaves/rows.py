"""Which rows of a series were folded, in plain words (docs/engine-semantics.md, "Rows of a series")."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from rules.layout import REACH, SET_ROW
from rules.marks import COVERS, covering
from rules.records import Quality
from rules.ring import behind, capacity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rules.leaves.model import Row
    from rules.marks import Part

FUTURE_MS = 300_000


def marked(row: Row, marks: Sequence[Part], *, later: bool = False) -> Row:
    """Return a row as it counts under the marks that cover it; `later`: they came behind it."""
    over = covering(row.t, marks) if row.quality in (Quality.GOOD, Quality.OVER_LIMIT) else []
    if not over:
        return row
    one = next((one for one in over if not later and COVERS[one.flag] == SET_ROW), over[0])
    quality = Quality.MAINTENANCE if later and COVERS[one.flag] == SET_ROW else Quality[one.flag.upper()]
    return replace(row, quality=int(quality), mark=one.name)


@dataclass(slots=True)
class Rows:
    """The folded rows since the series' horizon began, ordered by event time."""

    interval: int
    rows: list[Row] = field(default_factory=list)
    newest: int | None = None
    floor: int = -1
    """Rows not newer than this one are stale."""
    waiting: list[int] = field(default_factory=list)
    """Event times of late rows that are decided once the clock leaves `received`, or something of their series comes first."""
    received: int = -1
    moved: int | None = None
    """Where the horizon began when its declared state was told anew, which is decided with what waits; None: it was not, or is decided."""

    def admit(self, row: Row) -> str:
        """Take a row: `order` and `late` are folded, the others are not.

        Returns:
            order, late, future, stale, duplicate or conflict.
        """
        if row.t > row.received + FUTURE_MS:
            return "future"
        if self.newest is None or row.t > self.newest:
            self.newest = row.t
            self.waiting, self.moved = [], None
            self.rows.append(replace(row, m=row.received))
            self._trim()
            return "order"
        if row.t <= self.floor or self._beyond(row.t):
            return "stale"
        place = bisect_left(self.rows, row.t, key=lambda r: r.t)
        if place < len(self.rows) and self.rows[place].t == row.t:
            old = self.rows[place].value
            return "duplicate" if old == row.value or (math.isnan(old) and math.isnan(row.value)) else "conflict"
        first = self._first()
        if len(self.rows) - first >= capacity(self.interval):
            if place <= first:
                return "stale"
            self._leaves(self.rows[first].t)
            self.floor = self.rows[first].t
        self.rows.insert(place, replace(row, m=self.rows[place].m))
        if (first := self._first()) > 0:
            self._leaves(self.rows[first - 1].t)
        self._instant(row.received)
        self.waiting.append(row.t)
        return "late"

    def decided(self, clock: int) -> list[Row]:
        """Return the rows that are decided when the clock stands at an instant (log time, ms)."""
        if clock > self.received or not self.waiting:
            return self.rows
        return [row for row in self.rows if row.t not in self.waiting]

    def declare(self, received: int) -> int:
        """Let what is declared anew wait to be decided; returns up to where rows have left the horizon."""
        self._instant(received)
        self._trim()
        self.moved = self.floor + 1 if self.rows else None
        return self.floor

    def undecided(self, clock: int) -> bool:
        """Say whether what was declared anew still waits when the clock stands at an instant (log time, ms)."""
        return self.moved is not None and clock <= self.received

    def _instant(self, received: int) -> None:
        if received > self.received:
            self.waiting, self.moved, self.received = [], None, received

    def _leaves(self, t: int) -> None:
        """Let a row leave the horizon: where it waits, it is decided before."""
        waits = [*self.waiting, *([] if self.moved is None else [self.moved])]
        if waits and t >= min(waits):
            self.waiting, self.moved = [], None

    def begin_again(self) -> None:
        """End the horizon: what came stays as it was decided."""
        self.rows = []
        if self.newest is not None:
            self.floor = self.newest

    def parted(self) -> tuple[list[Row], list[Row]]:
        """Return the rows before the horizon, and those inside of it."""
        first = self._first()
        return self.rows[:first], self.rows[first:]

    def _beyond(self, t: int) -> bool:
        """Say whether an instant before the newest row has left the horizon."""
        times = [row.t for row in self.rows[bisect_right(self.rows, t, key=lambda r: r.t) :]]
        return bool(times) and behind(np.array([t, *times]), REACH * self.interval) > 0

    def _first(self) -> int:
        """Return the place of the ring's oldest row."""
        known = bisect_right(self.rows, self.floor, key=lambda r: r.t)
        return known + behind(np.array([row.t for row in self.rows[known:]], np.int64), REACH * self.interval)

    def _trim(self) -> None:
        first = self._first()
        first += max(0, len(self.rows) - first - capacity(self.interval))
        if first > 0:
            self.floor = max(self.floor, self.rows[first - 1].t)
