"""Numbers of a feed, plainly: every number that came and every one that did not is kept by itself, and all times that were told."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from types import SimpleNamespace


def sequence(rule):
    """Whether a rule looks at numbers of feeds."""
    return getattr(rule, "check", None) == "sequence"


@dataclass
class Missing:
    """One number that was left out."""

    number: int
    seen: int
    arrived: int
    """How many records of the facility had come by then, the one that left it out included."""
    before: int
    run: int
    overdue: bool = False


@dataclass
class Odd:
    """What came with a number that contradicts its time."""

    number: int
    lo: int
    hi: int
    received: int
    window: tuple | None
    done: bool = False


@dataclass
class Numbers:
    """One feed under one rule."""

    items: list = field(default_factory=list)
    """Of all that came: number, oldest and newest event time, series, run."""
    begins: list = field(default_factory=list)
    """Where each run of numbers begins, event time; the first begins with whatever comes first."""
    missing: list = field(default_factory=list)
    odd: list = field(default_factory=list)
    restarts: list = field(default_factory=list)
    forgotten: int = 0
    """Items that an officer's decision is done with: no other is compared with them."""

    def highest(self, run=None):
        run = len(self.begins) - 1 if run is None else run
        return max((one.number for one in self.items if one.run == run and one.counted), default=None)

    def front(self, item):
        """The newest number with which time rose too, among items of the same series; of one run."""
        front = None
        for one in self.items[self.forgotten :]:
            if one.series != item.series or one.run != len(self.begins) - 1:
                continue
            if front is None or (one.number > front.number and one.lo > front.lo):
                front = one
        return front

    def told(self, item):
        """Whether anything of an item's time was told: each item joined what lay near it as the posts of then came."""
        stretches = []
        for one in self.items[self.forgotten :]:
            if one.series == item.series and one.run == len(self.begins) - 1:
                joined = [s for s in stretches if s[0] - one.hi <= one.near and one.lo - s[1] <= one.near]
                whole = (min([one.lo, *(s[0] for s in joined)]), max([one.hi, *(s[1] for s in joined)]))
                stretches = [s for s in stretches if s not in joined] + [whole]
        return any(begin <= item.hi and item.lo <= end for begin, end in stretches)

    def contradicts(self, item, apart):
        """None, `older`, or `anew` with the front."""
        front = self.front(item)
        if front is None or (len(self.begins) > 1 and item.hi < self.begins[-1]):
            return None, None
        if item.number > front.number and front.lo - item.hi > apart:
            return (None if item.near is not None and not self.told(item) else "older"), front
        if item.number < front.number and item.lo - front.hi > apart:
            return "anew", front
        return None, None

    def explained(self, begin, end):
        return any(begin <= at <= end for at in self.restarts)

    def take(self, item, apart, arrived):
        """Take an item; returns whether a missing number came, and whether it contradicts time."""
        if not self.begins:
            self.begins.append(-1)
            self.add(item, counted=True)
            return False, False
        what, front = self.contradicts(item, apart)
        found = [one for one in self.missing if one.number == item.number and self.belongs(one, item)]
        if found:
            self.missing.remove(min(found, key=lambda one: one.run))
        is_odd = what == "older"
        window = None
        if what == "anew":
            window = (front.hi - apart, item.lo + apart)
            is_odd = not self.explained(*window)
        known = any((one.number, one.lo, one.hi) == (item.number, item.lo, item.hi) for one in self.odd)
        if is_odd and not known:
            self.odd.append(Odd(item.number, item.lo, item.hi, item.received, window))
        if what == "anew" and not found:
            self.begins.append(item.lo)
            self.add(item, counted=True)
        elif not found:
            self.count(item, apart, arrived)
        else:
            self.add(item, counted=False)
        return bool(found), is_odd and not known

    def belongs(self, missing, item):
        """Whether an item is a number that its run is missing: not of a later run, which begins with newer times."""
        return missing.run == len(self.begins) - 1 or item.hi < self.begins[missing.run + 1]

    def count(self, item, apart, arrived):
        top = self.highest()
        if item.number <= top:
            self.add(item, counted=False)
            return
        run = len(self.begins) - 1
        earlier = run > 0 and item.hi < self.begins[run] and item.number > self.highest(run - 1)
        if earlier and item.number > top + 1:
            self.add(item, counted=False)
            return
        newest = max(one.hi for one in self.items)
        if item.number > top + 1 and not self.explained(newest - apart, item.received + apart):
            self.missing += [
                Missing(number, item.received, arrived, newest, run) for number in range(top + 1, item.number)
            ]
        self.add(item, counted=True)

    def add(self, item, *, counted):
        self.items.append(
            SimpleNamespace(
                number=item.number,
                lo=item.lo,
                hi=item.hi,
                near=item.near,
                series=item.series,
                run=len(self.begins) - 1,
                counted=counted,
            )
        )

    def restart(self, at, received, rule):
        """Take a restart; returns whether it explains a missing number, and whether an odd one."""
        self.restarts.append(at)
        kept = [one for one in self.missing if not one.before - rule.apart <= at <= one.seen + rule.apart]
        taken, self.missing = len(kept) < len(self.missing), kept
        odd = False
        for one in self.odd:
            open_ = one.window and not one.done and received <= one.received + rule.wait
            if open_ and one.window[0] <= at <= one.window[1]:
                one.done = odd = True
        return taken, odd


def due_of(missing, rule, arrivals):
    """When a number is missing for long enough: silences of the whole facility behind what left it out do not count."""
    times = arrivals[missing.arrived - 1 :]
    lost = sum(b - a for a, b in pairwise(times) if b - a > rule.silent)
    due = missing.seen + rule.wait + lost
    return None if due - arrivals[-1] > rule.silent else due
