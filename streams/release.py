"""Fold what was kept of a quarantined facility, beside the partition that goes on, and hand it over where both stand level."""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from itertools import islice
from time import monotonic
from typing import TYPE_CHECKING, Any

from aiokafka import TopicPartition

from rules.records import LogRecord, Rejected
from streams.client_kinds import AIOKAFKA
from streams.codec import SHARED, decode

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping

    from streams.client_kinds import ClientKinds
    from streams.crumbs import Crumbs
    from streams.history import History
    from streams.quarantine import Quarantine
    from streams.tenure import Tenure

POLL_MS = 200
BATCH = 500
YIELD_S = 0.02
_SHARED = {kind.value.encode() for kind in SHARED}
_log = logging.getLogger("offsite.worker")


async def release(
    tenure: Tenure,
    quarantine: Quarantine,
    snapshot: bytes | None,
    crumbs: Crumbs,
    batches: AsyncIterator[Any],
    place: Callable[[LogRecord | Rejected], LogRecord | Rejected] = lambda record: record,
    *,
    of_lots: bool = False,
) -> None:
    """Fold the facility from where it was left, in a fold of its own, until it stands where the partition stands.

    The changes are published as they come, but for those that were before the quarantine; a consumer that knows some of them
    already drops those. Whatever ends the process before the checkpoint behind the hand-over lets all of it begin anew.
    It begins once the partition is back where its marker stood: until then it publishes nothing that it folds.

    Args:
        tenure: of the partition.
        quarantine: what to end.
        snapshot: of the facility as of `quarantine.begin`; None if it has none.
        crumbs: where each record is noted before it is folded: it may kill again.
        batches: records from `quarantine.begin` on, batch by batch, those out of the archive decoded; an empty one means that no
            more are there.
        place: rejects a record that stands in a partition it does not belong into, as when it is folded live.
        of_lots: it is a lot, and the records are those of the topic of lots.
    """
    facility, partition = quarantine.facility, quarantine.partition
    while tenure.accepts and tenure.next < tenure.published:  # noqa: ASYNC110 - the tenure has no such event
        await asyncio.sleep(YIELD_S)
    side = tenure.fold.alone()
    side.stepping = crumbs.step
    side.restore_partition(partition, quarantine.base)
    if snapshot is not None:
        side.restore(partition, facility, snapshot)
    key, began, count = facility.encode(), monotonic(), 0
    async for batch in batches:
        for raw in batch:
            if raw.offset >= tenure.next or not tenure.accepts:
                break
            archived = isinstance(raw, LogRecord | Rejected)
            shared = isinstance(raw, LogRecord) and raw.kind in SHARED if archived else _kind(raw) in _SHARED
            if not shared and (raw.facility != facility if archived else raw.key != key):
                continue
            if raw.offset not in tenure.ward.watch.skipped:
                crumbs.enter(partition, raw.offset)
                tenure.follow(
                    side,
                    place(
                        raw if archived
                        else decode(
                            partition, raw.offset, raw.timestamp, raw.key, raw.headers, raw.value, of_lots=of_lots
                        )
                    ),
                    shared=shared,
                    known=raw.offset < quarantine.published,
                )  # fmt: skip
                crumbs.leave(partition)
                count += not shared
            if monotonic() - began > YIELD_S:
                await tenure.room()
                began = monotonic()
        else:
            if batch:
                continue
        # Nothing is awaited from here on: the partition cannot move on while the facility is handed over.
        if tenure.accepts:
            tenure.take_over(facility, side)
            _log.warning("partition %d: %s is folded again; %d records were kept", partition, facility, count)
        return


def _kind(raw: Any) -> object:  # noqa: ANN401 - aiokafka's record
    return dict(raw.headers).get("kind")


async def kept_from(
    past: History,
    facility: str,
    first: int,
    partition: int,
    begin: int,
    log: Callable[[int], AsyncGenerator[Iterable[Any]]],
) -> AsyncGenerator[Iterable[Any]]:
    """Yield what is kept of a facility, and everybody's: out of the archive up to where the log begins, then the log.

    Args:
        past: log and archive.
        facility: whose records.
        first: where the log begins.
        partition: of the log.
        begin: from here on.
        log: gives the log's records from an offset on.

    Raises:
        HistoryLostError: the archive has not all of it.
        LookupError: the log no longer holds what it held.
    """
    if begin < first:
        records = past.records(partition, frozenset({facility}), begin, first)
        while batch := await asyncio.to_thread(lambda: list(islice(records, BATCH))):
            yield batch
    async with aclosing(log(max(begin, first))) as batches:
        async for found in batches:
            yield found


async def batches_from(
    clients: Mapping[str, Any],
    topic: str,
    partition: int,
    begin: int,
    until: Callable[[], int],
    kinds: ClientKinds = AIOKAFKA,
) -> AsyncGenerator[Iterable[Any]]:
    """Yield the committed records of a partition from `begin`; an empty batch once `until` is reached.

    Raises:
        LookupError: the log no longer holds them.
    """
    consumer = kinds.consumer(
        **clients,
        group_id=None,
        enable_auto_commit=False,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=8 * 1024 * 1024,
    )
    try:
        await consumer.start()
        place = TopicPartition(topic, partition)
        consumer.assign([place])
        first = (await consumer.beginning_offsets([place]))[place]
        if first > begin:
            raise LookupError(f"the log begins at offset {first}, what was kept begins at {begin}")
        consumer.seek(place, begin)
        while True:
            found = (await consumer.getmany(place, timeout_ms=POLL_MS, max_records=BATCH)).get(place, [])
            if found:
                yield found
            elif await consumer.position(place) >= until():
                yield []
            await asyncio.sleep(0)
    finally:
        await consumer.stop()


async def first_at(
    clients: Mapping[str, Any], topic: str, partition: int, begin: int, end: int, kinds: ClientKinds = AIOKAFKA
) -> int | None:
    """Return the offset of the first record from `begin` on and before `end`, by a consumer of its own; None if there is none.

    Raises:
        LookupError: the log no longer holds `begin`.
    """
    async with aclosing(batches_from(clients, topic, partition, begin, lambda: end, kinds)) as batches:
        async for batch in batches:
            return next((int(raw.offset) for raw in batch if raw.offset < end), None)
    return None


async def record_at(
    clients: Mapping[str, Any], topic: str, partition: int, offset: int, kinds: ClientKinds = AIOKAFKA
) -> Any:  # noqa: ANN401 - aiokafka's record
    """Return the record at an offset, undecoded, or None if there is none any more."""
    try:
        async for batch in batches_from(clients, topic, partition, offset, lambda: offset + 1, kinds):
            for raw in batch:
                return raw if raw.offset == offset else None
            return None
    except LookupError:
        return None


async def notes_of(
    clients: Mapping[str, Any],
    topic: str,
    partitions: Iterable[int],
    is_note: Callable[[str], object],
    kinds: ClientKinds = AIOKAFKA,
) -> dict[int, dict[str, bytes]]:
    """Return the rows of the state topic whose keys `is_note` knows, by partition; snapshots are passed over unread."""
    found: dict[int, dict[str, bytes]] = {}
    for partition in partitions:
        notes = found.setdefault(partition, {})
        consumer = kinds.consumer(
            **clients, group_id=None, enable_auto_commit=False, isolation_level="read_committed",
            auto_offset_reset="earliest",
        )  # fmt: skip
        try:
            await consumer.start()
            place = TopicPartition(topic, partition)
            consumer.assign([place])
            begin = (await consumer.beginning_offsets([place]))[place]
            end = (await consumer.end_offsets([place]))[place]
            consumer.seek(place, begin)
            while await consumer.position(place) < end:
                for raw in (await consumer.getmany(place, timeout_ms=POLL_MS)).get(place, []):
                    name = (raw.key or b"").decode("latin-1")
                    if is_note(name):
                        if raw.value is None:
                            notes.pop(name, None)
                        else:
                            notes[name] = raw.value
        finally:
            await consumer.stop()
    return found
