"""Begin where the store says: lease, cluster, offsets, and what Kafka has dropped since."""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, ClassVar

from sqlalchemy import select

from monitor.archive import alarms, index
from monitor.archive.chunkfile import ChunkDamagedError, open_chunk
from monitor.archive.source import LogRegrownError, LogShorterError
from monitor.store.tables import ArchiveSpan, ConsumerOffset
from rules.errors import ContractError
from rules.instants import format_instant

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy.orm import Session

    from monitor.archive.chunkfile import RawRecord
    from monitor.archive.lease import Tenancy
    from monitor.archive.source import Ends, Source, Where
    from monitor.store.session import Store

log = logging.getLogger("offsite.archiver")


class OtherClusterError(ContractError):
    """The archive holds the records of another cluster."""

    code: ClassVar[str] = "other_cluster"
    action: ClassVar[str] = (
        "Point OFFSITE_KAFKA_BOOTSTRAP to the cluster that was archived, or OFFSITE_STORE_URL and OFFSITE_ARCHIVER_FOLDER"
        " to a new archive."
    )


def begin(
    store: Store, tenancy: Tenancy, cluster: str, ends: dict[Where, Ends], now_ms: int
) -> tuple[dict[Where, int], dict[Where, int]]:
    """Return where each partition goes on, and how many offsets of it were lost.

    A partition that was never archived begins where the log begins. One whose next offset Kafka has dropped goes on at the
    log's beginning, and operators are told which offsets are lost.

    Raises:
        LeaseHeldError: another archiver works.
        OtherClusterError: the archive is of another cluster.
        LogShorterError: a topic ends before what was archived of it.
    """
    offsets: dict[Where, int] = {}
    lost: dict[Where, int] = {}
    with store.writing() as session:
        tenancy.take(session)
        others = index.clusters(session) - {cluster}
        if others:
            raise OtherClusterError(f"the archive is of cluster {', '.join(sorted(others))}, not {cluster}")
        stored = index.next_offsets(session)
        short = [f"{topic}/{n} ends at {end.end}, archived to {stored[topic, n]}"
                 for (topic, n), end in ends.items() if stored.get((topic, n), 0) > end.end]  # fmt: skip
        if short:
            raise LogShorterError("; ".join(short))
        for where, end in ends.items():
            offsets[where] = max(stored.get(where, 0), end.begin)
            if where not in stored:
                _new(session, cluster, where, end.begin)
            elif stored[where] < end.begin:
                lost[where] = end.begin - stored[where]
                _skip(session, where, stored[where], end.begin, now_ms)
    return offsets, lost


def ensure_not_regrown(store: Store, folder: Path, source: Source, ends: dict[Where, Ends]) -> None:
    """Look whether Kafka still holds the newest archived record of each partition, byte for byte.

    A topic that lost its end (its only broker lost power) grows again over the same offsets; bounds alone do not show it. Nothing
    is said of a record that retention took, nor of one in a file that cannot be read: `offsite archive verify` tells of that.

    Raises:
        LogRegrownError: another record stands there, or none.
        LogDroppedError: retention took it just now.
    """
    for where, end in sorted(ends.items()):
        with store.reading() as session:
            chunk = index.newest(session, *where)
        if chunk is None or not end.begin <= chunk.last_offset < end.end:
            continue
        try:
            ((kept, _),) = deque(open_chunk(folder, chunk), maxlen=1)
        except ChunkDamagedError as error:
            log.warning("%s/%d: its newest archived record cannot be compared with Kafka's: %s", *where, error)
            continue
        held = source.first_from(where, chunk.last_offset, end.end)
        if held != kept:
            raise LogRegrownError(_instead(where, kept, held))


def resumed(store: Store, now_ms: int) -> None:
    """Close what operators were told of an archiver that stopped: nothing stands against going on."""
    with store.writing() as session:
        alarms.close_all(session, alarms.STOPPED, now_ms)


def _instead(where: Where, kept: RawRecord, held: RawRecord | None) -> str:
    topic, partition = where
    was = f"{topic}/{partition}: the record at offset {kept.offset}, appended at {_at(kept)}, was archived"
    if held is None or held.offset != kept.offset:
        return f"{was}; Kafka holds none there now"
    return f"{was}; another one stands there now, appended at {_at(held)}"


def _at(record: RawRecord) -> str:
    return format_instant(record.timestamp) if record.hour_ms else f"{record.timestamp} ms"


def _new(session: Session, cluster: str, where: Where, offset: int) -> None:
    topic, partition = where
    session.add(
        ConsumerOffset(consumer=index.CONSUMER, topic=topic, partition=partition, next_offset=offset, cluster=cluster)
    )
    session.add(ArchiveSpan(topic=topic, partition=partition, begin_offset=offset, end_offset=offset, records=0))


def _skip(session: Session, where: Where, stood: int, begins: int, now_ms: int) -> None:
    topic, partition = where
    row = session.scalars(
        select(ConsumerOffset).where(
            ConsumerOffset.consumer == index.CONSUMER,
            ConsumerOffset.topic == topic,
            ConsumerOffset.partition == partition,
        )
    ).one()
    row.next_offset = begins
    session.add(ArchiveSpan(topic=topic, partition=partition, begin_offset=begins, end_offset=begins, records=0))
    detail = (
        f"Kafka dropped offsets {stood} to {begins - 1} of {topic}/{partition} before they were archived; "
        f"在归档前 Kafka 已删除 {topic}/{partition} 的偏移量 {stood} 至 {begins - 1}"
    )
    alarms.open_alarm(session, alarms.GAP, f"{topic}/{partition}@{stood}", detail, now_ms)
