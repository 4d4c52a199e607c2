"""Kind `gap` with `during`, from scratch: all rows and all events that ever came, and the open time of the door counted for each question."""

from __future__ import annotations

import math
from itertools import pairwise

from rules.facts import facts_of
from rules.params import UNREGISTERED_INTERVAL_MS
from rules.predicate import matches
from rules.rule import GapRule
from tests.rules.oracle import filling, trips
from tests.rules.oracle.late import differences
from tests.rules.oracle.series import marked


class Quiet:
    """One such rule on one series."""

    def __init__(self, of, rule, place, sensor, since):
        self.of, self.rule, self.place, self.tag, self.area = of, rule, place, sensor.tag, sensor.area
        self.subject = {"tag": sensor.tag}
        interval = sensor.interval or UNREGISTERED_INTERVAL_MS
        self.limit = (
            max(int(rule.factor * interval), rule.at_least or 0) if rule.factor else rule.threshold + rule.grace
        )
        self.pace = min(interval, rule.threshold) if rule.threshold else interval
        self.steps = [
            (s.after if s.after is not None else int(s.after_intervals * interval), s.to.rank)
            for s in rule.severity.steps
        ]
        self.delivery = of.registered.delivery
        self.since = self.seen = self.received = since
        """Where counting begins; the newest row that had left when it was judged last; when the newest row came."""
        self.doors, self.said = [], []
        self.kept = set()
        """Distances behind that row in an alarm that goes on."""
        self.waits, self.judged = since, since

    # -- the door ---------------------------------------------------------------------------------------------------
    def close(self, begin, now):
        self.doors.append((max(begin, self.received), now))
        self.waits = now if self.waits is None else min(now, self.waits)

    def open_for(self, a, b):
        """Return for how many ms the door was open from a to b."""
        return b - a - sum(max(0, min(b, high) - max(a, low)) for low, high in self.doors)

    def instant(self, a, ms):
        """Return the first instant by which it was open for so long behind a."""
        low, high = a + ms, a + ms + sum(max(0, end - begin) for begin, end in self.doors)
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if self.open_for(a, middle) >= ms else (middle + 1, high)
        return low

    # -- what holds -------------------------------------------------------------------------------------------------
    def spans(self):
        if self.rule.during == "filling":
            return filling.spans(self.of.fillings, self.area)
        borders = trips.spans(self.of.trips, self.area)
        return [(borders[i][0], borders[i + 1][0] - 1) for i in range(0, len(borders) - 1, 2)]

    def times(self):
        return [
            self.since,
            *(row[0] for row in self.of.series[self.tag].rows if row[0] > self.since and self.counts(row)),
        ]

    def counts(self, row):
        """Say whether a row ends a silence; one that was marked behind its coming does."""
        if self.rule.records is None:
            return True
        t, _, v, q = row
        quality = marked(self.of.series[self.tag].how.get(t), q, stands=True)
        low, high = self.of.ranges[self.tag]
        good = (0, 2) if self.rule.marked == "skip" else (0, 2, 3, 4, 6, 7)
        return quality in good and not math.isnan(v) and low <= v <= high

    def off(self):
        """Return when it was filled and a monitor was off: (from, to, until when that is told)."""
        found = []
        for begin, end in self.spans() if self.rule.off else ():
            for low, high in filling.off(self.of.switches, self.area):
                over = high if high <= end else end + self.delivery
                if max(begin, low) < min(end, high):
                    found.append((max(begin, low), min(end, high), over))
        return found

    def tail(self):
        """Return the stretches behind the newest row in which one was due: (from, to)."""
        newest = self.times()[-1]
        found = [(max(newest, begin), end) for begin, end in self.spans() if end > newest]
        return [(a, b) for a, b in found if self.open_for(a, b) > self.limit]

    def colour(self, length):
        return max([self.rule.severity.base.rank, *(colour for after, colour in self.steps if length > after)])

    def holes(self, now):
        """Return the silences at an instant: (behind which row or border, end, colour)."""
        found, times = [], self.times()
        for before, behind in pairwise(times):
            for begin, end in self.spans() if behind > self.seen or (before, behind) in self.kept else ():
                a, b = max(before, begin), min(behind, end)
                if a < b and self.open_for(a, b) > self.limit:
                    found.append((a, b, self.colour(self.open_for(a, b))))
        for a, b in self.tail():
            if self.instant(b, self.delivery) <= now:
                found.append((a, b, self.colour(self.open_for(a, b))))
            elif self.instant(a, self.limit + self.delivery) <= now:
                reached = [
                    colour for after, colour in self.steps
                    if self.open_for(a, b) > after and self.instant(a, after + self.delivery) <= now
                ]  # fmt: skip
                found.append((a, None, max([self.rule.severity.base.rank, *reached])))
        return found

    def uncovered(self, now):
        """Return what holds at an instant, by time: [start, end, colour, whether the clock would have known it before]."""
        parts = []
        for a, b, colour in self.holes(now):
            last = max(end for begin, end in self.spans() if begin <= a) if b is None else b
            parts.append([a + self.pace, last, b is None, colour, self.instant(a, self.limit + self.delivery) < now])
        for a, b, over in self.off():
            if a <= now:
                parts.append([a, b, over > now, self.rule.severity.base.rank, a + self.delivery < now])
        found = []
        for part in sorted(parts):
            if self.rule.off and found and part[0] <= found[-1][1]:
                found[-1][1:] = [max(pair) for pair in zip(found[-1][1:], part[1:], strict=True)]
            else:
                found.append(part)
        return [
            [start, None if going_on and i + 1 == len(found) else last, colour, late]
            for i, (start, last, going_on, colour, late) in enumerate(found)
        ]

    def due(self, to):
        """Return when it is judged next, if that is not behind `to`."""
        if self.waits is not None:  # what the clock had decided by then, it had decided before
            return self.waits if self.waits <= to else None
        found = []
        for a, b in self.tail():
            lengths = [self.limit, *(after for after, _ in self.steps if self.open_for(a, b) > after)]
            found += [self.instant(a, length + self.delivery) for length in lengths]
            found.append(self.instant(b, self.delivery))
        for a, _, over in self.off():
            found += [a, over]
        return min((at for at in found if self.judged < at <= to), default=None)

    def judge(self, now):
        standing = next((said for said in self.said if said.end is None and not said.retracted), None)
        holds = [
            one for one in self.uncovered(now)
            if one[1] is None or one[1] > self.seen or (standing is not None and standing.start < one[1])
        ]  # fmt: skip
        left = sorted((said for said in self.said if stands(said, self.seen)), key=lambda said: said.start)
        new, overdue = [], set()
        for start, end, colour, late in holds:
            begin, known = start, late
            if start <= self.seen:
                same = [
                    said for said in left
                    if (end is None or said.start < end) and (said.end is None or start < said.end)
                ]  # fmt: skip
                if same:  # it begins no earlier in time that was judged
                    left.remove(same[0])
                    begin = max(start, min(same[0].start, self.seen + 1))
                else:  # that time was judged
                    begin, known = self.seen + 1, True
            if end is None or begin < end:
                new.append([begin, end, colour, colour, False, end])
                overdue |= {begin} if known else set()
        if standing is not None and new and new[-1][1] is None:
            trip = max(begin for begin, _ in self.spans() if begin <= new[-1][0])
            went_on = trip < standing.start < new[-1][0]
            if went_on and not any(b > standing.start for _, b, _, _, _, _ in new[:-1]):
                colour = max(standing.colour, new[-1][2])
                new[-1] = [standing.start, None, colour, colour, False, None]
        told = [said for said in self.said if stands(said, self.seen)]
        for start, kind, said, one in list(differences(told, new)):
            steps = kind == "amended" and said.end is None and said.start == one[0]
            at = now if one is None or one[1] is None else one[1]
            late = one is not None and one[0] in overdue
            self.of.late(self, (start, "stepped" if steps else kind, said, one), at, now, late=late)
        series, times = self.of.series[self.tag], self.times()
        before = self.seen
        if series.rows:
            self.seen = max(self.seen, min(series.floor, times[-1]))
        inside = {pair for pair in pairwise(times) if pair[1] > before} | self.kept
        self.kept = {
            (a, b) for a, b in inside
            if self.rule.off and b <= self.seen and b - a > self.limit
            and any(
                start < b and (end is None or (a < end and end > self.seen)) for start, end, _, _ in holds
            )
        }  # fmt: skip
        self.waits, self.judged = None, now


def stands(said, seen):
    """Say whether an alarm is told and not over up to the newest row that had left."""
    return not said.retracted and (said.end is None or said.end > seen)


def quiets(of, places, since):
    """Return the watches of a facility."""
    return [
        Quiet(of, rule, places[rule.id], sensor, since)
        for sensor in sorted(of.registered.sensors, key=lambda s: s.tag)
        for rule in of.bundle.rules
        if isinstance(rule, GapRule)
        and rule.during
        and (sensor.interval or rule.threshold)
        and matches(rule, of.registered, facts_of(of.registered, sensor))
    ]


def arm(of, received, *, tag=None, area=None):
    """Let watches be judged once an instant is over."""
    for quiet in of.quiets:
        if quiet.tag == tag or quiet.area == area:
            quiet.waits = received if quiet.waits is None else min(quiet.waits, received)
