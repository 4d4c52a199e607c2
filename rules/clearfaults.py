"""Conditions that nothing can end: no value lies as far inside the limits as the deadband asks for.

Of limits that are constants or stand in a table. Where they come from the register, or are narrowed by it, the engine takes at most a
quarter of their width as deadband (`rules.params.deadband_width`), and limits without room are unknown and a fault of the register.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rules.errors import Fault
from rules.register import UNITS, Quantity, Span
from rules.rule import DifferenceRule, JumpRule, LimitRule

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from rules.rule import Rule
    from rules.tables import Table, TableRow

_SIGNED = {Quantity.TEMPERATURE, Quantity.PRESSURE, Quantity.PRESSURE_DIFFERENCE}
"""Quantities that have values below zero; all others have none."""
_WHOLE = 100.0
"""No value of a percentage lies above it."""


def clear_faults(rule: Rule, tables: Mapping[str, Table]) -> list[Fault]:
    """Return why an alarm of a rule could never clear, by its own deadband; pointers are into the rule."""
    if not isinstance(rule, LimitRule | DifferenceRule | JumpRule):
        return []
    source = rule.limits.from_
    signed = not isinstance(rule, LimitRule)  # what is compared is a difference, or a change
    if isinstance(source, Span):
        wanted = rule.applies_to.get("sensor.quantity")
        names = wanted if isinstance(wanted, list) else [wanted]
        quantities = [Quantity(str(name)) for name in names if name in set(Quantity)]
        detail = _detail(source, rule.clear.deadband, () if signed else quantities)
        return [Fault("/clear/deadband", "never_clears", detail)] if detail else []
    table = tables.get(source)
    details = [
        f"row {i} of {source}: {detail}"
        for i, row in enumerate(table.rows if table is not None else ())
        if row.deadband is None
        and (detail := _detail(row.limit, rule.clear.deadband, () if signed else _quantities(row)))
    ]
    return [Fault("/clear/deadband", "never_clears", "; ".join(details))] if details else []


def row_faults(table: Table) -> list[Fault]:
    """Return the same of the deadbands that the rows of a table give; pointers are into the table."""
    return [
        Fault(f"/rows/{i}/deadband", "never_clears", detail)
        for i, row in enumerate(table.rows)
        if row.deadband is not None and (detail := _detail(row.limit, row.deadband, _quantities(row)))
    ]


def _quantities(row: TableRow) -> list[Quantity]:
    """Return the quantities that a row may be for: those that it names, else those of its unit."""
    named = row.where.get("sensor.quantity")
    names = named if isinstance(named, list) else [named]
    found = [Quantity(str(name)) for name in names if name in set(Quantity)]
    return found or [one for one, unit in UNITS.items() if unit == row.unit]


def _detail(span: Span, deadband: float | str, quantities: Collection[Quantity]) -> str:
    """Return why no value lies inside the limits by the deadband, nothing if one does or it is no deadband at all."""
    width = _width(span, deadband)
    low, high = span.low, span.high
    if low is not None and high is not None:
        return f"no value lies {width:g} inside both {low:g} and {high:g}" if 2 * width > high - low else ""
    if not quantities or any(one in _SIGNED for one in quantities):
        return ""
    if high is not None and high - width < 0:
        return f"{', '.join(quantities)} is never as low as {high - width:g}"
    percent = all(UNITS[one].startswith("%") for one in quantities)
    if low is not None and percent and low + width > _WHOLE:
        return f"{', '.join(quantities)} is never as high as {low + width:g}"
    return ""


def _width(span: Span, deadband: float | str) -> float:
    """Return the deadband in the unit of the limits; none of a text that is no share, which is told elsewhere."""
    if not isinstance(deadband, str):
        return deadband
    share = deadband.rstrip("%")
    base = span.high if span.high is not None else span.low
    return abs(base or 0.0) * float(share) / 100 if share.replace(".", "", 1).isdigit() else 0.0


__all__ = ["clear_faults", "row_faults"]
