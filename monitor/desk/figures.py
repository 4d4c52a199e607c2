"""The desk's own figures for Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from monitor.figures.gauges import FigureGauges

if TYPE_CHECKING:
    from collections.abc import Iterable

    from monitor.alarms.projection import Outcome

LATENCY = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 600)


class Figures:
    """One registry a process: tests make as many desks as they like."""

    def __init__(self) -> None:
        """Register the figures."""
        self.registry = CollectorRegistry()
        self.changes = Counter(
            "offsite_desk_changes", "Changes read, by what became of them", ["outcome"], registry=self.registry
        )
        self.waiting = Gauge("offsite_desk_streams_waiting", "Streams that miss a change", registry=self.registry)
        self.latency = Histogram(
            "offsite_desk_change_latency_seconds", "From publication of a change to its row",
            buckets=LATENCY, registry=self.registry,
        )  # fmt: skip
        self.alarms = Gauge(
            "offsite_desk_alarms", "Open live alarms", ["severity", "attention"], registry=self.registry
        )
        self.outbox = Gauge("offsite_desk_outbox_waiting", "Outbox rows not yet sent", registry=self.registry)
        self.subscribers = Gauge("offsite_desk_live_subscribers", "Clients on the live stream", registry=self.registry)
        self.notices = Counter(
            "offsite_desk_notices",
            "Notifications, by channel and outcome",
            ["channel", "outcome"],
            registry=self.registry,
        )
        self.proofs = Counter("offsite_desk_proofs", "Proofs given to people", registry=self.registry)
        self.sign_ins = Counter("offsite_desk_sign_ins", "Sign-ins, by outcome", ["outcome"], registry=self.registry)

        self.deadlines = Gauge(
            "offsite_desk_deadlines", "Legal clocks that run, as of the newest snapshots", registry=self.registry
        )
        self.of_all = FigureGauges(self.registry)
        self.operator_alarms = Gauge(
            "offsite_desk_operator_alarms",
            "Open operators' alarms: something is wrong with the monitor",
            registry=self.registry,
        )
        # A counter that is not there yet has no first increase for Prometheus to see.
        for outcome in ("applied", "duplicate", "foreign"):
            self.changes.labels(outcome)
        for outcome in ("sent", "failed"):
            self.notices.labels("alertmanager", outcome)
        for outcome in ("passed", "refused", "braked"):
            self.sign_ins.labels(outcome)

    def batch(self, outcome: Outcome, latencies_ms: Iterable[int]) -> None:
        """Count one batch of changes."""
        self.changes.labels("applied").inc(outcome.applied)
        self.changes.labels("duplicate").inc(outcome.duplicates)
        self.changes.labels("foreign").inc(outcome.foreign)
        self.waiting.set(outcome.waiting)
        for latency in latencies_ms:
            self.latency.observe(max(0, latency) / 1000)
