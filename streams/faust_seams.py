"""Every private part of Faust and aiokafka that the worker leans on, in one place.

faust-streaming 0.15.3 and aiokafka 0.14.0 are pinned for this file; tests/contracts/test_faust_seams.py fails when an
upgrade moves one of these:

| private part | what we make of it | contract test |
|---|---|---|
| `App._on_partitions_assigned` | names the wanted partitions before the flow starts | `test_wanted_partitions_are_known_before_faust_starts_its_flow` |
| `App._stop_consumer` | final checkpoint; a graceful stop sends no revoked signal | `test_a_graceful_stop_releases_before_the_consumer_stops` |
| `App._create_directories` | nothing is written to disk | `test_the_app_creates_no_directories` |
| `Consumer.seek_to_committed` | restores, then positions the consumer at the markers | `test_faust_positions_the_consumer_in_one_place` |
| `Consumer._getmany`, `_to_message` | each message carries the count of seeks its fetch began with | `test_messages_carry_the_seeks_their_fetch_began_with` |
| `Consumer.getmany`, `_wait_next_records` | one message per partition and fetch | `test_a_chunk_is_one_message_with_all_records_of_a_fetch` |
| `Consumer._new_topicpartition`, `seek_wait` | explicit positions, also the beginning | `test_a_seek_to_zero_is_explicit` |
| `Consumer._read_offset` | Faust drops nothing by offsets of its own | `test_a_consumer_beyond_the_end_of_the_log_goes_on_by_itself` |
| `_new_consumer_thread`, `_create_worker_consumer` | short fetches | `test_fetches_are_short` |
| the same, `_isolation_level` | committed records only | `test_what_was_aborted_is_not_read` |
| the recovery's `seek_to_committed` | ends for ever if it meets a `CancelledError`; `Custody.establish` raises `IllegalStateError`, another rebalance | `tests.streams.test_memory_groups`: `test_a_rebalance_while_a_worker_restores_leaves_it_alive` |
| `PartitionAssignor.assign`, its `cluster` | shares the log out also while no broker names its partitions | `test_a_leader_whose_broker_does_not_know_the_topic_yet_shares_the_log_out` |
| `Schema.compile` | bytes pass as they are | `test_the_schema_hands_bytes_through` |
| `TRANSPORTS.aliases` | our transport by URL scheme | `test_the_transport_is_found_by_its_scheme` |
| `_coordinator.member_id` | compared with the group's own list | `test_the_coordinator_knows_the_worker_by_the_id_that_we_read` |
| `Fetcher`, `_coordinator._coordination_task` | seen when it dies: Faust does not look | `test_a_dead_coordination_task_is_seen` |
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import faust
from aiokafka.errors import IllegalStateError
from faust.assignor.partition_assignor import PartitionAssignor
from faust.exceptions import ConsumerNotStarted
from faust.transport.drivers import TRANSPORTS
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from streams.custody import Custody

SCHEME = "offsite"
FETCH_WAIT_MS = 100
ISOLATION = "read_committed"
IDS_KEPT = 100
TRANSPORTS.aliases[SCHEME] = "streams.faust_seams:Transport"


class RawSchema(faust.Schema):  # type: ignore[misc]  # faust ships no types
    """Hands key and value through as bytes; stock schemas take 20 us a message to do the same."""

    def compile(self, app: Any, **_: Any) -> Any:  # noqa: ANN401 - faust ships no types
        """Return the function that makes an event of a message."""
        create_event = app.create_event

        async def decode(message: Any, *, propagate: bool = False) -> Any:  # noqa: ANN401, ARG001 - faust's signature
            return create_event(message.key, message.value or b"", message.headers, message)

        return decode


class ConsumerThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]  # faust ships no types
    """Faust's consumer thread with a short fetch that shows committed records only.

    Faust reads uncommitted ones, unless it writes in transactions of its own: packs of a publisher that died, which no dump of
    the log holds, would come into force.

    aiokafka keeps one fetch in flight per broker, and leaves out of it a partition whose records were not taken within
    0.1 s (the loop was busy, say, with a checkpoint). That partition then waits for the fetch to return: up to 1.5 s
    with Faust's fixed value.
    """

    def _create_worker_consumer(self, transport: Any) -> Any:  # noqa: ANN401 - faust ships no types
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS  # noqa: SLF001 - Faust offers no setting
        consumer._isolation_level = ISOLATION  # noqa: SLF001 - as above
        return consumer


class _Known:
    """A cluster's metadata in which a topic has its partitions also while no broker names them."""

    def __init__(self, cluster: Any, topic: str, count: int) -> None:  # noqa: ANN401 - aiokafka's cluster
        self._cluster, self._topic, self._count = cluster, topic, count

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        found: set[int] | None = self._cluster.partitions_for_topic(topic)
        return set(range(self._count)) if not found and topic == self._topic else found


class Assignor(PartitionAssignor):  # type: ignore[misc]  # faust ships no types
    """Faust's assignor, which knows how many partitions the log has: the worker has checked that at its start.

    A broker that has just started answers with no topics. Faust's assignor then leaves the log out ("Ignoring missing
    topic"), the group is stable, every worker owns nothing, and none joins again before the next look at the metadata,
    5 minutes later. Found by chaos: 180 s without an owner after a kill of the broker.
    """

    def assign(self, cluster: Any, member_metadata: Any) -> Any:  # noqa: ANN401 - faust ships no types
        """Return who gets what."""
        settings = self.app.custody.settings
        return super().assign(_Known(cluster, settings.log_topic, settings.kafka.partitions), member_metadata)


class Consumer(driver.Consumer):  # type: ignore[misc]  # faust ships no types
    """Faust's consumer, positioned by our markers; delivers chunks of the log where the setting says so."""

    _fetch_stamp = 0

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    @property
    def _custody(self) -> Custody:
        custody: Custody = self.app.custody
        return custody

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Restore the wanted partitions, then position the consumer at their markers.

        The group's offsets only tell whether a partition was ever folded; the marker rules.
        """
        log = self._custody.settings.log_topic
        committed = await super().seek_to_committed()
        positions = await self._custody.establish({tp.partition: at for tp, at in committed.items() if tp.topic == log})
        await self.seek_log(positions)
        self._custody.positioned(positions)
        return {TP(log, partition): offset for partition, offset in positions.items()}

    async def seek_log(self, positions: Mapping[int, int]) -> None:
        """Position the log's partitions, also at their beginning, and wait until it is done."""
        log = self._custody.settings.log_topic
        await self.seek_wait({self._new_topicpartition(log, p): offset for p, offset in positions.items()})

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:  # noqa: ANN401, ASYNC109 - faust's signature
        stamp = self._custody.stamp
        records = await super()._getmany(active_partitions, timeout)
        self._fetch_stamp = stamp
        return records

    def _to_message(self, tp: TP, record: Any) -> ConsumerMessage:  # noqa: ANN401 - faust ships no types
        message = super()._to_message(tp, record)
        message.records = (record,)
        message.stamp = self._fetch_stamp
        return message

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, ConsumerMessage]]:  # noqa: ASYNC109 - faust's signature
        """Yield the messages of one fetch: with chunks, one per partition that carries all records in `.records`."""
        if not self._custody.settings.chunked:
            async for tp, message in super().getmany(timeout):
                self._read_offset[tp] = None
                yield tp, message
            return
        records, active = await self._wait_next_records(timeout)
        if not records or self.should_stop:
            return
        generation = self.app.consumer_generation_id
        for tp, batch in records.items():
            # Stock Faust seeks back here when its flow has stopped. We need not: after every revocation the consumer
            # is positioned anew, and a record that went missing is sought again by custody.
            if not self.flow_active or self.app.consumer_generation_id != generation:
                return
            if batch and (active is None or tp in active or tp in self._buffered_partitions):
                message = self._to_message(tp, batch[0])
                message.records = batch
                # Faust drops a message that begins before the last position it knows of, a chunk with all its records.
                # Custody alone judges offsets.
                self._read_offset[tp] = None
                yield tp, message


class Transport(driver.Transport):  # type: ignore[misc]  # faust ships no types
    """aiokafka's transport with our consumer."""

    Consumer = Consumer


class WorkerApp(faust.App):  # type: ignore[misc]  # faust ships no types
    """A Faust app whose partitions are in the custody of checkpoints."""

    custody: Custody
    member_ids: deque[str]

    async def _on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        self.member_ids.extend(member_ids(self) - set(self.member_ids))
        if not self.should_stop:
            log = self.custody.settings.log_topic
            self.custody.want(tp.partition for tp in assigned if tp.topic == log)
        await super()._on_partitions_assigned(assigned, generation_id)

    async def _stop_consumer(self) -> None:
        await self.custody.release()
        await super()._stop_consumer()

    def _create_directories(self) -> None:
        """Write nothing: the worker keeps no table and no file."""


def bind(app: WorkerApp, custody: Custody) -> None:
    """Tie app and custody together: revocations release, and custody can position the consumer."""
    app.custody = custody
    app.member_ids = deque(maxlen=IDS_KEPT)

    async def seek(positions: Mapping[int, int]) -> None:
        await app.consumer.seek_log(positions)

    custody.seek = seek

    @app.on_partitions_revoked.connect(weak=False)  # type: ignore[untyped-decorator]  # faust ships no types
    async def revoked(*_: object, **__: object) -> None:
        await custody.release()


def highwaters(app: WorkerApp) -> dict[int, int]:
    """Return the log's end per owned partition, as of the last fetch."""
    custody = app.custody
    found: dict[int, int] = {}
    for partition in list(custody.tenures):
        # Asked from the watchdog's thread: a partition may be revoked, or not be assigned yet, at any moment.
        with suppress(AssertionError, IllegalStateError, ConsumerNotStarted, AttributeError):
            end = app.consumer.highwater(driver.TopicPartition(custody.settings.log_topic, partition))
            if end is not None:
                found[partition] = end
    return found


def member_ids(app: WorkerApp) -> frozenset[str]:
    """Return what the coordinator has called this worker; each time that it joins anew it gets another id. Empty before."""
    consumer = getattr(getattr(app.consumer, "_thread", None), "_consumer", None)
    now = getattr(getattr(consumer, "_coordinator", None), "member_id", None)
    return frozenset(app.member_ids) | ({now} if now else frozenset())


def what_died(app: WorkerApp) -> str | None:
    """Return what ended although the app still runs: Faust itself does not look at aiokafka's own tasks."""
    if app.crashed:
        return f"faust crashed: {app.crash_reason!r}"
    consumer = getattr(getattr(app.consumer, "_thread", None), "_consumer", None)
    if consumer is None or app.should_stop:
        return None
    coordinator = getattr(consumer, "_coordinator", None)
    for name, task in (
        ("group coordination", getattr(coordinator, "_coordination_task", None)),
        ("fetching", getattr(getattr(consumer, "_fetcher", None), "_fetch_task", None)),
    ):
        if task is not None and task.done():
            return f"aiokafka's {name} has ended: {None if task.cancelled() else task.exception()!r}"
    return None
