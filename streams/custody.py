"""Which partitions this process owns, from assignment to revocation: fence, restore, fold, final checkpoint."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Protocol

from aiokafka.errors import IllegalStateError

from streams.checkpoint import LogLostError
from streams.codec import decode
from streams.ledger import Ledger
from streams.restore import log_bounds, read_state, restore_partition
from streams.tenure import UNPOSITIONED, Tenure

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

    from streams.fold import Fold
    from streams.halt import Halt
    from streams.history import History
    from streams.sensor import Sensor
    from streams.worker_settings import WorkerSettings

YIELD_S = 0.02
"""How long records are folded before the event loop gets a turn."""
_log = logging.getLogger("offsite.worker")


class RawRecord(Protocol):
    """A record as aiokafka fetched it."""

    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


class Custody:
    """All partitions of this process; the seams of Faust call it, the agent feeds it.

    A record is folded if, and only if, its offset is the next one of its partition. What stands at an offset never
    changes, so it does not matter when or by which fetch it came: what is older was folded, what is newer came too
    early or means that records are missing, and then the consumer is sent back.
    """

    def __init__(
        self, fold: Fold, settings: WorkerSettings, sensor: Sensor, halt: Halt, history: History | None = None
    ) -> None:
        self.fold = fold
        self.settings = settings
        self.tenures: dict[int, Tenure] = {}
        self.wanted: frozenset[int] = frozenset()
        self.wanted_since = monotonic()
        self.restoring_since: float | None = None
        self.stamp = 0
        """Seeks completed; a fetch carries the count it began with."""
        self.seek: Callable[[Mapping[int, int]], Awaitable[None]] = _no_consumer
        """Positions the consumer; set by the seams once there is one."""
        self._clients = settings.kafka.for_aiokafka()
        self._sensor, self._halt, self._history = sensor, halt, history
        self._ledger = Ledger(settings.hold_rows, settings.hold_bytes)
        self._opening: asyncio.Task[None] | None = None
        self._releasing = asyncio.Lock()

    @property
    def pending(self) -> int:
        """Changes folded and not yet published."""
        return self._ledger.rows

    @property
    def restored(self) -> bool:
        """Whether every partition that this process is meant to own is folding."""
        return all(p in self.tenures and self.tenures[p].accepts for p in self.wanted)

    def want(self, partitions: Iterable[int]) -> None:
        """Say which partitions the group has given to this process; Faust calls it before its flow starts."""
        self.wanted = frozenset(partitions)
        self.wanted_since = monotonic()
        _log.info("assigned partitions %s", sorted(self.wanted))

    async def establish(self, committed: Mapping[int, int | None]) -> dict[int, int]:
        """Fence and restore what is wanted and not yet owned; returns the next offset of each wanted partition.

        Raises:
            IllegalStateError: nothing is wanted now: a rebalance is under way and will ask again.
        """
        wanted = self.wanted
        if not wanted:
            raise IllegalStateError("no partitions are wanted now")
        if not self.restored:
            if self._opening is None or self._opening.done():
                self._opening = asyncio.create_task(self._open(wanted, dict(committed)), name="restore")
            # Faust cancels its wait when the next rebalance begins; `release` ends the task itself.
            await asyncio.shield(self._opening)
        if wanted != self.wanted:
            raise IllegalStateError("the assignment changed while it was restored")
        return {partition: self.tenures[partition].next for partition in wanted}

    def positioned(self, partitions: Iterable[int]) -> None:
        """Note that the consumer now stands where `establish` said: fetches begun earlier may hold other records."""
        self.stamp += 1
        for partition in partitions:
            if partition in self.tenures:
                self.tenures[partition].stamp = self.stamp

    async def release(self) -> None:
        """Give everything up: final checkpoint of every partition that was restored, producers closed, state dropped.

        Called when partitions are revoked, and before a graceful stop.
        """
        async with self._releasing:
            self.wanted = frozenset()
            if self._opening is not None and not self._opening.done():
                self._opening.cancel()
                with suppress(asyncio.CancelledError):
                    await self._opening
            self._opening = None
            self.restoring_since = None
            tenures, self.tenures = list(self.tenures.values()), {}
            await asyncio.gather(*(tenure.close() for tenure in tenures))
            for tenure in tenures:
                self.fold.drop(tenure.partition)
            if tenures:
                _log.info("released partitions %s", sorted(tenure.partition for tenure in tenures))

    async def take(self, partition: int, records: Sequence[RawRecord], stamp: int) -> None:
        """Fold the records of one fetch, as far as they are the next ones of a partition that is ours."""
        began = monotonic()
        for record in records:
            tenure = self.tenures.get(partition)
            if tenure is None or not tenure.accepts:
                self._sensor.dropped("early")
                return
            if record.offset != tenure.next:
                if record.offset < tenure.next:
                    self._sensor.dropped("repeated")
                    continue
                if not await self._bridge(tenure, record.offset, stamp):
                    return
            tenure.feed(
                decode(partition, record.offset, record.timestamp, record.key, record.headers, record.value),
                len(record.value or b""),
            )
            if self._ledger.full:
                await self._ledger.room()
                began = monotonic()
            elif monotonic() - began > YIELD_S:
                await asyncio.sleep(0)
                began = monotonic()

    async def _bridge(self, tenure: Tenure, offset: int, stamp: int) -> bool:
        """Records are missing before `offset`: seek them; True if the log really holds none there."""
        partition = tenure.partition
        if stamp < tenure.stamp:
            self._sensor.dropped("before-seek")
            return False
        if tenure.sought != tenure.next:
            tenure.sought, tenure.stamp = tenure.next, UNPOSITIONED
            _log.warning("partition %d: offset %d came, %d is next; seeking it again", partition, offset, tenure.next)
            self._sensor.sought_again()
            with suppress(IllegalStateError):  # the partition is being revoked
                await self.seek({partition: tenure.next})
                self.positioned([partition])
            return False
        bounds = await log_bounds(self._clients, self.settings.log_topic, [partition])
        if self.tenures.get(partition) is not tenure or not tenure.accepts:
            return False
        if bounds[partition][0] > tenure.next:
            self._halt(
                f"partition {partition} lost records",
                LogLostError(f"offset {tenure.next} is next, the log begins at {bounds[partition][0]}"),
            )
        _log.warning("partition %d: the log holds nothing from %d to %d", partition, tenure.next, offset)
        tenure.next = offset
        return True

    async def _open(self, wanted: frozenset[int], committed: dict[int, int | None]) -> None:
        self.restoring_since = monotonic()
        missing = sorted(p for p in wanted if p not in self.tenures)
        tenures: dict[int, Tenure] = {}
        begun: set[int] = set()
        try:
            tenures |= {p: self._tenure(p) for p in missing}
            # The fence comes first: only behind it is the state at rest, and its end the end.
            await asyncio.gather(*(tenure.fence() for tenure in tenures.values()))
            rows, read = await read_state(self._clients, self.settings.state_topic, missing)
            bounds = await log_bounds(self._clients, self.settings.log_topic, missing)
            for partition, tenure in tenures.items():
                start = await restore_partition(
                    self.fold, rows.pop(partition), committed.get(partition), bounds[partition]
                )
                tenure.begin(start)
                self.tenures[partition] = tenure
                begun.add(partition)
        except asyncio.CancelledError:
            await asyncio.gather(*(t.close() for p, t in tenures.items() if p not in begun), return_exceptions=True)
            raise
        except BaseException as error:  # noqa: BLE001 - what cannot be restored must not be folded
            self._halt(f"cannot restore partitions {missing}", error)
        elapsed = monotonic() - self.restoring_since
        self.restoring_since = None
        self._sensor.restored(elapsed, len(missing))
        _log.info("restored partitions %s in %.2f s, %d bytes of state", missing, elapsed, read)

    def _tenure(self, partition: int) -> Tenure:
        return Tenure(
            partition,
            self.fold,
            self.settings,
            self._clients,
            self._ledger,
            self._sensor,
            self._halt,
            self._history,
        )


async def _no_consumer(positions: Mapping[int, int]) -> None:
    raise IllegalStateError(f"no consumer to position at {dict(positions)}")
