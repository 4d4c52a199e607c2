"""Logs of two cold rooms that leave their limits, are silent, send late rows, and of what their firm reports of it."""

from __future__ import annotations

from random import Random

from hypothesis import strategies as st

from rules.pack import Bundle, default_bundle
from rules.records import Kind, LogRecord, RegisterRecord, Report, Tick
from rules.register import Facility
from tests.calibrated import CALIBRATION
from tests.rules.logs import Row, readings

FACILITY, MINUTE, HOUR, DAY = "TEST-0001", 60_000, 3_600_000, 86_400_000
BEGIN = 1_777_392_000_000
"""2026-04-29, 00:00 in China: two days before the May holiday."""
NONE, WRONG = "cross-check.excursion-no-deviation", "cross-check.deviation-misstated"
SOURCES = {"cold-chain.store-out", "cold-chain.freeze-60min", "data-integrity.gap"}
AREAS = {"T1": "A1", "T2": "A1", "T3": "A2"}


def bundle():
    """Return both rules with three that tell."""
    shipped = default_bundle()
    return Bundle.of(
        shipped.only({NONE, WRONG, *SOURCES}).rules, shipped.tables.values(), calendars=shipped.calendars.values()
    )


def facility(moved):
    """Return the two rooms; `moved`: one sensor stands in the other room."""
    areas = AREAS | ({"T2": "A2"} if moved else {})
    sensors = [
        {"tag": tag, "area": area, "quantity": "temperature", "unit": "Cel", "interval": "60s", "calibration": CALIBRATION}
        for tag, area in areas.items()
    ]  # fmt: skip
    return Facility.model_validate(
        {
            "id": FACILITY, "name": {"zh": "测试", "en": "Test"}, "jurisdiction": "110000", "delivery": "60s",
            "scopes": [{"field": "manufacture", "line": "drug"}], "areas": [{"id": a, "kind": "cold-room"} for a in ("A1", "A2")],
            "sensors": sensors, "devices": [{"id": "FAN", "area": "A1"}],
        }
    )  # fmt: skip


class Drawn:
    """A log as it grows."""

    def __init__(self, random):
        self.random, self.now, self.log, self.number = random, BEGIN, [], {}
        self.heads, self.value, self.held = dict.fromkeys(AREAS, BEGIN), dict.fromkeys(AREAS, 5.0), []
        self.edges, self.version, self.moved = [BEGIN], 0, False
        self.register()

    def add(self, kind, payload):
        self.log.append(LogRecord(0, len(self.log), self.now, kind, "" if kind is Kind.TICK else FACILITY, payload))

    def register(self):
        self.version += 1
        self.add(Kind.REGISTER, RegisterRecord(version=self.version, facility=facility(self.moved)))
        self.moved = not self.moved

    def rows(self):
        random, found = self.random, []
        silent = random.choice([None] * 6 + ["T1", "T2"])
        many = random.choice([3, 8, 15])
        for _ in range(many):
            self.now += MINUTE
            for tag in AREAS:
                if tag == silent:
                    continue
                if random.random() < 0.25:
                    self.value[tag] = random.choice([5.0, 5.0, 5.0, 9.0, 11.5, -1.0])
                    self.edges.append(self.now)
                row = Row(tag, self.now, self.value[tag], random.choice([0] * 15 + [6]))
                (self.held if random.random() < 0.06 else found).append(row)
        if found:
            self.add(Kind.READINGS, readings(sorted(found, key=lambda r: (r.tag, r.t)), f"r{len(self.log)}"))

    def late(self):
        rows, self.held = self.held, []
        if self.edges and self.random.random() < 0.5:
            tag = self.random.choice([*AREAS])
            rows.append(Row(tag, self.random.choice(self.edges[-5:]) + 30_000, self.random.choice([5.0, 9.0, 14.0])))
        if rows:
            self.add(Kind.READINGS, readings(rows, f"r{len(self.log)}"))

    def report(self):
        random = self.random
        name = f"R-{random.randint(1, 4)}"
        self.number[name] = self.number.get(name, 0) + random.choice([1, 1, 2, 0])
        revision = max(1, self.number[name] - random.choice([0, 0, 0, 1]))
        begin = random.choice(self.edges[-6:] if random.random() < 0.6 else self.edges)
        minutes = random.choice([0, 1, 3, 10, 30])
        fields = {
            "deviation_id": "D-1", "asset": random.choice(["T1", "T1", "T2", "A1", "A1", "A2", "FAN", "X"]), "from": begin,
            "to": min(begin + minutes * MINUTE, self.now), "duration_min": random.choice([minutes, minutes, 2, 400]),
            "peak": random.choice([9.0, 11.5, -1.0, 10.0]), "unit": random.choice(["Cel"] * 5 + ["K"]), "lots": [], "opened_at": self.now,
        }  # fmt: skip
        said = {"id": name, "type": "deviation", "revision": revision, "sent": self.now, "fields": fields}
        self.add(Kind.REPORT, Report.model_validate(said | ({"reason": "read again"} if revision > 1 else {})))


@st.composite
def logs(draw):
    """Draw a log."""
    random = Random(draw(st.integers(0, 1 << 32)))  # noqa: S311 - a log, no secret
    drawn = Drawn(random)
    for _ in range(draw(st.sampled_from([6, 14, 30]))):
        drawn.now += random.choice([0, 0, 0, MINUTE, HOUR]) if random.random() < 0.85 else random.choice([DAY, 3 * DAY])
        what = random.random()
        if what < 0.5:
            drawn.rows()
        elif what < 0.65:
            drawn.late()
        elif what < 0.88:
            drawn.report()
        elif what < 0.92:
            drawn.register()
        else:
            drawn.add(Kind.TICK, Tick(by="t", role="worker", now=drawn.now))
    return drawn.log
