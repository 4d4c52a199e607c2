"""Facilities by risk grade, who of them was visited in a calendar year, and what became of proposed steps of the grade."""

from __future__ import annotations

from collections import Counter
from datetime import date
from typing import TYPE_CHECKING, NamedTuple

from rules.calendar import day_of, end_of_day
from rules.figures.book import OPEN, SIGNED, WITHDRAWN
from rules.figures.periods import SHOWN, Period, period_of
from rules.figures.targets import B_FIELD, B_GRADE, B_SHARE, Target
from rules.instants import start_of_day
from rules.register import ZONE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rules.figures.facts import FacilityFacts

GRADES = ("A", "B", "C", "D")
STATES = (OPEN, *SIGNED.values(), WITHDRAWN)


class Share(NamedTuple):
    """How many facilities of a grade were visited in a year until an instant."""

    facilities: int
    visited: int

    @property
    def percent(self) -> float | None:
        """Return the share, rounded down to two decimals; None without facilities."""
        return None if self.facilities == 0 else self.visited * 10_000 // self.facilities / 100


class Judged(NamedTuple):
    """A share of a year held against a target, at the end of a day that is over."""

    target: Target
    at: int
    """The first instant behind that day, ms."""
    share: Share

    @property
    def missed(self) -> bool | None:
        """Say whether it is below; None without facilities."""
        return self.target.missed(self.share.visited, self.share.facilities)


class Year(NamedTuple):
    """A calendar year until the instant that was asked about, or its end."""

    period: Period
    running: bool
    shares: dict[str, Share]
    """By grade: of all facilities ..."""
    trials: dict[str, Share]
    """... and of trial institutions (drug)."""
    judged: list[Judged]
    """Grade B trial institutions, at each day that is over."""
    steps: dict[str, int]
    """Steps that rules proposed in the year, by what became of them."""


def years(all_facts: Sequence[FacilityFacts], at: int) -> list[Year]:
    """Return the year that runs at an instant (ms) and those before it, newest first."""
    found = []
    for back in range(SHOWN["year"]):
        period = period_of(at, "year", back)
        until = min(at + 1, period.end)
        trials = [one for one in all_facts if one.is_in(*B_FIELD, until - 1)]
        found.append(
            Year(
                period,
                period.end > at,
                shares(all_facts, period.begin, until),
                shares(trials, period.begin, until),
                _judged(all_facts, period, at),
                _steps(all_facts, period, until),
            )
        )
    return found


def shares(some: Iterable[FacilityFacts], begin: int, until: int) -> dict[str, Share]:
    """Return by grade, as it is registered at `until`, how many were visited from `begin` on and before `until` (ms)."""
    whole, part = Counter[str](), Counter[str]()
    for one in some:
        grade = one.grade_at(until - 1)
        if grade is not None:
            whole[grade] += 1
            part[grade] += is_visited(one, begin, until)
    return {grade: Share(whole[grade], part[grade]) for grade in GRADES}


def is_visited(one: FacilityFacts, begin: int, until: int) -> bool:
    """Say whether a facility was visited from `begin` on and before `until`, by inspections of the log or by any of its registers."""
    if any(begin <= done < until for done in one.visits):
        return True
    days = one.days if one.last_visit is None else [*one.days, one.last_visit]
    return any(begin <= start_of_day(date.fromisoformat(day), ZONE) < until for day in days)


def _judged(all_facts: Sequence[FacilityFacts], period: Period, at: int) -> list[Judged]:
    found = []
    for target in B_SHARE:
        month, day = target.month_day or (12, 31)
        over = end_of_day(date(day_of(period.begin).year, month, day))
        if over <= at:
            trials = [one for one in all_facts if one.is_in(*B_FIELD, over - 1)]
            found.append(Judged(target, over, shares(trials, period.begin, over)[B_GRADE]))
    return found


def _steps(all_facts: Iterable[FacilityFacts], period: Period, until: int) -> dict[str, int]:
    steps = Counter(step.state for one in all_facts for step in one.steps if period.begin <= step.raised < until)
    return {state: steps[state] for state in STATES}


def by_grade(all_facts: Iterable[FacilityFacts]) -> dict[str, int]:
    """Return how many registered facilities have which grade now; under empty words those that have none."""
    found = Counter(one.grade or "" for one in all_facts if one.registered)
    return {grade: found[grade] for grade in (*GRADES, "")}
