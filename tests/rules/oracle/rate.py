"""How much of a month was measured, in plain words: every row is kept, and at each judgement the time that they cover is made anew."""

from __future__ import annotations

import math
from datetime import timedelta
from fractions import Fraction
from itertools import pairwise

from rules.facts import facts_of
from rules.predicate import matches
from rules.rule import CompletenessRule
from tests.rules.oracle.share import day_of, instant, local, month_before

CODES = {"maintenance": 3, "calibration": 4, "set_value": 5, "fault": 6, "stopped": 7, "comms": 8}
UNCERTAIN = 1
WAYS = (1, 3)  # quarters of an interval at which slots begin


def slot_of(t, interval, way):
    """The slot that an instant lies in: one of those that begin a quarter, or three, behind each whole interval since 1970."""
    begin = way * interval // 4
    begin += (t - begin) // interval * interval
    return begin, begin + interval


def rating(rule):
    """It asks how much of a month was measured."""
    return isinstance(rule, CompletenessRule) and rule.check == "effective-rate"


def month_under_review(midnight):
    """The month that ended at most ten days before a midnight, or None."""
    return month_before(instant(local(midnight).replace(day=1))) if days_of(midnight) <= 10 else None


def days_of(midnight):
    """How many days of a month are over at a midnight."""
    return (local(midnight) - local(midnight).replace(day=1)) / timedelta(days=1)


def judged_month(now, delivery):
    return month_under_review(instant(day_of(now - delivery)))


def next_review(now, delivery):
    day = day_of(now) - timedelta(days=2)
    while instant(day) + delivery <= now or days_of(instant(day)) > 11:  # behind the eleventh it is over
        day += timedelta(days=1)
    return instant(day) + delivery


def pieces(ends, *spans):
    """The pieces of the time between two instants in which nothing begins or ends."""
    low, high = min(ends), max(ends)
    cuts = {edge for some in spans for span in some for edge in span if low < edge < high}
    return list(pairwise(sorted({*ends, *cuts})))


def inside(a, b, spans):
    return any(x <= a and b <= y for x, y in spans)


class Rates:
    """The rows of a facility, for one rule."""

    def __init__(self):
        self.looked = {}  # tag -> its interval
        self.since, self.rows = {}, {}
        self.rounded = {}  # tag -> what another interval left of the slot that had begun, by each way
        self.first = {}  # tag -> the interval with which the rule began to look
        self.over = 0  # months before this instant are done with

    def month(self, now, delivery):
        """The month that is judged, or None; once its days are over it never is again, also where the delivery gets longer."""
        month = judged_month(now, delivery)
        self.over = max(self.over, instant(day_of(now - delivery).replace(day=1)) if month is None else month[0])
        return None if month is None or month[0] < self.over else month

    def watch(self, rule, facility, received):
        looked = {s.tag: s.interval for s in facility.sensors if matches(rule, facility, facts_of(facility, s))}
        for tag in {*looked, *self.looked}:
            new, old = looked.get(tag), self.looked.get(tag)
            if new is None or old is None:
                self.since[tag], self.rows[tag], self.rounded[tag] = received, [], {way: [] for way in WAYS}
                self.first[tag] = new
            elif new != old:
                for way in WAYS:
                    end = max(high for _, high in self.covered(tag, way))
                    low, high = slot_of(end, new, way)
                    self.rounded[tag][way] += [(end, high)] if low < end else []
        self.looked = looked

    def row(self, rule, tag, t, value, quality, received):
        """A row comes, whatever else becomes of it; the interval of now is what it stands for."""
        interval = self.looked.get(tag)
        if interval is None or math.isnan(value) or quality in [UNCERTAIN, *(CODES[flag] for flag in rule.invalid)]:
            return
        if t <= received + 300_000:
            self.rows[tag].append((t, interval))

    def covered(self, tag, way):
        """The slots that a row lies in, and all time before the slot in which the rule began."""
        began, _ = slot_of(self.since[tag], self.first[tag], way)
        return [(-math.inf, began), *(slot_of(t, every, way) for t, every in self.rows[tag]), *self.rounded[tag][way]]

    def judge(self, rule, rare, tag, month):
        """Say whether too little was measured by either way to lay slots; None where nobody knows."""
        if self.looked[tag] is None:
            return None
        since, (low, high) = self.since[tag], month
        if since >= high:
            return None
        free, wrong = (rare.owner.marks.times(tag, flags) for flags in (rule.exempt, rule.invalid))
        rates = []
        total = sum(b - a for a, b in pieces({low, high}, free) if not inside(a, b, free))
        for way in WAYS:
            there = self.covered(tag, way)
            every = self.looked[tag]
            # A slot belongs to the month in which it ends.
            first, last = slot_of(max(low, since), every, way)[0], slot_of(high, every, way)[0]
            lacks = 0
            for a, b in pieces({first, last}, free, wrong, there) if first < last else []:
                if not inside(a, b, free) and (inside(a, b, wrong) or not inside(a, b, there)):
                    lacks += b - a
            rates.append(None if total == 0 else 1 - Fraction(min(lacks, total), total))
        return None if None in rates else max(rates) < Fraction(str(rule.share))
