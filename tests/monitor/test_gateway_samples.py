from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import json

import pytest
from kafka import KafkaConsumer, TopicPartition

from monitor.gateway import samples as module
from monitor.gateway.app import _parts
from monitor.gateway.bodies import MAX_BODY_BYTES
from monitor.settings import GatewayEnvironment
from streams.access import new_key
from streams.rejected import RefusedPost, UnreadRecord, read_rejected
from streams.settings import KafkaSettings
from streams.topics import REJECTED
from tests.monitor.gateway_parts import FACILITY, GOOD, HASH, KEY, client_of, open_gateway, put

BAD = {"batch": "b", "series": [{"tag": "?", "time": [1], "value": [None]}]}


@pytest.fixture
def now():
    return [1_000.0]


@pytest.fixture
def gateway(now):
    app = open_gateway()
    app.state.gateway.samples._clock = lambda: now[0]
    return app


@pytest.fixture
async def client(gateway):
    async with client_of(gateway) as c:
        yield c


def taken(gateway):
    queue = gateway.state.gateway.samples.queue
    return [(sample.key, read_rejected(sample.value)) for sample in (queue.get_nowait() for _ in range(queue.qsize()))]


async def post(client, body, path="/v1/readings", **headers):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return await client.post(path, content=content, headers={"Content-Type": "application/json"} | names)


async def test_a_refusal_is_sampled_with_its_body_counts_and_principal(client, gateway):
    raw = json.dumps(BAD).encode() + b" " * 5_000
    assert (await post(client, raw)).status_code == 422
    ((key, entry),) = taken(gateway)
    assert key == FACILITY.encode()
    assert isinstance(entry, RefusedPost)
    assert (entry.facility, entry.principal, entry.endpoint) == (FACILITY, "feed", "readings")
    assert (entry.status, entry.code, entry.counts) == (422, "contract", {"bad_tag": 1, "null_with_good_quality": 1})
    assert base64.b64decode(entry.sample) == raw[:4096]
    assert (entry.size, entry.sha256) == (len(raw), hashlib.sha256(raw).hexdigest())
    assert entry.unsampled == {}


async def test_the_key_itself_is_nowhere(client, gateway):
    await post(client, BAD)
    queue = gateway.state.gateway.samples.queue
    value = queue.get_nowait().value
    assert KEY.encode() not in value
    assert HASH.encode() not in value


async def test_at_most_so_many_per_code_and_minute_and_the_rest_is_in_the_next_sample(client, gateway, now):
    for _ in range(5):
        await post(client, BAD)
    await post(client, b"{")
    entries = [entry for _, entry in taken(gateway)]
    assert [e.code for e in entries] == ["contract", "contract", "malformed"]
    assert [e.unsampled for e in entries] == [{}, {}, {"contract": 3}]
    now[0] += 59
    await post(client, BAD)
    now[0] += 1
    await post(client, BAD)
    ((_, entry),) = taken(gateway)
    assert entry.unsampled == {"contract": 1}
    figures = (await client.get("/metrics")).text
    assert 'offsite_gateway_samples_total{outcome="unsampled"} 4.0' in figures


async def test_all_codes_of_a_key_together_are_bounded(client, gateway, monkeypatch):
    monkeypatch.setattr(module, "PER_MINUTE", 3)
    await post(client, BAD)
    await post(client, b"{")
    await post(client, GOOD, Content_Type="text/plain")
    await post(client, GOOD, "/v1/readings?facility=ELSE-0001")
    assert [entry.code for _, entry in taken(gateway)] == ["contract", "malformed", "media_type"]


async def test_the_bytes_of_a_key_in_a_day_are_bounded_and_another_key_has_its_own(client, gateway, now, monkeypatch):
    monkeypatch.setattr(module, "DAY_BYTES", 1)
    await post(client, BAD)
    now[0] += 3_600
    await post(client, BAD)
    other, other_hash = new_key()
    put(gateway.state.gateway.access, other_hash, name="other")
    async with client_of(gateway, other) as second:
        await post(second, BAD)
    assert [entry.principal for _, entry in taken(gateway)] == ["feed", "other"]
    now[0] += 86_400
    await post(client, BAD)
    ((_, entry),) = taken(gateway)
    assert entry.unsampled == {"contract": 1}


async def test_a_full_queue_costs_samples_and_no_answer(client, gateway):
    samples = gateway.state.gateway.samples
    samples.queue = asyncio.Queue(1)
    assert [(await post(client, body)).status_code for body in (BAD, b"{", GOOD)] == [422, 400, 202]
    assert len(taken(gateway)) == 1
    assert samples._principals[HASH].unsampled == {"malformed": 1}


async def test_keys_are_forgotten_when_there_are_too_many(client, gateway, monkeypatch):
    monkeypatch.setattr(module, "REMEMBERED", 1)
    await post(client, BAD)
    other, other_hash = new_key()
    put(gateway.state.gateway.access, other_hash)
    async with client_of(gateway, other) as second:
        await post(second, BAD)
    assert list(gateway.state.gateway.samples._principals) == [other_hash]


async def test_strangers_and_our_own_outages_are_not_sampled(client, gateway):
    from http import HTTPStatus

    from monitor.gateway.problems import RefusedError

    await post(client, GOOD, Authorization="Bearer wrong")
    gateway.state.gateway.door.refusal = RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "not_stored", retry_after_s=5)
    assert (await post(client, GOOD)).status_code == 503
    assert taken(gateway) == []


async def test_another_firms_facility_is_never_the_key_of_a_sample(client, gateway):
    await post(client, GOOD, "/v1/readings?facility=ELSE-0001")
    ((key, entry),) = taken(gateway)
    assert (key, entry.facility, entry.code) == (FACILITY.encode(), "", "not_allowed")
    assert (entry.sample, entry.size, entry.sha256) == ("", None, None)  # the body was not read


@pytest.mark.parametrize("packed", [False, True])
async def test_of_a_body_that_is_too_large_its_first_bytes_are_kept(client, gateway, packed):
    raw = b"[" + b"7," * MAX_BODY_BYTES
    sent = gzip.compress(raw) if packed else raw
    answer = await post(client, sent, Content_Encoding="gzip" if packed else "identity")
    assert answer.status_code == 413
    ((_, entry),) = taken(gateway)
    assert base64.b64decode(entry.sample) == raw[:4096]
    assert (entry.size, entry.sha256) == (None, None)


async def test_a_fault_in_keeping_a_refusal_never_disturbs_its_answer(client, gateway, monkeypatch, caplog):
    def broken(*_):
        raise RuntimeError("a bug")

    monkeypatch.setattr(gateway.state.gateway.samples, "offer", broken)
    assert (await post(client, BAD)).status_code == 422
    assert "a bug" in caplog.text


async def until(condition, seconds=60):
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in Kafka, no event tells it
            await asyncio.sleep(0.02)


def written(settings):
    consumer = KafkaConsumer(**settings.for_kafka_python(), enable_auto_commit=False)
    places = [TopicPartition(settings.topic(REJECTED), p) for p in range(settings.partitions)]
    consumer.assign(places)
    ends = consumer.end_offsets(places)
    consumer.seek_to_beginning(*places)
    rows = []
    while any(consumer.position(place) < ends[place] for place in places):
        rows += [row for batch in consumer.poll(timeout_ms=200).values() for row in batch]
    consumer.close()
    return [(row.key, read_rejected(row.value)) for row in rows]


@pytest.mark.kafka
async def test_samples_reach_the_topic(kafka_settings):
    app = open_gateway(kafka_settings)
    parts = app.state.gateway
    task = asyncio.create_task(parts.samples.pump())
    try:
        async with client_of(app) as client:
            await post(client, BAD)
            await post(client, b"{")
        sent = parts.figures.samples.labels("sent")
        await until(lambda: sent._value.get() == 2)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    found = written(kafka_settings)
    assert {key for key, _ in found} == {FACILITY.encode()}
    assert sorted(entry.code for _, entry in found) == ["contract", "malformed"]


async def test_a_sample_that_cannot_be_written_is_counted_in_the_next():
    parts = _parts(GatewayEnvironment(), KafkaSettings())
    put(parts.access)

    class Broken:
        async def send_and_wait(self, *_, **__):
            raise OSError("away")

    app = open_gateway()
    app.state.gateway.samples = parts.samples
    async with client_of(app) as client:
        await post(client, b"{")
        task = asyncio.create_task(parts.samples._send_all(Broken()))
        await until(parts.samples.queue.empty)
        await until(lambda: parts.figures.samples.labels("failed")._value.get() == 1)
        await post(client, BAD)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert (
        parts.samples._principals[HASH].unsampled["malformed"]
        + sum(
            read_rejected(s.value).unsampled.get("malformed", 0)
            for s in (parts.samples.queue.get_nowait() for _ in range(parts.samples.queue.qsize()))
        )
        == 1
    )


def test_what_the_worker_writes_is_of_the_same_model():
    from rules.records import Rejected
    from streams.rejected import encode_rejected

    entry = read_rejected(encode_rejected(Rejected(1, 7, -5, "", "undecodable", "half \ud800", b"x" * 9_999)))
    assert isinstance(entry, UnreadRecord)
    assert (entry.partition, entry.offset, entry.received_ms, entry.code) == (1, 7, -5, "undecodable")
    assert base64.b64decode(entry.sample) == b"x" * 4_096
