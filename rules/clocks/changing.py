"""What other packs, another register and an opened front door make of the clocks that run."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from rules.changes import ChangeKind
from rules.clocks import yearly
from rules.clocks.due import reminded_at
from rules.clocks.judging import OTHERWISE, judge, roll, terms
from rules.clocks.speak import close_alarm, tell
from rules.failing import attempt
from rules.layout import NEVER, NONE
from rules.rare.speak import Now, abandon
from rules.wording import begun_anew, unwatched

if TYPE_CHECKING:
    from collections.abc import Container

    from rules.changes import RecordRead
    from rules.clocks.store import Clock
    from rules.emission import Emitter
    from rules.plan import Plan
    from rules.rule import DeadlineRule
    from rules.state import FacilityState

MAX_CLOSED = 64
"""Times in which the front door was closed that are kept; the oldest goes."""


def adopt(state: FacilityState, received: int, why: RecordRead, emitter: Emitter) -> None:
    """Judge what runs by the plan that has come into force: other texts, another calendar, other trials.

    What was answered is done with, but where no calendar had said whether in time.
    """
    since = state.clocks.since
    for rule in state.planned.deadlines:
        if rule.yearly is not None and rule.id not in since and yearly.concerns(rule, state.planned.facility):
            since[rule.id] = received
        attempt(emitter, rule.id, received, partial(_adopt, rule, Now(received, received, [why]), emitter))


def _adopt(rule: DeadlineRule, now: Now, emitter: Emitter) -> None:
    clocks, facility = emitter.state.clocks, emitter.state.planned.facility
    cases = clocks.of(rule.id)
    for subject in sorted(yearly.gone(rule, facility, clocks.since.get(rule.id, NONE), cases)):
        clock = cases[subject]
        if clock.standing is not None:
            close_alarm(rule, subject, clock, None, now, emitter, OTHERWISE)
        clock.start = NONE
        clocks.put(rule.id, subject, clock, NEVER)
        cases.touch(subject, clock)
    open_ = [
        s for s, c in cases.items() if c.is_unknown or c.standing or (c.start != NONE and c.answered == NONE)
    ]  # fmt: skip
    for subject in sorted(open_):
        judge(rule, subject, cases[subject], now, emitter)
    if rule.yearly is not None:
        roll(rule, now, emitter)


def leave(
    state: FacilityState, plan: Plan, received: int, why: RecordRead, emitter: Emitter, closed: Container[str]
) -> None:  # fmt: skip
    """End the clocks of rules that a new plan does not have, and of those that begin anew (`closed`)."""
    kept = {rule.id for rule in plan.deadlines}
    for rule in () if state.plan is None else state.plan.deadlines:
        if rule.id in kept and rule.id not in closed:
            continue
        wording = begun_anew if rule.id in kept else unwatched
        standing = [(s, clock) for s, clock in state.clocks.of(rule.id).items() if clock.standing is not None]
        for subject, clock in sorted(standing, key=lambda one: one[0]):
            step = partial(abandon, rule, subject, clock, received, why, wording, emitter)
            attempt(emitter, rule.id, received, step)
        state.clocks.vacate(rule.id)


def close_door(state: FacilityState, begin: int, now: int, emitter: Emitter) -> None:
    """Note that the front door was closed from `begin` to `now`: what was due meanwhile is due at its opening (settled.md)."""
    clocks = state.clocks
    if state.plan is None or not (state.plan.deadlines or state.plan.lateness):
        return
    clocks.closed = [*clocks.closed, (begin, now)][-MAX_CLOSED:]
    for rule in state.plan.deadlines:
        for subject, clock in clocks.of(rule.id).items():
            told = clock.standing is not None and begin < clock.standing.start < now
            if clock.start == NONE or clock.answered != NONE or not (told or clock.due <= now):
                continue
            found = terms(rule, clock, emitter)
            if found is not None and found.due == now:
                soon = None if told else reminded_at(rule, clock, now)
                later = max(state.clock, now) + 1
                clocks.put(rule.id, subject, clock, soon if soon is not None and soon > state.clock else later)


def reopen_door(state: FacilityState, begin: int, now: int, emitter: Emitter) -> None:
    """Take back what was said of times that were over inside of closed time: it is said again unless the report comes at the opening."""
    for rule in () if state.plan is None else state.plan.deadlines:
        said = [s for s, c in state.clocks.of(rule.id).items() if _was_said(rule, c, begin, now)]
        for subject in sorted(said):
            attempt(emitter, rule.id, now, partial(_take_back, rule, subject, now, emitter))


def _was_said(rule: DeadlineRule, clock: Clock, begin: int, now: int) -> bool:
    last = clock.last
    return (
        last is not None and not last.retracted and begin < last.start < now and last.top >= rule.severity.base.rank
    )  # fmt: skip


def _take_back(rule: DeadlineRule, subject: str, now: int, emitter: Emitter) -> None:
    clock = emitter.state.clocks.of(rule.id)[subject]
    last = clock.last
    assert last is not None  # noqa: S101 - asked before
    if last.end == NONE:
        last.end = max(now, last.start)
    last.retracted, last.unknown = True, False
    tell(rule, subject, clock, ChangeKind.RETRACTED, terms(rule, clock, emitter), Now(now, now), emitter)
    if clock.answered != NONE:
        judge(rule, subject, clock, Now(now, now), emitter)
