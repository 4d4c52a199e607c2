"""A stop makes as many snapshots as there is time for: what is left is folded anew by the next start, and nothing is lost."""

from __future__ import annotations

import itertools
import json

import pytest

from rules.engine import PartitionState
from streams.cadence import Cadence
from streams.restore import Start
from streams.stateledger import StateLedger
from streams.testing import simulate
from streams.testing.clock import running
from streams.worker_settings import WorkerSettings
from tests.streams.memory_lab import Scene
from tests.streams.toy import ToyFold

FACILITIES = 40


class Slow(ToyFold):
    """Each snapshot takes a third of a second of the process."""

    def snapshot(self, partition: int, facility: str) -> bytes:
        running().now += 0.33
        return super().snapshot(partition, facility)


def marker(here: Scene, partition: int) -> dict[str, int]:
    found = here.broker.partition(here.settings.state_topic, partition).decided()
    found_marker: dict[str, int] = json.loads([e.value or b"" for e in found if e.key == f"p{partition}".encode()][-1])[
        "marker"
    ]
    return found_marker


@pytest.mark.parametrize("stop_timeout_s", [2.0, 4.5])
def test_a_stop_with_more_to_write_than_time_ends_in_time_and_loses_nothing(stop_timeout_s: float) -> None:
    async def scene() -> None:
        here = Scene(
            3, facilities=FACILITIES, new_fold=Slow, snapshot_every_s=3_600.0, stop_timeout_s=stop_timeout_s,
        )  # fmt: skip
        here.feed(4 * FACILITIES)
        worker = await here.add()
        await here.until(
            "all is folded and published", lambda: all(here.committed().get(p, 0) >= here.end(p) for p in (0, 1))
        )
        began = running().now
        await worker.stop()
        assert running().now - began < stop_timeout_s + 0.5
        assert worker.process.status == 0
        for partition in (0, 1):
            assert marker(here, partition)["next"] == here.end(partition), "the changes are published, and it says so"
            assert marker(here, partition)["low"] < here.end(partition), "what was not written is folded again"
        here.feed(FACILITIES)
        await here.add("w2", stop_timeout_s=60.0)
        assert await here.agree() == 0

    simulate(scene())


def test_a_stop_with_time_writes_everything() -> None:
    async def scene() -> None:
        here = Scene(4, facilities=4, new_fold=Slow, snapshot_every_s=3_600.0, stop_timeout_s=4.5)
        here.feed(16)
        worker = await here.add()
        await here.caught_up()
        await worker.stop()
        for partition in (0, 1):
            assert marker(here, partition)["low"] == marker(here, partition)["next"] == here.end(partition)
        await here.agree()

    simulate(scene())


def test_the_oldest_are_written_first_and_low_moves_as_far_as_it_can() -> None:
    class Named(ToyFold):
        def snapshot(self, _: int, facility: str) -> bytes:
            made.append(facility)
            return facility.encode()

    made: list[str] = []
    ledger = StateLedger(0, WorkerSettings(), Start(0, 0, PartitionState(), marked=True, origin=None), 0.0)
    fold = Named()
    for step, name in enumerate(["Z", "M", "A"]):  # Z has changed since 0, M since 10, A since 20
        ledger.rows(fold, [name], [], float(step), (10 * (step + 1), 10 * (step + 1)), {})
    assert (ledger.low, made) == (0, [])
    times = itertools.chain([True, True], itertools.repeat(False))
    ledger.rows(fold, ["A", "M", "Z"], ["A", "M", "Z"], 4.0, (40, 40), {}, has_time=lambda: next(times))
    assert made == ["Z", "M"]
    assert ledger.written == 2
    assert ledger.unwritten == {}, "there was no fault"
    assert ledger.low == 20


def test_facilities_that_are_covered_come_last() -> None:
    cadence = Cadence(60.0, 0.0)
    cadence.begin(5, PartitionState())
    cadence.note(9, PartitionState(), ["B"], [], 1.0)
    assert cadence.oldest_first(["C", "A", "B"]) == ["B", "A", "C"]
