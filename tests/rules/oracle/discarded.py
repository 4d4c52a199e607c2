"""Runs of instruments, plainly: the whole history gone through anew with every fact and at every instant. All times in ms."""

from __future__ import annotations

from dataclasses import dataclass, field

from rules.changes import alarm_id
from rules.records import Events, RegisterRecord

RULE = "data-integrity.discarded-runs"
HOUR = 3_600_000
WAIT = 48 * HOUR


def text(value):
    return value if isinstance(value, str) and 0 < len(value) <= 128 else None


@dataclass
class Instrument:
    """Facts (event time, is no start, number, closes, receipt, place), in the order in which they came."""

    facts: list = field(default_factory=list)
    told: set = field(default_factory=set)
    alarms: list = field(default_factory=list)
    """[id, first start, start, end]."""

    @property
    def standing(self):
        return self.alarms[-1] if self.alarms and self.alarms[-1][3] is None else None


class Oracle:
    """The rule over one log of one facility."""

    def __init__(self):
        self.facility, self.batches, self.seen, self.instruments, self.changes, self.unknown = (
            None,
            set(),
            [],
            {},
            [],
            0,
        )
        self.clock, self.pending = 0, {}

    def run(self, log, until):
        for record in log:
            self.move(record.received)
            payload = record.payload
            if isinstance(payload, RegisterRecord):
                self.facility = payload.facility
            elif isinstance(payload, Events) and payload.batch not in self.batches:
                self.batches.add(payload.batch)
                for i, event in enumerate(payload.events):
                    self.event(event, record.received, 1 + payload.events[:i].count(event))
        self.move(until)
        return self.changes

    def move(self, to):
        """What came, once its instant is over; then every instant at which something is due, in order, and the subject as text."""
        if to > self.clock:
            for name in sorted(self.pending):
                self.settle(name, self.pending.pop(name), self.clock)
        while True:
            dues = [
                (due, name)
                for name, one in self.instruments.items()
                for due in self.dues(one)
                if self.clock < due <= to
            ]
            if not dues:
                break
            self.clock = min(dues)[0]
            for name in sorted(name for due, name in set(dues) if due == self.clock):
                self.settle(name, self.clock, self.clock)
        self.clock = max(self.clock, to)

    def event(self, event, received, copy):
        fields = event.fields
        if (event.stream, event.type) != ("lab", "run"):
            return
        name, number, state = text(fields.get("instrument")), fields.get("number"), text(fields.get("state"))
        good = isinstance(number, int) and not isinstance(number, bool) and 0 <= number < 2**53
        if name is None or not good or state not in ("started", "reported", "aborted"):
            self.unknown += 1
            return
        if (event, copy) in self.seen:
            return
        self.seen.append((event, copy))
        closes = state == "reported" or (state == "aborted" and text(fields.get("reason")) is not None)
        at = event.time if event.time <= received + 300_000 else received
        one = self.instruments.setdefault(name, Instrument())
        one.facts.append((at, state != "started", number, closes, received, len(self.seen)))
        self.pending[name] = max(at, self.pending.get(name, at))

    def counts(self, one):
        """Return [(start, ...)] of each count: a list of lists of starts, and what else was told in its time."""
        counts, others = [[]], [set()]
        runs = []
        for at, is_other, number, closes, received, place in sorted(
            one.facts, key=lambda fact: (fact[0], fact[1], fact[2], fact[5])
        ):
            due = max(at + WAIT, received + self.facility.delivery)
            if not is_other:
                if number <= 1 and counts[-1] and max(run["number"] for run in counts[-1]) >= number + 10:
                    counts.append([])
                    others.append(set())
                run = {"number": number, "at": at, "due": due, "place": place, "closed": None}
                counts[-1].append(run)
                runs.append(run)
                continue
            open_ones = [run for run in runs if run["number"] == number and run["closed"] is None]
            if closes and open_ones:
                open_ones[-1]["closed"] = at
            else:
                others[-1].add(number)
        return counts, others, runs

    def gaps(self, one):
        """Yield (start, numbers that nobody told) of each start that is more than one above all before it."""
        counts, others, _ = self.counts(one)
        for starts, other in zip(counts, others, strict=True):
            told = {run["number"] for run in starts} | other
            for i, run in enumerate(starts[1:], 1):
                highest = max(before["number"] for before in starts[:i])
                missing = [n for n in range(highest + 1, run["number"]) if n not in told]
                if missing:
                    yield run, missing

    def dues(self, one):
        _, _, runs = self.counts(one)
        return [run["due"] for run in runs if run["closed"] is None] + [run["due"] for run, _ in self.gaps(one)]

    def held(self, one, now):
        """Return what is over and was too late, and what lasts: (start, place)."""
        _, _, runs = self.counts(one)
        over = [(r["at"], r["place"]) for r in runs if r["closed"] is not None and r["closed"] > r["at"] + WAIT]
        lasts = [(r["at"], r["place"]) for r in runs if r["closed"] is None and r["due"] <= now]
        return over, sorted(lasts + [(r["at"], r["place"]) for r, _ in self.gaps(one) if r["due"] <= now])

    def settle(self, name, at, now):
        one = self.instruments[name]
        over, lasts = self.held(one, now)
        if one.standing and not lasts:
            one.standing[3] = max(now, one.standing[2])
            self.say("cleared", name, at, now)
        elif one.standing and (one.standing[2] != lasts[0][0] or {place for _, place in lasts} - one.told):
            one.standing[2] = lasts[0][0]
            self.say("amended", name, at, now)
        if one.standing is None:
            for run in over:
                if run[1] not in one.told:
                    self.rise(name, run[0], at, now)
                    one.standing[3] = max(now, one.standing[2])
                    self.say("cleared", name, at, now)
                    one.told.add(run[1])
            if lasts:
                self.rise(name, lasts[0][0], at, now)
        one.told |= {place for _, place in lasts}

    def rise(self, name, start, at, now):
        one = self.instruments[name]
        use = 1 + sum(alarm[1] == start for alarm in one.alarms)
        one.alarms.append([alarm_id(RULE, self.facility.id, {"instrument": name}, start, use), start, start, None])
        self.say("raised", name, at, now, late=now > start + WAIT + 2 * HOUR)

    def say(self, kind, name, at, now, *, late=False):
        alarm, _, start, end = self.instruments[name].alarms[-1]
        self.changes.append(
            {
                "rule": RULE, "subject": {"instrument": name}, "change": kind, "alarm": alarm, "severity": "orange",
                "start": start, "end": end, "at": at, "received": now, "late": late,
            }
        )  # fmt: skip
