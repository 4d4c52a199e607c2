"""Where the desk stands in the topic of changes: moved in the transaction that holds what it made of the records before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite

from monitor.alarms import operators
from monitor.store.tables import ConsumerOffset
from rules.errors import ContractError
from streams.topics import ALARMS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.orm import Session

CONSUMER = "desk"
LOST, CUT = "changes-lost", "changes-cut"


class MovedError(ContractError):
    """Another desk on this store has read on."""

    code = "desk_moved"
    retriable = True
    action = "Nothing is wrong: several desks share the work, and this one goes on where the offsets are."


def known(
    session: Session, *, lock: bool = False, consumer: str = CONSUMER, topic: str = ALARMS
) -> dict[int, ConsumerOffset]:
    """Return the row of each partition; locked, one transaction at a time goes on from there."""
    rows = select(ConsumerOffset).where(ConsumerOffset.consumer == consumer, ConsumerOffset.topic == topic)
    if lock:
        rows = rows.order_by(ConsumerOffset.partition).with_for_update().execution_options(populate_existing=True)
    return {row.partition: row for row in session.scalars(rows)}


def move(
    session: Session,
    stand: Mapping[int, int],
    to: Mapping[int, int],
    cluster: str,
    consumer: str = CONSUMER,
    topic: str = ALARMS,
    *,
    tails: Mapping[int, int | None],
) -> None:
    """Move the offsets of some partitions from where they stood.

    Args:
        session: the caller's.
        stand: partition -> where its offset stood; not there for one without a row.
        to: partition -> the offset behind what was read.
        cluster: the Kafka cluster they are of.
        consumer: whose offsets.
        topic: of what.
        tails: partition -> when the broker appended the newest record before.

    Raises:
        MovedError: they stand elsewhere by now.
    """
    new = sorted(set(to) - set(stand))
    if new:
        insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
        empty = {"consumer": consumer, "topic": topic, "cluster": cluster, "next_offset": -1}
        session.execute(
            insert(ConsumerOffset).on_conflict_do_nothing(), [empty | {"partition": number} for number in new]
        )
    rows = known(session, lock=True, consumer=consumer, topic=topic)
    for partition, offset in to.items():
        row = rows[partition]
        if (row.next_offset, row.cluster) != (stand.get(partition, -1), cluster):
            raise MovedError(f"partition {partition}: another desk has read up to {row.next_offset}")
        row.next_offset, row.tail_ms = offset, tails[partition]


def ensure(session: Session, stand: Mapping[int, int], consumer: str, topic: str) -> None:
    """See that the offsets stand where they stood, and keep them there until the transaction ends.

    Raises:
        MovedError: they stand elsewhere by now.
    """
    rows = known(session, lock=True, consumer=consumer, topic=topic)
    if {partition: row.next_offset for partition, row in rows.items()} != dict(stand):
        raise MovedError(f"{topic}: another desk has read on")


def mended(
    session: Session, spans: Mapping[int, tuple[int, int]], regrown: Mapping[int, str], now_ms: int
) -> dict[int, ConsumerOffset]:
    """Go on where a partition begins if it does not hold the next offset any more, and tell operators why.

    What retention has dropped shows as gaps of its streams too, unless it was the newest of them: so the offsets are named,
    and are looked for in the archive (`monitor.desk.healing`). A topic that ends before what was read of it was cut or made
    anew, as was one that holds another record where the newest was read (it has grown again since): it is read again whole, and
    what is known already vanishes.

    Args:
        session: the caller's.
        spans: first and next offset of each partition in Kafka.
        regrown: partitions that lost their end and grew again -> what is seen of it.
        now_ms: the wall clock.
    """
    rows = known(session, lock=True)
    for partition, row in rows.items():
        begin, end = spans.get(partition, (0, row.next_offset))
        if row.next_offset < begin:
            subject = f"{ALARMS}/{partition}@{row.next_offset}-{begin - 1}"
            detail = f"Kafka dropped offsets {row.next_offset} to {begin - 1} before they were read"
            operators.opened(session, LOST, subject, detail, now_ms)
        elif row.next_offset > end:
            detail = f"the topic ends at {end}, but was read up to {row.next_offset}: it is read again from {begin}"
            operators.opened(session, CUT, f"{ALARMS}/{partition}", detail, now_ms)
        elif partition in regrown:
            detail = f"{regrown[partition]}: it is read again from {begin}"
            operators.opened(session, CUT, f"{ALARMS}/{partition}", detail, now_ms)
        else:
            continue
        row.next_offset, row.tail_ms = begin, None
    session.flush()
    return rows


def lost_span(subject: str) -> tuple[int, int, int]:
    """Return partition, first offset and the one behind the last of what an alarm of lost changes is about.

    >>> lost_span("offsite.alarms.v1/3@120-140")
    (3, 120, 141)
    """
    where, _, span = subject.rpartition("@")
    begin, _, last = span.partition("-")
    return int(where.rpartition("/")[2]), int(begin), int(last) + 1
