"""Words of rules that hold only during a declared state (kinds `limit` and `gap` with `during`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rules.instants import format_duration
from rules.models import Bilingual
from rules.rule import LimitRule

if TYPE_CHECKING:
    from rules.plan import Instance
    from rules.rule import GapRule

STATES = {"trip": ("on a trip", "运输途中"), "filling": ("in a filling step", "灌装期间")}
"""Declared state -> how people call the time in it."""


def no_record(rule: GapRule) -> tuple[str, str]:
    """Return the sentence of what is missing, in both languages."""
    en, zh = silent_during(rule)
    good = ("good ", "有效") if rule.records == "good" else ("", "")
    off = (", or the monitor is off", "，或监测仪已关闭") if rule.off is not None else ("", "")
    return f"no {good[0]}record arrives{en}{off[0]}", f"{zh}未收到{good[1]}记录{off[1]}"


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
