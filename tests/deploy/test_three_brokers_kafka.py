"""The three-broker form of docker-compose.yml: what was acked is there, and work goes on, while one broker is away."""

from __future__ import annotations

import signal

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from rules.errors import PartMissingError
from streams import jars
from streams.topics import ALARMS, TOPICS
from tests.deploy.broker import PARTITIONS, cluster
from tests.real_parts import require

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


def send(found, count):
    producer = KafkaProducer(**found.settings("worker").for_kafka_python(), acks="all", delivery_timeout_ms=90_000)
    futures = [producer.send(ALARMS, key=b"k", value=b"%d" % i, partition=i % PARTITIONS) for i in range(count)]
    for future in futures:
        future.get(timeout=100)
    producer.close()


def read(found, count):
    consumer = KafkaConsumer(**found.settings("desk").for_kafka_python(), enable_auto_commit=False)
    places = [TopicPartition(ALARMS, p) for p in range(PARTITIONS)]
    consumer.assign(places)
    consumer.seek_to_beginning(*places)
    rows = []
    for _ in range(60):
        rows += [row.value for batch in consumer.poll(timeout_ms=1_000).values() for row in batch]
        if len(rows) >= count:
            break
    consumer.close()
    return rows


def test_three_brokers_hold_every_record_three_times_and_one_may_go_away(tmp_path):
    try:
        jars.ensure_jars()
    except PartMissingError as error:
        require(None, f"Kafka ({error})")
    with cluster(tmp_path, 3) as found:
        done = found.grant()
        assert done.returncode == 0, done.stderr
        made = found.offsite("admin", "topics", "create")
        assert made.returncode == 0, made.stderr
        from streams.admin import admin_client

        with admin_client(found.settings("admin")) as client:
            shapes = client.describe_topics([topic.name for topic in TOPICS])
        assert {len(place["replica_nodes"]) for shape in shapes for place in shape["partitions"]} == {3}
        send(found, 30)
        found.nodes[2].stop(signal.SIGKILL)
        send(found, 30)
        assert sorted(read(found, 60)) == sorted([b"%d" % i for i in range(30)] * 2)
        assert found.offsite("desk", "topics", "verify").returncode == 0
        found.nodes[2].start()
        found.nodes[2].wait()
        assert found.grant().stdout == "4 passwords set, 0 rules added, 0 taken away\n"
