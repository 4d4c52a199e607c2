"""What a rule over lots needs beyond its model (see `rules.soundness`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rules.errors import Fault
from rules.instants import format_duration
from rules.lotparts import CountedMoves
from rules.lots.portions import DAY_MS, JUDGED_DAYS
from rules.lots.watches import WITHIN_MS
from rules.rule import LotBalanceRule, LotFollowUpRule, LotRatioRule, LotRule

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rules.rule import LotCountRule, Rule, RuleTest

_SERIES = ("series", "rows", "later", "decisions", "marks", "inspections", "beside")
"""What a test of other rules has, and a lot says nothing of ..."""
_READINGS = frozenset({"series", "rows"})
"""... but where telemetry belongs to a shipment."""


def lot_faults(rule: Rule) -> list[Fault]:
    """Return what is wrong with a rule over lots, nothing of any other; pointers are into the rule."""
    if not isinstance(rule, LotRule):
        return list(_others(rule))
    faults = [
        Fault(f"/applies_to/{name}", "predicate", "it looks at lots: no register says anything of one")
        for name in rule.applies_to
    ]
    if rule.severity.steps:
        faults.append(Fault("/severity/steps", "step", f"a {rule.kind} rule has one colour"))
    if rule.migration == "close":
        told = "a lot is always decided again, from all that is known of it: carry"
        faults.append(Fault("/migration", "migration", told))
    if rule.reads:
        faults.append(Fault("/reads", "lot", "it reads facts of lots, and no alarms"))
    if isinstance(rule, LotFollowUpRule):
        faults += _follow_up_faults(rule)
    elif isinstance(rule, LotRatioRule):
        faults += _ratio_faults(rule)
    else:
        faults += _balance_faults(rule) if isinstance(rule, LotBalanceRule) else _count_faults(rule)
    series = isinstance(rule, LotFollowUpRule)
    return faults + [fault for i, test in enumerate(rule.tests) for fault in _test_faults(i, test, series=series)]


def _others(rule: Rule) -> Iterator[Fault]:
    """Yield where a test of another rule names who sends something: one facility is tested there."""
    for i, test in enumerate(rule.tests):
        for name in ("events", "reports"):
            for k, one in enumerate(getattr(test, name)):
                if one.facility is not None:
                    pointer = f"/tests/{i}/{name}/{k}/facility"
                    yield Fault(pointer, "lot", "only a test of a rule over lots has several facilities")


def _count_faults(rule: LotCountRule) -> list[Fault]:
    faults: list[Fault] = []
    if isinstance(rule.counted, CountedMoves):
        faults += _twice("/counted/types", rule.counted.types)
        if rule.behind is None:
            faults.append(
                Fault("/behind", "count", "moves are counted behind a stop or the expiry: else every one counts")
            )
        if rule.n > 1:
            faults.append(Fault("/n", "count", "of moves one is enough"))
        if rule.distinct is not None:
            faults.append(Fault("/distinct", "count", "of moves there is nothing to tell apart"))
        if rule.within:
            faults.append(Fault("/within", "count", "of one move there is no time to count in"))
        return faults
    faults += _twice("/counted/seriousness", rule.counted.seriousness)
    if rule.behind is not None:
        faults.append(Fault("/behind", "count", "only moves are counted behind something"))
    if rule.distinct is None:
        faults.append(Fault("/distinct", "count", "two reports of one case are one: case_id"))
    if (rule.n > 1) != (rule.within > 0):
        faults.append(Fault("/within", "count", "a count above 1 needs a time, and of one case there is none"))
    return faults


def _balance_faults(rule: LotBalanceRule) -> list[Fault]:
    faults = _twice("/parts", rule.parts) + _twice("/whole", rule.whole)
    if not {*rule.whole} - {"returned"}:
        faults.append(Fault("/whole", "balance", "returns alone do not say what a facility had"))
    return faults


def _follow_up_faults(rule: LotFollowUpRule) -> list[Fault]:
    if rule.within == WITHIN_MS:
        return []
    return [
        Fault(
            "/within",
            "follow_up",
            f"facilities tell by no packs what they know {format_duration(WITHIN_MS)} behind a sale: so long",
        )
    ]


def _ratio_faults(rule: LotRatioRule) -> Iterator[Fault]:
    if set(rule.counted.seriousness) != {"serious", "death"} or len(rule.counted.seriousness) > 2:  # noqa: PLR2004 - these two
        told = "facilities tell serious cases and deaths of a product, and no others: serious and death"
        yield Fault("/counted/seriousness", "ratio", told)
    if rule.over % DAY_MS:
        yield Fault("/over", "ratio", "sales are kept by day: whole days")
    if rule.over + rule.within > JUDGED_DAYS * DAY_MS:
        kept = format_duration(JUDGED_DAYS * DAY_MS)
        yield Fault("/over", "ratio", f"with `within` it is longer than what is kept of a product: {kept}")
    if rule.within > rule.over:
        yield Fault("/within", "ratio", "the rate is of a longer time than the count")


def _twice(pointer: str, names: Sequence[str]) -> list[Fault]:
    return [
        Fault(f"{pointer}/{i}", "count", f"{name} stands here more than once")
        for i, name in enumerate(names)
        if name in names[:i]
    ]


def _test_faults(number: int, test: RuleTest, *, series: bool) -> list[Fault]:
    return [
        Fault(f"/tests/{number}/{name}", "lot", "a test of a rule over lots has events and reports")
        for name in _SERIES
        if getattr(test, name) and not (series and name in _READINGS)
    ]
