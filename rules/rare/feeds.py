"""What is kept of the numbers of one feed (kind `clock`, check `sequence`; ADR 0040): a run of rising numbers, and how far time has come.

A feed is the readings of a facility, or the events of one source. Batches of readings are compared only with those of the same
series: a recorder that is read out later is no contradiction to another one that is live.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Annotated, TypeAlias

import msgspec

from rules.layout import NEVER, NONE

READINGS = "readings"
"""The feed of a facility's readings: posts say nothing of what sent them."""
MAX_FEEDS = 500
"""Feeds of one rule and facility; the one that is longest untouched, of which nothing is missing and nothing stands, goes out first."""
MAX_FRONTS = 16
"""Sets of series that one feed of readings posts together, each with a front of its own ..."""
MAX_STRETCHES = 32
"""... and the stretches of event time that each of them has told, newest kept."""
MAX_RESTARTS = 16
"""Restarts of what sends a feed, newest kept."""

_At: TypeAlias = Annotated[int, msgspec.Meta(ge=NONE, le=NEVER)]
PackedFront: TypeAlias = tuple[str, _At, _At, _At, list[tuple[_At, _At]]]
PackedFeed: TypeAlias = tuple[str, str, _At, _At, _At, _At, list[PackedFront], list[_At]]
"""In a snapshot: rule, feed, highest number, newest event time, begin of the run, highest number before it, fronts, restarts."""


class Order(Enum):
    """How a number and its time go with the front of its series."""

    FINE = auto()
    OLDER = auto()
    """A higher number, and all of it is older than all of the front: the clock went back."""
    ANEW = auto()
    """A lower number, and all of it is newer: numbers begin anew."""


@dataclass(frozen=True, slots=True)
class Item:
    """What has a number: a batch of readings, or an event. Event times of its oldest and newest record and receive time, ms.

    No event time is later than the receive time: a clock that is ahead is another rule's matter, and it comes back.
    """

    number: int
    lo: int
    hi: int
    received: int
    batch: str
    group: str = ""
    """Digest of the series of a batch; of events nothing."""


@dataclass(slots=True)
class Front:
    """How far numbers and time have come together, and which stretches of event time were told (of readings only)."""

    number: int
    lo: int
    hi: int
    stretches: list[tuple[int, int]] = field(default_factory=list)

    def told(self, lo: int, hi: int) -> bool:
        """Say whether anything of that time was told before."""
        return any(begin <= hi and lo <= end for begin, end in self.stretches)

    def tell(self, lo: int, hi: int, near: int) -> bool:
        """Note that a time was told; stretches no farther apart than `near` ms are one. Returns whether the oldest was lost."""
        rest = []
        for begin, end in self.stretches:
            if begin - near <= hi and lo <= end + near:
                lo, hi = min(lo, begin), max(hi, end)
            else:
                rest.append((begin, end))
        found = sorted([*rest, (lo, hi)])
        self.stretches = found[-MAX_STRETCHES:]
        return len(found) > MAX_STRETCHES


@dataclass(slots=True)
class Feed:
    """The present run of numbers of a feed, rising by one."""

    highest: int
    newest: int
    """The newest event time of the feed, ms."""
    begin: int = NONE
    """The oldest event time of the item with which numbers began anew; NONE where they never did."""
    before: int = NONE
    """The highest number of the run before that."""
    fronts: dict[str, Front] = field(default_factory=dict)
    restarts: list[int] = field(default_factory=list)
    """Event times, ms, sorted."""

    @classmethod
    def of(cls, item: Item, near: int | None) -> Feed:
        """Begin with an item."""
        feed = cls(item.number, item.hi)
        feed.advance(item, near)
        return feed

    def order(self, item: Item, apart: int, near: int | None) -> Order:
        """Say whether the order of numbers and that of time contradict each other by more than `apart` ms.

        Readings (`near`) of a time of which nothing was told before are stored data that were numbered when they were sent.
        """
        front = self.fronts.get(item.group)
        if front is None or item.hi < self.begin:  # of the run before
            return Order.FINE
        if item.number > front.number and item.hi + apart < front.lo:
            return Order.FINE if near is not None and not front.told(item.lo, item.hi) else Order.OLDER
        if item.number < front.number and item.lo > front.hi + apart:
            return Order.ANEW
        return Order.FINE

    def count(self, item: Item) -> tuple[int, int] | None:
        """Take a number that is in no gap; returns the first and the last number that it leaves out."""
        stored = self.begin != NONE and item.hi < self.begin and item.number > self.before
        if item.number <= self.highest or (stored and item.number > self.highest + 1):  # of the run before
            return None
        left_out = (self.highest + 1, item.number - 1)
        self.highest = item.number
        return left_out if left_out[0] <= left_out[1] else None

    def advance(self, item: Item, near: int | None) -> dict[str, int]:
        """Let time come as far as an item says; returns what a bound took, by name."""
        self.newest = max(self.newest, item.hi)
        lost: dict[str, int] = {}
        front = self.fronts.pop(item.group, None)
        if front is None:
            if len(self.fronts) >= MAX_FRONTS:
                del self.fronts[next(iter(self.fronts))]
                lost["front_dropped"] = 1
            front = Front(item.number, item.lo, item.hi)
        elif item.number > front.number and item.lo > front.lo:
            front.number, front.lo, front.hi = item.number, item.lo, item.hi
        self.fronts[item.group] = front
        if near is not None and front.tell(item.lo, item.hi, near):
            lost["stretch_dropped"] = 1
        return lost

    def begin_anew(self, item: Item) -> None:
        """Begin another run of numbers with an item."""
        self.before, self.begin = self.highest, item.lo
        self.highest = item.number
        self.fronts = {}

    def restart(self, at: int) -> bool:
        """Note a restart; returns whether the oldest was lost."""
        found = sorted({*self.restarts, at})
        self.restarts = found[-MAX_RESTARTS:]
        return len(found) > MAX_RESTARTS

    def restarted(self, begin: int, end: int) -> bool:
        """Say whether there was a restart in a span of event time, both ends included."""
        return any(begin <= at <= end for at in self.restarts)

    def pack(self, rule: str, name: str) -> PackedFeed:
        """Return the members for a snapshot."""
        fronts = [(group, one.number, one.lo, one.hi, list(one.stretches)) for group, one in self.fronts.items()]
        return (
            rule, name, self.highest, self.newest, self.begin, self.before, fronts, list(self.restarts),
        )  # fmt: skip

    @classmethod
    def unpack(cls, packed: PackedFeed) -> tuple[tuple[str, str], Feed]:
        """Return rule and feed, and what packed members say of it."""
        rule, name, highest, newest, begin, before, fronts, restarts = packed
        known = {group: Front(number, lo, hi, [(a, b) for a, b in spans]) for group, number, lo, hi, spans in fronts}
        return (rule, name), cls(highest, newest, begin, before, known, list(restarts))
