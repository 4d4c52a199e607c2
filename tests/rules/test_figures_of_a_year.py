"""An annual report that comes on 30 April is compared with all of the year that it is about, and stays so for thirty days."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from rules.excursions import figures
from rules.excursions.book import KEPT_MS, Book, Claim
from rules.kinds import summary
from tests.rules.byhand import HandLog, ms
from tests.rules.claimlogs import MONTH
from tests.rules.test_claims_by_hand import BUNDLE, DAY, folded, register, told

FIRST = date(2026, 3, 1)


def day(year: int, month: int, number: int) -> int:
    """Return a local midnight in minutes."""
    return DAY * (date(year, month, number) - FIRST).days


def year(value: float, **figures_: Any) -> tuple[HandLog, int]:
    """A leap year of hourly rows at 5, but for one on 1 January, up to a report on 30 April; returns the log and when it came."""
    begin, end = day(2028, 1, 1), day(2029, 4, 30)
    hand = register(HandLog(), begin - DAY, interval="1h")
    times = list(range(begin - DAY, end, 60))
    for i in range(0, len(times), 2_000):
        part = times[i : i + 2_000]
        hand.rows(part[-1], ("T1", part, [value if t == begin + 60 else 5.0 for t in part]))
    said = {"product": "P-1", "period": "2028", "figures": figures_}
    data = {"id": "R-1", "type": "quality-review", "revision": 1, "sent": ms(end), "fields": said}
    return hand.line(end, "report", data), end


def test_the_first_day_of_the_year_counts_until_thirty_days_are_over() -> None:
    hand, at = year(9.0, max_temperature=5.0)
    assert told(hand, at + 40 * DAY, MONTH) == [("raised", at + DAY)]


def test_a_right_report_is_right_also_of_the_first_day() -> None:
    hand, at = year(9.0, max_temperature=9.0, minutes_outside=60)
    assert told(hand, at + 40 * DAY, MONTH) == []


def test_what_is_kept_reaches_back_from_a_report_of_30_april_and_thirty_days_more() -> None:
    needed = (date(2029, 5, 30) - date(2028, 1, 1)).days
    assert needed == 515
    assert needed + 1 <= summary.DAYS - summary.DAY_SPAN
    assert summary.DAYS - summary.DAY_SPAN == KEPT_MS // (DAY * 60_000)


@pytest.mark.parametrize(("older", "known"), [(0, True), (1, False)])
def test_a_number_of_excursions_is_unknown_of_a_time_that_is_kept_no_longer(older: int, known: bool) -> None:
    state = folded(register(HandLog())).state_of("HAND-0001")
    begin = ms(0)
    said = Claim(id="R-1", begin=begin, end=begin + 1, decided=begin + KEPT_MS + older)
    found = figures.measured(BUNDLE.rule(MONTH), said, Book(since=begin - 1), state)
    assert (found.excursions is not None) == known


@pytest.mark.parametrize("counter", ["excursion_left_out", "excursion_dropped"])
def test_a_number_of_excursions_is_unknown_where_some_had_no_room(counter: str) -> None:
    state = folded(register(HandLog())).state_of("HAND-0001")
    book, said = Book(since=0), Claim(id="R-1", begin=ms(0), end=ms(1), decided=ms(2))
    assert figures.measured(BUNDLE.rule(MONTH), said, book, state).excursions == 0
    book.counts[counter] += 1
    assert figures.measured(BUNDLE.rule(MONTH), said, book, state).excursions is None
