"""Logs of cold rooms that leave their limits, with alarms on the spot that go on and off, are late, or stay away."""

from __future__ import annotations

from random import Random

from hypothesis import strategies as st

from rules.changes import alarm_id
from rules.pack import Bundle, default_bundle
from rules.rareparts import EventMatch
from rules.records import Decision, Events, Kind, LogRecord, RegisterRecord, Tick
from rules.register import Facility
from rules.rule import OpenWhen
from tests.calibrated import CALIBRATION
from tests.rules.beatlogs import BEGIN, DAY, FACILITY, HOUR, MINUTE, SECOND
from tests.rules.logs import Row, readings

RULE, OUT, SLOW = "cold-chain.excursion-no-alarm", "cold-chain.store-out", "test.slow"
RESULTS = "water.stage2-missing"
ON = EventMatch(stream="device", type="alarm", where={"cause": "temperature", "state": "on"})


def variants():
    """Return the shipped rule, and others: of an excursion that the clock decides, of events that do not last, of some rooms."""
    shipped = default_bundle().rule(RULE)
    slow = {"id": "test.horn", "reads": [SLOW], "alarm": SLOW, "silent": 20 * MINUTE, "allowed": 2 * HOUR}
    brief = {"id": "zz.brief", "within_before": None, "lasts_until": None, "within": 10 * MINUTE}
    rooms = {"id": "a.lab", "applies_to": {"area.kind": ["refrigerator"]}}
    answer = EventMatch(stream="lab", type="result", where={"test": "recheck"})
    return [
        shipped,
        shipped.model_copy(update=slow),
        shipped.model_copy(update=brief),
        shipped.model_copy(update=rooms | {"then": answer, "lasts_until": None, "within_before": HOUR}),
    ]


def asking():
    """Return the shipped rule that asks for results, and it with minutes for days, of excursions."""
    shipped = default_bundle().rule(RESULTS)
    second = shipped.result.model_copy(update={"within": HOUR})
    brief = {
        "id": "a.stage",
        "reads": [OUT],
        "alarm": OUT,
        "within": 30 * MINUTE,
        "allowed": 2 * HOUR,
        "result": second,
    }
    short = {
        "id": "zz.stage",
        "reads": [SLOW],
        "alarm": SLOW,
        "within": 2 * HOUR,
        "result": second.model_copy(update={"within": 10 * MINUTE}),
    }
    scopes = {"scopes": default_bundle().rule(RULE).scopes}
    return [shipped.model_copy(update=scopes | brief), shipped.model_copy(update=scopes | short)]


def bundle():
    """Return the rules with those whose alarms they follow up, and one that counts events."""
    shipped = default_bundle().only({OUT, "data-integrity.physical-range", "data-integrity.audit-disabled"})
    slow = shipped.rule(OUT).model_copy(update={"id": SLOW, "when": OpenWhen(consecutive=1, on_delay="4m")})
    return Bundle.of([*variants(), *asking(), *shipped.rules, slow], shipped.tables.values())


AREAS = {"T1": "A1", "T2": "A1", "T3": "A2"}
VALUES = [5.0, 5.0, 5.0, 9.0, 9.5, 7.7, 1.0]
STEPS = [0, 0, SECOND, MINUTE, 5 * MINUTE, 5 * MINUTE, 30 * MINUTE, HOUR]
BACK = [
    0,
    0,
    0,
    SECOND,
    MINUTE,
    5 * MINUTE,
    5 * MINUTE + 1,
    10 * MINUTE,
    30 * MINUTE,
    2 * HOUR,
    2 * HOUR + 1,
    49 * HOUR,
    -MINUTE,
    -10 * MINUTE,
]


def facility(random):
    """Return a facility with two rooms."""
    sensors = [
        {"tag": tag, "area": area, "quantity": "temperature", "unit": "Cel", "interval": "60s", "calibration": CALIBRATION}
        for tag, area in AREAS.items()
    ]  # fmt: skip
    return Facility.model_validate(
        {
            "id": FACILITY, "name": {"zh": "测试", "en": "Test"}, "jurisdiction": "110000",
            "delivery": random.choice(["10s", "60s"]), "scopes": [{"field": "distribution", "line": "drug"}],
            "areas": [{"id": "A1", "kind": "cold-room"}, {"id": "A2", "kind": "refrigerator"}],
            "sensors": sensors, "devices": [{"id": "HORN", "area": "A1"}, {"id": "BELL", "area": "A1"}, {"id": "LAMP", "area": "A2"}],
        }
    )  # fmt: skip


def event(random, at):
    """Return one event."""
    kind = random.choice(["alarm"] * 4 + ["heartbeat"] * 4 + ["result"] * 4 + ["door"])
    fields = {"cause": random.choice(["temperature"] * 5 + ["power"]), "state": random.choice(["on", "on", "off"])}
    if kind == "result":
        fields = {
            "test": random.choice(["recheck", "other"] + ["conductivity-stage-2"] * 4 + ["conductivity-stage-3"] * 3),
            "value": random.choice([1.9, 2.1, 2.1, 2.2, 2.5, 3, "2.0", True, None]), "unit": random.choice(["uS/cm", "uS/cm", "µS/cm", "S/m", 7]),
        } | random.choice([{"loop": "A1"}, {"loop": "A1"}, {"loop": "A2"}, {"room": "A1"}, {"loop": "A9"}, {}])  # fmt: skip
        fields = {name: value for name, value in fields.items() if random.random() < 0.9 or name == "test"}
    found = {
        "stream": "lab" if kind == "result" else "device",
        "type": kind,
        "time": at,
        "source": "PLC",
        "fields": fields,
    }
    where = random.choice(
        [{"device": name} for name in ("HORN", "BELL", "LAMP")] + [{"area": "A1"}, {"area": "A2"}, {"area": "A9"}, {}]
    )
    if "device" in where and random.random() < 0.4:
        where = {"fields": fields | where} | ({"device": "LAMP"} if random.random() < 0.1 else {})
    return found | where | ({"fields": {"cause": "temperature"}} if random.random() < 0.03 else {})


class Drawn:
    """A log as it grows."""

    def __init__(self, random, late):
        self.random, self.late = random, late
        self.now, self.log = BEGIN, []
        self.heads, self.held, self.starts = dict.fromkeys(AREAS, BEGIN), [], [("T1", BEGIN)]
        self.value = dict.fromkeys(AREAS, 5.0)
        self.add(Kind.REGISTER, RegisterRecord(version=1, facility=facility(random)))

    def add(self, kind, payload):
        self.log.append(LogRecord(0, len(self.log), self.now, kind, "" if kind is Kind.TICK else FACILITY, payload))

    def rows(self):
        random, tag = self.random, self.random.choice(["T1", "T1", "T2", "T3"])
        found = []
        for _ in range(random.choice([1, 3, 8, 20])):
            self.heads[tag] = max(self.heads[tag] + MINUTE, self.now - random.choice([0, HOUR]))
            border = False
            if random.random() < 0.3:
                was, self.value[tag] = self.value[tag], random.choice(VALUES)
                border = was == 5.0 != self.value[tag]
                if border:
                    self.starts.append((tag, self.heads[tag]))
            row = Row(tag, self.heads[tag], self.value[tag], random.choice([0] * 15 + [6]))
            held = random.random() < (0.4 if border and self.late else self.late)
            (self.held if held else found).append(row)
        if found:
            self.now = max(self.now, found[-1].t)
            self.add(Kind.READINGS, readings(found, f"r{len(self.log)}"))

    def release(self):
        random, rows = self.random, self.held
        self.held = []
        if random.random() < 0.5:
            random.shuffle(rows)
        if rows:
            self.add(Kind.READINGS, readings(rows, f"r{len(self.log)}"))

    def spoil(self):
        """A row that comes late just before or behind the first one outside: it moves the start, or takes it back."""
        tag, start = self.random.choice(self.starts[-3:])
        back, value = self.random.choice([(-30, 9.0), (30, 5.0), (30, 5.0), (90, 5.0)])
        self.add(Kind.READINGS, readings([Row(tag, start + back * SECOND, value)], f"r{len(self.log)}"))

    def events(self):
        random = self.random
        when = [self.now - random.choice(BACK) for _ in range(random.choice([1, 1, 2]))]
        if random.random() < 0.4:
            when.append(random.choice(self.starts[-4:])[1] + random.choice([-1, 1]) * random.choice(BACK))
        batch = f"b{len(self.log) if random.random() < 0.95 else 1}"
        self.add(Kind.EVENTS, Events.model_validate({"batch": batch, "events": [event(random, at) for at in when]}))

    def decision(self):
        tag, start = self.random.choice(self.starts[-3:])
        for rule in (RULE, "zz.brief", "test.horn"):
            self.close(alarm_id(rule, FACILITY, {"tag": tag}, start))

    def close(self, alarm):
        said = {"id": f"d{len(self.log)}", "version": 1, "subject": {"alarm": alarm}, "code": "close-latched", "officer": "o",
                "revision_seen": 1, "reason_sha256": "0" * 64}  # fmt: skip
        self.add(Kind.DECISION, Decision.model_validate(said))


@st.composite
def logs(draw):
    """Draw a log."""
    random = Random(draw(st.integers(0, 1 << 32)))  # noqa: S311 - a log, no secret
    drawn = Drawn(random, draw(st.sampled_from([0.0, 0.1, 0.4])))
    for _ in range(draw(st.sampled_from([5, 12, 30]))):
        drawn.now += random.choice([*STEPS, DAY]) if random.random() < 0.1 else random.choice(STEPS)
        what = random.random()
        if what < 0.5:
            drawn.rows()
        elif what < 0.58:
            drawn.release()
        elif what < 0.65 and drawn.late:
            drawn.spoil()
        elif what < 0.83:
            drawn.events()
        elif what < 0.92:
            drawn.decision()
        else:
            drawn.add(Kind.TICK, Tick(by="t", role="worker", now=drawn.now))
    return drawn.log
