"""Logs of calibrations: of registers and of events, late, again, out of order, unreadable, of sensors that come and go."""

from __future__ import annotations

from random import Random

from hypothesis import strategies as st

from rules.pack import Bundle, default_bundle
from rules.records import Event, Events, Kind, LogRecord, RegisterRecord, Tick
from rules.register import Facility

BEGIN = 1_772_294_400_000
FACILITY = "TEST-0001"
SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
DUE, ERROR = "register.calibration-due", "register.sensor-error"
TAGS = ["T1", "T2", "T3"]
DAYS = [
    "2026-02-01",
    "2026-02-27",
    "2026-02-28",
    "2026-03-01",
    "2026-03-02",
    "2026-03-03",
    "2026-03-20",
    "2026-04-20",
    "2027-01-01",
]
TIMES = ["T00:00:00+08:00", "T12:00:00+08:00", "T15:59:59Z", "T16:00:00Z", "T23:59:59.999+08:00", ""]
POINTS = [-30, -25, -1, 0, 5, 40, 41]
ERRORS = [0.0, 0.5, -0.5, 0.6, -1.0, 1.1]


def variants():
    """Return the shipped rules, and one of cold rooms without a notice."""
    shipped = [default_bundle().rule(name) for name in (DUE, ERROR)]
    cold = {"id": "test.cold", "notice": None, "applies_to": {"area.kind": ["cold-room"]}}
    return [*shipped, shipped[0].model_copy(update=cold)]


def bundle():
    """Return the rules."""
    return Bundle.of(variants(), [])


def points_of(random):
    return [(random.choice(POINTS), random.choice(ERRORS)) for _ in range(random.choice([0, 1, 2]))]


def facility(random):
    """Return a facility of which a sensor may be missing, or have no calibration, or another's serial."""
    sensors = []
    for tag in TAGS:
        if random.random() < 0.85:
            entry = {"tag": tag, "area": random.choice(["A1", "A1", "A2"]), "quantity": "temperature", "unit": "Cel"}
            if random.random() < 0.6:
                points = [{"at": at, "error": error} for at, error in points_of(random)]
                entry["calibration"] = {
                    "done": random.choice(DAYS[:6]),
                    "due": random.choice(DAYS[2:]),
                    "points": points,
                }
            if random.random() < 0.7:
                entry["serial"] = random.choice([f"S-{tag}", f"S-{tag}", "S-T1"])
            sensors.append(entry)
    return Facility.model_validate(
        {
            "id": FACILITY, "name": {"zh": "测试", "en": "Test"}, "jurisdiction": "110000",
            "scopes": [{"field": "distribution", "line": "drug"}],
            "areas": [{"id": "A1", "kind": "cold-room"}, {"id": "A2", "kind": "room-store"}], "sensors": sensors,
        }
    )  # fmt: skip


def event(random, now):
    """Return an event that tells a calibration, now and then one that says less, or of something else."""
    fields = {"done_at": random.choice(DAYS[:6]) + random.choice(TIMES)}
    if random.random() < 0.8:
        fields["due_at"] = random.choice(DAYS[2:]) + random.choice(TIMES)
    if random.random() < 0.8:
        fields["points"] = [{"reference": at, "error": error} for at, error in points_of(random)]
    if random.random() < 0.8:
        fields["point"] = random.choice([*TAGS, *TAGS, "T9"])
    if random.random() < 0.5 or "point" not in fields:
        fields["serial"] = random.choice([f"S-{fields.get('point', 'T2')}", "S-T1", "S-T2", "S-T9"])
    if random.random() < 0.15:
        fields[random.choice(["done_at", "due_at", "points", "point", "serial"])] = random.choice(
            [
                "soon",
                True,
                [],
                {},
                None,
                "2026-03-02T25:00:00Z"[:10] + "T05:00:00",
                [{"reference": 5}],
                [{"reference": "5", "error": 0.1}],
            ]
        )
    kind = random.choice(["calibration"] * 9 + ["replacement"])
    stream = random.choice(["device"] * 19 + ["lab"])
    said = {
        "stream": stream,
        "type": kind,
        "time": now - random.choice([0, HOUR, DAY, -DAY]),
        "source": "LAB",
        "fields": fields,
    }
    return Event.model_validate(said)


STEPS = [0, 0, 1, SECOND, HOUR, DAY, DAY, 2 * DAY, 17 * DAY]


@st.composite
def logs(draw):
    """Draw a log of registers and events."""
    random = Random(draw(st.integers(0, 1 << 32)))  # noqa: S311 - a log, no secret
    now = BEGIN
    log = [LogRecord(0, 0, now, Kind.REGISTER, FACILITY, RegisterRecord(version=1, facility=facility(random)))]
    sent = []
    for i in range(draw(st.sampled_from([4, 10, 25]))):
        now += random.choice(STEPS)
        what = random.random()
        if what < 0.12:
            payload, kind = RegisterRecord(version=len(log) + 1, facility=facility(random)), Kind.REGISTER
        elif what < 0.2:
            log.append(LogRecord(0, 0, now, Kind.TICK, "", Tick(by="t", role="worker", now=now)))
            continue
        else:
            fresh = [event(random, now) for _ in range(random.choice([1, 1, 2, 3]))]
            again = random.sample(sent, min(len(sent), random.choice([0, 0, 1])))
            sent += fresh
            payload, kind = Events(batch=f"b{i if what < 0.95 else i // 2}", events=[*fresh, *again]), Kind.EVENTS
        log.append(LogRecord(0, 0, now, kind, FACILITY, payload))
    return [LogRecord(0, i, r.received, r.kind, r.facility, r.payload) for i, r in enumerate(log)]
