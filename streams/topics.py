"""The one table of topics (architecture.md). `offsite topics` creates and verifies exactly this."""

from __future__ import annotations

from dataclasses import dataclass, field

DAY_MS = 86_400_000
RECORD_BYTES = 8 * 1024 * 1024
"""Largest encoded record (contracts.md §1)."""
BATCH_OVERHEAD = 64 * 1024
"""Room for the batch header and record headers around a largest record."""

LOG = "offsite.log.v1"
ALARMS = "offsite.alarms.v1"
STATE = "offsite.state.v1"
LOTS = "offsite.lots.v1"
LOTS_STATE = "offsite.lots-state.v1"
ACCESS = "offsite.access.v1"
REJECTED = "offsite.rejected.v1"
HEADS = "offsite.journal-heads.v1"


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic: its key, whether it has the log's partition count, and the configuration that matters."""

    name: str
    key: str
    like_log: bool
    configs: dict[str, str] = field(default_factory=dict)

    def partitions(self, of_log: int) -> int:
        """Return the partition count in an installation whose log has `of_log`."""
        return of_log if self.like_log else 1


def _delete(days: int) -> dict[str, str]:
    return {"cleanup.policy": "delete", "retention.ms": str(days * DAY_MS if days >= 0 else -1)}


_LARGE = {"max.message.bytes": str(RECORD_BYTES + BATCH_OVERHEAD)}
# Small segments: a compacted topic is read whole at a start, and only closed segments are compacted.
_COMPACT = {
    "cleanup.policy": "compact",
    "segment.ms": str(10 * 60_000),
    "segment.bytes": str(64 * 1024 * 1024),
    "min.cleanable.dirty.ratio": "0.1",
    "delete.retention.ms": str(DAY_MS),
}

# A start reads the state topic of its partitions whole, so what stands in it must stay near what it means. Per partition,
# with S bytes of snapshots (every facility once) all written once a minute, and markers of 0.5 KiB twelve times a minute:
# - the clean part holds each key once: S;
# - the active segment is never compacted: `segment.ms` of 2 min, at most 2 S (and at most 32 MiB);
# - closed segments wait until they are a tenth of the clean part, which one segment is, or `max.compaction.lag.ms`, and for
#   the cleaner's next round (15 s, and its own work): about 1 S;
# - commit markers of transactions (78 bytes, twelve a minute) stay for `delete.retention.ms`, 1 h, behind the compaction:
#   60 KiB. The hour is also what a reader may take from the beginning to the end, or it misses what was deleted: a start
#   takes seconds.
# So about 4 S, however long it was written: 100,000 series with 400 to 600 bytes a snapshot are S = 40 to 60 MB over all
# partitions, and a single worker that restores all of them reads 160 to 240 MB (bench/state.py has the bytes a series).
_STATE = {
    "cleanup.policy": "compact",
    "segment.ms": str(2 * 60_000),
    "segment.bytes": str(32 * 1024 * 1024),
    "min.cleanable.dirty.ratio": "0.1",
    "max.compaction.lag.ms": str(5 * 60_000),
    "delete.retention.ms": str(60 * 60_000),
}

TOPICS: tuple[Topic, ...] = (
    Topic(
        LOG, "facility id", like_log=True, configs=_delete(90) | _LARGE | {"message.timestamp.type": "LogAppendTime"}
    ),
    Topic(ALARMS, "stream", like_log=True, configs=_delete(400)),
    Topic(STATE, "facility id or p<n>", like_log=True, configs=_STATE | _LARGE),
    Topic(LOTS, "lot", like_log=True, configs=_delete(400) | _LARGE | {"message.timestamp.type": "LogAppendTime"}),
    Topic(LOTS_STATE, "lot or p<n>", like_log=True, configs=_STATE | _LARGE),
    Topic(ACCESS, "key hash", like_log=False, configs=_COMPACT),
    Topic(REJECTED, "facility id", like_log=True, configs=_delete(30) | {"retention.bytes": str(256 * 1024 * 1024)}),
    Topic(HEADS, "height", like_log=False, configs=_delete(-1)),
)
