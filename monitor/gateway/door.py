"""Append to the log: one idempotent producer, bounded bytes in flight, an answer only after the broker's ack."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from monitor.gateway.problems import RefusedError
from rules.records import Tick
from streams.admin import BrokerDownError, TopicsError
from streams.codec import encode
from streams.topics import LOG, RECORD_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.gateway.figures import Figures
    from rules.records import Payload
    from streams.settings import KafkaSettings

log = logging.getLogger(__name__)
RETRY_AFTER_S = 5
OVERHEAD_BYTES = 1024
START_RETRY_S = 1.0
DIFFER_RETRY_S = 5.0
"""Topics are put right by a person."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """Where a record stands in the log, and when the broker appended it (ms)."""

    partition: int
    offset: int
    received: int


class Door:
    """The way into the log. `open` is true while a producer is connected; ticks go out only then."""

    def __init__(
        self, settings: KafkaSettings, figures: Figures, *, name: str, send_timeout_s: float, max_in_flight_bytes: int
    ) -> None:
        self._settings = settings
        self._figures = figures
        self._name = name
        self._timeout_s = send_timeout_s
        self._room = max_in_flight_bytes
        self._producer: AIOKafkaProducer | None = None
        self._topic = settings.topic(LOG)
        self.open = False
        self.closed_because: str | None = "broker_down"
        """Why the door is closed (a code of texts.CLOSED), None once it is open."""
        self.failing = False
        """Whether the newest append failed: the door stays open, since the next one may succeed."""

    async def start(self, verify: Callable[[], None]) -> None:
        """Connect and verify cluster and topics, asking again every second while the broker is away or they differ."""
        while True:
            pause = START_RETRY_S
            producer = AIOKafkaProducer(
                acks="all",
                enable_idempotence=True,
                linger_ms=0,
                max_request_size=RECORD_BYTES + 64 * 1024,
                max_batch_size=1024 * 1024,
                request_timeout_ms=int(self._timeout_s * 1000),
                **self._settings.for_aiokafka(),
            )
            try:
                await producer.start()
                await asyncio.to_thread(verify)  # after the connect, which can be given up: a thread cannot
            except (KafkaError, OSError, BrokerDownError) as error:
                self.closed_because = "broker_down"
                log.warning("broker: %s; asking again", type(error).__name__)
            except TopicsError as error:
                self.closed_because, pause = "topics_differ", DIFFER_RETRY_S
                log.error("the door stays closed: %s", error.report())  # noqa: TRY400 - an operator's message, no traceback
            else:
                self._producer, self.open, self.closed_because = producer, True, None
                return
            await producer.stop()
            await asyncio.sleep(pause)

    async def stop(self) -> None:
        """Close after what is in flight has been answered."""
        self.open = False
        if self._producer is not None:
            await self._producer.stop()
            self._producer = None

    async def append(self, facility: str, payload: Payload) -> Receipt:
        """Append one record and wait for the ack.

        Raises:
            RefusedError: 413 for an encoded record above 8 MiB, 503 where it is not known to be stored.
        """
        headers, value = encode(payload)
        if len(value) > RECORD_BYTES:
            raise RefusedError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large", f"encoded, at most {RECORD_BYTES} bytes"
            )
        size = len(value) + OVERHEAD_BYTES
        if self._producer is None:
            raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "not_ready", retry_after_s=RETRY_AFTER_S)
        if size > self._room:
            raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "busy", retry_after_s=RETRY_AFTER_S)
        self._room -= size
        self._figures.in_flight.inc(size)
        began = time.perf_counter()
        try:
            metadata = await self._send(self._producer, facility.encode(), value, headers)
        finally:
            self._room += size
            self._figures.in_flight.dec(size)
        self._figures.append_seconds.observe(time.perf_counter() - began)
        return Receipt(metadata.partition, metadata.offset, metadata.timestamp)

    async def _send(
        self, producer: AIOKafkaProducer, key: bytes, value: bytes, headers: list[tuple[str, bytes]]
    ) -> Any:  # noqa: ANN401 - aiokafka's RecordMetadata
        try:
            async with asyncio.timeout(self._timeout_s):
                future = await producer.send(self._topic, value=value, key=key, headers=headers)
                # Shielded: a client that hangs up must not cancel a batch that holds other firms' records.
                metadata = await asyncio.shield(future)
        except (KafkaError, OSError, TimeoutError) as error:
            self.failing = True
            log.warning("not stored for certain: %s", type(error).__name__)
            raise RefusedError(
                HTTPStatus.SERVICE_UNAVAILABLE, "not_stored", type(error).__name__, retry_after_s=RETRY_AFTER_S
            ) from None
        self.failing = False
        return metadata

    async def tick_for_ever(self, every_s: float) -> None:
        """Append a tick to every partition while the door is open: time passes, and the front door is open."""
        while True:
            producer = self._producer
            if self.open and producer is not None:
                now = int(time.time() * 1000)
                headers, value = encode(Tick(by=self._name, role="gateway", now=now))
                try:
                    async with asyncio.timeout(self._timeout_s):
                        sent = [
                            await producer.send(self._topic, value=value, partition=p, headers=headers)
                            for p in range(self._settings.partitions)
                        ]
                        await asyncio.gather(*sent)
                    self._figures.ticks.inc(len(sent))
                    self.failing = False
                except (KafkaError, OSError, TimeoutError) as error:
                    self.failing = True
                    log.warning("ticks: %s", type(error).__name__)
            await asyncio.sleep(every_s)
