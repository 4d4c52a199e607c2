"""Annual reports against what was produced, plainly: the whole history gone through anew with every fact. All times in ms."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

from rules.changes import alarm_id
from rules.records import Events, RegisterRecord, Report

RULE = "cross-check.annual-volume"
DAY = 86_400_000
BEIJING = timedelta(hours=8)


def begin_of(year):
    return round((datetime(year, 1, 1, tzinfo=UTC) - BEIJING).timestamp() * 1000)


def year_at(at):
    return (datetime.fromtimestamp(at / 1000, UTC) + BEIJING).year


def text(value):
    return value if isinstance(value, str) and 0 < len(value) <= 128 else None


def plain(amount):
    """Say whether an amount is at most 1e15 and has at most nine decimals."""
    return Decimal(str(amount)) <= Decimal("1e15") and Decimal(str(amount)).normalize().as_tuple().exponent >= -9


@dataclass
class Year:
    """What was told of one year."""

    events: list = field(default_factory=list)
    """(event time, receipt, product, lot, quantity), or with None as quantity of which something is missing."""
    told: set = field(default_factory=set)
    alarms: list = field(default_factory=list)
    """[id, first start, start, end, unknown]."""

    @property
    def standing(self):
        return self.alarms[-1] if self.alarms and self.alarms[-1][3] is None else None


class Oracle:
    """The rule over one log of one facility, whose register does not change."""

    def __init__(self):
        self.facility, self.batches, self.seen, self.changes = None, set(), [], []
        self.years, self.reports, self.heard = defaultdict(Year), [], []
        self.clock, self.pending = 0, {}

    def run(self, log, until):
        for record in log:
            self.move(record.received)
            payload = record.payload
            if isinstance(payload, RegisterRecord):
                self.facility = payload.facility
            elif isinstance(payload, Events):
                self.heard.append(record.received)
                if payload.batch not in self.batches:
                    self.batches.add(payload.batch)
                    for i, event in enumerate(payload.events):
                        self.event(event, record.received, 1 + payload.events[:i].count(event))
            elif isinstance(payload, Report):
                self.heard.append(record.received)
                self.report(payload, record.received)
        self.move(until)
        return self.changes

    def move(self, to):
        if to > self.clock:
            for year in sorted(self.pending):
                self.settle(year, self.pending.pop(year), self.clock)
        for year in sorted({year for year, *_ in self.reports if year is not None}):
            due = begin_of(year + 1) + self.facility.delivery
            if self.clock < due <= to:
                self.clock = due
                self.settle(year, due, due)
        self.clock = max(self.clock, to)

    def event(self, event, received, copy):
        fields = event.fields
        if (event.stream, event.type) != ("trace", "produced") or (event, copy) in self.seen:
            return
        self.seen.append((event, copy))
        product, lot, quantity = text(fields.get("product")), text(fields.get("lot")), fields.get("quantity")
        good = (
            isinstance(quantity, int | float) and not isinstance(quantity, bool) and quantity >= 0 and plain(quantity)
        )
        at = event.time if event.time <= received + 300_000 else received
        if not year_at(received) - 5 <= year_at(at):
            return
        whole = good and None not in (product, lot)
        self.years[year_at(at)].events.append((product, lot, Decimal(str(quantity)) if whole else None))
        self.note(year_at(at), at)

    def note(self, year, at):
        self.pending[year] = max(at, self.pending.get(year, at))

    def report(self, payload, received):
        """Take a report; of a year long ago, or to come, it says nothing."""
        year = payload.fields["year"]
        year = year if year_at(received) - 5 <= year <= year_at(received) else None
        self.reports.append((year, payload.id, payload.revision, received, payload.fields["products"]))
        for touched in {y for y, name, *_ in self.reports if name == payload.id and y is not None}:
            self.note(touched, received)

    def stated(self, year):
        """Return the reports of a year that were the newest when the instant was over at which they came: (key, receipt, rows)."""
        found = []
        for name in {name for _, name, *_ in self.reports}:
            all_of = [one for one in self.reports if one[1] == name]
            if max(all_of, key=lambda one: one[2])[0] != year:
                continue
            mine = [one for one in all_of if one[0] == year]
            for one in mine:
                if all(one[2] > other[2] for other in mine if other is not one and other[3] <= one[3]):
                    found.append(((name, one[2]), one[3], one[4]))
        return sorted(found, key=lambda one: (one[1], f"annual-report {one[0][0]}/{one[0][1]}"))

    def connected(self, year):
        begin, end = begin_of(year), begin_of(year + 1)
        if not self.heard or min(self.heard) >= begin + DAY:
            return False
        points = [*sorted(self.heard), max(end, *self.heard)]
        silences = [min(b, end) - max(a, begin) for a, b in pairwise(points)]
        return 4 * max(silences) <= end - begin

    def wrong(self, year, rows):
        lots, volumes = defaultdict(set), defaultdict(Decimal)
        for product, lot, quantity in self.years[year].events:
            volumes[product] += quantity
            if quantity:
                lots[product].add(lot)
        beyond = not all(plain(row["volume"]) for row in rows)
        for product in {*volumes, *(row["product"] for row in rows)}:
            mine = [row for row in rows if row["product"] == product]
            for told, said in (
                (Decimal(len(lots[product])), sum((Decimal(row["batches"]) for row in mine), Decimal())),
                (volumes[product], sum((Decimal(str(row["volume"])) for row in mine), Decimal())),
            )[: 1 if beyond and mine else 2]:
                if abs(told - said) > told * 2 / 100:
                    return True
        return False

    def settle(self, year, at, now):
        one, stated = self.years[year], self.stated(year)
        due = begin_of(year + 1) + self.facility.delivery
        judged = bool(stated) and now >= due
        nameless = any(quantity is None for *_, quantity in one.events)
        beyond = judged and not all(plain(row["volume"]) for row in stated[-1][2])
        unknown = judged and (nameless or beyond or not self.connected(year))
        wrong = []
        for each in reversed(stated if judged and not unknown else []):
            if not self.wrong(year, each[2]):
                break
            wrong.insert(0, each)
        if one.standing and not wrong and not unknown:
            one.standing[3] = max(now, one.standing[2])
            self.say("cleared", year, at, now)
        elif one.standing and wrong and ({k for k, *_ in wrong} - one.told or one.standing[2] != wrong[0][1]):
            one.standing[2] = wrong[0][1]
            self.say("amended", year, at, now)
        if one.standing is None and wrong:
            start = wrong[0][1]
            use = 1 + sum(alarm[1] == start for alarm in one.alarms)
            one.alarms.append([alarm_id(RULE, self.facility.id, subject(year), start, use), start, start, None, False])
            self.say("raised", year, at, now, late=now > max(start, due))
        one.told |= {k for k, *_ in wrong}
        if one.standing and one.standing[4] != unknown:
            one.standing[4] = unknown
            self.say("unknown" if unknown else "known", year, at, now)

    def say(self, kind, year, at, now, *, late=False):
        alarm, _, start, end, _ = self.years[year].alarms[-1]
        self.changes.append(
            {
                "rule": RULE, "subject": subject(year), "change": kind, "alarm": alarm, "severity": "yellow",
                "start": start, "end": end, "at": at, "received": now, "late": late,
            }
        )  # fmt: skip


def subject(year):
    return {"report": f"annual-report+{year}"}
