"""What Kafka alone holds, into files of the archive's form: state, access, and what of log and changes is not archived yet.

The order matters for a restore: the state first, then the changes, the log last. So every record that a marker counts as
folded is in the archive or in here, and so is every change that a marker counts as published.
Not saved: `offsite.rejected.v1` (notices, 30 days) and the group's offsets (the markers hold them).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from monitor.archive.chunkfile import ALL, Chunk, ChunkBuilder, open_chunk, raw_of
from monitor.archive.chunkfile import Place as ChunkPlace
from monitor.backup.manifest import BackupError, File, Part, Place, private_folder, safe_path, write_whole
from streams.checkpoint import StateLostError, StateRows
from streams.dump import open_log
from streams.topics import ACCESS, ALARMS, HEADS, LOG, LOTS, LOTS_STATE, STATE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from monitor.archive.chunkfile import RawRecord
    from monitor.backup.manifest import Manifest
    from streams.dump import LogReader
    from streams.settings import KafkaSettings

SAVED = (STATE, ACCESS, LOTS_STATE, LOTS, HEADS, ALARMS, LOG)
LATEST = frozenset({STATE, LOTS_STATE, ACCESS})
"""Of these only the newest record of each key means anything."""
PART_BYTES = 32 * 1024 * 1024
ATTEMPTS = 3
Where = tuple[str, int]


class Saver:
    """Writes the parts of one backup; `files`, `parts` and `places` are what the manifest says of them."""

    def __init__(self, folder: Path, name: str, cluster: str) -> None:
        """Name the backup's folder, the folder of the parts in it, and Kafka's cluster id."""
        self._folder, self._name, self._cluster = folder, name, cluster
        self.files: list[File] = []
        self.parts: list[Part] = []
        self.places: list[Place] = []

    def save(self, kafka: KafkaSettings, archived: Mapping[Where, int]) -> None:
        """Save all topics.

        Args:
            kafka: where they are.
            archived: the offset up to which log and changes are archived, by topic and partition.

        Raises:
            BrokerDownError, TopicsError: no broker, or a topic is missing.
            BackupError: the state cannot be read whole: a worker would not start from it either.
        """
        private_folder(self._folder / self._name)
        for topic in SAVED:
            with open_log(kafka, kafka.topic(topic)) as log:
                for partition, begin, end in log.places:
                    since = max(begin, min(archived.get((topic, partition), begin), end))
                    self.places.append(Place(topic=topic, partition=partition, begin=begin, since=since, end=end))
                    if topic in LATEST:
                        self._write(topic, partition, _latest(log, topic, (partition, begin, end)))
                    else:
                        self._write(topic, partition, _raws(log, (partition, since, end)))

    def _write(self, topic: str, partition: int, records: Iterable[RawRecord]) -> None:
        place = ChunkPlace(self._cluster, topic, partition, ALL, 0)
        builder = ChunkBuilder(place)
        for record in records:
            builder.add(record)
            if builder.raw_bytes >= PART_BYTES:
                self._finish(builder)
                builder = ChunkBuilder(place)
        if builder.records:
            self._finish(builder)

    def _finish(self, builder: ChunkBuilder) -> None:
        chunk, blob = builder.build()
        place = chunk.place
        path = f"{self._name}/{place.topic}-{place.partition}-{chunk.first_offset:020d}.zst"
        write_whole(self._folder / path, blob)
        self.files.append(File(path=path, size=chunk.size, sha256=chunk.sha256))
        self.parts.append(
            Part(
                file=path, topic=place.topic, partition=place.partition,
                first_offset=chunk.first_offset, last_offset=chunk.last_offset, records=chunk.records,
            )
        )  # fmt: skip


def records_of(
    folder: Path, manifest: Manifest, files: Mapping[str, File], topic: str, partition: int
) -> Iterator[Any]:
    """Yield the saved records (`RawRecord`) of a partition in the order of their offsets.

    Raises:
        ChunkDamagedError: a file is not what the manifest says.
    """
    for part in sorted(manifest.parts, key=lambda part: part.first_offset):
        if (part.topic, part.partition) == (topic, partition):
            for record, _ in open_chunk(folder, chunk_of(manifest, files, part)):
                yield record


def chunk_of(manifest: Manifest, files: Mapping[str, File], part: Part) -> Chunk:
    """Return a part as the archive's reader takes it."""
    file = files.get(part.file)
    if file is None:
        raise BackupError(f"the list of files does not name {part.file}")
    return Chunk(
        place=ChunkPlace(manifest.cluster or "", part.topic, part.partition, ALL, 0),
        first_offset=part.first_offset, last_offset=part.last_offset, first_received_ms=0, last_received_ms=0,
        first_event_ms=None, last_event_ms=None, records=part.records, size=file.size, sha256=file.sha256,
        path=str(safe_path(part.file)),
    )  # fmt: skip


def state_rows(partition: int, records: Iterable[RawRecord]) -> StateRows:
    """Return the rows of a partition's state as a worker reads them."""
    rows = StateRows(partition)
    for record in records:
        rows.add(record.key, record.value, [(name.decode(), value or b"") for name, value in record.headers])
    return rows


def _raws(log: LogReader, place: tuple[int, int, int]) -> Iterator[RawRecord]:
    return map(raw_of, log.raw(place))


def _latest(log: LogReader, topic: str, place: tuple[int, int, int]) -> list[RawRecord]:
    """Return the newest record of each key, in the order of offsets; what was forgotten is left out.

    Compaction may take a row while it is read, because a newer one came: what is then not whole is read again.
    """
    partition = place[0]
    for attempt in range(1, ATTEMPTS + 1):
        newest: dict[bytes | None, RawRecord] = {}
        for record in _raws(log, place):
            newest[record.key] = record
        found = sorted((r for r in newest.values() if r.value is not None), key=lambda record: record.offset)
        if topic != STATE:
            return found
        try:
            rows = state_rows(partition, found)
            marker = rows.checked_marker(None)
            if marker is not None:
                rows.rostered(marker)
        except StateLostError as error:
            if attempt == ATTEMPTS:
                raise BackupError(f"the state of partition {partition} is not whole: {error}") from error
        else:
            # Hours and days that are damaged in the topic itself stay so: who restores it folds their facility anew.
            if attempt == ATTEMPTS or not rows.damaged():
                return found
        place = (partition, *log.bounds(partition))
    raise AssertionError  # the loop returns or raises
