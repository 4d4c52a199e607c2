"""Check the whole archive: every file against the index, every record against what was read, and what lies there besides."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlalchemy import select

from monitor.archive import index
from monitor.archive.chunkfile import ALL, PART, ChunkDamagedError, open_chunk
from monitor.archive.index import Selection
from monitor.archive.merge import merged
from monitor.store.tables import ArchiveChunk, ArchiveSpan, ArchiveWaste
from rules.errors import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from monitor.archive.chunkfile import Chunk
    from monitor.archive.index import Span, Unit
    from monitor.archive.merge import Found
    from monitor.store.session import Store

HOLES = 20
"""Offsets without record named per stretch; only where records are missing, for transaction markers leave such too."""


@dataclass(slots=True)
class Report:
    """What was found. `leftovers` are files that count for nothing and are no fault: a crash leaves them."""

    files: int = 0
    records: int = 0
    bytes: int = 0
    faults: list[Fault] = field(default_factory=list)
    leftovers: list[str] = field(default_factory=list)


def verify(store: Store, folder: Path, progress: Callable[[int], None] = lambda _: None) -> Report:
    """Read everything and name every fault; may run while the archiver works. `progress` hears of files done.

    Found are: files that are missing or whose size, hash, header or records are not what the index says; records in a file
    of another facility or hour; offsets that stand twice; records that are missing in what was read without a break;
    offsets of a topic that were dropped before they were archived.
    """
    report = Report()
    with store.reading() as session:
        topics = sorted(session.scalars(select(ArchiveSpan.topic).distinct()))
        stray = session.execute(
            select(ArchiveChunk.topic, ArchiveChunk.partition)
            .distinct()
            .where(~select(ArchiveSpan).where(
                ArchiveSpan.topic == ArchiveChunk.topic, ArchiveSpan.partition == ArchiveChunk.partition
            ).exists())
        ).all()  # fmt: skip
    report.faults += [Fault(f"{t}/{p}", "not_read", "files of a partition that was never read") for t, p in stray]
    for topic in topics:
        with store.reading() as session:
            known = index.spans(session, topic)
        for partition in sorted({span.partition for span in known}):
            _Partition(store, folder, report, progress).check(topic, [s for s in known if s.partition == partition])
    report.leftovers = _leftovers(store, folder)
    return report


class _Partition:
    """Walks one partition."""

    def __init__(self, store: Store, folder: Path, report: Report, progress: Callable[[int], None]) -> None:
        self._store, self._folder, self._report, self._progress = store, folder, report, progress
        self._faults = report.faults

    def check(self, topic: str, spans: list[Span]) -> None:
        partition = spans[0].partition
        where = f"{topic}/{partition}"
        for before, after in itertools.pairwise(spans):
            if before.end < after.begin:
                detail = f"offsets {before.end} to {after.begin - 1} were dropped by Kafka before they were archived"
                self._faults.append(Fault(where, "lost", detail))
        with self._store.reading() as session:
            units = index.units(session, topic, partition, Selection())
        ends = {span.begin: 0 for span in spans}
        holes: list[tuple[int, int, int]] = []
        at, newest = 0, -1
        for offset in self._offsets(units):
            while at < len(spans) and offset >= spans[at].end:
                at += 1
                newest = -1
            # The archiver may have gone on since the spans were read; what is newer is left to the next run.
            if at == len(spans):
                break
            span = spans[at]
            if offset < span.begin:
                self._faults.append(Fault(where, "not_read", f"offset {offset} was never read, but is archived"))
                continue
            if offset <= newest:
                self._faults.append(Fault(where, "twice", f"offset {offset} is archived twice"))
                continue
            if offset > max(newest + 1, span.begin):
                holes.append((span.begin, max(newest + 1, span.begin), offset - 1))
            newest = offset
            ends[span.begin] += 1
        for span in spans:
            if ends[span.begin] != span.records:
                mine = [f"{low}-{high}" for begin, low, high in holes if begin == span.begin][:HOLES]
                detail = (
                    f"{span.records} records were read of offsets {span.begin} to {span.end - 1}, {ends[span.begin]} are there;"
                    f" no record at {', '.join(mine) or 'the end'}"
                )
                self._faults.append(Fault(where, "records_missing", detail))

    def _offsets(self, units: list[Unit]) -> Iterator[int]:
        sources = ((unit.first_offset, lambda unit=unit: self._unit(unit)) for unit in units)
        return (record.offset for record, _ in merged(sources))

    def _unit(self, unit: Unit) -> Iterator[Found]:
        with self._store.reading() as session:
            rows = index.chunks(session, unit)
        return merged((row.first_offset, lambda row=row: self._file(row, unit)) for row in rows)  # type: ignore[misc]  # as above

    def _file(self, chunk: Chunk, unit: Unit) -> Iterator[Found]:
        wrong = 0
        try:
            for record, frame in open_chunk(self._folder, chunk):
                wrong += record.hour_ms != unit.hour_ms or chunk.place.facility not in {ALL, record.facility}
                yield record, frame
        except ChunkDamagedError as error:
            with self._store.reading() as session:
                replaced = not index.is_indexed(session, chunk.path)
            if replaced:  # cut by facility meanwhile: read those files instead
                yield from self._again(unit, chunk)
                return
            self._faults.append(Fault(chunk.path, error.code, error.why))
            return
        self._report.files += 1
        self._report.records += chunk.records
        self._report.bytes += chunk.size
        self._progress(self._report.files)
        if wrong:
            self._faults.append(Fault(chunk.path, "misplaced", f"{wrong} records of another facility or hour"))

    def _again(self, unit: Unit, old: Chunk) -> Iterator[Found]:
        for record, frame in self._unit(unit):
            if old.first_offset <= record.offset <= old.last_offset:
                yield record, frame


def _leftovers(store: Store, folder: Path) -> list[str]:
    there = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    with store.reading() as session:
        waste = set(session.scalars(select(ArchiveWaste.path)))
        there.difference_update(session.scalars(select(ArchiveChunk.path)))
    return sorted(path for path in there if path.partition(PART)[0] not in waste)
