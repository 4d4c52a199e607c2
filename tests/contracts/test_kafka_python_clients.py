"""The seam into kafka-python's constructors: a client that cannot be opened leaves no thread and no socket, and the seam is needed."""

from __future__ import annotations

import gc
import logging
import threading
from pathlib import Path

import pytest
from kafka import KafkaConsumer, KafkaProducer
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError
from kafka.net.compat import KafkaNetClient

from streams.clients import let_go, opened
from streams.ports import free_port
from streams.topics import REJECTED

pytestmark = pytest.mark.usefixtures("_quiet")
KINDS = [KafkaConsumer, KafkaProducer, KafkaAdminClient]


@pytest.fixture
def _quiet():
    """No log record holds a connection alive."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def descriptors():
    gc.collect()  # kafka-python drops the socket of a refused connection without closing it
    return {each.name for each in Path("/proc/self/fd").iterdir()}


def io_threads():
    return {thread for thread in threading.enumerate() if thread.name.startswith("kafka-")}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_client_that_cannot_be_opened_leaves_nothing(kind):
    threads, files = io_threads(), descriptors()
    for _ in range(3):
        with pytest.raises(KafkaError):
            opened(kind, bootstrap_servers=[f"127.0.0.1:{free_port()}"], bootstrap_timeout_ms=200)
    assert io_threads() == threads
    assert descriptors() == files


def test_without_the_seam_a_thread_is_left():
    """The day this fails, kafka-python has mended it and `streams/clients.py` can go."""
    threads, made = io_threads(), []

    def caught(**settings):
        made.append(KafkaNetClient(**settings))
        return made[-1]

    with pytest.raises(KafkaError):
        KafkaConsumer(bootstrap_servers=[f"127.0.0.1:{free_port()}"], bootstrap_timeout_ms=200, kafka_client=caught)
    assert len(io_threads() - threads) == 1
    made[0].close()
    assert io_threads() == threads


def test_a_client_that_opens_works_and_closes(kafka):
    threads = io_threads()
    client = opened(KafkaAdminClient, bootstrap_servers=[kafka.bootstrap], bootstrap_timeout_ms=10_000)
    assert client.describe_cluster()["cluster_id"] == kafka.cluster_id
    client.close()
    assert io_threads() == threads


@pytest.fixture
def stuck(kafka_settings, monkeypatch):
    """A producer that holds a record it cannot send: its partition has lost its leader."""
    producer = opened(KafkaProducer, bootstrap_timeout_ms=10_000, **kafka_settings.for_kafka_python())
    topic = kafka_settings.topic(REJECTED)
    producer.send(topic, b"sent", partition=0).get(timeout=30)
    monkeypatch.setattr(producer._metadata, "leader_for_partition", lambda _: None)
    future = producer.send(topic, b"held", partition=0)
    yield producer, future
    producer._sender.force_close()
    producer._sender.join(10)


def test_a_producer_that_cannot_send_leaves_nothing_when_it_is_let_go(stuck):
    producer, future = stuck
    let_go(producer, 0.5)
    assert not producer._sender.is_alive()
    assert future.failed()


def test_closed_by_itself_it_would_leave_its_thread(stuck):
    """The day this fails, kafka-python has mended it and `let_go` can go."""
    producer, _ = stuck
    with pytest.raises(KafkaError):
        producer.close(timeout=0.5)
    assert producer._sender.is_alive()
