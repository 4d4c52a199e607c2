"""How a case of a rare rule becomes changes: it stands while it has an occasion, since the earliest, until it is closed."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from rules.changes import ChangeKind, Evidence, Leaf, LimitUsed, RecordRead, alarm_id
from rules.layout import HORIZON_MS, NONE
from rules.occurrence import Occurrence
from rules.rare.feeds import READINGS as FEED_OF_READINGS
from rules.rare.months import judged_month
from rules.rare.store import subject_of
from rules.records import Kind
from rules.rule import (
    UNKNOWN_TAG,
    CompletenessRule,
    LatenessRule,
    RegisterCheckRule,
    RepeatDayRule,
    RevisionRule,
    looks_at_rows,
)
from rules.wording import WHOLE_REGISTER
from rules.wording_rare import message

if TYPE_CHECKING:
    from collections.abc import Callable

    from rules.emission import Emitter
    from rules.models import Bilingual
    from rules.rare.store import AnyCase, Case
    from rules.rule import Rule


LISTED = 100
"""Marks, or facts that are missing, that the evidence of one change names at most; how many more there are is said beside them."""


@dataclass(frozen=True, slots=True)
class Now:
    """When something is decided: `at` is the event time of the deciding fact, `received` the log time, both ms."""

    at: int
    received: int
    records: list[RecordRead] = field(default_factory=list)
    limits: list[LimitUsed] = field(default_factory=list)
    """What was compared with, where that is a limit."""
    copy: int = 1
    """Of an event: which of the equal ones of its batch it is."""
    judged: int | None = None
    """The instant by which it is judged, ms, where that is not `received`: the first one beyond a time that is told as of its last."""


def of_revisions(report: str, revision: int, before: int) -> list[RecordRead]:
    """Return a revision of a report as evidence names it, and the one before it (0: there is none): what it changes names both."""
    return [RecordRead(kind=Kind.REPORT, id=f"{report}/{number}") for number in (revision, before) if number]


def settle(
    rule: Rule, subject: str, case: Case, leaves: list[Leaf], now: Now, emitter: Emitter, *, timely: bool = False
) -> None:
    """Tell what a case's occasions make of its alarm: raised, amended to an earlier or later start, or retracted.

    `timely`: an occasion is never late, however long ago it began.
    """
    occasions = [fact for fact in case.facts if fact.counts]
    standing = case.standing
    if standing is None:
        if occasions:
            first = occasions[0]
            late = not timely and first.t + HORIZON_MS < first.received
            open_case(rule, subject, case, first.t, rule.severity.base.rank, leaves, now, emitter, late=late)
        return
    if not occasions:
        standing.retracted = True
        tell(rule, subject, case, standing, ChangeKind.RETRACTED, leaves, now, emitter)
    elif occasions[0].t != standing.start:
        standing.start = occasions[0].t
        tell(rule, subject, case, standing, ChangeKind.AMENDED, leaves, now, emitter)


def abandon(
    rule: Rule, subject: str, case: AnyCase, received: int, why: RecordRead,
    wording: Callable[[str, tuple[str, str]], Bilingual], emitter: Emitter,
) -> None:  # fmt: skip
    """End the alarm of a case, if one stands, because nobody looks at it any more: other packs, or another register (`why`)."""
    standing = case.standing
    if standing is None:
        return
    named = subject_of(subject)
    standing.end, standing.closed, standing.unknown = max(received, standing.start), received, False
    text, proof = wording(" ".join(named.values()), WHOLE_REGISTER), Evidence(records=[why])
    emitter.emit(rule, named, standing, ChangeKind.CLEARED, received, received, text, proof)


def open_case(
    rule: Rule, subject: str, case: Case, start: int, sev: int, leaves: list[Leaf], now: Now, emitter: Emitter,
    *, late: bool = False, more: int = 0,
) -> Occurrence:  # fmt: skip
    """Raise the alarm of a case; its id counts earlier uses of the same start. `more`: leaves that are left out."""
    named = subject_of(subject)
    emitter.on_take_back(partial(case.put_back, dict(case.uses), case.last))
    alarm = alarm_id(rule.id, emitter.state.facility, named, start, case.use(start))
    occurrence = Occurrence(alarm, start, start, NONE, sev, sev, now.received)
    case.last = occurrence
    tell(rule, subject, case, occurrence, ChangeKind.RAISED, leaves, now, emitter, late=late, more=more)
    return occurrence


def close(
    rule: Rule, subject: str, case: Case, leaves: list[Leaf], now: Now, emitter: Emitter, *, by_officer: bool = False
) -> None:
    """End the alarm of a case that stands."""
    standing = case.standing
    assert standing is not None  # noqa: S101 - asked before
    standing.end, standing.closed = max(now.received, standing.start), now.received
    standing.unknown = False
    emitter.state.rare.of(rule.id).busy = False
    tell(rule, subject, case, standing, ChangeKind.CLEARED, leaves, now, emitter, by_officer=by_officer)


def tell(
    rule: Rule, subject: str, case: Case, occurrence: Occurrence, kind: ChangeKind, leaves: list[Leaf], now: Now,
    emitter: Emitter, *, late: bool = False, by_officer: bool = False, more: int = 0,
) -> None:  # fmt: skip
    """Emit one change; the evidence names the batches of the occasions, the deciding record and the register version."""
    named = subject_of(subject)
    rows = looks_at_rows(rule) or isinstance(rule, RepeatDayRule) or named.get("feed") == FEED_OF_READINGS
    rows = rows or (isinstance(rule, RegisterCheckRule) and rule.check == UNKNOWN_TAG)
    of = Kind.READINGS if rows else Kind.EVENTS
    if isinstance(rule, LatenessRule):
        of = Kind.MARK if rule.of == "mark" else Kind.REPORT
    told = [fact for fact in case.facts if fact.counts and fact.batch][:1]
    first = [RecordRead(kind=fact.text if isinstance(rule, RevisionRule) else of, id=fact.batch) for fact in told]
    register = RecordRead(kind=Kind.REGISTER, id=str(emitter.state.version))
    found = [*first, *now.records, register]
    records = [read for i, read in enumerate(found) if read not in found[:i]]
    times = sum(fact.counts for fact in case.facts)
    marks = _marks(rule, named, occurrence, now, emitter) if isinstance(rule, CompletenessRule) else []
    if isinstance(rule, LatenessRule) and rule.of == "mark":
        marks = [fact.batch for fact in case.facts if fact.counts]
    left_out = {name: many for name, many in (("leaves", more), ("marks", len(marks) - LISTED)) if many > 0}
    proof = Evidence(
        leaves=leaves,
        limits=now.limits,
        records=records,
        marks=marks[-LISTED:],
        recurrence=times if times > 1 else None,
        left_out=left_out,
    )
    text = message(rule, named, kind, by_officer=by_officer)
    emitter.emit(rule, named, occurrence, kind, now.at, now.received, text, proof, late=late)


def _marks(
    rule: CompletenessRule, named: dict[str, str], occurrence: Occurrence, now: Now, emitter: Emitter
) -> list[str]:
    """Return the marks that decide of a series: since an occurrence began, or in the month that is judged; by beginning."""
    state = emitter.state
    begin, end = occurrence.start, now.at
    if rule.check == "effective-rate":
        begin, end = judged_month(now.received, state)
    slot = state.planned.slots.get(named.get("tag", ""))
    if slot is None:
        return []
    sensor = state.planned.sensors[slot]
    found = state.marks.of(sensor.tag, sensor.area)
    found = [one for one in found if one.flag in rule.looks_at]
    return [one.name for one in found if state.marks.overlaps(one, sensor.tag, sensor.area, begin, end)]
