"""Posted laboratory results, plainly: the limits of limits.md by hand, the whole history, and every result that waits asked again by every register.

It shares nothing with the tables of the packs. All times in ms.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from decimal import Decimal

from rules.changes import alarm_id
from rules.records import Decision, Events, RegisterRecord

MINUTE, HOUR = 60_000, 3_600_000
CLOSING = ("false-alarm", "equipment-fault", "marked-state", "breach", "duplicate", "close-latched")
METHODS = {
    "air": "air", "浮游菌": "air", "settle": "settle", "沉降菌": "settle", "contact": "contact", "接触碟": "contact",
    "glove": "glove", "手套": "glove",
}  # fmt: skip
PLATE = {"cfu": 1, "cfu/plate": 1, "cfu/碟": 1, "cfu/皿": 1}
UNITS = {
    "air": {"cfu/m3": 1}, "settle": {"cfu/4h": 1}, "contact": PLATE, "glove": {**PLATE, "cfu/glove": 1, "cfu/手套": 1},
    "purified": {"cfu/ml": 1, "cfu/100ml": Decimal("0.01")}, "wfi": {"cfu/100ml": 1, "cfu/ml": 100}, "endotoxin": {"eu/ml": 1},
}  # fmt: skip
VIABLE = {
    "A": {"air": 1, "settle": 1, "contact": 1, "glove": 1},
    "B": {"air": 10, "settle": 5, "contact": 5, "glove": 5},
    "C": {"air": 100, "settle": 50, "contact": 25, "glove": None},
    "D": {"air": 200, "settle": 100, "contact": 50, "glove": None},
}
"""Maximum by grade and method; None: no limit is set."""
GRADES = {"cleanroom.a-growth": "A", "cleanroom.b-viable": "B", "cleanroom.cd-viable": "CD"}
COLOURS = {
    "cleanroom.a-growth": "red", "cleanroom.b-viable": "orange", "cleanroom.cd-viable": "yellow", "water.endotoxin": "red",
    "water.microbial": "orange",
}  # fmt: skip
"""Rule -> colour, in the order of ids."""


def text(fields, name):
    value = fields.get(name)
    return value if isinstance(value, str) and 0 < len(value) <= 128 else None


def entry_of(facility, area, t):
    """The newest entry of an area that has begun, else the first that will."""
    entries = sorted((one for one in facility.areas if one.id == area), key=lambda one: one.from_ or 0)
    return next((one for one in reversed(entries) if (one.from_ or 0) <= t), entries[0] if entries else None)


def amount(value):
    """A value as a decimal; None of what is no amount."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0 or value > 1.7976931348623157e308:
        return None
    return Decimal(str(value))


def in_unit(value, unit, known):
    """The value in the limit's unit, None where it is no number or the unit is not known."""
    number = amount(value)
    name = None if unit is None else unicodedata.normalize("NFKC", unit).casefold().replace(" ", "")
    return None if number is None or name not in known else number * known[name]


def asked(rule, event, facility, t):  # noqa: PLR0911 - one return an answer
    """What a result is to a rule: no, within, above, unknown, or waits (for the register)."""
    fields = event.fields
    if (event.stream, event.type) != ("lab", "result"):
        return "no"
    place = text(fields, "loop") or text(fields, "room")
    if place is None and text(fields, "lot"):
        return "no"
    place = place or event.area
    wanted = "viable-count" if rule in GRADES else "endotoxin" if rule == "water.endotoxin" else "microbial-count"
    test = text(fields, "test")
    if test not in (wanted, None):
        return "no"
    entry = None if place is None else entry_of(facility, place, t)
    good = test is not None and place is not None and amount(fields.get("value")) is not None and text(fields, "unit")
    waits = "waits" if good else "unknown"
    if entry is None:
        return waits
    if rule in GRADES:
        if entry.kind != "cleanroom" or entry.grade not in GRADES[rule]:
            return "no"
        method = METHODS.get(text(fields, "method"))
        if method is None or test is None:
            return "unknown"
        high, units = VIABLE[entry.grade][method], UNITS[method]
        if high is None:
            return "within"
    else:
        if entry.kind != "water-loop":
            return "no"
        if entry.water is None:
            return waits
        if rule == "water.endotoxin" and entry.water != "wfi":
            return "no"
        if test is None:
            return "unknown"
        high = Decimal("0.25") if rule == "water.endotoxin" else 100 if entry.water == "purified" else 10
        units = UNITS["endotoxin" if rule == "water.endotoxin" else entry.water]
    value = in_unit(fields.get("value"), text(fields, "unit"), units)
    if value is None:
        return "unknown"
    at_least = rule in ("cleanroom.a-growth", "water.endotoxin")
    return "above" if value > high or (at_least and value == high) else "within"


@dataclass
class Kept:
    event: object
    t: int
    received: int
    above: bool
    closed: bool = False


@dataclass
class Subject:
    results: list = field(default_factory=list)
    alarms: list = field(default_factory=list)
    """[id, first start, start, end]."""


class Oracle:
    """All five rules over one log of one facility."""

    def __init__(self):
        self.facility, self.subjects, self.batches = None, {}, set()
        self.changes, self.unknown = [], 0

    def run(self, log):
        for record in log:
            payload, at = record.payload, record.received
            if isinstance(payload, RegisterRecord):
                self.facility = payload.facility
                self.again(at)
            elif isinstance(payload, Events) and payload.batch not in self.batches:
                self.batches.add(payload.batch)
                for event in payload.events:
                    for rule in COLOURS:
                        self.result(rule, event, at)
            elif isinstance(payload, Decision) and payload.code in CLOSING:
                self.close(payload.subject.get("alarm"), at)
        return self.changes

    def result(self, rule, event, received):
        t = event.time if event.time <= received + 5 * MINUTE else received
        said = asked(rule, event, self.facility, t)
        if said in ("no", "within"):
            return
        place = text(event.fields, "loop") or text(event.fields, "room") or event.area
        if said == "unknown":
            self.unknown += 1
            return
        one = self.subjects.setdefault((rule, place), Subject())
        if any(kept.event == event for kept in one.results):
            return
        self.unknown += said == "waits"
        one.results.append(Kept(event, t, received, said == "above"))
        self.settle(rule, place, t, received)

    def again(self, at):
        for rule, place in sorted(self.subjects):
            one, moved = self.subjects[rule, place], False
            for kept in [kept for kept in one.results if not kept.above]:
                said = asked(rule, kept.event, self.facility, kept.t)
                if said == "above":
                    kept.above = moved = True
                elif said != "waits":
                    one.results.remove(kept)
            if moved:
                self.settle(rule, place, at, at)

    def settle(self, rule, place, at, received):
        one = self.subjects[rule, place]
        now = [kept for kept in one.results if kept.above and not kept.closed]
        if not now:
            return
        first = min(now, key=lambda kept: kept.t)
        if not one.alarms or one.alarms[-1][3] is not None:
            use = 1 + sum(alarm[1] == first.t for alarm in one.alarms)
            name = alarm_id(rule, self.facility.id, {"area": place}, first.t, use)
            one.alarms.append([name, first.t, first.t, None])
            self.say("raised", rule, place, at, received, late=first.t + 2 * HOUR < first.received)
        elif first.t != one.alarms[-1][2]:
            one.alarms[-1][2] = first.t
            self.say("amended", rule, place, at, received)

    def close(self, name, at):
        for (rule, place), one in self.subjects.items():
            if one.alarms and one.alarms[-1][0] == name and one.alarms[-1][3] is None:
                one.alarms[-1][3] = max(at, one.alarms[-1][2])
                for kept in one.results:
                    kept.closed = kept.closed or kept.above
                self.say("cleared", rule, place, at, at)
                return

    def say(self, kind, rule, place, at, received, *, late=False):
        name, _, start, end = self.subjects[rule, place].alarms[-1]
        self.changes.append(
            {
                "rule": rule, "subject": {"area": place}, "change": kind, "alarm": name, "severity": COLOURS[rule],
                "start": start, "end": end, "at": at, "received": received, "late": late,
            }
        )  # fmt: skip
