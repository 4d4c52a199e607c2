"""What is wrong with the exceptions that a rule allows, and with those that are made: told by lint, and a bundle is refused for it."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from rules.errors import Fault
from rules.instants import format_duration, format_instant, start_of_day
from rules.register import ZONE, Span
from rules.rule import CumulativeRule, FrozenRule, JumpRule, LastDigitRule, LimitRule, MeanKineticRule, SteadinessRule

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rules.allowances import Allowances, Within
    from rules.exceptions import SiteException
    from rules.rule import Rule

_LIMITS = frozenset({"limits.high", "limits.low", "mute"})
_SHAPES_OF: dict[type, frozenset[str]] = {
    LimitRule: _LIMITS | {"when.on_delay"}, CumulativeRule: _LIMITS,
    **dict.fromkeys((FrozenRule, MeanKineticRule, JumpRule, LastDigitRule, SteadinessRule), frozenset({"mute"})),
}  # fmt: skip
"""What can be excepted from: kinds that watch series one by one. Never a silence: what is not recorded cannot be judged afterwards."""


def allowance_faults(rule: Rule) -> list[Fault]:
    """Return what is wrong with the exceptions that a rule allows; pointers are into the rule."""
    allowed = rule.exceptions
    if allowed is None:
        return []
    if isinstance(rule, LimitRule) and rule.excludes:
        text = "a rule that excludes values decides for all others: it has no exceptions"
        return [Fault("/exceptions", "exception_shape", text)]
    taken = _SHAPES_OF.get(type(rule), frozenset())
    if isinstance(rule, LimitRule) and rule.smooth is not None:
        taken = _LIMITS  # a mean opens at once
    faults = [
        Fault(f"/exceptions/{shape}", "exception_shape", f"a {rule.kind} rule has no exceptions of this shape")
        for shape in allowed.shapes
        if shape not in taken
    ]
    if isinstance(rule, LimitRule | CumulativeRule) and isinstance(rule.limits.from_, Span):
        faults += _span_faults(rule.limits.from_, allowed)
    if isinstance(rule, LimitRule) and allowed.on_delay is not None and allowed.on_delay.max <= rule.when.on_delay:
        faults.append(Fault("/exceptions/when.on_delay", "exception_span", "is not longer than the rule's own"))
    return faults


def _span_faults(span: Span, allowed: Allowances) -> list[Fault]:
    """Return where no exception could loosen a literal limit."""
    faults = []
    sides: tuple[tuple[str, float | None, Within | None], ...] = (
        ("high", span.high, allowed.high), ("low", span.low, allowed.low),
    )  # fmt: skip
    for side, bound, within in sides:
        if within is None:
            continue
        pointer = f"/exceptions/limits.{side}"
        if bound is None:
            faults.append(Fault(pointer, "exception_span", f"the rule has no limits.{side}"))
        elif (within.max <= bound) if side == "high" else (within.min >= bound):
            faults.append(Fault(pointer, "exception_span", f"nothing in it is looser than the rule's {bound:g}"))
    return faults


def exception_faults(exceptions: Sequence[SiteException], rules: Mapping[str, Rule]) -> list[tuple[int, Fault]]:
    """Return what is wrong with exceptions that come together: of which one, and with a pointer into it."""
    found: list[tuple[int, Fault]] = []
    ids: dict[str, int] = {}
    for i, one in enumerate(exceptions):
        if ids.setdefault(one.id, i) != i:
            found.append((i, Fault("/id", "duplicate_id", f"exception {one.id} stands twice")))
        rule = rules.get(one.rule)
        if rule is None:
            found.append((i, Fault("/rule", "unknown_rule", f"{one.rule} is not in these packs")))
        else:
            found += [(i, fault) for fault in _shape_faults(one, rule)]
        found += [(i, fault) for fault in _window_faults(one, rule)]
    return found + _overlaps(exceptions)


def _shape_faults(one: SiteException, rule: Rule) -> list[Fault]:
    """Return what the rule's author does not allow."""
    allowed = rule.exceptions
    if allowed is None:
        return [Fault("/allow", "not_allowed", f"{rule.id} allows no exceptions: its file names none")]
    faults = [
        Fault(f"/allow/{shape}", "not_allowed", f"{rule.id} allows {', '.join(allowed.shapes)}")
        for shape in one.allow.shapes
        if shape not in allowed.shapes
    ]
    for side, value, within in (("high", one.allow.high, allowed.high), ("low", one.allow.low, allowed.low)):
        if value is not None and within is not None and not within.min <= value <= within.max:
            text = f"{rule.id} allows {within.min:g} to {within.max:g}"
            faults.append(Fault(f"/allow/limits.{side}", "not_allowed", text))
    delay, up_to = one.allow.on_delay, allowed.on_delay
    if delay is not None and up_to is not None and delay > up_to.max:
        text = f"{rule.id} allows up to {format_duration(up_to.max)}"
        faults.append(Fault("/allow/when.on_delay", "not_allowed", text))
    return faults


def _window_faults(one: SiteException, rule: Rule | None) -> list[Fault]:
    faults = []
    allowed = None if rule is None else rule.exceptions
    if one.to <= one.from_:
        faults.append(Fault("/to", "window", "it ends before it begins"))
    elif allowed is not None and one.to - one.from_ > allowed.longest:
        text = f"{one.rule} allows {format_duration(allowed.longest)} at most; what is needed longer is approved anew"
        faults.append(Fault("/to", "window", text))
    if start_of_day(date.fromisoformat(one.approved_date), ZONE) > one.from_:
        faults.append(Fault("/approved_date", "window", "it was approved after it begins"))
    return faults


def _overlaps(exceptions: Sequence[SiteException]) -> list[tuple[int, Fault]]:
    """Return the exceptions that begin while another one from the same rule is in force for the same series."""
    found = []
    latest: dict[tuple[str, str, str], SiteException] = {}
    order = sorted(range(len(exceptions)), key=lambda i: (exceptions[i].from_, exceptions[i].to, i))
    for i in order:
        one = exceptions[i]
        key = (one.rule, one.facility, one.tag)
        before = latest.get(key)
        if before is not None and one.from_ < before.to:
            text = f"{before.id} is in force for the same rule and tag until {format_instant(before.to)}"
            found.append((i, Fault("/from", "overlap", text)))
        if before is None or one.to > before.to:
            latest[key] = one
    return found
