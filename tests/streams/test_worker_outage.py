"""The broker goes away and comes back: nothing is lost, nothing is invented, whoever has to be restarted is."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import pytest
from aiokafka.errors import KafkaError

from streams import jars
from streams.broker import EmbeddedBroker
from tests.streams.lab import Lab
from tests.streams.test_worker_kills import checkpoint_after, producer_of
from tests.streams.toy import ToyFold

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[EmbeddedBroker]:
    jars.ensure_jars()
    with EmbeddedBroker(tmp_path / "broker") as value:
        yield value


@pytest.fixture
def lab(broker: EmbeddedBroker, tmp_path: Path) -> Iterator[Lab]:
    value = Lab(broker.bootstrap, tmp_path)
    value.create_topics()
    yield value
    value.close()


@asynccontextmanager
async def supervised(lab: Lab, instance: str = "w1") -> AsyncIterator[list[int]]:
    """Keep a worker running, as a supervisor would; yields the exit statuses of those that ended."""
    ended: list[int] = []

    async def supervise() -> None:
        while True:
            worker = lab.spawn(instance)
            ended.append(await asyncio.to_thread(worker.process.wait))

    task = asyncio.create_task(supervise())
    try:
        yield ended
    finally:
        task.cancel()
        lab.close()
        with suppress(asyncio.CancelledError):
            await task


async def pump_through(lab: Lab, done: asyncio.Event) -> None:
    """Append whatever comes: the log holds what the broker took, and that is what is judged."""
    async with producer_of(lab) as producer:
        while not done.is_set():
            with suppress(KafkaError):
                await lab.feed(producer, 10)
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("away_s", [0, 20], ids=["killed", "stopped-20-s"])
async def test_a_broker_that_goes_and_comes_costs_nothing(lab: Lab, broker: EmbeddedBroker, away_s: int) -> None:
    done = asyncio.Event()
    async with supervised(lab) as ended:
        task = asyncio.create_task(pump_through(lab, done))
        reached = await checkpoint_after(lab, 0)
        if away_s:
            await asyncio.to_thread(broker.stop)
        else:
            broker.kill()
        await asyncio.sleep(away_s)
        broker.start()
        assert broker.bootstrap == lab.bootstrap
        await checkpoint_after(lab, reached)
        done.set()
        await task
        await lab.agree(ToyFold, 90)
        assert set(ended) <= {70}, "a restart helps against an outage"
