"""The newest batch ids of every facility and what was in them: the fold takes an id once (contracts.md §1), and so does the feed."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rules.batches import Seen, digest_of

if TYPE_CHECKING:
    from rules.records import Readings

KEPT = 256
"""Ids of one facility: at a post each ten seconds three quarters of an hour. The fold keeps four times as many."""
CONFLICTS_KEPT = 20


@dataclass(frozen=True, slots=True)
class Conflict:
    """A batch that came under an id that another content has."""

    batch: str
    received: int
    """Receive time, ms."""


@dataclass(slots=True)
class Recent:
    """The newest batches of one facility."""

    conflicts: int = 0
    newest: deque[Conflict] = field(default_factory=lambda: deque(maxlen=CONFLICTS_KEPT))
    _digests: dict[str, bytes] = field(default_factory=dict)
    """By id, oldest first."""

    def meet(self, readings: Readings, received: int) -> Seen:
        """Say what a batch is to those before it, and keep it."""
        digest = digest_of(readings)
        known = self._digests.get(readings.batch)
        if known is None:
            if len(self._digests) >= KEPT:
                del self._digests[next(iter(self._digests))]
            self._digests[readings.batch] = digest
            return Seen.NEW
        if known == digest:
            return Seen.REPEATED
        self.conflicts += 1
        self.newest.append(Conflict(readings.batch, received))
        return Seen.CONFLICT
