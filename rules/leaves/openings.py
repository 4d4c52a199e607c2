"""Leaves of rules that look for openings of a door in the values of the sensor nearest to it (rules/rare/openings.py)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rules.changes import Verdict
from rules.instants import format_duration
from rules.leaves.model import TWO, Leaf, Seen, both, verdict

if TYPE_CHECKING:
    from rules.rare.openings import Openings
    from rules.rareparts import Trace
    from rules.rule import FollowUpRule


def leaves_of(rule: FollowUpRule, trace: Trace) -> list[Leaf]:
    """Return the leaves of a rule behind those of the event that opens the door, in the order of its condition."""
    lasts, within = format_duration(trace.lasts), format_duration(rule.time)
    return [
        Leaf("lasts", both(f"it opens, and is not closed within {lasts}", f"门由关转开，且 {lasts} 内未关闭"), TWO),
        Leaf(
            "trace",
            both(
                f"the sensor changes by {trace.change:g} within {within}",
                f"{within} 内测点数值变化达到 {trace.change:g}",
            ),
        ),
        Leaf(
            "absent",
            both(
                f"no change in {trace.absent} of the last {trace.last} openings",
                f"最近 {trace.last} 次开门中有 {trace.absent} 次未见变化",
            ),
        ),
    ]


def seen_of(trace: Trace, found: Openings) -> list[tuple[Seen, ...]]:
    """Return the leaves of each opening that one decision judged, by event time; behind the last how many are absent."""
    result: list[tuple[Seen, ...]] = []
    for one in found.found:
        lasted = Seen("lasts", verdict(one.lasted), float(trace.lasts), "is", "open", "ms")
        traced = Seen("trace", one.traced, one.change, ">=", trace.change)
        result.append((lasted, traced) if one.lasted else (lasted,))
    enough = verdict(found.absent >= trace.absent) if found.whole else Verdict.UNKNOWN
    result.append((Seen("absent", enough, float(found.absent), ">=", float(trace.absent)),))
    return result
