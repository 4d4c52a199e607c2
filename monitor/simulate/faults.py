"""What faults do to readings: to the level, to the count, or to what the instrument shows. Pure functions of the instant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from monitor.simulate.script import CryoWarm, Excursion, Frozen, OutOfRange, OxygenLow, Particles, sensors_of
from monitor.simulate.signals import Signal, signal_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.simulate.noise import Floats, Ints
    from monitor.simulate.script import Incident, Script
    from rules.register import Facility, Sensor

RISE, FALL = 5.0, 8.0
"""A level goes and comes back exponentially: a fifth of the fault's time, an eighth afterwards."""
LEAVES_BY = 0.1
"""A broken wire shows a value this share of the range above it."""


@dataclass(frozen=True, slots=True)
class Source:
    """The readings of one sensor in a run: its signal and what the script does to it. `began` is the run's beginning (ms)."""

    signal: Signal
    incidents: tuple[Incident, ...]
    began: int

    @property
    def tag(self) -> str:
        """Return the sensor's tag."""
        return self.signal.sensor.tag

    def values(self, at: Ints) -> Floats:
        """Return the readings at these event times (ms)."""
        shown = self._measured(at)
        for incident in self.incidents:
            if isinstance(incident, Frozen):
                held = self._measured(np.array([self.began + incident.at], np.int64))[0]
                shown = np.where(self._during(incident, at), held, shown)
            elif isinstance(incident, OutOfRange):
                shown = np.where(self._during(incident, at), beyond(self.signal.sensor), shown)
        return shown

    def _measured(self, at: Ints) -> Floats:
        level = self.signal.level(at)
        for incident in self.incidents:
            course = self._course(incident, at)
            if isinstance(incident, Particles):
                level = level * (1.0 + (incident.times - 1.0) * self._during(incident, at))
            elif isinstance(incident, Excursion | CryoWarm):
                level = level + incident.by * course
            elif isinstance(incident, OxygenLow):
                level = level - incident.by * course
        return self.signal.measure(level, at)

    def _during(self, incident: Incident, at: Ints) -> Floats:
        since = at - self.began - incident.at
        return ((since >= 0) & (since < incident.for_)).astype(np.float64)

    def _course(self, incident: Incident, at: Ints) -> Floats:
        """Return 0 before, towards 1 while it lasts, back to 0 after it."""
        part = (at - self.began - incident.at) / incident.for_
        going = 1.0 - np.exp(-RISE * np.clip(part, 0.0, 1.0))
        return np.asarray(going * np.exp(-FALL * np.clip(part - 1.0, 0.0, 60.0)))


def beyond(sensor: Sensor) -> float:
    """Return what a sensor with a broken wire shows."""
    if sensor.range is None or sensor.range.high is None:  # the script was checked against the register
        return 0.0
    low = sensor.range.low if sensor.range.low is not None else 0.0
    return round(sensor.range.high + LEAVES_BY * (sensor.range.high - low), 1)


def sources_of(facility: Facility, script: Script, *, began: int, seed: int, speed: float) -> Sequence[Source]:
    """Return the sources of a facility's sensors that have an interval, in the register's order."""
    incidents = script.of(facility.id)
    return [
        Source(
            signal_of(facility, sensor, seed=seed, speed=speed),
            tuple(one for one in incidents if sensor in sensors_of(one, facility)),
            began,
        )
        for sensor in facility.sensors
        if sensor.interval is not None
    ]
