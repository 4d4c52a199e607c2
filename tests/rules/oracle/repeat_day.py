"""Kind `repeat_day`, decided from scratch: two whole days of rows, side by side, when the first row says that both are over."""

from __future__ import annotations

import math
from collections import Counter
from datetime import datetime, timedelta, timezone
from fractions import Fraction

from rules.params import UNREGISTERED_INTERVAL_MS

CHINA = timezone(timedelta(hours=8))
HOUR = 3_600_000


def local_day(t):
    """Return the number of the local day that an instant lies in."""
    return datetime.fromtimestamp(t / 1000, CHINA).date().toordinal()


def begin(day):
    """Return the instant at which a local day begins, ms."""
    return int(datetime.fromordinal(day).replace(tzinfo=CHINA).timestamp()) * 1000


def shown(value, resolution):
    """Return a value as the sensor shows it: in steps of its resolution, halves upward."""
    if resolution is None or not math.isfinite(value / resolution):
        return value
    return math.floor(value / resolution + 0.5)


def entries(rows, day, interval, resolution, tie):
    """Return {slot: (sixteenth of the interval, shown value)} of a day; slots lie round the whole intervals since midnight."""
    found = {}
    stride = max(1, math.ceil(Fraction(24 * HOUR, 48 * interval)))
    for t, _, v, q in rows:
        if local_day(t) != day or math.isnan(v) or q in (1, 5, 8):
            continue
        slot, rest = divmod(t - begin(day) + interval // 2, interval)
        if slot % stride:
            continue
        new = (math.floor(Fraction(16 * rest, interval)), tie(v), shown(v, resolution))
        found[slot] = min(found.get(slot, new), new)
    return {slot: (part, value) for slot, (part, _, value) in found.items()}


def is_copy(rule, rows, day, lag, interval, resolution, tie):
    """Say whether a day is a copy of the one `lag` days before: true, false, or None where too little is known."""
    new, old = (entries(rows, each, interval, resolution, tie) for each in (day, day - lag))
    pairs = [(new[s][1], old[s][1]) for s in new if s in old and abs(new[s][0] - old[s][0]) <= 8]
    numbers = Counter(value for value, _ in pairs)
    if len(pairs) < rule.pairs or len(numbers) < rule.distinct:
        return None
    chance = sum(Fraction(n, len(pairs)) ** 2 for n in numbers.values())
    if chance > Fraction(str(rule.chance)):
        return None
    return Fraction(sum(a == b for a, b in pairs), len(pairs)) >= Fraction(str(rule.share))


def copied(rule, sensor, rows, t, tie):
    """Return the beginnings of the days that are found to be copies at a new row: days that lie two hours behind it."""
    if not rows:
        return []
    interval = sensor.interval or UNREGISTERED_INTERVAL_MS
    newest = rows[-1][0]
    found = []
    for day in (local_day(newest) - 1, local_day(newest)):
        if newest < begin(day + 1) + 2 * HOUR <= t and any(
            is_copy(rule, rows, day, lag // (24 * HOUR), interval, sensor.resolution, tie) for lag in rule.lags
        ):
            found.append(begin(day))
    return found
