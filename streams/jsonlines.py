"""The log as JSON lines (contracts.md §3): one record a line, values loss-free against Kafka."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from rules.errors import BadInputError, Fault
from rules.instants import parse_instant
from rules.models import faults_of
from rules.posts import parse_readings
from rules.records import MODELS, Kind, LogRecord, Payload
from streams.codec import SHARED, to_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAX_LINE_BYTES = 16 * 1024 * 1024
MAX_FAULTS = 500
_MEMBERS = ("partition", "offset", "received", "kind", "facility", "data")


def format_line(record: LogRecord) -> str:
    """Return the line of a record, without its end."""
    return json.dumps(to_json(record), ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def read_lines(lines: Iterable[str | bytes], name: str = "log") -> Iterator[LogRecord]:
    """Yield the records of JSON lines, in order; empty lines are passed over.

    Raises:
        BadInputError: after the last line, with every fault of every line (at most 500). Consumers that must not act on
            half a log collect first.
    """
    faults: list[Fault] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        parsed = _parse(line, f"{name}:{number}")
        if isinstance(parsed, LogRecord):
            if not faults:
                yield parsed
        else:
            faults.extend(parsed)
        if len(faults) >= MAX_FAULTS:
            break
    if faults:
        raise BadInputError(name, faults)


def _parse(line: str | bytes, where: str) -> LogRecord | list[Fault]:
    if len(line) > MAX_LINE_BYTES:
        return [Fault(where, "too_large", f"a line holds at most {MAX_LINE_BYTES} bytes")]
    try:
        value = json.loads(line, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        return [Fault(where, "not_json", str(error))]
    if not isinstance(value, dict):
        return [Fault(where, "wrong_type", "a line holds one JSON object")]
    faults = [Fault(f"{where}/{name}", "missing", "this member is needed") for name in _MEMBERS if name not in value]
    faults += [
        Fault(f"{where}/{name}", "unknown_member", "not in the contract") for name in value if name not in _MEMBERS
    ]
    faults += [
        Fault(f"{where}/{name}", "wrong_type", "a whole number, 0 or more")
        for name in ("partition", "offset")
        if name in value and (type(value[name]) is not int or value[name] < 0)
    ]
    if faults:
        return faults
    return _record(value, where)


def _record(value: dict[str, Any], where: str) -> LogRecord | list[Fault]:
    faults: list[Fault] = []
    received = 0
    try:
        received = parse_instant(value["received"])
    except (ValueError, TypeError) as error:
        faults.append(Fault(f"{where}/received", "instant", str(error)))
    if value["kind"] not in set(Kind):
        return [*faults, Fault(f"{where}/kind", "unknown_kind", f"one of {' '.join(Kind)}")]
    kind = Kind(value["kind"])
    facility = value["facility"]
    if not isinstance(facility, str) or (facility == "") != (kind in SHARED):
        faults.append(Fault(f"{where}/facility", "facility", "a facility id; empty for tick and packs"))
    payload: Payload
    if kind is Kind.READINGS:
        parsed = parse_readings(value["data"])
        if isinstance(parsed, list):
            return [*faults, *(Fault(f"{where}/data{f.pointer}", f.code, f.detail) for f in parsed)]
        payload = parsed
    else:
        try:
            model: Any = MODELS[kind].model_validate(value["data"])
        except ValidationError as error:
            return [*faults, *faults_of(error, f"{where}/data")]
        payload = model
    if faults:
        return faults
    return LogRecord(value["partition"], value["offset"], received, kind, facility, payload)


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")
