"""The gateway's own reader of the log and the alarms: it fills the ledger, and says from when and up to when it has read.

No group and no offsets kept: at a start it looks back a bounded way, and what lies before is said to be unknown.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError
from pydantic import ValidationError

from monitor.gateway.ledger import ChangeSeen, Ledger
from rules.models import is_facility_id
from rules.records import Kind, Rejected
from streams.codec import decode, home_of, placed
from streams.topics import ALARMS, DAY_MS, LOG

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from streams.settings import KafkaSettings

log = logging.getLogger(__name__)
ALARMS_LOOK_BACK_MS = 30 * DAY_MS
POLL_MS = 500
MAX_POLLED = 500
TURN_S = 0.005
"""After so long of folding the loop serves others: a post never waits for the feed."""
RETRY_S = 1.0
FETCH_BYTES = 8 * 1024 * 1024
_DECODED = {kind.value.encode(): kind for kind in (Kind.READINGS, Kind.REGISTER)}
_COUNTED = {
    kind.value.encode(): kind
    for kind in (Kind.REPORT, Kind.MARK, Kind.EVENTS, Kind.ANSWER, Kind.INSPECTION, Kind.DECISION)
}
_NO_TAGS: dict[str, str] = {}


@dataclass(slots=True)
class Reach:
    """How far the reading of one topic goes. Instants in ms of receive time, None where it is not known yet."""

    since: dict[int, int] = field(default_factory=dict)
    """Partition -> everything received from here on was read."""
    heard: dict[int, int] = field(default_factory=dict)
    """Partition -> receive time of the newest record read."""
    partitions: int = 0

    @property
    def begin(self) -> int | None:
        """Return the instant from which on every partition was read."""
        return max(self.since.values()) if self.partitions and len(self.since) == self.partitions else None

    @property
    def end(self) -> int | None:
        """Return the instant up to which every partition was read; ticks move it on."""
        return min(self.heard.values()) if self.partitions and len(self.heard) == self.partitions else None


class Follower:
    """Reads both topics into the ledger, for ever; a fault of its own never closes the door."""

    def __init__(
        self,
        settings: KafkaSettings,
        registered: Mapping[str, dict[str, str]],
        *,
        look_back_ms: int,
        look_back_records: int,
        now_ms: Callable[[], int],
    ) -> None:
        self._settings, self._registered = settings, registered
        self._look_back_ms, self._look_back_records, self._now_ms = look_back_ms, look_back_records, now_ms
        self._log, self._alarms = settings.topic(LOG), settings.topic(ALARMS)
        self._forget()

    def _forget(self) -> None:
        self.ledger = Ledger()
        self.reach = {self._log: Reach(), self._alarms: Reach()}
        self._next: dict[TopicPartition, int] = {}
        self._until: dict[TopicPartition, int] = {}
        self.caught_up = False
        """Whether all that stood in the topics at the start has been read."""

    @property
    def log(self) -> Reach:
        """How far the log was read."""
        return self.reach[self._log]

    @property
    def alarms(self) -> Reach:
        """How far the alarms were read."""
        return self.reach[self._alarms]

    async def follow(self) -> None:
        """Read until cancelled; a broker that is away is asked again each second, from where the reading stopped."""
        while True:
            consumer = AIOKafkaConsumer(
                enable_auto_commit=False,
                isolation_level="read_committed",
                auto_offset_reset="none",
                fetch_max_bytes=FETCH_BYTES,
                **self._settings.for_aiokafka(),
            )
            try:
                await consumer.start()
                await self._place(consumer)
                await self._read(consumer)
            except OffsetOutOfRangeError:
                log.warning("feed: what was to be read next is gone from the topic; looking back again")
                self._forget()
            except (KafkaError, OSError) as error:
                log.warning("feed: %s; asking again", type(error).__name__)
            except Exception:  # the feed is a service beside the door: its faults are shown and never close it
                log.exception("feed: looking back again")
                self._forget()
            finally:
                await consumer.stop()
            await asyncio.sleep(RETRY_S)

    async def _place(self, consumer: AIOKafkaConsumer) -> None:
        """Seek to where the reading stopped, at first to where the look-back begins."""
        places = [TopicPartition(topic, p) for topic in self.reach for p in range(self._settings.partitions)]
        consumer.assign(places)
        if not self._next:
            await self._look_back(consumer, places)
        for place in places:
            consumer.seek(place, self._next[place])

    async def _look_back(self, consumer: AIOKafkaConsumer, places: list[TopicPartition]) -> None:
        now = self._now_ms()
        wanted = {
            place: now - (self._look_back_ms if place.topic == self._log else ALARMS_LOOK_BACK_MS) for place in places
        }
        begins, ends = await consumer.beginning_offsets(places), await consumer.end_offsets(places)
        found = await consumer.offsets_for_times(wanted)
        for place in places:
            by_time = ends[place] if found[place] is None else found[place].offset
            start = max(begins[place], by_time, ends[place] - self._look_back_records)
            self._next[place], self._until[place] = start, ends[place]
            reach = self.reach[place.topic]
            reach.partitions = self._settings.partitions
            if start <= by_time:
                reach.since[place.partition] = wanted[place]

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        while True:
            batches = await consumer.getmany(timeout_ms=POLL_MS, max_records=MAX_POLLED)
            turn = time.perf_counter()
            for place, rows in batches.items():
                for row in rows:
                    self.take(place, row)
                    if time.perf_counter() - turn > TURN_S:
                        # While it catches up it takes half of the core at most.
                        await asyncio.sleep(0 if self.caught_up else TURN_S)
                        turn = time.perf_counter()
            if not self.caught_up:
                # Positions, not records: an aborted transaction's rows never come.
                reached = [await consumer.position(place) >= end for place, end in self._until.items()]
                self.caught_up = all(reached)

    def take(self, place: TopicPartition, row: Any) -> None:  # noqa: ANN401 - aiokafka's ConsumerRecord
        """Fold one row of either topic; one that cannot be read is counted."""
        self._next[place] = row.offset + 1
        reach = self.reach[place.topic]
        reach.since.setdefault(place.partition, row.timestamp)
        reach.heard[place.partition] = max(row.timestamp, reach.heard.get(place.partition, 0))
        if place.topic == self._alarms:
            self._take_change(row.value)
        else:
            self._take_record(row)

    def _take_change(self, value: bytes | None) -> None:
        try:
            change = ChangeSeen.model_validate_json(value or b"")
        except ValidationError:
            self.ledger.foreign += 1
        else:
            self.ledger.apply(change)

    def _take_record(self, row: Any) -> None:  # noqa: ANN401 - aiokafka's ConsumerRecord
        label = dict(row.headers).get("kind")
        counted = _COUNTED.get(label or b"")
        facility = (row.key or b"").decode("ascii", "replace")
        if counted is not None and is_facility_id(facility):
            if row.partition == home_of(facility, self._settings.partitions):
                self.ledger.count(facility, counted, row.timestamp)
            else:
                self.ledger.foreign += 1
        if label not in _DECODED:
            return
        record = decode(row.partition, row.offset, row.timestamp, row.key, row.headers, row.value)
        # What the worker rejects is told to nobody as received.
        record = placed(record, self._settings.partitions)
        if isinstance(record, Rejected):
            self.ledger.foreign += 1
        else:
            self.ledger.take(record, self._registered.get(record.facility, _NO_TAGS))
