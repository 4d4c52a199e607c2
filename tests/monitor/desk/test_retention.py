"""Operators hear of a reader that is close to a topic's retention before anything is lost, also of one that never ran."""

from __future__ import annotations

import threading
import time

import pytest
from kafka import KafkaProducer

from monitor.alarms.operators import open_alarms
from monitor.desk import retention
from monitor.desk.retention import NEAR, READERS, Topic, ask, judge, retention_job
from monitor.store.tables import ConsumerOffset
from streams.admin import BrokerDownError
from streams.topics import ALARMS, LOG

DAY = 86_400_000
ARCHIVE_LOG, ARCHIVE_ALARMS, DESK_ALARMS = READERS


def stands(store, reader, topic, offset, partition=0):
    with store.writing() as session:
        session.merge(
            ConsumerOffset(consumer=reader, topic=topic, partition=partition, next_offset=offset, cluster="c")
        )


def topics(log=(0, 100, 0), alarms=(0, 100, 0), keeps=90 * DAY):
    return {LOG: Topic(keeps, {0: log, 1: (0, 0, 0)}), ALARMS: Topic(keeps, {0: alarms})}


def told(store):
    with store.reading() as session:
        return sorted(alarm.subject for alarm in open_alarms(session) if alarm.code == NEAR)


def test_young_records_are_nobodys_danger_though_none_was_read(store):
    assert judge(store, topics(), 1) == {}
    assert told(store) == []


@pytest.mark.parametrize(
    ("log", "stand", "danger"),
    [
        ((0, 100, 40), 40, False),
        ((0, 100, 40), 39, True),
        ((0, 100, 40), None, True),  # never ran
        ((50, 100, 40), None, False),  # what was older is gone already: that is another alarm
        ((0, 100, 100), 100, False),  # all is old, and all was read
        ((0, 100, 100), 99, True),
        ((60, 100, 80), 10, True),  # already overtaken
        ((0, 0, 0), None, False),
    ],
)
def test_a_reader_is_in_danger_when_its_next_record_is_older_than_half_of_the_retention(store, log, stand, danger):
    if stand is not None:
        stands(store, *ARCHIVE_LOG, stand)
    found = judge(store, topics(log), 1)
    assert set(found) == ({ARCHIVE_LOG} if danger else set())
    assert told(store) == (["archiver offsite.log.v1"] if danger else [])


def test_each_reader_has_an_alarm_of_its_own_that_closes_when_it_has_caught_up(store):
    stands(store, *DESK_ALARMS, 10)
    stands(store, *ARCHIVE_ALARMS, 90)
    judge(store, topics(alarms=(0, 100, 50)), 1)
    assert told(store) == [f"desk {ALARMS}"]
    with store.reading() as session:
        (alarm,) = open_alarms(session)
    assert "0: 10" in alarm.detail
    assert "90 days" in alarm.detail
    assert "保留期" in alarm.detail
    stands(store, *DESK_ALARMS, 50)
    assert judge(store, topics(alarms=(0, 100, 50)), 2) == {}
    assert told(store) == []


def test_what_is_kept_for_ever_is_never_in_danger(store):
    assert judge(store, topics((0, 100, 90), keeps=-1), 1) == {}


def test_the_broker_is_asked_for_ages_and_retention(sqlite_store, kafka_settings):
    producer = KafkaProducer(**kafka_settings.for_kafka_python(), acks="all")
    for _ in range(3):
        producer.send(kafka_settings.topic(LOG), value=b"x", partition=1)
        producer.send(kafka_settings.topic(ALARMS), value=b"x", partition=2)
    producer.flush()
    producer.close()
    now = time.time_ns() // 1_000_000
    found = ask(kafka_settings, now)
    assert (found[LOG].retention_ms, found[ALARMS].retention_ms) == (90 * DAY, 400 * DAY)
    assert found[LOG].places == {0: (0, 0, 0), 1: (0, 3, 0), 2: (0, 0, 0)}
    assert judge(sqlite_store, found, now) == {}
    later = ask(kafka_settings, now + 46 * DAY)
    assert later[LOG].places[1] == (0, 3, 3)
    assert later[ALARMS].places[2] == (0, 3, 0)
    assert judge(sqlite_store, later, now) == {ARCHIVE_LOG: ["1: 0"]}
    assert set(judge(sqlite_store, ask(kafka_settings, now + 201 * DAY), now)) == set(READERS)


def test_the_job_survives_a_broker_that_is_away(sqlite_store, kafka_settings, monkeypatch):
    answers = [BrokerDownError("away"), topics((0, 100, 40))]

    def asked(_kafka, _now):
        found = answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(retention, "ask", asked)
    stop = threading.Event()
    monkeypatch.setattr(stop, "wait", lambda _seconds: not answers)
    retention_job(sqlite_store, kafka_settings, lambda: 1)(stop)
    assert told(sqlite_store) == [f"archiver {LOG}"]
