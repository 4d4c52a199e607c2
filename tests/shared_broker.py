"""One embedded Kafka for all workers of pytest-xdist: the process that shares the tests out starts it when the first one asks.

A broker that idles takes 3 % of a core, and one that starts 4 s of it: four of them cost minutes.
"""

from __future__ import annotations

import threading
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing.connection import Client, Listener
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from rules.errors import OffsiteError
from streams.broker import EmbeddedBroker

if TYPE_CHECKING:
    from collections.abc import Callable

ATTEMPTS = 3
WAITING = 64
"""Workers that may ask while the broker starts."""


@dataclass(frozen=True, slots=True)
class Broker:
    """What tests may know of a broker that is not theirs to stop."""

    bootstrap: str
    pid: int
    cluster_id: str


class BrokerKeeper:
    """Answers workers on a socket that this user alone can reach. The broker lives in its thread, and ends with it."""

    def __init__(self, make: Callable[[Path], EmbeddedBroker] = EmbeddedBroker) -> None:
        self._make = make
        self._folder = TemporaryDirectory(prefix="offsite-tests-")
        self.address = str(Path(self._folder.name) / "broker")
        self._listener = Listener(self.address, "AF_UNIX", backlog=WAITING)
        self._thread = threading.Thread(target=self._serve, name="broker of the tests", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        answer: Broker | str | None = None
        with ExitStack() as stack:
            while True:
                with self._listener.accept() as asked:
                    if asked.recv() == "end":
                        return
                    answer = answer or self._started(stack)
                    asked.send(answer)

    def _started(self, stack: ExitStack) -> Broker | str:
        """Start the broker, a second time where a machine that starts many things at once gave it no turn; or say why not."""
        why = ""
        for attempt in range(ATTEMPTS):
            try:
                made = self._make(Path(self._folder.name) / f"kafka-{attempt}").start()
            except OffsiteError as error:
                why = error.report()
            else:
                stack.callback(made.kill)  # nothing of its log is wanted again: a clean stop would be lost time
                return Broker(made.bootstrap, made.pid, made.cluster_id)
        return why

    def close(self) -> None:
        """Stop the broker, if anybody asked for it."""
        with Client(self.address, "AF_UNIX") as end:
            end.send("end")
        self._thread.join()
        self._listener.close()
        self._folder.cleanup()


def shared(address: str) -> Broker:
    """Ask for the broker; it is started for the first who asks.

    Raises:
        RuntimeError: it did not start; the message is the broker's.
    """
    with Client(address, "AF_UNIX") as asking:
        asking.send("broker")
        answer = asking.recv()
    if not isinstance(answer, Broker):
        raise RuntimeError(answer)  # noqa: TRY004 - no wrong type: the text says why there is no broker
    return answer
