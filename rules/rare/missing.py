"""Which time of each series is missing, for one rule that judges months (ADR 0047): holes between covered stretches, by event time.

A series whose rows come keeps two numbers, since when it is watched and up to where it is covered; only holes cost more. Neither
the order of rows nor one that comes again changes anything.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, TypeAlias

import msgspec
import numpy as np

from rules.holes import HOLE_WORDS, cover
from rules.layout import NEVER, NONE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rules.layout import Words
    from rules.records import Readings
    from rules.register import Sensor

MAX_HOLES = 512
"""Of one series, over two months at most; beyond it the oldest is kept as a number of ms only ..."""
MAX_ALL_HOLES = 50_000
"""... and so beyond so many of all series of a facility together."""

_At: TypeAlias = Annotated[int, msgspec.Meta(ge=NONE, le=NEVER)]
_Slot: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]
PackedLoss: TypeAlias = tuple[_Slot, _At, _At, _At, list[tuple[_At, Annotated[int, msgspec.Meta(ge=1)]]]]
PackedMissing: TypeAlias = tuple[str, _At, bytes, bytes, list[tuple[_Slot, bytes]], list[PackedLoss]]
"""In a snapshot: rule; begin of the first month that is not done with; of each sensor in force since when it is watched and up to where it is covered; holes; what a bound took of them."""


@dataclass(slots=True)
class Loss:
    """What a bound took of the holes of a series: how much of each month, not where."""

    begin: int = NEVER
    """They begin no earlier, ms ..."""
    until: int = NONE
    """... and end no later."""
    filled: int = 0
    """What rows that came since may have filled of them at most, ms: two intervals each, with the remnants on both sides."""
    months: dict[int, int] = field(default_factory=dict)
    """Begin of a month -> ms that are missing of it."""


class Missing:
    """The missing time of all series of a facility, for one rule."""

    def __init__(self, sensors: Sequence[Sensor], watched: Sequence[bool]) -> None:
        """Begin with nothing covered and nothing missing.

        Args:
            sensors: in force, by slot.
            watched: whether the rule looks at each; at one without a registered interval it looks, and never knows.
        """
        count = len(sensors)
        self.sensors, self.watched = sensors, watched
        self.interval = np.array(
            [(one.interval or 0) if w else 0 for one, w in zip(sensors, watched, strict=True)], np.int64
        )
        self.since, self.end, self.newest = (np.full(count, NONE) for _ in range(3))
        self.holes: dict[int, array[int]] = {}
        """Slot -> begins and ends of its holes, by time, ms; none touch."""
        self.losses: dict[int, Loss] = {}
        self.held = 0
        """Holes of all series; follows from them."""
        self.over = NONE
        """Months that begin before it are done with: what they lack was forgotten."""

    def begin(self, slot: int, at: int) -> None:
        """Watch a series from an instant on (ms)."""
        self.since[slot] = self.end[slot] = at

    def carry(self, slot: int, other: Missing, before: int) -> None:
        """Take what was known of a series, which had another slot before."""
        for name in ("since", "end", "newest"):
            getattr(self, name)[slot] = getattr(other, name)[before]
        if before in other.holes:
            self.holes[slot] = other.holes[before]
            self.held += len(self.holes[slot]) // 2
        if before in other.losses:
            self.losses[slot] = other.losses[before]

    def take(self, posted: Readings, index: Words, takes: int, ceiling: int) -> Iterator[tuple[int, int, int]]:
        """Let the rows of a batch cover time; yields slot, begin and end of each hole that a bound took.

        Args:
            posted: the batch, with the qualities that the devices sent.
            index: the slot of each row's series, -1 for an unknown tag.
            takes: a bit for each quality that covers time.
            ceiling: rows stamped later cover nothing, ms.
        """
        out = np.empty((index.size, HOLE_WORDS), np.int64)
        n = cover(
            index, posted.time, posted.value, posted.quality, takes, ceiling,
            self.interval, self.end, self.newest, out,
        )  # fmt: skip
        for slot, begin, t in out[:n].tolist() if n else ():
            if begin == NONE:
                self._fill(slot, t)
            else:
                self.holes.setdefault(slot, array("q")).extend((begin, t))
                self.held += 1
                self.newest[slot] = t  # the kernel was ahead of what was filled before
            yield from self._bound(slot)

    def _fill(self, slot: int, t: int) -> None:
        """Let a row that lies behind holes fill those that it reaches."""
        every, holes = int(self.interval[slot]), self.holes.get(slot, array("q"))
        loss = self.losses.get(slot)
        if loss is not None and loss.begin - every < t < loss.until:
            loss.filled += 2 * every
        first = bisect_right(holes, t) // 2 * 2
        last, left = first, array("q")
        while last < len(holes) and holes[last] < t + every:
            for begin, end in ((holes[last], t), (t + every, holes[last + 1])):
                if 2 * (end - begin) > every:
                    left.extend((begin, end))
            last += 2
        if last == first:
            return
        holes[first:last] = left
        self.held += (len(left) - (last - first)) // 2
        self._settle(slot)

    def _settle(self, slot: int) -> None:
        """Note what follows from the holes of a series."""
        holes, loss = self.holes.get(slot), self.losses.get(slot)
        if holes is not None and not holes:
            del self.holes[slot]
        newest = NONE if not holes else holes[-1]
        self.newest[slot] = newest if loss is None else max(newest, loss.until)

    def _bound(self, slot: int) -> Iterator[tuple[int, int, int]]:
        """Let go of the oldest holes of a series that has too many, or of one more where all have."""
        holes = self.holes.get(slot)
        while holes and (len(holes) > 2 * MAX_HOLES or self.held > MAX_ALL_HOLES):
            begin, end = holes[0], holes[1]
            del holes[:2]
            self.held -= 1
            yield slot, begin, end

    def lose(self, slot: int, parts: Iterable[tuple[int, int]], begin: int, until: int) -> None:
        """Note what a bound took, from an instant to another (ms): how much of which month (its begin)."""
        loss = self.losses.setdefault(slot, Loss())
        for month, missing in parts:
            loss.months[month] = loss.months.get(month, 0) + missing
        loss.begin, loss.until = min(loss.begin, begin), max(loss.until, until)
        if not self.holes[slot]:
            del self.holes[slot]

    def forget(self, begin: int) -> None:
        """Be done with the months before one that begins at an instant (ms): of holes and numbers of them nothing stays."""
        floor = self.over = max(self.over, begin)
        for slot, holes in list(self.holes.items()):
            passed = bisect_right(holes, floor) // 2 * 2
            del holes[:passed]
            self.held -= passed // 2
            self._settle(slot)
        for slot, loss in list(self.losses.items()):
            loss.months = {month: missing for month, missing in loss.months.items() if month >= floor}
            if not loss.months:
                del self.losses[slot]
                self._settle(slot)

    def is_whole(self, slot: int, until: int) -> bool:
        """Say whether a series is covered up to an instant (ms), as far as is known."""
        return slot not in self.holes and slot not in self.losses and int(self.end[slot]) >= until

    def of(self, slot: int) -> list[tuple[int, int]]:
        """Return the holes of a series by time, the one that is open last (its end is NEVER)."""
        holes = self.holes.get(slot, ())
        closed = list(zip(holes[::2], holes[1::2], strict=True))
        return [*closed, (int(self.end[slot]), NEVER)]

    def pack(self, rule: str) -> PackedMissing:
        """Return the members for a snapshot."""
        holes = [(slot, self.holes[slot].tobytes()) for slot in sorted(self.holes)]
        losses = [
            (slot, one.begin, one.until, one.filled, sorted(one.months.items()))
            for slot, one in sorted(self.losses.items())
        ]
        return (rule, self.over, self.since.tobytes(), self.end.tobytes(), holes, losses)

    def unpack(self, packed: PackedMissing) -> None:
        """Put back what a snapshot holds of the series that stand here.

        Raises:
            ValueError: it is of other series, or holds numbers that no fold leaves.
        """
        _, self.over, since, end, holes, losses = packed
        self.since, self.end = (np.frombuffer(column, np.int64).copy() for column in (since, end))
        count = len(self.sensors)
        if not self.since.size == self.end.size == count or max(
            [one[0] for one in holes] + [one[0] for one in losses], default=0
        ) >= max(count, 1):
            raise ValueError("missing time of series that are not registered")
        for slot, each in holes:
            found = array("q", each)
            if not found or len(found) % 2 or any(a >= b for a, b in pairwise(found)):
                raise ValueError("missing time that no fold leaves")
            self.holes[slot] = found
            self.held += len(found) // 2
        self.losses = {slot: Loss(low, high, filled, dict(months)) for slot, low, high, filled, months in losses}
        for slot in {*self.holes, *self.losses}:
            self._settle(slot)


def past(spans: Sequence[tuple[int, int]], begin: int, end: int) -> list[tuple[int, int]]:
    """Return the parts of spans that lie between two instants (ms).

    >>> past([(0, 10), (20, 40), (50, 60)], 5, 30)
    [(5, 10), (20, 30)]
    """
    return [(max(low, begin), min(high, end)) for low, high in spans if low < end and high > begin]
