"""The worker's Prometheus metrics; every label set is bounded and stands at zero from the start."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from rules.changes import ChangeKind
from rules.fitting import RULE_FAILED
from rules.records import Kind, LotKind, Readings, Rejected
from streams.rejected import ClockState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rules.changes import Change
    from rules.records import LogRecord

REJECTED_CODES = (
    "schema_version", "unknown_kind", "bad_key", "too_large", "bad_timestamp", "too_deep", "columns", "contract",
    "undecodable", "bad_packs", "bad_state", "state_unwritten", "killed", "other",
)  # fmt: skip
DROPPED = ("early", "repeated", "before-seek", "held")
CLOCK = get_args(ClockState)
_SECONDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Sensor:
    """What a worker counts. One object per process, with a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        r = self.registry
        self.readings = Counter("offsite_worker_readings", "Readings folded.", registry=r)
        self.records = Counter("offsite_worker_records", "Log records folded, by kind.", ["kind"], registry=r)
        self.changes = Counter("offsite_worker_changes", "Changes made, by what happened.", ["change"], registry=r)
        self.rejects = Counter("offsite_worker_rejected", "Log records not decodable, by code.", ["code"], registry=r)
        self.drops = Counter(
            "offsite_worker_dropped", "Records fetched and not folded: they come again.", ["why"], registry=r
        )
        self.reseeks = Counter("offsite_worker_reseeks", "Times that missing records were sought again.", registry=r)
        self.lag_seconds = Gauge("offsite_worker_lag_seconds", "Age of the oldest record not folded.", registry=r)
        self.lag_records = Gauge("offsite_worker_lag_records", "Records of owned partitions not folded.", registry=r)
        self.partitions = Gauge("offsite_worker_partitions", "Partitions this worker folds.", registry=r)
        self.pending = Gauge("offsite_worker_pending_rows", "Changes that wait for publication.", registry=r)
        self.checkpoint_seconds = Histogram(
            "offsite_worker_checkpoint_seconds", "Time of a checkpoint.", buckets=_SECONDS, registry=r
        )
        self.checkpoint_bytes = Counter(
            "offsite_worker_checkpoint_bytes", "Bytes of state rows written: snapshots, marker, packs.", registry=r
        )
        self.snapshots = Counter("offsite_worker_snapshots", "Snapshots of facilities written.", registry=r)
        self.log_bytes = Counter(
            "offsite_worker_log_bytes", "Bytes of log records folded, records folded again left out.", registry=r
        )
        self.again = Counter(
            "offsite_worker_records_again", "Log records folded again at a start, up to the marker.", registry=r
        )
        self.transaction_seconds = Histogram(
            "offsite_worker_transaction_seconds", "Time of a transaction.", buckets=_SECONDS, registry=r
        )
        self.published = Counter("offsite_worker_published_rows", "Rows committed.", registry=r)
        self.restores = Counter("offsite_worker_restores", "Times that partitions were restored.", registry=r)
        self.restore_seconds = Gauge("offsite_worker_restore_seconds", "Time of the last restore.", registry=r)
        self.rebuilds = Gauge(
            "offsite_worker_rebuilding_facilities", "Facilities without a good snapshot, not folded yet.", registry=r
        )
        self._rebuilding: dict[int, int] = {}
        self.rule_failures = Counter(
            "offsite_worker_rule_failures", "Rules put aside for a facility because they raised.", registry=r
        )
        self.quarantined = Gauge("offsite_worker_quarantined", "Facilities that are not folded.", registry=r)
        self.kept_records = Counter(
            "offsite_worker_kept_records", "Records of quarantined facilities left unfolded.", registry=r
        )
        self.clock_jumps = Counter(
            "offsite_worker_clock_jumps", "Jumps of the broker's clock, by what came of them.", ["state"], registry=r
        )
        self.held = Gauge(
            "offsite_worker_held_partitions", "Partitions that wait because the broker's clock jumped.", registry=r
        )
        self.lots = Gauge("offsite_worker_lots", "Lots of which something is known.", registry=r)
        self.lots_dropped = Gauge(
            "offsite_worker_lots_dropped",
            "Lots of which nothing was told, let go of since the worker began: firms name too many.",
            registry=r,
        )
        self.facts = Counter("offsite_worker_facts", "Facts of lots, and packs, handed on.", registry=r)
        self.unjudged = Counter(
            "offsite_worker_not_judged",
            "What facilities sent that rules could not judge or keep, by the counter of the engine's state.",
            ["what"],
            registry=r,
        )
        self.ticks = Counter("offsite_worker_ticks", "Ticks appended to the log.", ["outcome"], registry=r)
        for kind in (*Kind, *LotKind):
            self.records.labels(kind.value)
        for change in ChangeKind:
            self.changes.labels(change.value)
        for code in REJECTED_CODES:
            self.rejects.labels(code)
        for why in DROPPED:
            self.drops.labels(why)
        for state in CLOCK:
            self.clock_jumps.labels(state)
        for outcome in ("ok", "failed"):
            self.ticks.labels(outcome)

    def folded(self, record: LogRecord, size: int) -> None:
        """Count a folded record and its bytes in the log."""
        self.log_bytes.inc(size)
        self.records.labels(record.kind.value).inc()
        if isinstance(record.payload, Readings):
            self.readings.inc(int(record.payload.time.size))

    def folded_again(self) -> None:
        """Count a record whose changes are published already."""
        self.again.inc()

    def changed(self, change: Change) -> None:
        """Count a change."""
        self.changes.labels(change.change.value).inc()
        if change.rule == RULE_FAILED and change.change is ChangeKind.RAISED:
            self.rule_failures.inc()

    def said(self, facts: int) -> None:
        """Count facts of lots."""
        self.facts.inc(facts)

    def rejected(self, record: Rejected) -> None:
        """Count a record that could not be decoded."""
        self.rejects.labels(record.code if record.code in REJECTED_CODES else "other").inc()

    def clock(self, state: ClockState) -> None:
        """Count a jump of the broker's clock."""
        self.clock_jumps.labels(state).inc()

    def kept(self) -> None:
        """Count a record of a quarantined facility."""
        self.kept_records.inc()

    def dropped(self, why: str) -> None:
        """Count records that came too early or again."""
        self.drops.labels(why).inc()

    def sought_again(self) -> None:
        """Count a seek for missing records."""
        self.reseeks.inc()

    def checkpointed(self, seconds: float, snapshots: int, size: int) -> None:
        """Count a checkpoint, its snapshots, and the bytes of its state rows."""
        self.snapshots.inc(snapshots)
        self.checkpoint_seconds.observe(seconds)
        self.checkpoint_bytes.inc(size)

    def rebuilding(self, partition: int, facilities: int) -> None:
        """Set how many facilities of a partition are being folded anew."""
        self._rebuilding[partition] = facilities
        self.rebuilds.set(sum(self._rebuilding.values()))

    def transacted(self, seconds: float, rows: int) -> None:
        """Count a committed transaction."""
        self.transaction_seconds.observe(seconds)
        self.published.inc(rows)

    def restored(self, seconds: float, partitions: int) -> None:
        """Count a restore."""
        self.restores.inc(partitions)
        self.restore_seconds.set(seconds)

    def not_judged(self, more: Mapping[str, int]) -> None:
        """Count what could not be judged or kept; the names are the engine's own, so there are few."""
        for name, count in more.items():
            self.unjudged.labels(name).inc(count)

    def ticked(self, outcome: str) -> None:
        """Count a tick."""
        self.ticks.labels(outcome).inc()
