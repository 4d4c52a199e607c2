"""Rules on series: with what numbers they decide, which rows count, and how they are asked what holds."""

from __future__ import annotations

import math
from copy import deepcopy
from fractions import Fraction

from rules.predicate import matches
from rules.rule import CumulativeRule, FrozenRule, JumpRule, LastDigitRule, LimitRule, MeanKineticRule, SteadinessRule
from rules.watching import bounds_of
from tests.rules.oracle import (
    cumulative,
    difference,
    exceptions,
    frozen,
    jump,
    last_digit,
    limit,
    mean_kinetic,
    smooth,
    steadiness,
    too_precise,
    trips,
)
from tests.rules.oracle.series import marked


class Watch:
    """One limit or frozen rule on one series."""

    def __init__(self, rule, place, sensor, decide, numbers, known):
        self.rule, self.place, self.tag = rule, place, sensor.tag
        self.decide, self.numbers, self.known = decide, numbers, known
        self.name, self.subject = sensor.tag, {"tag": sensor.tag}
        self.events = []
        self.said = []
        self.begin, self.cut, self.base = 0, 0, None
        """Rows before the first do not count (it began anew there); those before the second were decided: by `base`."""
        self.excepted = False  # numbers of a site exception decide
        self.skips = isinstance(rule, LimitRule | CumulativeRule | MeanKineticRule | JumpRule)
        self.taken = set()  # event times of rows that count in open gaps (tests/rules/oracle/opengaps.py)
        self.stands = set()  # rows that count as they were folded: what was told before a mark came stands

    def rows(self, series):
        since = series.rows[self.begin - 1][0] if self.begin else -1
        every = sorted([*series.rows[self.begin :], *(series.extra[t] for t in self.taken if t > since)])
        return [(t, m, v if self.known(v, self.quality(series, t, q)) else None) for t, m, v, q in every]

    def quality(self, series, t, q):
        """Return as what a row counts: a mark makes it one of maintenance, or of a set value."""
        return marked(series.how.get(t), q, t in self.stands)

    def now(self, series, clock):
        if self.base is None:
            return self.decide(self.numbers, self.rows(series), clock)
        return self.run(series, None, clock).events

    def run(self, series, stop, clock):
        """Judge as a limit is judged, behind what is decided, up to a row and the clock."""
        jumps = isinstance(self.numbers, jump.Jumps)
        rows = self.rows(series)
        rows = jump.changes(rows, self.numbers.limits.interval) if jumps else rows
        cut, stop = (None if i is None else self.stands_at(series, rows, i) for i in (self.cut, stop))
        run = limit.Run(self.numbers.limits if jumps else self.numbers) if self.base is None else deepcopy(self.base)
        return limit.go_on(run, rows[cut:stop], clock)

    def stands_at(self, series, rows, i):
        """Return where the i-th row of a series stands among those that count."""
        last = series.rows[i - 1][0] if i else -1
        return sum(row[0] <= last for row in rows)

    def trace(self, series, see):
        """Judge all rows that count, and show the pass behind each."""
        jumps = isinstance(self.numbers, jump.Jumps)
        rows = self.rows(series)
        rows = jump.changes(rows, self.numbers.limits.interval) if jumps else rows
        run = limit.Run(self.numbers.limits if jumps else self.numbers) if self.base is None else deepcopy(self.base)
        for row in rows if self.base is None else rows[self.stands_at(series, rows, self.cut) :]:
            limit.go_on(run, [row], None)
            see(row[0], run)


def watch(of, rule, place, sensor, interval, facts, span):
    """Return the watch of a rule on a series of the facility `of`, or None."""
    facility = of.registered
    if exceptions.muted(of, rule, sensor.tag):
        return None
    unknown = max(rule.unknown.max, 3 * interval)
    if isinstance(rule, LimitRule):
        found = bounds_of(rule, sensor, facts, of.bundle)
        if not found:
            return None
        own, *found, excepted = exceptions.loosened(of, rule, sensor.tag, *found[:2])
        numbers = difference.limits_of(own, found, interval, facility.delivery, of.bundle, facts)

        def known(v, q):
            if math.isnan(v) or (not rule.excludes and not span[0] <= v <= span[1]):
                return False
            return q not in (1, 5, 8) if rule.marked == "count" else q in (0, 2)

        made = Watch(rule, place, sensor, limit.decide, numbers, known)
        if rule.during is not None:
            made = trips.watch(of, rule, place, sensor, interval, found, known)
        elif rule.smooth is not None:
            made = means(rule, place, sensor, interval, facility, own, found, known)
        if made is not None:
            made.excepted = excepted
        return made
    if isinstance(rule, FrozenRule):
        limits = sensor.limits
        width = None
        if limits and limits.low is not None and limits.high is not None:
            width = rule.window_share * (limits.high - limits.low)
        identical = rule.identical_coarse if interval > rule.coarse_interval else rule.identical
        expected = math.ceil(0.75 * 86_400_000 / interval)
        numbers = frozen.Stillness(
            identical, rule.span, rule.clear_distinct, rule.severity.base.rank, width, expected, interval,
            facility.delivery, unknown,
        )  # fmt: skip
        return Watch(rule, place, sensor, frozen.decide, numbers, lambda v, q: not math.isnan(v) and q not in (1, 5, 8))
    if isinstance(rule, CumulativeRule):
        return total(of, rule, place, sensor, interval, facts, span)
    own = steady(rule, place, sensor, interval) if isinstance(rule, SteadinessRule) else None
    return own or more(rule, place, sensor, interval, facility, span)


def steady(rule, place, sensor, interval):
    if rule.check == "at-limit" and None in (sensor.detection_limit, sensor.resolution):
        return None
    numbers = steadiness.Steadiness(
        rule.check, rule.below, rule.clear_above, rule.share, rule.before, rule.clear_below, rule.weeks,
        rule.severity.base.rank, interval, sensor.detection_limit, sensor.resolution,
    )  # fmt: skip
    return Watch(rule, place, sensor, steadiness.decide, numbers, lambda v, q: not math.isnan(v) and q not in (1, 5, 8))


def more(rule, place, sensor, interval, facility, span):
    if isinstance(rule, LastDigitRule):
        if sensor.resolution is None:
            return None
        if rule.check == "uniform":
            whole = last_digit.Uniform(
                sensor.resolution,
                rule.number,
                rule.related,
                rule.spread,
                rule.uneven,
                rule.even,
                rule.severity.base.rank,
            )
            knows_all = lambda v, q: not math.isnan(v) and q not in (1, 5, 8)  # noqa: E731
            return Watch(rule, place, sensor, last_digit.decide, whole, knows_all)
        numbers = too_precise.Precision(
            sensor.resolution, rule.number, rule.within, rule.clean, rule.severity.base.rank, interval
        )
        return Watch(
            rule, place, sensor, too_precise.decide, numbers, lambda v, q: not math.isnan(v) and q not in (1, 5, 8)
        )
    if isinstance(rule, MeanKineticRule):
        numbers = mean_kinetic.Mean(rule.above, rule.clear_at, rule.severity.base.rank, interval, facility.delivery)
        return Watch(rule, place, sensor, mean_kinetic.decide, numbers, knows(rule, span))
    if isinstance(rule, JumpRule):
        numbers = jump.Jumps(rule, interval, facility.delivery, max(rule.unknown.max, 3 * interval))
        return Watch(rule, place, sensor, jump.decide, numbers, knows(rule, span))
    return None


def knows(rule, span):
    def known(v, q):
        counted = q not in (1, 5, 8) if rule.marked == "count" else q in (0, 2)
        return counted and not math.isnan(v) and span[0] <= v <= span[1]

    return known


def means(rule, place, sensor, interval, facility, own, found, known):
    volume = Fraction(rule.smooth.volume.split()[0])
    if sensor.sample_m3 is None or volume / Fraction(repr(sensor.sample_m3)) > 128:
        return None
    hint = rule.smooth.early
    early = None if hint is None else (hint.records, hint.of, hint.count, hint.to.rank)
    numbers = smooth.Means(
        found[1], rule.limits.inclusive, volume, Fraction(repr(sensor.sample_m3)), early, own.clear.consecutive,
        rule.severity.base.rank, interval, facility.delivery, max(rule.unknown.max, 3 * interval),
    )  # fmt: skip
    return Watch(rule, place, sensor, smooth.decide, numbers, known)


def total(of, rule, place, sensor, interval, facts, span):
    facility = of.registered
    found = bounds_of(rule, sensor, facts, of.bundle)
    if not found:
        return None
    _, *found, _ = exceptions.loosened(of, rule, sensor.tag, *found[:2])
    if rule.during is not None:
        return trips.sum_watch(of, rule, place, sensor, interval, found, knows(rule, span))
    single = None
    other = None if rule.idle_while is None else of.bundle.rule(rule.idle_while)
    if other is not None and matches(other, facility, facts):
        alone = watch(of, other, place, sensor, interval, facts, span)
        single = alone and alone.numbers
    numbers = cumulative.Total(
        found[0], found[1], rule.limits.inclusive, rule.total, rule.clear_below, rule.window,
        rule.severity.base.rank, interval, facility.delivery, max(rule.unknown.max, 3 * interval), single,
    )  # fmt: skip
    return Watch(rule, place, sensor, cumulative.decide, numbers, knows(rule, span))
