"""A token bucket per key: a bound on posts per minute, and on the keys remembered."""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

REMEMBERED = 100_000


class Quota:
    """`take` answers how many seconds a key must wait, 0 if it may go on."""

    def __init__(self, per_minute: int, clock: Callable[[], float]) -> None:
        self._rate = per_minute / 60.0
        self._burst = float(per_minute)
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str) -> int:
        """Take one token of `key`; returns the whole seconds until there is one, or 0."""
        now = self._clock()
        tokens, then = self._buckets.pop(key, (self._burst, now))
        tokens = min(self._burst, tokens + (now - then) * self._rate)
        wait = 0 if tokens >= 1.0 else math.ceil((1.0 - tokens) / self._rate)
        self._buckets[key] = (tokens - 1.0 if wait == 0 else tokens, now)
        if len(self._buckets) > REMEMBERED:
            self._buckets.popitem(last=False)
        return wait
