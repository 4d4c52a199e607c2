"""Logs of what sensors and devices tell of themselves: serials, replacements, hashes; stored, sent again, and of nobody's."""

from __future__ import annotations

from random import Random

from hypothesis import strategies as st

from rules.pack import Bundle, default_bundle
from rules.records import Events, Kind, LogRecord, RegisterRecord, Tick
from rules.register import Facility
from tests.rules.beatlogs import BEGIN, DAY, FACILITY, HOUR, MINUTE, SECOND

SERIAL, CONFIG = "register.serial-changed", "register.config-hash"


def variants():
    """Return the shipped rules, and two that wait for minutes only, in cold rooms."""
    serial, config = (default_bundle().rule(name) for name in (SERIAL, CONFIG))
    cold = {"applies_to": {"area.kind": ["cold-room"]}}
    quick = cold | {"id": "test.serial", "within": 10 * MINUTE, "grace": HOUR, "allowed": 30 * MINUTE}
    return [
        serial,
        config,
        serial.model_copy(update=quick),
        config.model_copy(update=cold | {"id": "test.config", "silent": 2 * HOUR}),
    ]


def bundle():
    """Return the rules, and one that counts events."""
    shipped = default_bundle().only({"data-integrity.audit-disabled"})
    return Bundle.of([*variants(), *shipped.rules], [])


SERIALS, HASHES = ["S-1", "S-2", "S-3"], ["aaaaaaaa", "bbbbbbbb", "cccccccc"]
STEPS = [0, 0, SECOND, MINUTE, 10 * MINUTE, 10 * MINUTE + 1, 30 * MINUTE, HOUR, 2 * HOUR, 2 * HOUR + 1]
FAR = [5 * HOUR, 23 * HOUR, 24 * HOUR, 24 * HOUR + 1, 25 * HOUR, 48 * HOUR, 7 * DAY, 8 * DAY]


def facility(random, now):
    """Return a facility with two sensors and a device, of which serials and hashes are registered, or are to be."""

    def facts():
        said = {
            "serial": random.choice([*SERIALS, "S-1", "S-1", None]),
            "config_hash": random.choice([*HASHES, "aaaaaaaa", None]),
        }
        return {name: value for name, value in said.items() if value is not None}

    sensors = []
    for tag, area in (("T1", "A1"), ("T2", "A2")):
        entry = {"tag": tag, "area": area, "quantity": "temperature", "unit": "Cel"}
        if random.random() < 0.93:
            sensors.append(entry | facts())
        if random.random() < 0.35:
            sensors.append(
                entry | facts() | {"from": now + random.choice([-DAY, -HOUR, -1, 1, HOUR, 24 * HOUR, 3 * DAY])}
            )
    return Facility.model_validate(
        {
            "id": FACILITY, "name": {"zh": "测试", "en": "Test"}, "jurisdiction": "110000",
            "delivery": random.choice(["10s", "60s"]), "scopes": [{"field": "distribution", "line": "drug"}],
            "areas": [{"id": "A1", "kind": "cold-room"}, {"id": "A2", "kind": random.choice(["cold-room", "room-store"])}],
            "sensors": sensors, "devices": [{"id": "D1", "area": "A1"} | facts()] if random.random() < 0.9 else [],
        }
    )  # fmt: skip


def event(random, at):
    """Return one event."""
    kind = random.choice(
        ["serial", "serial", "serial", "replacement", "replacement", "config", "config", "config", "heartbeat"]
    )
    name, words = {"serial": ("serial", SERIALS), "replacement": ("new", SERIALS)}.get(kind, ("hash", HASHES))
    fields = {name: random.choice([*words, *words, words[0], 7])}
    found = {"stream": "device", "type": kind, "time": at, "source": random.choice(["D1", "D1", "PLC"])}
    if random.random() < 0.75:
        fields["point"] = random.choice(["T1"] * 6 + ["T2", "T2", "T9", 5])
    if random.random() < 0.1:
        where = random.choice([found, found, fields])
        where["device"] = "D1" if where is found else random.choice(["D1", "D1", "D1", "PLC", "no id", 7])
    return found | {"fields": {key: value for key, value in fields.items() if random.random() < 0.97}}


def declared(random, told):
    """Return the replacement that an event should have had, about as far from it as may be."""
    fields = {"point": told["fields"].get("point"), "new": told["fields"]["serial"]}
    far = random.choice([0, MINUTE, 10 * MINUTE, 10 * MINUTE + 1, 24 * HOUR, 24 * HOUR + 1])
    return told | {
        "type": "replacement", "time": told["time"] + random.choice([-1, 1]) * far,
        "fields": {name: value for name, value in fields.items() if value is not None},
    }  # fmt: skip


@st.composite
def logs(draw):
    """Draw a log."""
    random = Random(draw(st.integers(0, 1 << 32)))  # noqa: S311 - a log, no secret
    late, far = draw(st.sampled_from([0.0, 0.2, 0.5])), draw(st.sampled_from([0.05, 0.2, 0.4]))
    now, sent, entity = BEGIN, [], facility(random, BEGIN)
    log = [LogRecord(0, 0, BEGIN, Kind.REGISTER, FACILITY, RegisterRecord(version=1, facility=entity))]
    for i in range(draw(st.sampled_from([6, 15, 40]))):
        now += random.choice(FAR) if random.random() < far else random.choice(STEPS)
        what = random.random()
        if what < 0.12:
            entity = facility(random, now)
            if what < 0.02:
                entity = entity.model_copy(update={"areas": entity.areas, "sensors": []})
            log.append(
                LogRecord(0, 0, now, Kind.REGISTER, FACILITY, RegisterRecord(version=len(log) + 1, facility=entity))
            )
            continue
        if what < 0.2:
            log.append(LogRecord(0, 0, now, Kind.TICK, "", Tick(by="t", role="worker", now=now)))
            continue
        events = []
        for _ in range(random.choice([1, 1, 2, 4])):
            back = (
                random.choice([*STEPS, *FAR, -9 * MINUTE]) if random.random() < late else random.choice([0, 0, SECOND])
            )
            events.append(event(random, now - back))
        if sent and random.random() < 0.15:
            events.append(random.choice(sent))
        serials = [one for one in sent if one["type"] == "serial" and "serial" in one["fields"]]
        if serials and random.random() < 0.3:
            events.append(declared(random, random.choice(serials[-4:])))
        sent += events
        payload = Events.model_validate({"batch": f"b{i if what < 0.95 else i // 2}", "events": events})
        log.append(LogRecord(0, 0, now, Kind.EVENTS, FACILITY, payload))
    return [LogRecord(0, i, r.received, r.kind, r.facility, r.payload) for i, r in enumerate(log)]
