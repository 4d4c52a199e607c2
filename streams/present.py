"""The fold as of now, without a worker: a partition's newest checkpoint and the log behind it, read and never written."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rules.errors import BadInputError, ContractError
from rules.instants import format_instant
from rules.records import LogRecord
from rules.snapshot import SnapshotError
from streams.codec import placed
from streams.history import LogHistory
from streams.quarantine import Ward
from streams.restore import ensure_not_regrown, log_bounds, read_state, restore_partition

if TYPE_CHECKING:
    from collections.abc import Collection

    from rules.engine import Engine
    from streams.restore import Start
    from streams.worker_settings import WorkerSettings


class CheckpointNewerError(ContractError):
    """The newest checkpoint has seen more than was asked for."""

    code: ClassVar[str] = "checkpoint_newer"
    action: ClassVar[str] = "Ask for a later instant, or fold a dump of the log: `offsite log dump`, then --log."


@dataclass(frozen=True, slots=True)
class Present:
    """One partition as it is now."""

    facilities: list[str]
    """That were asked for and are folded, sorted."""
    left_out: dict[str, str]
    """Facilities of which nothing can be said -> why: quarantined, or their snapshot is no good."""


@dataclass(frozen=True, slots=True)
class _Without:
    """Facilities that are not restored."""

    quarantined: Collection[str]
    only: str | None

    def __contains__(self, facility: object) -> bool:
        return facility in self.quarantined or self.only not in {None, facility}


def present(
    settings: WorkerSettings, partition: int, engine: Engine, *, only: str | None = None, until_ms: int | None = None
) -> Present:
    """Restore a partition as a worker would, and fold the log on to its end. The group is not joined.

    Args:
        settings: of the workers.
        partition: of the log.
        engine: empty, with the packs in force before the first `packs` record.
        only: restore and fold this facility alone; None: all.
        until_ms: what was received later is left out.

    Raises:
        CheckpointNewerError: the checkpoint has seen what was received behind `until_ms`.
        StateLostError, LogLostError, ContractError: a worker could not start from it either.
        KafkaError: Kafka does not answer.
    """
    start, ward, end = asyncio.run(_restored(settings, partition, engine, only))
    left_out = dict.fromkeys(ward.quarantined, "quarantined") | {bad.facility: bad.why for bad in start.bad}
    left_out = {name: why for name, why in sorted(left_out.items()) if only in {None, name}}
    _ensure_not_newer(engine, partition, until_ms)
    wanted = None if only is None else frozenset([only])
    history = LogHistory(settings.kafka, settings.log_topic)
    for read in history.records(partition, wanted, start.low, end):
        record = placed(read, settings.kafka.partitions) if settings.placed else read
        if isinstance(record, LogRecord) and not (
            record.facility in left_out
            or record.offset in ward.watch.skipped
            or (until_ms is not None and record.received > until_ms)
        ):
            try:
                engine.fold(record)
            except (BadInputError, SnapshotError):
                continue  # the worker rejects it
    return Present([name for name in engine.facilities(partition) if name not in left_out], left_out)


async def _restored(
    settings: WorkerSettings, partition: int, engine: Engine, only: str | None
) -> tuple[Start, Ward, int]:
    clients = settings.kafka.for_aiokafka()
    rows, _ = await read_state(clients, settings.state_topic, [partition])
    bounds = await log_bounds(clients, settings.log_topic, [partition])
    await ensure_not_regrown(clients, settings.log_topic, rows, bounds)
    state = rows[partition]
    ward = Ward.of(partition, state.notes, 0)
    without = _Without(ward.quarantined, only)
    start = await restore_partition(engine, state, None, bounds[partition], without)
    return start, ward, bounds[partition][1]


def _ensure_not_newer(engine: Engine, partition: int, until_ms: int | None) -> None:
    clocks = [engine.state_of(name).clock for name in engine.facilities(partition)]
    newest = max([engine.partition_state(partition).clock, *clocks])
    if until_ms is not None and newest > until_ms:
        raise CheckpointNewerError(f"partition {partition}: the newest checkpoint is of {format_instant(newest)}")
