"""Run the demo: the stage, the firms, the officer; and, asked to check, end with what was found."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from typing import TYPE_CHECKING

from monitor.demo import check
from monitor.demo.officer import Officer, OfficerError
from monitor.demo.stage import OFFICER, Stage
from monitor.register.files import read_register
from monitor.simulate.run import REGISTER, SimulationSettings, run_simulation
from monitor.simulate.script import STORY, read_script

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from monitor.demo.stage import People

CHECK_S = 118.0
"""The first two minutes hold an excursion and a silence, from beginning to end."""
SETTLE_S = 6.0
LOOKS_S = 15.0
"""The officer acknowledges an excursion that nobody else has acknowledged after so long."""


def demo(
    folder: Path, *, fresh: bool, checked: bool, speed: float, seed: int, began: float, stop: threading.Event
) -> int:
    """Run until `stop`, or until the check is done; returns the exit code. `began` is when the command started (time.time)."""
    script = read_script(STORY, [entry.logged() for entry in read_register(REGISTER).facilities])
    say("starting Kafka, worker, gateway, desk and archiver ...")
    with Stage(folder, fresh=fresh, desk_port=0 if checked else None) as stage:
        people = stage.people()
        _greet(stage, people, time.time() - began)
        stage.packs()
        facilities, keys = stage.register()
        settings = SimulationSettings(
            gateway=stage.gateway, speed=speed, seed=seed, seconds=CHECK_S if checked else None
        )
        officer = Officer(stage.desk, OFFICER, people.officer_password)
        watch = threading.Thread(target=_on_duty, args=(stage, officer, began, stop), name="officer", daemon=True)
        watch.start()
        begun: list[int] = []

        async def simulate() -> None:
            ending = asyncio.Event()
            waiter = asyncio.create_task(_until(lambda: stop.is_set() or stage.fallen() is not None, ending))
            outcome = await run_simulation(settings, facilities, keys, script, stop=ending, begun=begun.append)
            waiter.cancel()
            begun.append(outcome.ended)

        asyncio.run(simulate())
        fallen = stage.fallen()
        if fallen is not None:
            say(fallen)
            return 1
        code = 0
        if checked and not stop.is_set():
            time.sleep(SETTLE_S)
            code = _report(stage, officer, lambda: check.story(stage, script, begun[0], begun[1]))
        stop.set()
        watch.join(5)
        officer.close()
        return code


def say(text: str) -> None:
    """Write a line for the person at the terminal."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _greet(stage: Stage, people: People, seconds: float) -> None:
    say(f"ready after {seconds:.1f} s; logs are in {stage.folder.name}/logs")
    say("")
    say(f"  console  {stage.desk}/")
    say(f"  account  {people.supervisor}")
    say(f"  one-time password  {people.supervisor_password}")
    say("")
    say("five simulated firms and a laboratory begin to post; Ctrl-C ends everything")


def _on_duty(stage: Stage, officer: Officer, began: float, stop: threading.Event) -> None:
    """Say when the first alarm stands on the desk; acknowledge excursions that nobody looks at."""
    try:
        officer.sign_in()
        seen: dict[str, float] = {}
        while not stop.wait(0.5):
            for alarm in officer.alarms(attention="unacknowledged"):
                first = seen.setdefault(alarm["alarm"], time.monotonic())
                if len(seen) == 1 and first > time.monotonic() - 0.01:
                    say(f"first alarm on the desk after {time.time() - began:.1f} s: {alarm['message']['en']}")
                if alarm["rule"] == check.EXCURSION and time.monotonic() - first >= LOOKS_S:
                    officer.acknowledge(alarm, "电话联系企业（模拟） / called the firm (simulated)")
    except OfficerError as error:
        say(f"the simulated officer stopped: {error}")
    except Exception as error:  # noqa: BLE001 - a thread: what it says must reach the terminal
        if not stop.is_set() and stage.fallen() is None:
            say(f"the simulated officer stopped: {type(error).__name__}: {error}")


async def _until(condition: Callable[[], bool], ending: asyncio.Event) -> None:
    while not condition():  # noqa: ASYNC110 - a signal handler and a child's end set no event of this loop
        await asyncio.sleep(0.2)
    ending.set()


def _report(stage: Stage, officer: Officer, story: Callable[[], check.Finding]) -> int:
    looks: list[Callable[[], check.Finding]] = [
        story,
        lambda: check.acknowledged(officer),
        lambda: check.chart(officer),
        lambda: check.pages(officer),
        lambda: check.replay(stage),
        lambda: check.archive(stage),
        lambda: check.health(stage),
    ]
    failed = 0
    for look in looks:
        name, wrong = look()
        failed += bool(wrong)
        say(f"{'FAILED' if wrong else 'ok    '} {name}")
        for line in wrong[:20]:
            say(f"         {line}")
    say("the demo holds" if not failed else f"{failed} of {len(looks)} checks failed")
    return 1 if failed else 0
