"""Scenes of submitted reports: many legal clocks that are over at one instant, many excursions, and as many reports of them.

As those of `bench/many_scenes.py`; what is many here are clocks and excursions, one fewer than `areas`.
"""

from __future__ import annotations

from typing import Final

from bench.clocks import death
from bench.clocks import facility as reporting
from bench.many_scenes import BEGIN, ID, MINUTE, Log, Scene, cut, facility, tags_of
from rules.records import Kind, Report
from rules.register import Facility

HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
ROWS: Final = 30 * MINUTE
"""Between two rows of a sensor."""


def firm(areas: int) -> Facility:
    """Return a drug maker whose areas have one sensor each, with a row in half an hour."""
    made = facility(areas, 1, interval="30m", delivery="4d").model_dump(mode="json", by_alias=True)
    fields = ("manufacture", "distribution")
    return Facility.model_validate(made | {"scopes": [{"field": field, "line": "drug"} for field in fields]})


def clocks(areas: int) -> Scene:
    """Reports of deaths are followed up by nobody: the reminder, and three days later the time of all of them, at one instant each."""
    log = Log(reporting(ID).model_copy(update={"licences": [], "trials": []}))
    for number in range(areas - 1):
        log.put(number, Kind.REPORT, death(number, BEGIN - 6 * DAY))
    at = len(log.records)
    for days in (7, 10, 11, 20):
        log.tick(days * DAY, "worker")
    return cut(log, at)


def _outside(areas: int) -> tuple[Log, list[str], float]:
    """Return a log in which every sensor was outside its limits for an hour and a half, at the same instants."""
    entity = firm(areas)
    log, tags, at = Log(entity), tags_of(entity), 0.0
    for value in (5.0, 20.0, 20.0, 20.0, 5.0, 5.0, 5.0, 5.0):
        at += ROWS
        log.rows(at, tags, value)
    return log, tags, at


def excursions(areas: int) -> Scene:
    """Every sensor leaves its limits and comes back; nobody reports it, and the time for that is over for all at one instant."""
    log, _, at = _outside(areas)
    log.tick(at + 12 * DAY, "worker")
    return cut(log, 1)


def excursions_reported(areas: int) -> Scene:
    """The same; a report of each comes, of another duration than was measured, and all are compared; then they all leave their limits again."""
    log, tags, end = _outside(areas)
    at = len(log.records)
    for number, tag in enumerate(tags):
        fields = {
            "deviation_id": f"D-{number}", "asset": tag, "from": BEGIN + 2 * ROWS, "to": BEGIN + 4 * ROWS, "duration_min": 400,
            "peak": 20.0, "unit": "Cel", "lots": [], "opened_at": BEGIN + int(end),
        }  # fmt: skip
        said = {"id": f"R-{number}", "type": "deviation", "revision": 1, "sent": BEGIN + int(end), "fields": fields}
        log.put(end + 1_000, Kind.REPORT, Report.model_validate(said), ID)
    log.tick(end + 2 * DAY, "worker")
    for turn, value in enumerate((5.0, 20.0, 20.0, 20.0)):
        log.rows(end + 2 * DAY + (turn + 1) * ROWS, tags, value)
    log.tick(end + 3 * DAY, "worker")
    return cut(log, at)


REPORTED: Final = {one.__name__: one for one in (clocks, excursions, excursions_reported)}
