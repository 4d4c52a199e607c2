"""What a facility declares of the state of its areas: trips of vehicles and boxes, folded from events (ADR 0041).

A trip begins with its earliest departure and ends with its newest arrival, once all lots that were shipped with it have arrived. So events may come in
any order, again, or late: what is known follows from all that came. All times are event times in ms; all that is kept is bounded, and counted where it goes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, TypeAlias

import msgspec

from rules.facts import area_in_force, facts_of_area
from rules.layout import NEVER, NONE
from rules.predicate import holds, in_scope
from rules.rare.match import area_of, text_of_field
from rules.rule import CumulativeRule, GapRule, LimitRule

if TYPE_CHECKING:
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
COUNTERS = (
    "trip_events",
    "trip_unnamed",
    "trip_stale",
    "trip_dropped",
    "trip_lot_dropped",
    "trip_span_left_out",
    "trip_distance_dropped",
    "trip_door_joined",
)
_At: TypeAlias = Annotated[int, msgspec.Meta(ge=NONE, le=NEVER)]
PackedTrip: TypeAlias = tuple[str, _At, _At, list[tuple[str, Annotated[int, msgspec.Meta(ge=1, le=3)]]]]
PackedDeclared: TypeAlias = tuple[
    list[tuple[str, Annotated[int, msgspec.Meta(ge=1)]]], list[tuple[str, _At, list[PackedTrip]]]
]
"""In a snapshot: counters; area, its floor, its trips."""
Span: TypeAlias = tuple[int, int]


@dataclass(slots=True)
class Trip:
    """One trip of an area, as far as it was told."""

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
        """Return when a trip of an area was under way, by time."""
        place = self.places.get(area)
        return [] if place is None else place.spans()

    def take(self, event: Event, at: int, facility: Facility, areas: frozenset[str]) -> str | None:
        """Take what an event tells of a trip; returns the area whose spans are others now, None: none.

        The area of the event is the vehicle or the box. One that names no trip, or an area that no rule asks for, tells nothing.

        Args:
            event: of any stream.
            at: the event time that counts, ms.
            facility: whose event it is.
            areas: those that a rule asks for.
        """
        if event.stream != "trace" or event.type not in {DEPARTED, ARRIVED}:
            return None
        area, trip = area_of(event, facility), text_of_field(event, "trip")
        if area is None or area not in areas:
            return None
        if trip is None:
            self.counts["trip_unnamed"] += 1
            return None
        before = self.spans(area)
        self.meet(area, trip, event.type, at, text_of_field(event, "lot") or "")
        return None if self.spans(area) == before else area

    def meet(self, area: str, trip: str, what: str, at: int, lot: str) -> None:
        """Take what an event tells: `shipped` or `arrived`, event time in ms, and the lot (empty: not named)."""
        self.counts["trip_events"] += 1
        place = self.places.setdefault(area, Place())
        one = place.trips.get(trip)
        if one is None:
            if at <= place.floor:
                self.counts["trip_stale"] += 1
                return
            one = place.trips[trip] = Trip()
        digest = hashlib.blake2b(lot.encode(), digest_size=6).hexdigest()
        if digest in one.lots or len(one.lots) < MAX_LOTS:
            one.lots[digest] = one.lots.get(digest, 0) | (1 if what == DEPARTED else 2)
        else:
            self.counts["trip_lot_dropped"] += 1
        if what == DEPARTED:
            one.shipped = at if one.shipped == NONE else min(one.shipped, at)
        else:
            one.arrived = max(one.arrived, at)
        if len(place.trips) > MAX_TRIPS:
            gone = min(place.trips, key=lambda name: (place.trips[name].newest, name))
            place.floor = max(place.floor, place.trips.pop(gone).newest)
            self.counts["trip_dropped"] += 1

    def keep(self, areas: frozenset[str]) -> None:
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

    @classmethod
    def unpack(cls, packed: PackedDeclared) -> Declared:
        """Return what packed members say."""
        counts, places = packed
        found = cls(dict.fromkeys(COUNTERS, 0) | dict(counts))
        for area, floor, trips in places:
            found.places[area] = Place(floor, {n: Trip(out, back, dict(lots)) for n, out, back, lots in trips})
        return found


def asks(rule: Rule) -> bool:
    """Say whether a rule holds only during a declared state."""
    return isinstance(rule, LimitRule | CumulativeRule | GapRule) and rule.during is not None


def asked(bundle: Bundle, facility: Facility, at_ms: int) -> frozenset[str]:
    """Return the areas of whose trips something is kept: those that such a rule in force may watch, with the facts of an instant."""
    rules = [
        rule for rule in bundle.rules
        if asks(rule) and rule.stage in {"live", "shadow"} and in_scope(rule, facility)
    ]  # fmt: skip
    found = set()
    for name in {area.id for area in facility.areas} if rules else ():
        facts = facts_of_area(facility, area_in_force(facility, name, at_ms))
        found |= {name} if any(holds(_of_areas(rule), facts) for rule in rules) else set()
    return frozenset(found)


def _of_areas(rule: Rule) -> dict[str, Predicate]:
    return {name: value for name, value in rule.applies_to.items() if not name.startswith("sensor.")}
