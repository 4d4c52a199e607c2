"""What has been read of the topics and is not archived yet, in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from monitor.archive.chunkfile import ALL, ChunkBuilder, Place
from rules.records import Kind

if TYPE_CHECKING:
    from monitor.archive.chunkfile import RawRecord

_TICK = Kind.TICK.value.encode()
_PACKS = Kind.PACKS.value.encode()
_NAMING = (Kind.MARK.value.encode(), Kind.REPORT.value.encode())


@dataclass(slots=True)
class Pending:
    """One partition's records from `base` on; `next` is the offset behind the last one read."""

    cluster: str
    topic: str
    partition: int
    base: int
    next: int
    since: float = 0.0
    """When the oldest record was read, by the caller's clock in seconds."""
    only_ticks: bool = True
    builders: dict[int, ChunkBuilder] = field(default_factory=dict)
    packs: list[RawRecord] = field(default_factory=list)
    """Records of kind `packs` in hand: the store notes them."""
    naming: list[RawRecord] = field(default_factory=list)
    """Marks and reports in hand that may name an upload or correct readings: the store notes it."""

    @property
    def raw_bytes(self) -> int:
        """Bytes of the records in hand."""
        return sum(builder.raw_bytes for builder in self.builders.values())

    @property
    def records(self) -> int:
        """Records in hand."""
        return sum(builder.records for builder in self.builders.values())

    def add(self, record: RawRecord, now_s: float) -> None:
        """Take the next record of the partition."""
        if not self.builders:
            self.since = now_s
        hour = record.hour_ms
        builder = self.builders.get(hour)
        if builder is None:
            builder = ChunkBuilder(Place(self.cluster, self.topic, self.partition, ALL, hour))
            self.builders[hour] = builder
        builder.add(record)
        self.next = max(self.next, record.offset + 1)
        kind = record.header(b"kind")
        self.only_ticks = self.only_ticks and kind == _TICK
        if kind == _PACKS:
            self.packs.append(record)
        elif may_name(record):
            self.naming.append(record)

    def passed(self, next_offset: int) -> None:
        """Note offsets that hold nothing for readers: transaction markers, aborted records."""
        self.next = max(self.next, next_offset)

    def settled(self) -> None:
        """Forget what is archived now."""
        self.base, self.builders, self.packs, self.only_ticks = self.next, {}, [], True
        self.naming = []


def may_name(record: RawRecord) -> bool:
    """Say whether a record may name an upload or correct readings, without decoding it."""
    value = record.value or b""
    return record.header(b"kind") in _NAMING and (b'"proof"' in value or b'"amendment"' in value)
