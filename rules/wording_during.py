"""Words of rules that hold only during a declared state (kinds `limit` and `gap` with `during`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rules.instants import format_duration
from rules.models import Bilingual
from rules.rule import LimitRule

if TYPE_CHECKING:
    from rules.plan import Instance
    from rules.rule import GapRule

STATES = {"trip": ("on a trip", "运输途中")}
"""Declared state -> how people call the time in it."""


def silent_during(rule: GapRule) -> tuple[str, str]:
    """Return when a record is missing, in both languages: during a declared state, or nothing."""
    return ("", "") if rule.during is None else (f" {STATES[rule.during][0]}", STATES[rule.during][1])


def raised(instance: Instance, value: float, unit: str) -> Bilingual | None:
    """Return the sentence of a raise, None for other rules.

    Args:
        instance: of the rule.
        value: the one that decided.
        unit: the sign of the sensor's unit.
    """
    rule, tag = instance.rule, instance.tag
    if not isinstance(rule, LimitRule) or rule.during is None:
        return None
    state = STATES[rule.during]
    high = value >= instance.high
    bound = instance.high if high else instance.low
    equal = rule.limits.inclusive
    en = f"{'at or ' if equal else ''}{'above' if high else 'below'} {bound:.10g} {unit}"
    zh = f"{'达到或' if equal else ''}{'高于' if high else '低于'} {bound:.10g} {unit}"
    wait = format_duration(rule.when.on_delay)
    lasting = (f" for {wait}", f"持续 {wait}") if rule.when.on_delay else ("", "")
    return Bilingual(
        en=f"{tag}: {value:.10g} {unit} {state[0]}, {en}{lasting[0]}",
        zh=f"{tag}：{state[1]} {value:.10g} {unit}，{zh}{lasting[1]}",
    )
