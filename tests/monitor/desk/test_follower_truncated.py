"""A desk that lives through a loss of power: its only broker lost the end of the topic of changes, which has grown again since."""

from __future__ import annotations

import pytest
from kafka import KafkaProducer

from monitor.alarms.operators import open_alarms
from monitor.desk.offsets import CUT
from streams import admin, jars
from streams.broker import EmbeddedBroker
from streams.settings import KafkaSettings
from streams.topics import ALARMS
from tests.monitor.desk.following import Running, lives, reached, until, whole
from tests.streams.test_lost_tail_kafka import lose_from

pytestmark = [pytest.mark.kafka, pytest.mark.slow]
NAME = "A1"


def publish_one_by_one(settings, changes):
    """Give each change a batch of its own."""
    producer = KafkaProducer(**settings.for_kafka_python(), acks="all", linger_ms=0)
    for item in changes:
        body = item.model_dump_json().encode()
        producer.send(settings.topic(ALARMS), key=item.stream.encode(), value=body).get(30)
    producer.close()


def test_it_notices_by_itself_and_reads_the_topic_again(sqlite_store, tmp_path):
    jars.ensure_jars()
    known = lives([NAME], 40)
    with EmbeddedBroker(tmp_path / "broker") as broker:
        settings = KafkaSettings(bootstrap=broker.bootstrap, partitions=1)
        admin.create(settings)
        publish_one_by_one(settings, known[:20])
        with Running(sqlite_store, settings) as running:
            until(lambda: reached(sqlite_store, [NAME], 20))
            port = broker.port
            broker.kill()
            assert lose_from(broker.folder, settings.topic(ALARMS), 14) > 0
            stands = running.follower._now()
            running.follower._now = lambda: stands  # it does not ask where the topic ends meanwhile
            broker.start()
            assert broker.port == port
            publish_one_by_one(settings, known[20:])  # over the same offsets, and behind where the desk stands
            until(lambda: reached(sqlite_store, [NAME], 40))
            assert running.thread.is_alive()
    whole(sqlite_store, known)
    with sqlite_store.reading() as session:
        (alarm,) = open_alarms(session)
        assert (alarm.code, alarm.subject) == (CUT, f"{ALARMS}/0")
