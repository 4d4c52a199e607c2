"""Leaves of rules over posted laboratory results: result by result, with the register that is in force when it comes (rules/rare/posted.py)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rules.changes import Verdict
from rules.leaves.model import TWO, Leaf, Moment, Seen, both, verdict
from rules.rare.match import field_is
from rules.rare.posted import AREA, is_asked, judge, op_of, operand_of, place_of, said_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rules.leaves.rare import Come
    from rules.pack import Bundle
    from rules.register import Facility
    from rules.rule import ResultLimitRule


def leaves_of(rule: ResultLimitRule) -> list[Leaf]:
    """Return the leaves of a rule, in the order of its condition."""
    kind = both(f"an event {rule.events.stream} {rule.events.type}", f"事件 {rule.events.stream} {rule.events.type}")
    fields = [Leaf(name, both(f"{name} as asked", f"{name} 符合条件")) for name in rule.events.where]
    known = both("its room or loop is registered", "房间或水系统回路已登记")
    least = ("at or above", "不低于") if rule.limits.inclusive else ("above", "高于")
    above = both(
        f"its value is {least[0]} the limit of {rule.limits.from_} for its area and method",
        f"结果{least[1]} {rule.limits.from_} 中该区域与方法的限值",
    )
    return [Leaf("event", kind, TWO), *fields, Leaf("area", known, frozenset({Verdict.TRUE, Verdict.UNKNOWN})), Leaf("above", above)]  # fmt: skip


def seen_of(rule: ResultLimitRule, one: Come, facility: Facility, bundle: Bundle) -> tuple[Seen, ...]:
    """Return the leaves of one event; of an area that the rule does not look at only which event it is."""
    event, match = one.event, rule.events
    same = (event.stream, event.type) == (match.stream, match.type)
    kind = Seen("event", verdict(same), f"{event.stream} {event.type}", "=", f"{match.stream} {match.type}")
    if not same:
        return (kind,)
    fields = [
        Seen(name, field_is(event, name, wanted), str(event.fields.get(name)), "in", str(wanted))
        for name, wanted in match.where.items()
    ]
    area, asked = place_of(event), is_asked(rule, event)
    found = None if asked is Verdict.FALSE else judge(rule, said_of(event), area, one.t, facility, bundle)
    if found is None or asked is not Verdict.TRUE:
        return (kind, *fields)
    if found.lack == AREA:
        return (kind, *fields, Seen("area", Verdict.UNKNOWN, area, "is", "registered"))
    row, left = found.row, operand_of(found.value)
    left = f"no {found.lack}" if found.lack else left
    limit, unit = (None, None) if row is None else (row.limit.high, row.unit)
    above = Seen("above", found.verdict, left, op_of(rule), limit, unit)
    return (kind, *fields, Seen("area", Verdict.TRUE, area, "is", "registered"), above)


def moments_of(rule: ResultLimitRule, events: Sequence[tuple[Come, Facility]], bundle: Bundle) -> Iterator[Moment]:
    """Return what the leaves were at every event of one facility, with the register that was in force then."""
    for one, facility in events:
        if one.new:
            yield Moment("event", one.t, seen_of(rule, one, facility, bundle))
