"""The changes of condition in the archive: by stream and seq, as the desk reads them out of Kafka."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from monitor.alarms.incoming import Incoming, Read, read
from monitor.archive.index import Selection
from monitor.archive.reader import ArchiveReader
from rules.models import is_facility_id
from streams.topics import ALARMS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from monitor.archive.chunkfile import Chunk, ChunkDamagedError, RawRecord
    from monitor.store.session import Store


class ArchivedChanges:
    """What was archived of the topic of changes when this was made; not thread-safe.

    Records of a file that is missing or damaged are not given: operators are told, and `damaged` names it.
    """

    def __init__(self, store: Store, folder: Path) -> None:
        """Open the archive.

        Raises:
            StoreDownError: the store does not answer.
        """
        self._reader = ArchiveReader(store, folder, ALARMS)
        self.damaged: dict[str, str] = {}

    def stream(self, stream: str, from_offset: int = 0) -> Iterator[Read]:
        """Give the records of one stream in the order in which they were published; a repeat comes twice."""
        # A stream of lots has no files of its own: it lies with what belongs to the partition.
        owner = stream if is_facility_id(stream) else ""
        key = stream.encode()
        for partition in self._reader.likely_first(stream):
            found = False
            for raw in self._raw(partition, Selection((owner,), from_offset=from_offset)):
                if raw.key == key:
                    found = True
                    yield read(Incoming(partition, raw.offset, raw.value))
            if found:  # a key has one partition
                return

    def all(self) -> Iterator[Read]:
        """Give every record, ordered by (partition, offset)."""
        for partition, *_ in self._reader.places:
            yield from self.between(partition, 0, 1 << 62)

    def between(self, partition: int, begin: int, end: int) -> Iterator[Read]:
        """Give the records of a partition's offsets from `begin` up to but not `end`."""
        for raw in self._raw(partition, Selection(from_offset=begin)):
            if raw.offset >= end:
                return
            yield read(Incoming(partition, raw.offset, raw.value))

    def _raw(self, partition: int, selection: Selection) -> Iterator[RawRecord]:
        def left_out(chunk: Chunk, error: ChunkDamagedError) -> None:
            self.damaged[chunk.path] = error.why

        return self._reader.raw(partition, selection, left_out)

    def covers(self, partition: int, begin: int, end: int) -> bool:
        """Say whether all offsets from `begin` up to but not `end` were archived."""
        return any(s.partition == partition and s.begin <= begin and s.end >= end for s in self._reader.spans)


@dataclass(slots=True)
class Seqs:
    """The seqs of one stream that were seen, as few stretches as they make."""

    stretches: list[list[int]] = field(default_factory=list)

    def add(self, seq: int) -> None:
        """Note a seq.

        >>> seen = Seqs()
        >>> for seq in (1, 2, 5, 4, 2, 9): seen.add(seq)
        >>> seen.stretches, seen.missing()
        ([[1, 2], [4, 5], [9, 9]], [(3, 3), (6, 8)])
        """
        at = len(self.stretches)
        while at and self.stretches[at - 1][0] > seq:
            at -= 1
        if at and seq <= self.stretches[at - 1][1]:
            return
        joins_left = at > 0 and self.stretches[at - 1][1] == seq - 1
        joins_right = at < len(self.stretches) and self.stretches[at][0] == seq + 1
        if joins_left and joins_right:
            self.stretches[at - 1][1] = self.stretches.pop(at)[1]
        elif joins_left:
            self.stretches[at - 1][1] = seq
        elif joins_right:
            self.stretches[at][0] = seq
        else:
            self.stretches.insert(at, [seq, seq])

    @property
    def newest(self) -> int:
        """The highest seq; 0 if there is none."""
        return self.stretches[-1][1] if self.stretches else 0

    def missing(self, up_to: int | None = None) -> list[tuple[int, int]]:
        """Return the stretches from 1 on that are not there, up to the newest seq or the one given."""
        found, wanted = [], 1
        for begin, end in [*self.stretches, [(up_to or 0) + 1, up_to or 0]]:
            if begin > wanted:
                found.append((wanted, begin - 1))
            wanted = max(wanted, end + 1)
        return found
