"""Leaves of a rule of kind `count` with `occasions`: event by event, from all events that came, without a bound."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rules.changes import Verdict
from rules.instants import format_duration
from rules.leaves.model import TWO, Leaf, Seen, both, verdict
from rules.rare.match import text_of_field
from rules.rare.shared import counting_of, joined, number
from rules.rare.store import floor_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rules.leaves.rare import Come
    from rules.rare.store import Fact
    from rules.rareparts import Occasions
    from rules.rule import CountRule

NAMED = frozenset({Verdict.TRUE, Verdict.UNKNOWN})


def leaves_of(rule: CountRule, often: Occasions) -> list[Leaf]:
    """Return the leaves that such a rule has behind those of its subject."""
    time, span, calm = (format_duration(one) for one in (rule.within, often.over, often.calm))
    what = rule.distinct or ""
    return [
        Leaf("distinct", both(f"{what} is named", f"有 {what}"), NAMED),
        Leaf("together", both(f"{rule.n} {what} within {time}", f"{time} 内出现 {rule.n} 个 {what}"), TWO),
        Leaf("occasions", both(f"{often.times} times in {span}", f"{span} 内达 {often.times} 次"), TWO),
        Leaf("calm", both(f"no such instant for {calm}", f"{calm} 内未再出现"), TWO),
    ]


def numbers_of(rule: CountRule) -> list[tuple[str, int]]:
    """Return the numbers of occasions, by name; durations in ms."""
    often = rule.occasions
    return [] if often is None else [(name, getattr(often, name)) for name in ("times", "apart", "over", "calm")]


@dataclass(slots=True)
class Login:
    """What came of one subject of such a rule."""

    rule: CountRule
    spans: list[Fact] = field(default_factory=list)

    def take(self, one: Come) -> list[Seen]:
        """Take an event and return the leaves behind it."""
        rule, text = self.rule, text_of_field(one.event, self.rule.distinct or "")
        found = [Seen("distinct", Verdict.UNKNOWN if text is None else Verdict.TRUE, text, "is", rule.distinct)]
        if text is None:
            return found
        self.spans = joined(self.spans, one.t, text, one.batch, rule.within)
        texts = {fact.text for fact in self.spans if fact.t <= one.t <= fact.received + rule.within}
        found.append(Seen("together", verdict(len(texts) >= rule.n), float(len(texts)), ">=", float(rule.n)))
        if len(texts) >= rule.n and rule.occasions is not None:
            counting, wanted = counting_of(rule, rule.occasions, self.spans), rule.occasions.times
            many = number(counting, one.t, rule.occasions)
            found.append(Seen("occasions", verdict(many >= wanted), float(many), ">=", float(wanted)))
        return found

    def calm(self, end: int) -> list[Seen]:
        """Return whether nothing of it came for long, at `end` (log time, ms); nothing where nothing ever did."""
        often = self.rule.occasions
        counting = [] if often is None else counting_of(self.rule, often, self.spans)
        if often is None or not counting:
            return []
        since = end - counting[-1][1]
        return [Seen("calm", verdict(since >= often.calm), float(since), ">=", float(often.calm), "ms")]


def fate_of(rule: CountRule, often: Occasions, one: Come, facts: Sequence[Fact]) -> str:
    """Say what became of an event by the spans that are kept of its subject."""
    text = text_of_field(one.event, rule.distinct or "")
    if text is None:
        return "not meant"
    if any(begin <= one.t <= end for begin, end in counting_of(rule, often, facts)):
        return "occasion"
    if any(fact.text == text and fact.t <= one.t <= fact.received for fact in facts):
        return "counted"
    return "done" if one.t <= floor_of(facts) else "not kept"
