"""Read what a partition's last checkpoint left, and put the fold back to it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiokafka import TopicPartition

from rules.instants import format_instant
from rules.pack import Bundle
from rules.snapshot import SnapshotError
from streams.checkpoint import (
    LogEndLostError,
    LogLostError,
    LogRegrownError,
    Origin,
    StateLostError,
    StateRows,
    decode_marker,
)
from streams.client_kinds import AIOKAFKA

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Mapping

    from rules.engine import PartitionState
    from streams.checkpoint import Tail
    from streams.client_kinds import ClientKinds
    from streams.fold import Fold

POLL_MS = 1_000
YIELD_EVERY = 20
"""Snapshots restored between two looks at the event loop."""


@dataclass(frozen=True, slots=True)
class Bad:
    """A facility that cannot be restored."""

    facility: str
    why: str
    published: int
    """Its changes of the records before this are published."""
    sample: bytes = b""
    """The first bytes of the snapshot."""


@dataclass(frozen=True, slots=True)
class Start:
    """Where a restored partition goes on."""

    low: int
    """The log is read from here."""
    next_offset: int
    """Every change of the records before is published."""
    state: PartitionState
    """Of the partition at `low`."""
    marked: bool
    """Whether a marker was there; False for a partition that nobody has folded yet."""
    origin: Origin | None
    parts: dict[str, int] = field(default_factory=dict)
    """The facilities that have a snapshot, and in how many parts."""
    closed: dict[str, dict[str, tuple[bytes, int]]] = field(default_factory=dict)
    """Of each facility the records with hours and days that are over: digest, and in how many parts; empty digest: it is written anew."""
    packs: frozenset[str] = frozenset()
    """The bundles that the state topic holds."""
    bad: tuple[Bad, ...] = ()
    tail: Tail | None = None
    """The newest record before `next_offset`."""
    rebuilding: dict[str, int] = field(default_factory=dict)
    """Facilities whose snapshot is older than `low` -> their changes of the records before this are published."""


async def read_state(
    clients: Mapping[str, Any], topic: str, partitions: Iterable[int], kinds: ClientKinds = AIOKAFKA
) -> tuple[dict[int, StateRows], int]:
    """Return the rows of the state topic for these partitions, read to their end, and the bytes read.

    Reads committed rows only. The positions are explicit: `seek_to_beginning` races and can read nothing.
    """
    rows = {partition: StateRows(partition) for partition in partitions}
    if not rows:
        return {}, 0
    consumer = kinds.consumer(
        **clients,
        group_id=None,
        enable_auto_commit=False,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=8 * 1024 * 1024,
    )
    await consumer.start()
    read = 0
    try:
        places = [TopicPartition(topic, partition) for partition in sorted(rows)]
        consumer.assign(places)
        begins = await consumer.beginning_offsets(places)
        ends = await consumer.end_offsets(places)
        for place in places:
            consumer.seek(place, begins[place])
        waiting = {place for place in places if begins[place] < ends[place]}
        while waiting:
            batches = await consumer.getmany(*waiting, timeout_ms=POLL_MS)
            for place, records in batches.items():
                state = rows[place.partition]
                for record in records:
                    if record.offset < ends[place]:
                        state.add(record.key, record.value, record.headers)
                        read += len(record.key or b"") + len(record.value or b"")
            waiting = {place for place in waiting if await consumer.position(place) < ends[place]}
    finally:
        await consumer.stop()
    return rows, read


async def log_bounds(
    clients: Mapping[str, Any], topic: str, partitions: Iterable[int], kinds: ClientKinds = AIOKAFKA
) -> dict[int, tuple[int, int]]:
    """Return the first and the next offset of each partition of the log."""
    places = [TopicPartition(topic, partition) for partition in partitions]
    if not places:
        return {}
    consumer = kinds.consumer(**clients, group_id=None, enable_auto_commit=False)
    await consumer.start()
    try:
        begins = await consumer.beginning_offsets(places)
        ends = await consumer.end_offsets(places)
    finally:
        await consumer.stop()
    return {place.partition: (begins[place], ends[place]) for place in places}


async def ensure_not_regrown(
    clients: Mapping[str, Any],
    topic: str,
    rows: Mapping[int, StateRows],
    bounds: Mapping[int, tuple[int, int]],
    kinds: ClientKinds = AIOKAFKA,
) -> None:
    """Look whether the log still holds the newest record that each marker says was folded.

    A log that lost its end (its only broker lost power) grows again over the same offsets; bounds alone do not show it. Nothing
    is said of a record before the log's beginning, which retention took, nor of a marker that cannot be read: others do.

    Raises:
        LogRegrownError: another record stands there, or none.
        KafkaError: the log cannot be read.
    """
    tails = {partition: tail for partition in sorted(rows) if (tail := _tail_of(rows[partition])) is not None}
    within = {p: tail for p, tail in tails.items() if bounds[p][0] <= tail.offset < bounds[p][1]}
    if not within:
        return
    consumer = kinds.consumer(**clients, group_id=None, enable_auto_commit=False, isolation_level="read_committed")
    await consumer.start()
    try:
        for partition, tail in within.items():
            held = await _first_from(consumer, TopicPartition(topic, partition), tail.offset, bounds[partition][1])
            if held != (tail.offset, tail.received):
                raise LogRegrownError(_instead(partition, tail, held))
    finally:
        await consumer.stop()


def _tail_of(rows: StateRows) -> Tail | None:
    try:
        return None if rows.marker is None else decode_marker(rows.marker, rows.partition).tail
    except StateLostError:
        return None


async def _first_from(consumer: Any, place: TopicPartition, offset: int, end: int) -> tuple[int, int] | None:  # noqa: ANN401 - of either kind
    """Return offset and append time of the first record from an offset on, None if there is none before `end`."""
    consumer.assign([place])
    consumer.seek(place, offset)
    while await consumer.position(place) < end:
        for record in (await consumer.getmany(place, timeout_ms=POLL_MS)).get(place, []):
            if record.offset >= offset:
                return record.offset, record.timestamp
    return None


def _instead(partition: int, tail: Tail, held: tuple[int, int] | None) -> str:
    was = f"partition {partition}: the record at offset {tail.offset}, appended at {format_instant(tail.received)}, was folded"
    if held is None or held[0] != tail.offset:
        return f"{was}; the log holds none there now"
    return f"{was}; another one stands there now, appended at {format_instant(held[1])}"


async def restore_partition(
    fold: Fold,
    rows: StateRows,
    committed: int | None,
    bounds: tuple[int, int],
    without: Container[str] = (),
    *,
    published: bool = False,
    moved: Callable[[], None] = lambda: None,
) -> Start:
    """Put the fold back to the marker; a partition without one begins where its log begins.

    A facility whose snapshot is no good is named in `bad`, and the fold does not know it. Facilities in `without` are
    quarantined: they stay as their snapshot says, outside the fold, and are not folded anew either. `published` says that the
    partition has changes: then it may begin without a marker only where its log begins at 0, and gives the same ones again.
    `moved` is called behind every facility: how long all of them take says nothing of whether it goes on.

    Raises:
        StateLostError: the marker cannot be read, or the rows are not those it counts, or marker and beginning are gone.
        LogLostError: the log begins after `low`.
        LogEndLostError: it ends before the marker.
    """
    partition, (begin, end) = rows.partition, bounds
    fold.drop(partition)
    marker = rows.checked_marker(committed)
    if marker is None:
        if published and begin > 0:
            raise StateLostError(
                f"partition {partition} has no marker, but changes; its log begins at {begin}: seqs would begin anew"
            )
        origin = Origin(offset=begin, packs=fold.bundle.sha256)
        return Start(begin, begin, fold.partition_state(partition), marked=False, origin=origin)
    if marker.next > end:
        raise LogEndLostError(
            f"partition {partition}: the marker wants offset {marker.low} to {marker.next}, "
            f"the log holds {begin} to {end}"
        )
    if not begin <= marker.low <= marker.next:
        raise LogLostError(
            f"partition {partition}: the marker wants offset {marker.low} to {marker.next}, "
            f"the log holds {begin} to {end}"
        )
    roster = rows.rostered(marker)
    for record in rows.bundles():
        fold.know(Bundle.from_record(record))
    fold.restore_partition(partition, marker.state)
    bad: list[Bad] = []
    good = set()
    for i, facility in enumerate(sorted({*roster, *marker.rebuilding})):
        if facility in without:
            continue
        if facility in marker.rebuilding:
            # Its snapshot, should it be readable now, is older than `low`: records in between are in no fold.
            bad.append(Bad(facility, "it was being folded anew when the worker stopped", marker.rebuilding[facility]))
            continue
        snapshot = b""
        try:
            snapshot = rows.snapshot(facility)
            fold.restore(partition, facility, snapshot)
            good.add(facility)
        except SnapshotError as error:
            bad.append(Bad(facility, str(error), marker.next, snapshot))
        moved()
        if i % YIELD_EVERY == YIELD_EVERY - 1:
            await asyncio.sleep(0)
    return Start(
        marker.low,
        marker.next,
        marker.state,
        marked=True,
        origin=marker.origin,
        parts=dict.fromkeys(roster, 1) | rows.parts,
        closed={name: _known(rows.closed(name), sure=name in good) for name in roster},
        packs=frozenset(rows.packs),
        bad=tuple(bad),
        tail=marker.tail,
        rebuilding=dict(marker.rebuilding),
    )


def _known(closed: dict[str, tuple[bytes, int]], *, sure: bool) -> dict[str, tuple[bytes, int]]:
    """Return the records with hours and days; of a facility that was not restored none counts as written."""
    return closed if sure else {name: (b"", parts) for name, (_, parts) in closed.items()}
