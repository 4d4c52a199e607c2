"""The last reading of every series of one facility, in arrays: some hundred bytes a series, one pass per record."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from rules.layout import FUTURE_MS

if TYPE_CHECKING:
    from collections.abc import Container

    from rules.records import Readings

UNREGISTERED_PER_FACILITY = 500
"""A firm that makes up a new tag in every post fills its own table, not the gateway's."""
SERIES_PER_FACILITY = 10_000
ADVANCES = 5
"""Steps of the newest event time from which a series' typical spacing is taken."""
_EMPTY = -1

Int64s = npt.NDArray[np.int64]


class SeriesTable:
    """Newest reading and typical spacing per tag. Event and receive times in ms; a tag's slot never changes."""

    def __init__(self) -> None:
        self.slots: dict[str, int] = {}
        self.unregistered = 0
        """Slots given to tags that were not registered when they came."""
        self.future = 0
        """Rows stamped more than five minutes ahead of their receive time: the fold keeps and does not judge them."""
        self.left_out = 0
        """Rows of tags for which there was no room."""
        self.time: Int64s = np.empty(0, np.int64)
        self.value = np.empty(0)
        self.quality = np.empty(0, np.uint8)
        self.received: Int64s = np.empty(0, np.int64)
        self._advances: Int64s = np.empty((0, ADVANCES), np.int64)
        self._turn = np.empty(0, np.uint8)

    def take(self, readings: Readings, received: int, registered: Container[str], room: int) -> int:
        """Take one batch; `room` is how many new series the whole gateway can still hold. Returns how many were new.

        Only a reading newer than the one known counts, so that a batch sent again changes nothing.
        """
        before = len(self.slots)
        slots = self._slots_of(readings.tags, registered, room)
        ends = np.cumsum(readings.counts, dtype=np.int64)
        begins = ends - readings.counts
        early = readings.time <= received + FUTURE_MS
        self.future += int(early.size - np.count_nonzero(early))
        time = np.where(early, readings.time, _EMPTY)
        newest = np.maximum.reduceat(time, begins)
        rows = ends - 1  # of a batch in order the last row is the newest
        for i in np.flatnonzero(time[rows] != newest).tolist():
            rows[i] = begins[i] + int(np.argmax(time[begins[i] : ends[i]]))
        held = slots >= 0
        self.left_out += int(readings.counts[~held].sum())
        news = np.flatnonzero(held)
        news = news[newest[news] > self.time[slots[news]]]
        if news.size:
            oldest = np.minimum.reduceat(np.where(early, time, np.iinfo(np.int64).max), begins)
            at, chosen = slots[news], rows[news]
            self._put(at, newest[news], oldest[news])
            self.value[at] = readings.value[chosen]
            self.quality[at] = readings.quality[chosen]
            self.received[at] = received
        return len(self.slots) - before

    def _put(self, at: Int64s, newest: Int64s, oldest: Int64s) -> None:
        known = self.time[at]
        # Of the first batch only its own length is known; later the step from post to post, which is what silence is measured by.
        advance = np.where(known == _EMPTY, newest - oldest, newest - known)
        steps = advance > 0
        moved = at[steps]
        self._advances[moved, self._turn[moved]] = advance[steps]
        self._turn[moved] = (self._turn[moved] + 1) % ADVANCES
        self.time[at] = newest

    def spacing(self) -> Int64s:
        """Return the typical step (the lower median of the last five) per slot in ms, -1 where none is known."""
        held = len(self.slots)
        ordered = np.sort(self._advances[:held], axis=1)
        filled = np.count_nonzero(ordered != _EMPTY, axis=1)
        middle = ADVANCES - filled + np.maximum(filled - 1, 0) // 2
        chosen: Int64s = ordered[np.arange(held), np.minimum(middle, ADVANCES - 1)]
        return chosen

    def _slots_of(self, tags: tuple[str, ...], registered: Container[str], room: int) -> Int64s:
        slots = self.slots
        found = np.fromiter((slots.get(tag, _EMPTY) for tag in tags), np.int64, len(tags))
        for i in np.flatnonzero(found == _EMPTY).tolist():
            tag = tags[i]
            if room <= 0 or len(slots) >= SERIES_PER_FACILITY:
                break
            if tag not in registered:
                if self.unregistered >= UNREGISTERED_PER_FACILITY:
                    continue
                self.unregistered += 1
            found[i] = slots[tag] = len(slots)
            room -= 1
        if len(slots) > self.time.size:
            self._grow(len(slots))
        return found

    def _grow(self, needed: int) -> None:
        size, room = self.time.size, max(needed, 2 * self.time.size)
        more = room - size
        self.time = np.concatenate([self.time, np.full(more, _EMPTY, np.int64)])
        self.value = np.concatenate([self.value, np.full(more, np.nan)])
        self.quality = np.concatenate([self.quality, np.zeros(more, np.uint8)])
        self.received = np.concatenate([self.received, np.full(more, _EMPTY, np.int64)])
        self._advances = np.concatenate([self._advances, np.full((more, ADVANCES), _EMPTY, np.int64)])
        self._turn = np.concatenate([self._turn, np.zeros(more, np.uint8)])
