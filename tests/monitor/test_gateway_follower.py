"""The follower on a real Kafka: how far it looks back, what it says about it, and that it goes on where it stopped."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import asynccontextmanager

import pytest
from kafka import KafkaProducer

from monitor.gateway.feed import feed_of
from monitor.gateway.follower import Follower
from monitor.gateway.refusals import RefusalBook
from rules.records import RegisterRecord, Tick
from streams.codec import encode, home_of
from streams.topics import ALARMS, LOG
from tests.rules.logs import FACILITY, Row, facility, readings

HOUR_MS = 3_600_000


def now_ms():
    return time.time_ns() // 1_000_000


def follower_of(settings, **more):
    given = {"look_back_ms": 24 * HOUR_MS, "look_back_records": 1_000, "now_ms": now_ms} | more
    return Follower(settings, {FACILITY: {"T1": "Cel"}}, **given)


@asynccontextmanager
async def following(follower):
    task = asyncio.create_task(follower.follow())
    try:
        yield follower
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition, seconds=60):
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in Kafka, no event tells it
            await asyncio.sleep(0.02)


def producer_of(settings, **more):
    return KafkaProducer(**settings.for_kafka_python(), acks="all", **more)


def append(settings, *payloads, owner=FACILITY, partition=None):
    """Append, to the facility's own partition if none is given, and return the receive time of the last."""
    partition = home_of(owner, settings.partitions) if partition is None else partition
    producer = producer_of(settings)
    for payload in payloads:
        headers, value = encode(payload)
        sent = producer.send(settings.topic(LOG), key=owner.encode(), value=value, headers=headers, partition=partition)
    received = sent.get(timeout=20).timestamp
    producer.close()
    return received


def tick_all(settings):
    for partition in range(settings.partitions):
        append(settings, Tick(by="gw", role="gateway", now=now_ms()), owner="", partition=partition)


def change(seq, alarm="a" * 32, **members):
    value = {
        "stream": FACILITY, "seq": seq, "facility": FACILITY, "alarm": alarm, "rule": "r", "subject": {}, "change": "raised",
        "severity": "red", "stage": "live", "start": 1, "end": None, "received": 1, "message": {"en": "e", "zh": "z"},
    }  # fmt: skip
    return json.dumps(value | members).encode()


def told(follower):
    return feed_of(FACILITY, follower, {"T1"}, None, RefusalBook("gw", 0).told())


@pytest.mark.kafka
async def test_it_reads_what_stood_there_and_what_comes(kafka_settings):
    begin = now_ms()
    append(
        kafka_settings,
        RegisterRecord(version=1, facility=facility([("T1", "A1", 60)])),
        readings([Row("T1", begin - 60_000, 4.0)]),
    )
    tick_all(kafka_settings)
    async with following(follower_of(kafka_settings)) as follower:
        await until(lambda: follower.caught_up)
        feed = told(follower)
        assert [(s.tag, s.value, s.registered) for s in feed.series] == [("T1", 4.0, True)]
        assert feed.since <= begin - 23 * HOUR_MS
        assert begin <= feed.as_of <= now_ms()
        assert follower.ledger.find(FACILITY).registered.version == 1
        append(kafka_settings, readings([Row("T1", begin, 5.0)], "b2"))
        await until(lambda: told(follower).series[0].value == 5.0)
        before = told(follower).as_of
        tick_all(kafka_settings)
        await until(lambda: told(follower).as_of > before)


@pytest.mark.kafka
async def test_a_look_back_cut_by_records_says_from_when_on_it_read(kafka_settings):
    for minute in range(30):
        append(kafka_settings, readings([Row("T1", minute, float(minute))], f"b{minute}"))
    async with following(follower_of(kafka_settings, look_back_records=10)) as follower:
        await until(lambda: follower.caught_up)
        feed = told(follower)
        assert feed.arrived[0].records == 10
        assert feed.since >= now_ms() - 10 * 60_000  # the first record read, not 24 hours ago
        assert feed.findings.since <= now_ms() - 29 * 24 * HOUR_MS
        assert feed.series[0].value == 29.0


@pytest.mark.kafka
async def test_a_look_back_shorter_than_the_log_begins_by_time(kafka_settings):
    old = append(kafka_settings, readings([Row("T1", 1, 1.0)], "old"))
    new = old
    while new == old:  # the broker stamps whole milliseconds
        new = append(kafka_settings, readings([Row("T1", 2, 2.0)], "new"))
    follower = follower_of(kafka_settings, look_back_ms=HOUR_MS, now_ms=lambda: new + HOUR_MS)
    async with following(follower):
        await until(lambda: follower.caught_up)
        assert told(follower).since == new
        assert told(follower).arrived[0].records == 1


@pytest.mark.kafka
async def test_an_empty_log_is_read_at_once(kafka_settings):
    async with following(follower_of(kafka_settings)) as follower:
        await until(lambda: follower.caught_up)
        assert told(follower).since is not None
        assert told(follower).as_of is None


@pytest.mark.kafka
async def test_changes_that_were_never_committed_are_not_told(kafka_settings):
    topic = kafka_settings.topic(ALARMS)
    producer = producer_of(kafka_settings, transactional_id=f"{kafka_settings.topic_prefix}w")
    producer.init_transactions()
    producer.begin_transaction()
    producer.send(topic, key=FACILITY.encode(), value=change(1, "b" * 32), partition=1)
    producer.flush()
    producer.abort_transaction()
    producer.begin_transaction()
    producer.send(topic, key=FACILITY.encode(), value=change(1), partition=1)
    producer.commit_transaction()
    producer.close()
    async with following(follower_of(kafka_settings)) as follower:
        await until(lambda: follower.caught_up)
        assert [f.alarm for f in told(follower).findings.open] == ["a" * 32]


@pytest.mark.kafka
async def test_after_a_fault_of_its_own_it_looks_back_again(kafka_settings, monkeypatch, caplog):
    append(kafka_settings, readings([Row("T1", 1, 1.0)]))
    faults = iter([RuntimeError("a bug")])
    take = Follower.take

    def breaks_once(self, place, row):
        for fault in faults:
            raise fault
        take(self, place, row)

    monkeypatch.setattr(Follower, "take", breaks_once)
    async with following(follower_of(kafka_settings)) as follower:
        await until(lambda: follower.caught_up)
        assert told(follower).series[0].value == 1.0
    assert "a bug" in caplog.text


@pytest.mark.kafka
async def test_after_an_outage_it_goes_on_where_it_stopped(kafka_settings, monkeypatch):
    from aiokafka import AIOKafkaConsumer
    from aiokafka.errors import KafkaConnectionError

    append(kafka_settings, readings([Row("T1", 1, 1.0)]))
    getmany, away = AIOKafkaConsumer.getmany, []

    async def sometimes_away(self, **arguments):
        if away:
            raise away.pop()
        return await getmany(self, **arguments)

    monkeypatch.setattr(AIOKafkaConsumer, "getmany", sometimes_away)
    async with following(follower_of(kafka_settings)) as follower:
        await until(lambda: follower.caught_up)
        ledger = follower.ledger
        away.append(KafkaConnectionError())
        await until(lambda: not away)
        append(kafka_settings, readings([Row("T1", 2, 2.0)], "b2"))
        await until(lambda: told(follower).series[0].value == 2.0)
        assert follower.ledger is ledger
        assert told(follower).arrived[0].records == 2  # nothing twice
