"""Logs of stock: counts that agree more or less, bookings that come late, twice, or say too little; registers that know products or do not."""

from __future__ import annotations

from random import Random

from hypothesis import strategies as st

from rules.pack import Bundle, default_bundle
from rules.records import Event, Events, Kind, LogRecord, RegisterRecord, Tick
from rules.register import Facility

FACILITY, MINUTE, HOUR, DAY = "TEST-0001", 60_000, 3_600_000, 86_400_000
BEGIN = 1_772_294_400_000
RULE = "cross-check.narcotic-balance"


def bundle():
    """Return the rule alone."""
    return Bundle.of(default_bundle().only({RULE}).rules, ())


def facility(products=()):
    """Return a hospital that has registered some products, each with its class."""
    return Facility.model_validate(
        {
            "id": FACILITY, "name": {"zh": "测试", "en": "Test"}, "jurisdiction": "110000", "delivery": "60s",
            "scopes": [{"field": "medical-use", "line": "drug"}], "areas": [], "sensors": [],
            "products": [
                {"id": name, "name": {"zh": "药", "en": name}, "class": of, "storage": "room"} for name, of in products
            ],
        }
    )  # fmt: skip


class Drawn:
    """A log as it grows; what is counted is what is there but for a slip now and then."""

    def __init__(self, random, *, late):
        self.random, self.late, self.now, self.log, self.version = random, late, BEGIN, [], 0
        self.there, self.said, self.number = {}, [], 0
        self.register()

    def add(self, kind, payload):
        self.log.append(LogRecord(0, len(self.log), self.now, kind, "" if kind is Kind.TICK else FACILITY, payload))

    def register(self):
        self.version += 1
        products = [("P1", "narcotic")] * self.random.randint(0, 1) + [("P3", "chemical")] * self.random.randint(0, 1)
        self.add(Kind.REGISTER, RegisterRecord(version=self.version, facility=facility(products)))

    def event(self):
        random, self.number = self.random, self.number + 1
        key = random.choice([("S1", "P1")] * 6 + [("S1", "P2"), ("S2", "P1"), ("S1", "P3")])
        there = self.there.setdefault(key, 10)
        word = random.choice(["stock-count"] * 4 + ["arrived", "used", "used", "returned", "destroyed", "sold"])
        quantity = random.choice([1, 1, 0.1, 0.25])
        if word == "stock-count":
            quantity = there + random.choice([0] * 5 + [1, -0.1])
            if random.random() < 0.7:
                self.there[key] = quantity
        elif word != "sold" and random.random() < 0.85:
            self.there[key] = round(there + (quantity if word == "arrived" else -quantity), 6)
        fields = {"place": key[0], "product": key[1], "quantity": max(quantity, 0)}
        if (
            word not in ("stock-count", "used") and random.random() < 0.2
        ):  # where it came from or went to, with the place or without
            fields |= {
                "from": random.choice(["S1", "S2", "W", FACILITY]),
                "to": random.choice(["S1", "S2", "W", FACILITY]),
            }
            if random.random() < 0.4:
                del fields["place"]
        if random.random() < 0.06:
            fields[random.choice(list(fields))] = random.choice([None, "", -1, True, "many", 5, [1]])
        ago = random.choice([0, 0, 0, MINUTE, HOUR, 5 * HOUR, 2 * DAY, -MINUTE, -HOUR]) if self.late else 0
        time = self.now - ago if self.late and random.random() < 0.3 else self.now - ago + self.number
        return Event.model_validate(
            {"stream": "trace", "type": word, "time": time, "source": "HIS", "fields": fields}
        )  # fmt: skip

    def events(self):
        found = [self.event() for _ in range(self.random.randint(1, 5))]
        if self.said and self.random.random() < 0.15:
            found.append(self.random.choice(self.said))  # it comes again in another batch
        if self.late and self.random.random() < 0.1:
            found.append(self.random.choice(found))  # it stands there twice: it came twice
        self.said += found
        self.add(Kind.EVENTS, Events(batch=f"e{len(self.log)}", events=found))

    def step(self):
        random = self.random
        self.now += random.choice([1, MINUTE, 10 * MINUTE, HOUR, 5 * HOUR, 20 * HOUR, DAY, 30 * HOUR])
        what = random.random()
        if what < 0.85:
            self.events()
        elif what < 0.93 or not self.late:
            self.add(Kind.TICK, Tick(by="t", role="worker", now=self.now))
        else:
            self.register()


def log(seed, *, late=True):
    """Return a random log."""
    drawn = Drawn(Random(seed), late=late)  # noqa: S311 - a log, no secret
    for _ in range(drawn.random.randint(5, 40)):
        drawn.step()
    return drawn.log


def logs(*, late=True):
    """Draw logs."""
    return st.builds(lambda seed: log(seed, late=late), st.integers(0, 2**32))
