"""What holds of a case now, what of it is told, and when that changes by the clock alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rules.changes import ChangeKind
from rules.clocks import yearly
from rules.clocks.days import days_of
from rules.clocks.due import overdue_at, reminded_at, subject_with, terms_of
from rules.clocks.speak import close_alarm, open_alarm, tell
from rules.layout import NEVER, NONE
from rules.rare.speak import Now
from rules.rare.store import subject_of

if TYPE_CHECKING:
    from rules.clocks.due import Terms
    from rules.clocks.store import Clock
    from rules.emission import Emitter
    from rules.rule import DeadlineRule

OTHERWISE = ("no such report is due any more", "已无需提交该报告")
LATER = ("it is due later than was said", "截止时间晚于此前所述")


def terms(rule: DeadlineRule, clock: Clock, emitter: Emitter) -> Terms | None:
    """Return what holds for a case by the packs and the register in force."""
    return terms_of(rule, clock, days_of(emitter.state, emitter), emitter.state.clocks.closed)


def judge(rule: DeadlineRule, subject: str, clock: Clock, now: Now, emitter: Emitter) -> None:
    """Say what holds of a case now, and note when that changes by the clock alone."""
    _judge(rule, subject, clock, terms(rule, clock, emitter), now, now.received, emitter)


def _judge(
    rule: DeadlineRule, subject: str, clock: Clock, found: Terms | None, now: Now, instant: int, emitter: Emitter
) -> None:  # fmt: skip
    """Say what holds of a case by its terms; what has passed is judged by `instant`: a decision that is due at one passes it."""
    clocks = emitter.state.clocks
    due = None if found is None else found.due
    runs = found is not None and clock.answered == NONE
    if found is None or due is None:
        _judge_without_end(rule, subject, clock, found, now, emitter)
        later = NEVER
    else:
        clock.is_unknown = False
        if clock.standing is not None and clock.standing.unknown:
            clock.standing.unknown = False
            tell(rule, subject, clock, ChangeKind.KNOWN, found, now, emitter)
        if runs:
            later = _judge_running(rule, subject, clock, found, now, instant, emitter)
        else:
            _judge_answered(rule, subject, clock, found, now, emitter)
            later = due + 1 if rule.yearly is not None and instant <= due else NEVER
    clocks.put(rule.id, subject, clock, later)
    clocks.of(rule.id).touch(subject, clock)


def _judge_without_end(
    rule: DeadlineRule, subject: str, clock: Clock, found: Terms | None, now: Now, emitter: Emitter
) -> None:  # fmt: skip
    """Tell of a case that has no clock, or of which no calendar says when it is over: unknown holds an alarm, and never ends it."""
    unknown = found is not None and clock.answered == NONE
    if found is not None and not clock.is_unknown:
        emitter.state.clocks.counts["clock_unknown"] += 1
    clock.is_unknown = found is not None
    standing = clock.standing
    if standing is None:
        return
    if not unknown:
        close_alarm(rule, subject, clock, found, now, emitter, OTHERWISE if found is None else None)
    elif not standing.unknown:
        standing.unknown = True
        tell(rule, subject, clock, ChangeKind.UNKNOWN, found, now, emitter)


def _judge_answered(
    rule: DeadlineRule, subject: str, clock: Clock, found: Terms, now: Now, emitter: Emitter
) -> None:  # fmt: skip
    """Tell of a case that was answered: what stood ends; what came late without an alarm is raised and ends in one record."""
    assert found.due is not None  # noqa: S101 - asked before
    late, last = clock.judged > found.due, clock.last
    if clock.standing is not None:
        close_alarm(rule, subject, clock, found, now, emitter)
    elif late and (last is None or last.retracted or last.top < rule.severity.base.rank):
        open_alarm(rule, subject, clock, _colour(rule, clock.judged, found, emitter), found, now, emitter)
        close_alarm(rule, subject, clock, found, now, emitter)
    elif late and last is not None and found.due < last.start:
        last.start = found.due
        tell(rule, subject, clock, ChangeKind.AMENDED, found, now, emitter)


def _colour(rule: DeadlineRule, until: int, found: Terms, emitter: Emitter) -> int:
    return max([rule.severity.base.rank, *(rank for at, rank in steps(rule, found, emitter) if until > at)])


def steps(rule: DeadlineRule, found: Terms, emitter: Emitter) -> list[tuple[int, int]]:
    """Return the instants behind which a case has a stronger colour, with its rank."""
    assert found.due is not None  # noqa: S101 - asked before
    return overdue_at(rule, found.due, days_of(emitter.state, emitter), found.ends) if rule.overdue else []


def _judge_running(
    rule: DeadlineRule, subject: str, clock: Clock, found: Terms, now: Now, instant: int, emitter: Emitter
) -> int:  # fmt: skip
    """Tell of a case that is not answered; returns when that changes by the clock alone."""
    due = found.due
    assert due is not None  # noqa: S101 - asked before
    reminded = reminded_at(rule, clock, due)
    rank: int | None = None
    if instant > due:
        rank = _colour(rule, instant, found, emitter)
    elif rule.reminder is not None and reminded is not None and instant >= reminded:
        rank = rule.reminder.severity.rank
    standing = clock.standing
    if standing is not None and rank is None:
        close_alarm(rule, subject, clock, found, now, emitter, LATER)
    elif standing is not None and rank is not None:
        if standing.start != due:
            standing.start = due
            tell(rule, subject, clock, ChangeKind.AMENDED, found, now, emitter)
        if standing.sev != rank:
            standing.sev, standing.top = rank, max(standing.top, rank)
            tell(rule, subject, clock, ChangeKind.STEPPED, found, now, emitter)
    elif rank is not None:
        open_alarm(rule, subject, clock, rank, found, now, emitter)
    ahead = [due + 1, *(at + 1 for at, _ in steps(rule, found, emitter))]
    ahead += [] if reminded is None else [reminded]
    return min((at for at in ahead if at > instant), default=NEVER)


def fire(rule: DeadlineRule, subject: str, due: int, emitter: Emitter) -> None:
    """Decide what is due: a time that is over is told as of its last instant, which it has passed now."""
    clocks = emitter.state.clocks
    clock = clocks.of(rule.id)[subject]
    clocks.put(rule.id, subject, clock, NEVER)
    found = terms(rule, clock, emitter)
    over: set[int] = set()
    if found is not None and found.due is not None:
        over = {found.due, *(at for at, _ in steps(rule, found, emitter))}
    at = due - 1 if due - 1 in over else due
    _judge(rule, subject, clock, found, Now(at, at, judged=due), due, emitter)
    if rule.yearly is not None:
        roll(rule, Now(due, due), emitter, subject_of(subject)["report"])


def roll(rule: DeadlineRule, now: Now, emitter: Emitter, behind: str | None = None) -> None:
    """Let the register start what is due next: behind one case, or of all."""
    clocks, facility = emitter.state.clocks, emitter.state.planned.facility
    since = clocks.since.get(rule.id, NONE)
    for key, start in yearly.owed(rule, facility, since, now.received, behind):
        subject = subject_with(key)
        clock = clocks.clock(rule.id, subject)
        if clock is not None and clock.start == NONE:
            clock.start = start
            judge(rule, subject, clock, now, emitter)
