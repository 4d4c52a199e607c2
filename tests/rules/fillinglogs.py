"""Rules of kind `gap` that hold during filling, and logs of clean rooms whose counters fall silent, send bad records, or are switched off, told in time or late."""

from __future__ import annotations

import math
from random import Random

from hypothesis import strategies as st

from rules.pack import Bundle, default_bundle
from rules.records import Kind, LogRecord, Mark, RegisterRecord, Tick
from rules.register import Facility
from tests.rules import logs, sums
from tests.rules.logs import BEGIN, FACILITY, Row
from tests.rules.triplogs import batch

A = {"sensor.quantity": "particles-5.0", "area.kind": "cleanroom", "area.grade": "A"}
FILLING = {
    "kind": "gap", "applies_to": A, "during": "filling", "records": "good", "groups": [], "overlap": "silence",
}  # fmt: skip
RULES = [
    {"id": "test.off", **FILLING, "factor": 2, "at_least": "2m", "off": "monitor", "severity": {"base": "red"}},
    {"id": "test.good", **FILLING, "threshold": "5m", "grace": "1m", "marked": "count",
     "severity": {"base": "yellow", "steps": [{"after": "15m", "to": "orange"}]}},
    {"id": "test.any", **FILLING, "factor": 3, "records": None, "off": "monitor", "severity": {"base": "orange"}},
]  # fmt: skip
NAMES = ("test.off", "test.good", "test.any")
MINUTE = 60_000
HOLES = [119_999, 120_000, 120_001, 180_001, 360_000, 360_001, 900_001, 1_500_000, 3 * 3_600_000]
"""Distances between rows: round the limits and the steps of the rules, and one longer than the horizon."""


def bundle():
    """Return the test rules with the plain silence beside them, and a range outside of which no value counts."""
    shipped = default_bundle().only({"data-integrity.physical-range", "data-integrity.gap"})
    return Bundle.of([*shipped.rules, *(sums.rule(entry) for entry in RULES)], shipped.tables.values())


def line(interval, rooms, delivery):
    """Return a facility with so many clean rooms of grade A and a counter in each; `interval` in seconds, `delivery` in ms."""
    return Facility.model_validate(
        {
            "id": FACILITY,
            "name": {"zh": "测试", "en": "Test"},
            "jurisdiction": "110000",
            "delivery": f"{delivery}ms",
            "scopes": [{"field": "manufacture", "line": "drug"}],
            "areas": [
                {"id": f"V{i}", "kind": "cleanroom", "grade": "A", "standard": "cn-gmp-2010"} for i in range(rooms)
            ],
            "sensors": [
                {"tag": f"T{i}", "area": f"V{i}", "quantity": "particles-5.0", "unit": "/m3", "interval": f"{interval}s",
                 "range": {"low": 0, "high": 100000}}
                for i in range(rooms)
            ],
        }
    )  # fmt: skip


def event(kind, area, t, device=None, **fields):
    """Return an event of a clean room."""
    stream = "device" if kind == "monitor" else "trace"
    more = {} if device is None else {"device": device}
    if t % 3 == 0:
        fields, more = fields | more, {}
    return {"stream": stream, "type": kind, "time": t, "source": "PLC", "area": area, "fields": fields, **more}


def step(area, lot, begin, end=None, name="filling", at=None):
    """Return the event of a step of a batch; without an end it goes on."""
    more = {} if end is None else {"to": end}
    return event("batch-step", area, begin if at is None else at, batch=lot, step=name, **{"from": begin}, **more)


def _mark(random, number, t, tag):
    begin = t + random.choice([0, 1, -1, -2 * MINUTE, -10 * MINUTE])
    return Mark.model_validate(
        {
            "id": f"M-{random.randrange(number + 1)}", "revision": 1 + number, "tags": [tag],
            "flag": random.choice(["maintenance", "fault", "set_value", "comms"]), "from": begin,
            "to": random.choice([None, begin, begin + 3 * MINUTE, begin + 20 * MINUTE]), "reason": "a test", "author": "u-1",
        }
    )  # fmt: skip


def _told(random, area, rows, begun):
    """Return an event near some rows: a filling that begins, or ends as it began; or what a monitor says."""
    near = random.choice(rows).t
    at = near + random.choice(
        [0, 0, 1, -1, -120_000, -120_001, 5 * MINUTE, -20 * MINUTE, 40 * MINUTE, -3 * 60 * MINUTE]
    )
    if random.random() < 0.5:
        return event(
            "monitor", area, at, random.choice(["M1", "M1", "M2"]), state=random.choice(["on", "off", "off", "idle"])
        )
    if begun and random.random() < 0.5:
        lot, since = random.choice(begun)
        return step(area, lot, since, at, at=at)
    begun.append((random.choice(["L1", "L2"]), at))
    end = random.choice([None, None, at + 10 * MINUTE, at + 60 * MINUTE, at - 1])
    return step(area, *begun[-1], end, random.choice(["filling", "filling", "filling", "filling", "capping"]))


@st.composite
def fillings(draw):
    """Draw a log of some hours: of rows as (received, rows), of events as (received, [event]), of ticks as (received, role), of marks as they are."""
    interval, many = draw(st.sampled_from([20, 60, 60, 300])), draw(st.sampled_from([1, 1, 2]))
    random = Random(draw(st.integers(0, 1 << 32)))  # noqa: S311 - a log, no secret
    holes, doors = draw(st.sampled_from([0.05, 0.2, 0.4])), draw(st.sampled_from([0.0, 0.0, 0.3]))
    spoilt, marks = draw(st.sampled_from([0.0, 0.1, 0.6])), draw(st.sampled_from([0.0, 0.0, 0.3]))
    entries, kept, kept_events, begun = [], [], [], []
    t = clock = BEGIN + draw(st.sampled_from([0, 1, 7_000]))
    entries.append((clock, "gateway"))
    for number in range(draw(st.integers(3, 14))):
        place = random.randrange(many)
        rows = []
        bad = random.random() < spoilt
        for _ in range(random.choice([1, 2, 3, 5, 8])):
            q = random.choice([1, 2, 3, 6, 8]) if bad and random.random() < 0.7 else 0
            value = math.nan if q == 8 else random.choice([0.0, 0.0, 3.0, 2e6 if bad else 1.0])
            rows.append(Row(f"T{place}", t, value, q))
            t += interval * 1_000 + random.choice([0, 0, 1, 500])
            if random.random() < holes:
                t = rows[-1].t + random.choice(HOLES)
        found = []
        while random.random() < 0.6:
            found.append(_told(random, f"V{place}", rows, begun))
        if random.random() < 0.25:
            kept += rows
        elif random.random() < 0.4:
            clock = max(clock, rows[-1].t + random.choice([0, 1_000, 200_000]))
            entries.append((clock, rows))
        else:
            for row in rows:
                clock = max(clock, row.t + random.choice([0, 1_000, 60_000]))
                entries.append((clock, [row]))
                if found and random.random() < 0.2:
                    entries.append((clock, [found.pop()]))
        if random.random() < 0.3:
            kept_events += found
        elif found:
            entries.append((clock + random.choice([0, 0, 1, 1_000]), found))
        if kept and random.random() < 0.5:
            cut = random.randrange(len(kept) + 1)
            entries.append((clock + 1, (kept[::-1] if random.random() < 0.3 else kept)[cut:] or kept))
            kept = kept[:cut] if random.random() < 0.5 else []
        if kept_events and random.random() < 0.5:
            entries.append((clock + random.choice([0, 1]), kept_events))
            kept_events = []
        clock = max(clock, *(entry[0] for entry in entries))
        if random.random() < marks:
            entries.append((clock + random.choice([0, 1]), _mark(random, number, rows[-1].t, f"T{place}")))
            clock = entries[-1][0]
        if random.random() < doors:
            clock += random.choice([0, MINUTE, 14 * MINUTE, 15 * MINUTE + 1, 40 * MINUTE])
            entries.append((clock, random.choice(["gateway", "gateway", "worker"])))
            t = max(t, clock + random.choice([-30 * MINUTE, -MINUTE, 0]))
    return line(interval, many, draw(st.sampled_from([10_000, 60_000, 400_000]))), entries


def records(entity, entries):
    """Return the log records of drawn entries."""
    log = [LogRecord(0, 0, BEGIN, Kind.REGISTER, entity.id, RegisterRecord(version=1, facility=entity))]
    for received, what in entries:
        name = f"b{len(log)}"
        if isinstance(what, Mark):
            log.append(LogRecord(0, len(log), received, Kind.MARK, entity.id, what))
        elif isinstance(what, str):
            log.append(LogRecord(0, len(log), received, Kind.TICK, "", Tick(by="t", role=what, now=received)))
        elif isinstance(what[0], dict):
            log.append(LogRecord(0, len(log), received, Kind.EVENTS, entity.id, batch(name, what)))
        else:
            log.append(LogRecord(0, len(log), received, Kind.READINGS, entity.id, logs.readings(what, name)))
    return log
