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
    below: float | None
    clear_above: float | None
    share: float | None
    before: float | None
    clear_below: float | None
    weeks: int
    base: int
    interval: int
    limit: float | None
    step: float | None


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
    check = rule.check
    found = defaultdict(list)
    before = None
    for t, _, v in rows:
        day = found[local(t)]
        if check == "spread":
            day.append(v)
        elif check == "at-limit":
            day.append(int(rule.limit - rule.step * 1.000_001 <= v <= rule.limit + rule.step * 1.000_001))
        elif before is not None and t - before[0] <= 2 * rule.interval:
            day.append(v - before[1])
        before = (t, v)
    return found


def known(rule, values, days=7):
    """The standard deviation, or the share, of some days of values, None where fewer than three quarters came."""
    if len(values) < Fraction(3, 4) * Fraction(days * 86_400_000, rule.interval):
        return None
    return Fraction(sum(values), len(values)) if rule.check == "at-limit" else deviation(tuple(values))


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
    shares = rule.check == "at-limit"
    span = 1 if shares else 7
    events, start, against = [], None, None
    for day, (t, m, _) in sorted(behind.items()):
        told = known(rule, days_of(found, day, span), span)
        begin = midnight(day - timedelta(days=span - 1))
        if told is not None:
            if start is None:
                against = share_before(weeks, rule.weeks) if shares else median_before(weeks, day, rule.weeks)
            if against is None:
                begins = ends = False
            elif shares:
                begins = not less(told, rule.share) and less(against, rule.before)
                ends = less(told, rule.clear_below)
            else:
                begins = less(told / against, rule.below)
                ends = less(rule.clear_above, told / against, turned=True)
            if start is None and begins:
                start = begin
                events.append(Event("raised", t, m, start, None, rule.base))
            elif start is not None and ends:
                events.append(Event("cleared", t, m, start, begin, rule.base))
                start = None
        new = local(t)
        if week(new) != week(day) and start is None:
            weeks.append(known(rule, days_of(found, day, day.isoweekday())))
            monday = day - timedelta(days=day.isoweekday() - 1)
            weeks += [None] * min((new - timedelta(days=new.isoweekday() - 1) - monday).days // 7 - 1, 20)
    return events


def median_before(weeks, day, least):
    """The median of the thirteen weeks before the one that seven days which end with `day` begin in."""
    before = weeks if day.isoweekday() == 7 else weeks[:-1]
    told = [each for each in before[-13:] if each is not None]
    found = statistics.median(told) if len(told) >= least else 0
    return found if found > 1e-6 else None


def share_before(weeks, least):
    """The mean of the thirteen newest weeks."""
    told = [each for each in weeks[-13:] if each is not None]
    return statistics.mean(told) if len(told) >= least else None


def less(a, b, *, turned=False):
    """Whether a ratio, rounded to a hundred-thousandth, is less than a bound; where rounding itself is in doubt, no example of a test."""
    ratio = b if turned else a
    assume(abs(float(ratio) * 1e5 % 1 - 0.5) > 0.01 or ratio > 9)
    rounded = Fraction(math.floor(Fraction(ratio) * 100_000 + Fraction(1, 2)), 100_000)
    bound = Fraction(repr(a if turned else b))
    return rounded > bound if turned else rounded < bound
