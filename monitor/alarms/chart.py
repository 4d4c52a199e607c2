"""The readings around an alarm, with the limits that were used: for the chart, its table and the API."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Literal

from pydantic import Field
from sqlalchemy import select

from monitor.amendments import Correction, all_noted, corrections
from monitor.archive.reader import ArchiveReader
from monitor.register.store import newest
from monitor.store.desk_tables import AlarmRow
from rules.changes import Evidence
from rules.models import Strict
from rules.params import deadband_width
from rules.records import QUALITY_NAMES
from rules.register import Facility, Quantity
from rules.rule import DifferenceRule, LimitRule

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy.orm import Session

    from monitor.store.session import Store
    from rules.register import Sensor
    from rules.rule import Rule

MAX_TAGS = 8
POINTS = 2_000
INTERVALS_AROUND = 60
LEAST_AROUND_MS = 10 * 60_000
MOST_AROUND_MS = 6 * 3_600_000
LONGEST_MS = 48 * 3_600_000
PRESSURES = frozenset({Quantity.PRESSURE, Quantity.PRESSURE_DIFFERENCE})


class Line(Strict):
    """A limit to draw: value, where it comes from, and the edition of its source."""

    name: Literal["low", "high"]
    value: float
    origin: str
    edition: str | None = None
    clears_at: float | None = None
    """How far inside a value must come for the alarm to clear (deadband); null where the limit itself is enough."""


class Series(Strict):
    """Readings of one tag in event order. `time` in ms; `value` null where the firm sent none."""

    tag: str
    unit: str
    quantity: str
    time: list[int]
    value: list[float | None]
    quality: list[str]
    late: list[bool]
    rows: int
    """How many readings these stand for: long spans are reduced to their extremes."""
    lines: list[Line]


class Hole(Strict):
    """A stretch whose readings could not be read, and why."""

    from_ms: int
    to_ms: int
    code: str


class Chart(Strict):
    """The readings around an alarm; instants in ms.

    `start_ms` and `end_ms` (null: it lasts) are of the alarm; where a rule judged by alarms of series (`compared` of them), they are of these.
    """

    facility: str
    alarm: str
    from_ms: int
    to_ms: int
    start_ms: int
    end_ms: int | None
    series: list[Series]
    missing: list[Hole]
    archived_to_ms: int | None
    """Receive time up to which the archive has read; newer readings are not here yet."""
    tags_left_out: int = 0
    compared: int = 0
    """Of a report: how many alarms of series it was held against."""
    corrections: list[Correction] = Field(default_factory=list)
    """What the firm corrected of these series while the alarm held; it changes nothing that was judged (ADR 0093)."""
    corrections_left_out: int = 0
    corrections_known: bool = True
    """False: amendments that an older release archived were not looked at (`offsite store rebuild`)."""


def chart_of(store: Store, archive: Path, row: AlarmRow, now_ms: int, rule: Rule | None = None) -> Chart:
    """Return the chart of an alarm; without an archive or registered sensors it has no series.

    An alarm of a report shows the series of the alarms that its evidence names, and when these lasted; one that names none has no readings.

    `rule` gives the deadband. Raises what the archive raises: OffsiteError for damage, OSError for a folder that is away.
    """
    evidence, subject = Evidence.model_validate_json(row.evidence), json.loads(row.subject)
    with store.reading() as session:
        stored = newest(session, row.facility).get(row.facility)
        compared = _compared(session, row.facility, evidence) if "report" in subject else []
    facility = None if stored is None else Facility.model_validate_json(stored.data)
    subjects = [json.loads(one.subject) for one in compared] if "report" in subject else [subject]
    sensors = [] if facility is None else _sensors(facility, subjects)
    shown = sensors[:MAX_TAGS]
    span = _span(compared or [row])
    begin, end = _window(*span, shown, now_ms)
    with store.reading() as session:
        corrected, more = corrections(session, row.facility, [one.tag for one in sensors], min(begin, span[0]), span[1])
        known = all_noted(session)
    empty = Chart(
        facility=row.facility, alarm=row.id, from_ms=begin, to_ms=end, start_ms=span[0], end_ms=span[1],
        series=[], missing=[], archived_to_ms=None, tags_left_out=len(sensors) - len(shown), compared=len(compared),
        corrections=corrected, corrections_left_out=more, corrections_known=known,
    )  # fmt: skip
    if not shown:
        return empty
    found = ArchiveReader(store, archive).readings(row.facility, [s.tag for s in shown], begin, end, POINTS)
    series = []
    for sensor in shown:
        column = found.tags[sensor.tag]
        series.append(
            Series(
                tag=sensor.tag, unit=sensor.unit, quantity=sensor.quantity.value,
                time=column.time.tolist(),
                value=[None if math.isnan(value) else value for value in column.value.tolist()],
                quality=[QUALITY_NAMES[code] for code in column.quality.tolist()],
                late=column.late.tolist(), rows=column.rows, lines=_lines(sensor, evidence, rule),
            )
        )  # fmt: skip
    holes = [Hole(from_ms=m.from_ms, to_ms=m.to_ms, code=m.code) for m in found.missing]
    return empty.model_copy(update={"series": series, "missing": holes, "archived_to_ms": found.archived_to_ms})


def _compared(session: Session, facility: str, evidence: Evidence) -> list[AlarmRow]:
    """Return the alarms of the firm that an evidence names."""
    named = [read.id for read in evidence.records if read.kind == "alarm"]
    chosen = select(AlarmRow).where(AlarmRow.id.in_(named), AlarmRow.facility == facility)
    return list(session.scalars(chosen.order_by(AlarmRow.start_ms, AlarmRow.id)))


def _span(rows: list[AlarmRow]) -> tuple[int, int | None]:
    """Return when the first of some alarms began, and the last ended."""
    ends = [row.end_ms for row in rows if row.end_ms is not None]
    return min(row.start_ms for row in rows), max(ends) if len(ends) == len(rows) else None


def _sensors(facility: Facility, subjects: list[dict[str, str]]) -> list[Sensor]:
    """Return the sensors of some subjects, each once, in the order of the register."""
    tags = {sensor.tag for subject in subjects for sensor in _of(facility, subject)}
    return [sensor for sensor in facility.sensors if sensor.tag in tags]


def _of(facility: Facility, subject: dict[str, str]) -> list[Sensor]:
    if "tag" in subject:
        return [sensor for sensor in facility.sensors if sensor.tag == subject["tag"]]
    if "place" in subject:  # two rooms and the pressure between them
        rooms = set(subject.values())
        return [sensor for sensor in facility.sensors if sensor.area in rooms and sensor.quantity in PRESSURES]
    if "area" in subject:
        return [sensor for sensor in facility.sensors if sensor.area == subject["area"]]
    if "lot" in subject:
        return []
    return list(facility.sensors)


def _window(start_ms: int, end_ms: int | None, sensors: list[Sensor], now_ms: int) -> tuple[int, int]:
    interval = max((sensor.interval or 0 for sensor in sensors), default=0)
    around = min(max(INTERVALS_AROUND * interval, LEAST_AROUND_MS), MOST_AROUND_MS)
    last = end_ms if end_ms is not None else max(now_ms, start_ms)
    begin, end = start_ms - around, min(last + around, max(now_ms, last + 1))
    return max(begin, end - LONGEST_MS), end


def _lines(sensor: Sensor, evidence: Evidence, rule: Rule | None) -> list[Line]:
    found = [
        (limit.name, limit.value, limit.origin, limit.edition)
        for limit in evidence.limits
        if limit.name in {"low", "high"} and limit.unit in {None, sensor.unit}
    ]
    if not found and sensor.limits is not None:
        registered = {"low": sensor.limits.low, "high": sensor.limits.high}
        found = [(name, value, "register", None) for name, value in registered.items() if value is not None]
    if isinstance(
        rule, DifferenceRule
    ):  # the limits are those of a difference: only a sensor that measures it has them
        measured = rule.pairs == "cascades" and sensor.quantity is Quantity.PRESSURE_DIFFERENCE
        found = found if measured else []
    if isinstance(rule, LimitRule) and rule.smooth is not None:  # a limit of their mean: no single reading has it
        found = []
    values = {name: value for name, value, _, _ in found}
    low, high = values.get("low", -math.inf), values.get("high", math.inf)
    width = deadband_width(rule.clear.deadband, low, high) if isinstance(rule, LimitRule | DifferenceRule) else 0.0
    return [
        Line(
            name="low" if name == "low" else "high", value=value, origin=origin, edition=edition,
            clears_at=None if not width else value + width if name == "low" else value - width,
        )
        for name, value, origin, edition in found
    ]  # fmt: skip
