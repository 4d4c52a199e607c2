"""What a sensor or device tells of itself, plainly: every event is kept, and each stranger is judged again from all of them."""

from __future__ import annotations

import json
import math

from rules.rule import RegisterCheckRule
from tests.rules.oracle.devices import device, named

MINUTE = 60_000


def told(rule):
    """Whether a rule looks at what devices tell of themselves."""
    return isinstance(rule, RegisterCheckRule) and rule.check in ("serial-changed", "config-hash")


def string(value):
    return value if isinstance(value, str) and value else None


class Stay:
    """One stranger: the times at which it was told."""

    def __init__(self, text, t, order):
        self.text, self.times, self.order = text, [t], order
        self.fresh, self.counts, self.done = True, False, False
        self.due = None


class Point:
    """All that one sensor or device told."""

    def __init__(self, subject):
        self.subject = subject
        self.floor = -math.inf
        self.begin()

    def begin(self):
        self.homes, self.stays, self.replaced, self.heard, self.silent = [], [], [], None, False

    @staticmethod
    def about(rule, event):
        """The subject of an event, None of one that the rule does not mean."""
        kinds = {"serial-changed": ("serial", "replacement"), "config-hash": ("config",)}[rule.check]
        if event.stream != "device" or event.type not in kinds or string(Point.words(event)) is None:
            return None
        if "point" not in event.fields:
            return {"device": device(event)}
        tag = string(event.fields["point"])
        return None if tag is None or named(event) else {"tag": tag}

    @staticmethod
    def words(event):
        return event.fields.get({"serial": "serial", "replacement": "new", "config": "hash"}[event.type])

    def registered(self, rare, rule, at):
        """(known, what is registered) at an instant."""
        name = "serial" if rule.check == "serial-changed" else "config_hash"
        if "tag" in self.subject:
            entries = [s for s in rare.facility.sensors if s.tag == self.subject["tag"] and (s.from_ or 0) <= at]
            entry = max(entries, key=lambda s: s.from_ or 0, default=None)
        else:
            entry = next((d for d in rare.facility.devices if d.id == self.subject["device"]), None)
        wanted = rule.applies_to.get("area.kind")
        if entry is None or (wanted is not None and rare.kinds[entry.area] not in wanted):
            return False, None
        return True, getattr(entry, name)

    def take(self, rare, rule, event, t, received):
        known, word = self.registered(rare, rule, t)
        empty = not (self.homes or self.stays or self.replaced or self.floor > -math.inf)
        if not known or (word is None and empty):
            return
        said = self.words(event)
        if t > self.floor and event.type == "replacement":
            self.replaced += [(said, t)] if received <= t + rule.allowed else []
        elif t > self.floor and word is not None and said == word:
            self.homes.append(t)
        elif t > self.floor and word is not None:
            self.strange(said, t)
        self.step(rare, rule, t, received, heard=event.type != "replacement")

    def strange(self, said, t):
        same = [stay for stay in self.stays if stay.text == said]
        if same and not same[-1].done:
            same[-1].times.append(t)
        elif not same or t > max([*same[-1].times, *self.homes]):
            self.stays.append(Stay(said, t, len(self.stays)))

    def declared(self, rule, stay):
        return any(new == stay.text and abs(t - min(stay.times)) <= rule.within for new, t in self.replaced)

    def late_from(self, rare, rule, stay):
        """From when on it is more than unknown."""
        if rule.within is None:
            return min(stay.times)
        more = rule.grace if self.declared(rule, stay) else 0
        return min(stay.times) + rule.within + more + rare.facility.delivery

    def state(self, rare, rule):
        return rare.subjects[rule.id, json.dumps(self.subject, sort_keys=True)]

    def due(self, rare, rule):
        alarm = self.state(rare, rule).standing
        if rule.silent is not None:
            return None if alarm is None or self.silent else self.heard + rule.silent + 1
        now = [stay.due for stay in self.stays if not stay.done and not stay.counts and stay.due is not None]
        return min(now, default=None)

    def step(self, rare, rule, at, received, *, heard=False, clock=False):
        state = self.state(rare, rule)
        known, word = self.registered(rare, rule, received)
        say = lambda kind, alarm: rare.say(kind, rule, self.subject, alarm, at, received)  # noqa: E731
        if not known:
            if state.standing is not None:
                self.end(say, state.standing, received)
            self.leave(spoke=bool(state.alarms))
            return
        self.silent = rule.silent is not None and not heard and (self.silent or clock)
        self.heard = received if heard else self.heard
        alarm = state.standing
        if word is not None:
            if alarm is not None and alarm.unknown and not self.silent:
                alarm.unknown = False
                say("known", alarm)
            self.settle(rare, rule, state, word, at, received, clock=clock)
        else:
            for stay in self.stays:
                stay.due = None
        alarm = state.standing
        if alarm is not None and not alarm.unknown and (self.silent or word is None):
            alarm.unknown = True
            say("unknown", alarm)
        if alarm is None:
            self.silent = False

    def end(self, say, alarm, received):
        alarm.end, alarm.unknown = max(received, alarm.start), False
        say("cleared", alarm)

    def settle(self, rare, rule, state, word, at, received, *, clock):
        say = lambda kind, alarm: rare.say(kind, rule, self.subject, alarm, at, received)  # noqa: E731
        live = sorted((s for s in self.stays if not s.done), key=lambda s: (min(s.times), s.text))
        home = max(self.homes, default=-math.inf)
        before = [stay for stay in live if stay.counts]
        gone = []
        for stay in live:
            over, named = max(stay.times) < home, stay.text == word
            then = self.registered(rare, rule, min(stay.times))[1] == stay.text
            at_once = rule.within is None
            due = self.late_from(rare, rule, stay)
            if then or (named and not (at_once and stay.fresh)) or (over and not at_once and self.declared(rule, stay)):
                stay.counts, stay.done = False, True
            elif at_once or (due <= received and (stay.counts or clock)):
                stay.counts = True
            else:
                stay.counts, stay.due = False, max(due, received)
            stay.fresh = False
            if over or named:
                gone.append(stay)
        counting = [stay for stay in live if stay.counts]
        holding = [stay for stay in counting if stay not in gone]
        alarm = state.standing
        if alarm is None and counting:
            first = (holding or counting)[0]
            late = self.late_from(rare, rule, first) + 120 * MINUTE < received
            rare.open(rule, self.subject, state, min(first.times), rule.severity.base.rank, at, received, late=late)
            alarm, self.heard = state.standing, received
        elif alarm is not None and holding and min(holding[0].times) != alarm.start:
            alarm.start = min(holding[0].times)
            say("amended", alarm)
        if alarm is not None and not holding:
            if counting or any(stay.done for stay in before):
                self.end(say, alarm, received)
            else:
                alarm.gone = True
                say("retracted", alarm)
        for stay in counting:
            if stay not in holding:
                stay.counts, stay.done = False, True

    def leave(self, *, spoke=True):
        """The rule, or what it is about, is gone: a point that spoke knows up to when it had looked."""
        times = [*self.homes, *(t for _, t in self.replaced), *(t for stay in self.stays for t in stay.times)]
        self.floor = max([self.floor, *times]) if spoke else -math.inf
        self.begin()
