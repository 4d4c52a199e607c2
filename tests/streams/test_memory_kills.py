"""Kills at any step between a worker and its broker, in memory: what is published afterwards equals the offline fold."""

from __future__ import annotations

import asyncio

import pytest

from rules.engine import Engine
from rules.pack import default_bundle
from rules.records import RegisterRecord
from streams.testing import KILLED, simulate
from streams.testing.clock import running
from tests.coldlog import cold_store
from tests.streams.memory_lab import Scene
from tests.streams.test_worker_kills import cold_readings

TAGS = ("CR1.T1", "CR1.T2")
KILLS = 3


async def killed_often(here: Scene) -> None:
    """Kill a worker at steps drawn from the seed while readings come."""
    here.feed(12)
    await here.add()
    for _ in range(KILLS):
        await here.killed_within("w1", 110)
        await here.pump(1.0)
    await here.agree()
    assert [status for _, status, _ in here.ended].count(KILLED) == KILLS, here.ended
    await here.until("both partitions have a committed offset", lambda: set(here.committed()) == {0, 1})


@pytest.mark.parametrize("chunked", [True, False], ids=["chunks", "stock"])
@pytest.mark.parametrize("seed", range(4))
def test_kills_at_steps_of_the_seed_lose_nothing_and_invent_nothing(seed: int, chunked: bool) -> None:
    async def scene() -> None:
        await killed_often(Scene(seed, chunked=chunked))

    simulate(scene())


def test_a_kill_at_each_step_of_a_start_and_a_checkpoint() -> None:
    """The first hundred steps: name, join, fence, state, bounds, first changes, first checkpoint."""

    async def scene() -> None:
        here = Scene(7, partitions=1, facilities=2)
        here.feed(10)
        for step in range(1, 60, 2):
            worker = await here.add(dies_at=step)
            async with asyncio.timeout(60):
                await worker.process.ended.wait()
            await worker.bury()
            here.feed(1)
        await here.add()
        await here.agree()

    simulate(scene())


@pytest.mark.parametrize("seed", [11, 12])
def test_kills_of_the_real_engine_equal_the_offline_fold(seed: int) -> None:
    async def scene() -> None:
        here = Scene(seed, new_fold=lambda: Engine(default_bundle()))
        names = ["COLD-0", "COLD-1"]
        for name in names:
            here.append(RegisterRecord(version=1, facility=cold_store(name, TAGS)), name)
        worker = await here.add()
        for minute in range(40):
            for number, name in enumerate(names):
                here.append(cold_readings(2 * minute + number, minute, TAGS), name)
            if minute % 10 == 5:
                worker.process.dies_at = worker.process.steps + here.chance.randint(1, 110)
            await here.until("a tick later", ticker(0.2))
        await here.agree()
        assert [status for _, status, _ in here.ended].count(KILLED) >= 2
        assert {row["change"] for row in here.changes()} >= {"raised", "cleared"}

    simulate(scene())


def ticker(seconds: float) -> object:
    until = running().now + seconds
    return lambda: running().now >= until


def test_the_same_seed_gives_the_same_run() -> None:
    """Whoever finds a failing seed can look at it again."""
    runs = []

    async def scene() -> None:
        here = Scene(3)
        await killed_often(here)
        runs.append(
            (
                here.ended,
                here.committed(),
                [(p, e.offset, e.timestamp, e.key) for p, e in here.rows("offsite.alarms.v1")],
            )
        )

    simulate(scene())
    simulate(scene())
    assert runs[0] == runs[1]
