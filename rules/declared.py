"""What a facility declares of the state of its areas, folded from events: trips of vehicles and boxes, filling in clean rooms (ADR 0041, 0050).

A trip begins with its earliest departure and ends with its newest arrival, once all lots that were shipped with it have arrived. So events may come in
any order, again, or late: what is known follows from all that came. A filling is one span of a batch, from and to as its event says. All times are event times in ms; all that is kept is bounded, and counted where it goes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, TypeAlias

import msgspec
from pydantic import TypeAdapter, ValidationError

from rules.facts import area_in_force, facts_of_area
from rules.instants import Instant
from rules.layout import NEVER, NONE
from rules.monitors import STATES, Switches
from rules.predicate import holds, in_scope
from rules.rare.match import area_of, device_of, text_of_field
from rules.rule import CumulativeRule, GapRule, LimitRule

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from rules.monitors import PackedMonitors
    from rules.pack import Bundle
    from rules.records import Event
    from rules.register import Facility
    from rules.rule import Predicate, Rule

LONGEST_MS = 30 * 86_400_000
"""A trip lasts so long at most, also where its arrival is missing (default-rules.md, ship-warm: "then the last 30 d")."""
MAX_TRIPS = 64
"""Trips of an area that are kept: the one that was heard of longest ago goes first, and trips up to it are stale from then on."""
MAX_LOTS = 256
"""Lots of a trip that are told apart; the arrival of further ones is not waited for."""
DEPARTED, ARRIVED = "shipped", "arrived"
TRIP, FILLING = "trip", "filling"
"""Declared states: of vehicles and boxes; of clean rooms, told by the step of a batch that bears this name."""
_INSTANT: TypeAdapter[int] = TypeAdapter(Instant)
COUNTERS = (
    "trip_events",
    "trip_unnamed",
    "trip_stale",
    "trip_dropped",
    "trip_lot_dropped",
    "trip_span_left_out",
    "trip_distance_dropped",
    "trip_door_joined",
    "step_events",
    "step_unreadable",
    "step_stale",
    "step_dropped",
    "monitor_events",
    "monitor_unreadable",
    "monitor_stale",
    "monitor_dropped",
)
_At: TypeAlias = Annotated[int, msgspec.Meta(ge=NONE, le=NEVER)]
PackedTrip: TypeAlias = tuple[str, _At, _At, list[tuple[str, Annotated[int, msgspec.Meta(ge=1, le=3)]]]]
PackedDeclared: TypeAlias = tuple[
    list[tuple[str, Annotated[int, msgspec.Meta(ge=1)]]], list[tuple[str, _At, list[PackedTrip]]]
]
"""In a snapshot: counters; area, its floor, its trips."""
Span: TypeAlias = tuple[int, int]
_ASKED = {
    ("trace", DEPARTED): TRIP, ("trace", ARRIVED): TRIP, ("trace", "batch-step"): FILLING, ("device", "monitor"): FILLING,
}  # fmt: skip
"""Which events tell of which state."""


@dataclass(slots=True)
class Trip:
    """One trip of an area, as far as it was told; or one filling, which has no lots."""

    shipped: int = NONE
    """Its earliest departure ..."""
    arrived: int = NONE
    """... and its newest arrival."""
    lots: dict[str, int] = field(default_factory=dict)
    """Digest of a lot -> 1: shipped, 2: arrived, 3: both."""

    @property
    def newest(self) -> int:
        """Return the newest event time that is known of it."""
        return max(self.shipped, self.arrived)

    def span(self) -> Span | None:
        """Return from when to when it lasts, None where its departure is not known or lies behind its arrival."""
        if self.shipped == NONE:
            return None
        under_way = self.arrived == NONE or 1 in self.lots.values()
        end = self.shipped + LONGEST_MS
        end = end if under_way else min(end, self.arrived)
        return None if end < self.shipped else (self.shipped, end)


@dataclass(slots=True)
class Place:
    """The trips of one area."""

    floor: int = NONE
    """Trips of which nothing newer is told than this have gone out."""
    trips: dict[str, Trip] = field(default_factory=dict)
    switches: Switches = field(default_factory=Switches)
    """Of the monitors of an area in which is filled."""

    def spans(self) -> list[Span]:
        """Return when a trip was under way, by time; trips that overlap or touch are one span.

        >>> Place(trips={"a": Trip(5, 9), "b": Trip(9, 12), "c": Trip(20, 15)}).spans()
        [(5, 12)]
        """
        found: list[Span] = []
        for begin, end in sorted(span for trip in self.trips.values() if (span := trip.span()) is not None):
            if found and begin <= found[-1][1] + 1:  # no instant lies between
                found[-1] = (found[-1][0], max(found[-1][1], end))
            else:
                found.append((begin, end))
        return found


@dataclass(slots=True)
class Declared:
    """What is kept of a facility's declared states."""

    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTERS, 0))
    places: dict[str, Place] = field(default_factory=dict)

    def spans(self, area: str) -> list[Span]:
        """Return when an area was in the state that a rule asks for, by time."""
        place = self.places.get(area)
        return [] if place is None else place.spans()

    def off(self, area: str) -> list[Span]:
        """Return when a monitor of an area was off, by time; NEVER ends one that is still off."""
        place = self.places.get(area)
        return [] if place is None else place.switches.spans()

    def is_told_of_monitors(self, area: str) -> bool:
        """Say whether anything is known of the monitors of an area."""
        return area in self.places and bool(self.places[area].switches.by_device)

    def take(self, event: Event, at: int, facility: Facility, areas: Mapping[str, str]) -> str | None:
        """Take what an event tells of a state that is asked for; returns the area whose spans are others now, None: none.

        The area of the event is the vehicle or the box, or the clean room. One that names no trip, or an area that no rule asks for, tells nothing.

        Args:
            event: of any stream.
            at: the event time that counts, ms.
            facility: whose event it is.
            areas: area -> the state of it that a rule asks for.
        """
        if (event.stream, event.type) not in _ASKED:
            return None
        area = area_of(event, facility)
        if area is None or areas.get(area) != _ASKED[event.stream, event.type]:
            return None
        before = self.spans(area), self.off(area)
        if event.type == "batch-step":
            self._step(area, event)
        elif event.type == "monitor":
            self._switch(area, event, at)
        elif (trip := text_of_field(event, "trip")) is None:
            self.counts["trip_unnamed"] += 1
        else:
            self.meet(area, trip, event.type, at, text_of_field(event, "lot") or "")
        return None if (self.spans(area), self.off(area)) == before else area

    def _step(self, area: str, event: Event) -> None:
        """Take the step of a batch: of one that is told again with the same beginning the later end counts, whichever came first."""
        batch, step = text_of_field(event, "batch"), text_of_field(event, "step")
        if batch is not None and step is not None and step != FILLING:
            return
        begin, end = _instant(event.fields.get("from")), _instant(event.fields.get("to"))
        ends = event.fields.get("to") is not None
        if batch is None or step is None or begin is None or (ends and (end is None or end < begin)):
            self.counts["step_unreadable"] += 1
            return
        self.counts["step_events"] += 1
        one = self._one(area, f"{begin} {batch}", begin, "step")
        if one is not None:
            one.shipped, one.arrived = begin, max(one.arrived, NONE if end is None else end)
            self._keep_few(area, "step")

    def _switch(self, area: str, event: Event, at: int) -> None:
        state = text_of_field(event, "state")
        if state not in STATES:
            self.counts["monitor_unreadable"] += 1
            return
        self.counts["monitor_events"] += 1
        became = self.places.setdefault(area, Place()).switches.put(device_of(event), at, off=STATES[state])
        if became != "kept":
            self.counts[f"monitor_{became}"] += 1

    def _one(self, area: str, name: str, at: int, what: str) -> Trip | None:
        """Return a trip or filling of an area by its name, None where it is no newer (ms) than what has gone out."""
        place = self.places.setdefault(area, Place())
        if name not in place.trips:
            if at <= place.floor:
                self.counts[f"{what}_stale"] += 1
                return None
            place.trips[name] = Trip()
        return place.trips[name]

    def _keep_few(self, area: str, what: str) -> None:
        place = self.places[area]
        if len(place.trips) > MAX_TRIPS:
            gone = min(place.trips, key=lambda name: (place.trips[name].newest, name))
            place.floor = max(place.floor, place.trips.pop(gone).newest)
            self.counts[f"{what}_dropped"] += 1

    def meet(self, area: str, trip: str, what: str, at: int, lot: str) -> None:
        """Take what an event tells: `shipped` or `arrived`, event time in ms, and the lot (empty: not named)."""
        self.counts["trip_events"] += 1
        one = self._one(area, trip, at, "trip")
        if one is None:
            return
        digest = hashlib.blake2b(lot.encode(), digest_size=6).hexdigest()
        if digest in one.lots or len(one.lots) < MAX_LOTS:
            one.lots[digest] = one.lots.get(digest, 0) | (1 if what == DEPARTED else 2)
        else:
            self.counts["trip_lot_dropped"] += 1
        if what == DEPARTED:
            one.shipped = at if one.shipped == NONE else min(one.shipped, at)
        else:
            one.arrived = max(one.arrived, at)
        self._keep_few(area, "trip")

    def keep(self, areas: Container[str]) -> None:
        """Forget areas that no rule asks for any more."""
        self.places = {area: place for area, place in self.places.items() if area in areas}

    def pack(self) -> PackedDeclared | msgspec.UnsetType:
        """Return the members for a snapshot, none where nothing was ever declared that a rule asks for."""
        counts = [(name, number) for name, number in self.counts.items() if number]
        places = [
            (
                area,
                place.floor,
                [(n, t.shipped, t.arrived, sorted(t.lots.items())) for n, t in sorted(place.trips.items())],
            )
            for area, place in sorted(self.places.items())
        ]
        return (counts, places) if counts or places else msgspec.UNSET

    def pack_monitors(self) -> PackedMonitors | msgspec.UnsetType:
        """Return what is kept of monitors, for a snapshot; nothing where none was ever told of in an area that a rule asks for."""
        found = [
            (area, one.floor, [(device, sorted(told.items())) for device, told in sorted(one.by_device.items())])
            for area, one in sorted((area, place.switches) for area, place in self.places.items())
            if one != Switches()
        ]  # fmt: skip
        return found or msgspec.UNSET

    @classmethod
    def unpack(cls, packed: PackedDeclared, monitors: PackedMonitors | msgspec.UnsetType = msgspec.UNSET) -> Declared:
        """Return what packed members say."""
        counts, places = packed
        found = cls(dict.fromkeys(COUNTERS, 0) | dict(counts))
        for area, floor, trips in places:
            found.places[area] = Place(floor, {n: Trip(out, back, dict(lots)) for n, out, back, lots in trips})
        for area, floor, devices in () if isinstance(monitors, msgspec.UnsetType) else monitors:
            found.places.setdefault(area, Place()).switches = Switches(
                floor, {name: dict(told) for name, told in devices}
            )
        return found


def _instant(value: object) -> int | None:
    try:
        return _INSTANT.validate_python(value)
    except ValidationError:
        return None


def asks(rule: Rule) -> bool:
    """Say whether a rule holds only during a declared state."""
    return isinstance(rule, LimitRule | CumulativeRule | GapRule) and rule.during is not None


def asked(bundle: Bundle, facility: Facility, at_ms: int) -> dict[str, str]:
    """Return the areas of whose state something is kept, and of which: those that such a rule in force may watch, with the facts of an instant."""
    rules = [
        rule for rule in bundle.rules
        if asks(rule) and rule.stage in {"live", "shadow"} and in_scope(rule, facility)
    ]  # fmt: skip
    found: dict[str, str] = {}
    for name in {area.id for area in facility.areas} if rules else ():
        facts = facts_of_area(facility, area_in_force(facility, name, at_ms))
        state = next((getattr(rule, "during", None) for rule in rules if holds(_of_areas(rule), facts)), None)
        found |= {} if state is None else {name: state}
    return found


def _of_areas(rule: Rule) -> dict[str, Predicate]:
    return {name: value for name, value in rule.applies_to.items() if not name.startswith("sensor.")}
