"""Rare records, plainly: the whole history is kept, and after every step each condition is asked of all of it again.

The engine keeps a bounded memory per subject and moves it on; here nothing is ever forgotten or moved on.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from rules.changes import alarm_id
from rules.rule import CountRule, FollowUpRule, RegisterCheckRule

if TYPE_CHECKING:
    from rules.records import Decision, Events

CHINA = timezone(timedelta(hours=8))
HOUR = 3_600_000
CLOSING = ("false-alarm", "equipment-fault", "marked-state", "breach", "duplicate", "close-latched")


@dataclass
class Past:
    """One event as it came: its place in the order, event time that counts, receive time, and what it says."""

    order: int
    t: int
    received: int
    event: object


@dataclass
class Alarm:
    start: int
    first: int
    use: int
    colour: int
    end: int | None = None
    gone: bool = False


@dataclass
class Subject:
    alarms: list = field(default_factory=list)
    closed: set = field(default_factory=set)
    """Orders of events that an officer's decision is done with."""

    @property
    def standing(self):
        last = self.alarms[-1] if self.alarms else None
        return last if last is not None and last.end is None and not last.gone else None


def text(subject):
    return json.dumps(subject, sort_keys=True)


def says(match, event):
    """Whether an event is meant; a field that is no text never is."""
    if (event.stream, event.type) != (match.stream, match.type):
        return False
    for name, words in match.where.items():
        if event.fields.get(name) not in ([words] if isinstance(words, str) else words):
            return False
    return True


def local_end(day):
    year, month, number = (int(part) for part in day.split("-"))
    return int((datetime(year, month, number, tzinfo=CHINA) + timedelta(days=1)).timestamp() * 1000)


class Rare:
    """All rules over rare records of one facility."""

    def __init__(self, owner, facility, bundle, places, received):
        self.owner, self.facility, self.places = owner, facility, places
        self.registered = received
        live = [rule for rule in bundle.rules if rule.stage in ("live", "shadow")]
        ours = {(scope.field, scope.line) for scope in facility.scopes}
        self.rules = [rule for rule in live if any(s.field == "all" or (s.field, s.line) in ours for s in rule.scopes)]
        self.past = []
        self.batches = {}
        self.decided = set()
        self.subjects = {}
        self.checks = [rule for rule in self.rules if isinstance(rule, RegisterCheckRule)]
        self.kinds = {area.id: area.kind.value for area in facility.areas}
        self.homes = {device.id: device.area for device in facility.devices}

    # -- what an event is about -------------------------------------------------------------------------------------
    def area(self, event):
        return event.area or self.homes.get(event.device or event.source)

    def fits(self, rule, event):
        wanted = rule.applies_to.get("area.kind")
        return wanted is None or self.kinds.get(self.area(event)) in wanted

    def about(self, rule, event):
        """The subject of an event that the rule counts, or begins with."""
        if not self.fits(rule, event):
            return None
        if isinstance(rule, CountRule):
            name = event.fields.get(rule.by)
            name = name if isinstance(name, str) and name else (event.source if rule.by == "system" else None)
            told = rule.distinct is None or isinstance(event.fields.get(rule.distinct), str)
            return {rule.by: name} if name and told and says(rule.events, event) else None
        area = self.area(event)
        if area not in self.kinds or not says(rule.first, event):
            return None
        return {"area": area, "device": event.device or event.source}

    def known(self, rule, subject):
        """The events of a subject, each content once, oldest in the log first."""
        found, contents = [], []
        for past in self.past:
            if self.about(rule, past.event) == subject and past.event not in contents:
                contents.append(past.event)
                found.append(past)
        return found

    # -- conditions -------------------------------------------------------------------------------------------------
    def occasions(self, rule, subject):
        state = self.subjects.setdefault((rule.id, text(subject)), Subject())
        mine = [past for past in self.known(rule, subject) if past.order not in state.closed]
        if isinstance(rule, CountRule):
            return self.counted(rule, mine)
        return [past for past in mine if (rule.id, past.order) in self.decided and self.missed(rule, past)]

    def counted(self, rule, mine):
        if rule.n == 1:
            return mine
        found = {}
        for i in range(1, len(mine) + 1):  # as it was after each event
            edge = max(past.t for past in mine[:i]) - rule.within - 2 * HOUR
            young = [past for past in mine[:i] if past.t > edge]
            for past in young:
                inside = [p for p in young if past.t - rule.within <= p.t <= past.t]
                many = len(inside) if rule.distinct is None else len({p.event.fields[rule.distinct] for p in inside})
                if many >= rule.n:
                    found[past.order] = past
        return list(found.values())

    def missed(self, rule, begun):
        area, answered, heard = self.area(begun.event), False, False
        due = self.due(rule, begun)
        for past in self.past:
            if self.area(past.event) != area:
                continue
            timely = past.order < begun.order or past.received <= begun.t + rule.allowed
            if timely and begun.t <= past.t <= begun.t + rule.within and says(rule.then, past.event):
                answered = True
            other = past.event.stream == "device" and past.event.type != rule.first.type
            # What is due at the instant at which A came is decided behind all that came at that instant.
            before = past.received < due or past.received == due == begun.received
            before = before or past.received <= begun.t + rule.allowed
            if other and before and abs(past.t - begun.t) <= rule.silent:
                heard = True
        return heard and not answered

    def due(self, rule, begun):
        return max(begun.t + rule.within + self.facility.delivery, begun.received)

    # -- steps ------------------------------------------------------------------------------------------------------
    def dues(self, to):
        """What the clock decides up to `to`: (at, place, level, subject, key)."""
        found = []
        for rule in self.rules:
            if isinstance(rule, FollowUpRule):
                for past in self.past:
                    subject = self.about(rule, past.event)
                    fresh = subject and past in self.known(rule, subject) and (rule.id, past.order) not in self.decided
                    if fresh and not self.answered_before_due(rule, past) and self.due(rule, past) <= to:
                        found.append((self.due(rule, past), self.places[rule.id], 3, text(subject), (rule, past)))
            elif isinstance(rule, RegisterCheckRule):
                found += [
                    (at, self.places[rule.id], 3, "", (rule, at))
                    for at in self.instants(rule)
                    if at <= to and (rule.id, at) not in self.decided and at > self.registered
                ]
        return found

    def answered_before_due(self, rule, begun):
        return any(
            says(rule.then, past.event)
            and self.area(past.event) == self.area(begun.event)
            and begun.t <= past.t <= begun.t + rule.within
            and (past.order < begun.order or past.received <= begun.t + rule.allowed)
            for past in self.past
        )

    def decide(self, at, key):
        rule, what = key
        if isinstance(rule, RegisterCheckRule):
            self.decided.add((rule.id, what))
            self.check(rule, at)
            return
        subject = self.about(rule, what.event)
        for past in self.known(rule, subject):  # all that is due at this instant is one decision of the case
            if self.due(rule, past) <= at:
                self.decided.add((rule.id, past.order))
        self.settle(rule, subject, at, at)

    def events(self, payload: Events, received):
        content = [event.model_dump() for event in payload.events]
        self.batches = {name: row for name, row in self.batches.items() if row[1] > received - 24 * HOUR}
        if payload.batch in self.batches:
            return
        self.batches[payload.batch] = (content, received)
        for event in payload.events:
            t = event.time if event.time <= received + 300_000 else received
            self.past.append(Past(len(self.past), t, received, event))
            for rule in self.rules:
                if isinstance(rule, CountRule):
                    subject = self.about(rule, event)
                    if subject is not None:
                        self.settle(rule, subject, t, received)
                elif isinstance(rule, FollowUpRule):
                    subjects = {text(s): s for p in self.past if (s := self.about(rule, p.event)) is not None}
                    for name in sorted(subjects):
                        if subjects[name]["area"] == self.area(event) and self.fits(rule, event):
                            self.settle(rule, subjects[name], t, received)

    def decision(self, payload: Decision, received):
        two = payload.code == "data-fraud" and payload.second not in (None, payload.officer)
        if payload.code not in CLOSING and not two:
            return
        for (rule_id, name), state in self.subjects.items():
            rule = next(r for r in self.rules if r.id == rule_id)
            alarm = state.standing
            if alarm is None or isinstance(rule, RegisterCheckRule):
                continue
            subject = json.loads(name)
            if payload.subject.get("alarm") == alarm_id(rule_id, self.facility.id, subject, alarm.first, alarm.use):
                done = self.known(rule, subject) if isinstance(rule, CountRule) else self.occasions(rule, subject)
                state.closed |= {past.order for past in done}
                alarm.end = max(received, alarm.start)
                self.say("cleared", rule, subject, alarm, received, received)

    def settle(self, rule, subject, at, received):
        state = self.subjects.setdefault((rule.id, text(subject)), Subject())
        now = self.occasions(rule, subject)
        alarm = state.standing
        if alarm is None and now:
            first = min(now, key=lambda past: (past.t, past.order))
            late = first.t + 2 * HOUR < first.received
            self.open(rule, subject, state, first.t, rule.severity.base.rank, at, received, late=late)
        elif alarm is not None and not now:
            alarm.gone = True
            self.say("retracted", rule, subject, alarm, at, received)
        elif alarm is not None and min(past.t for past in now) != alarm.start:
            alarm.start = min(past.t for past in now)
            self.say("amended", rule, subject, alarm, at, received)

    def open(self, rule, subject, state, start, colour, at, received, *, late=False):
        use = 1 + sum(alarm.first == start for alarm in state.alarms)
        alarm = Alarm(start, start, use, colour)
        state.alarms.append(alarm)
        self.say("raised", rule, subject, alarm, at, received, late=late)

    def say(self, kind, rule, subject, alarm, at, received, *, late=False):
        name = (alarm.first, alarm.use)
        self.owner.say(kind, rule, subject, name, alarm.colour, alarm.start, alarm.end, at, received, late=late)

    # -- the register -----------------------------------------------------------------------------------------------
    def instants(self, rule):
        """When a date changes what the register says."""
        if rule.check != "calibration-due":
            return []
        ends = {local_end(s.calibration.due) for s in self.facility.sensors if s.calibration is not None}
        early = rule.notice.before if rule.notice is not None else 0
        return sorted(ends | {end - early for end in ends})

    def check(self, rule, at):
        for name, (start, colour) in sorted(self.warned(rule, at).items()):
            state = self.subjects.setdefault((rule.id, name), Subject())
            alarm = state.standing
            if alarm is None:
                self.open(rule, json.loads(name), state, at if start is None else start, colour, at, at)
            elif alarm.colour != colour:
                alarm.colour = colour
                self.say("stepped", rule, json.loads(name), alarm, at, at)

    def warned(self, rule, at):
        """Subject -> (start, colour): the register does not change here, so nothing ends."""
        base, found = rule.severity.base.rank, {}
        for sensor in self.facility.sensors:
            name = text({"tag": sensor.tag})
            if rule.check == "calibration-due":
                if sensor.calibration is None:
                    found[name] = (self.registered, base)
                    continue
                end = local_end(sensor.calibration.due)
                if at >= end:
                    found[name] = (end, base)
                elif rule.notice is not None and at >= end - rule.notice.before:
                    found[name] = (end, rule.notice.severity.rank)
            elif rule.check == "sensor-error" and sensor.quantity.value == "temperature" and sensor.calibration:
                for point in sensor.calibration.points:
                    allowed = [band.error for band in rule.errors if band.low <= point.at <= band.high]
                    if allowed and abs(point.error) > min(allowed):
                        found[name] = (local_end(sensor.calibration.done) - 24 * HOUR, base)
        if rule.check == "sensor-count":
            for area in self.facility.areas:
                sensors = [s for s in self.facility.sensors if s.area == area.id and s.quantity.value == "temperature"]
                need = self.need(rule, area)
                if need is not None and len(sensors) < need:
                    found[text({"area": area.id})] = (None, base)
        return found

    def need(self, rule, area):
        """How many sensors: by adding one after another, not by a formula."""
        entry = next((entry for entry in rule.counts if area.kind in entry.kinds), None)
        if entry is None or entry.unit is None:
            return None if entry is None else entry.least
        left = area.floor_m2 if entry.of == "floor_m2" else area.volume_m3
        if left is None:
            return None
        tall = [r for r in entry.racks if area.rack_height_m and area.rack_height_m > r.height_m - 1e-9 * r.inclusive]
        many = 0
        if tall:
            while left > 0:
                many, left = many + max(r.per_unit for r in tall), left - entry.unit
            return max(many, entry.least)
        many, left = entry.least, left - entry.unit
        while left > 0:
            many, left = many + 1, left - entry.unit
        return many
