"""What workers and others leave of packs in a real Kafka."""

from __future__ import annotations

from contextlib import contextmanager

from kafka import KafkaProducer

from rules.engine import PartitionState
from rules.records import SEMANTICS, Tick
from streams.checkpoint import Marker, Origin, encode_marker, marker_key, packs_key, roster_of
from streams.clients import opened
from streams.codec import encode
from streams.topics import LOG, STATE


@contextmanager
def producing(settings):
    """Give a producer, and close it."""
    producer = opened(KafkaProducer, acks="all", bootstrap_timeout_ms=10_000, **settings.for_kafka_python())
    try:
        yield producer
    finally:
        producer.close(timeout=10)


def append(settings, partition, payload, raw=None):
    """Append one record, as it is or with other bytes; returns its offset."""
    headers, value = encode(payload)
    with producing(settings) as producer:
        sent = producer.send(settings.topic(LOG), value=raw or value, headers=headers, partition=partition)
        return sent.get(timeout=20).offset


def tick(settings, partition):
    return append(settings, partition, Tick(by="gw-1", role="gateway", now=0))


def checkpoint(settings, partition, bundle, low, semantics=SEMANTICS, origin=None):
    """Write what a worker's checkpoint leaves: the packs, and a marker that names them."""
    state = PartitionState(next_offset=low, packs=bundle.sha256, semantics=semantics)
    marker = Marker(
        partition=partition, next=low, low=low, state=state, facilities=0, roster=roster_of([]),
        origin=Origin(offset=0, packs=origin or bundle.sha256),
    )  # fmt: skip
    rows = [
        (packs_key(bundle.sha256), bundle.to_record().model_dump_json().encode()),
        (marker_key(partition), encode_marker(marker)),
    ]
    with producing(settings) as producer:
        for key, value in rows:
            producer.send(settings.topic(STATE), key=key, value=value, partition=partition).get(timeout=20)
