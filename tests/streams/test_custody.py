"""What custody folds and what it leaves: only the next offset of a partition that is ours."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
from aiokafka.errors import IllegalStateError

from streams import custody as module
from streams.checkpoint import LogLostError
from streams.custody import Custody
from streams.sensor import Sensor
from streams.worker_settings import WorkerSettings
from tests.streams.toy import ToyFold

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class HaltedError(Exception):
    pass


def halt(reason: str, error: BaseException | None = None) -> NoReturn:
    raise HaltedError(reason) from error


@dataclass
class Raw:
    """A record as it was fetched; its content does not matter here."""

    offset: int
    partition: int = 0
    timestamp: int = 1_767_225_600_000
    key: bytes | None = b"FAC-0"
    value: bytes | None = b""
    headers: tuple[tuple[str, bytes], ...] = ()


@dataclass
class StubTenure:
    """A tenure that only counts."""

    partition: int = 0
    next: int = 0
    stamp: int = 0
    sought: int = -1
    accepts: bool = True
    fed: list[int] = field(default_factory=list)
    closed: bool = False
    last_received: int = 0

    def feed(self, record: Any, size: int = 0) -> None:
        assert size >= 0
        self.fed.append(record.offset)
        self.next = record.offset + 1

    async def close(self) -> None:
        self.accepts, self.closed = False, True


@dataclass
class Seeks:
    asked: list[dict[int, int]] = field(default_factory=list)
    fails: bool = False

    async def __call__(self, positions: Mapping[int, int]) -> None:
        self.asked.append(dict(positions))
        if self.fails:
            raise IllegalStateError("not assigned")


def owning(next_offset: int = 0, **changes: Any) -> tuple[Custody, StubTenure, Seeks]:
    custody = Custody(ToyFold(), WorkerSettings(**changes), Sensor(), halt)
    tenure, seeks = StubTenure(next=next_offset), Seeks()
    custody.want([0])
    custody.tenures[0] = tenure  # type: ignore[assignment]
    custody.seek = seeks
    return custody, tenure, seeks


def run_of(*offsets: int) -> list[Raw]:
    return [Raw(offset) for offset in offsets]


def bounds_of(begin: int, end: int) -> Callable[..., Any]:
    async def answer(*_: object) -> dict[int, tuple[int, int]]:
        await asyncio.sleep(0)
        return {0: (begin, end)}

    return answer


async def test_records_are_folded_in_order_and_only_once() -> None:
    custody, tenure, _ = owning()
    await custody.take(0, run_of(0, 1, 2), 0)
    await custody.take(0, run_of(1, 2, 3), 0)
    assert tenure.fed == [0, 1, 2, 3]


async def test_records_of_a_partition_that_is_not_ours_are_left() -> None:
    custody, tenure, _ = owning()
    await custody.take(1, run_of(0, 1), 0)
    tenure.accepts = False
    await custody.take(0, run_of(0, 1), 0)
    assert tenure.fed == []
    assert custody._sensor.drops.labels("early")._value.get() == 2


async def test_what_was_fetched_before_the_seek_and_lies_ahead_is_left() -> None:
    custody, tenure, seeks = owning(5)
    custody.positioned([0])
    await custody.take(0, run_of(9, 10), custody.stamp - 1)
    assert (tenure.fed, seeks.asked) == ([], [])
    await custody.take(0, run_of(5, 6), custody.stamp - 1)
    assert tenure.fed == [5, 6], "what stands at an offset never changes, whichever fetch it came with"


async def test_missing_records_are_sought_again() -> None:
    custody, tenure, seeks = owning(5)
    custody.positioned([0])
    await custody.take(0, run_of(9, 10), custody.stamp)
    assert (tenure.fed, seeks.asked) == ([], [{0: 5}])
    await custody.take(0, run_of(11), custody.stamp - 1)
    await custody.take(0, run_of(5, 6, 7, 8, 9), custody.stamp)
    assert tenure.fed == [5, 6, 7, 8, 9]
    assert len(seeks.asked) == 1


async def test_a_seek_that_fails_in_a_rebalance_leaves_the_records_for_later() -> None:
    custody, tenure, seeks = owning(5)
    custody.positioned([0])
    seeks.fails = True
    await custody.take(0, run_of(9), custody.stamp)
    await custody.take(0, run_of(10), custody.stamp)
    assert (tenure.fed, seeks.asked) == ([], [{0: 5}]), "nothing is skipped before the partition is positioned again"
    custody.positioned([0])
    await custody.take(0, run_of(5), custody.stamp)
    assert tenure.fed == [5]


async def test_a_hole_in_the_log_itself_is_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "log_bounds", bounds_of(0, 100))
    custody, tenure, _ = owning(5)
    custody.positioned([0])
    await custody.take(0, run_of(7), custody.stamp)
    await custody.take(0, run_of(7, 8), custody.stamp)
    assert tenure.fed == [7, 8]


async def test_records_that_retention_took_stop_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "log_bounds", bounds_of(7, 100))
    custody, tenure, _ = owning(5)
    custody.positioned([0])
    await custody.take(0, run_of(7), custody.stamp)
    with pytest.raises(HaltedError) as caught:
        await custody.take(0, run_of(7, 8), custody.stamp)
    assert isinstance(caught.value.__cause__, LogLostError)
    assert tenure.fed == []


async def test_a_long_chunk_leaves_the_event_loop_its_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "YIELD_S", 0.0)
    custody, tenure, _ = owning()
    turns = 0

    async def other() -> None:
        nonlocal turns
        while len(tenure.fed) < 50:
            turns += 1
            await asyncio.sleep(0)

    await asyncio.gather(custody.take(0, run_of(*range(50)), 0), other())
    assert turns > 40


async def test_a_partition_revoked_in_the_middle_of_a_chunk_gets_no_more() -> None:
    custody, tenure, _ = owning(hold_rows=1)
    custody._ledger._room.clear()

    async def revoke() -> None:
        await asyncio.sleep(0)
        await custody.release()
        custody._ledger._room.set()

    await asyncio.gather(custody.take(0, run_of(0, 1, 2), 0), revoke())
    assert tenure.fed == [0], "the chunk went on behind the final checkpoint"
    assert tenure.closed


async def test_release_forgets_everything_and_is_idempotent() -> None:
    custody, tenure, _ = owning()
    await custody.release()
    await custody.release()
    assert tenure.closed
    assert (custody.tenures, custody.wanted) == ({}, frozenset())


async def test_nothing_is_restored_that_is_not_wanted() -> None:
    custody, _, _ = owning()
    await custody.release()
    with pytest.raises(IllegalStateError):
        await custody.establish({0: None})


async def test_what_is_owned_is_not_restored_again() -> None:
    custody, tenure, _ = owning(41)
    assert await custody.establish({0: 7}) == {0: 41}
    assert tenure.next == 41


async def test_what_cannot_be_restored_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    custody = Custody(ToyFold(), WorkerSettings(), Sensor(), halt)
    custody.want([0, 1])

    def broken(_: int) -> Any:
        raise OSError("no such broker")

    monkeypatch.setattr(custody, "_tenure", broken)
    with pytest.raises(HaltedError, match=r"cannot restore partitions \[0, 1\]"):
        await custody.establish({})


async def test_a_release_ends_a_restore_that_is_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    custody = Custody(ToyFold(), WorkerSettings(), Sensor(), halt)
    begun = asyncio.Event()

    class Slow(StubTenure):
        async def fence(self) -> None:
            begun.set()
            await asyncio.Event().wait()

    slow = Slow()
    monkeypatch.setattr(custody, "_tenure", lambda _: slow)
    custody.want([0])
    waiting = asyncio.create_task(custody.establish({}))
    await begun.wait()
    assert custody.restoring_since is not None
    await custody.release()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert slow.closed
    assert custody.restoring_since is None
