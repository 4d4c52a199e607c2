"""Excursions and deviations held against each other: what is heard, what is due, what is told of it (ADR 0060)."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from rules.calendar import due_at
from rules.changes import ChangeKind, Evidence, Leaf, RecordRead, Verdict, alarm_id
from rules.clocks.days import days_of
from rules.excursions import figures
from rules.excursions.book import Book, Claim, Deviation, Excursion
from rules.excursions.compare import answered, beyond, is_meant, leaves_of, measure, naming
from rules.instants import format_instant, format_local
from rules.layout import NEVER, NONE
from rules.models import Bilingual, Severity
from rules.occurrence import Occurrence
from rules.rare.speak import Now, of_revisions
from rules.rare.store import subject_of, text_of
from rules.records import Kind
from rules.register import ZONE
from rules.rule import CompareRule, FollowUpRule, GapRule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rules.changes import Change
    from rules.emission import Emitter
    from rules.rare.store import AnyCase
    from rules.state import FacilityState

DAY_MS = 86_400_000
LOOKS_MS = 30 * DAY_MS
"""So long behind its receipt a deviation waits for sensors that have sent nothing of its time."""
NAMED = 20
"""Excursions that the evidence of a comparison names at most."""
_ENDINGS: dict[ChangeKind, tuple[str, str]] = {
    ChangeKind.CLEARED: ("the report has come or was corrected", "报告已提交或已更正"),
    ChangeKind.RETRACTED: ("the excursion never held", "该超限经迟到数据判定不成立"),
    ChangeKind.AMENDED: ("its start moved by what came late", "迟到的记录修正了开始时间"),
}
_STILL = ("corrected, and still not as measured", "已更正，但仍与实测不符")


def hear(rule: FollowUpRule | CompareRule, change: Change, told: Occurrence, emitter: Emitter) -> None:
    """Take what a rule over series told of one of its alarms, within the same record.

    Args:
        rule: the rule that listens.
        change: what was told.
        told: the alarm as the other rule booked it.
        emitter: of the record.
    """
    state = emitter.state
    book = book_of(state, rule.id)
    silent = isinstance(emitter.bundle.rule(change.rule), GapRule)
    if silent and "tag" not in change.subject:
        return  # a place is silent as its series are, and they are told too
    one = (book.silences if silent else book.excursions).get(change.alarm)
    if one is None:
        tag = change.subject.get("tag", "")
        area = state.planned.points.area_of(change.subject, change.start) or ""
        one = Excursion(alarm=change.alarm, rule=change.rule, subject=text_of(change.subject), tag=tag, area=area)
    if not book.keep_excursion(one, silent=silent):
        return
    one.start, one.end, one.top = change.start, NONE if change.end is None else change.end, told.top
    if change.evidence.peak is not None:
        limits = {limit.name: limit.value for limit in change.evidence.limits}
        one.peak = change.evidence.peak
        one.beyond = beyond(one.peak, limits.get("low"), limits.get("high"))
    unwatched = change.change is ChangeKind.CLEARED and not change.evidence.leaves
    one.partly = one.partly or unwatched or change.change is ChangeKind.UNKNOWN
    one.retracted = one.retracted or change.change is ChangeKind.RETRACTED
    _heard(rule, one, Now(change.at, change.received, [RecordRead(kind="alarm", id=change.alarm)]), emitter)


def refolded(
    rule: FollowUpRule | CompareRule, alarm: str, peak: float, far: float | None, received: int, emitter: Emitter
) -> None:
    """Take the peak of an alarm whose series was decided again: that it lies elsewhere is told by no change.

    Args:
        rule: the rule that listens.
        alarm: of the other rule.
        peak: its value farthest outside.
        far: how far that lies beyond the limit.
        received: log time, ms.
        emitter: of the record.
    """
    one = book_of(emitter.state, rule.id).excursions.get(alarm)
    if one is not None and (one.peak, one.beyond) != (peak, far):
        one.peak, one.beyond = peak, far
        _heard(rule, one, Now(received, received, [RecordRead(kind="alarm", id=alarm)]), emitter)


def lose(rule: FollowUpRule | CompareRule, source: str, now: int, emitter: Emitter) -> None:
    """End what a rule had told that is put aside (rules/failing.py): nobody says any more how it went on; `now` is log time, ms."""
    book = book_of(emitter.state, rule.id)
    for of in (book.excursions, book.silences):
        for one in [x for x in of.values() if x.rule == source and x.end == NONE and not x.retracted]:
            one.end, one.partly = max(now, one.start), True
            _heard(rule, one, Now(now, now, [RecordRead(kind="alarm", id=one.alarm)]), emitter)


def _heard(rule: FollowUpRule | CompareRule, one: Excursion, now: Now, emitter: Emitter) -> None:
    """Judge what another excursion, or another silence, means: a deviation once nothing of this instant can come any more."""
    book, facility = book_of(emitter.state, rule.id), emitter.state.planned.facility
    if isinstance(rule, FollowUpRule):
        if one.alarm in book.excursions:
            judge_excursion(rule, one, now, emitter)
        return
    for said in book.naming(naming(one, facility)):
        if said.decided != NONE:
            book.await_until(said, min(said.due, now.received + 1))


def judge_excursion(rule: FollowUpRule, one: Excursion, now: Now, emitter: Emitter, *, passed: bool = False) -> None:
    """Say whether an excursion wants a deviation report and has none; `passed`: its time is over with this decision.

    One that began before the rule listened wants none: what was reported then is not known. Where no calendar holds the working days
    that it takes it is unknown, and counted; packs whose calendar does judge it again.
    """
    state = emitter.state
    book = book_of(state, rule.id)
    assert rule.in_time is not None  # noqa: S101 - validated
    due = due_at(one.start, rule.in_time, days_of(state, emitter))
    meant = is_meant(rule, one)
    said = answered(one, book, state.planned.facility)
    standing = one.standing
    leaf = Leaf(
        expr="deviation report", left=None if said is None else said.id, op="by",
        right=None if due is None else format_instant(due), verdict=Verdict.FALSE if said is None else Verdict.TRUE,
    )  # fmt: skip
    book.await_until(one, NEVER)
    if standing is not None:
        if not meant:
            standing.end, standing.retracted = max(now.received, standing.start), True
            _tell(rule, one.subject, one, ChangeKind.RETRACTED, [leaf], now, emitter)
        elif said is not None:
            standing.end, standing.closed = max(now.received, standing.start), now.received
            _tell(rule, one.subject, one, ChangeKind.CLEARED, [leaf], now, emitter)
        elif standing.start != one.start:
            standing.start = one.start
            _tell(rule, one.subject, one, ChangeKind.AMENDED, [leaf], now, emitter)
        return
    if not meant or said is not None or book.since == NONE or one.start < book.since:
        return
    if due is None:
        book.counts["excursion_unknown"] = book.counts.get("excursion_unknown", 0) + 1
        return
    if not passed and now.received <= due:
        book.await_until(one, due + 1)
        return
    _raise(rule, one.subject, one, one.start, rule.severity.base, [leaf], now, emitter)


def judge_deviation(
    rule: CompareRule, said: Deviation, now: Now, emitter: Emitter, *, revised: bool = False
) -> None:  # fmt: skip
    """Say whether a deviation states what was measured; unknown raises nothing, and clears nothing.

    `revised`: by a revision that has come; where it is wrong too, the alarm is amended.

    While a sensor of its asset has sent nothing yet of its end, it is looked at again each day, thirty days long.
    """
    state = emitter.state
    book = book_of(state, rule.id)
    said.decided = now.received
    measured = measure(said, rule, book, state)
    assert rule.duration is not None  # noqa: S101 - validated: only rules of figures have none
    again = measured.awaited and now.received + DAY_MS <= said.received + LOOKS_MS
    book.await_until(said, now.received + DAY_MS if again else NEVER)
    verdict, leaves = leaves_of(said, measured, rule.duration)
    now = replace(
        now, records=[*now.records, *(RecordRead(kind="alarm", id=x.alarm) for x in measured.excursions[:NAMED])]
    )
    _state(rule, said, verdict, leaves, now, emitter, revised=revised)


def judge_claim(rule: CompareRule, said: Claim, now: Now, emitter: Emitter) -> None:
    """Say whether a report states what was measured; unknown raises nothing, and clears nothing.

    A revision that is wrong too amends the alarm. The report is looked at again each day, thirty days long: what comes late into an open gap is folded where it belongs (ADR 0035).
    """
    state = emitter.state
    book = book_of(state, rule.id)
    said.decided = now.received
    again = said.begin != NONE and now.received + DAY_MS <= said.first + LOOKS_MS
    book.await_until(said, now.received + DAY_MS if again else NEVER)
    verdict, leaves = figures.leaves_of(rule, said, figures.measured(rule, said, book, state))
    now = replace(now, records=[*now.records, *of_revisions(said.id, said.revision, said.before)])
    revised, said.before = said.before != 0, 0
    _state(rule, said, verdict, leaves, now, emitter, revised=revised)


def _state(
    rule: CompareRule, said: Deviation | Claim, verdict: Verdict, leaves: list[Leaf], now: Now, emitter: Emitter, *, revised: bool
) -> None:  # fmt: skip
    """Tell what was found of a report; one that stands and is still wrong, where it was revised."""
    standing, subject = said.standing, text_of({"report": said.id})
    if standing is None and verdict is Verdict.TRUE:
        _raise(rule, subject, said, said.received, rule.severity.base, leaves, now, emitter)
    elif standing is not None and verdict is Verdict.FALSE:
        standing.end, standing.closed, standing.unknown = max(now.received, standing.start), now.received, False
        _tell(rule, subject, said, ChangeKind.CLEARED, leaves, now, emitter)
    elif standing is not None and standing.unknown is not (verdict is Verdict.UNKNOWN):
        standing.unknown = verdict is Verdict.UNKNOWN
        kind = ChangeKind.UNKNOWN if standing.unknown else ChangeKind.KNOWN
        _tell(rule, subject, said, kind, leaves, now, emitter)
    elif standing is not None and verdict is Verdict.TRUE and revised:
        _tell(rule, subject, said, ChangeKind.AMENDED, leaves, now, emitter)


def fire(rule: FollowUpRule | CompareRule, name: str, due: int, emitter: Emitter) -> None:
    """Decide what is due of one excursion (by its alarm) or one deviation (by its id)."""
    book = emitter.state.excursions[rule.id]
    if isinstance(rule, FollowUpRule):
        at = due - 1
        judge_excursion(rule, book.excursions[name], Now(at, at), emitter, passed=True)
    elif rule.figures:
        judge_claim(rule, book.claims[name], Now(due, due), emitter)
    else:
        judge_deviation(rule, book.deviations[name], Now(due, due), emitter)


def all_of(book: Book) -> Iterator[tuple[str, AnyCase]]:
    """Yield the cases of a book with their subjects as text."""
    for one in book.excursions.values():
        yield one.subject, one
    for name, case in (*book.deviations.items(), *book.claims.items()):
        yield text_of({"report": name}), case


def told_of(state: FacilityState, rule: str) -> list[tuple[str, Occurrence]]:
    """Return what a rule has told, by subject as text, for one that is put aside; its book is forgotten."""
    book = state.excursions.pop(rule, None)
    return [] if book is None else [(subject, case.last) for subject, case in all_of(book) if case.last is not None]


def book_of(state: FacilityState, rule: str) -> Book:
    """Return the book of a rule; a new one where there is none."""
    return state.excursions.setdefault(rule, Book())


def _raise(
    rule: FollowUpRule | CompareRule, subject: str, case: AnyCase, start: int, colour: Severity, leaves: list[Leaf],
    now: Now, emitter: Emitter,
) -> None:  # fmt: skip
    named = subject_of(subject)
    emitter.on_take_back(partial(case.put_back, dict(case.uses), case.last))
    alarm = alarm_id(rule.id, emitter.state.facility, named, start, case.use(start))
    case.last = Occurrence(alarm, start, start, NONE, colour.rank, colour.rank, now.received)
    _tell(rule, subject, case, ChangeKind.RAISED, leaves, now, emitter)


def _tell(
    rule: FollowUpRule | CompareRule, subject: str, case: AnyCase, kind: ChangeKind, leaves: list[Leaf], now: Now,
    emitter: Emitter,
) -> None:  # fmt: skip
    occurrence, named = case.last, subject_of(subject)
    assert occurrence is not None  # noqa: S101 - it was raised before
    records = list(now.records)
    if isinstance(case, Deviation | Claim):
        records.append(RecordRead(kind=Kind.REPORT, id=f"{case.id}/{case.revision}"))
    elif isinstance(case, Excursion):
        records.append(RecordRead(kind="alarm", id=case.alarm))
        said = answered(case, emitter.state.excursions[rule.id], emitter.state.planned.facility)
        records += [] if said is None else [RecordRead(kind=Kind.REPORT, id=f"{said.id}/{said.revision}")]
    records.append(RecordRead(kind=Kind.REGISTER, id=str(emitter.state.version)))
    proof = Evidence(leaves=leaves, records=[read for i, read in enumerate(records) if read not in records[:i]])
    emitter.emit(rule, named, occurrence, kind, now.at, now.received, _message(rule, named, case, kind), proof)


def _message(rule: FollowUpRule | CompareRule, named: dict[str, str], case: AnyCase, kind: ChangeKind) -> Bilingual:
    who = " / ".join(named.values())
    en, zh = f"{who}: {rule.title.en}", f"{who}：{rule.title.zh}"
    if isinstance(case, Excursion):
        when = format_local(case.start, ZONE)
        en, zh = f"{en}; excursion since {when}", f"{zh}；超限始于 {when}"
    elif isinstance(case, Deviation):
        en, zh = (
            f"{en}: {case.asset}, {case.minutes:g} min, {case.peak:g} {case.unit}",
            f"{zh}：{case.asset}，{case.minutes:g} 分钟，{case.peak:g} {case.unit}",
        )
    elif isinstance(case, Claim):
        begin, end = format_local(case.begin, ZONE), format_local(case.end, ZONE)
        en, zh = f"{en}: {case.asset or 'all'}, {begin} to {end}", f"{zh}：{case.asset or '全部测点'}，{begin} 至 {end}"
    if kind in _ENDINGS:
        ending = _STILL if kind is ChangeKind.AMENDED and not isinstance(case, Excursion) else _ENDINGS[kind]
        en, zh = f"{en}; {ending[0]}", f"{zh}；{ending[1]}"
    return Bilingual(en=en, zh=zh)
