"""Put records into files and the files into the index.

The order is what makes a crash harmless: (1) a transaction names the files that will be written as waste, (2) they are
written and synced, (3) one transaction names them in the index, takes them off the waste and moves the offsets. Whatever
ends between leaves files that count for nothing and are deleted when their time has come.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from sqlalchemy import select

from monitor import amendments
from monitor.archive import index
from monitor.archive.chunkfile import ChunkBuilder, Place, remove_file, write_files
from monitor.archive.merge import UnitReader
from monitor.packs import journal
from monitor.proofs import journal as proofs
from monitor.store.tables import ArchiveSpan, ConsumerOffset
from rules.errors import ContractError
from rules.records import LogRecord, PacksRecord
from streams.topics import LOG

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from sqlalchemy.orm import Session

    from monitor.archive.chunkfile import Chunk, ChunkDamagedError, RawRecord
    from monitor.archive.index import Unit
    from monitor.archive.lease import Tenancy
    from monitor.archive.pending import Pending
    from monitor.store.session import Store

CUT_BYTES = 32 * 1024 * 1024
"""A facility's hour that is larger (before compression) becomes several files."""
PASS_BYTES = 64 * 1024 * 1024
"""Facilities of an hour are cut in several passes when together they are larger."""
RENEW_EVERY = 5_000
WASTE_BATCH = 500


class MovedError(ContractError):
    """The archiver's offsets are not where this process left them."""

    code: ClassVar[str] = "archive_moved"
    action: ClassVar[str] = "Make sure that one archiver runs per store; this one reads the store's state again."
    retriable = True


class Writer:
    """Writes under a lease; every method leaves either all or nothing in the index."""

    def __init__(
        self,
        store: Store,
        folder: Path,
        tenancy: Tenancy,
        clock_ms: Callable[[], int],
        grace_ms: int,
        alive: Callable[[], None] = lambda: None,
    ) -> None:
        """Make a writer; files that are replaced stay `grace_ms` for those who read them just now.

        `alive` is called now and then during long work.
        """
        self._alive = alive
        self._store, self._folder, self._tenancy, self._now, self._grace_ms = store, folder, tenancy, clock_ms, grace_ms

    def flush(self, parts: Sequence[Pending]) -> list[Chunk]:
        """Archive what is in hand of partitions, and move their offsets; returns the files.

        Raises:
            LeaseHeldError: another archiver has taken over.
            MovedError: the offsets have moved meanwhile.
            StoreDownError, OSError: nothing counts; read again from the store's offsets.
        """
        built = [builder.build() for part in parts for builder in part.builders.values()]
        found = [chunk for chunk, _ in built]
        self._write([(chunk.path, blob) for chunk, blob in built])
        with self._store.writing() as session:
            self._tenancy.keep(session)
            for part in parts:
                _move(session, part)
                _note_packs(session, part)
                _note_named(session, part)
            index.add_chunks(session, found)
        for part in parts:
            part.settled()
        return found

    def cut(self, unit: Unit) -> tuple[int, int]:
        """Cut an hour by facility: returns how many files were replaced, and by how many.

        The result depends on the hour's records alone. Nothing changes if it is cut already.

        Raises:
            ChunkDamagedError: a file of the hour is missing or damaged; nothing was changed.
            LeaseHeldError, StoreDownError, OSError: as above.
        """
        with self._store.reading() as session:
            before = index.chunks(session, unit)
        kept = {chunk.path: chunk for chunk in before}
        after: list[Chunk] = []
        for builders in self._passes(unit, before[0].place.cluster if before else ""):
            built = [builder.build() for builder in builders]
            self._write([(chunk.path, blob) for chunk, blob in built if chunk.path not in kept])
            after += [chunk for chunk, _ in built]
        wanted = {chunk.path for chunk in after}
        gone, new = [c for c in before if c.path not in wanted], [c for c in after if c.path not in kept]
        if sum(chunk.records for chunk in before) != sum(chunk.records for chunk in after):
            raise MovedError(f"{unit}: the files before and after do not hold as many records")
        if gone or new:
            with self._store.writing() as session:
                self._tenancy.keep(session)
                if index.drop_chunks(session, unit, gone) != len(gone):
                    raise MovedError(f"{unit}: its files were replaced meanwhile")
                index.add_chunks(session, new)
                index.add_waste(session, [chunk.path for chunk in gone], self._now() + self._grace_ms)
        return len(gone), len(new)

    def clean(self) -> int:
        """Delete files whose time has come; returns how many."""
        with self._store.reading() as session:
            due = index.due_waste(session, self._now(), WASTE_BATCH)
        if not due:
            return 0
        with self._store.writing() as session:
            self._tenancy.keep(session)
            dead = [path for path in due if not index.is_indexed(session, path)]
            for path in due:
                remove_file(self._folder, path, whole=path in dead)
            index.drop_waste(session, due)
        return len(dead)

    def renew(self) -> None:
        """Say that this archiver still works.

        Raises:
            LeaseHeldError: another one has taken over.
        """
        with self._store.writing() as session:
            self._tenancy.keep(session)

    def _write(self, files: Sequence[tuple[str, bytes]]) -> None:
        if files:
            with self._store.writing() as session:
                self._tenancy.keep(session)
                index.add_waste(session, [path for path, _ in files], self._now() + self._grace_ms)
            write_files(self._folder, files)

    def _passes(self, unit: Unit, cluster: str) -> Iterator[list[ChunkBuilder]]:
        sizes: dict[str, int] = {}
        for facility, _, frame in self._records(unit):
            sizes[facility] = sizes.get(facility, 0) + len(frame)
        group: list[str] = []
        held = 0
        for facility in sorted(sizes):
            if group and held + sizes[facility] > PASS_BYTES:
                yield from self._pass(unit, cluster, group)
                group, held = [], 0
            group.append(facility)
            held += sizes[facility]
        if group:
            yield from self._pass(unit, cluster, group)

    def _pass(self, unit: Unit, cluster: str, group: Sequence[str]) -> Iterator[list[ChunkBuilder]]:
        open_builders: dict[str, ChunkBuilder] = {}
        wanted = frozenset(group)
        for facility, record, frame in self._records(unit):
            if facility not in wanted:
                continue
            builder = open_builders.get(facility)
            if builder is not None and builder.raw_bytes + len(frame) > CUT_BYTES:
                yield [open_builders.pop(facility)]
                builder = None
            if builder is None:
                builder = ChunkBuilder(Place(cluster, unit.topic, unit.partition, facility, unit.hour_ms))
                open_builders[facility] = builder
            builder.add(record, frame)
        yield list(open_builders.values())

    def _records(self, unit: Unit) -> Iterator[tuple[str, RawRecord, bytes]]:
        source = UnitReader(self._store, self._folder, _stop)
        for number, (record, frame) in enumerate(source.unit(unit, index.Selection())):
            if number % RENEW_EVERY == 0:
                self._alive()
                if self._tenancy.fading:
                    self.renew()
            yield record.facility, record, frame


def _move(session: Session, part: Pending) -> None:
    """Move the offset of a partition from where this process read on to where it is now."""
    row = session.execute(
        select(ConsumerOffset)
        .where(
            ConsumerOffset.consumer == index.CONSUMER,
            ConsumerOffset.topic == part.topic,
            ConsumerOffset.partition == part.partition,
        )
        .with_for_update()
    ).scalar_one_or_none()
    span = session.scalars(
        select(ArchiveSpan)
        .where(ArchiveSpan.topic == part.topic, ArchiveSpan.partition == part.partition)
        .order_by(ArchiveSpan.begin_offset.desc())
        .limit(1)
    ).first()
    if row is None or span is None or row.cluster != part.cluster or {row.next_offset, span.end_offset} != {part.base}:
        raise MovedError(f"{part.topic}/{part.partition} does not stand at offset {part.base} any more")
    row.next_offset = span.end_offset = part.next
    span.records += part.records


def _note_packs(session: Session, part: Pending) -> None:
    """Note the bundles that came into force: the desk has its rules' texts from there."""
    for raw in part.packs:
        record = raw.decoded(part.partition)
        if part.topic == LOG and isinstance(record, LogRecord) and isinstance(record.payload, PacksRecord):
            journal.note(session, record.partition, record.offset, record.received, record.payload)


def _note_named(session: Session, part: Pending) -> None:
    """Note which uploads marks and amendments name (the desk says which never came), and which readings amendments correct."""
    for raw in part.naming if part.topic == LOG else ():
        record = raw.decoded(part.partition)
        if isinstance(record, LogRecord):
            proofs.note(session, record)
            amendments.note(session, record)


def _stop(_: Chunk, error: ChunkDamagedError) -> None:
    raise error
