"""Kind `mean_kinetic`, decided from scratch over all rows of a series, with the calendar of the standard library."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from tests.rules.oracle.limit import Event

ZONE = ZoneInfo("Asia/Shanghai")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass
class Mean:
    """The numbers of a mean kinetic rule on one series."""

    above: float
    clear_at: float
    base: int
    interval: int
    delivery: int


def month_of(t):
    """Return (year, month) of an instant."""
    local = (EPOCH + timedelta(milliseconds=t)).astimezone(ZONE)
    return local.year, local.month


def begin_of(month):
    """Return the instant at which a month begins."""
    return (datetime(*month, 1, tzinfo=ZONE) - EPOCH) // timedelta(milliseconds=1)


def shift(month, by):
    """Return the month `by` months later."""
    number = month[0] * 12 + month[1] - 1 + by
    return number // 12, number % 12 + 1


def mean_of(pairs):
    """Return the mean kinetic temperature (Cel) of (duration, sum of duration times rate), to four digits."""
    weight = sum(w for w, _ in pairs)
    total = 0.0
    for _, s in pairs:
        total += s
    return math.floor((10_000.0 / -math.log(total / weight) - 273.15) * 10_000 + 0.5) / 10_000


def decide(rule, rows, clock):
    """Return all transitions of rows (t, m, v or None) ordered by event time."""
    events = []
    months = {}  # month -> (covered, sum of rates), spans in the order of their rows
    last = None
    before = None
    current = None
    judged = 0
    start = None
    unknown = False
    value = None

    def tell(kind, at, received, end=None):
        events.append(Event(kind, at, received, start, end, rule.base, value))

    def weigh(begin, end):
        covered, total = months.get(month_of(begin), (0, 0.0))
        rate = math.exp(-10_000.0 / (last[1] + 273.15))
        months[month_of(begin)] = (covered + (end - begin), total + (end - begin) * rate)

    def judge(month, at, received):
        nonlocal start, unknown, value
        end = begin_of(shift(month, 1))
        year = [months.get(shift(month, -11 + k), (0, 0.0)) for k in range(12)]
        covered = sum(w for w, _ in year)
        if min(w for w, _ in year) == 0 or covered * 4 < 3 * (end - begin_of(shift(month, -11))):
            if start is not None and not unknown:
                unknown = True
                tell("unknown", at, received)
            return
        value = mean_of(year)
        if start is None:
            if value > rule.above:
                start = end
                tell("raised", at, received)
            return
        if unknown:
            unknown = False
            tell("known", at, received)
        if value <= rule.clear_at:
            tell("cleared", at, received, end)
            start = None

    def clock_to(to):
        nonlocal judged, unknown
        if current is None:
            return
        for which in (0, 1):
            standing = start is not None and not unknown
            some = which == 0 and months.get(current, (0, 0))[0] > 0
            due = max(begin_of(shift(current, which + 1)) + 2 * rule.interval + rule.delivery, before)
            if judged > which or due > to or not (standing or some):
                continue
            judged = which + 1
            if which == 0:
                judge(current, due, due)
            else:
                unknown = True
                tell("unknown", due, due)

    for t, m, v in rows:
        if before is not None and m > before:
            clock_to(m)
        before = m
        if v is None or not -100 <= v <= 1_000:
            continue
        if current is None:
            current = month_of(t)
        covered = last is not None and t - last[0] <= 2 * rule.interval
        since = last[0] if covered else None
        while current < month_of(t):
            end = begin_of(shift(current, 1))
            if covered:
                weigh(since, end)
                since = end
            judge(current, t, m)
            current, judged = shift(current, 1), 0
        if covered and t > since:
            weigh(since, t)
        last = (t, v)
    if before is not None and clock > before:
        clock_to(clock)
    return events
