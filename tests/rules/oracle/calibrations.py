"""Calibrations that events tell, in plain words: all of them are kept, and each time the one that was done last is looked for."""

from __future__ import annotations

import math
import re
from datetime import datetime, timedelta, timezone

from rules.predicate import matches
from rules.rule import RegisterCheckRule
from tests.rules.oracle.share import instant, local

CHINA = timezone(timedelta(hours=8))


def calibrating(rule):
    return isinstance(rule, RegisterCheckRule) and rule.check in ("calibration-due", "sensor-error")


def moment_of(value):
    """An instant of an event, as the logs of these tests write it: text with an offset, or a day."""
    if not isinstance(value, str):
        return None
    if re.fullmatch(r"\d{4}-\d\d-\d\d", value):
        return instant(datetime.fromisoformat(value).replace(tzinfo=CHINA))
    return (
        instant(datetime.fromisoformat(value)) if re.fullmatch(r"\d{4}-\d\d-\d\dT.*(Z|[+-]\d\d:\d\d)", value) else None
    )


def number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def certified(points):
    return isinstance(points, list) and 0 < len(points) <= 100 and all(
        isinstance(p, dict) and set(p) == {"reference", "error"} and number(p["reference"]) and number(p["error"])
        for p in points
    )  # fmt: skip


def meant(facility, fields):
    """The sensors that an event may be about; of one alone it says something."""
    if any(name in fields and not (isinstance(fields[name], str) and fields[name]) for name in ("point", "serial")):
        return []
    if "point" in fields:
        named = [s for s in facility.sensors if s.tag == fields["point"]]
        return [s for s in named if s.serial is None or fields.get("serial", s.serial) == s.serial]
    return [s for s in facility.sensors if s.serial is not None and s.serial == fields.get("serial")]


def ignored(facility, event, received):
    """Why an event that tells a calibration is not taken as a whole, None: it is, or tells none."""
    if (event.stream, event.type) != ("device", "calibration"):
        return None
    fields, named = event.fields, meant(facility, event.fields)
    if len(named) != 1:
        return "calibration_unknown"
    done, dated = moment_of(fields.get("done_at")), fields.get("due_at") is not None
    pointed = bool(fields.get("points"))
    due = moment_of(fields.get("due_at"))
    readable = done is not None and done <= received + 300_000 and (dated or pointed)
    readable = readable and (not dated or (due is not None and due > done))
    if not readable or (pointed and not certified(fields["points"])):
        return "calibration_unreadable"
    known = named[0].calibration
    return "calibration_older" if known is not None and local(done).date().isoformat() <= known.done else None


class Told:
    """What the events of one rule told, by tag."""

    def __init__(self):
        self.by_tag = {}

    def register(self, rule, facility, facts_of):
        looked = {s.tag for s in facility.sensors if matches(rule, facility, facts_of(facility, s))}
        self.by_tag = {tag: told for tag, told in self.by_tag.items() if tag in looked}
        for sensor in facility.sensors:
            told = self.by_tag.get(sensor.tag)
            if told:
                of = max(told, key=lambda one: (one[0], -one[1]))[5]
                if of is not None and sensor.serial is not None and of != sensor.serial:
                    del self.by_tag[sensor.tag]  # another sensor stands there

    def event(self, rule, facility, facts_of, event, received):
        """Say whether an event tells a calibration that was done later than all before."""
        if (event.stream, event.type) != ("device", "calibration"):
            return False
        fields, named = event.fields, meant(facility, event.fields)
        done, due, points = moment_of(fields.get("done_at")), moment_of(fields.get("due_at")), fields.get("points")
        if len(named) != 1 or done is None or done > received + 300_000:
            return False
        if not matches(rule, facility, facts_of(facility, named[0])):
            return False
        if rule.check == "calibration-due":
            good, points = due is not None and due > done, []
        else:
            good, due = certified(points), None
        if not good:
            return False
        before = self.by_tag.setdefault(named[0].tag, [])
        before.append((done, len(before), due, points, received, fields.get("serial") or named[0].serial))
        return all(done > other[0] for other in before[:-1])

    def newest(self, sensor):
        """(day it was done, when it ends, points) of the calibration of a sensor, None: there is none."""
        found = []
        if sensor.calibration is not None:
            of = sensor.calibration
            end = instant(datetime.fromisoformat(of.due).replace(tzinfo=CHINA) + timedelta(days=1))
            found.append((of.done, 1, end, [(p.at, p.error) for p in of.points]))
        told = self.by_tag.get(sensor.tag, [])
        if told:
            done, _, due, points, _, _ = max(told, key=lambda one: (one[0], -one[1]))
            end = None if due is None else self.end(due)
            found.append((local(done).date().isoformat(), 0, end, [(p["reference"], p["error"]) for p in points or []]))
        return max(found, key=lambda one: one[:2], default=None)

    @staticmethod
    def end(due):
        return instant(local(due).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1))

    def ends(self):
        """(when it was told, when it is over) of all calibrations."""
        return [(one[4], self.end(one[2])) for told in self.by_tag.values() for one in told if one[2] is not None]
