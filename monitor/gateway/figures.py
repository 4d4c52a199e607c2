"""Figures of the gateway for Prometheus; every label set exists from the start."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

STATUSES = ("200", "202", "400", "401", "403", "413", "415", "422", "429", "503")


class Figures:
    """The gateway's metrics in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.posts = Counter(
            "offsite_gateway_posts_total", "Posts answered, by status.", ["status"], registry=self.registry
        )
        self.readings = Counter("offsite_gateway_readings_total", "Readings with a receipt.", registry=self.registry)
        self.bytes = Counter("offsite_gateway_body_bytes_total", "Body bytes after decoding.", registry=self.registry)
        self.ticks = Counter("offsite_gateway_ticks_total", "Ticks appended.", registry=self.registry)
        self.in_flight = Gauge(
            "offsite_gateway_in_flight_bytes", "Bytes sent and not yet acked.", registry=self.registry
        )
        self.append_seconds = Histogram(
            "offsite_gateway_append_seconds", "From encoded to the broker's ack.", registry=self.registry,
            buckets=(0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
        )  # fmt: skip
        self.open = Gauge("offsite_gateway_open", "1 while the front door is open.", registry=self.registry)
        for status in STATUSES:
            self.posts.labels(status)
