"""Fold a partition anew without a worker, and write the state that the next worker starts from.

For a state topic that was lost, and for one that was put back from a backup and is old. What log and archive give is compared
with every change that was published: nothing is written where they differ. What was published is not published again, what
was not is published here, in the transactions of the partition's fenced producer; behind them come snapshots, marker
and group offset as at a worker's stop. So the next worker begins at the log's end of now, and folds nothing twice.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from pydantic import ValidationError

from rules.canonical import canonical_bytes
from rules.changes import Change
from rules.errors import BadInputError, ContractError, Fault
from rules.fitting import change_bytes, fit
from rules.records import ADOPTS, SEMANTICS, LogRecord, PacksRecord, Rejected, StateRecord
from rules.snapshot import FORMAT, SnapshotError, open_snapshot
from streams.checkpoint import Origin, Row, encode_marker, snapshot_rows
from streams.codec import SHARED, placed
from streams.facts import fact_row
from streams.quarantine import Ward
from streams.rejected import encode_rejected
from streams.restore import Start, restore_partition
from streams.stateledger import StateLedger

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

    from rules.lots.facts import LotFact
    from streams.checkpoint import Marker, StateRows
    from streams.fold import Fold
    from streams.worker_settings import WorkerSettings

LISTED = 100
DIGEST = 16


class NotAdoptedError(ContractError):
    """What another engine left cannot be gone on from."""

    code: ClassVar[str] = "not_adopted"
    action: ClassVar[str] = (
        "Nothing was written. Start the release before, stop its workers with SIGTERM once they have caught up, and try again."
    )


class RefoldDiffersError(ContractError):
    """Log and archive do not give the changes that were published: other packs, another engine, or another log."""

    code: ClassVar[str] = "refold_differs"
    action: ClassVar[str] = (
        "Nothing was written. Name the packs that were in force before the first `packs` record (--pack), run the release "
        "that published, or begin with the state of a backup (--from)."
    )

    def __init__(self, faults: list[Fault], count: int) -> None:
        """Take the first differences and how many there are."""
        self.faults = faults
        super().__init__(f"{count} differences: " + "; ".join(map(str, faults[:5])))


@dataclass(slots=True)
class Known:
    """The changes of one partition that were published: by stream and seq, a digest of each without `source`."""

    streams: dict[str, dict[int, bytes]] = field(default_factory=dict)

    @classmethod
    def of(cls, values: Iterable[bytes | None]) -> Known:
        """Return what stands in the topic of changes, its records oldest first."""
        known = cls()
        for value in values:
            known.add(value)
        return known

    def add(self, value: bytes | None) -> None:
        """Take a record of the topic of changes; what is no change is passed over, as at the desk."""
        try:
            change = Change.model_validate_json(value or b"")
        except ValidationError:
            return
        # What came first stays, as at the desk.
        self.streams.setdefault(change.stream, {}).setdefault(change.seq, _digest(change))

    def newest(self, stream: str) -> int:
        """Return the newest seq of a stream; 0 if nothing was published."""
        return max(self.streams.get(stream, {}), default=0)


@dataclass(slots=True)
class Refolded:
    """What was done with a partition."""

    partition: int
    records: int = 0
    compared: int = 0
    """Changes that were published before, and are the same."""
    published: int = 0
    """Changes that are published now."""
    facilities: int = 0
    begin: int = 0
    end: int = 0


class Refold:
    """Folds one partition up to `end`; `rows` is what to write then."""

    def __init__(self, partition: int, fold: Fold, known: Known, settings: WorkerSettings, end: int) -> None:
        self.done = Refolded(partition, end=end)
        self._partition, self._fold, self._known, self._settings = partition, fold, known, settings
        self._newest = {stream: known.newest(stream) for stream in known.streams}
        self._seen: dict[str, int] = {}
        self._packs: dict[str, PacksRecord] = {}
        self._origin: Origin | None = None
        self._changes: list[Change] = []
        self._facts: list[LotFact] = []
        self._rejected: list[Rejected] = []
        self._faults: list[Fault] = []
        self._count = 0
        self._away: dict[str, bytes] = {}
        """Facilities that are quarantined in the state begun with -> their snapshot, empty where there is none."""
        self._notes: list[Row] = []

    def from_beginning(self, origin: Origin) -> int:
        """Begin with nothing, where the partition was folded first; returns the first offset wanted.

        Args:
            origin: where that was; the fold begins with the packs that it names.
        """
        self._origin = origin
        bundle = self._fold.bundle
        self._packs[bundle.sha256] = bundle.to_record()
        if origin.state is not None:
            self._fold.restore_partition(self._partition, origin.state)
        self.done.begin = origin.offset
        return origin.offset

    def adopt(self, marker: Marker) -> bytes:
        """Return the marker of another engine's checkpoint as one of this engine's.

        Raises:
            NotAdoptedError: this engine cannot go on from it, or its last checkpoint is not that of a stop.
        """
        if marker.state.semantics not in ADOPTS:
            raise NotAdoptedError(
                f"partition {self._partition}: engine semantics {SEMANTICS} does not go on from {marker.state.semantics}"
            )
        if marker.low != marker.next or marker.rebuilding:
            raise NotAdoptedError(f"partition {self._partition}: its last checkpoint is not that of a graceful stop")
        state = marker.state.model_copy(update={"semantics": SEMANTICS})
        return encode_marker(marker.model_copy(update={"state": state}))

    def seeds(self) -> list[tuple[str, StateRecord]]:
        """Return a `state` record for each facility: with them the log itself says from what this engine went on."""
        found = []
        for facility in self._fold.facilities(self._partition):
            snapshot = self._fold.snapshot(self._partition, facility)
            body, _ = open_snapshot(snapshot)
            seed = StateRecord(
                format=FORMAT, semantics=SEMANTICS, packs=body.packs, clock=max(0, body.clock), seq=body.seq,
                snapshot=base64.b64encode(snapshot).decode(), checksum=hashlib.sha256(snapshot).hexdigest(),
            )  # fmt: skip
            found.append((facility, seed))
        return found

    def seeded(self, begin: int, end: int) -> None:
        """Note where the seeds stand in the log, [begin, end): from there on, and from nowhere else, it can be folded anew."""
        state = self._fold.partition_state(self._partition)
        self._origin = Origin(offset=begin, packs=state.packs, state=state)
        self.done.end = end

    async def from_state(self, rows: StateRows) -> int:
        """Begin with the state that rows of an earlier day hold; returns the first offset wanted.

        A facility that is quarantined there stays so, as its snapshot and its row say: what it was not folded with stands before
        the first offset wanted. Workers fold it on from there when it is released.

        Raises:
            StateLostError, LogLostError, NoteError: the rows are not whole, or the log ends before they do.
            ContractError: of another engine semantics.
            SnapshotError: one of the snapshots is no good.
        """
        quarantined = Ward.of(self._partition, rows.notes, 0).quarantined
        self._away = {facility: _snapshot(rows, facility) for facility in sorted(quarantined)}
        start = await restore_partition(self._fold, rows, None, (0, self.done.end), self._away)
        if start.bad:
            raise SnapshotError(f"partition {self._partition}: {start.bad[0].facility}: {start.bad[0].why}")
        self.keep_notes(rows.notes)
        for facility in sorted(start.parts.keys() - self._away.keys()):
            seq = self._seen[facility] = open_snapshot(rows.snapshot(facility))[0].seq
            if seq > self._newest.get(facility, 0):
                told = self._newest.get(facility, 0)
                self._differs(
                    facility, "changes_lost", f"the state counts {seq} changes, {told} are known to be published"
                )
        self._origin = start.origin
        self._packs = {record.sha256: record for record in rows.bundles()}
        self.done.begin = start.low
        return start.low

    def keep_notes(self, notes: Mapping[str, bytes]) -> None:
        """Let the state written say what is known of records that killed, and of who is quarantined for it; a wish is no state."""
        names = sorted(name for name in notes if name.startswith(("quarantine-", "watch-")))
        self._notes = [Row(self._settings.state_topic, self._partition, name.encode(), notes[name]) for name in names]

    def run(self, records: Iterable[LogRecord | Rejected], *, told: int, passed: Container[int] = ()) -> None:
        """Fold records, in order, up to the end.

        Args:
            records: of the partition.
            told: what is rejected before this offset was told to operators when it was folded first.
            passed: records that are passed over, because they kill.

        Raises:
            ContractError: packs of another engine semantics.
        """
        for read in records:
            record = placed(read, self._settings.kafka.partitions) if self._settings.placed else read
            self.done.records += 1
            if record.facility in self._away and not (isinstance(record, LogRecord) and record.kind in SHARED):
                continue  # as a worker leaves it
            outcome = record if isinstance(record, Rejected) or record.offset in passed else self._step(record)
            if isinstance(outcome, Rejected):
                if outcome.offset >= told:
                    self._rejected.append(outcome)
            elif isinstance(outcome, list):
                for change in outcome:
                    self._take(fit(change))
                # Whoever folds lots knows those that were sent before.
                self._facts += self._fold.take_facts(self._partition)

    def finish(self) -> None:
        """See that all of what was published came.

        Raises:
            RefoldDiffersError: something was published that the log does not give, or gives otherwise.
        """
        for stream, newest in self._newest.items():
            if stream not in self._away and self._seen.get(stream, 0) < newest:
                self._differs(stream, "missing", f"published up to {newest}, the log gives {self._seen.get(stream, 0)}")
        if self._count:
            raise RefoldDiffersError(self._faults, self._count)
        self.done.facilities = len(self._fold.facilities(self._partition))
        self.done.published += len(self._changes)

    def take(self) -> list[Row]:
        """Return what is to be published, and count it as published."""
        rows = self.changes()
        for change in self._changes:
            self._newest[change.stream] = change.seq
            self._known.streams.setdefault(change.stream, {})[change.seq] = _digest(change)
        self._changes, self._rejected, self._facts = [], [], []
        return rows

    def changes(self) -> list[Row]:
        """Return what is to be published: changes, what was rejected and not told yet, facts of lots."""
        settings = self._settings
        rows = [
            Row(settings.alarms_topic, self._partition, change.stream.encode(), change_bytes(change))
            for change in self._changes
        ]
        rows += [
            Row(
                settings.rejected_topic, None, rejected.facility.encode(),
                encode_rejected(rejected, of_lots=settings.of_lots),
            )
            for rejected in self._rejected
        ]  # fmt: skip
        return rows + [fact_row(settings, fact) for fact in self._facts]

    def state(self, before: Iterable[str]) -> list[Row]:
        """Return the rows of the state: everything under `before` that is not written anew is forgotten.

        Args:
            before: the keys that stand in the state topic.
        """
        fold, partition, end = self._fold, self._partition, self.done.end
        facilities = fold.facilities(partition)
        topic, size = self._settings.state_topic, self._settings.snapshot_part_bytes
        away = {f: snapshot_rows(topic, partition, f, snapshot, size) for f, snapshot in self._away.items() if snapshot}
        start = Start(
            end, end, fold.partition_state(partition), marked=True, origin=self._origin,
            parts={facility: len(parts) for facility, parts in away.items()},
        )  # fmt: skip
        ledger = StateLedger(partition, self._settings, start, 0.0)
        for record in self._packs.values():
            ledger.remember(record)
        rows = ledger.rows(fold, facilities, facilities, 0.0, (end, end), {}, keep_packs=bool(self._away))
        rows = [*(row for parts in away.values() for row in parts), *rows[:-1], *self._notes, rows[-1]]
        written = {row.key for row in rows}
        forgotten = sorted({key.encode() for key in before} - written)
        return [*(Row(self._settings.state_topic, partition, key, None) for key in forgotten), *rows]

    def _step(self, record: LogRecord) -> list[Change] | Rejected:
        place = (record.partition, record.offset, record.received, record.facility)
        try:
            changes = self._fold.fold(record)
        except BadInputError as error:
            return Rejected(*place, "bad_packs", error.report()[:1000], b"")
        except SnapshotError as error:
            return Rejected(*place, "bad_state", str(error)[:1000], b"")
        if isinstance(record.payload, StateRecord):
            self._counts(record.facility, record.payload.seq)
        if isinstance(record.payload, PacksRecord):
            self._packs[record.payload.sha256] = record.payload
        return changes

    def _take(self, change: Change) -> None:
        stream, seq = change.stream, change.seq
        self._seen[stream] = max(seq, self._seen.get(stream, 0))
        if seq > self._newest.get(stream, 0):
            self._changes.append(change)
            return
        told = self._known.streams[stream].get(seq)
        if told is None:  # dropped by retention, and not archived: it was published all the same
            return
        self.done.compared += 1
        if told != _digest(change):
            self._differs(f"{stream}#{seq}", "differs", "the log gives another content")

    def _counts(self, facility: str, seq: int) -> None:
        """Note how many changes a state counts: all of them must be known to be published."""
        self._seen[facility] = max(seq, self._seen.get(facility, 0))
        told = self._newest.get(facility, 0) + sum(change.stream == facility for change in self._changes)
        if seq > told:
            self._differs(facility, "changes_lost", f"the state counts {seq} changes, {told} are known to be published")

    def _differs(self, where: str, code: str, detail: str) -> None:
        self._count += 1
        if len(self._faults) < LISTED:
            self._faults.append(Fault(where, code, detail))


def _snapshot(rows: StateRows, facility: str) -> bytes:
    """Return the snapshot of a facility that is quarantined; empty where none is whole: it is folded from the beginning."""
    try:
        return rows.snapshot(facility)
    except SnapshotError:
        return b""


def _digest(change: Change) -> bytes:
    return hashlib.sha256(canonical_bytes(change.to_json(source=False))).digest()[:DIGEST]
