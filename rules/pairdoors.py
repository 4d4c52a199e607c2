"""What the doors of the cleaner room make of a pair of rooms (docs/engine-semantics.md, "difference, with doors"; ADR 0091).

Each pair of a rule with `doors` keeps what was told of the doors of its cleaner room as it keeps its rows: behind the same floor, and read when the
instant of receipt is over. A pair of whose doors nothing was ever told keeps nothing. All times are event times in ms unless they are called received.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from rules.changes import Leaf, Verdict
from rules.doorstates import CLOSED, OPEN, STATES, UNKNOWN, Doors
from rules.kinds import difference
from rules.rare.match import area_of, device_of, text_of_field
from rules.rule import DifferenceRule

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rules.doorstates import PackedDoors
    from rules.layout import Words
    from rules.plan import Instance, Plan
    from rules.records import Event
    from rules.rule import Rule
    from rules.state import FacilityState

EVENT = ("device", "door")
"""Stream and type of the events that tell of doors."""
COUNTERS = ("door_events", "door_unreadable", "door_stale", "door_left_out", "door_dropped")
"""Events of doors that a pair asks for; those without a state; and of each pair that asked those that it could not read, or let go of."""
NO_DELAY = -1
"""Of a pair that asks for no doors, or of whose doors nothing is told."""

_NOTHING = Doors()
WORDS = {CLOSED: "closed", OPEN: "open", UNKNOWN: "not known"}
VERDICTS = {CLOSED: Verdict.TRUE, OPEN: Verdict.FALSE, UNKNOWN: Verdict.UNKNOWN}
"""Whether the doors are closed."""


class Guard(NamedTuple):
    """What the doors were at each instant of a pair, for the compiled fold."""

    delay: int
    """How long a run of records has to last while the doors are closed, ms; `NO_DELAY`: doors count for nothing."""
    state: Words
    since: Words


_NO_WORDS: Words = np.zeros(0, np.int64)
NO_GUARD = Guard(NO_DELAY, _NO_WORDS, _NO_WORDS)


def delay_of(rule: Rule) -> int:
    """Return how long (ms) a run lasts with the doors closed before a rule is told of it, `NO_DELAY` where it asks for no doors."""
    return NO_DELAY if not isinstance(rule, DifferenceRule) or rule.doors is None else rule.doors.closed


def areas_of(plan: Plan) -> dict[str, list[int]]:
    """Return the areas of whose doors something is asked, and the pairs that ask, by their places."""
    found: dict[str, list[int]] = {}
    for pair in plan.pairs:
        if delay_of(pair.rule) != NO_DELAY:
            found.setdefault(pair.subject["area"], []).append(pair.place)
    return found


def meet(state: FacilityState, event: Event, at: int, received: int) -> None:
    """Take what an event tells of a door, for each pair that asks; one that was told before what it has decided lets it wait to decide that again.

    Args:
        state: of the facility.
        event: of any stream.
        at: the event time that counts.
        received: its receive time, ms.
    """
    plan = state.planned
    if (event.stream, event.type) != EVENT:
        return
    places = plan.door_areas.get(area_of(event, plan.facility) or "", ())
    if not places:
        return
    word = text_of_field(event, "state")
    if word not in STATES:
        _count(state, "door_unreadable")
        return
    _count(state, "door_events")
    for place in places:
        _take(state, plan.pairs[place], device_of(event), at, received, is_open=STATES[word])


def _take(state: FacilityState, pair: Instance, door: str, at: int, received: int, *, is_open: bool) -> None:
    words, x = state.words, pair.state
    book = state.door_books.get(pair.key) or Doors()
    became = "stale" if at <= words[x + difference.FLOOR] else book.put(door, at, received, is_open=is_open)
    if became != "kept":
        if became != "known":
            _count(state, f"door_{became}")
        return
    state.door_books[pair.key] = book
    late = at <= words[x + difference.SEEN_T]
    if late or book.is_full:
        words[x + difference.WAITS] = received
        words[x + difference.LATE] |= int(late)
        state.refresh_pair(pair)


def _count(state: FacilityState, name: str, number: int = 1) -> None:
    state.door_counts[name] = state.door_counts.get(name, 0) + number


def guard_of(state: FacilityState, pair: Instance, times: Words) -> Guard:
    """Return what the doors of a pair were at some instants."""
    book = state.door_books.get(pair.key)
    return NO_GUARD if book is None else Guard(delay_of(pair.rule), *book.columns(times))


def first_of(state: FacilityState, pair: Instance, received: int) -> int:
    """Return the earliest event time of what came of its doors at a log time (ms), NEVER: nothing did."""
    return state.door_books.get(pair.key, _NOTHING).first_of(received)


def next_floor(state: FacilityState, pair: Instance) -> int:
    """Return up to when a pair has to be done with its instants, so that its doors have room; NONE: they have."""
    return state.door_books.get(pair.key, _NOTHING).next_floor()


def leave(state: FacilityState, pair: Instance, floor: int) -> None:
    """Let go of what says nothing of instants behind a floor; what goes because there was no room is counted."""
    book = state.door_books.get(pair.key)
    if book is not None:
        gone = book.forget(floor)
        if floor > state.of(pair, "floor"):
            _count(state, "door_dropped", gone)


def leaf(state: FacilityState, pair: Instance, t: int) -> Leaf | None:
    """Return what the doors of a pair were at the instant that raised its alarm, as evidence; None where nothing was ever told of them."""
    book = state.door_books.get(pair.key)
    if book is None:
        return None
    there = book.at(t).state
    return Leaf(
        expr=f"doors of {pair.subject['area']}", left=WORDS[there], op="=", right=WORDS[CLOSED], verdict=VERDICTS[there]
    )


def adopt(state: FacilityState) -> None:
    """Forget pairs that ask for doors no more: one that asks again begins with what comes then."""
    asks = {pair.key for pair in state.planned.pairs if delay_of(pair.rule) != NO_DELAY}
    state.door_books = {key: book for key, book in sorted(state.door_books.items()) if key in asks}


def pack(state: FacilityState) -> list[PackedDoors]:
    """Return what a snapshot holds."""
    return [book.pack(*key) for key, book in sorted(state.door_books.items())]


def load(state: FacilityState, books: Iterable[PackedDoors], counts: Iterable[tuple[str, int]]) -> None:
    """Take what a snapshot holds.

    Raises:
        ValueError: of a pair that asks for no doors, or what no fold leaves.
    """
    asks = {pair.key for pair in state.planned.pairs if delay_of(pair.rule) != NO_DELAY}
    for packed in books:
        key = packed[:2]
        if key not in asks or key in state.door_books:
            raise ValueError(f"doors of {key[1]} that {key[0]} does not ask for")
        state.door_books[key] = Doors.unpack(packed)
    for name, number in counts:
        if name not in COUNTERS or number < 1:
            raise ValueError(f"{name} is no count of doors")
        state.door_counts[name] = number
