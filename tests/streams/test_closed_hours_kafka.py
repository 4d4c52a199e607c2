"""Hours and days that are over on a real Kafka: a rebuild writes them, a look reads and misses them, a start tells (ADR 0084)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from rules.engine import Engine
from rules.records import Kind, LogRecord, RegisterRecord
from streams import repair
from streams.codec import home_of
from streams.restore import log_bounds, restore_partition
from tests.rules import claimlogs
from tests.rules.claimlogs import DAY, FACILITY, MINUTE
from tests.rules.logs import Row, readings
from tests.streams.sites import Site

if TYPE_CHECKING:
    from streams.settings import KafkaSettings

pytestmark = pytest.mark.kafka
BUNDLE = claimlogs.bundle()


class Figures(Site):
    """The partition of a facility whose reports are compared with figures."""

    def __init__(self, kafka: KafkaSettings) -> None:
        super().__init__(kafka)
        self.partition = home_of(FACILITY, kafka.partitions)

    async def rebuild(self, **more: Any) -> list[Any]:
        await repair.rebuild(self.settings, [await self.standing()], lambda: Engine(BUNDLE), self.past, **more)
        return []

    async def start(self) -> tuple[Engine, list[str]]:
        """Start as a worker does; returns its fold, and why facilities are folded anew."""
        engine, rows = Engine(BUNDLE), (await self.standing()).rows
        bounds = await log_bounds(self.kafka.for_aiokafka(), self.settings.log_topic, [self.partition])
        start = await restore_partition(engine, rows, None, bounds[self.partition])
        return engine, [bad.why for bad in start.bad]


def log() -> list[LogRecord]:
    """Three days of rows every five minutes, up to now: the broker says when they were received."""
    now = time.time_ns() // 1_000_000 // (5 * MINUTE) * 5 * MINUTE
    entity = claimlogs.facility(tags={"T1": 5 * MINUTE})
    records = [LogRecord(0, 0, now, Kind.REGISTER, FACILITY, RegisterRecord(version=1, facility=entity))]
    for begin in range(now - 3 * DAY, now, DAY):
        rows = [Row("T1", t, 5.0 + t % 7 / 10) for t in range(begin, begin + DAY, 5 * MINUTE)]
        records.append(LogRecord(0, 0, now, Kind.READINGS, FACILITY, readings(rows, f"b{begin}")))
    return records


async def test_they_are_written_read_missed_told_and_rebuilt(kafka_settings: KafkaSettings) -> None:
    site = Figures(kafka_settings)
    await site.send(log())
    await site.rebuild()
    engine, bad = await site.start()
    assert bad == []
    whole = engine.snapshot(site.partition, FACILITY)
    found = await site.standing()
    closed = sorted(key for key in found.keys if "~h" in key)
    assert len(closed) >= 2
    assert any("~d" in key for key in found.keys)
    assert found.rows.snapshot(FACILITY) == whole
    await site.put_state(closed[0].encode(), None)
    assert f"a worker folds {FACILITY} anew" in (await site.standing()).why
    engine, (why,) = await site.start()
    assert "are missing" in why
    assert engine.facilities(site.partition) == []
    await site.rebuild()
    assert (await site.start())[1] == []
    again = await site.standing()
    assert "anew" not in again.why
    assert closed[0] in again.keys
    assert again.rows.snapshot(FACILITY) == whole
