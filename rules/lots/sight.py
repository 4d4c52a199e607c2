"""Telemetry of a facility's stores and vehicles, as far as a shipment asks for it: which series these are, and what is known of them (ADR 0076)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from rules.facts import area_in_force
from rules.layout import NONE
from rules.rare.match import FUTURE_MS, area_of
from rules.register import AreaKind, Quantity

if TYPE_CHECKING:
    import numpy.typing as npt

    from rules.plan import Plan
    from rules.records import Event, Readings
    from rules.state import FacilityState

STORES: Final = ""
"""Stands for all areas of a facility that keep something cold."""
_COLD: Final = frozenset(
    {
        AreaKind.COLD_ROOM, AreaKind.COOL_STORE, AreaKind.FREEZER_ROOM, AreaKind.REFRIGERATOR, AreaKind.FREEZER,
        AreaKind.CRYO_TANK, AreaKind.CRYO_ROOM, AreaKind.ONLINE_STORE,
    }
)  # fmt: skip
_MOVING: Final = frozenset({AreaKind.VEHICLE, AreaKind.BOX})
DELIVERY_MS: Final = 60_000
"""How often the feed of a facility that is not registered is taken to post, ms."""


@dataclass(slots=True)
class Members:
    """Which series stand in a place; made anew where another plan comes into force."""

    plan: Plan | None = None
    masks: dict[str, npt.NDArray[np.bool_]] = field(default_factory=dict)

    def of(self, plan: Plan, place: str) -> npt.NDArray[np.bool_]:
        """Return of each slot whether its series is a temperature of the place; one more, behind them, is false: no series."""
        if plan is not self.plan:
            self.plan, self.masks = plan, {}
        mask = self.masks.get(place)
        if mask is None:
            mask = self.masks[place] = np.zeros(len(plan.sensors) + 1, np.bool_)
            for slot, sensor in enumerate(plan.sensors):
                if sensor.quantity == Quantity.TEMPERATURE:
                    mask[slot] = _kind_of(plan, sensor.area) in _COLD if place == STORES else sensor.area == place
        return mask


def _kind_of(plan: Plan, area: str) -> AreaKind | None:
    entry = area_in_force(plan.facility, area, plan.at)
    return None if entry is None else entry.kind


@dataclass(frozen=True, slots=True)
class Sight:
    """What a facility's state says of its telemetry, at an instant of the clock (`now`, ms)."""

    state: FacilityState
    now: int

    @property
    def delivery(self) -> int:
        """Return how often the feed posts, ms; at least one."""
        plan = self.state.plan
        return max(1, DELIVERY_MS if plan is None else plan.facility.delivery)

    def places(self, event: Event, sent_from: str | None) -> tuple[str, ...]:
        """Return whose telemetry belongs to what an event sends: the vehicle or box of the event, and the store that it names, else all that keep cold."""
        plan = self.state.plan
        if plan is None:
            return (STORES,)
        area = area_of(event, plan.facility)
        moving = (area,) if area is not None and _kind_of(plan, area) in _MOVING else ()
        named = next((one for one in (sent_from, area) if one and _kind_of(plan, one) in _COLD), STORES)
        return (*moving, named)

    def has(self, places: tuple[str, ...]) -> bool:
        """Say whether any series stands in some places."""
        plan = self.state.plan
        return plan is not None and any(bool(self._mask(plan, place).any()) for place in places)

    def newest(self, places: tuple[str, ...]) -> int:
        """Return the newest event time that is known of the series of some places, ms; NONE: none is."""
        plan = self.state.plan
        if plan is None or not plan.sensors:
            return NONE
        newest = self.state.column("last_t")
        found = [newest[self._mask(plan, place)[:-1]] for place in places]
        return max((int(one.max()) for one in found if one.size), default=NONE)

    def rows(self, place: str, payload: Readings, index: npt.NDArray[np.int64]) -> list[tuple[int, int]]:
        """Return the event times of a batch's rows of a place, each once, by time, with the first row that has it; not those of the future."""
        plan = self.state.planned
        rows = np.flatnonzero(self._mask(plan, place)[index] & (payload.time <= self.now + FUTURE_MS))
        times, first = np.unique(payload.time[rows], return_index=True)
        return list(zip(times.tolist(), rows[first].tolist(), strict=True))

    def _mask(self, plan: Plan, place: str) -> npt.NDArray[np.bool_]:
        return self.state.telling.watches.members.of(plan, place)
