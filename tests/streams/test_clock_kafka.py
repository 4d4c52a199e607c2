"""A broker's clock that jumps, on a real Kafka: a log with times of the test's own, as a wrong clock would stamp it."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest
from kafka.admin import ConfigResource, ConfigResourceType

from rules.records import Readings, Tick
from streams import admin
from streams.codec import encode
from streams.rejected import ClockNotice, read_rejected
from tests.streams.test_worker_kills import producer_of
from tests.streams.toy import ToyFold

if TYPE_CHECKING:
    from aiokafka import AIOKafkaProducer

    from tests.streams.lab import Lab

pytestmark = pytest.mark.slow
HOUR = 3_600_000


def now() -> int:
    return time.time_ns() // 1_000_000


def stamp_by_hand(lab: Lab) -> None:
    """Let records carry the times that the test gives them, as in an import."""
    with admin.admin_client(lab.kafka) as client:
        configs = {"message.timestamp.type": "CreateTime", "message.timestamp.after.max.ms": str((1 << 63) - 1)}
        client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, lab.base.log_topic, configs)])


async def post(lab: Lab, producer: AIOKafkaProducer, received: int, batch: str) -> None:
    payload = Readings(
        batch, ("T1",), np.array([1], np.int32), np.array([received], np.int64), np.array([1.0]), np.zeros(1, np.uint8)
    )
    headers, value = encode(payload)
    await producer.send_and_wait(
        lab.base.log_topic, value, b"FAC-0", partition=0, headers=headers, timestamp_ms=received
    )


async def tick(lab: Lab, producer: AIOKafkaProducer, received: int, said: int) -> None:
    headers, value = encode(Tick(by="gw-1", role="gateway", now=said))
    await producer.send_and_wait(lab.base.log_topic, value, b"", partition=0, headers=headers, timestamp_ms=received)


async def states(lab: Lab) -> list[str]:
    rows = [read_rejected(row.value) for row in await lab.read(lab.base.rejected_topic)]
    return [row.state for row in rows if isinstance(row, ClockNotice) and row.partition == 0]


@pytest.mark.parametrize("settled_by", ["waited", "agreed"])
async def test_a_partition_waits_says_so_goes_on_and_loses_nothing(lab: Lab, settled_by: str) -> None:
    lab.settings |= {"clock_wait_s": 20.0 if settled_by == "waited" else 600.0, "stall_timeout_s": 4.0}
    stamp_by_hand(lab)
    worker = lab.spawn()
    async with producer_of(lab) as producer:
        await post(lab, producer, now(), "b1")
        await lab.caught_up(120)
        await post(lab, producer, now() + HOUR, "b2")
        await post(lab, producer, now(), "b3")

        def waits() -> bool:
            status, body = worker.probe("/readyz")
            return status == 503 and json.loads(body)["held"] == [0]

        await lab.until("the partition waits and readiness says so", waits, 60)
        status, body = worker.probe("/healthz")
        assert (status, "the broker's clock jumped" in body) == (200, True), "nobody should start it again"
        if settled_by == "agreed":
            await tick(lab, producer, now() + HOUR, now() + HOUR)
        await lab.until("it goes on", lambda: worker.probe("/readyz")[0] == 200, 120)
        await lab.caught_up(120)
    await lab.agree(ToyFold, 120)
    assert (await states(lab))[:2] == ["held", settled_by]
    assert worker.process.poll() is None
