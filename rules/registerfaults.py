"""What is wrong with a facility of a register file beyond its single values, whatever else is wrong with it.

Works on plain values, so that no fault of a value hides these. Pointers begin at the facility.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from rules.errors import Fault
from rules.regimes import backward
from rules.register import area_faults, cross_faults, sensor_faults

if TYPE_CHECKING:
    from collections.abc import Iterator

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
"""Days in this form stand in the order of their texts."""


def entry_faults(facility: Any) -> list[Fault]:  # noqa: ANN401 - whatever a file holds
    """Return what does not go together; entries that are no entries are passed over.

    >>> [str(fault) for fault in entry_faults({"areas": [{"id": "R", "kind": "box", "phase": "liquid"}]})]
    ['/areas/0/phase: misplaced: only a cryo-tank has a phase']
    """
    return [*cross_faults(facility), *_unfit(facility), *_contradictory(facility)]


def _unfit(facility: Any) -> Iterator[Fault]:  # noqa: ANN401 - whatever a file holds
    """Say what the models of areas and sensors refuse of an entry as a whole."""
    for at, area in _entries(facility, "areas"):
        for fault in area_faults(*(area.get(name) for name in ("kind", "grade", "standard", "phase"))):
            yield Fault(at + fault.pointer, fault.code, fault.detail)
    for at, sensor in _entries(facility, "sensors"):
        for fault in sensor_faults(*(sensor.get(name) for name in ("quantity", "unit", "against"))):
            yield Fault(at + fault.pointer, fault.code, fault.detail)


def _contradictory(facility: Any) -> Iterator[Fault]:  # noqa: ANN401 - whatever a file holds
    """Say what cannot be meant. Only a file is held to it: records that the log holds are read as they are."""
    yield from _nameless(facility)
    for at, licence in _entries(facility, "licences"):
        if _before(licence.get("to"), licence.get("from")):
            yield Fault(f"{at}/to", "ends_before", "the licence ends before it begins")
    for at, regime in _entries(facility, "regimes"):
        for first, second in backward(regime):
            if _before(regime[second], regime[first]):
                yield Fault(f"{at}/{second}", "ends_before", f"{second} lies before {first}")
    for at, sensor in _entries(facility, "sensors"):
        area, calibration = sensor.get("area"), sensor.get("calibration")
        if isinstance(area, str) and area == sensor.get("against"):
            yield Fault(f"{at}/against", "own_area", f"{area} is the sensor's own area: its difference is always none")
        if isinstance(calibration, dict) and _before(calibration.get("due"), calibration.get("done")):
            yield Fault(f"{at}/calibration/due", "ends_before", "the next calibration is due before the last was done")
        if _blind(sensor.get("range"), sensor.get("limits")):
            detail = "the measuring range lies inside the limits: no value that it can measure is outside of them"
            yield Fault(f"{at}/range", "blind_range", detail)


def _nameless(facility: Any) -> Iterator[Fault]:  # noqa: ANN401 - whatever a file holds
    named = [("", facility)] if isinstance(facility, dict) else []
    for at, entry in [*named, *_entries(facility, "areas"), *_entries(facility, "products")]:
        name = entry.get("name")
        for language in ("zh", "en"):
            text = name.get(language) if isinstance(name, dict) else None
            if isinstance(text, str) and not text.strip():
                yield Fault(f"{at}/name/{language}", "empty", "a name is needed")


def _before(day: Any, other: Any) -> bool:  # noqa: ANN401 - whatever a file holds
    days = isinstance(day, str) and isinstance(other, str) and _DAY.fullmatch(day) and _DAY.fullmatch(other)
    return bool(days) and day < other


def _blind(span: Any, limits: Any) -> bool:  # noqa: ANN401 - whatever a file holds
    """Say whether a measuring range shows no value outside the limits; without limits there is nothing to show."""
    if not isinstance(span, dict) or not isinstance(limits, dict):
        return False
    ends: list[tuple[Any, Any, int]] = [
        (limits.get("low"), span.get("low"), 1),
        (limits.get("high"), span.get("high"), -1),
    ]
    given = [(limit, end, sign) for limit, end, sign in ends if limit is not None]
    return bool(given) and all(
        _is_number(limit) and _is_number(end) and sign * end >= sign * limit for limit, end, sign in given
    )


def _is_number(value: Any) -> bool:  # noqa: ANN401 - whatever a file holds
    return isinstance(value, int | float) and not isinstance(value, bool)


def _entries(facility: Any, part: str) -> Iterator[tuple[str, dict[str, Any]]]:  # noqa: ANN401 - whatever a file holds
    entries = facility.get(part) if isinstance(facility, dict) else None
    for i, entry in enumerate(entries if isinstance(entries, list) else ()):
        if isinstance(entry, dict):
            yield f"/{part}/{i}", entry
