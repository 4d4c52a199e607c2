"""The memory broker is held to the truth: the same requests to Apache Kafka and to it give the same answers."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import TopicPartition

from streams.client_kinds import AIOKAFKA, ClientKinds
from streams.testing import MEMORY, Broker, simulate
from tests.streams.lab import Lab

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

LOG, ALARMS = "offsite.log.v1", "offsite.alarms.v1"


@dataclass
class Bench:
    """Clients of one kind, and what they saw."""

    kinds: ClientKinds
    bootstrap: str
    prefix: str
    seen: list[tuple[str, Any]] = field(default_factory=list)
    opened: list[Any] = field(default_factory=list)

    def saw(self, what: str, value: Any) -> None:
        self.seen.append((what, value))

    async def fails(self, what: str, work: Awaitable[Any]) -> None:
        """Note the type of error, or that there is none."""
        try:
            await work
        except Exception as error:  # noqa: BLE001 - its type is the observation
            self.saw(what, type(error).__name__)
        else:
            self.saw(what, None)

    def place(self, topic: str = LOG, number: int = 0) -> TopicPartition:
        return TopicPartition(self.prefix + topic, number)

    async def producer(self, name: str | None = None, **named: Any) -> Any:
        if name is not None:
            named |= {"transactional_id": self.prefix + name, "transaction_timeout_ms": 15_000}
        made = self.kinds.producer(bootstrap_servers=self.bootstrap, linger_ms=0, **named)
        self.opened.append(made)
        await made.start()
        return made

    async def consumer(self, *, committed: bool = True, group: str | None = None) -> Any:
        made = self.kinds.consumer(
            bootstrap_servers=self.bootstrap, group_id=self.prefix + group if group else None, enable_auto_commit=False,
            isolation_level="read_committed" if committed else "read_uncommitted", auto_offset_reset="earliest",
        )  # fmt: skip
        self.opened.append(made)
        await made.start()
        return made

    async def send(self, producer: Any, value: str, topic: str = LOG, number: int = 0) -> Any:
        """Send a record; returns its future."""
        return await producer.send(
            self.prefix + topic, value.encode(), b"FAC-0", partition=number, headers=[("v", b"1")]
        )

    async def read(self, *, committed: bool, begin: int = 0, topic: str = LOG) -> None:
        """Note what a consumer of this isolation level sees from an offset on, its end offset and its final position."""
        consumer = await self.consumer(committed=committed)
        place = self.place(topic)
        consumer.assign([place])
        end = (await consumer.end_offsets([place]))[place]
        consumer.seek(place, begin)
        rows: list[tuple[int, bytes, tuple[Any, ...]]] = []
        async with asyncio.timeout(30):
            while await consumer.position(place) < end:
                for record in (await consumer.getmany(place, timeout_ms=200)).get(place, []):
                    rows.append((record.offset, record.value, tuple(record.headers)))
        name = "committed" if committed else "uncommitted"
        self.saw(f"{name} end", end)
        self.saw(f"{name} rows", rows)
        self.saw(f"{name} position", await consumer.position(place))
        self.saw("begin", (await consumer.beginning_offsets([place]))[place])
        await consumer.stop()

    async def settle(self, topic: str = LOG) -> None:
        """Wait until the markers of all transactions that have ended are written: both have them some time later."""
        whole, stable = await self.consumer(committed=False), await self.consumer()
        place = self.place(topic)
        async with asyncio.timeout(30):
            while await whole.end_offsets([place]) != await stable.end_offsets([place]):  # noqa: ASYNC110 - a broker has no event
                await asyncio.sleep(0.01)

    async def close(self) -> None:
        for client in self.opened:
            await client.stop()


async def plain_and_transactions(bench: Bench) -> None:
    plain, owner = await bench.producer(), await bench.producer("a")
    told = await (await bench.send(plain, "first"))
    bench.saw("landed", (told.topic == bench.place().topic, told.partition, told.offset, told.timestamp_type))
    await owner.begin_transaction()
    bench.saw("in a transaction", [(await (await bench.send(owner, f"open {i}"))).offset for i in range(2)])
    bench.saw("behind it", (await (await bench.send(plain, "plain"))).offset)
    await bench.read(committed=True)
    await bench.read(committed=False)
    await owner.commit_transaction()
    await bench.settle()
    await bench.read(committed=True)
    await owner.begin_transaction()
    await (await bench.send(owner, "given up"))
    await owner.abort_transaction()
    await bench.settle()
    await bench.read(committed=True)
    await bench.read(committed=False, begin=3)
    await owner.begin_transaction()
    await owner.commit_transaction()  # an empty one leaves nothing in the log
    bench.saw("after an empty one", (await (await bench.send(plain, "last"))).offset)


async def fencing(bench: Bench) -> None:
    first = await bench.producer("b")
    await first.begin_transaction()
    await (await bench.send(first, "left open"))
    second = await bench.producer("b")
    await bench.read(committed=True)  # what was left open is aborted
    future = await bench.send(first, "of a zombie")
    await bench.fails("a zombie's record", future)
    await bench.fails("a zombie's commit", first.commit_transaction())
    await bench.fails("a zombie's next begin", first.begin_transaction())
    await second.begin_transaction()
    await (await bench.send(second, "of the heir"))
    await second.commit_transaction()
    await bench.settle()
    await bench.read(committed=True)
    await bench.read(committed=False)


async def fenced_at(bench: Bench, act: Callable[[Any], Awaitable[Any]]) -> None:
    """Note how one that was fenced between two transactions hears of it, at its first request."""
    first = await bench.producer("c")
    await first.begin_transaction()
    await (await bench.send(first, "before"))
    await first.commit_transaction()
    await bench.producer("c")
    await first.begin_transaction()
    await bench.fails("its first request", act(first))
    await bench.fails("its commit", first.commit_transaction())
    await bench.read(committed=True)


async def fenced_at_a_record(bench: Bench) -> None:
    async def act(producer: Any) -> None:
        await (await bench.send(producer, "late"))

    await fenced_at(bench, act)


async def fenced_at_offsets(bench: Bench) -> None:
    await fenced_at(bench, lambda p: p.send_offsets_to_transaction({bench.place(): 1}, f"{bench.prefix}group"))


async def fenced_at_a_commit(bench: Bench) -> None:
    """Note how one hears of it whose transaction was open, and whole, when it was fenced."""
    first = await bench.producer("d")
    await first.begin_transaction()
    await (await bench.send(first, "whole"))
    await first.send_offsets_to_transaction({bench.place(): 1}, f"{bench.prefix}group")
    await bench.producer("d")
    await bench.fails("its commit", first.commit_transaction())
    group = await bench.consumer(group="group")
    bench.saw("offset", await group.committed(bench.place()))
    await bench.read(committed=True)


async def offsets(bench: Bench) -> None:
    owner, group = await bench.producer("e"), await bench.consumer(group="group")
    bench.saw("none yet", await group.committed(bench.place()))
    for number, ends in enumerate([owner.commit_transaction, owner.abort_transaction, owner.commit_transaction]):
        await owner.begin_transaction()
        await (await bench.send(owner, "row"))  # it is let in only when the last one has all its markers
        bench.saw("after the last one", await group.committed(bench.place()))
        await owner.send_offsets_to_transaction({bench.place(): 5 + number}, f"{bench.prefix}group")
        bench.saw("while it is open", await group.committed(bench.place()))
        await ends()
    await bench.producer("e")
    bench.saw("in the end", await group.committed(bench.place()))


async def sizes(bench: Bench) -> None:
    owner = await bench.producer("f", max_request_size=30_000_000, max_batch_size=30_000_000)
    small = await bench.producer(max_request_size=1_000)
    await bench.fails("above the client's bound", bench.send(small, "x" * 2_000))
    await owner.begin_transaction()
    await bench.fails("above the broker's bound", await bench.send(owner, "x" * 9_000_000))
    await bench.fails("the next one", await bench.send(owner, "missed"))
    await (await bench.send(owner, "elsewhere", number=1))
    await bench.fails("a commit after batches that failed", owner.commit_transaction())
    await bench.settle()
    await bench.read(committed=True)


async def misuse(bench: Bench) -> None:
    owner, plain = await bench.producer("g"), await bench.producer()
    await bench.fails("a record outside", bench.send(owner, "x"))
    await bench.fails("a commit outside", owner.commit_transaction())
    await bench.fails("offsets outside", owner.send_offsets_to_transaction({bench.place(): 1}, "g"))
    await bench.fails("a transaction without a name", plain.begin_transaction())
    await owner.begin_transaction()
    await bench.fails("twice", owner.begin_transaction())
    await owner.stop()
    await bench.fails("after the end", bench.send(owner, "x"))


async def positions(bench: Bench) -> None:
    plain, consumer = await bench.producer(), await bench.consumer()
    for i in range(4):
        await (await bench.send(plain, f"{i}"))
    place = bench.place()
    consumer.assign([place])
    bench.saw("without a position", await consumer.position(place))
    consumer.seek(place, 2)
    rows = (await consumer.getmany(place, timeout_ms=5_000, max_records=1))[place]
    bench.saw("one from 2", ([r.offset for r in rows], await consumer.position(place), consumer.highwater(place)))
    consumer.seek(place, 99)  # behind the end: back to the beginning, as auto_offset_reset says
    rows = []
    async with asyncio.timeout(30):
        while not rows:
            rows = (await consumer.getmany(place, timeout_ms=500)).get(place, [])
    bench.saw("from beyond the end", rows[0].offset)
    await bench.fails("not assigned", consumer.position(bench.place(number=1)))


SCENARIOS = [
    plain_and_transactions, fencing, fenced_at_a_record, fenced_at_offsets, fenced_at_a_commit, offsets, sizes, misuse,
    positions,
]  # fmt: skip


async def run(scenario: Callable[[Bench], Awaitable[None]], bench: Bench) -> list[tuple[str, Any]]:
    try:
        await scenario(bench)
    finally:
        await bench.close()
    return bench.seen


async def in_memory(scenario: Callable[[Bench], Awaitable[None]]) -> list[tuple[str, Any]]:
    broker = Broker()
    lab = Lab(broker.bootstrap, None)  # type: ignore[arg-type] # it starts no process
    broker.create_topics(lab.kafka)
    seen = await run(scenario, Bench(MEMORY, broker.bootstrap, lab.kafka.topic_prefix))
    broker.close()
    return seen


@pytest.mark.kafka
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
async def test_kafka_and_the_memory_broker_give_the_same_answers(
    lab: Lab, scenario: Callable[[Bench], Awaitable[None]]
) -> None:
    real = await run(scenario, Bench(AIOKAFKA, lab.bootstrap, lab.kafka.topic_prefix))
    memory = await asyncio.to_thread(simulate, in_memory(scenario))
    assert real
    assert memory == real
