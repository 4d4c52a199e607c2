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


class Rates:
    """The rows of a facility, for one rule."""

    def __init__(self):
        self.looked = {}  # tag -> its interval
        self.since, self.rows = {}, {}
        self.over = 0  # months before this instant are done with

    def month(self, now, delivery):
        """The month that is judged, or None; once its days are over it never is again, also where the delivery gets longer."""
        month = judged_month(now, delivery)
        self.over = max(self.over, instant(day_of(now - delivery).replace(day=1)) if month is None else month[0])
        return None if month is None or month[0] < self.over else month

    def watch(self, rule, facility, received):
        looked = {s.tag: s.interval for s in facility.sensors if matches(rule, facility, facts_of(facility, s))}
        for tag in {*looked, *self.looked}:
            if looked.get(tag) is None or self.looked.get(tag) is None:
                self.since[tag], self.rows[tag] = received, []
        self.looked = looked

    def row(self, rule, tag, t, value, quality, received):
        """A row comes, whatever else becomes of it; the interval of now is what it stands for."""
        interval = self.looked.get(tag)
        if interval is None or math.isnan(value) or quality in [UNCERTAIN, *(CODES[flag] for flag in rule.invalid)]:
            return
        if t <= received + 300_000:
            self.rows[tag].append((t, interval))

    def covered(self, tag):
        """The stretches that are covered: a row joins those beside it from which at most half an interval parts it."""
        found = [(-math.inf, self.since[tag])]
        for t, interval in self.rows[tag]:
            begin, end = t, t + interval
            if not any(a <= begin <= b for a, b in found):
                before = max(b for _, b in found if b < begin)
                begin = before if 2 * (begin - before) <= interval else begin
            if not any(a <= end <= b for a, b in found):
                behind = min((a for a, _ in found if a > end), default=math.inf)
                end = behind if 2 * (behind - end) <= interval else end
            near = [(a, b) for a, b in found if a <= end and b >= begin]
            found = [span for span in found if span not in near]
            found.append((min([begin, *(a for a, _ in near)]), max([end, *(b for _, b in near)])))
        return found

    def judge(self, rule, rare, tag, month):
        """Say whether too little was measured; None where nobody knows."""
        if self.looked[tag] is None:
            return None
        since, (low, high) = self.since[tag], month
        if since >= high:
            return None
        free, wrong = (rare.owner.marks.times(tag, flags) for flags in (rule.exempt, rule.invalid))
        there = self.covered(tag)
        edges = sorted(
            {low, high, max(low, since), *(e for span in [*free, *wrong, *there] for e in span if low < e < high)}
        )
        expected = valid = 0
        for a, b in pairwise(edges):
            if any(x <= a and b <= y for x, y in free):
                continue
            expected += b - a
            bad = any(x <= a and b <= y for x, y in wrong) or not any(x <= a and b <= y for x, y in there)
            valid += b - a if a < since or not bad else 0
        return None if expected == 0 else Fraction(valid, expected) < Fraction(str(rule.share))
