"""Facts of the register that rules may name, and which of them are in force at an instant (contracts.md §2, `from`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rules.instants import NEVER_MS
from rules.register import AreaKind

if TYPE_CHECKING:
    from rules.register import Area, Facility, Sensor

FactValue = str | float | bool | list[str] | None
FACTS: dict[str, type] = {
    "facility.jurisdiction": str,
    "facility.labels": list,
    "facility.licences": list,
    "products.class": list,
    "products.storage": list,
    "area.kind": str,
    "area.grade": str,
    "area.standard": str,
    "area.phase": str,
    "area.stores": list,
    "area.shipment_type": str,
    "area.water": str,
    "area.pharmacopoeia": str,
    "result.method": str,
    "place.kind": str,
    "place.grade": str,
    "area.floor_m2": float,
    "area.height_m": float,
    "area.rack_height_m": float,
    "area.volume_m3": float,
    "sensor.quantity": str,
    "sensor.unit": str,
    "sensor.interval_s": float,
    "sensor.resolution": float,
    "sensor.error": float,
    "sensor.detection_limit": float,
    "sensor.sample_m3": float,
    "sensor.door": str,
    "sensor.temperature_tag": str,
    "sensor.pinned": bool,
    "sensor.compensated": bool,
}
"""The closed list of facts that `applies_to` and table rows may name, with their types: text, several texts, number or flag.

`place` is the other room of a pressure pair: only rules of kind `difference` and their tables have it. `result.method` is no fact of the register but
of a posted laboratory result: only tables of kind `result_limit` have it."""
METHOD = "result.method"


def in_force(facility: Facility, at_ms: int) -> list[Sensor]:
    """Return the sensors in force at an instant, by tag; of several entries of one tag the newest that has begun."""
    chosen: dict[str, Sensor] = {}
    for sensor in sorted(facility.sensors, key=lambda s: (s.tag, s.from_ or 0)):
        if (sensor.from_ or 0) <= at_ms:
            chosen[sensor.tag] = sensor
    return list(chosen.values())


def next_change(facility: Facility, at_ms: int) -> int:
    """Return the next instant at which a registered fact of a sensor or an area comes into force (NEVER_MS: none)."""
    begins = [sensor.from_ or 0 for sensor in facility.sensors] + [area.from_ or 0 for area in facility.areas]
    return min((begin for begin in begins if begin > at_ms), default=NEVER_MS)


def area_in_force(facility: Facility, area_id: str, at_ms: int) -> Area | None:
    """Return the entry of an area in force; before any has begun, the first to come; None: no such area."""
    entries = sorted((a for a in facility.areas if a.id == area_id), key=lambda a: a.from_ or 0)
    begun = [area for area in entries if (area.from_ or 0) <= at_ms]
    return begun[-1] if begun else entries[0] if entries else None


def facts_of_area(facility: Facility, area: Area | None) -> dict[str, FactValue]:
    """Return the facts of a facility and one of its areas; without an area those of the facility."""
    return RegisteredFacts(facility).around(area)


def facts_of(facility: Facility, sensor: Sensor, at_ms: int = NEVER_MS) -> dict[str, FactValue]:
    """Return the facts of one sensor at an instant (default: the newest) for predicates and tables.

    A cryo-tank without a phase is a vapour tank.
    """
    return RegisteredFacts(facility).of(sensor, at_ms)


class RegisteredFacts:
    """The facts of one facility's sensors: what they have in common is looked up once."""

    def __init__(self, facility: Facility) -> None:
        self._facility: dict[str, FactValue] = {
            "facility.jurisdiction": facility.jurisdiction,
            "facility.labels": list(facility.labels),
            "facility.licences": sorted({licence.kind for licence in facility.licences}),
            "products.class": sorted({product.class_ for product in facility.products}),
            "products.storage": sorted({product.storage for product in facility.products}),
        }
        self._areas: dict[str, list[Area]] = {}
        for area in sorted(facility.areas, key=lambda area: area.from_ or 0):
            self._areas.setdefault(area.id, []).append(area)

    def of(self, sensor: Sensor, at_ms: int) -> dict[str, FactValue]:
        """Return the facts of a sensor at an instant, in the order of `FACTS`."""
        return self.around(self.area(sensor, at_ms)) | {
            "sensor.quantity": sensor.quantity.value,
            "sensor.unit": sensor.unit,
            "sensor.interval_s": None if sensor.interval is None else sensor.interval / 1000,
            "sensor.resolution": sensor.resolution,
            "sensor.error": sensor.error,
            "sensor.detection_limit": sensor.detection_limit,
            "sensor.sample_m3": sensor.sample_m3,
            "sensor.door": sensor.door,
            "sensor.temperature_tag": sensor.temperature_tag,
            "sensor.pinned": sensor.pinned,
            "sensor.compensated": sensor.compensated,
        }

    def around(self, area: Area | None) -> dict[str, FactValue]:
        """Return the facts of the facility and of one of its areas, or of the facility alone."""
        return self._facility | ({} if area is None else _of_area(area))

    def area(self, sensor: Sensor, at_ms: int) -> Area:
        """Return the entry of the sensor's area in force; before any has begun, the first to come."""
        entries = self._areas[sensor.area]
        if len(entries) == 1:
            return entries[0]
        begun = [area for area in entries if (area.from_ or 0) <= at_ms]
        return begun[-1] if begun else entries[0]


def _of_area(area: Area) -> dict[str, FactValue]:
    return {
        "area.kind": area.kind.value,
        "area.grade": area.grade,
        "area.standard": area.standard,
        "area.phase": area.phase or ("vapour" if area.kind is AreaKind.CRYO_TANK else None),
        "area.stores": list(area.stores),
        "area.shipment_type": area.shipment_type,
        "area.water": area.water,
        "area.pharmacopoeia": area.pharmacopoeia,
        "area.floor_m2": area.floor_m2,
        "area.height_m": area.height_m,
        "area.rack_height_m": area.rack_height_m,
        "area.volume_m3": area.volume_m3,
    }
