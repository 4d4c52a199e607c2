"""The whole gateway on a real Kafka, in this process: what is posted is told, what is refused is sampled, and it ends in order."""

from __future__ import annotations

import asyncio
import json
import time

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from monitor.gateway.answers import Feed
from monitor.gateway.app import create_gateway
from monitor.settings import GatewayEnvironment
from rules.instants import format_instant
from rules.records import RegisterRecord
from streams.access import new_key
from streams.codec import encode
from streams.rejected import read_rejected
from streams.topics import ACCESS, ALARMS, LOG, REJECTED
from tests.monitor.gateway_parts import client_of
from tests.rules.logs import FACILITY, facility

pytestmark = pytest.mark.kafka


def send(settings, topic, key, value, **more):
    producer = KafkaProducer(**settings.for_kafka_python(), acks="all")
    producer.send(settings.topic(topic), key=key.encode(), value=value, **more).get(timeout=20)
    producer.close()


async def until(ask, seconds=60):
    async with asyncio.timeout(seconds):
        while not (found := await ask()):  # noqa: ASYNC110 - what is waited for happens in Kafka, no event tells it
            await asyncio.sleep(0.05)
    return found


async def test_posted_told_refused_sampled(kafka_settings):
    key, key_hash = new_key()
    entry = {"name": "feed-1", "facilities": [FACILITY], "endpoints": ["readings", "feed", "register"]}
    send(kafka_settings, ACCESS, key_hash, json.dumps(entry).encode())
    headers, value = encode(RegisterRecord(version=4, facility=facility([("T1", "A1", 60)])))
    send(kafka_settings, LOG, FACILITY, value, headers=headers)
    change = {
        "stream": FACILITY, "seq": 9, "facility": FACILITY, "alarm": "a" * 32, "rule": "cold-chain.store-out",
        "version": "1.0.0", "packs": "p", "subject": {"tag": "T1"}, "change": "raised", "severity": "red", "stage": "live",
        "start": "2026-03-01T03:10:00.000Z", "end": None, "at": "2026-03-01T03:11:00.000Z",
        "received": "2026-03-01T03:11:02.113Z", "late": False, "message": {"en": "Too warm", "zh": "超温"},
    }  # fmt: skip
    send(kafka_settings, ALARMS, FACILITY, json.dumps(change).encode())
    app = create_gateway(GatewayEnvironment(tick_s=0.5), kafka_settings)
    async with app.router.lifespan_context(app), client_of(app, key) as client:

        async def open_now():
            return (await client.get("/readyz")).status_code == 200

        await until(open_now)
        now = time.time_ns() // 1_000_000
        body = {"batch": "b1", "seq": 1, "series": [{"tag": "T1", "time": [now - 1_000, now], "value": [4.5, 4.6]}]}
        receipt = await client.post("/v1/readings", json=body)
        assert receipt.status_code == 202
        refused = await client.post("/v1/readings", json={"batch": "b2", "series": []})
        assert refused.status_code == 422

        async def arrived():
            feed = Feed.model_validate_json((await client.get("/v1/feed")).content)
            return feed if feed.series and feed.as_of and feed.caught_up and feed.findings.open else None

        feed = await until(arrived)
        assert [(s.tag, s.value, s.time) for s in feed.series] == [("T1", 4.6, now)]
        assert format_instant(feed.series[0].received) == receipt.json()["received"]
        assert feed.findings.open[0].message.zh == "超温"
        assert feed.refusals.counts == {"contract": 1}
        registered = await client.get("/v1/register")
        assert (registered.status_code, registered.json()["version"]) == (200, 4)

        async def sampled():
            return app.state.gateway.figures.samples.labels("sent")._value.get() == 1

        await until(sampled)
        running = asyncio.all_tasks()
    assert not app.state.gateway.door.open
    assert all(task.done() for task in running if task is not asyncio.current_task())
    consumer = KafkaConsumer(**kafka_settings.for_kafka_python(), enable_auto_commit=False)
    places = [TopicPartition(kafka_settings.topic(REJECTED), p) for p in range(kafka_settings.partitions)]
    consumer.assign(places)
    consumer.seek_to_beginning(*places)
    rows = [row for batch in consumer.poll(timeout_ms=20_000).values() for row in batch]
    consumer.close()
    assert [(row.key.decode(), read_rejected(row.value).principal) for row in rows] == [(FACILITY, "feed-1")]


async def test_a_partition_that_refuses_the_producer_is_open_again_with_another_one(kafka_settings):
    """aiokafka counts a batch's numbers when it takes it: after one that it gave up the broker refuses all that follow."""
    key, key_hash = new_key()
    entry = {"name": "feed-1", "facilities": [FACILITY], "endpoints": ["readings"]}
    send(kafka_settings, ACCESS, key_hash, json.dumps(entry).encode())
    app = create_gateway(GatewayEnvironment(tick_s=300), kafka_settings)
    door = app.state.gateway.door
    async with app.router.lifespan_context(app), client_of(app, key) as client:

        async def taken():
            body = {"batch": "b1", "series": [{"tag": "T1", "time": [1], "value": [4.5]}]}
            answer = await client.post("/v1/readings", json=body)
            return answer.json() if answer.status_code == 202 else None

        first = await until(taken)
        numbers = door._producer._txn_manager._sequence_numbers
        for place in list(numbers):
            numbers[place] += 7
        broken = door._producer
        assert await taken() is None
        again = await until(taken)
        assert door._producer is not broken
        assert again["offset"] > first["offset"]
        assert not door.failing
