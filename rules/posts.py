"""The posted form of readings (contracts.md §1): its model, every fault at once, the way to packed columns and back.

Three readers of one contract: `ReadingsPost` is its schema, `rules.readingfaults` names every fault, `read_readings` is what
the front door calls (typed decoding, array checks). A property test holds them equal.
"""

from __future__ import annotations

import math
from itertools import chain
from typing import Annotated, Any, Final, Literal, get_args

import msgspec
import numpy as np
from pydantic import Field, model_validator

from rules.instants import EARLIEST_MS, LATEST_MS
from rules.jsontext import read_json
from rules.models import Identifier, Strict, Tag, are_tags, is_identifier
from rules.readingfaults import MAX_SEQ, readings_faults
from rules.records import MAX_READINGS, MAX_SERIES, QUALITY_NAMES, Readings

WHAT = "readings"
QualityName = Literal[
    "good", "uncertain", "over_limit", "maintenance", "calibration", "set_value", "fault", "stopped", "comms"
]
_CODES: Final[dict[str, int]] = {name: code for code, name in enumerate(QUALITY_NAMES)}


class SeriesPost(Strict):
    """Readings of one tag, one entry per reading in each list; `value` may be null only where quality is not good."""

    tag: Tag
    time: Annotated[list[Annotated[int, Field(strict=True, ge=EARLIEST_MS, le=LATEST_MS)]], Field(min_length=1)]
    """Event times, integer milliseconds since the epoch."""
    value: list[Annotated[float, Field(strict=True)] | None]
    """In the registered unit of the tag."""
    quality: list[QualityName] | None = None
    """Default: all good."""

    @model_validator(mode="after")
    def _rows_fit(self) -> SeriesPost:
        quality = self.quality
        if len(self.time) != len(self.value) or (quality is not None and len(quality) != len(self.time)):
            raise ValueError("time, value and quality have one entry per reading")
        for i, value in enumerate(self.value):
            if value is None and (quality is None or quality[i] == "good"):
                raise ValueError(f"value {i} is null and its quality is good")
        return self


class ReadingsPost(Strict):
    """What a facility posts to `/v1/readings`; `batch` makes sending again harmless."""

    batch: Identifier
    seq: Annotated[int, Field(strict=True, ge=0, le=MAX_SEQ)] | None = None
    """Per feed source, rising by one: lets gaps in sending be seen."""
    series: Annotated[list[SeriesPost], Field(min_length=1, max_length=MAX_SERIES)]

    @model_validator(mode="after")
    def _whole_fits(self) -> ReadingsPost:
        if len({series.tag for series in self.series}) != len(self.series):
            raise ValueError("a tag has one series")
        if sum(len(series.time) for series in self.series) > MAX_READINGS:
            raise ValueError(f"at most {MAX_READINGS} readings")
        return self


def readings_from_post(post: ReadingsPost) -> Readings:
    """Pack a post into columns."""
    counts = [len(series.time) for series in post.series]
    times = chain.from_iterable(series.time for series in post.series)
    values = chain.from_iterable(series.value for series in post.series)
    return Readings(
        batch=post.batch,
        seq=post.seq,
        tags=tuple(series.tag for series in post.series),
        counts=np.array(counts, np.int32),
        time=np.fromiter(times, np.int64, sum(counts)),
        value=np.array(list(values), np.float64),  # None becomes NaN
        quality=np.fromiter(_qualities(post.series), np.uint8, sum(counts)),
    )


def post_from_readings(readings: Readings) -> ReadingsPost:
    """Return the post of packed readings.

    Raises:
        ValidationError: the columns hold what cannot be posted.
    """
    return ReadingsPost.model_validate(posted_value(readings))


def posted_value(readings: Readings) -> dict[str, Any]:
    """Return the JSON value of packed readings, members in the contract's order; `quality` only where not all is good."""
    value: dict[str, Any] = {"batch": readings.batch}
    if readings.seq is not None:
        value["seq"] = readings.seq
    series: list[dict[str, Any]] = []
    begin = 0
    for tag, count in zip(readings.tags, readings.counts.tolist(), strict=True):
        rows = slice(begin, begin + count)
        begin += count
        numbers = readings.value[rows].tolist()
        entry = {"tag": tag, "time": readings.time[rows].tolist(), "value": numbers}
        quality = readings.quality[rows]
        if quality.any():
            entry["value"] = [None if math.isnan(number) else number for number in numbers]
            entry["quality"] = [QUALITY_NAMES[code] for code in quality.tolist()]
        series.append(entry)
    value["series"] = series
    return value


def read_readings(body: bytes) -> Readings:
    """Return the packed readings of a posted body (UTF-8 JSON, already decompressed).

    Raises:
        PostRefusedError: with every fault; `grounds` says whether it is malformed, too large or against the contract.
    """
    readings = _typed(body)
    return read_readings_slowly(body) if readings is None else readings


def read_readings_slowly(body: bytes) -> Readings:
    """Do what `read_readings` does by way of the faults and the model.

    Raises:
        PostRefusedError: as `read_readings`.
    """
    return readings_of_value(read_json(body, WHAT))


def readings_of_value(value: Any) -> Readings:  # noqa: ANN401 - any JSON value
    """Return the packed readings of a decoded JSON value.

    Raises:
        PostRefusedError: with every fault.
    """
    readings_faults(value).refuse(WHAT)
    return readings_from_post(ReadingsPost.model_validate(value))


class _Series(msgspec.Struct, forbid_unknown_fields=True):
    tag: str
    time: list[int]
    value: list[float | None]
    quality: list[QualityName] | None = None


class _Post(msgspec.Struct, forbid_unknown_fields=True):
    batch: str
    series: list[_Series]
    seq: int | None = None


_DECODER = msgspec.json.Decoder(_Post)


def _qualities(series: list[SeriesPost] | list[_Series]) -> chain[int]:
    return chain.from_iterable(
        (0,) * len(one.time) if one.quality is None else [_CODES[name] for name in one.quality] for one in series
    )


def _each_member_once(body: bytes, post: _Post) -> bool:
    """Say whether the text has as many members as the post shows: msgspec takes the last of two of one name.

    A colon outside of a text stands behind a member's name. False where it cannot be told: the slow way looks closer.
    """
    members = 2 + (post.seq is not None) + sum(3 + (one.quality is not None) for one in post.series)
    return b"\\" not in body and body.count(b":") == members + post.batch.count(":")  # a tag holds none


def _typed(body: bytes) -> Readings | None:
    """Return the readings if nothing is wrong, else None: the slow way says what."""
    try:
        post = _DECODER.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    series = post.series
    tags = tuple(one.tag for one in series)
    counts = [len(one.time) for one in series]
    total = sum(counts)
    fits = (
        1 <= len(series) <= MAX_SERIES
        and total <= MAX_READINGS
        and (post.seq is None or 0 <= post.seq <= MAX_SEQ)
        and is_identifier(post.batch)
        and len(set(tags)) == len(tags)
        and are_tags(tags)
        and all(len(one.value) == len(one.time) > 0 for one in series)
        and all(one.quality is None or len(one.quality) == len(one.time) for one in series)
    )
    if not fits or not _each_member_once(body, post):
        return None
    try:
        time = np.fromiter(chain.from_iterable(one.time for one in series), np.int64, total)
    except OverflowError:
        return None
    value = np.array(list(chain.from_iterable(one.value for one in series)), np.float64)
    quality = np.fromiter(_qualities(series), np.uint8, total)
    if int(time.min()) < EARLIEST_MS or int(time.max()) > LATEST_MS:
        return None
    if not np.isfinite(value).all() and (np.isinf(value).any() or (np.isnan(value) & (quality == 0)).any()):
        return None
    return Readings(post.batch, tags, np.array(counts, np.int32), time, value, quality, post.seq)


assert get_args(QualityName) == QUALITY_NAMES  # noqa: S101 - one list, spelled twice because Literal wants literals
