"""Silences of areas and whole feeds: one grouped alarm over those of its series (docs/engine-semantics.md, "gap").

Above 400 lines on purpose: raising, ending, releasing and the front door share the books of one group.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from rules import horizon, layout, places, withheld
from rules.changes import ChangeKind, Evidence, Leaf, RecordRead, Verdict, alarm_id
from rules.failing import attempt
from rules.kinds import gap
from rules.layout import GAP, HORIZON_MS, NEVER, NONE
from rules.occurrence import Occurrence
from rules.records import Kind
from rules.rule import GapRule
from rules.state import FacilityState, Group
from rules.wording import SILENT_WHILE, begun_anew, declared, group_message, unwatched

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Sequence

    from rules.emission import Emitter, Transition
    from rules.marks import Declaration
    from rules.models import Bilingual
    from rules.plan import Instance, Plan

FACILITY, AREA, TAG = 0, 1, 2
"""Levels, in the order in which their changes are emitted."""
RISES = -1
"""Stands for the index of a group that is not there yet: a place that falls silent."""
WAITING = 256
"""Ended groups of a facility that are kept only because all they suppressed may still be retracted; older ones are forgotten."""
LISTED = 100
"""Suppressed alarms named in a group's evidence; the rest are counted."""


def level(group: Group) -> int:
    """Return FACILITY or AREA."""
    return AREA if group.place else FACILITY


def first_rows(
    state: FacilityState, index: npt.NDArray[np.int64], folded: npt.NDArray[np.uint8], begin: int, stop: int
) -> dict[int, list[Group]]:
    """Return which of the rows [begin, stop) ends which active groups: the first folded of any series of the place."""
    ends: dict[int, list[Group]] = {}
    plan = state.plan
    for group in state.groups:
        if not group.occurrence.active or plan is None:
            continue
        members = np.zeros(len(plan.sensors), dtype=bool)
        members[plan.places[group.place]] = True
        # A row that was folded has a series; the index of others, -1, is never looked at.
        hits = np.flatnonzero((folded[begin:stop] == layout.ROW_FOLDED) & members[index[begin:stop]])
        if hits.size:
            ends.setdefault(begin + int(hits[0]), []).append(group)
    return ends


def candidates(state: FacilityState, due: int, emitter: Emitter) -> list[tuple[int, int, str, int, int]]:
    """Return the groups' decisions due at `due`, as (rule rank, level, place, -1, index)."""
    ranks = {rule.id: rank for rank, rule in enumerate(emitter.bundle.rules)}
    found = [
        (ranks[group.rule], level(group), group.place, -1, i)
        for i, group in enumerate(state.groups)
        if due in (group.due, group.release)
    ]
    assert state.plan is not None  # noqa: S101 - nothing is due without a plan
    found += [
        (ranks[rule_id], AREA if place else FACILITY, place, -2, RISES)
        for rule_id, place in state.plan.silent
        if (rises := places.rises(state, state.plan, rule_id, place)) is not None and rises <= due
    ]
    return found


def decide(state: FacilityState, entry: tuple[int, int, str, int, int], due: int, emitter: Emitter) -> None:
    """Take a place's decision: its silence, the next colour, or the release of what is still silent after its end."""
    rank, _, place, _, i = entry
    if i == RISES:
        _raise(state, emitter.bundle.rules[rank].id, place, due, emitter)
        return
    group = state.groups[i]
    if group.release == due:
        _release(state, group, due, emitter)
        return
    rule = _rule(group.rule, emitter)
    assert state.plan is not None  # noqa: S101 - a group has members
    occurrence = group.occurrence
    sev = _colour(group, rule, state.plan, due, state)
    if sev > occurrence.sev:
        occurrence.sev = occurrence.top = sev
        _emit(group, ChangeKind.STEPPED, due, due, emitter, [])
    _schedule(state, group, rule, due)


def declare(state: FacilityState, one: Declaration, received: int, emitter: Emitter) -> None:
    """Take notice of a mark: what it keeps away is due later, and the silence of a place that is marked as a whole is `amended`.

    Args:
        state: of the facility.
        one: the mark.
        received: its receive time, ms.
        emitter: of its record.
    """
    plan, read = state.planned, [RecordRead(kind=Kind.MARK, id=one.name)]
    for group in sorted(state.groups, key=lambda group: (group.rule, group.place)):
        occurrence = group.occurrence
        if not occurrence.active:
            continue
        _schedule(state, group, _rule(group.rule, emitter), received)
        sensors = [plan.sensors[slot] for slot in plan.places[group.place].tolist()]
        whole = one.is_timely and all(
            state.marks.overlaps(one, sensor.tag, sensor.area, occurrence.start, received) for sensor in sensors
        )
        if whole and occurrence.by is None:
            words = partial(declared, group.place, one)
            attempt(
                emitter, group.rule, received,
                partial(_emit, group, ChangeKind.AMENDED, one.begin, received, emitter, read, words=words, marks=[one.name]),
            )  # fmt: skip


def raise_tag(state: FacilityState, instance: Instance, transition: Transition, emitter: Emitter) -> None:
    """Emit a tag's silence that the clock raised, under the group that covers it, if there is one."""
    occurrence = emitter.apply(GAP, instance, transition, [])
    group = _active(state, instance.rule.id, "") or _active(state, instance.rule.id, instance.area)
    if group is not None:
        _suppress(group, instance, occurrence, transition.at, emitter)


def end(
    state: FacilityState, group: Group, at: int, received: int, records: list[RecordRead], emitter: Emitter
) -> None:
    """End a group: something of it was received."""
    assert state.plan is not None  # noqa: S101 - a group has members
    occurrence = group.occurrence
    occurrence.end = max(at, occurrence.start)
    occurrence.closed = at
    group.due = NEVER
    group.release = received + state.plan.facility.delivery if occurrence.children else NEVER
    _emit(group, ChangeKind.CLEARED, at, received, emitter, records)


def settle(
    state: FacilityState, rule: str, at: int, received: int, records: list[RecordRead], emitter: Emitter
) -> None:
    """Retract the ended groups of a rule whose tags have all been retracted."""
    for group in sorted(state.groups, key=lambda group: group.place):
        occurrence = group.occurrence
        if group.rule != rule or occurrence.retracted or occurrence.end == NONE or not occurrence.children:
            continue
        if all(occurrence.children.values()):
            occurrence.retracted = True
            group.release = NEVER
            _emit(group, ChangeKind.RETRACTED, at, received, emitter, records)


def close_door(state: FacilityState, begin: int, now: int, emitter: Emitter) -> None:
    """Take (begin, now) out of every silence: the regulator's own outage is never the firm's fault.

    No silence falls due inside closed time; what was said inside it stands until `reopen_door`.
    """
    plan = state.plan
    if plan is None:
        return
    closed = np.maximum(0, now - np.maximum(begin, state.column("last_m")))
    open_before = state.column("ext") == 0
    state.words[plan.series_at[open_before] + layout.SHUT] = (now - closed)[open_before]
    state.words[plan.series_at + layout.EXT] += closed
    for instance in plan.gaps:
        _reschedule(state, plan, instance, now)
    state.refresh_all()
    for group in state.groups:
        if group.occurrence.active:
            group.lo += now - begin
            _schedule(state, group, _rule(group.rule, emitter), now)
    state.dirty = True
    places.refresh_due(state)


def reopen_door(state: FacilityState, begin: int, now: int, emitter: Emitter) -> None:
    """Take back what the clock said of silences inside (begin, now]: alarms, colours, suppression."""
    plan = state.plan
    if plan is None:
        return
    for instance in sorted(plan.gaps, key=lambda one: (one.rank, one.tag)):
        if state.of(instance, "active"):
            attempt(emitter, instance.rule.id, now, partial(_reopen_tag, state, plan, instance, begin, now, emitter))
    for group in sorted(state.groups, key=lambda group: (group.rule, group.place)):
        if group.occurrence.active:
            attempt(emitter, group.rule, now, partial(_reopen_group, state, plan, group, begin, now, emitter))
    for rule_id in sorted({group.rule for group in state.groups}):
        attempt(emitter, rule_id, now, partial(settle, state, rule_id, now, now, [], emitter))
    free(state, now, emitter)
    state.floor = now
    places.refresh_due(state)


def _reopen_tag(state: FacilityState, plan: Plan, instance: Instance, begin: int, now: int, emitter: Emitter) -> None:
    ext = state.of_series("ext", instance.slot)
    occurrence = emitter.current(GAP, instance)
    if begin < state.of(instance, "raised") <= now:
        occurrence.end, occurrence.retracted = max(now, occurrence.start), True
        emitter.cover(instance, occurrence, ChangeKind.RETRACTED, now, now, by=None)
        gap.reopen(state.words, instance.state)
    elif gap.recolour(plan.params, instance.params, state.words, instance.state, ext, now):
        occurrence.sev = state.of(instance, "sev")
        emitter.cover(instance, occurrence, ChangeKind.STEPPED, now, now, by=None)
    _reschedule(state, plan, instance, now)
    state.refresh(instance.slot)


def _reschedule(state: FacilityState, plan: Plan, instance: Instance, now: int) -> None:
    ext = state.of_series("ext", instance.slot)
    gap.schedule(plan.params, instance.params, state.words, instance.state, ext, now)


def _reopen_group(state: FacilityState, plan: Plan, group: Group, begin: int, now: int, emitter: Emitter) -> None:
    occurrence = group.occurrence
    if begin < group.raised <= now:
        occurrence.end, occurrence.retracted = max(now, occurrence.start), True
        group.due = NEVER
        _emit(group, ChangeKind.RETRACTED, now, now, emitter, [])
        return
    rule = _rule(group.rule, emitter)
    sev = _colour(group, rule, plan, now)
    if sev < occurrence.sev:
        occurrence.sev = sev
        _emit(group, ChangeKind.STEPPED, now, now, emitter, [])
    _schedule(state, group, rule, now)


def _colour(group: Group, rule: GapRule, plan: Plan, at: int, state: FacilityState | None = None) -> int:
    """Return the colour that a group's silence has reached at an instant; with `state` without those that marks keep away then."""
    reached = [
        rank
        for after, rank, flags in withheld.steps_of(rule, group.interval)
        if group.lo + after + plan.facility.delivery <= at
        and (state is None or withheld.free_place(state, _watched(plan, group.rule, group.place), at, flags) == at)
    ]
    return max([rule.severity.base.rank, *reached])


def abandon_groups(
    state: FacilityState, plan: Plan, received: int, why: RecordRead, emitter: Emitter, closed: Container[str] = ()
) -> None:
    """End the groups whose series a new plan no longer watches, and those of rules that begin anew; `why` is the record that says so.

    Nothing is said of them again. They are remembered because their start may come again, should the rule or the place.
    """
    watched = {pair for pair in places.watched(plan) if pair[0] not in closed}
    for group in sorted(state.groups, key=lambda group: (group.rule, group.place)):
        if group.occurrence.active and (group.rule, group.place) not in watched:
            wording = begun_anew if group.rule in closed else unwatched
            attempt(emitter, group.rule, received, partial(_abandon, group, received, why, wording, emitter))
    for group in state.groups:
        if (group.rule, group.place) not in watched:
            group.due = group.release = NEVER
            group.occurrence.children = {}


def _abandon(
    group: Group, received: int, why: RecordRead, wording: Callable[[str], Bilingual], emitter: Emitter
) -> None:
    group.occurrence.end = max(received, group.occurrence.start)
    emitter.emit(
        _rule(group.rule, emitter), _subject(group.place), group.occurrence, ChangeKind.CLEARED, received, received,
        wording(group.place), Evidence(records=[why]),
    )  # fmt: skip


def regroup(state: FacilityState, received: int, emitter: Emitter) -> None:
    """Fit the groups that stand to a plan just adopted, and release what none of them covers any more."""
    plan = state.plan
    assert plan is not None  # noqa: S101 - called after a plan was adopted
    for group in state.groups:
        if group.occurrence.active:  # of those that have ended the plan may not have the place, nor the packs the rule
            group.interval = int(plan.gap_param("interval", plan.silent[group.rule, group.place]).min())
            _schedule(state, group, _rule(group.rule, emitter), received)
    free(state, received, emitter)
    state.unsettled.add(("area", ""))
    state.floor = received
    places.refresh_due(state)


def free(state: FacilityState, at: int, emitter: Emitter) -> None:
    """Let go of what is suppressed by an alarm of its own rule that neither stands over it nor is about to release it."""
    plan = state.plan
    assert plan is not None  # noqa: S101 - a silence has a plan
    for lower in state.groups:
        if lower.occurrence.active and lower.occurrence.by is not None:
            state.unsettled.add(("area", lower.place))
    for i in sorted(range(len(plan.gaps)), key=lambda i: (plan.gaps[i].rank, plan.gaps[i].tag)):
        rule_id, occurrence = plan.gaps[i].rule.id, emitter.active(GAP, plan.gaps[i])
        if occurrence is None or occurrence.by is None or state.is_by_other(rule_id, occurrence.by):
            continue
        if not state.is_covered(rule_id, occurrence.by, plan.gaps[i].area):
            attempt(emitter, rule_id, at, partial(_let_go, state, plan.gaps[i], occurrence, at, emitter))


def _let_go(state: FacilityState, instance: Instance, occurrence: Occurrence, at: int, emitter: Emitter) -> None:
    """Let the place that now stands over a tag suppress its alarm; without one who speaks is asked once the instant is over."""
    over = _active(state, instance.rule.id, "") or _active(state, instance.rule.id, instance.area)
    if over is not None:
        _suppress(over, instance, occurrence, at, emitter)
    else:
        state.unsettled.add(("tag", instance.tag))


def _raise(state: FacilityState, rule_id: str, place: str, due: int, emitter: Emitter) -> None:
    plan = state.plan
    assert plan is not None  # noqa: S101 - a silence has a plan
    start, lo = places.begin(state, plan, rule_id, place, due)
    rule = _rule(rule_id, emitter)
    members = plan.silent[rule_id, place]
    interval = int(plan.gap_param("interval", members).min())
    sev = rule.severity.base.rank
    slots = _watched(plan, rule_id, place)
    for after, rank, flags in withheld.steps_of(rule, interval):
        if lo + after + plan.facility.delivery <= due and withheld.free_place(state, slots, due, flags) == due:
            sev = max(sev, rank)
    _drop_old(state, plan)
    use = _next_use(state, rule_id, place, start)
    alarm = alarm_id(rule_id, state.facility, _subject(place), start, use)
    newest = int(state.column("last_t").max())
    group = Group(rule_id, place, Occurrence(alarm, start, start, NONE, sev, sev, newest), lo, interval, due, use=use)
    _schedule(state, group, rule, due)
    covered: list[tuple[Instance, Occurrence]] = []
    for i in members:
        occurrence = emitter.active(GAP, plan.gaps[i])
        if occurrence is not None and not state.is_covered(rule_id, occurrence.by, plan.gaps[i].area):
            covered.append((plan.gaps[i], occurrence))
    below = [g for g in state.groups if not place and g.place and g.rule == rule_id and g.occurrence.active]
    named = [g.occurrence.alarm for g in below] + [o.alarm for _, o in covered]
    state.groups = [*state.groups, group]
    _emit(group, ChangeKind.RAISED, due, due, emitter, [], named)
    for lower in below:
        lower.occurrence.by = alarm
        group.occurrence.children[lower.occurrence.alarm] = False
        _emit(lower, ChangeKind.SUPPRESSED, due, due, emitter, [], by=alarm)
    for instance, occurrence in covered:
        _suppress(group, instance, occurrence, due, emitter)


def _next_use(state: FacilityState, rule_id: str, place: str, start: int) -> int:
    """Return the use of a start that enters the next id: one more than that of the newest group that had it.

    Not all that had it are remembered. After a restart the newest one's id tells which use that was: one of 1, 2, ... `seq`, as
    each was raised with a change of its own.
    """
    had = [g for g in state.groups if (g.rule, g.place, g.occurrence.first_start) == (rule_id, place, start)]
    if not had:
        return 1
    if not had[-1].use:
        alarm, subject, uses = had[-1].occurrence.alarm, _subject(place), range(1, state.seq + 1)
        taken = (use for use in uses if alarm_id(rule_id, state.facility, subject, start, use) == alarm)
        had[-1].use = next(taken, len(had))
    return had[-1].use + 1


def _suppress(group: Group, instance: Instance, occurrence: Occurrence, due: int, emitter: Emitter) -> None:
    occurrence.by = group.occurrence.alarm
    group.occurrence.children[occurrence.alarm] = False
    emitter.cover(instance, occurrence, ChangeKind.SUPPRESSED, due, due, by=group.occurrence.alarm)


def _release(state: FacilityState, group: Group, due: int, emitter: Emitter) -> None:
    """Let go of what is still silent: it speaks, or another rule's alarm for it, once the instant is over (rules/overlap.py).

    An area that is silent as a whole gets its own alarm instead.
    """
    plan = state.plan
    assert plan is not None  # noqa: S101 - a group has members
    group.release = NEVER
    alarm = group.occurrence.alarm
    for lower in state.groups:
        if lower.occurrence.active and lower.occurrence.by == alarm:
            state.unsettled.add(("area", lower.place))
    still: dict[str, list[tuple[Instance, Occurrence]]] = {}
    for i in plan.silent.get((group.rule, group.place), []):
        occurrence = emitter.active(GAP, plan.gaps[i])
        if occurrence is not None and occurrence.by == alarm:
            still.setdefault(plan.gaps[i].area, []).append((plan.gaps[i], occurrence))
    for area in sorted(still):
        rises = None if group.place else places.rises(state, plan, group.rule, area)
        if rises is not None and rises <= due:
            _raise(state, group.rule, area, due, emitter)
            continue
        for instance, occurrence in still[area]:
            _let_go(state, instance, occurrence, due, emitter)


def _active(state: FacilityState, rule: str, place: str) -> Group | None:
    return next((g for g in state.groups if (g.rule, g.place) == (rule, place) and g.occurrence.active), None)


def _schedule(state: FacilityState, group: Group, rule: GapRule, floor: int) -> None:
    assert state.plan is not None  # noqa: S101 - a group has members
    slots, begin = _watched(state.plan, group.rule, group.place), group.lo + state.plan.facility.delivery
    ahead = [
        withheld.free_place(state, slots, max(begin + after, floor), flags)
        for after, rank, flags in withheld.steps_of(rule, group.interval)
        if rank > group.occurrence.sev
    ]
    group.due = min(ahead, default=NEVER)


def _watched(plan: Plan, rule_id: str, place: str) -> list[int]:
    """Return the series of a place whose silence a rule watches."""
    return [plan.gaps[i].slot for i in plan.silent.get((rule_id, place), [])]


def _rule(rule_id: str, emitter: Emitter) -> GapRule:
    rule = next(rule for rule in emitter.bundle.rules if rule.id == rule_id)
    assert isinstance(rule, GapRule)  # noqa: S101 - groups are made by gap rules
    return rule


def _subject(place: str) -> dict[str, str]:
    return {"area": place} if place else {}


def _drop_old(state: FacilityState, plan: Plan) -> None:
    """Forget groups that nothing can retract any more and whose start (and so whose id) cannot come again.

    Late data reach so far behind the newest row. A group is retracted once all that it suppressed is, so it is kept while each
    of these is retracted or may still be. Of those that nothing can retract the newest of its start tells the next use.
    """
    edge = int(state.column("last_t").max()) - HORIZON_MS
    every = np.arange(len(plan.gaps))
    ahead = set((state.gap_column("lo") + plan.gap_param("pace", every)).tolist())
    # A place takes the start of a tag it is left with.
    ahead |= set(state.gap_column("start_t")[state.gap_column("active") == 1].tolist())
    # A rule that comes back counts from the newest row of a series, or from its registration, whatever its numbers are then.
    oldest = min(max(state.of_series("last_t", slot), state.registered[tag]) for tag, slot in plan.slots.items())
    open_ones = _undecided(state, plan)
    watched = {pair for pair in places.watched(plan) if not state.is_muted(pair[0])}  # what is put aside comes back
    kept: set[int] = set()
    newer: set[tuple[str, str, int]] = set()
    waiting = away = 0
    # The areas before the facility that may hang on them, newest first.
    for i in sorted(range(len(state.groups)), key=lambda i: (not state.groups[i].place, -i)):
        group = state.groups[i]
        occurrence = group.occurrence
        same = (group.rule, group.place, occurrence.first_start)
        held = occurrence.active or group.release != NEVER or bool(occurrence.children)
        if not held and same in newer:
            continue
        newer.add(same)
        stays = occurrence.active or group.release != NEVER or occurrence.end > edge or occurrence.first_start in ahead
        if not stays and same[:2] not in watched and occurrence.first_start > oldest:
            stays = away < WAITING
            away += 1
        can_go = held and not occurrence.retracted
        if can_go and all(gone or alarm in open_ones for alarm, gone in occurrence.children.items()):
            waits = not occurrence.active and bool(occurrence.children)
            if stays or waiting < WAITING:
                open_ones.add(occurrence.alarm)
                stays = stays or waits
            waiting += waits
        if stays:
            kept.add(i)
    state.groups = [group for i, group in enumerate(state.groups) if i in kept]


def _undecided(state: FacilityState, plan: Plan) -> set[str]:
    """Return the alarms of silent tags that stand, or that late data may still retract."""
    found: set[str] = set()
    for (kind, _, tag), rows in state.occurrences.items():
        slot = plan.slots.get(tag)
        if kind != GAP or slot is None:
            continue
        edge = horizon.edge_of(plan.params, plan.where, slot, state.words, state.rings)
        found.update(o.alarm for o in rows if not o.retracted and (o.end == NONE or o.end > edge))
    return found


def say(group: Group, kind: ChangeKind, instant: int, emitter: Emitter, by: str) -> None:
    """Emit `suppressed` or `released` of a place's silence that the clock decided at an instant, ms."""
    _emit(group, kind, instant, instant, emitter, [], by=by)


def _emit(
    group: Group, kind: ChangeKind, at: int, received: int, emitter: Emitter, records: list[RecordRead],
    suppresses: list[str] | None = None, by: str | None = None, *, words: Callable[[], Bilingual] | None = None,
    marks: Sequence[str] = (),
) -> None:  # fmt: skip
    named = suppresses or []
    assert emitter.state.plan is not None  # noqa: S101 - a group has members
    read = emitter.read_of(emitter.state.plan.places[group.place], NONE, records)
    verdict = Verdict.TRUE if kind in SILENT_WHILE else Verdict.FALSE
    rows = 0.0 if verdict is Verdict.TRUE else None  # how many came is not counted: one is enough
    leaf = Leaf(expr="rows received", left=rows, op="=", right=0.0, verdict=verdict)
    left_out = {"suppresses": len(named) - LISTED} if len(named) > LISTED else {}
    proof = Evidence(leaves=[leaf], records=read, marks=list(marks), suppresses=named[:LISTED], left_out=left_out)
    emitter.emit(
        _rule(group.rule, emitter), _subject(group.place), group.occurrence, kind, at, received,
        group_message(group.place, kind) if words is None else words(), proof, by=by,
    )  # fmt: skip
