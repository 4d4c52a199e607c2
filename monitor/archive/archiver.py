"""The archiver: reads the topics, flushes every few seconds, cuts hours by facility when they are over, deletes what was replaced.

There is one way back from any trouble: forget what is in hand, and begin again where the store says.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kafka.errors import KafkaError
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError, InterfaceError, OperationalError

from monitor.archive import alarms, index
from monitor.archive.chunkfile import HOUR_MS, ChunkDamagedError
from monitor.archive.figures import Figures
from monitor.archive.lease import LeaseHeldError, Tenancy
from monitor.archive.pending import Pending
from monitor.archive.source import LogDroppedError, cluster_id, open_source
from monitor.archive.takeover import begin, ensure_not_regrown, resumed
from monitor.archive.writer import MovedError, Writer
from monitor.store.session import StoreDownError
from monitor.store.tables import ArchiveChunk
from rules.errors import ContractError
from streams import admin
from streams.admin import BrokerDownError

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable
    from pathlib import Path

    from monitor.archive.index import Unit
    from monitor.archive.source import Ends, Source, Where
    from monitor.store.session import Store
    from streams.settings import KafkaSettings

log = logging.getLogger("offsite.archiver")
LEASE = "archiver"
POLL_S = 0.5
LOOK_S = 5.0
"""How often lag, hours that are over and files to delete are looked up."""
RETRY_S = 1.0
FULL_RETRY_S = 30.0
"""A disk that stays full is tried ever more rarely, up to this: each try reads from Kafka again what is not archived."""
BLOCKED_MS = 10 * 60_000
"""After this an hour that could not be cut is tried again."""
CUT_BATCH = 256
AWAY = (
    BrokerDownError, LogDroppedError, LeaseHeldError, MovedError, StoreDownError,
    OperationalError, InterfaceError, IntegrityError, OSError,
)  # fmt: skip
"""Whatever of these happens, beginning again from the store's state is right; nothing of it can lose or double a record."""


@dataclass(frozen=True, slots=True)
class ArchiverSettings:
    """How often files are written, and how long is waited."""

    folder: Path
    flush_s: float = 5.0
    idle_flush_s: float = 60.0
    """A partition with nothing but ticks waits so long: nobody looks at ticks alone."""
    flush_bytes: int = 8 * 1024 * 1024
    settle_s: float = 120.0
    """An hour is cut by facility so long after its end."""
    grace_s: float = 600.0
    lease_s: float = 15.0
    stall_s: float = 60.0
    """A broker that gives nothing for so long, though there is more, is asked by a new consumer."""


class Archiver:
    """One archiver; `run` works in the caller's thread until told to stop, the rest may be asked from any thread."""

    def __init__(
        self,
        store: Store,
        kafka: KafkaSettings,
        settings: ArchiverSettings,
        holder: str,
        clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._store, self._kafka, self._settings, self._now = store, kafka, settings, clock_ms
        self.figures = Figures()
        self._tenancy = Tenancy(LEASE, holder, int(settings.lease_s * 1000), clock_ms)
        self._writer = Writer(
            store, settings.folder, self._tenancy, clock_ms, int(settings.grace_s * 1000), self._alive
        )
        self._pending: dict[Where, Pending] = {}
        self._ends: dict[Where, Ends] = {}
        self._received: dict[Where, int] = {}
        self._blocked: dict[Unit, int] = {}
        self._looked = self._moved = 0.0
        self.beat = time.monotonic()
        """When the loop last turned."""
        self._full = 0
        """Tries in a row that failed for the files' sake."""
        self._told = True
        """Whether operators may have been told that files cannot be written, by this process or one before."""
        self.waiting: str | None = "starting"
        """Why nothing is archived just now; none while all is well."""

    @property
    def lag(self) -> int:
        """Offsets that Kafka has and the index does not."""
        pending, ends = dict(self._pending), dict(self._ends)
        return sum(max(0, end.end - pending[where].base) for where, end in ends.items() if where in pending)

    @property
    def behind(self) -> int:
        """Records that Kafka had when it was last asked, every few seconds, and that were not read yet."""
        pending, ends = dict(self._pending), dict(self._ends)
        return sum(max(0, end.end - pending[where].next) for where, end in ends.items() if where in pending)

    def run(self, stop: threading.Event) -> None:
        """Archive until `stop` is set; then what is in hand is archived and the lease released.

        Raises:
            TopicsError, OtherClusterError, LogShorterError, LogRegrownError: going on would mix or miss something; operators are told.
        """
        while not stop.is_set():
            try:
                self._serve(stop)
            except AWAY as error:
                self._wait(error, stop)
            except ContractError as error:
                alarms.tell(self._store, alarms.STOPPED, error.code, str(error))
                raise

    def _serve(self, stop: threading.Event) -> None:
        self.beat = time.monotonic()
        admin.ensure_ready(self._kafka)
        with open_source(self._kafka) as source:
            self._begin(source)
            try:
                while not stop.is_set():
                    self._turn(source)
                self._flush(source, everything=True)
            except (BrokerDownError, LogDroppedError, KafkaError, ConnectionError):
                # What was read must not be read again: Kafka may drop it while it is away.
                self._flush(None, everything=True)
                raise
        with self._store.writing() as session:
            self._tenancy.release(session)

    def _begin(self, source: Source) -> None:
        cluster = cluster_id(self._kafka)
        ends = source.ends()
        offsets, lost = begin(self._store, self._tenancy, cluster, ends, self._now())
        source.seek(offsets)
        ensure_not_regrown(self._store, self._settings.folder, source, ends)
        resumed(self._store, self._now())
        source.seek(offsets)
        self._pending = {
            (topic, partition): Pending(cluster, topic, partition, offset, offset)
            for (topic, partition), offset in offsets.items()
        }
        self._ends, self._received, self._blocked = ends, {}, {}
        self._moved = time.monotonic()
        self._looked = 0.0
        for (topic, partition), count in lost.items():
            log.error("%d records of %s/%d were dropped by Kafka before they were archived", count, topic, partition)
            self.figures.lost.labels(topic).inc(count)
        with self._store.reading() as session:
            self.figures.chunks.set(session.scalar(select(func.count()).select_from(ArchiveChunk)) or 0)
        self.waiting = None
        log.info("archiving %d partitions of cluster %s into %s", len(offsets), cluster, self._settings.folder)

    def _turn(self, source: Source) -> None:
        now = self.beat = time.monotonic()
        for where, records in source.poll(POLL_S).items():
            part = self._pending[where]
            for record in records:
                part.add(record, now)
            self._received[where] = max(self._received.get(where, 0), records[-1].timestamp if records else 0)
            self._moved = time.monotonic()
        held = sum(part.raw_bytes for part in self._pending.values())
        self.figures.held.set(held)
        self._flush(source, everything=held >= self._settings.flush_bytes)
        if self._tenancy.fading:
            self._writer.renew()
        if time.monotonic() - self._looked >= LOOK_S:
            self._looked = time.monotonic()
            self._look(source)

    def _flush(self, source: Source | None, *, everything: bool) -> None:
        now = time.monotonic()
        due = [part for part in self._pending.values() if part.builders and (everything or self._due(part, now))]
        if everything and source is not None:
            positions = source.positions()
            for where, part in self._pending.items():
                part.passed(positions.get(where, part.next))
            due = [part for part in self._pending.values() if part.next > part.base]
        if not due:
            return
        counts = Counter({part.topic: 0 for part in due})
        for part in due:
            counts[part.topic] += part.records
        found = self._writer.flush(due)
        if found:
            self._full = 0
            self._written()
        for topic, count in counts.items():
            self.figures.records.labels(topic).inc(count)
        self.figures.files.inc(len(found))
        self.figures.chunks.inc(len(found))
        self.figures.bytes.inc(sum(chunk.size for chunk in found))
        self.figures.flush_seconds.observe(time.monotonic() - now)
        self.figures.last_flush.set_to_current_time()

    def _due(self, part: Pending, now: float) -> bool:
        return now - part.since >= (self._settings.idle_flush_s if part.only_ticks else self._settings.flush_s)

    def _look(self, source: Source) -> None:
        """Lag, and the work that waits for nobody: one hour to cut, files to delete."""
        self._ends = source.ends()
        positions = source.positions()
        for where, part in self._pending.items():
            part.passed(positions.get(where, part.next))
        idle = [part for part in self._pending.values() if not part.builders and part.next > part.base]
        if idle:
            self._writer.flush(idle)
        behind = {topic: 0 for topic, _ in self._ends}
        for (topic, partition), end in self._ends.items():
            behind[topic] += max(0, end.end - self._pending[topic, partition].base)
        for topic, count in behind.items():
            self.figures.lag.labels(topic).set(count)
        if all(part.next >= self._ends[where].end for where, part in self._pending.items()):
            self._moved = time.monotonic()
        elif time.monotonic() - self._moved > self._settings.stall_s:
            raise BrokerDownError(f"Kafka at {self._kafka.bootstrap} gives no records any more")
        self._cut_next()
        self.figures.deleted.inc(self._writer.clean())

    def _cut_next(self) -> None:
        now = self._now()
        with self._store.reading() as session:
            units = index.uncut(session, now - int(self._settings.settle_s * 1000) - HOUR_MS + 1, CUT_BATCH)
        for unit in units:
            where = (unit.topic, unit.partition)
            part, end = self._pending.get(where), self._ends.get(where)
            caught_up = part is None or end is None or part.base >= end.end
            over = caught_up or self._received.get(where, 0) >= unit.hour_ms + HOUR_MS
            in_hand = part is not None and unit.hour_ms in part.builders
            if not over or in_hand or self._blocked.get(unit, 0) > now:
                continue
            try:
                gone, new = self._writer.cut(unit)
            except ChunkDamagedError as error:
                self._blocked[unit] = now + BLOCKED_MS
                alarms.tell(self._store, alarms.DAMAGED, error.path, f"{error.code}: {error.why}")
            else:
                self.figures.cuts.inc()
                self.figures.chunks.inc(new - gone)
                self._looked = 0.0 if len(units) > 1 else self._looked
            return

    def _alive(self) -> None:
        self.beat = time.monotonic()

    def _wait(self, error: Exception, stop: threading.Event) -> None:
        reason = _reason(error)
        if self.waiting != str(error):
            log.warning("waiting (%s): %s", reason, error)
        if reason == "files" and self.waiting != str(error):
            self._told = True
            detail = f"{error}; 归档文件无法写入，空间恢复后自动继续"
            alarms.tell(self._store, alarms.UNWRITABLE, str(self._settings.folder), detail)
        self.waiting = str(error)
        self.figures.waits.labels(reason).inc()
        self._pending, self._ends = {}, {}
        self._full = self._full + 1 if reason == "files" else 0
        self._pause(stop, min(RETRY_S * 2 ** max(0, min(self._full - 1, 10)), max(RETRY_S, FULL_RETRY_S)))

    def _pause(self, stop: threading.Event, seconds: float) -> None:
        """Wait, and be seen alive meanwhile."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not stop.wait(min(left, 1.0)):
            self.beat = time.monotonic()

    def _written(self) -> None:
        if self._told:
            with self._store.writing() as session:
                alarms.close_all(session, alarms.UNWRITABLE, self._now())
            self._told = False


def _reason(error: Exception) -> str:
    if isinstance(error, LeaseHeldError | MovedError):
        return "lease"
    if isinstance(error, BrokerDownError | LogDroppedError):
        return "broker"
    return "files" if isinstance(error, OSError) else "store"
