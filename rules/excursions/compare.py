"""What a deviation says against what the sensors of its asset said: covered or not, how long, how far."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rules.changes import Leaf, Verdict
from rules.facts import area_of_device, newest_begun, registered_facts
from rules.layout import NONE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rules.excursionparts import DurationClaim, PeakClaim
    from rules.excursions.book import Book, Deviation, Excursion
    from rules.register import Facility, Sensor
    from rules.rule import CompareRule, FollowUpRule
    from rules.state import FacilityState

MINUTE = 60_000
CELSIUS = "Cel"
DIGITS = 9
"""Places behind the point to which a distance is compared with what is allowed: 9.9 lies 1 from 8.9."""


def covers(asset: str, one: Excursion, facility: Facility) -> bool:
    """Say whether an asset is the sensor of an excursion, its area, or a device that stands there (settled.md)."""
    if asset in {one.tag, one.area}:
        return asset != ""
    return area_of_device(facility, asset) == one.area


def named_by(asset: str, facility: Facility) -> list[str]:
    """Return the tag or area that an asset is, and the area in which it stands if it is a device."""
    stands = area_of_device(facility, asset)
    return [asset] if stands is None else [asset, stands]


def naming(one: Excursion, facility: Facility) -> list[str]:
    """Return the assets by which a deviation may name an excursion."""
    return [*one.places, *registered_facts(facility).devices_in.get(one.area, ())]


def is_meant(rule: FollowUpRule | CompareRule, one: Excursion) -> bool:
    """Say whether an excursion has the colour that a rule asks for, and was not taken back."""
    return rule.excursions is not None and not one.retracted and one.top >= rule.excursions.least.rank


def overlaps(said: Deviation, one: Excursion) -> bool:
    """Say whether a deviation and an excursion have an instant in common; an excursion that is open lasts."""
    return said.begin <= (one.end if one.end != NONE else said.end) and said.end >= one.start


def beyond(peak: float, low: float | None, high: float | None) -> float | None:
    """Return how far a value lies beyond the limits, None where there are none.

    >>> beyond(9.5, 2, 8), beyond(1, 2, None)
    (1.5, 1)
    """
    far = [peak - high] if high is not None else []
    far += [low - peak] if low is not None else []
    return max(far, default=None)


def answered(one: Excursion, book: Book, facility: Facility) -> Deviation | None:
    """Return the first deviation that names an excursion, or None."""
    return next((said for said in book.naming(naming(one, facility)) if overlaps(said, one)), None)


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
    """Return the sensors in force at an instant (ms) that an asset names."""
    facts, areas = registered_facts(facility), {*named_by(asset, facility)}
    tags = {asset, *(tag for area in areas for tag in facts.tags_in.get(area, ()))}
    entries = [entry for tag in sorted(tags) for entry in facts.entries.get(tag, ())]
    return [sensor for sensor in newest_begun(entries, at) if sensor.tag == asset or sensor.area in areas]


@dataclass(frozen=True, slots=True)
class Measured:
    """What the sensors said of a deviation: how long (ms) and how far, with the tolerances; None is not known."""

    duration: int | None = None
    interval: int = 0
    """The longest registered one of the sensors, ms."""
    peak: float | None = None
    tolerance: float | None = None
    excursions: tuple[Excursion, ...] = ()
    """The ones that the deviation names, by start: of its asset, in its time, of its unit (of a sensor: of any)."""
    awaited: bool = False
    """A sensor has sent nothing yet of the end of the deviation's time."""


def leaves_of(said: Deviation, measured: Measured, duration: DurationClaim) -> tuple[Verdict, list[Leaf]]:
    """Return whether a deviation is misstated, and the comparisons: of two claims one that is wrong is enough."""
    long = far = Verdict.UNKNOWN
    if measured.duration is not None:
        off = abs(round(said.minutes * MINUTE) - measured.duration)
        wrong = off > duration.share * measured.duration and off > duration.intervals * measured.interval
        long = Verdict.TRUE if wrong else Verdict.FALSE
    if measured.peak is not None and measured.tolerance is not None:
        away = round(abs(said.peak - measured.peak), DIGITS)
        far = Verdict.TRUE if away > round(measured.tolerance, DIGITS) else Verdict.FALSE
    minutes = None if measured.duration is None else round(measured.duration / MINUTE, 6)
    found = [
        Leaf(expr="stated duration", left=said.minutes, op="against", right=minutes, unit="min", verdict=long),
        Leaf(expr="stated peak", left=said.peak, op="against", right=measured.peak, unit=said.unit, verdict=far),
    ]
    whole = next((one for one in (Verdict.TRUE, Verdict.UNKNOWN) if one in (long, far)), Verdict.FALSE)
    return whole, found


def measure(said: Deviation, rule: CompareRule, book: Book, state: FacilityState) -> Measured:
    """Return what the sensors of a deviation's asset said while it lasted.

    Nothing is known of a time before the rule listened, of an asset without sensors of the claimed unit, where no excursion was told
    (the rules of `reads` do not see every condition that a firm may report), where one is open or was only partly measured, and where
    a sensor of the asset was silent.
    """
    facility, plan = state.planned.facility, state.planned
    there = {sensor.tag: sensor for sensor in sensors_of(said.asset, facility, said.end)}
    meant = {tag: sensor for tag, sensor in there.items() if said.asset == tag or sensor.unit == said.unit}
    if not meant or book.since == NONE or said.begin < book.since:
        return Measured()
    over = [
        x
        for x in book.at(named_by(said.asset, facility))
        if is_meant(rule, x)
        and (x.tag in meant or x.tag not in there)
        and covers(said.asset, x, facility)
        and overlaps(said, x)
    ]
    found = tuple(sorted(over, key=lambda x: (x.start, x.alarm)))
    newest = (state.of_series("last_t", plan.slots[tag]) for tag in meant if tag in plan.slots)
    awaited = any(t < said.end for t in newest)
    if not found or awaited or any(x.end == NONE or x.partly or x.tag not in meant for x in found):
        return Measured(excursions=found, awaited=awaited)
    begin, end = min(said.begin, found[0].start), max(said.end, *(x.end for x in found))
    silences = (x for x in book.silent_at(meant) if x.tag in meant and not x.retracted)
    if any(x.start <= end and (x.end == NONE or x.end >= begin) for x in silences):
        return Measured(excursions=found)
    interval = max(sensor.interval or 0 for sensor in meant.values())
    assert rule.peak is not None  # noqa: S101 - validated
    peak, tolerance = _farthest(said, found, meant, rule.peak)
    return Measured(union((x.start, x.end) for x in found), interval, peak, tolerance, found)


def _farthest(
    said: Deviation, found: Iterable[Excursion], sensors: dict[str, Sensor], claim: PeakClaim
) -> tuple[float | None, float | None]:  # fmt: skip
    """Return the peak that lies farthest beyond its limit, with how far a claim may lie from it."""
    best: Excursion | None = None
    for one in found:
        if one.peak is None or one.beyond is None or sensors[one.tag].unit != said.unit:
            return None, None
        if best is None or best.beyond is None or one.beyond > best.beyond:
            best = one
    if best is None:
        return None, None
    sensor = sensors[best.tag]
    tolerance = (
        claim.degrees if sensor.unit == CELSIUS else None if sensor.error is None else claim.errors * sensor.error
    )
    return best.peak, tolerance
