"""Numbers that were in force before: rows of that time are judged by them, whenever they come (docs/engine-semantics.md, "Register and packs"; ADR 0065).

Of an instance they are kept until no row of their time can come any more: until the tails of its series stand behind their end. In the
plan they stand behind the parameters that it was compiled with, and a series that has some has a program of its own that says where. So with the
registered limits of a series that has summaries (rules/sums.py): these are no rule's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, TypeAlias

import msgspec
import numpy as np

from rules import layout
from rules.changes import LimitUsed
from rules.kinds import cumulative, limit, smooth
from rules.kinds.table import CODES, KINDS, NAMES
from rules.layout import CUMULATIVE, FUTURE_MS, LIMIT, NEVER, NONE, SMOOTH

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rules.layout import Words
    from rules.pack import Bundle
    from rules.plan import Instance, Plan
    from rules.state import FacilityState

MOST = 8
"""Numbers of before that are kept of an instance; should more be needed, the horizon of its series ends instead."""
_OTHERS = frozenset({
    "low", "high", "db", "opens", "clears", "delivery", "width", "bound", "records", "one", "scale", "resolution", "related", "facts",
    "limit", "reach",
})  # fmt: skip
"""Parameters that facts of the register make others, of one rule and one interval; where any else is another one, the horizon ends."""
_Instant: TypeAlias = Annotated[int, msgspec.Meta(ge=0, lt=NEVER)]
PackedLimit: TypeAlias = tuple[str, float, str | None, str, str | None]
PackedEnded: TypeAlias = tuple[_Instant, _Instant, bytes, float, float, list[PackedLimit]]
PackedPast: TypeAlias = tuple[str, str, str, list[PackedEnded]]
"""In a snapshot: kind, rule and tag of an instance, and the members of each `Ended`, in their order."""
Past: TypeAlias = "dict[tuple[int, str, str], list[Ended]]"
Span: TypeAlias = tuple[_Instant, float, float]
"""Registered limits of a series that are in force no more: until when (as in `Ended`), below and above what values were outside."""


@dataclass(frozen=True, slots=True)
class Ended:
    """Numbers of an instance that are in force no more; times in ms."""

    until: int
    """Rows are judged by them whose event time or receive time, whichever is earlier, lies before this."""
    floor: int
    """When the next ones came: these make nothing due before."""
    params: Words
    low: float
    high: float
    limits: tuple[LimitUsed, ...]

    def pack(self) -> PackedEnded:
        """Return the members for a snapshot."""
        used = [(one.name, one.value, one.unit, one.origin, one.edition) for one in self.limits]
        return self.until, self.floor, self.params.tobytes(), self.low, self.high, used


def of(state: FacilityState, instance: Instance) -> list[Ended]:
    """Return the numbers of before that a row can still be judged by, oldest first."""
    found = state.past.get((instance.kind, *instance.key))
    if found is None:
        return []
    behind = min(state.of_series("tail_t", instance.slot), state.of_series("tail_m", instance.slot))
    if draft := state.drafts.get((instance.kind, *instance.key)):  # what is not told yet began behind its edge
        behind = min(behind, draft.edge)
    return [one for one in found if one.until > behind]


def as_of(state: FacilityState, instance: Instance, t: int) -> Instance:
    """Return an instance with the bounds that were in force at an event time (ms); its parameters stay those of now."""
    for one in of(state, instance):
        if t < one.until:
            return msgspec.structs.replace(instance, low=one.low, high=one.high, limits=one.limits)
    return instance


def changed(old: Plan, new: Plan, tag: str, bundle: Bundle) -> list[tuple[Instance, Instance]] | None:
    """Return the instances of a series, before and now, that have other numbers, where it is watched the same in all else.

    None: something else is other too, or a site exception begins or ends.
    """
    slot, to = old.slots[tag], new.slots[tag]
    before, now = old.watch(tag), new.watch(tag)
    if old.number(slot, "interval") != new.number(to, "interval") or [one for one, _ in before] != [
        one for one, _ in now
    ]:
        return None
    if before[0] != now[0] or _excepted(bundle, old, tag) != _excepted(bundle, new, tag):
        return None
    mine = {one.key: one for one in new.by_slot[to] if KINDS[one.kind].again}
    pairs = [(one, mine[one.key]) for one in old.by_slot[slot] if KINDS[one.kind].again]
    other = [(a, b) for a, b in pairs if not np.array_equal(old.block(a), new.block(b))]
    told = [(rule, block) for (rule, block), (_, other_block) in zip(before, now, strict=True) if block != other_block]
    if len(told) != len(other) or any(not _goes_on(a.kind, old.block(a), new.block(b)) for a, b in other):
        return None
    return other


def _excepted(bundle: Bundle, plan: Plan, tag: str) -> list[str]:
    return sorted(one.id for one in bundle.excepted(plan.facility.id, tag, plan.at).values())


def _goes_on(kind: int, old: Words, new: Words) -> bool:
    """Say whether an instance goes on with other numbers, and not as another rule would."""
    if kind == SMOOTH and not 0 < old[smooth.RECORDS] <= smooth.MOST:
        return False
    if kind == CUMULATIVE:
        inner = slice(cumulative.SINGLE_PARAMS, cumulative.SINGLE_PARAMS + limit.PARAMS.words)
        if not _goes_on(LIMIT, old[inner], new[inner]):
            return False
    return all(
        np.array_equal(old[one.start : one.start + one.size], new[one.start : one.start + one.size])
        for one in KINDS[kind].params.all
        if one.name not in _OTHERS and one.name != "single_rule"
    )


def has_room(state: FacilityState, instances: Iterable[Instance]) -> bool:
    """Say whether one more of the numbers of some instances can be kept."""
    return all(len(of(state, one)) < MOST for one in instances)


def keep(state: FacilityState, last: Instance, instance: Instance, params: Words, until: int, floor: int) -> None:
    """Keep the numbers that an instance had until now; `last` is the instance as it was, with these parameters."""
    ended = Ended(until, floor, params.copy(), last.low, last.high, last.limits)
    state.past[instance.kind, *instance.key] = [*of(state, instance), ended]


def drop(state: FacilityState, slot: int) -> None:
    """Forget the numbers of before of a series: its horizon ends, so that no row of their time can come."""
    state.spans.pop(state.planned.sensors[slot].tag, None)
    for one in state.planned.by_slot[slot]:
        state.past.pop((one.kind, *one.key), None)


def spans_of(state: FacilityState, tag: str) -> list[Span]:
    """Return the registered limits of before of a series that has summaries by which a row can still be outside, oldest first."""
    slot = state.planned.slots.get(tag, NONE)
    if slot == NONE or not state.planned.number(slot, "sum_days"):
        return []
    # What is still to be taken is newer than the row behind which the tails stand, and was received five minutes earlier at most.
    newest = state.of_series("tail_t", slot)
    return [one for one in state.spans.get(tag, ()) if one[0] > newest - FUTURE_MS]


def bounds_of(plan: Plan, slot: int) -> tuple[float, float]:
    """Return below and above what the values of a series that has summaries are outside now."""
    at = plan.place(slot, layout.AT_PROGRAM)
    low, high = plan.params[at + layout.SUM_LOW : at + layout.SUM_HIGH + 1].view(np.float64).tolist()
    return low, high


def keep_bounds(state: FacilityState, slot: int, low: float, high: float, until: int) -> None:
    """Keep the registered limits that a series with summaries had until now."""
    tag = state.planned.sensors[slot].tag
    state.spans[tag] = [*spans_of(state, tag), (until, low, high)]


def are_kept(state: FacilityState, slot: int) -> bool:
    """Say whether a series has numbers of before."""
    return bool(state.past) and any((one.kind, *one.key) in state.past for one in state.planned.by_slot[slot])


def fit(state: FacilityState) -> None:
    """Let the plan know the numbers of before: its series that have some get a program of their own."""
    plan = state.planned
    at = plan.params.size - plan.others
    plan.params, plan.others = plan.params[:at], 0
    plan.where[layout.AT_PROGRAM :: layout.PLACE.words] = plan.programs
    state.past = {
        (one.kind, *one.key): past
        for found in plan.by_kind.values()
        for one in (found if state.past else ())
        if (past := of(state, one))
    }
    state.spans = {tag: spans for tag in state.spans if (spans := spans_of(state, tag))}
    chunks = [plan.params]
    for slot in sorted({plan.slots[tag] for tag in (*(tag for _, _, tag in state.past), *state.spans)}):
        program = plan.place(slot, layout.AT_PROGRAM)
        size = layout.PROGRAM.words + layout.CALL_WORDS * plan.number(slot, "instances")
        own = plan.params[program : program + size].copy()
        plan.where[slot * layout.PLACE.words + layout.AT_PROGRAM] = at
        chunks.append(own)
        at += size
        for one in plan.by_slot[slot]:
            past = state.past.get((one.kind, *one.key), [])
            if past:
                own[layout.CHANGED] = max(own[layout.CHANGED], past[-1].until)
                own[layout.CALLS + layout.CALL_WORDS * one.call + layout.CALL_PAST] = at
                chunks += _listed(past, at)
                at += sum(chunk.size for chunk in chunks[-1 - len(past) :])
        ended_spans = state.spans.get(plan.sensors[slot].tag)
        if ended_spans:
            own[layout.SUM_PAST] = at
            ends = np.array([(until, 0, 0) for until, _, _ in ended_spans], np.int64)
            ends.view(np.float64)[:, 1:] = [bounds for _, *bounds in ended_spans]
            chunks += [np.array([len(ended_spans)], np.int64), ends.ravel()]
            at += 1 + ends.size
    plan.params, plan.others = np.concatenate(chunks), at - chunks[0].size


def _listed(past: list[Ended], at: int) -> list[Words]:
    """Return what stands at `at` for the numbers of before of one instance (rules/horizon.py, `ended`), and their parameters behind it."""
    blocks = [one.params for one in past]
    behind = at + 1 + 3 * len(past)
    words = [len(past)]
    for one in past:
        words += [one.until, one.floor, behind]
        behind += one.params.size
    return [np.array(words, np.int64), *blocks]


def pack(state: FacilityState) -> list[PackedPast]:
    """Return what a snapshot holds: only what a row can still be judged by."""
    if state.plan is None or not state.past:
        return []
    instances = [one for found in state.plan.by_kind.values() for one in found]
    return [
        (NAMES[one.kind], *one.key, [each.pack() for each in past])
        for one in sorted(instances, key=lambda one: (NAMES[one.kind], one.key))
        if (past := of(state, one))
    ]


def load(state: FacilityState, packed: Iterable[PackedPast]) -> None:
    """Take what a snapshot holds; the plan and the headers of the series stand.

    Raises:
        ValueError: of an instance that is not watched, or numbers that no fold leaves.
    """
    mine = {
        (kind, *one.key): one
        for kind, found in state.planned.by_kind.items()
        for one in found
        if one.tail != NONE and not one.slots
    }
    for name, rule, tag, rows in packed:
        key = CODES[name], rule, tag
        now = state.planned.block(mine[key])
        past = [
            Ended(until, floor, np.frombuffer(params, np.int64), low, high, tuple(_limit(used) for used in limits))
            for until, floor, params, low, high, limits in rows
        ]
        times = [one.until for one in past]
        if key in state.past or not 0 < len(past) <= MOST or times != sorted(times):
            raise ValueError(f"numbers of before of {rule} for {tag} that no fold leaves")
        if any(one.params.size != now.size or not _goes_on(key[0], one.params, now) for one in past):
            raise ValueError(f"numbers of before of {rule} for {tag} that no fold leaves")
        state.past[key] = past


def pack_spans(state: FacilityState) -> list[tuple[str, list[Span]]]:
    """Return what a snapshot holds of registered limits of before, by tag."""
    return [(tag, spans) for tag in sorted(state.spans) if (spans := spans_of(state, tag))]


def load_spans(state: FacilityState, packed: Iterable[tuple[str, list[Span]]]) -> None:
    """Take what a snapshot holds of registered limits of before.

    Raises:
        ValueError: of a series without summaries, or limits that no fold leaves.
    """
    for tag, spans in packed:
        slot, times = state.planned.slots.get(tag, NONE), [until for until, _, _ in spans]
        is_kept = slot != NONE and state.planned.number(slot, "sum_days") > 0
        if not is_kept or tag in state.spans or not 0 < len(spans) <= MOST or times != sorted(times):
            raise ValueError(f"limits of before of {tag} that no fold leaves")
        if any(math.isnan(bound) for _, *bounds in spans for bound in bounds):
            raise ValueError(f"limits of before of {tag} that no fold leaves")
        state.spans[tag] = list(spans)


def _limit(packed: PackedLimit) -> LimitUsed:
    name, value, unit, origin, edition = packed
    if not math.isfinite(value):
        raise ValueError(f"a limit of {value}")
    return LimitUsed(name=name, value=value, unit=unit, origin=origin, edition=edition)
