"""Child processes: started with a log file each, tied to this process, asked for readiness, ended by their id."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import httpx

from rules.errors import PartMissingError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

POLL_S = 0.1
STOP_S = 8.0
TAIL = 15


class ChildFailedError(PartMissingError):
    """A process of the demo ended, or never became ready; the end of its log is in the message."""


class Child:
    """One `offsite` process. It dies with its owner, even if that is killed with -9 (streams.launch)."""

    def __init__(self, name: str, arguments: list[str], env: Mapping[str, str], log: Path, ready: str) -> None:
        """Start it; `ready` is the URL that answers 200 once it is ready."""
        self.name, self.ready_url, self._log = name, ready, log
        command = [
            sys.executable,
            "-m",
            "streams.launch",
            str(os.getpid()),
            sys.executable,
            "-m",
            "monitor",
            *arguments,
        ]
        with log.open("ab") as out:
            self.process = subprocess.Popen(  # noqa: S603 - our own interpreter and modules
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=dict(env)
            )

    def is_ready(self) -> bool:
        """Ask it.

        Raises:
            ChildFailedError: it has ended.
        """
        if self.process.poll() is not None:
            raise ChildFailedError(f"{self.name} ended with {self.process.returncode}:\n{self.tail()}")
        try:
            return httpx.get(self.ready_url, timeout=2, trust_env=False).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    def tail(self) -> str:
        """Return the last lines of its log."""
        try:
            lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return ""
        return "\n".join(lines[-TAIL:])

    def stop(self) -> None:
        """End it: SIGTERM, then SIGKILL."""
        if self.process.poll() is None:
            self.process.terminate()

    def wait(self) -> int:
        """Wait for its end; returns its exit code."""
        try:
            return self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


def await_ready(children: list[Child], seconds: float) -> None:
    """Wait until all are ready.

    Raises:
        ChildFailedError: one ended, or was not ready in time.
    """
    deadline = time.monotonic() + seconds
    waiting = list(children)
    while waiting:
        waiting = [child for child in waiting if not child.is_ready()]
        if waiting and time.monotonic() > deadline:
            slow = waiting[0]
            raise ChildFailedError(f"{slow.name} was not ready within {seconds:.0f} s:\n{slow.tail()}")
        time.sleep(POLL_S)
