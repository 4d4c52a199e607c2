"""A system's audit heartbeats, plainly: all times at which records of the facility came are kept, and looked through each time."""

from __future__ import annotations

import json


class System:
    """One system from its first heartbeat on."""

    def __init__(self, newest, seen):
        self.newest = newest
        self.seen = seen
        """How many records had come with the newest heartbeat that was not overdue, it included: holes behind them count."""
        self.told = None
        """The record that says a heartbeat could have come."""
        self.raised = None
        self.opened = None
        """When our door was opened again, behind the newest heartbeat that was not overdue."""

    def came(self, rare, rule, past, current):
        """Take a newer heartbeat; returns whether it ends what is missing."""
        self.newest = past.t
        if current:
            self.seen, self.told, self.opened = len(rare.arrivals), None, None
        elif self.told is None and past.received >= self.late(rare, rule):
            self.told = past.received
        return current

    def heard_again(self, rare, rule):
        """When a record first ended a silence of the whole facility, None: there was none."""
        times = rare.arrivals
        for i in range(self.seen, len(times)):
            if times[i] > times[i - 1] + rule.silent:
                return times[i]
        return None

    def late(self, rare, rule):
        """From when on the next one is overdue."""
        again = self.heard_again(rare, rule)
        begin = self.newest if self.opened is None else self.opened
        return begin + rule.silent + rare.facility.delivery if again is None else again + rule.back

    def arrive(self, rare, rule, received):
        """A record comes; one that ends a silence of all begins the wait anew, if none did before."""
        if received > rare.arrivals[-1] + rule.silent:
            self.told = None
            late = (self.heard_again(rare, rule) or received) + rule.back
        else:
            late = self.late(rare, rule)
        if self.told is None and received >= late:
            self.told = received

    def due(self, rare, rule, alarm):
        """When the clock decides: that a heartbeat is missing, or, of an alarm that stands, that nothing is heard any more."""
        if alarm is not None:
            return None if alarm.unknown else rare.arrivals[-1] + rule.silent + 1
        return None if self.told is None else self.told + rare.facility.delivery

    def decide(self, rare, rule, name, at):
        """Take the decision."""
        state, subject = rare.subjects[rule.id, name], json.loads(name)
        if state.standing is not None:
            state.standing.unknown = True
            rare.say("unknown", rule, subject, state.standing, at, at)
            return
        self.told, self.raised = None, at
        rare.open(rule, subject, state, self.newest + rule.silent, rule.severity.base.rank, at, at)
