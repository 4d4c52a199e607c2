"""What one transaction holds at most: changes go out in bounded parts, in order, and a checkpoint takes what is left."""

from __future__ import annotations

import asyncio
from itertools import accumulate, pairwise

import pytest

from streams.checkpoint import Row
from streams.ledger import Ledger
from streams.tenure import TAKE_BYTES, TAKE_ROWS
from tests.streams.test_tenure import SETTINGS, MemoryBroker, tenure_of
from tests.streams.toy import ToyFold


def rows(count: int, size: int) -> list[Row]:
    return [Row(SETTINGS.alarms_topic, 0, f"{i}".encode(), bytes(size)) for i in range(count)]


@pytest.mark.parametrize(
    ("count", "size"),
    [
        (TAKE_ROWS, 1),
        (TAKE_ROWS + 1, 1),
        (2 * TAKE_ROWS + 1, 1),
        (7, TAKE_BYTES // 3),
        (3, 2 * TAKE_BYTES),
        (40, 300_000),
    ],
)
async def test_a_transaction_is_bounded_in_rows_and_bytes_and_nothing_is_lost_or_turned_round(
    count: int, size: int
) -> None:
    broker = MemoryBroker()
    tenure = await tenure_of(broker, ToyFold(), Ledger(1_000_000, 1_000_000_000))
    wanted = rows(count, size)
    for row in wanted:
        tenure._add(row)
    async with asyncio.timeout(30):
        while len(broker.rows.get(SETTINGS.alarms_topic, [])) < count:  # noqa: ASYNC110 - a broker in memory tells nobody
            await asyncio.sleep(0)
    parts = list(broker.transactions)
    await tenure.close()
    assert [key for key, _, _ in broker.rows[SETTINGS.alarms_topic]] == [row.key for row in wanted]
    assert sum(parts) == count
    for begin, end in pairwise([0, *accumulate(parts)]):
        part = wanted[begin:end]
        assert len(part) <= TAKE_ROWS
        assert sum(row.size for row in part[:-1]) < TAKE_BYTES  # one row more than fits, never two
