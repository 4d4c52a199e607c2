"""Read the archive: the log's records for dumps and back-tests, readings for charts."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from monitor.archive import alarms, index
from monitor.archive.columns import Column, Missing, Reduction, SeriesReadings
from monitor.archive.index import Selection
from monitor.archive.merge import UnitReader
from rules.batches import Batches, Seen
from rules.errors import ContractError
from rules.records import LogRecord, Readings
from streams.codec import SHARED, home_of
from streams.topics import LOG

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from monitor.archive.chunkfile import Chunk, ChunkDamagedError, RawRecord
    from monitor.archive.index import Span, Unit
    from monitor.store.session import Store
    from rules.records import Rejected

POINTS = 2_000
MAX_POINTS = 20_000
MAX_TAGS = 200
LOST = "lost_before_archived"


class ArchiveGapError(ContractError):
    """Kafka dropped records before they were archived; a whole log cannot be had from here."""

    code: ClassVar[str] = "archive_gap"
    action: ClassVar[str] = "Restore the archive from a backup that has these offsets, or dump each stretch by itself."


class ArchiveReader:
    """Reads what the archiver has written. Thread-safe; an iterator belongs to one thread.

    It has the face of `streams.dump.LogReader`: `topic`, `places`, `records`, `home_of`.
    """

    def __init__(self, store: Store, folder: Path, topic: str = LOG) -> None:
        """Open the archive of a topic (without prefix) as it stands now; records archived later are not seen.

        Raises:
            StoreDownError: the store does not answer.
        """
        self._store, self._folder, self.topic = store, folder, topic
        with store.reading() as session:
            self.spans: list[Span] = index.spans(session, topic)
            """What has been read of the topic; between two spans of a partition records are lost."""
        ends = {span.partition: span.end for span in self.spans}
        begins = {span.partition: span.begin for span in reversed(self.spans)}
        self.places: list[tuple[int, int, int]] = [
            (partition, begins[partition], ends[partition]) for partition in ends
        ]
        """Partition, first offset and next offset of what is archived."""

    def gaps(self) -> list[tuple[int, int, int]]:
        """Return the stretches of offsets that Kafka dropped before they were archived: partition, begin, end."""
        pairs = zip(self.spans, self.spans[1:], strict=False)
        return [(a.partition, a.end, b.begin) for a, b in pairs if a.partition == b.partition and a.end < b.begin]

    def home_of(self, facility: str) -> int | None:
        """Return the partition that holds records of a facility, None if none does.

        As `LogReader.home_of`: the partition that Kafka's own partitioner would choose is looked at first.
        """
        key = facility.encode()
        with self._store.reading() as session:
            known = index.partitions_of(session, self.topic, facility)
        for partition in self.likely_first(facility):
            if partition in known or any(raw.key == key for raw in self.raw(partition, Selection(()))):
                return partition
        return None

    def records(
        self,
        facility: str | None = None,
        partition: int | None = None,
        from_offset: int = 0,
        received: tuple[int | None, int | None] = (None, None),
    ) -> Iterator[LogRecord | Rejected]:
        """Yield archived records ordered by (partition, offset), as `LogReader.records` would.

        Args:
            facility: its own records and the ticks and packs of its partition; all if not given.
            partition: one partition only.
            from_offset: leave out what stands before.
            received: leave out what was received before the first or not before the second instant (ms).

        Raises:
            ChunkDamagedError: a file is missing or damaged; operators are told. What came before it was good.
        """
        home = self.home_of(facility) if facility is not None and partition is None else partition
        selection = Selection(None if facility is None else (facility, ""), received, None, from_offset)
        begin, end = received
        for number, *_ in self.places:
            if (facility is not None or partition is not None) and number != home:
                continue
            for raw in self.raw(number, selection):
                if (begin is not None and raw.timestamp < begin) or (end is not None and raw.timestamp >= end):
                    continue
                if facility is not None and raw.facility not in {facility, ""}:
                    continue
                record = raw.decoded(number)
                if facility is None or _concerns(record, facility):
                    yield record

    def readings(
        self, facility: str, tags: Sequence[str], from_ms: int, to_ms: int, points: int = POINTS
    ) -> SeriesReadings:
        """Return the readings of tags with event times in [from, to), at most about `points` rows per tag.

        Where a tag has more rows, those are kept that a line needs: the first, last, lowest and highest of each of equal
        stretches of time, and one row of bad quality and one late row of each that has some. Rows are ordered by event time.
        A row is late if a newer reading of its tag stands before it in the log (one more than 5 min ahead of its receive
        time does not count, as in the engine). What was posted twice stands there twice; a batch under an id that another content
        has among the records read is left out, as the fold takes nothing of it. Records in another partition than
        the facility's are left out, as the worker rejects them (`streams.codec.placed`).

        Files that are missing or damaged are no error here: operators are told, and `missing` names the times.

        Raises:
            ValueError: no tag or more than 200, `to` not after `from`, or points outside 100 to 20,000.
        """
        if not 1 <= len(tags) <= MAX_TAGS or to_ms <= from_ms or not 100 <= points <= MAX_POINTS:  # noqa: PLR2004 - said above
            raise ValueError("1 to 200 tags, from < to, 100 to 20,000 points")
        missing: list[Missing] = []
        reductions = {tag: Reduction(from_ms, to_ms, points) for tag in tags}

        def left_out(chunk: Chunk, error: ChunkDamagedError) -> None:
            self._tell(chunk, error)
            begin = from_ms if chunk.first_event_ms is None else max(from_ms, chunk.first_event_ms)
            end = to_ms if chunk.last_event_ms is None else min(to_ms, chunk.last_event_ms + 1)
            missing.append(Missing(begin, end, error.code, error.path))

        home = self.likely_first(facility)[:1]
        for partition in home:
            self._fill(facility, partition, reductions, (from_ms, to_ms), left_out)
            missing += self._lost(partition, from_ms, to_ms)
        columns = {tag: reduction.column() for tag, reduction in reductions.items()}
        return SeriesReadings(facility, from_ms, to_ms, columns, missing, self._archived_to(home))

    def _fill(
        self,
        facility: str,
        partition: int,
        reductions: dict[str, Reduction],
        events: tuple[int, int],
        left_out: Callable[[Chunk, ChunkDamagedError], None],
    ) -> None:
        """Feed the reductions with a partition's rows in the order of the log.

        Files that begin behind the span are opened only while a tag has shown nothing newer yet, and only before the last
        one that lies in it: they decide whether its rows are late.
        """
        source = UnitReader(self._store, self._folder, left_out)
        inside = Selection((facility,), events=events)
        beyond = Selection((facility,), events=(events[1], 1 << 62))
        with self._store.reading() as session:
            wanted = index.units(session, self.topic, partition, inside)
            if not wanted:
                return
            last = max(unit.last_offset for unit in wanted)
            hours = {unit.hour_ms for unit in wanted}
            later = [u for u in index.units(session, self.topic, partition, beyond) if u.first_offset <= last]

        def chosen() -> Iterator[Unit]:
            for unit in sorted({*wanted, *later}, key=lambda unit: unit.first_offset):
                if unit.hour_ms in hours or any(r.newest < events[1] for r in reductions.values()):
                    yield unit

        either = Selection((facility,), events=(events[0], 1 << 62))
        batches = Batches()
        for raw, _ in source.records(chosen(), either):
            if raw.facility == facility and raw.event_span() is not None:
                record = raw.decoded(partition)
                if not isinstance(record, LogRecord) or not isinstance(record.payload, Readings):
                    continue
                if batches.meet(record.payload, record.received) is not Seen.CONFLICT:
                    _feed(record.payload, record.received, reductions)

    def raw(
        self,
        partition: int,
        selection: Selection,
        left_out: Callable[[Chunk, ChunkDamagedError], None] | None = None,
    ) -> Iterator[RawRecord]:
        """Give the records of a partition in the selected files, as Kafka held them, in the order of offsets.

        Raises:
            ChunkDamagedError: a file is missing or damaged, and no `left_out` hears of it; operators are told either way.
        """

        def damaged(chunk: Chunk, error: ChunkDamagedError) -> None:
            self._tell(chunk, error)
            if left_out is None:
                raise error
            left_out(chunk, error)

        ends = {number: end for number, _, end in self.places}
        with self._store.reading() as session:
            units = index.units(session, self.topic, partition, selection)
        source = UnitReader(self._store, self._folder, damaged)
        for raw, _ in source.records(units, selection):
            if raw.offset >= ends.get(partition, 0):
                continue
            if raw.offset >= selection.from_offset:
                yield raw

    def likely_first(self, facility: str) -> list[int]:
        """Return the partitions, the one first that Kafka's own partitioner would choose for a key."""
        partitions = [partition for partition, *_ in self.places]
        likely = home_of(facility, max(1, len(partitions)))
        return sorted(partitions, key=lambda partition: partition != likely)

    def _lost(self, partition: int, from_ms: int, to_ms: int) -> list[Missing]:
        found = []
        with self._store.reading() as session:
            for number, begin, end in self.gaps():
                if number == partition:
                    before, after = index.received_around(session, self.topic, partition, begin)
                    low = from_ms if before is None else max(from_ms, before)
                    high = to_ms if after is None else min(to_ms, after)
                    if low < high:
                        found.append(Missing(low, high, LOST, f"{self.topic}/{partition} offsets {begin} to {end - 1}"))
        return found

    def _archived_to(self, partitions: Sequence[int]) -> int | None:
        with self._store.reading() as session:
            newest = [index.newest_received(session, self.topic, partition) for partition in partitions]
        return max((time for time in newest if time is not None), default=None)

    def _tell(self, chunk: Chunk, error: ChunkDamagedError) -> None:
        alarms.tell(self._store, alarms.DAMAGED, chunk.path, f"{error.code}: {error.why}")


def _feed(payload: Readings, received: int, reductions: dict[str, Reduction]) -> None:
    row = 0
    for tag, count in zip(payload.tags, payload.counts.tolist(), strict=True):
        reduction = reductions.get(tag)
        if reduction is not None:
            here = slice(row, row + count)
            reduction.add(payload.time[here], payload.value[here], payload.quality[here], received)
        row += count


def _concerns(record: LogRecord | Rejected, facility: str) -> bool:
    return record.facility == facility or (isinstance(record, LogRecord) and record.kind in SHARED)


__all__ = ["ArchiveReader", "Column", "Missing", "SeriesReadings"]
