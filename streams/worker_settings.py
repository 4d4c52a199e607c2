"""What a worker can be told; every default is safe on one machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from rules.models import Strict
from streams import topics
from streams.settings import KafkaSettings

Seconds = Annotated[float, Field(gt=0, le=3_600)]


class WorkerSettings(Strict):
    """Settings of one worker process."""

    instance: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")] = "worker-1"
    """Stable name of this worker (static membership): a restart gets the same partitions back at once."""
    fold: Literal["facilities", "lots"] = "facilities"
    """What this worker folds: the log, facility by facility, or the facts that come of it, lot by lot (ADR 0073)."""
    group: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")] = "offsite-fold"
    kafka: KafkaSettings = KafkaSettings()
    folder: Path | None = None
    """Where this worker notes which record it folds, so that one that kills it is found out; None: nowhere."""
    clock_wait_s: Seconds = 900.0
    """How long a partition waits at most when the broker's clock jumps ahead of every other."""
    release_every_s: Seconds = 5.0
    """How often a quarantined facility's release is looked for."""
    placed: bool = True
    """Records that stand in another partition than their key's are rejected; off only for tests that place by number."""
    chunked: bool = True
    """One Faust message per fetch and partition instead of one per record (a sixteenth of the CPU)."""
    checkpoint_every_s: Seconds = 5.0
    snapshot_every_s: Seconds = 60.0
    """A facility's snapshot is written at most once in this time; a start folds so much of the log again."""
    tick_every_s: Seconds = 5.0
    hold_rows: int = Field(default=20_000, ge=1)
    """Changes that may wait for publication before the agent is held."""
    hold_bytes: int = Field(default=64 * 1024 * 1024, ge=1)
    snapshot_part_bytes: int = Field(default=900_000, ge=1_000, le=8_000_000)
    session_timeout_s: Seconds = 10.0
    heartbeat_every_s: Seconds = 3.0
    recovery_timeout_s: Annotated[float, Field(gt=0, le=80)] = 60.0
    """Faust gives up silently after 90 s, and then idles for ever."""
    assignment_timeout_s: Seconds = 120.0
    stall_timeout_s: Seconds = 60.0
    loop_timeout_s: Seconds = 20.0
    stop_timeout_s: Seconds = 4.5
    ready_lag_records: int = Field(default=2_000, ge=0)
    host: str = "127.0.0.1"
    port: int = Field(default=8_711, ge=0, le=65_535)
    """0 takes a free port, named in the log."""

    @property
    def group_id(self) -> str:
        """The consumer group, as distinct as the topics it reads."""
        return self.kafka.topic(f"{self.group}-lots" if self.of_lots else self.group)

    @property
    def of_lots(self) -> bool:
        """Whether it folds the facts of lots."""
        return self.fold == "lots"

    @property
    def log_topic(self) -> str:
        """The topic that is folded."""
        return self.kafka.topic(topics.LOTS if self.of_lots else topics.LOG)

    @property
    def lots_topic(self) -> str:
        """The topic that the facts of lots go to."""
        return self.kafka.topic(topics.LOTS)

    @property
    def alarms_topic(self) -> str:
        """The topic that changes go to."""
        return self.kafka.topic(topics.ALARMS)

    @property
    def state_topic(self) -> str:
        """The topic of snapshots and markers."""
        return self.kafka.topic(topics.LOTS_STATE if self.of_lots else topics.STATE)

    @property
    def rejected_topic(self) -> str:
        """The topic of what could not be decoded."""
        return self.kafka.topic(topics.REJECTED)
