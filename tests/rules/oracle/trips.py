"""Kinds `limit` and `cumulative` with `during`, from scratch: all events that ever came, and what was known of a trip when a row left the horizon."""

from __future__ import annotations

from dataclasses import dataclass

from rules.changes import alarm_id
from rules.predicate import holds, in_scope
from rules.rule import CumulativeRule, GapRule, LimitRule
from tests.rules.oracle import absence, filling
from tests.rules.oracle.limit import Event
from tests.rules.oracle.series import marked

FILLED = (("trace", "batch-step"), ("device", "monitor"))
MONTH = 30 * 24 * 3_600_000
CLOSING = ("false-alarm", "equipment-fault", "marked-state", "breach", "duplicate", "close-latched")


def under_way(past, area, t):
    """Say whether a trip of an area was under way at an instant, by all events (area, trip, type, time, lot) of the past."""
    for trip in {event[1] for event in past if event[0] == area}:
        own = [event for event in past if event[:2] == (area, trip)]
        out = [event[3] for event in own if event[2] == "shipped"]
        back = [event[3] for event in own if event[2] == "arrived"]
        if not out or t < min(out) or t > min(out) + MONTH:
            continue
        aboard = {event[4] for event in own if event[2] == "shipped"} - {e[4] for e in own if e[2] == "arrived"}
        if aboard or not back or t <= max(back):
            return True
    return False


@dataclass
class Hot:
    """The numbers of such a rule on one series."""

    low: float
    high: float
    inclusive: bool
    opens: int
    on_delay: int
    base: int
    interval: int

    def outside(self, v):
        return (v >= self.high or v <= self.low) if self.inclusive else (v > self.high or v < self.low)


def decide(rule, rows):
    """Return the raise of rows (t, m, v or None, whether a trip was under way), if there is one: nothing comes behind it."""
    run = []
    for t, m, v, under in rows:
        if not under:
            run = []
            continue
        if v is None:
            continue
        if run and t - run[-1][0] > 2 * rule.interval:
            run = []
        run = [*run, (t, v)] if rule.outside(v) else []
        if len(run) >= rule.opens and t - run[0][0] >= rule.on_delay:
            peak = max((v for _, v in run), key=lambda x: max(x - rule.high, rule.low - x))
            return [Event("raised", t, m, run[0][0], None, rule.base, v, peak)]
    return []


class Voyage:
    """One such rule on one series."""

    excepted, begin, cut, base = False, 0, 0, None

    def __init__(self, of, rule, place, sensor, numbers, known):
        self.of, self.rule, self.place, self.tag, self.area = of, rule, place, sensor.tag, sensor.area
        self.name, self.subject = sensor.tag, {"tag": sensor.tag}
        self.numbers, self.known = numbers, known
        self.events, self.said = [], []
        self.before = []  # (floor, how many events had come) of each time at which one changed what is known
        self.done = -1
        self.skips, self.stands = True, set()

    def now(self, series, _clock):
        rows = []
        for t, m, v, q in series.rows:
            if t > self.done:
                known = next((many for floor, many in self.before if t <= floor), len(self.of.trips))
                rows.append(
                    (
                        t,
                        m,
                        v if self.known(v, marked(series.how.get(t), q, t in self.stands)) else None,
                        under_way(self.of.trips[:known], self.area, t),
                    )
                )
        return decide(self.numbers, rows)


def watch(of, rule, place, sensor, interval, found, known):
    """Return the watch of a rule on a series of the facility `of`."""
    numbers = Hot(
        *found, rule.limits.inclusive, rule.when.consecutive, rule.when.on_delay, rule.severity.base.rank, interval
    )
    return Voyage(of, rule, place, sensor, numbers, known)


@dataclass
class Sum:
    """The numbers of a rule that sums over a trip, on one series."""

    low: float
    high: float
    inclusive: bool
    total: int
    base: int
    interval: int

    def outside(self, v):
        return (v >= self.high or v <= self.low) if self.inclusive else (v > self.high or v < self.low)


class Tour(Voyage):
    """One rule that sums over a trip, on one series."""

    def __init__(self, *args):
        super().__init__(*args)
        self.lasting = {}

    def spans_at(self, t):
        """Return from when to when, both inside, it was under way by what was known when a row had left the horizon, or by now."""
        many = next((many for floor, many in self.before if t <= floor), len(self.of.trips))
        if many not in self.lasting:
            borders = spans(self.of.trips[:many], self.area)
            self.lasting[many] = [(borders[i][0], borders[i + 1][0] - 1) for i in range(0, len(borders) - 1, 2)]
        return self.lasting[many]

    def now(self, series, _clock):
        rule, parts, before = self.numbers, [], None
        for t, m, v, q in series.rows:
            if not self.known(v, marked(series.how.get(t), q, t in self.stands)):
                continue
            was, before = before, (t, v)
            if was is None or t - was[0] > 2 * rule.interval or t <= self.done:
                continue
            for begin, end in self.spans_at(t):
                first, last = max(begin, was[0], self.done), min(end, t)
                if first < last:
                    if parts and parts[-1][1] < begin:
                        parts = []
                    parts.append((first, last, last - first if rule.outside(was[1]) else 0))
                    total = sum(ms for _, _, ms in parts)
                    if total >= rule.total:
                        return [Event("raised", t, m, t, None, rule.base, float(total))]
        return []


def sum_watch(of, rule, place, sensor, interval, found, known):
    """Return the watch of a rule that sums over a trip."""
    numbers = Sum(*found, rule.limits.inclusive, rule.total, rule.severity.base.rank, interval)
    return Tour(of, rule, place, sensor, numbers, known)


def asked(of):
    """Return the areas of whose states something is kept, and of which."""
    rules = [rule for rule in of.bundle.rules if isinstance(rule, LimitRule | CumulativeRule | GapRule) and rule.during]
    return {
        area.id: rule.during
        for area in of.registered.areas
        for rule in rules
        if in_scope(rule, of.registered)
        and holds(
            {name: value for name, value in rule.applies_to.items() if name.startswith("area.")},
            {"area.kind": area.kind.value, "area.shipment_type": area.shipment_type, "area.grade": area.grade},
        )
    }


def events(of, payload, received):
    """Take a batch of events of a facility; its series wait where they were told something new."""
    digest = repr(payload.events)
    seen = [row for row in of.trip_batches if row[1] > received - 24 * 3_600_000]
    if any(name == payload.batch for name, _, _ in seen):
        return
    of.trip_batches = [*seen, (payload.batch, received, digest)]
    for event in payload.events:
        area, trip = event.area, event.fields.get("trip")
        if asked(of).get(area) == "filling" and (event.stream, event.type) in FILLED:
            was = filling.spans(of.fillings, area), filling.off(of.switches, area)
            filling.take(of, event, area, event.time if event.time <= received + 300_000 else received)
            if was != (filling.spans(of.fillings, area), filling.off(of.switches, area)):
                absence.arm(of, received, area=area)
            continue
        if asked(of).get(area) != "trip":
            continue
        if event.stream != "trace" or event.type not in ("shipped", "arrived") or not trip:
            continue
        t = event.time if event.time <= received + 300_000 else received
        new = (area, trip, event.type, t, event.fields.get("lot", ""))
        if spans(of.trips, area) == spans([*of.trips, new], area):
            of.trips.append(new)
            continue
        absence.arm(of, received, area=area)
        moved = {watch.tag for watch in of.watches if isinstance(watch, Voyage) and watch.area == area}
        for tag in moved:
            series = of.series[tag]
            for watch in of.watches:
                if isinstance(watch, Voyage) and watch.tag == tag:
                    watch.before.append((series.floor, len(of.trips)))
            if series.rows:
                series.moved.append((series.floor + 1, t))
        of.trips.append(new)


def spans(past, area):
    """Return the instants at which it begins or ceases to be under way: all borders that events give, with what holds there and between."""
    own = [event[3] for event in past if event[0] == area]
    borders = sorted({instant + k for t in own for instant in (t, t + MONTH) for k in (-1, 0, 1)})
    found = []
    for instant in borders:
        holds_now = under_way(past, area, instant)
        if holds_now != (found[-1][1] if found else False):
            found.append((instant, holds_now))
    return found


def decision(of, payload, received):
    """Let an officer close the alarm that a decision names."""
    two = payload.code == "data-fraud" and payload.second not in (None, payload.officer)
    if (payload.code not in CLOSING and not two) or payload.subject.get("alarm") is None:
        return
    of.decide_late(of.waiting(), received)
    for watch in of.watches:
        if not isinstance(watch, Voyage):
            continue
        said = next((one for one in watch.said if one.end is None and not one.retracted), None)
        if said is None or payload.subject.get("alarm") != alarm_id(watch.rule.id, of.name, watch.subject, *said.name):
            continue
        series = of.series[watch.tag]
        if said.retracted:
            return
        watch.done, watch.events, said.end = series.rows[-1][0], [], max(received, said.start)
        of.say("cleared", watch.rule, watch.subject, said.name, said.colour, said.start, said.end, received, received)
        return


def standing(watch):
    """Return what a watch told and late rows may change: what an officer closed is done with."""
    return [s for s in watch.said if s.end is None] if isinstance(watch, Voyage) else watch.said
