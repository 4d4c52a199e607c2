"""A facility whose state cannot be written ends nothing: the others go on, operators are told, and a start folds it again."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import pytest

from rules.engine import PartitionState
from rules.snapshot import SnapshotError
from streams.restore import Start
from streams.stateledger import StateLedger
from streams.testing import simulate
from streams.worker_settings import WorkerSettings
from tests.streams.memory_lab import Scene
from tests.streams.toy import ToyFold

if TYPE_CHECKING:
    from collections.abc import Iterator

LARGE = "FAC-1"
can_write = False


class Large(ToyFold):
    """One facility's state is larger than a snapshot may be, as long as `can_write` says so."""

    def snapshot(self, partition: int, facility: str) -> bytes:
        if facility == LARGE and not can_write:
            raise SnapshotError(f"state of {facility}: 300 bytes, a snapshot may hold 256")
        return super().snapshot(partition, facility)


@pytest.fixture(autouse=True)
def _it_cannot() -> Iterator[None]:
    globals()["can_write"] = False
    yield
    globals()["can_write"] = False


def told(here: Scene) -> list[dict[str, Any]]:
    rows = [json.loads(entry.value or b"") for _, entry in here.rows(here.settings.rejected_topic)]
    return [row for row in rows if row.get("code") == "state_unwritten"]


def test_the_others_go_on_its_changes_are_published_and_operators_are_told() -> None:
    async def scene() -> None:
        here = Scene(5, new_fold=Large, snapshot_every_s=2.0)
        here.feed(8)
        await here.add()
        await here.pump(10)
        await here.caught_up()
        assert not here.ended
        published = {row["stream"] for row in here.changes()}
        assert {f"FAC-{n}" for n in range(4)} <= published
        seen = told(here)
        assert {row["facility"] for row in seen} == {LARGE}
        assert 2 <= len(seen) <= 8, "once in a snapshot's time, not at every checkpoint"
        assert "cannot be written" in seen[0]["detail"]
        assert "300 bytes" in seen[0]["detail"]
        await here.agree()

    simulate(scene())


def test_after_a_kill_it_is_folded_again_and_nothing_is_lost_or_told_anew() -> None:
    async def scene() -> None:
        here = Scene(6, new_fold=Large, snapshot_every_s=2.0)
        here.feed(8)
        await here.add()
        await here.pump(5)
        for _ in range(3):
            await here.killed_within("w1", 40)
            await here.pump(3)
        await here.agree()

    simulate(scene())


def test_once_it_can_be_written_the_start_moves_on_again() -> None:
    async def scene() -> None:
        here = Scene(7, new_fold=Large, snapshot_every_s=1.0)
        here.feed(8)
        await here.add()
        await here.pump(5)
        partition = int(LARGE[-1]) % here.kafka.partitions
        assert lows(here, partition)[-1] == lows(here, partition)[0]
        globals()["can_write"] = True
        await here.pump(5)
        assert lows(here, partition)[-1] > lows(here, partition)[0]
        before = len(told(here))
        await here.pump(3)
        assert len(told(here)) == before
        await here.agree()

    simulate(scene())


def lows(here: Scene, partition: int) -> list[int]:
    found = here.broker.partition(here.settings.state_topic, partition).decided()
    return [json.loads(e.value or b"")["marker"]["low"] for e in found if e.key == f"p{partition}".encode()]


@pytest.mark.parametrize("error", [SnapshotError("too large"), MemoryError(), OverflowError("int too big")], ids=repr)
def test_whatever_a_snapshot_raises_leaves_the_rest_of_the_checkpoint_whole(error: Exception) -> None:
    class Raising(ToyFold):
        def snapshot(self, _: int, facility: str) -> bytes:
            if facility == LARGE:
                raise error
            return b"state of " + facility.encode()

        def partition_state(self, _: int) -> PartitionState:
            return PartitionState(next_offset=9)

        def clean(self, _: int, facility: str) -> None:
            cleaned.append(facility)

    cleaned: list[str] = []
    ledger = StateLedger(0, WorkerSettings(), Start(0, 0, PartitionState(), marked=True, origin=None), 0.0)
    names = ["FAC-0", LARGE, "FAC-2"]
    rows = ledger.rows(Raising(), names, names, 5.0, (9, 9), {})
    assert cleaned == ["FAC-0", "FAC-2"]
    assert {row.key for row in rows if row.key is not None} >= {b"FAC-0", b"FAC-2", b"p0"}
    assert not [row for row in rows if row.key is not None and row.key.startswith(LARGE.encode())]
    assert list(ledger.unwritten) == [LARGE]
    assert type(error).__name__ in ledger.unwritten[LARGE]
    assert ledger.low == 0
    ledger.rows(ToyFold(), [LARGE], [], 6.0, (12, 12), {})
    assert ledger.unwritten == {}
    assert ledger.low == 0, "it is not covered yet"


def test_a_stop_says_what_it_could_not_write(caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        here = Scene(8, new_fold=Large, snapshot_every_s=60.0)
        here.feed(8)
        worker = await here.add()
        await here.caught_up()
        with caplog.at_level(logging.ERROR, logger="offsite.worker"):
            await worker.stop()
        assert worker.process.status == 0
        assert f"the state of {LARGE} cannot be written" in caplog.text
        await here.add("w2")
        await here.agree()

    simulate(scene())
