"""Outages of ours and clocks that jump, from the fetch to what is published: no silence stands that was not the firm's."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from rules.alarms import fold_alarms
from rules.changes import Change
from rules.engine import Engine
from rules.records import Kind, LogRecord, RegisterRecord, Tick
from streams import custody as module
from streams.custody import Custody
from streams.restore import restore_partition
from streams.sensor import Sensor
from streams.tenure import Tenure
from tests.rules import logs
from tests.streams.lab import judge, offline
from tests.streams.test_quarantine import raw
from tests.streams.test_tenure import BUNDLE, SETTINGS, Halts, MemoryBroker, MemoryProducer, published, settle

if TYPE_CHECKING:
    from collections.abc import Mapping

BEGIN = logs.BEGIN
SECOND, MINUTE, HOUR = 1_000, 60_000, 3_600_000
ENTITY = logs.facility([("T0", "A1", 60), ("T1", "A1", 60)])


@dataclass
class Story:
    """A partition's log as it comes to be, minute by minute; `skew` is what the broker's clock is ahead."""

    log: list[LogRecord] = field(default_factory=list)
    real: list[int] = field(default_factory=list)
    """When each record was appended by a clock that is right."""
    skew: int = 0

    def append(self, at: int, kind: Kind, payload: Any, facility: str = logs.FACILITY) -> None:
        self.real.append(at)
        self.log.append(LogRecord(0, len(self.log), at + self.skew, kind, facility, payload))

    def minutes(
        self, begin: int, end: int, *, posts: bool = True, gateway: bool = True, workers: tuple[str, ...] = ("w1",)
    ) -> Story:
        """What comes in [begin, end) minutes: a post of both sensors, ticks of whoever ticks."""
        for minute in range(begin, end):
            at = BEGIN + minute * MINUTE
            if posts:
                rows = [logs.Row(tag, at, 5.0 + 0.1 * (minute % 7)) for tag in ("T0", "T1")]
                self.append(at + SECOND, Kind.READINGS, logs.readings(rows, f"m{minute}"))
            if gateway:
                self.append(at + 2 * SECOND, Kind.TICK, Tick(by="gw-1", role="gateway", now=at + 2 * SECOND), "")
            for i, worker in enumerate(workers, 3):
                self.append(at + i * SECOND, Kind.TICK, Tick(by=worker, role="worker", now=at + i * SECOND), "")
        return self

    def backfill(self, begin: int, end: int, at_minute: int) -> Story:
        """What the firm kept and posts in one batch."""
        rows = [
            logs.Row(tag, BEGIN + m * MINUTE, 5.0 + 0.1 * (m % 7)) for tag in ("T0", "T1") for m in range(begin, end)
        ]
        self.append(BEGIN + at_minute * MINUTE, Kind.READINGS, logs.readings(rows, f"back{begin}"))
        return self


def story() -> Story:
    begun = Story()
    begun.append(BEGIN - SECOND, Kind.REGISTER, RegisterRecord(version=1, facility=ENTITY))
    return begun


class World:
    """Custody of one partition over a broker in memory; the worker's clock is the test's."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.own = 0
        self.waited = 0.0
        self.broker = MemoryBroker()
        self.sought: list[int] = []
        monkeypatch.setattr(module, "_wall_ms", lambda: self.own)

    async def open(self) -> None:
        self.custody = Custody(Engine(BUNDLE), SETTINGS, Sensor(), Halts())
        self.custody.guard._own_ms = lambda: self.own
        self.custody.guard._monotonic_s = lambda: self.waited
        self.custody.want([0])
        tenure = Tenure(0, self.custody.fold, SETTINGS, {}, self.custody._ledger, Sensor(), Halts())
        await tenure._producer.stop()
        tenure._producer = MemoryProducer(self.broker)
        state = self.broker.state(SETTINGS.state_topic)
        tenure.begin(await restore_partition(self.custody.fold, state, self.broker.offset, (0, 1 << 40)))
        self.custody.tenures[0] = tenure

        async def seek(positions: Mapping[int, int]) -> None:
            await asyncio.sleep(0)
            self.sought.append(positions[0])

        self.custody.seek = seek
        self.custody.positioned([0])

    async def live(self, told: Story, chunk: int = 3) -> None:
        """Fetch what has been appended, as time goes on; what was dropped comes again once it is sought."""
        at = 0
        while at < len(told.log):
            self.own = told.real[min(at + chunk, len(told.log)) - 1] + 10
            count = len(self.sought)
            records = [raw(record) for record in told.log[at : at + chunk]]
            await self.custody.take(0, records, self.custody.stamp)  # type: ignore[arg-type]
            at = self.sought[-1] if len(self.sought) > count else at + len(records)
        await settle(self.custody.tenures[0])

    async def close(self) -> list[Change]:
        await self.custody.release()
        seen: dict[int, dict[str, Any]] = {row["seq"]: row for row in published(self.broker)}
        return [
            Change.model_validate_json(json.dumps({k: v for k, v in seen[n].items() if k != "_p"}))
            for n in sorted(seen)
        ]

    def states(self) -> list[str]:
        rows = [json.loads(value) for _, value, _ in self.broker.rows.get(SETTINGS.rejected_topic, [])]
        return [row["state"] for row in rows if row["by"] == "clock"]


def standing(changes: list[Change]) -> list[tuple[str, str]]:
    return [(alarm.rule, alarm.status) for alarm in fold_alarms(changes) if alarm.status in {"active", "unknown"}]


def said(changes: list[Change]) -> set[tuple[str, str]]:
    return {(change.rule.rpartition(".")[2], change.change.value) for change in changes}


async def test_a_record_stamped_an_hour_ahead_leaves_no_silence_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    told = story().minutes(0, 5)
    told.skew = 10 * MINUTE
    told.minutes(5, 6)
    told.skew = 0
    told.minutes(6, 20)
    world = World(monkeypatch)
    await world.open()
    await world.live(told)
    changes = await world.close()
    judge(published(world.broker), offline([*told.log], Engine(BUNDLE)))
    assert standing(changes) == []
    assert world.states() == ["held", "reached", "back"]


async def test_without_the_guard_that_silence_would_stand_for_all_that_time(monkeypatch: pytest.MonkeyPatch) -> None:
    told = story().minutes(0, 5)
    told.skew = 10 * MINUTE
    told.minutes(5, 6)
    told.skew = 0
    told.minutes(6, 8)
    world = World(monkeypatch)
    await world.open()
    monkeypatch.setattr(world.custody.guard, "judge", lambda *_: None)
    await world.live(told)
    assert standing(await world.close()) != [], "else the test above shows nothing"


async def test_a_broker_whose_clock_was_put_right_goes_on_as_soon_as_a_gateway_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = story().minutes(0, 5)
    world = World(monkeypatch)
    await world.open()
    await world.live(told)
    world.custody.guard._own_ms = lambda: world.own - HOUR  # it is this worker's clock that is wrong
    told.minutes(7, 12)
    await world.live(told)
    changes = await world.close()
    judge(published(world.broker), offline([*told.log], Engine(BUNDLE)))
    assert standing(changes) == []
    assert world.states() == ["agreed"]


async def test_a_wait_that_lasts_too_long_ends_and_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    told = story().minutes(0, 5)
    told.skew = 24 * HOUR
    told.minutes(5, 6, gateway=False)
    told.skew = 0
    told.minutes(6, 30)
    world = World(monkeypatch)
    await world.open()
    await world.live(told)
    assert world.states() == ["held"]
    world.waited += SETTINGS.clock_wait_s
    told.minutes(30, 31)
    await world.live(told)
    await world.close()
    assert world.states() == ["held", "waited", "back"]
    judge(published(world.broker), offline([*told.log], Engine(BUNDLE)))


async def test_a_gateway_away_for_twenty_minutes_is_no_silence_of_any_firm(monkeypatch: pytest.MonkeyPatch) -> None:
    told = story().minutes(0, 10).minutes(10, 30, posts=False, gateway=False)
    told.minutes(30, 31, posts=False).backfill(10, 31, 31).minutes(31, 60)
    world = World(monkeypatch)
    await world.open()
    await world.live(told)
    changes = await world.close()
    judge(published(world.broker), offline([*told.log], Engine(BUNDLE)))
    assert standing(changes) == []
    assert ("gap", "cleared") not in said(changes), "a silence that is cleared was the firm's"
    assert world.states() == [], "an outage is no jump"


@pytest.mark.parametrize("away", [1, 5, 40], ids=["a-minute", "five-minutes", "forty-minutes"])
async def test_a_broker_that_was_away_leaves_no_silence_behind(monkeypatch: pytest.MonkeyPatch, away: int) -> None:
    back = 10 + away
    told = story().minutes(0, 10).backfill(10, back, back).minutes(back, back + 20)
    world = World(monkeypatch)
    await world.open()
    await world.live(told)
    changes = await world.close()
    judge(published(world.broker), offline([*told.log], Engine(BUNDLE)))
    assert standing(changes) == []
    assert world.states() == []
    if away == 1:
        assert changes == []


async def test_two_workers_that_tick_while_one_takes_over_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = story().minutes(0, 10).minutes(10, 12, posts=False).minutes(12, 20, workers=("w2",))
    both = (
        story().minutes(0, 10).minutes(10, 12, posts=False, workers=("w1", "w2", "w1")).minutes(12, 20, workers=("w2",))
    )
    found = []
    for told in (plain, both):
        world = World(monkeypatch)
        await world.open()
        cut = len(told.log) // 2
        await world.live(Story(told.log[:cut], told.real[:cut]))
        await world.custody.release()
        await world.open()
        await world.live(told)
        found.append([change.to_json(source=False) for change in await world.close()])
        judge(published(world.broker), offline([*told.log], Engine(BUNDLE)))
    assert found[0] == found[1]


async def test_a_clock_that_goes_back_is_told_once_and_time_never_does(monkeypatch: pytest.MonkeyPatch) -> None:
    told = story().minutes(0, 10)
    told.skew = -5 * MINUTE
    told.minutes(10, 14)
    told.skew = 0
    told.minutes(14, 25)
    world = World(monkeypatch)
    await world.open()
    await world.live(told)
    changes = await world.close()
    judge(published(world.broker), offline([*told.log], Engine(BUNDLE)))
    received = [change.received for change in changes]
    assert received == sorted(received)
    assert world.states() == ["back"]
    assert standing(changes) == []
