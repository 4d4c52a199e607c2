"""Openings of doors that a sensor does not show, plainly: every event and every verdict is kept, each opening is held against all rows."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from decimal import Decimal

from rules.facts import facts_of
from rules.predicate import matches
from rules.rule import FollowUpRule
from tests.rules.oracle.devices import device
from tests.rules.oracle.series import marked


def tracing(rule):
    """Whether a rule looks for openings of doors in values."""
    return isinstance(rule, FollowUpRule) and rule.trace is not None


def word(rule, event):
    """What an event says of its door: True that it opens, False that it closes, None nothing."""
    for opens, match in ((True, rule.first), (False, rule.trace.ends)):
        same = (event.stream, event.type) == (match.stream, match.type)
        if same and all(event.fields.get(name) == wanted for name, wanted in match.where.items()):
            return opens
    return None


@dataclass
class Told:
    t: int
    opens: bool
    due: float
    done: bool = False


@dataclass
class Door:
    """All that was told of the door of one sensor, and all that was found of its openings: event time -> absent."""

    name: str
    told: list = field(default_factory=list)
    found: dict = field(default_factory=dict)

    def due(self):
        return min((one.due for one in self.told if one.opens and not one.done), default=math.inf)


class Doors:
    """The doors of all sensors that one rule looks at, by tag."""

    def __init__(self):
        self.by_tag = {}

    def register(self, rare, rule, facility, received):
        looks = {
            s.tag: s for s in facility.sensors if s.door is not None and matches(rule, facility, facts_of(facility, s))
        }
        for tag in sorted(self.by_tag):
            if tag not in looks or looks[tag].door != self.by_tag[tag].name:
                state = rare.subjects.get((rule.id, json.dumps({"tag": tag})))
                if state is not None and state.standing is not None:
                    alarm = state.standing
                    alarm.end = max(received, alarm.start)
                    rare.say("cleared", rule, {"tag": tag}, alarm, received, received)
                del self.by_tag[tag]
        for tag, sensor in looks.items():
            self.by_tag.setdefault(tag, Door(sensor.door))

    def event(self, rare, rule, event, t, received):
        opens = word(rule, event)
        if opens is None:
            return
        for door in self.by_tag.values():
            known = any((one.t, one.opens) == (t, opens) for one in door.told)
            if door.name == device(event) and not known:
                due = rare.facility.delivery + (t + rule.within if t + rule.within > received else received)
                door.told.append(Told(t, opens, due))

    def decide(self, rare, rule, tag, at):
        door = self.by_tag[tag]
        for one in door.told:
            if one.opens and not one.done and one.due <= at:
                one.done = True
                if self.is_opening(rule, door, one.t):
                    absent = self.absent(rare, rule, tag, one.t)
                    door.found |= {} if absent is None else {one.t: absent}
        newest = sorted(door.found)[-rule.trace.last :]
        if len(newest) < rule.trace.last:
            return
        many = sum(door.found[t] for t in newest)
        state = rare.subject_of(rule, {"tag": tag})
        if state.standing is None and many >= rule.trace.absent:
            late = newest[-1] + rule.within + 2 * 3_600_000 < at
            rare.open(rule, {"tag": tag}, state, newest[-1], rule.severity.base.rank, at, at, late=late)
        elif state.standing is not None and many <= rule.trace.clear:
            alarm = state.standing
            alarm.end = max(at, alarm.start)
            rare.say("cleared", rule, {"tag": tag}, alarm, at, at)

    def is_opening(self, rule, door, t):
        """Whether the door opened then, and stayed open for long enough, by what is told until now."""
        earlier = [one.t for one in door.told if one.t < t]
        if earlier and all(one.opens for one in door.told if one.t == max(earlier)):
            return False
        closings = [one.t - t for one in door.told if not one.opens and one.t >= t]
        return min(closings, default=math.inf) >= rule.trace.lasts

    def absent(self, rare, rule, tag, t):
        """Whether the sensor shows no change, None where that is not known."""
        series = rare.owner.series[tag]
        interval = next(s.interval for s in rare.facility.sensors if s.tag == tag)
        rows = []
        for at, _, value, quality in series.ring() if series.rows else []:
            counts = marked(series.how.get(at), quality, False)
            known = counts in (0, 2) if rule.marked == "skip" else counts not in (1, 5, 8)
            if known and not math.isnan(value) and at <= t + rule.within:
                rows.append((at, Decimal(repr(value))))
        half_as_much = Decimal(interval or 0) * Decimal("1.5")
        before = [row for row in rows if row[0] <= t and t - row[0] <= half_as_much]
        shown = before[-1:] + [row for row in rows if row[0] > t]
        if any(abs(a - b) >= Decimal(repr(rule.trace.change)) for _, a in shown for _, b in shown):
            return False
        if not before or not interval or rule.within < 2 * interval:
            return None
        stands = [at for at, _ in shown] + [t + rule.within]
        whole = all(stands[i + 1] - stands[i] <= half_as_much for i in range(len(stands) - 1))
        return True if whole else None
