"""Nothing is read from a Kafka, and nothing is sent there, before it has shown that it is this installation's.

The desk serves what its store holds long before that, and goes on serving when it never happens: an alarm that stands in
the store can be read and acknowledged while the broker is away, or is another one.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from monitor.alarms import operators
from monitor.desk import offsets
from monitor.desk.follower import ClusterError
from monitor.desk.standing import REASONS, Standing
from monitor.store.session import StoreDownError
from streams import admin
from streams.topics import ALARMS

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.desk.standing import Watch
    from monitor.store.session import Store
    from streams.settings import KafkaSettings

log = logging.getLogger(__name__)
RETRY_S = 2.0
LOOK_S = 5.0
LASTS_MS = 60_000
"""Old for so long, it is an operators' alarm; that one is counted again as often while it lasts."""
OLD = "changes-old"


class Admission:
    """Says whether cluster and topics are those of this installation, and what is wrong with them if not."""

    def __init__(self, kafka: KafkaSettings, store: Store, watch: Watch, clock_ms: Callable[[], int]) -> None:
        """Take where Kafka is, the store whose offsets must be of that cluster, and whom to tell."""
        self._kafka, self._store, self._watch, self._now = kafka, store, watch, clock_ms
        self.passed = threading.Event()
        """Set while Kafka has been found to be ours."""
        self.fault = ""
        """What differs; empty while nothing is known to."""

    def guarded(self, follow: Callable[[threading.Event], None]) -> Callable[[threading.Event], None]:
        """Return the job that follows once Kafka is found to be ours; another cluster in its place is refused as well."""

        def job(stop: threading.Event) -> None:
            while not stop.is_set():
                try:
                    self._check()
                    self.fault = ""
                    self.passed.set()
                    follow(stop)
                except (admin.BrokerDownError, StoreDownError) as error:
                    log.warning("changes: %s; trying again", error)
                    self.fault = ""
                    away = isinstance(error, StoreDownError)
                    self._watch.fails(Standing.STORE_AWAY if away else Standing.BROKER_AWAY)
                    stop.wait(RETRY_S)
                except (admin.TopicsError, ClusterError) as error:
                    if self.fault != str(error):
                        log.warning("changes: %s; nothing is read or sent. %s", error, error.action)
                    self.passed.clear()
                    self.fault = str(error)
                    self._watch.fails(Standing.REFUSED)
                    stop.wait(RETRY_S)

        return job

    def _check(self) -> None:
        admin.ensure_ready(self._kafka)
        cluster = str(admin.describe(self._kafka)["cluster_id"])
        with self._store.reading() as session:
            others = {row.cluster for row in offsets.known(session).values()} - {cluster}
        if others:
            raise ClusterError(f"the store's offsets are of cluster {min(others)}, the broker is {cluster}")

    def reason(self) -> str | None:
        """Return why the rows may be old, for operators; none if they are not."""
        standing = self._watch.standing()
        if standing is None:
            return None
        return f"{REASONS[standing]}: {self.fault}" if self.fault else REASONS[standing]

    def tell(self, stop: threading.Event) -> None:
        """Open an operators' alarm when the rows stay old, and close it when they are new again, until `stop`."""
        since: int | None = None
        said = 0
        mine = True  # what an earlier run of the desk left open is closed by this one
        while not stop.wait(LOOK_S):
            now, reason = self._now(), self.reason()
            since = None if reason is None else now if since is None else since
            try:
                if reason is None and mine:
                    with self._store.writing() as session:
                        operators.closed(session, OLD, ALARMS, now)
                    mine = False
                elif reason is not None and since is not None and now - max(since, said) >= LASTS_MS:
                    with self._store.writing() as session:
                        operators.opened(session, OLD, ALARMS, reason, now)
                    said, mine = now, True
            except StoreDownError as error:
                log.warning("the operators' alarm of the changes waits: %s", error)
