"""A child process: started with a log of its own, tied to its owner, asked for readiness, ended by its id."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

TAIL = 15
TAIL_BYTES = 32 * 1024
PROBE_S = 2.0
ANSWER_S = 5.0


@dataclass(frozen=True, slots=True)
class Spec:
    """What to run: `offsite` arguments and environment, and where it says that it is ready."""

    name: str
    arguments: tuple[str, ...]
    ready_url: str
    env: Mapping[str, str] = field(default_factory=dict)
    log: Path | None = None
    """Its output goes to the end of this file; without one to the owner's standard error."""


class Child:
    """One running process. It dies with its owner, even if that is killed with -9 (streams.launch).

    Linux ties it to the thread that started it, so that thread must live as long as the child is wanted.
    """

    def __init__(self, spec: Spec) -> None:
        """Start it."""
        self.spec = spec
        command = [
            sys.executable, "-m", "streams.launch", str(os.getpid()), sys.executable, "-m", "monitor", *spec.arguments,
        ]  # fmt: skip
        if spec.log is None:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sys.stderr, env=dict(spec.env))  # noqa: S603 - our own interpreter and modules
            return
        with spec.log.open("ab") as out:
            self.process = subprocess.Popen(  # noqa: S603 - as above
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=dict(spec.env)
            )

    @property
    def name(self) -> str:
        """Its name."""
        return self.spec.name

    def is_ready(self) -> bool:
        """Ask it; a process that has ended is not ready."""
        if self.process.poll() is not None:
            return False
        try:
            return httpx.get(self.spec.ready_url, timeout=PROBE_S, trust_env=False).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    def answers(self) -> bool:
        """Say whether it answers a probe at all, well or ill."""
        try:
            httpx.get(self.spec.ready_url, timeout=ANSWER_S, trust_env=False)
        except httpx.HTTPError:
            return False
        return True

    def tail(self) -> str:
        """Return the last lines of its log, empty without one."""
        if self.spec.log is None:
            return ""
        try:
            with self.spec.log.open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - TAIL_BYTES))
                text = log.read().decode("utf-8", "replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-TAIL:])

    def terminate(self) -> None:
        """Ask it to end (SIGTERM)."""
        if self.process.poll() is None:
            self.process.terminate()

    def wait(self, seconds: float) -> int:
        """Wait for its end, and end it with SIGKILL after `seconds`; returns its exit code, negative for a signal."""
        try:
            return self.process.wait(max(0.0, seconds))
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()
