"""What a rule says of the reports of a series: each with what it is compared with, by their numbers, whatever order they came in."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from rules.documents.condition import condition_of
from rules.documents.values import Scope, either
from rules.rare.store import subject_of, text_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from rules.documents.condition import Condition
    from rules.documents.kept import Kept, Version
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


Named: TypeAlias = "tuple[str, DocumentKey]"
"""A subject, and the report (or `NEWEST`) because of which something is said of it."""
Findings: TypeAlias = dict[Named, Finding]


class Series:
    """The reports of one series that a rule reads, in their order; those of one number by id and type."""

    def __init__(self, rule: ReportRule, kept: Iterable[Kept], group: str) -> None:
        found = [one for one in kept if one.key[0] in rule.reports and one.place.group == group]
        self._rule, self._condition = rule, condition_of(rule)
        self.reports = sorted(found, key=lambda one: (one.place.order, one.key[1], one.key[0]))
        self._orders = [one.place.order for one in self.reports]
        self._places: dict[DocumentKey, int] = {}

    @property
    def _by_entry(self) -> bool:
        return self._rule.each is not None and self._rule.each.subject != "report"

    def findings(self) -> Findings:
        """Return what the rule says of all reports, by subject and report (`NEWEST` where only that speaks)."""
        return self._findings(dict.fromkeys(range(len(self.reports))), ())

    def touched(self, ones: Iterable[Kept]) -> dict[Named, Finding | None]:
        """Return what the rule says now of all that reports bear on which came or went; None: nothing any more.

        A report bears on itself, and on those behind it that are compared with it: the rest of the series stays as it was.

        Args:
            ones: reports of the series, as they are or were.
        """
        ones = list(ones)
        reach: dict[int, set[str] | None] = {}
        for one in ones:
            for at, keys in self._reach(one).items():
                before = reach.get(at, set())
                reach[at] = None if keys is None or before is None else before | keys
        named: list[Named] = []
        lost = {key for one in ones for key in self._entries(one.newest)} if self._by_entry else set()
        if not self._by_entry:
            named = [(text_of({"report": one.key[1]}), one.key) for one in ones]
        elif self._rule.speaks_by_newest:
            named = [(self._subject(key), NEWEST) for key in lost]
        else:
            named = [(self._subject(key), one.key) for one in ones for key in self._entries(one.newest)]
        return dict.fromkeys(named) | self._findings(reach, lost)

    def finding(self, subject: str, key: DocumentKey) -> Finding | None:
        """Return what the rule says of a subject because of a report (or `NEWEST`), None: nothing."""
        entry = None if not self._by_entry else {next(iter(subject_of(subject).values()))}
        if key == NEWEST:
            return self._findings({}, entry or ()).get((subject, key))
        if not self._places:
            self._places = {one.key: at for at, one in enumerate(self.reports)}
        at = self._places.get(key)
        return None if at is None else self._findings({at: entry}, ()).get((subject, key))

    def _entries(self, version: Version) -> Mapping[str, list[dict[str, Any]]]:
        each = self._rule.each
        return {} if each is None else version.entries(each.of, each.key)

    def _subject(self, key: str) -> str:
        assert self._rule.each is not None  # noqa: S101 - only then there are entries
        return text_of({self._rule.each.subject: key})

    def _findings(self, reach: Mapping[int, set[str] | None], keys: Iterable[str]) -> Findings:
        """Return what the rule says of reports by place (None: of all that they say), and of entries where only the newest speaks."""
        if not self._by_entry:
            return {
                (text_of({"report": self.reports[at].key[1]}), self.reports[at].key): self._of_report(at)
                for at in reach
            }
        newest = self._rule.speaks_by_newest
        if newest:
            asked = {
                key
                for at, of in reach.items()
                for key in (self._entries(self.reports[at].newest) if of is None else of)
            }
            reach = _by_place(self._nearest(len(self.reports), asked.union(keys)))
        found: Findings = {}
        for at, of in reach.items():
            for look in self._looks(at, of):
                subject = self._subject(str(look.entry))
                _add(found, (subject, NEWEST if newest else look.kept.key), subject, self._condition, look)
        return found

    def _of_report(self, at: int) -> Finding:
        one, each, found = self.reports[at], self._rule.each, Findings()
        subject = text_of({"report": one.key[1]})
        for look in self._looks(at, None):
            _add(found, (subject, one.key), subject, self._condition, look)
        nothing = Finding(subject, verdict=False, looks=[Look(one, Scope(one.newest), None, None)])
        finding = found.get((subject, one.key), nothing)
        if finding.verdict is False and each is not None and one.newest.left_out(each.of):
            finding.verdict = None
        return finding

    def _looks(self, at: int, keys: Iterable[str] | None) -> Iterator[Look]:
        """Yield a report (or its entries, None: all) with what it is compared with: the nearest with a lower number, of several of that the last by id."""
        one, each = self.reports[at], self._rule.each
        begin = bisect_left(self._orders, one.place.order)
        previous = self.reports[begin - 1] if begin else None
        scope = Scope(one.newest, one.earlier, None if previous is None else previous.newest)
        shown = previous if "previous" in self._condition.reads else None
        if each is None:
            yield Look(one, scope, shown, None)
            return
        entries = self._entries(one.newest)
        wanted = entries if keys is None else [key for key in keys if key in entries]
        having = self._nearest(begin, wanted) if each.before == "previous" else {}
        for key in wanted:
            partner = self.reports[having[key]] if key in having else None
            before = self._before(one, partner, key)
            for entry in entries[key]:
                yield Look(one, Scope(scope.report, scope.earlier, scope.previous, entry, before), shown, partner, key)

    def _before(self, one: Kept, partner: Kept | None, key: str) -> Mapping[str, Any] | None:
        """Return the entry before: None where there is none, or more than one."""
        each = self._rule.each
        if each is None or each.before is None:
            return None
        version = one.earlier if each.before == "earlier" else None if partner is None else partner.newest
        entries = [] if version is None else self._entries(version).get(key, [])
        return entries[0] if len(entries) == 1 else None

    def _nearest(self, end: int, keys: Iterable[str]) -> dict[str, int]:
        """Return of each key the last place before `end` whose report has an entry of it."""
        missing, found = set(keys), dict[str, int]()
        for at in range(end - 1, -1, -1):
            if not missing:
                break
            met = missing & self._entries(self.reports[at].newest).keys()
            found.update(dict.fromkeys(met, at))
            missing -= met
        return found

    def _reach(self, one: Kept) -> dict[int, set[str] | None]:
        """Return the places of the reports that one bears on, and on which of their entries (None: on all)."""
        begin, behind = bisect_left(self._orders, one.place.order), bisect_right(self._orders, one.place.order)
        found: dict[int, set[str] | None] = {at: None for at in range(begin, behind) if self.reports[at] is one}
        if "previous" in self._condition.reads:
            found |= dict.fromkeys(range(behind, self._end_of(behind)))
        each = self._rule.each
        missing = set(self._entries(one.newest)) if each is not None and each.before == "previous" else set()
        while missing and behind < len(self.reports):
            end, all_met = self._end_of(behind), set[str]()
            for at in range(behind, end):
                met = missing & self._entries(self.reports[at].newest).keys()
                if met:
                    found.setdefault(at, met)
                all_met |= met
            missing, behind = missing - all_met, end
        return found

    def _end_of(self, begin: int) -> int:
        """Return the place behind all reports that have the number of the one at `begin`."""
        return bisect_right(self._orders, self._orders[begin]) if begin < len(self._orders) else begin


def _by_place(places: Mapping[str, int]) -> dict[int, set[str] | None]:
    found: dict[int, set[str]] = {}
    for key, at in places.items():
        found.setdefault(at, set()).add(key)
    return dict(found)


def _add(
    found: Findings, key: Named, subject: str, condition: Condition, look: Look
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
