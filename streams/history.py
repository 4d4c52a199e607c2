"""Where the past of a facility stands: in the log, and in the archive what the log's retention has taken."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from rules.errors import ContractError
from rules.records import LogRecord
from streams.codec import SHARED
from streams.dump import open_log

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from rules.records import Rejected
    from streams.settings import KafkaSettings


class HistoryLostError(ContractError):
    """Neither the log nor the archive holds all that a facility was folded from."""

    code: ClassVar[str] = "history_lost"
    action: ClassVar[str] = (
        "Let the worker reach the archive (OFFSITE_STORE_URL, OFFSITE_ARCHIVER_FOLDER), or restore the archive or "
        "offsite.state.v1 from a backup; until then the facility is not evaluated, and its records wait in the log."
    )


class History(Protocol):
    """The past of a partition."""

    def records(
        self, partition: int, facilities: frozenset[str] | None, begin: int, end: int
    ) -> Iterator[LogRecord | Rejected]:
        """Yield the records of these facilities (None: of all), and all ticks and packs, offsets in [begin, end), in order.

        Raises:
            HistoryLostError: some of them are nowhere.
            OffsiteError: broker or store do not answer.
        """


class Archive(Protocol):
    """The archive as `monitor` reads it; `streams` knows only this face of it."""

    places: list[tuple[int, int, int]]
    """Partition, first offset and next offset of what is archived."""

    def gaps(self) -> list[tuple[int, int, int]]:
        """Return the stretches that were lost before they were archived."""

    def records(
        self, facility: str | None = None, partition: int | None = None, from_offset: int = 0
    ) -> Iterator[LogRecord | Rejected]:
        """Yield archived records ordered by (partition, offset)."""


class LogHistory:
    """Reads the log, and in front of it the archive if there is one. Every call opens what it reads: it is rare."""

    def __init__(
        self, kafka: KafkaSettings, topic: str, archive: Callable[[], AbstractContextManager[Archive]] | None = None
    ) -> None:
        self._kafka, self._topic, self._archive = kafka, topic, archive

    def records(
        self, partition: int, facilities: frozenset[str] | None, begin: int, end: int
    ) -> Iterator[LogRecord | Rejected]:
        """As `History.records`."""
        with open_log(self._kafka, self._topic) as log:
            first, behind = log.bounds(partition)
            if behind < end:
                raise HistoryLostError(f"partition {partition}: the log ends at {behind}, {end} is wanted")
            here = max(begin, min(first, end))
            if begin < here:
                yield from self._archived(partition, facilities, begin, here)
            yield from log.records_of(partition, facilities, here, end)
            if here < end and log.bounds(partition)[0] > here:
                raise HistoryLostError(f"partition {partition}: the log dropped records while they were read")

    def _archived(
        self, partition: int, facilities: frozenset[str] | None, begin: int, end: int
    ) -> Iterator[LogRecord | Rejected]:
        wanted = f"partition {partition}: offsets {begin} to {end - 1} are no longer in the log"
        if self._archive is None:
            raise HistoryLostError(f"{wanted}, and no archive is at hand")
        with self._archive() as archive:
            held = [(first, behind) for number, first, behind in archive.places if number == partition]
            if not any(first <= begin and end <= behind for first, behind in held):
                raise HistoryLostError(f"{wanted}, and the archive holds {_offsets(held)}")
            lost = [(b, e) for number, b, e in archive.gaps() if number == partition and b < end and begin < e]
            if lost:
                raise HistoryLostError(f"{wanted}, and the archive lacks {_offsets(lost)}")
            one = next(iter(facilities)) if facilities is not None and len(facilities) == 1 else None
            for record in archive.records(facility=one, partition=partition, from_offset=begin):
                if record.offset >= end:
                    break
                if concerns(record, facilities):
                    yield record


def _offsets(stretches: list[tuple[int, int]]) -> str:
    return ", ".join(f"{first} to {behind - 1}" for first, behind in stretches if first < behind) or "none of them"


def concerns(record: Any, facilities: frozenset[str] | None) -> bool:  # noqa: ANN401 - LogRecord or Rejected
    """Say whether a record is of these facilities, or a tick or packs, which are everybody's; without facilities all are."""
    if facilities is None:
        return True
    return record.facility in facilities or (isinstance(record, LogRecord) and record.kind in SHARED)
