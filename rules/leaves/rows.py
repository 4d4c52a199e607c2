"""Which rows of a series were folded, in plain words (docs/engine-semantics.md, "Rows of a series")."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from rules.layout import MAX_HELD, REACH, SET_ROW
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
    held: dict[int, Row] = field(default_factory=dict)
    """Late rows by event time that are put into their places once the clock leaves `received`, or something of their series comes first."""
    received: int = -1
    moved: int | None = None
    """Where the horizon began when its declared state was told anew, which is decided with what waits; None: it was not, or is decided."""

    def admit(self, row: Row) -> str:
        """Take a row: `order` and `late` are folded, the others are not.

        Returns:
            order, late, future, stale, duplicate or conflict.
        """
        if row.received > self.received:
            self.settle()
        if row.t > row.received + FUTURE_MS:
            return "future"
        if self.newest is None or row.t > self.newest:
            if self.moved is not None or self._shuts_out(row):
                self.settle()
            self._append(row)
            return "order"
        if self._is_stale(row.t):
            return "stale"
        if (stood := self.at(row.t)) is not None:
            old = stood.value
            return "duplicate" if old == row.value or (math.isnan(old) and math.isnan(row.value)) else "conflict"
        if len(self.held) == MAX_HELD:
            self.settle()
            return self.admit(row)
        self.received = row.received
        self.held[row.t] = row
        return "late"

    def at(self, t: int) -> Row | None:
        """Return the row of an event time, None: none came that is kept."""
        place = bisect_left(self.rows, t, key=lambda r: r.t)
        if place < len(self.rows) and self.rows[place].t == t:
            return self.rows[place]
        return self.held.get(t)

    def decided(self, clock: int) -> list[Row]:
        """Return the rows that are decided when the clock stands at an instant (log time, ms)."""
        if clock > self.received:
            self.settle()
        return self.rows

    def settle(self) -> None:
        """Decide what waits: late rows are put into their places, oldest first."""
        for t in sorted(self.held):
            first = self._first()
            if len(self.rows) - first >= capacity(self.interval):
                self.floor = self.rows[first].t
            place = bisect_left(self.rows, t, key=lambda r: r.t)
            self.rows.insert(place, replace(self.held[t], m=self.rows[place].m))
        self.held, self.moved = {}, None

    def declare(self, received: int) -> int:
        """Let what is declared anew wait to be decided; returns up to where rows have left the horizon."""
        if received > self.received:
            self.settle()
            self.received = received
        self._trim()
        self.moved = self.floor + 1 if self.rows else None
        return self.floor

    def undecided(self, clock: int) -> bool:
        """Say whether what was declared anew still waits when the clock stands at an instant (log time, ms)."""
        return self.moved is not None and clock <= self.received

    def begin_again(self) -> None:
        """End the horizon: what came stays as it was decided."""
        self.rows, self.held = [], {}
        if self.newest is not None:
            self.floor = self.newest

    def parted(self) -> tuple[list[Row], list[Row]]:
        """Return the rows before the horizon, and those inside of it."""
        first = self._first()
        return self.rows[:first], self.rows[first:]

    def _append(self, row: Row) -> None:
        self.newest = row.t
        self.rows.append(replace(row, m=row.received))
        self._trim()

    def _shuts_out(self, row: Row) -> bool:
        """Say whether a row in order would make one stale that is held."""
        if not self.held:
            return False
        like = Rows(self.interval, list(self.rows), self.newest, self.floor)
        like._append(row)
        return like._is_stale(min(self.held))

    def _is_stale(self, t: int) -> bool:
        """Say whether a row that is not newer than the newest is behind the horizon, or older than all of a full ring."""
        if t <= self.floor or self._beyond(t):
            return True
        first = self._first()
        return len(self.rows) - first >= capacity(self.interval) and t < self.rows[first].t

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
