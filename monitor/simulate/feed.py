"""The feed of one simulated facility, without any I/O: what was measured, what waits, what is posted next.

Whoever drives it gives the time and says what became of a post: the pusher with HTTP, the rehearsal with the fold.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from monitor.simulate.script import BadPost, Silence, sensors_of
from rules.records import MAX_READINGS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.simulate.faults import Source
    from monitor.simulate.noise import Floats, Ints
    from monitor.simulate.script import Script
    from rules.register import Facility

POST_READINGS = 40
"""Readings of one post, but at least one instant of every tag: a back-fill comes in several posts, in order."""
YOUNG = 2
"""What is younger than this many delivery times goes out together. A post of a back-fill that ended just inside what the
firm promised would end its silence, and the clock would raise it anew before the next post came."""
HISTORY_READINGS = 45_000
"""The prehistory goes out as one post. In several, each would leave its series overdue until the next, and the clock would
raise a silence between them; in one record no time passes."""
BUFFER_READINGS = 100_000
SLOWEST_MS = 60_000
"""How often a feed without a sensor of its own interval looks whether there is anything."""
AHEAD = 32
"""Readings computed at once."""
_Row = tuple[int, str, float]


@dataclass(slots=True)
class Counts:
    """What a feed did; in readings where not said otherwise."""

    posts: int = 0
    """Posts stored."""
    stored: int = 0
    backfilled: int = 0
    """Of those stored, measured while the feed or the tag was silent."""
    not_recorded: int = 0
    dropped: int = 0
    """Oldest ones given up because the buffer was full."""
    refused: int = 0
    """Of posts that the front door will never take."""
    unsent: int = 0
    """Left in the buffer when the run ended."""
    repeats: int = 0
    """Posts sent again with the same id."""
    denied: int = 0
    """Posts answered 401 or 403."""
    unknown_tags: int = 0
    """Tags that the front door did not know, in the last answer."""
    broken_refused: int = 0
    """Broken posts (fault `bad-post`) that were refused, as they must be."""
    broken_taken: int = 0
    reports: int = 0
    """Reports stored."""
    reports_refused: int = 0


@dataclass(frozen=True, slots=True)
class Post:
    """One post with its id; sent again unchanged until it is stored or refused."""

    batch: str
    body: bytes
    readings: int
    backfilled: int


@dataclass(slots=True)
class _Cursor:
    """The readings of one source in order, computed some way ahead."""

    source: Source
    interval: int
    last: int
    times: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    values: Floats = field(default_factory=lambda: np.zeros(0))

    def take(self, now: int) -> tuple[list[int], list[float]]:
        """Return the readings with `last < t <= now`."""
        count = max(0, now - self.last) // self.interval
        if count > self.times.size:
            begin = self.last + self.interval
            self.times = begin + self.interval * np.arange(count + AHEAD, dtype=np.int64)
            self.values = self.source.values(self.times)
        times, values = self.times[:count].tolist(), self.values[:count].tolist()
        self.times, self.values = self.times[count:], self.values[count:]
        self.last += count * self.interval
        return times, values


class Feed:
    """A recorder with a bounded buffer and a link that can be down.

    `began` is the beginning of the run (ms); `history_ms` of readings before it wait when the feed starts, fewer where one
    post could not hold them.
    """

    def __init__(
        self, facility: Facility, sources: Sequence[Source], script: Script, *, began: int, history_ms: int
    ) -> None:
        self.facility = facility.id
        self._delivery = facility.delivery
        self.counts = Counts()
        self._began = began
        intervals = [source.signal.sensor.interval or 0 for source in sources]
        self.every_ms = max(min(intervals, default=SLOWEST_MS), facility.delivery // 10)
        """How often it posts: ten times as often as it promised, so that a slow minute is no silence."""
        per_ms = sum(1 / interval for interval in intervals)
        reach = min(history_ms, int(HISTORY_READINGS / per_ms)) if per_ms else 0
        self._cursors = [
            _Cursor(source, interval, (began - reach) // interval * interval)
            for source, interval in zip(sources, intervals, strict=True)
        ]
        incidents = script.of(facility.id)
        self._silences = [
            (one, {sensor.tag for sensor in sensors_of(one, facility)}, _is_whole(one))
            for one in incidents
            if isinstance(one, Silence)
        ]
        self._broken = [one for one in incidents if isinstance(one, BadPost)]
        self._reports = deque((one.at, msgspec.json.encode(one.post(began))) for one in script.submitted(facility.id))
        self._buffer: deque[_Row] = deque()
        self._withheld: list[list[_Row]] = [[] for _ in self._silences]
        self._pending: Post | None = None
        self._first = True
        self._seq = began // 1000  # rises over restarts too
        self._run = f"sim-{began:x}"

    def collect(self, now: int) -> None:
        """Measure everything up to `now` (ms)."""
        rows: list[_Row] = []
        for cursor in self._cursors:
            times, values = cursor.take(now)
            rows += zip(times, [cursor.source.tag] * len(times), values, strict=True)
        rows.sort(key=lambda row: row[0])
        for row in rows:
            self._release(row[0])
            self._keep(row)
        self._release(now)
        while len(self._buffer) > BUFFER_READINGS:
            self._buffer.popleft()
            self.counts.dropped += 1

    def link_up(self, now: int) -> bool:
        """Say whether the whole feed can send at `now`."""
        since = now - self._began
        return not any(whole and one.at <= since < one.end for one, _, whole in self._silences)

    def next_post(self, now: int) -> Post | None:
        """Return the post that waits, or cut the next one; None if nothing was measured."""
        if self._pending is None and self._buffer:
            young = self._buffer[0][0] if self._first else now - YOUNG * self._delivery
            self._pending = self._cut(young)
            self._first = False
        return self._pending

    def stored(self) -> None:
        """Note that the front door has answered for the post."""
        if self._pending is not None:
            self.counts.posts += 1
            self.counts.stored += self._pending.readings
            self.counts.backfilled += self._pending.backfilled
            self._pending = None

    def refused(self) -> None:
        """Note that the post will never be taken."""
        if self._pending is not None:
            self.counts.refused += self._pending.readings
            self._pending = None

    def next_report(self, now: int) -> bytes | None:
        """Return the report that is to be submitted now; it stays the next one until `submitted`."""
        due = self._reports and self._reports[0][0] <= now - self._began
        return self._reports[0][1] if due else None

    def submitted(self, *, taken: bool) -> None:
        """Note that the front door has answered for the report."""
        self._reports.popleft()
        self.counts.reports += taken
        self.counts.reports_refused += not taken

    def broken_post(self, now: int) -> bytes | None:
        """Return a post that breaks the contract while the fault `bad-post` lasts: not JSON, or two faults at once."""
        since = now - self._began
        if not any(one.at <= since < one.end for one in self._broken):
            return None
        if (self.counts.broken_refused + self.counts.broken_taken) % 2:
            return b'{"batch": "broken", "series": ['
        tag = self._cursors[0].source.tag if self._cursors else "T1"
        series = [{"tag": tag, "time": [now, now], "value": [None]}, {"tag": "no tag", "time": [now], "value": [1.0]}]
        return msgspec.json.encode({"batch": "broken", "series": series})

    def close(self) -> Counts:
        """Count what was not sent and return the counts."""
        waiting = self._pending.readings if self._pending is not None else 0
        self.counts.unsent = waiting + len(self._buffer) + sum(map(len, self._withheld))
        return self.counts

    def _keep(self, row: _Row) -> None:
        since, tag = row[0] - self._began, row[1]
        for place, (one, tags, whole) in enumerate(self._silences):
            if one.at <= since < one.end and tag in tags:
                if not one.backfill:
                    self.counts.not_recorded += 1
                    return
                if not whole:
                    self._withheld[place].append(row)
                    return
        self._buffer.append(row)

    def _release(self, now: int) -> None:
        for place, (one, _, _) in enumerate(self._silences):
            if self._withheld[place] and now - self._began >= one.end:
                self._buffer.extend(self._withheld[place])
                self._withheld[place] = []

    def _cut(self, young: int) -> Post:
        """Take the next rows: all from `young` (ms) on, older ones only up to the size of a post and never with young ones."""
        rows = [self._buffer.popleft()]
        whole = rows[0][0] >= young
        while self._buffer and len(rows) < MAX_READINGS:
            time = self._buffer[0][0]
            if not whole and (time >= young or (len(rows) >= POST_READINGS and time != rows[-1][0])):
                break
            rows.append(self._buffer.popleft())
        columns: dict[str, tuple[list[int], list[float]]] = {}
        for time, tag, value in rows:
            times, values = columns.setdefault(tag, ([], []))
            times.append(time)
            values.append(value)
        series = [{"tag": tag, "time": times, "value": values} for tag, (times, values) in columns.items()]
        batch = f"{self._run}-{self._seq}"
        body = msgspec.json.encode({"batch": batch, "seq": self._seq, "series": series})
        self._seq += 1
        backfilled = sum(self._was_silent(time - self._began, tag) for time, tag, _ in rows)
        return Post(batch, body, len(rows), backfilled)

    def _was_silent(self, since: int, tag: str) -> bool:
        return any(one.at <= since < one.end and tag in tags for one, tags, _ in self._silences)


def _is_whole(one: Silence) -> bool:
    return one.tag is None and one.area is None
