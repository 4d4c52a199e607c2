"""Sends what the fold of facilities says of lots to the fold of lots (ADR 0073).

Not in the transactions of changes: a fact is sent again with the same number after a death, and the fold of lots drops what it
knows. So the topic of lots has no markers of transactions between its facts, and nobody has to be fenced. What must hold is
that no checkpoint is written before the facts of the records that it stands for are with the broker. Packs go in the transaction of a
checkpoint: once.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from streams.checkpoint import Row
from streams.client_kinds import AIOKAFKA
from streams.codec import encode, home_of, lot_key
from streams.topics import BATCH_OVERHEAD, RECORD_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rules.lots.facts import LotFact
    from rules.records import PacksRecord
    from streams.client_kinds import ClientKinds
    from streams.worker_settings import WorkerSettings

TAKE = 2_000
"""Facts on the wire at once."""


def fact_row(settings: WorkerSettings, fact: LotFact) -> Row:
    """Return a fact as it is sent: to the partition of its lot."""
    headers, value = encode(fact)
    key = lot_key(fact.lot)
    return Row(settings.lots_topic, home_of(key, settings.kafka.partitions), key.encode(), value, tuple(headers))


def packs_row(settings: WorkerSettings, partition: int, packs: PacksRecord) -> Row:
    """Return packs as the log's partition hands them on to that of lots: each gets them from one of the same number."""
    headers, value = encode(packs)
    return Row(settings.lots_topic, partition, b"", value, tuple(headers))


class FactSender:
    """The one producer of facts of a process; started with the first fact."""

    def __init__(self, clients: Mapping[str, Any], kinds: ClientKinds = AIOKAFKA) -> None:
        self._clients, self._kinds = clients, kinds
        self._producer: Any = None
        self._starting = asyncio.Lock()

    async def send(self, rows: Iterable[Row]) -> None:
        """Send rows in order; returns when the broker has all of them.

        Raises:
            KafkaError: it does not; none of them may be counted as sent.
        """
        waiting = list(rows)
        if not waiting:
            return
        producer = await self._started()
        for begin in range(0, len(waiting), TAKE):
            sent = [
                await producer.send(row.topic, row.value, row.key, partition=row.partition, headers=list(row.headers))
                for row in waiting[begin : begin + TAKE]
            ]
            for future in sent:
                await future

    async def stop(self) -> None:
        """Close the producer; a later fact starts another one."""
        async with self._starting:
            producer, self._producer = self._producer, None
            if producer is not None:
                await producer.stop()

    async def _started(self) -> Any:  # noqa: ANN401 - of either kind
        async with self._starting:
            if self._producer is None:
                # Not idempotent, as the ticker's: aiokafka numbers batches also when it gives them up, and is refused from then on.
                producer = self._kinds.producer(
                    **self._clients, acks="all", linger_ms=5, max_request_size=RECORD_BYTES + BATCH_OVERHEAD
                )
                await producer.start()
                self._producer = producer
            return self._producer
