"""Logs of facilities with many small areas, where much falls due at the same instants: equal intervals, several feeds, outages of all, of some, of one."""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from hypothesis import strategies as st

from rules.pack import Bundle, default_bundle
from rules.records import Events, Kind, LogRecord, Mark, RegisterRecord, Tick
from rules.register import Facility
from rules.rule import OpenWhen
from tests.calibrated import CALIBRATION
from tests.rules import sums
from tests.rules.logs import BEGIN, FACILITY, Row, readings

MINUTE = 60_000
GAP, STORAGE, OUT = "data-integrity.gap", "cold-chain.interval-storage", "cold-chain.store-out"
QUICK, WIDE, SLOW, HORN, WHOLE = "test.quick", "test.wide", "test.slow", "test.horn", "a.whole"
OWN = (GAP, STORAGE, QUICK, WIDE, WHOLE, SLOW, HORN, "cold-chain.excursion-no-alarm")
"""Silences of tags, areas and feeds; a limit that the clock decides; what listens whether the devices on the spot told of one."""


def bundle():
    """Return rules of which many decide at the same instants."""
    shipped = default_bundle()
    gap, storage = shipped.rule(GAP), shipped.rule(STORAGE)
    minutes = {"threshold": 180_000, "grace": 0}
    steps = storage.severity.model_copy(
        update={"steps": [storage.severity.steps[0].model_copy(update={"after": 10 * MINUTE})]}
    )
    free = gap.severity.model_copy(
        update={"steps": [gap.severity.steps[0], gap.severity.steps[1].model_copy(update={"after": 15 * MINUTE})]}
    )
    slow = shipped.rule(OUT).model_copy(update={"id": SLOW, "when": OpenWhen(consecutive=1, on_delay="2m")})
    horn = shipped.rule("cold-chain.excursion-no-alarm")
    quiet = {"kind": "gap", "applies_to": {"area.kind": ["box"]}, "during": "trip", "groups": [], "overlap": "silence"}
    return Bundle.of(
        [
            gap.model_copy(update={"severity": free}),
            storage,
            storage.model_copy(update={"id": QUICK, **minutes, "severity": steps}),
            gap.model_copy(update={"id": WIDE, "factor": 3, "severity": steps, "stage": "shadow"}),
            gap.model_copy(update={"id": WHOLE, "factor": 2, "groups": ["facility"], "overlap": None}),
            sums.rule({"id": "test.transport", **quiet, "threshold": "3m", "severity": {"base": "yellow"}}),
            shipped.rule(OUT),
            slow,
            horn,
            horn.model_copy(
                update={"id": HORN, "reads": [SLOW], "alarm": SLOW, "within": MINUTE, "silent": 20 * MINUTE}
            ),
            shipped.rule("data-integrity.physical-range"),
        ],
        shipped.tables.values(),
    )


def facility(random, areas):
    """Return a facility of so many areas with one to three sensors each; nearly all send once a minute."""
    kinds = [random.choice(["cold-room", "cold-room", "refrigerator", "box"]) for _ in range(areas)]
    sensors = [
        {"tag": f"T{n}-{i}", "area": f"A{n}", "quantity": "temperature", "unit": "Cel", "limits": {"low": 2, "high": 8},
         "range": {"low": -40, "high": 60}, "calibration": CALIBRATION, **({} if every is None else {"interval": every})}
        for n in range(areas)
        for i in range(random.choice([1, 2, 2, 2, 3]))
        for every in [random.choice(["60s"] * 8 + ["120s", None])]
    ]  # fmt: skip
    return Facility.model_validate(
        {
            "id": FACILITY, "name": {"zh": "测试", "en": "Test"}, "jurisdiction": "110000",
            "delivery": random.choice(["0s", "30s", "60s", "60s", "60s", "3m"]),
            "scopes": [{"field": "distribution", "line": "drug"}],
            "areas": [{"id": f"A{n}", "kind": kind, **({"shipment_type": "I"} if kind == "box" else {})} for n, kind in enumerate(kinds)],
            "sensors": sensors, "devices": [{"id": f"D{n}", "area": f"A{n}"} for n in range(areas)],
        }
    )  # fmt: skip


class Drawn(NamedTuple):
    """A facility and its log; what Hypothesis prints of it is cut."""

    entity: Facility
    log: list[LogRecord]

    def __repr__(self):
        return f"Drawn({self.entity}, {self.log})"[:20_000]


class Outages:
    """Which areas and sensors send in which minute, and what."""

    def __init__(self, random, entity):
        self.random = random
        self.areas = [area.id for area in entity.areas]
        self.of = {area: [s.tag for s in entity.sensors if s.area == area] for area in self.areas}
        self.mute, self.dead, self.hot, self.kept = set(), set(), set(), []

    def turn(self):
        """Let areas fall silent or come back: all, most, or one of them; or a sensor."""
        random, what = self.random, self.random.random()
        if what < 0.25:
            self.mute = set(self.areas) if not self.mute or random.random() < 0.3 else set()
        elif what < 0.5:
            self.mute = set(random.sample(self.areas, random.randrange(len(self.areas) + 1)))
        elif what < 0.7:
            self.mute ^= {random.choice(self.areas)}
        elif what < 0.8:
            self.dead ^= {random.choice(self.of[random.choice(self.areas)] or ["-"])}
        if random.random() < 0.3:
            self.hot = set(random.sample(self.areas, random.randrange(len(self.areas) + 1)))

    def rows(self, t):
        """Return the rows of a minute, of each feed of its own; those of silent areas are kept or lost."""
        feeds = ([], [])
        for n, area in enumerate(self.areas):
            for tag in self.of[area]:
                row = Row(tag, t, 9.0 if area in self.hot else 5.0 + 0.1 * (t // MINUTE % 3))
                if area in self.mute or tag in self.dead:
                    self.kept += [row] if self.random.random() < 0.6 else []
                else:
                    feeds[n % 2].append(row)
        return feeds


def minutes(random, entity, count):
    """Return (received, what) of so many minutes: rows, events, marks, roles of ticks."""
    outages, entries, clock = Outages(random, entity), [], BEGIN
    lag, marks, number = random.choice([0, 0, 100, 20_000]), 0, 0
    for minute in range(count):
        t = BEGIN + minute * MINUTE
        if minute > 3 and random.random() < 0.25:
            outages.turn()
        clock = max(clock, t + lag)
        for rows in outages.rows(t):
            if rows:
                entries.append((clock, rows))
        if outages.kept and random.random() < 0.1:
            some = outages.kept if random.random() < 0.6 else outages.kept[:: random.choice([2, 3])]
            entries.append((clock + random.choice([0, 1, 500]), some if random.random() < 0.7 else some[::-1]))
            outages.kept = []
        if random.random() < 0.5:
            entries.append((t + random.choice([0, lag, MINUTE - 1]), random.choice(["gateway", "worker"])))
        if random.random() < 0.04:
            away = random.choice([14, 16, 40]) * MINUTE
            entries += [(t, "gateway"), (t + away // 2, "worker"), (t + away, "gateway")]
            clock = t + away
        area = random.choice(outages.areas)
        if random.random() < 0.08:
            marks += 1
            named = {"area": area} if random.random() < 0.6 else {"tags": outages.of[area]}
            flag = random.choice(["stopped", "fault", "comms", "maintenance"])
            to = None if random.random() < 0.4 else t + random.choice([5, 20, 40]) * MINUTE
            name = f"M{random.randrange(1, marks + 1)}"
            said = {"id": name, "revision": marks, "flag": flag, "from": t - random.choice([0, 10]) * MINUTE, "to": to,
                    "reason": "service", "author": "u-1", **named}  # fmt: skip
            entries.append((clock, Mark.model_validate(said)))
        if random.random() < 0.3:
            many = outages.areas if random.random() < 0.3 else [area]
            state = random.choice(["on", "off"])
            told = [
                {"stream": "device", "type": "alarm", "time": t - random.choice([0, 2]) * MINUTE, "source": f"D{one[1:]}",
                 "area": one, "fields": {"cause": "temperature", "state": state}}
                for one in many
            ]  # fmt: skip
            number += 1
            kind = random.choice(["shipped", "arrived"])
            told += [
                {"stream": "trace", "type": kind, "time": t, "source": "WMS", "area": one, "fields": {"trip": f"W{one}", "lot": "B1"}}
                for one in many
                if next(a for a in entity.areas if a.id == one).kind == "box"
            ]  # fmt: skip
            entries.append((clock, Events.model_validate({"batch": f"e{number}", "events": told})))
    return sorted(entries, key=lambda entry: entry[0])


def records(entity, entries):
    """Return the log records of drawn entries."""
    log = [LogRecord(0, 0, BEGIN - MINUTE, Kind.REGISTER, entity.id, RegisterRecord(version=1, facility=entity))]
    kinds = {Mark: Kind.MARK, Events: Kind.EVENTS, RegisterRecord: Kind.REGISTER}
    for received, what in entries:
        if isinstance(what, str):
            log.append(LogRecord(0, len(log), received, Kind.TICK, "", Tick(by="t", role=what, now=received)))
        elif isinstance(what, list):
            log.append(LogRecord(0, len(log), received, Kind.READINGS, entity.id, readings(what, f"b{len(log)}")))
        elif isinstance(what, Bundle):
            log.append(LogRecord(0, len(log), received, Kind.PACKS, "", what.to_record()))
        else:
            log.append(LogRecord(0, len(log), received, kinds[type(what)], entity.id, what))
    return log


@st.composite
def logs(draw, *, most=40):
    """Draw a facility and its log, of one register."""
    random = Random(draw(st.integers(0, 1 << 32)))  # noqa: S311 - a log, no secret
    entity = facility(random, draw(st.integers(2, 8)))
    return Drawn(entity, records(entity, minutes(random, entity, draw(st.integers(6, most)))))


def changing(random, entity, entries, whole):
    """Return the same entries with other registers and packs between them: a sensor moves, comes or goes, and a rule."""
    found, version = [], 1
    for received, what in entries:
        found.append((received, what))
        if random.random() < 0.02:
            version += 1
            sensors = [
                sensor.model_copy(update={"area": random.choice(entity.areas).id}) if random.random() < 0.1 else sensor
                for sensor in entity.sensors
                if random.random() < 0.95
            ]
            other = entity.model_copy(update={"sensors": sensors or entity.sensors})
            found.append((received, RegisterRecord(version=version, facility=other)))
        elif random.random() < 0.01:
            gone = random.choice([GAP, STORAGE, WIDE, HORN, ""])
            found.append((received, whole.only({rule.id for rule in whole.rules} - {gone})))
    return found


@st.composite
def changing_logs(draw):
    """Draw a facility and a log with more than one register, and other packs."""
    random = Random(draw(st.integers(0, 1 << 32)))  # noqa: S311 - a log, no secret
    entity = facility(random, draw(st.integers(2, 8)))
    entries = minutes(random, entity, draw(st.integers(6, 60)))
    return Drawn(entity, records(entity, changing(random, entity, entries, bundle())))
