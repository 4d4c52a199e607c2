"""Leaves of rules that judge how much of a month is marked or was measured: what each judgement found (rules/rare/share.py, rate.py)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rules.engine import Engine
from rules.layout import NEVER
from rules.leaves.model import Leaf, Moment, Seen, both
from rules.rare import rate
from rules.rare.rate import Rate
from rules.rare.share import judged

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from rules.pack import Bundle
    from rules.rare.share import Share
    from rules.records import LogRecord
    from rules.rule import CompletenessRule


def leaves_of(rule: CompletenessRule) -> list[Leaf]:
    """Return the leaves of a rule."""
    more = f"{100 * rule.share:g} %"
    if rule.check == "effective-rate":
        words = both(f"less than {more} of what the month expected was measured", f"当月有效数据不足应有数据的 {more}")
        return [Leaf(rule.check, words)]
    found = [Leaf(rule.check, both(f"more than {more} of the month is marked", f"当月标记时间超过 {more}"))]
    if rule.notice is not None:
        least = f"{100 * rule.notice.share:g} %"
        found.append(Leaf("notice", both(f"at least {least} of the month is marked", f"当月标记时间达到 {least}")))
    return found


def seen_of(rule: CompletenessRule, one: Share | Rate) -> list[Seen]:
    """Return the leaves of what a judgement found of one series."""
    if isinstance(one, Rate):
        return [Seen(rule.check, rate.judged(rule, one), rate.percent_of(one), "<", 100 * rule.share, "%")]
    left = 100 * one.marked / one.length
    more, early = judged(rule, one)
    found = [Seen(rule.check, more, left, ">", 100 * rule.share, "%")]
    if rule.notice is not None:
        found.append(Seen("notice", early, left, ">=", 100 * rule.notice.share, "%"))
    return found


def moments_of(rule: CompletenessRule, log: Sequence[LogRecord], bundle: Bundle, end: int) -> Iterator[Moment]:
    """Return what the leaves were at each judgement of one facility's log, up to `end` (log time, ms), series by series."""
    engine, facility = Engine(bundle), next(record.facility for record in log if record.facility)
    before: dict[str, Share | Rate] | None = None
    for record in [*log, None]:
        to = end if record is None else record.received
        while (due := _due(engine, facility, rule)) <= to:
            engine.advance(0, due)
            before = yield from _new(engine, facility, rule, due, before)
        if record is not None:
            engine.fold(record)
            before = yield from _new(engine, facility, rule, to, before)


def _due(engine: Engine, facility: str, rule: CompletenessRule) -> int:
    known = facility in engine.facilities(0)
    return engine.state_of(facility).rare.checked.get(rule.id, NEVER) if known else NEVER


def _new(
    engine: Engine, facility: str, rule: CompletenessRule, at: int, before: dict[str, Share | Rate] | None
) -> Generator[Moment, None, dict[str, Share | Rate] | None]:
    found = engine.state_of(facility).rare.judged.get(rule.id)
    if found is not before:
        for one in (found or {}).values():
            yield Moment("register", at, tuple(seen_of(rule, one)))
    return found
