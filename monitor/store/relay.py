"""The outbox relay: append what was committed to Kafka, lane by lane in order, and mark it sent.

A relay claims lanes that have unsent rows for a while, so that several relays share the work. A relay that was frozen
beyond its claim can send a row again or late:
- in the log every record carries a version, and the fold ignores one that is not newer;
- in the access topic the last entry wins, so there a late key entry would undo a revocation. Those rows go by one
  transactional producer whose id all relays share: Kafka fences the older relay before the newer one sends.
A row is marked sent after the broker's ack; a crash in between sends it again. In the log a row is sent after the ack of the
one before it in its lane, so whatever fails, the first copies stand there in the lane's order.
"""

from __future__ import annotations

import json
import logging
import secrets
from typing import TYPE_CHECKING, Any

from kafka import KafkaProducer
from kafka.errors import KafkaError
from sqlalchemy import select

from monitor.store.tables import OutboxLane, OutboxRow
from streams.clients import let_go, opened
from streams.topics import ACCESS, RECORD_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.store.session import Store
    from streams.settings import KafkaSettings

    Lane = tuple[str, list[OutboxRow]]
    Ack = tuple[int, int]
    Answer = tuple[list[Ack], Exception | None]
    """What became of a lane's rows: the acks of the first of them, and why there are no more."""

log = logging.getLogger(__name__)
CLAIM_MS = 30_000
SEND_TIMEOUT_S = 15.0
LANES = 256
ROWS = 32


def _ack(future: Any) -> Ack:  # noqa: ANN401 - kafka-python ships no types
    found = future.get(timeout=SEND_TIMEOUT_S)
    return found.partition, found.offset


class Relay:
    """Sends unsent rows. `send_once` is one round; whoever owns the relay decides when (desk thread, command)."""

    def __init__(self, store: Store, kafka: KafkaSettings, clock_ms: Callable[[], int]) -> None:
        """Make the relay; it connects at its first row."""
        self._store = store
        self._kafka = kafka
        self._now = clock_ms
        self.name = f"relay-{secrets.token_hex(4)}"
        self._plain: Any = None
        self._fenced: Any = None
        self._claimed_until = 0

    def send_once(self) -> int:
        """Send one round of rows; returns how many were sent. A failure is kept with its lane and tried again later.

        The log goes first: a key that opened the door before its facility's register stands in the log would let in
        readings that no rule can judge. While log rows wait, only revocations go through.
        """
        claimed = self._claim()
        plain = [(lane, rows) for lane, rows in claimed if rows[0].topic != ACCESS]
        sent = self._round(plain, self._send_plain)
        held = sent < sum(len(rows) for _, rows in plain)
        fenced = [
            (lane, rows)
            for lane, rows in claimed
            if rows[0].topic == ACCESS and not (held and any(row.value is not None for row in rows))
        ]
        return sent + self._round(fenced, self._send_fenced)

    def waiting(self) -> int:
        """Return how many rows wait."""
        with self._store.reading() as session:
            return sum(session.scalars(select(OutboxLane.unsent).where(OutboxLane.unsent > 0)))

    def close(self) -> None:
        """Let the producers go; the next round makes new ones."""
        for producer in (self._plain, self._fenced):
            if producer is not None:
                let_go(producer, 2)
        self._plain = self._fenced = None

    def _claim(self) -> list[tuple[str, list[OutboxRow]]]:
        with self._store.reading() as session:  # the common case, nothing to do, must not take the write lock
            if session.scalars(select(OutboxLane.lane).where(OutboxLane.unsent > 0).limit(1)).first() is None:
                return []
        now = self._now()
        with self._store.writing() as session:
            lanes = session.scalars(
                select(OutboxLane)
                .where(OutboxLane.unsent > 0)
                .where((OutboxLane.claimed_until_ms < now) | (OutboxLane.claimed_by == self.name))
                .order_by(OutboxLane.lane.desc())  # the log's lanes before those of the access topic
                .limit(LANES)
                .with_for_update(skip_locked=True)
            ).all()
            self._claimed_until = now + CLAIM_MS
            for lane in lanes:
                lane.claimed_by, lane.claimed_until_ms = self.name, self._claimed_until
            return [
                (
                    lane.lane,
                    list(
                        session.scalars(
                            select(OutboxRow)
                            .where(OutboxRow.lane == lane.lane, OutboxRow.sent_ms.is_(None))
                            .order_by(OutboxRow.position)
                            .limit(ROWS)
                        )
                    ),
                )
                for lane in lanes
            ]

    def _round(self, lanes: list[Lane], send: Callable[[list[Lane]], list[Answer]]) -> int:
        sent = 0
        if not lanes:
            return sent
        try:
            answers = send(lanes)
        except (KafkaError, OSError) as error:
            answers = [([], error)] * len(lanes)
        for (lane, rows), (acks, why) in zip(lanes, answers, strict=True):
            self._sent(lane, rows[: len(acks)], acks, why)
            sent += len(acks)
        if any(why is not None for _, why in answers):
            self.close()
        return sent

    def _send_fenced(self, lanes: list[Lane]) -> list[Answer]:
        """Send all lanes in one transaction: all or none."""
        producer = self._producer(fenced=True)
        producer.begin_transaction()
        futures = [[self._append(producer, row) for row in rows] for _, rows in lanes]
        producer.commit_transaction()
        return [([_ack(future) for future in some], None) for some in futures]

    def _send_plain(self, lanes: list[Lane]) -> list[Answer]:
        """Send all lanes side by side, each row after the ack of the one before: none overtakes one that fails."""
        producer = self._producer(fenced=False)
        acks: list[list[Ack]] = [[] for _ in lanes]
        errors: list[Exception | None] = [None] * len(lanes)
        for depth in range(max(len(rows) for _, rows in lanes)):
            if self._now() > self._claimed_until - int(SEND_TIMEOUT_S * 1000):
                break  # frozen, or slow: the claim must not end under a row that is under way
            sending = []
            for number, (_, rows) in enumerate(lanes):
                if depth < len(rows) and errors[number] is None:
                    try:
                        sending.append((number, self._append(producer, rows[depth])))
                    except (KafkaError, OSError) as error:
                        errors[number] = error
            for number, future in sending:
                try:
                    acks[number].append(_ack(future))
                except (KafkaError, OSError) as error:
                    errors[number] = error
        return list(zip(acks, errors, strict=True))

    def _append(self, producer: Any, row: OutboxRow) -> Any:  # noqa: ANN401 - kafka-python ships no types
        return producer.send(
            self._kafka.topic(row.topic),
            key=row.key.encode(),
            value=row.value,
            headers=[(name, value.encode()) for name, value in json.loads(row.headers)],
            partition=row.to_partition,
        )

    def _producer(self, *, fenced: bool) -> Any:  # noqa: ANN401 - kafka-python ships no types
        if fenced and self._fenced is None:
            self._fenced = self._make(transactional_id=f"{self._kafka.topic_prefix}offsite-outbox-access")
            self._fenced.init_transactions()
        if not fenced and self._plain is None:
            self._plain = self._make()
        return self._fenced if fenced else self._plain

    def _make(self, **more: object) -> Any:  # noqa: ANN401 - kafka-python ships no types
        return opened(
            KafkaProducer,
            acks="all",
            max_request_size=RECORD_BYTES + 65_536,
            request_timeout_ms=10_000,
            delivery_timeout_ms=12_000,
            max_block_ms=10_000,
            bootstrap_timeout_ms=5_000,
            **self._kafka.for_kafka_python(),
            **more,
        )

    def _sent(self, lane: str, rows: list[OutboxRow], acks: list[Ack], error: Exception | None = None) -> None:
        """Mark what was sent, and let the lane go: at once, or after a while if the rest failed."""
        if error is not None:
            log.warning("outbox %s: %s; the rows stay and are sent again", lane, error)
        with self._store.writing() as session:
            held = session.get_one(OutboxLane, lane, with_for_update=True)
            now, fresh = self._now(), 0
            for row, (partition, offset) in zip(rows, acks, strict=True):
                stored = session.get_one(OutboxRow, row.id)
                if (
                    stored.sent_ms is None
                ):  # else another relay sent it while this one was frozen: the first copy counts
                    fresh += 1
                    stored.sent_ms, stored.partition, stored.offset = now, partition, offset
            held.unsent -= fresh
            if error is None:
                held.attempts, held.error = 0, None
            else:
                held.attempts = 1 if acks else held.attempts + 1
                held.error = f"{type(error).__name__}: {error}"[:500]
            if held.claimed_by == self.name:
                held.claimed_by = None
                held.claimed_until_ms = 0 if error is None else now + min(1000 * 2 ** min(held.attempts, 10), CLAIM_MS)
