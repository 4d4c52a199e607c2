"""What an alarm of a lot says where the revision of a report took it back, or moved it: both revisions, and how it is now (ADR 0095)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rules.changes import Leaf, Verdict
from rules.instants import format_duration, format_instant
from rules.lotparts import CountedCases
from rules.lots.judge import LISTED, items_of, sums_of
from rules.lots.speak import leaf_of
from rules.rule import LotBalanceRule, LotCountRule

if TYPE_CHECKING:
    from rules.lots.book import Book
    from rules.lots.rows import Corrected, OfReport
    from rules.lots.store import Told
    from rules.rule import LotRule


def leaves_of(rule: LotRule, corrected: Corrected) -> list[Leaf]:
    """Return what the two revisions of a report say, the one before first."""
    return [_said(rule, corrected, one) for one in (corrected.before, corrected.after)]


def _said(rule: LotRule, corrected: Corrected, one: OfReport) -> Leaf:
    named = f"{corrected.facility}: report {corrected.report}/{one.revision}"
    if not one.named:
        return Leaf(expr=f"{named} names the lot", left="no", op="", verdict=Verdict.FALSE)
    at = format_instant(one.at)
    if isinstance(rule, LotCountRule) and isinstance(rule.counted, CountedCases):
        grave = rule.counted.seriousness
        counts = Verdict.TRUE if one.word in grave else Verdict.FALSE
        return Leaf(
            expr=f"{named}, case {one.key} known {at}", left=one.word, op="in", right=", ".join(grave), verdict=counts
        )
    return Leaf(expr=f"{named} names the lot, recall {one.key} told", left=at, op="", verdict=Verdict.TRUE)


def leaves_now(rule: LotRule, book: Book, one: Told) -> list[Leaf]:
    """Return how that is now which an alarm was of and which does not hold any more: `LISTED` things at most."""
    if isinstance(rule, LotBalanceRule):
        return [leaf_of(rule, item) for item in sums_of(rule, book) if item.facility in one.facilities][:LISTED]
    if not isinstance(rule, LotCountRule):
        return []
    if isinstance(rule.counted, CountedCases):
        near = [item for item in items_of(rule, book) if one.start - rule.within <= item.at <= one.start]
        counting = sum(item.verdict is Verdict.TRUE for item in near)
        reached = Verdict.TRUE if counting >= rule.n else Verdict.FALSE
        expr = f"cases within {format_duration(rule.within)} up to {format_instant(one.start)}"
        head = [Leaf(expr=expr, left=float(counting), op=">=", right=float(rule.n), verdict=reached)]
    else:
        near = [item for item in items_of(rule, book) if (item.facility, item.at) == (one.facility, one.start)]
        head = []
    return head + [leaf_of(rule, item) for item in near[:LISTED]]
