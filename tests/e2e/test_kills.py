"""Kill -9 at random points while five firms post: then desk, archive and the offline fold of the log agree exactly."""

from __future__ import annotations

import asyncio
import random
import threading
import time

import pytest

from monitor.demo import check
from monitor.demo.stage import Stage
from monitor.register.files import read_register
from monitor.simulate.run import REGISTER, SimulationSettings, run_simulation
from monitor.simulate.script import STORY, read_script
from monitor.supervise import manager
from tests.e2e.test_front_to_alarm import until

# In `make test` the short chaos kills all of these and more. The longer one takes four minutes on a machine of its own, and its
# steps have bounds of their own: the suite's five minutes would end it between two of them on a busy one.
pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(1_200)]


def push(stage, stop):
    """Let the firms post until `stop`; returns the thread."""
    facilities, keys = stage.register()
    script = read_script(STORY, [entry.logged() for entry in read_register(REGISTER).facilities])

    async def run():
        ending = asyncio.Event()

        async def watch():
            while not stop.is_set():  # noqa: ASYNC110 - a thread sets it, no event of this loop
                await asyncio.sleep(0.1)
            ending.set()

        watcher = asyncio.create_task(watch())
        await run_simulation(SimulationSettings(gateway=stage.gateway), facilities, keys, script, stop=ending)
        await watcher

    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize(
    ("seed", "kills"),
    [
        pytest.param(1, {"worker": 3, "desk": 1, "archiver": 1}, id="few"),
        pytest.param(2, {"worker": 10, "desk": 4, "archiver": 4, "gateway": 4}, id="many"),
    ],
)
def test_after_kills_desk_archive_and_offline_fold_agree(kafka, tmp_path, monkeypatch, seed, kills):
    # Killed from outside so often, the manager would rightly see a crash loop.
    monkeypatch.setattr(manager, "LOOP_ENDINGS", 1_000)
    monkeypatch.setattr(manager, "LONGEST_PAUSE_S", 1.0)
    chance = random.Random(seed)  # noqa: S311 - repeatable, not secret
    names = [name for name, count in kills.items() for _ in range(count)]
    chance.shuffle(names)
    stop = threading.Event()
    with Stage(tmp_path / "stage", fresh=True, desk_port=0) as stage:
        firms = push(stage, stop)
        try:
            until(lambda: changes(stage) > 0, 90)  # the first excursion: from here on there is something to lose
            killed = []
            for name in names:
                killed.append(name)
                time.sleep(chance.uniform(0.2, 4.0))
                stage.manager.running()[name].process.kill()
                until(lambda: sum(stage.manager.restarts().values()) == len(killed), 30)
                until(lambda: not stage.manager.not_ready(), 90)
            time.sleep(2)
        finally:
            stop.set()
            firms.join(20)
        assert not firms.is_alive()
        assert check.replay(stage)[1] == []
        assert until(lambda: check.archive(stage)[1] == [], 30)
        assert stage.fallen() is None
        assert stage.manager.restarts() == kills
        assert changes(stage) >= 2
    assert kafka.pid


def changes(stage):
    from sqlalchemy import func, select

    from monitor.store.desk_tables import ChangeRow

    with stage.store.reading() as session:
        return session.scalar(select(func.count()).select_from(ChangeRow))
