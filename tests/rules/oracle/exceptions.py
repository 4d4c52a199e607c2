"""Site exceptions, in plain words: which one is in force, what it makes of a rule's numbers, and when one begins or ends."""

from __future__ import annotations

from rules.rule import LimitRule


def of(facility, rule, tag):
    """Return the exception in force from a rule for a series at the facility's `now`, or None."""
    found = [
        one
        for one in facility.bundle.exceptions
        if (one.facility, one.rule, one.tag) == (facility.name, rule.id, tag) and one.from_ <= facility.now < one.to
    ]
    assert len(found) <= 1
    return found[0] if found else None


def muted(facility, rule, tag):
    one = of(facility, rule, tag)
    return one is not None and bool(one.allow.mute)


def loosened(facility, rule, tag, low, high):
    """Return the rule and its bounds with what is in force, and whether that is looser than the rule itself."""
    one = of(facility, rule, tag)
    if one is None:
        return rule, low, high, False
    allow = one.allow
    wide = (low if allow.low is None else min(low, allow.low), high if allow.high is None else max(high, allow.high))
    delay = max(rule.when.on_delay, allow.on_delay or 0) if isinstance(rule, LimitRule) else 0
    longer = isinstance(rule, LimitRule) and delay != rule.when.on_delay
    if longer:
        rule = rule.model_copy(update={"when": rule.when.model_copy(update={"on_delay": delay})})
    return rule, *wide, longer or wide != (low, high)


def next_border(facility, to):
    """Return the next instant up to `to` at which an exception for a registered tag begins or ends, or None."""
    if facility.silences is None:
        return None
    tags = {sensor.tag for sensor in facility.registered.sensors}
    borders = [
        border
        for one in facility.bundle.exceptions
        if one.facility == facility.name and one.tag in tags
        for border in (one.from_, one.to)
    ]
    return min((border for border in borders if facility.clock < border <= to), default=None)
