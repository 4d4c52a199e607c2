"""Logs of laboratory results: rooms and loops that are registered, not yet, or otherwise; results that say too little; decisions."""

from __future__ import annotations

from random import Random

from hypothesis import strategies as st

from rules.changes import alarm_id
from rules.pack import Bundle, default_bundle
from rules.records import Decision, Event, Events, Kind, LogRecord, RegisterRecord, Tick
from rules.register import Facility

FACILITY, MINUTE, HOUR, DAY = "TEST-0001", 60_000, 3_600_000, 86_400_000
BEGIN = 1_772_294_400_000
OWN = ("cleanroom.a-growth", "cleanroom.b-viable", "cleanroom.cd-viable", "water.endotoxin", "water.microbial")
ROOMS = OWN[:3]
PLACES = ("R1", "R2", "L1", "L2", "S1", "X1")
METHODS = ("air", "settle", "contact", "glove", "浮游菌", "沉降菌", "接触碟", "手套", "swab", 5, None)
VALUES = (
    0,
    0.99,
    1,
    4,
    5,
    6,
    10,
    10.0001,
    11,
    25,
    26,
    50,
    51,
    100,
    101,
    200,
    201,
    0.1,
    0.10001,
    0.25,
    0.2499,
    10000,
    10001,
)
ODD = ("not detected", True, None, -1, -0.5, 10**400, 1e308, 10**22, [3], 2**53 + 1)
UNITS = {
    "viable-count": ("CFU/m3", "cfu/m³", "CFU/4h", "CFU / 4 h", "CFU/plate", "CFU", "CFU/皿", "CFU/glove", "CFU/L"),
    "microbial-count": ("CFU/mL", "CFU/ml", "CFU/100mL", "cfu / 100 mL", "CFU"),
    "endotoxin": ("EU/mL", "eu/ml", "IU/mL"),
    "toc": ("ug/L",),
}


def bundle():
    """Return the five rules and their tables."""
    shipped = default_bundle()
    return Bundle.of(shipped.only(set(OWN)).rules, shipped.tables.values())


def facility(random):
    """Return a facility of which some of the places are registered, one with two grades in turn."""
    areas = [{"id": "S1", "kind": "room-store"}]
    for name in ("R1", "R2"):
        for begin in random.choice([[None], [None], [], [BEGIN + random.randint(0, 3) * DAY], [None, BEGIN + DAY]]):
            area = {"id": name, "kind": "cleanroom", "grade": random.choice("ABCD")}
            area["standard"] = random.choice(["cn-gmp-2010", "eu-annex1-2022"])
            areas.append(area if begin is None else {**area, "from": begin})
    for name in ("L1", "L2"):
        water = random.choice([None, "purified", "wfi", "wfi"])
        if random.random() < 0.8:
            areas.append({"id": name, "kind": "water-loop", "water": water})
    scopes = [{"field": "manufacture", "line": "drug"}]
    return Facility.model_validate(
        {
            "id": FACILITY, "name": {"zh": "测试", "en": "Test"}, "jurisdiction": "110000", "delivery": "60s", "scopes": scopes,
            "areas": areas, "sensors": [],
        }
    )  # fmt: skip


class Drawn:
    """A log as it grows."""

    def __init__(self, random):
        self.random, self.now, self.log, self.version, self.number = random, BEGIN, [], 0, 0
        self.said, self.batch = [], ("", 0)
        self.register()

    def add(self, kind, payload):
        self.log.append(LogRecord(0, len(self.log), self.now, kind, "" if kind is Kind.TICK else FACILITY, payload))

    def register(self):
        self.version += 1
        self.add(Kind.REGISTER, RegisterRecord(version=self.version, facility=facility(self.random)))

    def result(self):
        random = self.random
        self.number += 1
        test = random.choice(["viable-count"] * 6 + ["microbial-count"] * 2 + ["endotoxin"] * 2 + ["toc", None, 7])
        likely = ("R1", "R2") if test == "viable-count" else ("L1", "L2")
        place = random.choice(PLACES if random.random() < 0.2 else likely)
        fields = {"sample_id": f"S-{self.number}", "verdict": random.choice(["pass", "oos"])}
        fields[random.choice(["room", "loop"] * 6 + ["lot", "other"])] = place
        if random.random() < 0.05:
            fields["lot"] = "B1"
        value = random.choice(ODD if random.random() < 0.12 else VALUES)
        unit = (
            random.choice(UNITS.get(test, ("CFU/m3", None, 3))) if random.random() < 0.95 else random.choice([None, 9])
        )
        method = random.choice(METHODS)
        if test == "viable-count" and random.random() < 0.7:  # a unit of its method
            first = METHODS.index(method) % 4 if method in METHODS[:8] else 0
            unit = random.choice(
                (("CFU/m3", "cfu/m³"), ("CFU/4h", "CFU / 4 h"), ("CFU/plate", "CFU", "CFU/皿"), ("CFU/glove", "CFU"))[
                    first
                ]
            )
        told = {"test": test, "method": method, "value": value, "unit": unit}
        fields |= {name: one for name, one in told.items() if one is not None or random.random() < 0.3}
        ago = random.choice([0, 0, MINUTE, HOUR, 3 * HOUR, 2 * DAY, -MINUTE, -HOUR])
        more = {"area": random.choice(PLACES)} if random.random() < 0.2 else {}
        body = {"stream": "lab", "type": random.choice(["result"] * 20 + ["run"]), "source": "LIMS", "fields": fields}
        return Event.model_validate(body | {"time": self.now - ago + self.number} | more)

    def events(self):
        random = self.random
        found = [self.result() for _ in range(random.randint(1, 6))]
        if self.said and random.random() < 0.15:
            found.append(random.choice(self.said))  # it comes again in another batch
        self.said += found
        batch, at = f"e{len(self.log)}", self.now
        if self.batch[1] > at - 6 * HOUR and random.random() < 0.1:  # its id is taken
            batch, at = self.batch
        self.batch = batch, at
        self.add(Kind.EVENTS, Events(batch=batch, events=found))

    def decision(self):
        """A decision on an alarm that may stand: of a result that was said."""
        random = self.random
        event = random.choice(self.said[-12:])
        fields = event.fields
        place = fields.get("loop") or fields.get("room") or event.area
        if not isinstance(place, str):
            return
        rules = [name for name in OWN if (name in ROOMS) == (fields.get("test") == "viable-count")]
        alarm = alarm_id(random.choice(rules), FACILITY, {"area": place}, event.time, random.choice([1, 1, 1, 2]))
        body = {
            "id": f"D-{len(self.log)}", "version": 1, "subject": {"alarm": alarm}, "officer": "o-1", "revision_seen": 0,
            "code": random.choice(["close-latched", "breach", "amendment-accepted", "data-fraud"]), "reason_sha256": "0" * 64,
        }  # fmt: skip
        self.add(Kind.DECISION, Decision.model_validate(body))


class Log(list):
    """A log that a failing test names by its seed: whole it is longer than anybody reads."""

    seed = 0

    def __repr__(self):
        return f"postedlogs.log({self.seed})"


def log(seed):
    """Return the log of a seed."""
    random = Random(seed)  # noqa: S311 - a log, no secret
    drawn = Drawn(random)
    for _ in range(random.choice([6, 20, 45])):
        drawn.now += random.choice([0, MINUTE, HOUR, 5 * HOUR, DAY])
        what = random.random()
        if what < 0.6 or not drawn.said:
            drawn.events()
        elif what < 0.8:
            for _ in range(4):
                drawn.decision()
        elif what < 0.92:
            drawn.register()
        else:
            drawn.add(Kind.TICK, Tick(by="t", role="worker", now=drawn.now))
    found = Log(drawn.log)
    found.seed = seed
    return found


def logs():
    """Draw a log."""
    return st.integers(0, 1 << 32).map(log)
