"""The door's start, its verdict on cluster and topics, and what a failed append leaves behind; the broker is a stand-in.

The same on a real Kafka that goes away and comes back: tests/e2e/test_front_to_alarm.py.
"""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from aiokafka.errors import KafkaConnectionError, KafkaTimeoutError, OutOfOrderSequenceNumber

from monitor.gateway import door as module
from monitor.gateway.door import Door
from monitor.gateway.figures import Figures
from monitor.gateway.problems import RefusedError
from rules.errors import Fault
from streams.admin import BrokerDownError, TopicsError
from streams.codec import encode
from streams.settings import KafkaSettings
from tests.rules.logs import Row, readings

BATCH = encode(readings([Row("T1", 1, 1.0)]))


class Metadata:
    partition, offset, timestamp = 2, 7, 1_000


class Producer:
    """Stands for aiokafka's: does what `script` says, one entry per start."""

    script: list
    started = stopped = 0
    failure: Exception | None = None
    held: list | None = None
    """Where a list, acks are held back in it."""
    hangs = False
    sent: list

    def __init__(self, **_):
        pass

    async def start(self):
        Producer.started += 1
        if Producer.script and (fault := Producer.script.pop(0)) is not None:
            raise fault

    async def stop(self):
        if Producer.hangs:
            await asyncio.Event().wait()
        Producer.stopped += 1

    async def send(self, *_, **more):
        if Producer.failure:
            raise Producer.failure
        Producer.sent.append(more.get("partition"))
        future = asyncio.get_running_loop().create_future()
        if Producer.held is not None:
            Producer.held.append(future)
        else:
            future.set_result(Metadata)
        return future


@pytest.fixture
def door(monkeypatch):
    monkeypatch.setattr(module, "AIOKafkaProducer", Producer)
    monkeypatch.setattr(module, "START_RETRY_S", 0.0)
    monkeypatch.setattr(module, "DIFFER_RETRY_S", 0.0)
    Producer.script, Producer.started, Producer.stopped, Producer.failure = [], 0, 0, None
    Producer.held, Producer.hangs, Producer.sent = None, False, []
    return Door(KafkaSettings(partitions=2), Figures(), name="gw", send_timeout_s=5, max_in_flight_bytes=1024 * 1024)


def fine():
    """Find nothing wrong."""


async def test_it_asks_again_until_a_broker_answers(door):
    assert (door.open, door.closed_because) == (False, "broker_down")
    Producer.script = [KafkaConnectionError(), OSError("no route"), None]
    await door.start(fine)
    assert (door.open, door.closed_because) == (True, None)
    assert (Producer.started, Producer.stopped) == (3, 2)


async def test_it_stays_closed_while_cluster_or_topics_differ(door, caplog):
    faults = [TopicsError([Fault("offsite.log.v1", "partitions", "has 3")]), BrokerDownError("gone again"), None]
    seen = []

    def verify():
        seen.append((door.open, door.closed_because))
        if (fault := faults.pop(0)) is not None:
            raise fault

    await door.start(verify)
    assert seen == [(False, "broker_down"), (False, "topics_differ"), (False, "broker_down")]
    assert door.open
    assert Producer.stopped == 2
    assert "offsite topics verify" in caplog.text


async def test_before_it_is_open_nothing_is_taken(door):
    with pytest.raises(RefusedError) as refused:
        await door.append("AA-1", BATCH)
    assert (refused.value.status, refused.value.code) == (503, "not_ready")


@pytest.mark.parametrize("fault", [KafkaTimeoutError(), OSError("reset"), TimeoutError()])
async def test_a_failed_append_is_not_known_to_be_stored_and_the_next_one_may_be(door, fault):
    await door.start(fine)
    Producer.failure = fault
    with pytest.raises(RefusedError) as refused:
        await door.append("AA-1", BATCH)
    assert (refused.value.status, refused.value.code, refused.value.retry_after_s) == (503, "not_stored", 5)
    assert (door.open, door.failing) == (True, True)
    Producer.failure = None
    receipt = await door.append("AA-1", BATCH)
    assert (receipt.partition, receipt.offset, receipt.received) == (2, 7, 1_000)
    assert not door.failing


async def test_a_tick_that_fails_is_a_sign_too_and_one_that_lands_ends_it(door, monkeypatch):
    await door.start(fine)
    states = []
    script = [KafkaConnectionError(), None]

    async def sleep(_):
        states.append(door.failing)
        if not script:
            raise asyncio.CancelledError
        Producer.failure = script.pop(0)

    monkeypatch.setattr(module.asyncio, "sleep", sleep)
    with contextlib.suppress(asyncio.CancelledError):
        await door.tick_for_ever(1)
    assert states == [False, True, False]


async def test_bytes_in_flight_are_bounded(door):
    await door.start(fine)
    door._room = 100
    with pytest.raises(RefusedError) as refused:
        await door.append("AA-1", BATCH)
    assert (refused.value.status, refused.value.code) == (503, "busy")
    assert not door.failing


async def test_after_a_stop_nothing_is_taken(door):
    await door.start(fine)
    await door.stop()
    assert not door.open
    with pytest.raises(RefusedError):
        await door.append("AA-1", BATCH)


async def turns(reached):
    """Let the loop turn until it is so."""
    for _ in range(1_000):
        if reached():
            return
        await asyncio.sleep(0)
    raise AssertionError("it did not happen")


def refusal(task):
    error = task.exception()
    assert isinstance(error, RefusedError)
    return error.status.value, error.code


async def test_room_is_held_until_the_producer_lets_go_however_long_ago_the_post_was_answered(door):
    await door.start(fine)
    room, door._timeout_s, Producer.held = door._room, 0.01, []
    posts = [asyncio.create_task(door.append(f"AA-{i}", BATCH)) for i in range(3)]
    await asyncio.wait(posts)
    assert {refusal(post) for post in posts} == {(503, "not_stored")}
    assert door._room < room
    assert door._figures.in_flight._value.get() == room - door._room
    for future in Producer.held:
        future.set_result(Metadata)
    await asyncio.sleep(0)
    assert (door._room, door._waiting) == (room, {})


async def test_behind_a_record_that_is_overdue_a_firm_is_told_at_once_and_others_are_taken(door):
    await door.start(fine)
    door._timeout_s, Producer.held = 0.01, []
    first = asyncio.create_task(door.append("AA-1", BATCH))
    await asyncio.wait([first])
    await asyncio.sleep(0.02)
    with pytest.raises(RefusedError) as refused:
        await door.append("AA-1", BATCH)
    assert (refused.value.code, len(Producer.held)) == ("busy", 1)
    held, Producer.held = Producer.held, None
    await door.append("BB-1", BATCH)
    held[0].set_result(Metadata)
    await asyncio.sleep(0)
    await door.append("AA-1", BATCH)


async def test_a_client_that_hangs_up_frees_no_room_before_its_record_is_acked(door):
    await door.start(fine)
    room, Producer.held = door._room, []
    post = asyncio.create_task(door.append("AA-1", BATCH))
    await turns(lambda: Producer.held)
    post.cancel()
    await asyncio.wait([post])
    assert door._room < room
    Producer.held[0].set_result(Metadata)
    await asyncio.sleep(0)
    assert door._room == room


async def test_a_producer_that_gave_up_a_batch_is_replaced(door):
    await door.start(fine)
    Producer.held = []
    post = asyncio.create_task(door.append("AA-1", BATCH))
    await turns(lambda: Producer.held)
    Producer.held[0].set_exception(OutOfOrderSequenceNumber())
    await asyncio.wait([post])
    assert refusal(post) == (503, "not_stored")
    Producer.held = None
    await turns(lambda: door._producer)
    await turns(lambda: not door._aside)
    assert (Producer.started, Producer.stopped, door.open) == (2, 1, True)
    await door.append("AA-1", BATCH)
    assert not door.failing


async def test_a_producer_is_replaced_as_soon_as_a_broker_answers_again(door):
    await door.start(fine)
    Producer.script = [KafkaConnectionError(), None]
    door._replace(door._producer)
    with pytest.raises(RefusedError) as refused:
        await door.append("AA-1", BATCH)
    assert refused.value.code == "not_ready"
    await turns(lambda: not door._aside)
    assert Producer.started == 3
    await door.append("AA-1", BATCH)


async def test_an_ack_that_names_no_place_is_no_receipt(door, monkeypatch):
    await door.start(fine)
    monkeypatch.setattr(Metadata, "offset", -1)
    with pytest.raises(RefusedError) as refused:
        await door.append("AA-1", BATCH)
    assert (refused.value.status, refused.value.code) == (503, "not_stored")


async def test_a_stop_does_not_wait_for_a_broker_that_hangs(door, monkeypatch):
    monkeypatch.setattr(module, "STOP_S", 0.01)
    await door.start(fine)
    Producer.hangs = True
    async with asyncio.timeout(20):
        await door.stop()
    assert not door.open


async def ticking(door, monkeypatch, steps):
    """Tick, and before each further tick do the next step."""
    steps = list(steps)

    async def sleep(_):
        if not steps:
            raise asyncio.CancelledError
        await steps.pop(0)()

    monkeypatch.setattr(module.asyncio, "sleep", sleep)
    with contextlib.suppress(asyncio.CancelledError):
        await door.tick_for_ever(1)


async def test_a_door_that_turned_everybody_away_does_not_say_that_it_was_open(door, monkeypatch):
    await door.start(fine)
    ticks = []

    async def all_refused():
        ticks.append(Producer.sent.count(0))
        door.turned_away()
        door.turned_away()

    async def one_taken():
        ticks.append(Producer.sent.count(0))
        door.turned_away()
        await door.append("AA-1", BATCH)

    async def nobody_came():
        ticks.append(Producer.sent.count(0))

    await ticking(door, monkeypatch, [all_refused, one_taken, nobody_came, nobody_came])
    assert ticks == [1, 1, 2, 3]
    assert Producer.sent.count(0) == Producer.sent.count(1) == 4


async def test_ticks_outlive_a_fault_of_our_own(door, monkeypatch):
    await door.start(fine)
    states = []

    async def break_it():
        Producer.failure = AssertionError("Unrecognized partition")  # aiokafka's own word for a topic that changed

    async def mend_it():
        states.append((door.failing, len(Producer.sent)))
        Producer.failure = None

    await ticking(door, monkeypatch, [break_it, mend_it])
    assert states == [(True, 2)]
    assert (door.failing, len(Producer.sent)) == (False, 4)


async def test_in_an_outage_one_tick_waits_per_partition_and_not_one_more_each_time(door, monkeypatch):
    await door.start(fine)
    door._timeout_s, Producer.held = 0.01, []

    async def more():
        assert len(Producer.held) == 2

    await ticking(door, monkeypatch, [more, more, more])
    assert Producer.sent == [0, 1]
