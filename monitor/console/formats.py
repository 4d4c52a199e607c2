"""How instants, spans and numbers are written for people. Instants are UTC in the store, local in the page."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from rules.instants import format_instant
from rules.register import ZONE

_ZONE = ZoneInfo(ZONE)
MINUTE = 60_000


def local(ms: int) -> str:
    """Return date and time in the jurisdiction's zone.

    >>> local(0)
    '1970-01-01 08:00:00'
    """
    return datetime.fromtimestamp(ms / 1000, UTC).astimezone(_ZONE).strftime("%Y-%m-%d %H:%M:%S")


def utc(ms: int) -> str:
    """Return the instant for machines, as in the contracts."""
    return format_instant(ms)


def number(value: float | str | None) -> str:
    """Return a number without digits that nobody measured.

    >>> number(8.100000000000001), number(None)
    ('8.1', '–')
    """
    if value is None:
        return "–"
    return value if isinstance(value, str) else f"{value:.10g}"
