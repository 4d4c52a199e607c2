"""One assigned partition: its fence, what it still has to publish, its checkpoints.

One transaction is in flight at a time. aiokafka's `commit_transaction` succeeds although a batch failed, so every
future is awaited first; after any failure the producer is never used again and the process ends.
"""

from __future__ import annotations

import asyncio
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING, Any, cast

from aiokafka import AIOKafkaProducer, TopicPartition

from rules.errors import BadInputError
from rules.fitting import change_bytes, fit
from rules.records import PacksRecord, Rejected
from rules.snapshot import SnapshotError
from streams.checkpoint import Marker, Row, encode_marker, marker_key, packs_key, roster_of, snapshot_rows
from streams.rejected import encode_rejected

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rules.changes import Change
    from rules.records import LogRecord
    from streams.fold import Fold
    from streams.halt import Halt
    from streams.restore import Start
    from streams.sensor import Sensor
    from streams.worker_settings import WorkerSettings

TRANSACTION_TIMEOUT_MS = 15_000
"""A dead owner's open transaction hides everybody's later rows of the partition for no longer than this."""
BATCH_BYTES = 768 * 1024
"""`max.message.bytes` bounds the batch too: the smallest topic we write takes 1 MiB."""
REQUEST_BYTES = 8 * 1024 * 1024
TAKE_ROWS = 5_000
TAKE_BYTES = 8 * 1024 * 1024
"""What one transaction of changes carries at most."""


UNPOSITIONED = 1 << 62
"""The stamp of a partition that the consumer was not yet sent to: whatever lies ahead of it came too early."""


class Ledger:
    """What all partitions of this process have folded and not yet published; the agent is held when it is full."""

    def __init__(self, max_rows: int, max_bytes: int) -> None:
        self.rows = 0
        self.bytes = 0
        self._max_rows, self._max_bytes = max_rows, max_bytes
        self._room = asyncio.Event()
        self._room.set()

    def add(self, row: Row) -> None:
        """Count a row that waits."""
        self.rows += 1
        self.bytes += row.size
        if self.rows >= self._max_rows or self.bytes >= self._max_bytes:
            self._room.clear()

    def settle(self, rows: Iterable[Row]) -> None:
        """Count rows as published (or given up with their partition)."""
        for row in rows:
            self.rows -= 1
            self.bytes -= row.size
        if self.rows <= self._max_rows // 2 and self.bytes <= self._max_bytes // 2:
            self._room.set()

    @property
    def full(self) -> bool:
        """Whether the agent has to wait."""
        return not self._room.is_set()

    async def room(self) -> None:
        """Wait until half of it is published."""
        await self._room.wait()


class Tenure:
    """The time for which this process owns a partition of the log."""

    def __init__(
        self,
        partition: int,
        fold: Fold,
        settings: WorkerSettings,
        clients: Mapping[str, Any],
        ledger: Ledger,
        sensor: Sensor,
        halt: Halt,
    ) -> None:
        self.partition = partition
        self.next = 0
        """The next offset of the log to fold."""
        self.checkpointed = -1
        """`next` of the last checkpoint, or -1."""
        self.last_received = 0
        """Receive time of the last record folded, in ms."""
        self.in_flight_since: float | None = None
        """Monotonic begin of the open transaction."""
        self.stamp = UNPOSITIONED
        """Fetches begun before this count of seeks may hold records from elsewhere."""
        self.sought = -1
        """The offset that was last sought again because records were missing before those that came."""
        self.accepts = False
        self._fold, self._settings, self._ledger, self._sensor, self._halt = fold, settings, ledger, sensor, halt
        self._rows: deque[Row] = deque()
        self._packs: dict[str, bytes] = {}
        self._seeded: set[str] = set()
        self._wake = asyncio.Event()
        self._closing = False
        self._task: asyncio.Task[None] | None = None
        self._producer = AIOKafkaProducer(
            **clients,
            transactional_id=f"fold-{settings.log_topic}-{partition}",
            transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
            linger_ms=0,
            max_batch_size=BATCH_BYTES,
            max_request_size=REQUEST_BYTES,
        )

    async def fence(self) -> None:
        """Take the partition: whoever held it before can no longer publish, and what it left open is aborted."""
        await self._producer.start()

    def begin(self, start: Start) -> None:
        """Accept records from where the last checkpoint ended, and publish from now on."""
        self.next = start.next_offset
        self.checkpointed = start.next_offset if start.marked else -1
        if not start.marked:
            # Snapshots and marker name the packs they were folded with: a later release ships others.
            self._remember(self._fold.bundle.to_record())
        self.accepts = True
        self._task = asyncio.create_task(self._run(), name=f"publish-{self.partition}")

    def feed(self, record: LogRecord | Rejected) -> None:
        """Fold one record and keep what it gives for publication; synchronous, so that a checkpoint never cuts it."""
        settings = self._settings
        outcome = record if isinstance(record, Rejected) else self._step(record)
        if isinstance(outcome, Rejected):
            self._add(Row(settings.rejected_topic, None, outcome.facility.encode(), encode_rejected(outcome)))
            self._sensor.rejected(outcome)
        else:
            for change in outcome:
                self._add(Row(settings.alarms_topic, self.partition, change.stream.encode(), change_bytes(fit(change))))
                self._sensor.changed(change)
            self._sensor.folded(cast("LogRecord", record))
        self.next = record.offset + 1
        self.last_received = record.received

    async def close(self) -> None:
        """Take no more records, write the final checkpoint, close the producer."""
        self.accepts = False
        self._closing = True
        self._wake.set()
        if self._task is not None:
            await self._task
        await self._producer.stop()
        self._ledger.settle(self._rows)
        self._rows.clear()

    @property
    def pending(self) -> int:
        """Rows that wait to be published."""
        return len(self._rows)

    def _step(self, record: LogRecord) -> list[Change] | Rejected:
        """Fold a record; packs or state that do not hold what they promise are rejected, and the log goes on."""
        place = (record.partition, record.offset, record.received, record.facility)
        try:
            changes = self._fold.fold(record)
        except BadInputError as error:
            return Rejected(*place, "bad_packs", error.report()[:1000], b"")
        except SnapshotError as error:
            return Rejected(*place, "bad_state", str(error)[:1000], b"")
        if isinstance(record.payload, PacksRecord):
            self._remember(record.payload)
        return changes

    def _remember(self, packs: PacksRecord) -> None:
        self._packs[packs.sha256] = packs.model_dump_json().encode()

    def _add(self, row: Row) -> None:
        self._rows.append(row)
        self._ledger.add(row)
        self._wake.set()

    async def _run(self) -> None:
        try:
            due = monotonic() + self._settings.checkpoint_every_s
            while not self._closing:
                left = due - monotonic()
                if left <= 0:
                    await self._checkpoint()
                    due = monotonic() + self._settings.checkpoint_every_s
                elif self._rows:
                    await self._publish()
                else:
                    self._wake.clear()
                    await _wait(self._wake, left)
            await self._checkpoint()
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever it was, this producer must not be used again
            self._halt(f"partition {self.partition} cannot publish", error)

    async def _publish(self) -> None:
        """Publish changes in a transaction of their own."""
        rows: list[Row] = []
        size = 0
        while self._rows and len(rows) < TAKE_ROWS and size < TAKE_BYTES:
            rows.append(self._rows.popleft())
            size += rows[-1].size
        await self._transact(rows, None)
        self._ledger.settle(rows)

    async def _checkpoint(self) -> None:
        """Write state, marker and group offset in one transaction, with the changes that are still pending."""
        if self.next == self.checkpointed and not self._rows:
            return
        begun = monotonic()
        changes, state, position = self._photograph()
        await self._transact([*changes, *state], position)
        self._ledger.settle(changes)
        self.checkpointed = position
        self._sensor.checkpointed(monotonic() - begun, sum(row.size for row in state))

    def _photograph(self) -> tuple[list[Row], list[Row], int]:
        """Take pending changes, dirty facilities and position as of one instant: nothing is awaited in here."""
        fold, settings, partition = self._fold, self._settings, self.partition
        changes = list(self._rows)
        self._rows.clear()
        state: list[Row] = []
        # A restored facility is clean to the fold, yet no snapshot row of ours holds it.
        for facility in sorted({*fold.dirty(partition), *self._seeded}):
            state += snapshot_rows(
                settings.state_topic, partition, facility, fold.snapshot(facility), settings.snapshot_part_bytes
            )
            fold.clean(facility)
        for sha256, packs in self._packs.items():
            state.append(Row(settings.state_topic, partition, packs_key(sha256), packs))
        self._packs.clear()
        self._seeded.clear()
        facilities = fold.facilities(partition)
        marker = Marker(
            partition=partition,
            next=self.next,
            low=self.next,
            state=fold.partition_state(partition).model_copy(update={"next_offset": self.next}),
            facilities=len(facilities),
            roster=roster_of(facilities),
        )
        state.append(Row(settings.state_topic, partition, marker_key(partition), encode_marker(marker)))
        return changes, state, self.next

    async def _transact(self, rows: list[Row], position: int | None) -> None:
        self.in_flight_since = begun = monotonic()
        await self._producer.begin_transaction()
        sent = [
            await self._producer.send(row.topic, row.value, row.key, partition=row.partition, headers=list(row.headers))
            for row in rows
        ]
        if position is not None:
            place = TopicPartition(self._settings.log_topic, self.partition)
            await self._producer.send_offsets_to_transaction({place: position}, self._settings.group_id)
        for future in sent:
            await future
        await self._producer.commit_transaction()
        self.in_flight_since = None
        self._sensor.transacted(monotonic() - begun, len(rows))


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass
