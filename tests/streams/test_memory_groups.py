"""Workers that share, take over, come back and sleep too long, in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from streams.testing import MemoryProducer, simulate
from tests.streams.lab import judge, offline
from tests.streams.memory_lab import Scene
from tests.streams.toy import ToyFold

if TYPE_CHECKING:
    from streams.testing.groups import Group


def group(here: Scene) -> Group:
    return here.broker.group(here.settings.group_id)


def shared(here: Scene) -> bool:
    """Whether every partition is folded by exactly one worker, and each has some."""
    parts = [worker.owned for worker in here.workers.values()]
    return all(parts) and sorted(p for part in parts for p in part) == list(range(here.kafka.partitions))


@pytest.mark.parametrize("seed", range(4))
def test_partitions_move_on_command_while_records_are_in_flight(seed: int) -> None:
    async def scene() -> None:
        here = Scene(seed, partitions=4, facilities=8)
        here.broker.fetch_rows = 3
        here.feed(40)
        for name in ("w1", "w2"):
            await here.add(name)
        await here.until("they share", lambda: shared(here))
        for _ in range(3):
            await here.pump(here.chance.uniform(0, 0.3), batches=6, every_s=0.02)
            had = {name: worker.owned for name, worker in here.workers.items()}
            generation = group(here).generation
            group(here).rebalance()
            await here.pump(here.chance.uniform(0, 0.3), batches=6, every_s=0.02)
            await here.until("they share again", lambda now=generation: group(here).generation > now and shared(here))
            assert all(not set(had[name]) & set(worker.owned) for name, worker in here.workers.items()), "nothing moved"
        assert await here.agree() == 0, "a revocation in order leaves nothing to repeat"
        assert here.ended == []

    simulate(scene())


def test_a_worker_takes_over_when_the_session_of_a_dead_one_ends() -> None:
    async def scene() -> None:
        here = Scene(1)
        here.feed(20)
        for name in ("w1", "w2"):
            await here.add(name)
        await here.until("they share", lambda: shared(here))
        dead = here.workers.pop("w2")
        await dead.kill()
        assert group(here).seats()["w2"] != [], "the group knows it still"
        await here.pump(2)
        assert here.workers["w1"].owned != [0, 1]
        await here.until("the other took over", lambda: here.workers["w1"].owned == [0, 1])
        assert "w2" not in group(here).seats()
        await here.agree()

    simulate(scene())


def test_a_restart_within_the_session_moves_nobody() -> None:
    async def scene() -> None:
        here = Scene(2)
        here.feed(20)
        for name in ("w1", "w2"):
            await here.add(name)
        await here.until("they share", lambda: shared(here))
        generation, seats, had = group(here).generation, group(here).seats(), here.workers["w2"].owned
        await here.workers["w2"].kill()
        await here.pump(1)  # the supervisor starts it again
        await here.until("it is back", lambda: here.workers["w2"].owned == had)
        assert (group(here).generation, group(here).seats()) == (generation, seats)
        await here.agree()

    simulate(scene())


async def slept_too_long(here: Scene) -> int:
    """Pause a worker at a step of the seed, let another take over and checkpoint, and let the first go on."""
    here.feed(20)
    zombie = await here.add("w1")
    await here.until("it owns all", lambda: zombie.owned == [0, 1])
    zombie.process.pauses_at = zombie.process.steps + here.chance.randint(1, 60)
    await here.until("it sleeps", lambda: zombie.process.paused or here.feed(1))
    del here.workers["w1"]
    heir = await here.add("w2")
    await here.pump(8)
    await here.until("the heir owns all", lambda: heir.owned == [0, 1])
    await here.caught_up()
    here.feed(10)
    await here.caught_up()
    here.workers["w1"] = zombie
    zombie.process.resume()
    status = await here.died("w1", 60)
    assert "Fenced" in repr(zombie.process.error), zombie.process.told()
    del here.workers["w1"]
    await here.pump(1)
    await here.agree()
    return status


@pytest.mark.parametrize("seed", range(6))
def test_a_zombie_publishes_nothing_and_ends(seed: int) -> None:
    async def scene() -> None:
        assert await slept_too_long(Scene(seed)) == 70

    simulate(scene())


def test_a_zombie_that_is_not_fenced_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a transactional id of its own for every process nobody is fenced, and what the zombie overwrites is seen."""
    start = MemoryProducer.start

    async def under_its_own_name(self: MemoryProducer) -> None:
        if self._name is not None:
            self._name += f"-{id(self)}"
        await start(self)

    monkeypatch.setattr(MemoryProducer, "start", under_its_own_name)

    async def scene() -> None:
        here = Scene(0)
        with pytest.raises(TimeoutError):  # nothing ends it
            await slept_too_long(here)
        assert any(mine != sorted(mine) for mine in map(here.markers, (0, 1))), "it wrote nothing"

    simulate(scene())


def test_a_worker_more_and_a_worker_less_in_order() -> None:
    async def scene() -> None:
        here = Scene(5, partitions=4, facilities=8)
        here.feed(40)
        await here.add("w1")
        await here.pump(1)
        for name in ("w2", "w3"):
            await here.add(name)
            await here.pump(1)
            await here.until(f"{name} shares", lambda: shared(here))
        leaver = here.workers.pop("w1")
        await leaver.stop()
        assert leaver.process.status == 0
        # Its seat is kept for a session; then the others share what it had.
        await here.pump(12, every_s=0.5)
        await here.until("the others share", lambda: shared(here))
        assert await here.agree() == 0
        assert judge(here.changes(), offline(here.log(), ToyFold())) == 0

    simulate(scene())


@pytest.mark.parametrize("seed", range(3))
def test_a_rebalance_while_a_worker_restores_leaves_it_alive(seed: int) -> None:
    """The restore is cancelled and begun anew; if its cancellation reached Faust's recovery, that would end for ever."""

    async def scene() -> None:
        here = Scene(seed)
        here.feed(20)
        here.broker.late["init"] = 0.5
        worker = await here.add("w1")
        await here.until("it restores", lambda: worker.custody.restoring_since is not None)
        group(here).rebalance()
        await here.add("w2")
        await here.until("they share", lambda: shared(here))
        await here.agree()
        assert here.ended == []

    simulate(scene())


@pytest.mark.parametrize("seed", range(4))
def test_an_owner_that_was_expelled_and_does_not_know_it_works_on_until_the_fence(seed: int) -> None:
    """The heir restores while the old owner still commits: what stands behind the fence is at rest."""

    async def scene() -> None:
        here = Scene(seed, partitions=1, facilities=2, checkpoint_every_s=0.05, snapshot_every_s=0.05)
        here.feed(20)
        owner = await here.add("w1")
        await here.until("it folds", lambda: owner.owned == [0])
        # It is thrown out, and hears of it only seconds later; it folds and commits meanwhile.
        here.broker.late |= {"heartbeat": 5.0, "init": 0.4}
        (mine,) = group(here).members.values()
        group(here).expel(mine)
        new = await here.add("w2")
        await here.until("the other one has it", lambda: here.feed(1) or new.owned == [0])
        await here.until("the old one ended", lambda: here.ended)
        ((name, status, said),) = here.ended
        assert (name, status) == (mine.instance, 70), said
        assert "Fenced" in said
        here.broker.late.clear()
        await here.pump(1)
        await here.agree()

    simulate(scene())
