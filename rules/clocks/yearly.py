"""Clocks that the register and the calendar start each year: the safety report of a trial, the annual report of a holder."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

from rules.calendar import day_of, due_at, months_behind
from rules.clocks.due import day_begins, edition_of
from rules.instants import LATEST_MS, start_of_day
from rules.layout import NONE
from rules.rare.store import subject_of
from rules.register import ZONE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from rules.register import Facility, Trial
    from rules.rule import DeadlineRule

HOLDERS = frozenset({"drug-mah", "drug-manufacture"})
"""Kinds of licence whose holder owes an annual report (settled.md)."""
TRIALS = "trials"
FIRST_YEAR, LAST_YEAR = 1970, 2099
"""Years of which reports are asked for, the last one not: instants of the log end with it."""
AHEAD_MS = 400 * 86_400_000
"""So long before a clock begins a report may answer it already."""


def keys_of(rule: DeadlineRule, fields: Mapping[str, Any]) -> list[str]:
    """Return the case that a report answers: trial and anniversary, or type and year (settled.md)."""
    if rule.yearly == TRIALS:
        return [f"{fields[rule.answer.key]}+{fields['anniversary']}"]
    return [f"{rule.answer.report}+{fields[rule.answer.key]}"]


def concerns(rule: DeadlineRule, facility: Facility) -> bool:
    """Say whether a facility can owe anything by a rule: it has trials, or a licence of a holder."""
    if rule.yearly == TRIALS:
        return bool(facility.trials)
    return any(licence.kind in HOLDERS for licence in facility.licences)


def began(rule: DeadlineRule, key: str, facility: Facility, since: int) -> int | None:
    """Return when the clock of a case begins (ms): at the anniversary, or on the last day of the year; None: it is not owed.

    Args:
        rule: the rule.
        key: of the case.
        facility: as registered.
        since: when the register first held something that the rule asks of, ms; NONE: nothing is owed.
    """
    name, _, last = key.rpartition("+")
    if rule.yearly != TRIALS:
        return _began_year(int(last), facility, since)
    trial = next((one for one in facility.trials if one.id == name), None)
    return None if trial is None else _began_anniversary(trial, last, since)


def owed(
    rule: DeadlineRule, facility: Facility, since: int, at: int, behind: str | None = None
) -> Iterator[tuple[str, int]]:  # fmt: skip
    """Yield case and start of what is due next behind an instant, of what began once the facility was registered here.

    Args:
        rule: the rule.
        facility: as registered.
        since: as for `began`.
        at: log time, ms.
        behind: the case whose successor is asked for; None: all.
    """
    year = day_of(at).year - 1
    if rule.yearly != TRIALS:
        years = ((f"{rule.answer.report}+{y}", _began_year(y, facility, since)) for y in range(year, LAST_YEAR))
        yield from _next(rule, years, at)
        return
    name = None if behind is None else behind.rpartition("+")[0]
    for trial in facility.trials:
        if name in {None, trial.id}:
            days = ((f"{trial.id}+{d}", _began_anniversary(trial, d, since)) for d in _anniversaries(trial, year))
            yield from _next(rule, days, at)


def _next(rule: DeadlineRule, cases: Iterable[tuple[str, int | None]], at: int) -> Iterator[tuple[str, int]]:
    """Yield the first of the cases that is owed and not over at an instant."""
    for key, start in cases:
        if start is not None and _due(rule, start) > at:
            yield key, start
            return


def _began_anniversary(trial: Trial, day: str, since: int) -> int | None:
    first, found = date.fromisoformat(trial.anniversary), date.fromisoformat(day)
    ended = trial.ended is not None and day > trial.ended
    if (
        ended
        or not first.year <= found.year < LAST_YEAR
        or months_behind(first, 12 * (found.year - first.year)) != found
    ):
        return None
    start = day_begins(day)
    return start if start is not None and since != NONE and start >= since else None


def _began_year(year: int, facility: Facility, since: int) -> int | None:
    """Return when the clock of a year's report begins: who holds a licence on 1 January behind it owes one."""
    if since == NONE or not FIRST_YEAR <= year < LAST_YEAR:
        return None
    behind = date(year + 1, 1, 1)
    held = (one for one in facility.licences if one.kind in HOLDERS)
    holds = any(one.from_ < behind.isoformat() and (one.to is None or one.to >= behind.isoformat()) for one in held)
    return start_of_day(date(year, 12, 31), ZONE) if holds and since < start_of_day(behind, ZONE) else None


def _anniversaries(trial: Trial, year: int) -> Iterator[str]:
    """Yield the anniversaries of a trial from a year on, as long as it lasts."""
    first = date.fromisoformat(trial.anniversary)
    for each in range(max(first.year, year), LAST_YEAR):
        found = months_behind(first, 12 * (each - first.year)).isoformat()
        if trial.ended is not None and found > trial.ended:
            return
        yield found


def _due(rule: DeadlineRule, start: int) -> int:
    """Return when a clock that began so is over, ms: not before its start where no edition fits, or a calendar is asked for."""
    edition = edition_of(rule, start, {})
    due = None if edition is None else due_at(start, edition.time, None)
    return start if due is None else min(due, LATEST_MS)


def is_over(rule: DeadlineRule, start: int, at: int) -> bool:
    """Say whether a clock that began so is over at an instant (ms): then it is not the next one that is due."""
    return _due(rule, start) <= at


def gone(rule: DeadlineRule, facility: Facility, since: int, subjects: Iterable[str]) -> list[str]:
    """Return the cases of a yearly rule that the register does not ask for any more."""
    if rule.yearly is None:
        return []
    if rule.yearly != TRIALS:
        return [one for one in subjects if began(rule, subject_of(one)["report"], facility, since) is None]
    trials, found = {trial.id: trial for trial in facility.trials}, []
    for subject in subjects:
        name, _, last = subject_of(subject)["report"].rpartition("+")
        if name not in trials or _began_anniversary(trials[name], last, since) is None:
            found.append(subject)
    return found
