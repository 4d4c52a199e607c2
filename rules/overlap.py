"""One silence that several rules see: of one overlap group the highest colour speaks, and suppresses the others by design.

A rule's file names its group (`overlap: silence`). Which alarms speak follows from those that stand and from nothing else: the books
hold only by whom an alarm is suppressed (docs/engine-semantics.md, "gap"; ADR 0049).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from rules import silence
from rules.changes import ChangeKind
from rules.failing import attempt
from rules.layout import ABSENCE, GAP
from rules.rule import GapRule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from rules.emission import Emitter
    from rules.groups import Group
    from rules.occurrence import Occurrence
    from rules.plan import Instance, Plan
    from rules.state import FacilityState

    Say = Callable[[ChangeKind, str], None]


SILENCES = (GAP, ABSENCE)
"""Kinds of instances whose alarms are silences of a series."""


@dataclass(frozen=True, slots=True)
class _Standing:
    """A silence that stands and that no silence of its own rule covers."""

    rule: GapRule
    order: tuple[int, int, str]
    """Of its rule in the bundle, its level and its area or tag: in this order changes go out."""
    occurrence: Occurrence
    series: frozenset[int]
    """Whose silence it is: slots of the plan ..."""
    first: int
    """... and the first of them."""
    say: Say
    put_under: Callable[[str | None], None]
    """Lets an alarm suppress it, or nothing any more."""

    @property
    def weight(self) -> tuple[int, int, int, bool, int, tuple[int, int, str]]:
        """Return what speaks first: colour, number of series, level, a silence of a declared state, the earliest start, the order."""
        plain, start = self.rule.during is None, self.occurrence.start
        return -self.occurrence.sev, -len(self.series), self.order[1], plain, start, self.order


def settle(state: FacilityState, instant: int, emitter: Emitter) -> None:
    """Let the highest colour speak of every silence that something was said of at an instant, once the clock leaves it.

    So nothing is released by the first row of a batch that ends the others with its next one, however rows came in batches.

    Args:
        state: of the facility.
        instant: receive time, or when the clock decided, ms: both times of the changes.
        emitter: of the record.
    """
    state.dirty = True
    while turns := _turns(state, emitter, instant):
        aside = len(emitter.failures)
        # Who speaks is released before the others fall silent.
        for one, by in sorted(turns, key=lambda turn: (turn[1] is not None, turn[0].order)):
            attempt(emitter, one.rule.id, instant, partial(_turn, one, by))
            if len(emitter.failures) > aside:  # it does not speak: who does is another question now
                break
        else:
            break
    state.unsettled.clear()


def rest(state: FacilityState, emitter: Emitter) -> None:
    """Forget what something was said of, where that changes nothing of who speaks: at the end of a record."""
    if state.unsettled and not _turns(state, emitter, state.clock):
        state.unsettled.clear()
        state.dirty = True


def _turns(state: FacilityState, emitter: Emitter, instant: int) -> list[tuple[_Standing, str | None]]:
    """Return which alarms are to be suppressed, by which, and which are to be released."""
    plan = state.plan
    if plan is None:
        return []
    slots = {slot for subject in state.unsettled for slot in _slots_of(plan, subject)}
    speaking: dict[int, list[_Standing]] = {}
    """Of each series those that speak of it, as far as it is asked for."""
    turns: list[tuple[_Standing, str | None]] = []
    standing = sorted(_standing(state, plan, slots, emitter, instant), key=lambda one: one.weight)
    firsts = {one.first for one in standing}
    for one in standing:
        over = next((other for other in speaking.get(one.first, ()) if _covers(other, one)), None)
        by = None if over is None else over.occurrence.alarm
        if over is None:
            for slot in firsts & one.series:
                speaking.setdefault(slot, []).append(one)
        if by != one.occurrence.by:
            turns.append((one, by))
    return turns


def _covers(other: _Standing, one: _Standing) -> bool:
    """Say whether one alarm is spoken for by another that comes before it.

    A rule on trial never stands for a live one; nor a silence that may have begun long before for one of a declared state.
    """
    ours, theirs = one.rule, other.rule
    same = ours.overlap is not None and ours.overlap == theirs.overlap and ours.stage == theirs.stage
    same = same and (ours.during is None or theirs.during is not None)
    return same and ours.id != theirs.id and one.series <= other.series


def _turn(one: _Standing, by: str | None) -> None:
    before = one.occurrence.by
    one.put_under(by)
    if by is None:
        assert before is not None  # noqa: S101 - who speaks and spoke has no turn
        one.say(ChangeKind.RELEASED, before)
    else:
        one.say(ChangeKind.SUPPRESSED, by)


def _slots_of(plan: Plan, subject: tuple[str, str]) -> Iterable[int]:
    what, name = subject
    if what == "tag":
        return [plan.slots[name]] if name in plan.slots else []
    return plan.places[name].tolist() if name in plan.places else []


def _standing(state: FacilityState, plan: Plan, slots: set[int], emitter: Emitter, instant: int) -> Iterator[_Standing]:
    """Yield the silences of these series that nothing of their own rule covers."""
    for group in state.groups.all_lasting({"", *(plan.sensors[slot].area for slot in slots)}):
        occurrence = group.occurrence
        if group.key not in plan.silent or state.is_muted(group.rule):
            continue
        series = plan.series_of(*group.key)
        if slots.isdisjoint(series) or state.is_covered(group.rule, occurrence.by, group.place):
            continue
        rule = emitter.bundle.rule(group.rule)
        assert isinstance(rule, GapRule)  # noqa: S101 - groups are made by gap rules
        order = (emitter.bundle.rank(group.rule), 1 if group.place else 0, group.place)
        say = partial(_say_group, group, instant, emitter)
        first = int(plan.gap_slots[plan.silent[group.key][0]])
        yield _Standing(rule, order, occurrence, series, first, say, partial(state.groups.put_under, group))
    for slot in slots:
        for instance in plan.by_slot[slot]:
            occurrence_or_none = emitter.active(instance.kind, instance) if instance.kind in SILENCES else None
            if occurrence_or_none is None or state.is_covered(instance.rule.id, occurrence_or_none.by, instance.area):
                continue
            if state.is_muted(instance.rule.id):
                continue
            assert isinstance(instance.rule, GapRule)  # noqa: S101 - the kind says so
            order = (instance.rank, 2, instance.tag)
            say = partial(_say_tag, instance, occurrence_or_none, instant, emitter)
            put = partial(setattr, occurrence_or_none, "by")
            yield _Standing(instance.rule, order, occurrence_or_none, frozenset({slot}), slot, say, put)


def _say_group(group: Group, instant: int, emitter: Emitter, kind: ChangeKind, by: str) -> None:
    silence.say(group, kind, instant, emitter, by)


def _say_tag(
    instance: Instance, occurrence: Occurrence, instant: int, emitter: Emitter, kind: ChangeKind, by: str
) -> None:
    emitter.cover(instance, occurrence, kind, instant, instant, by=by)
