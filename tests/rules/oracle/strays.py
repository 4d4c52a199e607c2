"""Readings of tags that the register does not hold, in plain words: every receipt of each such tag is kept until it is forgotten."""

from __future__ import annotations

from rules.predicate import holds
from rules.rule import RegisterCheckRule


def straying(rule):
    """Whether a rule looks at rows of tags that are not registered."""
    return isinstance(rule, RegisterCheckRule) and rule.check == "unknown-tag"


def held(facility, at):
    """The tags in force at an instant."""
    return {sensor.tag for sensor in facility.sensors if sensor.from_ is None or sensor.from_ <= at}


class Strays:
    """What came of tags that were not in force, for one rule."""

    def __init__(self):
        self.receipts = {}
        self.newest = {}

    def row(self, rare, rule, tag, t, received):
        """A row comes of a tag that is not in force."""
        of_facility = {
            "facility.labels": list(rare.facility.labels),
            "facility.jurisdiction": rare.facility.jurisdiction,
        }
        if not holds(rule.applies_to, of_facility):
            return
        t = received if t > received + 300_000 else t
        if t <= max(self.newest.get(tag, -1), rare.newest.get(tag, -1)):
            return
        self.newest[tag] = t
        mine = self.receipts.setdefault(tag, [])
        mine.append(received)
        state = rare.subject_of(rule, {"tag": tag})
        if received - mine[0] > rule.after and state.standing is None:
            rare.open(rule, {"tag": tag}, state, mine[0], rule.severity.base.rank, received, received)

    def register(self, rare, rule, facility, at):
        """Another register or other packs, or a fact that comes into force."""
        fits = holds(
            rule.applies_to, {"facility.labels": list(facility.labels), "facility.jurisdiction": facility.jurisdiction}
        )
        for tag in sorted(self.receipts, key=lambda tag: '{"tag": "' + tag + '"}'):
            if tag in held(facility, at) or not fits or self.receipts[tag][-1] + rule.forgotten <= at:
                self.forget(rare, rule, tag, at)

    def forget(self, rare, rule, tag, at):
        """It is as if the tag had never come."""
        del self.receipts[tag]
        alarm = rare.subject_of(rule, {"tag": tag}).standing
        if alarm is not None:
            alarm.end = max(at, alarm.start)
            rare.say("cleared", rule, {"tag": tag}, alarm, at, at)

    def dues(self, rule):
        """When each tag is forgotten."""
        return {tag: mine[-1] + rule.forgotten for tag, mine in self.receipts.items()}
