"""Worker ticks: the passing of time as records, when no gateway appends any. They do not open the front door."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from aiokafka.errors import KafkaError

from rules.records import Tick
from streams.client_kinds import AIOKAFKA
from streams.codec import encode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aiokafka import AIOKafkaProducer

    from streams.client_kinds import ClientKinds
    from streams.sensor import Sensor
    from streams.worker_settings import WorkerSettings

_log = logging.getLogger("offsite.worker")


class Ticker:
    """Appends a tick to every owned partition of the log, and says where it landed.

    A tick that was appended has to come back through the consumer: that is how the watchdog sees a dead fetch.
    """

    def __init__(
        self,
        settings: WorkerSettings,
        sensor: Sensor,
        owned: Callable[[], Mapping[int, int]],
        landed: Callable[[int, int, int], None],
        kinds: ClientKinds = AIOKAFKA,
    ) -> None:
        self._settings, self._sensor, self._kinds = settings, sensor, kinds
        self._owned, self._landed = owned, landed
        """Owned partitions with their next offset; told (partition, where a tick landed, that next offset)."""

    async def run(self) -> None:
        """Tick until cancelled; a broker that is away costs ticks and nothing else."""
        # Not idempotent: aiokafka numbers a batch also when it gives it up for want of a leader, and the broker then refuses
        # every later one of that partition (OutOfOrderSequenceNumber). A tick that stands twice does no harm.
        producer = self._kinds.producer(**self._settings.kafka.for_aiokafka(), acks="all", linger_ms=5)
        await producer.start()
        try:
            while True:
                await asyncio.sleep(self._settings.tick_every_s)
                await asyncio.gather(*(self._tick(producer, p, folded) for p, folded in sorted(self._owned().items())))
        finally:
            await producer.stop()

    async def _tick(self, producer: AIOKafkaProducer, partition: int, folded: int) -> None:
        tick = Tick(by=self._settings.instance, role="worker", now=time.time_ns() // 1_000_000)
        headers, value = encode(tick)
        try:
            landed = await producer.send_and_wait(
                self._settings.log_topic, value, key=b"", partition=partition, headers=headers
            )
        except KafkaError as error:
            self._sensor.ticked("failed")
            _log.warning("no tick in partition %d: %s", partition, error)
        else:
            self._sensor.ticked("ok")
            self._landed(partition, landed.offset, folded)
