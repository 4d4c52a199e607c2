"""How instants, spans and numbers are written for people. Instants are UTC in the store, local in the page."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from rules.instants import format_instant
from rules.register import ZONE

_ZONE = ZoneInfo(ZONE)
SECOND, MINUTE, HOUR, DAY = 1000, 60_000, 3_600_000, 86_400_000
WORDS = {"zh": ("天", "小时", "分", "秒"), "en": (" d", " h", " min", " s")}


def local(ms: int) -> str:
    """Return date and time in the jurisdiction's zone.

    >>> local(0)
    '1970-01-01 08:00:00'
    """
    return datetime.fromtimestamp(ms / 1000, UTC).astimezone(_ZONE).strftime("%Y-%m-%d %H:%M:%S")


def utc(ms: int) -> str:
    """Return the instant for machines, as in the contracts."""
    return format_instant(ms)


def span(ms: int, language: str) -> str:
    """Return a length of time in its two largest units.

    >>> span(3_720_000, "en"), span(59_000, "zh")
    ('1 h 2 min', '59秒')
    """
    rest = abs(ms)
    parts: list[str] = []
    for size, word in zip((DAY, HOUR, MINUTE, SECOND), WORDS["zh" if language == "zh" else "en"], strict=True):
        count, rest = divmod(rest, size)
        if count or (size == SECOND and not parts):
            parts.append(f"{count}{word}")
    return (" " if language == "en" else "").join(parts[:2])


def number(value: float | str | None) -> str:
    """Return a number without digits that nobody measured.

    >>> number(8.100000000000001), number(None)
    ('8.1', '–')
    """
    if value is None:
        return "–"
    return value if isinstance(value, str) else f"{value:.10g}"
