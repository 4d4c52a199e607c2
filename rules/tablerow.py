"""A limit rule as it stands for one sensor, or a difference rule for one pair: what the row of its table says beside the limit."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rules.facts import FactValue
    from rules.pack import Bundle
    from rules.register import Sensor, Span
    from rules.rule import DifferenceRule, JumpRule, LimitRule
    from rules.tables import TableRow

Judging = TypeVar("Judging", "LimitRule", "DifferenceRule", "JumpRule")


def rows_of(rule: LimitRule | DifferenceRule | JumpRule, bundle: Bundle) -> list[TableRow]:
    """Return the rows of the rule's table; none if it has no table."""
    table = bundle.tables.get(rule.limits.from_) if isinstance(rule.limits.from_, str) else None
    return [] if table is None else table.rows


def as_on(rule: Judging, facts: Mapping[str, FactValue], bundle: Bundle) -> Judging:
    """Return the rule with the deadband and the count of records of the row that fits `facts`, if it has its own."""
    if not rows_of(rule, bundle):
        return rule
    row = bundle.tables[str(rule.limits.from_)].lookup(facts)
    return rule if row is None else with_row(rule, row)


def with_row(rule: Judging, row: TableRow) -> Judging:
    """Return the rule with what a row of its table gives instead of the rule's own."""
    clear, when = rule.clear, rule.when
    if row.deadband is not None:
        clear = clear.model_copy(update={"deadband": row.deadband})
    if row.consecutive is not None:
        when = when.model_copy(update={"consecutive": row.consecutive})
    return rule if clear is rule.clear and when is rule.when else rule.model_copy(update={"clear": clear, "when": when})


def taken_over(row: TableRow, sensor: Sensor) -> dict[str, float]:
    """Return the registered limits that stand instead of those of the row, by side."""
    if not row.registered or sensor.limits is None:
        return {}
    pairs = (("low", row.limit.low, sensor.limits.low), ("high", row.limit.high, sensor.limits.high))
    return {name: own for name, limit, own in pairs if limit is not None and own is not None}


def one_side(span: Span | None, side: str | None) -> Span | None:
    """Return a registered span with one of its bounds alone; as it is where `side` is None."""
    if span is None or side is None:
        return span
    return span.model_copy(update={"high" if side == "low" else "low": None})
