"""What the register says of sensors and devices by name: their area, serial and configuration hash at an instant (contracts.md §2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rules.rare.match import applies
from rules.rare.store import subject_of

if TYPE_CHECKING:
    from rules.register import Device, Facility, Sensor, Span
    from rules.rule import FollowUpRule, RegisterCheckRule

WORDS = {"serial-changed": "serial", "config-hash": "config_hash"}
"""The registered fact, of a sensor or a device, that a check is about."""


@dataclass(frozen=True, slots=True)
class Point:
    """What is registered of a sensor or a device: its area, and the serial or hash (None: not registered)."""

    area: str
    word: str | None


@dataclass(frozen=True, slots=True)
class Asset:
    """What is registered under a name, be it a sensor, an area or a device: its area, and the limits that a sensor has."""

    area: str
    limits: Span | None


class Points:
    """The sensors and devices of one facility, looked up once; a device has no `from` and is registered since ever."""

    def __init__(self, facility: Facility) -> None:
        self.facility = facility
        self._sensors: dict[str, list[Sensor]] = {}
        for sensor in sorted(facility.sensors, key=lambda sensor: sensor.from_ or 0):
            self._sensors.setdefault(sensor.tag, []).append(sensor)
        self._devices = {device.id: device for device in facility.devices}
        self._areas = {area.id for area in facility.areas}

    def at(self, rule: RegisterCheckRule, subject: str, at: int) -> Point | None:
        """Return what a check has to know of a subject at an instant (ms), None: nothing is registered, or the rule is not for it."""
        named = subject_of(subject)
        entry: Sensor | Device | None = self._devices.get(named.get("device", ""))
        entry = self._sensor(named.get("tag", ""), at) or entry
        if entry is None or not applies(rule, self.facility, entry.area, at):
            return None
        return Point(entry.area, getattr(entry, WORDS[rule.check]))

    def asset(self, rule: FollowUpRule, name: str, at: int) -> Asset | None:
        """Return what is registered under a name at an instant (ms): the sensor of this tag, else the area, else the device.

        None: nothing is, or the rule is not for it.
        """
        sensor, device = self._sensor(name, at), self._devices.get(name)
        if sensor is not None:
            found = Asset(sensor.area, sensor.limits)
        elif name in self._areas:
            found = Asset(name, None)
        elif device is not None:
            found = Asset(device.area, None)
        else:
            return None
        return found if applies(rule, self.facility, found.area, at) else None

    def area_of(self, subject: dict[str, str], at: int) -> str | None:
        """Return the area of an alarm's subject at an instant (ms): the one that it names, else that of its sensor."""
        sensor = self._sensor(subject.get("tag", ""), at)
        return subject.get("area", None if sensor is None else sensor.area)

    def _sensor(self, tag: str, at: int) -> Sensor | None:
        found = None
        for sensor in self._sensors.get(tag, []):
            if (sensor.from_ or 0) <= at:
                found = sensor
        return found
