"""A firm's partition on a real Kafka, whose state is lost, rebuilt and upgraded without a worker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaProducer

from rules.changes import Change
from rules.engine import Engine
from rules.fitting import fit
from rules.pack import default_bundle
from rules.records import LogRecord
from streams import repair
from streams.checkpoint import encode_marker, marker_key
from streams.codec import encode, home_of, key_of
from streams.dump import open_log
from streams.history import LogHistory
from streams.upgrade import upgrade
from streams.worker_settings import WorkerSettings
from tests.coldlog import ColdLog, cold_store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rules.records import Rejected
    from streams.settings import KafkaSettings


FIRM = "BJ-COLD-01"


class Past:
    """Log and changes as Kafka has them."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self.kafka = kafka
        self.begins = 0

    def first(self, partition: int) -> int:
        with open_log(self.kafka, self.kafka.topic("offsite.log.v1")) as log:
            return max(self.begins, log.bounds(partition)[0])

    def records(self, partition: int, begin: int, end: int) -> Iterator[LogRecord | Rejected]:
        return LogHistory(self.kafka, self.kafka.topic("offsite.log.v1")).records(partition, None, begin, end)

    def published(self, partition: int) -> Iterator[bytes | None]:
        with open_log(self.kafka, self.kafka.topic("offsite.alarms.v1")) as log:
            for record in log.raw((partition, *log.bounds(partition))):
                yield record.value


class Site:
    """One firm's partition."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self.kafka, self.past = kafka, Past(kafka)
        self.settings = WorkerSettings(kafka=kafka)
        self.partition = home_of(FIRM, kafka.partitions)

    async def send(self, records: list[LogRecord]) -> list[int]:
        producer = AIOKafkaProducer(**self.kafka.for_aiokafka(), acks="all")
        await producer.start()
        try:
            offsets = []
            for record in records:
                headers, value = encode(record.payload)
                sent = await producer.send_and_wait(
                    self.settings.log_topic, value, key_of(record), partition=self.partition, headers=headers
                )
                offsets.append(sent.offset)
            return offsets
        finally:
            await producer.stop()

    async def put_state(self, key: bytes, value: bytes | None) -> None:
        producer = AIOKafkaProducer(**self.kafka.for_aiokafka(), acks="all")
        await producer.start()
        try:
            await producer.send_and_wait(self.settings.state_topic, value, key, partition=self.partition)
        finally:
            await producer.stop()

    async def standing(self) -> repair.Standing:
        (found,) = await repair.look(self.settings, [self.partition])
        return found

    async def rebuild(self, **more: Any) -> list[Any]:
        done: list[Any] = []
        await repair.rebuild(
            self.settings,
            [await self.standing()],
            lambda: Engine(default_bundle()),
            self.past,
            tell=done.append,
            **more,
        )
        return done

    async def upgrade(self) -> None:
        await upgrade(self.settings, [await self.standing()], lambda: Engine(default_bundle()), self.past)

    def published(self) -> list[Change]:
        return [Change.model_validate_json(value or b"") for value in self.past.published(self.partition)]

    def folded(self, since: int = 0) -> tuple[Engine, list[Change]]:
        with open_log(self.kafka, self.settings.log_topic) as log:
            end = log.bounds(self.partition)[1]
        engine = Engine(default_bundle())
        records = [r for r in self.past.records(self.partition, since, end) if isinstance(r, LogRecord)]
        return engine, [fit(change) for record in records for change in engine.fold(record)]

    async def state_equals(self, engine: Engine) -> None:
        rows = (await self.standing()).rows
        assert {name: rows.snapshot(name) for name in rows.parts} == {
            name: engine.snapshot(self.partition, name) for name in engine.facilities(self.partition)
        }


def story(begin: int = 0, *, registered: bool = True) -> list[LogRecord]:
    log = ColdLog(0)
    if registered:
        log.register(cold_store(FIRM))
    for minute in range(begin, begin + 20, 5):
        values = [9.5 if begin + 5 <= m < begin + 12 else 5.0 + m % 2 / 10 for m in range(minute, minute + 5)]
        log.rows(minute, values).tick(minute + 5)
    return log.records


async def of_another_engine(site: Site, semantics: int = 0) -> None:
    """Let the state be one that an engine of other semantics has left."""
    marker = (await site.standing()).marker
    assert marker is not None
    state = marker.state.model_copy(update={"semantics": semantics})
    await site.put_state(marker_key(site.partition), encode_marker(marker.model_copy(update={"state": state})))
