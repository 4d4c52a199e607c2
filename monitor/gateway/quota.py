"""A token bucket per key: a bound on what it may use in a minute, and on the keys remembered."""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

REMEMBERED = 100_000


class Quota:
    """`take` answers how many seconds a key must wait, 0 if it may go on.

    What something costs may be known only afterwards: `charge` takes it then, below zero if need be, and the key waits longer.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float]) -> None:
        self._rate = per_minute / 60.0
        self._burst = float(per_minute)
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str, amount: float = 1.0) -> int:
        """Take `amount` tokens of `key`; returns the whole seconds until they are there, or 0."""
        now, tokens = self._filled(key)
        wait = 0 if tokens >= amount else math.ceil((amount - tokens) / self._rate)
        self._put(key, tokens - amount if wait == 0 else tokens, now)
        return wait

    def charge(self, key: str, amount: float) -> None:
        """Take what was used, whatever is left."""
        now, tokens = self._filled(key)
        self._put(key, tokens - amount, now)

    def _filled(self, key: str) -> tuple[float, float]:
        now = self._clock()
        tokens, then = self._buckets.pop(key, (self._burst, now))
        return now, min(self._burst, tokens + (now - then) * self._rate)

    def _put(self, key: str, tokens: float, now: float) -> None:
        self._buckets[key] = tokens, now
        if len(self._buckets) > REMEMBERED:
            self._buckets.popitem(last=False)
