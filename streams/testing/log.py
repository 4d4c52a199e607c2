"""One partition of a topic in memory: offsets, records and control markers, and what each isolation level sees of them."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

CREATE_TIME, APPEND_TIME = 0, 1
"""`timestamp_type` of a record, as Kafka numbers it."""


@dataclass(slots=True)
class Entry:
    """What stands at an offset."""

    offset: int
    timestamp: int
    """Milliseconds since the epoch."""
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    transaction: Transaction | None = None
    control: bool = False
    """A marker that ends a transaction: it takes an offset and no consumer sees it."""


@dataclass(slots=True, eq=False)
class Transaction:
    """One transaction of one producer; open until it is committed or aborted."""

    producer: str
    epoch: int
    committed: bool | None = None
    """None while it is open."""
    places: dict[Partition, None] = field(default_factory=dict)
    """The partitions that it wants to write to; each gets its marker, with rows or without."""
    offsets: dict[str, dict[tuple[str, int], int]] = field(default_factory=dict)
    """Group -> (topic, partition) -> offset that its commit makes visible."""


@dataclass(slots=True, eq=False)
class Partition:
    """One partition."""

    topic: str
    number: int
    append_time: bool = True
    """`message.timestamp.type=LogAppendTime`."""
    compacted: bool = False
    begin: int = 0
    """The first offset that the log still has, as the broker tells it."""
    end: int = 0
    """The offset of the next record."""
    entries: list[Entry] = field(default_factory=list)
    opened: dict[Transaction, int] = field(default_factory=dict)
    """Open transactions that wrote here, and the offset of their first record."""

    def append(
        self,
        rows: Sequence[tuple[bytes | None, bytes | None, tuple[tuple[str, bytes], ...], int | None]],
        now_ms: int,
        transaction: Transaction | None = None,
        *,
        control: bool = False,
    ) -> int:
        """Append (key, value, headers, timestamp) rows as one batch; returns the offset of the first.

        Args:
            rows: what is appended; a timestamp in ms is kept with CreateTime only.
            now_ms: the broker's clock.
            transaction: that they belong to.
            control: they end that transaction.
        """
        first = self.end
        if transaction is not None and transaction.committed is None:
            self.opened.setdefault(transaction, first)
        for key, value, headers, given in rows:
            at = now_ms if self.append_time or given is None else given
            self.entries.append(Entry(self.end, at, key, value, headers, transaction, control))
            self.end += 1
        return first

    @property
    def stable(self) -> int:
        """The last stable offset: of the first record whose transaction is open, else the end."""
        return min(self.opened.values(), default=self.end)

    def limit(self, *, committed: bool) -> int:
        """Return the offset behind the last one that a consumer of this isolation level may read."""
        return self.stable if committed else self.end

    def read(self, position: int, count: int, *, committed: bool) -> tuple[list[Entry], int]:
        """Return up to `count` records from a position on, and where the next fetch begins.

        Control markers are passed over by everybody, aborted records by who reads committed ones.
        """
        limit = self.limit(committed=committed)
        found: list[Entry] = []
        at = position
        for entry in self.entries[bisect_left(self.entries, position, key=_offset) :]:
            if entry.offset >= limit:
                break
            if len(found) == count:
                return found, at
            at = entry.offset + 1
            aborted = entry.transaction is not None and not entry.transaction.committed
            if not entry.control and not (committed and aborted):
                found.append(entry)
        return found, max(position, limit)

    def visible(self) -> list[Entry]:
        """Return every record that who reads committed ones sees."""
        return self.read(self.begin, len(self.entries), committed=True)[0]

    def decided(self) -> list[Entry]:
        """Return every record that is committed, or will be when the markers that are under way are written."""
        return [e for e in self.entries if not e.control and (e.transaction is None or e.transaction.committed)]

    def drop_before(self, offset: int) -> None:
        """Let retention take what stands before an offset."""
        self.begin = max(self.begin, min(offset, self.end))
        del self.entries[: bisect_left(self.entries, self.begin, key=_offset)]

    def compact(self) -> None:
        """Keep the newest committed row of each key, as the log cleaner does up to the last stable offset."""
        newest = {entry.key: entry.offset for entry in self.visible()}
        limit = self.stable
        self.entries = [
            entry
            for entry in self.entries
            if entry.offset >= limit or entry.control or newest.get(entry.key) == entry.offset
        ]


def _offset(entry: Entry) -> int:
    return entry.offset
