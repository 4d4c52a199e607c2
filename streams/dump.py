"""Read the log as it stands: every record up to the end seen at the start, ordered by (partition, offset)."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError
from kafka.partitioner.default import murmur2

from rules.errors import Fault
from rules.records import LogRecord, Rejected
from streams import batches
from streams.admin import TIMEOUT_MS, BrokerDownError, TopicsError
from streams.clients import opened
from streams.codec import SHARED, decode
from streams.topics import LOTS, RECORD_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streams.settings import KafkaSettings

POLL_MS = 500
STALLED_S = 60.0
"""A broker that gives nothing for so long, though there is more, is taken for gone."""
Place = tuple[int, int, int]
"""Partition, first offset and next offset."""


class LogReader:
    """Reads committed records of one topic with a consumer of its own; no group, no offsets kept.

    Raises:
        BrokerDownError: no broker answers, or it stopped answering.
        TopicsError: there is no such topic.
    """

    def __init__(self, settings: KafkaSettings, consumer: Any, topic: str) -> None:  # noqa: ANN401 - kafka-python ships no types
        self._settings = settings
        self._consumer = consumer
        self.topic = topic
        self._of_lots = topic == settings.topic(LOTS)
        partitions = sorted(consumer.partitions_for_topic(topic) or ())
        if not partitions:
            raise TopicsError([Fault(topic, "missing", "the topic does not exist")])
        places = [TopicPartition(topic, partition) for partition in partitions]
        begins, ends = consumer.beginning_offsets(places), consumer.end_offsets(places)
        self.places: list[Place] = [(place.partition, begins[place], ends[place]) for place in places]
        """Where each partition began and ended when the reader was opened."""

    @property
    def size(self) -> int:
        """Return how many offsets lie between begin and end: an upper bound of the records."""
        return sum(end - begin for _, begin, end in self.places)

    def home_of(self, facility: str) -> int | None:
        """Return the partition that holds records of a facility, None if none does.

        The partition that Kafka's own partitioner would choose is looked at first; an imported log may have another.
        """
        key = facility.encode()
        likely = (murmur2(key) & 0x7FFFFFFF) % len(self.places)
        for place in sorted(self.places, key=lambda place: place[0] != likely):
            if any(raw.key == key for raw in self.raw(place)):
                return place[0]
        return None

    def records(self, facility: str | None = None) -> Iterator[LogRecord | Rejected]:
        """Yield all records; with a facility, its own and the ticks and packs of its partition.

        What cannot be decoded comes as `Rejected`; of another facility it is left out with that facility.
        """
        home = None if facility is None else self.home_of(facility)
        for place in self.places:
            if facility is None or place[0] == home:
                for raw in self.raw(place):
                    record = self._decode(raw)
                    if facility is None or _concerns(record, facility):
                        yield record

    def bounds(self, partition: int) -> tuple[int, int]:
        """Return the first and the next offset of a partition, as they are now."""
        place = TopicPartition(self.topic, partition)
        return self._consumer.beginning_offsets([place])[place], self._consumer.end_offsets([place])[place]

    def records_of(
        self, partition: int, facilities: frozenset[str] | None, begin: int, end: int
    ) -> Iterator[LogRecord | Rejected]:
        """Yield the records of these facilities (None: of all) and all ticks and packs of a partition, offsets in [begin, end)."""
        keys = {facility.encode() for facility in facilities or ()}
        kinds = {kind.value.encode() for kind in SHARED}
        for raw in self.raw((partition, begin, end)):
            # Decoded only if it is wanted: a partition holds many facilities.
            if facilities is None or raw.key in keys or dict(raw.headers).get("kind") in kinds:
                yield self._decode(raw)

    def _decode(self, raw: Any) -> LogRecord | Rejected:  # noqa: ANN401 - kafka-python ships no types
        place = (raw.partition, raw.offset, raw.timestamp)
        return decode(*place, raw.key, raw.headers, raw.value, of_lots=self._of_lots)

    def raw(self, place: Place) -> Iterator[Any]:
        """Yield the records of a stretch of a partition as kafka-python gives them."""
        partition, begin, end = place
        if begin >= end:
            return
        consumer, where = self._consumer, TopicPartition(self.topic, partition)
        consumer.assign([where])
        consumer.seek(where, begin)
        heard = time.monotonic()
        while consumer.position(where) < end:
            batch = consumer.poll(timeout_ms=POLL_MS).get(where, [])
            if batch:
                heard = time.monotonic()
            elif time.monotonic() - heard > STALLED_S:
                raise BrokerDownError(f"Kafka at {self._settings.bootstrap} gives no records of {self.topic} any more")
            for raw in batch:
                if raw.offset >= end:
                    return
                yield raw


@contextmanager
def open_log(settings: KafkaSettings, topic: str) -> Iterator[LogReader]:
    """Open a reader of a topic (its whole name) and close it again.

    Raises:
        BrokerDownError: no broker answers, or it stopped answering.
        TopicsError: there is no such topic.
    """
    try:
        batches.install()
        consumer = opened(
            KafkaConsumer,
            client_id="offsite-log",
            group_id=None,
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=RECORD_BYTES,
            bootstrap_timeout_ms=TIMEOUT_MS,
            allow_auto_create_topics=False,
            **settings.for_kafka_python(),
        )
    except (KafkaError, OSError) as error:
        raise BrokerDownError(f"no Kafka answers at {settings.bootstrap} ({type(error).__name__})") from error
    try:
        yield LogReader(settings, consumer, topic)
    except (KafkaError, ConnectionError) as error:
        raise BrokerDownError(f"Kafka at {settings.bootstrap} stopped answering ({type(error).__name__})") from error
    finally:
        consumer.close()


def _concerns(record: LogRecord | Rejected, facility: str) -> bool:
    return record.facility == facility or (isinstance(record, LogRecord) and record.kind in SHARED)
