"""How each quantity behaves in each kind of area, nothing being wrong. All figures are our own, chosen to look like plants do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rules.register import AreaKind, Quantity

if TYPE_CHECKING:
    from rules.register import Area

SIGMAS = 3.5
"""Deviations of noise that a signal's swing allows for."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A level of rest and what moves it, in the unit of the quantity; times in signal time."""

    base: float
    noise: float
    """Standard deviation."""
    resolution: float
    """Used where the register names none."""
    daily: float = 0.0
    """Half of the day's swing; the warmest hour is 15:00 local."""
    cycle: float = 0.0
    """Half of the swing of a compressor or fan."""
    cycle_min: float = 20.0
    door: float = 0.0
    """What an open door adds at most; negative for a pressure."""
    door_min: float = 6.0
    """Minutes after which two thirds of it have gone."""
    defrost: float = 0.0
    boil_off: float = 0.0
    """What is lost until the next refill."""
    spread: float = 0.0
    """Sensors of one kind differ by at most this."""

    @property
    def swing(self) -> tuple[float, float]:
        """Return how far below and above the level of rest a quiet signal can go."""
        both = self.daily + self.cycle + SIGMAS * self.noise
        down = both + max(-self.door, 0.0) + self.boil_off
        return down, both + max(self.door, 0.0) + self.defrost


_COLD = Shape(4.7, 0.06, 0.1, daily=0.2, cycle=0.45, door=1.1, defrost=0.8, spread=0.2)
_BY_AREA: dict[tuple[Quantity, AreaKind], Shape] = {
    (Quantity.TEMPERATURE, AreaKind.COLD_ROOM): _COLD,
    (Quantity.TEMPERATURE, AreaKind.REFRIGERATOR): Shape(
        4.6, 0.07, 0.1, daily=0.15, cycle=0.6, cycle_min=35, door=1.3, door_min=4, defrost=0.4, spread=0.2
    ),
    (Quantity.TEMPERATURE, AreaKind.VEHICLE): Shape(
        4.8, 0.1, 0.1, daily=0.3, cycle=0.5, cycle_min=14, door=1.4, door_min=8, spread=0.3
    ),
    (Quantity.TEMPERATURE, AreaKind.BOX): Shape(5.0, 0.06, 0.1, daily=0.4, spread=0.2),
    (Quantity.TEMPERATURE, AreaKind.COOL_STORE): Shape(15.0, 0.08, 0.1, daily=0.9, cycle=0.5, cycle_min=40, door=0.8),
    (Quantity.TEMPERATURE, AreaKind.FREEZER_ROOM): Shape(
        -20.0, 0.12, 0.1, daily=0.3, cycle=0.8, door=1.6, defrost=1.4, spread=0.3
    ),
    (Quantity.TEMPERATURE, AreaKind.FREEZER): Shape(-79.0, 0.2, 0.1, daily=0.4, cycle=1.5, cycle_min=30, door=2.5),
    (Quantity.TEMPERATURE, AreaKind.CRYO_TANK): Shape(-178.0, 0.25, 0.1, daily=0.3, cycle=0.4, door=4.0, spread=1.5),
    (Quantity.TEMPERATURE, AreaKind.INCUBATOR): Shape(37.0, 0.03, 0.1, cycle=0.12, cycle_min=9, door=-0.4),
    (Quantity.TEMPERATURE, AreaKind.WATER_LOOP): Shape(80.5, 0.15, 0.1, cycle=0.8, cycle_min=25),
    (Quantity.TEMPERATURE, AreaKind.CLEANROOM): Shape(21.5, 0.05, 0.1, daily=0.3, cycle=0.25, cycle_min=15),
    (Quantity.HUMIDITY, AreaKind.CLEANROOM): Shape(50.0, 0.3, 0.1, daily=1.0, cycle=0.8, cycle_min=15, door=1.5),
}
_BY_QUANTITY: dict[Quantity, Shape] = {
    Quantity.TEMPERATURE: Shape(21.0, 0.08, 0.1, daily=0.9, cycle=0.3, cycle_min=30, door=0.5, spread=0.7),
    Quantity.HUMIDITY: Shape(54.0, 0.4, 0.1, daily=3.0, cycle=1.2, cycle_min=30, door=4.0, spread=2.0),
    Quantity.PRESSURE_DIFFERENCE: Shape(15.5, 0.25, 0.1, cycle=0.5, cycle_min=5, door=-3.0, door_min=1),
    Quantity.PRESSURE: Shape(101_000.0, 8.0, 1.0, daily=60.0),
    Quantity.CONDUCTIVITY: Shape(0.72, 0.012, 0.01, daily=0.03, cycle=0.02, cycle_min=25),
    Quantity.TOC: Shape(68.0, 1.5, 1.0, daily=6.0, cycle=3.0, cycle_min=50),
    Quantity.OXYGEN: Shape(20.8, 0.05, 0.1, cycle=0.05, cycle_min=60, door=0.1),
    Quantity.LN2_LEVEL: Shape(88.0, 0.25, 0.1, boil_off=26.0),
    Quantity.CO2: Shape(5.0, 0.04, 0.1, cycle=0.08, cycle_min=7, door=-0.6),
}
_PARTICLES: dict[tuple[Quantity, str], Shape] = {
    (Quantity.PARTICLES_FINE, "A"): Shape(700.0, 0.0, 1.0, daily=120.0, door=300.0, door_min=3),
    (Quantity.PARTICLES_FINE, "B"): Shape(60_000.0, 0.0, 1.0, daily=9_000.0, door=50_000.0),
    (Quantity.PARTICLES_FINE, "C"): Shape(600_000.0, 0.0, 1.0, daily=90_000.0, door=500_000.0),
    (Quantity.PARTICLES_FINE, "D"): Shape(900_000.0, 0.0, 1.0, daily=90_000.0, door=700_000.0),
    (Quantity.PARTICLES_COARSE, "A"): Shape(1.0, 0.0, 1.0),
    (Quantity.PARTICLES_COARSE, "B"): Shape(420.0, 0.0, 1.0, daily=60.0, door=350.0),
    (Quantity.PARTICLES_COARSE, "C"): Shape(4_200.0, 0.0, 1.0, daily=600.0, door=3_500.0),
    (Quantity.PARTICLES_COARSE, "D"): Shape(6_000.0, 0.0, 1.0, daily=600.0, door=5_000.0),
}


def shape_of(quantity: Quantity, area: Area) -> Shape:
    """Return the shape of a quantity in an area; particles go by the room's grade (in operation)."""
    if quantity in {Quantity.PARTICLES_FINE, Quantity.PARTICLES_COARSE}:
        return _PARTICLES[quantity, area.grade or "D"]
    return _BY_AREA.get((quantity, area.kind)) or _BY_QUANTITY[quantity]
