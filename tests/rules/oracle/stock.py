"""Stock that does not balance, plainly: the whole history of each place and product, gone through anew with every event. All times in ms."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from rules.changes import alarm_id
from rules.rare.match import digest_of
from rules.records import Events, RegisterRecord

RULE = "cross-check.narcotic-balance"
HOUR = 3_600_000
SIGNS = {"arrived": 1, "used": -1, "returned": -1, "destroyed": -1}


@dataclass
class Subject:
    counts: list = field(default_factory=list)
    """(t, digest, quantity)."""
    bookings: list = field(default_factory=list)
    """(t, signed quantity)."""
    known: set = field(default_factory=set)
    told: set = field(default_factory=set)
    """Digests of counts that an alarm was told of."""
    alarms: list = field(default_factory=list)
    """[id, first start, start, end, unknown]."""

    @property
    def standing(self):
        return self.alarms[-1] if self.alarms and self.alarms[-1][3] is None else None

    def runs(self, marks):
        """Counts in a row that differ: (start, digests, whether none that agrees came behind them); and whether nothing can be said of the newest."""
        found, now, blind = [], [], False
        counts = sorted(self.counts)
        for i, (t, digest, quantity) in enumerate(counts):
            if i == 0:
                continue
            before, _, opening = counts[i - 1]
            moved = [q for at, q in self.bookings if before <= at < t]
            blind = any(before <= at < t for at, _ in marks)
            if blind:
                continue
            if opening + sum(moved) != quantity:
                now.append((t, digest))
            elif now:
                found.append((now[0][0], {d for _, d in now}, False))
                now = []
        return [*found, (now[0][0], {d for _, d in now}, True)] if now else found, blind

    @property
    def due(self):
        one = self.standing
        newest = max((t for t, _, _ in self.counts), default=0)
        return None if one is None or one[4] else newest + 24 * HOUR


class Oracle:
    """The rule over one log of one facility."""

    def __init__(self):
        self.facility, self.subjects, self.batches, self.clock, self.pending = None, {}, set(), 0, {}
        self.changes, self.unknown = [], 0
        self.marks, self.somewhere = {}, set()
        """Product -> (t, receipt) of bookings that name no place."""

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
        while True:
            dues = [
                (one.due, key) for key, one in self.subjects.items() if one.due is not None and key not in self.pending
            ]
            dues += [(self.clock, key) for key in self.pending if to > self.clock]
            if not dues or min(dues)[0] > to:
                break
            due, key = min(dues)
            self.settle(key, self.pending.pop(key, due), due)
        self.clock = to

    def event(self, event, received, copy):
        if event.stream != "trace" or event.type not in ("stock-count", *SIGNS):
            return
        names = ("product", "place", "quantity", "from", "to")
        product, place, quantity, begin, end = (event.fields.get(name) for name in names)
        if any(one.id == product and one.class_ != "narcotic" for one in self.facility.products):
            return
        number = not isinstance(quantity, bool) and isinstance(quantity, (int, float)) and 0 <= quantity < 1e300
        place, product, begin, end = (
            one if isinstance(one, str) and one else None for one in (place, product, begin, end)
        )
        counts, sign = event.type == "stock-count", SIGNS.get(event.type)
        if place is None and not counts:
            other = end if sign > 0 else begin
            place = None if other == self.facility.id else other
        if not counts and place is not None and begin != end:
            sign = 1 if place == end else -1 if place == begin else sign
        t = event.time if event.time <= received + 300_000 else received
        digest = digest_of(event, copy)
        if not (product and place and number):
            self.unknown += 1
            if number and product and not counts and digest not in self.somewhere:
                self.somewhere.add(digest)
                self.marks.setdefault(product, []).append((t, received))
                for key in self.subjects:
                    if key[1] == product:
                        self.pending.setdefault(key, t)
        elif counts:
            self.take((place, product), digest, t, (t, digest, Decimal(str(quantity))))
        else:
            self.take((place, product), digest, t, (t, sign * Decimal(str(quantity))))

    def take(self, key, digest, t, fact):
        one = self.subjects.setdefault(key, Subject())
        if digest not in one.known:
            one.known.add(digest)
            (one.counts if len(fact) > 2 else one.bookings).append(fact)
            self.pending[key] = max(t, self.pending.get(key, t))

    def settle(self, key, at, received):
        one, marks = self.subjects[key], self.marks.get(key[1], [])
        at = max([at, *(t for t, came in marks if came == received)])
        runs, blind = one.runs(marks)
        lasts = runs[-1] if runs and runs[-1][2] else None
        if one.standing and lasts is None:
            self.clear(key, at, received)
        elif one.standing and (one.standing[2] != lasts[0] or lasts[1] - one.told):
            one.standing[2] = lasts[0]
            self.say("amended", key, at, received)
        if one.standing is None:
            for run in runs:
                if run[2] or not run[1] & one.told:
                    self.rise(key, run, at, received)
                    if not run[2]:
                        self.clear(key, at, received)
        unknown = lasts is not None and (blind or received >= max(t for t, _, _ in one.counts) + 24 * HOUR)
        if lasts:
            one.told |= lasts[1]
        if one.standing and one.standing[4] != unknown:
            one.standing[4] = unknown
            self.say("unknown" if unknown else "known", key, at, received)

    def rise(self, key, run, at, received):
        one, (start, digests, _) = self.subjects[key], run
        use = 1 + sum(alarm[1] == start for alarm in one.alarms)
        subject = {"place": key[0], "product": key[1]}
        one.alarms.append([alarm_id(RULE, self.facility.id, subject, start, use), start, start, None, False])
        one.told |= digests
        self.say("raised", key, at, received, late=received > start + 2 * HOUR)

    def clear(self, key, at, received):
        one = self.subjects[key].standing
        one[3] = max(received, one[2])
        self.say("cleared", key, at, received)

    def say(self, kind, key, at, received, *, late=False):
        name, _, start, end, _ = self.subjects[key].alarms[-1]
        self.changes.append(
            {
                "rule": RULE, "subject": {"place": key[0], "product": key[1]}, "change": kind, "alarm": name, "severity": "red",
                "start": start, "end": end, "at": at, "received": received, "late": late,
            }
        )  # fmt: skip
