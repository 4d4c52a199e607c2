"""How a record is spelled in Kafka: readings as binary columns, all else as JSON; foreign bytes become `Rejected`."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from pydantic import ValidationError

from rules.instants import EARLIEST_MS, LATEST_MS, format_instant
from rules.models import faults_of
from rules.posts import json_depth, post_of
from rules.records import (
    MAX_DEPTH,
    MAX_READINGS,
    MAX_SERIES,
    MODELS,
    QUALITY_NAMES,
    Kind,
    LogRecord,
    Payload,
    Readings,
    Rejected,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SCHEMA_VERSION = 1
SAMPLE_BYTES = 4096
MAX_VALUE_BYTES = 8 * 1024 * 1024
_FACILITY = re.compile(r"^[A-Z0-9][A-Z0-9-]{1,31}$")
_TAG = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,63}$")
_IDENTIFIER = re.compile(r"^[\x21-\x7e]{1,128}$")
SHARED = frozenset({Kind.TICK, Kind.PACKS})
"""Kinds that belong to a partition and have no facility."""

Headers = list[tuple[str, bytes]]


class _Columns(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Readings as they stand in Kafka: little-endian arrays in a msgpack map."""

    b: str
    g: list[str]
    n: bytes
    t: bytes
    v: bytes
    q: bytes | None = None
    s: int | None = None


_DECODER = msgspec.msgpack.Decoder(_Columns)


class _RefusedError(Exception):
    """The bytes are not a record; `code` is stable."""

    def __init__(self, code: str, detail: str) -> None:
        self.code = code
        super().__init__(detail)


def kind_of(payload: Payload) -> Kind:
    """Return the kind of a payload."""
    if isinstance(payload, Readings):
        return Kind.READINGS
    return next(kind for kind, model in MODELS.items() if type(payload) is model)


def encode(payload: Payload) -> tuple[Headers, bytes]:
    """Return headers and value of a record for Kafka."""
    headers = [("kind", kind_of(payload).value.encode()), ("v", str(SCHEMA_VERSION).encode())]
    if isinstance(payload, Readings):
        columns = _Columns(
            b=payload.batch,
            g=list(payload.tags),
            n=payload.counts.astype("<i4").tobytes(),
            t=payload.time.astype("<i8").tobytes(),
            v=payload.value.astype("<f8").tobytes(),
            q=payload.quality.tobytes() if payload.quality.any() else None,
            s=payload.seq,
        )
        return headers, msgspec.msgpack.encode(columns)
    return headers, payload.model_dump_json(by_alias=True, exclude_none=True).encode()


def decode(
    partition: int,
    offset: int,
    timestamp_ms: int,
    key: bytes | None,
    headers: Sequence[tuple[str, bytes]],
    value: bytes | None,
) -> LogRecord | Rejected:
    """Return the record, or what is wrong with it; never raises, whatever stands in the log."""
    name = ""
    try:
        name = (key or b"").decode("ascii", "replace")
        return _decode(partition, offset, timestamp_ms, name, dict(headers), value or b"")
    except _RefusedError as error:
        code, detail = error.code, str(error)
    except ValidationError as error:
        code, detail = "contract", "; ".join(str(fault) for fault in faults_of(error)[:20])
    except (ValueError, TypeError, OverflowError, RecursionError, msgspec.MsgspecError) as error:
        code, detail = "undecodable", f"{type(error).__name__}: {error}"
    return Rejected(partition, offset, timestamp_ms, name[:64], code, detail[:1000], (value or b"")[:SAMPLE_BYTES])


def _decode(
    partition: int, offset: int, received: int, name: str, headers: Mapping[str, bytes], value: bytes
) -> LogRecord:
    version = headers.get("v", b"").decode("ascii", "replace")
    if version != str(SCHEMA_VERSION):
        raise _RefusedError("schema_version", f"schema version {version[:16]!r} is not known here")
    label = headers.get("kind", b"").decode("ascii", "replace")
    if label not in set(Kind):
        raise _RefusedError("unknown_kind", f"kind {label[:32]!r} is not known here")
    kind = Kind(label)
    if kind not in SHARED and not _FACILITY.match(name):
        raise _RefusedError("bad_key", "the key is not a facility id")
    if len(value) > MAX_VALUE_BYTES:
        raise _RefusedError("too_large", f"more than {MAX_VALUE_BYTES} bytes")
    if not EARLIEST_MS <= received <= LATEST_MS:
        raise _RefusedError("bad_timestamp", "the append time lies outside 1970 to 2100")
    payload = _readings(value) if kind is Kind.READINGS else _document(kind, value)
    return LogRecord(partition, offset, received, kind, "" if kind in SHARED else name, payload)


def _document(kind: Kind, value: bytes) -> Payload:
    if kind is not Kind.PACKS and json_depth(value[: 1 << 20], MAX_DEPTH + 4):
        raise _RefusedError("too_deep", "nested too deeply")
    payload: Any = MODELS[kind].model_validate_json(value)
    return payload  # type: ignore[no-any-return]  # the table maps each kind to its model


def _readings(value: bytes) -> Readings:
    columns = _DECODER.decode(value)
    if len(columns.n) % 4 or len(columns.t) % 8 or len(columns.v) != len(columns.t):
        raise _RefusedError("columns", "the columns' lengths do not fit")
    counts = np.frombuffer(columns.n, "<i4")
    time = np.frombuffer(columns.t, "<i8")
    number = np.frombuffer(columns.v, "<f8")
    quality = np.zeros(time.size, np.uint8) if columns.q is None else np.frombuffer(columns.q, np.uint8)
    tags = tuple(columns.g)
    if not 1 <= len(tags) <= MAX_SERIES or time.size > MAX_READINGS:
        raise _RefusedError("columns", "too many series or readings, or none")
    if counts.size != len(tags) or quality.size != time.size or (counts < 1).any() or int(counts.sum()) != time.size:
        raise _RefusedError("columns", "the counts do not fit the columns")
    if len(set(tags)) != len(tags) or not all(_TAG.match(tag) for tag in tags) or not _IDENTIFIER.match(columns.b):
        raise _RefusedError("contract", "a tag or the batch id is not of its form, or a tag stands twice")
    if (time < EARLIEST_MS).any() or (time > LATEST_MS).any() or (quality >= len(QUALITY_NAMES)).any():
        raise _RefusedError("contract", "a time or a quality is out of its range")
    if np.isinf(number).any() or (np.isnan(number) & (quality == 0)).any():
        raise _RefusedError("contract", "a value is not finite, or null with good quality")
    if columns.s is not None and columns.s < 0:
        raise _RefusedError("contract", "seq is negative")
    return Readings(columns.b, tags, counts, time, number, quality, columns.s)


def to_json(record: LogRecord) -> dict[str, Any]:
    """Return the JSON value of a record as contracts.md §3 prints it."""
    payload = record.payload
    body = (
        post_of(payload)
        if isinstance(payload, Readings)
        else json.loads(payload.model_dump_json(by_alias=True, exclude_none=True))
    )
    return {
        "partition": record.partition,
        "offset": record.offset,
        "received": format_instant(record.received),
        "kind": record.kind.value,
        "facility": record.facility,
        "data": body,
    }
