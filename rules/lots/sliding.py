"""The least of what lies in each of some windows of time that move forwards: each point is looked at once, however many windows hold it."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_T = TypeVar("_T", bound=Any)


def least(points: Iterable[tuple[int, _T]], windows: Iterable[tuple[int, int]]) -> Iterator[_T | None]:
    """Yield the least value in each window, None where there is none.

    Args:
        points: instant (ms) and value, by instant.
        windows: their ends (ms), both inside; neither the first nor the last instants go back.
    """
    rising: deque[tuple[int, _T]] = deque()  # those that are less than all behind them
    ahead = iter(points)
    coming = next(ahead, None)
    for low, high in windows:
        while coming is not None and coming[0] <= high:
            while rising and rising[-1][1] >= coming[1]:
                rising.pop()
            rising.append(coming)
            coming = next(ahead, None)
        while rising and rising[0][0] < low:
            rising.popleft()
        yield rising[0][1] if rising else None
