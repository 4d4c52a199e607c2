"""Look at the state of every partition as a worker's start would, and rebuild what is not whole, while no worker runs."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TypeVar

from aiokafka import AIOKafkaProducer, TopicPartition
from kafka.errors import (
    CoordinatorLoadInProgressError,
    CoordinatorNotAvailableError,
    GroupIdNotFoundError,
    NotCoordinatorError,
)

from rules.errors import ContractError
from rules.pack import Bundle
from rules.records import SEMANTICS
from streams import group
from streams.admin import BrokerDownError, admin_client
from streams.checkpoint import LogRegrownError, Marker, Origin, StateLostError, decode_marker
from streams.names import LOOK_S, SESSION_SLACK_S
from streams.refold import Known, Refold
from streams.restore import ensure_not_regrown, log_bounds, read_state
from streams.tenure import BATCH_BYTES, REQUEST_BYTES, TAKE_BYTES, TAKE_ROWS, TRANSACTION_TIMEOUT_MS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from rules.records import LogRecord, Rejected
    from streams.checkpoint import Row, StateRows
    from streams.fold import Fold
    from streams.refold import Refolded
    from streams.worker_settings import WorkerSettings

AWAY = (CoordinatorNotAvailableError, NotCoordinatorError, CoordinatorLoadInProgressError)
COORDINATOR_S, AGAIN_S = 60.0, 0.3
_log = logging.getLogger("offsite.state")
Answer = TypeVar("Answer")
Verdict = Literal["whole", "new", "lost", "semantics", "regrown"]


class WorkersRunError(ContractError):
    """Workers are members of the group."""

    code: ClassVar[str] = "workers_run"
    action: ClassVar[str] = "Stop every worker, on every machine, and run it again."


class QuarantinedError(ContractError):
    """A facility of the partition is quarantined."""

    code: ClassVar[str] = "quarantined"
    action: ClassVar[str] = "Release it first (`offsite quarantine list`), with workers that can fold its record."


class NotVisibleError(ContractError):
    """What was committed cannot be read."""

    code: ClassVar[str] = "not_visible"
    action: ClassVar[str] = "Look at Kafka's log; then run `offsite state check`, and this command again if it says so."


class OriginLostError(ContractError):
    """Where a partition was folded first is not known, or not there any more."""

    code: ClassVar[str] = "origin_lost"
    action: ClassVar[str] = "Begin with the state of a backup: --from FOLDER."


class Past(Protocol):
    """All that was, of one partition: records of the log and published changes, out of archive and Kafka."""

    def first(self, partition: int) -> int:
        """Return the offset of the log from where on it holds records, archive and Kafka together."""

    def records(self, partition: int, begin: int, end: int) -> Iterator[LogRecord | Rejected]:
        """Yield the records with offsets in [begin, end)."""

    def published(self, partition: int) -> Iterator[bytes | None]:
        """Yield every record of the topic of changes, oldest first."""


@dataclass(frozen=True, slots=True)
class Standing:
    """The state of one partition."""

    partition: int
    verdict: Verdict
    why: str
    rows: StateRows
    keys: frozenset[str]
    """What stands in the topic."""
    marker: Marker | None
    committed: int | None
    end: int
    """Of the log."""


async def look(settings: WorkerSettings, partitions: Collection[int]) -> list[Standing]:
    """Say of each partition whether a worker would start from its state."""
    clients = settings.kafka.for_aiokafka()
    rows, _ = await read_state(clients, settings.state_topic, partitions)
    bounds = await log_bounds(clients, settings.log_topic, partitions)
    alarms = await log_bounds(clients, settings.alarms_topic, partitions)
    committed = await asyncio.to_thread(group_offsets, settings)
    found = [
        _judge(rows[p], committed.get(p), bounds[p][1], published=alarms[p][1] > 0, begins=bounds[p][0])
        for p in sorted(partitions)
    ]
    for i, standing in enumerate(found):
        if standing.verdict == "whole":
            one = {standing.partition: standing.rows}
            try:
                await ensure_not_regrown(clients, settings.log_topic, one, bounds)
            except LogRegrownError as error:
                found[i] = replace(standing, verdict="regrown", why=str(error))
    return found


def group_offsets(settings: WorkerSettings) -> dict[int, int]:
    """Return the group's offsets in the log, as the checkpoints wrote them; none where there is no such group.

    Raises:
        BrokerDownError: the coordinator does not answer: then nobody knows.
    """

    def ask() -> Mapping[Any, Any]:
        with admin_client(settings.kafka) as client:
            found: Mapping[Any, Any] = client.list_group_offsets({settings.group_id: None})[settings.group_id]
            return found

    return {
        place.partition: meta.offset
        for place, meta in (_patiently(ask) or {}).items()
        if place.topic == settings.log_topic and meta.offset >= 0
    }


def _patiently(ask: Callable[[], Answer]) -> Answer | None:
    """Ask the coordinator until it answers; None if it knows no such group. A new broker has to make its topic first."""
    deadline = monotonic() + COORDINATOR_S
    while True:
        try:
            return ask()
        except BrokerDownError as error:
            if isinstance(error.__cause__, GroupIdNotFoundError):
                return None
            if not isinstance(error.__cause__, AWAY) or monotonic() > deadline:
                raise
            sleep(AGAIN_S)


def _judge(rows: StateRows, committed: int | None, end: int, *, published: bool, begins: int) -> Standing:
    marker: Marker | None = None
    keys = frozenset(rows.keys())
    try:
        marker = rows.checked_marker(committed)
        if marker is not None:
            rows.rostered(marker)
    except StateLostError as error:
        return Standing(rows.partition, "lost", str(error), rows, keys, None, committed, end)
    if marker is None:
        lost = published or begins > 0
        why = "no marker, but changes were published or records dropped: it was folded" if lost else "never folded"
        return Standing(rows.partition, "lost" if lost else "new", why, rows, keys, None, committed, end)
    if marker.state.semantics != SEMANTICS:
        why = f"folded with engine semantics {marker.state.semantics}, this release has {SEMANTICS}"
        return Standing(rows.partition, "semantics", why, rows, keys, marker, committed, end)
    why = f"next {marker.next}, low {marker.low}, the log ends at {end}"
    why += "".join(f"; a worker folds {name} anew: {fault}" for name, fault in rows.damaged().items())
    return Standing(rows.partition, "whole", why, rows, keys, marker, committed, end)


def await_no_workers(
    settings: WorkerSettings,
    ask: Callable[[WorkerSettings], group.Group] = group.describe,
    clock: Callable[[], float] = monotonic,
    wait: Callable[[float], None] = sleep,
) -> None:
    """Wait for the seats of workers that ended, by `clock` in seconds; call it before anything of the state is read.

    A worker keeps its seat, however it ended, until its session is over, so that its next start finds its partitions. Who has
    one longer than that lives.

    Raises:
        WorkersRunError: somebody lives.
        BrokerDownError: the coordinator does not answer.
    """
    until = clock() + settings.session_timeout_s + settings.heartbeat_every_s + SESSION_SLACK_S
    told = False
    while True:
        try:
            return ensure_no_workers(settings, ask)
        except WorkersRunError as error:
            left = until - clock()
            if left < 0:
                raise
            if not told:
                _log.warning("%s; waiting up to %.0f s for the seats of those that ended", error, left)
                told = True
        wait(LOOK_S)


def ensure_no_workers(settings: WorkerSettings, ask: Callable[[WorkerSettings], group.Group] = group.describe) -> None:
    """Refuse while the group has members.

    Raises:
        WorkersRunError: it has.
    """
    told = _patiently(lambda: ask(settings))
    seats = () if told is None else told.seats
    if seats:
        names = ", ".join(sorted(seat.instance or seat.client for seat in seats))
        raise WorkersRunError(f"{len(seats)} workers are in the group: {names[:300]}")


async def rebuild(
    settings: WorkerSettings,
    standings: Sequence[Standing],
    fold: Callable[[], Fold],
    past: Past,
    *,
    saved: Callable[[int], StateRows] | None = None,
    passed: Collection[tuple[int, int]] = (),
    tell: Callable[[Refolded], None] = lambda _: None,
) -> None:
    """Fold these partitions anew, one after the other, and write their state; each is whole when the next begins.

    Args:
        settings: of the workers.
        standings: what stands there.
        fold: makes an empty fold, with the packs that were in force first.
        past: log and changes from their beginning.
        saved: the state of an earlier day, to begin with; None begins where the partition was folded first.
        passed: partition and offset of records that are passed over.
        tell: hears of each partition that is done.

    Raises:
        WorkersRunError, QuarantinedError: first something else is to be done.
        OriginLostError, HistoryLostError: what is to be folded is not there.
        RefoldDiffersError: it is not what was published.
    """
    ensure_no_workers(settings)
    for standing in standings:
        if any(name.startswith("quarantine-") for name in standing.rows.notes):
            raise QuarantinedError(f"partition {standing.partition}: a facility is quarantined")
    silent = await _nothing_told(settings)
    for standing in standings:
        partition = standing.partition
        async with fenced(settings, partition) as producer:
            # Behind the fence: nothing is published by anybody else any more.
            bounds = await log_bounds(settings.kafka.for_aiokafka(), settings.log_topic, [partition])
            refold = await _folded(settings, standing, fold(), past, saved, passed, bounds[partition][1], silent)
            await transact_all(producer, refold.changes(), None)
            await transact_all(producer, refold.state(standing.keys), (settings, partition, refold.done.end))
        tell(refold.done)


async def _folded(
    settings: WorkerSettings,
    standing: Standing,
    fold: Fold,
    past: Past,
    saved: Callable[[int], StateRows] | None,
    passed: Collection[tuple[int, int]],
    end: int,
    silent: bool,  # noqa: FBT001 - one caller
) -> Refold:
    partition = standing.partition
    known = await asyncio.to_thread(Known.of, past.published(partition))
    rows = None if saved is None else saved(partition)
    if rows is not None and rows.marker is not None:
        refold = Refold(partition, fold, known, settings, end)
        begin = await refold.from_state(rows)
        behind = decode_marker(rows.marker, partition).next
        refold.keep_notes(rows.notes | standing.rows.notes)
    else:
        origin, fold = _origin(standing, past, fold)
        refold = Refold(partition, fold, known, settings, end)
        begin = behind = refold.from_beginning(origin)
        refold.keep_notes(standing.rows.notes)
    told = standing.committed
    if told is None:
        # Without offsets of the group nobody knows what was told. The topic where it is told lies in the same Kafka: where nothing
        # stands there, all of it was lost, and what came behind the backup is told now.
        told = behind if silent else end
    skipped = {offset for place, offset in passed if place == partition}
    records = past.records(partition, begin, end)
    await asyncio.to_thread(refold.run, records, told=told, passed=skipped)
    refold.finish()
    return refold


async def _nothing_told(settings: WorkerSettings) -> bool:
    """Say whether the topic of what was rejected never held anything: then this is not the Kafka that it was told in."""
    topic = settings.rejected_topic
    found = await log_bounds(settings.kafka.for_aiokafka(), topic, range(settings.kafka.partitions))
    return all(end == 0 for _, end in found.values())


def _origin(standing: Standing, past: Past, fold: Fold) -> tuple[Origin, Fold]:
    """Return where the partition was folded first, and a fold that begins with the packs of there."""
    origin = None if standing.marker is None else standing.marker.origin
    if origin is not None:
        for record in standing.rows.bundles():
            fold.know(Bundle.from_record(record))
        return origin, fold.sibling(origin.packs)
    first = past.first(standing.partition)
    if first > 0:
        raise OriginLostError(f"partition {standing.partition}: log and archive begin at offset {first}")
    return Origin(offset=0, packs=fold.bundle.sha256), fold


@asynccontextmanager
async def fenced(settings: WorkerSettings, partition: int) -> AsyncIterator[AIOKafkaProducer]:
    """Give the transactional producer of a partition; whoever had it before can publish no more."""
    producer = AIOKafkaProducer(
        **settings.kafka.for_aiokafka(),
        transactional_id=f"fold-{settings.log_topic}-{partition}",
        transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
        linger_ms=0,
        max_batch_size=BATCH_BYTES,
        max_request_size=REQUEST_BYTES,
    )
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def transact_all(
    producer: AIOKafkaProducer, rows: Sequence[Row], position: tuple[WorkerSettings, int, int] | None
) -> None:
    """Send rows: with a position in one transaction with the group's offset, else in as many as it takes.

    Raises:
        NotVisibleError: with a position: what was committed cannot be read within a minute.
    """
    if position is not None:
        await _transact(producer, rows, position)
        await _stands(*position)
        return
    for batch in _batched(rows):
        await _transact(producer, batch, None)


async def _stands(settings: WorkerSettings, partition: int, offset: int) -> None:
    """Wait until what was committed can be read: the coordinator confirms it before its markers are written everywhere.

    Whoever looks at once would see a state that is lost, or the one of before.
    """
    deadline = monotonic() + COORDINATOR_S
    while True:
        (standing,) = await look(settings, [partition])
        if standing.committed == offset and standing.marker is not None and standing.marker.next == offset:
            return
        if monotonic() > deadline:
            told = f"partition {partition}: committed up to {offset}, but read is {standing.verdict} ({standing.why})"
            raise NotVisibleError(told)
        await asyncio.sleep(AGAIN_S)


def _batched(rows: Iterable[Row]) -> Iterator[list[Row]]:
    batch: list[Row] = []
    size = 0
    for row in rows:
        batch.append(row)
        size += row.size
        if len(batch) >= TAKE_ROWS or size >= TAKE_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


async def _transact(
    producer: AIOKafkaProducer, rows: Sequence[Row], position: tuple[WorkerSettings, int, int] | None
) -> None:
    await producer.begin_transaction()
    sent = [
        await producer.send(row.topic, row.value, row.key, partition=row.partition, headers=list(row.headers))
        for row in rows
    ]
    if position is not None:
        settings, partition, offset = position
        place = TopicPartition(settings.log_topic, partition)
        await producer.send_offsets_to_transaction({place: offset}, settings.group_id)
    for future in sent:  # a failed batch does not fail the commit
        await future
    await producer.commit_transaction()
