"""The leaf of the check of what other rules lack in the register: judged with each version of it, by the packs that stand beside (rules/rare/incomplete.py)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rules.leaves.model import TWO, Leaf, Moment, Seen, both
from rules.plan import compile_plan
from rules.rare.incomplete import finding_of, missing
from rules.rare.store import Rare
from rules.records import RegisterRecord

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rules.pack import Bundle
    from rules.rare.register_check import Finding
    from rules.records import LogRecord
    from rules.rule import RegisterCheckRule

LACKING = "lacking"


def leaves_of() -> list[Leaf]:
    """Return the one leaf of a rule."""
    return [Leaf(LACKING, both("a rule in force lacks a registered fact", "现行规则缺少所需登记信息"), TWO)]


def seen_of(one: Finding) -> Seen:
    """Return the leaf of what the check finds: how many facts are lacking."""
    return Seen(LACKING, one.verdict, one.leaf.left, one.leaf.op, one.leaf.right)


def moments_of(rule: RegisterCheckRule, log: Sequence[LogRecord], bundle: Bundle) -> Iterator[Moment]:
    """Return what the leaf was at every version of the register, by that alone: what events told is left out."""
    for record in log:
        if isinstance(record.payload, RegisterRecord):
            plan = compile_plan(record.payload.facility, bundle, record.received)
            found = missing(rule, plan, bundle, Rare())
            yield Moment("register", record.received, (seen_of(finding_of(rule, found)),))
