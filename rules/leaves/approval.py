"""Leaves of rules over settings that nobody approved: event by event, and at the end, from all that came (rules/rare/approval.py)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rules.changes import Verdict
from rules.leaves.model import TWO, Leaf, Moment, Seen, both, verdict
from rules.rare.approval import ALARM, LOW, Change, told_by
from rules.rare.points import Points
from rules.rare.store import text_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rules.leaves.rare import Come
    from rules.rare.points import Asset
    from rules.register import Facility
    from rules.rule import FollowUpRule


def leaves_of(rule: FollowUpRule) -> list[Leaf]:
    """Return the leaves of a rule, in the order of its condition."""
    known = frozenset({Verdict.TRUE, Verdict.UNKNOWN})
    found = [
        Leaf("event", both("a setting is changed", "更改设置"), TWO),
        Leaf("asset", both("the asset is registered", "对象已登记"), known),
    ]
    if "limits" in (rule.settings or ()):
        found.append(Leaf("wider", both("a limit is wider than registered", "限值宽于登记")))
    if "alarm" in (rule.settings or ()):
        found.append(Leaf("off", both("the alarm is switched off", "报警被关闭"), TWO))
    return [
        *found,
        Leaf("restored", both("set back since", "此后已恢复"), TWO),
        Leaf("held", both("the register holds it by now", "现已登记"), TWO),
    ]


@dataclass(frozen=True, slots=True)
class Changed:
    """An event as it came: the asset that it names (None: it is not meant), its changes, and what was registered of it then."""

    come: Come
    asset: str | None
    changes: tuple[Change, ...]
    registered: bool
    beyond: tuple[Change, ...]
    within: tuple[Change, ...]
    moment: Moment


def changes_of(rule: FollowUpRule, events: Sequence[tuple[Come, Facility]]) -> list[Changed]:
    """Return what each event changed, judged by the register of when it came."""
    found: list[Changed] = []
    points: Points | None = None
    for one, facility in events:
        if points is None or points.facility is not facility:
            points = Points(facility)
        told = told_by(rule, one.event)
        seen = [
            Seen("event", verdict(told is not None), f"{one.event.stream} {one.event.type}", "changes", "a setting")
        ]
        name, changes = (None, []) if told is None else told
        asset = None if name is None else points.asset(rule, name, one.t)
        if name is not None:
            seen.append(Seen("asset", Verdict.UNKNOWN if asset is None else Verdict.TRUE, name, "is", "registered"))
        judged = [(change, Verdict.UNKNOWN if asset is None else change.beyond(asset)) for change in changes]
        if asset is not None:
            seen += [_seen(change, said, asset) for change, said in judged]
        beyond = tuple(change for change, said in judged if said is Verdict.TRUE)
        within = tuple(change for change, said in judged if said is Verdict.FALSE)
        moment = Moment("event", one.t, tuple(seen))
        found.append(Changed(one, name, tuple(changes), asset is not None, beyond, within, moment))
    return found


def _seen(change: Change, said: Verdict, asset: Asset) -> Seen:
    if change.setting == ALARM:
        return Seen("off", said, "off" if said is Verdict.TRUE else "on", "!=", "on")
    limits = asset.limits
    bound = None if limits is None else limits.low if change.setting == LOW else limits.high
    return Seen("wider", said, change.value, "<" if change.setting == LOW else ">", bound)


def settled_of(
    rule: FollowUpRule, changes: Sequence[Changed], facility: Facility, end: int
) -> Iterator[tuple[str, Moment]]:  # fmt: skip
    """Return what had become of each change beyond the approved at `end` (log time, ms), with its subject."""
    points = Points(facility)
    for one in changes:
        for change in one.beyond if one.come.new else ():
            back = [
                other.come.t
                for other in changes
                if other.asset == one.asset and change.setting in {within.setting for within in other.within}
            ]
            restored = any(t > one.come.t for t in back)
            asset = points.asset(rule, one.asset or "", end)
            held = asset is not None and change.beyond(asset) is Verdict.FALSE
            seen = (
                Seen("restored", verdict(restored), float(max(back, default=0)), ">", float(one.come.t), "ms"),
                Seen("held", verdict(held), change.value, "within", "register"),
            )
            yield text_of({"asset": one.asset or ""}), Moment("end", end, seen)
