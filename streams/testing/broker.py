"""A broker in memory: topics, transactions with fencing, groups, a clock that can be set, and faults on command.

Every request of a client is two steps, the way there and the way back, each with a delay drawn from the seed. In between the
broker acts at once and whole. Around these steps a process may be killed or paused, the broker away, a request refused.
"""

from __future__ import annotations

import asyncio
import contextvars
import itertools
import random
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from aiokafka.errors import (
    InvalidProducerEpoch,
    InvalidTxnState,
    KafkaConnectionError,
    MessageSizeTooLargeError,
    UnknownTopicOrPartitionError,
)

from streams.testing.clock import running, wall_ms
from streams.testing.groups import Group
from streams.testing.log import Partition, Transaction

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from streams.settings import KafkaSettings
    from streams.testing.process import Process

T = TypeVar("T")
DELAY_S = 0.002
MARKER_S = 0.01
MAX_BYTES = 8 * 1024 * 1024 + 4_096
_names = itertools.count(1)
_brokers: dict[str, Broker] = {}


@dataclass(frozen=True, slots=True)
class Commit:
    """What a transaction's commit made visible, for those who judge it."""

    producer: str
    offsets: dict[tuple[str, int], int]


@dataclass(slots=True)
class Refusal:
    """An answer that replaces the broker's own."""

    what: str
    error: BaseException
    times: int
    whose: str | None
    acted: bool
    """Whether the broker does what was asked before the answer is lost."""


class Broker:
    """The broker; `bootstrap` is the address under which clients find it."""

    def __init__(self, seed: int = 0) -> None:
        self.name = f"memory-{next(_names)}"
        self.chance = random.Random(seed)  # noqa: S311 - a seed makes the run repeatable
        self.topics: dict[str, list[Partition]] = {}
        self.groups: dict[str, Group] = {}
        self.commits: list[Callable[[Commit], None]] = []
        """Called at each commit of a transaction, once its rows are visible. An AssertionError is kept in `faults`."""
        self.faults: list[AssertionError] = []
        self.ahead_ms = 0
        """How far the broker's clock is ahead of a correct one."""
        self.delay_s = DELAY_S
        self.fetch_rows = 500
        """A fetch carries at most so many records of a partition."""
        self._epochs: dict[str, int] = {}
        self._open: dict[str, Transaction] = {}
        self.slow: dict[str, float] = {}
        """Kind of request -> seconds that its answer takes longer."""
        self.late: dict[str, float] = {}
        """Kind of request -> seconds that it takes longer to arrive."""
        self.lost_fetches: dict[tuple[str, int], int] = {}
        """(topic, partition) -> how many of its next fetches that hold records do not arrive, although the consumer counts on."""
        self.marker_s = MARKER_S
        """Within this time after a transaction's end its markers are written, each partition's and each group's by itself."""
        self._ending: dict[str, asyncio.Task[None]] = {}
        self._up = asyncio.Event()
        self._up.set()
        self.appended = asyncio.Event()
        """Set, and replaced, whenever there may be something new to read."""
        self._refusals: list[Refusal] = []
        _brokers[self.name] = self

    @property
    def bootstrap(self) -> str:
        """The address that settings of a worker name."""
        return f"{self.name}:9092"

    @staticmethod
    def at(bootstrap: str | list[str]) -> Broker:
        """Return the broker of an address.

        Raises:
            KafkaConnectionError: there is none.
        """
        address = bootstrap if isinstance(bootstrap, str) else bootstrap[0]
        found = _brokers.get(address.partition(":")[0])
        if found is None:
            raise KafkaConnectionError(f"no broker at {address}")
        return found

    def close(self) -> None:
        """Forget the address."""
        _brokers.pop(self.name, None)

    @property
    def now_ms(self) -> int:
        """The broker's clock, in ms since the epoch."""
        return wall_ms(running()) + self.ahead_ms

    def create_topic(self, name: str, partitions: int, *, append_time: bool = True, compacted: bool = False) -> None:
        """Create a topic."""
        self.topics[name] = [Partition(name, n, append_time, compacted) for n in range(partitions)]

    def create_topics(self, kafka: KafkaSettings) -> None:
        """Create every topic of the product, as `offsite topics create` does; only the log has LogAppendTime."""
        from streams.topics import TOPICS  # noqa: PLC0415 - the broker itself knows no topic

        for topic in TOPICS:
            self.create_topic(
                kafka.topic(topic.name), topic.partitions(kafka.partitions),
                append_time=topic.configs.get("message.timestamp.type") == "LogAppendTime",
                compacted=topic.configs.get("cleanup.policy") == "compact",
            )  # fmt: skip

    def partition(self, topic: str, number: int) -> Partition:
        """Return a partition.

        Raises:
            UnknownTopicOrPartitionError: there is none.
        """
        found = self.topics.get(topic, [])
        if not 0 <= number < len(found):
            raise UnknownTopicOrPartitionError(topic, number)
        return found[number]

    def group(self, name: str) -> Group:
        """Return a group; it exists from its first mention on."""
        return self.groups.setdefault(name, Group(name, self))

    def committed(self, group: str, topic: str) -> dict[int, int]:
        """Return the committed offsets of a group."""
        return {place[1]: offset for place, offset in self.group(group).offsets.items() if place[0] == topic}

    async def ask(self, process: Process | None, what: str, act: Callable[[], T], *, after: str | None = None) -> T:
        """Carry out a request of a client: there, act, back.

        Args:
            process: whose client it is.
            what: the kind of request, for `refuse`.
            act: what the broker does.
            after: the transactional id whose last transaction must have all its markers first.

        Raises:
            KafkaError: the broker refuses it.
        """
        await asyncio.sleep(self.late.get(what, 0))
        await self._travel(process)
        refusal = self._refusal(process, what)
        if refusal is not None and not refusal.acted:
            await self._travel(process)
            raise refusal.error
        if after is not None:
            await self.settled(after)
        try:
            result = act()
        finally:
            await asyncio.sleep(self.slow.get(what, 0))
            await self._travel(process)
        if refusal is not None:
            raise refusal.error
        return result

    async def settled(self, name: str) -> None:
        """Wait until the last transaction of a transactional id has all its markers: until then no next one is let in."""
        ending = self._ending.get(name)
        if ending is not None:
            await asyncio.shield(ending)

    async def _travel(self, process: Process | None) -> None:
        if process is not None:
            await process.step()
        await asyncio.sleep(self.chance.uniform(0, self.delay_s))
        await self._up.wait()
        if process is not None and (process.paused or not process.alive):
            await process.step()

    def go_away(self) -> None:
        """Answer nothing until `come_back`; requests under way wait, as a client's retries do."""
        self._up.clear()

    def come_back(self) -> None:
        """Answer again."""
        self._up.set()

    def refuse(
        self, what: str, error: BaseException, *, times: int = 1, whose: str | None = None, acted: bool = False
    ) -> None:
        """Let the next requests of a kind fail.

        Args:
            what: init, produce, offsets, end, fetch, list, commit or committed.
            error: what the client meets.
            times: how many requests.
            whose: the process of this name only.
            acted: the broker does it, and only the answer is lost.
        """
        self._refusals.append(Refusal(what, error, times, whose, acted))

    def _refusal(self, process: Process | None, what: str) -> Refusal | None:
        for refusal in self._refusals:
            if refusal.what == what and refusal.whose in {None, process.name if process else ""}:
                refusal.times -= 1
                if not refusal.times:
                    self._refusals.remove(refusal)
                return refusal
        return None

    def begin_producer(self, name: str) -> int:
        """Give a transactional id to whoever asks: its next epoch. What its last owner left open is aborted.

        Who asks has to wait until that is `settled`.
        """
        self._epochs[name] = self._epochs.get(name, -1) + 1
        left = self._open.pop(name, None)
        if left is not None:
            self._finish(left, committed=False)
        return self._epochs[name]

    def append(
        self,
        topic: str,
        number: int,
        rows: Sequence[tuple[bytes | None, bytes | None, tuple[tuple[str, bytes], ...], int | None]],
        owner: tuple[str, int] | None = None,
        timeout_s: float = 60.0,
    ) -> int:
        """Append a batch; returns the offset of its first row.

        Args:
            topic: its topic.
            number: its partition.
            rows: key, value, headers, timestamp in ms.
            owner: the transactional id and epoch; None outside of transactions.
            timeout_s: how long its transaction may be open.

        Raises:
            InvalidProducerEpoch: another one owns the transactional id.
            MessageSizeTooLargeError: the batch is too large for the topic.
        """
        place = self.partition(topic, number)
        transaction = self._transaction(owner, timeout_s) if owner is not None else None
        if transaction is not None:
            transaction.places[place] = None
        if sum(len(key or b"") + len(value or b"") for key, value, _, _ in rows) > MAX_BYTES:
            raise MessageSizeTooLargeError
        first = place.append(rows, self.now_ms, transaction)
        self._tell()
        return first

    def add_offsets(
        self, owner: tuple[str, int], group: str, offsets: dict[tuple[str, int], int], timeout_s: float
    ) -> None:
        """Put a group's offsets into a transaction.

        Raises:
            InvalidProducerEpoch: another one owns the transactional id.
        """
        self._transaction(owner, timeout_s).offsets.setdefault(group, {}).update(offsets)

    def end_transaction(self, owner: tuple[str, int], *, committed: bool) -> None:
        """End the open transaction.

        Raises:
            InvalidProducerEpoch: another one owns the transactional id.
            InvalidTxnState: none is open.
        """
        self._check(owner)
        transaction = self._open.pop(owner[0], None)
        if transaction is None:
            raise InvalidTxnState
        self._finish(transaction, committed=committed)

    def open_transactions(self) -> list[str]:
        """Return the transactional ids that have an open transaction."""
        return sorted(self._open)

    def abort(self, name: str) -> None:
        """Abort an open transaction as the coordinator does after its time-out: the owner is fenced."""
        self._epochs[name] += 1
        self._finish(self._open.pop(name), committed=False)

    def _check(self, owner: tuple[str, int]) -> None:
        if self._epochs.get(owner[0]) != owner[1]:
            raise InvalidProducerEpoch

    def _transaction(self, owner: tuple[str, int], timeout_s: float) -> Transaction:
        self._check(owner)
        transaction = self._open.get(owner[0])
        if transaction is None:
            transaction = self._open[owner[0]] = Transaction(*owner)
            asyncio.get_running_loop().call_later(timeout_s, self._time_out, transaction)
        return transaction

    def _time_out(self, transaction: Transaction) -> None:
        if self._open.get(transaction.producer) is transaction:
            self.abort(transaction.producer)

    def _finish(self, transaction: Transaction, *, committed: bool) -> None:
        """Decide a transaction. Who reads sees it marker by marker."""
        transaction.committed = committed
        told: dict[tuple[str, int], int] = {}
        for offsets in transaction.offsets.values() if committed else ():
            told |= offsets
        self._ending[transaction.producer] = asyncio.get_running_loop().create_task(
            self._mark(transaction), context=contextvars.Context()
        )
        for judge in self.commits if committed else ():
            try:
                judge(Commit(transaction.producer, told))
            except AssertionError as error:
                self.faults.append(error)

    async def _mark(self, transaction: Transaction) -> None:
        marks = [partial(self._close, transaction, place) for place in transaction.places]
        for group, offsets in transaction.offsets.items() if transaction.committed else ():
            marks.append(partial(self.group(group).offsets.update, offsets))
        self.chance.shuffle(marks)
        for mark in marks:
            await asyncio.sleep(self.chance.uniform(0, self.marker_s / len(marks)))
            mark()
        self._tell()

    def _close(self, transaction: Transaction, place: Partition) -> None:
        place.opened.pop(transaction, None)
        place.append([(None, None, (), None)], self.now_ms, transaction, control=True)
        self._tell()

    def _tell(self) -> None:
        self.appended.set()
        self.appended = asyncio.Event()
