"""How a worker ends at once: what cannot be published must not be acknowledged, so the process goes instead.

Nothing is flushed and nobody is asked: the open transaction is aborted by the successor's fence, and the next start
goes on from the last checkpoint.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING, NoReturn, Protocol

from rules.errors import OffsiteError

if TYPE_CHECKING:
    from collections.abc import Callable

EX_SOFTWARE = 70
"""A supervisor restarts the worker: it goes on from its last checkpoint."""
_log = logging.getLogger("offsite.worker")


class Halt(Protocol):
    """Ends the process with a line that says why; tests put another in its place."""

    def __call__(self, reason: str, error: BaseException | None = None) -> NoReturn:
        """End the process; never returns."""


def exit_status(error: BaseException | None) -> int:
    """Return the exit status: an OffsiteError that cannot be retried keeps its own (restarting does not help)."""
    if isinstance(error, OffsiteError) and not error.retriable:
        return error.exit_code
    return EX_SOFTWARE


def halt(reason: str, error: BaseException | None = None, leave: Callable[[int], NoReturn] = os._exit) -> NoReturn:
    """Log why and end the process without any clean-up."""
    text = f"{reason}: {error.report()}" if isinstance(error, OffsiteError) else reason
    show = error is not None and not isinstance(error, OffsiteError)
    try:
        _log.critical(
            "worker stops at once: %s",
            text,
            exc_info=(type(error), error, error.__traceback__) if show and error else None,
        )
        for stream in (sys.stderr, sys.stdout):
            stream.flush()
    finally:
        leave(exit_status(error))
