"""Reports and findings in the fold: they start clocks and answer them; what is not answered in time is told when it is due."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from rules.calendar import calendar_for
from rules.changes import ChangeKind, Evidence, RecordRead
from rules.clocks import yearly
from rules.clocks.book import Met
from rules.clocks.due import day_is_over, facts_of, keys_of, matches, overdue_at, reminded_at, terms_of
from rules.clocks.speak import close_alarm, open_alarm, tell
from rules.documents import fold as documents
from rules.failing import attempt
from rules.instants import start_of_day
from rules.layout import NEVER, NONE
from rules.rare.speak import Now
from rules.rare.store import subject_of, text_of
from rules.records import Kind
from rules.register import ZONE
from rules.reports.reading import fields_of
from rules.rule import DeadlineRule
from rules.wording import begun_anew, unwatched

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping

    from rules.calendar import WorkingDays
    from rules.clocks.due import Terms
    from rules.clocks.store import Clock
    from rules.deadlineparts import Document
    from rules.emission import Emitter
    from rules.models import Bilingual
    from rules.plan import Plan
    from rules.records import Inspection, Report
    from rules.state import FacilityState

MAX_CLOSED = 64
"""Times in which the front door was closed that are kept; the oldest goes."""
OTHERWISE = ("by its newest revision no such report is due", "按最新修订，无需提交该报告")


def report(state: FacilityState, payload: Report, received: int, emitter: Emitter) -> None:
    """Fold a submitted report: each number of it once (contracts.md §1). Without a rule that reads reports nothing is kept of them."""
    clocks, plan = state.clocks, state.plan
    if plan is None or not plan.of_reports:
        return
    clocks.counts["reports"] += 1
    met = clocks.book.meet(payload)
    if met is not Met.TAKEN:
        clocks.counts[f"report_{met.value}"] += 1
        return
    model = fields_of(payload)
    if model is None:
        clocks.counts["report_unread"] += 1
        return
    fields = model.model_dump(by_alias=True)
    read = RecordRead(kind=Kind.REPORT, id=f"{payload.id}/{payload.revision}")
    now = Now(received, received, [read])
    taken = documents.keep(state, payload, model)
    for rule in plan.of_reports:
        if isinstance(rule, DeadlineRule):
            attempt(emitter, rule.id, received, partial(_take, rule, payload, fields, now, emitter))
        elif taken is not None:
            attempt(emitter, rule.id, received, partial(documents.judge, rule, taken, now, emitter))


def inspection(state: FacilityState, payload: Inspection, received: int, emitter: Emitter) -> None:
    """Fold a visit: its findings, once handed over, start the clocks of what is to follow; a version not newer is a no-op."""
    plan = state.plan
    for rule in () if plan is None else plan.deadlines:
        if rule.inspections:
            read = RecordRead(kind=Kind.INSPECTION, id=f"{payload.visit}/{payload.version}")
            step = partial(_visited, rule, payload, Now(received, received, [read]), emitter)
            attempt(emitter, rule.id, received, step)


def _take(rule: DeadlineRule, payload: Report, fields: Mapping[str, Any], now: Now, emitter: Emitter) -> None:
    parts = (rule.starts, rule.answer, rule.again_until)
    meant = [part is not None and part.report == payload.type and matches(part.where, fields) for part in parts]
    keys = {key: None for part, is_meant in zip(parts, meant, strict=True) if part is not None and is_meant
            for key in _keys(rule, part, fields)}  # fmt: skip
    for key in keys:
        subject = text_of({"report": key})
        clock = emitter.state.clocks.clock(rule.id, subject)
        if clock is None:
            continue
        starts, answers, ends = meant
        if starts and rule.starts is not None:
            _start(rule, rule.starts, clock, payload.revision, fields, now)
        if answers:
            _answer(rule, subject, clock, payload.revision, fields, now, emitter)
        if ends and clock.answered == NONE:
            clock.answered = clock.judged = now.received
            _note(clock, now)
        judge(rule, subject, clock, now, emitter)


def _keys(rule: DeadlineRule, part: Document, fields: Mapping[str, Any]) -> list[str]:
    if rule.yearly is not None:
        return yearly.keys_of(rule, fields)
    return keys_of(fields.get(part.key))


def _start(
    rule: DeadlineRule, part: Document, clock: Clock, revision: int, fields: Mapping[str, Any], now: Now
) -> None:  # fmt: skip
    """Let a document tell when the clock began: the earliest of all counts (deadlines.md §0); and what is asked of it."""
    at = _began(part, fields, now)
    if at is not None and (clock.start == NONE or (at < clock.start and rule.again_until is None)):
        clock.start = at
        _note(clock, now)
    if revision > clock.revision:
        clock.revision, clock.said = revision, facts_of(rule, fields)
        _note(clock, now)


def _answer(
    rule: DeadlineRule, subject: str, clock: Clock, revision: int, fields: Mapping[str, Any], now: Now, emitter: Emitter
) -> None:  # fmt: skip
    if rule.again_until is not None:
        if clock.start != NONE and clock.answered == NONE:
            if clock.standing is not None:
                close_alarm(rule, subject, clock, _terms(rule, clock, emitter), now, emitter)
            clock.start = now.received
            clock.documents = []
            _note(clock, now)
        return
    if rule.yearly is not None:
        begun = yearly.began(rule, subject_of(subject)["report"])
        clock.start = begun if clock.start == NONE else clock.start
    else:
        own = rule.starts is None and not rule.inspections
        at = _began(rule.answer, fields, now)
        if at is not None and (clock.start == NONE or at < clock.start):
            clock.start = at
            _note(clock, now)
        if own and revision > clock.revision:
            clock.revision, clock.said = revision, facts_of(rule, fields)
            _note(clock, now)
        elif not own and not clock.revision and not clock.said:
            clock.said = facts_of(rule, fields)
    _plan(rule, clock, fields, now, emitter)
    if clock.answered == NONE:
        clock.answered = now.received
        named = None if rule.judged is None else fields.get(rule.judged)
        clock.judged = max(now.received, named) if isinstance(named, int) else now.received
        _note(clock, now)


def _plan(rule: DeadlineRule, clock: Clock, fields: Mapping[str, Any], now: Now, emitter: Emitter) -> None:
    """Let an approved plan put another day in the place of the text's, if it is known before that is over."""
    day = None if rule.plan is None else fields.get(rule.plan)
    if day is None:
        return
    before, clock.planned = clock.planned, NONE
    terms = _terms(rule, clock, emitter)
    in_time = terms is not None and terms.due is not None and now.received <= terms.due
    clock.planned = day_is_over(day) if in_time else before
    if in_time:
        _note(clock, now)


def _began(part: Document, fields: Mapping[str, Any], now: Now) -> int | None:
    if part.at is None or part.at == "received":
        return None if part.at is None else now.received
    value = fields.get(part.at)
    if isinstance(value, str):
        return start_of_day(yearly.day(value), ZONE)
    return value if isinstance(value, int) else None


def _visited(rule: DeadlineRule, payload: Inspection, now: Now, emitter: Emitter) -> None:
    subject = text_of({"report": payload.visit})
    clock = emitter.state.clocks.clock(rule.id, subject)
    if clock is None or payload.version <= clock.revision:
        return
    clock.revision = payload.version
    if payload.handed_over_at is not None and (clock.start == NONE or payload.handed_over_at < clock.start):
        clock.start = payload.handed_over_at
    _note(clock, now)
    _plan(rule, clock, {rule.plan or "": payload.plan_date}, now, emitter)
    judge(rule, subject, clock, now, emitter)


def _note(clock: Clock, now: Now) -> None:
    for read in now.records:
        if (read.kind, read.id) not in clock.documents:
            clock.documents = [*clock.documents, (read.kind, read.id)][-4:]


def _days(emitter: Emitter) -> WorkingDays | None:
    return days_of(emitter.state, emitter)


def days_of(state: FacilityState, emitter: Emitter) -> WorkingDays | None:
    """Return the working days of the facility's jurisdiction by the packs in force."""
    clocks, code = state.clocks, state.planned.facility.jurisdiction
    if clocks.days is None or clocks.days[0] != (emitter.bundle.sha256, code):
        clocks.days = ((emitter.bundle.sha256, code), calendar_for(code, emitter.bundle.calendars.values()))
    return clocks.days[1]


def _terms(rule: DeadlineRule, clock: Clock, emitter: Emitter) -> Terms | None:
    return terms_of(rule, clock, _days(emitter), emitter.state.clocks.closed)


def judge(
    rule: DeadlineRule, subject: str, clock: Clock, now: Now, emitter: Emitter, *, instant: int | None = None
) -> None:  # fmt: skip
    """Say what holds of a case now, and note when that changes by the clock alone.

    `instant`: what has passed is judged by this instead of by `now` (a decision that is due at an instant passes it).
    """
    clocks = emitter.state.clocks
    instant = now.received if instant is None else instant
    terms = _terms(rule, clock, emitter)
    if terms is None or terms.due is None:
        if terms is not None and clock.answered == NONE:
            clocks.counts["clock_unknown"] += 1
        if clock.standing is not None:
            close_alarm(rule, subject, clock, terms, now, emitter, OTHERWISE)
        clocks.put(rule.id, subject, clock, NEVER)
        return
    if clock.answered != NONE:
        _judge_answered(rule, subject, clock, terms, now, emitter)
        rolls = rule.yearly is not None and instant <= terms.due
        clocks.put(rule.id, subject, clock, terms.due + 1 if rolls else NEVER)
        return
    _judge_running(rule, subject, clock, terms, now, instant, emitter)


def _judge_answered(
    rule: DeadlineRule, subject: str, clock: Clock, terms: Terms, now: Now, emitter: Emitter
) -> None:  # fmt: skip
    """Tell of a case that was answered: what stood ends; what came late without an alarm is raised and ends in one record."""
    assert terms.due is not None  # noqa: S101 - asked before
    late, last = clock.judged > terms.due, clock.last
    if clock.standing is not None:
        close_alarm(rule, subject, clock, terms, now, emitter)
    elif late and (last is None or last.retracted or last.top < rule.severity.base.rank):
        open_alarm(rule, subject, clock, _colour(rule, clock.judged, terms.due, emitter), terms, now, emitter)
        close_alarm(rule, subject, clock, terms, now, emitter)
    elif late and last is not None and terms.due < last.start:
        last.start = terms.due
        tell(rule, subject, clock, ChangeKind.AMENDED, terms, now, emitter)


def _colour(rule: DeadlineRule, until: int, due: int, emitter: Emitter) -> int:
    steps = [rank for at, rank in overdue_at(rule, due, _days(emitter)) if until > at]
    return max([rule.severity.base.rank, *steps])


def _judge_running(
    rule: DeadlineRule, subject: str, clock: Clock, terms: Terms, now: Now, instant: int, emitter: Emitter
) -> None:  # fmt: skip
    due, reminded = terms.due, None
    assert due is not None  # noqa: S101 - asked before
    reminded = reminded_at(rule, clock, due)
    rank: int | None = None
    if instant > due:
        rank = _colour(rule, instant, due, emitter)
    elif rule.reminder is not None and reminded is not None and instant >= reminded:
        rank = rule.reminder.severity.rank
    standing = clock.standing
    if standing is not None and rank is None:
        close_alarm(rule, subject, clock, terms, now, emitter, OTHERWISE)
    elif standing is not None and rank is not None:
        if standing.start != due:
            standing.start = due
            tell(rule, subject, clock, ChangeKind.AMENDED, terms, now, emitter)
        if standing.sev != rank:
            standing.sev, standing.top = rank, max(standing.top, rank)
            tell(rule, subject, clock, ChangeKind.STEPPED, terms, now, emitter)
    elif rank is not None:
        open_alarm(rule, subject, clock, rank, terms, now, emitter)
    ahead = [due + 1, *(at + 1 for at, _ in overdue_at(rule, due, _days(emitter)))]
    ahead += [] if reminded is None else [reminded]
    later = min((at for at in ahead if at > instant), default=NEVER)
    emitter.state.clocks.put(rule.id, subject, clock, later)


def fire(rule: DeadlineRule, subject: str, due: int, emitter: Emitter) -> None:
    """Decide what is due: a time that is over is told as of its last instant, which it has passed now."""
    clock = emitter.state.clocks.of(rule.id)[subject]
    clock.due = NEVER
    terms = _terms(rule, clock, emitter)
    over = set() if terms is None or terms.due is None else {
        terms.due, *(at for at, _ in overdue_at(rule, terms.due, _days(emitter)))
    }  # fmt: skip
    at = due - 1 if due - 1 in over else due
    judge(rule, subject, clock, Now(at, at), emitter, instant=due)
    if rule.yearly is not None:
        _roll(rule, Now(at, at), due, emitter)


def _roll(rule: DeadlineRule, now: Now, instant: int, emitter: Emitter) -> None:
    """Let the register start the next clock of each year."""
    state = emitter.state
    clocks, facility = state.clocks, state.planned.facility
    for key, start in yearly.owed(rule, facility, clocks.since, instant):
        subject = text_of({"report": key})
        known = subject in clocks.of(rule.id)
        clock = clocks.clock(rule.id, subject)
        if clock is not None and (not known or clock.start == NONE):
            clock.start = start
            judge(rule, subject, clock, now, emitter, instant=instant)


def adopt(state: FacilityState, received: int, why: RecordRead, emitter: Emitter) -> None:
    """Judge all clocks by the plan that has come into force: other texts, another calendar, other trials."""
    clocks = state.clocks
    for rule in state.planned.deadlines:
        if rule.yearly is not None and clocks.since == NONE and yearly.concerns(rule, state.planned.facility):
            clocks.since = received
        attempt(emitter, rule.id, received, partial(_adopt, rule, Now(received, received, [why]), emitter))


def _adopt(rule: DeadlineRule, now: Now, emitter: Emitter) -> None:
    state = emitter.state
    clocks = state.clocks
    gone = yearly.gone(rule, state.planned.facility, clocks.of(rule.id))
    for subject in sorted(gone):
        clock = clocks.of(rule.id)[subject]
        if clock.standing is not None:
            close_alarm(rule, subject, clock, None, now, emitter, OTHERWISE)
        clock.start = NONE
    for subject in sorted(clocks.of(rule.id)):
        clock = clocks.of(rule.id)[subject]
        if clock.start != NONE or clock.standing is not None:
            judge(rule, subject, clock, now, emitter)
    if rule.yearly is not None:
        _roll(rule, now, now.received, emitter)


def leave(
    state: FacilityState, plan: Plan, received: int, why: RecordRead, emitter: Emitter, closed: Container[str]
) -> None:  # fmt: skip
    """End the clocks of rules that a new plan does not have, and of those that begin anew (`closed`)."""
    kept = {rule.id for rule in plan.deadlines}
    for rule in () if state.plan is None else state.plan.deadlines:
        if rule.id in kept and rule.id not in closed:
            continue
        wording = begun_anew if rule.id in kept else unwatched
        for subject, clock in sorted(state.clocks.of(rule.id).items()):
            step = partial(_abandon, rule, subject, clock, received, why, wording, emitter)
            attempt(emitter, rule.id, received, step)
        state.clocks.vacate(rule.id)


def _abandon(
    rule: DeadlineRule, subject: str, clock: Clock, received: int, why: RecordRead,
    wording: Callable[[str], Bilingual], emitter: Emitter,
) -> None:  # fmt: skip
    standing = clock.standing
    if standing is None:
        return
    named = subject_of(subject)
    standing.end, standing.closed = max(received, standing.start), received
    text, proof = wording(" ".join(named.values())), Evidence(records=[why])
    emitter.emit(rule, named, standing, ChangeKind.CLEARED, received, received, text, proof)


def close_door(state: FacilityState, begin: int, now: int, emitter: Emitter) -> None:
    """Note that the front door was closed from `begin` to `now`: what was due meanwhile is due at its opening (settled.md)."""
    if state.plan is None or not state.clocks.cases:
        return
    state.clocks.closed = [*state.clocks.closed, (begin, now)][-MAX_CLOSED:]
    for rule, subject, clock in _due_at(state, now, emitter):
        state.clocks.put(rule.id, subject, clock, now + 1)


def reopen_door(state: FacilityState, now: int, emitter: Emitter) -> None:
    """Take back what the clock said inside of closed time: it is said again unless the report comes at the opening."""
    for rule, subject, clock in _due_at(state, now, emitter):
        standing = clock.standing
        if standing is not None and standing.start < now and standing.top >= rule.severity.base.rank:
            attempt(emitter, rule.id, now, partial(_take_back, rule, subject, clock, now, emitter))


def _due_at(state: FacilityState, now: int, emitter: Emitter) -> list[tuple[DeadlineRule, str, Clock]]:
    """Return what runs and is due at the opening of the front door."""
    found = []
    for rule in () if state.plan is None else state.plan.deadlines:
        for subject, clock in sorted(state.clocks.of(rule.id).items()):
            if clock.start != NONE and clock.answered == NONE and not state.is_muted(rule.id):
                terms = _terms(rule, clock, emitter)
                if terms is not None and terms.due == now:
                    found.append((rule, subject, clock))
    return found


def _take_back(rule: DeadlineRule, subject: str, clock: Clock, now: int, emitter: Emitter) -> None:
    standing = clock.standing
    assert standing is not None  # noqa: S101 - asked before
    standing.end, standing.retracted = max(now, standing.start), True
    tell(rule, subject, clock, ChangeKind.RETRACTED, _terms(rule, clock, emitter), Now(now, now), emitter)
