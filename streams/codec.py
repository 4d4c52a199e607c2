"""How a record is spelled in Kafka: readings as binary columns, all else as JSON; foreign bytes become `Rejected`.

Headers: `kind` (contracts.md §3) and `v`, the schema version of this file. Readings are a msgpack map
`{b: batch, g: [tags], n: int32 rows per tag, t: int64 event times in ms, v: float64, q: uint8 qualities, s: seq}` with
little-endian arrays; `q` is left out when all is good, `s` when there is none. JSON has no spaces, the
model's members in order, free members as posted.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec
import numpy as np
from kafka.partitioner.default import murmur2
from pydantic import ValidationError

from rules.errors import BadInputError
from rules.faults import model_faults, printable
from rules.instants import EARLIEST_MS, LATEST_MS
from rules.jsontext import too_deep
from rules.lots.facts import PRODUCT, LotFact
from rules.models import are_tags, is_facility_id, is_identifier
from rules.pack import Bundle
from rules.readingfaults import MAX_SEQ
from rules.records import (
    MAX_DEPTH,
    MAX_READINGS,
    MAX_SERIES,
    MODELS,
    SEMANTICS,
    Kind,
    LogRecord,
    LotKind,
    PacksRecord,
    Payload,
    Quality,
    Readings,
    RegisterRecord,
    Rejected,
    StateRecord,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rules.changes import Change

SCHEMA_VERSION = 1
SAMPLE_BYTES = 4096
MAX_VALUE_BYTES = 8 * 1024 * 1024
"""`max.message.bytes` of the log."""
SHARED = frozenset({Kind.TICK, Kind.PACKS})
"""Kinds that belong to a partition and have no facility; their key means nothing."""
Headers: TypeAlias = list[tuple[str, bytes]]
_VERSION = str(SCHEMA_VERSION).encode()
_KINDS: dict[bytes, Kind | LotKind] = {kind.value.encode(): kind for kind in Kind}
_LOT_KINDS: dict[bytes, Kind | LotKind] = {kind.value.encode(): kind for kind in (LotKind.FACT, Kind.PACKS, Kind.TICK)}
_KIND_OF: dict[type, Kind | LotKind] = {
    Readings: Kind.READINGS, LotFact: LotKind.FACT, **{model: kind for kind, model in MODELS.items()}
}  # fmt: skip
_MAX_QUALITY = max(Quality)
_I4, _I8, _F8 = np.dtype("<i4"), np.dtype("<i8"), np.dtype("<f8")


class _Columns(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    b: str
    g: msgspec.Raw
    n: bytes
    t: bytes
    v: bytes
    q: bytes | None = None
    s: int | None = None


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(_Columns)
_TAGS = msgspec.msgpack.Decoder(list[str])
KEPT_TAGS, KEPT_TAGS_BYTES = 8_192, 1_024
"""Lists of tags of batches that are remembered once they were checked, the newest, and how long they may be: feeds post the same series again and again."""


class _RefusedError(Exception):
    def __init__(self, code: str, detail: str) -> None:
        self.code = code
        super().__init__(detail)


def kind_of(payload: Payload) -> Kind | LotKind:
    """Return the kind of a payload."""
    return _KIND_OF[type(payload)]


def key_of(record: LogRecord) -> bytes | None:
    """Return the key of a record: the facility id, nothing for what belongs to a partition."""
    return record.facility.encode() if record.facility else None


@lru_cache(maxsize=65_536)
def lot_key(lot: str) -> str:
    """Return the key of a lot in Kafka: any text can be the name of a lot, a key is of the form of a facility's id.

    >>> lot_key("批号 26/01")
    'LOT-IILRW35XC2BLMBQD3A2XXANEPM'
    """
    digest = hashlib.sha256(lot.encode()).digest()[:16]
    return "LOT-" + base64.b32encode(digest).decode().rstrip("=")


def owner_of(change: Change) -> str:
    """Return whose state a change comes of: the key of its facility, or of its lot or product, in the log and in the topics of state."""
    kind, found, name = change.stream.partition(":")
    if found and kind in {"lot", "product"}:
        return lot_key(name if kind == "lot" else f"{PRODUCT}{name}")
    return change.facility


@lru_cache(maxsize=65_536)
def home_of(facility: str, partitions: int) -> int:
    """Return the partition of a facility: what Kafka's default partitioner makes of its key."""
    return int((murmur2(facility.encode()) & 0x7FFFFFFF) % partitions)


def placed(record: LogRecord | Rejected, partitions: int, value: bytes | None = None) -> LogRecord | Rejected:
    """Return the record, or `misplaced` where its key belongs into another partition: nothing we run writes it there.

    Folded, it would make a second, empty state of its facility, with a sequence of its own.
    """
    if not record.facility or isinstance(record, Rejected):
        return record
    home = home_of(record.facility, partitions)
    if record.partition == home:
        return record
    detail = f"a record of {record.facility} belongs into partition {home}"
    place = (record.partition, record.offset, record.received, record.facility)
    return Rejected(*place, "misplaced", detail, (value or b"")[:SAMPLE_BYTES])


def encode(payload: Payload) -> tuple[Headers, bytes]:
    """Return headers and value of a record."""
    headers = [("kind", kind_of(payload).value.encode()), ("v", _VERSION)]
    if isinstance(payload, Readings):
        return headers, _ENCODER.encode(
            _Columns(
                b=payload.batch,
                g=msgspec.Raw(_ENCODER.encode(payload.tags)),
                n=payload.counts.astype("<i4", copy=False).tobytes(),
                t=payload.time.astype("<i8", copy=False).tobytes(),
                v=payload.value.astype("<f8", copy=False).tobytes(),
                q=payload.quality.tobytes() if payload.quality.any() else None,
                s=payload.seq,
            )
        )
    value = json.dumps(json_value(payload), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return headers, value.encode()


def json_value(payload: Payload) -> dict[str, Any]:
    """Return the JSON value of any payload but readings: members in the model's order, absent ones left out."""
    if isinstance(payload, Readings):
        raise TypeError("readings are spelled by rules.posts.posted_value")
    return payload.model_dump(mode="json", by_alias=True, exclude_none=True)


def decode(
    partition: int,
    offset: int,
    timestamp_ms: int,
    key: bytes | None,
    headers: Sequence[tuple[str, bytes | None]] | None,
    value: bytes | None,
    *,
    of_lots: bool = False,
) -> LogRecord | Rejected:
    """Return the record, or what is wrong with it; never raises, whatever stands in the log.

    `timestamp_ms` is the broker's append time. In the topic of lots (`of_lots`) facts, packs and ticks stand, in the log all but
    facts.
    """
    try:
        return _decode(partition, offset, timestamp_ms, key, headers, value, _LOT_KINDS if of_lots else _KINDS)
    except _RefusedError as error:
        code, detail = error.code, str(error)
    except ValidationError as error:
        faults = model_faults(error)
        code, detail = "contract", "; ".join(map(str, faults.listed[:20]))
    except Exception as error:  # noqa: BLE001 - nothing that stands in the log may stop the stream; it is kept and shown
        code, detail = "undecodable", f"{type(error).__name__}: {error}"
    facility = _text(key)
    return Rejected(
        partition=partition,
        offset=offset,
        received=timestamp_ms,
        facility=facility if is_facility_id(facility) else "",
        code=code,
        detail=printable(detail, 1000),
        sample=(value or b"")[:SAMPLE_BYTES],
    )


def _decode(
    partition: int,
    offset: int,
    received: int,
    key: bytes | None,
    headers: Sequence[tuple[str, bytes | None]] | None,
    value: bytes | None,
    kinds: Mapping[bytes, Kind | LotKind],
) -> LogRecord:
    named = dict(headers or ())
    version, label = named.get("v"), named.get("kind")
    if version != _VERSION:
        raise _RefusedError("schema_version", f"schema version {_text(version)!r} is not known here")
    kind = None if label is None else kinds.get(label)
    if kind is None:
        raise _RefusedError("unknown_kind", f"kind {_text(label)!r} is not known here")
    facility = "" if kind in SHARED else (key or b"").decode("latin-1")
    if kind not in SHARED and not is_facility_id(facility):
        raise _RefusedError("bad_key", f"the key {_text(key)!r} is not a facility id")
    if not EARLIEST_MS <= received <= LATEST_MS:
        raise _RefusedError("bad_timestamp", "the append time lies outside 1970 to 2100")
    if value is None:
        raise _RefusedError("no_value", "the record has no value")
    if len(value) > MAX_VALUE_BYTES:
        raise _RefusedError("too_large", f"{len(value)} bytes; at most {MAX_VALUE_BYTES}")
    payload = _columns(value) if kind is Kind.READINGS else _document(kind, value)
    if isinstance(payload, RegisterRecord) and payload.facility.id != facility:
        raise _RefusedError("bad_key", f"the key is {facility}, the record registers {payload.facility.id}")
    if isinstance(payload, LotFact) and lot_key(payload.lot) != facility:
        raise _RefusedError("bad_key", f"the key is {facility}, the fact is of {lot_key(payload.lot)}")
    return LogRecord(partition, offset, received, kind, facility, payload)


def _document(kind: Kind | LotKind, value: bytes) -> Payload:
    if too_deep(value, MAX_DEPTH):
        raise _RefusedError("too_deep", f"nested deeper than {MAX_DEPTH}")
    payload: Any = (LotFact if isinstance(kind, LotKind) else MODELS[kind]).model_validate_json(value)
    if isinstance(payload, PacksRecord):
        _packs(payload)
    elif isinstance(payload, StateRecord):
        _state(payload)
    return payload  # type: ignore[no-any-return]  # the table maps each kind to its model


def _packs(packs: PacksRecord) -> None:
    """Refuse a bundle that is not what its hash says; packs of another engine semantics are the fold's to refuse.

    Here and not in the fold, so that a dump leaves out what the live worker rejects.
    """
    if packs.semantics != SEMANTICS:
        return
    try:
        Bundle.from_record(packs)
    except BadInputError as error:
        raise _RefusedError("bad_packs", "; ".join(str(fault) for fault in error.faults)) from None


def _state(state: StateRecord) -> None:
    """Refuse a snapshot that its checksum does not fit, for the same reason."""
    try:
        snapshot = base64.b64decode(state.snapshot, validate=True)
    except ValueError as error:
        raise _RefusedError("bad_state", str(error)) from None
    if hashlib.sha256(snapshot).hexdigest() != state.checksum:
        raise _RefusedError("bad_state", "the checksum of the snapshot does not fit")


def _checked(raw: bytes) -> tuple[tuple[str, ...], bool]:
    """Return the tags of a batch, and whether each is one and none stands twice."""
    tags = tuple(map(sys.intern, _TAGS.decode(raw)))
    return tags, are_tags(tags) and len(set(tags)) == len(tags)


_remembered = lru_cache(maxsize=KEPT_TAGS)(_checked)


def _columns(value: bytes) -> Readings:
    columns = _DECODER.decode(value)
    raw = bytes(columns.g)
    tags, are_sound = (_remembered if len(raw) <= KEPT_TAGS_BYTES else _checked)(raw)
    rows = len(columns.t) // 8
    if not 1 <= len(tags) <= MAX_SERIES or not 1 <= rows <= MAX_READINGS:
        raise _RefusedError("columns", f"{len(tags)} series, {rows} readings: none, or too many")
    sizes = (len(columns.n), len(columns.t), len(columns.v), rows if columns.q is None else len(columns.q))
    if sizes != (4 * len(tags), 8 * rows, 8 * rows, rows):
        raise _RefusedError("columns", "the columns do not have one entry per reading")
    # A bytearray per column: writable and aligned, as the kernels are compiled for.
    counts = np.frombuffer(bytearray(columns.n), _I4)
    time = np.frombuffer(bytearray(columns.t), _I8)
    number = np.frombuffer(bytearray(columns.v), _F8)
    quality = np.zeros(rows, np.uint8) if columns.q is None else np.frombuffer(bytearray(columns.q), np.uint8)
    per_tag = counts.tolist()
    if min(per_tag) < 1 or sum(per_tag) != rows:
        raise _RefusedError("columns", "the counts do not add up to the readings")
    if not (is_identifier(columns.b) and are_sound):
        raise _RefusedError("contract", "the batch id or a tag is not of its form, or a tag stands twice")
    if columns.s is not None and not 0 <= columns.s <= MAX_SEQ:
        raise _RefusedError("contract", f"seq lies outside 0 to {MAX_SEQ}")
    # As unsigned a negative time is huge: one pass finds both ends.
    if time.view(np.uint64).max() > LATEST_MS or (columns.q is not None and quality.max() > _MAX_QUALITY):
        raise _RefusedError("contract", "a time or a quality is out of its range")
    if not np.isfinite(number).all() and (np.isinf(number).any() or (np.isnan(number) & (quality == 0)).any()):
        raise _RefusedError("contract", "a value is infinite, or null with good quality")
    return Readings(columns.b, tags, counts, time, number, quality, columns.s)


def _text(raw: bytes | None) -> str:
    return printable((raw or b"")[:64].decode("ascii", "backslashreplace"))
