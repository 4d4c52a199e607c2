"""What a rule says of the reports of a series: each with what it is compared with, by their numbers, whatever order they came in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from rules.documents.condition import condition_of
from rules.documents.values import Scope, either
from rules.rare.store import text_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from rules.documents.condition import Condition
    from rules.documents.kept import Kept
    from rules.documents.series import DocumentKey
    from rules.rule import ReportRule

NEWEST: Final = ("", "")
"""In place of a report where only the newest one of a series speaks: then the series is the cause, whichever report that is."""


@dataclass(frozen=True, slots=True)
class Look:
    """One report with what it is compared with; of a rule that looks at entries, one of them."""

    kept: Kept
    scope: Scope
    previous: Kept | None
    """What `previous` stands for ..."""
    before: Kept | None
    """... and the report that the entry `before` is of."""
    entry: str | None = None
    """The key of the entry."""


@dataclass(slots=True)
class Finding:
    """What holds of a subject because of one report (or one series): true, false, or None for unknown."""

    subject: str
    verdict: bool | None
    looks: list[Look]
    """All of its looks; where one holds, those that hold."""

    @property
    def kept(self) -> Kept:
        """Return the report."""
        return self.looks[0].kept

    @property
    def others(self) -> set[DocumentKey]:
        """Return the reports that it is compared with."""
        partners = [partner for look in self.looks for partner in (look.previous, look.before)]
        return {partner.key for partner in partners if partner is not None}


def series_of(rule: ReportRule, kept: Iterable[Kept], group: str) -> list[Kept]:
    """Return the reports of a series that a rule reads, in their order; those of one number by id and type."""
    found = [one for one in kept if one.key[0] in rule.reports and one.place.group == group]
    return sorted(found, key=lambda one: (one.place.order, one.key[1], one.key[0]))


def findings(rule: ReportRule, series: Sequence[Kept]) -> dict[tuple[str, DocumentKey], Finding]:
    """Return what a rule says of the reports of one series (`series_of`), by subject and report (`NEWEST` where only that speaks)."""
    condition = condition_of(rule)
    if rule.each is None or rule.each.subject == "report":
        return _of_reports(rule, condition, series)
    found: dict[tuple[str, DocumentKey], Finding] = {}
    newest = rule.judged == "newest"
    looks = list(_looks(rule, condition, series))
    last = {look.entry: look.kept for look in looks}
    subjects = {name: text_of({rule.each.subject: str(name)}) for name in last}
    for look in looks:
        if newest and last[look.entry] is not look.kept:
            continue
        subject = subjects[look.entry]
        _add(found, (subject, NEWEST if newest else look.kept.key), subject, condition, look)
    return found


def _of_reports(
    rule: ReportRule, condition: Condition, series: Sequence[Kept]
) -> dict[tuple[str, DocumentKey], Finding]:  # fmt: skip
    found: dict[tuple[str, DocumentKey], Finding] = {}
    for look in _looks(rule, condition, series):
        subject = text_of({"report": look.kept.key[1]})
        _add(found, (subject, look.kept.key), subject, condition, look)
    for one in series if rule.each is not None else ():
        subject = text_of({"report": one.key[1]})
        nothing = Finding(subject, verdict=False, looks=[Look(one, Scope(one.newest), None, None)])
        finding = found.setdefault((subject, one.key), nothing)
        if finding.verdict is False and rule.each is not None and one.newest.left_out(rule.each.of):
            finding.verdict = None
    return found


def _add(
    found: dict[tuple[str, DocumentKey], Finding], key: tuple[str, DocumentKey], subject: str, condition: Condition, look: Look
) -> None:  # fmt: skip
    verdict = condition.verdict(look.scope)
    before = found.get(key)
    if before is None:
        found[key] = Finding(subject, verdict, [look])
        return
    if bool(verdict) == bool(before.verdict):
        before.looks.append(look)
    elif verdict:  # of several entries those count that hold
        before.looks = [look]
    before.verdict = either(before.verdict, verdict)


def _looks(rule: ReportRule, condition: Condition, series: Sequence[Kept]) -> Iterator[Look]:
    """Yield each report (and entry) with what it is compared with: the nearest with a lower number, of several of that the last by id."""
    each = rule.each
    previous: Kept | None = None
    having: dict[str, Kept] = {}
    waiting: list[Kept] = []
    for one in series:
        if waiting and waiting[-1].place.order < one.place.order:  # what stands before it is complete
            previous = waiting[-1]
            if each is not None:
                having.update((key, kept) for kept in waiting for key in kept.newest.entries(each.of, each.key))
            waiting = []
        waiting.append(one)
        scope = Scope(one.newest, one.earlier, None if previous is None else previous.newest)
        if each is None:
            yield Look(one, scope, previous if "previous" in condition.reads else None, None)
            continue
        for key, entries in one.newest.entries(each.of, each.key).items():
            partner = None if each.before != "previous" else having.get(key)
            before = _before(rule, one, partner, key)
            for entry in entries:
                with_entry = Scope(scope.report, scope.earlier, scope.previous, entry, before)
                yield Look(one, with_entry, previous if "previous" in condition.reads else None, partner, key)


def _before(rule: ReportRule, one: Kept, partner: Kept | None, key: str) -> Mapping[str, Any] | None:
    """Return the entry before: None where there is none, or more than one."""
    each = rule.each
    if each is None or each.before is None:
        return None
    version = one.earlier if each.before == "earlier" else None if partner is None else partner.newest
    entries = [] if version is None else version.entries(each.of, each.key).get(key, [])
    return entries[0] if len(entries) == 1 else None
