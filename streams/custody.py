"""Which partitions this process owns, from assignment to revocation: fence, restore, fold, final checkpoint.

A little above 400 lines: that a record is folded by its owner alone, once and in order, is seen in one file.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from dataclasses import replace
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol

from aiokafka.errors import IllegalStateError

from rules.errors import OffsiteError
from rules.faults import printable
from rules.instants import format_instant
from streams import garbage
from streams.admission import admit, snapshots_of
from streams.checkpoint import LogLostError
from streams.client_kinds import AIOKAFKA
from streams.clock_guard import JUMP_MS, ClockGuard
from streams.codec import decode, placed
from streams.crumbs import Crumbs, crumbs_path
from streams.facts import FactSender
from streams.history import LogHistory
from streams.ledger import Ledger
from streams.quarantine import NOTE_KEY, Ward, place_of, suspect_in, suspect_of
from streams.rejected import ClockNotice
from streams.release import batches_from, first_at, kept_from, notes_of, record_at, release
from streams.restore import ensure_not_regrown, log_bounds, read_state, restore_partition
from streams.tenure import UNPOSITIONED, Tenure

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence

    from rules.records import LogRecord, Rejected
    from streams.checkpoint import StateRows
    from streams.client_kinds import ClientKinds
    from streams.fold import Fold
    from streams.halt import Halt
    from streams.history import History
    from streams.quarantine import Suspect
    from streams.rejected import ClockState
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
        self,
        fold: Fold,
        settings: WorkerSettings,
        sensor: Sensor,
        halt: Halt,
        history: History | None = None,
        kinds: ClientKinds = AIOKAFKA,
    ) -> None:
        self.fold = fold
        self.settings = settings
        self.tenures: dict[int, Tenure] = {}
        self.wanted: frozenset[int] = frozenset()
        self.wanted_since = monotonic()
        self.restoring_since: float | None = None
        self.restoring_moved = 0.0
        """When a restore last got a step further: read the state, or put one more facility back."""
        self.stamp = 0
        """Seeks completed; a fetch carries the count it began with."""
        self.seek: Callable[[Mapping[int, int]], Awaitable[None]] = _no_consumer
        """Positions the consumer; set by the seams once there is one."""
        self._clients, self._kinds = settings.kafka.for_aiokafka(), kinds
        self._sensor, self._halt, self._history = sensor, halt, history
        self._facts = FactSender(self._clients, kinds)
        self._ledger = Ledger(settings.hold_rows, settings.hold_bytes)
        self._opening: asyncio.Task[None] | None = None
        self._releasing = asyncio.Lock()
        kafka = settings.kafka
        path = crumbs_path(settings.folder, settings.instance, kafka.bootstrap, settings.log_topic, settings.group_id)
        # The slots behind the partitions' own are those of facilities that are folded anew, in a thread beside.
        self.crumbs = Crumbs(path, 2 * kafka.partitions)
        fold.stepping = self.crumbs.step
        self.guard = ClockGuard(settings.instance, _wall_ms, monotonic, settings.clock_wait_s)
        self._rebuilding: dict[tuple[int, str], asyncio.Task[None]] = {}

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
            # Faust cancels its wait when the next rebalance begins; `release` ends the task itself, and its cancellation must
            # not reach Faust's recovery: that would end it for ever.
            opening = self._opening
            await asyncio.wait({opening})
            if opening.cancelled():
                raise IllegalStateError("the partitions were revoked while they were restored")
            opening.result()
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
            rebuilding, self._rebuilding = list(self._rebuilding.values()), {}
            for task in rebuilding:
                task.cancel()
            await asyncio.gather(*rebuilding, return_exceptions=True)
            tenures, self.tenures = list(self.tenures.values()), {}
            await asyncio.gather(*(tenure.close() for tenure in tenures))
            await self._facts.stop()
            for tenure in tenures:
                self.guard.forget(tenure.partition)
                self.fold.drop(tenure.partition)
            if tenures:
                garbage.given_up()
                _log.info("released partitions %s", sorted(tenure.partition for tenure in tenures))

    async def take(self, partition: int, records: Sequence[RawRecord], stamp: int) -> None:
        """Fold the records of one fetch, as far as they are the next ones of a partition that is ours.

        Raises:
            OffsiteError: the fold refuses a record. One that cannot be retried is its answer, at every start the same, and no
                death: the record is not passed over for it.
        """
        try:
            await self._take(partition, records, stamp)
        except OffsiteError as error:
            if not error.retriable:
                self.crumbs.leave(partition)
            raise

    async def _take(self, partition: int, records: Sequence[RawRecord], stamp: int) -> None:
        began = monotonic()
        if partition in self.guard.holds and not await self._goes_on(partition, records):
            self._sensor.dropped("held")
            return
        for i, record in enumerate(records):
            tenure = self.tenures.get(partition)
            if tenure is None or not tenure.accepts:
                self.crumbs.leave(partition)
                self._sensor.dropped("early")
                return
            if record.offset != tenure.next:
                self.crumbs.leave(partition)
                if record.offset < tenure.next:
                    self._sensor.dropped("repeated")
                    continue
                if not await self._bridge(tenure, record.offset, stamp):
                    return
            # What a start folds again was judged, and told, when it was folded first.
            first = record.offset >= tenure.published
            jumped = record.timestamp > tenure.last_received + JUMP_MS
            # A fact carries the receive time of its record, and that one was held back where it had to be.
            if jumped and first and not self.settings.of_lots and self._held(tenure, records[i:]):
                return
            if record.timestamp < tenure.last_received - JUMP_MS and tenure.went_back(record.timestamp) and first:
                self._tell_clock(tenure, "back", record.offset, record.timestamp)
            if tenure.ward.active and tenure.ward.keeps(record.offset, record.key, record.headers):
                self._sensor.kept()
                tenure.pass_over(record.offset, record.timestamp)
                continue
            self.crumbs.enter(partition, record.offset)
            tenure.feed(self._read(record), len(record.value or b""))
            if self._ledger.full:
                self.crumbs.leave(partition)
                await self._ledger.room()
                began = monotonic()
            elif monotonic() - began > YIELD_S:
                self.crumbs.leave(partition)
                await asyncio.sleep(0)
                began = monotonic()
        self.crumbs.leave(partition)

    def _held(self, tenure: Tenure, records: Sequence[RawRecord]) -> bool:
        """Judge a jump of the broker's clock; True if the partition waits from here on."""
        verdict = self.guard.judge(tenure.partition, tenure.last_received, records)
        if verdict is None:
            return False
        self.crumbs.leave(tenure.partition)
        tenure.held = verdict == "held"
        self._tell_clock(tenure, verdict, records[0].offset, records[0].timestamp)
        return tenure.held

    async def _goes_on(self, partition: int, records: Sequence[RawRecord]) -> bool:
        """Ask whether a partition that waits may go on; what it waited with is sought again then."""
        tenure = self.tenures.get(partition)
        if tenure is None or not tenure.accepts:
            return True
        hold = self.guard.holds[partition]
        verdict = self.guard.ask(partition, records)
        if verdict == "held":
            return False
        tenure.held = False
        self._tell_clock(tenure, verdict, hold.offset, hold.received)
        await self._seek_next(tenure)
        return False

    def _tell_clock(self, tenure: Tenure, state: ClockState, offset: int, received: int) -> None:
        own = _wall_ms()
        _log.warning(
            "partition %d: the broker's clock says %s at offset %d, this worker's %s: %s",
            tenure.partition, format_instant(received), offset, format_instant(own), state,
        )  # fmt: skip
        self._sensor.clock(state)
        tenure.tell_clock(
            ClockNotice(
                state=state,
                partition=tenure.partition,
                offset=offset,
                received_ms=received,
                own_ms=own,
                worker=printable(self.settings.instance),
            )
        )

    async def look_for_releases(self) -> None:
        """Take the wishes of operators that came since; nothing is read where nobody is quarantined."""
        partitions = [p for p, tenure in self.tenures.items() if tenure.ward.quarantined]
        found = await notes_of(self._clients, self.settings.state_topic, partitions, NOTE_KEY.match, self._kinds)
        for partition, notes in found.items():
            tenure = self.tenures.get(partition)
            if tenure is None:
                continue
            tenure.ward.hear(notes)
            self._begin_releases(tenure)

    def _begin_releases(self, tenure: Tenure) -> None:
        for facility in tenure.ward.released:
            place = (tenure.partition, facility)
            if place not in self._rebuilding:
                self._rebuilding[place] = asyncio.create_task(
                    self._rebuild(tenure, facility), name=f"rebuild-{facility}"
                )

    async def _rebuild(self, tenure: Tenure, facility: str) -> None:
        """Fold on a facility that an operator released; what fails leaves it quarantined and says so."""
        ward, partition = tenure.ward, tenure.partition
        standing = ward.quarantined[facility]
        batches = None
        try:
            batches = await self._kept(tenure, facility, standing.begin)
            await release(
                tenure, standing, ward.snapshots.get(facility), self.crumbs, batches, self._placed,
                of_lots=self.settings.of_lots,
            )  # fmt: skip
        except asyncio.CancelledError:
            raise
        except MemoryError as error:
            self._halt(f"no memory to fold {facility} again", error)
        except Exception as error:  # noqa: BLE001 - told to operators; the facility stays as it was
            self.crumbs.leave(partition)  # an answer, and no death; a halt leaves the crumb where it is
            _log.exception("partition %d: %s is not released", partition, facility)
            why = f"{error}; {error.action}" if isinstance(error, OffsiteError) else f"{type(error).__name__}: {error}"
            ward.refuse(facility, why[:1000])
            tenure.announce()
        finally:
            if batches is not None:
                await batches.aclose()
            self._rebuilding.pop((partition, facility), None)

    async def _kept(self, tenure: Tenure, facility: str, begin: int) -> AsyncGenerator[Iterable[Any]]:
        partition, log = tenure.partition, self.settings.log_topic
        bounds = await log_bounds(self._clients, log, [partition], self._kinds)
        past = self._history or LogHistory(self.settings.kafka, log)
        return kept_from(
            past, facility, bounds[partition][0], partition, begin,
            lambda at: batches_from(self._clients, log, partition, at, lambda: tenure.next, self._kinds),
        )  # fmt: skip

    def _read(self, raw: RawRecord) -> LogRecord | Rejected:
        record = decode(
            raw.partition, raw.offset, raw.timestamp, raw.key, raw.headers, raw.value, of_lots=self.settings.of_lots
        )
        return self._placed(record, raw.value)

    def _placed(self, record: LogRecord | Rejected, value: bytes | None = None) -> LogRecord | Rejected:
        return placed(record, self.settings.kafka.partitions, value) if self.settings.placed else record

    async def _bridge(self, tenure: Tenure, offset: int, stamp: int) -> bool:
        """Records are missing before `offset`: seek them; True if the log really holds none there.

        Offsets are missing in a log that is whole too (markers of transactions, what a compaction took). A fetch may go
        missing as often as it likes: only a reading by another consumer says that nothing stands there. A fetch that began
        before a seek may have been served behind it, and taken the records with it: it is judged like any other then.
        """
        partition = tenure.partition
        early = stamp < tenure.stamp
        if early and (tenure.sought != tenure.next or tenure.stamp == UNPOSITIONED):
            self._sensor.dropped("before-seek")
            return False
        if tenure.sought != tenure.next:
            tenure.sought = tenure.next
            _log.warning("partition %d: offset %d came, %d is next; seeking it again", partition, offset, tenure.next)
            self._sensor.sought_again()
            await self._seek_next(tenure)
            return False
        begin = tenure.next
        bounds = await log_bounds(self._clients, self.settings.log_topic, [partition], self._kinds)
        try:
            held = await first_at(self._clients, self.settings.log_topic, partition, begin, offset, self._kinds)
        except LookupError:  # retention has passed meanwhile; the bounds will say so
            held = begin
        if self.tenures.get(partition) is not tenure or not tenure.accepts:
            return False
        if bounds[partition][0] > begin:
            self._halt(
                f"partition {partition} lost records",
                LogLostError(f"offset {begin} is next, the log begins at {bounds[partition][0]}"),
            )
        if held is not None and early:
            self._sensor.dropped("before-seek")
            return False
        if held is not None:
            _log.warning("partition %d: offset %d did not come again; seeking it once more", partition, held)
            self._sensor.sought_again()
            await self._seek_next(tenure)
            return False
        _log.warning("partition %d: the log holds nothing from %d to %d", partition, begin, offset)
        tenure.next = offset
        return True

    async def _seek_next(self, tenure: Tenure) -> None:
        """Send the consumer to the next record of a partition; what was fetched before does not count."""
        tenure.stamp = UNPOSITIONED
        with suppress(IllegalStateError):  # the partition is being revoked
            await self.seek({tenure.partition: tenure.next})
            self.positioned([tenure.partition])

    async def _open(self, wanted: frozenset[int], committed: dict[int, int | None]) -> None:
        self.restoring_since = self.restoring_moved = monotonic()
        missing = sorted(p for p in wanted if p not in self.tenures)
        tenures: dict[int, Tenure] = {}
        begun: set[int] = set()
        try:
            tenures |= {p: self._tenure(p) for p in missing}
            # The fence comes first: only behind it is the state at rest, and its end the end.
            await asyncio.gather(*(tenure.fence() for tenure in tenures.values()))
            with garbage.much_is_made():
                rows, read = await read_state(self._clients, self.settings.state_topic, missing, self._kinds)
                bounds = await log_bounds(self._clients, self.settings.log_topic, missing, self._kinds)
                changes = await log_bounds(self._clients, self.settings.alarms_topic, missing, self._kinds)
                self._moved()
                await ensure_not_regrown(self._clients, self.settings.log_topic, rows, bounds, self._kinds)
                for partition, tenure in tenures.items():
                    state = rows.pop(partition)
                    suspect = await self._suspect(tenure, state, bounds[partition])
                    away = {*tenure.ward.quarantined, *([suspect.facility] if suspect is not None else [])}
                    start = await restore_partition(
                        self.fold, state, committed.get(partition), bounds[partition], away,
                        published=changes[partition][1] > 0, moved=self._moved,
                    )  # fmt: skip
                    for facility, standing in tenure.ward.quarantined.items():
                        tenure.ward.tell(standing, "held")
                        _log.warning(
                            "partition %d: %s is quarantined since offset %d", partition, facility, standing.begin
                        )
                    if suspect is not None:
                        rejected = admit(tenure.ward, suspect, self.fold, state, start)
                        if rejected is not None:
                            tenure.reject(rejected)
                    tenure.ward.snapshots = snapshots_of(tenure.ward, self.fold, state, start)
                    await self._noted(tenure)
                    tenure.begin(start)
                    self._begin_releases(tenure)
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

    def _moved(self) -> None:
        self.restoring_moved = monotonic()

    async def _suspect(self, tenure: Tenure, state: StateRows, bounds: tuple[int, int]) -> Suspect | None:
        """Count the death of an earlier process of this name, if it died while it folded a record of this partition."""
        partition = tenure.partition
        tenure.ward = Ward.of(partition, state.notes, bounds[0])
        suspect = None
        for slot in (self._slot(partition), partition):
            offset, facility = self.crumbs.found.get(slot), self.crumbs.stepped.get(slot, "")
            if offset is None or offset >= bounds[1]:
                continue
            often = tenure.ward.died(offset, facility)
            _log.warning(
                "partition %d: a worker died while it folded offset %d%s (%d times)", partition, offset,
                f" for {facility}" if facility else "", tenure.ward.watch.deaths[place_of(offset, facility)],
            )  # fmt: skip
            if often:
                found = await self._whose(partition, offset, bounds[0])
                if found is not None and not found.facility and tenure.ward.often_at(offset, facility):
                    found = replace(found, facility=facility)
                suspect = found or suspect
        return suspect

    async def _whose(self, partition: int, offset: int, begin: int) -> Suspect | None:
        """Look up a record: in the log, or in the archive, where a facility was being folded again out of it."""
        log = self.settings.log_topic
        if offset >= begin:
            raw = await record_at(self._clients, log, partition, offset, self._kinds)
            return None if raw is None else suspect_of(offset, raw.timestamp, raw.key, raw.headers)
        past = self._history or LogHistory(self.settings.kafka, log)
        try:
            found = await asyncio.to_thread(lambda: list(past.records(partition, None, offset, offset + 1)))
        except OffsiteError as error:
            _log.warning("partition %d: nobody knows whose record offset %d was: %s", partition, offset, error)
            return None
        return suspect_in(found[0]) if found else None

    async def _noted(self, tenure: Tenure) -> None:
        """Write what is known of deaths; only what is written is forgotten here, and a revocation waits for the answer.

        A restore that was cancelled before would lose the death, and one whose transaction went through would count it twice.
        """
        writing = asyncio.ensure_future(tenure.write_notes())
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            await asyncio.wait({writing})
            raise
        finally:
            if writing.done() and not writing.cancelled() and writing.exception() is None:
                for slot in (self._slot(tenure.partition), tenure.partition):
                    self.crumbs.found.pop(slot, None)
                    self.crumbs.stepped.pop(slot, None)

    def _slot(self, partition: int) -> int:
        """Return the slot of what is folded anew of a partition, in a thread beside it."""
        return self.settings.kafka.partitions + partition

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
            partial(self.crumbs.enter, self._slot(partition)),
            self._kinds,
            lambda partition, facility: self.crumbs.step(self._slot(partition), facility),
            self._facts,
        )


async def _no_consumer(positions: Mapping[int, int]) -> None:
    raise IllegalStateError(f"no consumer to position at {dict(positions)}")


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000
