"""The desk's threads: changes, outbox, notifications. One that ends unexpectedly makes the desk unhealthy and ends it."""

from __future__ import annotations

import logging
import threading
from time import monotonic
from typing import TYPE_CHECKING

from monitor.register.store import repeat_due
from monitor.store.session import StoreDownError

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.desk.figures import Figures
    from monitor.notify.alertmanager import Alertmanager
    from monitor.store.relay import Relay
    from monitor.store.session import Store

log = logging.getLogger(__name__)
IDLE_S = 0.25
NOTIFY_S = 1.0
REPEAT_S = 3600.0


class Threads:
    """Runs named jobs, each in a thread; `failed` names the first that ended by an error."""

    def __init__(self, on_failure: Callable[[], None]) -> None:
        """Take what to call, once, when a job ends by an error: the process should end then, to be started again."""
        self.stop = threading.Event()
        self.failed: str | None = None
        self._on_failure = on_failure
        self._threads: list[threading.Thread] = []

    def start(self, name: str, job: Callable[[threading.Event], None]) -> None:
        """Start a job; it must return soon after its event is set."""
        thread = threading.Thread(target=self._run, args=(name, job), name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def join(self, timeout_s: float) -> None:
        """Set the event and wait for every job, so long in all: one that hangs takes nobody else's time."""
        self.stop.set()
        until = monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, until - monotonic()))

    def _run(self, name: str, job: Callable[[threading.Event], None]) -> None:
        try:
            job(self.stop)
        except Exception as error:
            log.exception("desk: %s ended", name)
            if self.failed is None:
                self.failed = f"{name}: {type(error).__name__}: {error}"
                self._on_failure()


def outbox_job(
    relay: Relay, store: Store, figures: Figures, clock_ms: Callable[[], int]
) -> Callable[[threading.Event], None]:
    """Return the job that sends the outbox, and repeats register records before the log drops them."""

    def job(stop: threading.Event) -> None:
        next_repeat = 0.0
        try:
            while not stop.is_set():
                try:
                    if clock_ms() / 1000 >= next_repeat:
                        with store.writing() as session:
                            repeat_due(session, clock_ms())
                        next_repeat = clock_ms() / 1000 + REPEAT_S
                    sent = relay.send_once()
                    figures.outbox.set(relay.waiting())
                except StoreDownError as error:
                    log.warning("outbox: %s", error)
                    sent = 0
                if not sent:
                    stop.wait(IDLE_S)
        finally:
            relay.close()

    return job


def notify_job(channel: Alertmanager) -> Callable[[threading.Event], None]:
    """Return the job that tells a channel."""

    def job(stop: threading.Event) -> None:
        try:
            while not stop.is_set():
                try:
                    channel.round_once()
                except StoreDownError as error:
                    log.warning("notifications: %s", error)
                stop.wait(NOTIFY_S)
        finally:
            channel.close()

    return job
