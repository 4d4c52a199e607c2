"""Every fault of posted readings at once, each with a JSON pointer and a code of the closed list (contracts.md §1)."""

from __future__ import annotations

from typing import Any

from rules.faults import FaultCode, FaultList
from rules.instants import EARLIEST_MS, LATEST_MS
from rules.jsontext import is_finite
from rules.models import is_identifier, is_tag
from rules.records import MAX_READINGS, MAX_SERIES, QUALITY_NAMES

MAX_SEQ = (1 << 53) - 1
"""Whole numbers above it do not survive every JSON reader (RFC 7493)."""


def readings_faults(value: Any) -> FaultList:  # noqa: ANN401 - any JSON value
    """Return every fault of a decoded JSON value as readings.

    A post with too many series or readings is not looked at row by row: that bounds the work.
    """
    faults = FaultList()
    if not isinstance(value, dict):
        faults.add(FaultCode.WRONG_TYPE, "an object")
        return faults
    _members(value, {"batch": True, "seq": False, "series": True}, faults)
    if "batch" in value and not (isinstance(value["batch"], str) and is_identifier(value["batch"])):
        faults.add(FaultCode.BAD_ID, "1 to 128 printable ASCII characters without spaces", "batch")
    seq = value.get("seq")
    if seq is not None and type(seq) is not int:
        faults.add(FaultCode.WRONG_TYPE, "a whole number", "seq")
    elif seq is not None and not 0 <= seq <= MAX_SEQ:
        faults.add(FaultCode.OUT_OF_RANGE, f"0 to {MAX_SEQ}", "seq")
    series = value.get("series")
    if isinstance(series, list):
        _all_series(series, faults)
    elif "series" in value:
        faults.add(FaultCode.WRONG_TYPE, "a list of series", "series")
    return faults


def _all_series(series: list[Any], faults: FaultList) -> None:
    rows = [_longest(entry) for entry in series]
    if not series:
        faults.add(FaultCode.EMPTY, "at least one series", "series")
    if len(series) > MAX_SERIES:
        faults.add(FaultCode.TOO_MANY_SERIES, f"{len(series)}; at most {MAX_SERIES}", "series")
    if sum(rows) > MAX_READINGS:
        faults.add(FaultCode.TOO_MANY_READINGS, f"{sum(rows)}; at most {MAX_READINGS}", "series")
    if len(series) > MAX_SERIES or sum(rows) > MAX_READINGS:
        return
    seen: set[str] = set()
    for i, entry in enumerate(series):
        if not isinstance(entry, dict):
            faults.add(FaultCode.WRONG_TYPE, "an object", "series", i)
            continue
        _members(entry, {"tag": True, "time": True, "value": True, "quality": False}, faults, "series", i)
        tag = entry.get("tag")
        if isinstance(tag, str) and is_tag(tag):
            if tag in seen:
                faults.add(FaultCode.DUPLICATE_TAG, f"{tag} has a series already", "series", i, "tag")
            seen.add(tag)
        elif "tag" in entry:
            faults.add(FaultCode.BAD_TAG, "1 to 64 of A-Z a-z 0-9 . _ / -, a letter or digit first", "series", i, "tag")
        _rows(entry, i, faults)


def _rows(entry: dict[str, Any], i: int, faults: FaultList) -> None:
    lists: dict[str, list[Any]] = {}
    for name in ("time", "value", "quality"):
        column = entry.get(name)
        if isinstance(column, list):
            lists[name] = column
        elif name in entry and not (name == "quality" and column is None):
            faults.add(FaultCode.WRONG_TYPE, "a list", "series", i, name)
    if len({len(column) for column in lists.values()}) > 1:
        sizes = ", ".join(f"{name} {len(column)}" for name, column in lists.items())
        faults.add(FaultCode.LENGTH_MISMATCH, f"one entry per reading in each list: {sizes}", "series", i)
    elif lists and not any(lists.values()):
        faults.add(FaultCode.EMPTY, "a series holds at least one reading", "series", i)
    _times(lists.get("time", []), i, faults)
    quality = lists.get("quality", [])
    for j, name in enumerate(quality):
        if not isinstance(name, str) or name not in QUALITY_NAMES:
            faults.add(FaultCode.UNKNOWN_QUALITY, f"one of {' '.join(QUALITY_NAMES)}", "series", i, "quality", j)
    values = lists.get("value", [])
    # Where quality is no list, or too short, a null is not held against the sender as well.
    _values(values, ["good"] * len(values) if entry.get("quality") is None else quality, i, faults)


def _times(times: list[Any], i: int, faults: FaultList) -> None:
    for j, time in enumerate(times):
        if type(time) is not int:
            faults.add(FaultCode.WRONG_TYPE, "whole milliseconds since the epoch", "series", i, "time", j)
        elif not EARLIEST_MS <= time <= LATEST_MS:
            faults.add(FaultCode.TIME_OUT_OF_RANGE, "milliseconds, 1970 to 2100", "series", i, "time", j)


def _values(values: list[Any], quality: list[Any], i: int, faults: FaultList) -> None:
    for j, value in enumerate(values):
        if value is None:
            if j < len(quality) and quality[j] == "good":
                faults.add(
                    FaultCode.NULL_WITH_GOOD_QUALITY, "null only where quality is not good", "series", i, "value", j
                )
        elif type(value) not in {int, float}:
            faults.add(FaultCode.WRONG_TYPE, "a number or null", "series", i, "value", j)
        elif not is_finite(value):
            faults.add(FaultCode.NOT_FINITE, "a finite number", "series", i, "value", j)


def _members(value: dict[str, Any], known: dict[str, bool], faults: FaultList, *path: str | int) -> None:
    for name, needed in known.items():
        if needed and name not in value:
            faults.add(FaultCode.MISSING, "this member is needed", *path, name)
    for name in value:
        if name not in known:
            faults.add(FaultCode.UNKNOWN_MEMBER, f"one of {' '.join(known)}", *path, name)


def _longest(entry: Any) -> int:  # noqa: ANN401 - any JSON value
    columns = (entry.get(name) for name in ("time", "value", "quality")) if isinstance(entry, dict) else ()
    return max((len(column) for column in columns if isinstance(column, list)), default=0)
