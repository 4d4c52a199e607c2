"""The rows of `offsite.state.v1`: one marker per partition, snapshots per facility, the packs they were folded with.

Above 400 lines on purpose: what is written under a key and how it is read again stand side by side.

A checkpoint's rows are written in one transaction with the group offset, so that they are seen whole or not at all.
Keys: a facility id for a snapshot (`ID#1`, `ID#2`... for the further parts of a large one), `ID~h<day>` and `ID~d<four weeks>` (with parts
too) for hours and days that are over and that the snapshot names (rules/apart.py), `p<n>` for the marker,
`roster-p<n>` for the names of all facilities that have a snapshot, `packs-<sha256>` for a bundle; those about quarantine are
told in streams/quarantine.py. Facility ids are upper case, so the kinds of key never meet.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

from pydantic import Field, ValidationError

from rules.apart import digest_of, joined
from rules.canonical import canonical_bytes, sha256_hex
from rules.engine import PartitionState
from rules.errors import ContractError
from rules.models import FacilityId, Strict
from rules.records import PacksRecord
from rules.snapshot import SnapshotError
from streams.quarantine import NOTE_KEY

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

PART_HEADER = "part"
CLOSED_HEADER = "closed"
"""On the first part of a snapshot that names records beside it: how many."""
_MARKER_KEY = re.compile(r"^p\d+$")
_ROSTER_KEY = re.compile(r"^roster-p\d+$")
_PACKS_KEY = re.compile(r"^packs-([0-9a-f]{64})$")
_SNAPSHOT_KEY = re.compile(r"^([A-Z0-9][A-Z0-9-]{1,31})(?:~([hd]\d{1,6}))?(?:#(\d{1,4}))?$")
_PART = re.compile(rb"^(\d{1,4})/(\d{1,4})$")


class StateLostError(ContractError):
    """What the state topic holds of a partition is not whole; folding on would invent or lose alarms."""

    code: ClassVar[str] = "state_lost"
    action: ClassVar[str] = (
        "Stop every worker and run `offsite state rebuild` (docs/runbooks/lose-the-state.md): nothing is published twice. "
        "Do not delete the group's offsets."
    )


class LogLostError(ContractError):
    """The log no longer holds, or never held, what the marker says comes next."""

    code: ClassVar[str] = "log_lost"
    action: ClassVar[str] = (
        "The log's retention has passed the checkpoint: stop every worker and run `offsite state rebuild --all`, which reads the archive."
    )


class LogEndLostError(LogLostError):
    """The log ends before the marker: it lost its end."""

    code: ClassVar[str] = "log_end_lost"
    action: ClassVar[str] = (
        "Records that were folded are gone from the log. Stop gateway and workers, delete nothing, and read docs/state.md, "
        "the part about a log that lost its end."
    )


class LogRegrownError(LogEndLostError):
    """The log lost its end, and other records have come to stand where folded ones stood."""

    code: ClassVar[str] = "log_regrown"


@dataclass(frozen=True, slots=True)
class Row:
    """One record that a transaction sends."""

    topic: str
    partition: int | None
    key: bytes
    value: bytes | None
    """None forgets what stands under the key."""
    headers: tuple[tuple[str, bytes], ...] = ()

    @property
    def size(self) -> int:
        """Bytes of key and value, near enough to the record's."""
        return len(self.key) + len(self.value or b"") + 64


class Origin(Strict):
    """Where a partition was folded from first: a facility can be folded anew from here, and from nowhere later."""

    offset: int = Field(ge=0)
    packs: str
    """The packs in force there, before any `packs` record."""
    state: PartitionState | None = None
    """The partition there, where it was folded by another engine before; None where the log began."""


class Tail(Strict):
    """The newest record that a partition's changes were published of; the broker's append time tells it from any later one."""

    offset: int = Field(ge=0)
    received: int
    """Its append time, ms since the epoch."""


class Marker(Strict):
    """Where a partition stands."""

    version: Literal[3] = 3
    partition: int = Field(ge=0)
    next: int = Field(ge=0)
    """Every change of the records before is published. It never falls."""
    low: int = Field(ge=0)
    """No record before is needed: snapshots hold all of them. The log is read from here."""
    state: PartitionState
    """Of the partition as it was at `low`."""
    facilities: int = Field(ge=0)
    roster: str
    """SHA-256 over the sorted facilities that have a snapshot: a missing row is seen."""
    origin: Origin | None
    """None where an older release has not kept it."""
    rebuilding: dict[FacilityId, int] = Field(default_factory=dict)
    """Facilities that are folded anew -> their changes of the records before this are published."""
    tail: Tail | None = None
    """The newest record before `next`: a log that lost its end and grew again holds another one there. None: not known."""


def roster_of(facilities: Iterable[str]) -> str:
    """Return the digest of a set of facilities."""
    return hashlib.sha256("\n".join(sorted(facilities)).encode()).hexdigest()


def marker_key(partition: int) -> bytes:
    """Return the key of a partition's marker."""
    return f"p{partition}".encode()


def roster_key(partition: int) -> bytes:
    """Return the key of a partition's roster."""
    return f"roster-p{partition}".encode()


def encode_roster(facilities: Iterable[str]) -> bytes:
    """Return the names of a partition's facilities; the marker's digest is their checksum."""
    return canonical_bytes(sorted(facilities))


def packs_key(sha256: str) -> bytes:
    """Return the key of a bundle."""
    return f"packs-{sha256}".encode()


def encode_marker(marker: Marker) -> bytes:
    """Return canonical JSON with a checksum over the marker."""
    body = marker.model_dump(mode="json")
    return canonical_bytes({"marker": body, "sha256": sha256_hex(body)})


def decode_marker(value: bytes, partition: int) -> Marker:
    """Return the marker.

    Raises:
        StateLostError: it is not JSON, of another version, of another partition, or its checksum does not fit.
    """
    try:
        document = json.loads(value)
        body = document["marker"]
        if sha256_hex(body) != document["sha256"]:
            raise StateLostError(f"marker of partition {partition}: its checksum does not fit")
        marker = Marker.model_validate(_newest(body))
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        raise StateLostError(f"marker of partition {partition} cannot be read: {str(error)[:300]}") from error
    if marker.partition != partition or marker.low > marker.next:
        raise StateLostError(f"marker of partition {partition} belongs to partition {marker.partition}")
    return marker


def _newest(body: dict[str, Any]) -> dict[str, Any]:
    """Bring an older marker forward: version 1 was written with every snapshot and kept no origin, version 2 kept no tail."""
    if body["version"] == 1:
        body = body | {"version": 2, "origin": None}
    return body | {"version": 3} if body["version"] == 2 else body  # noqa: PLR2004


def snapshot_rows(
    topic: str, partition: int, facility: str, snapshot: bytes, part_bytes: int, *, closed: int = 0
) -> list[Row]:  # fmt: skip
    """Return the rows of one snapshot, or of a record beside it (`closed_key`), in parts that the topic accepts.

    Args:
        topic: of the state.
        partition: of it.
        facility: the key.
        snapshot: the value.
        part_bytes: so long a part is at most.
        closed: how many records the snapshot names.
    """
    named = ((CLOSED_HEADER, str(closed).encode()),) if closed else ()
    parts = [snapshot[i : i + part_bytes] for i in range(0, len(snapshot), part_bytes)] or [b""]
    return [
        Row(
            topic,
            partition,
            (facility if i == 0 else f"{facility}#{i}").encode(),
            part,
            ((PART_HEADER, f"{i}/{len(parts)}".encode()), *(named if i == 0 else ())),
        )
        for i, part in enumerate(parts)
    ]


def closed_key(facility: str, name: str) -> str:
    """Return the key of a record with hours or days that are over (`rules.apart.Record.name`)."""
    return f"{facility}~{name}"


class Key(NamedTuple):
    """What stands under a key of the state topic."""

    kind: Literal["marker", "roster", "packs", "note", "snapshot", "closed"]
    name: str
    """The facility of a snapshot or of a record beside it, the hash of packs, else the whole key."""
    part: int = 0
    """Of a snapshot, or of a record beside it."""
    closed: str = ""
    """Which hours or days."""


def read_key(key: bytes | None) -> Key | None:
    """Return what stands under a key; None under one that nobody writes there.

    >>> read_key(b"BJ-MFR-0007#2"), read_key(b"p3").kind, read_key(b"no key")
    (Key(kind='snapshot', name='BJ-MFR-0007', part=2, closed=''), 'marker', None)
    >>> read_key(b"BJ-MFR-0007~h20513")
    Key(kind='closed', name='BJ-MFR-0007', part=0, closed='h20513')
    """
    name = (key or b"").decode("ascii", "replace")
    if _MARKER_KEY.match(name):
        return Key("marker", name)
    if _ROSTER_KEY.match(name):
        return Key("roster", name)
    if found := _PACKS_KEY.match(name):
        return Key("packs", found[1])
    if NOTE_KEY.match(name):
        return Key("note", name)
    if found := _SNAPSHOT_KEY.match(name):
        return Key("closed" if found[2] else "snapshot", found[1], int(found[3] or 0), found[2] or "")
    return None


def part_count(index: int, headers: Sequence[tuple[str, bytes]]) -> int:
    """Return how many parts a snapshot has of which this row is one; 0 where it is marked as another one."""
    place = _PART.match(dict(headers).get(PART_HEADER, b"0/1"))
    return int(place[2]) if place is not None and int(place[1]) == index else 0


@dataclass(slots=True)
class StateRows:
    """What the state topic holds of one partition, collected row by row, oldest first."""

    partition: int
    marker: bytes | None = None
    roster: bytes | None = None
    packs: dict[str, bytes] = field(default_factory=dict)
    notes: dict[str, bytes] = field(default_factory=dict)
    """Rows about quarantine (streams/quarantine.py)."""
    _parts: dict[str, dict[int, tuple[int, bytes]]] = field(default_factory=dict)
    _closed: dict[str, dict[str, dict[int, tuple[int, bytes]]]] = field(default_factory=dict)
    """Facility -> record with hours or days that are over -> its parts."""
    _naming: set[str] = field(default_factory=set)
    """Facilities whose snapshot names such records."""

    def add(self, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes]]) -> None:
        """Take one row; a null value forgets what stood under its key.

        Raises:
            StateLostError: a key that nobody writes here.
        """
        read = read_key(key)
        if read is None:
            name = (key or b"").decode("ascii", "replace")
            raise StateLostError(f"state of partition {self.partition} holds a row under {name[:80]!r}")
        if read.kind == "marker":
            if read.name.encode() != marker_key(self.partition):
                raise StateLostError(f"state of partition {self.partition} holds a marker under {read.name!r}")
            self.marker = value
        elif read.kind == "roster":
            if read.name.encode() != roster_key(self.partition):
                raise StateLostError(f"state of partition {self.partition} holds a roster under {read.name!r}")
            self.roster = value
        elif read.kind == "packs":
            self._set(self.packs, read.name, value)
        elif read.kind == "note":
            self._set(self.notes, read.name, value)
        elif read.kind == "closed":
            records = self._closed.setdefault(read.name, {})
            self._add_part(records, read.closed, read.part, value, part_count(read.part, headers))
            if not records:
                del self._closed[read.name]
        else:
            self._add_part(self._parts, read.name, read.part, value, part_count(read.part, headers))
            if read.part == 0:
                names_some = value is not None and CLOSED_HEADER in dict(headers)
                (self._naming.add if names_some else self._naming.discard)(read.name)

    @staticmethod
    def _set(rows: dict[str, bytes], name: str, value: bytes | None) -> None:
        if value is None:
            rows.pop(name, None)
        else:
            rows[name] = value

    @staticmethod
    def _add_part(
        of: dict[str, dict[int, tuple[int, bytes]]], name: str, index: int, value: bytes | None, count: int
    ) -> None:
        parts = of.setdefault(name, {})
        if value is None:
            parts.pop(index, None)
            if not parts:
                del of[name]
            return
        parts[index] = (count, value)

    @property
    def parts(self) -> dict[str, int]:
        """The facilities with a row, sorted, and in how many parts each stands (those left over of a larger one too)."""
        return {name: max(self._parts[name]) + 1 for name in sorted(self._parts)}

    def keys(self) -> list[str]:
        """Return every key that stands there, sorted."""
        found = [f"packs-{sha256}" for sha256 in self.packs] + list(self.notes)
        closed = {closed_key(name, which): p for name, records in self._closed.items() for which, p in records.items()}
        found += [f"{name}#{i}" if i else name for name, parts in (self._parts | closed).items() for i in parts]
        single = (marker_key(self.partition), self.marker), (roster_key(self.partition), self.roster)
        return sorted([*found, *(key.decode() for key, value in single if value is not None)])

    def snapshot(self, facility: str) -> bytes:
        """Return the whole snapshot of a facility: its parts joined, and with the hours and days that it names.

        Raises:
            SnapshotError: a part is missing, or is marked as part of something else; or such hours or days are missing or others.
        """
        snapshot = _of_parts(self._parts.get(facility, {}))
        if snapshot is None:
            raise SnapshotError(f"snapshot of {facility}: a part of it is missing")
        if facility not in self._naming:
            return snapshot
        found = {name: _of_parts(parts) for name, parts in self._closed.get(facility, {}).items()}
        return joined(snapshot, {name: value for name, value in found.items() if value is not None})

    def closed(self, facility: str) -> dict[str, tuple[bytes, int]]:
        """Return the digest of each record with hours or days of a facility that are over, and in how many parts it stands; unchecked."""
        records = self._closed.get(facility, {})
        return {name: (digest_of(_of_parts(parts) or b""), max(parts) + 1) for name, parts in sorted(records.items())}

    def damaged(self) -> dict[str, str]:
        """Return the facilities whose snapshot names hours or days that are missing or others, and which."""
        found = {}
        for facility in sorted(self._naming):
            try:
                self.snapshot(facility)
            except SnapshotError as error:
                found[facility] = str(error)
        return found

    def bundles(self) -> list[PacksRecord]:
        """Return the packs that snapshots and marker may name.

        Raises:
            StateLostError: one cannot be read.
        """
        try:
            return [PacksRecord.model_validate_json(value) for value in self.packs.values()]
        except ValidationError as error:
            raise StateLostError(f"packs of partition {self.partition} cannot be read: {str(error)[:300]}") from error

    def checked_marker(self, committed: int | None) -> Marker | None:
        """Return the marker; None where the partition was never folded.

        Args:
            committed: the group's offset, which every checkpoint writes with its marker.

        Raises:
            StateLostError: rows or a group offset without a marker.
        """
        if self.marker is None:
            if self._parts or self.packs or self._closed:
                raise StateLostError(f"partition {self.partition} has {len(self._parts)} snapshots and no marker")
            if committed is not None:
                raise StateLostError(
                    f"partition {self.partition} has the group offset {committed} and no marker: its state is gone"
                )
            return None
        marker = decode_marker(self.marker, self.partition)
        if marker.origin is None and len(self.packs) == 1:
            # One bundle only: it was in force from the beginning.
            marker = marker.model_copy(update={"origin": Origin(offset=0, packs=next(iter(self.packs)))})
        return marker

    def rostered(self, marker: Marker) -> list[str]:
        """Return the facilities that have a snapshot according to the marker, sorted; a row may be missing here.

        Raises:
            StateLostError: the names are not known, or there is a snapshot that the marker does not count.
        """
        if marker.facilities == len(self._parts) and marker.roster == roster_of(self._parts):
            return sorted(self._parts)
        try:
            names: list[str] = json.loads(self.roster or b"[]")
            known = marker.roster == roster_of(names)
        except (ValueError, TypeError):
            known = False
        if not known or not self._parts.keys() <= set(names):
            raise StateLostError(
                f"partition {self.partition} has {len(self._parts)} snapshots, its marker counts {marker.facilities}"
            )
        return sorted(names)


def _of_parts(parts: dict[int, tuple[int, bytes]]) -> bytes | None:
    """Return what stands in parts, None where one is missing or is marked as part of something else."""
    count = parts[0][0] if 0 in parts else 0
    if count == 0 or any(i not in parts or parts[i][0] != count for i in range(count)):
        return None
    return b"".join(parts[i][1] for i in range(count))
