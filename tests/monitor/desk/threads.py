"""A follower in a thread, as the desk runs it: a test that does not say that it dies fails where it died."""

from __future__ import annotations

import threading


class InThread:
    """Runs until it is left; `may_die` is for tests of a follower's end."""

    def __init__(self, follower, *, may_die=False):
        self.follower, self.may_die = follower, may_die
        self.stop, self.error = threading.Event(), None
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        try:
            self.follower.run(self.stop)
        except Exception as error:  # noqa: BLE001 - what ends the thread must reach the test
            self.error = error

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join(60)
        assert not self.thread.is_alive()
        assert self.may_die or self.error is None, self.error
