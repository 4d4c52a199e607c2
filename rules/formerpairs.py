"""Numbers and inputs that a pair had before: what is of that time is judged by them, whenever it comes (docs/engine-semantics.md, "difference"; ADR 0086).

They are kept until the tail of the pair stands behind their end. Rows of a sensor that was an input then and is none now are kept with them,
behind those of the inputs of now: the *sources* of a pair are its inputs, then these.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import msgspec
import numpy as np

from rules.changes import LimitUsed
from rules.formerly import MOST, PackedLimit
from rules.kept import INPUTS, Kept
from rules.kinds import difference, limit
from rules.layout import (
    DIFFERENCE,
    NEVER,
    NONE,
    RANGE_HIGH,
    RANGE_LOW,
    ROW_BQ,
    ROW_T,
    ROW_WORDS,
    STEPS,
    Array,
    Floats,
    Words,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy.typing as npt

    from rules.plan import Instance, Plan
    from rules.state import FacilityState

PackedEnded: TypeAlias = tuple[int, int, bytes, float, float, list[PackedLimit], list[tuple[str, float, float]]]
PackedFormer: TypeAlias = tuple[str, str, list[PackedEnded], list[tuple[str, bytes]]]
"""In a snapshot: rule and name of a pair, the members of each `Former` in their order, and tag -> rows of sources that are no inputs now."""
_STEPS = ("step_after", "step_low", "step_high", "step_for")
_OF_RULE = (
    "inclusive", "rows", "clears", "on_delay", "off_delay", "sev", "steps", "step_low", "step_high", "step_for", "step_sev", "step_rows",
)  # fmt: skip
"""Parameters that facts of the register do not make others."""


@dataclass(frozen=True, slots=True)
class Former:
    """What a pair was judged by that is in force no more; times in ms."""

    until: int
    """An instant is judged by it whose event time or receive time, whichever is earlier, lies before this."""
    floor: int
    """When the next came: it makes nothing due before."""
    params: Words
    low: float
    high: float
    limits: tuple[LimitUsed, ...]
    inputs: tuple[tuple[str, float, float], ...]
    """Tag and measuring range of each input."""

    @property
    def tags(self) -> list[str]:
        """Return the tags of the inputs."""
        return [tag for tag, _, _ in self.inputs]


def of(state: FacilityState, pair: Instance) -> list[Former]:
    """Return what a pair was judged by, oldest first: all by which an instant can still be judged."""
    return state.former.get(pair.key, [])


def as_of(state: FacilityState, pair: Instance, t: int) -> Instance:
    """Return a pair with the bounds and inputs that were in force at an event time (ms); its parameters stay those of now."""
    slots = state.planned.slots
    for one in of(state, pair):
        if t < one.until:
            there = tuple(slots[tag] for tag in one.tags if tag in slots)
            reads = there if len(there) == len(one.inputs) else pair.slots
            return msgspec.structs.replace(pair, low=one.low, high=one.high, limits=one.limits, slots=reads)
    return pair


def described(plan: Plan, pair: Instance, until: int, floor: int) -> Former:
    """Return what a pair is judged by in a plan, to be kept as ended."""
    inputs = []
    for slot in pair.slots:
        low, high = np.frombuffer(plan.span(slot), np.float64).tolist()
        inputs.append((plan.sensors[slot].tag, low, high))
    return Former(until, floor, plan.block(pair).copy(), pair.low, pair.high, pair.limits, tuple(inputs))


def goes_on(state: FacilityState, old: Plan, last: Instance, pair: Instance) -> bool:
    """Say whether a pair that register facts changed goes on as the same: not where a sensor measures another quantity, nor beyond `MOST`."""
    now = {state.planned.sensors[slot].tag: state.planned.sensors[slot].quantity for slot in pair.slots}
    measured = (old.sensors[slot] for slot in last.slots)
    return all(now.get(one.tag, one.quantity) == one.quantity for one in measured) and len(of(state, pair)) < MOST


def keep(state: FacilityState, pair: Instance, one: Former, kept: Kept) -> None:
    """Keep what a pair was judged by until now, and with it the rows of its sources."""
    state.former[pair.key] = [*of(state, pair), one]
    _arrange(state, pair, kept, [*one.tags, *[""] * (INPUTS - len(one.inputs)), *kept.others])


def drop(state: FacilityState, pair: Instance) -> None:
    """Let the horizon of a pair end: nothing is kept of its inputs, nor of what it was judged by before."""
    state.former.pop(pair.key, None)
    state.kept[pair.place] = Kept()


def leave(state: FacilityState, pair: Instance) -> None:
    """Forget what no instant can be judged by any more: what ended before where the tail of the pair stands."""
    past = of(state, pair)
    behind = int(min(state.tails[pair.tail + difference.SEEN_T], state.tails[pair.tail + difference.SEEN_M]))
    left = [one for one in past if one.until > behind]
    if len(left) == len(past):
        return
    state.former[pair.key] = left
    if not left:
        del state.former[pair.key]
    kept = state.kept[pair.place]
    _arrange(state, pair, kept, [*_inputs(state.planned, pair), *kept.others])
    fit(state)


def _inputs(plan: Plan, pair: Instance) -> list[str]:
    """Return the tags of the inputs of now, empty where there is no second one."""
    tags = plan.tags_of(pair)
    return [*tags, *[""] * (INPUTS - len(tags))]


def _arrange(state: FacilityState, pair: Instance, kept: Kept, sources: list[str]) -> None:
    """Put rows to the sources that a pair has now; `sources` are the tags of those in `kept`, in their order."""
    now = _inputs(state.planned, pair)
    others = sorted({tag for one in of(state, pair) for tag in one.tags} - set(now))
    rows = {tag: rows for tag, rows in zip(sources, kept.rows, strict=True) if tag}
    blank = np.zeros((0, ROW_WORDS), np.int64)
    tags = [*now, *others]
    state.kept[pair.place] = Kept([rows.get(tag, blank) for tag in tags], others)
    taken = state.marks.standing.pop((DIFFERENCE, *pair.key), set())
    stay = {(tags.index(sources[which]), t) for which, t in taken if sources[which] in tags}
    if stay:
        state.marks.standing[DIFFERENCE, *pair.key] = stay


def fit(state: FacilityState) -> None:
    """Let the plan know which series pairs read: their inputs, and what was one before."""
    plan = state.planned
    plan.inputs = {}
    for pair in plan.pairs:
        tags = [*plan.tags_of(pair), *[""] * (INPUTS - len(pair.slots)), *state.kept[pair.place].others]
        for source, tag in enumerate(tags):
            if tag in plan.slots:
                plan.inputs.setdefault(plan.slots[tag], []).append((pair.place, source))
    plan.paired = np.isin(np.arange(len(plan.sensors) + 1), list(plan.inputs))


def read_by(state: FacilityState, pair: Instance, source: int, instants: Words) -> npt.NDArray[np.bool_]:
    """Say of each of some instants (the earlier of event and receive time, ms) whether a source is an input of that time."""
    found: npt.NDArray[np.bool_] = _table(state, pair)[_spans(of(state, pair), instants), source] != NONE
    return found


def _spans(past: list[Former], instants: Words) -> Words:
    """Return by how many of those that ended an instant is not judged any more, for each."""
    return np.searchsorted([one.until for one in past], instants, "right")


def _table(state: FacilityState, pair: Instance) -> Words:
    """Return which input each source is in each span, NONE: it is none; shape (spans, sources), the last span is now."""
    kept, now = state.kept[pair.place], state.planned.tags_of(pair)
    tags = [*_inputs(state.planned, pair), *kept.others]
    spans = [*(one.tags for one in of(state, pair)), now]
    return np.array([[span.index(tag) if tag in span else NONE for tag in tags] for span in spans], np.int64)


def split(
    state: FacilityState, pair: Instance, time: Words, counts: Words, source: Words
) -> tuple[Words, Words, Words]:
    """Return the span of each row, which input it is there (NONE: none), and from when it counts there.

    Args:
        state: of the facility.
        pair: with something that it was judged by before.
        time: event times of rows of all sources, in order.
        counts: from when each counts, by the rows behind it.
        source: which of the sources each is of.
    """
    past = of(state, pair)
    counts = counts[np.searchsorted(time, time, "left")]  # one of each instant
    span = _spans(past, np.minimum(time, counts))
    ends = np.array([*(one.until for one in past), NEVER], np.int64)
    return span, _table(state, pair)[span, source], np.minimum(counts, ends[span] - 1)


def ranges_of(state: FacilityState, pair: Instance) -> tuple[Floats, Words]:
    """Return measuring ranges as rows are judged by, and where those of each input of each span stand: shape (spans, INPUTS)."""
    now = described(state.planned, pair, NEVER, NEVER)
    spans = [*of(state, pair), now]
    size = max(RANGE_LOW, RANGE_HIGH) + 1
    reals = np.zeros((len(spans), INPUTS, size))
    for k, one in enumerate(spans):
        for which in range(INPUTS):
            _, low, high = one.inputs[min(which, len(one.inputs) - 1)]
            reals[k, which, [RANGE_LOW, RANGE_HIGH]] = low, high
    return reals.ravel(), np.arange(len(spans) * INPUTS).reshape(len(spans), INPUTS) * size


def stands(past: list[Former], words: Words, x: int) -> int:
    """Return how many of those that ended lie behind the state of a pair that stands where its newest instant left it."""
    return int(_spans(past, np.minimum(words[x + difference.SEEN_T], words[x + difference.SEEN_M])))


def turn(state: FacilityState, pair: Instance, k: int, words: Words, reals: Floats, x: int, out: Array) -> int:
    """Let the state of a pair go on from what it was judged by to what followed, as the clock did; returns transitions written."""
    past = of(state, pair)
    one, n = past[k], 0
    after = past[k + 1] if k + 1 < len(past) else described(state.planned, pair, NEVER, NEVER)
    if one.until - 1 > words[x + difference.SEEN_M] and (k == 0 or one.until > past[k - 1].until):
        n = difference.catch_up(one.params, 0, words, reals, x, one.until - 1, out, 0)
    forget_inputs(words, x, one.tags, after.tags)
    if not np.array_equal(one.params, after.params):
        forget_steps(words, x, one.params, after.params)
        limit.schedule(after.params, 0, words, x, words[x + difference.SEEN_T], words[x + difference.SEEN_M])
        words[x + limit.DUE] = min(max(int(words[x + limit.DUE]), one.floor), NEVER)
    return n


def forget_inputs(words: Words, x: int, old: list[str], new: list[str]) -> None:
    """Let nothing be held of an input that is another sensor now."""
    blank = difference.STATE.blank()
    for which in range(INPUTS):
        if old[which : which + 1] != new[which : which + 1]:
            for first in (difference.HELD_T, difference.HELD):
                words[x + first + which] = blank[first + which]


def forget_steps(words: Words, x: int, old: Words, new: Words) -> None:
    """Let steps begin anew where they are others now: they are known by their place."""
    fields = [limit.PARAMS[name] for name in _STEPS]
    if any(not np.array_equal(old[f.start : f.start + f.size], new[f.start : f.start + f.size]) for f in fields):
        words[x + limit.REACHED] = 0
        for first in (limit.STEP_T, limit.STEP_M):
            words[x + first : x + first + STEPS] = NONE


def rooms(state: FacilityState, pair: Instance) -> list[int]:
    """Return how many rows of each source are kept at most."""
    now = state.planned.block(pair)[difference.KEPT : difference.KEPT + INPUTS].tolist()
    newest = {
        tag: int(one.params[difference.KEPT + which]) for one in of(state, pair) for which, tag in enumerate(one.tags)
    }
    return [*now, *(newest[tag] for tag in state.kept[pair.place].others)]


def pack(state: FacilityState) -> list[PackedFormer]:
    """Return what a snapshot holds."""
    if state.plan is None or not state.former:
        return []
    return [
        (*pair.key, [_packed(one) for one in past], [(tag, rows.tobytes()) for tag, rows in _others(state, pair)])
        for pair in sorted(state.plan.pairs, key=lambda pair: pair.key)
        if (past := of(state, pair))
    ]


def _others(state: FacilityState, pair: Instance) -> Iterator[tuple[str, Words]]:
    kept = state.kept[pair.place]
    return zip(kept.others, kept.rows[INPUTS:], strict=True)


def _packed(one: Former) -> PackedEnded:
    used = [(each.name, each.value, each.unit, each.origin, each.edition) for each in one.limits]
    return one.until, one.floor, one.params.tobytes(), one.low, one.high, used, list(one.inputs)


def load(state: FacilityState, packed: Iterable[PackedFormer]) -> None:
    """Take what a snapshot holds; the plan, and what its inputs of now keep, stand.

    Raises:
        ValueError: of a pair that is not watched, or what no fold leaves.
    """
    pairs = {pair.key: pair for pair in state.planned.pairs}
    for rule, name, rows, others in packed:
        pair = pairs[rule, name]
        past = [_unpacked(row) for row in rows]
        times = [one.until for one in past]
        fits = all(_fits(one, state.planned.block(pair)) for one in past)
        if pair.key in state.former or not 0 < len(past) <= MOST or times != sorted(times) or not fits:
            raise ValueError(f"what was in force before of {rule} for {name} is none that a fold leaves")
        state.former[pair.key] = past
        kept = state.kept[pair.place]
        for tag, found in others:
            words = np.frombuffer(found, np.int64).reshape(-1, ROW_WORDS).copy()
            if (np.diff(words[:, ROW_T]) <= 0).any() or (words[:, ROW_BQ] < 0).any():
                raise ValueError(f"rows of {tag} that no fold leaves")
            kept.others.append(tag)
            kept.rows.append(words)
        now = set(state.planned.tags_of(pair))
        if kept.others != sorted({tag for one in past for tag in one.tags} - now):
            raise ValueError(f"rows of what was an input of {name} before are none that a fold leaves")
    fit(state)


def _unpacked(packed: PackedEnded) -> Former:
    until, floor, params, low, high, limits, inputs = packed
    used = []
    for name, value, unit, origin, edition in limits:
        if not math.isfinite(value):
            raise ValueError(f"a limit of {value}")
        used.append(LimitUsed(name=name, value=value, unit=unit, origin=origin, edition=edition))
    return Former(until, floor, np.frombuffer(params, np.int64), low, high, tuple(used), tuple(inputs))


def _fits(one: Former, now: Words) -> bool:
    """Say whether parameters are such as a rule makes whose parameters of now these are."""
    if one.params.size != now.size or not 0 <= one.until < NEVER or not 0 <= one.floor < NEVER:
        return False
    alike = all(
        np.array_equal(one.params[f.start : f.start + f.size], now[f.start : f.start + f.size])
        for f in map(difference.PARAMS.__getitem__, _OF_RULE)
    )
    scaled = 0 <= one.params[difference.SCALE] <= difference.ROWS
    return bool(alike and scaled and one.params[difference.INPUTS] == len(one.inputs) and 0 < len(one.inputs) <= INPUTS)
