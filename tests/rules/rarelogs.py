"""Hypothesis strategies: logs of events, decisions and registers that rules over rare records look at."""

from __future__ import annotations

from hypothesis import strategies as st

from rules.changes import alarm_id
from rules.pack import Bundle, default_bundle
from rules.rareparts import EventMatch
from rules.records import Decision, Event, Events, Kind, LogRecord, RegisterRecord, Tick
from rules.register import Facility, Scope
from rules.rule import CountRule, RareRule
from tests.rules.oracle.excursions import plain

BEGIN = 1_772_294_400_000
FACILITY = "TEST-0001"
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
AREAS = ["A1", "A2"]


def bundle():
    """Return the shipped packs with two rules more, that count to three and count different terminals."""
    shipped = default_bundle()
    base = shipped.rule("data-integrity.full-rights")
    three = base.model_copy(
        update={
            "id": "test.three", "n": 3, "within": 10 * MINUTE, "events": EventMatch(stream="audit", type="action"),
            "scopes": [Scope(field="distribution", line="drug")],
        }
    )  # fmt: skip
    places = three.model_copy(update={"id": "test.places", "n": 2, "distinct": "terminal"})
    assert isinstance(three, CountRule)
    return Bundle.of([*plain(shipped.rules), three, places], shipped.tables.values())


def rare_bundle():
    """Return only the rules over rare records: the plain fold follows them through versions of the register."""
    whole = bundle()
    return Bundle.of([rule for rule in whole.rules if isinstance(rule, RareRule)], whole.tables.values())


@st.composite
def registers(draw):
    """Draw a facility whose register every check has something to say of."""
    days = ["2026-03-01", "2026-03-02", "2026-03-30", "2026-03-31", "2026-04-01", "2026-06-01"]
    sensors = []
    for i in range(draw(st.integers(1, 4))):
        sensor = {"tag": f"T{i}", "area": draw(st.sampled_from(AREAS)), "quantity": "temperature", "unit": "Cel"}
        if draw(st.booleans()):
            points = [
                {
                    "at": draw(st.sampled_from([-30, -25, -10, 0, 5, 40, 41])),
                    "error": draw(st.sampled_from([0.5, -0.6, 1.0, -1.1])),
                }
                for _ in range(draw(st.integers(0, 2)))
            ]
            sensor["calibration"] = {"done": "2025-03-01", "due": draw(st.sampled_from(days)), "points": points}
        sensors.append(sensor)
    areas = []
    for name in AREAS:
        kind = draw(st.sampled_from(["cold-room", "cold-room", "room-store", "refrigerator", "vehicle", "cryo-tank"]))
        area = {"id": name, "kind": kind}
        for key, values in (
            ("floor_m2", [99, 100, 100.5, 301]),
            ("volume_m3", [20, 20.5]),
            ("rack_height_m", [4, 4.5, 8, 9]),
        ):
            if draw(st.booleans()):
                area[key] = draw(st.sampled_from(values))
        areas.append(area)
    return Facility.model_validate(
        {
            "id": FACILITY, "name": {"zh": "测试", "en": "Test"}, "jurisdiction": "110000",
            "delivery": draw(st.sampled_from(["10s", "60s"])),
            "scopes": [{"field": draw(st.sampled_from(["distribution", "distribution", "distribution", "manufacture"])), "line": "drug"}],
            "areas": areas, "sensors": sensors, "devices": [{"id": "UPS", "area": "A1"}],
        }
    )  # fmt: skip


@st.composite
def changed(draw, entity):
    """Draw a facility of which one thing was registered anew."""
    value = entity.model_dump(mode="json", by_alias=True)
    other = draw(registers()).model_dump(mode="json", by_alias=True)
    what = draw(st.sampled_from(["scopes", "scopes", "delivery", "areas", "sensors", "calibration", "size", "devices"]))
    if what == "calibration":
        sensor = draw(st.sampled_from(value["sensors"]))
        sensor["calibration"] = draw(st.sampled_from(other["sensors"]))["calibration"]
    elif what == "size":
        area = draw(st.sampled_from(value["areas"]))
        area["floor_m2"] = draw(st.sampled_from([None, 99, 301])) if area["floor_m2"] else 301
    elif what == "devices":
        value["devices"] = draw(st.sampled_from([[], [{"id": "UPS", "area": "A2"}], [{"id": "UPS", "area": "A1"}]]))
    else:
        value[what] = other[what]
    return Facility.model_validate(value)


ACTORS, TERMINALS = ["u-1", "u-1", "u-2"], ["t-1", "t-1", "t-2", "t-2", 7]
BACK = [
    0,
    0,
    0,
    1_000,
    MINUTE,
    4 * MINUTE,
    5 * MINUTE,
    5 * MINUTE + 1,
    30 * MINUTE,
    3 * HOUR,
    49 * HOUR,
    -MINUTE,
    -HOUR,
]
KINDS = {
    "power": ["power", "power", "alarm", "heartbeat", "heartbeat"],
    "audit": ["disabled", "action", "action", "action"],
    "actions": ["action"],
    "mixed": ["power", "alarm", "heartbeat", "disabled", "action"],
}
FIELDS = {
    "power": {"state": ["lost", "lost", "lost", "on", 1]},
    "alarm": {"cause": ["power", "power", "power", "temperature"], "state": ["on", "on", "on", "off"]},
    "disabled": {"system": ["LIMS", "LIMS", "SCADA", 5]},
    "action": {
        "actor": ACTORS, "role": ["administrator", "administrator", "analyst"],
        "verb": ["change", "change", "create", "delete"], "terminal": TERMINALS,
    },
}  # fmt: skip


@st.composite
def events(draw, now, theme="mixed"):
    """Draw one event that happened not long before `now`, and sometimes ahead of it."""
    kind = draw(st.sampled_from(KINDS[theme]))
    event = {"time": now - draw(st.sampled_from(BACK)), "source": draw(st.sampled_from(["UPS", "UPS", "PLC"]))}
    if kind in ("power", "alarm", "heartbeat"):
        event |= {"stream": "device", "type": kind}
        if draw(st.integers(0, 3)):
            event["area"] = draw(st.sampled_from(["A1", "A1", "A1", "A2", "NONE"]))
    else:
        event |= {"stream": "audit", "type": "audit-disabled" if kind == "disabled" else "action"}
    event["fields"] = {
        name: draw(st.sampled_from(values)) for name, values in FIELDS.get(kind, {}).items() if draw(st.integers(0, 11))
    }
    if kind in ("power", "alarm", "heartbeat") and not draw(st.integers(0, 3)):
        event |= draw(st.sampled_from([{"device": "UPS"}, {"device": "PLC"}, {}]))
        event["fields"]["device"] = draw(st.sampled_from(["UPS", "UPS", "HORN", "no id", 3]))
    return Event.model_validate(event)


def answer(begun):
    """Return the local alarm that a lost power should have had."""
    return begun.model_copy(
        update={"type": "alarm", "fields": {"cause": "power", "state": "on"}, "time": begun.time + MINUTE}
    )


class Log(list):
    """Records that are shown in little room: a warning of Hypothesis about a long one would be an error of its own."""

    def __repr__(self):
        return "\n".join(
            f"{record.received - BEGIN} {record.kind} {record.payload.model_dump_json(by_alias=True, exclude_defaults=True)}"
            for record in self
        )


@st.composite
def logs(draw, *, registers_change=False):
    """Draw a log: batches of events, some of them again, late answers, decisions on what may stand, ticks.

    With `registers_change` also other versions of the register, most of them a step from the one before.
    """
    entity = draw(registers())
    theme = draw(st.sampled_from(["power", "power", "audit", "actions", "mixed"]))
    log = Log([LogRecord(0, 0, BEGIN, Kind.REGISTER, FACILITY, RegisterRecord(version=1, facility=entity))])
    now, old, starts = BEGIN, [], []
    for _ in range(draw(st.integers(2, 14))):
        more = (["register"] * 4 if registers_change else []) + (["answer"] * 4 if theme == "power" else [])
        kind = draw(
            st.sampled_from(["events"] * 5 + ["again", "same", "other", "close", "close", "answer", "tick", *more])
        )
        now += draw(st.sampled_from([0, 1_000, MINUTE, 4 * MINUTE, 6 * MINUTE, 40 * MINUTE, 9 * HOUR, 26 * HOUR]))
        name = f"e{len(log)}"
        if kind == "tick":
            log.append(LogRecord(0, len(log), now, Kind.TICK, "", Tick(by="t", role="worker", now=now)))
            continue
        if kind == "register":
            entity = draw(st.one_of(*[changed(entity)] * 4, registers()))
            payload = RegisterRecord(version=len(log) + 1, facility=entity)
            log.append(LogRecord(0, len(log), now, Kind.REGISTER, FACILITY, payload))
            continue
        if kind == "close" and starts:
            rule = draw(st.sampled_from(sorted({of for of, _, _ in starts})))
            code = draw(st.sampled_from(["close-latched", "breach", "data-fraud", "grade-signed"]))
            second = draw(st.sampled_from([None, "o-1", "o-2"]))
            named = {alarm_id(rule, FACILITY, subject, start): None for of, subject, start in starts if of == rule}
            for alarm in list(named)[-12:]:  # one of them may stand
                payload = Decision(
                    id=f"D{len(log)}", version=1, officer="o-1", second=second, code=code, revision_seen=0,
                    subject={"alarm": alarm}, reason_sha256="0" * 64,
                )  # fmt: skip
                log.append(LogRecord(0, len(log), now, Kind.DECISION, FACILITY, payload))
            continue
        begun = [event for batch in old for event in batch.events if event.type == "power"]
        if kind == "answer" and begun:
            payload = Events(batch=name, events=[answer(draw(st.sampled_from(begun)))])
        elif kind in ("again", "same", "other") and old:
            payload = draw(st.sampled_from(old))
            if kind == "same":
                payload = payload.model_copy(update={"batch": name})
            elif kind == "other":
                payload = payload.model_copy(update={"events": [draw(events(now, theme))]})
        else:
            before = now - draw(st.sampled_from([0, 0, 0, 0, 3 * HOUR]))
            payload = Events(batch=name, events=draw(st.lists(events(before, theme), min_size=1, max_size=5)))
        for event in payload.events:
            starts += subjects(event, now)
        old.append(payload)
        log.append(LogRecord(0, len(log), now, Kind.EVENTS, FACILITY, payload))
    return log


def subjects(event, now):
    """Return (rule, subject, start) of alarms that an event may have begun."""
    t = event.time if event.time <= now + 5 * MINUTE else now
    actor, system = event.fields.get("actor"), event.fields.get("system")
    if event.type == "action" and actor:
        return [(rule, {"actor": actor}, t) for rule in ("data-integrity.full-rights", "test.three", "test.places")]
    if event.type == "audit-disabled":
        named = system if isinstance(system, str) else event.source
        return [("data-integrity.audit-disabled", {"system": named}, t)]
    if event.type == "power":
        return [("cold-chain.power-no-alarm", {"area": event.area or "A1", "device": event.source}, t)]
    return []
