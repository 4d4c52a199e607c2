"""Run a worker process: Faust app, custody, ticks, watchdog and probes, until a signal or a reason to stop."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn

import uvloop
from aiokafka.errors import IllegalOperation, InvalidProducerEpoch, KafkaError, ProducerFenced

from rules.instants import format_instant
from streams.app import create_app
from streams.faust_seams import highwaters, member_ids, what_died
from streams.halt import halt as end_process
from streams.lotfold import LotWorkerFold
from streams.names import claim, twin
from streams.probes import Probes
from streams.sensor import Sensor
from streams.standing import Standing
from streams.ticker import Ticker
from streams.watchdog import Watchdog

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.custody import Custody
    from streams.faust_seams import WorkerApp
    from streams.fold import Fold
    from streams.halt import Halt
    from streams.history import History
    from streams.names import Name
    from streams.worker_settings import WorkerSettings

BEAT_S = 0.25
FENCED = (ProducerFenced, InvalidProducerEpoch, IllegalOperation)
"""What a producer says whose place was taken; the last where it met the fence between two sends of a transaction."""
LOG_EVERY_S = 5.0
_log = logging.getLogger("offsite.worker")


class RateLimit(logging.Filter):
    """Passes a line of one place in the code once per interval: aiokafka writes 100 a second in an outage."""

    def __init__(self, every_s: float = LOG_EVERY_S, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._every_s, self._clock = every_s, clock
        self._last: dict[tuple[str, int], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether the line is written; the next one that is says how many were not."""
        place = (record.pathname, record.lineno)
        now = self._clock()
        at, left_out = self._last.get(place, (-self._every_s, 0))
        if now - at < self._every_s:
            self._last[place] = (at, left_out + 1)
            return False
        self._last[place] = (now, 0)
        if left_out:
            record.msg = f"{record.msg} ({left_out} more lines like this left out)"
        return True


def quiet_logs() -> None:
    """Rate-limit what aiokafka and Faust write; kafka-python, which asks for the group, tells every connection at INFO."""
    logging.getLogger("kafka").setLevel(logging.WARNING)
    limit = RateLimit()
    for name in list(logging.root.manager.loggerDict):
        if name.split(".")[0] in {"aiokafka", "faust", "mode"}:
            logging.getLogger(name).addFilter(limit)


async def run_worker(
    settings: WorkerSettings, fold: Fold | None = None, halt: Halt = end_process, history: History | None = None
) -> None:
    """Work until SIGTERM or SIGINT; returns after the final checkpoint. Everything else ends the process.

    Args:
        settings: of this worker.
        fold: what folds the log; the engine with the shipped packs if not given.
        halt: ends the process; tests put another in its place.
        history: the log from its beginning, with the archive in front of it; the log itself if not given.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    sensor = Sensor()
    app = create_app(
        settings, fold, sensor=sensor, halt=explained(settings, lambda: member_ids(app), halt), history=history
    )
    custody = app.custody
    quiet_logs()
    standing = Standing(
        settings, lambda: not custody.wanted and custody.restoring_since is None, lambda: member_ids(app), halt
    )
    joined = threading.Event()
    watchdog = Watchdog(
        settings, custody, halt,
        lambda: highwaters(app) if joined.is_set() else {}, lambda: what_died(app) if joined.is_set() else None, standing,
    )  # fmt: skip
    probes = Probes(
        settings.host,
        settings.port,
        health=lambda: (
            not watchdog.faults,
            {"status": "ok" if not watchdog.faults else "bad", "why": watchdog.faults + _waiting(custody)},
        ),
        ready=lambda: (watchdog.ready, _readiness(custody, watchdog)),
        registry=sensor.registry,
        refresh=lambda: _refresh(sensor, custody, watchdog),
    )
    ticker = Ticker(settings, sensor, lambda: accepting(custody), watchdog.landed)
    probes.start()
    _log.info("worker %s: probes on http://%s:%d", settings.instance, settings.host, probes.port)
    watchdog.start()
    tasks = [asyncio.create_task(_beats(watchdog))]
    name = await _named(settings, stop, halt)
    if name is not None:
        # Faust makes its consumer when it is first asked for, in the loop of whoever asks: not in the watchdog's thread.
        _log.info("worker %s: its consumer is %r", settings.instance, app.consumer)
        joined.set()
        standing.start()
        tasks += [
            asyncio.create_task(guarded(part, halt))
            for part in (ticker.run(), app.start(), releases(custody, settings))
        ]
    await stop.wait()
    watchdog.stop()
    standing.stop()
    await finish(app, custody, tasks, settings, halt)
    probes.stop()
    if name is not None:
        name.give_up()


async def _named(settings: WorkerSettings, stop: asyncio.Event, halt: Halt) -> Name | None:
    """Take this worker's name; None if it was stopped meanwhile. Nobody takes it as long as the value lives."""
    enough = threading.Event()
    taking = asyncio.create_task(asyncio.to_thread(claim, settings, enough))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({taking, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not taking.done():  # its thread may wait for a broker; the process does not
        enough.set()
        return None
    try:
        return taking.result()
    except Exception as error:  # noqa: BLE001 - without its name it must not join
        halt(f"worker {settings.instance} cannot take its name", error)


def explained(settings: WorkerSettings, mine: Callable[[], frozenset[str]], halt: Halt) -> Halt:
    """Return `halt` that says who took over, where a process elsewhere did so under this worker's name."""

    def end(reason: str, error: BaseException | None = None) -> NoReturn:
        if isinstance(error, FENCED):
            # The loop stands still meanwhile: nothing is published and nothing acknowledged.
            halt(reason, twin(settings, mine) or error)
        halt(reason, error)

    return end


async def finish(
    app: WorkerApp, custody: Custody, tasks: list[asyncio.Task[None]], settings: WorkerSettings, halt: Halt
) -> None:
    """Final checkpoint first, then Faust; what Faust does not finish in time is left: nothing depends on it."""
    _log.info("worker %s: stopping", settings.instance)
    begun = time.monotonic()
    for task in tasks:
        task.cancel()
    try:
        async with asyncio.timeout(settings.stop_timeout_s):
            await custody.release()
    except TimeoutError:
        halt("no final checkpoint in time; the next start folds again from the last one")
    _log.info("worker %s: final checkpoint written", settings.instance)
    with suppress(TimeoutError):
        async with asyncio.timeout(max(0.1, settings.stop_timeout_s - (time.monotonic() - begun))):
            await app.stop()


async def guarded(work: Any, halt: Halt) -> None:  # noqa: ANN401 - a coroutine of an untyped library
    """Run a part of the worker; the process ends if it fails."""
    try:
        await work
    except asyncio.CancelledError:
        raise
    except BaseException as error:  # noqa: BLE001 - a part that ended leaves a worker that is alive and useless
        halt("a part of the worker failed", error)


async def _beats(watchdog: Watchdog) -> None:
    while True:
        watchdog.beat()
        await asyncio.sleep(BEAT_S)


async def releases(custody: Custody, settings: WorkerSettings) -> None:
    """Look for operators' wishes to release a facility, until cancelled."""
    while True:
        await asyncio.sleep(settings.release_every_s)
        try:
            await custody.look_for_releases()
        except KafkaError as error:
            _log.warning("releases of quarantined facilities are not read: %s", error)


def accepting(custody: Custody) -> dict[int, int]:
    """Return the next offset of each partition that is folded now."""
    return {partition: tenure.next for partition, tenure in list(custody.tenures.items()) if tenure.accepts}


def _waiting(custody: Custody) -> list[str]:
    """Say which partitions wait: no reason to start the worker again, and one to look."""
    return [
        f"partition {partition} waits at offset {hold.offset}: the broker's clock jumped to {format_instant(hold.received)}"
        for partition, hold in sorted(custody.guard.holds.items())
    ]


def _readiness(custody: Custody, watchdog: Watchdog) -> dict[str, object]:
    return {
        "ready": watchdog.ready,
        "partitions": sorted(custody.wanted),
        "restored": custody.restored,
        "why": [*watchdog.behind, *watchdog.faults],
        "lag_records": watchdog.lag(),
        "pending_rows": custody.pending,
        "held": sorted(custody.guard.holds),
        "quarantined": sorted(f for tenure in list(custody.tenures.values()) for f in list(tenure.ward.quarantined)),
    }


def _refresh(sensor: Sensor, custody: Custody, watchdog: Watchdog) -> None:
    now = time.time_ns() // 1_000_000
    lag = watchdog.lag()
    sensor.partitions.set(len(accepting(custody)))
    sensor.pending.set(custody.pending)
    sensor.held.set(len(custody.guard.holds))
    sensor.quarantined.set(sum(len(tenure.ward.quarantined) for tenure in list(custody.tenures.values())))
    kept = [
        tenure.fold.kept(p) for p, tenure in list(custody.tenures.items()) if isinstance(tenure.fold, LotWorkerFold)
    ]
    sensor.lots.set(sum(lots for lots, _ in kept))
    sensor.lots_dropped.set(sum(dropped for _, dropped in kept))
    sensor.lag_records.set(lag)
    oldest = min((t.last_received for t in custody.tenures.values() if t.last_received), default=now)
    sensor.lag_seconds.set(max(0, now - oldest) / 1_000 if lag else 0)


def run(settings: WorkerSettings, fold: Fold | None = None, history: History | None = None) -> NoReturn:
    """Run a worker in an event loop of its own and end the process: 0 after a graceful stop."""
    # Faust's consumer thread makes a loop of its own, by the policy.
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    loop.run_until_complete(run_worker(settings, fold, history=history))
    # All that matters is committed; threads and tasks of Faust that take their time must not hold the process.
    logging.shutdown()
    os._exit(0)
