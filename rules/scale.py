"""The limit of a value by the value of another series: the rows of a table as steps (kind `difference`, `pairs: by-temperature`)."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, NamedTuple

from rules.errors import Fault
from rules.kinds.difference import ROWS
from rules.predicate import holds
from rules.rule import DifferenceRule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rules.facts import FactValue
    from rules.pack import Bundle
    from rules.rule import LimitRule
    from rules.tables import Table

BY_TEMPERATURE = "by-temperature"


class Step(NamedTuple):
    """From a partner's value on, and below another, the judged value is at most `high`."""

    begin: float
    below: float
    high: float


def scale_of(rule: DifferenceRule, facts: Mapping[str, FactValue], bundle: Bundle) -> tuple[Step, ...]:
    """Return the steps for a sensor with these facts, in the order of the table; none for rules without."""
    table = bundle.tables.get(str(rule.limits.from_))
    if rule.pairs != BY_TEMPERATURE or table is None:
        return ()
    return tuple(
        Step(row.at.begin, row.at.edge, row.limit.high)
        for row in table.rows
        if row.at is not None and row.limit.high is not None and holds(row.where, facts)
    )


def limit_at(scale: tuple[Step, ...], value: float) -> float:
    """Return the limit at a partner's value; NaN where the scale says nothing.

    >>> scale = (Step(20, 25, 1.1), Step(25, 30, 1.3))
    >>> limit_at(scale, 24.9), limit_at(scale, 25.0), limit_at(scale, 30.0)
    (1.1, 1.3, nan)
    """
    return next((step.high for step in scale if step.begin <= value < step.below), math.nan)


def scale_faults(rule: LimitRule | DifferenceRule, tables: Mapping[str, Table]) -> list[Fault]:
    """Return where a rule and its table do not belong together; pointers are into the rule."""
    table = tables.get(rule.limits.from_) if isinstance(rule.limits.from_, str) else None
    rows = [] if table is None else table.rows
    if not isinstance(rule, DifferenceRule) or rule.pairs != BY_TEMPERATURE:
        faults = [
            f"row {i} of {rule.limits.from_} is for a rule of pairs: {BY_TEMPERATURE}"
            for i, row in enumerate(rows)
            if row.at
        ]
        return [Fault("/limits/from", "scale", text) for text in faults]
    if not isinstance(rule.limits.from_, str):
        return [Fault("/limits/from", "scale", f"pairs: {BY_TEMPERATURE} looks its limit up: name a table")]
    faults = [f"row {i} of {rule.limits.from_} has no `at`" for i, row in enumerate(rows) if row.at is None]
    faults += [
        f"row {i} of {rule.limits.from_}: a row with `at` gives a high limit and nothing else"
        for i, row in enumerate(rows)
        if row.limit.high is None
        or row.limit.low is not None
        or row.registered
        or row.deadband is not None
        or row.consecutive
    ]
    alike: dict[str, list[tuple[float, float, int]]] = {}
    for i, row in enumerate(rows):
        if row.at is not None:
            alike.setdefault(repr(sorted(row.where.items())), []).append((row.at.begin, row.at.edge, i))
    for steps in alike.values():
        if len(steps) > ROWS:
            faults.append(f"{rule.limits.from_} has more than {ROWS} rows for the same facts")
        ordered = sorted(steps)
        faults += [
            f"rows {a[2]} and {b[2]} of {rule.limits.from_} overlap"
            for a, b in itertools.pairwise(ordered)
            if b[0] < a[1]
        ]
    if rule.limits.narrower is not None:
        faults.append("the register says nothing of such a limit: no narrower")
    found = [Fault("/limits/from", "scale", text) for text in faults]
    if isinstance(rule.clear.deadband, str):
        told = "a number: a share of the limit would be none, for that is 0"
        found.append(Fault("/clear/deadband", "deadband", told))
    return found
