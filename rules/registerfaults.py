"""What is wrong with a facility of a register file beyond its single values, whatever else is wrong with it.

Works on plain values, so that no fault of a value hides these. Pointers begin at the facility.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rules.errors import Fault
from rules.register import area_faults, cross_faults, sensor_faults

if TYPE_CHECKING:
    from collections.abc import Iterator


def entry_faults(facility: Any) -> list[Fault]:  # noqa: ANN401 - whatever a file holds
    """Return what does not go together; entries that are no entries are passed over.

    >>> [str(fault) for fault in entry_faults({"areas": [{"id": "R", "kind": "box", "phase": "liquid"}]})]
    ['/areas/0/phase: misplaced: only a cryo-tank has a phase']
    """
    return [*cross_faults(facility), *_unfit(facility)]


def _unfit(facility: Any) -> Iterator[Fault]:  # noqa: ANN401 - whatever a file holds
    """Say what the models of areas and sensors refuse of an entry as a whole."""
    for at, area in _entries(facility, "areas"):
        for fault in area_faults(*(area.get(name) for name in ("kind", "grade", "standard", "phase"))):
            yield Fault(at + fault.pointer, fault.code, fault.detail)
    for at, sensor in _entries(facility, "sensors"):
        for fault in sensor_faults(*(sensor.get(name) for name in ("quantity", "unit", "against"))):
            yield Fault(at + fault.pointer, fault.code, fault.detail)


def _entries(facility: Any, part: str) -> Iterator[tuple[str, dict[str, Any]]]:  # noqa: ANN401 - whatever a file holds
    entries = facility.get(part) if isinstance(facility, dict) else None
    for i, entry in enumerate(entries if isinstance(entries, list) else ()):
        if isinstance(entry, dict):
            yield f"/{part}/{i}", entry
