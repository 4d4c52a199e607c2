"""Append to the log: one idempotent producer, bounded bytes in flight, an answer only after the broker's ack."""

from __future__ import annotations

import asyncio
import contextlib
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
    from collections.abc import Callable, Coroutine

    from monitor.gateway.figures import Figures
    from streams.codec import Headers
    from streams.settings import KafkaSettings

log = logging.getLogger(__name__)
RETRY_AFTER_S = 5
OVERHEAD_BYTES = 1024
STOP_S = 0.5
"""Posts under way had theirs before (monitor/serving.py); both together stay below the five seconds of a stop."""
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
        self._waiting: dict[str, dict[asyncio.Future[Any], float]] = {}
        """Facility -> its records that are not acked, the oldest first, and since when (s)."""
        self._ticks: dict[int, asyncio.Future[Any]] = {}
        self._aside: set[asyncio.Task[None]] = set()
        self._stored = self._turned_away = 0
        """Posts since the last tick."""
        self.open = False
        self.closed_because: str | None = "broker_down"
        """Why the door is closed (a code of texts.CLOSED), None once it is open."""
        self.failing = False
        """Whether the newest append failed: the door stays open, since the next one may succeed."""

    async def start(self, verify: Callable[[], None]) -> None:
        """Connect and verify cluster and topics, asking again every second while the broker is away or they differ."""
        while True:
            pause = START_RETRY_S
            producer = self._make()
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

    def _make(self) -> AIOKafkaProducer:
        return AIOKafkaProducer(
            acks="all",
            enable_idempotence=True,
            linger_ms=0,
            max_request_size=RECORD_BYTES + 64 * 1024,
            max_batch_size=1024 * 1024,
            request_timeout_ms=int(self._timeout_s * 1000),
            **self._settings.for_aiokafka(),
        )

    async def stop(self) -> None:
        """Close. What is in flight has been answered by now; what is not acked within the limit was never said to be stored."""
        self.open = False
        producer, self._producer = self._producer, None
        for task in self._aside:
            task.cancel()
        if producer is not None:
            try:
                # aiokafka's stop waits for every record, for ever while the broker is away.
                async with asyncio.timeout(STOP_S):
                    await producer.stop()
            except TimeoutError:
                log.warning("closing with %d records not acked; their posts were answered 503", self._unacked())

    async def append(self, facility: str, record: tuple[Headers, bytes]) -> Receipt:
        """Append one record (headers and value, as `streams.codec` spells them) and wait for the ack.

        Raises:
            RefusedError: 413 for an encoded record above 8 MiB, 503 where it is not known to be stored.
        """
        headers, value = record
        if len(value) > RECORD_BYTES:
            raise RefusedError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large", f"encoded, at most {RECORD_BYTES} bytes"
            )
        size = len(value) + OVERHEAD_BYTES
        if self._producer is None:
            raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "not_ready", retry_after_s=RETRY_AFTER_S)
        if size > self._room or self._is_overdue(facility):
            raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "busy", retry_after_s=RETRY_AFTER_S)
        began = time.perf_counter()
        metadata = await self._send(self._producer, facility, value, headers, size)
        self._figures.append_seconds.observe(time.perf_counter() - began)
        self._stored += 1
        return Receipt(metadata.partition, metadata.offset, metadata.timestamp)

    def turned_away(self) -> None:
        """Note a post that was answered 5xx, wherever it came to its end."""
        self._turned_away += 1

    async def _send(
        self, producer: AIOKafkaProducer, facility: str, value: bytes, headers: list[tuple[str, bytes]], size: int
    ) -> Any:  # noqa: ANN401 - aiokafka's RecordMetadata
        future = None
        self._move(size)
        try:
            async with asyncio.timeout(self._timeout_s):
                future = await producer.send(self._topic, value=value, key=facility.encode(), headers=headers)
                self._wait_for(facility, future, size)
                # Shielded: a client that hangs up must not cancel a batch that holds other firms' records.
                metadata = await asyncio.shield(future)
            if metadata.offset < 0:
                raise KafkaError("acked without a place")  # noqa: TRY301 - as if the ack had been lost: no receipt is made up
        except (KafkaError, OSError, TimeoutError) as error:
            # Of an outage the first one is told: a thousand firms would fill the disk with the rest.
            log.log(
                logging.DEBUG if self.failing else logging.WARNING, "not stored for certain: %s", type(error).__name__
            )
            self.failing = True
            if future is not None and future.done():
                self._replace(producer)
            raise RefusedError(
                HTTPStatus.SERVICE_UNAVAILABLE, "not_stored", type(error).__name__, retry_after_s=RETRY_AFTER_S
            ) from None
        finally:
            if future is None:
                self._move(-size)
        self.failing = False
        return metadata

    def _wait_for(self, facility: str, future: asyncio.Future[Any], size: int) -> None:
        """Hold the room until the producer has let go of the record, however long ago its post was answered."""
        waiting = self._waiting.setdefault(facility, {})
        waiting[future] = time.monotonic()

        def let_go(done: asyncio.Future[Any]) -> None:
            self._move(-size)
            del waiting[done]
            if not waiting and self._waiting.get(facility) is waiting:
                del self._waiting[facility]
            if not done.cancelled():
                done.exception()  # seen: the post may have been answered long ago

        future.add_done_callback(let_go)

    def _is_overdue(self, facility: str) -> bool:
        """Say whether an older record of this facility still waits: another one would only lie behind it and be sent twice."""
        waiting = self._waiting.get(facility)
        return waiting is not None and time.monotonic() - next(iter(waiting.values())) > self._timeout_s

    def _unacked(self) -> int:
        return sum(map(len, self._waiting.values()))

    def _move(self, size: int) -> None:
        self._room -= size
        self._figures.in_flight.inc(size)

    def _replace(self, broken: AIOKafkaProducer) -> None:
        """Open another producer: one that gave up a batch has a hole in its numbering and is refused from then on.

        aiokafka counts the batch's sequence numbers when it takes it; the broker answers OutOfOrderSequenceNumber to all that follow.
        """
        if self._producer is not broken:
            return
        log.warning("the producer gave up a batch: opening another one")
        self._producer = None
        self._keep(self._open_another())
        self._keep(_end(broken))

    async def _open_another(self) -> None:
        while self.open:
            producer = self._make()
            try:
                await producer.start()
            except (KafkaError, OSError) as error:
                log.warning("broker: %s; asking again", type(error).__name__)
                await _end(producer)
                await asyncio.sleep(START_RETRY_S)
            else:
                self._producer = producer
                return

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._aside.add(task)
        task.add_done_callback(self._aside.discard)

    async def tick_for_ever(self, every_s: float) -> None:
        """Append a tick to every partition while the door is open: time passes, and the front door is open."""
        while True:
            if self._lets_somebody_in():
                try:
                    await self._tick()
                except (KafkaError, OSError, TimeoutError) as error:
                    self.failing = True
                    log.warning("ticks: %s", type(error).__name__)
                except Exception:  # without ticks the door would count as closed, and no silence be seen
                    self.failing = True
                    log.exception("ticks: a fault of the front door")
            await asyncio.sleep(every_s)

    def _lets_somebody_in(self) -> bool:
        """Say whether the door counts as open since the last tick: not if all who came were turned away by a fault of ours.

        Else their silence would be held against them (architecture.md: the regulator's own outage is never the firm's fault).
        """
        shut = self._turned_away > 0 and self._stored == 0
        self._turned_away = self._stored = 0
        if shut:
            log.warning("no tick: every post since the last one was turned away")
        return self.open and self._producer is not None and not shut

    async def _tick(self) -> None:
        producer = self._producer
        assert producer is not None  # noqa: S101 - _lets_somebody_in says so
        headers, value = encode(Tick(by=self._name, role="gateway", now=int(time.time() * 1000)))
        async with asyncio.timeout(self._timeout_s):
            for p in range(self._settings.partitions):
                last = self._ticks.get(p)
                if last is None or last.done():  # in an outage one waits per partition, not one more every time
                    self._ticks[p] = await producer.send(self._topic, value=value, partition=p, headers=headers)
            outcomes = await asyncio.gather(*map(asyncio.shield, self._ticks.values()), return_exceptions=True)
        faults = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        self._figures.ticks.inc(len(outcomes) - len(faults))
        if faults:
            self._replace(producer)
            raise faults[0]
        self.failing = False


async def _end(producer: AIOKafkaProducer) -> None:
    """Close a producer that is no longer used, after what it still holds."""
    with contextlib.suppress(KafkaError, OSError):
        await producer.stop()
