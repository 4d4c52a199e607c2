"""Figures of the gateway for Prometheus; every label set exists from the start."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

if TYPE_CHECKING:
    from monitor.gateway.follower import Follower

STATUSES = ("200", "201", "202", "400", "401", "403", "404", "408", "413", "415", "422", "429", "500", "503")
FOLLOWED = ("facilities", "series", "findings", "register_bytes", "refused_facilities", "foreign", "conflicts")
CLOSED_FOR = (
    "full", "peer", "slow_headers", "large_headers", "malformed", "ahead", "idle", "unread_body", "unread_answer", "crowd",
)  # fmt: skip
"""Why a connection is closed by this end (connections.py)."""
SAMPLES = ("sent", "unsampled", "failed")
PROOFS = ("stored", "again", "refused", "failed", "given")
"""What became of a proof: kept, kept before, refused, not kept by a fault of ours; or it was fetched."""


class Figures:
    """The gateway's metrics in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.posts = Counter(
            "offsite_gateway_posts_total", "Requests answered, by status.", ["status"], registry=self.registry
        )
        self.readings = Counter("offsite_gateway_readings_total", "Readings with a receipt.", registry=self.registry)
        self.bytes = Counter("offsite_gateway_body_bytes_total", "Body bytes after decoding.", registry=self.registry)
        self.ticks = Counter("offsite_gateway_ticks_total", "Ticks appended.", registry=self.registry)
        self.in_flight = Gauge(
            "offsite_gateway_in_flight_bytes", "Bytes sent and not yet acked.", registry=self.registry
        )
        self.bodies = Gauge(
            "offsite_gateway_bodies_held_bytes", "Bytes of bodies being read, or declared.", registry=self.registry
        )
        self.connections = Gauge("offsite_gateway_connections", "Connections open.", registry=self.registry)
        self.closed = Counter(
            "offsite_gateway_connections_closed_total", "Connections closed by this end, by reason.", ["reason"],
            registry=self.registry,
        )  # fmt: skip
        self.append_seconds = Histogram(
            "offsite_gateway_append_seconds", "From encoded to the broker's ack.", registry=self.registry,
            buckets=(0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
        )  # fmt: skip
        self.open = Gauge("offsite_gateway_open", "1 while the front door is open.", registry=self.registry)
        self.followed = Gauge(
            "offsite_gateway_followed", "What the feed's table holds, and what it had no room for or could not read.",
            ["what"], registry=self.registry,
        )  # fmt: skip
        self.follows = Gauge(
            "offsite_gateway_followed_timestamp_seconds", "Receive time up to which the log was read for the feed.",
            registry=self.registry,
        )  # fmt: skip
        self.samples = Counter(
            "offsite_gateway_samples_total", "Refusals sampled into the rejected topic, or only counted.", ["outcome"],
            registry=self.registry,
        )  # fmt: skip
        self.proofs = Counter(
            "offsite_gateway_proofs_total",
            "Proofs uploaded and fetched, by outcome.",
            ["outcome"],
            registry=self.registry,
        )
        self.proof_bytes = Counter(
            "offsite_gateway_proof_bytes_total", "Bytes of proofs that are kept, each once.", registry=self.registry
        )
        for outcome in PROOFS:
            self.proofs.labels(outcome)
        for reason in CLOSED_FOR:
            self.closed.labels(reason)
        for outcome in SAMPLES:
            self.samples.labels(outcome)
        for what in FOLLOWED:
            self.followed.labels(what)
        for status in STATUSES:
            self.posts.labels(status)

    def follow(self, follower: Follower) -> None:
        """Take the follower's figures."""
        ledger = follower.ledger
        held = {"facilities": len(ledger.facilities)} | {
            what: getattr(ledger, what) for what in FOLLOWED if what != "facilities"
        }
        for what, count in held.items():
            self.followed.labels(what).set(count)
        self.follows.set((follower.log.end or 0) / 1000)
