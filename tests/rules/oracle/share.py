"""How much of a month is marked, in plain words: every flagged row is kept, and of every instant it is asked whether anything covers it."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from fractions import Fraction
from itertools import pairwise

CHINA = timezone(timedelta(hours=8))
CODES = {"maintenance": 3, "calibration": 4, "fault": 6, "stopped": 7}


def local(at):
    return datetime.fromtimestamp(at / 1000, CHINA)


def instant(moment):
    return round(moment.timestamp() * 1000)


def day_of(at):
    """The local midnight at or before an instant."""
    return local(at).replace(hour=0, minute=0, second=0, microsecond=0)


def month_before(midnight):
    """The month that a midnight ends or lies in: its first instant, and that of the next."""
    first = (local(midnight) - timedelta(hours=1)).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return instant(first), instant((first + timedelta(days=32)).replace(day=1))


def judged_midnight(now, delivery):
    return instant(day_of(now - delivery))


def next_judgement(now, delivery):
    """The first instant behind `now` that lies `delivery` behind a midnight."""
    day = day_of(now) - timedelta(days=2)
    while instant(day) + delivery <= now:
        day += timedelta(days=1)
    return instant(day) + delivery


def present(facility, at):
    """The facility with the sensors that are in force at an instant: of each tag the entry that began last."""
    newest = {}
    for sensor in sorted(facility.sensors, key=lambda s: s.from_ or 0):
        if (sensor.from_ or 0) <= at:
            newest[sensor.tag] = sensor
    return facility.model_copy(update={"sensors": sorted(newest.values(), key=lambda s: s.tag)})


class Shares:
    """The flagged rows of a facility, for one rule."""

    def __init__(self):
        self.rows = []

    def flag(self, rule, tag, t, quality, received, delivery):
        """A row comes, whatever else becomes of it."""
        judged, _ = month_before(judged_midnight(received, delivery))
        if quality in [CODES[flag] for flag in rule.flags] and judged <= t <= received + 300_000:
            self.rows.append((tag, t))

    def spans(self, sensor):
        """The time that the rows of a series stand for."""
        times = sorted({t for tag, t in self.rows if tag == sensor.tag})
        if sensor.interval is None:
            return []
        found = []
        for i, t in enumerate(times):
            following = times[i + 1] if i + 1 < len(times) else None
            near = following is not None and 2 * (following - t) <= 3 * sensor.interval
            found.append((t, max(following, t + sensor.interval) if near else t + sensor.interval))
        return found

    def judge(self, rule, rare, sensor, midnight):
        """What the rule says of a series: (start, colour), None where nobody knows, or "nothing"."""
        begin, end = month_before(midnight)
        spans = self.spans(sensor) + rare.owner.marks.times(sensor.tag, rule.flags)
        low = max(begin, rare.registered[sensor.tag])
        edges = sorted({low, midnight, *(edge for span in spans for edge in span if low < edge < midnight)})
        marked = 0
        for a, b in pairwise(edges):
            if a >= low and any(first <= a and b <= last for first, last in spans):
                marked += b - a
        share = Fraction(marked, end - begin)
        if share > Fraction(str(rule.share)):
            return begin, rule.severity.base.rank
        if rule.notice is not None and share >= Fraction(str(rule.notice.share)):
            return begin, rule.notice.severity.rank
        rows = any(tag == sensor.tag and begin <= t < midnight for tag, t in self.rows)
        return None if sensor.interval is None and rows else "nothing"
