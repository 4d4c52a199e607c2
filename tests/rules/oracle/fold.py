"""The plain fold: the same log in, the same changes out, without arrays, rings, tails or kernels."""

from __future__ import annotations

import math
from collections import Counter
from copy import deepcopy

from rules.changes import alarm_id
from rules.facts import facts_of
from rules.layout import REACH
from rules.models import Severity
from rules.pack import Bundle
from rules.params import UNREGISTERED_INTERVAL_MS
from rules.predicate import matches
from rules.records import Answer, Decision, Events, Mark, PacksRecord, Readings, RegisterRecord, Report, Tick
from rules.rule import CumulativeRule, DifferenceRule, FrozenRule, JumpRule, LastDigitRule, LimitRule, MeanKineticRule
from rules.watching import bounds_of
from tests.rules.oracle import (
    cumulative,
    difference,
    exceptions,
    frozen,
    jump,
    limit,
    mean_kinetic,
    migration,
    rare,
    too_precise,
)
from tests.rules.oracle.gap import Silences
from tests.rules.oracle.late import Said, differences, occurrences

DAY = 24 * 3_600_000
HORIZON = 2 * 3_600_000
OPEN = 10 * DAY
COLOURS = [s.value for s in Severity]


def away(times, t, reach):
    """Return how far an instant lies behind the newest of some times, where a hole counts `reach` at most.

    Args:
        times: in order, the newest last.
        t: the instant, not newer than that.
        reach: what a hole counts at most, ms.
    """
    far, before = 0, times[-1]
    for other in reversed(times):
        if other <= t or far >= HORIZON:
            break
        far, before = far + min(before - other, reach), other
    return far + min(before - t, reach)


def inside(times, t, reach):
    """Say whether an instant lies inside the horizon of the newest of some times."""
    return times[-1] - t < HORIZON or (away(times, t, reach) < HORIZON and times[-1] - t < OPEN)


def rank(colour):
    return COLOURS.index(colour)


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

    def rows(self, series):
        return [(t, m, v if self.known(v, q) else None) for t, m, v, q in series.rows[self.begin :]]

    def now(self, series, clock):
        if self.base is None:
            return self.decide(self.numbers, self.rows(series), clock)
        return self.run(series, None, clock).events

    def run(self, series, stop, clock):
        """Judge as a limit is judged, behind what is decided, up to a row and the clock."""
        jumps = isinstance(self.numbers, jump.Jumps)
        rows = self.rows(series)
        rows = jump.changes(rows, self.numbers.limits.interval) if jumps else rows
        run = limit.Run(self.numbers.limits if jumps else self.numbers) if self.base is None else deepcopy(self.base)
        stop = None if stop is None else stop - self.begin
        return limit.go_on(run, rows[self.cut - self.begin : stop], clock)


class Series:
    """All rows of a tag that were folded, by event time."""

    def __init__(self, interval):
        self.rows = []
        self.floor = -1  # the newest row that has left
        self.reach = REACH * interval
        self.counts = Counter()
        self.waits = []  # event times of late rows that are not decided yet
        rows = -(-HORIZON // interval) * 5 // 4 + 8
        self.cap = max(64, min(1024, rows))

    def admit(self, t, v, received):
        """Say what becomes of a row: future, order, late, duplicate, conflict or stale."""
        if t > received + 300_000:
            return "future"
        if not self.rows or t > self.rows[-1][0]:
            return "order"
        if t <= self.floor or not self.holds(t):
            return "stale"
        kept = self.ring()
        for row in self.rows:
            if row[0] == t:
                same = row[2] == v or (math.isnan(row[2]) and math.isnan(v))
                return "duplicate" if same else "conflict"
        if len(kept) >= self.cap and t < kept[0][0]:
            return "stale"
        return "late"

    def holds(self, t):
        return inside([row[0] for row in self.rows], t, self.reach)

    def ring(self):
        """Return the rows inside the horizon."""
        times = [row[0] for row in self.rows]
        first = next(i for i, t in enumerate(times) if t > self.floor and inside(times, t, self.reach))
        return self.rows[max(first, len(times) - self.cap) :]

    def first_decide(self, t, received, v, q):
        """Say whether the late rows that wait are to be decided first: the horizon would move past the earliest."""
        if not self.waits:
            return False
        like = Series.__new__(Series)
        like.rows, like.floor, like.reach, like.cap = list(self.rows), self.floor, self.reach, self.cap
        if len(like.ring()) >= like.cap:
            like.floor = like.ring()[0][0]
        like.put(t, received, v, q)
        return max([like.floor, *(row[0] for row in like.rows[: -len(like.ring())])]) >= min(self.waits)

    def put(self, t, received, v, q):
        behind = next((i for i, row in enumerate(self.rows) if row[0] > t), None)
        if behind is None:
            self.rows.append((t, received, v, q))
        else:
            self.rows.insert(behind, (t, self.rows[behind][1], v, q))


class Facility:
    """One facility."""

    def __init__(self, name, bundle):
        self.name, self.bundle = name, bundle
        self.clock = -1
        self.now = -1  # the instant whose exceptions are in force
        self.version = -1
        self.series = {}
        self.watches = []
        self.pairs = []
        self.silences = None
        self.rare = None
        self.proofs = []  # of each change (deciding value, whether it lies outside, farthest value), None where not told here
        self.batches = []
        self.again = Counter()
        self.changes = []

    def say(self, kind, rule, subject, name, colour, start, end, at, received, *, late=False, by=None, proof=None):
        self.proofs.append(proof)
        self.changes.append(
            {
                "seq": len(self.changes) + 1, "rule": rule.id, "subject": subject, "change": kind,
                "alarm": alarm_id(rule.id, self.name, subject, name[0], name[1]), "severity": COLOURS[colour],
                "start": start, "end": end, "at": at, "received": received, "late": late, "by": by,
            }
        )  # fmt: skip

    # -- time -------------------------------------------------------------------------------------------------------
    def move(self, to):
        """Decide everything due up to `to`, in order; exceptions begin and end before what is due at the same instant."""
        if to <= self.clock:
            return
        while (border := exceptions.next_border(self, to)) is not None:
            self.decide_until(border, ahead_of=border)
            migration.adopt(self, self.bundle, border, border - 1)
            self.clock = border - 1
            self.decide_until(border)
        self.decide_until(to)

    def decide_until(self, to, ahead_of=math.inf):
        while True:
            due = self.next_due(to)
            if due is None or due[0] >= ahead_of:
                break
            at, kind, item = due
            if kind == "watch":
                self.follow(item, at, to)
            elif kind == "late":
                self.decide_late(item, at)
            elif kind == "rare":
                self.rare.decide(at, item)
            elif kind == "pair":
                item.decide(at, to, self)
            else:
                self.silences.decide(at, item)
        self.clock = to

    def waiting(self):
        return [tag for tag, series in self.series.items() if series.waits]

    def next_due(self, to):
        if self.waiting():
            return self.clock, "late", self.waiting()
        found = []
        for watch in self.watches:
            events = watch.now(self.series[watch.tag], to)
            if len(events) > len(watch.events):
                found.append(((events[len(watch.events)].received, watch.place, 2, (watch.tag, 0)), "watch", watch))
        for pair in self.pairs:
            due = pair.due(to)
            if due is not None:
                found.append(((due, pair.place, 2, (pair.name, 0)), "pair", pair))
        if self.silences is not None:
            found += [
                ((at, place, level, subject), "silence", key)
                for at, place, level, subject, key in self.silences.dues(to)
            ]
        if self.rare is not None:
            found += [
                ((at, place, level, subject), "rare", key) for at, place, level, subject, key in self.rare.dues(to)
            ]
        if not found:
            return None
        key, kind, item = min(found, key=lambda f: f[0])
        return key[0], kind, item

    def follow(self, watch, at, to):
        """Publish what the clock decides for a watch at `at`."""
        events = watch.now(self.series[watch.tag], to)
        new = [event for event in events[len(watch.events) :] if event.received == at]
        assert new, "something was due"
        for event in new:
            self.publish(watch, event)
        watch.events = watch.events + new

    def publish(self, watch, event):
        if event.kind == "raised":
            uses = 1 + sum(said.name[0] == event.start for said in watch.said)
            watch.said.append(Said(event.start, None, event.colour, event.colour, False, (event.start, uses)))
        said = next(s for s in reversed(watch.said) if not s.retracted and s.end is None)
        said.colour, said.top = event.colour, max(said.top, event.colour)
        if event.kind in ("unknown", "known"):
            said.unknown = event.kind == "unknown"
        if event.kind == "cleared":
            said.end, said.unknown = event.end, False
        self.say(
            event.kind,
            watch.rule,
            watch.subject,
            said.name,
            event.colour,
            said.start,
            said.end,
            event.at,
            event.received,
            proof=self.proof(watch, event),
        )

    def proof(self, watch, event):
        if isinstance(watch.rule, CumulativeRule | MeanKineticRule):
            return event.value
        if not isinstance(watch.rule, LimitRule | DifferenceRule | JumpRule):
            return None
        if event.kind == "unknown":
            return None, None, event.peak
        return event.value, watch.numbers.outside(event.value), event.peak

    # -- records ----------------------------------------------------------------------------------------------------
    def register(self, record, received):
        if record.version <= self.version:
            return
        places = {rule.id: i for i, rule in enumerate(self.bundle.rules)}
        if self.rare is None:
            self.rare = rare.Rare(self, self.bundle, places)
        elif not all(isinstance(rule, rare.RARE) for rule in self.bundle.rules):
            raise AssertionError("the oracle takes one register a facility, but for packs of rules over rare records")
        self.version, self.now = record.version, received
        facility = self.registered = record.facility
        ranges = {}
        for sensor in sorted(facility.sensors, key=lambda s: s.tag):
            interval = sensor.interval or UNREGISTERED_INTERVAL_MS
            self.series[sensor.tag] = Series(interval)
            facts = facts_of(facility, sensor)
            low, high = -math.inf, math.inf
            for rule in self.bundle.rules:
                if isinstance(rule, LimitRule) and rule.excludes and matches(rule, facility, facts):
                    found = bounds_of(rule, sensor, facts, self.bundle)
                    if found:
                        low, high = max(low, found[0]), min(high, found[1])
            ranges[sensor.tag] = (low, high)
            for rule in self.bundle.rules:
                if matches(rule, facility, facts):
                    watch = self.watch(rule, places[rule.id], sensor, interval, facility, facts, (low, high))
                    if watch:
                        self.watches.append(watch)
        self.ranges = ranges
        self.pairs = difference.pairs(self.bundle, facility, ranges, received)
        self.silences = Silences(self, facility, self.bundle, places, received)
        self.rare.register(facility, received)

    def watch(self, rule, place, sensor, interval, facility, facts, span):
        if exceptions.muted(self, rule, sensor.tag):
            return None
        unknown = max(rule.unknown.max, 3 * interval)
        if isinstance(rule, LimitRule):
            found = bounds_of(rule, sensor, facts, self.bundle)
            if not found:
                return None
            own, *found, excepted = exceptions.loosened(self, rule, sensor.tag, *found[:2])
            numbers = difference.limits_of(own, found, interval, facility.delivery, self.bundle, facts)

            def known(v, q):
                if math.isnan(v) or (not rule.excludes and not span[0] <= v <= span[1]):
                    return False
                return q not in (1, 5, 8) if rule.marked == "count" else q in (0, 2)

            made = Watch(rule, place, sensor, limit.decide, numbers, known)
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
            return Watch(
                rule, place, sensor, frozen.decide, numbers, lambda v, q: not math.isnan(v) and q not in (1, 5, 8)
            )
        if isinstance(rule, CumulativeRule):
            return self.total(rule, place, sensor, interval, facility, facts, span)
        return self.more(rule, place, sensor, interval, facility, span)

    def more(self, rule, place, sensor, interval, facility, span):
        if isinstance(rule, LastDigitRule):
            if sensor.resolution is None:
                return None
            numbers = too_precise.Precision(
                sensor.resolution, rule.number, rule.within, rule.clean, rule.severity.base.rank, interval
            )
            return Watch(
                rule, place, sensor, too_precise.decide, numbers, lambda v, q: not math.isnan(v) and q not in (1, 5, 8)
            )
        if isinstance(rule, MeanKineticRule):
            numbers = mean_kinetic.Mean(rule.above, rule.clear_at, rule.severity.base.rank, interval, facility.delivery)
            return Watch(rule, place, sensor, mean_kinetic.decide, numbers, self.knows(rule, span))
        if isinstance(rule, JumpRule):
            numbers = jump.Jumps(rule, interval, facility.delivery, max(rule.unknown.max, 3 * interval))
            return Watch(rule, place, sensor, jump.decide, numbers, self.knows(rule, span))
        return None

    def knows(self, rule, span):
        def known(v, q):
            counted = q not in (1, 5, 8) if rule.marked == "count" else q in (0, 2)
            return counted and not math.isnan(v) and span[0] <= v <= span[1]

        return known

    def total(self, rule, place, sensor, interval, facility, facts, span):
        found = bounds_of(rule, sensor, facts, self.bundle)
        if not found:
            return None
        _, *found, _ = exceptions.loosened(self, rule, sensor.tag, *found[:2])
        single = None
        other = None if rule.idle_while is None else self.bundle.rule(rule.idle_while)
        if other is not None and matches(other, facility, facts):
            watch = self.watch(other, place, sensor, interval, facility, facts, span)
            single = watch and watch.numbers
        numbers = cumulative.Total(
            found[0], found[1], rule.limits.inclusive, rule.total, rule.clear_below, rule.window,
            rule.severity.base.rank, interval, facility.delivery, max(rule.unknown.max, 3 * interval), single,
        )  # fmt: skip
        return Watch(rule, place, sensor, cumulative.decide, numbers, self.knows(rule, span))

    def readings(self, batch, received):
        content = [list(batch.tags), *(column.tolist() for column in (batch.counts, batch.time, batch.quality))]
        content.append([None if math.isnan(v) else v for v in batch.value.tolist()])
        self.batches = [row for row in self.batches if row[1] > received - DAY][-1023:]
        for name, _, what in self.batches:
            if name == batch.batch:
                self.again["repeated" if what == content else "conflict"] += 1
                return
        self.batches.append((batch.batch, received, content))
        begin = 0
        for tag, count in zip(batch.tags, batch.counts, strict=True):
            for i in range(begin, begin + count):
                self.row(tag, int(batch.time[i]), float(batch.value[i]), int(batch.quality[i]), received)
            begin += count

    def row(self, tag, t, v, q, received):
        series = self.series.get(tag)
        if series is None:
            return
        stood = next((row[2:] for row in series.rows if row[0] == t), None)
        standing = series.admit(t, v, received)
        series.counts[standing] += 1
        odd = self.rare.row(tag, t, (v, q), received, standing, stood)
        if standing == "future":
            for _, _, _, act in sorted(odd, key=lambda part: part[:3]):
                act()
            return
        if series.waits and (standing == "order" or (standing == "late" and series.first_decide(t, received, v, q))):
            self.decide_late([tag], received)
        told = self.silences.row(tag, t, received, standing, series) if standing in ("order", "late") else []
        if standing in ("order", "late"):
            if standing == "late" and len(series.ring()) >= series.cap:
                series.floor = series.ring()[0][0]
            series.put(t, received, v, q)
            series.floor = max([series.floor, *(row[0] for row in series.rows[: -len(series.ring())])])
        if standing == "late":
            series.waits.append(t)
        for pair in self.pairs:
            if standing in ("order", "late"):
                pair.receive(tag, t, v, q, received, late=standing == "late")
        parts = [(place, level, i, act) for i, (place, level, act) in enumerate(told)]
        parts += odd
        for watch in self.watches:
            if watch.tag == tag and standing == "order":
                events = watch.now(series, received)
                new = events[len(watch.events) :]
                parts += [(watch.place, 2, 100 + k, lambda w=watch, e=e: self.publish(w, e)) for k, e in enumerate(new)]
                watch.events = events
        for _, _, _, act in sorted(parts, key=lambda part: part[:3]):
            act()
            self.silences.settle(t, received, self)

    def decide_late(self, tags, received):
        """Decide series again whose late rows wait, by rule and tag."""
        parts = []
        for tag in sorted(tags):
            series = self.series[tag]
            at, series.waits = max(series.waits), []
            for k, (place, _, act) in enumerate(self.silences.filled(tag, at, series)):
                parts.append((place, tag, k, at, act))
            for watch in self.watches:
                if watch.tag == tag:
                    events = watch.now(series, received)
                    parts += [
                        (watch.place, tag, k, at, lambda w=watch, d=d, at=at: self.late(w, d, at, received))
                        for k, d in enumerate(differences(watch.said, occurrences(events)))
                    ]
                    watch.events = events
        for _, _, _, at, act in sorted(parts, key=lambda part: part[:3]):
            act()
            self.silences.settle(at, received, self)

    def late(self, watch, found, t, received, *, late=True):
        _, kind, said, new = found
        subject = watch.subject
        if said is None:
            uses = 1 + sum(s.name[0] == new[0] for s in watch.said)
            said = Said(new[0], None, new[2], new[3], False, (new[0], uses))
            watch.said.append(said)
            colour = new[3] if new[1] is not None else new[2]
            self.say("raised", watch.rule, subject, said.name, colour, said.start, None, t, received, late=late)
            said.unknown = new[4]
            if new[4]:
                self.say("unknown", watch.rule, subject, said.name, new[2], said.start, None, t, received)
            if new[1] is not None:
                said.end = new[1]
                self.say("cleared", watch.rule, subject, said.name, new[2], said.start, said.end, t, received)
            return
        if new is None:
            said.retracted, said.unknown = True, False
            self.say(kind, watch.rule, subject, said.name, said.top, said.start, said.end, t, received)
            return
        said.start, said.colour, said.top = new[0], new[2], new[3]
        if kind == "cleared" or (kind == "amended" and said.end is not None):
            said.end = new[1]
        if kind != "amended":
            said.unknown = new[4]
        colour = said.colour if said.end is None or kind == "cleared" else said.top
        self.say(kind, watch.rule, subject, said.name, colour, said.start, said.end, t, received)


def fold(records, bundle, until=None):
    """Return {facility: changes} of a log."""
    facilities = {}
    clocks, gateways, bundles = {}, {}, {}
    homes = {}
    for record in records:
        p = record.partition
        payload = record.payload
        if isinstance(payload, Tick | PacksRecord):
            now = max(record.received, clocks.get(p, -1))
            gateway = isinstance(payload, Tick) and payload.role == "gateway"
            for name in sorted(facilities):
                facility = facilities[name]
                if homes[name] != p:
                    continue
                facility.clock = max(facility.clock, clocks.get(p, -1))
                if gateway and p in gateways and now - gateways[p] > 900_000 and facility.silences:
                    facility.silences.close(gateways[p], now)
                    facility.rare.close_door(now)
                    facility.move(max(now, facility.clock) - 1)
                    facility.silences.reopen(gateways[p], now)
                    facility.rare.reopen_door(gateways[p], now)
                facility.move(max(now, facility.clock))
                if isinstance(payload, PacksRecord):
                    migration.adopt(facility, Bundle.from_record(payload), max(now, facility.clock))
            if isinstance(payload, PacksRecord):
                bundles[p] = Bundle.from_record(payload)
            clocks[p] = now
            if gateway:
                gateways[p] = now
            continue
        facility = facilities.setdefault(record.facility, Facility(record.facility, bundles.get(p, bundle)))
        homes[record.facility] = p
        facility.clock = max(facility.clock, clocks.get(p, -1))
        received = max(record.received, facility.clock)
        facility.move(received)
        facility.clock = received
        if facility.silences is not None:
            facility.silences.changed = received
        if isinstance(payload, Readings | Events | Report | Mark | Answer) and facility.rare is not None:
            facility.rare.arrive(received)
        if isinstance(payload, RegisterRecord):
            facility.register(payload, received)
        elif isinstance(payload, Readings):
            facility.readings(payload, received)
        elif isinstance(payload, Events) and facility.rare is not None:
            facility.rare.events(payload, received)
        elif isinstance(payload, Decision) and facility.rare is not None:
            facility.rare.decision(payload, received)
    if until is not None:
        for facility in facilities.values():
            facility.move(until)
    return {name: (facility.changes, facility.proofs) for name, facility in facilities.items()}
