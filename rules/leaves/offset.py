"""Leaves of a rule of kind `clock`, check `offset`: heartbeat by heartbeat, from all that a device told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rules.changes import Verdict
from rules.instants import format_duration
from rules.leaves.model import TWO, Leaf, Moment, Seen, both, verdict
from rules.rare.match import applies, device_of, digest_of
from rules.rare.offset import judged, offset_of
from rules.rare.store import Fact
from rules.rule import ClockRule

if TYPE_CHECKING:
    from rules.leaves.rare import Come
    from rules.register import Facility
    from rules.rule import RowRule


def leaves_of(rule: RowRule) -> list[Leaf]:
    """Return the leaves of a rule, in the order of its condition."""
    if not isinstance(rule, ClockRule):
        return []
    far, near = format_duration(rule.beyond or 0), format_duration(rule.clear_below or 0)
    found = [
        Leaf("beats", both(f"{rule.beats} heartbeats have come", f"已收到 {rule.beats} 次心跳"), TWO),
        Leaf("median", both(f"their median is more than {far} off", f"其中位数偏差超过 {far}")),
    ]
    if rule.drift is not None:
        slow = format_duration(rule.drift)
        found.append(Leaf("drift", both(f"it moves by more than {slow} a day", f"每日漂移超过 {slow}")))
    if rule.worse is not None:
        worse = format_duration(rule.worse.beyond)
        found.append(Leaf("worse", both(f"more than {worse} off", f"偏差超过 {worse}")))
    return [*found, Leaf("calm", both(f"each is less than {near} off", f"每次偏差均小于 {near}"))]


@dataclass(frozen=True, slots=True)
class Beat:
    """A heartbeat, its device, and the leaves behind it."""

    device: str
    come: Come
    moment: Moment
    again: bool = False


def beats_of(rule: ClockRule, events: list[tuple[Come, Facility]]) -> list[Beat]:
    """Return the heartbeats that a rule looked at, oldest first."""
    facts: dict[str, list[Fact]] = {}
    found = []
    for one, facility in events:
        offset = offset_of(one.event, one.received) if one.new else None
        if offset is None or not applies(rule, facility, one.area, one.t):
            continue
        device, digest = device_of(one.event), digest_of(one.event)
        mine = facts.setdefault(device, [])
        again = any(fact.digest == digest for fact in mine)
        if not again:
            mine.append(Fact(one.received, one.received, digest, one.batch, str(offset)))
        found.append(Beat(device, one, Moment("row", one.t, _leaves(rule, mine)), again))
    return found


def _leaves(rule: ClockRule, facts: list[Fact]) -> tuple[Seen, ...]:
    said = judged(rule, facts)
    many = Seen("beats", verdict(said.median is not None), len(facts), ">=", rule.beats)
    names = [("median", abs(said.median or 0) > (rule.beyond or 0), rule.beyond), ("calm", said.calm, rule.clear_below)]
    if rule.worse is not None:
        names.append(("worse", said.worse, rule.worse.beyond))
    off = None if said.median is None else abs(said.median)
    leaves = [
        Seen(name, Verdict.UNKNOWN if off is None else verdict(holds), off, "<" if name == "calm" else ">", bound, "ms")
        for name, holds, bound in names
    ]
    if rule.drift is not None:
        drift = said.drift
        known = Verdict.UNKNOWN if drift is None else verdict(drift.beyond(rule.drift))
        leaves.append(Seen("drift", known, None if drift is None else drift.a_day, ">", rule.drift, "ms"))
    return (many, *leaves)
