"""Read the topics that are archived: committed records from given offsets on, no group, no offsets kept in Kafka."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any, ClassVar

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError, OffsetOutOfRangeError

from monitor.archive.chunkfile import raw_of
from rules.errors import ContractError, Fault
from streams import batches
from streams.admin import TIMEOUT_MS, BrokerDownError, TopicsError, admin_client
from streams.clients import opened
from streams.topics import ALARMS, LOG

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from monitor.archive.chunkfile import RawRecord
    from streams.settings import KafkaSettings

TOPICS = (LOG, ALARMS)
PARTITION_FETCH_BYTES = 1024 * 1024
"""A larger batch still comes whole; with many partitions this bounds what the client holds."""
FETCH_BYTES = 16 * 1024 * 1024
POLL_RECORDS = 2_000
POSITION_MS = 1_000
Where = tuple[str, int]
"""A topic without its prefix, and a partition."""


class LogDroppedError(ContractError):
    """Kafka has dropped records at the offset that is to be read next."""

    code: ClassVar[str] = "log_dropped"
    retriable = True


class LogShorterError(ContractError):
    """A topic ends before the offset up to which it was archived: it was truncated, or made anew."""

    code: ClassVar[str] = "log_shorter"
    action: ClassVar[str] = (
        "Compare the topic with the archive (`offsite archive list`); a new log needs a new archive: another store and folder."
    )


class LogRegrownError(ContractError):
    """A topic lost its end and grew again: other records stand where archived ones stood."""

    code: ClassVar[str] = "log_regrown"
    action: ClassVar[str] = (
        "Records that were archived are gone from Kafka. Stop gateway, workers and archiver, delete nothing, and read docs/state.md, "
        "the part about a log that lost its end."
    )


@dataclass(frozen=True, slots=True)
class Ends:
    """Where a partition begins and ends in Kafka."""

    begin: int
    end: int


class Source:
    """A consumer of all partitions of the topics."""

    def __init__(self, kafka: KafkaSettings, consumer: Any) -> None:  # noqa: ANN401 - kafka-python ships no types
        self._consumer = consumer
        self._places: dict[TopicPartition, Where] = {}
        for topic in TOPICS:
            name = kafka.topic(topic)
            partitions = consumer.partitions_for_topic(name)
            if not partitions:
                raise TopicsError([Fault(name, "missing", "the topic does not exist")])
            self._places |= {TopicPartition(name, partition): (topic, partition) for partition in sorted(partitions)}
        consumer.assign(list(self._places))

    def ends(self) -> dict[Where, Ends]:
        """Return where every partition begins and ends now."""
        begins = self._consumer.beginning_offsets(list(self._places))
        ends = self._consumer.end_offsets(list(self._places))
        return {where: Ends(begins[place], ends[place]) for place, where in self._places.items()}

    def seek(self, offsets: Mapping[Where, int]) -> None:
        """Go on at these offsets."""
        for place, where in self._places.items():
            self._consumer.seek(place, offsets[where])

    def poll(self, timeout_s: float) -> dict[Where, list[RawRecord]]:
        """Return what has come, in offset order per partition; nothing after `timeout_s`.

        Raises:
            LogDroppedError: the next offset does not exist any more.
        """
        try:
            found = self._consumer.poll(timeout_ms=int(timeout_s * 1000), max_records=POLL_RECORDS)
        except OffsetOutOfRangeError as error:
            raise LogDroppedError(f"Kafka has dropped what is to be read next: {error}") from error
        return {self._places[place]: [raw_of(record) for record in batch] for place, batch in found.items()}

    def first_from(self, where: Where, offset: int, end: int) -> RawRecord | None:
        """Return the first committed record of a partition from an offset on; None if there is none before `end`.

        Every partition has been positioned before (kafka-python's poll gives nothing while one is not), and the position of
        this one is lost by it: `seek` comes before and after.

        Raises:
            LogDroppedError: retention has taken the offset meanwhile.
            BrokerDownError: it gives nothing, though there is something.
        """
        deadline = monotonic() + TIMEOUT_MS / 1000
        (place,) = (place for place, known in self._places.items() if known == where)
        others = [other for other in self._places if other != place]
        self._consumer.pause(*others)
        try:
            self._consumer.seek(place, offset)
            while (self._consumer.position(place, timeout_ms=POSITION_MS) or 0) < end:
                for record in self.poll(POSITION_MS / 1000).get(where, []):
                    if record.offset >= offset:
                        return record
                if monotonic() > deadline:
                    raise BrokerDownError(f"{where[0]}/{where[1]}: Kafka gives nothing from offset {offset} on")
        finally:
            self._consumer.resume(*others)
        return None

    def positions(self) -> dict[Where, int]:
        """Return the offset behind what was read of each partition, transaction markers and aborted records included."""
        found = {where: self._consumer.position(place, timeout_ms=POSITION_MS) for place, where in self._places.items()}
        return {where: position for where, position in found.items() if position is not None}


@contextmanager
def open_source(kafka: KafkaSettings) -> Iterator[Source]:
    """Open a consumer and close it again.

    Raises:
        BrokerDownError: no broker answers, or it stopped answering.
        TopicsError: a topic is missing.
    """
    batches.install()
    try:
        consumer = opened(
            KafkaConsumer,
            client_id="offsite-archiver",
            group_id=None,
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="none",
            max_partition_fetch_bytes=PARTITION_FETCH_BYTES,
            fetch_max_bytes=FETCH_BYTES,
            request_timeout_ms=TIMEOUT_MS,
            bootstrap_timeout_ms=TIMEOUT_MS,
            reconnect_backoff_max_ms=1_000,
            allow_auto_create_topics=False,
            **kafka.for_kafka_python(),
        )
    except (KafkaError, OSError) as error:
        raise BrokerDownError(f"no Kafka answers at {kafka.bootstrap} ({type(error).__name__})") from error
    try:
        yield Source(kafka, consumer)
    except (KafkaError, ConnectionError) as error:
        raise BrokerDownError(f"Kafka at {kafka.bootstrap} stopped answering ({type(error).__name__})") from error
    finally:
        consumer.close()


def cluster_id(kafka: KafkaSettings) -> str:
    """Return the id of the cluster.

    Raises:
        BrokerDownError: no broker answers.
    """
    with admin_client(kafka) as client:
        return str(client.describe_cluster()["cluster_id"])
