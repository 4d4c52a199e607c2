"""The door's start, its verdict on cluster and topics, and what a failed append leaves behind; the broker is a stand-in.

The same on a real Kafka that goes away and comes back: tests/e2e/test_front_to_alarm.py.
"""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from aiokafka.errors import KafkaConnectionError, KafkaTimeoutError

from monitor.gateway import door as module
from monitor.gateway.door import Door
from monitor.gateway.figures import Figures
from monitor.gateway.problems import RefusedError
from rules.errors import Fault
from streams.admin import BrokerDownError, TopicsError
from streams.settings import KafkaSettings
from tests.rules.logs import Row, readings

BATCH = readings([Row("T1", 1, 1.0)])


class Metadata:
    partition, offset, timestamp = 2, 7, 1_000


class Producer:
    """Stands for aiokafka's: does what `script` says, one entry per start."""

    script: list
    started = stopped = 0
    failure: Exception | None = None

    def __init__(self, **_):
        pass

    async def start(self):
        Producer.started += 1
        if Producer.script and (fault := Producer.script.pop(0)) is not None:
            raise fault

    async def stop(self):
        Producer.stopped += 1

    async def send(self, *_, **__):
        if Producer.failure:
            raise Producer.failure
        future = asyncio.get_running_loop().create_future()
        future.set_result(Metadata)
        return future


@pytest.fixture
def door(monkeypatch):
    monkeypatch.setattr(module, "AIOKafkaProducer", Producer)
    monkeypatch.setattr(module, "START_RETRY_S", 0.0)
    monkeypatch.setattr(module, "DIFFER_RETRY_S", 0.0)
    Producer.script, Producer.started, Producer.stopped, Producer.failure = [], 0, 0, None
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
