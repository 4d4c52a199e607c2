"""Figures as API, page and `offsite figures` show them. Instants are RFC 3339 UTC with three decimals; shares are rounded down to 0.01 %."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from rules.figures import targets, visits
from rules.figures.facts import Line
from rules.figures.periods import Kind
from rules.figures.sampling import counted, rates_of
from rules.instants import format_instant
from rules.models import Severity, Strict
from rules.rule import Citation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rules.figures.facts import FacilityFacts
    from rules.figures.sampling import Counted, Rate
    from rules.figures.visits import Judged, Share, Year

Grade = Literal["A", "B", "C", "D"]
TargetName = Literal["sampling", "b-share-step", "b-share"]


class TargetView(Strict):
    """What a figure is held against; `percent` is reached at so much or more."""

    name: TargetName
    percent: int
    severity: Severity
    """The colour of a figure below it."""
    cites: list[Citation]


class SamplingView(Strict):
    """Samples of one product line that were drawn in a period, each counted once by its newest verdict."""

    kind: Kind
    period: str
    """`2026-03`, `2026-Q1`, `2026`."""
    begin: str
    end: str
    """The first instant behind it."""
    running: bool
    """The period is not over."""
    line: Line | None
    """Null: neither the product nor the facility says it."""
    samples: int
    passed: int
    unretested: int
    """Failed, and no re-test has been reported."""
    percent: float | None
    """Null: nothing was drawn."""
    missed: bool | None
    """Below the target; null: nothing was drawn."""


class ShareView(Strict):
    """Facilities of a grade, and how many were visited on site and in full."""

    facilities: int
    visited: int
    percent: float | None
    """Null: there are none."""


class JudgedView(Strict):
    """Grade B trial institutions visited in the year until a day that is over."""

    target: TargetName
    at: str
    """The first instant behind that day."""
    share: ShareView
    missed: bool | None
    severity: Severity | None
    """The colour where it is missed."""


class StepsView(Strict):
    """Steps of the grade that rules proposed in the year, by what became of them."""

    proposed: int
    open: int
    signed: int
    refused: int
    withdrawn: int
    """What asked for it did not hold, or nobody looks at it any more."""


class YearView(Strict):
    """A calendar year, the running one until now."""

    year: str
    running: bool
    all: dict[Grade, ShareView]
    """Every facility, by the grade that was registered at the end (now, of the running year)."""
    trials: dict[Grade, ShareView]
    """Trial institutions (field clinical-trials, line drug) alone."""
    judged: list[JudgedView]
    steps: StepsView


class GradesView(Strict):
    """Registered facilities by the grade that they have now."""

    A: int
    B: int
    C: int
    D: int
    none: int
    """Without a registered grade."""


class Figures(Strict):
    """Figures over all facilities."""

    at: str
    """The instant of which they are."""
    facilities: int
    """That were counted, registered or not."""
    grades: GradesView
    sampling: list[SamplingView]
    """By kind of period, newest first; lines without any sample in the shown periods are left out."""
    years: list[YearView]
    targets: list[TargetView]
    dropped: int
    """Reports of samples that are kept no more (10,000 of a sender are)."""


class FiguresAnswer(Figures):
    """Figures as the desk has them."""

    as_of: str | None
    """Everything received before is counted; null: no snapshot was read yet."""
    quarantined: int
    """Facilities that count as of when they were quarantined."""
    unread: int
    """Facilities whose newest snapshot cannot be read: they count as of an older one."""


def figures(all_facts: Sequence[FacilityFacts], at: int, samples: Sequence[Counted] | None = None) -> Figures:
    """Return the figures at an instant, ms; `samples`: those of the facts, where they were counted before."""
    counts = visits.by_grade(all_facts)
    return Figures(
        at=format_instant(at),
        facilities=len(all_facts),
        grades=GradesView(none=counts.pop(""), **counts),
        sampling=[_sampling(rate) for rate in rates_of(counted(all_facts) if samples is None else samples, at)],
        years=[_year(year) for year in visits.years(all_facts, at)],
        targets=[_target(one) for one in (targets.SAMPLING, *targets.B_SHARE)],
        dropped=sum(one.dropped for one in all_facts),
    )


def _target(target: targets.Target) -> TargetView:
    return TargetView.model_validate(
        {"name": target.name, "percent": target.percent, "severity": target.severity, "cites": list(target.cites)}
    )


def _sampling(rate: Rate) -> SamplingView:
    return SamplingView(
        kind=rate.period.kind, period=rate.period.name, begin=format_instant(rate.period.begin),
        end=format_instant(rate.period.end), running=rate.running, line=rate.line, samples=rate.samples, passed=rate.passed,
        unretested=rate.unretested, percent=rate.percent, missed=rate.missed,
    )  # fmt: skip


def _share(share: Share) -> ShareView:
    return ShareView(facilities=share.facilities, visited=share.visited, percent=share.percent)


def _judged(judged: Judged) -> JudgedView:
    return JudgedView.model_validate(
        {
            "target": judged.target.name, "at": format_instant(judged.at), "share": _share(judged.share),
            "missed": judged.missed, "severity": judged.target.severity if judged.missed else None,
        }
    )  # fmt: skip


def _year(year: Year) -> YearView:
    return YearView.model_validate(
        {
            "year": year.period.name,
            "running": year.running,
            "all": {grade: _share(share) for grade, share in year.shares.items()},
            "trials": {grade: _share(share) for grade, share in year.trials.items()},
            "judged": [_judged(one) for one in year.judged],
            "steps": {"proposed": sum(year.steps.values()), **year.steps},
        }
    )
