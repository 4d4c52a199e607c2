"""Tell operators before Kafka drops what has not been read: the archive's and the desk's lag against the topics' retention.

The desk asks, for an archiver that is not running tells nobody. A record is in danger when half of its time in Kafka is over:
with the default 90 days that leaves 45 to start what stands still.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError
from sqlalchemy import select

from monitor.alarms import operators
from monitor.archive.index import CONSUMER as ARCHIVER
from monitor.desk.offsets import CONSUMER as DESK
from monitor.store.session import StoreDownError
from monitor.store.tables import ConsumerOffset
from streams import admin
from streams.clients import opened
from streams.topics import ALARMS, LOG

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping

    from monitor.store.session import Store
    from streams.settings import KafkaSettings

log = logging.getLogger(__name__)
NEAR = "retention-near"
READERS = ((ARCHIVER, LOG), (ARCHIVER, ALARMS), (DESK, ALARMS))
SHARE = 0.5
ROUND_S = 300.0
ANSWER_MS = 20_000


@dataclass(frozen=True, slots=True)
class Topic:
    """What matters of a topic: how long it keeps records, and where each partition begins, ends and turns old."""

    retention_ms: int
    """-1: for ever."""
    places: Mapping[int, tuple[int, int, int]]
    """By partition: first offset, next offset, first offset that is younger than `SHARE` of the retention."""


def judge(store: Store, topics: Mapping[str, Topic], now_ms: int) -> dict[tuple[str, str], list[str]]:
    """Raise or close the alarm of each reader and topic; returns what is in danger, by reader and topic."""
    found: dict[tuple[str, str], list[str]] = {}
    with store.writing() as session:
        rows = session.scalars(select(ConsumerOffset))
        stands = {(row.consumer, row.topic, row.partition): row.next_offset for row in rows}
        for reader, name in READERS:
            topic = topics[name]
            late = []
            for partition, (begin, end, young) in sorted(topic.places.items()):
                # What was never read counts from the beginning: a reader that never ran is the worst of all.
                stand = max(begin, stands.get((reader, name, partition), begin))
                if topic.retention_ms >= 0 and stand < min(young, end):
                    late.append(f"{partition}: {stand}")
            subject = f"{reader} {name}"
            if late:
                days = topic.retention_ms / 86_400_000
                detail = (
                    f"the {reader} has not read records of {name} that are older than half of the {days:g} days Kafka keeps"
                    f" them (partition: offset {', '.join(late[:10])}); 未读记录已超过保留期的一半，请检查 {reader}"
                )
                operators.opened(session, NEAR, subject, detail, now_ms)
                found[reader, name] = late
            else:
                operators.closed(session, NEAR, subject, now_ms)
    return found


def ask(kafka: KafkaSettings, now_ms: int) -> dict[str, Topic]:
    """Ask the broker.

    Raises:
        BrokerDownError: it does not answer.
        KafkaError: it stopped answering.
    """
    names = {kafka.topic(name): name for _, name in READERS}
    shapes = admin.describe(kafka)["topics"]
    keeps = {topic: int(shapes[topic]["configs"]["retention.ms"]) for topic in names}
    consumer = opened(KafkaConsumer, bootstrap_timeout_ms=ANSWER_MS, **kafka.for_kafka_python())
    try:
        return {name: _topic(consumer, topic, keeps[topic], now_ms) for topic, name in names.items()}
    finally:
        consumer.close()


def _topic(consumer: Any, topic: str, retention_ms: int, now_ms: int) -> Topic:  # noqa: ANN401 - kafka-python ships no types
    places = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]
    begins = consumer.beginning_offsets(places, timeout_ms=ANSWER_MS)
    ends = consumer.end_offsets(places, timeout_ms=ANSWER_MS)
    asked = dict.fromkeys(places, max(0, now_ms - int(retention_ms * SHARE)))
    young = consumer.offsets_for_times(asked, timeout_ms=ANSWER_MS)
    # No record of that age or younger: all that is there is older.
    turns = {place: ends[place] if young[place] is None else young[place].offset for place in places}
    return Topic(retention_ms, {place.partition: (begins[place], ends[place], turns[place]) for place in places})


def retention_job(store: Store, kafka: KafkaSettings, clock_ms: Callable[[], int]) -> Callable[[threading.Event], None]:
    """Return the desk's job that compares lag with retention every few minutes."""

    def job(stop: threading.Event) -> None:
        wait = 0.0
        while not stop.wait(wait):
            wait = ROUND_S
            try:
                for (reader, topic), late in judge(store, ask(kafka, clock_ms()), clock_ms()).items():
                    log.error("%s is close to the retention of %s: %s", reader, topic, ", ".join(late[:10]))
            except (StoreDownError, KafkaError, OSError, admin.BrokerDownError) as error:
                log.warning("retention: %s; asked again later", error)

    return job
