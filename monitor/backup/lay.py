"""Lay log and changes into a new, empty Kafka at the offsets that they had, so that everything that counts offsets stays right.

The new cluster has the id of the lost one. What was archived is not laid again: a partition begins where the archive ends,
and the workers' rebuild reads the archive. In front of it fillers take the offsets and are deleted; between records, offsets
that held none for readers (transaction markers, aborted records) are made the same way as the first time: by transactions.
Receive times stay: the log takes the producer's times while it is laid.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, ClassVar

from aiokafka import AIOKafkaProducer
from kafka import TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType

from monitor.backup.kafkaparts import records_of
from monitor.backup.storecopy import NotEmptyError
from rules.errors import ContractError
from streams import admin
from streams.batches import HeaderName
from streams.dump import open_log
from streams.topics import ALARMS, BATCH_OVERHEAD, HEADS, LOG, LOTS, LOTS_STATE, RECORD_BYTES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
    from pathlib import Path

    from aiokafka.structs import RecordMetadata

    from monitor.archive.chunkfile import RawRecord
    from monitor.backup.manifest import File, Manifest
    from streams.dump import LogReader
    from streams.settings import KafkaSettings

TOPICS = (LOTS, HEADS, ALARMS, LOG)
FILL = 10_000
"""Fillers under way at once."""
MARKER_S = 60.0
"""A marker that does not stand by then will not come."""
TIMESTAMPS = "message.timestamp.type"


class OtherClusterError(ContractError):
    """The new Kafka has another cluster id than the lost one."""

    code: ClassVar[str] = "other_cluster"
    action: ClassVar[str] = (
        "Format its storage with the id of the lost cluster (`kafka-storage format -t ID`): offsets in store and archive are of that one."
    )


class LaidElsewhereError(ContractError):
    """A record did not get the offset that it had."""

    code: ClassVar[str] = "laid_elsewhere"
    action: ClassVar[str] = "Stop everything that writes to Kafka, delete the topics, create them, and run it again."


@dataclass(slots=True)
class Laid:
    """What was done; by topic and partition the first offset and the one behind the last."""

    places: dict[tuple[str, int], tuple[int, int]] = field(default_factory=dict)
    records: int = 0


async def lay_topics(
    kafka: KafkaSettings,
    folder: Path,
    manifest: Manifest,
    files: Mapping[str, File],
    stands: Mapping[tuple[str, int], int],
) -> Laid:
    """Lay what the backup holds of the topics; returns where each partition begins and ends now.

    Args:
        kafka: the new cluster, its topics made, nothing in them, nobody at work.
        folder: of the backup.
        manifest: its manifest.
        files: its files by path.
        stands: where the archive ends, by topic and partition, in the store as it is now.

    Raises:
        OtherClusterError, NotEmptyError, TopicsError: Kafka is not as it should be; nothing was laid.
        LaidElsewhereError: somebody else wrote in between.
        ChunkDamagedError: a file of the backup is not what the manifest says.
    """
    admin.ensure_ready(kafka)
    found = str(admin.describe(kafka)["cluster_id"])
    if found != manifest.cluster:
        raise OtherClusterError(f"Kafka is cluster {found}, the backup is of {manifest.cluster}")
    for topic in (*TOPICS, LOTS_STATE):
        with open_log(kafka, kafka.topic(topic)) as log:
            full = [partition for partition, _, end in log.places if end > 0]
        if full:
            raise NotEmptyError(f"{kafka.topic(topic)} holds or held records in partition {full[0]}")
    laid = Laid()
    _stamp(kafka, "CreateTime")
    try:
        for place in manifest.places:
            if place.topic not in TOPICS:
                continue
            where = (place.topic, place.partition)
            start = max(place.since, stands.get(where, 0))
            wanted = (r for r in records_of(folder, manifest, files, *where) if r.offset >= start)
            end = max(start, place.end)
            laid.records += await _lay(kafka, where, start, end, wanted)
            laid.places[where] = (start, end)
        for place in manifest.places:
            if place.topic == LOTS_STATE:
                await _put(kafka, place.partition, records_of(folder, manifest, files, LOTS_STATE, place.partition))
    finally:
        _stamp(kafka, "LogAppendTime")
    admin.ensure_ready(kafka)
    return laid


async def _put(kafka: KafkaSettings, partition: int, rows: Iterable[RawRecord]) -> None:
    """Write the state of lots: its markers count offsets of the topic of lots, which are what they were; its own mean nothing."""
    async with _producer(kafka) as plain:
        sent = [await _record(plain, kafka.topic(LOTS_STATE), partition, row) for row in rows]
        for future in sent:
            await future


async def _lay(kafka: KafkaSettings, where: tuple[str, int], start: int, end: int, records: Iterable[RawRecord]) -> int:
    topic, partition = kafka.topic(where[0]), where[1]
    async with _producer(kafka) as plain, _producer(kafka, f"lay-{topic}-{partition}") as fenced:
        with open_log(kafka, topic) as log:
            runs = list(_runs(records))
            first = runs[0][0].offset if runs else end
            await _fill(plain, topic, partition, start - (first - start == 1))
            if first - start == 1:  # one offset without a record: the marker behind the last filler
                await _transact(fenced, topic, partition, None)
                await _stands(log, partition, first)
            if start > 0:
                with admin.admin_client(kafka) as client:
                    client.delete_records({TopicPartition(topic, partition): start})
            if first - start > 1:
                await _abort(fenced, topic, partition, first - start - 1)
                await _stands(log, partition, first)
            count = 0
            for run, behind in zip(runs, [*(after[0].offset for after in runs[1:]), end], strict=False):
                hole = behind - run[-1].offset - 1
                if hole == 1:
                    await _transact(fenced, topic, partition, run)
                else:
                    await _send(plain, topic, partition, run)
                if hole > 1:
                    await _abort(fenced, topic, partition, hole - 1)
                await _stands(log, partition, behind)
                count += len(run)
            begins, ends = log.bounds(partition)
    if (begins, ends) != (start, end):
        raise LaidElsewhereError(f"{topic}/{partition} is {begins} to {ends}, not {start} to {end}")
    return count


async def _stands(log: LogReader, partition: int, end: int) -> None:
    """Wait until a partition reaches to an offset: a transaction's marker is written after its end is confirmed.

    What is sent meanwhile would take the marker's offset.
    """
    try:
        async with asyncio.timeout(MARKER_S):
            while log.bounds(partition)[1] < end:  # noqa: ASYNC110 - Kafka tells nobody
                await asyncio.sleep(0.01)
    except TimeoutError as error:
        raise LaidElsewhereError(f"partition {partition} does not reach offset {end}") from error


def _runs(records: Iterable[RawRecord]) -> Iterator[list[RawRecord]]:
    """Yield records without a hole between them."""
    for _, group in groupby(enumerate(records), lambda item: item[1].offset - item[0]):
        yield [record for _, record in group]


async def _fill(producer: AIOKafkaProducer, topic: str, partition: int, count: int) -> None:
    """Take the first offsets of a partition; what stands there is deleted before anybody reads."""
    for begin in range(0, count, FILL):
        sent = [await producer.send(topic, b"", partition=partition) for _ in range(min(FILL, count - begin))]
        for future in sent:
            await future


async def _transact(producer: AIOKafkaProducer, topic: str, partition: int, run: list[RawRecord] | None) -> None:
    """Send records, or one filler, and behind them the marker of a transaction."""
    await producer.begin_transaction()
    if run is None:
        await (await producer.send(topic, b"", partition=partition))
    else:
        await _send(producer, topic, partition, run)
    await producer.commit_transaction()


async def _abort(producer: AIOKafkaProducer, topic: str, partition: int, count: int) -> None:
    """Take offsets that hold no record for readers: so many aborted ones, and the marker behind them."""
    await producer.begin_transaction()
    for future in [await producer.send(topic, b"", partition=partition) for _ in range(count)]:
        await future
    await producer.abort_transaction()


async def _send(producer: AIOKafkaProducer, topic: str, partition: int, run: list[RawRecord]) -> None:
    sent = [await _record(producer, topic, partition, record) for record in run]
    for record, future in zip(run, sent, strict=True):
        done = await future
        if done.offset != record.offset:
            raise LaidElsewhereError(f"{topic}/{partition}: offset {record.offset} was laid at {done.offset}")


async def _record(
    producer: AIOKafkaProducer, topic: str, partition: int, record: RawRecord
) -> asyncio.Future[RecordMetadata]:
    headers = [(_named(name), value) for name, value in record.headers]
    sent: asyncio.Future[RecordMetadata] = await producer.send(
        topic, record.value, record.key, partition=partition, timestamp_ms=record.timestamp, headers=headers
    )
    return sent


def _named(name: bytes) -> str:
    """Return a header's name, whatever its bytes are."""
    try:
        return name.decode()
    except UnicodeDecodeError:
        odd = HeaderName(name.decode("utf-8", "backslashreplace"))
        odd.raw = name
        return odd


@contextlib.asynccontextmanager
async def _producer(kafka: KafkaSettings, transactional: str | None = None) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(
        **kafka.for_aiokafka(), transactional_id=transactional, enable_idempotence=True, acks="all",
        max_batch_size=RECORD_BYTES, max_request_size=RECORD_BYTES + BATCH_OVERHEAD,
    )  # fmt: skip
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


def _stamp(kafka: KafkaSettings, kind: str) -> None:
    with admin.admin_client(kafka) as client:
        topics = (kafka.topic(LOG), kafka.topic(LOTS))
        client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {TIMESTAMPS: kind}) for topic in topics])
