"""Working days of a jurisdiction, and the instants at which legal times end: data of the bundle, with edition and status."""

from __future__ import annotations

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, PlainSerializer, ValidationInfo, model_validator

from rules.instants import start_of_day
from rules.models import Bilingual, Identifier, Strict
from rules.refusals import refuse
from rules.register import ZONE

if TYPE_CHECKING:
    from collections.abc import Iterable

_TIME = re.compile(r"^([1-9][0-9]{0,3})(h|d|wd|mo)\Z", re.ASCII)
HOUR_MS = 3_600_000
SATURDAY = 5
DayOfYear = Annotated[str, Field(pattern=r"^(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$")]


class LegalTime(NamedTuple):
    """A time that a text gives: `15d` ends with the fifteenth day behind the first, `24h` to the millisecond, `20wd` counts working days."""

    number: int
    unit: Literal["h", "d", "wd", "mo"]

    def __str__(self) -> str:
        """Return it as rule files have it.

        >>> str(LegalTime(20, "wd"))
        '20wd'
        """
        return f"{self.number}{self.unit}"


def parse_time(text: str) -> LegalTime:
    """Return a legal time: a whole number and h, d, wd or mo.

    Raises:
        ValueError: another form.
    """
    match = _TIME.match(text)
    if match is None:
        raise ValueError("a legal time is a whole number and h, d, wd or mo, such as 24h, 15d, 20wd or 2mo")
    return LegalTime(int(match[1]), match[2])  # type: ignore[arg-type]  # the pattern names them


def _read(value: object) -> object:
    return parse_time(value) if isinstance(value, str) else value


LegalTimeText = Annotated[
    LegalTime,
    BeforeValidator(_read, json_schema_input_type=str),
    PlainSerializer(str, return_type=str, when_used="json"),
    Field(json_schema_extra={"type": "string", "pattern": _TIME.pattern.replace(r"\Z", "$")}),
]
"""`24h 15d 20wd 2mo`."""


class CalendarYear(Strict):
    """One year: weekdays that are days off, and days of weekends that are worked."""

    status: Literal["cited", "verify", "own"]
    source: str = Field(min_length=1)
    days_off: Annotated[list[DayOfYear], Field(max_length=60)]
    worked: Annotated[list[DayOfYear], Field(max_length=30)]


class Calendar(Strict):
    """The working days of the jurisdictions whose code (GB/T 2260) begins with one of `prefixes`; the longest one decides."""

    schema_: Literal["calendar/1"] = Field(alias="schema")
    id: Identifier
    edition: str = Field(min_length=1)
    title: Bilingual
    prefixes: Annotated[list[Annotated[str, Field(pattern=r"^[0-9]{0,6}$")]], Field(min_length=1, max_length=64)]
    years: Annotated[
        dict[Annotated[str, Field(pattern=r"^[0-9]{4}$")], CalendarYear], Field(min_length=1, max_length=200)
    ]

    @model_validator(mode="after")
    def _real_days(self, info: ValidationInfo) -> Calendar:
        refuse(
            info,
            [
                (told, f"/years/{year}/{name}/{i}", f"{year}-{text} is {told}")
                for year, one in self.years.items()
                for name, weekend in (("days_off", False), ("worked", True))
                for i, text in enumerate(getattr(one, name))
                for told in (_unfit(f"{year}-{text}", weekend=weekend),)
            ],
        )
        return self


def _unfit(text: str, *, weekend: bool) -> str:
    """Return what a day is that cannot stand in its list, nothing if it can."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return "no day"
    if (day.weekday() >= SATURDAY) is weekend:
        return ""
    return f"{'no ' if weekend else 'a '}day of a weekend"


@dataclass(frozen=True, slots=True)
class WorkingDays:
    """A calendar made ready for counting."""

    id: str
    years: frozenset[int]
    odd: frozenset[date]
    """Days on which it is the other way round than weekends have it."""
    verify: frozenset[int]

    @classmethod
    def of(cls, calendar: Calendar) -> WorkingDays:
        """Return the days of a calendar."""
        odd = {
            date.fromisoformat(f"{y}-{d}") for y, one in calendar.years.items() for d in (*one.days_off, *one.worked)
        }
        verify = {int(year) for year, one in calendar.years.items() if one.status != "cited"}
        return cls(calendar.id, frozenset(map(int, calendar.years)), frozenset(odd), frozenset(verify))

    def is_working(self, day: date) -> bool | None:
        """Say whether a day is worked; None: the table does not hold its year."""
        if day.year not in self.years:
            return None
        return (day.weekday() < SATURDAY) is not (day in self.odd)

    def behind(self, day: date, number: int) -> date | None:
        """Return the last of `number` working days behind `day`; None where the table does not reach."""
        left = number
        while left:
            day += timedelta(days=1)
            worked = self.is_working(day)
            if worked is None:
                return None
            left -= worked
        return day


def calendar_for(jurisdiction: str, calendars: Iterable[Calendar]) -> WorkingDays | None:
    """Return the working days of a jurisdiction (six digits of GB/T 2260), None where no calendar covers it."""
    found = [
        (len(prefix), one.id, one) for one in calendars for prefix in one.prefixes if jurisdiction.startswith(prefix)
    ]
    return WorkingDays.of(max(found, key=lambda entry: entry[:2])[2]) if found else None


def day_of(ms: int, zone: str = ZONE) -> date:
    """Return the local date of an instant."""
    return datetime.fromtimestamp(ms / 1000, ZoneInfo(zone)).date()


def end_of_day(day: date, zone: str = ZONE) -> int:
    """Return 24:00 of a local day, ms."""
    return start_of_day(day + timedelta(days=1), zone)


def months_behind(day: date, number: int) -> date:
    """Return the same day so many calendar months later, clipped to the month's last.

    >>> months_behind(date(2025, 12, 31), 2)
    datetime.date(2026, 2, 28)
    """
    month = day.month - 1 + number
    year, month = day.year + month // 12, month % 12 + 1
    return date(year, month, min(day.day, monthrange(year, month)[1]))


def due_at(start: int, time: LegalTime, days: WorkingDays | None, zone: str = ZONE) -> int | None:
    """Return when a legal time that begins at `start` (ms) is over: hours to the millisecond, all else at 24:00 local of its last day.

    The day of `start` is day 0 (deadlines.md §0). None: it counts working days, and no table holds them.
    """
    if time.unit == "h":
        return start + time.number * HOUR_MS
    first = day_of(start, zone)
    if time.unit == "d":
        return end_of_day(first + timedelta(days=time.number), zone)
    if time.unit == "mo":
        return end_of_day(months_behind(first, time.number), zone)
    last = None if days is None else days.behind(first, time.number)
    return None if last is None else end_of_day(last, zone)
