"""Run a program that dies with its parent: `python -m streams.launch PARENT_PID PROGRAM ARGS...`.

Linux sends the child SIGKILL when the thread that started it ends (PR_SET_PDEATHSIG), so the broker leaves no orphan even
if its owner is killed with -9. Elsewhere the program is simply run.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Tie this process to its parent, then become the program."""
    parent, program = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the call
            raise SystemExit(1)
    os.execvp(program[0], program)  # noqa: S606 - becoming the program is the point


if __name__ == "__main__":
    main()
