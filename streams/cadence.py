"""Which snapshots a checkpoint writes, and from where the log has to be read again.

A facility's snapshot is written at most once per `every_s`, at an instant of its own in that time (a hash of its id), so
that a thousand facilities do not fall due in one checkpoint. Until then the records that changed it are held by no
snapshot: the marker's `low` says where the oldest of them may stand, and a start reads the log from there.

What belongs to the partition (clock, newest gateway tick, packs) is kept as it was *at* `low`: read from there, the ticks
and packs bring it forward again, step by step as the first time. They act on a facility as its snapshot left it, and not
at all where the snapshot, which counts ticks and packs too, is newer. So a facility sees every record once, with the clock,
the packs and the door that it saw then.
"""

from __future__ import annotations

import zlib
from collections import deque
from dataclasses import dataclass, field
from math import floor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rules.engine import PartitionState


def phase_of(facility: str) -> float:
    """Return where in the time between two snapshots a facility's instant lies: in [0, 1), the same for ever.

    >>> round(phase_of("BJ-MFR-0007"), 3)
    0.256
    """
    return zlib.crc32(facility.encode()) / (1 << 32)


@dataclass(frozen=True, slots=True)
class Boundary:
    """A checkpoint that may still be a start's beginning: where it stood, and the partition there."""

    offset: int
    state: PartitionState


@dataclass(slots=True)
class Cadence:
    """The snapshots of one partition; `now` is any clock that only rises, in seconds."""

    every_s: float
    looked_s: float
    """When the last checkpoint was made."""
    _boundaries: deque[Boundary] = field(default_factory=deque)
    _uncovered: dict[str, int] = field(default_factory=dict)
    """Facility -> the checkpoint at which its last snapshot still held all of it."""

    def begin(self, offset: int, state: PartitionState) -> None:
        """Say where the fold stands and that snapshots hold all before it."""
        self._boundaries = deque([Boundary(offset, state)])
        self._uncovered = {}

    def due(self, dirty: Iterable[str], now: float) -> list[str]:
        """Return those of the dirty facilities whose instant has come since the last checkpoint."""
        return [name for name in dirty if self._turn(name, now) > self._turn(name, self.looked_s)]

    def note(
        self, offset: int, state: PartitionState, dirty: Iterable[str], written: Iterable[str], now: float
    ) -> None:
        """Book a checkpoint: what has changed since the last one, and whose snapshot it writes."""
        newest = self._boundaries[-1].offset
        for name in dirty:
            self._uncovered.setdefault(name, newest)
        for name in written:
            self._uncovered.pop(name, None)
        if offset == newest:
            self._boundaries.pop()
        self._boundaries.append(Boundary(offset, state))
        low = min(self._uncovered.values(), default=offset)
        while self._boundaries[0].offset < low:
            self._boundaries.popleft()
        self.looked_s = now

    def oldest_first(self, names: Iterable[str]) -> list[str]:
        """Return facilities in the order in which their snapshots let `low` move on."""
        return sorted(names, key=lambda name: (self._uncovered.get(name, self._boundaries[-1].offset), name))

    @property
    def low(self) -> Boundary:
        """Where a start begins to read: no record before it is needed."""
        return self._boundaries[0]

    @property
    def packs(self) -> set[str]:
        """The packs that partition and snapshots may name from `low` on."""
        return {boundary.state.packs for boundary in self._boundaries}

    def _turn(self, facility: str, now: float) -> int:
        return floor(now / self.every_s - phase_of(facility))
