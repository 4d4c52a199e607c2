"""Workers in a group on a real Kafka: standbys, twins of one name, restarts that keep their partitions, growing and shrinking."""

from __future__ import annotations

import asyncio
import json
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.streams.lab import Lab, Worker
from tests.streams.test_worker_kafka import owned_by, wait_for_exit
from tests.streams.test_worker_kills import checkpoint_after, producer_of, pumping
from tests.streams.toy import ToyFold

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from streams.broker import EmbeddedBroker

pytestmark = pytest.mark.kafka
PATIENCE_S = 150.0
"""For steps whose own bound is far lower: the machine may be busy with other tests."""


def ready(worker: Worker) -> bool:
    return worker.probe("/readyz")[0] == 200


def shared(lab: Lab, *workers: Worker) -> bool:
    """Whether the partitions are with these workers, each with one of them and each of them with some."""
    parts = [owned_by(worker) for worker in workers]
    return all(parts) and sorted(p for part in parts for p in part) == list(range(lab.partitions))


async def share(lab: Lab, workers: list[Worker]) -> None:
    await lab.until(f"{len(workers)} share the partitions", lambda: shared(lab, *workers), PATIENCE_S)


@contextmanager
def stopped(worker: Worker) -> Iterator[None]:
    """Keep it from coming between: on a busy machine it could take its seat back before its twin has fenced it off."""
    worker.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        worker.signal(signal.SIGCONT)


def assignments(worker: Worker) -> list[str]:
    return [
        line.rpartition("assigned partitions ")[2] for line in worker.text().splitlines() if "worker assigned" in line
    ]


@pytest.mark.slow  # in `make test`: test_memory_groups.py
async def test_a_standby_lives_says_so_and_takes_over(kafka: EmbeddedBroker, tmp_path: Path) -> None:
    lab = Lab(kafka.bootstrap, tmp_path, partitions=1, settings={"assignment_timeout_s": 8.0})
    lab.create_topics()
    try:
        async with pumping(lab):
            owner = lab.spawn("w1")
            await lab.until("the first owns it", lambda: owned_by(owner) == [0], PATIENCE_S)
            standby = lab.spawn("w2")
            await lab.until("the standby is ready", lambda: ready(standby), PATIENCE_S)
            told = json.loads(standby.probe("/readyz")[1])
            assert (told["partitions"], told["why"]) == ([], [])
            begun = asyncio.get_running_loop().time()

            def lived() -> bool:
                assert standby.process.poll() is None, "the standby was ended"
                return asyncio.get_running_loop().time() - begun > 2 * 8.0

            await lab.until("it lives longer than a worker outside the group", lived)
            assert standby.probe("/healthz")[0] == 200
            owner.kill()
            await lab.until("the standby took over", lambda: owned_by(standby) == [0], PATIENCE_S)
            await checkpoint_after(lab, max(mark["next"] for mark in (await lab.marks()).values()), PATIENCE_S)
        await lab.agree(ToyFold, PATIENCE_S)
    finally:
        lab.close()


async def test_a_worker_with_a_backlog_is_not_ready_until_it_is_folded(lab: Lab) -> None:
    lab.settings |= {"tick_every_s": 600.0, "ready_lag_records": 0}
    async with producer_of(lab) as producer:
        await lab.feed(producer, 4_000)
    worker = lab.spawn("w1")
    await lab.until("ready", lambda: ready(worker), PATIENCE_S, 0.01)
    rows = [
        line for line in worker.probe("/metrics")[1].splitlines() if line.startswith("offsite_worker_readings_total ")
    ]
    assert [float(row.rpartition(" ")[2]) for row in rows] == [3 * 4_000], "it was ready before"


async def test_a_second_worker_of_one_name_is_refused_and_the_first_goes_on(lab: Lab) -> None:
    async with pumping(lab):
        first = lab.spawn("w1")
        await share(lab, [first])
        here, there = lab.spawn("w1", fold={}), lab.spawn("w1", place="elsewhere")
        for second, says in ((here, "runs on this machine"), (there, "belongs to")):
            assert await asyncio.to_thread(wait_for_exit, second, PATIENCE_S) == 4
            assert says in second.text()
            assert "OFFSITE_WORKER_INSTANCE" in second.text(), "it does not say what to do"
        assert first.process.poll() is None
        assert len(assignments(there)) == 0, "it joined and threw the first one out"
        await checkpoint_after(lab, max(mark["next"] for mark in (await lab.marks()).values()), PATIENCE_S)
    await lab.agree(ToyFold, PATIENCE_S)


@pytest.mark.slow
async def test_who_is_thrown_out_by_a_heedless_twin_says_so_and_in_the_end_one_works(lab: Lab) -> None:
    async with pumping(lab):
        first = lab.spawn("w1", loop_timeout_s=PATIENCE_S)
        await share(lab, [first])
        with stopped(first):
            second = lab.spawn("w1", fold={"heedless": True}, place="elsewhere", loop_timeout_s=PATIENCE_S)
            await share(lab, [second])
        assert await asyncio.to_thread(wait_for_exit, first, PATIENCE_S) == 4
        assert "two workers have one name" in first.text()
        assert "OFFSITE_WORKER_INSTANCE" in first.text()
        with stopped(second):
            again = lab.spawn("w1")  # as a supervisor starts it again: to Kafka the seat is still of this machine
            await share(lab, [again])
        assert await asyncio.to_thread(wait_for_exit, second, PATIENCE_S) == 4
        late = lab.spawn("w1", place="elsewhere")  # and its supervisor the other one, which is heedful now
        assert await asyncio.to_thread(wait_for_exit, late, PATIENCE_S) == 4
        assert "which lives" in late.text()
        await share(lab, [again])
        await checkpoint_after(lab, max(mark["next"] for mark in (await lab.marks()).values()), PATIENCE_S)
    await lab.agree(ToyFold, PATIENCE_S)


@pytest.mark.slow
async def test_of_two_standbys_of_one_name_one_ends(lab: Lab) -> None:
    async with pumping(lab):
        owners = [lab.spawn(f"w{n}") for n in range(lab.partitions)]
        await share(lab, owners)
        standby = lab.spawn("spare")
        await lab.until("the standby is ready", lambda: ready(standby), PATIENCE_S)
        twin = lab.spawn("spare", fold={"heedless": True}, place="elsewhere")
        await lab.until("one ends", lambda: None not in (standby.process.poll(), twin.process.poll())
                        or 4 in (standby.process.poll(), twin.process.poll()), PATIENCE_S)  # fmt: skip
        assert "two workers have one name" in standby.text() + twin.text()


@pytest.mark.slow  # in `make test`: test_memory_groups.py
async def test_a_restart_within_the_session_keeps_its_partitions_and_moves_nobodys(lab: Lab) -> None:
    lab.settings |= {"session_timeout_s": 80.0}  # longer than a start takes on a busy machine
    async with pumping(lab):
        first, second = lab.spawn("w1"), lab.spawn("w2")
        await share(lab, [first, second])
        had, seen = owned_by(first), assignments(second)
        reached = max((mark["next"] for mark in (await lab.marks()).values()), default=-1)
        first.kill()
        first = lab.spawn("w1")
        await lab.until("it has them back", lambda: owned_by(first) == had, PATIENCE_S)
        first.signal(signal.SIGTERM)
        assert await asyncio.to_thread(wait_for_exit, first, PATIENCE_S) == 0
        first = lab.spawn("w1")
        await lab.until("it has them back again", lambda: owned_by(first) == had, PATIENCE_S)
        assert assignments(second) == seen, "the other one's partitions moved"
        await checkpoint_after(lab, reached, PATIENCE_S)
    await lab.agree(ToyFold, PATIENCE_S)


@pytest.mark.slow
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL], ids=["term", "kill"])
async def test_one_two_four_and_back_while_readings_come(lab: Lab, end: signal.Signals) -> None:
    async with pumping(lab):
        workers = [lab.spawn("w1")]
        await share(lab, workers)
        for grown in (["w2"], ["w3", "w4"]):
            workers += [lab.spawn(name) for name in grown]
            await share(lab, workers)
            await checkpoint_after(lab, max(mark["next"] for mark in (await lab.marks()).values()), PATIENCE_S)
        facilities: dict[str, set[int]] = {}
        for change in await lab.changes():
            facilities.setdefault(change["stream"], set()).add(change["_p"])
        assert all(len(partitions) == 1 for partitions in facilities.values()), "a facility is split"
        while len(workers) > 1:
            worker = workers.pop()
            worker.signal(end)
            assert await asyncio.to_thread(wait_for_exit, worker, PATIENCE_S) == (0 if end is signal.SIGTERM else -9)
            await share(lab, workers)
    repeats = await lab.agree(ToyFold, PATIENCE_S)
    assert end is signal.SIGKILL or repeats == 0, "a worker that ends in order leaves nothing to repeat"
    assert workers[0].process.poll() is None
