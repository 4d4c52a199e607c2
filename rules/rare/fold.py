"""Rare records in the fold: events, decisions, and what falls due; one rule's step at a time, in the order of rules (ADR 0033).

Above 400 lines on purpose: which kind does what at which record, and in what order, is seen in one file.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from rules import pairdoors, underway
from rules.batches import Seen
from rules.changes import Leaf, RecordRead, Verdict
from rules.clocks import changing, judging
from rules.decisions import closes
from rules.documents import fold as documents
from rules.excursions import fold as excursions
from rules.excursions.judge import fire as fire_excursion
from rules.failing import attempt, heed
from rules.instants import format_instant
from rules.layout import NEVER
from rules.ledger import fold as ledger
from rules.ledger import room
from rules.rare import (
    amendments,
    approval,
    beats,
    calibrations,
    count,
    follow_up,
    followed,
    grade,
    incomplete,
    offset,
    openings,
    parallel,
    posted,
    rate,
    register_check,
    results,
    revisions,
    rows,
    sequence,
    share,
    shared,
    strays,
    told,
)
from rules.rare.match import FUTURE_MS, copies_of, digest_of_batch, time_of
from rules.rare.speak import Now, abandon, close
from rules.rare.store import subject_of
from rules.records import Kind
from rules.rule import (
    INCOMPLETE,
    LATE_EVIDENCE,
    SEQUENCE,
    TOLD,
    UNKNOWN_TAG,
    ClockRule,
    CompletenessRule,
    CountRule,
    DeadlineRule,
    FollowUpRule,
    GradeRule,
    LatenessRule,
    LedgerRule,
    ParallelRule,
    RegisterCheckRule,
    ReleaseRule,
    ResultLimitRule,
    hears_excursions,
    is_latched,
    is_told,
    looks_at_rows,
)
from rules.wording import begun_anew, unwatched

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from rules.emission import Emitter
    from rules.plan import Plan
    from rules.rare.store import Case
    from rules.records import Decision, Event, Events
    from rules.register import Facility
    from rules.rule import Rule
    from rules.state import FacilityState

OWN = frozenset({Kind.READINGS, Kind.EVENTS, Kind.REPORT, Kind.MARK, Kind.ANSWER})
"""Records that come from the facility itself: they say that it can be heard."""
_ADOPT = {UNKNOWN_TAG: strays.adopt}
_FIRES = {"heartbeat": beats.fire, SEQUENCE: sequence.fire, LATE_EVIDENCE: rows.fire}
LEVEL = 3
"""Behind the levels of silences; a rule has decisions of one kind only, so it never tells two of them apart."""


def events(state: FacilityState, payload: Events, received: int, emitter: Emitter) -> None:
    """Fold a batch of events one by one; an id that comes again changes nothing, with other content it is counted.

    A facility without rules over rare records, during declared states, or that ask for doors, keeps nothing of them.
    """
    rare = state.rare
    if state.plan is None or not (
        state.plan.rare or state.plan.asked or state.plan.door_areas
    ):  # nothing is asked of events: nothing is kept of them
        return
    digest = digest_of_batch(payload)
    seen = rare.batches.meet_digest(payload.batch, digest, received)
    rare.counts["event_repeated"] += seen is Seen.REPEATED
    rare.counts["event_conflict"] += seen is Seen.CONFLICT
    if seen is Seen.CONFLICT:
        kept = rare.batches.digest_of(payload.batch)
        revisions.batch(state, Kind.EVENTS, payload.batch, digest, kept, received, emitter)
    if seen is not Seen.NEW:
        return
    records = [RecordRead(kind=Kind.EVENTS, id=payload.batch)]
    asks = next((rule.id for rule in state.plan.rare if is_told(rule)), None)
    for event, copy in zip(payload.events, copies_of(payload.events), strict=True):
        if asks is not None and (event.stream, event.type) == calibrations.TELLS:
            heed(emitter, asks, partial(_count, state, event, received))
        rare.counts["events"] += 1
        rare.counts["event_future"] += event.time > received + FUTURE_MS
        if state.plan.asked:
            underway.meet(state, event, time_of(event, received))
        if state.plan.door_areas:
            pairdoors.meet(state, event, time_of(event, received), received)
        now = Now(time_of(event, received), received, records, copy=copy)
        for rule in state.plan.rare:
            step = partial(_event, state, rule, event, payload.batch, now, emitter)
            if is_told(rule) and state.is_muted(rule.id):  # what is told is a fact, also where nobody judges it
                heed(emitter, rule.id, partial(calibrations.keep, rule, event, payload.batch, received, state))
            attempt(emitter, rule.id, received, step)
        if (event.stream, event.type) == ("device", "calibration"):
            _complete(state, Now(received, received, records), emitter)
    rare.refresh()


def _count(state: FacilityState, event: Event, received: int) -> None:
    """Count a calibration of which not all is taken."""
    what = calibrations.ignored(event, received, state.planned)
    if what is not None:
        state.rare.counts[what] += 1


def _complete(state: FacilityState, now: Now, emitter: Emitter) -> None:
    """Judge what rules lack, behind all of them."""
    for rule in state.planned.incomplete:
        attempt(emitter, rule.id, now.received, partial(incomplete.check, rule, now, emitter))


def _event(state: FacilityState, rule: Rule, event: Event, batch: str, now: Now, emitter: Emitter) -> None:
    assert state.plan is not None  # noqa: S101 - rules come with a plan
    if isinstance(rule, CountRule | ParallelRule | ResultLimitRule | LedgerRule):
        _by_itself(rule, event, batch, now, state.plan.facility, emitter)
    elif isinstance(rule, ClockRule) and rule.check == SEQUENCE:
        sequence.meet(rule, event, batch, now, state.plan.facility, emitter)
    elif isinstance(rule, ClockRule) and rule.check == "heartbeat":
        beats.meet(rule, event, batch, now, state.plan.facility, emitter)
    elif isinstance(rule, ClockRule) and not looks_at_rows(rule):
        offset.meet(rule, event, batch, now, state.plan.facility, emitter)
    elif isinstance(rule, FollowUpRule) and rule.before:
        approval.meet(rule, event, batch, now, emitter)
    elif isinstance(rule, FollowUpRule) and rule.trace:
        openings.meet(rule, rule.trace, event, batch, now, emitter)
    elif isinstance(rule, FollowUpRule) and rule.result:
        results.meet(rule, rule.result, event, now, state.plan.facility, emitter)
    elif isinstance(rule, FollowUpRule) and rule.alarm:
        followed.meet(rule, event, now, state.plan.facility, emitter)
    elif isinstance(rule, FollowUpRule):
        follow_up.meet(rule, event, batch, now, state.plan.facility, emitter)
    elif isinstance(rule, RegisterCheckRule) and rule.check in TOLD:
        told.meet(rule, event, batch, now, emitter)
    elif is_told(rule):
        register_check.meet(rule, event, batch, now, emitter)


def _by_itself(
    rule: CountRule | ParallelRule | ResultLimitRule | LedgerRule,
    event: Event,
    batch: str,
    now: Now,
    facility: Facility,
    emitter: Emitter,
) -> None:
    """Fold one event of a rule that waits for no other, or works all out anew."""
    if isinstance(rule, CountRule):
        count.meet(rule, event, batch, now, facility, emitter)
    elif isinstance(rule, ParallelRule):
        parallel.meet(rule, event, batch, now, emitter)
    elif isinstance(rule, LedgerRule):
        ledger.meet(rule, event, batch, now, facility, emitter)
    else:
        posted.meet(rule, event, batch, now, facility, emitter)


def decision(state: FacilityState, payload: Decision, received: int, emitter: Emitter) -> None:
    """Let an officer's decision end the latched alarm that it names, and let rules that count alarms hear it; any other has no effect here."""
    _end_latched(state, payload, received, emitter)
    for rule in () if state.plan is None else state.plan.graders:
        attempt(emitter, rule.id, received, partial(grade.decision, rule, payload, received, emitter))


def _end_latched(state: FacilityState, payload: Decision, received: int, emitter: Emitter) -> None:
    alarm = closes(payload)
    if alarm is None:
        return
    for rule in () if state.plan is None else state.plan.rare:
        for subject, case in state.rare.of(rule.id).items():
            if case.standing is None or case.standing.alarm != alarm or not is_latched(rule, subject_of(subject)):
                continue
            read = RecordRead(kind=Kind.DECISION, id=f"{payload.id}/{payload.version}")
            now = Now(received, received, [read])
            attempt(emitter, rule.id, received, partial(_close, rule, subject, case, payload.code, now, emitter))
            state.rare.refresh()
            return


def _close(rule: Rule, subject: str, case: Case, code: str, now: Now, emitter: Emitter) -> None:
    leaf = Leaf(expr="decision", left=code, op="closes", right=format_instant(now.received), verdict=Verdict.FALSE)
    close(rule, subject, case, [leaf], now, emitter, by_officer=True)
    # Counting begins anew, and what had come is known again. An A that is still to be decided, or is unknown, stays; so does a result that is.
    kept = [
        fact
        for fact in case.facts
        if isinstance(rule, FollowUpRule | ResultLimitRule | LatenessRule | ParallelRule | ReleaseRule)
        and not fact.counts
    ]
    for fact in case.facts:
        if fact not in kept:
            case.remember(fact.digest)
    emitter.state.rare.cases[rule.id].keep(case, kept)
    if isinstance(rule, LedgerRule):
        room.note(rule, subject, case, emitter.state.rare)
    if isinstance(rule, ClockRule) and rule.check == SEQUENCE:
        sequence.forget_front(rule, subject, emitter.state.rare)


def candidates(state: FacilityState, due: int, emitter: Emitter) -> list[tuple[int, int, str, int, int]]:
    """Return what rare rules decide at `due`, as (rule rank, level, subject or nothing, -1, -1)."""
    reported = excursions.next_due(state)
    if due not in {state.rare.due, state.clocks.due, reported}:
        return []
    rank = emitter.bundle.rank
    # Of clocks the first alone: it is before the others by rule and subject, and a thousand of them may be due at once.
    over = [first[1:] for first in [state.clocks.first] if first is not None and first[0] == due]
    over += excursions.due_now(state, due) if reported == due else []
    found = [
        (rank(rule), LEVEL, subject, -1, -1)
        for rule, cases in state.rare.cases.items()
        for subject in cases.waiting.due_at(due)
    ]
    found += [(rank(rule), LEVEL, "", -1, -1) for rule, at in state.rare.checked.items() if at == due]
    return found + [(rank(rule), LEVEL, subject, -1, -1) for rule, subject in over]


def next_due(state: FacilityState) -> int:
    """Return when the clock decides next on what rules heard."""
    return min(state.rare.due, excursions.next_due(state))


def is_due(state: FacilityState, rule: Rule, subject: str, due: int) -> bool:
    """Say whether a decision that `candidates` named is still due."""
    if isinstance(rule, DeadlineRule):
        return state.clocks.first == (due, rule.id, subject)
    if hears_excursions(rule):
        return excursions.is_due(state, rule.id, subject, due)
    if not subject:
        return state.rare.checked.get(rule.id) == due
    case = state.rare.of(rule.id).get(subject)
    return case is not None and case.due == due


def behind(state: FacilityState, rule: Rule, due: int) -> tuple[str, str] | None:
    """Return rule and subject of what `candidates` left out until a decision of `rule` was taken: the next clock, where it is due too."""
    first = state.clocks.first if isinstance(rule, DeadlineRule) else None
    return first[1:] if first is not None and first[0] == due else None


def forget_soonest(state: FacilityState) -> None:
    """Set back for when anything began to wait (`is_heard`)."""
    for cases in state.rare.cases.values():
        cases.waiting.soonest = NEVER
    for book in state.excursions.values():
        book.soonest = NEVER


def is_heard(state: FacilityState, due: int) -> bool:
    """Say whether something began to wait for an instant, or for one before, since `forget_soonest`."""
    books = state.rare
    if books.due <= due and any(cases.waiting.soonest <= due for cases in books.cases.values()):
        return True
    return any(book.soonest <= due for book in state.excursions.values())


def decide(state: FacilityState, first: tuple[int, int, str, int, int], due: int, emitter: Emitter) -> None:
    """Take one decision by the clock."""
    rule = emitter.bundle.rules[first[0]]
    if isinstance(rule, DeadlineRule):
        attempt(emitter, rule.id, due, partial(judging.fire, rule, first[2], due, emitter))
    elif hears_excursions(rule):
        attempt(emitter, rule.id, due, partial(fire_excursion, rule, first[2], due, emitter))
    elif isinstance(rule, CompletenessRule):
        state.rare.checked.pop(rule.id, None)
        judged = share.check if rule.check == "mark-share" else rate.check
        attempt(emitter, rule.id, due, partial(judged, rule, Now(due, due), emitter))
    elif isinstance(rule, RegisterCheckRule) and rule.check not in {*TOLD, UNKNOWN_TAG}:
        state.rare.checked.pop(rule.id, None)
        attempt(emitter, rule.id, due, partial(register_check.check, rule, Now(due, due), emitter))
    else:
        subject = first[2]
        case = state.rare.cases[rule.id][subject]
        case.due = NEVER
        step = _step(rule, subject, case, due, emitter)
        if step is not None:
            attempt(emitter, rule.id, due, step)
    state.rare.refresh()


def _step(rule: Rule, subject: str, case: Case, due: int, emitter: Emitter) -> Callable[[], object] | None:
    """Return what a rule does with a case that is due."""
    now = Now(due, due)
    if isinstance(rule, FollowUpRule):
        if rule.result:
            return partial(results.fire, rule, rule.result, subject, case, now, emitter)
        if rule.trace:
            return partial(openings.fire, rule, rule.trace, subject, case, now, emitter)
        return partial(followed.fire if rule.alarm else follow_up.fire, rule, subject, case, now, emitter)
    step: Callable[[], object] | None = None
    if isinstance(rule, ParallelRule):
        step = partial(parallel.fire, rule, subject, case, now, emitter)
    elif isinstance(rule, LatenessRule):
        step = partial(amendments.fire, rule, subject, case, due, emitter)
    elif isinstance(rule, LedgerRule):
        step = partial(ledger.fire, rule, subject, case, now, emitter)
    elif isinstance(rule, CountRule):
        step = partial(shared.fire, rule, subject, case, now, emitter)
    elif isinstance(rule, ClockRule):
        step = partial(_FIRES.get(rule.check, offset.fire), rule, subject, case, now, emitter)
    elif isinstance(rule, RegisterCheckRule):
        judge = strays.fire if rule.check == UNKNOWN_TAG else told.fire
        step = partial(judge, rule, subject, case, now, emitter)
    return step


def leave(
    state: FacilityState, plan: Plan, received: int, why: RecordRead, emitter: Emitter, closed: Container[str] = ()
) -> None:
    """End what a new plan no longer watches, or begins anew (`closed`); the packs of before are still in force."""
    rare = state.rare
    changing.leave(state, plan, received, why, emitter, closed)
    excursions.leave(state, plan, received, why, emitter, closed)
    documents.leave(state, plan, received, why, emitter, closed)
    kinds, now = {rule.id: rule.kind for rule in plan.rare}, {rule.id: rule for rule in plan.rare}
    before = {} if state.plan is None else {rule.id: rule for rule in state.plan.rare}
    for rule_id, rule in before.items():
        if kinds.get(rule_id) == rule.kind and rule_id not in closed:
            continue
        text = begun_anew if kinds.get(rule_id) == rule.kind else unwatched
        for subject, case in sorted(rare.of(rule_id).items()):
            attempt(emitter, rule_id, received, partial(abandon, rule, subject, case, received, why, text, emitter))
        new = now.get(rule_id)
        rare.vacate(rule_id, told=is_told(rule) and is_told(new) and rule.check == new.check)
    areas = {beats.WHOLE, *(area.id for area in plan.facility.areas)}
    for key in [key for key in rare.areas if followed.area_in(key[1]) not in areas]:
        del rare.areas[key]


def adopt(state: FacilityState, received: int, why: RecordRead, emitter: Emitter) -> None:
    """Judge the register by the rules that check it, and what is marked or measured, now that a new plan is in force."""
    rates = {rule.id for rule, _ in state.planned.rates}
    changing.adopt(state, received, why, emitter)
    excursions.adopt(state, received, why, emitter)
    documents.adopt(state, received, why, emitter)
    state.rare.missing = {rule: one for rule, one in state.rare.missing.items() if rule in rates}
    now = Now(received, received, [why])
    for rule in state.planned.rare:
        if isinstance(rule, RegisterCheckRule) and rule.check != INCOMPLETE:
            judge = told.adopt if rule.check in TOLD else _ADOPT.get(rule.check, register_check.check)
            if is_told(rule) and state.is_muted(rule.id):
                heed(emitter, rule.id, partial(calibrations.fit, rule, state))
            attempt(emitter, rule.id, received, partial(judge, rule, now, emitter))
        elif isinstance(rule, FollowUpRule) and rule.before:
            step = partial(approval.adopt, rule, Now(received, received, [why]), emitter)
            attempt(emitter, rule.id, received, step)
        elif isinstance(rule, FollowUpRule) and rule.trace:
            step = partial(openings.adopt, rule, rule.trace, Now(received, received, [why]), emitter)
            attempt(emitter, rule.id, received, step)
        elif isinstance(rule, ResultLimitRule):
            attempt(emitter, rule.id, received, partial(posted.adopt, rule, now, emitter))
        elif isinstance(rule, LatenessRule):
            attempt(emitter, rule.id, received, partial(amendments.adopt, rule, now, emitter))
        elif isinstance(rule, GradeRule):
            attempt(emitter, rule.id, received, partial(grade.judge, rule, now, emitter))
        elif isinstance(rule, LedgerRule):
            attempt(emitter, rule.id, received, partial(ledger.adopt, rule, now, emitter))
        elif isinstance(rule, CompletenessRule):
            settle = share.check if rule.check == "mark-share" else rate.adopt
            attempt(emitter, rule.id, received, partial(settle, rule, Now(received, received, [why]), emitter))
    _complete(state, now, emitter)
    state.rare.refresh()
