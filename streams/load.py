"""Write a dumped log into an import topic: partitions and receive times stay, offsets are the topic's own."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from kafka import KafkaProducer
from kafka.errors import KafkaError

from rules.errors import BadInputError, ContractError, Fault
from rules.records import Kind, LogRecord
from streams.admin import TIMEOUT_MS, BrokerDownError, admin_client
from streams.clients import let_go, opened
from streams.codec import encode, key_of
from streams.settings import MAX_PARTITIONS
from streams.topics import BATCH_OVERHEAD, RECORD_BYTES, TOPICS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from streams.settings import KafkaSettings

_TOPIC = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,199}")
_NEVER_MS = str((1 << 63) - 1)
IMPORT_CONFIGS = {
    "cleanup.policy": "delete",
    # By age nothing may go: the records are as old as the log they come from.
    "retention.ms": "-1",
    "message.timestamp.type": "CreateTime",
    "message.timestamp.before.max.ms": _NEVER_MS,
    "message.timestamp.after.max.ms": _NEVER_MS,
    "max.message.bytes": str(RECORD_BYTES + BATCH_OVERHEAD),
}


class ImportTopicError(ContractError):
    """The topic named cannot take an import."""

    code: ClassVar[str] = "import_topic"
    action: ClassVar[str] = "Name a topic that does not exist yet; an import is never mixed with anything else."


def checked(records: Iterable[LogRecord]) -> int:
    """Return the number of partitions that the records need.

    Raises:
        BadInputError: there is nothing to load, or the log is a cut with state lines: they hold offsets of the log they
            were cut from, and an import has its own; or a record wants more partitions than a topic may have.
    """
    partitions, states, count = 0, 0, 0
    for record in records:
        partitions = max(partitions, record.partition + 1)
        states += record.kind is Kind.STATE
        count += 1
    if states:
        raise BadInputError(
            "log", [Fault("log", "state_lines", f"{states} state lines: load the whole log, not a cut")]
        )
    if not count:
        raise BadInputError("log", [Fault("log", "empty", "there is nothing to load")])
    if partitions > MAX_PARTITIONS:
        detail = f"partition {partitions - 1}: a topic has at most {MAX_PARTITIONS} partitions"
        raise BadInputError("log", [Fault("log", "out_of_range", detail)])
    return partitions


def load_log(settings: KafkaSettings, topic: str, records: Iterable[LogRecord], partitions: int) -> int:
    """Create the topic (its whole name) and append the records, in order; returns how many.

    A load that fails takes its topic away again.

    Raises:
        ImportTopicError: the name is not one of a topic, is one of the installation's own, or the topic exists.
        BrokerDownError: no broker answers, or it stopped answering.
    """
    own = {settings.topic(row.name) for row in TOPICS}
    if not _TOPIC.fullmatch(topic) or topic in own:
        raise ImportTopicError(f"{topic!r} cannot be an import topic")
    with admin_client(settings) as client:
        if topic in set(client.list_topics()):
            raise ImportTopicError(f"topic {topic} exists already")
        shape = {"num_partitions": partitions, "replication_factor": settings.replication, "configs": IMPORT_CONFIGS}
        client.create_topics({topic: shape}, wait_for_metadata=True)
    try:
        return _append(settings, topic, records)
    except BaseException:  # also Ctrl-C: half a log must not look like a whole one
        with admin_client(settings) as client:
            client.delete_topics([topic])
        raise


def _append(settings: KafkaSettings, topic: str, records: Iterable[LogRecord]) -> int:
    failed: list[BaseException] = []
    sent = 0
    try:
        with _producer(settings) as producer:
            for record in records:
                if failed:
                    break
                headers, value = encode(record.payload)
                future = producer.send(
                    topic,
                    value=value,
                    key=key_of(record),
                    headers=headers,
                    partition=record.partition,
                    timestamp_ms=record.received,
                )
                future.add_errback(failed.append)
                sent += 1
            producer.flush()
    except KafkaError as error:
        failed.append(error)
    if failed:
        raise BrokerDownError(f"the import stopped: {type(failed[0]).__name__}: {failed[0]}") from failed[0]
    return sent


@contextmanager
def _producer(settings: KafkaSettings) -> Iterator[Any]:
    try:
        producer = opened(
            KafkaProducer,
            client_id="offsite-load",
            acks="all",
            enable_idempotence=True,
            linger_ms=5,
            max_request_size=RECORD_BYTES + BATCH_OVERHEAD,
            bootstrap_timeout_ms=TIMEOUT_MS,
            allow_auto_create_topics=False,
            **settings.for_kafka_python(),
        )
    except (KafkaError, OSError) as error:
        raise BrokerDownError(f"no Kafka answers at {settings.bootstrap} ({type(error).__name__})") from error
    try:
        yield producer
    finally:
        let_go(producer, 10.0)
