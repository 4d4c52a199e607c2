"""The plain fold: the same log in, the same changes out, without arrays, rings, tails or kernels.

Above 400 lines: one facility, and what each kind of record does to it, in the order in which it is done.
"""

from __future__ import annotations

import math
from collections import Counter
from fractions import Fraction

from rules.changes import alarm_id
from rules.facts import facts_of
from rules.models import Severity
from rules.pack import Bundle
from rules.params import UNREGISTERED_INTERVAL_MS
from rules.predicate import matches
from rules.records import (
    Answer,
    Decision,
    Events,
    Inspection,
    Mark,
    PacksRecord,
    Readings,
    RegisterRecord,
    Report,
    Tick,
)
from rules.rule import CumulativeRule, DeadlineRule, DifferenceRule, GapRule, JumpRule, LimitRule, MeanKineticRule
from rules.watching import bounds_of
from tests.rules.oracle import (
    absence,
    deadline,
    difference,
    exceptions,
    formerly,
    marks,
    migration,
    opengaps,
    overlap,
    rare,
    trips,
)
from tests.rules.oracle.gap import Silences
from tests.rules.oracle.late import Draft, Said, differences, occurrences
from tests.rules.oracle.series import MOST, Series
from tests.rules.oracle.trips import standing
from tests.rules.oracle.watches import watch as watch_of

DAY = 24 * 3_600_000
COLOURS = [s.value for s in Severity]


def rank(colour):
    return COLOURS.index(colour)


class Facility:
    """One facility."""

    def __init__(self, name, bundle, places):
        self.name, self.bundle, self.places = name, bundle, places
        self.clock = -1
        self.said_at = -1  # when the front door opened last, and silences were taken back
        self.now = -1  # the instant whose exceptions are in force
        self.version = -1
        self.whole = None  # the register with what is not in force yet
        self.versions = []  # of the register, with when they came
        self.series = {}
        self.watches = []
        self.pairs, self.ended = [], {}  # the latter: the newest instant of pairs that were watched
        self.quiets = []
        self.silences = None
        self.rare = None
        self.clocks = deadline.Deadlines(self, places)
        self.proofs = []  # of each change (deciding value, whether it lies outside, farthest value), None where not told here
        self.marks = marks.Marks(self)
        self.batches, self.refused = [], []
        self.trips, self.trip_batches = [], []
        self.fillings, self.switches = [], []
        self.again = Counter()
        self.drafts = {}  # watch -> what late rows made of it at this instant and is not told yet
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
        if self.rare is not None:
            self.rare.hear(rule, self.changes[-1], name)

    # -- time -------------------------------------------------------------------------------------------------------
    def move(self, to):
        """Decide everything due up to `to`, in order; exceptions begin and end before what is due at the same instant."""
        if to <= self.clock:
            return
        while borders := [
            b for b in (exceptions.next_border(self, to), formerly.next_border(self, to)) if b is not None
        ]:
            border = min(borders)
            of_register = formerly.next_border(self, border) is not None
            self.decide_until(border, ahead_of=border)
            if not of_register:
                migration.adopt(self, self.bundle, border, border - 1)
            else:
                formerly.adopt(self, formerly.begun(self.whole, border), border, border)
            self.clock = border - 1
            self.decide_until(border)
        self.decide_until(to)

    def decide_until(self, to, ahead_of=math.inf):
        last = max(self.clock, self.said_at)
        while True:
            due = self.next_due(to)
            if (due is None or due[0] > last) and self.silences is not None:
                overlap.settle(self.silences, last)
            if due is None or due[0] >= ahead_of:
                break
            at, kind, item = due
            last = max(last, at)
            if kind == "watch":
                self.follow(item, at, to)
            elif kind == "quiet":
                item.judge(at)
            elif kind == "late":
                self.decide_late(item, at)
            elif kind in ("rare", "clocks"):
                (self.rare if kind == "rare" else self.clocks).decide(at, item)
            elif kind == "pair":
                item.decide(at, to, self)
            else:
                self.silences.decide(at, item)
        self.clock = to

    def waiting(self):
        drafted = {watch.tag for watch in self.drafts}
        return [tag for tag, series in self.series.items() if series.is_waiting or tag in drafted]

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
        for quiet in self.quiets:
            due = quiet.due(to)
            if due is not None:
                found.append(((due, quiet.place, 2, (quiet.tag, 0)), "quiet", quiet))
        if self.silences is not None:
            found += [
                ((at, place, level, subject), "silence", key)
                for at, place, level, subject, key in self.silences.dues(to)
            ]
        for kind, of in (("rare", self.rare), ("clocks", self.clocks)):
            if of is not None:
                found += [((at, place, level, subject), kind, key) for at, place, level, subject, key in of.dues(to)]
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
        if isinstance(watch.rule, LimitRule) and watch.rule.smooth is not None:
            return self.proof_of_mean(watch, event)
        if event.kind == "unknown":
            return None, None, event.peak
        return event.value, watch.numbers.outside(event.value), event.peak

    def proof_of_mean(self, watch, event):
        if event.kind == "unknown":
            return None, None, False, event.peak
        mean = None if event.value is None else Fraction(event.value) * 10**6
        outside = watch.numbers.outside(mean)
        named = event.kind in ("raised", "stepped") and not outside
        named = named or (event.kind == "known" and mean is None)
        return event.value, outside, named and watch.rule.smooth.early is not None, event.peak

    # -- records ----------------------------------------------------------------------------------------------------
    def register(self, record, received):
        if record.version <= self.version:
            return
        places = self.places
        of_series = all(isinstance(rule, LimitRule | GapRule | DifferenceRule) for rule in self.bundle.rules)
        if self.rare is None:
            self.rare = rare.Rare(self, self.bundle, places)
        elif of_series:
            self.version, self.whole = record.version, record.facility
            formerly.adopt(self, formerly.begun(self.whole, received), received, received + 1)
            return
        elif not all(isinstance(rule, (*rare.RARE, DeadlineRule)) for rule in self.bundle.rules):
            raise AssertionError("the oracle takes one register a facility, but for packs of rules over rare records")
        self.version, self.now = record.version, received
        # Rules over rare records ask for the facts of each event's time themselves.
        self.whole = record.facility if of_series else None
        facility = self.registered = formerly.begun(record.facility, received) if of_series else record.facility
        self.versions.append((received, facility))
        ranges = {}
        kept = {sensor.tag for sensor in facility.sensors}
        self.series = {tag: series for tag, series in self.series.items() if tag in kept}
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
                    made = watch_of(self, rule, places[rule.id], sensor, interval, facts, (low, high))
                    if made:
                        self.watches.append(made)
        self.ranges = ranges
        self.pairs = difference.pairs(self.bundle, facility, ranges, received)
        self.quiets = absence.quiets(self, places, received)
        self.silences = Silences(self, facility, self.bundle, places, received)
        self.clocks.leave(self.bundle, facility, received)
        self.rare.register(facility, received)

    def readings(self, batch, received):
        content = [list(batch.tags), *(column.tolist() for column in (batch.counts, batch.time, batch.quality))]
        content.append([None if math.isnan(v) else v for v in batch.value.tolist()])
        self.batches = [row for row in self.batches if row[1] > received - DAY][-1023:]
        for name, _, what in [*self.batches, *self.refused]:
            if name == batch.batch:
                self.again["repeated" if what == content else "conflict"] += 1
                return
        self.batches.append((batch.batch, received, content))
        if any(t > received + 300_000 for t in batch.time.tolist()):
            self.refused.append(self.batches[-1])
        self.rare.posted(batch, received)
        begin = 0
        for tag, count in zip(batch.tags, batch.counts, strict=True):
            for i in range(begin, begin + count):
                self.row(tag, int(batch.time[i]), float(batch.value[i]), int(batch.quality[i]), received)
            begin += count

    def row(self, tag, t, v, q, received):
        self.rare.strange(tag, t, received)
        series = self.series.get(tag)
        if series is None:
            return
        self.rare.flag(tag, t, v, q, received)
        stood = next((row[2:] for row in series.every() if row[0] == t), None)
        how = self.marks.came(tag, t) if q in (0, 2) else None
        set_now = any(row[0] == t and row[3] == "set" for row in series.held)
        if stood is not None and (series.how.get(t) == "set" or set_now):
            stood = (stood[0], 5)
        standing = series.admit(t, v, received)
        earlier = formerly.is_earlier(self, tag, t, received)
        if (standing == "late" and len(series.held) == MOST) or (
            standing == "order" and series.order_decides(t, received, v, q, earlier=earlier)
        ):
            self.decide_late([tag], received, over=False)
            standing = series.admit(t, v, received)
        series.counts[standing] += 1
        odd = self.rare.row(tag, t, (v, 5 if how == "set" else q), received, standing, stood)
        if standing == "future":
            for _, _, _, act in sorted(odd, key=lambda part: part[:3]):
                act()
            return
        told = self.silences.row(tag, t, received, standing, series) if standing in ("order", "late") else []
        if standing == "order":
            self.put(series, t, received, v, q, how)
            series.waits += [t] if earlier else []
        if standing in ("order", "late"):
            absence.arm(self, received, tag=tag)
        if standing == "order":
            for quiet in self.quiets:
                quiet.received = received if quiet.tag == tag else quiet.received
        if standing == "late":
            series.held.append((t, v, q, how))
        if standing == "stale" and len(series.outside) < MOST:
            series.outside.setdefault(t, (v, q, how))
        for pair in self.pairs:
            if standing in ("order", "late"):
                pair.receive(tag, t, v, q, received, how, late=standing == "late")
        parts = [(place, level, i, act) for i, (place, level, act) in enumerate(told)]
        parts += odd
        for watch in self.watches:
            if watch.tag == tag and standing == "order" and not (earlier and getattr(watch, "past", ())):
                events = watch.now(series, received)
                new = events[len(watch.events) :]
                if watch in self.drafts:
                    self.drafts[watch].hear(new)
                    new = []
                parts += [(watch.place, 2, 100 + k, lambda w=watch, e=e: self.publish(w, e)) for k, e in enumerate(new)]
                watch.events = events
        for _, _, _, act in sorted(parts, key=lambda part: part[:3]):
            act()
            self.silences.settle(t, received, self)

    def put(self, series, t, received, v, q, how):
        series.insert(t, received, v, q)
        if how is not None:
            series.how[t] = how

    def decide_late(self, tags, received, *, over=True):
        """Put late rows into their places by event time, and decide their series again; those that leave the horizon are decided before.

        What differs is told when the instant is over, once for all such parts; silences that are filled with what filled them.
        """
        newest, filled = dict.fromkeys(tags, -1), []
        for tag in sorted(tags):
            series = self.series[tag]
            held, series.held = sorted(series.held, key=lambda row: row[0]), []
            for t, v, q, how in held:
                if series.first_decide(t, received, v, q):
                    self.decide_put(tag, received, newest, filled)
                self.put(series, t, received, v, q, how)
                series.waits.append(t)
        for tag in sorted(tags):
            self.decide_put(tag, received, newest, filled)
        parts = [
            (place, tag, k, newest[tag], lambda act=act, tag=tag: act(newest[tag]))
            for k, (place, tag, act) in enumerate(filled)
        ]
        for watch, draft in [(watch, draft) for watch, draft in self.drafts.items() if watch.tag in tags]:
            found = differences(standing(watch), occurrences(watch.events), draft.floor)
            if over or not found:
                del self.drafts[watch]
                parts += [
                    (
                        watch.place,
                        watch.tag,
                        k,
                        draft.at,
                        lambda w=watch, d=d, of=draft: self.tell_late(w, d, of, received),
                    )
                    for k, d in enumerate(found)
                ]
        self.act(parts, received)
        if over:
            outside = [tag for tag in sorted(tags) if self.series[tag].outside]
            self.act([part for tag in outside for part in opengaps.fill(self, tag, received)], received)

    def act(self, parts, received):
        """Take parts (place, tag, number, event time, act) in their order."""
        for _, _, _, at, act in sorted(parts, key=lambda part: part[:3]):
            act()
            self.silences.settle(at, received, self)

    def decide_put(self, tag, received, newest, filled):
        """Decide a series again with what is in its place."""
        series = self.series[tag]
        if not series.waits and not series.moved:
            return
        at = max([*series.waits, *(t for _, t in series.moved)])
        newest[tag] = max(newest[tag], at)
        series.waits, series.moved = [], []
        filled += [(place, tag, act) for place, act in self.silences.filled(tag, series, received)]
        for watch in self.watches:
            if watch.tag == tag:
                draft = self.drafts.setdefault(watch, Draft(series.floor, at))
                watch.events, draft.at = watch.now(series, received), max(draft.at, at)

    def tell_late(self, watch, found, draft, received):
        self.late(watch, found, draft.at, received, late=found[0] not in draft.live)

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


def fold(records, bundle, until=None, facilities=None):
    """Return {facility: changes} of a log; `facilities`, an empty dict, is filled with their books."""
    facilities = {} if facilities is None else facilities
    clocks, gateways, bundles = {}, {}, {}
    every = [bundle, *(Bundle.from_record(r.payload) for r in records if isinstance(r.payload, PacksRecord))]
    places = {rule: i for i, rule in enumerate(sorted({rule.id for one in every for rule in one.rules}))}
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
                    for quiet in facility.quiets:
                        quiet.close(gateways[p], now)
                    facility.rare.close_door(now)
                    facility.clocks.close_door(gateways[p], now)
                    facility.move(max(now, facility.clock) - 1)
                    facility.silences.reopen(gateways[p], now)
                    facility.rare.reopen_door(gateways[p], now)
                    facility.clocks.reopen_door(gateways[p], now)
                    facility.said_at = now
                facility.move(max(now, facility.clock))
                if isinstance(payload, PacksRecord):
                    migration.adopt(facility, Bundle.from_record(payload), max(now, facility.clock))
            if isinstance(payload, PacksRecord):
                bundles[p] = Bundle.from_record(payload)
            clocks[p] = now
            if gateway:
                gateways[p] = now
            continue
        facility = facilities.setdefault(record.facility, Facility(record.facility, bundles.get(p, bundle), places))
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
            trips.events(facility, payload, received)
            difference.doors(facility, payload, received)
        elif isinstance(payload, Mark):
            facility.marks.take(payload, received)
        elif isinstance(payload, Decision) and facility.rare is not None:
            facility.rare.decision(payload, received)
            trips.decision(facility, payload, received)
        elif isinstance(payload, Report):
            facility.clocks.report(payload, received)
            if facility.rare is not None:
                facility.rare.report(payload, received)
        elif isinstance(payload, Inspection):
            facility.clocks.visit(payload, received)
    if until is not None:
        for facility in facilities.values():
            facility.move(until)
    return {name: (facility.changes, facility.proofs) for name, facility in facilities.items()}
