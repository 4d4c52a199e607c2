"""Whether the desk is up to date: what people see there is what the fold has said, but for a moment."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from sqlalchemy import select

from monitor.desk.standing import REASONS
from monitor.store.session import StoreDownError
from monitor.store.tables import ConsumerOffset

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from monitor.desk.standing import Watch
    from monitor.store.session import Store

log = logging.getLogger(__name__)
LOOK_S = 2.0
STORE_MS = 10_000


class Readiness:
    """Says why the desk is not ready. The database is asked in a thread of its own: a hanging one must not hold the answer."""

    def __init__(self, store: Store, watch: Watch, clock_ms: Callable[[], int]) -> None:
        """Take what is judged."""
        self._store, self._watch, self._now = store, watch, clock_ms
        self._answered_ms = 0

    def watch_store(self, stop: threading.Event) -> None:
        """Ask the database every two seconds until `stop`."""
        while not stop.is_set():
            try:
                with self._store.reading() as session:
                    session.execute(select(ConsumerOffset.partition).limit(1)).all()
                self._answered_ms = self._now()
            except StoreDownError as error:
                log.warning("readiness: %s", error)
            stop.wait(LOOK_S)

    def reasons(self) -> list[str]:
        """Return why not; nothing when it is ready."""
        found = [] if self._now() - self._answered_ms <= STORE_MS else ["the database does not answer"]
        standing = self._watch.standing()
        return found if standing is None else [*found, REASONS[standing]]
