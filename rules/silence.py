"""Silences of areas and whole feeds: one grouped alarm over those of its series (docs/engine-semantics.md, "gap").

Above 400 lines on purpose: raising, ending, releasing and the front door share the books of one group.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from rules import forgetting, layout, places, withheld
from rules.changes import ChangeKind, Evidence, Leaf, RecordRead, Verdict, alarm_id
from rules.failing import attempt
from rules.groups import Group
from rules.kinds import gap
from rules.layout import GAP, NEVER, NONE
from rules.occurrence import Occurrence
from rules.records import Kind
from rules.rule import GapRule
from rules.wording import SILENT_WHILE, begun_anew, declared, group_message, unwatched

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Sequence

    from rules.emission import Emitter, Transition
    from rules.marks import Declaration
    from rules.models import Bilingual
    from rules.plan import Instance, Plan
    from rules.register import Sensor
    from rules.state import FacilityState

FACILITY, AREA, TAG = 0, 1, 2
"""Levels, in the order in which their changes are emitted."""
MAX_DOORS = 8
"""Times in which the front door was closed that are kept of a series, the newest ones."""
LISTED = 100
"""Suppressed alarms named in a group's evidence; the rest are counted."""


def level(group: Group) -> int:
    """Return FACILITY or AREA."""
    return AREA if group.place else FACILITY


def first_rows(
    state: FacilityState, index: npt.NDArray[np.int64], folded: npt.NDArray[np.uint8], begin: int, stop: int
) -> dict[int, list[Group]]:
    """Return which of the rows [begin, stop) ends which active groups: the first folded of any series of the place."""
    plan = state.plan
    ends: dict[int, list[Group]] = {}
    if plan is None or not state.groups.is_any_lasting:
        return ends
    rows = np.flatnonzero(folded[begin:stop] == layout.ROW_FOLDED)
    if not rows.size:
        return ends
    # A row that was folded has a series; the index of others, -1, is never looked at.
    areas, first = np.unique(plan.grouping.area_of[index[begin:stop][rows]], return_index=True)
    named = [plan.grouping.areas[area] for area in areas.tolist()]
    for place, row in zip(["", *named], rows[[0, *first.tolist()]].tolist(), strict=True):
        for group in state.groups.lasting(place):
            ends.setdefault(begin + row, []).append(group)
    return ends


def decide(state: FacilityState, group: Group, due: int, emitter: Emitter) -> None:
    """Take the decision of a place whose silence was told: the next colour, or the release of what is still silent after its end."""
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


def declare(
    state: FacilityState, one: Declaration, slots: list[int], every: Iterable[int], received: int, emitter: Emitter
) -> None:
    """Take notice of a mark: what it keeps away is due later, and the silence of a place that is marked as a whole is `amended`.

    Args:
        state: of the facility.
        one: the mark.
        slots: the series that it is about.
        every: the series of which other marks are known now.
        received: its receive time, ms.
        emitter: of its record.
    """
    plan, read, marked = state.planned, [RecordRead(kind=Kind.MARK, id=one.name)], set(slots)
    named = {"", *(plan.sensors[slot].area for slot in every)}
    for group in sorted(state.groups.all_lasting(named), key=lambda group: (group.rule, group.place)):
        occurrence = group.occurrence
        _schedule(state, group, _rule(group.rule, emitter), received)
        here = plan.places[group.place].tolist()
        whole = one.is_timely and marked.issuperset(here)
        whole = whole and all(_overlaps(state, one, plan.sensors[slot], occurrence.start, received) for slot in here)
        if whole and occurrence.by is None:
            words = partial(declared, group.place, one)
            attempt(
                emitter, group.rule, received,
                partial(_emit, group, ChangeKind.AMENDED, one.begin, received, emitter, read, words=words, marks=[one.name]),
            )  # fmt: skip


def _overlaps(state: FacilityState, one: Declaration, sensor: Sensor, begin: int, end: int) -> bool:
    return state.marks.overlaps(one, sensor.tag, sensor.area, begin, end)


def raise_tag(state: FacilityState, instance: Instance, transition: Transition, emitter: Emitter) -> None:
    """Emit a tag's silence that the clock raised, under the group that covers it, if there is one."""
    occurrence = emitter.apply(GAP, instance, transition, [])
    group = _over(state, instance)
    if group is not None:
        _suppress(state, group, instance, occurrence, transition.at, emitter)


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
    state.groups.note(group)
    _emit(group, ChangeKind.CLEARED, at, received, emitter, records)


def settle(
    state: FacilityState, rule: str, at: int, received: int, records: list[RecordRead], emitter: Emitter
) -> None:
    """Retract the ended groups of a rule whose tags have all been retracted."""
    for group in state.groups.whole(rule):
        group.occurrence.retracted = True
        group.release = NEVER
        state.groups.note(group)
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
    for slot in np.unique(plan.gap_slots[closed[plan.gap_slots] > 0]).tolist():
        _note_door(state, slot, int(closed[slot]), anew=bool(open_before[slot]))
    for instance in plan.gaps:
        _reschedule(state, plan, instance, now)
    state.refresh_all()
    for group in state.groups:
        if group.occurrence.active:
            group.lo += now - begin
            _schedule(state, group, _rule(group.rule, emitter), now)
    state.dirty = True
    places.refresh_due(state)


def _note_door(state: FacilityState, slot: int, closed: int, *, anew: bool) -> None:
    """Note when the door was closed behind the newest row of a series: rows that come late, and lie about that time, ask for it.

    `anew`: nothing was left of what was closed before; else it is one time with that.
    """
    spans = state.doors.setdefault(state.planned.sensors[slot].tag, [])
    begin = state.of_series("shut", slot)
    if spans and not anew:
        begin, end = spans.pop()
        spans.append((begin, end + closed))
    else:
        spans.append((begin, begin + state.of_series("ext", slot)))
    del spans[:-MAX_DOORS]


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
        state.groups.note(group)
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
    watched = {key for key in plan.grouped if key[0] not in closed}
    for group in sorted(state.groups, key=lambda group: (group.rule, group.place)):
        if group.occurrence.active and group.key not in watched:
            wording = begun_anew if group.rule in closed else unwatched
            attempt(emitter, group.rule, received, partial(_abandon, state, group, received, why, wording, emitter))
    for group in state.groups:
        if group.key not in watched:
            group.due = group.release = NEVER
            state.groups.let_go(group)
            state.groups.note(group)


def _abandon(
    state: FacilityState, group: Group, received: int, why: RecordRead, wording: Callable[[str], Bilingual], emitter: Emitter
) -> None:  # fmt: skip
    group.occurrence.end = max(received, group.occurrence.start)
    state.groups.note(group)
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
    over = _over(state, instance)
    if over is not None:
        _suppress(state, over, instance, occurrence, at, emitter)
    else:
        state.unsettled.add(("tag", instance.tag))


def rise(state: FacilityState, rule_id: str, place: str, due: int, emitter: Emitter) -> None:
    """Raise the silence of a place that falls silent as a whole."""
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
    newest = int(state.column("last_t").max())
    forgetting.drop_old(state, plan, newest)
    use = _next_use(state, rule_id, place, start)
    alarm = alarm_id(rule_id, state.facility, _subject(place), start, use)
    group = Group(rule_id, place, Occurrence(alarm, start, start, NONE, sev, sev, newest), lo, interval, due, use=use)
    covered: list[tuple[Instance, Occurrence]] = []
    for i in members:
        occurrence = emitter.active(GAP, plan.gaps[i])
        if occurrence is not None and not state.is_covered(rule_id, occurrence.by, plan.gaps[i].area):
            covered.append((plan.gaps[i], occurrence))
    state.groups.add(group)
    _schedule(state, group, rule, due)
    below = [] if place else [g for g in state.groups if g.place and g.rule == rule_id and g.occurrence.active]
    named = [g.occurrence.alarm for g in below] + [o.alarm for _, o in covered]
    _emit(group, ChangeKind.RAISED, due, due, emitter, [], named)
    for lower in below:
        state.groups.put_under(lower, alarm)
        state.groups.cover(group, lower.occurrence.alarm)
        _emit(lower, ChangeKind.SUPPRESSED, due, due, emitter, [], by=alarm)
    for instance, occurrence in covered:
        _suppress(state, group, instance, occurrence, due, emitter)


def _next_use(state: FacilityState, rule_id: str, place: str, start: int) -> int:
    """Return the use of a start that enters the next id: one more than that of the newest group that had it.

    Not all that had it are remembered. After a restart the newest one's id tells which use that was: one of 1, 2, ... `seq`, as
    each was raised with a change of its own.
    """
    had = state.groups.had(rule_id, place, start)
    if not had:
        return 1
    if not had[-1].use:
        alarm, subject, uses = had[-1].occurrence.alarm, _subject(place), range(1, state.seq + 1)
        taken = (use for use in uses if alarm_id(rule_id, state.facility, subject, start, use) == alarm)
        had[-1].use = next(taken, len(had))
    return had[-1].use + 1


def _suppress(
    state: FacilityState, group: Group, instance: Instance, occurrence: Occurrence, due: int, emitter: Emitter
) -> None:
    occurrence.by = group.occurrence.alarm
    state.groups.cover(group, occurrence.alarm, instance.key)
    emitter.cover(instance, occurrence, ChangeKind.SUPPRESSED, due, due, by=group.occurrence.alarm)


def _release(state: FacilityState, group: Group, due: int, emitter: Emitter) -> None:
    """Let go of what is still silent: it speaks, or another rule's alarm for it, once the instant is over (rules/overlap.py).

    An area that is silent as a whole gets its own alarm instead.
    """
    plan = state.plan
    assert plan is not None  # noqa: S101 - a group has members
    group.release = NEVER
    state.groups.note(group)
    alarm = group.occurrence.alarm
    for lower in state.groups.under(alarm):
        state.unsettled.add(("area", lower.place))
    still: dict[str, list[tuple[Instance, Occurrence]]] = {}
    for i in plan.silent.get((group.rule, group.place), []):
        occurrence = emitter.active(GAP, plan.gaps[i])
        if occurrence is not None and occurrence.by == alarm:
            still.setdefault(plan.gaps[i].area, []).append((plan.gaps[i], occurrence))
    rising = set() if group.place else {area for rule, area in places.rising(state, due) if rule == group.rule}
    for area in sorted(still):
        if area in rising:
            rise(state, group.rule, area, due, emitter)
            continue
        for instance, occurrence in still[area]:
            _let_go(state, instance, occurrence, due, emitter)


def _over(state: FacilityState, instance: Instance) -> Group | None:
    """Return the silence that covers a tag: of the whole feed, else of its area."""
    return state.groups.standing(instance.rule.id, "") or state.groups.standing(instance.rule.id, instance.area)


def _schedule(state: FacilityState, group: Group, rule: GapRule, floor: int) -> None:
    assert state.plan is not None  # noqa: S101 - a group has members
    slots, begin = _watched(state.plan, group.rule, group.place), group.lo + state.plan.facility.delivery
    ahead = [
        withheld.free_place(state, slots, max(begin + after, floor), flags)
        for after, rank, flags in withheld.steps_of(rule, group.interval)
        if rank > group.occurrence.sev
    ]
    group.due = min(ahead, default=NEVER)
    state.groups.note(group)


def _watched(plan: Plan, rule_id: str, place: str) -> list[int]:
    """Return the series of a place whose silence a rule watches."""
    return [plan.gaps[i].slot for i in plan.silent.get((rule_id, place), [])]


def _rule(rule_id: str, emitter: Emitter) -> GapRule:
    rule = emitter.bundle.rule(rule_id)
    assert isinstance(rule, GapRule)  # noqa: S101 - groups are made by gap rules
    return rule


def _subject(place: str) -> dict[str, str]:
    return {"area": place} if place else {}


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
    read = emitter.read_of(emitter.state.plan.places[group.place], NONE, records, received)
    verdict = Verdict.TRUE if kind in SILENT_WHILE else Verdict.FALSE
    rows = 0.0 if verdict is Verdict.TRUE else None  # how many came is not counted: one is enough
    leaf = Leaf(expr="rows received", left=rows, op="=", right=0.0, verdict=verdict)
    left_out = {"suppresses": len(named) - LISTED} if len(named) > LISTED else {}
    proof = Evidence(leaves=[leaf], records=read, marks=list(marks), suppresses=named[:LISTED], left_out=left_out)
    emitter.emit(
        _rule(group.rule, emitter), _subject(group.place), group.occurrence, kind, at, received,
        group_message(group.place, kind) if words is None else words(), proof, by=by,
    )  # fmt: skip
