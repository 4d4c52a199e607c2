"""The outbox under deciders in several processes, relays that are killed, two at once, and a broker that goes away."""

from __future__ import annotations

import random
import time

import pytest
from sqlalchemy import func, select

from monitor.store.tables import OutboxRow
from streams import admin
from streams.broker import EmbeddedBroker
from streams.settings import KafkaSettings
from streams.topics import LOG
from tests.monitor.store.relaying import started
from tests.monitor.store.test_relay import read

WRITERS = 3


def until(condition, seconds=240):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def unsent(store):
    with store.reading() as session:
        return session.scalar(select(func.count()).select_from(OutboxRow).where(OutboxRow.sent_ms.is_(None)))


def sent(store):
    with store.reading() as session:
        return session.scalar(select(func.count()).select_from(OutboxRow).where(OutboxRow.sent_ms.is_not(None)))


def whole(store, settings, rows):
    """Fail unless the log's first copies are the decisions, each facility's in the order of commits; returns the repeats."""
    found = read(settings, LOG)
    with store.reading() as session:
        decided = list(session.scalars(select(OutboxRow).order_by(OutboxRow.lane, OutboxRow.position)))
    assert len(decided) == WRITERS * rows
    for facility in ("F0", "F1"):
        lane = [row.value for row in decided if row.key == facility]
        first = list(dict.fromkeys(value for key, value, *_ in found if key == facility))
        assert first == lane
        for writer in range(WRITERS):
            numbers = [int(value.partition(b":")[2]) for value in lane if value.startswith(b"%d:" % writer)]
            assert numbers == sorted(numbers)
    places = {(partition, offset): value for _, value, _, partition, offset in found}
    assert all(places[row.partition, row.offset] == row.value for row in decided)
    return len(found) - len(decided)


@pytest.mark.parametrize(
    ("kills", "rows"), [(3, 40), pytest.param(25, 250, marks=pytest.mark.slow)], ids=["short", "long"]
)
def test_relays_killed_at_random_points_lose_nothing_and_swap_nothing(store, store_url, kafka_settings, kills, rows):
    chance = random.Random(kills)  # noqa: S311 - no secret
    processes = [started("decide", store_url, kafka_settings, n, rows) for n in range(WRITERS)]
    relays = [started("relay", store_url, kafka_settings) for _ in range(2)]
    try:
        for _ in range(kills):
            before = sent(store)
            until(lambda before=before: sent(store) > before or not unsent(store))
            time.sleep(chance.uniform(0, 0.3))
            victim = chance.randrange(2)
            relays[victim].kill()
            relays[victim].wait(30)
            relays[victim] = started("relay", store_url, kafka_settings)
        assert [process.wait(240) for process in processes] == [0] * WRITERS
        until(lambda: not unsent(store))
    finally:
        for process in [*processes, *relays]:
            process.kill()
            process.wait(30)
    whole(store, kafka_settings, rows)


@pytest.mark.slow
def test_a_broker_that_is_killed_and_comes_back_costs_time_only(store, store_url, tmp_path):
    with EmbeddedBroker(tmp_path / "kafka") as broker:
        settings = KafkaSettings(bootstrap=broker.bootstrap, partitions=3)
        admin.create(settings)
        processes = [started("decide", store_url, settings, n, 40) for n in range(WRITERS)]
        relay = started("relay", store_url, settings)
        try:
            until(lambda: sent(store) > 0)
            broker.kill()
            assert [process.wait(240) for process in processes] == [0] * WRITERS  # nobody waits for Kafka to decide
            broker.start()
            until(lambda: not unsent(store))
        finally:
            for process in [*processes, relay]:
                process.kill()
                process.wait(30)
        whole(store, settings, 40)
