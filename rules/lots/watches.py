"""Shipments of which a facility tells whether telemetry belongs to them: online sales of what must stay cold, and what else goes on a trip (ADR 0076).

A sale of which nothing is known 24 hours behind it is told to be *dark*. What goes on a trip is told to be *lit* with the first reading of its
vehicle or its store in these 24 hours; so is a sale that was told to be dark, should a reading come after all.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias

import msgspec

from rules.layout import NEVER, NONE
from rules.lots.sight import Members
from rules.lots.sliding import least

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    import numpy.typing as npt

    from rules.lots.sight import Sight
    from rules.records import Event, Readings

WITHIN_MS: Final = 24 * 3_600_000
"""Telemetry belongs to a shipment if its event time is no more than this behind it (default-rules-2.md, online-no-telemetry), ms."""
KEEP_MS: Final = 30 * 86_400_000
"""So long a reading that comes late is listened for, ms."""
MAX_WATCHES: Final = 5_000
"""Shipments of a facility that are listened for: for a new one the oldest goes that decides nothing any more. If none does, a new one is left out."""
Key: TypeAlias = tuple[int, str, str, bool]
"""When it was sent (event time, ms), lot, trip (empty: none named), whether it is an online sale."""
_At: TypeAlias = Annotated[int, msgspec.Meta(ge=NONE, le=NEVER)]
PackedWatch: TypeAlias = tuple[_At, str, str, bool, list[str], _At, str, bool]


@dataclass(slots=True)
class Watch:
    """One shipment that is listened for."""

    places: tuple[str, ...]
    due: int
    """When an online sale is told to be dark (log time, ms); NEVER: it was, or is no online sale."""
    batch: str
    """Of the events that told it."""
    late: bool


@dataclass(frozen=True, slots=True)
class Found:
    """What is to be told of a shipment."""

    lot: str
    trip: str
    sent: int
    """Event time, ms."""
    kind: str
    record: str
    due: int = NEVER
    late: bool = False

    def told(self) -> dict[str, Any]:
        """Return the members of the fact."""
        more = {"sold_at": self.sent, "late": self.late} if self.kind == "dark" else {}
        return {"fact": self.kind, "trip": self.trip or None, **more}


@dataclass(slots=True)
class Watches:
    """The shipments of one facility."""

    open: dict[Key, Watch] = field(default_factory=dict)
    members: Members = field(default_factory=Members)
    """Which series stand where; follows from the plan, as all below follows from `open`."""
    by_place: dict[str, list[Key]] = field(default_factory=dict)
    """Place -> its shipments, by when they were sent."""
    _queue: list[tuple[int, Key]] = field(default_factory=list)
    """Online sales by due instant; some are not open any more."""
    _undecided: int = 0

    @property
    def due(self) -> int:
        """Return when the clock has to decide next, log time, ms; NEVER: it has not to."""
        while self._queue and not self._is_due(*self._queue[0]):
            heappop(self._queue)
        return self._queue[0][0] if self._queue else NEVER

    def _is_due(self, due: int, key: Key) -> bool:
        watch = self.open.get(key)
        return watch is not None and watch.due == due

    def meet(self, event: Event, said: dict[str, Any], at: int, batch: str, sight: Sight) -> tuple[Found | None, str]:
        """Take an event `shipped` or `sold`; returns what is to be told of it at once, and what is to be counted (empty: nothing).

        Args:
            event: as it was posted.
            said: its fields, read.
            at: the event time that counts, ms.
            batch: that holds it.
            sight: what is known of the facility's telemetry.
        """
        sale = event.type == "sold" and said.get("channel") == "online"
        trip, cold = said.get("trip") or "", said.get("cold_chain")
        if cold is False or said["quantity"] <= 0 or not (sale or (event.type == "shipped" and trip)):
            return None, ""
        places, key = sight.places(event, said.get("from")), (at, str(said["lot"]), trip, sale)
        if sale:
            return None, "online_unknown" if cold is None else self._sold(key, places, batch, sight)
        places = places if cold else places[:-1]  # the store of what need not stay cold says nothing
        if at <= sight.newest(places) <= at + WITHIN_MS:
            return Found(key[1], trip, at, "lit", batch), ""
        counted = self._listen(key, Watch(places, NEVER, batch, late=False), sight.now) if sight.has(places) else ""
        return None, counted

    def _sold(self, key: Key, places: tuple[str, ...], batch: str, sight: Sight) -> str:
        """Wait for telemetry of an online sale, if there is none; returns what is to be counted."""
        sent, newest = key[0], sight.newest(places)
        if newest > sent + WITHIN_MS:  # what came in these hours is not known any more
            return "online_unknown"
        if newest >= sent:
            return ""
        due = max(sent + WITHIN_MS, sight.now) + sight.delivery
        return self._listen(key, Watch(places, due, batch, late=sight.now > sent + WITHIN_MS), sight.now)

    def _listen(self, key: Key, watch: Watch, now: int) -> str:
        if key in self.open:
            return ""
        self._forget(now)
        if len(self.open) >= MAX_WATCHES and not self._make_room():
            return "online_left_out"
        self._add(key, watch)
        return ""

    def read(self, payload: Readings, index: npt.NDArray[np.int64], sight: Sight) -> list[Found]:
        """Take a batch of readings; returns what was lit by it, by the first row that lights it, then by when it was sent. Of a sale that is not told to be dark nothing is told.

        Args:
            payload: the batch; it did not come before.
            index: slot of each row, -1 where its tag is not registered.
            sight: what is known of the facility's telemetry.
        """
        lit: dict[Key, int] = {}
        for place, keys in self.by_place.items():
            rows = sight.rows(place, payload, index)
            if rows:
                low, high = bisect_left(keys, (rows[0][0] - WITHIN_MS,)), bisect_right(keys, (rows[-1][0] + 1,))
                near = keys[low:high]
                first = least(rows, ((key[0], key[0] + WITHIN_MS) for key in near))  # both ends inside
                for key, row in zip(near, first, strict=True):
                    if row is not None:
                        lit[key] = min(row, lit.get(key, row))
        told = []
        for key in sorted(lit, key=lambda key: (lit[key], key)):
            watch = self._drop(key)
            if watch.due == NEVER:
                told.append(Found(key[1], key[2], key[0], "lit", payload.batch))
        return told

    def decide(self) -> Iterator[Found]:
        """Yield the sales that are due first; they are listened for still."""
        due = self.due
        while due != NEVER and self.due == due:
            _, key = heappop(self._queue)
            watch = self.open[key]
            watch.due, self._undecided = NEVER, self._undecided - 1
            yield Found(key[1], key[2], key[0], "dark", watch.batch, due, watch.late)

    def close_door(self, shut: int, now: int, delivery: int) -> None:
        """Put off what would be due while our front door was closed, from `shut` to `now` (log time, ms): readings could not come."""
        for key, watch in self.open.items():
            if shut < watch.due <= now:
                watch.due = now + delivery
                heappush(self._queue, (watch.due, key))

    def _add(self, key: Key, watch: Watch) -> None:
        self.open[key] = watch
        for place in watch.places:
            insort(self.by_place.setdefault(place, []), key)
        if watch.due != NEVER:
            heappush(self._queue, (watch.due, key))
            self._undecided += 1

    def _drop(self, key: Key) -> Watch:
        watch = self.open.pop(key)
        for place in watch.places:
            keys = self.by_place[place]
            del keys[bisect_left(keys, key)]
            if not keys:
                del self.by_place[place]
        self._undecided -= watch.due != NEVER
        return watch

    def _forget(self, now: int) -> None:
        """Let go of what came first, and is so old that nothing is listened for any more."""
        while self.open:
            key = next(iter(self.open))
            if self.open[key].due != NEVER or key[0] + KEEP_MS >= now:
                return
            self._drop(key)

    def _make_room(self) -> bool:
        """Let go of the one that came first of those that decide nothing any more; False: all of them do."""
        if self._undecided == len(self.open):
            return False
        self._drop(next(key for key, watch in self.open.items() if watch.due == NEVER))
        return True

    def pack(self) -> list[PackedWatch]:
        """Return the members for a snapshot."""
        return [(*key, list(one.places), one.due, one.batch, one.late) for key, one in self.open.items()]

    @classmethod
    def unpack(cls, packed: list[PackedWatch]) -> Watches:
        """Return what packed members say."""
        found = cls()
        for sent, lot, trip, sale, places, due, batch, late in packed:
            key = (sent, lot, trip, sale)
            found.open[key] = Watch(tuple(places), due, batch, late)
            for place in places:
                found.by_place.setdefault(place, []).append(key)
            found._queue += [(due, key)] if due != NEVER else []
        for keys in found.by_place.values():
            keys.sort()
        heapify(found._queue)
        found._undecided = len(found._queue)
        return found
