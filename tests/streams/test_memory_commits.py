"""What is committed is durable: transactions that fail, are aborted, or whose answer is lost, and a judge at every commit."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka.errors import KafkaConnectionError, KafkaTimeoutError, ProducerFenced

from streams.tenure import TRANSACTION_TIMEOUT_MS, Tenure
from streams.testing import simulate
from streams.testing.clock import running
from tests.streams.memory_lab import Scene

if TYPE_CHECKING:
    from streams.checkpoint import Row
    from streams.testing import MemoryWorker


async def begun(here: Scene) -> MemoryWorker:
    here.feed(20)
    worker = await here.add()
    await here.until("a first checkpoint", lambda: set(here.committed()) == {0, 1})
    return worker


@pytest.mark.parametrize("acted", [False, True], ids=["refused", "answer-lost"])
@pytest.mark.parametrize("what", ["init", "produce", "offsets", "end"])
def test_a_request_that_fails_ends_the_process_and_loses_nothing(what: str, acted: bool) -> None:
    async def scene() -> None:
        here = Scene(1)
        if what != "init":
            await begun(here)
        here.broker.refuse(what, KafkaTimeoutError(), whose="w1", acted=acted)
        if what == "init":
            await here.add()
        await here.pump(3)
        await here.agree()
        ((name, status, said),) = here.ended
        assert (name, status) == ("w1", 70)
        assert ("cannot restore" if what == "init" else "cannot publish") in said
        assert "KafkaTimeoutError" in said

    simulate(scene())


def test_an_abort_by_the_coordinator_at_the_commit_publishes_nothing_of_it() -> None:
    async def scene() -> None:
        here = Scene(2)
        worker = await begun(here)
        here.broker.slow["produce"] = 2.0
        before = len(here.changes())
        here.feed(20)
        await here.until("a transaction is open", here.broker.open_transactions)
        for name in here.broker.open_transactions():
            here.broker.abort(name)
        here.broker.slow.clear()
        assert await here.died("w1") == 70
        assert isinstance(worker.process.error, ProducerFenced)
        assert len(here.changes()) == before
        await here.pump(1)
        assert await here.agree() == 0

    simulate(scene())


def test_a_transaction_left_open_hides_later_rows_until_its_owner_is_fenced() -> None:
    async def scene() -> None:
        here = Scene(3, partitions=1)
        here.feed(12)
        worker = await here.add()
        await here.until("folding", here.committed)
        here.broker.late["end"] = 1.0
        here.feed(8)
        alarms = here.broker.partition(here.settings.alarms_topic, 0)
        await here.until("rows stand in an open transaction", lambda: alarms.opened)
        await worker.kill()
        end = here.broker.append(here.settings.alarms_topic, 0, [(b"x", b"{}", (), None)])
        assert alarms.stable < end, "a reader of committed rows does not get past it"
        here.broker.late.clear()
        await worker.start()
        await here.until("the heir's fence ends it", lambda: alarms.stable > end, 14)
        alarms.entries = [entry for entry in alarms.entries if entry.offset != end]
        await here.agree()

    simulate(scene())


def test_the_coordinator_ends_a_transaction_that_nobody_ends() -> None:
    async def scene() -> None:
        here = Scene(4, partitions=1)
        worker = await begun_alone(here)
        here.broker.late["end"] = 1.0
        here.feed(4)
        await here.until("a transaction is open", here.broker.open_transactions)
        await worker.kill()
        del here.workers["w1"]
        begun = running().now
        await here.until("it is ended", lambda: not here.broker.open_transactions())
        assert 10 < running().now - begun <= TRANSACTION_TIMEOUT_MS / 1_000
        here.broker.late.clear()
        await here.add("w2")
        await here.agree()

    simulate(scene())


async def begun_alone(here: Scene) -> MemoryWorker:
    here.feed(8)
    worker = await here.add()
    await here.until("a first checkpoint", here.committed)
    return worker


def test_committed_offsets_are_visible_and_rise_with_the_markers() -> None:
    async def scene() -> None:
        here = Scene(5)
        await begun(here)
        seen = [here.committed()]
        for _ in range(4):
            await here.pump(1.2)
            seen.append(here.committed())
        for partition in (0, 1):
            mine = [offsets[partition] for offsets in seen]
            assert mine == sorted(mine)
            assert mine[0] < mine[-1]
            assert set(mine) <= set(here.markers(partition))
        await here.agree()

    simulate(scene())


def test_no_broker_at_the_address() -> None:
    async def scene() -> None:
        here = Scene(6)
        here.broker.close()
        worker = await here.add()
        assert await here.died("w1") == 70
        assert isinstance(worker.process.error, KafkaConnectionError)

    simulate(scene())


# The judgement itself: each of these breaks the worker in one way, and must be seen.


def forget_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commit offsets of records whose changes were thrown away."""
    transact = Tenure._transact

    async def without_alarms(self: Tenure, rows: list[Row], position: int | None) -> None:
        await transact(self, [row for row in rows if row.topic != self._settings.alarms_topic], position)

    monkeypatch.setattr(Tenure, "_transact", without_alarms)


def commit_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commit one offset more than the marker says."""
    transact = Tenure._transact

    async def ahead(self: Tenure, rows: list[Row], position: int | None) -> None:
        await transact(self, rows, None if position is None else position + 1)

    monkeypatch.setattr(Tenure, "_transact", ahead)


def checkpoint_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the changes that are still pending out of a checkpoint: they come with the next transaction."""
    checkpoint = Tenure._checkpoint

    async def without_pending(self: Tenure, *, final: bool = False) -> None:
        rows, self._rows = self._rows, type(self._rows)()
        await checkpoint(self, final=final)
        self._rows.extendleft(reversed(rows))

    async def later(_: Tenure) -> None:
        await asyncio.sleep(0.1)

    monkeypatch.setattr(Tenure, "_checkpoint", without_pending)
    monkeypatch.setattr(Tenure, "_publish", later)


@pytest.mark.parametrize("breaks", [forget_changes, commit_ahead, checkpoint_first], ids=lambda b: b.__name__)
def test_the_judge_sees_a_commit_that_is_ahead_of_what_is_durable(breaks: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    breaks(monkeypatch)

    async def scene() -> None:
        here = Scene(7)
        here.feed(20)
        await here.add()
        await here.until("the judge sees it", lambda: here.broker.faults)
        await here.close()

    simulate(scene())
