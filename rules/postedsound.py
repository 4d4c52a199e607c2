"""What a rule over posted laboratory results needs of its table, and who else may not ask for a result's method (see `rules.soundness`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rules.errors import Fault
from rules.facts import METHOD
from rules.rare.units import spelled
from rules.rule import ResultLimitRule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rules.rule import Rule
    from rules.tables import Table, TableRow


def method_faults(rule: Rule, tables: Mapping[str, Table]) -> list[Fault]:
    """Return where a rule asks for what only a table of posted results knows; pointers are into the rule."""
    faults = []
    if METHOD in rule.applies_to:
        faults.append(Fault(f"/applies_to/{METHOD}", "predicate", "only a row of a table asks how a result was made"))
    source = getattr(getattr(rule, "limits", None), "from_", None)
    table = tables.get(source) if isinstance(source, str) else None
    if table is None or isinstance(rule, ResultLimitRule):
        return faults
    asks = next((i for i, row in enumerate(table.rows) if METHOD in row.where or row.units), None)
    if asks is not None:
        told = f"row {asks} of {table.id} is for posted results: a {rule.kind} rule has no {METHOD} and no units"
        faults.append(Fault("/limits/from", "result", told))
    return faults


def result_faults(rule: ResultLimitRule, tables: Mapping[str, Table]) -> list[Fault]:
    """Return what keeps results from being compared; pointers are into the rule."""
    table = tables.get(rule.limits.from_)
    other = (rule.events.stream, rule.events.type) != ("lab", "result")
    faults = [Fault("/events", "result", "what is posted and compared is lab result")] if other else []
    if table is None:
        told = f"{rule.limits.from_} is not a table of these packs"
        return [*faults, Fault("/limits/from", "unknown_table", told)]
    found = [(i, text) for i, row in enumerate(table.rows) for text in _wrong(row)]
    if all(row.limit.high is None for row in table.rows):
        found.append((0, "no row has a high limit: nothing is ever above it"))
    return faults + [Fault("/limits/from", "result", f"row {i} of {table.id}: {text}") for i, text in found]


def _wrong(row: TableRow) -> list[str]:
    strange = [name for name in row.where if name.startswith(("sensor.", "place."))]
    found = [f"a result has no {name}" for name in strange]
    if row.limit.low is not None:
        found.append("a result is above its limit: low is of no use")
    wrong = [name for name in ("at", "registered", "deadband", "consecutive") if getattr(row, name) is not None]
    found += [f"{name} is of measured series" for name in wrong]
    names = [spelled(name) for name in (row.unit, *(row.units or {}))]
    if not all(names):
        found.append("a unit has a name")
    found += [f"the unit {name} stands here twice" for name in sorted({one for one in names if names.count(one) > 1})]
    return found
