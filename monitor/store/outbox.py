"""Write what is to be appended to Kafka into the transaction that decides it.

Whoever adds a row locks the row's lane first (one lane per topic and key) and takes the next position: two writers of the
same facility wait for each other, so positions follow the order of commits on both dialects, and the relay keeps to it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite

from monitor.store.restored import ensure_rebuilt
from monitor.store.tables import OutboxLane, OutboxRow
from rules.errors import BadInputError, Fault
from streams.codec import encode
from streams.topics import ACCESS, LOG

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from rules.records import Payload

MAX_RECORD = 8 * 1024 * 1024
"""The log's `max.message.bytes`: a larger row could never be sent and would hold up its lane for ever."""
TOPICS = (LOG, ACCESS)


@dataclass(frozen=True, slots=True)
class Entry:
    """One record to append: logical topic, key, headers, value (none is a tombstone)."""

    topic: str
    key: str
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    to_partition: int | None = None


def log_entry(facility: str, payload: Payload) -> Entry:
    """Return the entry that appends one record of a facility to the log."""
    headers, value = encode(payload)
    return Entry(LOG, facility, value, tuple(headers))


def access_entry(key: str, value: bytes | None) -> Entry:
    """Return the entry that sets or removes one key of the access topic."""
    return Entry(ACCESS, key, value)


def add(session: Session, entries: list[Entry], now_ms: int) -> None:
    """Add rows in the caller's transaction, in the order given.

    Raises:
        BadInputError: a value is too large for the topic.
        NotRebuiltError: the store came out of a backup and does not know the newest versions yet.
    """
    ensure_rebuilt(session)
    faults = [
        Fault(entry.key, "too_large", f"{len(entry.value)} bytes; a record holds at most {MAX_RECORD}")
        for entry in entries
        if entry.value is not None and len(entry.value) > MAX_RECORD - 4096
    ]
    if faults:
        raise BadInputError("outbox", faults)
    # Lanes are locked in one order, whatever order the entries have: two writers can never wait for each other in a ring.
    lanes = {name: _locked(session, name) for name in sorted({_lane(entry) for entry in entries})}
    for entry in entries:
        lane = lanes[_lane(entry)]
        lane.last_position += 1
        lane.unsent += 1
        session.add(
            OutboxRow(
                lane=lane.lane,
                position=lane.last_position,
                topic=entry.topic,
                key=entry.key,
                to_partition=entry.to_partition,
                headers=json.dumps([[name, value.decode()] for name, value in entry.headers]),
                value=entry.value,
                created_ms=now_ms,
            )
        )
    session.flush()


def _lane(entry: Entry) -> str:
    return f"{entry.topic}|{entry.key}" if entry.to_partition is None else f"{entry.topic}|#{entry.to_partition}"


def _locked(session: Session, name: str) -> OutboxLane:
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    empty = {"lane": name, "last_position": 0, "unsent": 0, "claimed_until_ms": 0, "attempts": 0}
    session.execute(insert(OutboxLane).values(empty).on_conflict_do_nothing())
    return session.execute(
        select(OutboxLane).where(OutboxLane.lane == name).with_for_update().execution_options(populate_existing=True)
    ).scalar_one()
