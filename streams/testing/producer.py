"""AIOKafkaProducer's face over the memory broker, with its traps: a batch that failed does not fail the commit."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from aiokafka.errors import (
    IllegalOperation,
    InvalidProducerEpoch,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    OutOfOrderSequenceNumber,
    ProducerClosed,
    ProducerFenced,
)
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.structs import RecordMetadata, TopicPartition

from streams.testing.broker import Broker
from streams.testing.process import current

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Self

READY, IN_TRANSACTION, FATAL = "ready", "in transaction", "fatal"


class MemoryProducer:
    """Takes the arguments of AIOKafkaProducer; those that have no meaning here are ignored."""

    def __init__(
        self,
        *,
        bootstrap_servers: str | list[str],
        transactional_id: str | None = None,
        transaction_timeout_ms: int = 60_000,
        request_timeout_ms: int = 40_000,
        max_request_size: int = 1_048_576,
        **_: object,
    ) -> None:
        self._broker = Broker.at(bootstrap_servers)
        self._process = current()
        self._name, self._timeout_s = transactional_id, transaction_timeout_ms / 1_000
        self._request_timeout_s = request_timeout_ms / 1_000
        self._max_request_size = max_request_size
        self._epoch = -1
        self._state = READY
        self._waiting: list[tuple[str, int, tuple[Any, ...], asyncio.Future[RecordMetadata]]] = []
        self._wrote: set[tuple[str, int] | str] = set()
        """Partitions and groups that the open transaction has reached."""
        self._broken: set[tuple[str, int]] = set()
        """Partitions where a batch failed: the broker misses its number and takes no later one."""
        self._sender: asyncio.Task[None] | None = None
        self._closed = True
        self._partitioner = DefaultPartitioner()

    async def start(self) -> None:
        """Connect; with a transactional id this fences whoever had it."""
        self._closed = False
        name = self._name
        if name is None:
            await self._broker.ask(self._process, "connect", lambda: None)
        else:
            ask = self._broker.ask
            self._epoch = await ask(self._process, "init", lambda: self._broker.begin_producer(name), after=name)
            await self._broker.settled(name)

    async def stop(self) -> None:
        """Send what waits and close; an open transaction is left open, as aiokafka leaves it."""
        if not self._closed:
            self._closed = True
            await self.flush()

    async def __aenter__(self) -> Self:
        """Start it."""
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop it."""
        await self.stop()

    async def flush(self) -> None:
        """Wait until nothing waits to be sent, well or ill."""
        while self._sender is not None and not self._sender.done():
            await asyncio.shield(self._sender)

    async def send(
        self,
        topic: str,
        value: bytes | None = None,
        key: bytes | None = None,
        partition: int | None = None,
        timestamp_ms: int | None = None,
        headers: Iterable[tuple[str, bytes]] | None = None,
    ) -> asyncio.Future[RecordMetadata]:
        """Queue a record; the future tells where it stands, or why it does not.

        Raises:
            ProducerClosed: it is not started, or stopped.
            IllegalOperation: a transactional producer outside of a transaction.
            MessageSizeTooLargeError: it is above `max_request_size`.
        """
        if self._closed:
            raise ProducerClosed
        if self._name is not None and self._state != IN_TRANSACTION:
            raise IllegalOperation("Can't send messages while not in transaction")
        if len(value or b"") + len(key or b"") > self._max_request_size:
            raise MessageSizeTooLargeError(f"The message is above {self._max_request_size} bytes")
        number = self._partition(topic, key) if partition is None else partition
        future: asyncio.Future[RecordMetadata] = asyncio.get_running_loop().create_future()
        self._waiting.append((topic, number, (key, value, tuple(headers or ()), timestamp_ms), future))
        if self._sender is None or self._sender.done():
            self._sender = asyncio.create_task(self._send_all())
        return future

    async def send_and_wait(self, topic: str, *args: Any, **named: Any) -> RecordMetadata:  # noqa: ANN401 - as send
        """Send a record and wait for the broker's answer."""
        return await (await self.send(topic, *args, **named))

    async def begin_transaction(self) -> None:
        """Begin a transaction; the broker hears of it with the first record."""
        self._transactional()
        self._moves(READY)
        self._state = IN_TRANSACTION
        self._wrote.clear()

    async def send_offsets_to_transaction(self, offsets: Mapping[TopicPartition, Any], group_id: str) -> None:
        """Make a group's offsets part of the transaction."""
        self._transactional()
        if self._state != IN_TRANSACTION:
            raise IllegalOperation("Not in the middle of a transaction")
        told = {(tp.topic, tp.partition): getattr(at, "offset", at) for tp, at in offsets.items()}
        try:
            await self._broker.ask(
                self._process,
                "offsets",
                lambda: self._broker.add_offsets(self._owner, group_id, told, self._timeout_s),
                after=self._name,
            )
        except InvalidProducerEpoch as error:
            self._state = FATAL
            raise ProducerFenced from error
        self._wrote.add(group_id)

    async def commit_transaction(self) -> None:
        """Commit what the broker took of the transaction; batches that failed are not missed."""
        await self._end(committed=True)

    async def abort_transaction(self) -> None:
        """Abort the transaction."""
        await self._end(committed=False)

    @property
    def _owner(self) -> tuple[str, int]:
        assert self._name is not None  # noqa: S101 - only transactional producers come here
        return self._name, self._epoch

    def _transactional(self) -> None:
        if self._name is None:
            raise IllegalOperation("You need to configure transactional_id to use transactions")

    def _moves(self, state: str) -> None:
        assert self._state == state, f"Invalid state transition from {self._state}"  # noqa: S101 - as in aiokafka

    async def _end(self, *, committed: bool) -> None:
        self._transactional()
        self._moves(IN_TRANSACTION)
        await self.flush()
        try:
            if self._state == FATAL:
                raise InvalidProducerEpoch  # noqa: TRY301 - the sender met it
            if self._wrote:
                await self._broker.ask(
                    self._process, "end", lambda: self._broker.end_transaction(self._owner, committed=committed)
                )
        except InvalidProducerEpoch as error:
            self._state = FATAL
            raise ProducerFenced from error
        self._state = READY

    async def _send_all(self) -> None:
        await asyncio.sleep(0)  # what is sent in one go is one batch
        while self._waiting:
            batch, self._waiting = self._waiting, []
            places: dict[tuple[str, int], list[Any]] = {}
            for topic, number, row, future in batch:
                places.setdefault((topic, number), []).append((row, future))
            for (topic, number), rows in places.items():
                await self._send(topic, number, rows)

    async def _send(self, topic: str, number: int, rows: list[Any]) -> None:
        owner = self._owner if self._name is not None else None
        bare = [row for row, _ in rows]
        try:
            if owner and (topic, number) in self._broken:
                raise OutOfOrderSequenceNumber  # noqa: TRY301 - as the broker's answer
            async with asyncio.timeout(None if owner else self._request_timeout_s):
                first = await self._broker.ask(
                    self._process,
                    "produce",
                    lambda: self._broker.append(topic, number, bare, owner, self._timeout_s),
                    after=self._name,
                )
        except Exception as error:  # noqa: BLE001 - told through the futures
            told: BaseException = error
            if isinstance(error, InvalidProducerEpoch):
                told = ProducerFenced()
                if (topic, number) not in self._wrote:  # aiokafka's sender dies of it when it adds the partition
                    self._state = FATAL
            elif isinstance(error, TimeoutError):
                told = KafkaTimeoutError()
            self._broken.add((topic, number))
            for _, future in rows:
                if not future.done():
                    future.set_exception(told)
            return
        self._wrote.add((topic, number))
        place = self._broker.partition(topic, number)
        for i, (row, future) in enumerate(rows):
            at = row[3] if row[3] is not None and not place.append_time else self._broker.now_ms
            if not future.done():
                future.set_result(
                    RecordMetadata(
                        topic, number, TopicPartition(topic, number), first + i, at, int(place.append_time), 0
                    )
                )

    def _partition(self, topic: str, key: bytes | None) -> int:
        numbers = list(range(len(self._broker.topics.get(topic, [])))) or [0]
        return int(self._partitioner(key, numbers, numbers))
