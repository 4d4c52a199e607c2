"""Rules of the kinds `limit` and `cumulative` that hold during a trip, and logs of vehicles and boxes whose trips are told in time, late, wrongly or not at all."""

from __future__ import annotations

import math
from random import Random

from hypothesis import strategies as st

from rules.changes import ChangeKind
from rules.engine import Engine
from rules.pack import Bundle, default_bundle
from rules.records import Decision, Events, Kind, LogRecord, Mark, RegisterRecord
from rules.register import Facility
from tests.rules import logs, sums
from tests.rules.logs import BEGIN, FACILITY, Row

BOX = {"sensor.quantity": "temperature", "area.kind": ["vehicle", "box"]}
TRIP = {"kind": "limit", "applies_to": BOX, "during": "trip", "clear": {"latched": True}, "severity": {"base": "red"}}
RULES = [
    {"id": "test.hot", **TRIP, "limits": {"from": {"high": 45}, "inclusive": True}, "when": {"on_delay": "10m"}},
    {"id": "test.cold", **TRIP, "limits": {"from": {"low": -0.5}}, "when": {"consecutive": 3},
     "applies_to": {**BOX, "area.shipment_type": "I"}, "marked": "count"},
    {"id": "test.sum", "kind": "cumulative", "applies_to": BOX, "during": "trip", "limits": {"from": {"high": 44.9}, "inclusive": True},
     "total": "25m", "severity": {"base": "red"}},
    {"id": "test.sum-both", "kind": "cumulative", "applies_to": {**BOX, "area.shipment_type": "II"}, "during": "trip",
     "limits": {"from": {"low": 0, "high": 44}}, "total": "7m", "severity": {"base": "orange"}, "marked": "count"},
    {"id": "test.plain", "kind": "limit", "applies_to": BOX, "limits": {"from": {"high": 45}}, "when": {"consecutive": 2}},
]  # fmt: skip
NAMES = ("test.hot", "test.cold", "test.sum", "test.sum-both")
VALUES = [[20.0, 45.0], [44.9, 45.0, 60.0], [-0.5, -0.6, 4.0], [4.0, 45.0, -2.0, 99.0]]
MINUTE = 60_000


def bundle():
    """Return the test rules, with the shipped one that excludes values, silences, and one over rare records."""
    shipped = default_bundle().only(
        {"data-integrity.physical-range", "data-integrity.gap", "data-integrity.audit-disabled"}
    )
    return Bundle.of([*shipped.rules, *(sums.rule(entry) for entry in RULES)], shipped.tables.values())


def carrier(interval, kinds, delivery=60_000):
    """Return a facility with a vehicle or box for each kind (kind, shipment type) and a sensor in each; `interval` in seconds."""
    return Facility.model_validate(
        {
            "id": FACILITY,
            "name": {"zh": "测试", "en": "Test"},
            "jurisdiction": "110000",
            "delivery": f"{delivery}ms",
            "scopes": [{"field": "manufacture", "line": "drug"}],
            "areas": [
                {"id": f"V{i}", "kind": kind, **({"shipment_type": of} if of else {})} for i, (kind, of) in enumerate(kinds)
            ],
            "sensors": [
                {"tag": f"T{i}", "area": f"V{i}", "quantity": "temperature", "unit": "Cel", "interval": f"{interval}s",
                 "range": {"low": -40, "high": 80}}
                for i in range(len(kinds))
            ],
        }
    )  # fmt: skip


def told(kind, area, trip, t, lot="B1", **more):
    """Return an event of a trip."""
    fields = {"trip": trip, "lot": lot} | more
    return {"stream": "trace", "type": kind, "time": t, "source": "WMS", "area": area, "fields": fields}


def batch(name, found):
    return Events.model_validate({"batch": name, "events": found})


@st.composite
def trips(draw):
    """Draw a log of some hours; of rows as (received, rows), of events as (received, [event]), of decisions as (received, text)."""
    interval = draw(st.sampled_from([20, 60, 60, 300]))
    kinds = draw(st.lists(st.sampled_from([("box", "I"), ("vehicle", None), ("box", "II")]), min_size=1, max_size=2))
    random = Random(draw(st.integers(0, 1 << 32)))  # noqa: S311 - a log, no secret
    values = draw(st.sampled_from(VALUES))
    spoilt, holes = draw(st.sampled_from([0.0, 0.02, 0.1])), draw(st.sampled_from([0.0, 0.02, 0.08]))
    entries, kept, kept_events, seen, gone = [], [], [], [], []
    t = clock = BEGIN + draw(st.sampled_from([0, 1, 7_000]))
    number = 0
    for _ in range(draw(st.integers(4, 18))):
        place = random.randrange(len(kinds))
        value, rows = random.choice(values), []
        for _ in range(random.choice([1, 2, 3, 5, 8, 13, 30])):
            q = random.choice([1, 2, 3, 6, 8]) if random.random() < spoilt else 0
            rows.append(Row(f"T{place}", t, math.nan if q == 8 else value, q))
            t += interval * 1_000 + random.choice([0, 0, 1, 500])
            if random.random() < 0.1:
                value = random.choice(values)
            if random.random() < holes:
                t = rows[-1].t + interval * random.choice([1_999, 2_000, 2_001, 5_000, 60_000])
        found = []
        while random.random() < 0.6:
            kind, near = random.choice(["shipped", "shipped", "arrived", "arrived"]), random.choice(rows).t
            at = near + random.choice([0, 0, 1, -1, -5 * MINUTE, 5 * MINUTE, -3 * 60 * MINUTE, 20 * MINUTE])
            if random.random() < 0.02:
                at -= 30 * 24 * 60 * MINUTE
            name = f"W{number if random.random() < 0.7 else random.randrange(number + 1)}"
            lot = random.choice(["B1", "B1", "B1", "B1", "B1", "B1", "B2"])
            if (
                kind == "arrived" and gone and random.random() < 0.8
            ):  # what was shipped arrives, often told behind the heat
                area, name, lot = gone.pop()
                at = random.choice([at, near - 8 * MINUTE, near - 15 * MINUTE])
                found.append(told(kind, area, name, at, lot))
                continue
            gone.append((f"V{place}", name, lot))
            found.append(told(kind, f"V{place}", name, at, lot))
            number += random.random() < 0.3
        if random.random() < 0.1:
            found.append(told("shipped", random.choice(["V9", "V0"]), random.choice(["", "W0"]), t))
        if random.random() < 0.1:
            found.append({**told("shipped", "V0", "W0", t), "stream": "device"})
        if random.random() < 0.15:
            kept += rows
        elif random.random() < 0.5:
            clock = max(clock, rows[-1].t + random.choice([0, 1_000, 200_000]))
            entries.append((clock, rows))
        else:
            for row in rows:
                clock = max(clock, row.t + random.choice([0, 1_000]))
                entries.append((clock, [row]))
                if found and random.random() < 0.1:
                    entries.append((clock, [found.pop()]))
        if random.random() < 0.3:
            kept_events += found
        elif found:
            entries.append((clock + random.choice([0, 0, 1, 1_000]), found))
            clock = entries[-1][0]
            seen.append(found)
        if random.random() < 0.4:
            late = Row(f"T{place}", random.choice(rows).t + random.choice([1, 100, -100]), random.choice(values), 0)
            entries.append((clock, [late, random.choice(rows)]))
        if kept and random.random() < 0.7:
            entries.append((clock + 1, kept[::-1] if random.random() < 0.5 else kept))
            kept = []
        if kept_events and random.random() < 0.5:
            entries.append((clock + random.choice([0, 1]), kept_events))
            kept_events = []
        if seen and random.random() < 0.1:
            entries.append((clock + 1, random.choice(seen)))
        if random.random() < 0.2:
            entries.append(
                (clock + random.choice([0, 1]), random.choice(["close-latched", "grade-signed", "data-fraud"]))
            )
        clock = max(clock, entries[-1][0] if entries else clock)
    return carrier(interval, kinds, delivery=draw(st.sampled_from([10_000, 60_000]))), entries


def records(entity, entries, bundle):
    """Return the log records of drawn entries; a decision names an alarm that stands then, the one told last."""
    log, changes, engine = [], [], Engine(bundle)

    def put(received, kind, payload):
        log.append(LogRecord(0, len(log), received, kind, entity.id, payload))
        changes.extend(engine.fold(log[-1]))

    put(BEGIN, Kind.REGISTER, RegisterRecord(version=1, facility=entity))
    for received, what in entries:
        name = f"b{len(log)}"
        if isinstance(what, Mark):
            put(received, Kind.MARK, what)
            continue
        if not isinstance(what, str):
            events = isinstance(what[0], dict)
            payload = batch(name, what) if events else logs.readings(what, name)
            put(received, Kind.EVENTS if events else Kind.READINGS, payload)
            continue
        alarms = standing(changes)
        if alarms:
            put(received, Kind.DECISION, decided(name, alarms[-1], what))
    return log


def decided(name, alarm, code="close-latched", second="o-2"):
    """Return a decision on an alarm."""
    return Decision.model_validate(
        {"id": name, "version": 1, "subject": {"alarm": alarm}, "code": code, "officer": "o-1", "second": second,
         "revision_seen": 0, "reason_sha256": "0" * 64}
    )  # fmt: skip


def standing(changes):
    """Return the alarms of the rules that stand behind some changes, the one told last at the end."""
    found = {}
    for change in changes:
        found.pop(change.alarm, None)
        if change.rule in NAMES and change.end is None and change.change is not ChangeKind.RETRACTED:
            found[change.alarm] = change
    return list(found)
