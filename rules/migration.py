"""What packs make of a rule that they change: `carry`, `re-evaluate` or `close`, as the rule that comes says (`migration`).

A function of both bundles alone, so that the fold stays one of the log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rules.rule import CumulativeRule, DifferenceRule, FrozenRule, JumpRule, LimitRule, MeanKineticRule

if TYPE_CHECKING:
    from rules.pack import Bundle
    from rules.rule import Migration, Rule

WORDS = frozenset(
    {"version", "title", "rationale", "cites", "time_to_respond", "override", "migration", "tests", "exceptions"}
)
"""Members that decide nothing: where only these differ a rule is not changed."""
AGAIN = (LimitRule, JumpRule, FrozenRule, CumulativeRule, MeanKineticRule, DifferenceRule)
"""Kinds that may be decided again: what they judge is in the rows of the horizon, or is summed the same way by the new numbers (`lookback`)."""
REMEMBERED = 16
_known: dict[tuple[str, str], dict[str, Migration]] = {}
"""Hashes of both bundles -> what becomes of the changed rules: each facility of a partition asks for the same."""


def migrations(old: Bundle, new: Bundle) -> dict[str, Migration]:
    """Return the rules of both bundles that are not decided alike, each with what becomes of what stands of it.

    A table that a rule takes its limits from belongs to it. A rule that comes, goes, or is of another kind is none of them.
    """
    key = (old.sha256, new.sha256)
    found = _known.get(key)
    if found is None:
        if len(_known) >= REMEMBERED:
            _known.clear()
        found = _known[key] = _migrations(old, new)
    return found


def _migrations(old: Bundle, new: Bundle) -> dict[str, Migration]:
    before = {rule.id: rule for rule in old.rules}
    return {
        rule.id: rule.migration or "carry"
        for rule in new.rules
        if rule.id in before
        and before[rule.id].kind == rule.kind
        and _decides(before[rule.id], old) != _decides(rule, new)
    }


def table_of(rule: Rule) -> str | None:
    """Return the table of the bundle that a rule takes its limits from, if it takes them from one."""
    source = rule.limits.from_ if isinstance(rule, LimitRule | CumulativeRule | DifferenceRule) else None
    return source if isinstance(source, str) and source not in {"sensor", "range"} else None


def _decides(rule: Rule, bundle: Bundle) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Return what decides of a rule and of its table; titles and editions do not."""
    table = bundle.tables.get(table_of(rule) or "")
    rows = None if table is None else table.model_dump(mode="json", by_alias=True, exclude_none=True, include={"rows"})
    return rule.model_dump(mode="json", by_alias=True, exclude=set(WORDS), exclude_none=True), rows
