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
import numpy as np

from rules.layout import NEVER, NONE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rules.layout import Words

UNKNOWN, CLOSED, OPEN = range(3)
"""What is known of the doors of an area together: one that is open makes it open, then one that is not known makes it unknown."""
STATES = {"closed": False, "open": True}
BELIEVED_MS = 3_600_000
"""So long an `open` is believed that no event of the door follows (own)."""
MAX_EVENTS = 512
"""Events that a pair of rooms keeps when an instant is over, of all doors; the oldest go."""
AT_ONCE = 4_096
"""... and while one lasts; further ones are left out."""
MAX_DOORS = 16
"""Doors that are told apart; a further one is left out."""
_At: TypeAlias = Annotated[int, msgspec.Meta(ge=NONE, lt=NEVER)]
PackedDoors: TypeAlias = tuple[str, str, _At, _At, list[tuple[str, list[tuple[_At, bool, _At]]]]]
"""In a snapshot: rule and name of a pair of rooms, floor, since when what the doors were there, and of each door when it was told to be open or
closed, and when that was received."""


class Stretch(NamedTuple):
    """A time in which the doors of an area were alike: until the next one begins."""

    at: int
    """From which instant on it is asked for."""
    begin: int
    """When it began: earlier than `at` where what was told before is let go of."""
    state: int


NOTHING_KNOWN = Stretch(NONE, NONE, UNKNOWN)


class Told(NamedTuple):
    """What an event tells of a door."""

    is_open: bool
    received: int
    """Log time at which it came, ms."""


@dataclass(slots=True)
class Doors:
    """What was told of the doors of the cleaner room of one pair."""

    floor: int = NONE
    """Nothing is known of instants up to it any more, and an event up to it is stale."""
    since: int = NONE
    """When the stretch began in which the floor lies."""
    by_door: dict[str, dict[int, Told]] = field(default_factory=dict)
    """Door -> event time -> what it told."""

    def put(self, door: str, at: int, received: int, *, is_open: bool) -> str:
        """Take what an event tells; of one instant `closed` wins, since an open door excuses.

        Returns what became of it: `stale`, `left_out` (there are too many doors or events), `known` (it says nothing new) or `kept`.
        """
        if at <= self.floor:
            return "stale"
        told = self.by_door.get(door)
        if self.count >= AT_ONCE or (told is None and len(self.by_door) >= MAX_DOORS):
            return "left_out"
        told = self.by_door.setdefault(door, {})
        before = told.get(at)
        if before is not None and (before.is_open == is_open or not before.is_open):
            return "known"
        told[at] = Told(is_open, received)
        return "kept"

    @property
    def count(self) -> int:
        """Return how many events are kept."""
        return sum(map(len, self.by_door.values()))

    @property
    def is_full(self) -> bool:
        """Say whether more is kept than has room when an instant is over."""
        return self.count > MAX_EVENTS

    def next_floor(self) -> int:
        """Return up to when (event time, ms) nothing may be asked any more so that what is kept is within its bound, NONE: it is.

        Who has asked of instants up to it has to be done with them before `forget`.
        """
        followed = sorted(after for told in self.by_door.values() for _, after in pairwise(sorted(told)))
        many = self.count - MAX_EVENTS
        return max(self.floor, followed[many - 1]) if many > 0 else NONE

    def forget(self, floor: int) -> int:
        """Let go of what says nothing of instants behind a floor (event time, ms); returns how many events went."""
        if floor <= self.floor:
            return 0
        before, self.since, self.floor = self.count, self.at(floor).begin, floor
        for door, told in self.by_door.items():
            times = sorted(told)
            self.by_door[door] = {t: told[t] for t in times[max(0, bisect_right(times, floor) - 1) :]}
        return before - self.count

    def stretches(self) -> list[Stretch]:
        """Return when the doors were open, closed or not known, by time; nothing is known before the first, nor up to the floor.

        A closed time begins anew where a door is told of for the first time, and told to be closed: before that it was open.

        >>> Doors(by_door={"D": {5: Told(True, 5), 9: Told(False, 9)}}).stretches()
        [Stretch(at=5, begin=5, state=2), Stretch(at=9, begin=9, state=1)]
        """
        turns = sorted(turn for door, told in self.by_door.items() for turn in _turns(door, told))
        found: list[Stretch] = []
        now: dict[str, int] = {}
        for i, (t, door, state) in enumerate(turns):
            breaks = door not in now and state == CLOSED
            now[door] = state
            if breaks and (not found or found[-1].at < t):
                found.append(Stretch(t, t, UNKNOWN))  # becomes what holds at the end of this instant
            if i + 1 < len(turns) and turns[i + 1].t == t:
                continue
            whole = OPEN if OPEN in now.values() else UNKNOWN if UNKNOWN in now.values() else CLOSED
            if found and found[-1].at == t:
                found[-1] = Stretch(t, t, whole)
            elif not found or found[-1].state != whole:
                found.append(Stretch(t, t, whole))
        if self.floor == NONE:
            return found
        before = [one for one in found if one.at <= self.floor]
        state = before[-1].state if before else UNKNOWN
        return [Stretch(self.floor + 1, self.since, state), *found[len(before) :]]

    def at(self, t: int) -> Stretch:
        """Return in which stretch an instant lies: whether a run of records that began before it goes on follows from its begin."""
        found = self.stretches()
        i = bisect_right(found, t, key=lambda one: one.at)
        return found[i - 1] if i else NOTHING_KNOWN

    def columns(self, times: Words) -> tuple[Words, Words]:
        """Return what the doors were at each of some instants (event times, ms), and since when."""
        found = [NOTHING_KNOWN, *self.stretches()]
        which = np.searchsorted([one.at for one in found[1:]], times, "right")
        return np.array([one.state for one in found], np.int64)[which], np.array(
            [one.begin for one in found], np.int64
        )[which]

    def first_of(self, received: int) -> int:
        """Return the earliest event time of what came at a log time (ms), NEVER: nothing did. From there on a pair is decided again."""
        return min(
            (t for told in self.by_door.values() for t, one in told.items() if one.received == received), default=NEVER
        )

    def pack(self, rule: str, name: str) -> PackedDoors:
        """Return what a snapshot holds of it."""
        doors = [
            (door, [(t, *said) for t, said in sorted(told.items())]) for door, told in sorted(self.by_door.items())
        ]
        return rule, name, self.floor, self.since, doors

    @classmethod
    def unpack(cls, packed: PackedDoors) -> Doors:
        """Return what a packed member says.

        Raises:
            ValueError: it is none that a fold leaves.
        """
        _, _, floor, since, doors = packed
        found = cls(floor, since, {door: {t: Told(is_open, came) for t, is_open, came in told} for door, told in doors})
        names = [door for door, _ in doors]
        if (
            since > floor
            or names != sorted(set(names))
            or len(names) > MAX_DOORS
            or found.count > AT_ONCE
            or not all(told for _, told in doors)
        ):
            raise ValueError("doors that no fold leaves")
        return found


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
