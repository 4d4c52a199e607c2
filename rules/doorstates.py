"""Whether the doors of an area were open or closed, as their events tell (`device` / `door`, `state: open | closed`; ADR 0091).

A door is as its newest event by event time says; so events may come in any order, again, or late. One that is told to be open for longer than a
door stands open, with nothing behind it, is not known any more: else one event would excuse a room for ever. What is kept is bounded, and counted
where it goes. All times are event times in ms unless they are called received.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, NamedTuple, TypeAlias

import msgspec

from rules.layout import NEVER, NONE

if TYPE_CHECKING:
    from collections.abc import Iterator

UNKNOWN, CLOSED, OPEN = range(3)
"""What is known of the doors of an area together: one that is open makes it open, then one that is not known makes it unknown."""
STATES = {"closed": False, "open": True}
BELIEVED_MS = 3_600_000
"""So long an `open` is believed that no event of the door follows (own)."""
MAX_EVENTS = 256
"""Events of the doors of an area that are kept; a pair's horizon holds two hours of rows."""
MAX_DOORS = 16
"""Doors of an area that are told apart; a further one is left out, so the one that has most events always has two."""
_At: TypeAlias = Annotated[int, msgspec.Meta(ge=NONE, lt=NEVER)]
PackedDoors: TypeAlias = list[tuple[str, _At, list[tuple[str, list[tuple[_At, bool, _At]]]]]]
"""In a snapshot: area, its floor, and of each door when it was told to be open or closed, and when that was received."""


class Stretch(NamedTuple):
    """A time in which the doors of an area were alike: until the next one begins."""

    begin: int
    state: int


class Told(NamedTuple):
    """What an event tells of a door."""

    is_open: bool
    received: int
    """Log time at which it came, ms."""


@dataclass(slots=True)
class Doors:
    """What was told of the doors of one area."""

    floor: int = NONE
    """Nothing is said of instants up to it any more, and an event up to it is stale."""
    by_door: dict[str, dict[int, Told]] = field(default_factory=dict)
    """Door -> event time -> what it told."""

    def put(self, door: str, at: int, received: int, *, is_open: bool) -> str:
        """Take what an event tells; of one instant `closed` wins, since an open door excuses.

        Returns what became of it: `stale`, `left_out` (there are too many doors), `known` (it says nothing new) or `kept`.
        """
        if at <= self.floor:
            return "stale"
        told = self.by_door.get(door)
        if told is None:
            if len(self.by_door) >= MAX_DOORS:
                return "left_out"
            told = self.by_door[door] = {}
        before = told.get(at)
        if before is not None and (before.is_open == is_open or not before.is_open):
            return "known"
        told[at] = Told(is_open, received)
        return "kept"

    def next_floor(self) -> int:
        """Return up to when (ms) nothing may be asked any more so that what is kept is within its bound, NONE: it is.

        Who asks of instants (pairs of rooms, up to their horizon) has to be done with those before `shorten`.
        """
        found = self._shortened()
        return NONE if found is None else max(self.floor, found[2])

    def shorten(self) -> int:
        """Let events go until what is kept is within its bound; returns how many went that said something."""
        gone = 0
        while (found := self._shortened()) is not None:
            door, t, floor = found
            del self.by_door[door][t]
            gone += floor != NONE
            self.floor = max(self.floor, floor)
        return gone

    def _shortened(self) -> tuple[str, int, int] | None:
        """Return the event that goes next: door, event time, and up to when nothing can be said without it (NONE: it is not missed)."""
        if sum(map(len, self.by_door.values())) <= MAX_EVENTS:
            return None
        pairs = list(self._followed())
        again = [(t, door) for door, before, t in pairs if not self._says(door, before) and not self._says(door, t)]
        if again:
            t, door = min(again)
            return door, t, NONE
        behind, t, door = min((after, t, door) for door, t, after in pairs)
        return door, t, behind - 1

    def _says(self, door: str, t: int) -> bool:
        return self.by_door[door][t].is_open

    def _followed(self) -> Iterator[tuple[str, int, int]]:
        """Yield (door, event time, event time of the next) of each event that another one of its door follows."""
        for door, told in self.by_door.items():
            times = sorted(told)
            yield from ((door, t, after) for t, after in pairwise(times))

    def stretches(self) -> list[Stretch]:
        """Return when the doors were open, closed or not known, by time; nothing is known before the first.

        A closed time begins anew where a door is told of for the first time, and told to be closed: before that it was open.

        >>> Doors(by_door={"D": {5: Told(True, 5), 9: Told(False, 9)}}).stretches()
        [Stretch(begin=5, state=2), Stretch(begin=9, state=1)]
        """
        turns = sorted(turn for door, told in self.by_door.items() for turn in _turns(door, told))
        found: list[Stretch] = []
        now: dict[str, int] = {}
        for i, (t, door, state) in enumerate(turns):
            breaks = door not in now and state == CLOSED
            now[door] = state
            if breaks and (not found or found[-1].begin < t):
                found.append(Stretch(t, UNKNOWN))  # becomes what holds at the end of this instant
            if i + 1 < len(turns) and turns[i + 1].t == t:
                continue
            whole = OPEN if OPEN in now.values() else UNKNOWN if UNKNOWN in now.values() else CLOSED
            if found and found[-1].begin == t:
                found[-1] = Stretch(t, whole)
            elif not found or found[-1].state != whole:
                found.append(Stretch(t, whole))
        return found

    def at(self, t: int) -> Stretch:
        """Return in which stretch an instant lies: whether a run of records that began before it goes on follows from its begin."""
        found = self.stretches()
        i = bisect_right(found, t, key=lambda one: one.begin)
        return found[i - 1] if i else Stretch(NONE, UNKNOWN)

    def first_of(self, received: int) -> int:
        """Return the earliest event time of what came at a log time (ms), NEVER: nothing did. From there on pairs are decided again."""
        return min(
            (t for told in self.by_door.values() for t, one in told.items() if one.received == received), default=NEVER
        )


class _Turn(NamedTuple):
    t: int
    door: str
    state: int


def _turns(door: str, told: dict[int, Told]) -> Iterator[_Turn]:
    """Yield when a door became open, closed or not known."""
    times = sorted(told)
    for t, after in zip(times, [*times[1:], NEVER], strict=True):
        yield _Turn(t, door, OPEN if told[t].is_open else CLOSED)
        if told[t].is_open and after - t > BELIEVED_MS:
            yield _Turn(t + BELIEVED_MS, door, UNKNOWN)


def pack(books: dict[str, Doors]) -> PackedDoors | msgspec.UnsetType:
    """Return the member for a snapshot, by area; nothing where no door was ever told of."""
    found = [
        (area, one.floor, [(door, [(t, *said) for t, said in sorted(told.items())]) for door, told in sorted(one.by_door.items())])
        for area, one in sorted(books.items())
        if one != Doors()
    ]  # fmt: skip
    return found or msgspec.UNSET


def unpack(packed: PackedDoors | msgspec.UnsetType) -> dict[str, Doors]:
    """Return what a packed member says."""
    return {
        area: Doors(floor, {door: {t: Told(is_open, came) for t, is_open, came in told} for door, told in doors})
        for area, floor, doors in (() if isinstance(packed, msgspec.UnsetType) else packed)
    }
