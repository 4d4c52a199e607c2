"""What the state topic holds of one partition, and the rows that a checkpoint adds to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streams.cadence import Cadence
from streams.checkpoint import (
    Marker,
    Row,
    closed_key,
    encode_marker,
    encode_roster,
    marker_key,
    packs_key,
    roster_key,
    roster_of,
    snapshot_rows,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from rules.apart import Record
    from rules.records import PacksRecord
    from streams.checkpoint import Tail
    from streams.fold import Fold
    from streams.restore import Start
    from streams.worker_settings import WorkerSettings


class StateLedger:
    """Makes the state rows of a partition's checkpoints; nothing in here awaits, so that each is of one instant."""

    def __init__(self, partition: int, settings: WorkerSettings, start: Start, now: float) -> None:
        self._partition, self._start = partition, start
        self._topic, self._part_bytes = settings.state_topic, settings.snapshot_part_bytes
        self._cadence = Cadence(settings.snapshot_every_s, now)
        self._cadence.begin(start.low, start.state)
        self._parts = dict(start.parts)
        """The facilities that have a snapshot, and in how many parts."""
        self._closed = {name: dict(records) for name, records in start.closed.items()}
        """Of each facility the records with hours and days that are over: digest, and in how many parts."""
        self._bundles = set(start.packs)
        """The bundles that the topic holds."""
        self._new_bundles: dict[str, bytes] = {}
        self._roster = ""
        self.written = 0
        """How many snapshots the newest checkpoint holds."""
        self.unwritten: dict[str, str] = {}
        """The facilities whose state the newest checkpoint could not write -> why."""
        self.stale: frozenset[str] = frozenset()
        """Those of the newest checkpoint's `fresh` facilities that it does not hold."""

    def remember(self, packs: PacksRecord) -> None:
        """Let the next checkpoint write packs that came into force: snapshots and marker will name them."""
        self._new_bundles[packs.sha256] = packs.model_dump_json().encode()

    def due(self, dirty: list[str], now: float) -> list[str]:
        """Return those of the dirty facilities whose snapshot is due."""
        return self._cadence.due(dirty, now)

    @property
    def low(self) -> int:
        """Return the offset from which a start folds."""
        return self._cadence.low.offset

    def rows(
        self,
        fold: Fold,
        dirty: list[str],
        due: list[str],
        now: float,
        position: tuple[int, int],
        rebuilding: Mapping[str, int],
        *,
        keep_packs: bool = False,
        tail: Tail | None = None,
        has_time: Callable[[], bool] = lambda: True,
        fresh: AbstractSet[str] = frozenset(),
    ) -> list[Row]:
        """Return the rows of a checkpoint; the fold's due facilities are clean afterwards, but for those that are `unwritten`.

        These stay as they stand in the topic, `low` stays before what is not covered, and the cadence asks again.

        Args:
            fold: the state.
            dirty: facilities that changed since their last snapshot.
            due: those of them whose snapshot is written.
            now: the clock of the cadence.
            position: the next offset to fold, and the one before which everything is published.
            rebuilding: facilities without state -> the offset before which their changes are published.
            keep_packs: forget no packs: what is folded of a quarantined facility is older than `low`, and names its own.
            tail: the newest record before which and with which everything is published.
            has_time: whether there is time for one more snapshot; what is left stays uncovered, the newest changes first.
            fresh: facilities that were folded beside the partition: what the topic holds of them is of another time, and must not be
                gone on from. They are written whatever the time; one that cannot be written is named in the marker, and a start folds
                it anew.
        """
        at, published = position
        rows: list[Row] = []
        written: list[str] = []
        self.unwritten = {}
        for facility in self._cadence.oldest_first(due):
            if facility not in fresh and not has_time():
                continue
            try:
                snapshot, records = fold.apart(self._partition, facility)
                closed = [(record, record.packed) for record in self._changed(facility, records)]
            except Exception as error:  # noqa: BLE001 - one facility's state must not end the others' publication
                self.unwritten[facility] = f"{type(error).__name__}: {error}"
                continue
            rows += self._records(facility, records, closed)
            rows += self._snapshot(facility, snapshot, len(records))
            fold.clean(self._partition, facility)
            written.append(facility)
        self.written = len(written)
        self.stale = frozenset(fresh - set(written))
        self._cadence.note(at, fold.partition_state(self._partition), dirty, written, now)
        rows += [*self._packs(keep=keep_packs), *self._names()]
        low = self._cadence.low
        marker = Marker(
            partition=self._partition,
            next=published,
            low=low.offset,
            state=low.state,
            facilities=len(self._parts),
            roster=self._roster,
            origin=self._start.origin,
            rebuilding=dict(rebuilding) | dict.fromkeys(sorted(self.stale), published),
            tail=tail,
        )
        rows.append(self._row(marker_key(self._partition), encode_marker(marker)))
        return rows

    def _snapshot(self, facility: str, snapshot: bytes, closed: int) -> list[Row]:
        rows = snapshot_rows(self._topic, self._partition, facility, snapshot, self._part_bytes, closed=closed)
        left_over = range(len(rows), self._parts.get(facility, 0))
        self._parts[facility] = len(rows)
        return [*rows, *(self._row(f"{facility}#{part}".encode(), None) for part in left_over)]

    def _changed(self, facility: str, records: Iterable[Record]) -> list[Record]:
        """Return the records with hours and days that the topic does not hold as they are."""
        known = self._closed.get(facility, {})
        return [one for one in records if one.digest != known.get(one.name, (b"", 0))[0]]

    def _records(self, facility: str, records: Sequence[Record], changed: list[tuple[Record, bytes]]) -> list[Row]:
        """Return the rows of hours and days that are over: those that changed, and forgotten those that the snapshot does not name any more."""
        known = self._closed.pop(facility, {})
        if not records and not known:
            return []
        rows: list[Row] = []
        now = {one.name: known.get(one.name, (b"", 0)) for one in records}
        for one, packed in changed:
            made = snapshot_rows(self._topic, self._partition, closed_key(facility, one.name), packed, self._part_bytes)
            rows += made
            now[one.name] = one.digest, len(made)
        for name, (_, parts) in known.items():
            key, stay = closed_key(facility, name), now.get(name, (b"", 0))[1]
            rows += [self._row((f"{key}#{part}" if part else key).encode(), None) for part in range(stay, parts)]
        if now:
            self._closed[facility] = now
        return rows

    def _packs(self, *, keep: bool) -> list[Row]:
        """Return the bundles to add, and those to forget: neither partition nor snapshots can name them from `low` on.

        Packs that come into force make every facility dirty, so a snapshot names what was in force at `low` or later.
        """
        rows = [self._row(packs_key(sha256), packs) for sha256, packs in self._new_bundles.items()]
        self._bundles |= self._new_bundles.keys()
        self._new_bundles.clear()
        if self._start.origin is not None and not keep:
            for sha256 in sorted(self._bundles - self._cadence.packs - {self._start.origin.packs}):
                rows.append(self._row(packs_key(sha256), None))
                self._bundles.discard(sha256)
        return rows

    def _names(self) -> list[Row]:
        """Return the roster where it is another one than before, or not known to stand there."""
        before, self._roster = self._roster, roster_of(self._parts)
        if before == self._roster:
            return []
        return [self._row(roster_key(self._partition), encode_roster(self._parts))]

    def _row(self, key: bytes, value: bytes | None) -> Row:
        return Row(self._topic, self._partition, key, value)
