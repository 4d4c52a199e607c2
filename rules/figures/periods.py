"""Months, quarters and years in the jurisdiction's zone."""

from __future__ import annotations

from datetime import date
from typing import Literal, NamedTuple

from rules.calendar import day_of
from rules.instants import start_of_day
from rules.register import ZONE

Kind = Literal["month", "quarter", "year"]
SHOWN: dict[Kind, int] = {"month": 13, "quarter": 9, "year": 3}
"""Periods of each kind that are shown: the one that runs and those before it, with the same one of a year before (of two years: quarters)."""
_MONTHS: dict[Kind, int] = {"month": 1, "quarter": 3, "year": 12}


class Period(NamedTuple):
    """A month, a quarter or a year."""

    kind: Kind
    name: str
    """`2026-03`, `2026-Q1`, `2026`."""
    begin: int
    """Its first instant, ms ..."""
    end: int
    """... and the first one behind it."""


def _first(number: int) -> int:
    return start_of_day(date(number // 12, number % 12 + 1, 1), ZONE)


def period_of(at: int, kind: Kind, back: int = 0) -> Period:
    """Return the period that holds an instant (ms), or the one so many before it."""
    day, months = day_of(at), _MONTHS[kind]
    first = ((day.year * 12 + day.month - 1) // months - back) * months
    year, month = divmod(first, 12)
    names = {"month": f"{year:04d}-{month + 1:02d}", "quarter": f"{year:04d}-Q{month // 3 + 1}", "year": f"{year:04d}"}
    return Period(kind, names[kind], _first(first), _first(first + months))


def periods(at: int, kind: Kind) -> list[Period]:
    """Return those that are shown at an instant (ms), newest first."""
    return [period_of(at, kind, back) for back in range(SHOWN[kind])]
