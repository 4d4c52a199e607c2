"""When a clock is over, from what its documents told: the edition that fits, calendars, an approved plan, a front door that was closed."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from rules.calendar import HOUR_MS, day_of, due_at, end_of_day
from rules.instants import EARLIEST_MS, LATEST_MS, start_of_day
from rules.layout import NONE
from rules.rare.store import text_of
from rules.register import ZONE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from rules.calendar import LegalTime, WorkingDays
    from rules.clocks.store import Clock
    from rules.deadlineparts import Edition, Where
    from rules.rule import DeadlineRule


_FIRST = date(1970, 1, 1)
_FACTS = json.JSONEncoder(sort_keys=True, default=str)


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for one case: its time and when that is over (ms); `due` None where the calendar does not reach."""

    time: LegalTime
    edition: Edition
    due: int | None
    verify: bool
    """A calendar year that was counted is not certain."""
    ends: int | None = None
    """When it is over by the text or the plan; `due` is later where the front door was closed then."""


def matches(where: Where, fields: Mapping[str, Any]) -> bool:
    """Say whether members of a report have the wanted values; None among them: the report does not say it."""
    return all(
        any(_same(fields.get(name), one) for one in (wanted if isinstance(wanted, list) else [wanted]))
        for name, wanted in where.items()
    )


def _same(value: object, wanted: object) -> bool:
    return value == wanted and isinstance(value, bool) == isinstance(wanted, bool)


def asked(rule: DeadlineRule) -> tuple[str, ...]:
    """Return the members of a report that decide whether a case has a clock, and which time."""
    wheres = [*rule.only, *(edition.where for edition in rule.within)]
    return tuple(sorted({name for where in wheres for name in where}))


def facts_of(rule: DeadlineRule, fields: Mapping[str, Any]) -> str:
    """Return what a rule keeps of a report's fields, as text: one object for all that say the same."""
    return sys.intern(_FACTS.encode({name: fields[name] for name in asked(rule) if name in fields}))


@lru_cache(maxsize=1024)
def facts_in(said: str) -> tuple[dict[str, Any], ...]:
    """Return facts of their text, to read: cases are many, and what they say is one of a few. Several where reports say different things."""
    found: dict[str, Any] | list[dict[str, Any]] = json.loads(said) if said else {}
    return tuple(found) if isinstance(found, list) else (found,)


def terms_of(
    rule: DeadlineRule, clock: Clock, days: WorkingDays | None, closed: Sequence[tuple[int, int]] = ()
) -> Terms | None:
    """Return what holds for a case, None where it has no clock: nothing started it, or the rule does not mean it.

    Where its reports say different things, each that the rule means counts, and the one that is over first is owed (ADR 0094); one
    of which no calendar says when it is over comes behind those of which it is known.
    """
    if clock.start == NONE:
        return None
    found = [_terms(rule, clock, facts, days, closed) for facts in facts_in(clock.said)]
    return min((one for one in found if one is not None), default=None, key=_over)


def _over(terms: Terms) -> tuple[bool, int, int]:
    return (terms.due is None, terms.due or 0, terms.ends or 0)


def _terms(
    rule: DeadlineRule, clock: Clock, facts: Mapping[str, Any], days: WorkingDays | None, closed: Sequence[tuple[int, int]]
) -> Terms | None:  # fmt: skip
    # An answer whose case was never reported does not say all that is asked of the case: it is taken for what it answers.
    said = clock.revision > 0 or all(name in facts for where in rule.only for name in where)
    if rule.only and said and not any(matches(where, facts) for where in rule.only):
        return None
    edition = edition_of(rule, clock.start, facts)
    if edition is None:
        return None
    if clock.planned != NONE:
        return Terms(edition.time, edition, opened(clock.planned, closed), verify=False, ends=clock.planned)
    ends = due_at(clock.start, edition.time, days)
    if ends is None:
        return Terms(edition.time, edition, None, verify=False)
    ends = min(ends, LATEST_MS)
    years = range(day_of(clock.start).year, day_of(ends - 1).year + 1)
    verify = edition.time.unit == "wd" and days is not None and any(year in days.verify for year in years)
    return Terms(edition.time, edition, opened(ends, closed), verify, ends)


def edition_of(rule: DeadlineRule, start: int, facts: Mapping[str, Any]) -> Edition | None:
    """Return the first edition that fits the facts and was in force on the local day of a start (ms)."""
    first = day_of(start).isoformat()
    return next((one for one in rule.within if matches(one.where, facts) and _in_force(one, first)), None)


def opened(due: int, closed: Sequence[tuple[int, int]]) -> int:
    """Return when a time is over that was over at `due`: at the opening of the front door, if that was closed then (settled.md)."""
    return next((end for begin, end in closed if begin < due < end), due)


def _in_force(edition: Edition, day: str) -> bool:
    return (edition.from_ is None or edition.from_ <= day) and (edition.before is None or day < edition.before)


def reminded_at(rule: DeadlineRule, clock: Clock, due: int) -> int | None:
    """Return when the milder colour speaks: the share of the time rounded up to the millisecond, from when the clock began."""
    reminder = rule.reminder
    if reminder is None:
        return None
    if reminder.before is not None:
        return due - reminder.before
    assert reminder.share is not None  # noqa: S101 - the model demands one of both
    per_mille = round(reminder.share * 1000)
    return clock.start - (clock.start - due) * per_mille // 1000


def overdue_at(
    rule: DeadlineRule, due: int, days: WorkingDays | None, ends: int | None = None
) -> list[tuple[int, int]]:  # fmt: skip
    """Return the instants behind which a case that is not answered has a stronger colour, with its rank; by instant.

    They are counted from where the text's time `ends` (`due` unless it is said), and are never before `due`.
    """
    found, ends = [], due if ends is None else ends
    for step in rule.overdue:
        # Days are counted behind the due day: its 24:00 is the first instant of the day that follows.
        at = due_at(ends - 1 if step.after.unit != "h" else ends, step.after, days)
        if at is not None:
            found.append((max(min(at, LATEST_MS), due), step.to.rank))
    return sorted(found)


def keys_of(value: Any) -> list[str]:  # noqa: ANN401 - whatever the model of the report holds
    """Return the cases that a field names: itself, or each entry of a list."""
    return [str(one) for one in (value if isinstance(value, list) else [value]) if one is not None]


@lru_cache(maxsize=1024)
def subject_with(key: str) -> str:
    """Return the subject of a case as text, one object for all rules: each report is one case of several."""
    return text_of({"report": key})


def day_is_over(text: str) -> int | None:
    """Return 24:00 local of a day as documents write it, ms; None where there is no such day, or not before 2100.

    A day before 1970 is taken for the first instant of the log: whoever names it is late, and not excused.
    """
    return _bounded(text, end_of_day)


def day_begins(text: str) -> int | None:
    """Return 0:00 local of a day as documents write it, ms; bounds as for `day_is_over`."""
    return _bounded(text, start_of_day)


def _bounded(text: str, instant_of: Callable[[date, str], int]) -> int | None:
    try:
        found = instant_of(max(date.fromisoformat(text), _FIRST), ZONE)
    except (ValueError, OverflowError):  # a record of the log may have come through another door
        return None
    return max(found, EARLIEST_MS) if found <= LATEST_MS else None


def hours(ms: int) -> float:
    """Return a time in hours, as evidence shows it."""
    return ms / HOUR_MS


def names(rules: Iterable[DeadlineRule]) -> frozenset[str]:
    """Return the types of report that any of these rules reads."""
    parts = [part for rule in rules for part in (rule.answer, rule.starts, rule.again_until) if part is not None]
    return frozenset(part.report for part in parts)
