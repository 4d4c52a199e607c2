"""Fetches that are lost or come late, retention, outages, clocks: the worker folds each record once and in order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from streams.testing import simulate
from streams.testing.clock import running
from tests.streams.memory_lab import Scene

if TYPE_CHECKING:
    from streams.testing import MemoryWorker

HOUR_MS = 3_600_000


async def folding(here: Scene, batches: int = 20) -> MemoryWorker:
    here.feed(batches)
    worker = await here.add()
    await here.until("a first checkpoint", lambda: set(here.committed()) == set(range(here.kafka.partitions)))
    return worker


def counted(worker: MemoryWorker, name: str, **labels: str) -> float:
    return worker.sensor.registry.get_sample_value(name, labels) or 0.0


@pytest.mark.parametrize("chunked", [True, False], ids=["chunks", "stock"])
@pytest.mark.parametrize("slow_s", [0.0, 0.3], ids=["quick", "slow"])
def test_a_lost_fetch_is_sought_again_and_what_was_under_way_comes_too_late(chunked: bool, slow_s: float) -> None:
    async def scene() -> None:
        here = Scene(1, chunked=chunked, hold_rows=1)  # the agent lags behind the fetches
        worker = await folding(here)
        here.broker.fetch_rows, here.broker.slow["fetch"] = 2, slow_s
        for _ in range(5):
            here.broker.lost_fetches[here.settings.log_topic, 0] = 1
            await here.pump(1.0, batches=4)
        here.broker.slow.clear()
        here.broker.fetch_rows = 500
        await here.until("caught up", lambda: worker.custody.tenures[0].next == here.end(0))
        assert counted(worker, "offsite_worker_reseeks_total") >= 3
        early = counted(worker, "offsite_worker_dropped_total", why="before-seek")
        assert early or not slow_s, "no fetch was under way when the consumer was sent back"
        assert await here.agree() == 0
        assert here.ended == []

    simulate(scene())


def test_a_record_that_the_log_really_lacks_is_passed_over() -> None:
    async def scene() -> None:
        here = Scene(2, partitions=1)
        worker = await folding(here)
        log = here.broker.partition(here.settings.log_topic, 0)
        await here.caught_up()
        log.end += 3  # as a transaction's markers, or a batch that a compaction took
        here.feed(4)
        await here.until("it goes on behind the hole", lambda: worker.custody.tenures[0].next >= here.end(0))
        assert counted(worker, "offsite_worker_reseeks_total") == 1
        await here.agree()

    simulate(scene())


def test_retention_behind_the_checkpoints_costs_nothing() -> None:
    async def scene() -> None:
        here = Scene(3)
        worker = await folding(here)
        await here.caught_up()
        await worker.stop()
        for partition, offset in here.committed().items():
            here.cut(partition, offset)
        await worker.start()
        await here.pump(2)
        assert await here.agree() == 0
        assert here.ended == []

    simulate(scene())


def test_retention_that_took_what_was_never_folded_stops_the_worker() -> None:
    async def scene() -> None:
        here = Scene(4, partitions=1)
        worker = await folding(here)
        await worker.stop()
        here.feed(10)
        here.cut(0, here.end(0) - 2)
        before = len(here.changes())
        await worker.start()
        assert await here.died("w1") == 4
        assert "retention has passed the checkpoint" in worker.process.told()
        assert len(here.changes()) == before

    simulate(scene())


def test_retention_in_front_of_a_worker_that_lags_stops_it() -> None:
    async def scene() -> None:
        here = Scene(5, partitions=1)
        worker = await folding(here)
        worker.process.pause()
        here.feed(60)
        here.cut(0, here.end(0) - 4)
        before = len(here.changes())
        worker.process.resume()
        assert await here.died("w1") == 4
        assert "lost records" in worker.process.told()
        assert len(here.changes()) == before

    simulate(scene())


@pytest.mark.parametrize("away_s", [5, 60, 600])
def test_a_broker_that_goes_and_comes_costs_nothing(away_s: float) -> None:
    async def scene() -> None:
        here = Scene(6)
        await folding(here)
        await here.pump(1.0)
        here.broker.go_away()
        begun = running().now
        await here.until("it stays away", lambda: running().now - begun > away_s, away_s + 10)
        here.broker.come_back()
        await here.pump(2.0)
        assert await here.agree() == 0
        assert here.ended == []

    simulate(scene())


def test_a_broker_whose_clock_jumps_is_not_believed_until_a_second_clock_agrees() -> None:
    async def scene() -> None:
        here = Scene(7, partitions=1, clock_wait_s=20.0)
        worker = await folding(here)
        await here.caught_up()
        stood = worker.custody.tenures[0].next
        here.broker.ahead_ms = HOUR_MS
        here.feed(10)
        await here.until("it waits", lambda: worker.custody.guard.holds)
        assert worker.custody.tenures[0].next == stood
        until = running().now + 2 * here.settings.clock_wait_s
        await here.until(
            "it goes on in the end", lambda: not worker.custody.guard.holds, 2 * here.settings.clock_wait_s
        )
        assert running().now < until
        await here.agree()

    simulate(scene())


def test_a_compacted_state_topic_restores_the_same() -> None:
    async def scene() -> None:
        here = Scene(8, snapshot_every_s=1.0)
        worker = await folding(here)
        await here.pump(6.0)
        await here.caught_up()
        await worker.kill()
        state = here.broker.topics[here.settings.state_topic]
        before = [len(place.entries) for place in state]
        for place in state:
            place.compact()
        assert all(len(place.entries) < many for place, many in zip(state, before, strict=True))
        await worker.start()
        await here.pump(1.0)
        await here.agree()
        assert here.ended == []

    simulate(scene())
