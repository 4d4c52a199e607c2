"""Logs of heartbeats of devices whose clocks are right, wrong, set by hand or drift, and which fall silent."""

from __future__ import annotations

from random import Random

from hypothesis import strategies as st

from rules.instants import format_instant
from rules.pack import Bundle, default_bundle
from rules.records import Decision, Events, Kind, LogRecord, RegisterRecord, Tick
from rules.register import Facility

BEGIN, FACILITY = 1_772_294_400_000, "TEST-0001"
SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
RULE = "data-integrity.clock-offset"


def variants():
    """Return the shipped rule and three others: few heartbeats, no drift, another silence."""
    rule = default_bundle().rule(RULE)
    quick = {
        "id": "test.quick",
        "beats": 1,
        "drift": None,
        "worse": None,
        "silent": 2 * HOUR,
        "applies_to": {"area.kind": ["cold-room"]},
    }
    steep = {"id": "test.steep", "beats": 3, "beyond": 30 * MINUTE, "drift": 20 * SECOND, "worse": None}
    return [rule, rule.model_copy(update=quick), rule.model_copy(update=steep)]


def bundle():
    """Return the rules, and one that counts events."""
    shipped = default_bundle().only({"data-integrity.audit-disabled"})
    return Bundle.of([*variants(), *shipped.rules], [])


def facility(kinds=("cold-room", "room-store")):
    """Return a facility with a device in each of two areas, and one in none."""
    return Facility.model_validate(
        {
            "id": FACILITY, "name": {"zh": "测试", "en": "Test"}, "jurisdiction": "110000",
            "scopes": [{"field": "distribution", "line": "drug"}],
            "areas": [{"id": "A1", "kind": kinds[0]}, {"id": "A2", "kind": kinds[1]}],
            "devices": [{"id": "D1", "area": "A1"}, {"id": "D2", "area": "A2"}],
        }
    )  # fmt: skip


@st.composite
def logs(draw):
    """Draw a log of hours or weeks of heartbeats."""
    random = Random(draw(st.integers(0, 1 << 32)))  # noqa: S311 - a log, no secret
    step = draw(st.sampled_from([10 * MINUTE, HOUR, 5 * HOUR, 7 * HOUR]))
    devices = draw(st.sampled_from([["D1"], ["D1", "D2"], ["D1", "GONE"]]))
    clocks = {device: [0, 0] for device in devices}  # offset, drift a day
    now, log, sent = (
        BEGIN,
        [LogRecord(0, 0, BEGIN, Kind.REGISTER, FACILITY, RegisterRecord(version=1, facility=facility()))],
        [],
    )
    for i in range(draw(st.sampled_from([8, 20, 45]))):
        events = []
        for device in devices:
            clock = clocks[device]
            if random.random() < 0.12:
                clock[:] = random.choice([[0, 0], [30 * SECOND, 0], [-61 * SECOND, 0], [120 * SECOND, 0], [-121 * SECOND, 0],
                                          [11 * MINUTE, 0], [0, 59 * SECOND], [0, 61 * SECOND], [0, -90 * SECOND]])  # fmt: skip
            clock[0] += clock[1] * step // DAY
            for _ in range(random.choice([0, 1, 1, 1, 2])):
                told = now + clock[0] + random.choice([0, 0, 500, -60 * SECOND])
                value = random.choice(
                    [told, format_instant(told), format_instant(told), "soon", None, True]
                    if random.random() < 0.2
                    else [told]
                )
                events.append(
                    {"stream": "device", "type": "heartbeat", "time": now - random.choice([0, 1_000]), "source": device,
                     "fields": {"device_time": value, "n": random.choice([i, i, 0])}}
                )  # fmt: skip
        if sent and random.random() < 0.2:
            events.append(random.choice(sent))
        sent += events
        what = random.random()
        if what < 0.04:
            version = 2 + sum(record.kind is Kind.REGISTER for record in log)
            kinds = random.choice([("cold-room", "room-store"), ("room-store", "room-store")])
            log.append(
                LogRecord(0, 0, now, Kind.REGISTER, FACILITY, RegisterRecord(version=version, facility=facility(kinds)))
            )
        elif what < 0.1:
            log.append(LogRecord(0, 0, now, Kind.TICK, "", Tick(by="t", role="worker", now=now)))
        elif what < 0.15:
            said = {"id": f"D-{i}", "version": 1, "subject": {"alarm": "0" * 32}, "code": "close-latched", "officer": "o-1",
                    "revision_seen": 0, "reason_sha256": "0" * 64}  # fmt: skip
            log.append(LogRecord(0, 0, now, Kind.DECISION, FACILITY, Decision.model_validate(said)))
        if events:
            log.append(
                LogRecord(0, 0, now, Kind.EVENTS, FACILITY, Events.model_validate({"batch": f"b{i}", "events": events}))
            )
        now += random.choice([step, step, step, step, 0, 23 * HOUR, 25 * HOUR])
    return [LogRecord(0, i, r.received, r.kind, r.facility, r.payload) for i, r in enumerate(log)]
