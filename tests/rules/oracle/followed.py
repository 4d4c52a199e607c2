"""Alarms that something on the spot should have told too, plainly: every event is kept, and each alarm is asked of all of them."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

from rules.rule import FollowUpRule
from tests.rules.oracle.devices import device


def following(rule):
    """Whether a rule follows up the alarms of another one."""
    return isinstance(rule, FollowUpRule) and rule.alarm is not None


@dataclass
class Followed:
    """One alarm of the other rule."""

    order: int
    name: tuple
    subject: dict
    area: str
    t: int
    received: int
    due: float
    """When the clock decides; never, once it has."""
    missed: bool = False
    gone: bool = False


class Following:
    """All alarms that one rule follows up."""

    def __init__(self):
        self.alarms = []

    def tell(self, rare, rule, change, name):
        """The other rule told something; returns the subject that is to be settled, or None."""
        kind, start, received = change["change"], change["start"], change["received"]
        if kind == "raised":
            self.begin(rare, rule, change, name)
            return None
        mine = [one for one in self.alarms if one.name == name and one.subject == change["subject"] and not one.gone]
        if not mine or kind not in ("amended", "retracted") or (kind == "amended" and mine[0].t == start):
            return None
        one = mine[0]
        if kind == "retracted":
            one.gone = True
            return one.subject
        over = start + rule.within + rare.facility.delivery
        one.t = start
        if one.due == math.inf and over <= received:
            one.missed = self.nothing_there(rare, rule, one)
        else:
            one.missed, one.due = False, max(over, received)
        return one.subject

    def begin(self, rare, rule, change, name):
        subject, start, received = change["subject"], change["start"], change["received"]
        entries = [s for s in rare.facility.sensors if s.tag == subject["tag"]]
        area = entries[0].area
        wanted = rule.applies_to.get("area.kind")
        if wanted is not None and rare.kinds[area] not in wanted:
            return
        came = received if change["late"] else start
        due = max(start + rule.within + rare.facility.delivery, received)
        self.alarms.append(Followed(len(self.alarms), name, subject, area, start, came, due))

    def nothing_there(self, rare, rule, one):
        """Whether the devices of the area could be heard, and none told it in time."""
        here = [past for past in rare.ours(rule) if past.area == one.area]
        heard = any(p.event.stream == "device" and abs(p.t - one.t) <= rule.silent for p in here)
        for past in here:
            if not self.is_it(rule.then, past.event):
                continue
            ends = past.t
            if rule.lasts_until is not None:
                who = device(past.event)
                off = [p.t for p in here if self.is_it(rule.lasts_until, p.event) and device(p.event) == who]
                ends = min([t for t in off if t >= past.t], default=math.inf)
            if past.t <= one.t + rule.within and ends >= one.t - (rule.within_before or 0):
                return False
        return heard

    @staticmethod
    def is_it(match, event):
        if (event.stream, event.type) != (match.stream, match.type):
            return False
        return all(event.fields.get(k) in ([v] if isinstance(v, str) else v) for k, v in match.where.items())

    def event(self, rare, rule, past):
        """An event came: returns the subjects that are to be settled, by name."""
        telling = past.event.stream == "device" or self.is_it(rule.then, past.event)
        telling = telling or (rule.lasts_until is not None and self.is_it(rule.lasts_until, past.event))
        found = {}
        for one in self.alarms:
            asked = one.area == past.area and one.due == math.inf and past.received <= one.t + rule.allowed
            if telling and asked and not one.gone:
                one.missed = self.nothing_there(rare, rule, one)
                found[json.dumps(one.subject, sort_keys=True)] = one.subject
        return [found[name] for name in sorted(found)]

    def dues(self, to):
        return [one for one in self.alarms if one.due <= to and not one.gone]

    def decide(self, rare, rule, subject, at):
        for one in self.alarms:
            if one.subject == subject and one.due <= at and not one.gone:
                one.due, one.missed = math.inf, self.nothing_there(rare, rule, one)

    def closed(self, subject):
        for one in self.alarms:
            if one.subject == subject and one.missed:
                one.gone = True

    def occasions(self, subject):
        return [one for one in self.alarms if one.subject == subject and one.missed and not one.gone]
