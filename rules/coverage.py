"""Coverage of rules by the tests of their own files: which leaf was seen true, false and unknown, and in which test."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from rules.alarms import fold_alarms
from rules.changes import Verdict
from rules.engine import Engine
from rules.leaves import (
    days,
    deadlines,
    excursions,
    followed,
    lacking,
    ledger,
    lots,
    openingtrace,
    paralleltrace,
    posted,
    rare,
    results,
    rowtrace,
    shares,
)
from rules.leaves.trace import Tracer, taken
from rules.leaves.watch import leaves_of
from rules.rule import (
    INCOMPLETE,
    CompletenessRule,
    DeadlineRule,
    FollowUpRule,
    GradeRule,
    LedgerRule,
    LotRule,
    ParallelRule,
    RareRule,
    RegisterCheckRule,
    RepeatDayRule,
    ResultLimitRule,
    hears_excursions,
    looks_at_rows,
)
from rules.ruletest import FACILITY, around, begin_of, lots_of, records_of, until_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rules.leaves.model import Leaf, Moment
    from rules.pack import Bundle
    from rules.records import LogRecord
    from rules.rule import Rule, RuleTest


@dataclass(slots=True)
class LeafCoverage:
    """One leaf: the first test that saw each verdict."""

    leaf: Leaf
    seen: dict[Verdict, str] = field(default_factory=dict)

    @property
    def missing(self) -> list[Verdict]:
        """Return the verdicts that no test saw, in the order true, false, unknown."""
        return [v for v in Verdict if v in self.leaf.verdicts and v not in self.seen]


@dataclass(slots=True)
class RuleCoverage:
    """All leaves of one rule."""

    rule: str
    leaves: list[LeafCoverage]

    @property
    def wanted(self) -> int:
        """Return how many verdicts are to be seen."""
        return sum(len(entry.leaf.verdicts) for entry in self.leaves)

    @property
    def found(self) -> int:
        """Return how many were."""
        return self.wanted - sum(len(entry.missing) for entry in self.leaves)

    def to_json(self) -> dict[str, Any]:
        """Return the JSON value that `offsite rules coverage --json` prints."""
        leaves = [
            {
                "leaf": entry.leaf.name,
                "says": entry.leaf.words.model_dump(),
                "seen": {verdict.value: test for verdict, test in entry.seen.items()},
                "missing": [verdict.value for verdict in entry.missing],
            }
            for entry in self.leaves
        ]
        return {"rule": self.rule, "wanted": self.wanted, "found": self.found, "leaves": leaves}


def coverage(bundle: Bundle, rule_id: str | None = None) -> list[RuleCoverage]:
    """Return the coverage of all rules of a bundle, or of one, by the tests in their files."""
    return [cover(rule, bundle) for rule in bundle.rules if rule_id in {None, rule.id}]


def cover(rule: Rule, bundle: Bundle) -> RuleCoverage:
    """Return which leaves of a rule its tests see; a test that cannot run sees none (`offsite rules test` says why)."""
    entries = {leaf.name: LeafCoverage(leaf) for leaf in leaves_of(rule, around(rule, bundle))}
    for test in rule.tests:
        for moment in (
            of_lots(rule, test, bundle)
            if isinstance(rule, LotRule)
            else moments_of(rule, test, around(rule, bundle, test))
        ):
            for leaf in moment.leaves:
                entry = entries.get(leaf.name)
                if entry is not None and leaf.verdict in entry.leaf.verdicts:
                    entry.seen.setdefault(leaf.verdict, test.name)
    return RuleCoverage(rule.id, list(entries.values()))


def of_lots(rule: LotRule, test: RuleTest, bundle: Bundle) -> list[Moment]:
    """Return all moments of a test of a rule over lots, fact by fact; none if the test is no test."""
    try:
        facts, _ = lots_of(rule, test, bundle)
    except (ValidationError, ValueError):
        return []
    return list(lots.moments_of(rule, facts))


def moments_of(rule: Rule, test: RuleTest, bundle: Bundle) -> list[Moment]:
    """Return all moments of a test, series by series; none if the test is no test."""
    tracer = Tracer(rule.id, bundle, FACILITY)
    try:
        records = records_of(rule, test)
    except (ValidationError, ValueError):
        return []
    if isinstance(rule, RareRule):
        end = max([records[-1].received, begin_of(test) + (test.until or 0)])
        return _rare_moments(rule, records, bundle, end)
    engine = Engine(around(rule, bundle, test))
    tracer.taken = partial(taken, engine, tracer)
    for record in records:
        if test.marks:  # what had been told of rows before a mark came, the engine knows
            engine.fold(record)
        tracer.fold(record)
    tracer.move(until_of(test, records))
    moments: list[Moment] = []
    for tag in sorted(tracer.lines):
        tracer.finish(tag, moments.append)
    return moments


def _rare_moments(rule: RareRule, records: list[LogRecord], bundle: Bundle, end: int) -> list[Moment]:
    if looks_at_rows(rule):
        return [odd.moment for odd in rowtrace.rows_of(rule, records, bundle)]
    if isinstance(rule, FollowUpRule) and (rule.alarm or rule.trace):
        return _followed(rule, records, bundle, end)
    if isinstance(rule, ResultLimitRule):
        return list(posted.moments_of(rule, rare.come(records), bundle))
    if isinstance(rule, RepeatDayRule):
        return [day.moment for day in days.days_of(rule, records, bundle)]
    by_books = _by_books(rule, records, bundle, end)
    if by_books is not None:
        return list(by_books)
    return list(rare.moments_of(rule, records, end))


def _by_books(rule: RareRule, records: list[LogRecord], bundle: Bundle, end: int) -> Iterator[Moment] | None:
    """Return the moments of a rule that the engine's books tell, None of others."""
    if isinstance(rule, RegisterCheckRule) and rule.check == INCOMPLETE:
        return lacking.moments_of(rule, records, bundle)
    if isinstance(rule, ParallelRule | CompletenessRule):
        trace = paralleltrace.moments_of if isinstance(rule, ParallelRule) else shares.moments_of
        return trace(rule, records, bundle, end)  # type: ignore[arg-type]  # each of its own kind
    if isinstance(rule, LedgerRule | GradeRule):
        return ledger.moments_of(rule, records, bundle, end)
    if isinstance(rule, DeadlineRule):
        return deadlines.moments_of(rule, records, bundle, end)
    if hears_excursions(rule):
        return excursions.moments_of(rule, records, bundle, end)
    return None


def _followed(rule: FollowUpRule, records: list[LogRecord], bundle: Bundle, end: int) -> list[Moment]:
    if rule.trace:
        return list(openingtrace.moments_of(rule, rule.trace, records, bundle, end))
    engine = Engine(bundle)
    changes = [change for record in records for change in engine.fold(record)] + engine.advance(0, end)
    alarms = fold_alarms(change for change in changes if change.rule == rule.alarm)
    facility = engine.state_of(FACILITY).planned.facility
    if rule.result is not None:
        return list(results.moments_of(rule, rule.result, alarms, rare.come(records), facility, end))
    return list(followed.moments_of(rule, alarms, rare.come(records), facility, end))


def share(rules: list[RuleCoverage]) -> float:
    """Return the per cent of verdicts that were seen, over all rules; 100 of nothing."""
    wanted = sum(rule.wanted for rule in rules)
    return 100.0 * sum(rule.found for rule in rules) / wanted if wanted else 100.0
