"""Figures of reports against rows, plainly: every row of the log is kept, and each hour or day is measured anew at every question.

Rows are asked by event time; marks, quality and what came again are looked at one by one. All times in ms.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from rules.records import Mark, Readings, RegisterRecord, Report
from tests.rules.splits import rows_of

ZONE, EPOCH = ZoneInfo("Asia/Shanghai"), datetime(1970, 1, 1, tzinfo=UTC)
HOUR, DAY, MINUTE, SECOND = 3_600_000, 86_400_000, 60_000, 1_000
KNOWN = {0, 2}
"""Qualities that are known: good, over the limit."""


@dataclass
class Measured:
    """An hour or a day of one series."""

    begin: int
    end: int
    rows: int = 0
    known: int = 0
    outside: int = 0
    low: float = math.inf
    high: float = -math.inf
    total: float = 0.0


@dataclass
class Series:
    """One sensor, and its rows by event time: the first that came with it stays."""

    sensor: object
    rows: dict = field(default_factory=dict)
    limits: list = field(default_factory=list)
    """(from when, limits) of each register record, by time: they hold from the millisecond behind its receipt."""

    def is_outside(self, t):
        """Say whether a row is outside of the limits at its event time, or at its receive time where that is earlier."""
        value, _, received = self.rows[t]
        limits = [limits for since, limits in self.limits if since <= min(t, received)][-1:] or [self.limits[0][1]]
        return value < limits[0].low or value > limits[0].high


def local(t):
    return (EPOCH + timedelta(milliseconds=t)).astimezone(ZONE)


def begin_of(t, unit):
    """Return when the hour or local day of an instant begins."""
    at = local(t).replace(minute=0, second=0, microsecond=0)
    at = at if unit == HOUR else at.replace(hour=0)
    return (at - EPOCH) // timedelta(milliseconds=1)


def known_rows(series, marks):
    """Return (event time, value) of the rows that count, by event time."""
    tag, area = series.sensor.tag, series.sensor.area
    spans = [(m.from_, m.to) for m in marks if tag in (m.tags or ()) or m.area == area]
    return [
        (t, value)
        for t, (value, quality, _) in sorted(series.rows.items())
        if quality in KNOWN and not math.isnan(value) and not any(a <= t <= (math.inf if b is None else b) for a, b in spans)
    ]  # fmt: skip


def periods(series, marks, unit):
    """Return the hours or days of a series by their begin."""
    found = {}

    def at(t):
        begin = begin_of(t, unit)
        return found.setdefault(begin, Measured(begin, begin + unit))

    far, rows = 2 * series.sensor.interval, known_rows(series, marks)
    for i, (t, value) in enumerate(rows):
        if i and t - rows[i - 1][0] <= far:
            since, before = rows[i - 1]
            outside = series.is_outside(since)
            while since < t:
                one = at(since)
                span = min(t, one.end) - since
                one.known += span
                one.outside += span if outside else 0
                one.total += span * math.exp(-10_000 / (before + 273.15))
                since += span
        one = at(t)
        one.rows += 1
        one.low, one.high = min(one.low, value), max(one.high, value)
    return found


def months(text):
    """Return begin and end of a year, a quarter or a month."""
    year, _, part = text.partition("-")
    first = 3 * int(part[1:]) - 2 if part.startswith("Q") else int(part or 1)
    count = 12 if not part else 3 if part.startswith("Q") else 1
    ends = [(int(year) + (m - 1) // 12, (m - 1) % 12 + 1) for m in (first, first + count)]
    return [(datetime(y, m, 1, tzinfo=ZONE) - EPOCH) // timedelta(milliseconds=1) for y, m in ends]


def between(of, many, begin, end):
    """Return the least and the greatest that a figure of one series can be, or None."""
    cut = [one for one in many if one.begin < end and one.end > begin]
    whole = [one for one in cut if one.begin >= begin and one.end <= end]
    if of == "max":
        return max([one.high for one in whole], default=-math.inf), max([one.high for one in cut], default=-math.inf)
    if of == "min":
        return min([one.low for one in cut], default=math.inf), min([one.low for one in whole], default=math.inf)
    if of == "outside":
        inside = {one.begin: min(one.end, end) - max(one.begin, begin) for one in cut}
        least = sum(max(0, one.outside - (one.end - one.begin - inside[one.begin])) for one in cut)
        return least, sum(min(one.outside, inside[one.begin]) for one in cut)
    weight, total = sum(one.known for one in whole), sum(one.total for one in whole)
    if len(cut) > len(whole) or not weight:
        return None
    mean = round((10_000 / -math.log(total / weight) - 273.15) * 10_000) / 10_000
    return mean, mean


class Oracle:
    """One rule that compares figures, over the log of one facility."""

    def __init__(self, rule):
        """Begin with nothing."""
        self.rule, self.changes, self.series, self.marks = rule, [], {}, {}
        self.said, self.since, self.told, self.numbers = {}, None, {}, {}

    def run(self, log, told, until):
        """Return (report, change, start, received) of what is told; `told`: changes of the rules that tell excursions."""
        self.excursions = [change for change in told if change.rule in self.rule.reads]
        for record in log:
            self.clock(record.received)
            self.take(record.payload, record.received)
        self.clock(until)
        return self.changes

    def take(self, payload, at):
        if isinstance(payload, RegisterRecord) and self.since is None:
            self.since = at
            self.series = {sensor.tag: Series(sensor) for sensor in payload.facility.sensors}
            self.areas = {area.id: area.kind for area in payload.facility.areas}
            self.limit(payload, at)
        elif isinstance(payload, RegisterRecord):
            self.limit(payload, at)
            for said in self.said.values():
                if said["judged"] and said["due"] is not None:
                    said["due"] = min(said["due"], at + SECOND)
        elif isinstance(payload, Readings):
            for row in rows_of(payload):
                if row.tag in self.series:
                    self.series[row.tag].rows.setdefault(row.t, (row.v, row.q, at))
        elif isinstance(payload, Mark):
            self.marks[payload.id] = payload
        elif isinstance(payload, Report) and payload.type == self.rule.report:
            self.report(payload, at)

    def limit(self, payload, at):
        for sensor in payload.facility.sensors:
            self.series[sensor.tag].limits.append((at + 1, sensor.limits))

    def report(self, payload, at):
        before, time = self.said.get(payload.id), self.rule.time
        if payload.revision <= self.numbers.get(payload.id, 0):
            return  # also of one that stated nothing
        self.numbers[payload.id] = payload.revision
        fields = payload.fields
        figures = {one.of: value for one in self.rule.figures if (value := stated(fields, one.field)) is not None}
        if not figures and not before:
            return
        begin, end = months(fields[time.period]) if time.period else (fields[time.from_], fields[time.to])
        judged = before is not None and before["judged"]
        first = max(at + (SECOND if judged else self.rule.wait), end + self.rule.wait)
        self.said[payload.id] = {
            "figures": figures, "begin": begin, "end": end, "at": at, "first": first, "due": first,
            "asset": fields.get(self.rule.asset) if self.rule.asset else None, "judged": judged,
            "revised": judged,
        }  # fmt: skip
        if begin >= end:
            self.said[payload.id] |= {"begin": None, "first": at + (SECOND if judged else self.rule.wait)}
            self.said[payload.id]["due"] = self.said[payload.id]["first"]

    def clock(self, to):
        while waiting := sorted((one["due"], key) for key, one in self.said.items() if one["due"] is not None):
            due, key = waiting[0]
            if due > to:
                return
            self.judge(key, self.said[key], due)

    def judge(self, key, said, at):
        said["judged"] = True
        said["due"] = at + DAY if said["begin"] is not None and at + DAY <= said["first"] + 30 * DAY else None
        wrong, revised, said["revised"] = self.is_wrong(said, at), said["revised"], False
        open_, start, unknown = self.told.get(key, (False, None, False))
        if not open_ and wrong:
            self.told[key] = (True, said["at"], False)
            self.changes.append((key, "raised", said["at"], at))
        elif open_ and wrong is False:
            self.told[key] = (False, None, False)
            self.changes.append((key, "cleared", start, at))
        elif open_ and unknown != (wrong is None):
            self.told[key] = (True, start, wrong is None)
            self.changes.append((key, "unknown" if wrong is None else "known", start, at))
        elif open_ and wrong and revised:
            self.changes.append((key, "amended", start, at))

    def is_wrong(self, said, at):
        """Return True, False or None."""
        verdicts = [self.is_off(said, one, at) for one in self.rule.figures if one.of in said["figures"]]
        return True if True in verdicts else None if None in verdicts else False

    def meant(self, said):
        kind = self.rule.applies_to.get("area.kind")
        for series in self.series.values():
            sensor = series.sensor
            named = said["asset"] is None or said["asset"] in {sensor.tag, sensor.area}
            if named and sensor.quantity == "temperature" and (kind is None or self.areas[sensor.area] == kind):
                yield series

    def is_off(self, said, one, at):
        begin, end = said["begin"], said["end"]
        unit = HOUR if self.rule.time.period is None else DAY
        many = [list(periods(series, self.marks.values(), unit).values()) for series in self.meant(said)]
        if begin is None or not many:
            return None
        for each in many:
            known = sum(
                max(0, p.known - (p.end - p.begin - (min(p.end, end) - max(p.begin, begin))))
                for p in each if p.begin < end and p.end > begin
            )  # fmt: skip
            if known < self.rule.known * (end - begin):
                return None
        if one.of == "excursions":
            bounds = self.counted(said, at, {series.sensor.tag for series in self.meant(said)})
        else:
            found = [between(one.of, each, begin, end) for each in many]
            if None in found:
                return None
            lows, highs = zip(*found, strict=True)
            if one.of == "outside":
                bounds = max(lows) / MINUTE, min(sum(highs), end - begin) / MINUTE
            else:
                choose = min if one.of == "min" else max
                bounds = (min(lows), max(highs)) if one.of == "mean-kinetic" else (choose(lows), choose(highs))
        return off(said["figures"][one.of], bounds, one.tolerance)

    def counted(self, said, at, tags):
        """Return how many excursions lie in a time, twice; None where the rule came later."""
        if self.since > said["begin"]:
            return None
        newest = {c.alarm: c for c in self.excursions if c.received < at}
        gone = {c.alarm for c in self.excursions if c.received < at and c.change.value == "retracted"}
        meant = [c for c in newest.values() if c.alarm not in gone and c.subject["tag"] in tags]
        count = sum(c.start < said["end"] and (c.end is None or c.end >= said["begin"]) for c in meant)
        return count, count


def off(value, bounds, tolerance):
    if bounds is None:
        return None
    low, high = bounds
    if round(low - value, 9) > tolerance or round(value - high, 9) > tolerance:
        return True
    near = all(round(abs(bound - value), 9) <= tolerance for bound in bounds)
    return False if near else None


def stated(fields, path):
    name, _, inner = path.partition(".")
    value = fields.get(name)
    return value.get(inner) if inner and value is not None else value
