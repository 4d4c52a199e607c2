"""Readings in columns for charts, reduced while they stream by, so that a year of seconds needs no more memory than an hour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Bools = npt.NDArray[np.bool_]
    Ints = npt.NDArray[np.int64]

KEPT_PER_STRETCH = 6
"""First, last, lowest, highest, one of bad quality, one late."""
HELD_ROWS = 65_536
FUTURE_MS = 5 * 60_000
"""A reading further ahead of its receive time makes no other one late (docs/engine-semantics.md)."""


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """Rows of one tag ordered by event time.

    `time` int64 event ms; `value` float64, NaN where null; `quality` uint8 (rules.records.Quality); `received` int64 ms;
    `late` bool.
    """

    time: Ints
    value: npt.NDArray[np.float64]
    quality: npt.NDArray[np.uint8]
    received: Ints
    late: Bools
    rows: int
    """How many rows of the archive these stand for."""

    @property
    def reduced(self) -> bool:
        """Whether rows were left out."""
        return self.rows > len(self.time)


@dataclass(frozen=True, slots=True)
class Missing:
    """A stretch of time for which readings may exist that could not be read; [from, to) in ms."""

    from_ms: int
    to_ms: int
    code: str
    detail: str


@dataclass(frozen=True, slots=True, eq=False)
class SeriesReadings:
    """What `ArchiveReader.readings` answers."""

    facility: str
    from_ms: int
    to_ms: int
    tags: dict[str, Column]
    missing: list[Missing]
    archived_to_ms: int | None
    """Receive time of the newest archived record of the facility's partition; what came later is not here yet."""


class Reduction:
    """Collects one tag's rows in the order of the log and keeps what a line through `points` rows needs."""

    def __init__(self, from_ms: int, to_ms: int, points: int) -> None:
        self._from, self._to, self._points = from_ms, to_ms, points
        self._stretches = max(1, points // KEPT_PER_STRETCH)
        self._parts: list[npt.NDArray[np.void]] = []
        self._held = 0
        self.rows = 0
        self.newest = -1
        """Newest event time of the tag so far, in or behind the span."""

    def add(self, time: Ints, value: npt.NDArray[np.float64], quality: npt.NDArray[np.uint8], received: int) -> None:
        """Take rows of one record as posted."""
        counting = np.where(time <= received + FUTURE_MS, time, -1)
        before = np.maximum.accumulate(np.concatenate(([self.newest], counting)))
        self.newest = int(before[-1])
        inside = (time >= self._from) & (time < self._to)
        count = int(inside.sum())
        if not count:
            return
        part = np.empty(count, _ROW)
        part["time"], part["value"], part["quality"] = time[inside], value[inside], quality[inside]
        part["received"] = received
        part["late"] = (time < before[:-1])[inside]
        self._parts.append(part)
        self.rows += count
        self._held += count
        if self._held > max(HELD_ROWS, 2 * self._points):
            self._parts = [self._reduced(np.concatenate(self._parts))]
            self._held = len(self._parts[0])

    def column(self) -> Column:
        """Return what was kept."""
        found = np.concatenate(self._parts) if self._parts else np.empty(0, _ROW)
        # Once some rows are gone, all are reduced alike; else the picture would depend on the order they came in.
        if self.rows > self._points:
            found = self._reduced(found)
        found = found[np.argsort(found["time"], kind="stable")]
        time, value, quality, received, late = (np.ascontiguousarray(found[name]) for name in _ROW.names or ())
        return Column(time, value, quality, received, late, self.rows)

    def _reduced(self, rows: npt.NDArray[np.void]) -> npt.NDArray[np.void]:
        """Keep the telling rows of each stretch; done again on its own result it changes nothing."""
        order = np.argsort(rows["time"], kind="stable")
        rows = rows[order]
        width = -(-(self._to - self._from) // self._stretches)
        stretch = (rows["time"] - self._from) // width
        keep = np.zeros(len(rows), bool)
        for mask in (np.ones(len(rows), bool), rows["quality"] != 0, rows["late"]):
            keep[_first_of(stretch, np.flatnonzero(mask))] = True
        keep[_first_of(stretch[::-1], np.arange(len(rows)), reverse=True)] = True
        known = np.flatnonzero(~np.isnan(rows["value"]))
        for sign in (1.0, -1.0):
            by_value = known[np.lexsort((known, sign * rows["value"][known], stretch[known]))]
            keep[_first_of(stretch, by_value)] = True
        # Back in the order of the log within equal times, so that a second pass sees what the first saw.
        return rows[keep]


_ROW = np.dtype([("time", "i8"), ("value", "f8"), ("quality", "u1"), ("received", "i8"), ("late", "?")])


def _first_of(stretch: Ints, places: npt.NDArray[np.intp], *, reverse: bool = False) -> npt.NDArray[np.intp]:
    """Return the first of `places` in each stretch; `places` are ordered by stretch."""
    if not len(places):
        return places
    numbers = stretch[places]
    firsts = places[np.concatenate(([True], numbers[1:] != numbers[:-1]))]
    return len(stretch) - 1 - firsts if reverse else firsts
