"""The index of the archive in SQL: which files hold which records, and which offsets have been read.

The smallest thing that changes at once is a unit: one partition's hour. While the hour runs it gains files; when it is
over, all its files are replaced by one per facility in one transaction. So one query of a unit's files is one state of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, func, select

from monitor.archive.chunkfile import ALL, Chunk, Place
from monitor.store.tables import ArchiveChunk, ArchiveSpan, ArchiveWaste, ConsumerOffset

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from sqlalchemy.orm import Session

CONSUMER = "archiver"


@dataclass(frozen=True, slots=True)
class Unit:
    """One partition's hour: the offsets between which its records lie."""

    topic: str
    partition: int
    hour_ms: int
    first_offset: int
    last_offset: int


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a partition's offsets that was read without a break: [begin, end), and the records in it."""

    partition: int
    begin: int
    end: int
    records: int


@dataclass(frozen=True, slots=True)
class Selection:
    """Which files are wanted; None stands for all."""

    facilities: Collection[str] | None = None
    """Facilities whose own files are wanted; files not cut yet are always taken too."""
    received: tuple[int | None, int | None] = (None, None)
    """From (included) and to (left out), ms."""
    events: tuple[int, int] | None = None
    from_offset: int = 0

    def conditions(self) -> list[Any]:
        """Return what a row of the index must meet."""
        found: list[Any] = [ArchiveChunk.last_offset >= self.from_offset] if self.from_offset else []
        if self.facilities is not None:
            found.append(ArchiveChunk.facility.in_([*self.facilities, ALL]))
        begin, end = self.received
        if begin is not None:
            found.append(ArchiveChunk.last_received_ms >= begin)
        if end is not None:
            found.append(ArchiveChunk.first_received_ms < end)
        if self.events is not None:
            found += [ArchiveChunk.last_event_ms >= self.events[0], ArchiveChunk.first_event_ms < self.events[1]]
        return found


def clusters(session: Session) -> set[str]:
    """Return the cluster whose records the archive holds; none while it is empty, more than one is a fault."""
    return set(session.scalars(select(ConsumerOffset.cluster).where(ConsumerOffset.consumer == CONSUMER).distinct()))


def next_offsets(session: Session) -> dict[tuple[str, int], int]:
    """Return where the archiver goes on, by topic and partition."""
    rows = session.scalars(select(ConsumerOffset).where(ConsumerOffset.consumer == CONSUMER))
    return {(row.topic, row.partition): row.next_offset for row in rows}


def spans(session: Session, topic: str) -> list[Span]:
    """Return what has been read of a topic, ordered by (partition, offset)."""
    rows = session.scalars(
        select(ArchiveSpan).where(ArchiveSpan.topic == topic).order_by(ArchiveSpan.partition, ArchiveSpan.begin_offset)
    )
    return [Span(row.partition, row.begin_offset, row.end_offset, row.records) for row in rows]


def units(session: Session, topic: str, partition: int, selection: Selection) -> list[Unit]:
    """Return the hours of a partition that hold selected files, in the order of their first offsets.

    The offsets are of the whole unit, so that they stay what they are when its files are cut anew.
    """
    here = (ArchiveChunk.topic == topic, ArchiveChunk.partition == partition)
    wanted = select(ArchiveChunk.hour_ms).where(*here, *selection.conditions())
    first = func.min(ArchiveChunk.first_offset)
    rows = session.execute(
        select(ArchiveChunk.hour_ms, first, func.max(ArchiveChunk.last_offset))
        .where(*here, ArchiveChunk.hour_ms.in_(wanted))
        .group_by(ArchiveChunk.hour_ms)
        .order_by(first)
    )
    return [Unit(topic, partition, hour, begin, end) for hour, begin, end in rows]


def chunks(session: Session, unit: Unit, selection: Selection | None = None) -> list[Chunk]:
    """Return the files of a unit, in the order of their first offsets."""
    cluster = min(clusters(session), default="")
    rows = session.scalars(
        select(ArchiveChunk)
        .where(*_of(unit), *(selection or Selection()).conditions())
        .order_by(ArchiveChunk.first_offset)
    )
    return [_chunk(row, cluster) for row in rows]


def uncut(session: Session, before_ms: int, limit: int) -> list[Unit]:
    """Return hours that began before an instant and still hold files not cut by facility, oldest first."""
    key = (ArchiveChunk.topic, ArchiveChunk.partition, ArchiveChunk.hour_ms)
    rows = session.execute(
        select(*key, func.min(ArchiveChunk.first_offset), func.max(ArchiveChunk.last_offset))
        .where(ArchiveChunk.facility == ALL, ArchiveChunk.hour_ms < before_ms)
        .group_by(*key)
        .order_by(ArchiveChunk.hour_ms, ArchiveChunk.topic, ArchiveChunk.partition)
        .limit(limit)
    )
    return [Unit(*row) for row in rows]


def partitions_of(session: Session, topic: str, facility: str) -> set[int]:
    """Return the partitions that hold files of a facility: one look into the index per partition."""
    theirs = (
        select(ArchiveChunk.id)
        .where(
            ArchiveChunk.topic == topic,
            ArchiveChunk.partition == ArchiveSpan.partition,
            ArchiveChunk.facility == facility,
        )
        .exists()
    )
    return set(session.scalars(select(ArchiveSpan.partition).where(ArchiveSpan.topic == topic, theirs)))


def newest_received(session: Session, topic: str, partition: int) -> int | None:
    """Return when the newest record of a partition was received; none if there is none."""
    here = (ArchiveChunk.topic == topic, ArchiveChunk.partition == partition)
    hour = session.scalar(select(func.max(ArchiveChunk.hour_ms)).where(*here))
    return session.scalar(select(func.max(ArchiveChunk.last_received_ms)).where(*here, ArchiveChunk.hour_ms == hour))


def received_around(session: Session, topic: str, partition: int, offset: int) -> tuple[int | None, int | None]:
    """Return when the newest record before an offset and the first one from it on were received; none if there is none."""
    here = (ArchiveChunk.topic == topic, ArchiveChunk.partition == partition)
    before = session.scalar(
        select(func.max(ArchiveChunk.last_received_ms)).where(*here, ArchiveChunk.last_offset < offset)
    )
    after = session.scalar(
        select(func.min(ArchiveChunk.first_received_ms)).where(*here, ArchiveChunk.first_offset >= offset)
    )
    return before, after


def add_chunks(session: Session, found: Iterable[Chunk]) -> None:
    """Name files in the index; as waste they are forgotten when their time comes."""
    for chunk in found:
        place = chunk.place
        session.add(
            ArchiveChunk(
                topic=place.topic, partition=place.partition, facility=place.facility, hour_ms=place.hour_ms,
                first_offset=chunk.first_offset, last_offset=chunk.last_offset,
                first_received_ms=chunk.first_received_ms, last_received_ms=chunk.last_received_ms,
                first_event_ms=chunk.first_event_ms, last_event_ms=chunk.last_event_ms,
                records=chunk.records, size=chunk.size, sha256=chunk.sha256, path=chunk.path,
            )
        )  # fmt: skip
    session.flush()


def drop_chunks(session: Session, unit: Unit, found: Iterable[Chunk]) -> int:
    """Take files of a unit out of the index; returns how many stood there."""
    wanted = {chunk.path for chunk in found}
    rows = [row for row in session.scalars(select(ArchiveChunk).where(*_of(unit))) if row.path in wanted]
    for row in rows:
        session.delete(row)
    session.flush()
    return len(rows)


def add_waste(session: Session, paths: Iterable[str], due_ms: int) -> None:
    """Remember files that count for nothing."""
    for path in paths:
        session.merge(ArchiveWaste(path=path, due_ms=due_ms))


def due_waste(session: Session, now_ms: int, limit: int) -> Sequence[str]:
    """Return files that may be deleted now."""
    return session.scalars(
        select(ArchiveWaste.path).where(ArchiveWaste.due_ms <= now_ms).order_by(ArchiveWaste.due_ms).limit(limit)
    ).all()


def drop_waste(session: Session, paths: Iterable[str]) -> None:
    """Forget files that were deleted."""
    session.execute(delete(ArchiveWaste).where(ArchiveWaste.path.in_(list(paths))))


def is_indexed(session: Session, path: str) -> bool:
    """Say whether the index names a file."""
    return session.scalars(select(ArchiveChunk.id).where(ArchiveChunk.path == path)).first() is not None


def _of(unit: Unit) -> tuple[Any, ...]:
    return (
        ArchiveChunk.topic == unit.topic,
        ArchiveChunk.partition == unit.partition,
        ArchiveChunk.hour_ms == unit.hour_ms,
    )


def newest(session: Session, topic: str, partition: int) -> Chunk | None:
    """Return the file that holds the newest archived record of a partition, None if it has none."""
    here = ArchiveChunk.topic == topic, ArchiveChunk.partition == partition
    row = session.scalar(select(ArchiveChunk).where(*here).order_by(ArchiveChunk.last_offset.desc()).limit(1))
    return None if row is None else _chunk(row, min(clusters(session), default=""))


def _chunk(row: ArchiveChunk, cluster: str) -> Chunk:
    return Chunk(
        place=Place(cluster, row.topic, row.partition, row.facility, row.hour_ms),
        first_offset=row.first_offset,
        last_offset=row.last_offset,
        first_received_ms=row.first_received_ms,
        last_received_ms=row.last_received_ms,
        first_event_ms=row.first_event_ms,
        last_event_ms=row.last_event_ms,
        records=row.records,
        size=row.size,
        sha256=row.sha256,
        path=row.path,
    )
