"""Clocks that the register and the calendar start each year: the safety report of a trial, the annual report of a holder."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

from rules.calendar import day_of, due_at, months_behind
from rules.instants import start_of_day
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


def day(text: str) -> date:
    """Return the date of a text that a model has checked."""
    return date.fromisoformat(text)


def keys_of(rule: DeadlineRule, fields: Mapping[str, Any]) -> list[str]:
    """Return the case that a report answers: trial and anniversary, or type and year (settled.md)."""
    if rule.yearly == TRIALS:
        return [f"{fields[rule.answer.key]}+{fields['anniversary']}"]
    return [f"{rule.answer.report}+{fields[rule.answer.key]}"]


def began(rule: DeadlineRule, key: str) -> int:
    """Return when the clock of a case began: at the anniversary, or on the last day of the year, local midnight, ms."""
    last = key.rpartition("+")[2]
    first = day(last) if rule.yearly == TRIALS else date(int(last), 12, 31)
    return start_of_day(first, ZONE)


def concerns(rule: DeadlineRule, facility: Facility) -> bool:
    """Say whether a facility can owe anything by a rule: it has trials, or a licence of a holder."""
    if rule.yearly == TRIALS:
        return bool(facility.trials)
    return any(licence.kind in HOLDERS for licence in facility.licences)


def owed(rule: DeadlineRule, facility: Facility, since: int, at: int) -> Iterator[tuple[str, int]]:
    """Yield case and start of what is due next behind an instant, of what began once the facility was registered here.

    Args:
        rule: the rule.
        facility: as registered.
        since: receive time of its first register record, ms; NONE: nothing is owed.
        at: log time, ms.
    """
    if since == NONE:
        return
    if rule.yearly == TRIALS:
        for trial in facility.trials:
            found = _anniversary(rule, trial, since, at)
            if found is not None:
                yield f"{trial.id}+{found.isoformat()}", start_of_day(found, ZONE)
        return
    held = [licence for licence in facility.licences if licence.kind in HOLDERS]
    for year in range(day_of(at).year - 1, day_of(at).year + 1):
        start, day_one = start_of_day(date(year, 12, 31), ZONE), f"{year + 1:04d}-01-01"
        holds = any(one.from_ < day_one and (one.to is None or one.to >= day_one) for one in held)
        if holds and since < start_of_day(date(year + 1, 1, 1), ZONE) and _due(rule, start) > at:
            yield f"{rule.answer.report}+{year}", start
            return


def _anniversary(rule: DeadlineRule, trial: Trial, since: int, at: int) -> date | None:
    first = day(trial.anniversary)
    for year in range(max(first.year, day_of(at).year - 1), day_of(at).year + 2):
        found = months_behind(first, 12 * (year - first.year))
        start = start_of_day(found, ZONE)
        if trial.ended is not None and found > day(trial.ended):
            return None
        if start >= since and _due(rule, start) > at:
            return found
    return None


def _due(rule: DeadlineRule, start: int) -> int:
    due = due_at(start, rule.within[0].time, None)
    assert due is not None  # noqa: S101 - lint: a yearly clock counts no working days
    return due


def gone(rule: DeadlineRule, facility: Facility, subjects: Iterable[str]) -> list[str]:
    """Return the cases of a yearly rule that the register does not ask for any more."""
    if rule.yearly is None:
        return []
    if rule.yearly != TRIALS:
        return [] if concerns(rule, facility) else list(subjects)
    trials = {trial.id: trial for trial in facility.trials}
    found = []
    for subject in subjects:
        name, _, last = subject_of(subject)["report"].rpartition("+")
        trial = trials.get(name)
        if trial is None or (trial.ended is not None and day(last) > day(trial.ended)):
            found.append(subject)
    return found
