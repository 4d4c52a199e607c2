"""Go on with another engine semantics: what the engine before left is adopted, and the log says so.

Per partition, while no worker runs: the snapshots of the last checkpoint are taken over; what came since is folded by the new
engine; then one `state` record for each facility is appended to the log, all in one transaction that counts only if nothing
came between. From these seeds on the log gives the same changes to whoever folds it with the new engine; what stands before
was decided by the old one and stays as it was published. Seqs go on, open alarms stay open until the new engine ends them.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar

from rules.errors import ContractError, Fault
from streams.codec import MAX_VALUE_BYTES, encode
from streams.refold import Known, Refold
from streams.repair import QuarantinedError, ensure_no_workers, fenced, transact_all
from streams.restore import log_bounds
from streams.topics import BATCH_OVERHEAD

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aiokafka import AIOKafkaProducer

    from streams.fold import Fold
    from streams.refold import Refolded
    from streams.repair import Past, Standing
    from streams.worker_settings import WorkerSettings

ATTEMPTS = 50
"""Records that come between are folded, and the seeds tried again."""


class SeedError(ContractError):
    """A facility's state cannot stand in the log."""

    code: ClassVar[str] = "seed_too_large"
    action: ClassVar[str] = "Nothing was written of this partition: it needs an engine that goes on without seeds."

    def __init__(self, faults: Sequence[Fault]) -> None:
        """Name the facilities."""
        super().__init__("; ".join(map(str, faults[:10])))


async def upgrade(
    settings: WorkerSettings,
    standings: Sequence[Standing],
    fold: Callable[[], Fold],
    past: Past,
    *,
    tell: Callable[[Refolded], None] = lambda _: None,
) -> None:
    """Adopt the state of these partitions, one after the other; each is whole when the next begins.

    Raises:
        WorkersRunError, QuarantinedError: first something else is to be done.
        NotAdoptedError: this engine cannot go on from that state, or its workers were not stopped gracefully.
        RefoldDiffersError: the workers before published more than their state counts: they were killed.
        SeedError: a facility's state is too large for a record.
    """
    ensure_no_workers(settings)
    for standing in standings:
        if any(name.startswith("quarantine-") for name in standing.rows.notes):
            raise QuarantinedError(f"partition {standing.partition}: a facility is quarantined")
    for standing in standings:
        async with fenced(settings, standing.partition) as producer:
            tell(await _adopt(settings, standing, fold(), past, producer))


async def _adopt(
    settings: WorkerSettings, standing: Standing, fold: Fold, past: Past, producer: AIOKafkaProducer
) -> Refolded:
    partition, rows = standing.partition, standing.rows
    assert standing.marker is not None  # noqa: S101 - of another engine: it was read
    known = await asyncio.to_thread(Known.of, past.published(partition))
    refold = Refold(partition, fold, known, settings, standing.end)
    rows.marker = refold.adopt(standing.marker)
    begin = await refold.from_state(rows)
    told = standing.committed or begin
    end = await _end(settings, partition)
    for _ in range(ATTEMPTS):
        await asyncio.to_thread(refold.run, past.records(partition, begin, end), told=told)
        refold.finish()
        # Published before the seeds count: they carry the seq behind these changes.
        await transact_all(producer, refold.take(), None)
        seeded = await _seed(settings, refold, past, producer, end)
        if seeded is not None:
            refold.seeded(*seeded)
            await transact_all(producer, refold.state(standing.keys), (settings, partition, seeded[1]))
            return refold.done
        begin, end = end, await _end(settings, partition)
    raise ContractError(f"partition {partition}: records come faster than the seeds: close the front door for a moment")


async def _seed(
    settings: WorkerSettings, refold: Refold, past: Past, producer: AIOKafkaProducer, folded: int
) -> tuple[int, int] | None:
    """Append the seeds behind `folded`; None, and nothing of them counts, if something came between."""
    partition = refold.done.partition
    seeds = [(facility, *encode(seed)) for facility, seed in refold.seeds()]
    large = [
        Fault(facility, "too_large", f"{len(value)} bytes of state")
        for facility, _, value in seeds
        if len(value) > MAX_VALUE_BYTES - BATCH_OVERHEAD
    ]
    if large:
        raise SeedError(large)
    if not seeds:
        return folded, folded
    await producer.begin_transaction()
    try:
        sent = [
            await producer.send(settings.log_topic, value, facility.encode(), partition=partition, headers=headers)
            for facility, headers, value in seeds
        ]
        offsets = [(await future).offset for future in sent]
        # Seeds come in several batches: what lands between two of them is before the marker, and in no seed.
        apart = offsets[-1] - offsets[0] + 1 != len(offsets)
        # Behind the end of what is committed stand only these seeds: a reader of committed records stops before them.
        between = await asyncio.to_thread(lambda: next(past.records(partition, folded, offsets[0]), None))
        if apart or between is not None:
            await producer.abort_transaction()
            return None
        await producer.commit_transaction()
    except BaseException:
        await producer.stop()  # what was sent is aborted by the broker; this producer is not used again
        raise
    if offsets != sorted(offsets):
        raise ContractError(f"partition {partition}: the seeds stand out of order at {offsets[:10]}")
    return offsets[0], offsets[-1] + 1


async def _end(settings: WorkerSettings, partition: int) -> int:
    return (await log_bounds(settings.kafka.for_aiokafka(), settings.log_topic, [partition]))[partition][1]
