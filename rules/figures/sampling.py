"""Pass rates of samples by product line and period.

A sample counts once, in the period in which it was drawn: whoever reports it again, and whatever re-tests follow. The newest re-test's
verdict stands for it. A re-test of a sample that nobody reported stands for that sample, with its own day of drawing.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from typing import TYPE_CHECKING, Final, NamedTuple

from rules.figures.facts import LINES, Line
from rules.figures.periods import SHOWN, Kind, Period, periods
from rules.figures.targets import SAMPLING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rules.figures.book import Sample
    from rules.figures.facts import FacilityFacts


LABORATORY: Final = "laboratory"
"""The field in which a laboratory is registered (own; contracts.md leaves names of fields to the register)."""


class Counted(NamedTuple):
    """One sample with all that was reported of it."""

    drawn: int
    """Event time, ms."""
    line: Line | None
    """None: neither the product nor the facility says it."""
    passed: bool
    retested: bool


class Rate(NamedTuple):
    """What became of the samples of one line that were drawn in a period."""

    period: Period
    line: Line | None
    samples: int
    passed: int
    unretested: int
    """Failed, and nobody has reported a re-test."""
    running: bool
    """The period is not over."""

    @property
    def percent(self) -> float | None:
        """Return the rate, rounded down to two decimals: what is shown as 99.00 has reached it. None without samples."""
        return None if self.samples == 0 else self.passed * 10_000 // self.samples / 100

    @property
    def missed(self) -> bool | None:
        """Say whether it is below its target; None without samples."""
        return SAMPLING.missed(self.passed, self.samples)


def counted(all_facts: Iterable[FacilityFacts]) -> list[Counted]:
    """Return every sample once, whichever laboratory reported it; what a facility says of its own samples does not count.

    What a laboratory that was registered then (scope of field `laboratory`) reports stands against what others say of the same sample, however late.
    """
    by_name = {one.facility: one for one in all_facts}
    newest: dict[tuple[str, str], Sample] = {}
    reports = [(sample, name) for name, one in by_name.items() for sample in one.samples if name != sample.sampled]

    def place(one: tuple[Sample, str]) -> tuple[bool, int, str, str]:
        sample, name = one
        known = any(field == LABORATORY for field, _ in by_name[name].scopes_at(sample.received))
        return known, sample.received, name, sample.report

    for sample, _ in sorted(reports, key=place):
        newest[sample.sampled, sample.sample] = sample
    groups: dict[tuple[str, str], list[Sample]] = defaultdict(list)
    roots = roots_of(newest)
    for key, sample in newest.items():
        groups[roots[key]].append(sample)
    return [_counted(root, group, newest, by_name) for root, group in groups.items()]


def roots_of(newest: Mapping[tuple[str, str], Sample]) -> dict[tuple[str, str], tuple[str, str]]:
    """Return of each sample the one that it re-tests in the end; of samples that re-test each other the first by name."""
    roots: dict[tuple[str, str], tuple[str, str]] = {}
    for start in newest:
        path: dict[tuple[str, str], None] = {}
        key = start
        while key not in roots and key not in path:
            path[key] = None
            sample = newest.get(key)
            if sample is None or sample.retest_of is None:
                roots[key] = key
            else:
                key = (sample.sampled, sample.retest_of)
        if key in roots:
            found = roots[key]
        else:  # a circle: from where it closes
            names = list(path)
            found = min(names[names.index(key) :])
        roots.update(dict.fromkeys(path, found))
    return roots


def _counted(
    root: tuple[str, str], group: Sequence[Sample], newest: dict[tuple[str, str], Sample],
    by_name: dict[str, FacilityFacts],
) -> Counted:  # fmt: skip
    first = newest.get(root) or min(group, key=lambda one: (one.drawn, one.sample))
    again = [one for one in group if one is not newest.get(root)]
    last = max(again, key=lambda one: (one.drawn, one.received, one.sample), default=first)
    where = by_name.get(first.sampled)
    return Counted(
        first.drawn, None if where is None else where.line_of(first.product, first.received), last.passed, bool(again)
    )


def rates(all_facts: Iterable[FacilityFacts], at: int) -> list[Rate]:
    """Return the rates of all shown periods at an instant (ms): by kind of period, newest first, lines in their order.

    A line of which no shown period has a sample is left out; of the others a period without samples has no rate.
    """
    return rates_of(counted(all_facts), at)


def rates_of(found: Sequence[Counted], at: int) -> list[Rate]:
    """Return the same of samples that were counted before."""
    return [rate for kind in SHOWN for rate in _of_kind(found, kind, at)]


def _of_kind(found: Sequence[Counted], kind: Kind, at: int) -> list[Rate]:
    shown = periods(at, kind)
    begins = [period.begin for period in reversed(shown)]
    by_place: dict[tuple[int, Line | None], list[Counted]] = defaultdict(list)
    for one in found:
        if begins[0] <= one.drawn < shown[0].end:
            by_place[len(begins) - bisect_right(begins, one.drawn), one.line].append(one)
    named = {line for _, line in by_place}
    lines: list[Line | None] = [line for line in (*LINES, None) if line in named]
    return [
        Rate(
            period, line, len(some := by_place[i, line]), sum(one.passed for one in some),
            sum(not (one.passed or one.retested) for one in some), period.end > at,
        )
        for i, period in enumerate(shown) for line in lines
    ]  # fmt: skip
