"""The calendar of working days, and the instants at which legal times end."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from rules.calendar import (
    Calendar,
    LegalTime,
    WorkingDays,
    calendar_for,
    day_of,
    due_at,
    end_of_day,
    months_behind,
    parse_time,
)
from rules.errors import BadInputError
from rules.instants import format_local, parse_instant
from rules.pack import Bundle, bundle_of, default_bundle, load_bundle, load_files
from rules.register import ZONE

CN = default_bundle().calendars["cn"]
DAYS = WorkingDays.of(CN)
HOUR = 3_600_000

FREE = {
    2020: "01-01 01-01, 01-24 02-02, 04-04 04-06, 05-01 05-05, 06-25 06-27, 10-01 10-08",
    2021: "01-01 01-03, 02-11 02-17, 04-03 04-05, 05-01 05-05, 06-12 06-14, 09-19 09-21, 10-01 10-07",
    2022: "01-01 01-03, 01-31 02-06, 04-03 04-05, 04-30 05-04, 06-03 06-05, 09-10 09-12, 10-01 10-07",
    2023: "01-01 01-02, 01-21 01-27, 04-05 04-05, 04-29 05-03, 06-22 06-24, 09-29 10-06",
    2024: "01-01 01-01, 02-10 02-17, 04-04 04-06, 05-01 05-05, 06-08 06-10, 09-15 09-17, 10-01 10-07",
    2025: "01-01 01-01, 01-28 02-04, 04-04 04-06, 05-01 05-05, 05-31 06-02, 10-01 10-08",
    2026: "01-01 01-03, 02-15 02-23, 04-04 04-06, 05-01 05-05, 06-19 06-21, 09-25 09-27, 10-01 10-07",
    2027: "01-01 01-01, 02-05 02-10, 04-05 04-05, 05-01 05-04, 06-09 06-09, 09-15 09-15, 10-01 10-05",
}
"""The holidays of each year from their first to their last day, weekends among them, as they were announced; 2027 as the statute has them."""
MADE_UP = {
    2020: "01-19 04-26 05-09 06-28 09-27 10-10",
    2021: "02-07 02-20 04-25 05-08 09-18 09-26 10-09",
    2022: "01-29 01-30 04-02 04-24 05-07 10-08 10-09",
    2023: "01-28 01-29 04-23 05-06 06-25 10-07 10-08",
    2024: "02-04 02-18 04-07 04-28 05-11 09-14 09-29 10-12",
    2025: "01-26 02-08 04-27 09-28 10-11",
    2026: "01-04 02-14 02-28 05-09 09-20 10-10",
    2027: "",
}
"""Days of weekends that were worked for them."""
COUNTS = {2020: 249, 2021: 250, 2022: 249, 2023: 249, 2024: 251, 2025: 248, 2026: 248, 2027: 248}
"""Working days of each year, counted by hand: weekdays (260 to 262), less those off, and the weekends that were worked."""


def days_of_year(year):
    first = date(year, 1, 1)
    return [day for day in (first + timedelta(days=i) for i in range(366)) if day.year == year]


@pytest.mark.parametrize("year", COUNTS)
def test_each_year_has_as_many_working_days_as_were_counted_by_hand(year):
    assert sum(bool(DAYS.is_working(day)) for day in days_of_year(year)) == COUNTS[year]


@pytest.mark.parametrize("year", FREE)
def test_each_day_of_each_year_is_as_announced(year):
    spans = [span.split() for span in FREE[year].split(", ")]
    worked = MADE_UP[year].split()
    for day in days_of_year(year):
        short = f"{day:%m-%d}"
        free = any(begin <= short <= end for begin, end in spans)
        weekend = day.isoweekday() >= 6
        assert not (free and short in worked)
        assert weekend or short not in worked, "a weekday is worked anyway"
        assert DAYS.is_working(day) is (short in worked or not (free or weekend)), day


def test_the_shipped_calendar_has_those_years_and_says_that_their_notices_were_not_read():
    assert sorted(map(int, CN.years)) == sorted(COUNTS) == list(range(2020, 2028))
    assert {year.status for year in CN.years.values()} == {"verify"}
    assert DAYS.verify == set(COUNTS)


@pytest.mark.parametrize("day", [date(2019, 12, 31), date(2028, 1, 3), date(1970, 1, 1)])
def test_of_a_year_that_is_missing_nothing_is_known(day):
    assert DAYS.is_working(day) is None


@pytest.mark.parametrize(
    ("day", "number", "last"),
    [
        # Spring Festival 2026: Saturday 14 and Saturday 28 February are worked, 15 to 23 are off.
        (date(2026, 2, 12), 1, date(2026, 2, 13)),
        (date(2026, 2, 12), 2, date(2026, 2, 14)),
        (date(2026, 2, 12), 3, date(2026, 2, 24)),
        (date(2026, 2, 14), 1, date(2026, 2, 24)),
        (date(2026, 2, 17), 1, date(2026, 2, 24)),
        (date(2026, 2, 24), 4, date(2026, 2, 28)),
        (date(2026, 2, 24), 5, date(2026, 3, 2)),
        # Mid-Autumn and National Day 2026: Sunday 20 September and Saturday 10 October are worked.
        (date(2026, 9, 18), 1, date(2026, 9, 20)),
        (date(2026, 9, 18), 5, date(2026, 9, 24)),
        (date(2026, 9, 18), 6, date(2026, 9, 28)),
        (date(2026, 9, 30), 1, date(2026, 10, 8)),
        (date(2026, 9, 30), 3, date(2026, 10, 10)),
        (date(2026, 9, 30), 4, date(2026, 10, 12)),
        (date(2026, 9, 14), 20, date(2026, 10, 16)),
        # Over New Year: Thursday 1 and Friday 2 January 2026 are off, Sunday 4 is worked.
        (date(2025, 12, 30), 1, date(2025, 12, 31)),
        (date(2025, 12, 30), 2, date(2026, 1, 4)),
        (date(2025, 12, 31), 20, date(2026, 1, 29)),
        (date(2026, 12, 31), 1, date(2027, 1, 4)),
        # A weekend like any other; a day that is off itself is day 0 all the same.
        (date(2026, 3, 6), 1, date(2026, 3, 9)),
        (date(2026, 3, 7), 1, date(2026, 3, 9)),
        # The longest of all: the first two days of the next year are off, and what lies behind 2027 is not known.
        (date(2027, 12, 30), 1, date(2027, 12, 31)),
        (date(2027, 12, 30), 2, None),
        (date(2027, 12, 31), 1, None),
        (date(2019, 12, 31), 1, date(2020, 1, 2)),
        (date(2019, 12, 30), 1, None),
        (date(2028, 6, 1), 1, None),
    ],
)
def test_working_days_are_counted_from_the_day_behind(day, number, last):
    assert DAYS.behind(day, number) == last


@given(st.dates(date(2020, 1, 1), date(2027, 6, 30)), st.integers(1, 60))
def test_behind_a_day_lie_as_many_working_days_as_were_asked_for(day, number):
    last = DAYS.behind(day, number)
    between = [day + timedelta(days=i) for i in range(1, (last - day).days + 1)]
    assert sum(bool(DAYS.is_working(one)) for one in between) == number
    assert DAYS.is_working(last)


@pytest.mark.parametrize(
    ("day", "number", "wanted"),
    [
        ("2025-12-31", 2, "2026-02-28"),
        ("2027-12-31", 2, "2028-02-29"),
        ("2024-02-29", 12, "2025-02-28"),
        ("2024-02-29", 48, "2028-02-29"),
        ("2025-12-31", 4, "2026-04-30"),
        ("2026-01-31", 1, "2026-02-28"),
        ("2026-03-31", 1, "2026-04-30"),
        ("2026-11-30", 2, "2027-01-30"),
        ("2026-06-15", 0, "2026-06-15"),
        ("2026-12-01", 13, "2028-01-01"),
    ],
)
def test_months_are_calendar_months_and_the_day_is_clipped(day, number, wanted):
    assert months_behind(date.fromisoformat(day), number) == date.fromisoformat(wanted)


def local(text):
    return parse_instant(f"{text}+08:00")


@pytest.mark.parametrize(
    ("start", "time", "due"),
    [
        ("2026-03-01T00:00:00", "24h", "2026-03-02T00:00:00"),
        ("2026-03-01T09:30:00.001", "24h", "2026-03-02T09:30:00.001"),
        ("2026-03-01T00:00:00", "1d", "2026-03-03T00:00:00"),
        ("2026-03-01T23:59:59.999", "1d", "2026-03-03T00:00:00"),
        ("2026-03-02T00:00:00", "1d", "2026-03-04T00:00:00"),
        ("2026-12-31T12:00:00", "15d", "2027-01-16T00:00:00"),
        ("2024-02-14T12:00:00", "15d", "2024-03-01T00:00:00"),
        ("2026-02-14T12:00:00", "15d", "2026-03-02T00:00:00"),
        ("2025-12-31T12:00:00", "2mo", "2026-03-01T00:00:00"),
        ("2025-12-31T00:00:00", "4mo", "2026-05-01T00:00:00"),
        ("2026-09-14T10:00:00", "20wd", "2026-10-17T00:00:00"),
        ("2026-09-30T23:59:59.999", "1wd", "2026-10-09T00:00:00"),
        ("2026-10-01T00:00:00", "1wd", "2026-10-09T00:00:00"),
    ],
)
def test_hours_end_to_the_millisecond_and_days_at_midnight_local(start, time, due):
    assert due_at(local(start), parse_time(time), DAYS) == local(due)


def test_without_a_table_working_days_never_end_and_all_else_does():
    start = local("2026-03-01T00:00:00")
    assert due_at(start, parse_time("20wd"), None) is None
    assert due_at(local("2027-12-10T00:00:00"), parse_time("20wd"), DAYS) is None
    assert [due_at(start, parse_time(time), None) is None for time in ("1h", "1d", "1mo")] == [False] * 3


def test_days_are_those_of_the_zone_also_where_it_had_summer_time():
    """China had it from 1986 to 1991: a day of 23 hours, and one of 25."""
    assert day_of(local("2026-03-01T00:00:00") - 1) == date(2026, 2, 28)
    begin = parse_instant("1988-04-17T00:00:00+08:00")
    assert end_of_day(date(1988, 4, 17)) - begin == 23 * HOUR
    assert due_at(begin, parse_time("1d"), None) == end_of_day(date(1988, 4, 18))
    assert format_local(end_of_day(date(1988, 4, 18)), ZONE) == "1988-04-19 00:00:00+09:00"


@pytest.mark.parametrize("text", ["1h", "24h", "15d", "20wd", "2mo", "9999d"])
def test_a_legal_time_is_written_as_it_is_read(text):
    assert str(parse_time(text)) == text
    assert isinstance(parse_time(text), LegalTime)


@pytest.mark.parametrize(
    "text", ["0d", "01d", "1", "d", "1 d", "1w", "10000d", "-1d", "1d ", "1d\n", "１d", "1.5d", "1D", ""]
)
def test_another_form_is_no_legal_time(text):
    with pytest.raises(ValueError, match="whole number"):
        parse_time(text)


def calendar(**more):
    year = {"status": "own", "source": "a test", "days_off": [], "worked": []}
    said = {"schema": "calendar/1", "id": "x", "edition": "1", "title": {"en": "x", "zh": "x"}, "prefixes": ["1"]}
    return said | {"years": {"2026": year}} | more


def year(**more):
    return {"2026": {"status": "own", "source": "a test", "days_off": [], "worked": []} | more}


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"years": year(days_off=["03-07"])}, "2026-03-07 is a day of a weekend"),
        ({"years": year(worked=["03-06"])}, "2026-03-06 is no day of a weekend"),
        ({"years": year(days_off=["02-29"])}, "2026-02-29 is no day"),
        ({"years": year(worked=["02-30"])}, "2026-02-30 is no day"),
        ({"years": year(days_off=["13-01"])}, "pattern"),
        ({"years": year(days_off=["3-6"])}, "pattern"),
        ({"years": year(status="sure")}, "cited"),
        ({"years": year(source="")}, "at least 1"),
        ({"years": {}}, "at least 1"),
        ({"years": {"26": year()["2026"]}}, "pattern"),
        ({"prefixes": []}, "at least 1"),
        ({"prefixes": ["11a"]}, "pattern"),
        ({"prefixes": ["1234567"]}, "pattern"),
        ({"title": {"en": "x"}}, "zh"),
        ({"edition": ""}, "at least 1"),
        ({"colour": "red"}, "Extra"),
        ({"schema": "calendar/2"}, "calendar/1"),
    ],
)
def test_what_is_no_calendar_is_refused(wrong, told):
    with pytest.raises(ValidationError, match=told):
        Calendar.model_validate(calendar(**wrong))


def test_the_longest_prefix_decides_and_a_place_without_calendar_has_none():
    one, two, all_ = (
        Calendar.model_validate(calendar(id=name, prefixes=prefixes))
        for name, prefixes in (("one", ["11", "44"]), ("two", ["1101", "4"]), ("all", [""]))
    )
    for code, wanted in (("110000", "one"), ("110105", "two"), ("440100", "one"), ("450000", "two")):
        assert calendar_for(code, [one, two]).id == wanted
    assert calendar_for("710000", [one, two]) is None
    assert calendar_for("710000", [one, two, all_]).id == "all"
    assert calendar_for("110000", []) is None


def test_of_two_calendars_with_one_prefix_the_last_by_id_decides_in_any_order():
    both = [Calendar.model_validate(calendar(id=name)) for name in ("b", "a")]
    assert {calendar_for("100000", order).id for order in (both, both[::-1])} == {"b"}


@pytest.mark.parametrize("code", ["110000", "310115", "440300", "500000", "650100"])
def test_the_mainland_has_the_shipped_calendar(code):
    assert calendar_for(code, default_bundle().calendars.values()).id == "cn"


@pytest.mark.parametrize("code", ["710000", "810000", "820000", "990000"])
def test_other_places_have_none(code):
    assert calendar_for(code, default_bundle().calendars.values()) is None


def test_a_calendar_is_part_of_the_bundle_and_of_its_hash():
    whole = default_bundle()
    again = Bundle.from_record(whole.to_record())
    assert again.calendars == whole.calendars
    less = Bundle.of(whole.rules, whole.tables.values(), whole.exceptions)
    assert less.sha256 != whole.sha256
    assert whole.only({"report-clock.rectification"}).calendars == whole.calendars


TEXT = """schema: calendar/1
id: cn
edition: 'EDITION'
title: {en: x, zh: x}
prefixes: ['1']
years: {'2026': {status: own, source: a test, days_off: ['03-06'], worked: []}}
"""


def test_a_later_folder_replaces_a_calendar_by_another_edition_and_one_that_stands_twice_is_a_fault(tmp_path: Path):
    (tmp_path / "cn.yaml").write_text(TEXT.replace("EDITION", "own"))
    shipped = Path("rules/packs/calendars")
    loaded, faults = load_files([shipped, tmp_path])
    bundle, more = bundle_of(loaded)
    assert (faults, more) == ([], [])
    assert bundle.calendars["cn"].edition == "own"
    (tmp_path / "cn.yaml").write_text(TEXT.replace("EDITION", CN.edition))
    _, more = bundle_of(load_files([shipped, tmp_path])[0])
    assert [fault.code for fault in more] == ["duplicate_id"]


@pytest.mark.parametrize(
    ("day", "place", "told"), [("03-07", "6:58", "2026-03-07 is a day"), ("13-07", "6:58", "days_off/0")]
)
def test_the_faults_of_a_calendar_file_name_their_place(tmp_path: Path, day: str, place: str, told: str):
    (tmp_path / "cn.yaml").write_text(TEXT.replace("03-06", day))
    loaded, (fault,) = load_files([tmp_path])
    assert fault.pointer.endswith(f"cn.yaml:{place}")
    assert told in fault.detail
    assert [item.taken.places for item in loaded] == [{"/years/2026/days_off/0"}]
    with pytest.raises(BadInputError):
        load_bundle([tmp_path])
