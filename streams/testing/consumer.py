"""AIOKafkaConsumer's face over the memory broker, with what Faust reads of its inside: coordinator, fetcher, positions."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext, suppress
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from aiokafka.errors import ConsumerStoppedError, IllegalStateError
from aiokafka.structs import ConsumerRecord, OffsetAndMetadata, TopicPartition

from streams.testing.broker import Broker
from streams.testing.groups import Group, Member
from streams.testing.log import APPEND_TIME, CREATE_TIME, Entry, Partition
from streams.testing.process import current

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from contextlib import AbstractContextManager


class MemoryConsumer:
    """Takes the arguments of AIOKafkaConsumer; those that have no meaning here are ignored."""

    def __init__(
        self,
        *,
        bootstrap_servers: str | list[str],
        group_id: str | None = None,
        group_instance_id: str | None = None,
        isolation_level: str = "read_uncommitted",
        auto_offset_reset: str = "latest",
        max_poll_records: int | None = None,
        session_timeout_ms: int = 10_000,
        **_: object,
    ) -> None:
        self._broker, self._process = Broker.at(bootstrap_servers), current()
        self._committed_only = isolation_level == "read_committed"
        self._from_begin = auto_offset_reset == "earliest"
        self._max_poll_records = max_poll_records
        self._session_s = session_timeout_ms / 1_000
        self._group: Group | None = self._broker.group(group_id) if group_id else None
        self._instance = group_instance_id
        self._assigned: frozenset[TopicPartition] = frozenset()
        self._positions: dict[TopicPartition, int] = {}
        self._highwaters: dict[TopicPartition, int] = {}
        self._turn = 0
        self._closed = False
        self._coordination: asyncio.Task[None] | None = None
        self._coordinator = SimpleNamespace(generation=-1, member_id="", _metadata_snapshot={}, _coordination_task=None)
        self._fetcher = SimpleNamespace(
            _closed=False, _fetch_task=None, fetched_records=self._fetched, _subscriptions=SimpleNamespace(fetch_context=_nothing)
        )  # fmt: skip

    async def start(self) -> None:
        """Connect."""
        await self._broker.ask(self._process, "connect", lambda: None)

    async def stop(self) -> None:
        """Leave the group and close."""
        self._closed = True
        self._fetcher._closed = True  # noqa: SLF001 - Faust looks there
        task = self._coordination
        if task is not None and not task.done():
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def subscribe(self, topics: Iterable[str] = (), listener: Any = None, **_: object) -> None:  # noqa: ANN401 - aiokafka's listener
        """Join the group for these topics; the listener hears of revocations and assignments."""
        assert self._group is not None  # noqa: S101 - as in aiokafka
        names = frozenset(topics)
        if self._coordination is None:
            member = Member("", self._instance, self._process, names, self._session_s)
            self._coordination = asyncio.create_task(self._coordinate(self._group, member, listener))
            # The worker watches it under this name.
            vars(self._coordinator).update(
                _coordination_task=self._coordination,
                _metadata_snapshot={topic: len(self._broker.topics.get(topic, [])) for topic in names},
            )

    def assign(self, partitions: Iterable[TopicPartition]) -> None:
        """Read these partitions without a group."""
        self._assigned = frozenset(partitions)

    def assignment(self) -> set[TopicPartition]:
        """Return what is read."""
        return set(self._assigned)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Read on from an offset."""
        self._needs(partition)
        self._positions[partition] = offset

    async def position(self, partition: TopicPartition) -> int:
        """Return the offset that is read next; without one it is the committed one, or as `auto_offset_reset` says."""
        self._needs(partition)
        if partition not in self._positions:
            committed = await self.committed(partition) if self._group is not None else None
            self._needs(partition)
            self._positions.setdefault(partition, self._reset(partition) if committed is None else committed)
        return self._positions[partition]

    async def committed(self, partition: TopicPartition) -> int | None:
        """Return the group's committed offset, or None."""
        group = self._group
        assert group is not None  # noqa: S101 - as in aiokafka
        return await self._broker.ask(
            self._process, "committed", lambda: group.offsets.get((partition.topic, partition.partition))
        )

    async def commit(self, offsets: Mapping[TopicPartition, int | OffsetAndMetadata]) -> None:
        """Commit offsets of the group, outside of transactions."""
        group = self._group
        assert group is not None  # noqa: S101 - as in aiokafka
        told = {(tp.topic, tp.partition): getattr(at, "offset", at) for tp, at in offsets.items()}
        await self._broker.ask(self._process, "commit", lambda: group.offsets.update(told))

    async def seek_to_committed(self, *partitions: TopicPartition) -> dict[TopicPartition, int | None]:
        """Read on from the committed offsets; a partition without one keeps its position."""
        found: dict[TopicPartition, int | None] = {}
        for partition in partitions or sorted(self._assigned):
            found[partition] = committed = await self.committed(partition)
            if committed:
                self.seek(partition, committed)
        return found

    def highwater(self, partition: TopicPartition) -> int | None:
        """Return the log's end as of the last fetch."""
        self._needs(partition)
        return self._highwaters.get(partition)

    last_stable_offset = highwater

    async def beginning_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the first offset that each partition still has."""
        places = list(partitions)
        return await self._broker.ask(self._process, "list", lambda: {tp: self._place(tp).begin for tp in places})

    async def end_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the next offset of each partition, for who reads committed records the last stable one."""
        places = list(partitions)
        return await self._broker.ask(
            self._process, "list", lambda: {tp: self._place(tp).limit(committed=self._committed_only) for tp in places}
        )

    async def getmany(
        self, *partitions: TopicPartition, timeout_ms: int = 0, max_records: int | None = None
    ) -> dict[TopicPartition, list[ConsumerRecord[bytes, bytes]]]:
        """Return the records of one fetch."""
        return await self._fetched(set(partitions), timeout_ms / 1_000, max_records or self._max_poll_records)

    async def _fetched(
        self,
        partitions: set[TopicPartition] | None,
        timeout: float | None = 0,  # noqa: ASYNC109 - aiokafka's signature
        max_records: int | None = None,
    ) -> dict[TopicPartition, list[ConsumerRecord[bytes, bytes]]]:
        if self._closed:
            raise ConsumerStoppedError
        loop = asyncio.get_running_loop()
        until = loop.time() + (timeout or 0)
        while True:
            wanted = sorted(tp for tp in self._assigned if not partitions or tp in partitions)
            for tp in wanted:
                with suppress(IllegalStateError):
                    await self.position(tp)
            news = self._broker.appended
            # A fetch that is under way when the consumer is sent elsewhere still arrives, as it may through Faust's thread.
            found = await self._broker.ask(self._process, "fetch", lambda: self._take(wanted, max_records))  # noqa: B023 - called at once
            if found or loop.time() >= until or self._closed:
                return found
            with suppress(TimeoutError):
                async with asyncio.timeout(until - loop.time()):
                    await news.wait()

    def _take(
        self, wanted: list[TopicPartition], max_records: int | None
    ) -> dict[TopicPartition, list[ConsumerRecord[bytes, bytes]]]:
        left = max_records or 500
        self._turn += 1
        found: dict[TopicPartition, list[ConsumerRecord[bytes, bytes]]] = {}
        for i in range(len(wanted)):
            tp = wanted[(i + self._turn) % len(wanted)]
            if tp not in self._assigned or tp not in self._positions:
                continue
            place = self._place(tp)
            if not place.begin <= self._positions[tp] <= place.end:
                self._positions[tp] = self._reset(tp)
            self._highwaters[tp] = place.limit(committed=self._committed_only)
            entries, self._positions[tp] = place.read(
                self._positions[tp], min(left, self._broker.fetch_rows), committed=self._committed_only
            )
            lost = self._broker.lost_fetches
            if entries and lost.get((tp.topic, tp.partition), 0) > 0:
                lost[tp.topic, tp.partition] -= 1
            elif entries:
                found[tp] = [_record(place, entry) for entry in entries]
                left -= len(entries)
            if not left:
                break
        return found

    async def _coordinate(self, group: Group, member: Member, listener: Any) -> None:  # noqa: ANN401 - as above
        await self._broker.ask(self._process, "join", lambda: group.enter(member))
        try:
            while True:
                await listener.on_partitions_revoked(set(self._assigned))
                owned = await group.join(member)
                await self._broker.ask(self._process, "join", lambda: None)
                self._positions.clear()
                self._highwaters.clear()
                self._assigned = frozenset(TopicPartition(*place) for place in owned)
                self._coordinator.generation, self._coordinator.member_id = member.generation, member.id
                await listener.on_partitions_assigned(set(self._assigned))
                await group.until_moved(member, member.generation)
                await self._broker.ask(self._process, "heartbeat", lambda: None)
        finally:
            if self._process is None or self._process.alive:
                group.leave(member)

    def _needs(self, partition: TopicPartition) -> None:
        if partition not in self._assigned:
            raise IllegalStateError(f"Partition {partition} is not assigned")

    def _reset(self, partition: TopicPartition) -> int:
        place = self._place(partition)
        return place.begin if self._from_begin else place.limit(committed=self._committed_only)

    def _place(self, partition: TopicPartition) -> Partition:
        return self._broker.partition(partition.topic, partition.partition)


def _record(place: Partition, entry: Entry) -> ConsumerRecord[bytes, bytes]:
    return ConsumerRecord(
        place.topic, place.number, entry.offset, entry.timestamp, APPEND_TIME if place.append_time else CREATE_TIME,
        entry.key, entry.value, None, len(entry.key or b""), len(entry.value or b""), entry.headers,
    )  # fmt: skip


def _nothing() -> AbstractContextManager[None]:
    return nullcontext()
