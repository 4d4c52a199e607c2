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
from rules.eventtypes.posts import example_of as events_example
from rules.instants import format_instant
from rules.records import Events, Mark, RegisterRecord, Report
from rules.reports.posts import example_of as report_example
from streams.access import new_key
from streams.codec import decode, encode
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


async def test_every_kind_that_is_posted_is_in_the_log_and_told_in_the_feed(kafka_settings):
    key, key_hash = new_key()
    entry = {"name": "feed-1", "facilities": [FACILITY], "endpoints": ["reports", "marks", "events", "feed"]}
    send(kafka_settings, ACCESS, key_hash, json.dumps(entry).encode())
    app = create_gateway(GatewayEnvironment(tick_s=0.5), kafka_settings)
    bodies = {
        "reports": report_example("amendment"),
        "marks": {
            "id": "M-1",
            "revision": 1,
            "area": "A1",
            "flag": "stopped",
            "from": 1,
            "reason": "停产",
            "author": "u-1",
        },
        "events": events_example("trace", "shipped"),
    }
    async with app.router.lifespan_context(app), client_of(app, key) as client:

        async def open_now():
            return (await client.get("/readyz")).status_code == 200

        await until(open_now)
        places = {}
        for name, body in bodies.items():
            assert (await client.post(f"/v1/{name}?check=true", json=body)).status_code == 200
            for _ in range(2):  # again with the same id: a record of its own, and the fold's to pass over
                answer = await client.post(f"/v1/{name}", json=body)
                assert answer.status_code == 202
                places[answer.json()["partition"], answer.json()["offset"]] = (name, answer.json()["received"])
            assert (await client.post(f"/v1/{name}", json=body | {"more": 1})).status_code == 422

        async def arrived():
            feed = Feed.model_validate_json((await client.get("/v1/feed")).content)
            return feed if sum(one.records for one in feed.arrived) == 6 and feed.as_of else None

        feed = await until(arrived)
        assert {one.kind.value: one.records for one in feed.arrived} == {"report": 2, "mark": 2, "events": 2}
        assert feed.refusals.counts == {"contract": 3}
        assert {one.endpoint for one in feed.refusals.last} == set(bodies)
    consumer = KafkaConsumer(**kafka_settings.for_kafka_python(), enable_auto_commit=False)
    where = [TopicPartition(kafka_settings.topic(LOG), p) for p in range(kafka_settings.partitions)]
    consumer.assign(where)
    consumer.seek_to_beginning(*where)
    found = {}
    async with asyncio.timeout(60):
        while len(found) < len(places):
            for rows in (await asyncio.to_thread(consumer.poll, timeout_ms=500)).values():
                for row in rows:
                    record = decode(row.partition, row.offset, row.timestamp, row.key, row.headers, row.value)
                    if record.kind != "tick":
                        found[row.partition, row.offset] = record
    consumer.close()
    assert found.keys() == places.keys()
    models = {"reports": Report, "marks": Mark, "events": Events}
    for place, (name, received) in places.items():
        assert (found[place].facility, found[place].payload) == (FACILITY, models[name].model_validate(bodies[name]))
        assert format_instant(found[place].received) == received


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
