"""`offsite desk`: changes in, supervisors served."""

from __future__ import annotations

import logging
import sys
import time
from typing import Annotated

import typer

from monitor.alarms.rulebook import Rulebook
from monitor.desk.admission import Admission
from monitor.desk.app import create_desk
from monitor.desk.calendars import calendars_job
from monitor.desk.clock_follower import ClockFollower
from monitor.desk.figures import Figures
from monitor.desk.follower import ChangeFollower
from monitor.desk.healing import healing_job
from monitor.desk.live import Hub
from monitor.desk.pace import Pace
from monitor.desk.parts import Desk
from monitor.desk.readiness import Readiness
from monitor.desk.rejection_follower import RejectionFollower
from monitor.desk.retention import retention_job
from monitor.desk.threads import Threads, notify_job, outbox_job
from monitor.notify.alertmanager import Alertmanager
from monitor.packs.shelf import Shelf, packs_job
from monitor.serving import announce, bound, is_loopback, serve, server
from monitor.settings import ArchiverEnvironment, DeskEnvironment, ProofsEnvironment, kafka_settings, open_store
from monitor.store.relay import Relay
from rules.errors import BadInputError, Fault, PartMissingError
from rules.pack import default_bundle

app = typer.Typer(add_completion=False, help="Run the desk: console, API, notifications, outbox.")
JOIN_S = 4.0
SWITCH_S = 0.0005
"""A page takes the interpreter from the follower dozens of times, and may wait so long each time while a backlog is read. With
Python's 5 ms a page took 12 times as long as afterwards, with this 5 times (bench/desk_catchup)."""


def clock_ms() -> int:
    """Return the wall clock in ms."""
    return time.time_ns() // 1_000_000


class ThreadFailedError(PartMissingError):
    """A thread of the desk ended by an error; the process ends, to be started again."""


@app.command()
def command(
    host: Annotated[str | None, typer.Option("--host", help="Where to listen [OFFSITE_DESK_HOST].")] = None,
    port: Annotated[
        int | None, typer.Option("--port", min=0, max=65535, help="0 takes a free port [OFFSITE_DESK_PORT].")
    ] = None,
) -> None:
    """Serve until SIGTERM; requests under way are answered, then it ends within five seconds."""
    settings = DeskEnvironment()
    chosen, kafka = host or settings.host, kafka_settings()
    if not is_loopback(chosen) and not settings.https:
        detail = "the desk beyond loopback needs TLS in front of it: set OFFSITE_DESK_HTTPS=true behind a TLS proxy"
        raise BadInputError("settings", [Fault("OFFSITE_DESK_HOST", "plain_http", detail)])
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("kafka").setLevel(logging.WARNING)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    listening = bound(chosen, settings.port if port is None else port)  # first of all: a second desk is told at once
    store = open_store()
    figures, hub, rulebook = Figures(), Hub(store), Rulebook(default_bundle())
    shelf = Shelf(rulebook, store)
    shelf.look()  # before the first page is shown
    pace = Pace()
    follower = ChangeFollower(store, kafka, clock_ms=clock_ms, figures=figures, on_live=hub.poke, pace=pace)
    relay = Relay(store, kafka, clock_ms)
    admission = Admission(kafka, store, follower.watch, clock_ms)

    readiness = Readiness(store, admission.reason, clock_ms)

    def ready() -> list[str]:
        return [*([] if threads.failed is None else [threads.failed]), *readiness.reasons()]

    archive, proofs = ArchiverEnvironment().folder, ProofsEnvironment().folder
    desk = Desk(
        settings, store, rulebook, hub, figures, archive, clock_ms, ready, proofs, watch=follower.watch, pace=pace
    )
    rejected = RejectionFollower(store, kafka, clock_ms=clock_ms, figures=figures, book=desk.rejections)
    clocks = ClockFollower(store, kafka, clock_ms=clock_ms, figures=figures, pace=pace)
    serving = server(create_desk(desk))
    threads = Threads(on_failure=lambda: setattr(serving, "should_exit", True))
    threads.start("changes", admission.guarded(follower.run))
    threads.start("rejections", admission.guarded(rejected.run))
    threads.start("clocks", admission.guarded(clocks.run))
    threads.start("standing", admission.tell)
    threads.start("readiness", readiness.watch_store)
    threads.start("outbox", outbox_job(relay, store, figures, clock_ms, admission.passed))
    threads.start("healing", healing_job(store, archive, clock_ms))
    threads.start("sparks", desk.sparks.job)
    watching = {
        "packs": packs_job(shelf), "calendars": calendars_job(store, clock_ms),
        "retention": retention_job(store, kafka, clock_ms),
    }  # fmt: skip
    for name, job in watching.items():
        threads.start(name, job)
    if settings.alertmanager:
        link = settings.public_url or f"http://{chosen}:{listening.getsockname()[1]}"
        channel = Alertmanager(
            store, settings.alertmanager, rulebook=rulebook, figures=figures, clock_ms=clock_ms, link=link
        )
        threads.start("notify", notify_job(channel))
    sys.setswitchinterval(SWITCH_S)
    announce(chosen, listening)
    try:
        serve(serving, listening)
    finally:
        threads.join(JOIN_S)
        store.close()
    if threads.failed is not None:
        raise ThreadFailedError(f"the desk stopped: {threads.failed}")
