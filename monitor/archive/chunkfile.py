"""The form of a file of the archive: one zstd frame that holds a header and the records as Kafka gave them.

Inside: frames of a little-endian uint32 length and so many bytes. The first is the header as JSON, every other one a
record as a msgpack array `[offset, timestamp ms, timestamp type, key, [[name, value], ...], value]`, all bytes unchanged,
in offset order. Nothing in a file depends on when or by whom it was written: the same records give the same file.
"""

from __future__ import annotations

import hashlib
import io
import os
import secrets
import struct
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import msgspec
import numpy as np
import zstandard

from rules.errors import ContractError
from rules.instants import EARLIEST_MS, LATEST_MS
from rules.models import is_facility_id
from rules.records import Kind
from streams.codec import SHARED, decode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from rules.records import LogRecord, Rejected

FORMAT: Literal["offsite-chunk"] = "offsite-chunk"
VERSION = 1
HOUR_MS = 3_600_000
ALL = "*"
"""In the place of a facility: not cut by facility yet."""
SHARED_FOLDER = "_partition"
UNCUT_FOLDER = "_uncut"
PART = ".part-"
"""What is being written has this and a random number behind its name."""
LEVEL = 6
MAX_FRAME = 64 * 1024 * 1024
MAX_WINDOW = 1 << 27
READ_BYTES = 256 * 1024
_LENGTH = struct.Struct("<I")
_SHARED_KINDS = frozenset(kind.value.encode() for kind in SHARED)
_READINGS = Kind.READINGS.value.encode()


class RawRecord(msgspec.Struct, array_like=True, frozen=True):
    """One record as Kafka holds it; `timestamp` is the broker's append time where `timestamp_type` is 1."""

    offset: int
    timestamp: int
    timestamp_type: int
    key: bytes | None
    headers: list[tuple[bytes, bytes | None]]
    value: bytes | None

    def header(self, name: bytes) -> bytes | None:
        """Return the value of a header, the last one if it stands more than once."""
        return dict(self.headers).get(name)

    @property
    def facility(self) -> str:
        """The facility whose file it belongs to: none for ticks, packs and keys that are no facility."""
        key = (self.key or b"").decode("latin-1")
        return "" if self.header(b"kind") in _SHARED_KINDS or not is_facility_id(key) else key

    @property
    def hour_ms(self) -> int:
        """Start of the hour of its timestamp; 0 for a timestamp that none can be."""
        return self.timestamp // HOUR_MS * HOUR_MS if EARLIEST_MS <= self.timestamp <= LATEST_MS else 0

    def event_span(self) -> tuple[int, int] | None:
        """Return the first and last event time of its readings; none for another kind or unreadable columns."""
        if self.header(b"kind") != _READINGS or self.value is None:
            return None
        try:
            times = np.frombuffer(_TIMES.decode(self.value).t, "<i8")
        except (msgspec.MsgspecError, ValueError):
            return None
        times = times[(times >= EARLIEST_MS) & (times <= LATEST_MS)]
        return (int(times.min()), int(times.max())) if times.size else None

    def decoded(self, partition: int) -> LogRecord | Rejected:
        """Return what the codec makes of it."""
        headers = [(name.decode("utf-8", "replace"), value) for name, value in self.headers]
        return decode(partition, self.offset, self.timestamp, self.key, headers, self.value)


class _Times(msgspec.Struct):
    t: bytes


class Header(msgspec.Struct, forbid_unknown_fields=True):
    """What a file says of itself."""

    cluster: str
    topic: str
    partition: int
    facility: str
    hour_ms: int
    first_offset: int
    last_offset: int
    records: int
    format: Literal["offsite-chunk"] = FORMAT
    version: Literal[1] = 1


_TIMES = msgspec.msgpack.Decoder(_Times)
_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(RawRecord)
_HEADER = msgspec.json.Decoder(Header)


class ChunkDamagedError(ContractError):
    """A file of the archive is not what the index says."""

    code: ClassVar[str] = "chunk_damaged"
    action: ClassVar[str] = (
        "Run `offsite archive verify`, and put the file back from a backup; its hash is in its name."
    )

    def __init__(self, path: str, why: str) -> None:
        """Name the file (relative to the archive's folder) and what is wrong."""
        self.path, self.why = path, why
        super().__init__(f"{path}: {why}")


class ChunkMissingError(ChunkDamagedError):
    """A file that the index names is not there."""

    code: ClassVar[str] = "chunk_missing"


@dataclass(frozen=True, slots=True)
class Place:
    """What all records of a file have in common."""

    cluster: str
    topic: str
    partition: int
    facility: str
    hour_ms: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """A file as the index describes it; times are ms, the event span is of the readings inside."""

    place: Place
    first_offset: int
    last_offset: int
    first_received_ms: int
    last_received_ms: int
    first_event_ms: int | None
    last_event_ms: int | None
    records: int
    size: int
    sha256: str
    path: str


class ChunkBuilder:
    """Takes the records of one place in offset order and makes the file of them."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.raw_bytes = 0
        self.records = 0
        self._frames: list[bytes] = []
        self._offsets = (-1, -1)
        self._received = (0, 0)
        self._events: tuple[int, int] | None = None

    def add(self, record: RawRecord, frame: bytes | None = None) -> None:
        """Take the next record; `frame` is its encoded form, if at hand."""
        if record.offset <= self._offsets[1]:
            raise ValueError(f"offset {record.offset} is not above {self._offsets[1]}")
        body = _ENCODER.encode(record) if frame is None else frame
        self._frames.append(body)
        self.raw_bytes += len(body) + _LENGTH.size
        self._offsets = (record.offset if self.records == 0 else self._offsets[0], record.offset)
        self._received = _wider(self._received if self.records else None, (record.timestamp, record.timestamp))
        span = record.event_span()
        if span is not None:
            self._events = _wider(self._events, span)
        self.records += 1

    def build(self) -> tuple[Chunk, bytes]:
        """Return what the index will say and the file's bytes."""
        first, last = self._offsets
        place = self.place
        header = Header(
            place.cluster, place.topic, place.partition, place.facility, place.hour_ms, first, last, self.records
        )
        head = msgspec.json.encode(header)
        compressor = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True).compressobj(
            size=len(head) + _LENGTH.size + self.raw_bytes
        )
        parts = [compressor.compress(_LENGTH.pack(len(head)) + head)]
        parts += [compressor.compress(_LENGTH.pack(len(frame)) + frame) for frame in self._frames]
        parts.append(compressor.flush())
        blob = b"".join(parts)
        digest = hashlib.sha256(blob).hexdigest()
        chunk = Chunk(
            place=place,
            first_offset=first,
            last_offset=last,
            first_received_ms=self._received[0],
            last_received_ms=self._received[1],
            first_event_ms=None if self._events is None else self._events[0],
            last_event_ms=None if self._events is None else self._events[1],
            records=self.records,
            size=len(blob),
            sha256=digest,
            path=path_of(place, first, digest),
        )
        return chunk, blob


def path_of(place: Place, first_offset: int, sha256: str) -> str:
    """Return where a file lies: topic/partition/facility/yyyy/mm/dd/hour-offset-hash, relative to the archive's folder."""
    day = datetime.fromtimestamp(place.hour_ms / 1000, UTC)
    owner = {"": SHARED_FOLDER, ALL: UNCUT_FOLDER}.get(place.facility, place.facility)
    name = f"{day:%H}-{first_offset:020d}-{sha256}.zst"
    return f"{place.topic}/{place.partition}/{owner}/{day:%Y/%m/%d}/{name}"


def write_files(folder: Path, files: Iterable[tuple[str, bytes]]) -> None:
    """Write files so that a crash leaves each whole or absent: temporary file, fsync, rename, fsync of the folders."""
    touched: set[Path] = set()
    for relative, blob in files:
        path = folder / relative
        _make_folder(path.parent, touched)
        part = path.with_name(f"{path.name}{PART}{secrets.token_hex(4)}")
        try:
            with part.open("xb") as sink:
                sink.write(blob)
                sink.flush()
                os.fsync(sink.fileno())
            part.replace(path)
        except OSError:
            # A full disk: what was begun must not hold the room that the next try needs.
            part.unlink(missing_ok=True)
            raise
        touched.add(path.parent)
    for changed in touched:
        _sync_folder(changed)


def remove_file(folder: Path, relative: str, *, whole: bool = True) -> None:
    """Remove a file (if `whole`) and what a crash left of its writing; absent is well."""
    path = folder / relative
    for part in path.parent.glob(f"{path.name}{PART}*"):
        part.unlink(missing_ok=True)
    if whole:
        path.unlink(missing_ok=True)


def open_chunk(folder: Path, chunk: Chunk) -> Iterator[tuple[RawRecord, bytes]]:
    """Check a file against the index, then give its records and their encoded form, in offset order.

    Nothing is given out of a file whose bytes have another hash.

    Raises:
        ChunkMissingError: there is no such file.
        ChunkDamagedError: it cannot be read, or its hash, header or content is not what the index says.
    """
    try:
        blob = _read(folder / chunk.path, chunk.size)
    except FileNotFoundError as error:
        raise ChunkMissingError(chunk.path, "the file is not there") from error
    except OSError as error:
        raise ChunkDamagedError(chunk.path, f"cannot be read: {error.strerror or error}") from error
    if len(blob) != chunk.size:
        raise ChunkDamagedError(chunk.path, f"another size than the index says ({chunk.size} bytes)")
    if hashlib.sha256(blob).hexdigest() != chunk.sha256:
        raise ChunkDamagedError(chunk.path, "another hash than the index says")
    return _records(chunk, blob)


def inspect_file(folder: Path, relative: str, most: int) -> tuple[Chunk, list[RawRecord]]:
    """Return what the index should say of a file, by the file alone: its name, its header and its records must agree.

    Args:
        folder: of the archive.
        relative: where the file lies in it.
        most: bytes that a file may have.

    Raises:
        ChunkDamagedError: they do not agree, or it cannot be read.
    """
    try:
        blob = _read(folder / relative, most)
    except OSError as error:
        raise ChunkDamagedError(relative, f"cannot be read: {error.strerror or error}") from error
    digest = hashlib.sha256(blob).hexdigest()
    try:
        header = _HEADER.decode(next(_frames(blob), b""))
    except (zstandard.ZstdError, msgspec.MsgspecError, ValueError) as error:
        raise ChunkDamagedError(relative, f"cannot be decoded: {error}") from error
    place = Place(header.cluster, header.topic, header.partition, header.facility, header.hour_ms)
    if path_of(place, header.first_offset, digest) != relative:
        raise ChunkDamagedError(relative, "its place or its hash is not the one in its name")
    named = Chunk(
        place, header.first_offset, header.last_offset, 0, 0, None, None, header.records, len(blob), digest, relative
    )
    records = [record for record, _ in _records(named, blob)]
    events = [span for record in records if (span := record.event_span()) is not None]
    times = [record.timestamp for record in records]
    return Chunk(
        place, header.first_offset, header.last_offset, min(times), max(times),
        min((low for low, _ in events), default=None), max((high for _, high in events), default=None),
        header.records, len(blob), digest, relative,
    ), records  # fmt: skip


def _records(chunk: Chunk, blob: bytes) -> Iterator[tuple[RawRecord, bytes]]:
    place = chunk.place
    wanted = (
        place.cluster, place.topic, place.partition, place.facility, place.hour_ms,
        chunk.first_offset, chunk.last_offset, chunk.records,
    )  # fmt: skip
    count, newest = 0, -1
    try:
        frames = _frames(blob)
        header = _HEADER.decode(next(frames, b""))
        if msgspec.structs.astuple(header)[: len(wanted)] != wanted:
            raise ChunkDamagedError(chunk.path, "its header is not what the index says")
        for frame in frames:
            record = _DECODER.decode(frame)
            if record.offset <= newest or not chunk.first_offset <= record.offset <= chunk.last_offset:
                raise ChunkDamagedError(chunk.path, f"offset {record.offset} is out of its order")
            newest = record.offset
            count += 1
            yield record, frame
    except (zstandard.ZstdError, msgspec.MsgspecError, ValueError) as error:
        raise ChunkDamagedError(chunk.path, f"cannot be decoded: {error}") from error
    if (count, newest) != (chunk.records, chunk.last_offset):
        raise ChunkDamagedError(chunk.path, f"{count} records up to {newest}; the index says {chunk.records}")


def _frames(blob: bytes) -> Iterator[bytes]:
    with zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW).stream_reader(blob) as frame:
        source = io.BufferedReader(frame, READ_BYTES)
        while head := source.read(_LENGTH.size):
            size = _LENGTH.unpack(head)[0] if len(head) == _LENGTH.size else MAX_FRAME + 1
            body = source.read(size) if size <= MAX_FRAME else b""
            if len(body) != size:
                raise ValueError("a record is too long, or ends too early")
            yield body


def _read(path: Path, size: int) -> bytes:
    with path.open("rb") as source:
        return source.read(size + 1)


def _wider(span: tuple[int, int] | None, other: tuple[int, int]) -> tuple[int, int]:
    return other if span is None else (min(span[0], other[0]), max(span[1], other[1]))


def _make_folder(path: Path, touched: set[Path]) -> None:
    missing = path
    while not missing.exists():
        touched.update((missing, missing.parent))
        missing = missing.parent
    path.mkdir(parents=True, exist_ok=True)


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def raw_of(found: Any) -> RawRecord:  # noqa: ANN401 - kafka-python ships no types
    """Return a record of kafka-python's consumer as the archive keeps it."""
    headers = [(name.encode("utf-8", "surrogateescape"), value) for name, value in found.headers or ()]
    return RawRecord(found.offset, found.timestamp, found.timestamp_type, found.key, headers, found.value)
