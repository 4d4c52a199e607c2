"""Kind `last_digit`, check `uniform`, decided from scratch over all rows of a series: the readings of each block as lists."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from fractions import Fraction

from tests.rules.oracle.limit import Event

TABLE = {0.1: "14.684", 0.05: "16.919", 0.025: "19.023", 0.01: "21.666", 0.001: "27.877"}
"""Upper critical values of chi square with nine degrees of freedom, as they are printed."""


@dataclass
class Uniform:
    """The numbers of the rule on one series."""

    resolution: float
    number: int
    related: float
    spread: int
    uneven: float
    even: float
    base: int


def steps(value, resolution):
    """A value as the sensor shows it, None where it is out of all proportion."""
    shown = value / resolution
    return None if not abs(shown) < 1e9 else math.floor(shown + 0.5)


def correlation(values):
    """The correlation of neighbours, None where it has none."""
    one, other = [Fraction(v) for v in values[:-1]], [Fraction(v) for v in values[1:]]
    a, b = statistics.mean(one), statistics.mean(other)
    over = sum((x - a) * (y - b) for x, y in zip(one, other, strict=True))
    under = sum((x - a) ** 2 for x in one) * sum((y - b) ** 2 for y in other)
    return None if under == 0 else math.copysign(float(over**2 / under), over)


def wide(values, spread):
    """Whether the 5th and the 95th percentile are surely so many steps apart: in tens of steps from the first value, five to each side."""
    tens = sorted(max(-5, min(4, (value - values[0]) // 10)) for value in values)
    n = len(tens)
    low = next(ten for i, ten in enumerate(tens, 1) if Fraction(i, n) >= Fraction(5, 100))
    high = next(ten for i, ten in enumerate(tens, 1) if Fraction(i, n) >= Fraction(95, 100))
    return (high - low) * 10 > spread


def chi_square(values):
    """The sum of squared differences from what is expected, each by what is expected."""
    expected = Fraction(len(values), 10)
    return sum((sum(v % 10 == digit for v in values) - expected) ** 2 / expected for digit in range(10))


def decide(rule, rows, clock):  # noqa: ARG001 - the clock decides nothing
    """Return all transitions of rows (t, m, v or None) ordered by event time."""
    events, start = [], None
    readings = [(t, m, s) for t, m, v in rows if v is not None and (s := steps(v, rule.resolution)) is not None]
    at, every = 0, 1
    while at < len(readings):
        quarter = readings[at : at + (rule.number // 4 - 1) * every + 1 : every]
        block = readings[at : at + (rule.number - 1) * every + 1 : every]
        if len(quarter) == rule.number // 4 and too_close(quarter, rule):
            at, every = at + (len(quarter) - 1) * every + every, min(2 * every, 1024)
            continue
        if len(block) < rule.number:
            break
        t, m, _ = block[-1]
        before = every
        if too_close(block, rule):
            every = min(2 * every, 1024)
        else:
            found = known(block)
            if found is not None and wide([s for _, _, s in block], rule.spread):
                chi = chi_square([s for _, _, s in block])
                if start is None and chi > Fraction(TABLE[rule.uneven]):
                    start = block[0][0]
                    events.append(Event("raised", t, m, start, None, rule.base))
                elif start is not None and chi < Fraction(TABLE[rule.even]):
                    events.append(Event("cleared", t, m, start, block[0][0], rule.base))
                    start = None
            if found is None or found <= 0 or 4 * found <= rule.related**2:
                every = max(every // 2, 1)
        at += (rule.number - 1) * before + min(before, every)
    return events


def known(block):
    """The signed square of the correlation of a block's neighbours."""
    first = block[0][2]
    return correlation([max(-500_000, min(500_000, s - first)) for _, _, s in block])


def too_close(block, rule):
    found = known(block)
    return found is not None and found > 0 and found >= rule.related**2
