"""Logs of settings that are changed: wider, narrower, set back, late, sent again, and of assets that nobody registered."""

from __future__ import annotations

from random import Random

from hypothesis import strategies as st

from rules.pack import Bundle, default_bundle
from rules.records import Events, Kind, LogRecord, RegisterRecord, Tick
from rules.register import Facility
from tests.rules.beatlogs import BEGIN, DAY, FACILITY, HOUR, MINUTE, SECOND

RULE = "data-integrity.limit-widened"
STEPS = [0, 0, SECOND, MINUTE, 10 * MINUTE, HOUR, 2 * HOUR, 2 * HOUR + 1, 5 * HOUR, DAY]
AHEAD = [-4 * MINUTE, -9 * MINUTE]
ASSETS = ["T1"] * 6 + ["T2", "T2", "A1", "D1", "T9", 5]
LOWS, HIGHS = [0, 1.5, 2, 2, 3, None, "2"], [7, 8, 8, 8.5, 12, 10**400, None, "8"]


def variants():
    """Return the shipped rule, one for cold rooms, and one for each of the settings."""
    shipped = default_bundle().rule(RULE)
    cold = {"id": "test.cold", "applies_to": {"area.kind": ["cold-room"]}}
    return [
        shipped,
        shipped.model_copy(update=cold),
        shipped.model_copy(update={"id": "test.limits", "settings": ["limits"], "scopes": _scopes("manufacture")}),
        shipped.model_copy(update={"id": "test.alarms", "settings": ["alarm"]}),
    ]


def _scopes(field):
    return [default_bundle().rule("cold-chain.power-no-alarm").scopes[0].model_copy(update={"field": field})]


def bundle():
    """Return the rules, and one that counts events."""
    shipped = default_bundle().only({"data-integrity.audit-disabled"})
    return Bundle.of([*variants(), *shipped.rules], [])


def facility(random, now):
    """Return a facility with two sensors that may have limits, or are to get others, and a device."""

    def facts():
        limits = {"low": random.choice([2, 2, 1.5, 0, None]), "high": random.choice([8, 8, 8.5, 12, None])}
        limits = {name: value for name, value in limits.items() if value is not None}
        return {} if random.random() < 0.2 else {"limits": limits}

    sensors = []
    for tag, area in (("T1", "A1"), ("T2", "A2")):
        entry = {"tag": tag, "area": area, "quantity": "temperature", "unit": "Cel"}
        if random.random() < 0.93:
            sensors.append(entry | facts())
        if random.random() < 0.35:
            begins = now + random.choice([-DAY, -HOUR, -1, 1, MINUTE, HOUR, 24 * HOUR, 3 * DAY])
            sensors.append(entry | facts() | {"from": begins})
    return Facility.model_validate(
        {
            "id": FACILITY, "name": {"zh": "测试", "en": "Test"}, "jurisdiction": "110000", "delivery": "60s",
            "scopes": [{"field": random.choice(["manufacture", "manufacture", "distribution"]), "line": "drug"}],
            "areas": [{"id": "A1", "kind": "cold-room"}, {"id": "A2", "kind": random.choice(["cold-room", "room-store"])}],
            "sensors": sensors, "devices": [{"id": "D1", "area": "A1"}] if random.random() < 0.9 else [],
        }
    )  # fmt: skip


def event(random, at):
    """Return one event."""
    kinds = ["limit-changed"] * 6 + ["alarm-disabled", "alarm-disabled", "alarm-enabled", "action"]

    def limits():
        found = {"low": random.choice(LOWS), "high": random.choice(HIGHS)}
        return {side: value for side, value in found.items() if random.random() < 0.6}

    fields = {"asset": random.choice(ASSETS), "new": limits() if random.random() < 0.95 else "8", "old": limits()}
    return {
        "stream": "audit" if random.random() < 0.97 else "device", "type": random.choice(kinds), "time": at, "source": "SCADA",
        "fields": {key: value for key, value in fields.items() if random.random() < (0.6 if key == "old" else 0.97)},
    }  # fmt: skip


@st.composite
def logs(draw):
    """Draw a log."""
    random = Random(draw(st.integers(0, 1 << 32)))  # noqa: S311 - a log, no secret
    late = draw(st.sampled_from([0.0, 0.3, 0.7]))
    now, sent, entity = BEGIN, [], facility(random, BEGIN)
    log = [LogRecord(0, 0, BEGIN, Kind.REGISTER, FACILITY, RegisterRecord(version=1, facility=entity))]
    for i in range(draw(st.sampled_from([6, 15, 35]))):
        now += random.choice(STEPS)
        what = random.random()
        if what < 0.15:
            entity = facility(random, now)
            record = RegisterRecord(version=len(log) + 1, facility=entity)
            log.append(LogRecord(0, 0, now, Kind.REGISTER, FACILITY, record))
            continue
        if what < 0.22:
            log.append(LogRecord(0, 0, now, Kind.TICK, "", Tick(by="t", role="worker", now=now)))
            continue
        events = []
        for _ in range(random.choice([1, 1, 2, 3])):
            back = random.choice([*STEPS, *AHEAD]) if random.random() < late else random.choice([0, 0, SECOND])
            events.append(event(random, now - back))
        if sent and random.random() < 0.15:
            events.append(random.choice(sent))
        sent += events
        payload = Events.model_validate({"batch": f"b{i if what < 0.95 else i // 2}", "events": events})
        log.append(LogRecord(0, 0, now, Kind.EVENTS, FACILITY, payload))
    return [LogRecord(0, i, r.received, r.kind, r.facility, r.payload) for i, r in enumerate(log)]
