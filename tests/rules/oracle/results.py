"""Laboratory results that an alarm asks for, plainly: all results are kept, and each alarm is held against all of them."""

from __future__ import annotations

import json
import math

from tests.rules.oracle.followed import Following, following


def asking(rule):
    """Whether a rule asks for results behind another rule's alarm."""
    return following(rule) and rule.result is not None


class Asking(Following):
    """All alarms behind which one rule asks for results."""

    def tell(self, rare, rule, change, name):
        """The other rule told something; returns (subject, whether what was missing came too late), or None."""
        kind, start, received = change["change"], change["start"], change["received"]
        if kind == "raised":
            self.begin(rare, rule, change, name)
            return None
        mine = [one for one in self.alarms if one.name == name and one.subject == change["subject"] and not one.gone]
        if not mine or kind not in ("amended", "retracted") or (kind == "amended" and mine[0].t == start):
            return None
        if kind == "retracted":
            mine[0].gone = True
            return mine[0].subject, False
        mine[0].t = start
        return mine[0].subject, self.judge(rare, rule, mine[0], received)

    @staticmethod
    def place(rare, event):
        for name in ("loop", "room"):
            if isinstance(event.fields.get(name), str):
                return event.fields[name]
        return rare.area(event)

    def value(self, rule, event):
        """pass, fail, unread, third, or None of another event."""
        if self.is_it(rule.result.otherwise, event):
            return "third"
        if not self.is_it(rule.then, event):
            return None
        value, unit = event.fields.get("value"), event.fields.get("unit", "uS/cm")
        if type(value) not in (int, float) or unit not in ("uS/cm", "µS/cm", "μS/cm"):
            return "unread"
        return "pass" if value <= rule.result.at_most else "fail"

    def wanted(self, rare, rule, one):
        """(by when, when it was measured) of each result that an alarm asks for."""
        here = [(p.t, self.value(rule, p.event)) for p in rare.ours(rule) if self.place(rare, p.event) == one.area]
        first = sorted((t, what) for t, what in here if what in ("pass", "fail", "unread") and t >= one.t)
        until = one.t + rule.within
        looked_at = [(t, what) for t, what in first if t <= until]
        if not looked_at and first:
            looked_at = [(t, what) for t, what in first if t == first[0][0]]
        found = [(until, [t for t, _ in first])]
        for t, what in looked_at:
            if what == "fail":
                found.append((t + rule.result.within, [x for x, kind in here if kind == "third" and x >= t]))
        return found

    def judge(self, rare, rule, one, received):
        was, wanted = one.missed, self.wanted(rare, rule, one)
        one.missed, one.due, timely = False, math.inf, True
        for by, times in wanted:
            end = by + rare.facility.delivery
            if times:
                timely = timely and min(times) <= by
            elif end <= received:
                one.missed = True
            else:
                one.due = min(one.due, end)
        timely = timely and received <= max(by for by, _ in wanted) + rule.allowed
        return was and not one.missed and not timely

    def event(self, rare, rule, past):
        """An event came: returns (subject, late) of what is to be settled, by name."""
        if self.value(rule, past.event) is None:
            return []
        found = {}
        for one in self.alarms:
            if one.area == self.place(rare, past.event) and not one.gone:
                name = json.dumps(one.subject, sort_keys=True)
                late = self.judge(rare, rule, one, past.received)
                found[name] = (one.subject, late or found.get(name, (None, False))[1])
        return [found[name] for name in sorted(found)]

    def decide(self, rare, rule, subject, at):
        for one in self.alarms:
            if one.subject == subject and one.due <= at and not one.gone:
                self.judge(rare, rule, one, at)
