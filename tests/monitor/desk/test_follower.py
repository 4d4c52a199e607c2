"""The follower of changes on a real Kafka: offsets with rows, once each, through restarts, outages and lost topics."""

from __future__ import annotations

import threading
import time

import pytest
from kafka import KafkaProducer
from sqlalchemy import select

from monitor.alarms.operators import open_alarms
from monitor.alarms.projection import FOREIGN, GAP
from monitor.alarms.rejections import REJECTED, Rejections
from monitor.desk.figures import Figures
from monitor.desk.follower import ChangeFollower, ClusterError
from monitor.desk.offsets import LOST
from monitor.desk.rejection_follower import RejectionFollower
from monitor.store.desk_tables import AlarmRow, ChangeRow
from monitor.store.session import StoreDownError
from monitor.store.tables import ConsumerOffset
from rules.records import Rejected
from streams.admin import admin_client
from streams.batches import HeaderName
from streams.rejected import encode_rejected
from streams.topics import ALARMS
from streams.topics import REJECTED as TOPIC
from tests.monitor.alarms.changes import change
from tests.monitor.desk.threads import InThread


def clock():
    return time.time_ns() // 1_000_000


class Running(InThread):
    """The follower of changes, as the desk runs it."""

    def __init__(self, store, settings, **more):
        self.woken, self.figures = threading.Event(), Figures()
        follower = ChangeFollower(store, settings, clock_ms=clock, figures=self.figures, on_live=self.woken.set)
        super().__init__(follower, **more)


def publish(settings, changes, *, transactional=False, abort=False):
    more = {"transactional_id": f"{settings.topic_prefix}test"} if transactional else {}
    producer = KafkaProducer(**settings.for_kafka_python(), acks="all", **more)
    if transactional:
        producer.init_transactions()
        producer.begin_transaction()
    for item in changes:
        value = item if isinstance(item, bytes) else item.model_dump_json().encode()
        key = b"A1" if isinstance(item, bytes) else item.stream.encode()
        producer.send(settings.topic(ALARMS), key=key, value=value)
    if transactional:
        producer.flush()
        producer.abort_transaction() if abort else producer.commit_transaction()
    producer.flush()
    producer.close()


def until(condition, seconds=40):
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
    return value


def seqs(store, stream="A1"):
    with store.reading() as session:
        return list(session.scalars(select(ChangeRow.seq).where(ChangeRow.stream == stream).order_by(ChangeRow.seq)))


def life(count, stream="A1", begin=1):
    kinds = ["raised", "stepped", "amended"]
    return [
        change(seq, "raised" if seq == 1 else kinds[seq % 3] if seq % 3 else "amended", stream=stream)
        for seq in range(begin, begin + count)
    ]


def test_changes_become_rows_with_the_offsets_in_the_same_transaction(store, kafka_settings):
    publish(kafka_settings, life(5) + life(3, "B2"), transactional=True)
    with Running(store, kafka_settings) as running:
        until(lambda: len(seqs(store)) == 5 and len(seqs(store, "B2")) == 3)
        until(running.follower.caught_up.is_set)
        assert running.follower.connected.is_set()
        assert running.woken.is_set()
        publish(kafka_settings, life(2, begin=6))
        until(lambda: seqs(store) == [1, 2, 3, 4, 5, 6, 7])
    assert running.error is None
    with store.reading() as session:
        rows = {row.partition: row.next_offset for row in session.scalars(select(ConsumerOffset))}
        newest = {}
        for row in session.scalars(select(ChangeRow)):
            newest[row.partition] = max(newest.get(row.partition, 0), row.offset + 1)
    assert rows == newest


def test_a_second_start_goes_on_where_the_rows_end(sqlite_store, kafka_settings):
    publish(kafka_settings, life(4))
    with Running(sqlite_store, kafka_settings):
        until(lambda: len(seqs(sqlite_store)) == 4)
    publish(kafka_settings, life(3, begin=5))
    with Running(sqlite_store, kafka_settings) as running:
        until(lambda: len(seqs(sqlite_store)) == 7)
        counted = running.figures.changes.labels("duplicate")._value.get()
    assert counted == 0


def test_what_a_worker_took_back_is_never_seen(sqlite_store, kafka_settings):
    publish(kafka_settings, life(2), transactional=True, abort=True)
    publish(kafka_settings, [change(1, severity="red")], transactional=True)
    with Running(sqlite_store, kafka_settings):
        until(lambda: seqs(sqlite_store) == [1])
    with sqlite_store.reading() as session:
        assert session.scalars(select(AlarmRow)).one().severity == "red"


def test_foreign_bytes_and_gaps_stop_nothing_else(sqlite_store, kafka_settings):
    publish(kafka_settings, [change(1), b"\x00\xff", change(3, "stepped"), *life(2, "B2")])
    with Running(sqlite_store, kafka_settings) as running:
        until(lambda: len(seqs(sqlite_store, "B2")) == 2 and len(seqs(sqlite_store)) == 2)
        with sqlite_store.reading() as session:
            assert sorted(a.code for a in open_alarms(session)) == [FOREIGN, GAP]
        assert running.figures.waiting._value.get() == 1
        publish(kafka_settings, [change(2, "amended")])

        def mended():
            with sqlite_store.reading() as session:
                return [a.code for a in open_alarms(session)] == [FOREIGN]

        until(mended)
        until(lambda: running.figures.waiting._value.get() == 0)
    with sqlite_store.reading() as session:
        assert session.get(AlarmRow, change(1).alarm).revision == 3


def test_a_database_that_goes_away_costs_time_only(sqlite_store, kafka_settings, monkeypatch):
    away, real = threading.Event(), sqlite_store.writing
    refused = []

    def writing():
        if away.is_set():
            refused.append(1)
            raise StoreDownError("sqlite", RuntimeError("away"))
        return real()

    monkeypatch.setattr(sqlite_store, "writing", writing)
    with Running(sqlite_store, kafka_settings) as running:
        until(running.follower.caught_up.is_set)
        away.set()
        publish(kafka_settings, life(6))
        until(lambda: len(refused) >= 2)
        assert seqs(sqlite_store) == []
        away.clear()
        until(lambda: len(seqs(sqlite_store)) == 6)
    assert running.error is None


def test_a_broker_that_is_away_at_the_start_is_waited_for(sqlite_store, kafka_settings, monkeypatch):
    from monitor.desk import follower as module
    from streams.admin import BrokerDownError

    tries, real = [], module.admin.describe

    def describe(settings):
        tries.append(1)
        if len(tries) < 3:
            raise BrokerDownError("127.0.0.1:1")
        return real(settings)

    monkeypatch.setattr(module.admin, "describe", describe)
    publish(kafka_settings, life(1))
    with Running(sqlite_store, kafka_settings) as running:
        until(lambda: seqs(sqlite_store) == [1])
    assert len(tries) == 3
    assert running.error is None


def test_offsets_of_another_cluster_end_the_follower(sqlite_store, kafka_settings):
    with sqlite_store.writing() as session:
        session.add(ConsumerOffset(consumer="desk", topic=ALARMS, partition=0, next_offset=0, cluster="elsewhere"))
    with Running(sqlite_store, kafka_settings, may_die=True) as running:
        running.thread.join(30)
        assert isinstance(running.error, ClusterError)
        assert "elsewhere" in str(running.error)


def test_changes_that_retention_dropped_are_an_operators_alarm_and_the_rest_is_read(sqlite_store, kafka_settings):
    publish(kafka_settings, life(4))
    with Running(sqlite_store, kafka_settings):
        until(lambda: len(seqs(sqlite_store)) == 4)
    publish(kafka_settings, life(6, begin=5))
    with sqlite_store.reading() as session:
        (place,) = session.scalars(select(ConsumerOffset))
    with admin_client(kafka_settings) as client:
        from kafka import TopicPartition

        client.delete_records({TopicPartition(kafka_settings.topic(ALARMS), place.partition): place.next_offset + 3})
    with Running(sqlite_store, kafka_settings) as running:
        until(lambda: seqs(sqlite_store) == [1, 2, 3, 4, 8, 9, 10])
    assert running.error is None
    with sqlite_store.reading() as session:
        assert sorted(a.code for a in open_alarms(session)) == [LOST, GAP]
        assert session.get(AlarmRow, change(1).alarm).revision == 4


@pytest.mark.parametrize("batch", [1, 7, 500])
def test_the_size_of_a_fetch_changes_nothing(sqlite_store, kafka_settings, monkeypatch, batch):
    from monitor.desk import follower as module

    monkeypatch.setattr(module, "BATCH", batch)
    publish(kafka_settings, life(40) + life(40, "B2"))
    with Running(sqlite_store, kafka_settings):
        until(lambda: len(seqs(sqlite_store)) == 40 and len(seqs(sqlite_store, "B2")) == 40)
    with sqlite_store.reading() as session:
        assert sorted(row.changes for row in session.scalars(select(AlarmRow))) == [40, 40]


def test_a_header_name_of_any_bytes_stops_nobody(sqlite_store, kafka_settings):
    producer = KafkaProducer(**kafka_settings.for_kafka_python(), acks="all")
    name = HeaderName("odd")
    name.raw = b"\xff\xfe"
    value = change(1).model_dump_json().encode()
    producer.send(kafka_settings.topic(ALARMS), key=b"A1", value=value, headers=[(name, b"x")])
    producer.flush()
    producer.close()
    publish(kafka_settings, [change(2, "amended")])
    with Running(sqlite_store, kafka_settings):
        until(lambda: seqs(sqlite_store) == [1, 2])


def test_rejections_are_booked_once_and_shown_since_the_desk_began(sqlite_store, kafka_settings):
    def publish_rejected(*offsets):
        producer = KafkaProducer(**kafka_settings.for_kafka_python(), acks="all")
        for offset in offsets:
            rejected = Rejected(1, offset, clock(), "A1", "undecodable", "no record", b"\xff")
            producer.send(kafka_settings.topic(TOPIC), key=b"A1", value=encode_rejected(rejected))
        producer.flush()
        producer.close()

    def booked():
        with sqlite_store.reading() as session:
            return [(row.code, row.subject, row.count) for row in open_alarms(session)]

    def following(book):
        running = Running(sqlite_store, kafka_settings)
        running.follower = RejectionFollower(
            sqlite_store, kafka_settings, clock_ms=clock, figures=running.figures, book=book
        )
        return running

    publish_rejected(4, 5)
    first, second = Rejections(), Rejections()
    with following(first):
        until(lambda: booked() == [(REJECTED, "undecodable", 2)])
        until(lambda: first.view()[0] == [("worker", "undecodable", 2)])
    publish_rejected(6)
    with following(second) as running:
        until(lambda: booked() == [(REJECTED, "undecodable", 3)])
        until(lambda: [seen.place for seen in second.view()[1]] == ["1:6"])
    assert running.error is None
