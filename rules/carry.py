"""What a facility's state becomes when its register or the packs change: what stays watched keeps what it knew.

Above 400 lines on purpose: each part of a state is carried over against the same plan of before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rules import absence, formerly, formerpairs, layout, opengaps, pairdoors, sums, underway
from rules.kinds import (
    cumulative,
    difference,
    exposure,
    frozen,
    gap,
    jump,
    last_digit,
    limit,
    mean_kinetic,
    repeat_day,
    smooth,
    steadiness,
    too_precise,
)
from rules.kinds.table import KINDS
from rules.layout import (
    ABSENCE,
    CUMULATIVE,
    DIFFERENCE,
    DURING,
    EXPOSURE,
    GAP,
    JUMP,
    LAST_DIGIT,
    LIMIT,
    MEAN_KINETIC,
    NEVER,
    NONE,
    REPEAT_DAY,
    SMOOTH,
    STEADINESS,
    TOO_PRECISE,
)
from rules.ring import behind
from rules.state import COUNTERS, MAX_LEFT
from rules.stored import ring_rows

if TYPE_CHECKING:
    from rules.kept import Kept
    from rules.layout import Words
    from rules.pack import Bundle
    from rules.plan import Instance, Plan
    from rules.state import FacilityState

CARRIED = ("last_t", "last_m", "recv", "batch", "ext", "shut", "gone_t", "tail_t", "tail_m", *COUNTERS)


@dataclass(frozen=True, slots=True)
class _Before:
    """The arrays as they were, and the plan that they belong to."""

    plan: Plan
    words: Words
    tails: Words
    rings: Words
    kept: list[Kept]

    def of_series(self, name: str, slot: int) -> int:
        """Return a field of one series' header."""
        return int(self.words[self.plan.series_at[slot] + layout.SERIES[name].start])


def adopt(state: FacilityState, plan: Plan, received: int, bundle: Bundle | None = None, begins: int = NONE) -> None:
    """Take a new plan; what stays registered keeps its state, by rule and tag.

    Args:
        state: of the facility.
        plan: the new one.
        received: the clock, ms.
        bundle: the packs, where they are still the same: numbers that are others then judge only rows of their own time.
        begins: the first instant whose rows the new plan judges then, ms.
    """
    before = None if state.plan is None else _Before(state.plan, state.words, state.tails, state.rings, state.kept)
    areas = {} if before is None else {sensor.tag: sensor.area for sensor in before.plan.sensors}
    state.marks.move(areas, plan.facility, received)
    state.take(plan)
    for tag, slot in plan.slots.items():
        since = state.registered.setdefault(tag, received)
        state.put("recv", slot, since)
        state.put("last_m", slot, since)
        if before is not None and tag in before.plan.slots:
            _carry_series(state, slot, before, before.plan.slots[tag], bundle, begins)
        elif tag in state.left:
            newest = state.left.pop(tag)
            for name in ("last_t", "gone_t", "tail_t"):
                state.put(name, slot, newest)
    if before is not None:
        _remember(state, before)
    state.registered = {tag: at for tag, at in sorted(state.registered.items()) if tag in plan.slots}
    _carry_instances(state, before, received, None if bundle is None else begins)
    state.former = {pair.key: state.former[pair.key] for pair in plan.pairs if pair.key in state.former}
    pairdoors.adopt(state)
    absence.adopt(state, received)
    settle(state)


def put_back(state: FacilityState, plan: Plan, received: int) -> None:
    """Take the plan of a snapshot whose arrays are loaded next: nothing is carried over, begun or scheduled."""
    state.take(plan)
    state.registered = {tag: state.registered.get(tag, received) for tag in sorted(plan.slots)}
    state.left = {tag: newest for tag, newest in state.left.items() if tag not in plan.slots}


def begin_again(state: FacilityState, rules: set[str], received: int) -> None:
    """Let rules that were put aside begin anew, as if they had just come; the horizon of their series ends."""
    if state.plan is None or not rules:
        return
    for kind, instances in state.plan.by_kind.items():
        for instance in instances:
            if instance.rule.id not in rules:
                continue
            if kind == DIFFERENCE:
                _let_pair_begin(state, instance)
                continue
            sums.absorb(state, instance.slot)
            _give_up_ring(state, instance.slot)
            _write(state, instance, KINDS[kind].state.blank())
            if kind == GAP:
                _begin_gap(state, instance)
                schedule(state, instance, received)
            elif kind == ABSENCE:
                absence.begin(state, instance)
    absence.adopt(state, received)
    settle(state)


def settle(state: FacilityState) -> None:
    """Note what follows from instances that were changed: tails where a horizon has ended, and what is due."""
    underway.inscribe(state)
    formerly.fit(state)
    formerpairs.fit(state)
    _settle(state)
    state.refresh_all()
    state.refresh_due()
    state.dirty = True


def _carry_series(
    state: FacilityState, slot: int, before: _Before, old_slot: int, bundle: Bundle | None, begins: int
) -> None:  # fmt: skip
    tag = state.planned.sensors[slot].tag
    same, other = before.plan.watch(tag) == state.planned.watch(tag), None
    if not same and bundle is not None:
        other = formerly.changed(before.plan, state.planned, tag, bundle)
    for name in CARRIED:
        state.put(name, slot, before.of_series(name, old_slot))
    rows = ring_rows(before.plan, before.words, before.rings, old_slot)
    times, gone = rows[:, layout.ROW_T], before.of_series("gone_t", old_slot)
    left = max(behind(times, layout.REACH * before.plan.number(old_slot, "interval")), int((times <= gone).sum()))
    inside = min(len(rows) - left, before.plan.number(old_slot, "ring_cap"))
    if inside < len(rows):
        # What has left by the old numbers does not come back by new ones.
        state.put("gone_t", slot, max(gone, int(times[len(rows) - inside - 1])))
    goes_on = same or (other is not None and formerly.has_room(state, [one for _, one in other]))
    bounds = sums.other_bounds(before.plan, old_slot, state.planned, slot)
    goes_on = goes_on and (bounds is None or len(formerly.spans_of(state, tag)) < formerly.MOST)
    if not goes_on or inside > state.planned.number(slot, "ring_cap"):
        # Decided with other rules or numbers: what came before stands as it was decided (`_settle`).
        _give_up_ring(state, slot)
        sums.carry(state, slot, before.plan, before.words, before.rings, old_slot, len(rows))
        return
    if other:
        opengaps.drop(state, slot)
    for last, one in other or ():
        formerly.keep(state, last, one, before.plan.block(last), begins, state.planned.at)
    if bounds is not None:
        formerly.keep_bounds(state, slot, *bounds, begins)
    left, rows = len(rows) - inside, rows[max(0, len(rows) - state.planned.number(slot, "ring_room")) :]
    ring = state.planned.place(slot, layout.AT_RING)
    state.rings[ring : ring + rows.size] = rows.ravel()
    state.put("ring_len", slot, len(rows))
    sums.carry(state, slot, before.plan, before.words, before.rings, old_slot, left)


def _give_up_ring(state: FacilityState, slot: int) -> None:
    """Let the horizon of a series end: rows that are not newer than its newest are stale from here on."""
    formerly.drop(state, slot)
    opengaps.drop(state, slot)
    state.put("ring_len", slot, 0)
    state.put("ring_head", slot, 0)
    for name, of in (("gone_t", "last_t"), ("tail_t", "last_t"), ("tail_m", "last_m")):
        state.put(name, slot, state.of_series(of, slot))


def _settle(state: FacilityState) -> None:
    """Where a series has no ring, or gave it up, start its tails from its heads: but for one that may still be judged by numbers of before."""
    for slot, instances in enumerate(state.planned.by_slot):
        if state.of_series("ring_len", slot) == 0 and not formerly.are_kept(state, slot):
            for one in instances:
                if one.tail != NONE:
                    size = KINDS[one.kind].state.words
                    state.tails[one.tail : one.tail + size] = state.words[one.state : one.state + size]


def _remember(state: FacilityState, before: _Before) -> None:
    """Keep the newest event time of tags and pairs that vanish, of the last ones if there are many."""
    for tag, slot in before.plan.slots.items():
        newest = before.of_series("last_t", slot)
        if tag not in state.planned.slots and newest != NONE:
            state.left[tag] = newest
    stay = {pair.key for pair in state.planned.pairs}
    for pair in before.plan.pairs:
        newest = int(max(before.words[pair.state + difference.SEEN_T], before.words[pair.state + difference.FLOOR]))
        if pair.key not in stay and newest != NONE:
            state.left[" ".join(pair.key)] = newest
    for tag in list(state.left)[: max(0, len(state.left) - MAX_LEFT)]:
        del state.left[tag]


def _carry_instances(state: FacilityState, before: _Before | None, now: int, begins: int | None) -> None:
    """Let instances that stay keep their state; what new numbers make due is never due before `now`.

    `begins`: the first instant that pairs judge by what register facts make of them; None: packs or a rule's own change did.
    """
    for kind, instances in state.planned.by_kind.items():
        known = {} if before is None else {instance.key: instance for instance in before.plan.by_kind[kind]}
        size = KINDS[kind].state.words
        for instance in instances:
            last = known.get(instance.key)
            if last is None or before is None:
                if kind == GAP:
                    _begin_gap(state, instance)
                    schedule(state, instance, now)
                if kind == ABSENCE:
                    absence.begin(state, instance)
                if kind == DIFFERENCE:
                    floor = state.left.pop(" ".join(instance.key), NONE)
                    first = NONE if before is None or begins is None else begins - 1  # it reads what is of its time
                    state.words[instance.state + difference.FLOOR] = max(floor, first)
                continue
            _write(state, instance, before.words[last.state : last.state + size])
            if instance.tail != NONE:
                state.tails[instance.tail : instance.tail + size] = before.tails[last.tail : last.tail + size]
            if kind == DIFFERENCE:
                _carry_pair(state, instance, before, last, begins)
            if last.quantity != instance.quantity or is_moved(before.plan, last, state.planned, instance):
                _forget_quantity(state, instance)
            old = before.plan.block(last)
            if not np.array_equal(old, state.planned.block(instance)):
                _forget(state, instance, old)
                schedule(state, instance, now)


def _forget_quantity(state: FacilityState, instance: Instance) -> None:
    """Let go of what another quantity, sensor or place was: this one has not jumped from it, nor does it repeat it; the horizon has ended."""
    if instance.kind == JUMP:
        state.words[instance.state + jump.HELD_T] = NONE
    elif instance.kind == REPEAT_DAY:
        _write(state, instance, repeat_day.STATE.blank())
    elif instance.kind == TOO_PRECISE:
        too_precise.forget(state.words, instance.state)
    elif instance.kind == LAST_DIGIT:
        last_digit.forget(state.words, instance.state)
    elif instance.kind == SMOOTH:
        smooth.empty(state.words, state.floats, instance.state)
    elif instance.kind == STEADINESS:
        steadiness.forget(state.words, state.floats, instance.state)


def is_moved(old: Plan, last: Instance, new: Plan, instance: Instance) -> bool:
    """Say whether an instance that goes by the sensor itself stands on another sensor, or at another place, than it did."""
    return instance.kind == STEADINESS and old.identity(last.slot) != new.identity(instance.slot)


def _forget(state: FacilityState, instance: Instance, old: Words) -> None:
    """Let go of what was kept for other numbers; `old` are the parameters as they were."""
    if instance.kind in {LIMIT, DIFFERENCE}:
        forget_steps(state, instance, old)
    elif instance.kind == CUMULATIVE:
        _forget_sums(state, instance, old)
    elif instance.kind in {TOO_PRECISE, LAST_DIGIT, STEADINESS}:
        _forget_values(state, instance, old)
    elif instance.kind == SMOOTH:
        new = state.planned.block(instance)
        if any(old[field] != new[field] for field in (smooth.RECORDS, smooth.ONE)):
            smooth.empty(state.words, state.floats, instance.state)
    elif instance.kind == EXPOSURE:
        kept = slice(exposure.LOW, exposure.ROWS + 1)
        if not np.array_equal(old[kept], state.planned.block(instance)[kept]):
            exposure.forget(state.words, instance.state)
    elif instance.kind == REPEAT_DAY:
        kept = slice(0, repeat_day.LAG)  # what entries are made by; the rest only judges them
        if not np.array_equal(old[kept], state.planned.block(instance)[kept]):
            _write(state, instance, repeat_day.STATE.blank())


def _carry_pair(state: FacilityState, pair: Instance, before: _Before, last: Instance, begins: int | None) -> None:
    """Let a pair keep the rows of its inputs, and what it was judged by; or, where packs make it another one, let its horizon end.

    Of an input that is another sensor now nothing is held.
    """
    if before.plan.watch_pair(last) == state.planned.watch_pair(pair):
        state.kept[pair.place] = before.kept[last.place]
        return
    x, size = pair.state, difference.STATE.words
    formerpairs.forget_inputs(state.words, x, before.plan.measured(last), state.planned.measured(pair))
    if begins is not None and formerpairs.goes_on(state, before.plan, last, pair):
        ended = formerpairs.described(before.plan, last, begins, state.planned.at)
        formerpairs.keep(state, pair, ended, before.kept[last.place])
        return
    formerpairs.drop(state, pair)
    state.words[x + difference.FLOOR] = state.words[x + difference.SEEN_T]
    state.tails[pair.tail : pair.tail + size] = state.words[x : x + size]


def _let_pair_begin(state: FacilityState, pair: Instance) -> None:
    """Let a pair begin anew with what comes from here on."""
    seen = state.of(pair, "seen_t")
    formerpairs.drop(state, pair)
    for words, x in ((state.words, pair.state), (state.tails, pair.tail)):
        words[x : x + difference.STATE.words] = difference.STATE.blank()
        words[x + difference.FLOOR] = seen


def _write(state: FacilityState, instance: Instance, block: Words) -> None:
    state.words[instance.state : instance.state + block.size] = block


def forget_steps(state: FacilityState, instance: Instance, old: Words) -> None:
    """Let steps begin anew where a rule's steps are others now: they are known by their place.

    Args:
        state: of the facility.
        instance: of a kind that is judged as limits are.
        old: its parameters before.
    """
    formerpairs.forget_steps(state.words, instance.state, old, state.planned.block(instance))


def _forget_sums(state: FacilityState, instance: Instance, old: Words) -> None:
    """Let the sums begin anew where the window has another length, and the single event where another rule is named."""
    new = state.planned.block(instance)
    if old[cumulative.PART] != new[cumulative.PART]:
        cumulative.empty(state.words, instance.state)
    if old[cumulative.SINGLE] != new[cumulative.SINGLE]:
        cumulative.forget_single(state.words, instance.state)


def _forget_values(state: FacilityState, instance: Instance, old: Words) -> None:
    """Let counting begin anew where another resolution or another number of values is asked for, or other facts are registered."""
    new = state.planned.block(instance)
    if instance.kind == STEADINESS:
        if any(old[i] != new[i] for i in (steadiness.CHECK, steadiness.INTERVAL, steadiness.FACTS)):
            steadiness.forget(state.words, state.floats, instance.state)
        return
    if instance.kind == LAST_DIGIT:
        kept = slice(last_digit.RESOLUTION, last_digit.LOOK + 1)
        if not np.array_equal(old[kept], new[kept]):
            last_digit.forget(state.words, instance.state)
        return
    kept = slice(too_precise.SCALE, too_precise.NUMBER + 1)
    if not np.array_equal(old[kept], new[kept]):
        too_precise.forget(state.words, instance.state)


def _begin_gap(state: FacilityState, instance: Instance) -> None:
    """Count the silence of a new instance from the series' newest row since its registration, or from that."""
    newest, since = state.of_series("last_t", instance.slot), state.registered[instance.tag]
    state.words[instance.state + gap.LO] = max(newest, since)
    state.words[instance.state + gap.FRESH] = newest <= since


def schedule(state: FacilityState, instance: Instance, now: int) -> None:
    """Set when an instance is decided by the clock next, never before `now` (ms)."""
    params, words, slot = state.planned.params, state.words, instance.slot
    if instance.kind == GAP:
        gap.schedule(params, instance.params, words, instance.state, state.of_series("ext", slot), now)
        return
    last_t, last_m = state.of_series("last_t", slot), state.of_series("last_m", slot)
    if instance.kind == DIFFERENCE:
        last_t, last_m = state.of(instance, "seen_t"), state.of(instance, "seen_m")
    if instance.kind in {REPEAT_DAY, TOO_PRECISE, LAST_DIGIT, DURING, EXPOSURE, STEADINESS, ABSENCE}:
        return  # the clock decides nothing
    schedule_at(state, instance, last_t, last_m)
    at = instance.state + KINDS[instance.kind].state["due"].start
    words[at] = min(max(int(words[at]), now), NEVER)


def schedule_at(state: FacilityState, instance: Instance, last_t: int, last_m: int) -> None:
    """Set when an instance that the clock decides is due next, with a newest row of this event time and receive time (ms)."""
    params, words, x = state.planned.params, state.words, instance.state
    if instance.kind in {LIMIT, DIFFERENCE, JUMP}:
        limit.schedule(params, instance.params, words, x, last_t, last_m)
    elif instance.kind == CUMULATIVE:
        cumulative.schedule(params, instance.params, words, x, last_m)
    elif instance.kind == SMOOTH:
        smooth.schedule(params, instance.params, words, x, last_m)
    elif instance.kind == MEAN_KINETIC:
        mean_kinetic.schedule(params, instance.params, words, x, last_m)
    else:
        frozen.schedule(params, instance.params, words, x, last_m)
