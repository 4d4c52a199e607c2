"""`python -m tests.chaos --kills 100 --seed 1`: break the installation, then judge it. Exit code 0 if everything agrees, else 1."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from tests.chaos import ending
from tests.chaos.acts import Attacker
from tests.chaos.feeding import Feeder
from tests.chaos.firms import firms_of
from tests.chaos.plan import Form, acts_of, short
from tests.chaos.stage import Stage, left_behind

if TYPE_CHECKING:
    from tests.chaos.ending import Verdict

BOUND_S = 900.0
PER_KILL_S = 30.0


def main() -> int:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="the schedule and the readings follow from it")
    parser.add_argument("--kills", type=int, default=100, help="how many kill -9")
    parser.add_argument("--short", action="store_true", help="the form of the default test run")
    parser.add_argument("--outage", type=float, default=60.0, help="seconds without a broker (the short form: 4)")
    parser.add_argument("--keep", action="store_true", help="keep the folder though everything agrees")
    parser.add_argument("--data", type=Path, default=None, help="a new folder to work in; a temporary one if not given")
    asked = parser.parse_args()
    form = short(asked.seed, asked.kills) if asked.short else Form(asked.seed, asked.kills, outage_s=asked.outage)
    folder = Path(tempfile.mkdtemp(prefix="offsite-chaos-")) if asked.data is None else asked.data.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()

    def tell(text: str) -> None:
        sys.stdout.write(f"{time.monotonic() - began:7.1f} s  {text}\n")
        sys.stdout.flush()

    for noisy in ("aiokafka", "kafka", "httpx"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    stage = Stage(folder, form, tell)
    tell(
        f"seed {form.seed}, {form.kills} kills, {form.firms} firms, {form.partitions} partitions; folder {folder}, mark {stage.mark}"
    )
    code = 1
    try:
        verdict = asyncio.run(_bounded(stage, form))
    except (KeyboardInterrupt, asyncio.CancelledError):
        tell("interrupted")
        code = 130
    except Exception as error:  # noqa: BLE001 - whatever it was: said, and the folder kept
        tell(f"FAILED {type(error).__name__}: {error}")
        traceback.print_exc(file=sys.stdout)
    else:
        code = _report(verdict, tell)
    left = _end_what_is_left(stage.mark)
    if left:
        tell(f"FAILED processes were left behind: {left}")
        code = code or 1
    if code == 0 and not asked.keep:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        tell(f"logs and dumps are in {folder}")
    return code


async def _bounded(stage: Stage, form: Form) -> Verdict:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    async with asyncio.timeout(BOUND_S + PER_KILL_S * form.kills):
        return await run(stage, form)


async def run(stage: Stage, form: Form) -> Verdict:
    """Feed and break, then let it settle and judge."""
    began = time.monotonic()
    async with stage:
        stage.tell(f"everything is ready ({time.monotonic() - began:.1f} s)")
        firms = firms_of(form.firms, form.seed, time.time_ns() // 1_000_000)
        stage.register(firms)
        feeder = Feeder(stage.gateway, firms, stage.keys(firms), form.seed, time.monotonic())
        attacker = Attacker(stage, firms, feeder, form.seed)
        await ending.admitted(stage, feeder)
        feeding = asyncio.create_task(feeder.run())
        try:
            for act in acts_of(form):
                if feeding.done():
                    await feeding
                await attacker.do(act)
            feeder.stop()
            stage.tell("the last act is done")
            await ending.settle(stage, feeding)
            verdict = await ending.judged(stage, attacker)
        finally:
            feeding.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await feeding
        fed = feeder.fed
        kills = ", ".join(f"{name} {count}" for name, count in sorted(attacker.kills.items()))
        stage.tell(f"kills: {sum(attacker.kills.values())} ({kills}); acts: {dict(attacker.done)}")
        stage.tell(
            f"{len(fed.posted)} batches, {fed.readings} readings, {sum(fed.attempts.values())} posts, "
            f"{len(fed.receipts)} receipts; answers {dict(fed.answers.most_common())}"
        )
        stage.tell(f"{verdict.records} records in the log, {len(attacker.poisons)} pieces of poison")
        stage.tell(
            f"{verdict.changes} changes of {verdict.alarms} alarms, published again {verdict.repeats}: {verdict.kinds}"
        )
        stopping = max(stage.stopping_s, default=0)
        stage.tell(
            f"longest stop after SIGTERM {stopping:.1f} s; takeovers {[round(s, 1) for s in attacker.takeovers_s]} s"
        )
        for text in attacker.left_out:
            stage.tell(f"left out: {text}")
        return verdict


def _report(verdict: Verdict, tell: object) -> int:
    assert callable(tell)
    for name, wrong in verdict.wrong.items():
        tell(f"{'FAILED' if wrong else 'ok    '} {name}{f': {len(wrong)}' if wrong else ''}")
        for text in wrong[:12]:
            tell(f"         {text}")
    tell("everything agrees" if verdict.holds else "THEY DIFFER")
    return 0 if verdict.holds else 1


def _end_what_is_left(mark: str) -> list[int]:
    """Return what still lives of this run some seconds after its end, and end it."""
    deadline = time.monotonic() + 5
    while (left := left_behind(mark)) and time.monotonic() < deadline:
        time.sleep(0.1)
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return left


if __name__ == "__main__":
    raise SystemExit(main())
