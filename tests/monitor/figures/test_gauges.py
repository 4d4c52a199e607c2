"""Gauges of figures over all facilities: what is known, never more than so many series."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry

from monitor.figures.gauges import FigureGauges
from monitor.figures.views import figures
from rules.figures.book import Step
from tests.monitor.figures.counties import DAY, MAKER, at, facility, institution, laboratory, sample

NOW = at("2026-11-15T10:00:00")


@pytest.fixture
def shown():
    registry = CollectorRegistry()
    gauges = FigureGauges(registry)

    def show(*facts, now=NOW):
        gauges.show(figures(facts, now))
        return {
            (one.name.removeprefix("offsite_desk_"), *one.labels.values()): one.value
            for metric in registry.collect() for one in metric.samples
        }  # fmt: skip

    return show


def maker(**more):
    return facility(MAKER, "C", lines={"P-1": "drug", "P-2": "device"}, **more)


def test_nobody_knows_anything(shown):
    found = shown()
    assert not {name for name, *_ in found} & {"sampling_pass_ratio", "samples", "visited_ratio", "figure_missed"}
    assert found["facilities", "none"] == 0


def test_rates_of_the_running_periods_and_those_before(shown):
    found = shown(
        maker(), laboratory(sample(1, NOW - DAY), sample(2, NOW - DAY, passed=False), sample(3, NOW - 20 * DAY))
    )
    assert found["sampling_pass_ratio", "drug", "month", "running"] == 0.5
    assert found["sampling_pass_ratio", "drug", "month", "before"] == 1.0
    assert found["samples", "drug", "quarter", "running"] == 3
    assert found["samples", "drug", "quarter", "before"] == 0
    assert ("sampling_pass_ratio", "drug", "quarter", "before") not in found
    assert found["figure_missed", "sampling"] == 1


def test_what_is_no_more_known_has_no_series_any_more(shown):
    assert ("samples", "drug", "month", "running") in shown(maker(), laboratory(sample(1, NOW - DAY)))
    assert ("samples", "drug", "month", "running") not in shown(maker(), laboratory())


def test_shares_grades_and_steps(shown):
    steps = [Step("a", NOW - DAY, "open", "", 0), Step("b", NOW - DAY, "signed", "D-1", 1)]
    found = shown(*(institution(n, visits=[NOW - 200 * DAY] if n < 2 else []) for n in range(5)), maker(steps=steps))
    assert (found["facilities", "B"], found["facilities", "C"], found["facilities", "A"]) == (5, 1, 0)
    assert (found["visited_ratio", "B", "all"], found["visited_ratio", "B", "trials"]) == (0.4, 0.4)
    assert ("visited_ratio", "A", "all") not in found
    assert (found["grade_steps", "open"], found["grade_steps", "signed"], found["grade_steps", "refused"]) == (1, 1, 0)
    assert found["figure_missed", "b-share-step"] == 1


def test_the_last_day_that_was_judged_stands_until_the_next(shown):
    some = [institution(n, grades=[(0, "B")]) for n in range(5)]
    assert shown(*some, now=at("2027-02-01T00:00:00"))["figure_missed", "b-share"] == 1
    seen = [institution(n, grades=[(0, "B")], visits=[at("2026-02-01T00:00:00")]) for n in range(5)]
    assert shown(*seen, now=at("2027-02-01T00:00:00"))["figure_missed", "b-share"] == 0


def test_series_are_bounded_whatever_is_reported(shown):
    lines = {f"P-{n}": line for n, line in enumerate(("drug", "device", "cosmetics"))}
    many = [sample(n, NOW - n * DAY, product=f"P-{n % 4}") for n in range(500)]
    found = shown(facility(MAKER, "A", lines=lines, scopes=[]), laboratory(*many))
    for name in ("sampling_pass_ratio", "samples"):
        assert sum(key[0] == name for key in found) == 4 * 3 * 2
