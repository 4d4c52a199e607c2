"""The log as JSON lines (contracts.md §3): one record a line, values loss-free against Kafka.

A file of any length is read in bounded memory; every bad line is named, not only the first.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, BinaryIO

import msgspec
from pydantic import ValidationError

from rules.errors import BadInputError, Fault
from rules.faults import MAX_FAULTS, FaultCode, FaultList, PostRefusedError, model_faults, refusal
from rules.instants import format_instant, parse_instant
from rules.jsontext import read_json
from rules.models import is_facility_id
from rules.posts import posted_value, read_readings, readings_of_value
from rules.readingfaults import readings_faults
from rules.records import MAX_DEPTH, MODELS, Kind, LogRecord, Payload, Readings, RegisterRecord
from streams.codec import SHARED, json_value

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAX_LINE_BYTES = 64 * 1024 * 1024
"""A state line carries a whole facility; nothing else comes near."""
_MAX_PARTITION = (1 << 31) - 1
_MAX_OFFSET = (1 << 63) - 1
_MEMBERS = ("partition", "offset", "received", "kind", "facility", "data")


class LineCode(StrEnum):
    """What can be wrong with a line besides what can be wrong with anything posted."""

    TOO_LONG = "too_long"
    OFFSET_ORDER = "offset_order"
    FACILITY_MOVED = "facility_moved"
    BAD_FACILITY = "bad_facility"
    BAD_INSTANT = "bad_instant"


class _Line(msgspec.Struct, forbid_unknown_fields=True):
    partition: int
    offset: int
    received: str
    kind: Kind
    facility: str
    data: msgspec.Raw


_LINE = msgspec.json.Decoder(_Line)


def format_line(record: LogRecord) -> bytes:
    """Return the line of a record, without its end; members as contracts.md §3 prints them."""
    line: dict[str, Any] = {
        "partition": record.partition,
        "offset": record.offset,
        "received": format_instant(record.received),
        "kind": record.kind.value,
        "facility": record.facility,
    }
    if isinstance(record.payload, Readings):
        return msgspec.json.encode({**line, "data": posted_value(record.payload)})
    line["data"] = json_value(record.payload)
    return json.dumps(line, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def parse_line(raw: bytes) -> LogRecord:
    """Return the record of one line.

    Raises:
        PostRefusedError: with every fault of the line.
    """
    if len(raw.rstrip(b"\r\n")) > MAX_LINE_BYTES:
        raise refusal("line", LineCode.TOO_LONG, f"more than {MAX_LINE_BYTES} bytes")
    record = _typed(raw)
    return _named(raw) if record is None else record


def read_lines(lines: Iterable[bytes | str], name: str = "log") -> Iterator[LogRecord]:
    """Yield the records of JSON lines in order, up to the first bad line; empty lines are passed over.

    The rest is still read to find every fault. Whoever must not act on half a log holds its effects back until the end.

    Raises:
        BadInputError: at the end, with the faults of all lines as `name:line/pointer` (the first 500, and how many more).
    """
    order = _Order()
    found: list[Fault] = []
    more = 0
    for number, line in enumerate(lines, 1):
        raw = line.encode("utf-8", "surrogatepass") if isinstance(line, str) else line
        if not raw.strip() and len(raw) <= MAX_LINE_BYTES:
            continue
        try:
            record = parse_line(raw)
            order.check(record)
        except PostRefusedError as error:
            room = max(0, MAX_FAULTS - len(found))
            found += [
                Fault(f"{name}:{number}{fault.pointer}", fault.code, fault.detail) for fault in error.faults[:room]
            ]
            more += sum(error.counts.values()) - min(room, len(error.faults))
        else:
            if not found:
                yield record
    if more:
        found.append(Fault(name, "more", f"{more} more faults are not listed"))
    if found:
        raise BadInputError(name, found)


def split_lines(source: BinaryIO) -> Iterator[bytes]:
    """Yield the lines of a file; one that is too long is cut to a byte more than is allowed, its rest is passed over."""
    while line := source.readline(MAX_LINE_BYTES + 1):
        yield line
        while len(line) > MAX_LINE_BYTES and not line.endswith(b"\n"):
            line = source.readline(MAX_LINE_BYTES + 1)


@dataclass(slots=True)
class _Order:
    """What no line can say alone: offsets rise within a partition, and a facility stays in its partition."""

    offsets: dict[int, int] = field(default_factory=dict)
    homes: dict[str, int] = field(default_factory=dict)

    def check(self, record: LogRecord) -> None:
        faults = FaultList()
        newest = self.offsets.get(record.partition, -1)
        # A cut begins with state lines that stand at the offset their facility had reached.
        if record.kind is not Kind.STATE:
            if record.offset <= newest:
                faults.add(LineCode.OFFSET_ORDER, f"not above {newest}, the offset before it", "offset")
            self.offsets[record.partition] = max(newest, record.offset)
        home = self.homes.setdefault(record.facility, record.partition) if record.facility else record.partition
        if home != record.partition:
            faults.add(LineCode.FACILITY_MOVED, f"{record.facility} stands in partition {home}", "partition")
        faults.refuse("line")


def _typed(raw: bytes) -> LogRecord | None:
    """Return the record if nothing is wrong, else None: `_named` says what."""
    try:
        line = _LINE.decode(raw)
        if not _places_fit(line.partition, line.offset) or not _facility_fits(line.kind, line.facility):
            return None
        body = bytes(line.data)
        payload = read_readings(body) if line.kind is Kind.READINGS else _document(line.kind, read_json(body, "line"))
        if not _same_facility(payload, line.facility):
            return None
        return LogRecord(line.partition, line.offset, parse_instant(line.received), line.kind, line.facility, payload)
    except (msgspec.MsgspecError, PostRefusedError, ValidationError, ValueError, RecursionError):
        return None


def _named(raw: bytes) -> LogRecord:
    value = read_json(raw, "line", depth=MAX_DEPTH + 1)
    faults = FaultList()
    if not isinstance(value, dict):
        faults.add(FaultCode.WRONG_TYPE, "a line holds one object")
        faults.refuse("line")
    for name in _MEMBERS:
        if name not in value:
            faults.add(FaultCode.MISSING, "this member is needed", name)
    for name in value:
        if name not in _MEMBERS:
            faults.add(FaultCode.UNKNOWN_MEMBER, f"one of {' '.join(_MEMBERS)}", name)
    for name, most in (("partition", _MAX_PARTITION), ("offset", _MAX_OFFSET)):
        if name in value and (type(value[name]) is not int or not 0 <= value[name] <= most):
            faults.add(FaultCode.OUT_OF_RANGE, f"a whole number, 0 to {most}", name)
    received = _received(value, faults)
    kind, payload = _content(value, faults)
    faults.refuse("line")
    assert kind is not None and payload is not None  # noqa: S101, PT018 - else there is a fault
    return LogRecord(value["partition"], value["offset"], received, kind, value["facility"], payload)


def _received(value: dict[str, Any], faults: FaultList) -> int:
    if "received" not in value:
        return 0
    try:
        return parse_instant(value["received"])
    except (ValueError, TypeError) as error:
        faults.add(LineCode.BAD_INSTANT, str(error) if isinstance(error, ValueError) else "a text", "received")
        return 0


def _content(value: dict[str, Any], faults: FaultList) -> tuple[Kind | None, Payload | None]:
    """Return kind and payload; None where faults were added."""
    label, facility = value.get("kind"), value.get("facility")
    if not isinstance(label, str) or label not in set(Kind):
        if "kind" in value:
            faults.add(FaultCode.UNKNOWN_VALUE, f"one of {' '.join(Kind)}", "kind")
        return None, None
    kind = Kind(label)
    if "facility" in value and not (isinstance(facility, str) and _facility_fits(kind, facility)):
        faults.add(LineCode.BAD_FACILITY, "a facility id; empty for tick and packs", "facility")
    if "data" not in value:
        return kind, None
    data = value["data"]
    if kind is Kind.READINGS:
        inner = readings_faults(data)
        if inner:
            faults.extend(inner, "data")
            return kind, None
        return kind, readings_of_value(data)
    try:
        payload = _document(kind, data)
    except ValidationError as error:
        faults.extend(model_faults(error), "data")
        return kind, None
    if isinstance(facility, str) and not _same_facility(payload, facility):
        faults.add(LineCode.BAD_FACILITY, f"the record is of {facility}, its data of another", "data", "facility", "id")
    return kind, payload


def _document(kind: Kind, value: Any) -> Payload:  # noqa: ANN401 - any JSON value
    payload: Any = MODELS[kind].model_validate(value)
    return payload  # type: ignore[no-any-return]  # the table maps each kind to its model


def _places_fit(partition: int, offset: int) -> bool:
    return 0 <= partition <= _MAX_PARTITION and 0 <= offset <= _MAX_OFFSET


def _facility_fits(kind: Kind, facility: str) -> bool:
    return not facility if kind in SHARED else is_facility_id(facility)


def _same_facility(payload: Payload, facility: str) -> bool:
    return not isinstance(payload, RegisterRecord) or payload.facility.id == facility
