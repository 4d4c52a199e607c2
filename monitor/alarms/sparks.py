"""The last readings around the alarms of the queue, for the small pictures of its rows.

The archive is too dear for a page: the present hour alone may be hundreds of files of a partition. So a page notes what it
shows, takes what is known, and waits a moment at most for what is not; a thread beside reads, a partition at a time for
all alarms of it, and after the first time only the files that have come since. A picture holds the lowest and the highest
reading of each stretch of time, so a second reading of the same record changes nothing.
"""

from __future__ import annotations

import json
import logging
import math
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from itertools import groupby
from time import monotonic
from typing import TYPE_CHECKING

from monitor.alarms.axes import OPEN
from monitor.archive.chunkfile import HOUR_MS
from monitor.archive.index import Selection
from monitor.archive.reader import ArchiveReader
from monitor.store.session import StoreDownError
from rules.batches import Batches, Seen
from rules.records import LogRecord, Quality, Readings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from monitor.archive.chunkfile import Chunk, ChunkDamagedError
    from monitor.store.desk_tables import AlarmRow
    from monitor.store.session import Store

log = logging.getLogger(__name__)
SPAN_MS = 2 * HOUR_MS
STRETCHES = 40
STRETCH_MS = SPAN_MS // STRETCHES
AFTER_MS = 30 * 60_000
"""An alarm that is over is shown with so much of what came after."""
KEPT = 1_000
"""So many alarms' pictures are in memory: at most 41 stretches each."""
SHOWN_MS = 120_000
"""A row that no page has asked for since is not read again; an open page asks every 30 s."""
AGAIN_S = 10.0
"""Rows that are shown are read again this often, if the archive has grown."""
_GOOD = int(Quality.GOOD)
PATIENCE_S = 0.15
"""So long a page waits for pictures that were never read; what comes later is on the page's next update."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to draw for an alarm: event times in [from, to), ms."""

    alarm: str
    facility: str
    tag: str
    from_ms: int
    to_ms: int


@dataclass(frozen=True, slots=True)
class Spark:
    """Readings of good quality around an alarm: (time in ms, lowest, highest) of each stretch that has any, and the newest."""

    wanted: Wanted
    points: tuple[tuple[int, float, float], ...]
    last: float


@dataclass(slots=True)
class _Picture:
    wanted: Wanted
    asked_ms: int
    read_to: int = 0
    """Offsets of the facility's partition that were read; 0 before the first time."""
    tried: bool = False
    batches: Batches = field(default_factory=Batches)
    """The batches it was drawn from: one that comes again with other content is left out, as the fold does."""
    stretches: dict[int, tuple[float, float]] = field(default_factory=dict)
    newest_ms: int = -1
    last: float = 0.0

    def add(self, times: list[int], values: list[float], qualities: list[int]) -> None:
        begin, end = self.wanted.from_ms, self.wanted.to_ms
        for at, value, quality in zip(times, values, qualities, strict=True):
            if quality != _GOOD or not begin <= at < end or math.isnan(value):
                continue
            low, high = self.stretches.get(at // STRETCH_MS, (value, value))
            self.stretches[at // STRETCH_MS] = (min(low, value), max(high, value))
            if at >= self.newest_ms:
                self.newest_ms, self.last = at, value

    def spark(self) -> Spark | None:
        first, end = self.wanted.from_ms // STRETCH_MS, self.wanted.to_ms
        for gone in [number for number in self.stretches if number < first]:
            del self.stretches[gone]
        if not self.tried or not self.stretches:  # half read, it would be taken for all there is
            return None
        points = tuple(
            (min(number * STRETCH_MS + STRETCH_MS // 2, end), *self.stretches[number])
            for number in sorted(self.stretches)
        )
        return Spark(self.wanted, points, self.last)


def wanted_of(row: AlarmRow, now_ms: int) -> Wanted | None:
    """Return what to draw for an alarm: two hours up to now and the rest of its stretch, or up to a little after its end; none if it has no tag."""
    tag = json.loads(row.subject).get("tag")
    if tag is None:
        return None
    over = row.status not in OPEN and row.end_ms is not None
    until = -(-max(now_ms, row.start_ms + 1) // STRETCH_MS) * STRETCH_MS  # moves on by whole stretches: drawn once each
    if over and row.end_ms is not None:
        until = min(until, row.end_ms + AFTER_MS)
    return Wanted(row.id, row.facility, tag, until - SPAN_MS, until)


def _feed(record: LogRecord, payload: Readings, of: dict[str, list[_Picture]]) -> None:
    fresh = {
        id(picture): picture.batches.meet(payload, record.received) is not Seen.CONFLICT
        for pictures in of.values()
        for picture in pictures
    }
    row = 0
    for tag, count in zip(payload.tags, payload.counts.tolist(), strict=True):
        here = slice(row, row + count)
        row += count
        drawn = [picture for picture in of.get(tag, ()) if fresh[id(picture)]]
        if drawn:
            columns = payload.time[here].tolist(), payload.value[here].tolist(), payload.quality[here].tolist()
            for picture in drawn:
                picture.add(*columns)


class Sparks:
    """The pictures of the rows that pages show. Thread-safe; `job` reads for all of them."""

    def __init__(self, store: Store, folder: Path, clock_ms: Callable[[], int]) -> None:
        """Take the archive; nothing is read before `job` runs."""
        self._store, self._folder, self._now = store, folder, clock_ms
        self._pictures: OrderedDict[str, _Picture] = OrderedDict()
        self._changed = threading.Condition()
        self._missing = threading.Event()
        self._running = False

    def of(self, rows: Iterable[AlarmRow], patience_s: float = PATIENCE_S) -> dict[str, Spark]:
        """Return the pictures of rows by alarm, as far as they have readings that are read; remembers what is shown."""
        now = self._now()
        found = [wanted for row in rows if (wanted := wanted_of(row, now)) is not None][:KEPT]
        with self._changed:
            mine = [self._note(wanted, now) for wanted in found]
            if self._running and any(not picture.tried for picture in mine):
                self._missing.set()
                self._changed.wait_for(lambda: all(picture.tried for picture in mine), patience_s)
            sparks = [picture.spark() for picture in mine]
        return {spark.wanted.alarm: spark for spark in sparks if spark is not None}

    def _note(self, wanted: Wanted, now_ms: int) -> _Picture:
        known = self._pictures.get(wanted.alarm)
        if known is None or wanted.from_ms < known.wanted.from_ms:  # late data moved its end back: that was not read
            known = self._pictures[wanted.alarm] = _Picture(wanted, now_ms)
        known.wanted, known.asked_ms = wanted, now_ms
        self._pictures.move_to_end(wanted.alarm)
        while len(self._pictures) > KEPT:
            self._pictures.popitem(last=False)
        return known

    def turn(self) -> int:
        """Read what the rows shown lack; returns how many passes over a partition that took.

        Raises:
            StoreDownError: the store does not answer.
            OSError: the archive's folder is away.
        """
        reader = ArchiveReader(self._store, self._folder)
        ends = {partition: end for partition, _, end in reader.places}
        now = self._now()
        with self._changed:
            shown = [picture for picture in self._pictures.values() if now - picture.asked_ms <= SHOWN_MS]
        due: list[tuple[tuple[int, bool, int], _Picture]] = []
        for picture in shown:
            home = next(iter(reader.likely_first(picture.wanted.facility)), -1)
            if picture.read_to < ends.get(home, 0):
                hour = 0 if picture.read_to else picture.wanted.to_ms // HOUR_MS
                due.append(((home, picture.read_to == 0, hour), picture))
            else:
                picture.tried = True
        due.sort(key=lambda item: (not item[0][1], item[0]))  # what was never read first
        groups = 0
        for (home, *_), items in groupby(due, key=lambda item: item[0]):
            self._read(reader, home, ends[home], [picture for _, picture in items])
            groups += 1
        with self._changed:
            self._changed.notify_all()
        return groups

    def _read(self, reader: ArchiveReader, partition: int, end: int, pictures: Sequence[_Picture]) -> None:
        """Read one partition for alarms whose windows lie near each other: at most some hours of files."""
        of: dict[str, dict[str, list[_Picture]]] = {}
        for picture in pictures:
            of.setdefault(picture.wanted.facility, {}).setdefault(picture.wanted.tag, []).append(picture)
        windows = [picture.wanted for picture in pictures]
        events = (min(wanted.from_ms for wanted in windows), max(wanted.to_ms for wanted in windows))
        begin = min(picture.read_to for picture in pictures)

        def left_out(chunk: Chunk, error: ChunkDamagedError) -> None:
            log.info("sparks: %s: %s", chunk.path, error.why)  # operators are told by the reader

        for raw in reader.raw(partition, Selection(tuple(of), events=events, from_offset=begin), left_out):
            span = raw.event_span() if raw.facility in of else None
            if span is None or span[1] < events[0] or span[0] >= events[1]:
                continue
            record = raw.decoded(partition)  # of its home partition: what stands elsewhere is never looked at
            if isinstance(record, LogRecord) and isinstance(record.payload, Readings):
                with self._changed:
                    _feed(record, record.payload, of[record.facility])
        with self._changed:
            for picture in pictures:
                picture.read_to, picture.tried = end, True
            self._changed.notify_all()

    def job(self, stop: threading.Event) -> None:
        """Read until `stop`: at once when a page shows what was never read, else every ten seconds."""
        self._running = True
        again = 0.0
        try:
            while not stop.is_set():
                if not self._missing.wait(0.25) and monotonic() < again:
                    continue
                self._missing.clear()
                try:
                    self.turn()
                except (StoreDownError, OSError) as error:
                    log.warning("sparks: %s", error)
                    stop.wait(1.0)
                again = monotonic() + AGAIN_S
        finally:
            self._running = False
