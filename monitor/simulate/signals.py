"""What a simulated sensor shows: a level by the physics of its room, then noise, counting and the instrument's resolution.

All instants that go in are event times (int64 ms); signal time is the instant times `speed`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from monitor.simulate.noise import Floats, Ints, key_of, normal, poisson, uniform
from monitor.simulate.shapes import Shape, shape_of
from rules.register import Quantity

if TYPE_CHECKING:
    from rules.register import Facility, Sensor

MINUTE = 60_000.0
HOUR = 3_600_000.0
LOCAL_H = 8
"""Hours of Asia/Shanghai ahead of UTC."""
SLOT_MS = 30 * 60_000
"""A door opens at most once in half an hour of signal time."""
WORK_H = (7, 19)
AT_WORK, AT_REST = 0.55, 0.06
"""Chance of an opening in a slot, inside working hours and outside."""
DEFROST_H, DEFROST_MIN = 6.0, 20.0
REFILL_H, REFILL_SHARE = 60.0, 0.02
"""A tank is refilled every 60 hours of signal time, in a fiftieth of that."""
SAMPLE_M3 = 0.0283
"""One cubic foot: what a counter of 28.3 L/min draws in a minute (limits.md §1.1)."""
MARGIN = 0.9
"""Share of the room to the registered limits that a quiet signal may use."""


@dataclass(frozen=True, slots=True)
class Signal:
    """The signal of one sensor: a pure function of the instant."""

    sensor: Sensor
    shape: Shape
    key: int
    area_key: int
    speed: float
    base: float
    scale: float

    def level(self, at: Ints) -> Floats:
        """Return the true level in the sensor's unit, without noise."""
        s = (at * self.speed).astype(np.int64)
        hour = s / HOUR
        shape, scale = self.shape, self.scale
        level = np.full(at.shape, self.base)
        level += scale * shape.daily * np.cos(2 * np.pi * (hour + LOCAL_H - 15) / 24)
        level += scale * shape.cycle * _saw((s / MINUTE / shape.cycle_min + _share(self.key, 1)) % 1.0)
        if shape.door:
            level += scale * shape.door * _doors(self.area_key, s, shape.door_min) * (0.6 + 0.4 * _share(self.key, 2))
        if shape.defrost:
            since = (hour + DEFROST_H * _share(self.area_key, 3)) % DEFROST_H * 60
            hump = np.where(since < DEFROST_MIN, np.sin(np.pi * np.minimum(since / DEFROST_MIN, 1.0)) ** 2, 0.0)
            level += scale * shape.defrost * hump
        if shape.boil_off:
            level -= scale * shape.boil_off * _used((hour / REFILL_H + _share(self.area_key, 4)) % 1.0)
        return level

    def measure(self, level: Floats, at: Ints) -> Floats:
        """Return what the instrument shows of a level: noise or counted particles, range, resolution."""
        sensor = self.sensor
        if sensor.quantity in {Quantity.PARTICLES_FINE, Quantity.PARTICLES_COARSE}:
            drawn = sensor.sample_m3 or SAMPLE_M3
            value = poisson(self.key, at, np.maximum(level, 0.0) * drawn) / drawn
        else:
            value = level + self.scale * self.shape.noise * normal(self.key, at)
        if sensor.range is not None:
            value = np.clip(value, sensor.range.low, sensor.range.high)
        step = sensor.resolution or self.shape.resolution
        return np.round(np.rint(value / step) * step, max(0, -math.floor(math.log10(step))))

    def values(self, at: Ints) -> Floats:
        """Return the readings at these instants, nothing being wrong."""
        return self.measure(self.level(at), at)


def signal_of(facility: Facility, sensor: Sensor, *, seed: int, speed: float) -> Signal:
    """Return the signal of a registered sensor; it keeps inside the registered limits, if there are any."""
    area = next(area for area in facility.areas if area.id == sensor.area)
    shape = shape_of(sensor.quantity, area)
    key, area_key = key_of(seed, facility.id, "tag", sensor.tag), key_of(seed, facility.id, "area", area.id)
    base = _base(shape, sensor) + shape.spread * (2 * _share(key, 5) - 1)
    return Signal(sensor, shape, key, area_key, speed, base, _scale(shape, sensor, base))


def _base(shape: Shape, sensor: Sensor) -> float:
    """Return the level of rest: the shape's own, or the middle of registered limits that it does not fit."""
    low = -math.inf if sensor.limits is None or sensor.limits.low is None else sensor.limits.low
    high = math.inf if sensor.limits is None or sensor.limits.high is None else sensor.limits.high
    if low < shape.base < high:
        return shape.base
    if math.isfinite(high - low):
        return (low + high) / 2
    return low + 4 * shape.swing[1] if math.isfinite(low) else high - 4 * shape.swing[0]


def _scale(shape: Shape, sensor: Sensor, base: float) -> float:
    down, up = shape.swing
    scale = 1.0
    if sensor.limits is not None and sensor.limits.high is not None and up > 0:
        scale = min(scale, MARGIN * (sensor.limits.high - base) / up)
    if sensor.limits is not None and sensor.limits.low is not None and down > 0:
        scale = min(scale, MARGIN * (base - sensor.limits.low) / down)
    return max(scale, 0.0)


def _share(key: int, n: int) -> float:
    return float(uniform(key, np.array([n], np.int64))[0])


def _saw(phase: Floats) -> Floats:
    """Return -1 to 1: slow warming for three fifths of a period, cooling for the rest."""
    return np.where(phase < 0.6, phase / 0.3 - 1, 1 - (phase - 0.6) / 0.2)  # noqa: PLR2004 - the shape, said above


def _used(phase: Floats) -> Floats:
    """Return 0 to 1: the share of a tank's nitrogen that has boiled off since it was filled."""
    filling = 1.0 - REFILL_SHARE
    return np.where(phase < filling, phase / filling, (1.0 - phase) / REFILL_SHARE)


def _doors(area_key: int, s: Ints, tau_min: float) -> Floats:
    """Return 0 to about 1: warm air let in by the doors of an area, which leaves it with `tau_min`."""
    total = np.zeros(s.shape)
    for back in (0, 1, 2):
        slot = s // SLOT_MS - back
        hour = (slot * (SLOT_MS / HOUR) + LOCAL_H) % 24
        chance = np.where((hour >= WORK_H[0]) & (hour < WORK_H[1]), AT_WORK, AT_REST)
        opened = uniform(area_key, 4 * slot) < chance
        begin = slot * SLOT_MS + (uniform(area_key, 4 * slot + 1) * SLOT_MS).astype(np.int64)
        lasts = 1.0 + 3.0 * uniform(area_key, 4 * slot + 2)
        since = (s - begin) / MINUTE
        inside = 1.0 - np.exp(-np.clip(since, 0.0, lasts) / 2.0)
        after = np.exp(-np.clip(since - lasts, 0.0, 60.0) / tau_min)
        total += np.where(opened & (since > 0), inside * after, 0.0)
    return np.minimum(total, 1.0)
