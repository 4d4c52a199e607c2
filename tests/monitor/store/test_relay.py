"""The relay on a real Kafka: order, tombstones, a broker that is away, a relay that was frozen."""

from __future__ import annotations

import threading

import pytest
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaTimeoutError
from sqlalchemy import select

from monitor.store.outbox import MAX_RECORD, Entry, access_entry, add
from monitor.store.relay import CLAIM_MS, Relay
from monitor.store.tables import OutboxLane, OutboxRow
from rules.errors import BadInputError
from streams.ports import free_port
from streams.topics import ACCESS, LOG

NOW = 1_000_000


def log_row(facility, number):
    return Entry(LOG, facility, f"{number}".encode(), (("kind", b"decision"), ("v", b"1")))


def put(store, *entries):
    with store.writing() as session:
        add(session, list(entries), NOW)


def read(settings, topic):
    consumer = KafkaConsumer(**settings.for_kafka_python(), isolation_level="read_committed", enable_auto_commit=False)
    try:
        name = settings.topic(topic)
        parts = [TopicPartition(name, p) for p in sorted(consumer.partitions_for_topic(name))]
        consumer.assign(parts)
        ends = consumer.end_offsets(parts)
        consumer.seek_to_beginning()
        found = []
        while any(consumer.position(p) < ends[p] for p in parts):
            for rows in consumer.poll(timeout_ms=300).values():
                found += [(row.key.decode(), row.value, row.headers, row.partition, row.offset) for row in rows]
        return found
    finally:
        consumer.close()


@pytest.fixture
def relay(store, kafka_settings):
    made = Relay(store, kafka_settings, lambda: NOW)
    yield made
    made.close()


def test_rows_are_appended_in_their_lanes_order_with_key_headers_and_place(store, kafka_settings, relay):
    put(store, *[log_row(f"F{i % 3}", i) for i in range(30)])
    put(store, access_entry("h1", b"{}"), access_entry("h1", None))
    assert relay.waiting() == 32
    sent = 0
    while more := relay.send_once():
        sent += more
    assert (sent, relay.waiting()) == (32, 0)
    found = read(kafka_settings, LOG)
    for name in ("F0", "F1", "F2"):
        values = [int(value) for key, value, *_ in found if key == name]
        assert values == sorted(values)
        assert len(values) == 10
    assert found[0][2] == [("kind", b"decision"), ("v", b"1")]
    assert [(key, value) for key, value, *_ in read(kafka_settings, ACCESS)] == [("h1", b"{}"), ("h1", None)]
    with store.reading() as session:
        placed = {(r.key, r.value, r.partition, r.offset) for r in session.scalars(select(OutboxRow)) if r.topic == LOG}
    assert placed == {(key, value, partition, offset) for key, value, _, partition, offset in found}


def test_a_row_for_a_partition_goes_there(store, kafka_settings, relay):
    put(store, *[Entry(LOG, "", b"{}", (("kind", b"packs"),), to_partition=p) for p in range(3)])
    assert relay.send_once() == 3
    assert sorted(row[3] for row in read(kafka_settings, LOG)) == [0, 1, 2]


def test_while_the_broker_is_away_rows_stay_and_the_reason_is_kept(store, kafka_settings, relay):
    put(store, log_row("F1", 1))
    away = Relay(store, kafka_settings.model_copy(update={"bootstrap": f"127.0.0.1:{free_port()}"}), lambda: NOW)
    assert away.send_once() == 0
    away.close()
    with store.reading() as session:
        lane = session.scalars(select(OutboxLane)).one()
        assert (lane.unsent, lane.attempts) == (1, 1)
        assert lane.error
    relay._now = lambda: NOW + CLAIM_MS + 1
    assert relay.send_once() == 1
    with store.reading() as session:
        assert session.scalars(select(OutboxLane)).one().error is None


def test_a_lane_another_relay_works_on_is_left_alone_until_its_claim_ends(store, kafka_settings, relay):
    put(store, log_row("F1", 1))
    other = Relay(store, kafka_settings, lambda: NOW)
    assert other._claim()
    assert relay.send_once() == 0
    relay._now = lambda: NOW + CLAIM_MS + 1
    assert relay.send_once() == 1


def test_a_relay_that_was_frozen_cannot_undo_a_revocation(store, kafka_settings, relay):
    put(store, access_entry("key-hash", b'{"grants":"all"}'))
    frozen = Relay(store, kafka_settings, lambda: NOW)
    ((lane, rows),) = frozen._claim()
    frozen._producer(fenced=True)  # it holds its producer and its rows, and stops here
    relay._now = lambda: NOW + CLAIM_MS + 1
    assert relay.send_once() == 1
    put(store, access_entry("key-hash", None))
    assert relay.send_once() == 1
    with pytest.raises(Exception, match=r"(?i)fenced|epoch"):
        frozen._send_fenced([(lane, rows)])
    frozen.close()
    assert read(kafka_settings, ACCESS)[-1][:2] == ("key-hash", None)
    assert lane.endswith("key-hash")


def test_rows_sent_twice_are_counted_once(store, kafka_settings, relay):
    put(store, log_row("F1", 1))
    slow = Relay(store, kafka_settings, lambda: NOW)
    ((lane, rows),) = slow._claim()
    ((acks, error),) = slow._send_plain([(lane, rows)])
    assert error is None
    relay._now = lambda: NOW + CLAIM_MS + 1
    assert relay.send_once() == 1
    slow._sent(lane, rows, acks)
    assert relay.waiting() == 0
    slow.close()


def test_a_row_that_fails_is_not_overtaken_by_the_next_of_its_lane(store, kafka_settings, relay, monkeypatch):
    put(store, *[log_row("F1", i) for i in range(4)], *[log_row("F2", i) for i in range(4)])
    real, broken = relay._append, {b"2"}

    def append(producer, row):
        if row.key == "F1" and row.value in broken:
            raise KafkaTimeoutError("this one does not get through")
        return real(producer, row)

    monkeypatch.setattr(relay, "_append", append)
    assert relay.send_once() == 6
    found = [(key, value) for key, value, *_ in read(kafka_settings, LOG)]
    assert [value for key, value in found if key == "F1"] == [b"0", b"1"]
    assert [value for key, value in found if key == "F2"] == [b"0", b"1", b"2", b"3"]
    with store.reading() as session:
        lanes = {lane.lane: lane for lane in session.scalars(select(OutboxLane))}
    assert (lanes[f"{LOG}|F1"].unsent, lanes[f"{LOG}|F2"].unsent) == (2, 0)
    assert "does not get through" in lanes[f"{LOG}|F1"].error
    broken.clear()
    relay._now = lambda: NOW + CLAIM_MS + 1
    assert relay.send_once() == 2
    assert [value for key, value, *_ in read(kafka_settings, LOG) if key == "F1"] == [b"0", b"1", b"2", b"3"]


def test_a_relay_that_was_frozen_sends_nothing_after_its_claim(store, kafka_settings, relay):
    put(store, *[log_row("F1", i) for i in range(3)])
    frozen = Relay(store, kafka_settings, lambda: NOW)
    lanes = frozen._claim()
    frozen._now = lambda: NOW + CLAIM_MS + 1
    assert frozen._round(lanes, frozen._send_plain) == 0
    assert read(kafka_settings, LOG) == []
    relay._now = frozen._now
    assert relay.send_once() == 3
    frozen.close()


def test_the_place_of_the_first_copy_counts(store, kafka_settings, relay):
    put(store, log_row("F1", 1))
    slow = Relay(store, kafka_settings, lambda: NOW)
    lanes = slow._claim()
    relay._now = lambda: NOW + CLAIM_MS + 1
    assert relay.send_once() == 1
    assert slow._round(lanes, slow._send_plain) == 1
    with store.reading() as session:
        assert session.scalars(select(OutboxRow)).one().offset == 0
        assert session.scalars(select(OutboxLane)).one().unsent == 0
    slow.close()


def test_concurrent_writers_of_one_facility_lose_and_swap_nothing(store, kafka_settings, relay):
    done, faults = threading.Event(), []

    def write(writer):
        try:
            for i in range(15):
                put(store, Entry(LOG, "F1", f"{writer}:{i}".encode(), (("kind", b"decision"),)))
        except Exception as error:  # noqa: BLE001 - a thread's failure must reach the test
            faults.append(error)

    threads = [threading.Thread(target=write, args=(w,)) for w in range(4)]
    for thread in threads:
        thread.start()

    def wait():
        for thread in threads:
            thread.join(60)
        done.set()

    waiter = threading.Thread(target=wait)
    waiter.start()
    sent = 0
    while not done.is_set() or relay.waiting():
        sent += relay.send_once()
    waiter.join()
    assert faults == []
    assert sent == 60
    values = [value.decode() for _, value, *_ in read(kafka_settings, LOG)]
    with store.reading() as session:
        rows = session.scalars(select(OutboxRow).order_by(OutboxRow.position))
        assert values == [row.value.decode() for row in rows]
    for writer in range(4):
        assert [v for v in values if v.startswith(f"{writer}:")] == [f"{writer}:{i}" for i in range(15)]


def test_a_value_no_topic_takes_is_refused_before_it_blocks_its_lane(store):
    with pytest.raises(BadInputError) as caught, store.writing() as session:
        add(session, [Entry(LOG, "F1", b"x" * MAX_RECORD)], NOW)
    assert caught.value.faults[0].code == "too_large"
    with store.reading() as session:
        assert session.scalars(select(OutboxLane)).all() == []


def test_no_key_opens_the_door_before_the_register_stands_in_the_log(store, kafka_settings, relay, monkeypatch):
    put(store, access_entry("old-key", None), access_entry("new-key", b"{}"), log_row("F1", 1))
    real = relay._send_plain

    def fails(_lanes):
        raise KafkaTimeoutError("the log does not answer")

    monkeypatch.setattr(relay, "_send_plain", fails)
    assert relay.send_once() == 1
    assert [key for key, *_ in read(kafka_settings, ACCESS)] == ["old-key"]
    monkeypatch.setattr(relay, "_send_plain", real)
    relay._now = lambda: NOW + CLAIM_MS + 1
    assert relay.send_once() == 2
    assert [key for key, *_ in read(kafka_settings, ACCESS)] == ["old-key", "new-key"]


def test_with_many_lanes_the_log_goes_first(store, kafka_settings, relay, monkeypatch):
    from monitor.store import relay as module

    monkeypatch.setattr(module, "LANES", 3)
    put(store, *[access_entry(f"k{i}", b"{}") for i in range(4)], *[log_row(f"F{i}", i) for i in range(4)])
    sent = []
    while relay.waiting():
        relay.send_once()
        sent.append((len(read(kafka_settings, LOG)), len(read(kafka_settings, ACCESS))))
    assert sent == [(3, 0), (4, 2), (4, 4)]
