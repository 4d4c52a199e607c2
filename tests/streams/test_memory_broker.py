"""The parts of the memory transport one by one: time, processes, partitions, groups; what a real broker does is in the contract."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError, KafkaTimeoutError, UnknownTopicOrPartitionError

from streams import custody, tenure
from streams.testing import KILLED, Broker, MemoryConsumer, MemoryProducer, Process, StandstillError, simulate
from streams.testing.clock import BEGIN_S, WALL_MS, running, wall_ms
from streams.testing.log import Partition, Transaction
from streams.testing.process import ProcessDiedError

ROW = (b"k", b"v", (), None)


def test_an_hour_passes_at_once_and_the_worker_reads_the_same_clock() -> None:
    async def scene() -> None:
        began = time.monotonic()
        await asyncio.sleep(3_600)
        assert running().now == BEGIN_S + 3_600
        assert tenure.monotonic() == running().now
        assert custody._wall_ms() == wall_ms() == WALL_MS + 3_600_000
        assert time.monotonic() - began < 60, "it was waited for"

    real = tenure.monotonic
    simulate(scene())
    assert tenure.monotonic is real is time.monotonic


def test_what_never_comes_is_no_hang() -> None:
    async def scene() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(StandstillError):
        simulate(scene())


def test_whoever_never_waits_does_not_hold_the_time_of_the_others() -> None:
    async def scene() -> None:
        async def turns() -> None:
            while True:  # noqa: ASYNC110 - that is what it is about
                await asyncio.sleep(0)

        turning = asyncio.create_task(turns())
        await asyncio.sleep(0.05)
        assert BEGIN_S + 0.05 <= running().now < BEGIN_S + 0.07
        turning.cancel()

    simulate(scene())


def test_a_thread_is_really_waited_for() -> None:
    async def scene() -> None:
        release = threading.Event()
        asyncio.get_running_loop().call_soon(release.set)
        began = running().now
        assert await asyncio.to_thread(release.wait, 30)
        assert running().now == began

    simulate(scene())


def test_a_slow_thread_at_the_end_is_waited_for_too() -> None:
    async def scene() -> None:
        done = asyncio.get_running_loop().run_in_executor(None, time.sleep, 0.2)  # a thread that outlasts the scene
        assert not done.done()

    before = set(threading.enumerate())
    simulate(scene())
    assert not set(threading.enumerate()) - before


def test_refusals_meet_only_whom_and_as_often_as_they_are_meant_to() -> None:
    async def scene() -> None:
        broker = Broker()
        broker.create_topic("t", 1)
        broker.refuse("produce", KafkaTimeoutError(), times=2, whose="p")
        mine = MemoryProducer(bootstrap_servers=broker.bootstrap)
        await mine.start()
        await mine.send_and_wait("t", b"of nobody", partition=0)
        met: list[str] = []

        async def work() -> None:
            producer = MemoryProducer(bootstrap_servers=broker.bootstrap)
            await producer.start()
            for _ in range(3):
                try:
                    await producer.send_and_wait("t", b"of p", partition=0)
                    met.append("well")
                except KafkaTimeoutError:
                    met.append("ill")

        await Process("p").start(work())
        assert met == ["ill", "ill", "well"]

    simulate(scene())


def test_a_killed_process_reaches_nobody_and_leaves_no_task() -> None:
    async def scene() -> None:
        broker = Broker()
        broker.create_topic("t", 1)
        process = Process("p")
        process.dies_at = 9
        told: list[str] = []

        async def work() -> None:
            producer = MemoryProducer(bootstrap_servers=broker.bootstrap)
            await producer.start()
            try:
                while True:
                    await producer.send_and_wait("t", b"v", partition=0)
            finally:
                told.append("cleaning up")
                await producer.send_and_wait("t", b"from the grave", partition=0)

        await asyncio.wait([process.start(work())], timeout=5)
        await process.buried()
        assert (process.status, told) == (KILLED, ["cleaning up"])
        values = [entry.value for entry in broker.partition("t", 0).entries]
        assert values
        assert set(values) == {b"v"}

    simulate(scene())


def test_a_halt_ends_the_process_with_its_status_and_words() -> None:
    async def scene() -> None:
        process = Process("p")

        async def work() -> None:
            process.halt("enough", ValueError("why"))

        task = process.start(work())
        await process.ended.wait()
        await process.buried()
        assert process.status == 70
        assert "enough" in process.told()
        assert isinstance(task.exception(), ProcessDiedError)

    simulate(scene())


def test_a_paused_process_stands_between_request_and_answer() -> None:
    async def scene() -> None:
        broker = Broker()
        broker.create_topic("t", 1)
        process = Process("p")
        landed: list[int] = []

        async def work() -> None:
            producer = MemoryProducer(bootstrap_servers=broker.bootstrap)
            await producer.start()
            landed.append((await producer.send_and_wait("t", b"v", partition=0)).offset)

        process.pauses_at = 4  # behind the record's way there
        process.start(work())
        await asyncio.sleep(20)
        assert (process.paused, landed, broker.partition("t", 0).end) == (True, [], 1)
        process.resume()
        await asyncio.sleep(1)
        assert landed == [0]

    simulate(scene())


def test_a_partition_hides_open_rows_and_everything_behind_them() -> None:
    place, transaction = Partition("t", 0), Transaction("a", 0)
    place.append([ROW], 1)
    place.append([ROW, ROW], 2, transaction)
    place.append([ROW], 3)
    assert (place.stable, place.end) == (1, 4)
    assert [e.offset for e in place.read(0, 9, committed=False)[0]] == [0, 1, 2, 3]
    assert place.read(0, 9, committed=True)[1] == 1
    assert place.read(0, 2, committed=False)[1] == 2
    transaction.committed = False
    del place.opened[transaction]
    place.append([(None, None, (), None)], 4, transaction, control=True)
    assert [e.offset for e in place.visible()] == [0, 3]
    assert place.read(4, 9, committed=True) == ([], 5)


def test_retention_and_compaction_keep_offsets() -> None:
    place = Partition("t", 0)
    for i in range(6):
        place.append([(str(i % 2).encode(), b"v", (), None)], i)
    place.drop_before(2)
    assert (place.begin, place.end, len(place.entries)) == (2, 6, 4)
    place.compact()
    assert [e.offset for e in place.entries] == [4, 5]
    assert place.read(2, 9, committed=True)[1] == 6
    place.drop_before(99)
    assert (place.begin, place.entries) == (6, [])


def test_log_append_time_is_the_brokers_and_create_time_the_senders() -> None:
    async def scene() -> None:
        broker = Broker()
        broker.create_topic("log", 1)
        broker.create_topic("other", 1, append_time=False)
        broker.ahead_ms = 500
        for topic in ("log", "other"):
            broker.append(topic, 0, [(b"k", b"v", (), 7)])
        assert broker.partition("log", 0).entries[0].timestamp == WALL_MS + 500
        assert broker.partition("other", 0).entries[0].timestamp == 7

    simulate(scene())


def test_what_is_not_there_is_told() -> None:
    async def scene() -> None:
        with pytest.raises(KafkaConnectionError):
            MemoryProducer(bootstrap_servers="nowhere:9092")
        with pytest.raises(UnknownTopicOrPartitionError):
            Broker().partition("t", 0)

    simulate(scene())


def test_a_record_outside_of_transactions_is_given_up_after_its_time() -> None:
    async def scene() -> None:
        broker = Broker()
        broker.create_topic("t", 1)
        producer = MemoryProducer(bootstrap_servers=broker.bootstrap)
        await producer.start()
        broker.go_away()
        began = running().now
        with pytest.raises(KafkaTimeoutError):
            await producer.send_and_wait("t", b"v", partition=0)
        assert 39 < running().now - began < 41

    simulate(scene())


def test_offsets_committed_without_a_transaction_are_visible() -> None:
    async def scene() -> None:
        broker = Broker()
        broker.create_topic("t", 1)
        consumer = MemoryConsumer(bootstrap_servers=broker.bootstrap, group_id="g", auto_offset_reset="earliest")
        await consumer.start()
        await consumer.commit({TopicPartition("t", 0): 5})
        assert broker.committed("g", "t") == {0: 5}
        await consumer.stop()

    simulate(scene())
