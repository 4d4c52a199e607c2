"""Reports held against excursions, plainly: what the other rules told, what was reported and registered, each asked anew at every instant.

It begins with the changes of the rules that tell excursions; nothing of the log is forgotten. All times in ms.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from itertools import pairwise

from rules.models import Severity
from rules.records import RegisterRecord, Report
from rules.rule import (
    CompareRule,
    FollowUpRule,
    GapRule,
    GradeRule,
    LatenessRule,
    LedgerRule,
    LotRule,
    ParallelRule,
    ReportRule,
    ResultLimitRule,
    RevisionRule,
)

DAY = 86_400_000
CHINA = timezone(timedelta(hours=8))
FREE_2026, MADE_UP_2026 = {"2026-05-01", "2026-05-04", "2026-05-05"}, {"2026-05-09"}
COLOURS = [one.value for one in Severity]


@dataclass
class Alarm:
    subject: dict
    rule: str
    area: str
    start: int
    end: int | None
    top: int = 0
    peak: float | None = None
    partly: bool = False
    gone: bool = False


@dataclass
class World:
    """What is known at an instant."""

    facility: object
    alarms: dict = field(default_factory=dict)
    reports: dict = field(default_factory=dict)
    newest: dict = field(default_factory=dict)


OTHERS = ReportRule | ResultLimitRule | LatenessRule | RevisionRule | ParallelRule | LedgerRule | GradeRule | LotRule
"""Rules that have an oracle of their own."""


def plain(rules):
    """Return the rules that the plain fold (fold.py) decides: these two are held against the oracle of this file, and
    those over what reports say, over posted results, over what is declared too late and over what is posted without effect, and over parallel measurements,
    over facts that come in any order, over grades and over lots against ones of their own (documents.py, posted.py, lateness.py, amendments.py,
    revisions.py, parallel.py, ledger.py, grade.py, lots.py)."""
    found = [rule for rule in rules if not isinstance(rule, OTHERS)]
    return [rule for rule in found if not isinstance(rule, CompareRule | FollowUpRule) or rule.excursions is None]


def working_day_over(start, days):
    """24:00 local of the n-th working day behind the day of `start`."""
    day = datetime.fromtimestamp(start / 1000, CHINA).replace(hour=0, minute=0, second=0, microsecond=0)
    while days:
        day += timedelta(days=1)
        name = day.date().isoformat()
        days -= name in MADE_UP_2026 or (day.weekday() < 5 and name not in FREE_2026)
    return round((day + timedelta(days=1)).timestamp() * 1000)


def names(said, alarm, facility):
    """Whether a report is about an alarm: its sensor, its area, a device that stands there; and a time in common."""
    places = {alarm.subject.get("tag"), alarm.area} | {d.id for d in facility.devices if d.area == alarm.area}
    return (
        said["asset"] in places
        and said["from"] <= (alarm.end if alarm.end is not None else said["to"])
        and said["to"] >= alarm.start
    )


def sensors(facility, asset, at):
    found = {s.tag: s for s in facility.sensors if (s.from_ or 0) <= at}
    areas = {asset} | {d.area for d in facility.devices if d.id == asset}
    return {tag: s for tag, s in found.items() if tag == asset or s.area in areas}


def wanting(rule, world, alarm):
    """Whether an excursion is asked for and nothing names it."""
    if alarm.gone or alarm.top < rule.excursions.least.rank:
        return None
    return not any(names(said, alarm, world.facility) for said in world.reports.values())


def misstated(rule, world, gaps, said):
    """True, False, or None where it is not known; and whether the end of the time is still to come."""
    there = sensors(world.facility, said["asset"], said["to"])
    meant = {tag: s for tag, s in there.items() if tag == said["asset"] or s.unit == said["unit"]}
    if not meant:
        return None, False
    waits = any(world.newest.get(tag, -1) < said["to"] for tag in meant)
    found = [
        a for a in world.alarms.values()
        if a.rule not in gaps and not a.gone and a.top >= rule.excursions.least.rank
        and (a.subject["tag"] in meant or a.subject["tag"] not in there) and names(said, a, world.facility)
    ]  # fmt: skip
    if not found or waits or any(a.end is None or a.partly or a.subject["tag"] not in meant for a in found):
        return None, waits
    low, high = min(said["from"], *(a.start for a in found)), max(said["to"], *(a.end for a in found))
    for gap in world.alarms.values():
        silent = gap.rule in gaps and gap.subject.get("tag") in meant and not gap.gone
        if silent and gap.start <= high and (gap.end is None or gap.end >= low):
            return None, waits
    # The union by its pieces: between two neighbouring borders all is outside, or nothing.
    borders = sorted({t for a in found for t in (a.start, a.end)})
    measured = sum(b - a for a, b in pairwise(borders) if any(x.start <= a and b <= x.end for x in found))
    off = abs(round(said["duration_min"] * 60_000) - measured)
    interval = max(s.interval or 0 for s in meant.values())
    long = off > rule.duration.share * measured and off > rule.duration.intervals * interval
    far = None
    if all(meant[a.subject["tag"]].unit == said["unit"] for a in found):
        worst = max(sorted(found, key=lambda a: a.start), key=lambda a: max(a.peak - 8, 2 - a.peak))
        sensor = meant[worst.subject["tag"]]
        allowed = rule.peak.degrees if sensor.unit == "Cel" else sensor.error and rule.peak.errors * sensor.error
        far = None if allowed is None else round(abs(said["peak"] - worst.peak), 9) > round(allowed, 9)
    return (True if long or far else None if far is None else False), waits


class Told:
    """The alarm of one excursion or report, and what was said of it."""

    def __init__(self, subject):
        self.subject, self.open, self.unknown, self.start = subject, False, False, None


def place(step, log):
    """Return where a step stands: what the clock told on its way to a record stands before it, what the record told behind."""
    at, _, i, what = step
    if not isinstance(what, dict):
        return i, 0, i
    order = what["order"]
    return order, -1 if order < len(log) and at < log[order].received else 1, i


class Oracle:
    """One rule over one log."""

    def __init__(self, rule, bundle):
        self.rule, self.changes = rule, []
        self.gaps = {one.id for one in bundle.rules if isinstance(one, GapRule)}
        self.told, self.world, self.since, self.due = {}, None, None, {}
        self.judged = set()

    def say(self, key, kind, start, received):
        self.changes.append((self.told[key].subject, kind, start, received))

    def run(self, log, changes, until):
        """Fold: at each instant first the records in order with what they told, then (a millisecond behind) what is due."""
        reads = set(self.rule.reads)
        told = [c for c in changes if c["change"].rule in reads]
        steps = [(r.received, 0, i, r) for i, r in enumerate(log)]
        steps += [(c["change"].received, 1, i, c) for i, c in enumerate(told)]
        for _, _, _, what in sorted(steps, key=lambda step: place(step, log)):
            at = what["change"].received if isinstance(what, dict) else what.received
            self.clock(at)
            if isinstance(what, dict):
                self.hear(what["change"], what["top"])
            else:
                self.take(what)
        self.clock(until)
        return self.changes

    def clock(self, to):
        while self.due and min(self.due.values()) <= to:
            due = min(self.due.values())
            for key in sorted(key for key, at in self.due.items() if at == due):
                if self.due.get(key) != due:
                    continue
                del self.due[key]
                if isinstance(self.rule, CompareRule):
                    self.compare(key, due)
                else:
                    self.ask(key, due - 1, over=True)

    def take(self, record):
        payload, at = record.payload, record.received
        if isinstance(payload, RegisterRecord):
            first = self.world is None
            self.world = World(payload.facility) if first else self.world
            self.world.facility, self.since = payload.facility, at if first else self.since
            self.all(at, known=True)
        elif isinstance(payload, Report):
            before = self.world.reports.get(payload.id)
            if before is not None and before["revision"] >= payload.revision:
                return
            said = {**payload.fields, "revision": payload.revision, "received": at}
            self.world.reports[payload.id] = said
            if not isinstance(self.rule, CompareRule):
                self.all(at)
            elif payload.id in self.judged:
                self.compare(payload.id, at, revised=True)
            else:
                self.due[payload.id] = at + self.rule.wait
        elif hasattr(payload, "tags"):
            start = 0
            for tag, count in zip(payload.tags, payload.counts.tolist(), strict=True):
                times = payload.time[start : start + count].tolist()
                start += count
                self.world.newest[tag] = max([self.world.newest.get(tag, -1), *times])

    def all(self, at, *, known=False):
        if not isinstance(self.rule, CompareRule):
            for key in list(self.world.alarms):
                self.ask(key, at)
        elif known:
            for key in self.world.reports:
                if key in self.judged:
                    self.compare(key, at)

    def hear(self, change, top):
        subject, facility = change.subject, self.world.facility
        if change.rule in self.gaps and "tag" not in subject:
            return
        area = max(
            (s for s in facility.sensors if s.tag == subject["tag"] and (s.from_ or 0) <= change.start),
            key=lambda s: s.from_ or 0,
        ).area
        one = self.world.alarms.setdefault(change.alarm, Alarm(subject, change.rule, area, 0, None))
        one.start, one.end, one.top = change.start, change.end, top
        one.peak = change.evidence.peak if change.evidence.peak is not None else one.peak
        kind = change.change.value
        one.partly |= kind == "unknown" or (kind == "cleared" and not change.evidence.leaves)
        one.gone |= kind == "retracted"
        if not isinstance(self.rule, CompareRule):
            self.ask(change.alarm, change.received)
            return
        places = {subject["tag"], one.area} | {d.id for d in facility.devices if d.area == one.area}
        for key, said in self.world.reports.items():
            if key in self.judged and said["asset"] in places:
                self.due[key] = min(self.due.get(key, change.received + 1), change.received + 1)

    def ask(self, key, at, *, over=False):
        alarm = self.world.alarms[key]
        lacks, told = wanting(self.rule, self.world, alarm), self.told.setdefault(key, Told(alarm.subject))
        last = working_day_over(alarm.start, self.rule.in_time.number)
        self.due.pop(key, None)
        if told.open:
            if lacks is not True:
                told.open = False
                self.say(key, "retracted" if lacks is None else "cleared", told.start, at)
            elif told.start != alarm.start:
                told.start = alarm.start
                self.say(key, "amended", told.start, at)
        elif lacks and alarm.start >= self.since:
            if at > last or over:
                told.open, told.start = True, alarm.start
                self.say(key, "raised", told.start, at)
            else:
                self.due[key] = last + 1

    def compare(self, key, at, *, revised=False):
        said, told = self.world.reports[key], self.told.setdefault(key, Told({"report": key}))
        self.judged.add(key)
        wrong, waits = (
            misstated(self.rule, self.world, self.gaps, said) if said["from"] >= self.since else (None, False)
        )
        self.due.pop(key, None)
        if waits and at + DAY <= said["received"] + 30 * DAY:
            self.due[key] = at + DAY
        if not told.open:
            if wrong:
                told.open, told.unknown, told.start = True, False, said["received"]
                self.say(key, "raised", told.start, at)
        elif wrong is False:
            told.open = False
            self.say(key, "cleared", told.start, at)
        elif told.unknown != (wrong is None):
            told.unknown = wrong is None
            self.say(key, "unknown" if told.unknown else "known", told.start, at)
        elif wrong and revised:
            self.say(key, "amended", told.start, at)
