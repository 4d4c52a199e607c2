"""A desk on a real uvicorn, on a free port of loopback, in a thread of its own; it can be stopped and started again there."""

from __future__ import annotations

import threading

from monitor.desk.app import create_desk
from monitor.desk.live import Hub
from monitor.serving import bound, server
from tests.monitor.desk.lab import DeskLab


class Served(DeskLab):
    """A DeskLab that browsers reach at `url`."""

    def __init__(self, store, archive, **settings):
        super().__init__(store, archive, **settings)
        self.port, self._server, self._thread = 0, None, None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self):
        """Serve; the second time on the port of the first."""
        listening = bound("127.0.0.1", self.port)
        self.port = listening.getsockname()[1]
        self.desk.hub = Hub(self.store)
        self._server = server(create_desk(self.desk))
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [listening]}, daemon=True)
        self._thread.start()

    def stop(self):
        self._server.should_exit = True
        self._thread.join(30)
        assert not self._thread.is_alive()
