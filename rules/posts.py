"""The posted form of readings (contracts.md §1): every fault at once, and the way to and from packed columns."""

from __future__ import annotations

import math
from collections import Counter
from typing import Annotated, Any

import numpy as np
from pydantic import Field, StrictFloat, StrictInt, ValidationError

from rules.errors import Fault
from rules.instants import EARLIEST_MS, LATEST_MS
from rules.models import Identifier, Strict, Tag, faults_of
from rules.records import MAX_READINGS, MAX_SERIES, QUALITY_NAMES, Readings

MAX_FAULTS = 500
"""Faults listed in one answer; the rest are counted per code."""
_CODES = {name: code for code, name in enumerate(QUALITY_NAMES)}


class SeriesPost(Strict):
    """Readings of one tag: `time` in ms since the epoch, `value` null only where quality is not good."""

    tag: Tag
    time: list[StrictInt]
    value: list[StrictInt | StrictFloat | None]
    quality: list[str] | None = None


class ReadingsPost(Strict):
    """What a facility posts to `/v1/readings`; `seq` rises by one per feed source."""

    batch: Identifier
    seq: Annotated[StrictInt, Field(ge=0, le=1 << 53)] | None = None
    series: Annotated[list[SeriesPost], Field(min_length=1)]


def parse_readings(value: Any) -> Readings | list[Fault]:  # noqa: ANN401 - decoded JSON
    """Return the packed readings of a decoded JSON value, or every fault in it."""
    try:
        post = ReadingsPost.model_validate(value)
    except ValidationError as error:
        return [_named(fault) for fault in faults_of(error)]
    faults = _faults(post)
    return faults or readings_of(post)


def cut_faults(faults: list[Fault]) -> tuple[list[Fault], dict[str, int]]:
    """Return the first 500 faults and the number of all of them per code."""
    return faults[:MAX_FAULTS], dict(sorted(Counter(fault.code for fault in faults).items()))


def _named(fault: Fault) -> Fault:
    """Give pydantic's error types the contract's codes."""
    parts = [part for part in fault.pointer.split("/") if part not in {"int", "float", "constrained-int"}]
    codes = {"missing": "missing", "extra_forbidden": "unknown_member", "finite_number": "not_finite"}
    code = codes.get(fault.code, "wrong_form" if "pattern" in fault.code or "length" in fault.code else "wrong_type")
    return Fault("/".join(parts), code, fault.detail)


def _faults(post: ReadingsPost) -> list[Fault]:
    found: list[Fault] = []
    if len(post.series) > MAX_SERIES:
        found.append(Fault("/series", "too_many_series", f"at most {MAX_SERIES}"))
    if sum(len(series.time) for series in post.series) > MAX_READINGS:
        found.append(Fault("/series", "too_many_readings", f"at most {MAX_READINGS} in one batch"))
    seen: set[str] = set()
    for i, series in enumerate(post.series):
        at = f"/series/{i}"
        if series.tag in seen:
            found.append(Fault(f"{at}/tag", "duplicate_tag", "one series a tag"))
        seen.add(series.tag)
        lengths = {len(series.time), len(series.value), *([len(series.quality)] if series.quality is not None else [])}
        if len(lengths) > 1:
            found.append(Fault(at, "length_mismatch", "time, value and quality have one entry per reading"))
            continue
        if not series.time:
            found.append(Fault(f"{at}/time", "empty", "a series holds at least one reading"))
        found.extend(_row_faults(at, series))
    return found


def _row_faults(at: str, series: SeriesPost) -> list[Fault]:
    found: list[Fault] = []
    for j, time in enumerate(series.time):
        if not EARLIEST_MS <= time <= LATEST_MS:
            found.append(Fault(f"{at}/time/{j}", "time_out_of_range", "milliseconds since the epoch, 1970 to 2100"))
    for j, value in enumerate(series.value):
        name = "good" if series.quality is None else series.quality[j]
        if name not in _CODES:
            found.append(Fault(f"{at}/quality/{j}", "unknown_quality", f"one of {' '.join(QUALITY_NAMES)}"))
        elif value is None and name == "good":
            found.append(Fault(f"{at}/value/{j}", "null_with_good_quality", "null only where quality is not good"))
        elif value is not None and not _finite(value):
            found.append(Fault(f"{at}/value/{j}", "not_finite", "a finite number"))
    return found


def _finite(value: float) -> bool:
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


def readings_of(post: ReadingsPost) -> Readings:
    """Pack a checked post into columns."""
    count = sum(len(series.time) for series in post.series)
    quality = np.zeros(count, np.uint8)
    begin = 0
    for series in post.series:
        if series.quality is not None:
            quality[begin : begin + len(series.time)] = [_CODES[name] for name in series.quality]
        begin += len(series.time)
    return Readings(
        batch=post.batch,
        seq=post.seq,
        tags=tuple(series.tag for series in post.series),
        counts=np.array([len(series.time) for series in post.series], np.int32),
        time=np.array([t for series in post.series for t in series.time], np.int64),
        value=np.array([math.nan if v is None else v for series in post.series for v in series.value], np.float64),
        quality=quality,
    )


def post_of(readings: Readings) -> dict[str, Any]:
    """Return the posted JSON value of packed readings; `quality` only where not all is good."""
    value: dict[str, Any] = {"batch": readings.batch}
    if readings.seq is not None:
        value["seq"] = readings.seq
    series = []
    begin = 0
    for tag, count in zip(readings.tags, readings.counts.tolist(), strict=True):
        rows = slice(begin, begin + count)
        begin += count
        entry: dict[str, Any] = {
            "tag": tag,
            "time": readings.time[rows].tolist(),
            "value": [None if math.isnan(v) else v for v in readings.value[rows].tolist()],
        }
        if readings.quality[rows].any():
            entry["quality"] = [QUALITY_NAMES[code] for code in readings.quality[rows].tolist()]
        series.append(entry)
    value["series"] = series
    return value


def json_depth(raw: bytes, limit: int) -> bool:
    """Say whether JSON text nests deeper than `limit`, without decoding it.

    >>> json_depth(b'[[["]"]]]', 2)
    True
    """
    depth = 0
    in_text = escaped = False
    for byte in raw:
        if in_text:
            if escaped:
                escaped = False
            elif byte == 0x5C:  # noqa: PLR2004 - backslash
                escaped = True
            elif byte == 0x22:  # noqa: PLR2004 - quote
                in_text = False
        elif byte == 0x22:  # noqa: PLR2004 - quote
            in_text = True
        elif byte in b"[{":
            depth += 1
            if depth > limit:
                return True
        elif byte in b"]}":
            depth -= 1
    return False
