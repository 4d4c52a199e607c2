"""Site exceptions of a bundle: what one rule does not ask of one series of one facility, for a time, and who approved it.

An exception only loosens: a bound that it would narrow stays as it is. It comes into force and ends by the facility's clock, as
registered facts do (ADR 0004): the plan is made anew at both ends of its window.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field

from rules.allowances import Granted
from rules.changes import LimitUsed
from rules.instants import NEVER_MS, Instant, format_local
from rules.models import Bilingual, FacilityId, Strict, Tag, Text
from rules.register import ZONE
from rules.rule import RuleId

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

    from rules.rule import LimitRule

ORIGIN = "exception"
"""Where a number of evidence comes from if an exception gave it."""
_MINUTE_MS = 60_000


def _day(text: str) -> str:
    date.fromisoformat(text)
    return text


def _line(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise ValueError("a name of printable characters, in one line")
    return text


class SiteException(Strict):
    """What one rule does not ask of one series of one facility from one instant to another (the second is outside)."""

    id: Tag
    """Of the decision; no two exceptions of a bundle share one."""
    rule: RuleId
    facility: FacilityId
    tag: Tag
    from_: Instant = Field(alias="from")
    to: Instant
    allow: Granted
    reason: Bilingual
    approver: Annotated[Text, Field(min_length=1, max_length=128), AfterValidator(_line)]
    """Who answers for it: a name or an office, as it signs."""
    approved_date: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$"), AfterValidator(_day)]
    """A day of the jurisdiction's calendar."""
    document: Annotated[Text, Field(min_length=1, max_length=256), AfterValidator(_line)] | None = None
    """The number of the decision, under which it is filed."""

    def holds(self, at_ms: int) -> bool:
        """Say whether it is in force at an instant."""
        return self.from_ <= at_ms < self.to

    @property
    def label(self) -> str:
        """Return which it is, who approved it and until when, as evidence says it."""
        return f"{self.id}, {self.approver} {self.approved_date} → {format_local(self.to, ZONE)}"


class ExceptionsFile(Strict):
    """A file of exceptions, anywhere below a folder of packs."""

    schema_: Literal["exceptions/1"] = Field(alias="schema")
    exceptions: Annotated[list[SiteException], Field(max_length=5_000)]


Allowed = dict[str, SiteException]
"""Rule -> the exception from it that is in force for a series."""
NONE_IN_FORCE: Allowed = {}


def by_facility(exceptions: Iterable[SiteException]) -> dict[str, tuple[SiteException, ...]]:
    """Return the exceptions of each facility."""
    found: dict[str, list[SiteException]] = {}
    for one in exceptions:
        found.setdefault(one.facility, []).append(one)
    return {facility: tuple(own) for facility, own in found.items()}


def in_force(exceptions: Iterable[SiteException], tag: str, at_ms: int) -> Allowed:
    """Return the exceptions for one series at an instant, of those of its facility."""
    return {one.rule: one for one in exceptions if one.tag == tag and one.holds(at_ms)}


def next_border(exceptions: Iterable[SiteException], tags: Container[str], at_ms: int) -> int:
    """Return the next instant at which an exception for one of some tags begins or ends (NEVER_MS: none)."""
    borders = [border for one in exceptions if one.tag in tags for border in (one.from_, one.to)]
    return min((border for border in borders if border > at_ms), default=NEVER_MS)


def ended(exceptions: Iterable[SiteException], now_ms: int) -> list[SiteException]:
    """Return those that have ended: they decide nothing any more, and should not stay unnoticed."""
    return [one for one in exceptions if one.to <= now_ms]


def is_muted(exceptions: Mapping[str, SiteException], rule_id: str) -> bool:
    """Say whether an exception in force keeps a rule from watching."""
    one = exceptions.get(rule_id)
    return one is not None and one.allow.mute is not None


def widened(low: float, high: float, one: SiteException | None) -> tuple[float, float, frozenset[str]]:
    """Return the bounds with what an exception takes of them, and the names of those that it moved: outwards only."""
    if one is None:
        return low, high, frozenset()
    moved = set()
    if one.allow.high is not None and one.allow.high > high:
        high = one.allow.high
        moved.add("high")
    if one.allow.low is not None and one.allow.low < low:
        low = one.allow.low
        moved.add("low")
    return low, high, frozenset(moved)


def delayed(rule: LimitRule, one: SiteException | None) -> LimitRule:
    """Return the rule with the on-delay that an exception gives it, if that is longer."""
    delay = None if one is None else one.allow.on_delay
    if delay is None or delay <= rule.when.on_delay:
        return rule
    return rule.model_copy(update={"when": rule.when.model_copy(update={"on_delay": delay})})


def delay_used(rule: LimitRule, one: SiteException | None) -> tuple[LimitUsed, ...]:
    """Return the on-delay as evidence names it, where an exception gives it; `rule` is without it."""
    if one is None or delayed(rule, one) is rule:
        return ()
    minutes = (one.allow.on_delay or 0) / _MINUTE_MS
    return (LimitUsed(name="on_delay", value=minutes, unit="min", origin=ORIGIN, edition=one.label),)


def stands_in(limits: Iterable[LimitUsed]) -> bool:
    """Say whether one of the numbers that decide comes from an exception."""
    return any(used.origin == ORIGIN for used in limits)
