"""A rule that raises is put aside for that facility, says so, and never stops the others (engine.md; ADR 0020).

Each step of one rule goes through `attempt`. What a step has emitted before it raised is taken back; what the rule had
told before stands as unknown; its instances are computed on and not listened to, so that no other rule sees a change. The
next `packs` record ends that and lets the rule begin anew. All of it is made of the record alone, so that offline it is
the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rules.aside import Aside
from rules.changes import ChangeKind, Evidence, Leaf, Verdict, alarm_id
from rules.emission import Voice
from rules.errors import OffsiteError
from rules.fitting import RULE_FAILED
from rules.layout import NONE
from rules.models import Bilingual, Severity
from rules.occurrence import Occurrence, Told
from rules.rare.store import subject_of
from rules.wording import unwatched

if TYPE_CHECKING:
    from collections.abc import Callable

    from rules.changes import RecordRead
    from rules.emission import Emitter
    from rules.rule import Rule

MONITOR = Voice(RULE_FAILED, "1.0.0", "live")
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
    mark, seq = len(emitter.changes), state.seq
    try:
        step()
    except PASSED:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a rule raises, the others go on
        emitter.take_back(mark, seq)
        _put_aside(emitter, rule, now, type(error).__name__)
        emitter.failures.append((rule, error))


def resume(emitter: Emitter, now: int, why: RecordRead) -> set[str]:
    """End what was put aside, because `why` brings packs; returns the rules that begin anew."""
    state = emitter.state
    rules = {rule for rule, aside in state.aside.items() if aside.muted}
    for rule in sorted(rules):
        aside = state.aside[rule]
        proof = Evidence(records=[why])
        for subject, occurrence in aside.left:
            occurrence.end = max(now, occurrence.start)
            text = unwatched(" / ".join(subject.values()))
            emitter.emit(_rule(emitter, rule), subject, occurrence, ChangeKind.CLEARED, now, now, text, proof)
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
    rank = Severity.YELLOW.rank
    aside = Aside(Occurrence(alarm, now, now, NONE, rank, rank, now), use, left=_taken(emitter, rule))
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
            occurrence.unknown = True
            text = Bilingual(
                en=f"{_named(subject)}: the rule failed, the condition is unknown",
                zh=f"{_named(subject)}：规则运行出错，状态未知",
            )
            emitter.emit(_rule(emitter, rule), subject, occurrence, ChangeKind.UNKNOWN, now, now, text, proof)


def _taken(emitter: Emitter, rule: str) -> list[tuple[dict[str, str], Occurrence]]:
    """Take the rule's books out of the state; returns what was told as open, whatever the failed step made of it."""
    state = emitter.state
    found: list[tuple[dict[str, str], Occurrence]] = []
    pairs = {} if state.plan is None else {(one.kind, *one.key): one.subject for one in state.plan.pairs}
    for key in sorted(key for key in state.occurrences if key[1] == rule):
        subject = pairs.get(key, {"tag": key[2]})
        found += [(subject, occurrence) for occurrence in state.occurrences.pop(key)]
    for group in sorted(state.groups, key=lambda group: group.place):
        if group.rule == rule:
            found.append(({"area": group.place} if group.place else {}, group.occurrence))
    state.groups = [group for group in state.groups if group.rule != rule]
    cases = sorted(state.rare.of(rule).items())
    found += [(subject_of(subject), case.last) for subject, case in cases if case.last is not None]
    state.rare.vacate(rule)
    left = [(subject, occurrence) for subject, occurrence in found if occurrence.told in {Told.OPEN, Told.UNKNOWN}]
    for _, occurrence in left:
        occurrence.end, occurrence.retracted = NONE, False
    return left


def _named(subject: dict[str, str]) -> str:
    return " / ".join(subject.values()) or "-"


def _rule(emitter: Emitter, rule: str) -> Rule:
    return next(each for each in emitter.bundle.rules if each.id == rule)
