"""Facts of the register that rules may name, and which of them are in force at an instant (contracts.md §2, `from`)."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from rules.instants import NEVER_MS
from rules.register import AreaKind

if TYPE_CHECKING:
    from collections.abc import Iterable

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
    return newest_begun(sorted(facility.sensors, key=lambda s: (s.tag, s.from_ or 0)), at_ms)


def newest_begun(entries: Iterable[Sensor], at_ms: int) -> list[Sensor]:
    """Return of some entries, which come by tag and beginning, the newest of each tag that has begun at an instant."""
    chosen: dict[str, Sensor] = {}
    for sensor in entries:
        if (sensor.from_ or 0) <= at_ms:
            chosen[sensor.tag] = sensor
    return list(chosen.values())


def next_change(facility: Facility, at_ms: int) -> int:
    """Return the next instant at which a registered fact of a sensor or an area comes into force (NEVER_MS: none)."""
    begins = [sensor.from_ or 0 for sensor in facility.sensors] + [area.from_ or 0 for area in facility.areas]
    return min((begin for begin in begins if begin > at_ms), default=NEVER_MS)


def area_in_force(facility: Facility, area_id: str, at_ms: int) -> Area | None:
    """Return the entry of an area in force; before any has begun, the first to come; None: no such area."""
    return registered_facts(facility).entry(area_id, at_ms)


def area_of_device(facility: Facility, device: str) -> str | None:
    """Return where a device is registered, None: it is not."""
    return registered_facts(facility).devices.get(device)


def facts_of_area(facility: Facility, area: Area | None) -> dict[str, FactValue]:
    """Return the facts of a facility and one of its areas; without an area those of the facility."""
    return registered_facts(facility).around(area)


def facts_of(facility: Facility, sensor: Sensor, at_ms: int = NEVER_MS) -> dict[str, FactValue]:
    """Return the facts of one sensor at an instant (default: the newest) for predicates and tables.

    A cryo-tank without a phase is a vapour tank; an area whose list of product classes is empty stores vaccines, as one without a list.
    """
    return registered_facts(facility).of(sensor, at_ms)


def registered_facts(facility: Facility) -> RegisteredFacts:
    """Return the facts of a facility; those of the one that was asked for last are at hand.

    A register of 2,000 areas is asked for each of them, and for each of its sensors: by every rule, and by every event.
    """
    newest = _newest[0]
    if newest is None or newest.facility is not facility:
        newest = _newest[0] = RegisteredFacts(facility)
    return newest


class RegisteredFacts:
    """The facts of one facility's sensors: what they have in common is looked up once."""

    def __init__(self, facility: Facility) -> None:
        self.facility = facility
        self.devices: dict[str, str] = {}
        """Device -> its area."""
        for device in facility.devices:
            self.devices.setdefault(device.id, device.area)
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

    @cached_property
    def entries(self) -> dict[str, list[Sensor]]:
        """Return tag -> its entries, by when they begin."""
        found: dict[str, list[Sensor]] = {}
        for sensor in sorted(self.facility.sensors, key=lambda s: (s.tag, s.from_ or 0)):
            found.setdefault(sensor.tag, []).append(sensor)
        return found

    @cached_property
    def tags_in(self) -> dict[str, dict[str, None]]:
        """Return area -> the tags that stand there by an entry, whether it has begun or not."""
        found: dict[str, dict[str, None]] = {}
        for sensor in self.facility.sensors:
            found.setdefault(sensor.area, {})[sensor.tag] = None
        return found

    @cached_property
    def devices_in(self) -> dict[str, list[str]]:
        """Return area -> the devices that stand there."""
        found: dict[str, list[str]] = {}
        for device, area in self.devices.items():
            found.setdefault(area, []).append(device)
        return found

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
        found = self.entry(sensor.area, at_ms)
        assert found is not None  # noqa: S101 - a register names no area that it does not have
        return found

    def entry(self, area_id: str, at_ms: int) -> Area | None:
        """Return the same of an area by its id, None: there is no such area."""
        entries = self._areas.get(area_id, ())
        if len(entries) == 1:
            return entries[0]
        begun = [area for area in entries if (area.from_ or 0) <= at_ms]
        return begun[-1] if begun else entries[0] if entries else None


_newest: list[RegisteredFacts | None] = [None]


def _of_area(area: Area) -> dict[str, FactValue]:
    return {
        "area.kind": area.kind.value,
        "area.grade": area.grade,
        "area.standard": area.standard,
        "area.phase": area.phase or ("vapour" if area.kind is AreaKind.CRYO_TANK else None),
        "area.stores": list(area.stores) or ["vaccine"],
        "area.shipment_type": area.shipment_type,
        "area.water": area.water,
        "area.pharmacopoeia": area.pharmacopoeia,
        "area.floor_m2": area.floor_m2,
        "area.height_m": area.height_m,
        "area.rack_height_m": area.rack_height_m,
        "area.volume_m3": area.volume_m3,
    }
