"""Hours and days that are over, apart from a facility's snapshot (ADR 0084): they never change, so that they are written once.

A snapshot that is whole holds all summaries (rules/sums.py). `split` takes those out that are over, and the rest names them; `joined` gives
the same whole snapshot again, or says which of them are missing or are not those that the snapshot was written with.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import msgspec
import numpy as np
import zstandard

from rules.kinds.summary import DAY_SPAN, ENTRY_WORDS, HALF, HEAD_WORDS, HOUR_SPAN, PLACE
from rules.snapshot import LEVEL, MAX_BODY_BYTES, Body, SnapshotError, open_snapshot, sealed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rules.layout import Words

MAGIC = b"OFC1"
DIGEST = 8
"""Bytes of the SHA-256 of a record that the snapshot names it by."""
HOURS, DAYS = "h", "d"
"""Kinds of records: the hours of a local day, and the days of four weeks. The one of days grows by a day each day, and is written again."""
_SPAN = {HOURS: HOUR_SPAN, DAYS: DAY_SPAN}
_WHAT = {HOURS: "hours of", DAYS: "days of the four weeks from"}
_Rows: TypeAlias = list[tuple[str, bytes]]
"""Entries of each series, by tag."""


class _Content(msgspec.Struct, forbid_unknown_fields=True, array_like=True):
    facility: str
    kind: str
    number: int
    rows: _Rows


_CONTENT = msgspec.msgpack.Decoder(_Content)


class Record(NamedTuple):
    """What is over of one local day, or of four weeks, of all series of a facility."""

    kind: str
    number: int
    """Which day, or four weeks; those that begin with 1970 are 0."""
    digest: bytes
    """Equal: the same stands in it."""
    raw: bytes

    @property
    def name(self) -> str:
        """Return what tells it from the others of its facility."""
        return f"{self.kind}{self.number}"

    @property
    def packed(self) -> bytes:
        """Return its bytes: magic, SHA-256 of what stands in it, zstd of that."""
        return MAGIC + hashlib.sha256(self.raw).digest() + zstandard.compress(self.raw, LEVEL)


def digest_of(value: bytes) -> bytes:
    """Return the digest that the bytes of a record say; nothing was checked."""
    return value[len(MAGIC) : len(MAGIC) + DIGEST]


def split(body: Body) -> tuple[Body, list[Record]]:
    """Return a snapshot's body without the hours and days that are over, which names them, and these, by kind and time.

    Over is what a newer known row of its series has come behind: the hours of a local day when there is one of a later day, a day when there
    is one of a later day.
    """
    if isinstance(body.sums, msgspec.UnsetType):
        return body, []
    rest: list[tuple[str, int, bytes]] = []
    found: dict[tuple[str, int], _Rows] = {}
    for tag, count, data in body.sums:
        words = np.frombuffer(data, np.int64)
        entries = words[HEAD_WORDS:].reshape(-1, ENTRY_WORDS)
        hours, days = entries[:count], entries[count:]
        spans = (hours[:, PLACE] >> HALF) - 1
        open_from = int((spans // HOUR_SPAN < spans[-1:] // HOUR_SPAN).sum())
        for kind, rows in ((HOURS, hours[:open_from]), (DAYS, days[:-1])):
            for number, part in _by_span(kind, rows):
                found.setdefault((kind, number), []).append((tag, part.tobytes()))
        stays = words[:HEAD_WORDS].tobytes() + hours[open_from:].tobytes() + days[-1:].tobytes()
        rest.append((tag, count - open_from, stays))
    records = []
    for (kind, number), rows_of in sorted(found.items()):
        raw = msgspec.msgpack.encode(_Content(body.facility, kind, number, rows_of))
        records.append(Record(kind, number, hashlib.sha256(raw).digest()[:DIGEST], raw))
    named = [(one.kind, one.number, one.digest) for one in records]
    return msgspec.structs.replace(body, sums=rest, closed=named or msgspec.UNSET), records


def _by_span(kind: str, rows: Words) -> Iterator[tuple[int, Words]]:
    numbers = ((rows[:, PLACE] >> HALF) - 1) // _SPAN[kind]
    cuts = np.flatnonzero(np.diff(numbers)) + 1
    for part in np.split(rows, cuts) if len(rows) else ():
        yield int(((part[0, PLACE] >> HALF) - 1) // _SPAN[kind]), part


def joined(snapshot: bytes, found: Mapping[str, bytes]) -> bytes:
    """Return the whole snapshot.

    Args:
        snapshot: as it stands without what is over.
        found: the bytes of the records that there are of its facility, by name.

    Raises:
        SnapshotError: it cannot be read, or a record that it names is missing, broken, or another one.
    """
    body, _ = open_snapshot(snapshot)
    if isinstance(body.closed, msgspec.UnsetType):
        return snapshot
    pieces: dict[str, tuple[list[bytes], list[bytes]]] = {}
    for kind, number, digest in body.closed:
        for tag, entries in _opened(body.facility, kind, number, digest, found.get(f"{kind}{number}")):
            pieces.setdefault(tag, ([], []))[kind == DAYS].append(entries)
    whole: list[tuple[str, int, bytes]] = []
    for tag, count, data in [] if isinstance(body.sums, msgspec.UnsetType) else body.sums:
        hours, days = pieces.pop(tag, ([], []))
        head, split_at = 8 * HEAD_WORDS, 8 * (HEAD_WORDS + count * ENTRY_WORDS)
        more = sum(map(len, hours)) // (8 * ENTRY_WORDS)
        parts = (data[:head], *hours, data[head:split_at], *days, data[split_at:])
        whole.append((tag, count + more, b"".join(parts)))
    if pieces:
        raise SnapshotError(f"snapshot of {body.facility}: what is over of {min(pieces)} belongs to no series of it")
    return sealed(msgspec.structs.replace(body, sums=whole, closed=msgspec.UNSET))


def _opened(facility: str, kind: str, number: int, digest: bytes, value: bytes | None) -> _Rows:
    what = f"snapshot of {facility}: the {_WHAT.get(kind, kind)} {_day(kind, number)}, which it was written with,"
    if value is None:
        raise SnapshotError(f"{what} are missing")
    packed = value[len(MAGIC) + 32 :]
    if value[: len(MAGIC)] != MAGIC or digest_of(value) != digest:
        raise SnapshotError(f"{what} are not those that stand there")
    try:
        if not 0 <= zstandard.frame_content_size(packed) <= MAX_BODY_BYTES:
            raise SnapshotError(f"{what} do not say their size, or are too large")
        raw = zstandard.ZstdDecompressor().decompress(packed, allow_extra_data=False)
        if hashlib.sha256(raw).digest() != value[len(MAGIC) : len(MAGIC) + 32]:
            raise SnapshotError(f"{what} do not have their checksum")
        content = _CONTENT.decode(raw)
    except (zstandard.ZstdError, msgspec.MsgspecError) as error:
        raise SnapshotError(f"{what} cannot be read: {str(error)[:200]}") from error
    if (content.facility, content.kind, content.number) != (facility, kind, number):
        raise SnapshotError(f"{what} are those of {content.facility}, {content.kind}{content.number}")
    return content.rows


def _day(kind: str, number: int) -> str:
    days = number if kind == HOURS else number * DAY_SPAN
    try:
        return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=days)).date().isoformat()
    except OverflowError:
        return str(number)
