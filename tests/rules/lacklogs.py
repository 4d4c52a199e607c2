"""Logs of registers that lack something here and there, with packs that change and calibrations that events tell."""

from __future__ import annotations

from functools import cache
from random import Random

from hypothesis import strategies as st

from rules.pack import Bundle, default_bundle
from rules.records import Event, Events, Kind, LogRecord, RegisterRecord, Tick
from rules.register import UNITS, AreaKind, Facility, Quantity
from rules.rule import Among, GapRule, LimitRule

BEGIN = 1_772_294_400_000
FACILITY = "TEST-0001"
SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
RULE = "register.incomplete"
AREAS = ["A1", "A2", "B1"]
SCOPES = [
    {"field": "manufacture", "line": "drug"},
    {"field": "distribution", "line": "drug"},
    {"field": "retail", "line": "drug"},
]


def variants():
    """Return the shipped rule, one that spares nothing, and one of vaccine firms that spares much."""
    shipped = default_bundle().rule(RULE)
    few = [
        "sensor.serial",
        "device.serial",
        "sensor.range",
        "sensor.resolution",
        "sensor.calibration",
        "sensor.interval",
    ]
    label = {"facility.labels": "vaccine"}
    return [
        shipped,
        shipped.model_copy(update={"id": "test.all", "optional": []}),
        shipped.model_copy(update={"id": "test.few", "optional": [*shipped.optional, *few], "applies_to": label}),
    ]


def others():
    """Return rules that ask for facts that no shipped rule asks for."""
    whole = default_bundle()
    limit, gap = whole.rule("cell-storage.ln2-low"), whole.rule("data-integrity.gap")
    assert isinstance(limit, LimitRule)
    assert isinstance(gap, GapRule)
    every = {"scopes": whole.rule(RULE).scopes}
    levels = {"id": "test.level", "applies_to": {"sensor.interval_s": Among(max=600)}}
    return [
        limit.model_copy(update=every | levels | {"limits": limit.limits.model_copy(update={"side": None})}),
        gap.model_copy(update=every | {"id": "test.large", "applies_to": {"area.floor_m2": Among(min=50)}}),
        gap.model_copy(update=every | {"id": "test.sized", "applies_to": {"area.floor_m2": Among(registered=True)}}),
        gap.model_copy(update=every | {"id": "test.graded", "applies_to": {"area.grade": "A", "area.phase": "vapour"}}),
        whole.rule("water.stage1").model_copy(
            update=every | {"id": "test.warm", "applies_to": {"sensor.quantity": "temperature"}}
        ),
    ]


def bundle():
    """Return the shipped packs with these."""
    whole = default_bundle()
    return Bundle.of(
        [*(rule for rule in whole.rules if rule.id != RULE), *variants(), *others()], whole.tables.values()
    )


@cache
def bundles(number):
    """Return packs of which some rules are gone, or in another stage, and their record; a bundle is dear to make."""
    random = Random(number)  # noqa: S311 - no secret
    whole, found = bundle(), []
    own = {rule.id for rule in variants()}
    for rule in whole.rules:
        what = random.random()
        if rule.id in own and what < 0.3:
            found.append(
                rule.model_copy(update={"optional": ["sensor.serial"], "migration": random.choice(["carry", "close"])})
            )
        elif what < 0.8:
            found.append(rule)
        elif what < 0.9:
            found.append(rule.model_copy(update={"stage": random.choice(["draft", "retired", "shadow"])}))
    found = Bundle.of(found or whole.rules, whole.tables.values())
    return found, found.to_record()


def maybe(random, share, **facts):
    """Return some of the facts, each with this chance."""
    return {name: value for name, value in facts.items() if random.random() < share}


def area(random, name, share):
    """Return an area of any kind, with what it may have."""
    more = [AreaKind.CLEANROOM, AreaKind.CLEANROOM, AreaKind.COLD_ROOM, AreaKind.WATER_LOOP, AreaKind.BOX]
    kind = random.choice([*AreaKind, *more])
    found = {"id": name, "kind": kind.value}
    found |= maybe(
        random, share, floor_m2=60, volume_m3=18, shipment_type=random.choice(["I", "II"]), rack_height_m=5,
        water=random.choice(["wfi", "purified"]), pharmacopoeia=random.choice(["usp", "chp", "both"]),
    )  # fmt: skip
    if kind is AreaKind.CLEANROOM:
        found |= {"grade": random.choice("AABCD"), "standard": random.choice(["cn-gmp-2010", "eu-annex1-2022"])}
    return found


def sensor(random, tag, now, share):
    """Return a sensor of any quantity, with what it may have."""
    quantity = random.choice(
        [*Quantity, Quantity.TEMPERATURE, Quantity.TEMPERATURE, Quantity.CONDUCTIVITY, Quantity.PARTICLES_COARSE]
    )
    found = {"tag": tag, "area": random.choice(AREAS), "quantity": quantity.value, "unit": UNITS[quantity]}
    if quantity is Quantity.PRESSURE_DIFFERENCE:
        found["against"] = random.choice([name for name in AREAS if name != found["area"]])
    points = [{"at": random.choice([5, 41]), "error": 0.1}] if random.random() < 0.6 else []
    found |= maybe(
        random, share, interval=random.choice(["60s", "20m"]), range={"low": -50, "high": 60}, resolution=0.1, serial=f"S-{tag}",
        limits=random.choice([{"low": 2, "high": 8}, {"low": 8, "high": 12}, {"low": 2}, {"high": 8}]), detection_limit=0.1,
        sample_m3=random.choice([0.0283, 0.001]), config_hash="0a1b2c3d", compensated=random.choice([True, False]), door="D1",
        calibration={"done": "2026-02-01", "due": "2099-12-31", "points": points},
    )  # fmt: skip
    if random.random() < 0.1:
        found["from"] = now + random.choice([-DAY, 0, HOUR, 26 * HOUR])
    return found


def facility(random, now):
    """Return a facility: of some next to nothing is registered, of some all that can be."""
    share = random.choice([0.2, 0.8, 1.0, 1.0])
    scopes = random.sample(SCOPES, random.choice([1, 1, 2]))
    cascades = [{"cleaner": "A1", "dirtier": random.choice(["A2", "B1"]), "low": 10}] if random.random() < 0.3 else []
    devices = [{"id": "PLC", "area": "A1"} | maybe(random, share, serial="P-1", config_hash="0a1b2c3d")]
    return Facility.model_validate(
        {
            "id": FACILITY, "name": {"zh": "测试", "en": "Test"}, "jurisdiction": "110000", "scopes": scopes,
            "labels": random.choice([["vaccine"], []]), "areas": [area(random, name, share) for name in AREAS],
            "sensors": [sensor(random, f"T{i}", now, share) for i in range(random.choice([0, 1, 2, 4]))],
            "cascades": cascades, "devices": random.choice([devices, []]),
        }
    )  # fmt: skip


def certificate(random, now):
    """Return an event that tells a calibration, or another one."""
    fields = {"point": f"T{random.randrange(3)}", "done_at": now - random.choice([HOUR, DAY, 40 * DAY])}
    fields |= maybe(random, 0.8, points=[{"reference": random.choice([5, 41]), "error": random.choice([0.1, 0.6])}])
    kind = random.choice(["calibration"] * 5 + ["heartbeat"])
    return Event.model_validate({"stream": "device", "type": kind, "time": now, "source": "LAB", "fields": fields})


@st.composite
def logs(draw):
    """Draw a log of registers, packs, certificates and ticks."""
    random = Random(draw(st.integers(0, 1 << 32)))  # noqa: S311 - a log, no secret
    now = BEGIN
    log = [LogRecord(0, 0, now, Kind.REGISTER, FACILITY, RegisterRecord(version=1, facility=facility(random, now)))]
    for i in range(draw(st.sampled_from([3, 8, 16]))):
        now += random.choice([0, 0, 1, MINUTE, HOUR, DAY])
        what = random.random()
        if what < 0.4:
            entry = RegisterRecord(version=len(log) + 1, facility=facility(random, now))
            log.append(LogRecord(0, 0, now, Kind.REGISTER, FACILITY, entry))
        elif what < 0.5:
            log.append(LogRecord(0, 0, now, Kind.PACKS, "", bundles(random.randrange(20))[1]))
        elif what < 0.6:
            log.append(LogRecord(0, 0, now, Kind.TICK, "", Tick(by="t", role="worker", now=now)))
        else:
            events = [certificate(random, now) for _ in range(random.choice([1, 2]))]
            log.append(LogRecord(0, 0, now, Kind.EVENTS, FACILITY, Events(batch=f"e{i}", events=events)))
    return Log(LogRecord(0, i, r.received, r.kind, r.facility, r.payload) for i, r in enumerate(log))


class Log(list):
    """Records that are shown in little room."""

    def __repr__(self):
        return "\n".join(f"{(record.received - BEGIN) / HOUR:g} h {record.kind.value}" for record in self)
