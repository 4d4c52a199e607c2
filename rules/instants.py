"""Instants and durations: RFC 3339 with offset outside, integer milliseconds since the epoch inside."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, PlainSerializer

EARLIEST_MS = 0
"""1970-01-01: nothing that a sensor measured lies before it."""
LATEST_MS = 4_102_444_800_000
"""2100-01-01: an instant behind it is a unit error (microseconds) or a broken clock."""
NEVER_MS = 1 << 62
"""Later than every instant; stands for "not due"."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_RFC3339 = re.compile(r"^\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})\Z", re.ASCII)
_DURATION = re.compile(r"^(\d{1,11})(ms|s|m|h|d)\Z", re.ASCII)
_DURATION_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_SPOKEN = {
    "zh": {"d": "天", "h": "小时", "m": "分", "s": "秒"},
    "en": {"d": " d", "h": " h", "m": " min", "s": " s"},
}
_WORKING_DAYS = re.compile(r"^[0-9]{1,3}wd$")


def parse_instant(text: str) -> int:
    """Return the milliseconds of an RFC 3339 text with offset; digits beyond milliseconds are cut.

    >>> parse_instant("2026-01-01T08:00:00+08:00")
    1767225600000

    Raises:
        ValueError: no offset, not RFC 3339, or outside 1970 to 2100.
    """
    if not _RFC3339.match(text):
        raise ValueError("an instant is RFC 3339 with an offset, such as 2026-03-01T08:00:00+08:00")
    moment = datetime.fromisoformat(text.upper())
    return _bounded((moment - _EPOCH) // _MILLISECOND)


def format_instant(ms: int) -> str:
    """Return UTC with three decimals and Z.

    >>> format_instant(1767225600000)
    '2026-01-01T00:00:00.000Z'
    """
    moment = _EPOCH + timedelta(milliseconds=ms)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{ms % 1000:03d}Z"


def parse_duration(text: str) -> int:
    """Return the milliseconds of `90s`, `10m`, `4h`, `2d`.

    >>> parse_duration("10m")
    600000

    Raises:
        ValueError: another form.
    """
    match = _DURATION.match(text)
    if not match:
        raise ValueError("a duration is a whole number and s, m, h or d, such as 90s")
    return int(match[1]) * _DURATION_MS[match[2]]


def format_duration(ms: int) -> str:
    """Return the shortest exact form.

    >>> format_duration(5400000)
    '90m'
    """
    for unit in ("d", "h", "m", "s"):
        if ms and ms % _DURATION_MS[unit] == 0:
            return f"{ms // _DURATION_MS[unit]}{unit}"
    return f"{ms}ms"


def format_local(ms: int, zone: str) -> str:
    """Return an instant as people of a zone read it, with its distance from UTC.

    >>> format_local(0, "Asia/Shanghai")
    '1970-01-01 08:00:00+08:00'
    """
    return datetime.fromtimestamp(ms // 1000, ZoneInfo(zone)).isoformat(sep=" ", timespec="seconds")


def span(ms: int, language: str) -> str:
    """Return a length of time as people read it (`zh`, else English), in its two largest units; below a second it is none.

    >>> span(3_720_000, "en"), span(59_000, "zh")
    ('1 h 2 min', '59秒')
    """
    rest = abs(ms)
    parts: list[str] = []
    for unit, word in _SPOKEN["zh" if language == "zh" else "en"].items():
        count, rest = divmod(rest, _DURATION_MS[unit])
        if count or (unit == "s" and not parts):
            parts.append(f"{count}{word}")
    return (" " if language == "en" else "").join(parts[:2])


def start_of_day(day: date, zone: str) -> int:
    """Return the instant at which `day` begins in `zone` (an IANA name)."""
    return (datetime.combine(day, time(0), tzinfo=ZoneInfo(zone)) - _EPOCH) // _MILLISECOND


def _bounded(ms: int) -> int:
    if not EARLIEST_MS <= ms <= LATEST_MS:
        raise ValueError("an instant lies between 1970 and 2100")
    return ms


def _to_ms(value: Any) -> Any:  # noqa: ANN401 - whatever stood in the JSON
    if isinstance(value, str):
        return parse_instant(value)
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError("an instant needs an offset")
        return _bounded((value - _EPOCH) // _MILLISECOND)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("an instant is RFC 3339 text with an offset, or integer milliseconds since the epoch")  # noqa: TRY004 - pydantic wants ValueError
    return _bounded(value)


def _to_duration(value: Any) -> Any:  # noqa: ANN401 - whatever stood in the JSON or YAML
    if isinstance(value, str):
        return parse_duration(value)
    raise ValueError("a duration is text with its unit, such as 90s, 10m, 4h or 2d")


Instant = Annotated[
    int,
    BeforeValidator(_to_ms, json_schema_input_type=str | int),
    PlainSerializer(format_instant, return_type=str, when_used="json"),
    Field(json_schema_extra={"format": "date-time"}),
]
"""Milliseconds since the epoch; read from RFC 3339 or an integer, written as RFC 3339 UTC in JSON."""

Duration = Annotated[
    int,
    BeforeValidator(_to_duration, json_schema_input_type=str),
    PlainSerializer(format_duration, return_type=str, when_used="json"),
    Field(ge=0, le=400 * 86_400_000),
]
"""Milliseconds; read from and written as `90s 10m 4h 2d`."""

WorkingDays = Annotated[str, Field(pattern=_WORKING_DAYS.pattern)]
"""`3wd`: working days of the jurisdiction's calendar."""
