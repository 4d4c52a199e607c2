"""Read what a partition's last checkpoint left, and put the fold back to it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from rules.pack import Bundle
from rules.snapshot import SnapshotError
from streams.checkpoint import LogLostError, StateLostError, StateRows

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from streams.fold import Fold

POLL_MS = 1_000
YIELD_EVERY = 20
"""Snapshots restored between two looks at the event loop."""


@dataclass(frozen=True, slots=True)
class Start:
    """Where a restored partition goes on."""

    next_offset: int
    marked: bool
    """Whether a marker was there; False for a partition that nobody has folded yet."""
    facilities: int
    bytes_read: int


async def read_state(
    clients: Mapping[str, Any], topic: str, partitions: Iterable[int]
) -> tuple[dict[int, StateRows], int]:
    """Return the rows of the state topic for these partitions, read to their end, and the bytes read.

    Reads committed rows only. The positions are explicit: `seek_to_beginning` races and can read nothing.
    """
    rows = {partition: StateRows(partition) for partition in partitions}
    if not rows:
        return {}, 0
    consumer = AIOKafkaConsumer(
        **clients,
        group_id=None,
        enable_auto_commit=False,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=8 * 1024 * 1024,
    )
    await consumer.start()
    read = 0
    try:
        places = [TopicPartition(topic, partition) for partition in sorted(rows)]
        consumer.assign(places)
        begins = await consumer.beginning_offsets(places)
        ends = await consumer.end_offsets(places)
        for place in places:
            consumer.seek(place, begins[place])
        waiting = {place for place in places if begins[place] < ends[place]}
        while waiting:
            batches = await consumer.getmany(*waiting, timeout_ms=POLL_MS)
            for place, records in batches.items():
                state = rows[place.partition]
                for record in records:
                    if record.offset < ends[place]:
                        state.add(record.key, record.value, record.headers)
                        read += len(record.key or b"") + len(record.value or b"")
            waiting = {place for place in waiting if await consumer.position(place) < ends[place]}
    finally:
        await consumer.stop()
    return rows, read


async def log_bounds(clients: Mapping[str, Any], topic: str, partitions: Iterable[int]) -> dict[int, tuple[int, int]]:
    """Return the first and the next offset of each partition of the log."""
    places = [TopicPartition(topic, partition) for partition in partitions]
    if not places:
        return {}
    consumer = AIOKafkaConsumer(**clients, group_id=None, enable_auto_commit=False)
    await consumer.start()
    try:
        begins = await consumer.beginning_offsets(places)
        ends = await consumer.end_offsets(places)
    finally:
        await consumer.stop()
    return {place.partition: (begins[place], ends[place]) for place in places}


async def restore_partition(
    fold: Fold, rows: StateRows, committed: int | None, bounds: tuple[int, int], bytes_read: int = 0
) -> Start:
    """Put the fold back to the marker; a partition without one begins where its log begins.

    Raises:
        StateLostError: the rows are not whole, or a snapshot cannot be restored.
        LogLostError: the log begins after, or ends before, the marker.
    """
    begin, end = bounds
    fold.drop(rows.partition)
    marker = rows.checked_marker(committed)
    if marker is None:
        return Start(begin, marked=False, facilities=0, bytes_read=bytes_read)
    if not begin <= marker.low <= end:
        raise LogLostError(
            f"partition {rows.partition}: the marker wants offset {marker.low}, the log holds {begin} to {end}"
        )
    for record in rows.bundles():
        fold.know(Bundle.from_record(record))
    fold.restore_partition(rows.partition, marker.state)
    for i, facility in enumerate(rows.facilities):
        try:
            fold.restore(rows.partition, facility, rows.snapshot(facility))
        except SnapshotError as error:
            raise StateLostError(f"partition {rows.partition}: {error}") from error
        if i % YIELD_EVERY == YIELD_EVERY - 1:
            await asyncio.sleep(0)
    return Start(marker.low, marked=True, facilities=marker.facilities, bytes_read=bytes_read)
