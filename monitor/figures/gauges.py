"""Figures for Prometheus: never more than two dozen series of one gauge, whatever is reported.

Of samples the running month, quarter and year and the ones before them, by line; what nobody knows has no series.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import Gauge

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from monitor.figures.views import Figures, SamplingView


class FigureGauges:
    """The gauges of one desk."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register them."""
        self.facilities = Gauge(
            "offsite_desk_facilities", "Registered facilities, by risk grade", ["grade"], registry=registry
        )
        self.rate = Gauge(
            "offsite_desk_sampling_pass_ratio", "Samples that passed, by line; of the running period and the one before",
            ["line", "period", "which"], registry=registry,
        )  # fmt: skip
        self.samples = Gauge(
            "offsite_desk_samples", "Samples that were drawn, by line; of the running period and the one before",
            ["line", "period", "which"], registry=registry,
        )  # fmt: skip
        self.visited = Gauge(
            "offsite_desk_visited_ratio", "Facilities visited in the running year, by risk grade",
            ["grade", "of"], registry=registry,
        )  # fmt: skip
        self.steps = Gauge(
            "offsite_desk_grade_steps", "Steps of the risk grade proposed in the running year", ["state"], registry=registry
        )  # fmt: skip
        self.missed = Gauge(
            "offsite_desk_figure_missed",
            "Whether a target is missed: of samples in the running month, quarter or year, of visits at the last day that was judged",
            ["target"], registry=registry,
        )  # fmt: skip

    def show(self, found: Figures) -> None:
        """Show figures."""
        for grade, count in found.grades:
            self.facilities.labels(grade).set(count)
        missed = dict[str, bool]()
        for gauge in (self.rate, self.samples, self.visited, self.missed):
            gauge.clear()
        for kind in ("month", "quarter", "year"):
            self._samples([one for one in found.sampling if one.kind == kind])
        now = [one.missed for one in found.sampling if one.running and one.missed is not None]
        missed |= {"sampling": any(now)} if now else {}
        year = found.years[0]
        for of, by_grade in (("all", year.all), ("trials", year.trials)):
            for grade, share in by_grade.items():
                if share.facilities:
                    self.visited.labels(grade, of).set(share.visited / share.facilities)
        for state, count in year.steps:
            if state != "proposed":
                self.steps.labels(state).set(count)
        judged = [one for each in reversed(found.years[:2]) for one in each.judged if one.missed is not None]
        missed |= {one.target: bool(one.missed) for one in judged}
        for target, is_missed in missed.items():
            self.missed.labels(target).set(is_missed)

    def _samples(self, rates: list[SamplingView]) -> None:
        """Show the two newest periods of one kind."""
        newest = list(dict.fromkeys(one.period for one in rates))[:2]
        for one in rates:
            if one.period in newest:
                labels = (one.line or "unknown", one.kind, "running" if one.running else "before")
                self.samples.labels(*labels).set(one.samples)
                if one.samples:
                    self.rate.labels(*labels).set(one.passed / one.samples)
