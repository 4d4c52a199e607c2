"""Reports in the fold of rules over what they say: each is kept by its number, and all that it can change is judged again (ADR 0059)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from rules.changes import ChangeKind, Evidence
from rules.documents.judge import NEWEST, findings, series_of
from rules.documents.kept import text_of
from rules.documents.speak import close_alarm, open_alarm, tell
from rules.documents.store import Cause
from rules.failing import attempt
from rules.rare.speak import Now
from rules.rare.store import subject_of
from rules.wording import begun_anew, unwatched

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Sequence

    from rules.changes import RecordRead
    from rules.documents.judge import Finding
    from rules.documents.series import DocumentKey
    from rules.documents.store import DocumentCase, Documents, Taken
    from rules.emission import Emitter
    from rules.models import Bilingual
    from rules.plan import Plan
    from rules.records import Report
    from rules.reports.parts import Fields
    from rules.rule import ReportRule
    from rules.state import FacilityState

Found = dict[tuple[str, "DocumentKey"], "Finding"]
"""What a rule says of one subject, by the names of causes (`_name`)."""


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
    """Judge all that a report can change for a rule: the series that it is in, or was in, and those that lost a report for it."""
    _judge(rule, taken.groups, taken.key if taken.corrected else None, now, emitter)


def _judge(
    rule: ReportRule, groups: Iterable[str], corrected: DocumentKey | None, now: Now, emitter: Emitter
) -> None:  # fmt: skip
    documents = emitter.state.documents
    groups = sorted(set(groups))
    found: dict[str, Found] = {}
    for group in groups:
        for (subject, key), finding in findings(rule, series_of(rule, documents.kept.values(), group)).items():
            found.setdefault(subject, {})[_name(group, key)] = finding
    cases = documents.of(rule.id)
    standing = {subject for subject, case in cases.items() if any(cause.group in groups for cause in case.causes)}
    raising = {subject for subject, of in found.items() if any(finding.verdict for finding in of.values())}
    for subject in sorted(standing | raising):
        _settle(rule, subject, found.get(subject, {}), groups, corrected, now, emitter)


def _settle(
    rule: ReportRule, subject: str, found: Found, groups: Container[str], corrected: DocumentKey | None, now: Now,
    emitter: Emitter,
) -> None:  # fmt: skip
    """Tell what the reports make of a subject's alarm: it stands while one holds, and nothing unknown ends it."""
    documents = emitter.state.documents
    case = documents.of(rule.id).get(subject)
    before = [] if case is None else case.causes
    after = _causes(rule, before, found, groups)
    if case is None or case.standing is None:
        case = documents.case(rule.id, subject)
        if case is not None:
            case.causes = after
            open_alarm(rule, subject, case, _shown(rule, subject, after, found, documents), now, emitter)
        return
    standing, was_unknown = case.standing, case.standing.unknown
    case.causes = after
    shown = _shown(rule, subject, after or before, found, documents)
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


def _causes(rule: ReportRule, before: list[Cause], found: Found, groups: Container[str]) -> list[Cause]:
    """Return the reports because of which an alarm stands from now on: those that hold, and those that held and are unknown."""
    after = {}
    for cause in before:
        name = _name_of(rule, cause)
        finding = found.get(name)
        if cause.group not in groups:
            after[name] = cause
        elif finding is not None and finding.verdict is None:
            after[name] = Cause(finding.kept.place.group, finding.kept.key, known=False)
    for name, finding in found.items():
        if finding.verdict:
            after[name] = Cause(finding.kept.place.group, finding.kept.key, known=True)
    return [after[name] for name in sorted(after)]


def _name(group: str, key: DocumentKey) -> tuple[str, DocumentKey]:
    """Return what a cause is known by: the report, also where a correction moves it to another series; or the series where its newest speaks."""
    return group if key == NEWEST else "", key


def _name_of(rule: ReportRule, cause: Cause) -> tuple[str, DocumentKey]:
    return _name(cause.group, NEWEST if rule.speaks_by_newest else cause.key)


def _concerns(corrected: DocumentKey, shown: list[Finding]) -> bool:
    """Say whether an alarm stands by a report that was corrected: its own, or one that it is compared with."""
    return any(corrected == one.kept.key or corrected in one.others for one in shown)


def _shown(rule: ReportRule, subject: str, causes: list[Cause], found: Found, documents: Documents) -> list[Finding]:
    """Return the findings that an alarm is told with: of its causes, as far as their reports say anything of the subject."""
    shown = []
    for cause in causes:
        finding = found.get(_name_of(rule, cause))
        if finding is None:  # it is of a series that was not judged now
            of = findings(rule, series_of(rule, documents.kept.values(), cause.group))
            key = NEWEST if rule.speaks_by_newest else cause.key
            finding = of.get((subject, key))
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
    groups = {one.place.group for one in documents.kept.values() if one.key[0] in rule.reports}
    groups |= {cause.group for case in documents.of(rule.id).values() for cause in case.causes}
    _judge(rule, groups, None, now, emitter)


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
            step = partial(_abandon, rule, subject, case, received, why, wording, emitter)
            attempt(emitter, rule.id, received, step)
        state.documents.vacate(rule.id)


def _abandon(
    rule: ReportRule, subject: str, case: DocumentCase, received: int, why: RecordRead,
    wording: Callable[[str], Bilingual], emitter: Emitter,
) -> None:  # fmt: skip
    standing = case.standing
    if standing is None:
        return
    named = subject_of(subject)
    standing.end, standing.closed, standing.unknown = max(received, standing.start), received, False
    text, proof = wording(" ".join(named.values())), Evidence(records=[why])
    emitter.emit(rule, named, standing, ChangeKind.CLEARED, received, received, text, proof)
