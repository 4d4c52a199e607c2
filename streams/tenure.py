"""One assigned partition: its fence, what it still has to publish, its checkpoints.

Above 400 lines on purpose: that changes, state and position of a checkpoint are of one instant is seen in one file.

One transaction is in flight at a time. aiokafka's `commit_transaction` succeeds although a batch failed, so every
future is awaited first; after any failure the producer is never used again and the process ends.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any

from aiokafka import TopicPartition

from rules.errors import BadInputError, OffsiteError
from rules.fitting import change_bytes, fit
from rules.records import LogRecord, PacksRecord, Rejected
from rules.snapshot import SnapshotError
from streams.checkpoint import Row, Tail
from streams.client_kinds import AIOKAFKA
from streams.codec import SHARED
from streams.facts import FactSender, fact_row, packs_row
from streams.history import LogHistory
from streams.notjudged import NotJudged
from streams.quarantine import Ward, Watch
from streams.rebuild import Rebuild
from streams.rejected import encode_entry, encode_rejected
from streams.stateledger import StateLedger
from streams.topics import BATCH_OVERHEAD, RECORD_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from rules.changes import Change
    from rules.lots.facts import LotFact
    from streams.client_kinds import ClientKinds
    from streams.fold import Fold
    from streams.halt import Halt
    from streams.history import History
    from streams.ledger import Ledger
    from streams.rejected import ClockNotice
    from streams.restore import Start
    from streams.sensor import Sensor
    from streams.worker_settings import WorkerSettings

TRANSACTION_TIMEOUT_MS = 15_000
"""A dead owner's open transaction hides everybody's later rows of the partition for no longer than this."""
BATCH_BYTES = 768 * 1024
"""`max.message.bytes` bounds the batch too: the smallest topic we write takes 1 MiB."""
REQUEST_BYTES = RECORD_BYTES + BATCH_OVERHEAD
"""As the topics take it: packs as large as the log's largest record are written to the state topic."""
TAKE_ROWS = 5_000
TAKE_BYTES = 8 * 1024 * 1024
"""What one transaction of changes carries at most."""

STOP_SHARE = 0.5
"""Of the seconds of a stop, what goes into making snapshots; the rest is for the broker's answers and for the other parts of it."""
RETRY_S, LONGEST_RETRY_S = 5.0, 300.0
"""Between two attempts to fold facilities anew; the second while it fails again and again."""
CATCH_UP_S = 0.05
"""Between two looks whether the partition is back where its marker stood."""
_log = logging.getLogger("offsite.worker")

UNPOSITIONED = 1 << 62
"""The stamp of a partition that the consumer was not yet sent to: whatever lies ahead of it came too early."""


class Tenure:
    """The time for which this process owns a partition of the log."""

    def __init__(
        self,
        partition: int,
        fold: Fold,
        settings: WorkerSettings,
        clients: Mapping[str, Any],
        ledger: Ledger,
        sensor: Sensor,
        halt: Halt,
        history: History | None = None,
        note: Callable[[int], None] = lambda _: None,
        kinds: ClientKinds = AIOKAFKA,
        stepping: Callable[[int, str], None] | None = None,
        facts: FactSender | None = None,
    ) -> None:
        """Take what all partitions of the process share.

        Args:
            partition: of the log.
            fold: what folds it.
            settings: of the worker.
            clients: aiokafka's arguments.
            ledger: counts what waits to be published.
            sensor: counts.
            halt: ends the process.
            history: the log from its beginning; needed where a snapshot is no good.
            note: hears the offset of each record that is folded anew, before it is folded, and -1 after it.
            kinds: what makes its producer.
            stepping: hears of whom a record of all is folded anew, as `Fold.stepping` does.
            facts: sends what records say of lots; one of its own if not given.
        """
        self.partition = partition
        self.fold = fold
        self.ward = Ward(partition, Watch(partition=partition))
        """Its quarantined facilities."""
        self.next = 0
        """The next offset of the log to fold."""
        self.checkpointed = -1
        """Where the fold stood at the last checkpoint, or -1."""
        self._tail: Tail | None = None
        """The newest record whose changes are published, or wait to be."""
        self.published = 0
        """Every change of the records before is published, as the marker says: they are not published again."""
        self.last_received = 0
        """Newest receive time of the records passed, in ms."""
        self.held = False
        """Whether it waits because the broker's clock jumped."""
        self._behind = False
        self.in_flight_since: float | None = None
        """Monotonic begin of the open transaction, or of facts on the wire."""
        self.stamp = UNPOSITIONED
        """Fetches begun before this count of seeks may hold records from elsewhere."""
        self.sought = -1
        """The offset that was last sought again because records were missing before those that came."""
        self.accepts = False
        self._settings, self._ledger, self._sensor, self._halt, self._note = settings, ledger, sensor, halt, note
        self._stepping = stepping
        self._rows: deque[Row] = deque()
        self._facts: deque[Row] = deque()
        """What records say of lots, and not sent yet."""
        self._packs: list[Row] = []
        """Packs for the partition of lots: they go with a checkpoint, once, since coming again would bring older ones back."""
        self._sender = facts or FactSender(clients, kinds)
        self._clock = monotonic
        self._stop_by = inf
        self._history = history or LogHistory(settings.kafka, settings.log_topic)
        self._rebuild: Rebuild | None = None
        self._rebuilding: asyncio.Task[None] | None = None
        self._rebuilt: set[str] = set()
        """Facilities folded beside the partition and taken in that no snapshot holds yet."""
        self._wake = asyncio.Event()
        self._closing = False
        self._due = 0.0
        """The monotonic time of the next checkpoint."""
        self._task: asyncio.Task[None] | None = None
        self._producer = kinds.producer(
            **clients,
            transactional_id=f"fold-{settings.log_topic}-{partition}",
            transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
            linger_ms=0,
            max_batch_size=BATCH_BYTES,
            max_request_size=REQUEST_BYTES,
        )

    async def fence(self) -> None:
        """Take the partition: whoever held it before can no longer publish, and what it left open is aborted."""
        await self._producer.start()

    def begin(self, start: Start) -> None:
        """Accept records from where the log has to be read, and publish from now on."""
        self._state = StateLedger(self.partition, self._settings, start, self._clock())
        self.next, self.published, self._tail = start.low, start.next_offset, start.tail
        self.checkpointed = start.low if start.marked else -1
        self.last_received = max(0, start.state.clock)
        if not start.marked:
            # Snapshots and marker name the packs they were folded with: a later release ships others.
            self._state.remember(self.fold.bundle.to_record())
        self.announce()
        for bad in start.bad:
            self._tell_bad(bad.facility, bad.why, bad.sample)
        self._unjudged = NotJudged(self.partition, self._sensor)
        self._unjudged.begin(self.fold)
        self.accepts = True
        self._due = monotonic() + self._settings.checkpoint_every_s
        self._task = asyncio.create_task(self._run(), name=f"publish-{self.partition}")
        if start.bad:
            passed = frozenset(self.ward.watch.skipped)
            self._rebuild = Rebuild(
                self.partition, start.bad, start.origin, self._history, start.low, passed, self._note, self._stepping,
                start.next_offset,
            )  # fmt: skip
            self._rebuilding = asyncio.create_task(self._fold_anew(self._rebuild), name=f"rebuild-{self.partition}")
        self._sensor.rebuilding(self.partition, len(start.bad))

    def feed(self, record: LogRecord | Rejected, size: int = 0) -> None:
        """Fold one record and keep what it gives for publication; synchronous, so that a checkpoint never cuts it.

        What the marker says is published is not published again: records before it are folded again only because some
        snapshot is older.

        Args:
            record: the next one of the partition.
            size: its bytes in the log.
        """
        waits = self._rebuild is not None and self._rebuild.offer(record, size)
        outcome = record if isinstance(record, Rejected) else [] if waits else self._step(record, self.fold)
        accepted = record if isinstance(record, LogRecord) and not isinstance(outcome, Rejected) else None
        if accepted is not None and isinstance(accepted.payload, PacksRecord):
            self._state.remember(accepted.payload)
        facts = [] if waits else self.fold.take_facts(self.partition)
        if record.offset < self.published:
            self._sensor.folded_again()
        else:
            self._keep(outcome, shared=accepted is not None and accepted.kind in SHARED)
            self._hand_on(accepted, facts)
            if accepted is not None:
                self._sensor.folded(accepted, size)
        self.pass_over(record.offset, record.received)

    def pass_over(self, offset: int, received: int) -> None:
        """Go on behind a record."""
        self.next = offset + 1
        if offset >= self.published:
            self._tail = Tail(offset=offset, received=received)
        if received >= self.last_received:
            self.last_received, self._behind = received, False

    def follow(self, side: Fold, record: LogRecord | Rejected, *, shared: bool, known: bool) -> None:
        """Fold a record of a facility that is being released; what belongs to all was published long ago.

        Args:
            side: what folds the facility.
            record: its next one.
            shared: it belongs to all.
            known: what it gives was published before the facility was quarantined.
        """
        outcome = record if isinstance(record, Rejected) else self._step(record, side)
        facts = side.take_facts(self.partition)
        if not known and not (shared and isinstance(outcome, Rejected)):
            self._keep(outcome, shared=shared)
            self._hand_on(None, facts)

    def take_over(self, facility: str, side: Fold) -> None:
        """Go on with a facility that was folded beside this partition and stands level with it."""
        if facility in side.facilities(self.partition):
            self.fold.restore(self.partition, facility, side.snapshot(self.partition, facility))
            self._rebuilt.add(facility)
        self.ward.discharge(facility)
        self.announce()

    def announce(self) -> None:
        """Queue what operators are to be told of quarantined facilities."""
        for notice in self.ward.notices:
            self._add(Row(self._settings.rejected_topic, None, notice.facility.encode(), encode_entry(notice)))
        self.ward.notices.clear()

    def tell_clock(self, notice: ClockNotice) -> None:
        """Queue what operators are to be told of the broker's clock."""
        self._add(Row(self._settings.rejected_topic, None, b"", encode_entry(notice)))

    def went_back(self, received: int) -> bool:
        """Note a receive time before the newest one; True if the clock has only now gone back."""
        before, self._behind = self._behind, received < self.last_received
        return self._behind and not before

    def reject(self, rejected: Rejected) -> None:
        """Queue a record that is not folded."""
        self._keep(rejected)

    async def write_notes(self) -> None:
        """Write what is known of deaths and quarantines before anything is folded: it may die again."""
        rows = self._notes()
        if rows:
            await self._transact(rows, None)

    async def room(self) -> None:
        """Let others have their turn, and wait while too much waits for publication."""
        await asyncio.sleep(0)
        if self._ledger.full:
            await self._ledger.room()

    async def close(self) -> None:
        """Take no more records, write the final checkpoint, close the producer."""
        self.accepts = False
        self._stop_by = monotonic() + STOP_SHARE * self._settings.stop_timeout_s
        self._closing = True
        self._wake.set()
        if self._rebuild is not None and self._rebuilding is not None:
            # Its thread ends with the record it is at; nothing it does is used any more.
            self._rebuild.stop()
            self._rebuilding.cancel()
            await asyncio.wait([self._rebuilding])
        if self._task is not None:
            await self._task
        await self._producer.stop()
        for rows in (self._rows, self._facts):
            self._ledger.settle(rows)
            rows.clear()
        self._sensor.rebuilding(self.partition, 0)

    @property
    def pending(self) -> int:
        """Rows that wait to be published."""
        return len(self._rows) + len(self._facts)

    def _step(self, record: LogRecord, fold: Fold) -> list[Change] | Rejected:
        """Fold a record; packs or state that do not hold what they promise are rejected, and the log goes on."""
        place = (record.partition, record.offset, record.received, record.facility)
        try:
            return fold.fold(record)
        except BadInputError as error:
            return Rejected(*place, "bad_packs", error.report()[:1000], b"")
        except SnapshotError as error:
            return Rejected(*place, "bad_state", str(error)[:1000], b"")

    def _hand_on(self, record: LogRecord | None, facts: Iterable[LotFact]) -> None:
        """Queue what a record says of lots; packs go to the partition of lots of the same number."""
        rows = [fact_row(self._settings, fact) for fact in facts]
        for row in rows:
            self._facts.append(row)
            self._ledger.add(row)
        if rows:
            self._sensor.said(len(rows))
            self._wake.set()
        if record is not None and isinstance(record.payload, PacksRecord) and not self._settings.of_lots:
            self._packs.append(packs_row(self._settings, self.partition, record.payload))
            self._due = 0.0
            self._wake.set()

    def _keep(self, outcome: list[Change] | Rejected, *, shared: bool = False) -> None:
        if isinstance(outcome, Rejected):
            row = encode_rejected(outcome, of_lots=self._settings.of_lots)
            self._add(Row(self._settings.rejected_topic, None, outcome.facility.encode(), row))
            self._sensor.rejected(outcome)
        else:
            self._say(outcome, self.fold.stepping if shared else None)

    def _notes(self) -> list[Row]:
        return [Row(self._settings.state_topic, self.partition, key, value) for key, value in self.ward.take_due()]

    def _say(self, changes: list[Change], stepping: Callable[[int, str], None] | None = None) -> None:
        for change in changes:
            if stepping is not None:  # making the row may kill too
                stepping(self.partition, change.facility)
            row = change_bytes(fit(change))
            self._add(Row(self._settings.alarms_topic, self.partition, change.stream.encode(), row))
            self._sensor.changed(change)

    def _tell_bad(self, facility: str, why: str, sample: bytes = b"") -> None:
        """Report that a facility has no state: a line, a metric, and a row where what cannot be evaluated is kept."""
        _log.error("partition %d: %s has no good snapshot and is folded anew: %s", self.partition, facility, why)
        told = Rejected(self.partition, self.next, self.last_received, facility, "bad_state", why[:1000], sample)
        self._keep(told)

    async def _fold_anew(self, rebuild: Rebuild) -> None:
        """Fold facilities without a good snapshot anew, as often as it takes; the partition goes on meanwhile."""
        loop, patience, told = asyncio.get_running_loop(), RETRY_S, ""

        def deliver(changes: list[Change], facts: list[LotFact]) -> None:
            asyncio.run_coroutine_threadsafe(self._take_rebuilt(changes, facts), loop).result()

        while True:
            try:
                rebuild.begin(self.fold, self.next)
                while not rebuild.ripe(self.next):
                    if rebuild.met:
                        await asyncio.sleep(CATCH_UP_S)
                    else:
                        await asyncio.to_thread(rebuild.read, deliver)
                    if self._closing:
                        return
                # Nothing is awaited from here on: the partition stands still.
                changes, facts = rebuild.graft(self.fold)
                self._say(changes)
                self._hand_on(None, facts)
            except OffsiteError as error:
                rebuild.give_up()
                if told != str(error):
                    told = str(error)
                    for facility in sorted(rebuild.facilities):
                        self._tell_bad(facility, f"it cannot be folded anew yet: {error.report()}")
                await asyncio.sleep(patience)
                patience = min(patience * 2, LONGEST_RETRY_S)
                continue
            except asyncio.CancelledError:
                raise
            except BaseException as error:  # noqa: BLE001 - as in the agent: what escapes the fold ends the process
                self._halt(f"partition {self.partition} cannot fold facilities anew", error)
            break
        self._rebuild = None
        self._rebuilt |= rebuild.facilities
        self._sensor.rebuilding(self.partition, 0)
        _log.info("partition %d: folded anew: %s", self.partition, ", ".join(sorted(rebuild.facilities)))

    async def _take_rebuilt(self, changes: list[Change], facts: list[LotFact]) -> None:
        await self._ledger.room()
        if not self._closing:
            self._say(changes)
            self._hand_on(None, facts)

    def _add(self, row: Row) -> None:
        self._rows.append(row)
        self._ledger.add(row)
        self._wake.set()

    async def _run(self) -> None:
        try:
            while not self._closing:
                left = self._due - monotonic()
                if left <= 0:
                    await self._checkpoint()
                    self._due = monotonic() + self._settings.checkpoint_every_s
                elif self._rows:
                    await self._publish()
                elif self._facts:
                    await self._send_facts()
                else:
                    self._wake.clear()
                    await _wait(self._wake, left)
            await self._checkpoint(final=True)
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever it was, this producer must not be used again
            self._halt(f"partition {self.partition} cannot publish", error)

    async def _publish(self) -> None:
        """Publish changes in a transaction of their own."""
        rows: list[Row] = []
        size = 0
        while self._rows and len(rows) < TAKE_ROWS and size < TAKE_BYTES:
            rows.append(self._rows.popleft())
            size += rows[-1].size
        await self._transact(rows, None)
        self._ledger.settle(rows)

    async def _send_facts(self) -> None:
        facts = list(self._facts)
        self._facts.clear()
        await self._send(facts)
        self._ledger.settle(facts)

    async def _send(self, facts: list[Row]) -> None:
        if facts:
            self.in_flight_since = monotonic()
            await self._sender.send(facts)
            self.in_flight_since = None

    async def _checkpoint(self, *, final: bool = False) -> None:
        """Write state, marker and group offset in one transaction, with the changes that are still pending.

        Args:
            final: write the snapshot of every dirty facility, not only of those that are due, as far as there is time:
                a start folds the rest anew, and a stop that takes longer would be ended by force.
        """
        begun = monotonic()
        dirty = sorted({*self.fold.dirty(self.partition), *self._rebuilt})
        now = self._clock()
        due = dirty if final else sorted({*self._state.due(dirty, now), *self._rebuilt})
        if self.next == self.checkpointed and not self._rows and not self._facts and not due and not self.ward.due:
            return
        folded = self.next
        published = max(self.next, self.published)
        changes, facts, packs = list(self._rows), list(self._facts), self._packs
        self._rows.clear()
        self._facts.clear()
        self._packs = []
        rebuilding = {} if self._rebuild is None else self._rebuild.published
        position, keep, tail = (folded, published), bool(self.ward.quarantined), self._tail
        # A quarantined facility is outside the fold; its snapshot stays in the topic as it was, and so do its packs.
        has_time = (lambda: monotonic() < self._stop_by) if final else (lambda: True)
        state = self._state.rows(
            self.fold, dirty, due, now, position, rebuilding, keep_packs=keep, tail=tail, has_time=has_time,
            fresh=self._rebuilt,
        )  # fmt: skip
        state += self._notes()
        self._unjudged.look(self.fold, due)
        self._rebuilt = set(self._state.stale)
        # So far nothing was awaited: changes, facts, state and position are of one instant.
        await self._send(facts)
        await self._transact([*changes, *packs, *state], published)
        self._ledger.settle([*changes, *facts])
        self.checkpointed, self.published = folded, published
        self._sensor.checkpointed(monotonic() - begun, self._state.written, sum(row.size for row in state))
        for facility, why in self._state.unwritten.items():
            _log.error("partition %d: the state of %s cannot be written: %s", self.partition, facility, why)
            detail = f"its state cannot be written, and a start folds it anew from offset {self._state.low}: {why}"
            self.reject(
                Rejected(
                    self.partition,
                    max(0, folded - 1),
                    self.last_received,
                    facility,
                    "state_unwritten",
                    detail[:1000],
                    b"",
                )
            )

    async def _transact(self, rows: list[Row], position: int | None) -> None:
        self.in_flight_since = begun = monotonic()
        await self._producer.begin_transaction()
        sent = [
            await self._producer.send(row.topic, row.value, row.key, partition=row.partition, headers=list(row.headers))
            for row in rows
        ]
        if position is not None:
            place = TopicPartition(self._settings.log_topic, self.partition)
            await self._producer.send_offsets_to_transaction({place: position}, self._settings.group_id)
        for future in sent:
            await future
        await self._producer.commit_transaction()
        self.in_flight_since = None
        self._sensor.transacted(monotonic() - begun, len(rows))


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass
