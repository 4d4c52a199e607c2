"""Kind `jump`, decided from scratch: the changes of all rows of a series, judged as a limit is."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

from rules.register import Span
from tests.rules.oracle import limit

BIG = 1_000_000_000


class Jumps:
    """The numbers of a jump rule on one series."""

    def __init__(self, rule, interval, delivery, unknown):
        span = rule.limits.from_ or Span()
        low = -limit.INFINITY if span.low is None else span.low
        high = limit.INFINITY if span.high is None else span.high
        width = rule.clear.deadband
        if isinstance(width, str):
            width = abs(high if high < limit.INFINITY else low) * float(width[:-1]) / 100
        if high - low < limit.INFINITY:
            width = min(width, (high - low) / 4)
        self.limits = limit.Limits(
            low, high, width, rule.limits.inclusive, rule.when.consecutive, 0, rule.clear.consecutive,
            rule.clear.off_delay, rule.severity.base.rank, [], interval, delivery, unknown,
        )  # fmt: skip

    def outside(self, change):
        return self.limits.outside(change)


def change_of(old, new):
    """Return the change to the millionth of a unit, None where no number tells it."""
    change = new - old
    if abs(change) == limit.INFINITY:
        return None
    if abs(change) >= BIG:
        return change
    # Exact, and so are the halves that random values make: none.
    return float(Decimal(change).quantize(Decimal("0.000001"), ROUND_HALF_EVEN))


def changes(rows, interval):
    """Return (t, m, change or None) of rows (t, m, v or None): against the known row before, if it is near enough."""
    found = []
    for i, (t, m, v) in enumerate(rows):
        before = [(s, u) for s, _, u in rows[:i] if u is not None]
        change = None
        if v is not None and before and t - before[-1][0] <= 2 * interval:
            change = change_of(before[-1][1], v)
        found.append((t, m, change))
    return found


def decide(rule, rows, clock):
    """Return all transitions of rows ordered by event time; clock is the facility's now."""
    return limit.decide(rule.limits, changes(rows, rule.limits.interval), clock)
