"""Limits that change while data are late: each row is judged by the numbers of its time (docs/engine-semantics.md, "Register and packs")."""

from __future__ import annotations

from rules.facts import facts_of, in_force
from rules.params import UNREGISTERED_INTERVAL_MS
from tests.rules.oracle import formerlypairs, limit, opengaps
from tests.rules.oracle.watches import Watch
from tests.rules.oracle.watches import watch as watch_of


class Split(Watch):
    """A watch whose numbers were others before: `past` is [(until, floor, numbers)], oldest first."""

    past = ()

    def trace(self, series, see):
        self.now(series, -1, see)

    def now(self, series, clock, see=None):
        """Judge all rows from scratch, split where the numbers ended."""
        numbers = [*(one for _, _, one in self.past), self.numbers]
        run, had, before = limit.Run(numbers[0]), 0, None
        for t, m, v in self.rows(series):
            behind = sum(until <= min(t, m) for until, _, _ in self.past)
            self.turn(run, had, behind, before)
            had = behind
            came = m if had == len(self.past) else min(m, self.past[had][0] - 1)  # the latter: when they had ended
            if before is not None and came > before:
                run.clock(came)
            run.row(t, came, v)
            before = came
            if see is not None:
                see(t, run)
        self.turn(run, had, len(self.past), before)
        if before is not None and clock > before:
            run.clock(clock)
        return run.events

    def turn(self, run, had, to, before):
        """Go on to later numbers: first what was due with those that end."""
        for k in range(had, to):
            until, floor, _ = self.past[k]
            if before is not None and until - 1 > before and (k == 0 or until > self.past[k - 1][0]):
                run.clock(until - 1)
            run.adopt(self.past[k + 1][2] if k + 1 < len(self.past) else self.numbers, floor)


def begun(facility, at):
    """Return a register with the entries that are in force at an instant alone."""
    return facility.model_copy(update={"sensors": in_force(facility, at)})


def next_border(of, to):
    """Return the next instant up to `to` at which a fact of the register comes into force, or None."""
    begins = [sensor.from_ for sensor in of.whole.sensors if sensor.from_] if of.whole is not None else []
    begins += formerlypairs.area_borders(of.whole)
    return min((begin for begin in begins if of.clock < begin <= to), default=None)


def adopt(of, facility, now, begins):
    """Let other numbers come into force: rows of before are judged as they were, and the horizon of no series ends.

    Args:
        of: the oracle's facility.
        facility: the register with what is in force now; of series only limits may be others.
        now: the clock.
        begins: the first instant whose rows they judge.
    """
    of.decide_late(of.waiting(), now)
    for pair in sorted(of.pairs, key=lambda p: (p.place, p.name)):
        if pair.waits is not None:
            pair.decide(pair.waits, now, of)
    of.registered = facility
    formerlypairs.adopt(of, facility, now, begins)
    watches = []
    for watch in of.watches:
        sensor = next(sensor for sensor in facility.sensors if sensor.tag == watch.tag)
        facts, interval = facts_of(facility, sensor), sensor.interval or UNREGISTERED_INTERVAL_MS
        new = watch_of(of, watch.rule, watch.place, sensor, interval, facts, of.ranges[watch.tag])
        if new.numbers == watch.numbers:
            watches.append(watch)
            continue
        split = Split(new.rule, new.place, sensor, new.decide, new.numbers, new.known)
        split.events, split.said, split.stands, split.taken = watch.events, watch.said, watch.stands, watch.taken
        opengaps.forget(of.series[watch.tag])
        split.past = [*getattr(watch, "past", ()), (begins, now, watch.numbers)]
        watches.append(split)
    of.watches = watches
    of.silences.changed = now


def is_earlier(of, tag, t, received):
    """Say whether a row of a tag is judged by numbers of before."""
    ends = [watch.past[-1][0] for watch in of.watches if watch.tag == tag and getattr(watch, "past", ())]
    return min(t, received) < max(ends, default=0)
