"""A real broker that lost the end of a partition, as power loss does, and took other records over the same offsets.

Slow: the broker starts twice.
"""

from __future__ import annotations

import signal
import struct
from typing import TYPE_CHECKING

import pytest

from streams import jars
from streams.broker import EmbeddedBroker
from streams.repair import look
from tests.streams.lab import Lab
from tests.streams.test_worker_kills import producer_of
from tests.streams.toy import ToyFold

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.kafka, pytest.mark.slow]
BATCH_HEADER = struct.Struct(">qi")
"""Base offset and length of what follows, at the beginning of a record batch (Kafka's message format 2)."""
LAST_OFFSET_DELTA_AT = 23


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[EmbeddedBroker]:
    jars.ensure_jars()
    with EmbeddedBroker(tmp_path / "broker") as value:
        yield value


@pytest.fixture
def lab(broker: EmbeddedBroker, tmp_path: Path) -> Iterator[Lab]:
    value = Lab(broker.bootstrap, tmp_path, partitions=1)
    value.create_topics()
    yield value
    value.close()


def lose_from(folder: Path, topic: str, offset: int) -> int:
    """Cut a partition of a stopped broker at the batch that holds an offset; returns how many bytes went."""
    place = folder / "data" / f"{topic}-0"
    (segment,) = place.glob("*.log")
    held, at = segment.read_bytes(), 0
    while at < len(held):
        base, length = BATCH_HEADER.unpack_from(held, at)
        (delta,) = struct.unpack_from(">i", held, at + LAST_OFFSET_DELTA_AT)
        if base + delta >= offset:
            break
        at += BATCH_HEADER.size + length
    segment.write_bytes(held[:at])
    for derived in [*place.glob("*.index"), *place.glob("*.timeindex"), *place.glob("*.snapshot")]:
        derived.unlink()
    (folder / "data" / ".kafka_cleanshutdown").unlink(missing_ok=True)
    return len(held) - at


async def folded_and_stopped(lab: Lab) -> dict[str, int]:
    """Let a worker fold some records and stop in order; returns the newest record that its marker names."""
    worker = lab.spawn("w1")
    async with producer_of(lab) as producer:
        for _ in range(40):  # a batch each
            await lab.feed(producer, 1)
    await lab.caught_up()
    worker.signal(signal.SIGTERM)
    assert worker.process.wait(30) == 0
    tail: dict[str, int] = (await lab.marks())[0]["tail"]
    return tail


async def test_a_worker_does_not_start_on_another_log(lab: Lab, broker: EmbeddedBroker) -> None:
    tail = await folded_and_stopped(lab)
    before = await lab.changes()
    broker.stop()
    assert lose_from(broker.folder, lab.base.log_topic, tail["offset"] - 10) > 0
    broker.start()
    assert (await lab.ends())[0] <= tail["offset"]
    async with producer_of(lab) as producer:
        await lab.feed(producer, 60)
    assert (await lab.ends())[0] > tail["offset"] + 1
    worker = lab.spawn("w1")
    assert worker.process.wait(60) == 4
    assert "another one stands there now" in worker.text()
    assert await lab.changes() == before
    (standing,) = await look(lab.base, [0])
    assert (standing.verdict, "another one stands there now" in standing.why) == ("regrown", True)


async def test_a_broker_that_was_only_stopped_holds_what_was_folded(lab: Lab, broker: EmbeddedBroker) -> None:
    await folded_and_stopped(lab)
    broker.stop()
    broker.start()
    async with producer_of(lab) as producer:
        await lab.feed(producer, 10)
    (standing,) = await look(lab.base, [0])
    assert standing.verdict == "whole"
    lab.spawn("w1")
    await lab.agree(ToyFold)
