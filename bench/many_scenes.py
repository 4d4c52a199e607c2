"""Scenes of one facility with many areas: what leads there, and the records of which much falls due at one instant, or one after the other.

`bench.many_due` measures them, and `tests/rules/test_many_scale.py` counts what they ask of the fold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from rules.pack import default_bundle
from rules.records import Events, Kind, LogRecord, Mark, Readings, RegisterRecord, Tick
from rules.register import Facility

if TYPE_CHECKING:
    from collections.abc import Iterable

BEGIN: Final = 1_772_294_400_000
MINUTE: Final = 60_000
ID: Final = "MANY-0001"
LIVE: Final = 5
"""Minutes in which all areas send before a scene begins."""
CALIBRATION: Final = {"done": "2026-01-05", "due": "2099-12-31"}


@dataclass(frozen=True, slots=True)
class Scene:
    """A log in two parts: what leads to the scene, and what is measured."""

    before: list[Any]
    measured: list[Any]


Payload = Any


class Log:
    """Records of one facility, appended in order; times in ms from the beginning."""

    def __init__(self, facility: Facility) -> None:
        """Begin with its register, a minute before the beginning."""
        self.facility = facility
        self.records: list[LogRecord] = []
        self.register(-MINUTE, facility)

    def put(self, at: float, kind: Kind, payload: Payload, facility: str = ID) -> None:
        """Append a record."""
        self.records.append(LogRecord(0, len(self.records), BEGIN + int(at), kind, facility, payload))

    def register(self, at: float, facility: Facility) -> None:
        """Append the register, with the next version."""
        self.put(at, Kind.REGISTER, RegisterRecord(version=len(self.records) + 1, facility=facility))

    def tick(self, at: float, role: str = "gateway") -> None:
        """Append a tick."""
        self.put(at, Kind.TICK, Tick(by="t", role=role, now=BEGIN + int(at)), "")

    def rows(self, at: float, tags: Iterable[str], value: float = 5.0, *, behind: float = 100) -> None:
        """Append a batch with one row of each tag, measured `behind` ms before it is received."""
        named = tuple(tags)
        n = len(named)
        values = np.round(value + 0.1 * ((int(at) // MINUTE + np.arange(n)) % 3), 1)
        times = np.full(n, BEGIN + int(at - behind), np.int64)
        one = Readings(f"b{len(self.records)}", named, np.ones(n, np.int32), times, values, np.zeros(n, np.uint8))
        self.put(at, Kind.READINGS, one)

    def events(self, at: float, found: list[dict[str, Any]]) -> None:
        """Append a batch of events."""
        self.put(at, Kind.EVENTS, Events.model_validate({"batch": f"e{len(self.records)}", "events": found}))

    def live(self, until: int, tags: Iterable[str]) -> None:
        """Append a batch a minute, in turn with a tick of the gateway."""
        named = list(tags)
        for minute in range(until):
            self.tick(minute * MINUTE)
            self.rows(minute * MINUTE + 100, named)


def facility(
    areas: int,
    each: int = 2,
    *,
    kind: str = "cold-room",
    interval: str = "60s",
    delivery: str = "60s",
    first: float = 8,
) -> Facility:
    """Return a wholesaler with so many areas of a kind, temperature sensors in each, and a room beside them that is always heard."""
    rooms = [
        {"id": f"A{n:04d}", "kind": kind, **({"shipment_type": "II"} if kind == "box" else {"floor_m2": 60})}
        for n in range(areas - 1)
    ]
    sensors = [
        {"tag": f"T{n:04d}-{i}", "area": f"A{n:04d}", "quantity": "temperature", "unit": "Cel", "interval": interval,
         "limits": {"low": 2, "high": first if n == i == 0 else 8}, "range": {"low": -40, "high": 60}, "calibration": CALIBRATION}
        for n in range(areas - 1)
        for i in range(each)
    ]  # fmt: skip
    keeper = {
        "tag": "KEEPER", "area": "OFFICE", "quantity": "temperature", "unit": "Cel", "interval": "60s", "calibration": CALIBRATION,
    }  # fmt: skip
    value = {
        "id": ID, "name": {"zh": "基准", "en": "Bench"}, "jurisdiction": "110000", "delivery": delivery,
        "scopes": [{"field": "distribution", "line": "drug"}], "areas": [*rooms, {"id": "OFFICE", "kind": "room-store"}],
        "sensors": [*sensors, keeper],
    }  # fmt: skip
    return Facility.model_validate(value)


def tags_of(entity: Facility) -> list[str]:
    """Return all tags but the one that is always heard."""
    return [sensor.tag for sensor in entity.sensors if sensor.tag != "KEEPER"]


def cut(log: Log, at: int) -> Scene:
    """Return the log as a scene: what stands behind the first `at` records is measured."""
    return Scene(log.records[:at], log.records[at:])


def begun(areas: int, **more: Any) -> tuple[Log, list[str]]:  # noqa: ANN401 - of `facility`
    """Return a log in which all areas have sent for some minutes, and their tags."""
    entity = facility(areas, **more)
    log, tags = Log(entity), tags_of(entity)
    log.live(LIVE, [*tags, "KEEPER"])
    return log, tags


def keep(log: Log, begin: int, until: int) -> None:
    """Let the office alone be heard, minute by minute."""
    for minute in range(begin, until):
        log.tick(minute * MINUTE)
        log.rows(minute * MINUTE + 100, ["KEEPER"])


def together(areas: int) -> Scene:
    """All areas fall silent at one instant, while the office goes on for 70 minutes: every rule, area and colour."""
    log, _ = begun(areas)
    at = len(log.records)
    keep(log, LIVE, LIVE + 70)
    return cut(log, at)


def one_by_one(areas: int) -> Scene:
    """One area after the other falls silent within 200 minutes (400 areas: 30 s apart)."""
    log, tags = begun(areas)
    at, lasts, each = len(log.records), 200 * MINUTE, 2
    for minute in range(LIVE, LIVE + 240):
        now = minute * MINUTE + 100
        gone = min(areas, max(0, (now - LIVE * MINUTE) * areas // lasts))
        log.tick(minute * MINUTE)
        for part in range(0, 60, 6):  # areas send at their own second of the minute
            mine = [
                tag
                for n in range(gone, areas)
                if n * 10 // areas * 6 == part
                for tag in tags[n * each : n * each + each]
            ]
            log.rows(now + part * 1_000, [*mine, "KEEPER"] if part == 0 else mine) if mine or part == 0 else None
    return cut(log, at)


def silent(areas: int) -> tuple[Log, list[str], int]:
    """Return a log at whose end all areas are silent, their tags, and the minute."""
    log, tags = begun(areas)
    keep(log, LIVE, LIVE + 40)
    return log, tags, LIVE + 40


def back_together(areas: int) -> Scene:
    """All areas are back with one batch; what of them is silent then is released."""
    log, tags, minute = silent(areas)
    at = len(log.records)
    log.rows(minute * MINUTE + 1_000, [*tags, "KEEPER"])
    log.tick((minute + 2) * MINUTE)
    return cut(log, at)


def back_in_part(areas: int) -> Scene:
    """One sensor of each area is back with one batch, the others are released by the clock."""
    log, tags, minute = silent(areas)
    at = len(log.records)
    log.rows(minute * MINUTE + 1_000, [*tags[::2], "KEEPER"])
    log.tick((minute + 2) * MINUTE)
    return cut(log, at)


def back_one_by_one(areas: int) -> Scene:
    """Each area is back with a batch of its own, within a minute."""
    log, tags, minute = silent(areas)
    at = len(log.records)
    for n in range(areas - 1):
        log.rows(minute * MINUTE + 1_000 + n * MINUTE // areas, tags[2 * n : 2 * n + 2], behind=10)
    log.rows((minute + 1) * MINUTE + 2_000, ["KEEPER"])
    log.tick((minute + 2) * MINUTE + 30_000)
    return cut(log, at)


def door(areas: int) -> Scene:
    """The front door is closed for an hour; another worker's ticks let the clock go on meanwhile, so that all silences are taken back."""
    log, _ = begun(areas)
    at = len(log.records)
    for minute in range(LIVE, LIVE + 60, 5):
        log.tick(minute * MINUTE, "worker")
    log.tick((LIVE + 60) * MINUTE)
    return cut(log, at)


def door_silent(areas: int) -> Scene:
    """The front door is closed for an hour while all areas are silent."""
    log, _, minute = silent(areas)
    at = len(log.records)
    log.tick((minute + 60) * MINUTE)
    log.rows((minute + 60) * MINUTE + 100, ["KEEPER"])
    return cut(log, at)


def register(areas: int) -> Scene:
    """A register is adopted for the first time."""
    log = Log(facility(areas))
    return cut(log, 0)


def register_again(areas: int) -> Scene:
    """Another version of it, with one limit changed, comes while all send."""
    log, _ = begun(areas)
    at = len(log.records)
    log.register(LIVE * MINUTE, facility(areas, first=7.5))
    return cut(log, at)


def register_silent(areas: int) -> Scene:
    """The same while all are silent."""
    log, _, minute = silent(areas)
    at = len(log.records)
    log.register(minute * MINUTE, facility(areas, first=7.5))
    return cut(log, at)


def packs(areas: int) -> Scene:
    """Other packs, with a rule less."""
    log, _ = begun(areas)
    at = len(log.records)
    whole = default_bundle()
    less = whole.only({rule.id for rule in whole.rules} - {"data-integrity.frozen"})
    log.put(LIVE * MINUTE, Kind.PACKS, less.to_record(), "")
    return cut(log, at)


def limits_by_clock(areas: int) -> Scene:
    """A frost in every sensor for 60 minutes at one instant: the alarm is due by the clock alone; five sensors an area."""
    entity = facility(areas, 5, interval="30m", delivery="30m")
    log, tags = Log(entity), tags_of(entity)
    log.tick(0)
    log.rows(100, tags)
    log.rows(MINUTE, tags, -5.0)
    at = len(log.records)
    log.tick(10 * MINUTE)
    log.tick(20 * MINUTE)
    log.rows(31 * MINUTE, ["KEEPER"])
    for minute in range(35, 75, 10):
        log.tick(minute * MINUTE)
    return cut(log, at)


def limits_by_rows(areas: int) -> Scene:
    """Every sensor leaves its limits with one batch, and a rule listens whether the devices on the spot tell it."""
    log, tags = begun(areas)
    at = len(log.records)
    for minute in (LIVE, LIVE + 1, LIVE + 2):
        log.rows(minute * MINUTE, tags, 20.0)
    keep(log, LIVE + 3, LIVE + 12)
    return cut(log, at)


def alarms_told(areas: int) -> Scene:
    """The same, and the device of every area tells that its alarm is on, and a while later that it is off."""
    log, tags = begun(areas)
    at = len(log.records)
    for minute in (LIVE, LIVE + 1, LIVE + 2):
        log.rows(minute * MINUTE, tags, 20.0)
    for minute, state in ((LIVE + 3, "on"), (LIVE + 12, "off")):
        keep(log, minute, minute + 1)
        for begin in range(0, areas - 1, 500):
            told = [
                {"stream": "device", "type": "alarm", "time": BEGIN + minute * MINUTE, "source": f"D{n:04d}", "area": f"A{n:04d}",
                 "fields": {"cause": "temperature", "state": state}}
                for n in range(begin, min(begin + 500, areas - 1))
            ]  # fmt: skip
            log.events(minute * MINUTE + 200, told)
        keep(log, minute + 1, minute + 9)
    return cut(log, at)


def silent_marked(areas: int, begin: int = LIVE * MINUTE) -> Scene:
    """All areas are silent; a mark for each of them comes and says that it was stopped, `begin` ms from the beginning on."""
    log, _, minute = silent(areas)
    at = len(log.records)
    for n in range(areas - 1):
        mark = Mark.model_validate(
            {"id": f"M{n:04d}", "revision": 1, "flag": "stopped", "from": BEGIN + begin, "to": None, "reason": "service",
             "author": "u-1", "area": f"A{n:04d}"}
        )  # fmt: skip
        log.put(minute * MINUTE + 1_000 + n * MINUTE // areas, Kind.MARK, mark)
    keep(log, minute + 2, minute + 4)
    return cut(log, at)


def marked_late(areas: int) -> Scene:
    """As `silent_marked`, but each mark comes three days too late, which is an alarm of each of its sensors."""
    return silent_marked(areas, -3 * 1440 * MINUTE)


def again(areas: int) -> Scene:
    """All areas fall silent and come back, but for a sensor of each third one; more than two hours later they fall silent again, one by one."""
    log, tags, minute = silent(areas)
    dead = {tags[2 * n + 1] for n in range(0, areas - 1, 3)}
    alive = [tag for tag in tags if tag not in dead]
    for now in range(minute, minute + 130):
        log.tick(now * MINUTE)
        log.rows(now * MINUTE + 100, [*alive, "KEEPER"])
    at, begin = len(log.records), minute + 130
    for now in range(begin, begin + 60):
        gone = (now - begin) * len(alive) // 50
        log.tick(now * MINUTE)
        log.rows(now * MINUTE + 100, [*alive[gone:], "KEEPER"])
    return cut(log, at)


def boxes(areas: int) -> Scene:
    """A fleet of boxes falls silent under way, for 40 minutes, and comes back."""
    log, tags = begun(areas, kind="box", each=2)
    for begin in range(0, areas, 500):
        events = [
            {"stream": "trace", "type": "shipped", "time": BEGIN + (LIVE - 1) * MINUTE, "source": "WMS", "area": f"A{n:04d}",
             "fields": {"trip": f"W{n}", "lot": "B1"}}
            for n in range(begin, min(begin + 500, areas - 1))
        ]  # fmt: skip
        log.events(LIVE * MINUTE, events)
    at = len(log.records)
    keep(log, LIVE, LIVE + 40)
    log.rows((LIVE + 40) * MINUTE, tags)
    log.tick((LIVE + 41) * MINUTE)
    return cut(log, at)


SCENES: Final = {
    one.__name__: one
    for one in (
        together, one_by_one, back_together, back_in_part, back_one_by_one, door, door_silent, register, register_again, register_silent,
        packs, limits_by_clock, limits_by_rows, alarms_told, silent_marked, marked_late, again, boxes,
    )
}  # fmt: skip
