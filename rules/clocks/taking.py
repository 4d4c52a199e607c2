"""What a report that came makes of clocks: it is added to those that it names, and taken out of those that it does not name any more (ADR 0094)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from rules.clocks import saying as sayings
from rules.clocks import store, yearly
from rules.clocks.due import day_is_over, subject_with
from rules.clocks.judging import judge, roll, terms
from rules.clocks.saying import Saying, keys_ever, keys_named
from rules.clocks.speak import close_alarm
from rules.clocks.sums import Sum
from rules.failing import attempt
from rules.layout import NONE
from rules.rare.store import subject_of
from rules.records import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rules.clocks.book import Meeting, PackedReport
    from rules.clocks.store import Cases, Clock
    from rules.emission import Emitter
    from rules.rare.speak import Now
    from rules.records import Inspection, Report
    from rules.rule import DeadlineRule
    from rules.state import FacilityState


class Coming(NamedTuple):
    """A report whose newest revision has come."""

    name: str
    """As the book has it, one object for all clocks."""
    kind: str
    id: str
    saying: Saying
    before: Saying | None
    """What it said until now; None: nothing that is kept."""
    is_first: bool


def report(
    rules: tuple[DeadlineRule, ...], payload: Report, meeting: Meeting, fields: Mapping[str, Any], now: Now, emitter: Emitter
) -> None:  # fmt: skip
    """Keep what the newest revision of a report says, and let the clocks that read it hear of it.

    Args:
        rules: that read its type.
        payload: as posted, met by the book just now.
        meeting: what the book said of it: it is folded, and no higher number of it came.
        fields: as its model reads them.
        now: of its record.
        emitter: of its record.
    """
    state, book = emitter.state, emitter.state.clocks.book
    name = next(reversed(book.reports))
    before = sayings.unpack(book.said(name))
    first = now.received if meeting.is_first else NONE if before is None else before.first
    told = sayings.kept(state.planned.asked_of[payload.type], fields)
    saying = Saying(payload.revision, first, now.received, told)
    gone = book.say(name, saying.pack())
    state.clocks.counts["report_dropped"] += len(gone)
    let_go(state, gone, now.received, emitter)
    coming = Coming(name, payload.type, payload.id, saying, before, meeting.is_first)
    for rule in rules:
        attempt(emitter, rule.id, now.received, partial(_take, rule, coming, now, emitter))


def _take(rule: DeadlineRule, coming: Coming, now: Now, emitter: Emitter) -> None:
    """Take a report out of the cases that it does not name any more, and add it to those that it names."""
    parts = (rule.starts, rule.answer, rule.again_until)
    named = dict.fromkeys(key for part in parts for key in keys_named(rule, part, coming.kind, coming.saying.fields))
    before = [] if coming.before is None else keys_ever(rule, coming.kind, coming.before.fields)
    for key in before:
        if key not in named:
            _take_out(rule, key, coming, now, emitter)
    for key in named:
        _add(rule, key, coming, now, emitter)


def _take_out(rule: DeadlineRule, key: str, coming: Coming, now: Now, emitter: Emitter) -> None:
    """Go back to what the other reports of a case say."""
    cases, subject = emitter.state.clocks.of(rule.id), subject_with(key)
    clock = cases.get(subject)
    if clock is None or coming.name not in clock.reports or coming.before is None:
        return
    clock.reports = tuple(name for name in clock.reports if name != coming.name)
    clock.note((Kind.REPORT.value, f"{coming.id}/{coming.before.revision}"))
    _note(clock, now)
    _sum_up(rule, subject, clock, emitter)
    asked = rule.yearly is None or clock.answered != NONE or clock.start == NONE
    if not asked and not yearly.is_over(rule, clock.start, now.received):
        clock.start = NONE  # the register starts what is due next, below
    judge(rule, subject, clock, now, emitter)
    if rule.yearly is not None:
        roll(rule, now, emitter)


def _add(rule: DeadlineRule, key: str, coming: Coming, now: Now, emitter: Emitter) -> None:
    clocks, subject = emitter.state.clocks, subject_with(key)
    clock = clocks.clock(rule.id, subject)
    if clock is None:
        return
    cases = clocks.cases[rule.id]
    if subject not in cases.bases and _is_of_before(rule, clock):
        cases.bases[subject] = Sum.of(clock)
    if coming.is_first and key in keys_named(rule, rule.answer, coming.kind, coming.saying.fields):
        _begin_again(rule, subject, clock, now, emitter)
    before = _values(clock)
    if coming.name not in clock.reports:
        clock.reports = (*clock.reports, coming.name)
        clocks.counts["clock_report_left_out"] += _bound(rule, subject, clock, cases, emitter.state)
    _sum_up(rule, subject, clock, emitter, coming)
    if rule.yearly is not None and clock.answered != NONE:
        _begin_year(rule, subject, clock, now, emitter)
    if _values(clock) != before:
        _note(clock, now)
    judge(rule, subject, clock, now, emitter)


def _values(clock: Clock) -> tuple[object, ...]:
    return clock.start, clock.answered, clock.named, clock.reply, clock.planned, clock.revision, clock.said


def _is_of_before(rule: DeadlineRule, clock: Clock) -> bool:
    """Say whether a clock was told something by reports that were not kept: a snapshot of before held it."""
    if clock.by:
        return False
    return bool(clock.answered != NONE or clock.revision or (clock.start != NONE and rule.yearly is None))


def _bound(rule: DeadlineRule, subject: str, clock: Clock, cases: Cases, state: FacilityState) -> int:
    """Let the reports go that were added longest ago, but for so many; what they say stays. Returns how many went."""
    names = clock.reports
    gone = names[: max(len(names) - store.MAX_REPORTS, 0)]
    for name in gone:
        _let_one_go(rule, subject, clock, cases, name, state.clocks.book.said(name))
    return len(gone)


def let_go(state: FacilityState, gone: Iterable[PackedReport], received: int, emitter: Emitter) -> None:
    """Let what reports said that went out of the book stay with their clocks: they cannot be taken back any more."""
    for name, said in gone:
        kind, saying = name.partition(" ")[0], sayings.unpack(said)
        for rule in () if saying is None else state.planned.reading.get(kind, ()):
            attempt(emitter, rule.id, received, partial(_let_go, rule, state, kind, name, said))


def _let_go(rule: DeadlineRule, state: FacilityState, kind: str, name: str, said: bytes) -> None:
    saying, cases = sayings.unpack(said), state.clocks.of(rule.id)
    for key in [] if saying is None else keys_ever(rule, kind, saying.fields):
        subject = subject_with(key)
        clock = cases.get(subject)
        if clock is not None and name in clock.reports:
            _let_one_go(rule, subject, clock, cases, name, said)


def _let_one_go(rule: DeadlineRule, subject: str, clock: Clock, cases: Cases, name: str, said: bytes) -> None:
    clock.reports = tuple(one for one in clock.reports if one != name)
    saying = sayings.unpack(said)
    if saying is not None:
        base = cases.bases.setdefault(subject, Sum())
        base.add(rule, subject_of(subject)["report"], name.partition(" ")[0], saying)
        base.keep(rule)


def _sum_up(
    rule: DeadlineRule, subject: str, clock: Clock, emitter: Emitter, coming: Coming | None = None
) -> None:  # fmt: skip
    """Let a clock say what its reports say together, and what was told of it by visits and by reports that went out.

    What has just come is not read again: its instants are one object for all clocks.
    """
    clocks = emitter.state.clocks
    base = clocks.of(rule.id).bases.get(subject)
    total = Sum() if base is None else base.copy()
    for name in clock.reports:
        is_this = coming is not None and name == coming.name
        saying = coming.saying if coming is not None and is_this else sayings.unpack(clocks.book.said(name))
        if saying is not None:
            total.add(rule, subject_of(subject)["report"], name.partition(" ")[0], saying)
    if rule.yearly is None:
        clock.start = total.begun(rule)
    clock.answered, clock.reply, clock.revision = total.answered, total.reply, total.revision
    clock.named = NONE if rule.judged is None else total.judged
    clock.said, clock.planned = total.said(rule), NONE
    if total.plans:
        found = terms(rule, clock, emitter)
        due = NONE if found is None or found.due is None else found.due
        good = [day for day, at in total.plans if at == NONE or (clock.start < day and at <= due)]
        clock.planned = min(good, default=NONE)


def _begin_again(rule: DeadlineRule, subject: str, clock: Clock, now: Now, emitter: Emitter) -> None:
    """End what stands where one report of many answers the clock, which begins anew. A revision of one that came is no further report."""
    begins = rule.again_until is not None and clock.answered == NONE and clock.start != NONE
    if not begins or now.received < clock.start:
        return
    if clock.standing is not None:
        close_alarm(rule, subject, clock, terms(rule, clock, emitter), now, emitter)
    clock.documents = ()
    _note(clock, now)


def _begin_year(rule: DeadlineRule, subject: str, clock: Clock, now: Now, emitter: Emitter) -> None:
    """Start the clock of a yearly report that came before the clock or the register did; what is not owed is never late."""
    if clock.start == NONE:
        state = emitter.state
        since = state.clocks.since.get(rule.id, NONE)
        start = yearly.began(rule, subject_of(subject)["report"], state.planned.facility, since)
        clock.start = start if start is not None and start <= now.received + yearly.AHEAD_MS else NONE


def visited(rule: DeadlineRule, payload: Inspection, now: Now, emitter: Emitter) -> None:
    """Let findings of a visit that were handed over start a clock; a version not newer is a no-op."""
    clocks, subject = emitter.state.clocks, subject_with(payload.visit)
    clock = clocks.clock(rule.id, subject)
    if clock is None or payload.version <= clock.revision:
        return
    bases = clocks.cases[rule.id].bases
    if subject not in bases:
        bases[subject] = Sum.of(clock) if _is_of_before(rule, clock) else Sum()
    base = bases[subject]
    base.tell(payload.handed_over_at)
    base.revision, base.sure = payload.version, {""}
    _note(clock, now)
    _sum_up(rule, subject, clock, emitter)
    _plan(rule, subject, clock, payload.plan_date, base, now, emitter)
    judge(rule, subject, clock, now, emitter)


def _plan(
    rule: DeadlineRule, subject: str, clock: Clock, day: str | None, base: Sum, now: Now, emitter: Emitter
) -> None:  # fmt: skip
    """Let an approved plan put another day in the place of the text's, if it is known before that is over.

    A day that lies before the clock began is a slip of the pen, and no plan.
    """
    planned = day_is_over(day) if rule.plan is not None and day is not None else None
    if planned is None or clock.start == NONE or planned <= clock.start:
        return
    before, clock.planned = clock.planned, NONE
    found = terms(rule, clock, emitter)
    clock.planned = before
    if found is not None and found.due is not None and now.received <= found.due:
        base.plans = {(planned, NONE), *(one for one in base.plans if one[1] != NONE)}
        _sum_up(rule, subject, clock, emitter)


def _note(clock: Clock, now: Now) -> None:
    for read in now.records:
        clock.note((read.kind, read.id))
