"""Logs of rooms under pressure whose cascades, limits, grades and sensors change while data are late: by records, or facts with `from`."""

from __future__ import annotations

from random import Random

from hypothesis import strategies as st

from rules.pack import Bundle
from rules.records import Kind, LogRecord, RegisterRecord
from rules.register import Facility
from rules.tables import Table
from tests.rules import logs, pairlogs

BEGIN, MINUTE = logs.BEGIN, 60_000
GRADES = Table.model_validate(
    {
        "schema": "table/1", "id": "test-grades", "edition": "1", "title": pairlogs.WORDS,
        "cites": [{"instrument": "own", "status": "own"}],
        "rows": [
            {"where": {"place.grade": "C"}, "unit": "Pa", "limit": {"low": 10}, "deadband": 0.5, "edition": "1", "status": "own"},
            {"where": {"place.grade": "D"}, "unit": "Pa", "limit": {"low": 4, "high": 18}, "consecutive": 1, "edition": "1",
             "status": "own"},
        ],
    }
)  # fmt: skip
GRADED = pairlogs.rule(
    "test-graded", limits={"from": "test-grades"}, when={"consecutive": 2}, clear={"consecutive": 2, "deadband": 1},
    severity={"base": "yellow", "steps": [{"after_intervals": 3, "to": "orange"}, {"beyond": {"low": 2}, "for": "1m", "to": "red"}]},
    applies_to={"area.kind": "cleanroom", "place.kind": "cleanroom"},
)  # fmt: skip
BUNDLE = Bundle.of([pairlogs.LOW, pairlogs.WAITING, pairlogs.TWINS, pairlogs.SCALED, GRADED], [GRADES, pairlogs.SCALE])
MOVABLE = {"P.B2": ["B1", "C1", "S"], "P.C": ["C1", "S"], "P.B": ["B1", "S"]}
"""Sensors that are moved, and where to."""
MOST = 7
"""Changes of a log: the engine keeps as many of a pair, and one more."""


class Register:
    """What the register says, with what is to come into force: {what: [(from or None, value)]}."""

    def __init__(self, sensors, cascades, delivery):
        self.first = pairlogs.facility(sensors, cascades, delivery).model_dump(
            mode="json", by_alias=True, exclude_none=True
        )
        self.cascades = list(cascades)
        self.areas = {one["id"]: [(None, one.get("grade"))] for one in self.first["areas"]}
        self.sensors = {one["tag"]: [(None, (one["area"], None))] for one in self.first["sensors"]}

    def at(self, received):
        """Return the register as a record at `received` brings it: what was over then is no more in it."""
        said = dict(self.first)
        areas, sensors = ({one[key]: one for one in said[of]} for of, key in (("areas", "id"), ("sensors", "tag")))
        said["cascades"] = [{"cleaner": a, "dirtier": b, "low": low} for a, b, low in self.cascades]
        said["areas"] = [
            {**areas[name], **({"grade": grade} if grade else {}), **({"from": begin} if begin else {})}
            for name, entries in self.areas.items()
            for begin, grade in entries
        ]
        said["sensors"] = [
            {**sensors[tag], "area": area, **({"limits": {"low": low}} if low else {}), **({"from": begin} if begin else {})}
            for tag, entries in self.sensors.items()
            for begin, (area, low) in entries
        ]  # fmt: skip
        assert received >= BEGIN
        return Facility.model_validate(said)

    def first_area(self, tag):
        """Return where a sensor stood first."""
        return next(one["area"] for one in self.first["sensors"] if one["tag"] == tag)

    def put(self, of, name, begin, value):
        """Let a fact come into force at an instant; without one with the record, in place of what is in force."""
        entries = {begins: one for begins, one in of[name] if begins != begin}
        entries[begin] = value
        of[name] = sorted(entries.items(), key=lambda one: one[0] or 0)


class Drawn:
    """A facility and its log, told shortly."""

    def __init__(self, entity, log):
        self.entity, self.log = entity, log

    def __repr__(self):
        """Tell what came when, in minutes."""
        told = []
        for record in self.log:
            at = (record.received - BEGIN) / MINUTE
            if record.kind is Kind.READINGS:
                told.append((at, [(row.tag, (row.t - BEGIN) / MINUTE, row.v) for row in _rows(record.payload)]))
            elif record.kind is Kind.REGISTER:
                of = record.payload.facility
                moved = [
                    (s.tag, s.area, s.limits and s.limits.low, s.from_ and (s.from_ - BEGIN) / MINUTE)
                    for s in of.sensors
                ]
                graded = [(a.id, a.grade, a.from_ and (a.from_ - BEGIN) / MINUTE) for a in of.areas]
                told.append((at, moved, graded, [(c.cleaner, c.dirtier, c.low) for c in of.cascades]))
            else:
                told.append((at, record.kind.value))
        return "\n".join(map(str, told))[:20_000]


def _rows(payload):
    tags = [tag for tag, count in zip(payload.tags, payload.counts.tolist(), strict=True) for _ in range(count)]
    return [logs.Row(*row) for row in zip(tags, payload.time.tolist(), payload.value.tolist(), strict=True)]


@st.composite
def changing(draw):
    """Draw a facility and a log; a seeded generator makes them, for the draws of hypothesis hardly ever hold a condition."""
    return log_of(Random(draw(st.integers(0, 1 << 32))))  # noqa: S311 - a log, no secret


def log_of(random):
    """Return a log as `changing` draws it."""
    common = random.choice([60, 60, 60, 300])
    sensors = [("P.B", "B1", None, common), ("P.C", "C1", None, random.choice([common, common, 120]))]
    if random.random() < 0.7:
        sensors.append(("P.B2", "B1", None, common))
    if random.random() < 0.4:
        sensors.append(("DP", *random.choice([("B1", "C1"), ("C1", "B1")]), common))
    if random.random() < 0.4:
        sensors.append(("T.B", "B1", "temperature", common))
    register = Register(sensors, [("B1", "C1", random.choice([5.0, 12.0]))], random.choice(["10s", "60s"]))
    heads = {sensor[0]: BEGIN for sensor in sensors}
    entries, kept, now, regime, changes = [], [], BEGIN, "good", 0
    later = []  # facts with `from`, all in the first register and in each behind it
    for _ in range(random.randint(3, 16)):
        kind = random.choice(["run"] * 5 + ["change", "change", "gap", "tick"])
        if kind == "run":
            regime = random.choice([regime, *pairlogs.CLEAN])
            chosen = sensors if random.random() < 0.7 else random.sample(sensors, random.randint(1, len(sensors)))
            found = pairlogs._run(random, chosen, heads, now, regime)
            if random.random() < 0.4:
                kept += found.pop(random.choice(sorted(found)))
            rows = [row for part in found.values() for row in part]
            if random.random() < 0.3:
                late = [row for row in rows if random.random() < 0.4]
                rows, kept = [row for row in rows if row not in late], kept + late
            if rows:
                entries += pairlogs._posted(random, rows, now)
            if random.random() < 0.2:  # a clock that runs ahead
                tag = random.choice(sorted(heads))
                heads[tag] = max(heads[tag], now + random.choice([30_000, 200_000]))
                entries.append((now, [logs.Row(tag, heads[tag], 31.0)]))
        elif kind == "change" and changes < MOST:
            changes += 1
            now += random.choice([0, 0, 1, 30_000])
            if random.random() < 0.5:
                entries.append((now, _change(random, register.sensors)))
            else:
                later.append((now + random.choice([1, 45_000, 90_000, 1_200_000]), _fact(random, register.sensors)))
        elif kind == "gap":
            now += random.choice([90_000, 121_000, 600_000, 7_500_000])
        elif kind == "tick":
            now += random.choice([1000, 60_000])
            entries.append((now, "worker"))
        now = max([now, *(entry[0] for entry in entries)])
        if kept and random.random() < 0.4:
            entries.append((now + random.choice([0, 1, 1000]), kept))
            now, kept = entries[-1][0], []
    return _log(register, later, entries)


def _fact(random, sensors):
    """Return a fact that can have a `from`: (which, of what, value)."""
    if random.random() < 0.3:
        return "areas", "C1", random.choice(["C", "D"])
    tag = random.choice(sorted(set(sensors) & {*MOVABLE, "DP"}))
    if tag == "DP":
        return "sensors", tag, ("same", random.choice([None, 9.0, 14.0]))
    return "sensors", tag, (random.choice(MOVABLE[tag]), None)


def _change(random, sensors):
    """Return what a record of the register brings."""
    if random.random() < 0.5:
        return _fact(random, sensors)
    return "cascades", random.choice([[], [5.0], [12.0], [15.0]]), None


def _log(register, later, entries):
    """Return the records: facts to come stand in the first register, and in each behind it."""

    def place(fact, begin):
        which, name, value = fact
        if which == "cascades":
            register.cascades = [("B1", "C1", low) for low in name]
            return
        if value[0] == "same":
            value = (register.first_area(name), value[1])
        register.put(getattr(register, which), name, begin, value)

    for begin, fact in later:
        place(fact, begin)
    entity = register.at(BEGIN)
    log = [LogRecord(0, 0, BEGIN, Kind.REGISTER, entity.id, RegisterRecord(version=1, facility=entity))]
    for received, what in entries:
        at = max(received, log[-1].received)
        if isinstance(what, tuple):
            if what[0] != "cascades":  # it takes the place of what is in force, and of nothing to come
                of = getattr(register, what[0])
                of[what[1]] = [(b, one) for b, one in of[what[1]] if b is not None and b > at]
            place(what, None)
            payload = RegisterRecord(version=1 + len(log), facility=register.at(at))
            log.append(LogRecord(0, len(log), received, Kind.REGISTER, entity.id, payload))
            continue
        other = logs.records(entity, [(received, what)])[1]
        payload = other.payload if isinstance(what, str) else logs.readings(what, f"b{len(log)}")
        log.append(LogRecord(0, len(log), received, other.kind, other.facility, payload))
    return Drawn(entity, log)
