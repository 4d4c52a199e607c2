"""Leaves of rules over what a firm posts: reports, marks and results of laboratories."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from rules.leaves import amended, deadlines, documents, excursions, lateness, parallel, posted, revised
from rules.rule import CompareRule, DeadlineRule, LatenessRule, ParallelRule, ReportRule, ResultLimitRule, RevisionRule

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rules.leaves.model import Leaf, Moment
    from rules.records import LogRecord

PostedRule: TypeAlias = (
    ResultLimitRule | ParallelRule | CompareRule | DeadlineRule | LatenessRule | RevisionRule | ReportRule
)


def leaves_of(rule: PostedRule) -> list[Leaf]:
    """Return the leaves of a rule, in the order of its condition."""
    if isinstance(rule, ResultLimitRule | ParallelRule):
        return posted.leaves_of(rule) if isinstance(rule, ResultLimitRule) else parallel.leaves_of()
    if isinstance(rule, LatenessRule | RevisionRule):
        return lateness.leaves_of(rule) if isinstance(rule, LatenessRule) else revised.leaves_of(rule)
    if isinstance(rule, CompareRule):
        return excursions.leaves_of(rule)
    return deadlines.leaves_of(rule) if isinstance(rule, DeadlineRule) else documents.leaves_of(rule)


def moments_of(
    rule: LatenessRule | RevisionRule | ReportRule, log: Sequence[LogRecord], end: int
) -> Iterator[Moment]:  # fmt: skip
    """Yield what the leaves were in one facility's log, and up to `end` (log time, ms)."""
    if isinstance(rule, ReportRule):
        yield from documents.moments_of(rule, log)
    elif isinstance(rule, RevisionRule):
        yield from (one.moment for one in revised.told_of(rule, log))
    else:
        found = amended.told_of(rule, log, end) if rule.of == "amendment" else lateness.told_of(rule, log)
        yield from (one.moment for one in found)
