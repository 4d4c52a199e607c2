"""Firms with one fault each, and the log that thirty hours of them leave: a row every five minutes, a post every ten.

Minutes count from the beginning, midnight in Beijing. All firms share a partition and its ticks. From minute 1500 to 1540 the front
door is closed: nobody posts, no tick is appended, and what was measured then is lost.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from rules.instants import format_instant
from tests.calibrated import CALIBRATION
from tests.rules.byhand import HandLog, ms

EVERY, POST, END = 5, 10, 1_800
CLOSED = (1_500, 1_540)
BETWEEN = 0.5
"""A post comes half a minute behind its last row."""
MAKER = [{"field": "manufacture", "line": "drug"}]
WHOLESALER = [{"field": "distribution", "line": "drug"}]
UNITS = {
    "temperature": "Cel", "humidity": "%RH", "pressure": "Pa", "pressure-difference": "Pa", "particles-0.5": "/m3",
    "particles-5.0": "/m3", "toc": "ug/L", "oxygen": "%", "ln2-level": "%", "conductivity": "uS/cm",
}  # fmt: skip


@dataclass(frozen=True)
class Sensor:
    """A sensor with the values it has while nothing is wrong: `level`, and a little more or less."""

    tag: str
    area: str
    level: float
    sway: float = 0.3
    quantity: str = "temperature"
    facts: dict[str, Any] = field(default_factory=dict)

    def entry(self) -> dict[str, Any]:
        """Return its entry in the register."""
        said = {"tag": self.tag, "area": self.area, "quantity": self.quantity, "unit": UNITS[self.quantity]}
        return said | {"interval": f"{EVERY}m", "calibration": CALIBRATION} | self.facts


@dataclass(frozen=True)
class Span:
    """What a sensor shows in [begin, end) instead; `level` None: nothing is sent."""

    tag: str
    begin: int
    end: int
    level: float | None
    sway: float | None = None
    quality: str = "good"
    sent: float | None = None
    """When the rows of the span are sent, if not in their turn."""


@dataclass(frozen=True)
class Expected:
    """One alarm as it must stand at the end."""

    rule: str
    place: str
    colour: str
    start: float
    end: float | None
    status: str = "cleared"
    late: bool = False
    suppressed: bool = False


@dataclass(frozen=True)
class Firm:
    """A firm, what goes wrong there, and which alarms must come of it, derived by hand."""

    fault: str
    areas: list[dict[str, Any]]
    sensors: list[Sensor]
    spans: list[Span] = field(default_factory=list)
    expected: list[Expected] = field(default_factory=list)
    lines: list[tuple[float, str, dict[str, Any]]] = field(default_factory=list)
    """Other records: received at, kind, data."""
    later: list[tuple[float, list[Sensor]]] = field(default_factory=list)
    """Further versions of the register: from when, and the sensors that there are then."""
    scopes: list[dict[str, str]] = field(default_factory=lambda: MAKER)
    facts: dict[str, Any] = field(default_factory=dict)

    def register(self, name: str, version: int, sensors: list[Sensor]) -> dict[str, Any]:
        """Return the register record's data."""
        entity = {
            "id": name, "name": {"zh": self.fault[:60], "en": self.fault[:60]}, "jurisdiction": "110000", "delivery": "10m",
            "scopes": self.scopes, "areas": self.areas, "sensors": [sensor.entry() for sensor in sensors], **self.facts,
        }  # fmt: skip
        return {"version": version, "facility": entity}

    def posts(self) -> list[tuple[float, str, dict[str, Any]]]:
        """Return what the firm posts, by the minute at which it is received."""
        times: dict[float, dict[str, list[tuple[int, float, str]]]] = {}
        for sensor in self.sensors:
            for minute in range(0, END, EVERY):
                found = self._row(sensor, minute)
                if found is not None:
                    received, row = found
                    times.setdefault(received, {}).setdefault(sensor.tag, []).append(row)
        return [(at, "readings", _batch(at, series)) for at, series in times.items()]

    def _row(self, sensor: Sensor, minute: int) -> tuple[float, tuple[int, float, str]] | None:
        if CLOSED[0] <= minute < CLOSED[1]:
            return None
        span = next((s for s in self.spans if s.tag == sensor.tag and s.begin <= minute < s.end), None)
        level, sway, quality = sensor.level, sensor.sway, "good"
        received = minute // POST * POST + POST - EVERY + BETWEEN
        if span is not None:
            if span.level is None:
                return None
            level, quality = span.level, span.quality
            sway = sway if span.sway is None else span.sway
            received = received if span.sent is None else span.sent
        # Never twice the same value, nor one of the two before: nothing here is frozen that should not be.
        value = round(level + sway * ((minute // EVERY * 7) % 11 - 5) / 5, 4)
        return received, (minute, value, quality)


def _batch(at: float, series: dict[str, list[tuple[int, float, str]]]) -> dict[str, Any]:
    posted = [
        {
            "tag": tag,
            "time": [ms(t) for t, _, _ in rows],
            "value": [v for _, v, _ in rows],
            "quality": [q for *_, q in rows],
        }
        for tag, rows in series.items()
    ]
    return {"batch": f"b{at}", "series": posted}


def log_of(firms: dict[str, Firm]) -> HandLog:
    """Return the log of all firms, in the order of receive times."""
    entries: list[tuple[float, str, str, dict[str, Any]]] = []
    for name, firm in firms.items():
        entries.append((-1, name, "register", firm.register(name, 1, firm.sensors)))
        for version, (at, sensors) in enumerate(firm.later, 2):
            entries.append((at, name, "register", firm.register(name, version, sensors)))
        entries += [(at, name, kind, data) for at, kind, data in [*firm.posts(), *firm.lines]]
    entries += [
        (minute, "", "tick", {"by": "door", "role": "gateway", "now": format_instant(ms(minute))})
        for minute in range(0, END + 1, POST)
        if not CLOSED[0] <= minute < CLOSED[1]
    ]
    log = HandLog()
    for at, name, kind, data in sorted(entries, key=lambda entry: (entry[0], entry[2] != "register", entry[1])):
        log.line(at, kind, data, facility=name)
    return log
