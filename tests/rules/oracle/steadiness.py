"""Kind `steadiness`, decided from scratch over all rows of a series: exact sums of fractions, days and weeks by the calendar."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise

from hypothesis import assume

from tests.rules.oracle.limit import Event

AHEAD = timedelta(hours=8)


@dataclass
class Steadiness:
    """The numbers of the rule on one series."""

    check: str
    below: float
    clear_above: float
    weeks: int
    base: int
    interval: int


@lru_cache(20_000)
def local(t):
    """The day of an instant, as a clock on the wall has it."""
    return (datetime.fromtimestamp(t / 1000, UTC) + AHEAD).date()


def midnight(day):
    return int((datetime(day.year, day.month, day.day, tzinfo=UTC) - AHEAD).timestamp() * 1000)


def week(day):
    return day.isocalendar()[:2]


def taken(rule, rows):
    """Return {day: what is taken of its rows}, in which days without anything but with rows stand too."""
    found = defaultdict(list)
    before = None
    for t, _, v in rows:
        day = found[local(t)]
        if rule.check == "spread":
            day.append(v)
        elif before is not None and t - before[0] <= 2 * rule.interval:
            day.append(v - before[1])
        before = (t, v)
    return found


def known(rule, values):
    """The standard deviation of seven days of values, None where fewer than three quarters came."""
    if len(values) < Fraction(3, 4) * Fraction(7 * 86_400_000, rule.interval):
        return None
    return deviation(tuple(values))


@lru_cache(20_000)
def deviation(values):
    return math.sqrt(statistics.pvariance(map(Fraction, values)))


def days_of(found, last, number):
    return [value for k in range(number) for value in found.get(last - timedelta(days=k), [])]


def decide(rule, rows, clock):  # noqa: ARG001 - the clock decides nothing
    """Return all transitions of rows (t, m, v or None) ordered by event time."""
    rows = [(t, m, v) for t, m, v in rows if v is not None and abs(v) < 1e15]
    found = taken(rule, rows)
    behind = {}  # day -> the row that leaves it behind
    for one, other in pairwise(rows):
        if local(other[0]) != local(one[0]):
            behind[local(one[0])] = other
    weeks = []  # entered, oldest first
    events, start, against = [], None, None
    for day, (t, m, _) in sorted(behind.items()):
        wide = known(rule, days_of(found, day, 7))
        if wide is not None:
            if start is None:
                before = weeks if day.isoweekday() == 7 else weeks[:-1]
                told = [each for each in before[-13:] if each is not None]
                against = statistics.median(told) if len(told) >= rule.weeks else None
            if against is not None and against > 1e-6:
                ratio = wide / against
                begin = midnight(day - timedelta(days=6))
                if start is None and less(ratio, rule.below):
                    start = begin
                    events.append(Event("raised", t, m, start, None, rule.base))
                elif start is not None and less(rule.clear_above, ratio, turned=True):
                    events.append(Event("cleared", t, m, start, begin, rule.base))
                    start = None
        new = local(t)
        if week(new) != week(day) and start is None:
            weeks.append(known(rule, days_of(found, day, day.isoweekday())))
            monday = day - timedelta(days=day.isoweekday() - 1)
            weeks += [None] * min((new - timedelta(days=new.isoweekday() - 1) - monday).days // 7 - 1, 20)
    return events


def less(a, b, *, turned=False):
    """Whether a ratio, rounded to a hundred-thousandth, is less than a bound; where rounding itself is in doubt, no example of a test."""
    ratio = b if turned else a
    assume(abs(ratio * 1e5 - math.floor(ratio * 1e5) - 0.5) > 0.01 or ratio > 9)
    rounded = Fraction(math.floor(Fraction(ratio) * 100_000 + Fraction(1, 2)), 100_000)
    bound = Fraction(repr(a if turned else b))
    return rounded > bound if turned else rounded < bound
