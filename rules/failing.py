"""A rule that raises is put aside for that facility, says so, and never stops the others (engine.md; ADR 0020).

Each step of one rule goes through `attempt`. What a step has emitted before it raised is taken back; what the rule had
told before stands as unknown; its instances are computed on and not listened to, so that no other rule sees a change. The
next `packs` record ends that and lets the rule begin anew. Of what a rule over silences had told the starts that may come
again are remembered, so that no alarm id is raised twice. All of it is made of the record alone, so that offline it is the
same.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from rules.aside import Aside
from rules.changes import ChangeKind, Evidence, Leaf, Verdict, alarm_id
from rules.emission import Voice
from rules.errors import OffsiteError
from rules.excursions import judge as excursions
from rules.fitting import RULE_FAILED
from rules.layout import ABSENCE, GAP, NEVER, NONE
from rules.models import Bilingual, Severity
from rules.occurrence import Occurrence, Told
from rules.rare import followed, grade, results
from rules.rare.store import subject_of
from rules.rule import is_told
from rules.wording import unwatched

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from rules.changes import Change, RecordRead
    from rules.emission import Emitter
    from rules.rule import Rule
    from rules.state import FacilityState

MONITOR = Voice(RULE_FAILED, "1.0.0", "live")
MAX_STARTS = 64
"""Starts ahead of the newest row that are remembered of one series and rule; the oldest is forgotten."""
PASSED = (MemoryError, OffsiteError)
"""What says nothing of the rule: memory that ran out would be another answer on another machine."""


def attempt(emitter: Emitter, rule: str, now: int, step: Callable[[], object]) -> None:
    """Take one step of a rule at a facility; nothing happens for a rule that is put aside.

    Args:
        emitter: of the record.
        rule: the id of the rule.
        now: the log time of the decision, ms.
        step: books and emits; whatever it raises puts the rule aside.
    """
    state = emitter.state
    if state.is_muted(rule):
        return
    mark, seq, groups = len(emitter.changes), state.seq, state.groups.mark()
    try:
        step()
        told = emitter.told_since(mark)
    except PASSED:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a rule raises, the others go on
        emitter.take_back(mark, seq)
        state.groups.put_back(groups)
        _put_aside(emitter, rule, now, type(error).__name__)
        emitter.failures.append((rule, error))
        return
    _read(emitter, rule, now, told)


def heed(emitter: Emitter, rule: str, step: Callable[[], object]) -> None:
    """Let something be noted of which no change comes: a fact for a rule that is put aside, or a number for people.

    Args:
        emitter: of the record.
        rule: the id of the rule that asks for it; should it raise, it is not noted, and that changes nothing for the rule.
        step: takes note whole or not at all, and emits nothing.
    """
    try:
        step()
    except PASSED:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, the record is folded
        emitter.failures.append((rule, error))


def _read(emitter: Emitter, rule: str, now: int, told: list[tuple[Change, Occurrence]]) -> None:
    """Let the rules that follow up a rule's alarms hear what its step told: within the same record, behind the step."""
    state = emitter.state
    readers = state.plan.readers.get(rule, ()) if state.plan is not None and told else ()
    for listener in state.plan.listeners.get(rule, ()) if state.plan is not None and told else ():
        for change, occurrence in told:
            attempt(emitter, listener.id, now, partial(excursions.hear, listener, change, occurrence, emitter))
    for reader in readers:
        for change, _ in told:
            step = partial(followed.hear, reader, change, emitter)
            if reader.result is not None:
                step = partial(results.hear, reader, reader.result, change, emitter)
            attempt(emitter, reader.id, now, step)
    # Where no grade is registered there is none to step: what is told meanwhile is not counted.
    graded = state.plan is not None and told and state.plan.facility.risk is not None
    for grader in state.planned.graders if graded else ():
        step = partial(grade.hear, grader, [change for change, _ in told], now, emitter)
        attempt(emitter, grader.id, now, step)
    if readers:
        state.rare.refresh()


def resume(emitter: Emitter, now: int, why: RecordRead, stay: Container[str] = ()) -> set[str]:
    """End what was put aside, because `why` brings packs, but for the rules that `stay` so; returns the rules that begin anew."""
    state = emitter.state
    rules = {rule for rule, aside in state.aside.items() if aside.muted and rule not in stay}
    for rule in sorted(rules):
        aside = state.aside[rule]
        proof = Evidence(records=[why])
        for subject, occurrence in aside.left:
            occurrence.end = max(now, occurrence.start)
            text = unwatched(" / ".join(subject.values()))
            emitter.emit(
                _voice(emitter, rule, occurrence), subject, occurrence, ChangeKind.CLEARED, now, now, text, proof
            )
        failed = aside.occurrence
        failed.end = max(now, failed.start)
        text = Bilingual(en=f"Rule {rule} is tried again", zh=f"规则 {rule} 重新启用")
        emitter.emit(MONITOR, {"system": rule}, failed, ChangeKind.CLEARED, now, now, text, proof)
        aside.muted, aside.left = False, []
    return rules


def _put_aside(emitter: Emitter, rule: str, now: int, error: str) -> None:
    state = emitter.state
    before = state.aside.get(rule)
    use = before.use + 1 if before is not None and before.occurrence.first_start == now else 1
    alarm = alarm_id(RULE_FAILED, state.facility, {"system": rule}, now, use)
    rank = Severity.ORANGE.rank
    aside = Aside(Occurrence(alarm, now, now, NONE, rank, rank, now), use, left=_taken(emitter, rule, now))
    state.aside[rule] = aside
    text = Bilingual(
        en=f"Rule {rule} failed at this facility and is put aside until the rule packs change; all others go on",
        zh=f"规则 {rule} 在该单位运行出错，已停用至规则包更新；其他规则不受影响",
    )
    leaf = Leaf(expr=f"rule {rule}", left=error, op="raised", verdict=Verdict.UNKNOWN)
    proof = Evidence(leaves=[leaf], records=emitter.reads)
    emitter.emit(MONITOR, {"system": rule}, aside.occurrence, ChangeKind.RAISED, now, now, text, proof)
    for subject, occurrence in aside.left:
        if occurrence.told is not Told.UNKNOWN:
            text = Bilingual(
                en=f"{_named(subject)}: the rule failed, the condition is unknown",
                zh=f"{_named(subject)}：规则运行出错，状态未知",
            )
            voice = _voice(emitter, rule, occurrence)
            emitter.emit(voice, subject, occurrence, ChangeKind.UNKNOWN, now, now, text, proof)
    _show(emitter, rule, aside, now, proof)
    for listener in state.plan.listeners.get(rule, ()) if state.plan is not None else ():
        attempt(emitter, listener.id, now, partial(excursions.lose, listener, rule, now, emitter))


def _show(emitter: Emitter, rule: str, aside: Aside, now: int, proof: Evidence) -> None:
    """Release what another alarm spoke for, but for a place of the rule that is left with it: nobody would once that has ended."""
    left = {occurrence.alarm for _, occurrence in aside.left}
    for subject, occurrence in aside.left:
        if occurrence.hidden in left:
            occurrence.by = occurrence.hidden
            continue
        by, occurrence.by = occurrence.hidden, None
        if by is not None:
            text = Bilingual(
                en=f"{_named(subject)}: its rule is put aside, so nothing else stands for it",
                zh=f"{_named(subject)}：所属规则已停用，恢复单独显示",
            )
            voice = _voice(emitter, rule, occurrence)
            emitter.emit(voice, subject, occurrence, ChangeKind.RELEASED, now, now, text, proof, by=by)


def _taken(emitter: Emitter, rule: str, now: int) -> list[tuple[dict[str, str], Occurrence]]:
    """Take the rule's books out of the state; returns what was told as open, whatever the failed step made of it.

    All that begins anew counts from what comes then, but a silence: it has the start again that it had. So of silences stays
    what tells the next use of a start; of cases of rare records their own count stays.
    """
    state = emitter.state
    for key in [key for key in state.drafts if key[1] == rule]:
        del state.drafts[key]
    found: list[tuple[dict[str, str], Occurrence]] = []
    pairs = {} if state.plan is None else {(one.kind, *one.key): one.subject for one in state.plan.pairs}
    for key in sorted(key for key in state.occurrences if key[1] == rule):
        subject = pairs.get(key, {"tag": key[2]})
        rows = state.occurrences.pop(key)
        found += [(subject, occurrence) for occurrence in rows]
        if key[0] in {GAP, ABSENCE} and (kept := _ahead(state, key[2], rows, now)):
            state.occurrences[key] = kept
    for group in sorted(state.groups, key=lambda group: group.place):
        if group.rule == rule:
            found.append(({"area": group.place} if group.place else {}, group.occurrence))
    state.groups.replace(
        [
            replace(one, occurrence=_closed(one.occurrence, now), due=NEVER, release=NEVER) if one.rule == rule else one
            for one in state.groups
        ]
    )
    cases = sorted(state.rare.of(rule).items())
    found += [(subject_of(subject), case.last) for subject, case in cases if case.last is not None]
    found += [
        (subject_of(s), clock.last) for s, clock in sorted(state.clocks.of(rule).items()) if clock.last is not None
    ]
    of_reports = sorted(state.documents.of(rule).items())
    found += [(subject_of(subject), case.last) for subject, case in of_reports if case.last is not None]
    state.rare.vacate(rule, told=is_told(emitter.bundle.rule(rule)))
    state.clocks.vacate(rule)
    state.documents.vacate(rule)
    found += [(subject_of(subject), last) for subject, last in excursions.told_of(state, rule)]
    left = [(subject, occurrence) for subject, occurrence in found if occurrence.told in {Told.OPEN, Told.UNKNOWN}]
    for _, occurrence in left:
        occurrence.end, occurrence.retracted, occurrence.unknown = NONE, False, True
    return left


def _ahead(state: FacilityState, tag: str, rows: list[Occurrence], now: int) -> list[Occurrence]:
    """Return, closed, what was told of a series' silences with a start ahead of its newest row: of one start the newest."""
    slot = None if state.plan is None else state.plan.slots.get(tag)
    if slot is None:
        return []
    newest = state.of_series("last_t", slot)
    kept: dict[int, Occurrence] = {}
    for one in rows:
        if one.told is not Told.NOTHING and one.first_start > newest:
            kept.pop(one.first_start, None)
            kept[one.first_start] = _closed(one, now)
    return list(kept.values())[-MAX_STARTS:]


def _closed(occurrence: Occurrence, now: int) -> Occurrence:
    """Return what stands for an alarm id that was taken; nothing can be said of it."""
    ended = occurrence.told is Told.ENDED and occurrence.end != NONE
    end = occurrence.end if ended else max(now, occurrence.start)
    return replace(occurrence, end=end, unknown=False, retracted=True, by=None, children={}, told=Told.ENDED)


def _named(subject: dict[str, str]) -> str:
    return " / ".join(subject.values()) or "-"


def _voice(emitter: Emitter, rule: str, occurrence: Occurrence) -> Rule | Voice:
    """Return the rule; if the packs have it no more (state of an older engine), what its alarm says of it."""
    found = (each for each in emitter.bundle.rules if each.id == rule)
    return next(found, Voice(rule, occurrence.version, "live"))
