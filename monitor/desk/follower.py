"""Follow the topic of changes: rows and offsets in one SQL transaction, so that nothing is lost or applied twice.

A thread of the desk. The broker may go away, the database may go away: both are waited for, and the offsets in the store
say where to go on. Only changes of committed transactions are read. Several desks may follow on one store: whoever finds
the offsets moved goes on where they are.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from time import monotonic
from typing import TYPE_CHECKING, Any, ClassVar

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError, KafkaTimeoutError, OffsetOutOfRangeError
from sqlalchemy.exc import DataError, IntegrityError

from monitor.alarms.incoming import Incoming, Read, read
from monitor.alarms.projection import Outcome, apply_read, foreign
from monitor.desk import offsets
from monitor.desk.offsets import MovedError
from monitor.desk.pace import MOST, Pace
from monitor.desk.standing import Standing, Watch
from monitor.store.session import StoreDownError
from rules.errors import ContractError
from rules.instants import format_instant
from streams import admin, batches
from streams.clients import opened
from streams.topics import ALARMS

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

    from monitor.desk.figures import Figures
    from monitor.store.session import Store
    from monitor.store.tables import ConsumerOffset
    from streams.settings import KafkaSettings

log = logging.getLogger(__name__)
POLL_MS = 250
BATCH = MOST
RETRY_S = 1.0
LOOK_MS = 5_000
"""How often the broker is asked where the topic ends ..."""
ANSWER_MS = 10_000
"""... and how long it may take to answer."""
RECORDS_FAULT = (DataError, IntegrityError, OverflowError, ValueError, TypeError)
"""What the database or its driver says of a record that no row can hold, should one come through `read`."""


class ClusterError(ContractError):
    """The store's offsets belong to another Kafka cluster."""

    action = "Point the desk at the cluster its store belongs to, or start it with an empty store."


class ChangeFollower:
    """One consumer over all partitions; `run` returns when `stop` is set, and raises only what waiting cannot mend."""

    of: ClassVar[str] = ALARMS
    consumer: ClassVar[str] = offsets.CONSUMER
    """The name under which its offsets stand."""

    def __init__(
        self,
        store: Store,
        kafka: KafkaSettings,
        *,
        clock_ms: Callable[[], int],
        figures: Figures,
        on_live: Callable[[], None] = lambda: None,
        pace: Pace | None = None,
    ) -> None:
        """Take what it works on; `on_live` is called from the thread after each commit that people can see.

        `pace` bounds its transactions while people use the console.
        """
        self._store = store
        self._kafka = kafka
        self._now = clock_ms
        self._figures = figures
        self._on_live = on_live
        self._pace = pace or Pace()
        self._topic = kafka.topic(self.of)
        self._stand: dict[int, int] = {}
        """Where the store's offsets stood when this follower last saw them; none for a partition without a row."""
        self.watch = Watch(clock_ms)
        self.connected = threading.Event()
        """Set while the broker answers."""
        self.caught_up = threading.Event()
        """Set once the end of the topic has been seen since the start."""

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
                self._seek(consumer, cluster, look=True)
                self._follow(consumer, cluster, stop)
            except StoreDownError as error:
                self._wait(Standing.STORE_AWAY, error, stop)
            except OffsetOutOfRangeError as error:  # told and mended by the next `_seek`
                log.warning("changes: %s", error)
            except (KafkaError, OSError, admin.BrokerDownError) as error:
                self._wait(Standing.BROKER_AWAY, error, stop)
            finally:
                self.connected.clear()
                if consumer is not None:
                    with contextlib.suppress(KafkaError, OSError):
                        consumer.close()

    def _wait(self, standing: Standing, error: Exception, stop: threading.Event) -> None:
        log.warning("changes: %s: %s; trying again", type(error).__name__, error)
        self.watch.fails(standing)
        stop.wait(RETRY_S)

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

    def _seek(self, consumer: Any, cluster: str, *, look: bool = False) -> None:  # noqa: ANN401 - as above
        """Position the consumer where the store's offsets stand; `look` whether the topic still holds what was read last."""
        partitions = [TopicPartition(self._topic, p) for p in sorted(consumer.partitions_for_topic(self._topic) or ())]
        if not partitions:
            raise admin.TopicsError([])
        begin, end = consumer.beginning_offsets(partitions), consumer.end_offsets(partitions)
        spans = {place.partition: (begin[place], end[place]) for place in partitions}
        with self._store.reading() as session:
            known = offsets.known(session, consumer=self.consumer, topic=self.of)
        others = {row.cluster for row in known.values()} - {cluster}
        if others:
            raise ClusterError(f"the store's offsets are of cluster {min(others)}, the broker is {cluster}")
        regrown = self._regrown(consumer, known, spans) if look else {}
        if regrown or any(not spans[p][0] <= row.next_offset <= spans[p][1] for p, row in known.items() if p in spans):
            with self._store.writing() as session:
                known = self._mended(session, spans, regrown)
        consumer.assign(partitions)  # looking took all but one away
        self._stand = {partition: row.next_offset for partition, row in known.items()}
        for place in partitions:
            consumer.seek(place, self._stand.get(place.partition, begin[place]))

    def _regrown(
        self,
        consumer: Any,  # noqa: ANN401 - as above
        known: dict[int, ConsumerOffset],
        spans: dict[int, tuple[int, int]],
    ) -> dict[int, str]:
        """Return the partitions that hold another record where the newest was read, or none, and what is seen of it.

        A topic that lost its end (its only broker lost power) grows again over the same offsets; bounds alone do not show it.
        """
        found = {}
        for partition, row in known.items():
            begin, end = spans.get(partition, (0, 0))
            newest = row.next_offset - 1
            if row.tail_ms is None or not begin <= newest < end:
                continue
            held = _first_from(consumer, TopicPartition(self._topic, partition), newest, end)
            if held != (newest, row.tail_ms):
                now = "none stands there now"
                if held is not None and held[0] == newest:
                    now = f"another stands there now, appended at {format_instant(held[1])}"
                found[partition] = (
                    f"the record at offset {newest}, appended at {format_instant(row.tail_ms)}, was read, and {now}"
                )
        return found

    def _mended(
        self, session: Session, spans: dict[int, tuple[int, int]], regrown: dict[int, str]
    ) -> dict[int, ConsumerOffset]:
        return offsets.mended(session, spans, regrown, self._now())

    def _follow(self, consumer: Any, cluster: str, stop: threading.Event) -> None:  # noqa: ANN401 - as above
        places = list(consumer.assignment())
        asked, ends = self._now(), consumer.end_offsets(places, timeout_ms=ANSWER_MS)
        looked = asked
        while not stop.is_set():
            polled = consumer.poll(timeout_ms=POLL_MS)
            self.connected.set()
            if polled:
                try:
                    self._store_batch(polled, cluster, stop)
                except MovedError as error:
                    log.info("changes: %s", error)
                    self._seek(consumer, cluster)
            there = all(consumer.position(place) >= ends[place] for place in places)
            self.watch.turned(fresh_ms=asked if there else None)
            if there:
                self.caught_up.set()
            if not 0 <= self._now() - looked < LOOK_MS:
                # A poll says nothing of a broker that is away; this does. The ends asked for stay until they are reached.
                looked, newest = self._now(), consumer.end_offsets(places, timeout_ms=ANSWER_MS)
                asked, ends = (looked, newest) if there else (asked, ends)

    def _store_batch(self, polled: dict[Any, list[Any]], cluster: str, stop: threading.Event) -> None:
        """Store what was polled in slices, each whole with its offsets; what a stop leaves out is read again."""
        rows = [(place.partition, row) for place, some in polled.items() for row in some]
        at = 0
        while at < len(rows) and not stop.is_set():
            part = rows[at : at + self._pace.give_way()]
            begun = monotonic()
            self._store_slice(part, cluster)
            self._pace.took(len(part), monotonic() - begun)
            at += len(part)

    def _store_slice(self, rows: list[tuple[int, Any]], cluster: str) -> None:
        # Understanding the records takes longest and is done before the transaction: on SQLite nobody else writes during one.
        records = [read(Incoming(partition, row.offset, row.value, row.timestamp)) for partition, row in rows]
        now = self._now()
        try:
            outcome = self._commit(records, cluster)
            self._figures.batch(outcome, [now - row.timestamp for _, row in rows])
        except RECORDS_FAULT as error:
            log.warning("changes: a batch is taken record by record: %s", error)
            for record in records:
                self._figures.batch(self._commit_alone(record, cluster), [])

    def _commit(self, records: list[Read], cluster: str) -> Outcome:
        moved = {item.record.partition: item.record.offset + 1 for item in records}
        tails = {item.record.partition: item.record.appended_ms for item in records}
        with self._store.writing() as session:
            offsets.move(session, self._stand, moved, cluster, tails=tails)
            outcome = apply_read(session, records, self._now())
        self._stand |= moved
        if outcome.live:
            self._on_live()
        return outcome

    def _commit_alone(self, item: Read, cluster: str) -> Outcome:
        """Store one record; one that the database refuses is shown and passed, so that it stops nothing."""
        try:
            return self._commit([item], cluster)
        except RECORDS_FAULT as error:
            moved = {item.record.partition: item.record.offset + 1}
            with self._store.writing() as session:
                tails = {item.record.partition: item.record.appended_ms}
                offsets.move(session, self._stand, moved, cluster, tails=tails)
                foreign(session, item.record, f"{type(error).__name__}: {error}", self._now())
            self._stand |= moved
            return Outcome(foreign=1)


def _first_from(consumer: Any, place: TopicPartition, offset: int, end: int) -> tuple[int, int] | None:  # noqa: ANN401 - as above
    """Return offset and append time of the first committed record from an offset on; None if there is none before `end`.

    Raises:
        KafkaTimeoutError: Kafka gives nothing, though there is something.
    """
    deadline = monotonic() + ANSWER_MS / 1000
    consumer.assign([place])
    consumer.seek(place, offset)
    while (consumer.position(place, timeout_ms=POLL_MS) or 0) < end:
        for record in consumer.poll(timeout_ms=POLL_MS, max_records=1).get(place, ()):
            if record.offset >= offset:
                return record.offset, record.timestamp
        if monotonic() > deadline:
            raise KafkaTimeoutError(f"{place.topic}/{place.partition}: Kafka gives nothing from offset {offset} on")
    return None
