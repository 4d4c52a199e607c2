"""The worker's ticks on a real broker: one that was given up costs itself and no later one."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace

import aiokafka

from streams.client_kinds import AIOKAFKA
from streams.sensor import Sensor
from streams.ticker import Ticker
from streams.worker_settings import WorkerSettings

WITHIN_S = 60


async def test_a_tick_that_was_given_up_in_an_outage_stops_no_later_one(kafka_settings, monkeypatch):
    """aiokafka gives up a batch whose partition has no leader for too long, and counts its sequence number all the same:
    an idempotent producer is refused from then on, for ever."""
    made = []

    class Producer(aiokafka.AIOKafkaProducer):
        def __init__(self, **settings):
            super().__init__(**settings)
            made.append(self)

    landed, failed, sensor = asyncio.Queue(), asyncio.Event(), Sensor()
    monkeypatch.setattr(sensor, "ticked", lambda outcome: failed.set() if outcome == "failed" else None)
    settings = WorkerSettings(kafka=kafka_settings, tick_every_s=0.1)
    kinds = replace(AIOKAFKA, producer=Producer)
    ticker = Ticker(settings, sensor, lambda: {0: 0}, lambda *place: landed.put_nowait(place), kinds=kinds)
    running = asyncio.create_task(ticker.run())
    try:
        async with asyncio.timeout(WITHIN_S):
            await landed.get()
            accumulator = made[0]._message_accumulator
            with monkeypatch.context() as outage:
                outage.setattr(accumulator, "_batch_ttl", 0)
                outage.setattr(accumulator._cluster, "leader_for_partition", lambda _: -1)
                await failed.wait()
            while not landed.empty():
                landed.get_nowait()
            partition, offset, _ = await landed.get()
        assert (partition, offset) >= (0, 1)
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
