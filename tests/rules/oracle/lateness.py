"""What a firm declares too late, in plain words: every mark stays known for ever, and every alarm is asked anew of all that is late.

One facility's log of registers, ticks, marks and decisions; the bundle holds only rules of kind `lateness`.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

from rules.changes import alarm_id
from rules.facts import facts_of
from rules.predicate import holds
from rules.records import Decision, Mark, RegisterRecord, Tick
from tests.rules.oracle.marks import Marks

CHINA = timezone(timedelta(hours=8))
HOUR, DOOR = 3_600_000, 15 * 60_000
CLOSING = {"false-alarm", "equipment-fault", "marked-state", "breach", "duplicate", "close-latched"}


def over(begin, time):
    """When a legal time is over: hours to the millisecond, days at 24:00 in China."""
    if time.unit == "h":
        return begin + time.number * HOUR
    day = datetime.fromtimestamp(begin / 1000, CHINA).date() + timedelta(days=time.number + 1)
    return round(datetime(day.year, day.month, day.day, tzinfo=CHINA).timestamp() * 1000)


class Facility:
    """One facility: its marks with all their revisions, and what of each sensor was late."""

    def __init__(self, name, bundle):
        self.name, self.bundle, self.versions, self.version = name, bundle, [], -1
        self.places = Marks(self)
        self.marks = {}  # id -> the revision that holds
        self.late = {}  # (rule, subject) -> [(due, received, name)]
        self.alarms = {}  # (rule, subject) -> alarm
        self.uses = {}
        self.closed, self.gateway, self.clock, self.changes = [], None, -1, []

    @property
    def entity(self):
        return self.versions[-1][1]

    def fold(self, record):
        self.clock = now = max(self.clock, record.received)
        payload = record.payload
        if isinstance(payload, RegisterRecord) and payload.version > self.version:
            self.version = payload.version
            self.versions.append((now, payload.facility))
        elif isinstance(payload, Tick) and payload.role == "gateway":
            self.tick(now)
        elif isinstance(payload, Mark):
            self.mark(payload, now)
        elif isinstance(payload, Decision):
            self.decide(payload, now)

    def mark(self, payload, now):
        before = self.marks.get(payload.id)
        if before is not None and payload.revision <= before.revision:
            return
        self.marks[payload.id] = payload
        for rule in self.bundle.rules:
            for sensor in sorted(self.entity.sensors, key=lambda sensor: sensor.tag):
                if not self.about(rule, payload, sensor):
                    continue
                if not holds(rule.applies_to, facts_of(self.entity, sensor, now)):
                    continue
                new = self.new_from(rule, before, payload, sensor)
                due = None if new is None else self.due(new, rule)
                if due is not None and now > due:
                    key = rule.id, json.dumps({"tag": sensor.tag})
                    self.late.setdefault(key, []).append((due, now, f"{payload.id}/{payload.revision}"))
                    self.settle(rule, key[1], now)

    def new_from(self, rule, before, mark, sensor):
        """The first instant that a mark declares of a sensor and the revision before it did not; its own beginning wherever that is new."""
        if before is None or not self.about(rule, before, sensor) or mark.from_ < before.from_:
            return mark.from_
        end = 1 << 62 if mark.to is None else mark.to
        if before.to is None or end <= before.to:
            return None
        since = max(before.to, mark.from_)
        if mark.tags:
            return since
        # Of a room: from where the sensor stood in it behind the old end.
        moves = [t for t in self.places.moves(sensor.tag) if since < t <= end]
        at = [t for t in [since, *moves] if self.places.stood(sensor.tag, t) == mark.area]
        return self._first(at, before.to, sensor, mark, end)

    def _first(self, at, old, sensor, mark, end):
        """Of instants at which the sensor stands in the room the first; at the old end itself nothing is new unless it stands there behind it."""
        behind = [t for t in at if t > old or self.places.stood(sensor.tag, min(t + 1, end)) == mark.area]
        return min(behind, default=None)

    def about(self, rule, mark, sensor):
        """Whether a mark declares a state that a rule means, of a sensor at some time of it."""
        if mark.flag not in rule.flags:
            return False
        if mark.tags:
            return sensor.tag in mark.tags
        end = 1 << 62 if mark.to is None else mark.to
        moves = {t for at in self.places.moves(sensor.tag) for t in (at - 1, at) if mark.from_ < t < end}
        return any(self.places.stood(sensor.tag, t) == mark.area for t in {mark.from_, end, *moves})

    def due(self, begin, rule):
        """Up to when it may be declared: at the opening, if the front door was closed then."""
        due = over(begin, rule.within)
        return next((until for since, until in self.closed if since < due < until), due)

    def tick(self, now):
        before, self.gateway = self.gateway, now
        if before is None or now - before <= DOOR:
            return
        self.closed.append((before, now))
        for rule in self.bundle.rules:
            for key in sorted(key for key in self.late if key[0] == rule.id):
                moved = [(now if before < due < now else due, received, name) for due, received, name in self.late[key]]
                if moved != self.late[key]:
                    self.late[key] = [one for one in moved if one[1] > one[0]]
                    self.settle(rule, key[1], now)

    def decide(self, payload, now):
        for (name, subject), alarm in self.alarms.items():
            if alarm["stands"] and alarm["id"] == payload.subject.get("alarm") and payload.code in CLOSING:
                alarm |= {"stands": False, "end": max(now, alarm["start"])}
                self.late[name, subject] = []
                self.say(name, subject, "cleared", now)

    def settle(self, rule, subject, now):
        """Tell what all that is late makes of an alarm."""
        late, alarm = self.late[rule.id, subject], self.alarms.get((rule.id, subject))
        stands = alarm is not None and alarm["stands"]
        first = min((due for due, _, _ in late), default=None)
        if first is None and stands:
            alarm["stands"] = False
            self.say(rule.id, subject, "retracted", now)
        elif first is not None and not stands:
            uses = self.uses.setdefault((rule.id, subject), {})
            uses[first] = uses.get(first, 0) + 1
            name = alarm_id(rule.id, self.name, json.loads(subject), first, uses[first])
            self.alarms[rule.id, subject] = {"id": name, "start": first, "end": None, "stands": True, "back": False}
            self.say(rule.id, subject, "raised", now)
        elif first is not None and alarm["start"] != first:
            alarm["start"] = first
            self.say(rule.id, subject, "amended", now)

    def say(self, rule, subject, kind, now):
        alarm = self.alarms[rule, subject]
        colour = self.bundle.rule(rule).severity.base.value
        self.changes.append(
            {
                "seq": len(self.changes) + 1, "rule": rule, "subject": json.loads(subject), "change": kind,
                "alarm": alarm["id"], "severity": colour, "start": alarm["start"], "end": alarm["end"], "at": now,
                "received": now, "late": False, "by": None,
            }
        )  # fmt: skip


def fold(log, bundle, name):
    """Return what a facility's log says."""
    facility = Facility(name, bundle)
    for record in log:
        facility.fold(record)
    return facility.changes
