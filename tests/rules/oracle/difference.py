"""Kind `difference`, from scratch: the rows of both inputs make one series of instants, and that is judged as a limit is."""

from __future__ import annotations

import dataclasses
import math

from rules.layout import REACH
from rules.pairs import bounds_of_pair, pairs_of
from rules.params import UNREGISTERED_INTERVAL_MS
from rules.rule import DifferenceRule
from tests.rules.oracle import limit
from tests.rules.oracle.late import differences, occurrences
from tests.rules.oracle.pressuredoors import broke_between, doors_at
from tests.rules.oracle.series import marked

HORIZON, OPEN = 2 * 3_600_000, 240 * 3_600_000
AT_ONCE = 65_536


class Pair:
    """One pair: all rows that it has read, and what it has said."""

    def __init__(self, rule, place, pair, bounds, facility, ranges, bundle):
        self.rule, self.place, self.name, self.subject = rule, place, pair.name, dict(pair.subject)
        self.tags, self.sign = [sensor.tag for sensor in pair.inputs], pair.sign
        self.ranges = [ranges[tag] for tag in self.tags]
        intervals = [sensor.interval or UNREGISTERED_INTERVAL_MS for sensor in pair.inputs]
        self.caps = [max(64, min(1024, -(-HORIZON // i) * 5 // 4 + 8)) for i in intervals]
        slower = max(intervals)
        self.reach = REACH * slower
        self.steps = []
        if rule.pairs == "by-temperature":
            rows = bundle.tables[rule.limits.from_].rows
            self.steps = [row for row in rows if all(fits(pair.facts[name], want) for name, want in row.where.items())]
        self.max_age = int(rule.max_age_intervals * slower)
        self.numbers = limits_of(rule, bounds, slower, facility.delivery, bundle, pair.facts)
        self.rows = [[] for _ in self.tags]  # (t, received, v, quality)
        self.how = [{} for _ in self.tags]  # event time -> how a good row is marked
        self.skips, self.stands = True, set()
        self.waiting = [[] for _ in self.tags]  # those of the newest receive time, with whether each was late
        self.waits = None
        self.floor, self.seen = -1, -1
        self.events, self.said = [], []
        self.told = []  # of doors of the cleaner room: (event time, received, door, word, whether it was late)
        self.closed = None
        if rule.doors is not None:
            self.closed = dataclasses.replace(self.numbers, on_delay=rule.doors.closed)

    def known(self, which, v, q):
        low, high = self.ranges[which]
        if math.isnan(v) or not low <= v <= high:
            return False
        return q not in (1, 5, 8) if self.rule.marked == "count" else q in (0, 2)

    def receive(self, tag, t, v, q, received, how, *, late):
        for which, own in enumerate(self.tags):
            if own == tag and t > self.floor:
                self.waits = received
                self.waiting[which].append((t, received, v, q, late))
                if how is not None:
                    self.how[which][t] = how

    def hear(self, area, t, received, door, word):
        """Take what an event tells of a door."""
        if self.closed is None or self.subject["area"] != area or t <= self.floor:
            return
        if any(one[0] == t and one[2] == door and word in (one[3], "open") for one in self.told):
            return
        late = t <= self.seen
        self.told.append((t, received, door, word, late))
        if late:
            self.waits = received

    def counts(self, which, t, v, q):
        """Return the value of a row that counts, or None."""
        q = marked(self.how[which].get(t), q, (which, t) in self.stands)
        return v if self.known(which, v, q) else None

    def instants(self):
        """Return (t, m, difference or None) of every event time, oldest first."""
        rows_at, counts, earliest = {}, {}, math.inf
        for t, which, m, v in sorted(
            ((t, i, m, self.counts(i, t, v, q)) for i, rows in enumerate(self.rows) for t, m, v, q in rows),
            key=lambda row: row[:3],
            reverse=True,
        ):
            rows_at.setdefault(t, []).append((which, v))
            earliest = min(earliest, m)
            counts[t] = earliest  # the earliest receive time of a row there or behind it
        found, held = [], [None] * len(self.tags)
        for t in sorted(rows_at):
            fresh = [(which, v) for which, v in rows_at[t] if v is not None]
            for which, v in fresh:
                held[which] = (t, v)
            aged = [row is None or (len(held) > 1 and t - row[0] > self.max_age) for row in held]
            value = None
            if fresh and not any(aged):
                value = self.value(*(v for _, v in held))
            found.append((t, counts[t], value))
        return found

    def value(self, first, second=None):
        if self.steps:
            limits = [
                row.limit.high
                for row in self.steps
                if row.at.begin <= second and (second < row.at.below if row.at.to is None else second <= row.at.to)
            ]
            over = (first - limits[0]) * 1e6 if limits else math.nan
            return round(over) / 1e6 if math.isfinite(over) else None
        value = self.sign * first if second is None else first - second
        return value if math.isfinite(value) else None

    def now(self, clock):
        if self.closed is None or not self.told:
            return limit.decide(self.numbers, self.instants(), clock)
        told, run, before = {}, limit.Run(self.numbers), None
        for t, _, door, word, _ in self.told:
            told.setdefault(door, []).append((t, word))
        for t, m, v in self.instants():
            if before is not None and m > before:
                run.clock(m)
            before, state = m, doors_at(told, t)
            run.limits = self.closed if state == "closed" else self.numbers
            if run.phase == "pending" and (state == "open" or broke_between(told, run.start, t)):
                run.normal()
            if run.phase == "normal" and state == "open":
                run.newest, run.newest_m = t, m
            else:
                run.row(t, m, v)
        run.limits = self.numbers
        if before is not None and clock is not None and clock > before:
            run.clock(clock)
        return run.events

    def due(self, to):
        """Return when the next decision is due, at most `to`."""
        if self.waits is not None:
            return self.waits
        events = self.now(to)
        return events[len(self.events)].received if len(events) > len(self.events) else None

    def decide(self, at, to, facility):
        if self.waits is None:
            new = [event for event in self.now(to)[len(self.events) :] if event.received == at]
            for event in new:
                facility.publish(self, event)
            self.events = self.events + new
            return
        assert at == self.waits
        waiting = [sorted(rows, key=lambda row: row[0])[-AT_ONCE:] for rows in self.waiting]
        late = any(row[4] for rows in self.waiting for row in rows)
        late = late or any(one[4] for one in self.told if one[1] == at)
        before = [row for rows in self.rows for row in rows if row[1] == at and row[0] > self.floor]
        doors = [one[:1] for one in self.told if one[1] == at]
        first = min(
            row[0] for rows in [*waiting, before, doors] for row in rows
        )  # a mark may have parted the rows of an instant
        seen = self.seen
        for rows, new in zip(self.rows, waiting, strict=True):
            rows += [row[:4] for row in new]
            rows.sort(key=lambda row: row[0])
        self.waiting, self.waits = [[] for _ in self.tags], None
        self.seen = max([seen, *(row[0] for rows in self.rows for row in rows)])
        self.told = [(*one[:4], False) for one in self.told]
        events = self.now(at)
        if first > seen:
            for event in events[len(self.events) :]:
                facility.publish(self, event)
        else:
            for found in differences(self.said, occurrences(events)):
                facility.late(self, found, first, at, late=late)
        self.events = events
        self.leave()

    def holds(self, instants, t):
        far, before = 0, instants[-1]
        for other in reversed(instants):
            if other < t or far >= HORIZON:
                break
            far, before = far + min(before - other, self.reach), other
        return far < HORIZON and instants[-1] - t < OPEN

    def leave(self):
        """Note the newest row that has left the horizon."""
        instants = sorted({row[0] for rows in self.rows for row in rows if row[0] > self.floor})
        edge = max([self.floor, *(t for t in instants if not self.holds(instants, t))])
        for rows, cap in zip(self.rows, self.caps, strict=True):
            kept = {row[0] for row in [row for row in rows if row[0] > edge][-cap:]}
            self.floor = max([self.floor, *(row[0] for row in rows if row[0] not in kept)])


def fits(fact, wanted):
    return fact in wanted if isinstance(wanted, list) else fact == wanted


def limits_of(rule, bounds, interval, delivery, bundle, facts):
    """Return the numbers of a rule, limit or difference, on one series of values."""
    low, high = bounds[:2]
    db, opens = rule.clear.deadband, rule.when.consecutive
    for row in bundle.tables[rule.limits.from_].rows if rule.limits.from_ in bundle.tables else []:
        if all(fits(facts[name], wanted) for name, wanted in row.where.items()):
            db = db if row.deadband is None else row.deadband
            opens = opens if row.consecutive is None else row.consecutive
            break
    if isinstance(db, str):
        db = abs(high if math.isfinite(high) else low) * float(db[:-1]) / 100
    if math.isfinite(high - low):
        db = min(db, (high - low) / 4)
    steps, counted = [], set()
    for s in rule.severity.steps:
        if s.beyond is None:
            steps.append(("after", s.after if s.after is not None else int(s.after_intervals * interval), 0, s.to.rank))
        else:
            ends = (
                -math.inf if s.beyond.low is None else s.beyond.low,
                math.inf if s.beyond.high is None else s.beyond.high,
            )
            steps.append(("beyond", ends, s.for_, s.to.rank))
            counted |= {len(steps) - 1} if s.consecutive else set()
    return limit.Limits(
        low, high, db, rule.limits.inclusive, opens, rule.when.on_delay, rule.clear.consecutive,
        rule.clear.off_delay, rule.severity.base.rank, steps, interval, delivery, max(rule.unknown.max, 3 * interval),
        counted,
    )  # fmt: skip


def pairs(bundle, facility, ranges, now):
    """Return the pairs of a facility; `ranges` are (low, high) of what is not excluded, by tag."""
    found = []
    for place, rule in enumerate(bundle.rules):
        if isinstance(rule, DifferenceRule):
            for pair in pairs_of(rule, facility, sorted(facility.sensors, key=lambda s: s.tag), now):
                bounds = bounds_of_pair(rule, pair, bundle)
                if bounds is not None:
                    found.append(Pair(rule, place, pair, bounds, facility, ranges, bundle))
    return found


def doors(facility, payload, received):
    """Let pairs hear what events tell of doors; an event of a batch that comes again is the same one."""
    devices = {device.id: device.area for device in facility.registered.devices}
    for event in payload.events:
        if (event.stream, event.type) == ("device", "door") and event.fields.get("state") in ("open", "closed"):
            t = event.time if event.time <= received + 300_000 else received
            door = event.device or event.fields.get("device") or event.source
            for pair in facility.pairs:
                pair.hear(event.area or devices.get(door), t, received, door, event.fields["state"])
