"""Local days and months, and which of them is judged when (ADR 0044, ADR 0047)."""

from __future__ import annotations

from datetime import date, datetime
from functools import lru_cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from rules.instants import start_of_day
from rules.register import ZONE

if TYPE_CHECKING:
    from rules.state import FacilityState

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
REVIEWED_MS = 10 * DAY_MS
"""So long behind its end a month is judged again: older rows are no evidence (settled.md, "above 10 days: event-time only"; own)."""


def midnight(at: int) -> int:
    """Return the instant at which the local day of an instant (ms) begins.

    >>> midnight(1772380799999), midnight(1772380800000)
    (1772294400000, 1772380800000)
    """
    return start_of_day(day_of(at), ZONE)


def midnight_before(at: int, state: FacilityState) -> int:
    """Return the newest local midnight whose rows have had the time that the facility's delivery takes."""
    return midnight(at - state.planned.facility.delivery)


def month_of(at: int) -> tuple[int, int]:
    """Return when the local month of an instant (ms) begins, and when it ends.

    >>> month_of(1772380799999)
    (1772294400000, 1774972800000)
    """
    return _month_of_hour(at // HOUR_MS)


@lru_cache(maxsize=4096)
def _month_of_hour(hour: int) -> tuple[int, int]:
    """Return the month of an hour since 1970: all offsets of the zone since then are whole hours."""
    day = day_of(hour * HOUR_MS).replace(day=1)
    following = date(day.year + day.month // 12, day.month % 12 + 1, 1)
    return start_of_day(day, ZONE), start_of_day(following, ZONE)


def day_of(at: int) -> date:
    """Return the local day of an instant (ms)."""
    return datetime.fromtimestamp(at // 1000, ZoneInfo(ZONE)).date()


def judged_month(at: int, state: FacilityState) -> tuple[int, int]:
    """Return begin and end (ms) of the month that is judged at an instant, or else of the one that is judged next."""
    until = midnight_before(at, state)
    begin, end = month_of(until)
    if until - begin > REVIEWED_MS:
        return begin, end
    return month_of(begin - 1)


def reviewed_month(at: int, state: FacilityState) -> tuple[int, int] | None:
    """Return begin and end (ms) of the month that is judged at an instant, None: none is."""
    month = judged_month(at, state)
    return month if month[1] <= midnight_before(at, state) else None


def next_midnight(at: int, state: FacilityState) -> int:
    """Return when the next midnight is judged, `delivery` behind it, ms."""
    delivery = state.planned.facility.delivery
    return midnight(midnight(at - delivery) + 36 * HOUR_MS) + delivery
