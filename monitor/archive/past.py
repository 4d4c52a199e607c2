"""All that was of a partition: records of the log and published changes, from the archive and behind it from Kafka."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from monitor.archive.index import Selection
from monitor.archive.reader import ArchiveReader
from streams.dump import open_log
from streams.history import LogHistory
from streams.topics import ALARMS, LOG

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from monitor.store.session import Store
    from rules.records import LogRecord, Rejected
    from streams.settings import KafkaSettings


class Past:
    """Reads both; what Kafka still holds is read there."""

    def __init__(self, kafka: KafkaSettings, store: Store, folder: Path) -> None:
        """Name Kafka, the store with the archive's index, and the archive's folder."""
        self._kafka, self._store, self._folder = kafka, store, folder
        self._history = LogHistory(kafka, kafka.topic(LOG), self._archive)

    @contextmanager
    def _archive(self) -> Iterator[ArchiveReader]:
        yield ArchiveReader(self._store, self._folder)

    def first(self, partition: int) -> int:
        """Return the first offset of the log that either holds."""
        with open_log(self._kafka, self._kafka.topic(LOG)) as log:
            begin = log.bounds(partition)[0]
        begins = [first for number, first, _ in ArchiveReader(self._store, self._folder).places if number == partition]
        return min([begin, *begins])

    def records(self, partition: int, begin: int, end: int) -> Iterator[LogRecord | Rejected]:
        """Yield the records of the log with offsets in [begin, end).

        Raises:
            HistoryLostError: some are in neither.
            ChunkDamagedError: a file of the archive is missing or damaged.
        """
        return self._history.records(partition, None, begin, end)

    def published(self, partition: int) -> Iterator[bytes | None]:
        """Yield every record of the topic of changes, oldest first: what Kafka has dropped, from the archive.

        Raises:
            ChunkDamagedError: a file of the archive is missing or damaged.
        """
        with open_log(self._kafka, self._kafka.topic(ALARMS)) as log:
            begin, end = log.bounds(partition)
            if begin > 0:
                for raw in ArchiveReader(self._store, self._folder, ALARMS).raw(partition, Selection()):
                    if raw.offset < begin:
                        yield raw.value
            for record in log.raw((partition, begin, end)):
                yield record.value
