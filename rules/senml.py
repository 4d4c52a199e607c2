"""SenML+JSON (RFC 8428) as readings: base name, time and unit are resolved, names are tags, seconds become milliseconds.

A reading's unit is the registered one of its tag; a pack may name it, and nothing is ever converted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rules.faults import FaultCode, FaultList, printable
from rules.instants import EARLIEST_MS, LATEST_MS
from rules.jsontext import is_finite, read_json
from rules.models import is_identifier, is_tag
from rules.records import MAX_READINGS, MAX_SERIES, Readings

if TYPE_CHECKING:
    from collections.abc import Mapping

WHAT = "SenML readings"
VERSION = 10
_UNIT_SHOWN = 32
"""Characters of a foreign unit that a fault repeats."""
_RELATIVE_S = 1 << 28
"""RFC 8428 §4.5.3: a time below it is relative to now, which only a clock of the sender could say."""
_NUMBERS = ("bt", "t", "v")
_TEXTS = ("bn", "n", "bu", "u")
_KNOWN = {"bver", *_NUMBERS, *_TEXTS}
_REASONS = {
    "bv": "send whole values",
    "vs": "only numbers are readings",
    "vb": "only numbers are readings",
    "vd": "only numbers are readings",
}


def read_senml(body: bytes, batch: str, units: Mapping[str, str]) -> Readings:
    """Return the readings of a SenML pack.

    The rows of a name form one series in the order sent; every quality is good. A unit that a record names, itself or by
    the base unit before it, is the registered one; of a tag that is not registered it says nothing, as its readings are
    kept and not judged (contracts.md §1).

    Args:
        body: the pack, as JSON.
        batch: the idempotency key of the request.
        units: tag -> unit of every tag that the facility has registered.

    Raises:
        PostRefusedError: with every fault; pointers lead into the pack, `/batch` stands for the idempotency key.
    """
    pack = read_json(body, WHAT)
    faults = FaultList()
    if not is_identifier(batch):
        faults.add(FaultCode.BAD_ID, "Idempotency-Key: 1 to 128 printable ASCII characters without spaces", "batch")
    if not isinstance(pack, list):
        faults.add(FaultCode.WRONG_TYPE, "a list of records")
    elif not pack:
        faults.add(FaultCode.EMPTY, "at least one record")
    elif len(pack) > MAX_READINGS:
        faults.add(FaultCode.TOO_MANY_READINGS, f"{len(pack)}; at most {MAX_READINGS}")
    faults.refuse(WHAT)
    rows: dict[str, tuple[list[int], list[float]]] = {}
    base_name, base_time = "", 0.0
    named = _Units(units, faults)
    for i, record in enumerate(pack):
        if not isinstance(record, dict):
            faults.add(FaultCode.WRONG_TYPE, "an object", i)
            continue
        _check_members(record, i, faults)
        if isinstance(record.get("bn"), str):
            base_name = record["bn"]
        if _is_number(record.get("bt")):
            base_time = float(record["bt"])
        tag = _tag(base_name, record, i, faults)
        named.check(tag, record, i)
        time = _time(base_time, record, i, faults)
        if tag is not None and time is not None and _is_number(record.get("v")):
            times, values = rows.setdefault(tag, ([], []))
            times.append(time)
            values.append(float(record["v"]))
    if len(rows) > MAX_SERIES:
        faults.add(FaultCode.TOO_MANY_SERIES, f"{len(rows)} names; at most {MAX_SERIES}")
    faults.refuse(WHAT)
    counts = [len(times) for times, _ in rows.values()]
    return Readings(
        batch=batch,
        tags=tuple(rows),
        counts=np.array(counts, np.int32),
        time=np.array([time for times, _ in rows.values() for time in times], np.int64),
        value=np.array([value for _, values in rows.values() for value in values], np.float64),
        quality=np.zeros(sum(counts), np.uint8),
    )


def _check_members(record: dict[str, Any], i: int, faults: FaultList) -> None:
    for name in record:
        if name not in _KNOWN:
            faults.add(FaultCode.UNSUPPORTED_MEMBER, _REASONS.get(name, f"one of {' '.join(sorted(_KNOWN))}"), i, name)
    if "v" not in record:
        faults.add(FaultCode.MISSING, "a record holds one value", i, "v")
    for name in _NUMBERS:
        if name not in record or _is_number(record[name]):
            continue
        if type(record[name]) in {int, float}:
            faults.add(FaultCode.NOT_FINITE, "a finite number", i, name)
        else:
            faults.add(FaultCode.WRONG_TYPE, "a number", i, name)
    for name in _TEXTS:
        if name in record and not isinstance(record[name], str):
            faults.add(FaultCode.WRONG_TYPE, "a text", i, name)
    if "bver" in record and (type(record["bver"]) is not int or record["bver"] != VERSION):
        faults.add(FaultCode.UNKNOWN_VALUE, f"version {VERSION}", i, "bver")


class _Units:
    """Compares the unit of each record with the registered one; a base unit holds until the next."""

    def __init__(self, registered: Mapping[str, str], faults: FaultList) -> None:
        self._registered, self._faults = registered, faults
        self._base: tuple[str, int] | None = None
        """The base unit, and the record that named it."""
        self._told: set[tuple[int, str]] = set()

    def check(self, tag: str | None, record: dict[str, Any], i: int) -> None:
        """Take a record's base unit, and add a fault where the unit of its reading is not that of its tag."""
        if isinstance(record.get("bu"), str):
            self._base = (record["bu"], i)
        registered = None if tag is None else self._registered.get(tag)
        if tag is None or registered is None:
            return
        if "u" in record:
            if isinstance(record["u"], str) and record["u"] != registered:
                self._add(record["u"], registered, tag, i, "u")
        elif self._base is not None and self._base[0] != registered and (self._base[1], tag) not in self._told:
            self._told.add((self._base[1], tag))  # once for a base unit and a tag: the place is the same
            self._add(self._base[0], registered, tag, self._base[1], "bu")

    def _add(self, unit: str, registered: str, tag: str, i: int, name: str) -> None:
        self._faults.add(
            FaultCode.WRONG_UNIT, f"{printable(unit, _UNIT_SHOWN)!r}; {tag} is registered in {registered!r}", i, name
        )


def _is_number(value: Any) -> bool:  # noqa: ANN401 - any JSON value
    return type(value) in {int, float} and is_finite(value)


def _tag(base: str, record: dict[str, Any], i: int, faults: FaultList) -> str | None:
    name = record.get("n", "")
    if not isinstance(name, str) or not isinstance(record.get("bn", ""), str):
        return None
    tag = base + name
    if is_tag(tag):
        return tag
    faults.add(FaultCode.BAD_TAG, "base name and name together: 1 to 64 of A-Z a-z 0-9 . _ / -", i, "n")
    return None


def _time(base: float, record: dict[str, Any], i: int, faults: FaultList) -> int | None:
    own = record.get("t", 0)
    if not _is_number(own) or not _is_number(record.get("bt", 0)):
        return None
    seconds = base + float(own)
    if seconds < _RELATIVE_S:
        faults.add(FaultCode.TIME_OUT_OF_RANGE, "relative to now; send seconds since the epoch", i, "t")
    elif not EARLIEST_MS <= seconds * 1000 <= LATEST_MS:
        faults.add(FaultCode.TIME_OUT_OF_RANGE, "seconds, 1970 to 2100", i, "t")
    else:
        return round(seconds * 1000)
    return None
