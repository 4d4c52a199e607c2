"""What was set at an asset, plainly: every change is kept, and after each step all of them are asked again who held them."""

from __future__ import annotations

import json
import math

from rules.rule import FollowUpRule

HOUR = 3_600_000


def approving(rule):
    """Whether a rule asks if a change was approved before it."""
    return isinstance(rule, FollowUpRule) and rule.before is True


def number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


class Wide:
    """One setting that an event put beyond the approved."""

    def __init__(self, setting, value, t, received):
        self.setting, self.value, self.t, self.received = setting, value, t, received
        self.done = False


class Settings:
    """All that was changed at one asset."""

    def __init__(self, asset):
        self.asset = asset
        self.wide, self.approved, self.contents = [], [], []

    @staticmethod
    def about(event):
        asset = event.fields.get("asset")
        return asset if event.stream == "audit" and isinstance(asset, str) and asset else None

    def registered(self, rare, rule, at):
        """(known, low, high, whether limits are registered) at an instant."""
        limits, area = None, None
        entries = [s for s in rare.facility.sensors if s.tag == self.asset and (s.from_ or 0) <= at]
        devices = [d for d in rare.facility.devices if d.id == self.asset]
        if entries:
            newest = max(entries, key=lambda s: s.from_ or 0)
            area, limits = newest.area, newest.limits
        elif self.asset in rare.kinds:
            area = self.asset
        elif devices:
            area = devices[0].area
        wanted = rule.applies_to.get("area.kind")
        if area is None or (wanted is not None and rare.kinds[area] not in wanted):
            return False, None
        return True, limits

    @staticmethod
    def held(setting, value, limits):
        """Whether the register holds a setting; None: it cannot say."""
        if setting == "alarm":
            return value == "on"
        if limits is None:
            return None
        if setting == "low":
            return limits.low is None or value >= limits.low
        return limits.high is None or value <= limits.high

    @staticmethod
    def changes(rule, event):
        if event.type in ("alarm-disabled", "alarm-enabled") and "alarm" in rule.settings:
            return [("alarm", "on" if event.type == "alarm-enabled" else "off")]
        new, old = event.fields.get("new"), event.fields.get("old")
        if event.type != "limit-changed" or "limits" not in rule.settings or not isinstance(new, dict):
            return []
        found = []
        for setting, nothing in (("low", -math.inf), ("high", math.inf)):
            had = isinstance(old, dict) and old.get(setting) is not None
            if number(new.get(setting)):
                found.append((setting, new[setting]))
            elif new.get(setting, 0) is None or (setting not in new and had):
                found.append((setting, nothing))
        return found

    def take(self, rare, rule, event, t, received):
        known, limits = self.registered(rare, rule, t)
        told = [(s, v, self.held(s, v, limits)) for s, v in self.changes(rule, event)] if known else []
        told = [one for one in told if one[2] is not None]
        if not told or event in self.contents:
            return
        self.contents.append(event)
        for setting, value, held in told:
            if held:
                self.approved.append((setting, t))
            else:
                self.wide.append(Wide(setting, value, t, received))
        self.step(rare, rule, t, received)

    def step(self, rare, rule, at, received):
        state = rare.subjects[rule.id, json.dumps({"asset": self.asset}, sort_keys=True)]
        say = lambda kind, alarm: rare.say(kind, rule, {"asset": self.asset}, alarm, at, received)  # noqa: E731
        known, limits = self.registered(rare, rule, received)
        live = sorted((one for one in self.wide if not one.done), key=lambda one: one.t)
        for one in live:
            then = self.registered(rare, rule, one.t)
            by_then = then[0] and self.held(one.setting, one.value, then[1])
            back = any(setting == one.setting and t > one.t for setting, t in self.approved)
            one.done = bool(not known or back or by_then or self.held(one.setting, one.value, limits))
        stand = [one for one in live if not one.done]
        alarm = state.standing
        if alarm is None and live and known:
            first = (stand or live)[0]
            late = first.received - first.t > 2 * HOUR
            rare.open(rule, {"asset": self.asset}, state, first.t, rule.severity.base.rank, at, received, late=late)
            alarm = state.standing
        if alarm is None:
            return
        if not stand:
            alarm.end, alarm.unknown = max(received, alarm.start), False
            say("cleared", alarm)
            return
        nobody_knows = all(self.held(one.setting, one.value, limits) is None for one in stand)
        if alarm.unknown and not nobody_knows:
            alarm.unknown = False
            say("known", alarm)
        if alarm.start != stand[0].t:
            alarm.start = stand[0].t
            say("amended", alarm)
        if nobody_knows and not alarm.unknown:
            alarm.unknown = True
            say("unknown", alarm)

    def leave(self, *, spoke):
        """The rule is gone: what an asset told that was spoken of is known again."""
        self.wide, self.approved = [], []
        self.contents = self.contents if spoke else []
