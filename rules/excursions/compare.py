"""What a deviation says against what the sensors of its asset said: covered or not, how long, how far."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rules.changes import Leaf, Verdict
from rules.facts import in_force
from rules.layout import NONE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rules.excursionparts import DurationClaim, PeakClaim
    from rules.excursions.book import Book, Deviation, Excursion
    from rules.register import Facility, Sensor
    from rules.state import FacilityState

MINUTE = 60_000
CELSIUS = "Cel"


def covers(asset: str, one: Excursion, facility: Facility) -> bool:
    """Say whether an asset is the sensor of an excursion, its area, or a device that stands there (settled.md)."""
    if asset in {one.tag, one.area}:
        return asset != ""
    return any(device.id == asset and device.area == one.area for device in facility.devices)


def overlaps(said: Deviation, one: Excursion) -> bool:
    """Say whether a deviation and an excursion have an instant in common; an excursion that is open lasts."""
    return said.begin <= (one.end if one.end != NONE else said.end) and said.end >= one.start


def answered(one: Excursion, book: Book, facility: Facility) -> Deviation | None:
    """Return the first deviation that names an excursion, or None."""
    found = (d for d in book.deviations.values() if covers(d.asset, one, facility) and overlaps(d, one))
    return next(found, None)


def named(said: Deviation, book: Book, facility: Facility) -> list[Excursion]:
    """Return the excursions that a deviation names, by start."""
    found = [
        x for x in book.excursions.values() if not x.retracted and covers(said.asset, x, facility) and overlaps(said, x)
    ]
    return sorted(found, key=lambda x: (x.start, x.alarm))


def union(spans: Iterable[tuple[int, int]]) -> int:
    """Return how long a union of spans is.

    >>> union([(0, 10), (5, 20), (30, 40)])
    30
    """
    total, reached = 0, NONE
    for begin, end in sorted(spans):
        total += max(0, end - max(begin, reached))
        reached = max(reached, end)
    return total


def sensors_of(asset: str, facility: Facility, at: int) -> list[Sensor]:
    """Return the sensors in force that an asset names."""
    areas = {asset, *(device.area for device in facility.devices if device.id == asset)}
    return [sensor for sensor in in_force(facility, at) if sensor.tag == asset or sensor.area in areas]


@dataclass(frozen=True, slots=True)
class Measured:
    """What the sensors said of a deviation: how long (ms) and how far, with the tolerances; None is not known."""

    duration: int | None
    interval: int
    peak: float | None
    tolerance: float | None
    silent: bool = False
    """Records of the span are missing, or are bad: what was measured is not the whole."""


def leaves_of(
    said: Deviation, measured: Measured, duration: DurationClaim
) -> tuple[Verdict, list[Leaf]]:  # fmt: skip
    """Return whether a deviation is misstated, and the comparisons: of two claims one that is wrong is enough."""
    found, verdicts = [], []
    if measured.duration is None or measured.silent:
        verdicts.append(Verdict.UNKNOWN)
        found.append(Leaf(expr="stated duration", left=said.minutes, op="against", unit="min", verdict=Verdict.UNKNOWN))
    else:
        stated = round(said.minutes * MINUTE)
        off = abs(stated - measured.duration)
        wrong = off > duration.share * measured.duration and off > duration.intervals * measured.interval
        verdicts.append(Verdict.TRUE if wrong else Verdict.FALSE)
        right = round(measured.duration / MINUTE, 6)
        found.append(
            Leaf(expr="stated duration", left=said.minutes, op="against", right=right, unit="min", verdict=verdicts[-1])
        )
    if measured.peak is None or measured.tolerance is None or measured.silent:
        verdict = Verdict.FALSE if measured.duration == 0 and not measured.silent else Verdict.UNKNOWN
        verdicts.append(verdict)
        found.append(Leaf(expr="stated peak", left=said.peak, op="against", unit=said.unit, verdict=verdict))
    else:
        wrong = abs(said.peak - measured.peak) > measured.tolerance
        verdicts.append(Verdict.TRUE if wrong else Verdict.FALSE)
        found.append(
            Leaf(
                expr="stated peak",
                left=said.peak,
                op="against",
                right=measured.peak,
                unit=said.unit,
                verdict=verdicts[-1],
            )
        )
    whole = (
        Verdict.TRUE if Verdict.TRUE in verdicts else Verdict.UNKNOWN if Verdict.UNKNOWN in verdicts else Verdict.FALSE
    )
    return whole, found


def measure(
    said: Deviation, book: Book, state: FacilityState, peak: PeakClaim, silent: Sequence[tuple[int, int]]
) -> Measured:  # fmt: skip
    """Return what the sensors of a deviation's asset said while it lasted.

    Args:
        said: the deviation.
        book: of the rule.
        state: of the facility.
        peak: what the rule says of peaks.
        silent: spans of silence of the asset's sensors, event time, ms.
    """
    facility = state.planned.facility
    sensors = {sensor.tag: sensor for sensor in sensors_of(said.asset, facility, state.clock)}
    found = named(said, book, facility)
    if not sensors or any(x.end == NONE for x in found) or book.since == NONE or said.begin < book.since:
        return Measured(None, 0, None, None)
    missing = any(begin <= said.end and end >= said.begin for begin, end in silent)
    interval = max((sensor.interval or 0 for sensor in sensors.values()), default=0)
    farthest, tolerance = _farthest(said, found, sensors, peak)
    return Measured(union((x.start, x.end) for x in found), interval, farthest, tolerance, missing)


def _farthest(
    said: Deviation, found: list[Excursion], sensors: dict[str, Sensor], peak: PeakClaim
) -> tuple[float | None, float | None]:  # fmt: skip
    """Return the peak that lies farthest from the limits of its sensor, with how far a claim may lie from it."""
    best: tuple[float, float, Sensor] | None = None
    for one in found:
        sensor = sensors.get(one.tag)
        if sensor is None or one.peak is None or sensor.unit != said.unit:
            continue
        limits = sensor.limits
        low, high = (None, None) if limits is None else (limits.low, limits.high)
        over = max(one.peak - high if high is not None else 0.0, low - one.peak if low is not None else 0.0)
        if best is None or over > best[0]:
            best = (over, one.peak, sensor)
    if best is None:
        return None, None
    sensor = best[2]
    tolerance = peak.degrees if sensor.unit == CELSIUS else None if sensor.error is None else peak.errors * sensor.error
    return best[1], tolerance
