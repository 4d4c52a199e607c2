"""Follow the topic of changes: rows and offsets in one SQL transaction, so that nothing is lost or applied twice.

A thread of the desk. The broker may go away, the database may go away: both are waited for, and the offsets in the store
say where to go on. Only changes of committed transactions are read.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from typing import TYPE_CHECKING, Any

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError, OffsetOutOfRangeError
from sqlalchemy import select

from monitor.alarms import operators
from monitor.alarms.incoming import Incoming
from monitor.alarms.projection import apply_batch
from monitor.store.session import StoreDownError
from monitor.store.tables import ConsumerOffset
from rules.errors import ContractError
from streams import admin, batches
from streams.clients import opened
from streams.topics import ALARMS

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.desk.figures import Figures
    from monitor.store.session import Store
    from streams.settings import KafkaSettings

log = logging.getLogger(__name__)
CONSUMER = "desk"
POLL_MS = 250
BATCH = 500
RETRY_S = 1.0
LOST = "changes-lost"


class ClusterError(ContractError):
    """The store's offsets belong to another Kafka cluster."""

    action = "Point the desk at the cluster its store belongs to, or start it with an empty store."


class ChangeFollower:
    """One consumer over all partitions; `run` returns when `stop` is set, and raises only what waiting cannot mend."""

    def __init__(
        self,
        store: Store,
        kafka: KafkaSettings,
        *,
        clock_ms: Callable[[], int],
        figures: Figures,
        on_live: Callable[[], None] = lambda: None,
    ) -> None:
        """Take what it works on; `on_live` is called from the thread after each commit that people can see."""
        self._store = store
        self._kafka = kafka
        self._now = clock_ms
        self._figures = figures
        self._on_live = on_live
        self._topic = kafka.topic(ALARMS)
        self.connected = threading.Event()
        """Set while the broker answers."""
        self.caught_up = threading.Event()
        """Set once the end of the topic has been seen since the start."""
        self.last_poll_ms = 0

    def run(self, stop: threading.Event) -> None:
        """Follow until `stop`.

        Raises:
            ClusterError: the broker is another cluster than the one the store's offsets are of.
        """
        while not stop.is_set():
            consumer = None
            try:
                cluster = str(admin.describe(self._kafka)["cluster_id"])
                consumer = self._consumer()
                self._seek(consumer, cluster)
                self._follow(consumer, cluster, stop)
            except OffsetOutOfRangeError as error:
                self._restart_at_beginning(error)
            except (KafkaError, OSError, admin.BrokerDownError, StoreDownError) as error:
                log.warning("changes: %s: %s; trying again", type(error).__name__, error)
                stop.wait(RETRY_S)
            finally:
                self.connected.clear()
                if consumer is not None:
                    with contextlib.suppress(KafkaError, OSError):
                        consumer.close()

    def _consumer(self) -> Any:  # noqa: ANN401 - kafka-python ships no types
        batches.install()
        return opened(
            KafkaConsumer,
            enable_auto_commit=False,
            isolation_level="read_committed",
            auto_offset_reset="none",
            fetch_max_wait_ms=100,
            max_poll_records=BATCH,
            bootstrap_timeout_ms=5_000,
            **self._kafka.for_kafka_python(),
        )

    def _seek(self, consumer: Any, cluster: str) -> None:  # noqa: ANN401 - as above
        partitions = [TopicPartition(self._topic, p) for p in sorted(consumer.partitions_for_topic(self._topic) or ())]
        if not partitions:
            raise admin.TopicsError([])
        consumer.assign(partitions)
        begin = consumer.beginning_offsets(partitions)
        with self._store.reading() as session:
            rows = list(session.scalars(select(ConsumerOffset).where(ConsumerOffset.consumer == CONSUMER)))
        if any(row.cluster != cluster for row in rows):
            raise ClusterError(f"the store's offsets are of cluster {rows[0].cluster}, the broker is {cluster}")
        known = {row.partition: row.next_offset for row in rows if row.topic == ALARMS}
        for partition in partitions:
            start = known.get(partition.partition, begin[partition])
            if start < begin[partition]:
                raise OffsetOutOfRangeError(f"{partition}: {start}, the topic begins at {begin[partition]}")
            consumer.seek(partition, start)

    def _follow(self, consumer: Any, cluster: str, stop: threading.Event) -> None:  # noqa: ANN401 - as above
        partitions = list(consumer.assignment())
        ends = consumer.end_offsets(partitions)
        while not stop.is_set():
            batches = consumer.poll(timeout_ms=POLL_MS)
            self.connected.set()
            self.last_poll_ms = self._now()
            if batches:
                self._store_batch(batches, cluster)
            if not self.caught_up.is_set() and all(consumer.position(p) >= ends[p] for p in partitions):
                self.caught_up.set()

    def _store_batch(self, batches: dict[Any, list[Any]], cluster: str) -> None:
        records = [
            Incoming(partition.partition, row.offset, row.value) for partition, rows in batches.items() for row in rows
        ]
        now = self._now()
        with self._store.writing() as session:
            outcome = apply_batch(session, records, now)
            for partition, rows in batches.items():
                session.merge(
                    ConsumerOffset(
                        consumer=CONSUMER, topic=ALARMS, partition=partition.partition,
                        next_offset=rows[-1].offset + 1, cluster=cluster,
                    )
                )  # fmt: skip
        self._figures.batch(outcome, [now - row.timestamp for rows in batches.values() for row in rows])
        if outcome.live:
            self._on_live()

    def _restart_at_beginning(self, error: Exception) -> None:
        """Retention has passed the desk: what is gone shows as gaps of its streams, and as an operators' alarm here."""
        log.error("changes: %s; going on at the beginning of the topic", error)
        with self._store.writing() as session:
            operators.opened(session, LOST, self._topic, f"records of the topic are gone: {error}", self._now())
            for row in session.scalars(select(ConsumerOffset).where(ConsumerOffset.consumer == CONSUMER)):
                session.delete(row)
