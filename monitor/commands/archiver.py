"""`offsite archiver`: write the log and the alarms into the archive, until told to stop."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Annotated

import typer

from monitor.archive.archiver import Archiver, ArchiverSettings
from monitor.settings import ArchiverEnvironment, kafka_settings, open_store
from rules.errors import PartMissingError
from streams.probes import Probes

if TYPE_CHECKING:
    from monitor.store.session import Store

app = typer.Typer(add_completion=False, help="Write the log and the alarms into the archive.")
log = logging.getLogger("offsite.archiver")
STUCK_S = 120.0
"""A loop that has not turned for so long is stuck in a call; the process ends and a supervisor starts it again."""
LOST_EXIT = 70
BEHIND = 5_000
"""Not ready above so many records that Kafka has and nobody has read for the archive."""


@app.command()
def command(
    host: Annotated[
        str | None, typer.Option("--host", help="Where health and metrics are served [OFFSITE_ARCHIVER_HOST].")
    ] = None,
    port: Annotated[
        int | None, typer.Option("--port", min=0, max=65535, help="0 takes a free port [OFFSITE_ARCHIVER_PORT].")
    ] = None,
) -> None:
    """Archive until SIGTERM; what is in hand is then archived, and it ends with 0.

    Waits while broker, store or disk are away, and while another archiver works. Ends with 4 when going on would mix or
    miss something: other topics, another cluster, a log that ends before the archive does.
    """
    environment = ArchiverEnvironment()
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("kafka").setLevel(logging.CRITICAL)  # an outage is told once, by `waiting`
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    store = _open_store(stop)
    if store is None:
        return
    settings = ArchiverSettings(**environment.model_dump(include=set(ArchiverSettings.__dataclass_fields__)))
    holder = f"{environment.instance}:{os.getpid()}:{secrets.token_hex(4)}"
    archiver = Archiver(store, kafka_settings(), settings, holder)
    probes = _probes(archiver, host or environment.host, environment.port if port is None else port)
    probes.start()
    sys.stdout.write(f'{{"listening":"{host or environment.host}:{probes.port}"}}\n')
    sys.stdout.flush()
    threading.Thread(target=_watch, args=(archiver,), name="watch", daemon=True).start()
    try:
        archiver.run(stop)
    finally:
        probes.stop()
        store.close()


def _open_store(stop: threading.Event) -> Store | None:
    while not stop.is_set():
        try:
            return open_store()
        except PartMissingError as error:
            log.warning("waiting: %s", error)
            stop.wait(1.0)
    return None


def _stuck(archiver: Archiver) -> bool:
    return time.monotonic() - archiver.beat > STUCK_S


def _not_ready(archiver: Archiver) -> str | None:
    behind = archiver.behind
    return archiver.waiting or (f"{behind} records are not read yet" if behind > BEHIND else None)


def _probes(archiver: Archiver, host: str, port: int) -> Probes:
    def health() -> tuple[bool, dict[str, object]]:
        stuck = _stuck(archiver)
        return not stuck, {"status": "bad" if stuck else "ok", "waiting": archiver.waiting}

    def ready() -> tuple[bool, dict[str, object]]:
        why = _not_ready(archiver)
        return why is None, {
            "ready": why is None,
            "waiting": why,
            "lag_records": archiver.lag,
        }

    return Probes(host, port, health=health, ready=ready, registry=archiver.figures.registry, refresh=lambda: None)


def _watch(archiver: Archiver) -> None:
    while not _stuck(archiver):
        time.sleep(1.0)
    log.critical("archiver stops at once: its loop has not turned for %d s", STUCK_S)
    logging.shutdown()
    os._exit(LOST_EXIT)
