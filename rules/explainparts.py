"""What explanations of all kinds of rules have in common, as JSON."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from rules.instants import format_instant
from rules.records import QUALITY_NAMES

if TYPE_CHECKING:
    from rules.exceptions import SiteException
    from rules.leaves.model import Row, Seen
    from rules.rule import Rule

ROWS = 12
"""The newest rows, or events, that an explanation names."""


def rule_json(rule: Rule) -> dict[str, Any]:
    """Return what an explanation says of the rule itself."""
    return rule.model_dump(
        mode="json",
        by_alias=True,
        exclude_none=True,
        include={"id", "version", "title", "kind", "stage", "cites"},
    )


def exception_json(one: SiteException | None) -> dict[str, Any]:
    """Return the site exception from the rule that is in force for the series, whole, as a member; nothing where there is none."""
    if one is None:
        return {}
    return {"exception": one.model_dump(mode="json", by_alias=True, exclude_none=True)}


def row_json(row: Row) -> dict[str, Any]:
    """Return a row with its event and receive times; `late` where something newer had already come."""
    return {
        "event": format_instant(row.t), "received": format_instant(row.received), "batch": row.batch,
        "value": None if math.isnan(row.value) else row.value, "quality": QUALITY_NAMES[row.quality],
        "late": row.m != row.received,
    }  # fmt: skip


def said_json(seen: Seen | None, name: str = "") -> dict[str, Any]:
    """Return a leaf as it was, None where it was not asked."""
    if seen is None:
        return {"leaf": name, "verdict": None}
    value = {"leaf": seen.name, "verdict": seen.verdict.value, "left": seen.left, "op": seen.op, "right": seen.right}
    return {**value, "unit": seen.unit} if seen.unit else value
