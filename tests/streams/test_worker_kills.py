"""Kill workers at random points on a real Kafka: afterwards what was published equals an offline fold of the log."""

from __future__ import annotations

import asyncio
import random
import signal
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from aiokafka import AIOKafkaProducer

from rules.engine import Engine
from rules.pack import default_bundle
from rules.records import Readings, RegisterRecord
from tests.coldlog import cold_store
from tests.streams.toy import ToyFold

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.streams.lab import Lab

SHORT, LONG = 2, 10


@asynccontextmanager
async def producer_of(lab: Lab) -> AsyncIterator[AIOKafkaProducer]:
    async with AIOKafkaProducer(bootstrap_servers=lab.bootstrap, linger_ms=2, enable_idempotence=True) as producer:
        yield producer


@asynccontextmanager
async def pumping(lab: Lab, batches: int = 10, every_s: float = 0.02) -> AsyncIterator[None]:
    """Append readings all the while."""
    async with producer_of(lab) as producer:
        done = asyncio.Event()

        async def pump() -> None:
            while not done.is_set():
                await lab.feed(producer, batches)
                await asyncio.sleep(every_s)

        task = asyncio.create_task(pump())
        try:
            yield
        finally:
            done.set()
            await task


async def checkpoint_after(lab: Lab, next_offset: int, within_s: float = 30.0) -> int:
    """Wait until some marker has passed an offset; returns the highest."""
    highest = next_offset

    async def passed() -> bool:
        nonlocal highest
        highest = max((mark["next"] for mark in (await lab.marks()).values()), default=-1)
        return highest > next_offset

    await lab.until(f"a marker behind {next_offset}", passed, within_s)
    return highest


async def kill_often(lab: Lab, kills: int, seed: int) -> None:
    """Kill and restart one worker; every second kill comes as soon as it can, the others behind a checkpoint."""
    chance = random.Random(seed)  # noqa: S311 - a seed makes the run repeatable
    reached = -1
    for number in range(kills):
        worker = lab.spawn()
        if number % 2:
            await lab.until("probes", worker.url)
        else:
            reached = await checkpoint_after(lab, reached)
        await asyncio.sleep(chance.uniform(0, 1.5))
        worker.kill()
    lab.spawn()


@pytest.mark.parametrize("chunked", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["chunks", "stock"])
async def test_kills_at_random_points_lose_nothing_and_invent_nothing(lab: Lab, chunked: bool) -> None:
    lab.settings["chunked"] = chunked
    async with pumping(lab):
        await kill_often(lab, SHORT, seed=1)
        await checkpoint_after(lab, 0)
    await lab.agree(ToyFold)
    assert lab.sent > 500


@pytest.mark.slow
@pytest.mark.parametrize("chunked", [True, False], ids=["chunks", "stock"])
async def test_ten_kills_lose_nothing_and_invent_nothing(lab: Lab, chunked: bool) -> None:
    lab.settings["chunked"] = chunked
    async with pumping(lab, batches=20):
        await kill_often(lab, LONG, seed=2)
        await checkpoint_after(lab, 0)
    await lab.agree(ToyFold)


def cold_readings(number: int, minute: int, tags: tuple[str, ...]) -> Readings:
    """A minute of a room that is out of its limits for five minutes in every ten, and now and then late."""
    value = 9.5 if minute % 10 < 5 else 5.0
    late = 3 if number % 17 == 0 else 0
    time_ms = 1_767_225_600_000 + (minute - late) * 60_000
    return Readings(
        f"r{number}", tags, np.ones(len(tags), np.int32), np.full(len(tags), time_ms, np.int64),
        value + 0.1 * np.arange(len(tags)), np.zeros(len(tags), np.uint8),
    )  # fmt: skip


async def feed_engine(lab: Lab, producer: Any, minutes: int) -> None:
    facilities = [f"COLD-{i}" for i in range(6)]
    tags = ("CR1.T1", "CR1.T2")
    if lab.sent == 0:
        for name in facilities:
            await lab.append(producer, RegisterRecord(version=1, facility=cold_store(name, tags)), name)
    for _ in range(minutes):
        minute = lab.sent // len(facilities)
        for name in facilities:
            await lab.append(producer, cold_readings(lab.sent, minute, tags), name)
            lab.sent += 1
    await producer.flush()


async def kill_the_engine(lab: Lab, kills: int, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - a seed makes the run repeatable
    reached = -1
    async with producer_of(lab) as producer:
        await feed_engine(lab, producer, 5)
        done = asyncio.Event()

        async def pump() -> None:
            while not done.is_set():
                await feed_engine(lab, producer, 2)
                await asyncio.sleep(0.02)

        task = asyncio.create_task(pump())
        for _ in range(kills):
            worker = lab.spawn(fold={"real": True})
            reached = await checkpoint_after(lab, reached)
            await asyncio.sleep(chance.uniform(0, 1.5))
            worker.kill()
        lab.spawn(fold={"real": True})
        await checkpoint_after(lab, reached)
        done.set()
        await task
    await lab.agree(lambda: Engine(default_bundle()))
    assert {row["change"] for row in await lab.changes()} >= {"raised", "cleared"}


@pytest.mark.slow  # in `make test`: test_memory_kills.py
async def test_kills_of_the_real_engine_equal_the_offline_fold(lab: Lab) -> None:
    await kill_the_engine(lab, SHORT, seed=3)


@pytest.mark.slow
async def test_ten_kills_of_the_real_engine_equal_the_offline_fold(lab: Lab) -> None:
    await kill_the_engine(lab, LONG, seed=4)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [5, 6, 7])
async def test_three_workers_under_kills_and_terms_equal_the_offline_fold(lab: Lab, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - a seed makes the run repeatable
    async with pumping(lab, batches=20):
        alive = {name: lab.spawn(name) for name in ("w1", "w2", "w3")}
        reached = await checkpoint_after(lab, -1)
        for _ in range(9):
            name = chance.choice(sorted(alive))
            if chance.random() < 0.6:
                alive[name].kill()
            else:
                alive[name].signal(signal.SIGTERM)
                alive[name].process.wait(10)
            reached = await checkpoint_after(lab, reached)
            await asyncio.sleep(chance.uniform(0, 7))
            alive[name] = lab.spawn(name)
        reached = await checkpoint_after(lab, reached)
    await lab.agree(ToyFold)
    assert all(worker.process.poll() is None for worker in alive.values()), "a worker stopped that nobody killed"
