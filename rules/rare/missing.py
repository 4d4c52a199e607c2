"""Which time of each series is missing, for one rule that judges months (ADR 0047): slots of one interval in which no row lies.

Slots are laid in two ways, half an interval apart: what jitters over a border of the one lies amid the slots of the other. A series whose
rows come keeps two numbers for each, since when it is watched and up to where it is covered; only holes cost more. Neither the order of rows
nor one that comes again changes anything.
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

MAX_HOLES = 256
"""Of one series by each way, over two months at most; beyond it the oldest are kept as a number of ms only ..."""
MAX_ALL_HOLES = 25_000
"""... and so beyond so many of all series of a facility together."""

Ways: TypeAlias = "tuple[Missing, ...]"
"""The missing time of a facility for one rule, by each way of `WAYS`."""
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
    """What rows that came since may have filled of them at most, ms: a slot each."""
    months: dict[int, int] = field(default_factory=dict)
    """Begin of a month -> ms that are missing of it."""


WAYS = (1, 3)
"""Where slots begin, in quarters of their length since 1970: what comes with the whole minute lies amid the slots of both."""


class Missing:
    """The missing time of all series of a facility, for one rule and one way to lay slots."""

    def __init__(self, sensors: Sequence[Sensor], watched: Sequence[bool], way: int) -> None:
        """Begin with nothing covered and nothing missing.

        Args:
            sensors: in force, by slot.
            watched: whether the rule looks at each; at one without a registered interval it looks, and never knows.
            way: of `WAYS`.
        """
        count = len(sensors)
        self.sensors, self.watched = sensors, watched
        self.interval = np.array(
            [(one.interval or 0) if w else 0 for one, w in zip(sensors, watched, strict=True)], np.int64
        )
        self.border = self.interval * way // 4
        """Where the slots of each series begin, modulo its interval, ms."""
        self.since, self.end, self.newest = (np.full(count, NONE) for _ in range(3))
        self.holes: dict[int, array[int]] = {}
        """Slot -> begins and ends of its holes, by time, ms; none touch."""
        self.losses: dict[int, Loss] = {}
        self.held = 0
        """Holes of all series; follows from them."""
        self.over = NONE
        """Months that begin before it are done with: what they lack was forgotten."""

    def begin(self, slot: int, at: int) -> None:
        """Watch a series from an instant on (ms): a row is owed in the slot that has begun."""
        self.since[slot], self.end[slot] = at, self.begin_of(slot, at)

    def begin_of(self, slot: int, t: int) -> int:
        """Return when the slot of a series begins in which an instant lies, ms."""
        return t - (t - int(self.border[slot])) % int(self.interval[slot])

    def _round(self, slot: int) -> None:
        """Let a series that was covered by other slots up to an instant be so up to the end of the slot that has begun by then."""
        begin = self.begin_of(slot, end := int(self.end[slot]))
        self.end[slot] = end if begin == end else begin + int(self.interval[slot])

    def carry(self, slot: int, other: Missing, before: int) -> None:
        """Take what was known of a series, which had another place before; where its interval is another, so are its slots from here on."""
        for name in ("since", "end", "newest"):
            getattr(self, name)[slot] = getattr(other, name)[before]
        if self.interval[slot] != other.interval[before]:
            self._round(slot)
        if before in other.holes:
            self.holes[slot] = other.holes[before]
            self.held += len(self.holes[slot]) // 2
        if before in other.losses:
            self.losses[slot] = other.losses[before]

    def take(self, posted: Readings, index: Words, takes: int, ceiling: int) -> Iterator[tuple[int, array[int]]]:
        """Let the rows of a batch cover time; yields slot, and begins and ends of the holes that a bound took of it, by time.

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
                holes = self.holes.get(slot)
                if holes is None:
                    holes = self.holes[slot] = array("q")
                holes.append(begin)
                holes.append(t)
                self.held += 1
                self.newest[slot] = t  # the kernel was ahead of what was filled before
            while (holes := self.holes.get(slot)) and (len(holes) > 2 * MAX_HOLES or self.held > MAX_ALL_HOLES):
                yield slot, self._give_up(slot, holes)

    def _fill(self, slot: int, t: int) -> None:
        """Let a row that lies behind holes fill its slot, as far as it is one."""
        every, holes = int(self.interval[slot]), self.holes.get(slot, array("q"))
        begin = self.begin_of(slot, t)
        loss = self.losses.get(slot)
        if loss is not None and loss.begin - every < begin < loss.until:
            loss.filled += every
        first = bisect_right(holes, begin) // 2 * 2
        last, left = first, array("q")
        while last < len(holes) and holes[last] < begin + every:
            for low, high in ((holes[last], begin), (begin + every, holes[last + 1])):
                if low < high:
                    left.extend((low, high))
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

    def _give_up(self, slot: int, holes: array[int]) -> array[int]:
        """Let go of the oldest holes of a series that has too many, or of one more where all have; an eighth at once, for that costs the less."""
        oldest = holes[: 2 * max(1, len(holes) // 16)]
        del holes[: len(oldest)]
        self.held -= len(oldest) // 2
        if not holes:
            del self.holes[slot]
        return oldest

    def lose(self, slot: int, parts: Iterable[tuple[int, int]], begin: int, until: int) -> None:
        """Note what a bound took, from an instant to another (ms): how much of which month (its begin)."""
        loss = self.losses.setdefault(slot, Loss())
        for month, missing in parts:
            loss.months[month] = loss.months.get(month, 0) + missing
        loss.begin, loss.until = min(loss.begin, begin), max(loss.until, until)

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
        """Say whether a row lies in every slot of a series that has ended by an instant (ms), as far as is known."""
        return slot not in self.holes and slot not in self.losses and int(self.end[slot]) >= self.begin_of(slot, until)

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

    def unpack(self, packed: PackedMissing, *, older: bool) -> None:
        """Put back what a snapshot holds of the series that stand here.

        Args:
            packed: its members.
            older: written before there were slots: covered is what was, and the slot that had begun.

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
        for slot in self.interval.nonzero()[0].tolist():
            if older:
                self._round(slot)
            elif self.begin_of(slot, int(self.end[slot])) != self.end[slot]:
                raise ValueError("time that is covered up to where no slot ends")
        self.losses = {slot: Loss(low, high, filled, dict(months)) for slot, low, high, filled, months in losses}
        for slot in {*self.holes, *self.losses}:
            self._settle(slot)


def past(spans: Sequence[tuple[int, int]], begin: int, end: int) -> list[tuple[int, int]]:
    """Return the parts of spans that lie between two instants (ms).

    >>> past([(0, 10), (20, 40), (50, 60)], 5, 30)
    [(5, 10), (20, 30)]
    """
    return [(max(low, begin), min(high, end)) for low, high in spans if low < end and high > begin]
