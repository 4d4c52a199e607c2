"""Make the index of the archive anew out of its files: for a store that was lost, or is older than the files.

Every file says in its name and header where it belongs, and its hash says whether it is whole. Files of one hour can say
the same thing twice: those that were replaced lie there for a while, and a crash leaves some that never counted. Of each
hour those files are taken that hold every offset once. What that leaves over is waste.
"""

from __future__ import annotations

import itertools
import time
from bisect import bisect_left
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from sqlalchemy import delete, select

from monitor.archive import index
from monitor.archive.chunkfile import ALL, ChunkDamagedError, inspect_file
from monitor.archive.takeover import OtherClusterError
from monitor.store.tables import ArchiveChunk, ArchiveSpan, ArchiveWaste, ConsumerOffset, Lease
from rules.errors import ContractError, Fault
from streams.topics import LOG

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from pathlib import Path

    from sqlalchemy.orm import Session

    from monitor.archive.chunkfile import Chunk, RawRecord
    from monitor.store.session import Store

    Heard = Callable[[str, int, RawRecord], None]
    Span = tuple[int, int]
    Stretch = tuple[int, int, int]
    InKafka = Callable[[str, int, int, int], tuple[int, Collection[int]]]

MAX_FILE = 1 << 30
SUFFIX = ".zst"
GRACE_MS = 600_000


class ArchiverRunsError(ContractError):
    """An archiver is at work on the store."""

    code: ClassVar[str] = "archiver_runs"
    action: ClassVar[str] = "Stop it; its lease ends within OFFSITE_ARCHIVER_LEASE_S."


@dataclass(slots=True)
class Reindexed:
    """What was found."""

    files: int = 0
    records: int = 0
    clusters: set[str] = field(default_factory=set)
    waste: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    """Damaged files, and hours whose files contradict each other."""
    gaps: list[tuple[str, int, int, int]] = field(default_factory=list)
    """Topic, partition and offsets [begin, end) that may have held records and that no file holds."""
    held: dict[tuple[str, int], list[Span]] = field(default_factory=dict)
    """Offsets [begin, end) that the files hold, by topic and partition."""


def reindex(
    store: Store,
    folder: Path,
    *,
    kafka: InKafka = lambda _topic, _partition, _begin, end: (end, ()),
    hear: Heard = lambda *_: None,
    tell: Callable[[int], None] = lambda _: None,
) -> Reindexed:
    """Replace the index by what the files say, in one transaction; the archiver goes on where they end.

    Args:
        store: whose index it is.
        folder: of the archive; read whole, not changed.
        kafka: returns of topic, partition and offsets [begin, end) from where on Kafka still holds them, and which of them
            hold a record; if not given, Kafka holds none.
        hear: is given every record, with its topic and partition, in no order across hours.
        tell: hears of files done.

    Raises:
        ArchiverRunsError: an archiver is at work.
        OtherClusterError: the files are of several clusters.
    """
    found = Reindexed()
    chosen: list[Chunk] = []
    for paths in _units(folder):
        kept = _choose(folder, paths, found, hear)
        chosen += kept
        found.files += len(kept)
        tell(found.files)
    found.records = sum(chunk.records for chunk in chosen)
    if len(found.clusters) > 1:
        raise OtherClusterError(f"the files are of the clusters {', '.join(sorted(found.clusters))}")
    now = time.time_ns() // 1_000_000
    with store.writing() as session:
        busy = session.scalars(select(Lease).where(Lease.name == "archiver", Lease.until_ms > now)).first()
        if busy is not None:
            raise ArchiverRunsError(f"archiver {busy.holder} is at work on the store")
        before = _before(session)
        for table in (ArchiveChunk, ArchiveSpan, ArchiveWaste):
            session.execute(delete(table))
        session.execute(delete(ConsumerOffset).where(ConsumerOffset.consumer == index.CONSUMER))
        index.add_chunks(session, chosen)
        index.add_waste(session, found.waste, now + GRACE_MS)
        _add_spans(session, chosen, found, kafka, before)
    return found


def _units(folder: Path) -> Iterator[list[str]]:
    """Yield the files of each partition's hour, as their places say it."""
    units: dict[tuple[str, ...], list[str]] = {}
    for path in folder.rglob(f"*{SUFFIX}"):
        parts = path.relative_to(folder).parts
        if len(parts) == 7:  # noqa: PLR2004 - topic, partition, owner, year, month, day, name
            units.setdefault((*parts[:2], *parts[3:6], parts[6][:2]), []).append("/".join(parts))
    for unit in sorted(units):
        yield sorted(units[unit])


def _choose(folder: Path, paths: list[str], found: Reindexed, hear: Heard) -> list[Chunk]:
    """Return the files that hold every offset of the hour once."""
    chunks: list[tuple[Chunk, set[int]]] = []
    records: dict[int, RawRecord] = {}
    for path in paths:
        try:
            chunk, held = inspect_file(folder, path, MAX_FILE)
        except ChunkDamagedError as error:
            found.faults.append(Fault(path, error.code, error.why))
            continue
        found.clusters.add(chunk.place.cluster)
        chunks.append((chunk, {record.offset for record in held}))
        records |= {record.offset: record for record in held}
    if not chunks:
        return []
    topic, partition = chunks[0][0].place.topic, chunks[0][0].place.partition
    found.held.setdefault((topic, partition), []).extend(_spans_of(set(records)))
    for offset in sorted(records):
        hear(topic, partition, records[offset])
    # Cut by facility first, for that is what an hour ends as; else as it was before the cut.
    for cut_first in (True, False):
        kept, covered = _disjoint(chunks, cut_first=cut_first)
        if covered == set(records):
            wanted = {chunk.path for chunk in kept}
            found.waste += [chunk.path for chunk, _ in chunks if chunk.path not in wanted]
            return kept
    found.faults.append(Fault(paths[0], "ambiguous", f"{len(chunks)} files of this hour contradict each other"))
    found.held[topic, partition] = found.held[topic, partition][: -len(_spans_of(set(records)))]
    return []


def _disjoint(chunks: list[tuple[Chunk, set[int]]], *, cut_first: bool) -> tuple[list[Chunk], set[int]]:
    """Take files, those with more records first, as long as they hold no offset that is taken."""
    order = sorted(
        chunks, key=lambda item: ((item[0].place.facility == ALL) == cut_first, -item[0].records, item[0].path)
    )
    kept: list[Chunk] = []
    covered: set[int] = set()
    for chunk, offsets in order:
        if covered.isdisjoint(offsets):
            kept.append(chunk)
            covered |= offsets
    return sorted(kept, key=lambda chunk: chunk.first_offset), covered


def _before(session: Session) -> dict[tuple[str, int], tuple[list[Stretch], int]]:
    """Return what the index said so far: of each partition the stretches that were read, and where the archiver stood."""
    offsets = index.next_offsets(session)
    found: dict[tuple[str, int], tuple[list[Stretch], int]] = {}
    for row in session.scalars(select(ArchiveSpan).order_by(ArchiveSpan.begin_offset)):
        where = (row.topic, row.partition)
        found.setdefault(where, ([], offsets.get(where, 0)))[0].append((row.begin_offset, row.end_offset, row.records))
    return found


def _add_spans(
    session: Session,
    chosen: list[Chunk],
    found: Reindexed,
    kafka: InKafka,
    before: Mapping[tuple[str, int], tuple[list[Stretch], int]],
) -> None:
    """Say what was read without a break, in stretches as long as nothing is lost between, and where the archiver goes on.

    Where the index so far counts exactly the records that the files hold, it knows more than they do: which offsets behind and
    between them were read and held nothing.
    """
    clusters = {(c.place.topic, c.place.partition): c.place.cluster for c in chosen}
    for (topic, partition), cluster in sorted(clusters.items()):
        held = _merged(found.held[topic, partition])
        said, stood = before.get((topic, partition), ([], 0))
        count = sum(end - begin for begin, end in held)
        if sum(records for *_, records in said) == count and _covers(said, held) and stood == said[-1][1]:
            found.gaps += [(topic, partition, a[1], b[0]) for a, b in itertools.pairwise(said) if a[1] < b[0]]
            _write(session, (topic, partition), cluster, said, stood)
            continue
        lost = _lost(topic, partition, held, kafka)
        found.gaps += [(topic, partition, begin, end) for begin, end in lost]
        stretches: list[Stretch] = []
        for begin, end in held:
            if stretches and (stretches[-1][1], begin) not in lost:
                first, _, records = stretches.pop()
                stretches.append((first, end, records + end - begin))
            else:
                stretches.append((begin, end, end - begin))
        _write(session, (topic, partition), cluster, stretches, held[-1][1])


def _covers(said: list[Stretch], held: list[Span]) -> bool:
    """Say whether every stretch of records lies within one that was read."""
    return all(any(low <= begin and end <= high for low, high, _ in said) for begin, end in held)


def _write(session: Session, where: tuple[str, int], cluster: str, stretches: list[Stretch], stands: int) -> None:
    topic, partition = where
    for begin, end, records in stretches:
        session.add(ArchiveSpan(topic=topic, partition=partition, begin_offset=begin, end_offset=end, records=records))
    session.add(
        ConsumerOffset(
            consumer=index.CONSUMER, topic=topic, partition=partition, cluster=cluster, next_offset=stands
        )
    )  # fmt: skip


def _lost(topic: str, partition: int, held: list[Span], kafka: InKafka) -> set[Span]:
    """Return the stretches between those held that may have held records.

    Transaction markers take offsets too. Kafka says which offsets hold nothing, as far back as it goes. Farther back a hole
    in the log counts as lost; between changes, which are all published in transactions, their seqs say what is missing.
    """
    holes = {(a[1], b[0]) for a, b in itertools.pairwise(held)}
    if not holes:
        return holes
    begins, there = kafka(topic, partition, min(holes)[0], max(holes)[1])
    places = sorted(there)
    lost = set()
    for begin, end in holes:
        at = bisect_left(places, begin)
        if begin < begins:
            if topic == LOG:
                lost.add((begin, end))
        elif at < len(places) and places[at] < end:
            lost.add((begin, end))
    return lost


def _merged(spans: list[Span]) -> list[Span]:
    """Return stretches [begin, end) as few as they make, in order."""
    merged: list[Span] = []
    for begin, end in sorted(spans):
        if merged and merged[-1][1] == begin:
            merged[-1] = (merged[-1][0], end)
        else:
            merged.append((begin, end))
    return merged


def _spans_of(offsets: set[int]) -> list[Span]:
    """Return the stretches that offsets make.

    >>> _spans_of({3, 1, 2, 7})
    [(1, 4), (7, 8)]
    """
    return _merged([(offset, offset + 1) for offset in offsets])
