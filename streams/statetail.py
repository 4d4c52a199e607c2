"""The state topic as somebody reads it who follows it: one whole snapshot, marker or roster after the other.

Unlike a start (streams/restore.py) it keeps nothing but the parts of a snapshot that is not whole yet: the newest of each key is what
holds, whether the ones before were compacted or not.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from pydantic import ValidationError

from rules.layout import NONE
from rules.records import PacksRecord
from streams.checkpoint import StateLostError, decode_marker, part_count, read_key

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_BYTES = 64 * 1024 * 1024
"""Of the parts of one snapshot: what is larger is told, not read."""


@dataclass(frozen=True, slots=True)
class SnapshotRow:
    """A facility's snapshot; None: the facility is forgotten."""

    facility: str
    snapshot: bytes | None


@dataclass(frozen=True, slots=True)
class UnreadRow:
    """A snapshot that is too large to be read here."""

    facility: str
    size: int


@dataclass(frozen=True, slots=True)
class MarkerRow:
    """Where the partition stood at a checkpoint: all that was received before `clock` (ms) is in the snapshots."""

    clock: int


@dataclass(frozen=True, slots=True)
class RosterRow:
    """The facilities that have a snapshot in the partition."""

    facilities: frozenset[str]


@dataclass(frozen=True, slots=True)
class HeldRow:
    """A facility is quarantined, or is not any more: while it is, its snapshot stays as it was."""

    facility: str
    held: bool


Seen: TypeAlias = SnapshotRow | UnreadRow | MarkerRow | RosterRow | HeldRow | PacksRecord
_QUARANTINE = "quarantine-"


@dataclass(slots=True)
class _Pending:
    facility: str
    count: int
    parts: list[bytes]
    size: int


@dataclass(slots=True)
class StateTail:
    """Rows of any number of partitions, each in its order."""

    _pending: dict[int, _Pending] = field(default_factory=dict)
    """Partition -> the snapshot whose parts come: a checkpoint writes them one behind the other."""

    @property
    def begun(self) -> frozenset[int]:
        """Return the partitions of which a snapshot is not whole yet: who goes on behind its first parts never sees it."""
        return frozenset(self._pending)

    def take(
        self, partition: int, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes]]
    ) -> Seen | None:
        """Take a row; returns what it says, None where it says nothing by itself or nothing that can be read."""
        read = read_key(key)
        if read is None:
            return None
        if read.kind == "snapshot":
            return self._part(partition, read.name, read.part, value, headers)
        if read.kind == "note":
            facility = read.name.removeprefix(_QUARANTINE)
            return None if facility == read.name else HeldRow(facility, value is not None)
        if read.kind == "closed":
            return None  # hours and days that are over: whoever follows the topic reads no series
        return None if value is None else _shared(partition, read.kind, value)

    def _part(
        self, partition: int, facility: str, index: int, value: bytes | None, headers: Sequence[tuple[str, bytes]]
    ) -> SnapshotRow | UnreadRow | None:
        pending = self._pending.pop(partition, None)
        if value is None:
            return SnapshotRow(facility, None) if index == 0 else None
        count = part_count(index, headers)
        if index == 0:
            pending = _Pending(facility, count, [], 0)
        # Of an older one whose first part is compacted, the others say nothing.
        if (
            pending is None
            or (pending.facility, pending.count, len(pending.parts)) != (facility, count, index)
            or not count
        ):
            return None
        pending.size += len(value)
        pending.parts.append(value if pending.size <= MAX_BYTES else b"")
        if index < count - 1:
            self._pending[partition] = pending
            return None
        if pending.size > MAX_BYTES:
            return UnreadRow(facility, pending.size)
        return SnapshotRow(facility, b"".join(pending.parts))


def _shared(partition: int, kind: str, value: bytes) -> Seen | None:
    try:
        if kind == "packs":
            return PacksRecord.model_validate_json(value)
        if kind == "roster":
            return RosterRow(frozenset(map(str, json.loads(value))))
        clock = decode_marker(value, partition).state.clock
        return None if clock == NONE else MarkerRow(clock)
    except (ValidationError, StateLostError, ValueError, TypeError):
        return None
