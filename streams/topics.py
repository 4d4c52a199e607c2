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

TOPICS: tuple[Topic, ...] = (
    Topic(
        LOG, "facility id", like_log=True, configs=_delete(90) | _LARGE | {"message.timestamp.type": "LogAppendTime"}
    ),
    Topic(ALARMS, "stream", like_log=True, configs=_delete(400)),
    Topic(STATE, "facility id or p<n>", like_log=True, configs=_COMPACT | _LARGE),
    Topic(LOTS, "lot", like_log=True, configs=_delete(400)),
    Topic(ACCESS, "key hash", like_log=False, configs=_COMPACT),
    Topic(REJECTED, "facility id", like_log=True, configs=_delete(30) | {"retention.bytes": str(256 * 1024 * 1024)}),
    Topic(HEADS, "height", like_log=False, configs=_delete(-1)),
)
