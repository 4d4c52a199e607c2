"""Begin where the store says: lease, cluster, offsets, and what Kafka has dropped since."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from sqlalchemy import select

from monitor.archive import alarms, index
from monitor.archive.source import LogShorterError
from monitor.store.tables import ArchiveSpan, ConsumerOffset
from rules.errors import ContractError

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from monitor.archive.lease import Tenancy
    from monitor.archive.source import Ends, Where
    from monitor.store.session import Store


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
        alarms.close_all(session, alarms.STOPPED, now_ms)
    return offsets, lost


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
