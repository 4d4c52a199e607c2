"""Leaves of rules that follow up another rule's alarms: alarm by alarm, from all that the area's devices sent (rules/rare/followed.py)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rules.changes import Verdict
from rules.facts import area_in_force
from rules.instants import format_duration
from rules.leaves.model import Leaf, Moment, Seen, both
from rules.rare.followed import lasted
from rules.rare.match import applies, device_of, is_meant
from rules.rare.points import Points

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rules.alarms import Alarm
    from rules.leaves.rare import Come
    from rules.register import Facility
    from rules.rule import FollowUpRule


def leaves_of(rule: FollowUpRule) -> list[Leaf]:
    """Return the leaves of a rule, in the order of its condition."""
    time, then = format_duration(rule.time), rule.awaits
    en, zh = f"{then.stream} {then.type} within {time} of it", f"{time} 内有事件 {then.stream} {then.type}"
    if rule.within_before:
        before = format_duration(rule.within_before)
        en, zh = (
            f"{then.stream} {then.type} from {before} before to {time} after it",
            f"前 {before} 至后 {time} 内有事件 {then.stream} {then.type}",
        )
    if rule.lasts_until is not None:
        en, zh = en + ", or still on then", zh + "，或当时仍持续"
    return [
        Leaf("raised", both(f"{rule.alarm} raises an alarm", f"{rule.alarm} 报警"), frozenset({Verdict.TRUE})),
        Leaf("followed", both(en, zh)),
    ]


def judged(
    rule: FollowUpRule, alarm: Alarm, events: Sequence[tuple[Come, Facility]], facility: Facility, end: int
) -> Verdict | None:  # fmt: skip
    """Say whether an alarm was followed up by `end` (log time, ms); None: it is not asked, or not yet."""
    area = Points(facility).area_of(alarm.subject, alarm.start)
    if area is None or not applies(rule, facility, area, alarm.start):
        return None
    if alarm.status == "retracted" or end < alarm.start + rule.time + facility.delivery:
        return None
    heard = False
    begins: dict[str, list[int]] = {}
    ends: dict[str, list[int]] = {}
    for one, then in events:
        known = one.area == area and area_in_force(then, area, one.t) is not None
        if not known or not one.new:
            continue
        near = one.event.stream == "device" and abs(one.t - alarm.start) <= rule.silent
        heard = heard or near
        if is_meant(one.event, rule.awaits) is Verdict.TRUE:
            begins.setdefault(device_of(one.event), []).append(one.t)
        elif rule.lasts_until is not None and is_meant(one.event, rule.lasts_until) is Verdict.TRUE:
            ends.setdefault(device_of(one.event), []).append(one.t)
    low, high = alarm.start - (rule.within_before or 0), alarm.start + rule.time
    for device, times in begins.items():
        if lasted(times, times if rule.lasts_until is None else ends.get(device, []), low, high):
            return Verdict.TRUE
    return Verdict.FALSE if heard else Verdict.UNKNOWN


def seen_of(rule: FollowUpRule, alarm: Alarm, said: Verdict | None) -> tuple[Seen, ...]:
    """Return the leaves of an alarm."""
    raised = Seen("raised", Verdict.TRUE, alarm.alarm, "of", rule.alarm)
    if said is None:
        return (raised,)
    return raised, Seen("followed", said, alarm.alarm, "within", float(rule.time), "ms")


def moments_of(
    rule: FollowUpRule, alarms: Sequence[Alarm], events: Sequence[tuple[Come, Facility]], facility: Facility, end: int
) -> Iterator[Moment]:  # fmt: skip
    """Return what the leaves of each alarm were at `end` (log time, ms)."""
    for alarm in alarms:
        yield Moment("end", end, seen_of(rule, alarm, judged(rule, alarm, events, facility, end)))
