"""Whether what the desk shows is as new as the topic of changes, and if not, why and since when."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

OLD_MS = 20_000
"""Behind the topic's end for so long, the pages say that they are old; a failure they say at once."""


class Standing(StrEnum):
    """Why the pages may be old."""

    BROKER_AWAY = "broker-away"
    STORE_AWAY = "store-away"
    BEHIND = "behind"
    STILL = "still"


REASONS = {
    Standing.BROKER_AWAY: "the broker does not answer",
    Standing.STORE_AWAY: "the store does not take changes",
    Standing.BEHIND: "still reading the changes up to now",
    Standing.STILL: "the follower of changes stands still",
}
"""For `/readyz`; pages have words of their own."""


class Watch:
    """What the follower's thread says of itself; asked from any thread."""

    def __init__(self, clock_ms: Callable[[], int]) -> None:
        """Begin as one who has read nothing yet."""
        self._now = clock_ms
        self._began_ms = clock_ms()
        self._turned_ms = self._began_ms
        self._failed: Standing | None = None
        self.fresh_ms: int | None = None
        """All that the topic held then is in the rows; none before the first time."""

    def turned(self, fresh_ms: int | None = None) -> None:
        """Note that a round went through; `fresh_ms` is an instant whose topic is in the rows whole, if there is a newer one."""
        self._turned_ms, self._failed = self._now(), None
        if fresh_ms is not None:
            self.fresh_ms = fresh_ms

    def fails(self, standing: Standing) -> None:
        """Note that the follower waits for something."""
        self._failed = standing

    def standing(self) -> Standing | None:
        """Return why the rows may be old; none if they are as new as the topic."""
        if self._failed is not None:
            return self._failed
        now = self._now()
        if self.fresh_ms is not None and now - self.fresh_ms <= OLD_MS:
            return None
        # A turn that does not end hangs in a call: the database holds it, or the machine was asleep.
        return Standing.STILL if now - self._turned_ms > OLD_MS else Standing.BEHIND
