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

from streams.broker import free_port
from streams.clients import opened

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
