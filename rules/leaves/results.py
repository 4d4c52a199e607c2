"""Leaves of rules that ask for a laboratory result behind another rule's alarm: alarm by alarm, from all results (rules/rare/results.py)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rules.changes import Verdict
from rules.instants import format_duration
from rules.leaves.model import Leaf, Moment, Seen, both
from rules.rare.points import Points
from rules.rare.results import FAILED, OTHER, UNREAD, asked_for, of_area, sign_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rules.alarms import Alarm
    from rules.leaves.rare import Come
    from rules.rareparts import Result
    from rules.register import Facility
    from rules.rule import FollowUpRule


def leaves_of(rule: FollowUpRule, result: Result) -> list[Leaf]:
    """Return the leaves of a rule, in the order of its condition."""
    first, second = format_duration(rule.time), format_duration(result.within)
    names = [
        ", ".join(f"{name} {word}" for name, word in match.where.items()) for match in (rule.awaits, result.otherwise)
    ]
    return [
        Leaf("raised", both(f"{rule.alarm} raises an alarm", f"{rule.alarm} 报警"), frozenset({Verdict.TRUE})),
        Leaf("followed", both(f"a result ({names[0]}) within {first}", f"{first} 内有检验结果（{names[0]}）")),
        Leaf(
            "passed",
            both(
                f"its value is at most {result.at_most:g} {result.unit}", f"结果不超过 {result.at_most:g} {result.unit}"
            ),
        ),
        Leaf(
            "otherwise",
            both(f"else a result ({names[1]}) within {second} of it", f"否则其后 {second} 内有检验结果（{names[1]}）"),
        ),
    ]


def seen_of(
    rule: FollowUpRule, result: Result, alarm: Alarm, events: Sequence[tuple[Come, Facility]], facility: Facility, end: int
) -> tuple[Seen, ...]:  # fmt: skip
    """Return the leaves of an alarm at `end` (log time, ms), as all results together say."""
    raised = Seen("raised", Verdict.TRUE, alarm.alarm, "of", rule.alarm)
    area = Points(facility).area_of(alarm.subject, alarm.start)
    if alarm.status == "retracted" or area is None:
        return (raised,)
    here = [
        (one.t, sign, one.event.fields.get("value"))
        for one, then in events
        if one.new and of_area(one.event, then) == area and (sign := sign_of(rule, result, one.event)) is not None
    ]
    tests = [(t, sign) for t, sign, _ in here if sign != OTHER]
    first, *others = asked_for(rule.time, result, alarm.start, tests, [t for t, sign, _ in here if sign == OTHER])

    def said(come: bool, by: int) -> Verdict:  # noqa: FBT001 - of one result that is asked for
        return Verdict.TRUE if come else Verdict.FALSE if end >= by + facility.delivery else Verdict.UNKNOWN

    found = [raised, Seen("followed", said(first.in_time, first.by), alarm.alarm, "within", float(rule.time), "ms")]
    behind = [(t, sign, value) for t, sign, value in here if sign != OTHER and t >= alarm.start]
    if behind:
        _, sign, value = max(behind, key=lambda one: (one[1] == FAILED, one[1] == UNREAD, -one[0]))
        verdict = Verdict.FALSE if sign == FAILED else Verdict.UNKNOWN if sign == UNREAD else Verdict.TRUE
        shown = value if isinstance(value, str) else float(value) if isinstance(value, int | float) else None
        found.append(Seen("passed", verdict, shown, "<=", result.at_most, result.unit))
    asked = float(result.within)
    found += [Seen("otherwise", said(one.in_time, one.by), alarm.alarm, "within", asked, "ms") for one in others]
    return tuple(found)


def moments_of(
    rule: FollowUpRule, result: Result, alarms: Sequence[Alarm], events: Sequence[tuple[Come, Facility]], facility: Facility, end: int
) -> Iterator[Moment]:  # fmt: skip
    """Return what the leaves of each alarm were at `end` (log time, ms)."""
    for alarm in alarms:
        yield Moment("end", end, seen_of(rule, result, alarm, events, facility, end))
