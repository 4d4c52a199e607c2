"""Kind `follow_up` with `trace`: openings of a door that the sensor nearest to it does not show (ADR 0051).

An opening is judged once, when the rows of its time have had their delivery: by the rows that the series' horizon still holds then. A
change that rows show is a trace, whatever else is missing; that there was none can only be said of a time that is covered with rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from rules import horizon
from rules.changes import Leaf, RecordRead, Verdict
from rules.instants import format_duration, format_instant
from rules.layout import AT_PROGRAM, HORIZON_MS, MARKED, NEVER, QUALITY_BITS, ROW_BQ, ROW_T, ROW_V
from rules.rare import store
from rules.rare.match import device_of, is_meant
from rules.rare.share import reach_of
from rules.rare.speak import Now, close, open_case
from rules.rare.store import Fact, subject_of, text_of
from rules.records import Kind
from rules.rowclass import classes
from rules.stored import ring_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rules.emission import Emitter
    from rules.rare.store import Case
    from rules.rareparts import Trace
    from rules.records import Event
    from rules.register import Sensor
    from rules.rule import FollowUpRule, ParallelRule
    from rules.state import FacilityState

OPEN, CLOSED = "open", "closed"
"""The text of a fact that is an event of the door; its `digest` is the door's id, and so of the others."""
ABSENT, PRESENT = "absent", "present"
"""The text of a fact that is a verdict: `t` of the opening, `received` when it was judged (ms); absent ones count."""
STEP = 6
"""Decimals to which a difference of two values is taken: 4.1 less 3.9 is 0.2."""


@dataclass(frozen=True, slots=True)
class Opening:
    """What was found of one `open` event of a door, and its event time (ms)."""

    t: int
    lasted: bool
    """It was the first that told so, and nothing told of a closing too soon behind it."""
    traced: Verdict = Verdict.UNKNOWN
    """The sensor changed so much; unknown too where it was no opening."""
    change: float | None = None
    """By how much known rows of its time differ, in the sensor's unit; None without two of them."""


@dataclass(frozen=True, slots=True)
class Openings:
    """What one decision of the clock judged of a sensor, with what its newest openings say then: for explanations only."""

    found: tuple[Opening, ...]
    absent: int
    whole: bool
    """There are as many of them as are judged together."""


def meet(rule: FollowUpRule, trace: Trace, event: Event, batch: str, now: Now, emitter: Emitter) -> None:
    """Fold one event: a door opens or closes that sensors in force name."""
    opens = is_meant(event, rule.begins) is Verdict.TRUE
    if not opens and is_meant(event, trace.ends) is not Verdict.TRUE:
        return
    door = device_of(event)
    for tag in emitter.state.planned.doors.get((rule.id, door), ()):
        due = NEVER
        if opens:
            due = max(now.at + rule.time, now.received) + emitter.state.planned.facility.delivery
        new = Fact(now.at, now.received, door, batch, OPEN if opens else CLOSED, due=due)
        _keep(rule, trace, text_of({"tag": tag}), new, emitter)


def _keep(rule: FollowUpRule, trace: Trace, subject: str, new: Fact, emitter: Emitter) -> None:
    rare = emitter.state.rare
    case = rare.case(rule.id, subject, store.MAX_CHECKED)
    if case is None:
        return
    if any((fact.t, fact.text) == (new.t, new.text) for fact in case.facts):
        rare.counts["event_duplicate"] += 1
        return
    cases = rare.cases[rule.id]
    cases.keep(case, sorted([*case.facts, new], key=lambda fact: (fact.t, fact.text)))
    told = told_of(case.facts)
    if len(told) > store.MAX_DOOR:
        _drop(rule, case, told[0], new, emitter)
    while cases.is_full(case, store.MAX_DOOR + trace.last):
        _drop(rule, case, case.facts[0], new, emitter)
    _due(case)


def _drop(rule: FollowUpRule, case: Case, gone: Fact, new: Fact, emitter: Emitter) -> None:
    """Let a fact go out; it is a loss where it is the newest told, was not judged yet, or is a verdict."""
    rare = emitter.state.rare
    rare.cases[rule.id].keep(case, [fact for fact in case.facts if fact is not gone])
    if gone is new:
        rare.counts["event_stale"] += 1
    elif gone.due != NEVER or gone.text in {ABSENT, PRESENT}:
        rare.counts["fact_dropped"] += 1


def told_of(facts: Sequence[Fact]) -> list[Fact]:
    """Return the events of the door among the facts of a case, by event time."""
    return [fact for fact in facts if fact.text in {OPEN, CLOSED}]


def verdicts_of(facts: Sequence[Fact]) -> list[Fact]:
    """Return the verdicts among the facts of a case, by event time of their openings."""
    return [fact for fact in facts if fact.text in {ABSENT, PRESENT}]


def counted_of(trace: Trace, facts: Sequence[Fact]) -> tuple[int, bool]:
    """Return how many of the newest openings of a case are absent, and whether there are as many as are judged together."""
    newest = verdicts_of(facts)[-trace.last :]
    return sum(fact.counts for fact in newest), len(newest) == trace.last


def fire(rule: FollowUpRule, trace: Trace, subject: str, case: Case, now: Now, emitter: Emitter) -> None:
    """Judge the openings that are due, and tell what the newest of them make of the alarm."""
    state, rare = emitter.state, emitter.state.rare
    plan = state.planned
    sensor = plan.sensors[plan.slots[subject_of(subject)["tag"]]]
    told, found = told_of(case.facts), list[Opening]()
    fresh: list[Fact] = []
    for fact in told:
        if fact.due > now.received:
            continue
        fact.due = NEVER
        one = judge(rule, trace, sensor, fact, told, state)
        found.append(one)
        if one.traced is not Verdict.UNKNOWN:
            absent = one.traced is Verdict.FALSE
            fresh.append(
                Fact(fact.t, now.received, fact.digest, fact.batch, ABSENT if absent else PRESENT, counts=absent)
            )
    verdicts = sorted([*verdicts_of(case.facts), *fresh], key=lambda fact: fact.t)[-trace.last :]
    rare.cases[rule.id].keep(case, sorted([*told, *verdicts], key=lambda fact: (fact.t, fact.text)))
    _due(case)
    rare.opened.setdefault(rule.id, {})[subject] = Openings(tuple(found), *counted_of(trace, case.facts))
    records = [RecordRead(kind=Kind.EVENTS, id=fact.batch) for fact in fresh[-1:]]
    _settle(rule, trace, subject, case, found, Now(now.at, now.received, records), emitter)


def judge(
    rule: FollowUpRule, trace: Trace, sensor: Sensor, opening: Fact, told: Sequence[Fact], state: FacilityState
) -> Opening:
    """Return what is found of one `open` event, by the events of its door and the rows that are known now."""
    before = max((fact.t for fact in told if fact.t < opening.t), default=NEVER)
    again = {fact.text for fact in told if fact.t == before} == {OPEN}
    brief = any(fact.text == CLOSED and opening.t <= fact.t < opening.t + trace.lasts for fact in told)
    if again or brief:
        return Opening(opening.t, lasted=False)
    traced, change = traced_by(rule, trace, sensor, opening.t, rows_of(rule, sensor, state))
    return Opening(opening.t, lasted=True, traced=traced, change=change)


def traced_by(
    rule: FollowUpRule, trace: Trace, sensor: Sensor, start: int, rows: Sequence[tuple[int, float]]
) -> tuple[Verdict, float | None]:
    """Return whether known rows show a change behind an opening, and how large it is.

    Args:
        rule: the rule, with the time in which the change shows.
        trace: of the rule.
        sensor: whose rows they are.
        start: of the opening, event time (ms).
        rows: event time (ms) and value, by event time.
    """
    end, reach = start + rule.time, reach_of(sensor.interval or 0)
    before = [row for row in rows if start - reach <= row[0] <= start][-1:]
    seen = [*before, *(row for row in rows if start < row[0] <= end)]
    values = [value for _, value in seen]
    change = round(max(values) - min(values), STEP) if len(values) > 1 else None
    if change is not None and change >= trace.change:
        return Verdict.TRUE, change
    times = [t for t, _ in seen] + [end]
    covered = before and all(later - t <= reach for t, later in pairwise(times))
    often = sensor.interval is not None and 2 * sensor.interval <= rule.time
    return Verdict.FALSE if covered and often else Verdict.UNKNOWN, change


def rows_of(rule: FollowUpRule | ParallelRule, sensor: Sensor, state: FacilityState) -> list[tuple[int, float]]:
    """Return the rows inside of a series' horizon that are known to a rule: event time (ms) and value, by event time."""
    plan = state.planned
    slot = plan.slots[sensor.tag]
    program, bit = plan.place(slot, AT_PROGRAM), MARKED if rule.marked == "count" else 0
    edge = horizon.edge_of(plan.params, plan.where, slot, state.words, state.rings)
    rows = ring_rows(plan, state.words, state.rings, slot)
    times, values = rows[:, ROW_T].tolist(), rows.view(np.float64)[:, ROW_V].tolist()
    qualities = (rows[:, ROW_BQ] & ((1 << QUALITY_BITS) - 1)).tolist()
    return [
        (t, value)
        for t, value, quality in zip(times, values, qualities, strict=True)
        if t > edge and (classes(plan.reals, program, value, quality) >> bit) & 1
    ]


def adopt(rule: FollowUpRule, trace: Trace, now: Now, emitter: Emitter) -> None:
    """Let go of sensors that the rule does not look at any more, or that another door is nearest to now; judge the others anew."""
    state = emitter.state
    doors = {
        text_of({"tag": tag}): door
        for (name, door), tags in state.planned.doors.items()
        if name == rule.id
        for tag in tags
    }
    cases = state.rare.of(rule.id)
    for subject, case in sorted(cases.items()):
        if subject in doors and all(fact.digest == doors[subject] for fact in case.facts):
            _settle(rule, trace, subject, case, [], now, emitter)
            continue
        if case.standing is not None:
            close(rule, subject, case, [], now, emitter)
        cases.keep(case, [])
        case.due = NEVER
        state.rare.opened.get(rule.id, {}).pop(subject, None)
        if not case.uses:
            del cases[subject]


def _settle(
    rule: FollowUpRule, trace: Trace, subject: str, case: Case, found: Sequence[Opening], now: Now, emitter: Emitter
) -> None:  # fmt: skip
    standing, (absent, whole) = case.standing, counted_of(trace, case.facts)
    emitter.state.rare.of(rule.id).busy = False
    if standing is None and whole and absent >= trace.absent:
        start = verdicts_of(case.facts)[-1].t
        late = start + rule.time + HORIZON_MS < now.received
        leaves = _leaves(rule, trace, found, absent, stands=False)
        open_case(rule, subject, case, start, rule.severity.base.rank, leaves, now, emitter, late=late)
    elif standing is not None and whole and absent <= trace.clear:
        close(rule, subject, case, _leaves(rule, trace, found, absent, stands=True), now, emitter)


def _leaves(rule: FollowUpRule, trace: Trace, found: Sequence[Opening], absent: int, *, stands: bool) -> list[Leaf]:
    within = format_duration(rule.time)
    many = Leaf(
        expr=f"of the last {trace.last} openings without a change of {trace.change:g} within {within}",
        left=float(absent), op="<=" if stands else ">=", right=float(trace.clear if stands else trace.absent),
        verdict=Verdict.FALSE if stands else Verdict.TRUE,
    )  # fmt: skip
    newest = [one for one in found if one.traced is not Verdict.UNKNOWN][-1:]
    return [many] + [
        Leaf(
            expr=f"change within {within} of the opening at {format_instant(one.t)}", left=one.change, op=">=",
            right=trace.change, verdict=one.traced,
        )
        for one in newest
    ]  # fmt: skip


def _due(case: Case) -> None:
    case.due = min((fact.due for fact in case.facts), default=NEVER)
