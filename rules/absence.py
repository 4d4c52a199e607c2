"""Silences during a declared state (kind `gap` with `during`), judged over what is known when an instant is over (docs/engine-semantics.md).

What is told is a function of the distances between rows that are kept (rules/kinds/absence.py), the spans of the area's state (rules/declared.py), the
time in which our front door was closed, and the clock; so it does not matter in which order rows and events came (ADR 0045).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from rules import horizon, layout, rowclass, stored, uncovered
from rules.changes import ChangeKind
from rules.failing import attempt
from rules.kinds import absence
from rules.layout import ABSENCE, NEVER, NONE, QUALITY_BITS, ROW_BQ, ROW_T, ROW_V
from rules.occurrence import Difference, Folded, differences

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rules.declared import Span
    from rules.emission import Emitter
    from rules.layout import Words
    from rules.occurrence import Occurrence
    from rules.plan import Instance
    from rules.state import FacilityState

_NAN = float("nan")


@dataclass(frozen=True, slots=True)
class Numbers:
    """What a rule compares with on one series, in ms; colours are ranks."""

    silent: int
    pace: int
    """After which the next record is due: where an alarm begins."""
    delivery: int
    base: int
    steps: tuple[tuple[int, int], ...]
    """After how long, to which colour."""

    def colour(self, length: int) -> int:
        """Return the colour of a silence that has ended."""
        return max([self.base, *(rank for after, rank in self.steps if length > after)])

    def told(self, start: int, end: int, sev: int) -> Folded:
        """Return an alarm from an instant to another one (NONE: it is open)."""
        return Folded(start, end, sev, sev, start, end, unknown=False, value=_NAN, peak=_NAN, first=NONE)


@dataclass(slots=True)
class Found:
    """What holds at an instant."""

    silences: list[Folded] = field(default_factory=list)
    """By start; only the last can be open."""
    late: set[int] = field(default_factory=set)
    """Starts of those that the clock would have found before, had it known what is known now."""
    since: int = NONE
    """Begin of the span in which one is open."""
    due: int = NEVER
    """When the clock alone makes it another answer next."""


def closed(doors: Sequence[Span], begin: int, end: int) -> int:
    """Return how long our front door was closed between two instants, ms."""
    return sum(max(0, min(high, end) - max(low, begin)) for low, high in doors)


def reach(doors: Sequence[Span], begin: int, length: int) -> int:
    """Return the instant by which our front door was open for so long behind another one.

    >>> reach([(5, 9)], 0, 5), reach([(5, 9)], 0, 6), reach([(5, 9)], 7, 3)
    (5, 10, 12)
    """
    at = begin + length
    for low, high in doors:
        if high > begin and low < at:
            at += high - max(low, begin)
    return at


def silences(
    n: Numbers, lo: int, distances: Sequence[Span], spans: Sequence[Span], doors: Sequence[Span], now: int
) -> Found:
    """Return the silences of a series inside some spans, as they are known at an instant.

    Args:
        n: the numbers.
        lo: event time of the newest row, ms.
        distances: between neighbouring rows, those that are longer than `silent`, by time.
        spans: of the declared state, both ends inside, by time.
        doors: when our front door was closed.
        now: the instant (receive time, ms); nothing more comes at it.
    """
    found = Found()
    for low, high in distances:
        for begin, end in spans:
            first, last = max(low, begin), min(high, end)
            length = last - first - closed(doors, first, last)
            if length > n.silent:
                _end(found, n, first, last, length, now, doors)
    for begin, end in spans:
        first = max(lo, begin)
        length = end - first - closed(doors, first, end)
        if length <= n.silent:
            continue
        due, over = reach(doors, first, n.silent + n.delivery), reach(doors, end, n.delivery)
        if over <= now:
            _end(found, n, first, end, length, now, doors)
            continue
        steps = [(reach(doors, first, after + n.delivery), rank) for after, rank in n.steps if length > after]
        if due <= now:
            sev = max([n.base, *(rank for at, rank in steps if at <= now)])
            found.silences.append(_folded(n, first, NONE, sev))
            found.since = begin
            if due < now:
                found.late.add(first + n.pace)
        ahead = [at for at in (due, over, *(at for at, _ in steps)) if at > now]
        found.due = min([found.due, *ahead])
    return found


def _end(found: Found, n: Numbers, first: int, last: int, length: int, now: int, doors: Sequence[Span]) -> None:
    found.silences.append(_folded(n, first, last, n.colour(length)))
    if reach(doors, first, n.silent + n.delivery) < now:
        found.late.add(first + n.pace)


def _folded(n: Numbers, first: int, end: int, sev: int) -> Folded:
    return replace(n.told(first + n.pace, end, sev), opened=first)


def held(start: int | None, found: Found) -> bool:
    """Say whether an open silence goes on that began before the newest row: rows of before are still coming, and nothing of it is over.

    It then keeps its start (ms; None: none is open), and the colour that it had.
    """
    if start is None or not found.silences or found.silences[-1].end != NONE:
        return False
    *ended, last = found.silences
    return last.start > start > found.since and all(one.end <= start for one in ended)


def standing(found: Found, edge: int, told: Sequence[Span]) -> list[Folded]:
    """Leave of what was found what can still be told; returns that as it was found.

    Silences that are over up to `edge` stand as they were judged, but for those that end what is open. Time up to `edge` is not silent anew: of what
    was not told before only the part behind it is found, and what was told does not begin earlier for it.

    Args:
        found: what holds; changed in place.
        edge: event time of the newest row that had left the horizon, ms.
        told: begin and end (NONE: open) of the silences that stand and are not over up to it.
    """
    active = next((begin for begin, end in told if end == NONE), None)
    left, whole = list(told), []
    kept, found.silences = found.silences, []
    for one in kept:
        end = NEVER if one.end == NONE else one.end
        if end <= edge and (active is None or active >= end):
            continue
        whole.append(one)
        same = next((span for span in left if span[0] < end and (span[1] == NONE or one.start < span[1])), None)
        if one.start > edge:
            found.silences.append(one)
        elif same is not None:
            found.silences.append(replace(one, start=max(one.start, min(same[0], edge + 1))))
            left = [span for span in left if span != same]
        elif end > edge + 1:
            found.silences.append(replace(one, start=edge + 1))
            found.late.add(edge + 1)
    return whole


def known_as(instance: Instance) -> tuple[object, ...]:
    """Return by what an instance is known across plans: one of a declared state ends where its sensor stands in another area."""
    return (instance.kind, *instance.key, instance.area if instance.kind == ABSENCE else "")


def begin(state: FacilityState, instance: Instance) -> None:
    """Count the silence of a new instance from the series' newest row since its registration, or from that."""
    newest = max(state.of_series("last_t", instance.slot), state.registered[instance.tag])
    for place in (absence.LO, absence.EDGE):
        state.words[instance.state + place] = newest


def adopt(state: FacilityState, received: int) -> None:
    """Judge all instances anew behind a change of register or packs; what has left the horizon by it stands."""
    for instance in state.planned.by_kind[ABSENCE]:
        _leave(state, instance, _found(state, instance, received).silences)
        state.words[instance.state + absence.DUE] = received


def arm(state: FacilityState, instances: Iterable[Instance]) -> None:
    """Let instances be judged once the instant that is now is over."""
    for instance in instances:
        at = instance.state + absence.DUE
        state.words[at] = min(int(state.words[at]), state.clock)
        state.refresh(instance.slot)


def close_door(state: FacilityState, shut: int, now: int) -> None:
    """Note that our front door was closed from `shut` to `now` (receive times, ms): that is nobody's silence."""
    if state.plan is None:
        return
    for instance in state.plan.by_kind[ABSENCE]:
        since = max(shut, state.of_series("last_m", instance.slot))
        doors = _spans(state, instance, absence.DOOR, absence.DOORS)
        if since < now:
            doors.append((since, now))
        if len(doors) > absence.DOORS:
            doors[:2] = [(doors[0][0], doors[1][1])]
            state.declared.counts["trip_door_joined"] += 1
        _write(state, instance, absence.DOOR, absence.DOORS, doors)
        if (
            state.of(instance, "due") > state.clock
        ):  # what the clock would have decided inside of it is decided at its end
            state.words[instance.state + absence.DUE] = now
        state.refresh(instance.slot)


def note(state: FacilityState, instance: Instance) -> None:
    """Look at the distances of the horizon again: late rows lie in them, or a mark was taken from rows.

    What counts stays so: a mark that comes behind a row takes nothing from it here. So the first row of the horizon that counts lies no farther behind the
    one before than is allowed, or that distance is kept.
    """
    words, x = state.words, instance.state
    edge = max(_edge(state, instance), int(words[x + absence.EDGE]))
    times = _counting(state, instance)
    times = times[times > edge]
    distances, newest = _distances(state, instance), int(words[x + absence.LO])
    over = [before for before, behind in distances if before <= edge < behind]
    begin = over if over or newest > edge else [newest]
    points = np.concatenate([np.array(begin, np.int64), times])
    wide = np.flatnonzero(np.diff(points) > state.param(instance, "silent"))
    rows = [(int(points[i]), int(points[i + 1])) for i in wide]
    kept = [one for one in distances if one[1] <= edge]
    _set_distances(state, instance, [])
    for before, behind in [*kept, *rows]:
        absence.keep(words, x, before, behind)
    words[x + absence.LO] = max([newest, *times[-1:].tolist()])
    arm(state, [instance])


def _counting(state: FacilityState, instance: Instance) -> Words:
    """Return the event times of the rows of the ring that count for the rule."""
    plan, slot = state.planned, instance.slot
    rows, which = stored.ring_rows(plan, state.words, state.rings, slot), state.param(instance, "rows")
    if which == NONE:
        return rows[:, ROW_T]
    quality = rows[:, ROW_BQ] & ((1 << QUALITY_BITS) - 1)
    program, value = np.array([plan.place(slot, layout.AT_PROGRAM)]), rows.view(np.float64)[:, ROW_V].copy()
    counts = rowclass.judge(plan.reals, program, np.zeros(quality.size, np.int64), value, quality, which)
    times: Words = rows[counts == 1, ROW_T]
    return times


def decide_waiting(state: FacilityState, emitter: Emitter) -> None:
    """Judge what waits for the instant that is now to be over: something comes that has to know it."""
    found = [] if state.plan is None else state.plan.by_kind[ABSENCE]
    waits = [one for one in found if state.of(one, "due") <= state.clock]
    for instance in sorted(waits, key=lambda one: (one.rank, one.tag)):
        decide(state, instance, state.clock, emitter)


def published(state: FacilityState, instance: Instance) -> list[Occurrence]:
    """Return the silences of a series that were told, stand, and are not over up to its edge."""
    edge = int(state.words[instance.state + absence.EDGE])
    told = state.occurrences.get((ABSENCE, *instance.key), [])
    return [one for one in told if not one.retracted and (one.end == NONE or one.closed > edge)]


def decide(state: FacilityState, instance: Instance, now: int, emitter: Emitter) -> None:
    """Judge a series at an instant that is over (receive time, ms)."""
    state.words[instance.state + absence.DUE] = NEVER
    attempt(emitter, instance.rule.id, now, partial(_judge, state, instance, now, emitter))
    state.refresh(instance.slot)


def numbers_of(state: FacilityState, instance: Instance) -> Numbers:
    """Return what an instance compares with."""
    block = state.planned.block(instance)

    def of(name: str) -> list[int]:
        part = absence.PARAMS[name]
        return [int(word) for word in block[part.start : part.start + part.size]]

    steps = tuple(zip(of("step_after"), of("step_sev"), strict=True))[: of("steps")[0]]
    return Numbers(of("silent")[0], of("pace")[0], of("delivery")[0], of("sev")[0], steps)


def _found(state: FacilityState, instance: Instance, now: int) -> Found:
    n, spans = numbers_of(state, instance), state.declared.spans(instance.area)
    doors = _spans(state, instance, absence.DOOR, absence.DOORS)
    found = silences(n, state.of(instance, "lo"), _distances(state, instance), spans, doors, now)
    if state.param(instance, "off"):
        uncovered.join(n, found, spans, state.declared.off(instance.area), now)
    return found


def _judge(state: FacilityState, instance: Instance, now: int, emitter: Emitter) -> None:
    words, x = state.words, instance.state
    n, found = numbers_of(state, instance), _found(state, instance, now)
    edge, lost = int(words[x + absence.EDGE]), int(words[x + absence.LOST_T])
    told = published(state, instance)
    active = next((one for one in told if one.end == NONE), None)
    whole = standing(found, edge, [(one.start, one.end) for one in told])
    if active is not None and held(active.start, found):
        last = found.silences[-1]
        sev = max(last.sev, active.sev)
        found.silences[-1] = replace(last, start=active.start, sev=sev, top=sev)
    if active is not None and NONE < active.start < lost:  # how it ended is not known any more: by then at the latest
        found.silences.insert(0, replace(_folded(n, active.start - n.pace, lost, active.sev), top=active.top))
    for one in differences(told, found.silences):
        _tell(instance, one, now, emitter, late=one.new is not None and one.new.start in found.late)
    state.declared.counts["trip_distance_dropped"] += int(words[x + absence.LOST])
    words[x + absence.LOST], words[x + absence.LOST_T] = 0, NONE
    _leave(state, instance, whole)
    words[x + absence.DUE] = found.due
    words[x + absence.ACTIVE] = any(one.end == NONE or one.end > words[x + absence.LO] for one in found.silences)


def _tell(instance: Instance, one: Difference, now: int, emitter: Emitter, *, late: bool) -> None:
    old, new = one.old, one.new
    if one.kind is ChangeKind.AMENDED and old is not None and new is not None and old.active and old.start == new.start:
        one = replace(one, kind=ChangeKind.STEPPED)
    at = now if new is None or new.end == NONE else new.end
    emitter.late(ABSENCE, instance, one, at, now, [], late=late)


def _edge(state: FacilityState, instance: Instance) -> int:
    plan = state.planned
    return horizon.edge_of(plan.params, plan.where, instance.slot, state.words, state.rings)


def _leave(state: FacilityState, instance: Instance, silences: Sequence[Folded]) -> None:
    """Let go of what lies behind the horizon, and behind the newest row that counts; a distance in an alarm that goes on behind that stays with it."""
    words, x = state.words, instance.state
    edge = max(int(words[x + absence.EDGE]), min(_edge(state, instance), int(words[x + absence.LO])))
    words[x + absence.EDGE] = edge
    joined = silences if state.param(instance, "off") else ()
    kept = [one for one in _distances(state, instance) if one[1] > edge or uncovered.touched(joined, *one, edge)]
    _set_distances(state, instance, kept)
    doors = _spans(state, instance, absence.DOOR, absence.DOORS)
    since = min([edge, *(before for before, _ in kept)])
    _write(state, instance, absence.DOOR, absence.DOORS, [one for one in doors if one[1] > since])


def _distances(state: FacilityState, instance: Instance) -> list[Span]:
    return _spans(state, instance, absence.DISTANCE, state.of(instance, "count"))


def _set_distances(state: FacilityState, instance: Instance, found: list[Span]) -> None:
    state.words[instance.state + absence.COUNT] = len(found)
    _write(state, instance, absence.DISTANCE, absence.DISTANCES, found)


def _spans(state: FacilityState, instance: Instance, at: int, most: int) -> list[Span]:
    block: Words = state.words[instance.state + at : instance.state + at + 2 * most]
    return [(low, high) for low, high in block.reshape(most, 2).tolist() if high != NONE]


def _write(state: FacilityState, instance: Instance, at: int, most: int, spans: list[Span]) -> None:
    block = np.full(2 * most, NONE)
    block[: 2 * len(spans)] = [instant for span in spans for instant in span]
    state.words[instance.state + at : instance.state + at + 2 * most] = block
