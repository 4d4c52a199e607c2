"""Reports in the fold of rules over what they say: each is kept by its number, and all that it can change is judged again (ADR 0059)."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from rules.changes import ChangeKind
from rules.documents.judge import NEWEST, Series
from rules.documents.kept import text_of
from rules.documents.speak import close_alarm, open_alarm, tell
from rules.documents.store import Cause
from rules.failing import attempt
from rules.rare.speak import Now, abandon, of_revisions
from rules.wording import begun_anew, unwatched

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from rules.changes import RecordRead
    from rules.documents.judge import Finding
    from rules.documents.kept import Kept
    from rules.documents.series import DocumentKey
    from rules.documents.store import Documents, Taken
    from rules.emission import Emitter
    from rules.plan import Plan
    from rules.records import Report
    from rules.reports.parts import Fields
    from rules.rule import ReportRule
    from rules.state import FacilityState

Name: TypeAlias = "tuple[str, DocumentKey]"
"""What a cause is known by (`_name`)."""
Found: TypeAlias = "dict[Name, Finding | None]"
"""What a rule says of one subject now, by the names of causes; None: nothing any more. What is not in it stays as it was."""


def report(
    rules: Sequence[ReportRule], state: FacilityState, payload: Report, model: Fields, now: Now, emitter: Emitter
) -> None:  # fmt: skip
    """Keep a report that came for the first time with this number, and judge all that it changes.

    Args:
        rules: those that read its type; others are judged too: a report of another type may have gone out for it.
        state: of the facility.
        payload: the report.
        model: its fields.
        now: of its receipt.
        emitter: of the changes.
    """
    documents = state.documents
    taken = documents.put((payload.type, payload.id), payload.revision, text_of(model))
    if taken is None:
        return
    lists = {rule.each.of for rule in rules if rule.each is not None}
    newest = documents.kept[taken.key].newest
    documents.counts["document_entry_left_out"] += max((newest.left_out(of) for of in lists), default=0)
    for rule in state.planned.documents:
        attempt(emitter, rule.id, now.received, partial(judge, rule, taken, now, emitter))


def judge(rule: ReportRule, taken: Taken, now: Now, emitter: Emitter) -> None:
    """Judge all that a report can change for a rule: itself, what is compared with it, and what was with it or with those that went out."""
    kept = emitter.state.documents.kept[taken.key]
    if taken.corrected and kept.earlier is not None:
        both = of_revisions(taken.key[1], kept.newest.revision, kept.earlier.revision)
        now = replace(now, records=[*now.records, *both])
    touched: dict[str, list[Kept]] = {}
    for one in taken.touched:
        if one.key[0] in rule.reports:
            touched.setdefault(one.place.group, []).append(one)
    judged = _Judged(rule, emitter.state.documents)
    for group, ones in sorted(touched.items()):
        for (subject, key), finding in judged.series(group).touched(ones).items():
            judged.note(subject, _name(group, key), finding)
    _judge(judged, taken.key if taken.corrected else None, now, emitter)


class _Judged:
    """What a rule says now, by subject and by the names of causes; None: of the subject nothing is said any more."""

    def __init__(self, rule: ReportRule, documents: Documents) -> None:
        self.rule, self._documents = rule, documents
        self.found: dict[str, Found] = {}
        self._series: dict[str, Series] = {}

    def series(self, group: str) -> Series:
        """Return a series of the rule's reports."""
        if group not in self._series:
            self._series[group] = Series(self.rule, self._documents.in_group(group), group)
        return self._series[group]

    def note(self, subject: str, name: Name, finding: Finding | None) -> None:
        """Note what is said of a subject; of a report that moved to another series, what is said there."""
        found = self.found.setdefault(subject, {})
        if finding is not None or name not in found:
            found[name] = finding


def _judge(judged: _Judged, corrected: DocumentKey | None, now: Now, emitter: Emitter) -> None:
    cases = emitter.state.documents.of(judged.rule.id)
    for subject in sorted(judged.found):
        found = judged.found[subject]
        case = cases.get(subject)
        stands = case is not None and case.standing is not None
        if stands or any(finding is not None and finding.verdict for finding in found.values()):
            _settle(judged, subject, corrected, now, emitter)


def _settle(judged: _Judged, subject: str, corrected: DocumentKey | None, now: Now, emitter: Emitter) -> None:
    """Tell what the reports make of a subject's alarm: it stands while one holds, and nothing unknown ends it."""
    rule, documents = judged.rule, emitter.state.documents
    case = documents.of(rule.id).get(subject)
    before = [] if case is None else case.causes
    after = _causes(rule, before, judged.found[subject])
    if case is None or case.standing is None:
        case = documents.case(rule.id, subject)
        if case is not None:
            case.causes = after
            open_alarm(rule, subject, case, _shown(judged, subject, after), now, emitter)
        return
    standing, was_unknown = case.standing, case.standing.unknown
    case.causes = after
    shown = _shown(judged, subject, after or before)
    if not after:
        close_alarm(rule, subject, case, shown, now, emitter)
    elif not any(cause.known for cause in after):
        standing.unknown = True
        if not was_unknown:
            tell(rule, subject, case, ChangeKind.UNKNOWN, shown, now, emitter)
    elif was_unknown:
        standing.unknown = False
        tell(rule, subject, case, ChangeKind.KNOWN, shown, now, emitter)
    elif corrected is not None and (before != after or _concerns(corrected, shown)):
        tell(rule, subject, case, ChangeKind.AMENDED, shown, now, emitter)


def _causes(rule: ReportRule, before: list[Cause], found: Found) -> list[Cause]:
    """Return the reports because of which an alarm stands from now on: those that hold, and those that held and are unknown."""
    after = {}
    for cause in before:
        name = _name_of(rule, cause)
        finding = found.get(name)
        if name not in found:
            after[name] = cause
        elif finding is not None and finding.verdict is None:
            after[name] = Cause(finding.kept.place.group, finding.kept.key, known=False)
    for name, finding in found.items():
        if finding is not None and finding.verdict:
            after[name] = Cause(finding.kept.place.group, finding.kept.key, known=True)
    return [after[name] for name in sorted(after)]


def _name(group: str, key: DocumentKey) -> Name:
    """Return what a cause is known by: the report, also where a correction moves it to another series; or the series where its newest speaks."""
    return group if key == NEWEST else "", key


def _name_of(rule: ReportRule, cause: Cause) -> Name:
    return _name(cause.group, NEWEST if rule.speaks_by_newest else cause.key)


def _concerns(corrected: DocumentKey, shown: list[Finding]) -> bool:
    """Say whether an alarm stands by a report that was corrected: its own, or one that it is compared with."""
    return any(corrected == one.kept.key or corrected in one.others for one in shown)


def _shown(judged: _Judged, subject: str, causes: list[Cause]) -> list[Finding]:
    """Return the findings that an alarm is told with: of its causes, as far as their reports say anything of the subject."""
    shown = []
    for cause in causes:
        finding = judged.found[subject].get(_name_of(judged.rule, cause))
        if finding is None:  # it was not judged now
            key = NEWEST if judged.rule.speaks_by_newest else cause.key
            finding = judged.series(cause.group).finding(subject, key)
        if finding is not None:
            shown.append(finding)
    return shown


def adopt(state: FacilityState, received: int, why: RecordRead, emitter: Emitter) -> None:
    """Judge all that is kept by the rules that have come into force; what none of them reads is kept no longer."""
    documents, rules = state.documents, state.planned.documents
    read = {name for rule in rules for name in rule.reports}
    for key in [key for key in documents.kept if key[0] not in read]:
        documents.forget(key)
    for rule in rules:
        step = partial(_adopt, rule, Now(received, received, [why]), emitter)
        attempt(emitter, rule.id, received, step)


def _adopt(rule: ReportRule, now: Now, emitter: Emitter) -> None:
    documents = emitter.state.documents
    judged = _Judged(rule, documents)
    for subject, case in documents.of(rule.id).items():
        for cause in case.causes:
            judged.note(subject, _name_of(rule, cause), None)
    for group in documents.groups:
        for (subject, key), finding in judged.series(group).findings().items():
            judged.note(subject, _name(group, key), finding)
    _judge(judged, None, now, emitter)


def leave(
    state: FacilityState, plan: Plan, received: int, why: RecordRead, emitter: Emitter, closed: Container[str]
) -> None:  # fmt: skip
    """End the alarms of rules that a new plan does not have, and of those that begin anew (`closed`)."""
    kept = {rule.id: rule.kind for rule in plan.documents}
    for rule in () if state.plan is None else state.plan.documents:
        if kept.get(rule.id) == rule.kind and rule.id not in closed:
            continue
        wording = begun_anew if kept.get(rule.id) == rule.kind else unwatched
        for subject, case in sorted(state.documents.of(rule.id).items()):
            step = partial(abandon, rule, subject, case, received, why, wording, emitter)
            attempt(emitter, rule.id, received, step)
        state.documents.vacate(rule.id)
