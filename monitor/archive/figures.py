"""Figures of the archiver for Prometheus; every label set exists from the start."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from monitor.archive.source import TOPICS

REASONS = ("lease", "broker", "store", "files")


class Figures:
    """The archiver's metrics in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.records = Counter("offsite_archiver_records_total", "Records archived.", ["topic"], registry=self.registry)
        self.bytes = Counter(
            "offsite_archiver_file_bytes_total", "Bytes of files written for new records.", registry=self.registry
        )
        self.files = Counter("offsite_archiver_files_total", "Files written for new records.", registry=self.registry)
        self.cuts = Counter("offsite_archiver_cuts_total", "Hours cut by facility.", registry=self.registry)
        self.deleted = Counter(
            "offsite_archiver_deleted_files_total", "Replaced files deleted.", registry=self.registry
        )
        self.lost = Counter(
            "offsite_archiver_lost_offsets_total",
            "Offsets that Kafka dropped first.",
            ["topic"],
            registry=self.registry,
        )
        self.lag = Gauge("offsite_archiver_lag_records", "Offsets not archived yet.", ["topic"], registry=self.registry)
        self.chunks = Gauge("offsite_archiver_chunks", "Files in the index.", registry=self.registry)
        self.held = Gauge("offsite_archiver_held_bytes", "Bytes read and not archived yet.", registry=self.registry)
        self.last_flush = Gauge(
            "offsite_archiver_last_flush_timestamp_seconds", "When records were last archived.", registry=self.registry
        )
        self.flush_seconds = Histogram(
            "offsite_archiver_flush_seconds", "From records in hand to records in the index.", registry=self.registry,
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
        )  # fmt: skip
        self.waits = Counter(
            "offsite_archiver_waits_total", "Starts from the store's state again, by what was away.", ["reason"],
            registry=self.registry,
        )  # fmt: skip
        for topic in TOPICS:
            self.records.labels(topic)
            self.lost.labels(topic)
            self.lag.labels(topic)
        for reason in REASONS:
            self.waits.labels(reason)
