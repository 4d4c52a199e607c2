"""Kind `last_digit`, check `precision`, decided from scratch over all rows of a series."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import cache
from itertools import pairwise

from tests.rules.oracle.limit import Event


@dataclass
class Precision:
    """The numbers of the rule on one series."""

    resolution: float
    number: int
    within: int
    clean: int
    base: int
    interval: int


def decimals(resolution):
    """Return how many decimals people write a resolution with, at most nine."""
    return min(9, max(0, -Decimal(repr(resolution)).normalize().as_tuple().exponent))


@cache
def more(value, resolution):
    """Say whether a value has more decimals, to the millionth of the last one; too large ones say nothing."""
    if abs(value) == float("inf"):
        return False
    last = abs(Fraction(value)) * 10 ** decimals(resolution)
    return last < 10**9 and abs(last - round(last)) > Fraction(1, 10**6)


def decide(rule, rows, clock):  # noqa: ARG001 - the clock decides nothing
    """Return all transitions of rows (t, m, v or None) ordered by event time."""
    events = []
    start = None
    since = -1  # such values up to this time count no more
    fine, calm = [], []  # their times; the times of the others behind the newest of them
    for t, m, v in rows:
        if v is None:
            continue
        if more(v, rule.resolution):
            fine, calm = [*fine, t], []
            times = [s for s in fine if s > since]
            if start is None and len(times) >= rule.number and t - times[-rule.number] <= rule.within:
                start = times[-rule.number]
                events.append(Event("raised", t, m, start, None, rule.base))
            continue
        calm = [*calm, t]
        if start is None:
            continue
        covered = sum(b - a for a, b in pairwise(calm) if b - a <= 2 * rule.interval)
        if covered >= rule.clean:
            events.append(Event("cleared", t, m, start, calm[0], rule.base))
            start, since = None, t
    return events
