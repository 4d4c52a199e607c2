"""A worker process with the toy fold (or the real engine), for tests that kill it: `python -m tests.streams.toy_worker`."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.archive.reader import ArchiveReader
    from streams.history import History
    from streams.worker_settings import WorkerSettings


def main() -> None:
    settings_json, fold_json = sys.argv[1:3]
    logging.basicConfig(level=logging.INFO, format=f"%(asctime)s {os.getpid()} %(levelname)s %(name)s %(message)s")
    from streams.worker import run
    from streams.worker_settings import WorkerSettings

    options, settings = json.loads(fold_json), WorkerSettings.model_validate_json(settings_json)
    if place := options.pop("place", ""):
        be_elsewhere(place, heedless=options.pop("heedless", False))
    if what := options.pop("broken", ""):
        BREAK[what]()
    history = archive_of(settings, *place) if (place := options.pop("archive", None)) else None
    if number := options.pop("dies_behind_closed", 0):
        die_behind_closed(number)
    if wait := options.pop("claims", 0):
        from rules.engine import Engine
        from tests.rules import claimlogs

        fold = Engine(claimlogs.bundle(wait=wait))
    elif options.pop("real", False):
        from rules.engine import Engine
        from rules.pack import default_bundle

        fold = Engine(default_bundle())
    else:
        from tests.streams.toy import ToyFold

        fold = ToyFold(**options)
    run(settings, fold, history)


def archive_of(settings: WorkerSettings, url: str, folder: str) -> History:
    """Return log and archive, as `offsite worker` reads them."""
    from monitor.archive.reader import ArchiveReader
    from monitor.store.session import Store
    from streams.history import LogHistory

    @contextmanager
    def opened() -> Iterator[ArchiveReader]:
        store = Store(url)
        try:
            yield ArchiveReader(store, Path(folder))
        finally:
            store.close()

    return LogHistory(settings.kafka, settings.log_topic, opened)


def block_the_loop() -> None:
    """Stand still in the middle of the fold, as a rule that never returns would."""
    from tests.streams.toy import ToyFold

    fold = ToyFold.fold

    def blocks(self: ToyFold, record: Any) -> Any:
        if record.offset == STANDS_STILL:
            time.sleep(3_600)
        return fold(self, record)

    ToyFold.fold = blocks  # type: ignore[method-assign]


def stall_a_partition() -> None:
    """Take no more records of partition 0 from some offset on, while all others are folded."""
    from streams.custody import Custody

    take = Custody.take

    async def deaf(self: Custody, partition: int, records: Any, stamp: int) -> None:
        if partition or records[-1].offset < STANDS_STILL:
            await take(self, partition, records, stamp)

    Custody.take = deaf  # type: ignore[method-assign]


def never_restore() -> None:
    """Wait for ever for the state rows."""
    from streams import custody

    async def hang(*_: object) -> Any:
        await asyncio.Event().wait()

    custody.read_state = hang


def fall_out_of_the_group() -> None:
    """Let aiokafka leave the group soon after the last fetch: a standby then never comes back (see streams.app.NEVER_S)."""
    from streams import app

    app.NEVER_S = 3.0


def die_behind_closed(number: int) -> None:
    """Die by SIGKILL once the broker has so many records of hours or days that are over, before their transaction is committed."""
    from aiokafka import AIOKafkaProducer

    send, left = AIOKafkaProducer.send, number

    async def dies(self: Any, topic: str, value: Any = None, key: Any = None, *given: Any, **more: Any) -> Any:
        nonlocal left
        sent = await send(self, topic, value, key, *given, **more)
        if b"~" in (key or b""):
            left -= 1
            if left == 0:
                await sent
                os.kill(os.getpid(), signal.SIGKILL)
        return sent

    AIOKafkaProducer.send = dies  # type: ignore[method-assign]


BREAK = {
    "loop": block_the_loop,
    "partition": stall_a_partition,
    "restore": never_restore,
    "group": fall_out_of_the_group,
}
STANDS_STILL = 20


def be_elsewhere(place: str, *, heedless: bool) -> None:
    """Run as if on another machine; a heedless worker does not ask who has its name, as releases before did."""
    from streams import group, names

    class NameElsewhere(names.Name):
        def __init__(self, *named: str) -> None:
            super().__init__(place, *named[1:])

    group.here = lambda: place
    names.Name = NameElsewhere  # type: ignore[misc]
    if heedless:
        from streams import worker

        worker.claim = lambda *_: NameElsewhere("", "", f"{os.getpid()}")


if __name__ == "__main__":
    main()
